"""Single rounds of a watcher, with a clock that is driven: what is asked, of whom, and what comes of it."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_kognitos.api.models import Run
from airflow_provider_kognitos.exceptions import (
    KognitosAuthError,
    KognitosConnectionError,
    KognitosError,
    KognitosNotFoundError,
    KognitosRateLimitError,
    KognitosServerError,
    KognitosValidationError,
)
from airflow_provider_kognitos.runs.outcome import Outcome
from airflow_provider_kognitos.runs.polling import Wait
from airflow_provider_kognitos.runs.watcher import REQUESTS_AT_ONCE, TOLD_AT_ONCE, Group, RunWatcher, Ticket

from .made import AGENT, PROCESS, STAGE, run
from .scripted import Clock, Scripted

GROUP = Group(PROCESS, AGENT, STAGE)
ALONE = Group("", "", "")
BAD_GATEWAY = KognitosServerError("bad gateway", status_code=502)
OUTPUTS = [{"name": "total", "value": 42}]
ENDED = {"Succeeded", "Failed", "Cancelled", "TimedOut"}


class Stage:
    """A watcher that looks only when it is told to."""

    def __init__(self, client: Scripted, open_client: Callable[[], Any] | None = None) -> None:
        self.client = client
        self.clock = client.clock
        self.watcher = RunWatcher("conn", open_client or (lambda: client), client.clock)  # type: ignore[arg-type, return-value]
        self.tickets: list[Ticket] = []
        self.lines: dict[str, list[str]] = {}

    def wait_for(self, run_id: str, group: Group = GROUP, *, due_in: float = 0.0, **more: Any) -> Ticket:
        now = self.clock()
        wait = Wait(run_id, now, **{"status": "Running", **more})
        wait.due = now + due_in
        ticket = self.watcher.join(wait, group, self.lines.setdefault(run_id, []).append)
        self.tickets.append(ticket)
        return ticket

    async def round(self) -> list[str]:
        """Look once at all that is due, and return what was asked."""
        self.client.calls.clear()
        await self.watcher._rounds()
        await asyncio.to_thread(lambda: None)  # comes after the lines for the logs
        return self.client.calls.copy()


@asynccontextmanager
async def stage(client: Scripted, open_client: Callable[[], Any] | None = None) -> AsyncIterator[Stage]:
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))
    made = Stage(client, open_client)
    made.watcher._task.cancel()
    await asyncio.gather(made.watcher._task, return_exceptions=True)
    made.watcher._pool = type(made.watcher._pool)(REQUESTS_AT_ONCE, "kognitos-watcher")
    try:
        yield made
    finally:
        made.watcher._pool.shutdown()


def outcomes(ticket: Ticket) -> list[Outcome]:
    return [ticket.outcome.result()] if ticket.outcome.done() else []


def many(count: int, status: str = "Running", prefix: str = "run") -> list[Run]:
    return [run(f"{prefix}-{number}", status) for number in range(count)]


# What a round costs.


async def test_a_run_alone_is_asked_for_by_its_id() -> None:
    async with stage(Scripted(Clock(), *many(3))) as on:
        on.wait_for("run-1")

        assert await on.round() == ["get run-1"]


async def test_two_runs_of_a_process_are_looked_at_on_a_page() -> None:
    async with stage(Scripted(Clock(), *many(3))) as on:
        on.wait_for("run-1")
        on.wait_for("run-2")

        assert await on.round() == ["page"]


async def test_a_thousand_runs_cost_ten_pages() -> None:
    client = Scripted(Clock(), *many(1000))
    client.order = lambda items: random.Random(3).sample(items, len(items))
    async with stage(client) as on:
        for number in range(1000):
            on.wait_for(f"run-{number}")

        assert await on.round() == ["page"] * 10
        assert all(ticket.wait.due > on.clock() for ticket in on.tickets)


async def test_of_many_runs_that_end_at_once_a_few_triggers_are_woken_at_a_time() -> None:
    """Airflow does so much for each event that a hundred in a row would hold up all other triggers."""
    woken: list[str] = []
    turns: list[int] = []

    async def wait_for(ticket: Ticket) -> None:
        woken.append((await ticket.outcome).run_id)

    async def look_on() -> None:
        while True:
            turns.append(len(woken))
            await asyncio.sleep(0)

    async with stage(Scripted(Clock(), *many(200, "Failed"))) as on:
        waiting = [asyncio.create_task(wait_for(on.wait_for(f"run-{number}"))) for number in range(200)]
        looking_on = asyncio.create_task(look_on())

        assert await on.round() == ["page"] * 2
        await asyncio.gather(*waiting)
        await asyncio.sleep(0)
        looking_on.cancel()

    assert len(woken) == turns[-1] == 200
    assert max(later - earlier for earlier, later in pairwise(turns)) <= TOLD_AT_ONCE


async def test_a_page_that_shows_none_of_the_runs_is_the_last() -> None:
    client = Scripted(Clock(), *many(5), *many(300, prefix="foreign"))
    async with stage(client) as on:
        for number in range(5):
            on.wait_for(f"run-{number}")

        asked = await on.round()

    assert asked[0] == "page"
    assert sorted(asked[1:]) == [f"get run-{number}" for number in range(5)]


async def test_pages_are_read_on_while_they_pay_for_themselves() -> None:
    # Nine of others between two of ours: each page shows ten.
    client = Scripted(Clock(), *[run(f"run-{number}") for number in range(500)])
    async with stage(client) as on:
        for number in range(0, 500, 10):
            on.wait_for(f"run-{number}")

        assert await on.round() == ["page"] * 5


@pytest.mark.parametrize("page_takes", [0.0, 0.1, 0.8])
async def test_pages_go_on_paying_round_after_round_however_slow_they_are(page_takes: float) -> None:
    # A third of the list is ours. What is seen on the first page and on the twelfth falls due together again;
    # else the first pages would only ever show runs that have just been looked at.
    client = Scripted(Clock(), *many(400), *many(800, prefix="foreign"))
    listed = random.Random(3).sample(list(client.runs.values()), 1200)
    client.order = lambda items: listed
    client.takes = page_takes
    async with stage(client) as on:
        for number in range(400):
            on.wait_for(f"run-{number}", due_in=7.5 + 7.5 * number / 400)
        for _ in range(12):
            on.clock.now = max(on.clock.now, min(ticket.wait.due for ticket in on.tickets))
            asked = await on.round()

            assert asked.count("page") == len(asked) <= 12


@pytest.mark.parametrize("newest_first", [True, False])
async def test_runs_that_were_started_one_after_the_other_come_to_be_looked_at_together(newest_first: bool) -> None:
    # Ten pages, each of which falls due at a time of its own.
    client = Scripted(Clock(), *many(1000))
    client.order = lambda items: items[::-1] if newest_first else items
    async with stage(client) as on:
        for number in range(1000):
            on.wait_for(f"run-{number}", due_in=15.0 * (number // 100) / 10)
        asked: list[str] = []
        first_interval = on.clock() + 15.0
        while on.clock() < first_interval:
            asked += await on.round()
            on.clock.now = min(ticket.wait.due for ticket in on.tickets)

        assert len(asked) < 100
        for _ in range(3):
            assert await on.round() == ["page"] * 10
            on.clock.now = min(ticket.wait.due for ticket in on.tickets)


@given(
    counts=st.tuples(st.integers(2, 120), st.integers(0, 200)),
    page_size=st.integers(1, 30),
    order=st.randoms(use_true_random=False),
    phases=st.lists(st.floats(0.0, 15.0), min_size=1, max_size=6),
)
@settings(max_examples=60, deadline=None)
def test_in_the_long_run_pages_cost_no_more_than_asking_for_each_run(
    counts: tuple[int, int], page_size: int, order: random.Random, phases: list[float]
) -> None:
    own, foreign = counts

    async def play() -> None:
        everything = [*many(own), *many(foreign, prefix="foreign")]
        order.shuffle(everything)
        client = Scripted(Clock(), *everything, page_size=page_size)
        client.order = lambda items: items
        async with stage(client) as on:
            for number in range(own):
                on.wait_for(f"run-{number}", due_in=phases[number % len(phases)])
            began = on.clock()
            asked = rounds = 0
            while on.clock() < began + 100.0:
                asked += len(await on.round())
                rounds += 1
                on.clock.now = min(ticket.wait.due for ticket in on.tickets)
            # Alone, a run is looked at at once and then each 12 s at least: 15 s less what comes early or by chance.
            assert asked <= own * (1 + (on.clock() - began) / 10.5) + rounds

    asyncio.run(play())


async def test_runs_without_a_process_are_asked_for_by_their_ids() -> None:
    async with stage(Scripted(Clock(), *many(3))) as on:
        for number in range(3):
            on.wait_for(f"run-{number}", ALONE)

        assert sorted(await on.round()) == ["get run-0", "get run-1", "get run-2"]


async def test_nothing_is_asked_while_nothing_is_due() -> None:
    async with stage(Scripted(Clock(), *many(3))) as on:
        for number in range(3):
            on.wait_for(f"run-{number}", due_in=1.0)

        assert await on.round() == []


async def test_runs_nearly_due_come_along_and_others_do_not() -> None:
    client = Scripted(Clock(), *many(2), *many(4, prefix="later"))
    client.order = lambda items: items[:2]
    async with stage(client) as on:
        on.wait_for("run-0")
        # A fifth of the interval of fifteen seconds.
        on.wait_for("run-1", due_in=2.9)
        on.wait_for("later-0", due_in=3.1)

        assert await on.round() == ["page"]
        assert on.tickets[1].wait.due > on.clock() + 10
        assert on.tickets[2].wait.due == on.clock() + 3.1


async def test_a_run_on_a_page_is_updated_due_or_not() -> None:
    client = Scripted(Clock(), *many(3))
    client.hides_outputs = False
    client.end("run-2", "Succeeded", outputs=OUTPUTS)
    async with stage(client) as on:
        on.wait_for("run-0")
        on.wait_for("run-1")
        early = on.wait_for("run-2", due_in=1000)

        assert await on.round() == ["page"]
        assert [outcome.kind for outcome in outcomes(early)] == ["ended"]


@pytest.mark.parametrize("hides", [True, False])
async def test_a_run_that_succeeded_is_read_by_its_id_only_if_the_list_hides_its_outputs(hides: bool) -> None:
    client = Scripted(Clock(), *many(4))
    client.hides_outputs = hides
    client.end("run-1", "Succeeded", outputs=OUTPUTS)
    client.end("run-2", "Failed")
    async with stage(client) as on:
        for number in range(4):
            on.wait_for(f"run-{number}")

        assert await on.round() == ["page", *["get run-1"] * hides]
        assert [outcome.ended_run().outputs for outcome in outcomes(on.tickets[1])] == [{"total": 42}]
        assert [outcome.ended_run().status for outcome in outcomes(on.tickets[2])] == ["Failed"]


async def test_two_triggers_on_a_run_cost_one_request_and_both_are_told() -> None:
    client = Scripted(Clock(), run("run-0", "Succeeded", outputs=OUTPUTS))
    async with stage(client) as on:
        one, other = on.wait_for("run-0"), on.wait_for("run-0", due_in=500)

        assert await on.round() == ["get run-0"]
        assert len(on.lines["run-0"]) == 2
        for ticket in (one, other):
            assert ticket.outcome.result().ended_run().outputs == {"total": 42}


async def test_each_status_is_told_once_and_the_outcome_last() -> None:
    client = Scripted(Clock(), *many(2, "Pending"))
    async with stage(client) as on:
        ticket, _ = on.wait_for("run-0", status="Created"), on.wait_for("run-1")
        for status in ["Pending", "Running", "Running", "Odd", "Odd", "Failed"]:
            client.end("run-0", status)
            await on.round()
            on.clock.now += 100

        assert ticket.outcome.done()
        assert [line.split()[4] for line in on.lines["run-0"]] == ["Pending", "Running", "Odd", "Failed"]
        assert await on.round() == ["get run-1"]


@given(
    own=st.integers(0, 40),
    foreign=st.integers(0, 60),
    page_size=st.integers(1, 12),
    order=st.randoms(use_true_random=False),
    statuses=st.lists(st.sampled_from(["Running", "Odd", "Succeeded", "Failed"]), min_size=1, max_size=7),
    due=st.lists(st.sampled_from([0.0, 2.0, 6.0, 13.5, 500.0]), min_size=1, max_size=5),
    hides=st.booleans(),
    unlisted=st.sets(st.integers(0, 39), max_size=5),
)
@settings(max_examples=150)
def test_a_round_costs_a_request_more_than_asking_for_each_run_at_most(
    own: int,
    foreign: int,
    page_size: int,
    order: random.Random,
    statuses: list[str],
    due: list[float],
    hides: bool,
    unlisted: set[int],
) -> None:
    async def play() -> None:
        runs = [run(f"run-{number}", statuses[number % len(statuses)], outputs=OUTPUTS) for number in range(own)]
        everything = [*runs, *many(foreign, prefix="foreign")]
        order.shuffle(everything)
        client = Scripted(Clock(), *everything, page_size=page_size)
        client.hides_outputs = hides
        hidden = {f"run-{number}" for number in unlisted}
        client.order = lambda items: [item for item in items if item.id not in hidden]
        async with stage(client) as on:
            for number in range(own):
                on.wait_for(f"run-{number}", due_in=due[number % len(due)])
            now = on.clock()
            is_due = {t.wait.run_id for t in on.tickets if t.wait.due <= now + 3.0}
            is_due = is_due if any(t.wait.due <= now for t in on.tickets) else set()
            early = sum(t.wait.elapsed(now) for t in on.tickets if t.wait.run_id not in is_due)

            asked = await on.round()

            read_again = [call for call in asked if call != "page"]
            assert len(read_again) == len(set(read_again))
            succeeded = sum(client.runs[call.split()[1]].status == "Succeeded" for call in read_again) if hides else 0
            assert len(asked) - succeeded <= len(is_due) + early + 1 if is_due else not asked
            for ticket in on.tickets:
                status = client.runs[ticket.wait.run_id].status
                found = outcomes(ticket)
                if ticket.wait.run_id in is_due:
                    assert len(found) == (status in ENDED)
                    assert found or ticket.wait.due > now
                for outcome in found:
                    assert outcome.ended_run().status == status
                    assert outcome.ended_run().outputs == {"total": 42} or status != "Succeeded"

    asyncio.run(play())


@given(
    groups=st.lists(st.integers(1, 12), min_size=1, max_size=12),
    passes=st.integers(2, 4),
    foreign=st.integers(0, 30),
)
@settings(max_examples=40)
def test_no_run_starves_however_many_groups_there_are(groups: list[int], passes: int, foreign: int) -> None:
    async def play() -> None:
        runs = [run(f"run-{group}-{n}") for group, count in enumerate(groups) for n in range(count)]
        client = Scripted(Clock(), *many(foreign, prefix="foreign"), *runs)
        seen: dict[str, int] = {}
        async with stage(client) as on:
            for group, count in enumerate(groups):
                for n in range(count):
                    on.wait_for(f"run-{group}-{n}", Group(f"process-{group}" if group % 3 else "", AGENT, STAGE))
            for _ in range(passes):
                before = {ticket.wait.run_id: ticket.wait.due for ticket in on.tickets}
                await on.round()
                for ticket in on.tickets:
                    seen[ticket.wait.run_id] = seen.get(ticket.wait.run_id, 0) + (
                        ticket.wait.due != before[ticket.wait.run_id]
                    )
                on.clock.now += 100

        assert set(seen.values()) == {passes}

    asyncio.run(play())


# Errors.


@pytest.mark.parametrize("error", [BAD_GATEWAY, KognitosConnectionError("reset")], ids=repr)
async def test_a_service_in_trouble_is_not_asked_once_more_for_each_run(error: KognitosError) -> None:
    client = Scripted(Clock(), *many(50))
    client.listed = iter([error])
    async with stage(client) as on:
        for number in range(50):
            on.wait_for(f"run-{number}")

        assert await on.round() == ["page"]
        assert [ticket.wait.failures for ticket in on.tickets] == [1] * 50
        on.clock.now += 20
        assert await on.round() == ["page"]
        assert [ticket.wait.failures for ticket in on.tickets] == [0] * 50


@pytest.mark.parametrize(
    "error",
    [
        KognitosNotFoundError("no such process", status_code=404),
        KognitosValidationError("bad token", status_code=400),
        KognitosAuthError("forbidden", status_code=403),
    ],
    ids=repr,
)
async def test_a_list_that_is_refused_is_done_without(error: KognitosError) -> None:
    client = Scripted(Clock(), *many(3))
    client.listed = iter([error])
    async with stage(client) as on:
        for number in range(3):
            on.wait_for(f"run-{number}")

        assert len(await on.round()) == 4
        assert all(ticket.wait.due > on.clock() for ticket in on.tickets)


async def test_five_failures_in_a_row_end_the_wait_and_only_that_one() -> None:
    client = Scripted(Clock(), *many(2))
    async with stage(client) as on:
        lost, other = on.wait_for("gone", ALONE, status="Running"), on.wait_for("run-0", ALONE)
        on.clock.now += 60
        for _ in range(5):
            assert not outcomes(lost)
            await on.round()
            on.clock.now += 20

        (outcome,) = outcomes(lost)
        assert outcome.kind == "error"
        assert "no run gone" in outcome.message
        assert other.wait.failures == 0
        assert await on.round() == ["get run-0"]


async def test_a_run_not_known_yet_is_not_given_up() -> None:
    client = Scripted(Clock())
    async with stage(client) as on:
        ticket = on.wait_for("run-0", status=None)
        for _ in range(4):
            assert await on.round() == ["get run-0"]
            on.clock.now += 17
        client.runs["run-0"] = run("run-0", "Succeeded", outputs=OUTPUTS)
        await on.round()

        assert [outcome.kind for outcome in outcomes(ticket)] == ["ended"]


async def test_an_outcome_that_cannot_be_read_now_is_read_in_the_next_round() -> None:
    client = Scripted(Clock(), *many(2))
    client.end("run-0", "Succeeded", outputs=OUTPUTS)
    client.got = iter([BAD_GATEWAY])
    async with stage(client) as on:
        ticket, _ = on.wait_for("run-0"), on.wait_for("run-1")
        assert await on.round() == ["page", "get run-0"]
        assert not outcomes(ticket)
        on.clock.now += 20
        assert await on.round() == ["page", "get run-0"]

        assert [outcome.ended_run().outputs for outcome in outcomes(ticket)] == [{"total": 42}]


async def test_a_deadline_is_told_and_the_status_comes_before_it() -> None:
    client = Scripted(Clock(), *many(2), run("run-2", "Succeeded", outputs=OUTPUTS))
    async with stage(client) as on:
        deadline = on.clock() + 10
        late, done = on.wait_for("run-0", deadline=deadline), on.wait_for("run-2", deadline=deadline, due_in=11)
        on.clock.now += 11
        await on.round()

        assert [outcome.kind for outcome in outcomes(late)] == ["timeout"]
        assert [outcome.kind for outcome in outcomes(done)] == ["ended"]


# Throttling.


@pytest.mark.parametrize(("retry_after", "pause"), [(30.0, 30.0), (None, 15.0), (0.0, 15.0), (10.0**9, 300.0)], ids=str)
@pytest.mark.parametrize("grouped", [True, False], ids=["a page", "by id"])
async def test_a_429_pauses_the_whole_connection(retry_after: float | None, pause: float, grouped: bool) -> None:
    client = Scripted(Clock(), *many(40))
    throttled = KognitosRateLimitError("too many", status_code=429, retry_after=retry_after)
    client.listed = iter([throttled])
    client.got = iter([throttled] * REQUESTS_AT_ONCE)
    async with stage(client) as on:
        for number in range(20):
            on.wait_for(f"run-{number}", GROUP if grouped else ALONE)
        other = on.wait_for("run-30", Group("another", AGENT, STAGE), due_in=pause - 1)

        # What is under way at that moment is not undone; nothing more is sent.
        assert len(await on.round()) <= REQUESTS_AT_ONCE
        on.clock.now += pause - 0.5
        assert await on.round() == []
        assert other.wait.failures == 0
        on.clock.now += 1 + 15
        assert await on.round()
        assert all(ticket.wait.due > on.clock() for ticket in on.tickets)
        assert not any(ticket.wait.failures for ticket in on.tickets)


async def test_a_pause_in_the_middle_of_the_pages_leaves_the_rest_for_later() -> None:
    client = Scripted(Clock(), *many(300))
    client.listed = iter([None, KognitosRateLimitError("too many", status_code=429, retry_after=60.0)])
    async with stage(client) as on:
        for number in range(300):
            on.wait_for(f"run-{number}")

        assert await on.round() == ["page", "page"]
        on.clock.now += 61
        assert await on.round() == ["page"] * 3


# The connection.


async def test_the_connection_is_opened_once() -> None:
    client, opened = Scripted(Clock(), *many(9)), []
    async with stage(client, lambda: opened.append(1) or client) as on:  # type: ignore[func-returns-value]
        for number in range(9):
            on.wait_for(f"run-{number}", Group(f"process-{number % 4}", AGENT, STAGE))
        for _ in range(3):
            await on.round()
            on.clock.now += 20

    assert len(opened) == 1


async def test_a_refused_key_is_looked_up_again() -> None:
    clock = Clock()
    old, new = Scripted(clock), Scripted(clock, *many(20))
    old.got = iter([KognitosAuthError("revoked", status_code=401)] * 20)
    connections = [old, new]
    async with stage(old, lambda: connections.pop(0)) as on:
        for number in range(20):
            on.wait_for(f"run-{number}", ALONE)
        await on.round()
        assert [ticket.wait.failures for ticket in on.tickets] == [1] * 20
        clock.now += 20
        await on.round()

    assert len(new.calls) == 20
    assert [ticket.wait.failures for ticket in on.tickets] == [0] * 20
    assert (old.closed, new.closed, connections) == (1, 0, [])


@pytest.mark.parametrize(
    "error", [KeyError("key=secret-key"), KognitosError("the connection has no key")], ids=["foreign", "own"]
)
async def test_a_connection_that_cannot_be_read_is_a_failed_look_and_no_more(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    client = Scripted(Clock(), *many(3))
    answers: list[Any] = [error, error, client]

    def open_client() -> Any:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async with stage(client, open_client) as on:
        for number in range(3):
            on.wait_for(f"run-{number}", GROUP if number else ALONE)
        for failures in (1, 2, 0):
            await on.round()
            assert [ticket.wait.failures for ticket in on.tickets] == [failures] * 3
            on.clock.now += 20

    assert "secret-key" not in caplog.text
    assert "'conn'" in caplog.text or "no key" in caplog.text


async def test_a_trigger_that_leaves_takes_its_run_along() -> None:
    client = Scripted(Clock(), *many(2))
    async with stage(client) as on:
        gone, _ = on.wait_for("run-0"), on.wait_for("run-1")
        on.watcher._leave(gone)
        on.watcher._leave(gone)

        assert await on.round() == ["get run-1"]
        assert not gone.outcome.done()
        assert not on.lines["run-0"]


async def test_a_run_that_nobody_waits_for_any_more_is_not_asked_for() -> None:
    client = Scripted(Clock(), *many(REQUESTS_AT_ONCE * 3))
    async with stage(client) as on:
        for number in range(REQUESTS_AT_ONCE * 3):
            on.wait_for(f"run-{number}", ALONE)
        looking = asyncio.ensure_future(on.round())
        await asyncio.sleep(0)
        for ticket in on.tickets:
            on.watcher._leave(ticket)

        assert len(await looking) <= REQUESTS_AT_ONCE
