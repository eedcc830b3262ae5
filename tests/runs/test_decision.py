"""The decision table: which run is adopted, and when one is started."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from airflow_provider_kognitos.api.words import FAILURE_STATUSES
from airflow_provider_kognitos.runs.decision import CLOCK_SKEW, Attempt, Decision, OwnRun, decide
from airflow_provider_kognitos.runs.ends import EndStatuses

from .made import MARKER, NOW, run

LIVE = ["Created", "Pending", "Running", "AwaitingGuidance", "", "succeeded"]
GENERATION, FINGERPRINT = MARKER.generation, MARKER.fingerprint
OLDER, OTHER = GENERATION - 1, "0000"
ATTEMPT = Attempt(MARKER, first=False, dag_run_started=NOW)


def own(
    status: str,
    *,
    generation: int = GENERATION,
    fingerprint: str = FINGERPRINT,
    run_id: str = "run-1",
    created_at: datetime | None = NOW,
    taken_at: datetime | None = None,
) -> OwnRun:
    return OwnRun(run(run_id, status, created_at=created_at), generation, fingerprint, taken_at)


def adopted(decision: Decision) -> str | None:
    return decision.adopt.run.id if decision.adopt else None


# Row by row.


@pytest.mark.parametrize("status", LIVE)
def test_a_live_run_of_this_generation_is_adopted(status: str) -> None:
    decision = decide(ATTEMPT, [own(status)])

    assert adopted(decision) == "run-1"
    assert not decision.warn


@pytest.mark.parametrize("status", [*LIVE, "Succeeded"])
def test_a_run_of_this_generation_with_other_inputs_is_adopted_with_a_warning(status: str) -> None:
    decision = decide(ATTEMPT, [own(status, fingerprint=OTHER)])

    assert adopted(decision) == "run-1"
    assert decision.warn
    assert "with other inputs" in decision.why
    assert "clear the task" in decision.why


@pytest.mark.parametrize("status", LIVE)
def test_a_live_run_of_before_a_clear_is_adopted_if_it_was_asked_for_the_same(status: str) -> None:
    decision = decide(ATTEMPT, [own(status, generation=OLDER)])

    assert adopted(decision) == "run-1"
    assert not decision.warn
    assert "cleared" in decision.why


@pytest.mark.parametrize("generation", [OLDER, GENERATION + 1])
def test_a_live_run_of_before_a_clear_with_other_inputs_is_left_to_itself(generation: int) -> None:
    # A clear lowers max_tries where the task's retries were lowered meanwhile: "older" is any other number.
    decision = decide(ATTEMPT, [own("Running", generation=generation, fingerprint=OTHER)])

    assert decision.adopt is None
    assert decision.warn
    assert decision.beside is not None
    assert decision.beside.id == "run-1"
    assert re.search(r"run-1 .* Running", decision.why)


@pytest.mark.parametrize(
    "created_at",
    [NOW + timedelta(hours=1), NOW, NOW - CLOCK_SKEW, None],
    ids=["later", "with the DAG run", "clocks apart", "unknown"],
)
def test_a_run_that_succeeded_in_this_generation_is_adopted(created_at: datetime | None) -> None:
    decision = decide(ATTEMPT, [own("Succeeded", created_at=created_at)])

    assert adopted(decision) == "run-1"
    assert not decision.warn


def test_a_run_that_succeeded_is_adopted_where_nobody_knows_when_the_dag_run_started() -> None:
    attempt = Attempt(MARKER, first=False, dag_run_started=None)

    assert adopted(decide(attempt, [own("Succeeded")])) == "run-1"


def test_a_run_that_succeeded_before_the_dag_run_was_cleared_is_not_adopted() -> None:
    decision = decide(ATTEMPT, [own("Succeeded", created_at=NOW - CLOCK_SKEW - timedelta(seconds=1))])

    assert decision.adopt is None


def test_a_run_adopted_over_the_clear_is_adopted_again_once_it_has_succeeded() -> None:
    # The clear of a DAG run that is over resets its start_date; the run is older, its adoption is not.
    yesterday = NOW - timedelta(days=1)
    adopted_later = own("Succeeded", created_at=yesterday, taken_at=NOW + timedelta(minutes=1))
    started_then = own("Succeeded", created_at=yesterday, taken_at=yesterday)

    assert adopted(decide(ATTEMPT, [adopted_later])) == "run-1"
    assert adopted(decide(ATTEMPT, [started_then])) is None


def test_a_run_that_succeeded_in_an_older_generation_is_not_adopted() -> None:
    decision = decide(ATTEMPT, [own("Succeeded", generation=OLDER)])

    assert decision.adopt is None
    assert not decision.warn


@pytest.mark.parametrize("status", FAILURE_STATUSES)
@pytest.mark.parametrize("generation", [OLDER, GENERATION])
def test_runs_that_ended_badly_are_not_adopted(status: str, generation: int) -> None:
    decision = decide(ATTEMPT, [own(status, generation=generation), own(status, run_id="run-2")])

    assert decision.adopt is None
    assert not decision.warn
    assert "none of 2 " in decision.why


def test_nothing_found_means_start() -> None:
    assert decide(ATTEMPT, []) == Decision(None, "no earlier run was found")


# Several at once.


def test_a_live_run_of_this_generation_comes_before_all_others() -> None:
    found = [
        own("Succeeded", run_id="done"),
        own("Running", run_id="former", generation=OLDER),
        own("Running", run_id="live"),
        own("Failed", run_id="failed"),
    ]

    assert adopted(decide(ATTEMPT, found)) == "live"


def test_a_run_that_succeeded_in_this_generation_comes_before_a_live_one_of_before_the_clear() -> None:
    found = [own("Running", run_id="former", generation=OLDER, fingerprint=OTHER), own("Succeeded", run_id="done")]

    decision = decide(ATTEMPT, found)

    assert adopted(decision) == "done"


def test_the_run_asked_for_the_same_comes_before_one_with_other_inputs() -> None:
    found = [
        own("Running", run_id="other", fingerprint=OTHER, created_at=NOW + timedelta(hours=1)),
        own("Running", run_id="same"),
    ]

    assert adopted(decide(ATTEMPT, found)) == "same"


def test_of_two_runs_before_a_clear_the_one_asked_for_the_same_decides() -> None:
    found = [
        own("Running", run_id="other", generation=OLDER, fingerprint=OTHER),
        own("Running", run_id="same", generation=OLDER),
    ]

    decision = decide(ATTEMPT, found)

    assert adopted(decision) == "same"
    assert not decision.warn


def test_of_two_alike_the_newer_is_adopted() -> None:
    found = [
        own("Running", run_id="unknown", created_at=None),
        own("Running", run_id="older", created_at=NOW - timedelta(hours=1)),
        own("Running", run_id="newer"),
    ]

    assert adopted(decide(ATTEMPT, found)) == "newer"


def test_the_users_own_statuses_decide_what_is_live() -> None:
    ends = EndStatuses(success=("Succeeded", "Approved"), failure=("Rejected",))
    attempt = Attempt(MARKER, ends=ends, first=False)

    assert adopted(decide(attempt, [own("Approved")])) == "run-1"
    assert adopted(decide(attempt, [own("Rejected")])) is None
    # "Failed" is not among the user's failures, so such a run goes on.
    assert adopted(decide(attempt, [own("Failed")])) == "run-1"


# Whatever is found.

moments = st.none() | st.integers(-200_000, 200_000).map(lambda seconds: NOW + timedelta(seconds=seconds))
own_runs = st.builds(
    OwnRun,
    run=st.builds(
        run,
        run_id=st.integers(1, 10**6).map("run-{}".format),
        status=st.sampled_from([*LIVE, "Succeeded", "Succeeded", *FAILURE_STATUSES]),
        created_at=moments,
    ),
    generation=st.integers(GENERATION - 2, GENERATION + 1),
    fingerprint=st.sampled_from([FINGERPRINT, OTHER, "1111"]),
    taken_at=moments,
)
founds = st.lists(own_runs, max_size=8, unique_by=lambda item: item.run.id)
attempts = st.builds(Attempt, marker=st.just(MARKER), first=st.booleans(), dag_run_started=moments)


def allowed(attempt: Attempt, found: list[OwnRun]) -> tuple[bool, set[str]]:
    """The table once more, said as what may be adopted; and whether a start is right."""
    since = attempt.dag_run_started
    current = [item for item in found if item.generation == GENERATION]
    former = [item for item in found if item.generation != GENERATION]

    def live(items: list[OwnRun]) -> set[str]:
        return {item.run.id for item in items if item.run.status not in {"Succeeded", *FAILURE_STATUSES}}

    def recent(item: OwnRun) -> bool:
        times = [moment for moment in (item.run.created_at, item.taken_at) if moment]
        return since is None or not times or any(moment >= since - timedelta(minutes=5) for moment in times)

    for candidates in (
        live(current),
        {item.run.id for item in current if item.run.status == "Succeeded" and recent(item)},
        live([item for item in former if item.fingerprint == FINGERPRINT]),
    ):
        if candidates:
            return False, candidates
    return True, set()


@given(attempts, founds)
@example(ATTEMPT, [own("Running", generation=OLDER), own("Succeeded", run_id="run-2", generation=OLDER)])
def test_any_set_of_runs_is_decided_as_the_table_says(attempt: Attempt, found: list[OwnRun]) -> None:
    start, candidates = allowed(attempt, found)

    decision = decide(attempt, found)

    assert (decision.adopt is None) == start
    assert start or decision.adopt in found
    assert start or adopted(decision) in candidates


@given(attempts, founds)
def test_a_run_is_never_started_beside_a_live_one_of_the_same_generation(attempt: Attempt, found: list[OwnRun]) -> None:
    decision = decide(attempt, [*found, own("Running", run_id="live", created_at=None)])

    assert decision.adopt is not None
    assert attempt.ends.live(decision.adopt.run)
    assert decision.adopt.generation == GENERATION


@given(attempts, founds)
def test_a_run_that_ended_badly_is_never_adopted(attempt: Attempt, found: list[OwnRun]) -> None:
    decision = decide(attempt, found)

    assert decision.adopt is None or decision.adopt.run.status not in FAILURE_STATUSES


@given(attempts, founds)
def test_the_order_in_which_runs_are_found_decides_nothing(attempt: Attempt, found: list[OwnRun]) -> None:
    one, other = decide(attempt, found), decide(attempt, found[::-1])

    assert (one.adopt is None) == (other.adopt is None)
    if one.adopt and other.adopt:
        assert one.adopt.generation == other.adopt.generation or one.adopt.generation != GENERATION
        assert one.adopt.fingerprint == other.adopt.fingerprint or one.warn == other.warn
        assert one.adopt.run.created_at == other.adopt.run.created_at


@given(attempts, founds)
def test_who_is_left_running_beside_a_new_run_is_said(attempt: Attempt, found: list[OwnRun]) -> None:
    decision = decide(attempt, found)

    left = [item for item in found if attempt.ends.live(item.run)]
    if decision.adopt is None and left:
        assert decision.warn
        assert decision.beside in [item.run for item in left]
        assert decision.beside is not None
        assert decision.beside.id in decision.why
    else:
        assert decision.beside is None
