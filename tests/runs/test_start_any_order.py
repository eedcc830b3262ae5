"""Whatever happens, in whatever order: a task instance never has two live runs, and never loses one."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from airflow_provider_kognitos.api.models import Run
from airflow_provider_kognitos.api.words import FAILURE_STATUSES
from airflow_provider_kognitos.exceptions import (
    KognitosCapacityError,
    KognitosConnectionError,
    KognitosError,
    KognitosRateLimitError,
    KognitosServerError,
    KognitosStartUncertainError,
)
from airflow_provider_kognitos.runs.identity import Marker

from .answers import Answer, Killed, killed, refused, unknown
from .attempts import REQUEST, SETTLE, Task
from .scripted import Clock, Scripted
from .store import JsonStore, needs_task_state_store

pytestmark = needs_task_state_store

FULL = KognitosCapacityError("Resource Not Available", status_code=403)
THROTTLED = KognitosRateLimitError("too many requests", status_code=429)
NOT_SENT = KognitosConnectionError("refused", sent=False)
BAD_GATEWAY = KognitosServerError("bad gateway", status_code=502)


@dataclass(frozen=True)
class Try:
    """
    One attempt and what came before it.

    :param gap: seconds since the one before.
    :param cleared: whether it is the first after a clear.
    :param ended: how the live runs ended meanwhile, ``None`` if they go on.
    :param starts: what its start requests meet: a kind, seconds of waiting before, seconds to the run or the answer.
    :param pages: which of its looks at the list fail.
    :param deferred: whether it waits for capacity deferred.
    :param breaks: after how many writes the store fails, ``None`` for never.
    """

    gap: float
    cleared: bool
    ended: str | None
    starts: list[tuple[str, float, float]]
    pages: list[bool]
    deferred: bool
    breaks: int | None


tries = st.builds(
    Try,
    gap=st.sampled_from([1.3, 5.0, 31.0, 400.0]),
    cleared=st.booleans(),
    ended=st.sampled_from([None, None, "Succeeded", *FAILURE_STATUSES]),
    starts=st.lists(
        st.tuples(
            st.sampled_from(["ok", "killed", "killed after", "unknown", "unknown after", "late", "full", "not sent"]),
            st.sampled_from([0.0, 0.0, 40.0, 600.0]),
            # Late and lagging together, a run is to be seen within the time that is waited for it.
            st.sampled_from([0.0, 12.0, SETTLE - 10.0]),
        ),
        max_size=4,
    ),
    pages=st.lists(st.booleans(), max_size=4),
    deferred=st.booleans(),
    breaks=st.none() | st.integers(0, 4),
)


def answer(clock: Clock, kind: str, after: float, seconds: float) -> Answer:
    match kind:
        case "killed":
            return killed(clock, created=False, after=after)
        case "killed after":
            return killed(clock, created=True, after=after)
        case "unknown":
            return unknown(clock, created=False, after=after, times_out=seconds)
        case "unknown after":
            return unknown(clock, created=True, after=after, times_out=seconds)
        case "late":
            return unknown(clock, created=True, after=after, late=seconds)
        case "full":
            return refused(FULL if after else THROTTLED)
        case "not sent":
            return refused(NOT_SENT)
        case _:
            return lambda create: create()


class Watched(Scripted):
    """Knows, whenever a run is created, which live runs of the task instance there are already."""

    def __init__(self, clock: Clock, lag: float) -> None:
        super().__init__(clock, lag=lag)
        self.twice: list[str] = []
        self.allowed_beside: set[str] = set()

    def create(self, name: str, status: str = "Created", **more: Any) -> Run:
        beside = [run.id for run in self.runs.values() if run.id not in self.allowed_beside and not ended(run)]
        created = super().create(name, status, **more)
        self.twice += [f"{created.name} beside {', '.join(beside)}"] * bool(beside)
        return created


def ended(run: Run) -> bool:
    return run.status in {"Succeeded", *FAILURE_STATUSES}


def play(
    attempts: list[Try], *, store: JsonStore | None, lag: float, files: bool
) -> tuple[Watched, list[tuple[str, Run | None]]]:
    clock = Clock()
    client = Watched(clock, lag)
    request = REQUEST._replace(files=("/one", "/two")) if files else REQUEST
    task = Task(client, clock, clock.sleep, store, request=request)
    followed: list[tuple[str, Run | None]] = []
    for one in attempts:
        clock.sleep(one.gap)
        if one.ended:
            for run in list(client.runs.values()):
                if not ended(run):
                    client.end(run.id, one.ended)
        if one.cleared and task.try_number:
            task.clear()
        client.started = iter([answer(clock, *start) for start in one.starts])
        client.listed = iter([BAD_GATEWAY if fails else None for fails in one.pages])
        if store is not None:
            store.broken_after = None if one.breaks is None else len(store.history) + one.breaks
        try:
            run = task.attempt(deferred=one.deferred)
        except Killed:
            followed.append(("killed", None))
        except (KognitosError, RuntimeError) as error:
            followed.append((type(error).__name__, None))
        else:
            followed.append(("run", run))
        if store is not None:
            store.broken_after = None
    # Whatever is still under way arrives.
    clock.sleep(3600)
    return client, followed


@pytest.mark.parametrize("has_store", [True, False], ids=["store", "no-store"])
@given(st.lists(tries, min_size=1, max_size=6), st.sampled_from([0.0, 4.0, 9.0]), st.booleans())
@settings(max_examples=150)
def test_no_run_is_ever_started_beside_a_live_one(
    has_store: bool, attempts: list[Try], lag: float, files: bool
) -> None:
    client, followed = play(attempts, store=JsonStore() if has_store else None, lag=lag, files=files)

    for how, _ in followed:
        event(how)
    assert client.twice == []


@pytest.mark.parametrize("has_store", [True, False], ids=["store", "no-store"])
@given(st.lists(tries, min_size=1, max_size=5), st.sampled_from([0.0, 4.0, 9.0]))
@settings(max_examples=100)
def test_an_attempt_left_in_peace_follows_the_run_that_lives(has_store: bool, attempts: list[Try], lag: float) -> None:
    peace = Try(gap=120.0, cleared=False, ended=None, starts=[], pages=[], deferred=False, breaks=None)

    client, followed = play([*attempts, peace], store=JsonStore() if has_store else None, lag=lag, files=False)

    how, run = followed[-1]
    assert how == "run"
    assert run is not None
    live = {item.id for item in client.runs.values() if not ended(item)}
    assert live <= {run.id}


@pytest.mark.parametrize("has_store", [True, False], ids=["store", "no-store"])
@given(st.lists(tries, min_size=2, max_size=6), st.sampled_from([0.0, 4.0, 9.0]))
@settings(max_examples=100)
def test_a_run_that_succeeded_is_never_run_again_by_a_retry(has_store: bool, attempts: list[Try], lag: float) -> None:
    # Without a store, the name of a run adopted over a clear says that it is of the generation before.
    attempts = attempts if has_store else [Try(**{**vars(one), "cleared": False}) for one in attempts]

    client, _ = play(attempts, store=JsonStore() if has_store else None, lag=lag, files=False)

    succeeded: dict[int, str] = {}
    for run in client.runs.values():
        marker = Marker.read(run.name)
        assert marker is not None
        assert marker.generation not in succeeded
        if run.status == "Succeeded":
            succeeded[marker.generation] = run.id


@given(st.lists(tries, min_size=1, max_size=6), st.sampled_from([0.0, 4.0, 9.0]))
@settings(max_examples=100)
def test_no_file_is_ever_given_to_two_runs(attempts: list[Try], lag: float) -> None:
    client, _ = play(attempts, store=JsonStore(), lag=lag, files=True)

    given_to: dict[str, set[str]] = {}
    for run in client.runs.values():
        for file_id in client.files_of[run.id]:
            given_to.setdefault(file_id, set()).add(run.id)
    assert all(len(runs) == 1 for runs in given_to.values())


def test_the_storm_itself_meets_every_weather() -> None:
    """Guards the tests above: were their attempts all alike, they would prove little."""
    kinds = ["ok", "killed", "killed after", "unknown", "unknown after", "late", "full", "not sent"]
    attempts = [
        Try(timedelta(minutes=1).total_seconds(), False, "Failed", [(kind, 0.0, 0.0)] * 2, [], False, None)
        for kind in kinds
    ]

    client, followed = play(attempts, store=JsonStore(), lag=4.0, files=False)

    assert {how for how, _ in followed} == {
        "run",
        "killed",
        KognitosStartUncertainError.__name__,
        KognitosConnectionError.__name__,
    }
    assert len(client.created) >= 5
