"""The watcher against the emulator, as triggers use it: in one event loop, over sockets, in real time."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any

import pytest
from asgiref.sync import async_to_sync

from airflow_provider_kognitos.api.client import KognitosClient
from airflow_provider_kognitos.emulator.server import RunningEmulator
from airflow_provider_kognitos.runs.outcome import Outcome
from airflow_provider_kognitos.runs.polling import Cadence, Wait
from airflow_provider_kognitos.runs.watcher import REQUESTS_AT_ONCE, Group, RunWatcher, Ticket

from .made import run
from .scripted import Clock, Scripted
from .service import PROCESS, add_foreign, client_of, play

GROUP = Group(PROCESS, "demo-agent", "Published")
ALONE = Group("", "", "")


class Triggers:
    """The triggers of one event loop on one connection."""

    def __init__(self, open_client: Callable[[], Any]) -> None:
        self.open_client = open_client
        self.opened = 0
        self.said: list[str] = []

    def _open(self) -> Any:
        self.opened += 1
        return self.open_client()

    async def outcome(
        self, run_id: str, group: Group = GROUP, *, every: float = 0.3, conn_id: str = "kognitos", **more: Any
    ) -> Outcome:
        now = time.time()
        given = {"started_at": now, "cadence": Cadence(every, every), "status": "Running", **more}
        wait = Wait(run_id, **given).begin(now)
        watcher = RunWatcher.of(conn_id, self._open)
        ticket = watcher.join(wait, group, self.said.append)
        try:
            return await ticket.outcome
        finally:
            watcher.leave(ticket)

    async def lines(self, count: int) -> list[str]:
        """What has been said, once it is so many lines."""
        async with asyncio.timeout(30):
            while len(self.said) < count:
                await asyncio.sleep(0.01)
        return self.said

    def start(self, run_id: str, group: Group = GROUP, **more: Any) -> asyncio.Task[Outcome]:
        return asyncio.create_task(self.outcome(run_id, group, **more), name=f"trigger of {run_id}")


@pytest.fixture
def triggers(emulator: RunningEmulator) -> Triggers:
    return Triggers(lambda: client_of(emulator, attempts=1))


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    """After every test: no thread, and no watcher that a later trigger could find."""
    yield
    for _ in range(500):
        left = watcher_threads()
        if not left:
            break
        time.sleep(0.02)
    assert left == []
    assert not any(RunWatcher._shared.values())


def watcher_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("kognitos-watcher")]


def others() -> set[str]:
    return {task.get_name() for task in asyncio.all_tasks()} - {asyncio.current_task().get_name()}  # type: ignore[union-attr]


def short_runs(emulator: RunningEmulator, count: int, *, seconds: Any = (0.3, 1.5), **scenario: Any) -> list[str]:
    """Add runs that end by themselves, with outputs; return their ids."""
    play(emulator, steps=[("Running", seconds)], **scenario)
    now = time.time()
    return add_foreign(emulator, count, status=None, created_at=now, name="Invoice")


def requests_of(emulator: RunningEmulator) -> dict[str, int]:
    return dict(emulator.control.stats()["requests"])


# Many runs.


@pytest.mark.parametrize(
    ("count", "hides", "order"),
    [(1000, False, "shuffled"), (300, True, "newest_first"), (300, False, "oldest_first")],
)
async def test_a_thousand_runs_are_looked_at_by_the_page(
    emulator: RunningEmulator,
    triggers: Triggers,
    monkeypatch: pytest.MonkeyPatch,
    count: int,
    hides: bool,
    order: str,
) -> None:
    # Many pages of the list, every third run of it ours.
    play(
        emulator,
        steps=[("Running", (0.4, 1.6))],
        habits={"list_hides_outputs": hides, "list_order": order},
    )
    everybodys = [
        {"process_id": PROCESS, "status": "Running" if number % 3 else None, "created_at": time.time()}
        for number in range(3 * count)
    ]
    run_ids = [run["id"] for run in emulator.control.add_runs(everybodys)][::3]
    opened = emulator.control.stats()["connections"]["opened"]
    rounds: list[int] = []
    before_a_round = RunWatcher._round

    async def noted(self: RunWatcher, client: Any, group: Group, unseen: set[str]) -> None:
        rounds.append(len(unseen))
        await before_a_round(self, client, group, unseen)

    monkeypatch.setattr(RunWatcher, "_round", noted)

    found = await asyncio.gather(*(triggers.outcome(run_id, every=0.8) for run_id in run_ids))

    assert [outcome.ended_run().id for outcome in found] == run_ids
    assert all(outcome.ended_run().outputs == {"total": 42, "invoice": None} for outcome in found)
    requests = requests_of(emulator)
    by_id, pages = requests.pop("getRun", 0), requests.pop("listRuns")
    assert requests == {}
    # A run's end is one request more where the list hides the outputs.
    assert by_id >= count * hides
    asked = pages + by_id - count * hides
    # Never more than one beyond asking for each run by its id, and far fewer where pages show many of them.
    assert asked <= sum(due + 1 for due in rounds)
    assert asked < sum(rounds) / 4
    assert triggers.opened == 1
    assert emulator.control.stats()["connections"]["opened"] <= opened + REQUESTS_AT_ONCE


async def test_runs_of_many_processes_all_come_to_their_end(emulator: RunningEmulator, triggers: Triggers) -> None:
    processes = [{"id": f"process-{number}", "name": f"Process {number}"} for number in range(25)]
    emulator.control.play(
        {
            "processes": processes,
            "rules": [{"steps": [{"status": "Running", "seconds": [0.2, 1.0]}], "outputs": {"total": 1}}],
        }
    )
    runs = [
        (added["id"], Group(process["id"], "demo-agent", "Published"))
        for process in processes
        for added in emulator.control.add_runs([{"process_id": process["id"]} for _ in range(4)])
    ]

    found = await asyncio.gather(*(triggers.outcome(run_id, group) for run_id, group in runs))

    assert [outcome.ended_run().id for outcome in found] == [run_id for run_id, _ in runs]
    assert all(outcome.ended_run().outputs == {"total": 1} for outcome in found)
    assert triggers.opened == 1


async def test_each_trigger_is_told_its_own_runs_news_once(emulator: RunningEmulator, triggers: Triggers) -> None:
    play(emulator, steps=[("Pending", 0.6), ("Odd", 0.8)])
    run_ids = add_foreign(emulator, 3, status=None, created_at=time.time())
    each = {run_id: Triggers(triggers.open_client) for run_id in run_ids}

    await asyncio.gather(*(of.outcome(run_id, every=0.1, status="Created") for run_id, of in each.items()))

    assert sum(of.opened for of in each.values()) == 1
    for run_id, of in each.items():
        lines = await of.lines(3)
        assert [line.split()[4] for line in lines] == ["Pending", "Odd", "Succeeded"]
        assert all(line.startswith(f"Kognitos run {run_id} is ") for line in lines)
        assert "not documented" in lines[1]


async def test_a_log_that_takes_no_lines_holds_nobody_up(emulator: RunningEmulator, triggers: Triggers) -> None:
    """As a triggerer's while it writes to its database."""
    taking = threading.Event()
    said: list[str] = []

    def tell(line: str) -> None:
        assert taking.wait(30)
        said.append(line)

    play(emulator, steps=[("Pending", 0.4), ("Running", 0.4)])
    (run_id,) = add_foreign(emulator, 1, status=None, created_at=time.time())
    watcher = RunWatcher.of("kognitos", triggers.open_client)
    ticket = watcher.join(Wait(run_id, time.time(), Cadence(0.2, 0.2), status="Created"), GROUP, tell)
    try:
        assert (await ticket.outcome).ended_run().id == run_id
        assert said == []
    finally:
        watcher.leave(ticket)
        taking.set()
    await asyncio.get_running_loop().shutdown_default_executor()

    assert sorted(line.split()[4] for line in said) == ["Pending", "Running", "Succeeded"]


async def test_two_triggers_wait_for_one_run(emulator: RunningEmulator, triggers: Triggers) -> None:
    (run_id,) = short_runs(emulator, 1, seconds=0.5)

    one, other, alone = await asyncio.gather(
        triggers.outcome(run_id), triggers.outcome(run_id), triggers.outcome(run_id, ALONE)
    )

    assert one.ended_run() == other.ended_run() == alone.ended_run()
    assert one.ended_run().outputs == {"total": 42, "invoice": None}


async def test_what_the_watcher_logs_itself_is_in_the_log_of_no_task(
    emulator: RunningEmulator, triggers: Triggers, caplog: pytest.LogCaptureFixture
) -> None:
    (run_id,) = short_runs(emulator, 1, seconds=0.3)
    emulator.control.fault("getRun", "status", code=502)
    # Airflow tells by the context which task a line of the log belongs to.
    log_of: ContextVar[str] = ContextVar("log_of")
    written: list[str | None] = []
    monitor = logging.Filter()
    monitor.filter = lambda record: written.append(log_of.get(None)) or True  # type: ignore[method-assign, func-returns-value]
    logging.getLogger("airflow_provider_kognitos.runs.watcher").addFilter(monitor)

    log_of.set(f"task of {run_id}")
    await triggers.outcome(run_id)
    logging.getLogger("airflow_provider_kognitos.runs.watcher").removeFilter(monitor)

    assert written == [None]
    assert "Could not ask about 1 waiting Kognitos run(s)" in caplog.text
    # The task is told of it by its own trigger.
    failed, ended = await triggers.lines(2)
    assert failed.startswith(f"Could not ask about Kognitos run {run_id}: GET /v2/runs/{run_id}")
    assert ended.startswith(f"Kognitos run {run_id} is Succeeded")


# Coming and going.


async def test_when_the_last_one_leaves_nothing_is_left(emulator: RunningEmulator, triggers: Triggers) -> None:
    before = others()
    (run_id,) = short_runs(emulator, 1, seconds=0.2)

    await triggers.outcome(run_id, every=0.1)
    await asyncio.sleep(0.05)

    assert others() == before
    assert not RunWatcher._shared.get(asyncio.get_running_loop())


async def test_a_watcher_that_has_ended_is_followed_by_another(emulator: RunningEmulator, triggers: Triggers) -> None:
    for number in range(3):
        (run_id,) = short_runs(emulator, 1, seconds=0.1)
        assert (await triggers.outcome(run_id, every=0.1)).kind == "ended"
        assert triggers.opened == number + 1


async def test_connections_are_watched_apart(emulator: RunningEmulator, triggers: Triggers) -> None:
    run_ids = short_runs(emulator, 2, seconds=0.3)

    await asyncio.gather(*(triggers.outcome(run_id, conn_id=f"conn-{run_id}") for run_id in run_ids))

    assert triggers.opened == 2


async def test_triggers_that_leave_disturb_no_other(emulator: RunningEmulator, triggers: Triggers) -> None:
    run_ids = short_runs(emulator, 60, seconds=1.5)
    tasks = {run_id: triggers.start(run_id, GROUP if number % 2 else ALONE) for number, run_id in enumerate(run_ids)}
    await asyncio.sleep(0.4)
    leaving = run_ids[::3]

    for run_id in leaving:
        tasks[run_id].cancel()
    gone = await asyncio.gather(*(tasks.pop(run_id) for run_id in leaving), return_exceptions=True)
    seen = max(request["seq"] for request in emulator.control.requests())
    found = await asyncio.gather(*tasks.values())

    assert all(isinstance(error, asyncio.CancelledError) for error in gone)
    assert [outcome.ended_run().id for outcome in found] == list(tasks)
    late = {request["path"].rsplit("/")[-1] for request in emulator.control.requests(seen + REQUESTS_AT_ONCE)}
    assert not late & set(leaving)


async def test_when_all_leave_in_the_middle_of_a_request_nothing_is_left(
    emulator: RunningEmulator, triggers: Triggers
) -> None:
    before = others()
    run_ids = add_foreign(emulator, 20)
    emulator.control.fault("listRuns", "delay", seconds=0.5, times=None)
    tasks = [triggers.start(run_id, every=0.05) for run_id in run_ids]
    await asyncio.sleep(0.2)
    assert watcher_threads()

    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await asyncio.sleep(0.05)

    assert others() == before


async def test_a_connection_that_is_being_read_when_the_last_one_leaves_is_read_to_its_end(
    emulator: RunningEmulator, triggers: Triggers
) -> None:
    # Airflow's connections are read over the event loop, and its triggerer dies when that is cut off.
    asked, answered, client = asyncio.Event(), asyncio.Event(), client_of(emulator, attempts=1)
    closed, ended = threading.Event(), []
    client.close = closed.set  # type: ignore[method-assign]

    async def connection() -> None:
        asked.set()
        try:
            await answered.wait()
        finally:
            ended.append(asyncio.current_task().cancelling())  # type: ignore[union-attr]

    def open_client() -> KognitosClient:
        async_to_sync(connection)()
        return client

    triggers.open_client = open_client
    task = triggers.start("run-1", every=0.05)
    await asked.wait()
    task.cancel()
    await asyncio.sleep(0.1)
    assert ended == []
    answered.set()
    assert await asyncio.to_thread(closed.wait, 10)
    assert ended == [0]


async def test_one_who_leaves_before_the_first_look_has_opened_nothing(triggers: Triggers) -> None:
    task = triggers.start("run-1")
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await asyncio.sleep(0)

    assert triggers.opened == 0


async def test_one_who_comes_late_does_not_wait_for_the_others_next_look(
    emulator: RunningEmulator, triggers: Triggers
) -> None:
    run_ids = add_foreign(emulator, 1)
    (short,) = short_runs(emulator, 1, seconds=0.1)
    patient = triggers.start(run_ids[0], every=3600.0)
    await asyncio.sleep(0.2)

    async with asyncio.timeout(30):
        assert (await triggers.outcome(short, every=0.1)).kind == "ended"

    assert not patient.done()
    patient.cancel()
    await asyncio.gather(patient, return_exceptions=True)


async def test_a_deadline_is_delivered(emulator: RunningEmulator, triggers: Triggers) -> None:
    run_ids = add_foreign(emulator, 3)
    deadline = time.time() + 0.5

    found = await asyncio.gather(
        *(triggers.outcome(run_id, every=3600.0, deadline=deadline, limit="the timeout") for run_id in run_ids)
    )

    assert [outcome.kind for outcome in found] == ["timeout"] * 3
    assert all("was still Running: the timeout is over" in outcome.message for outcome in found)


async def test_a_run_that_ended_while_no_triggerer_was_there_is_no_timeout(
    emulator: RunningEmulator, triggers: Triggers
) -> None:
    (run_id,) = short_runs(emulator, 1, seconds=0.0)

    assert (await triggers.outcome(run_id, deadline=time.time() - 3600)).kind == "ended"


# Trouble.


async def test_the_event_loop_is_never_held(emulator: RunningEmulator, triggers: Triggers) -> None:
    run_ids = short_runs(emulator, 300, seconds=0.5, habits={"list_hides_outputs": False})
    for endpoint in ("listRuns", "getRun"):
        emulator.control.fault(endpoint, "delay", seconds=2.0, times=1)
    plain = triggers.open_client

    def slow_open() -> Any:
        time.sleep(1.0)
        return plain()

    triggers.open_client = slow_open
    longest, done = 0.0, asyncio.Event()

    async def beat() -> None:
        nonlocal longest
        last = time.monotonic()
        while not done.is_set():
            await asyncio.sleep(0.01)
            now = time.monotonic()
            longest, last = max(longest, now - last), now

    heart = asyncio.create_task(beat())
    await asyncio.gather(*(triggers.outcome(run_id) for run_id in run_ids))
    done.set()
    await heart

    # A call of two seconds, and a connection that takes one, would show.
    assert longest < 0.9


@pytest.mark.parametrize("fault", [{"kind": "status", "code": 502}, {"kind": "drop"}, {"kind": "truncate"}], ids=str)
async def test_a_service_that_fails_now_and_then_loses_no_run(
    emulator: RunningEmulator, triggers: Triggers, fault: dict[str, Any]
) -> None:
    run_ids = short_runs(emulator, 50, seconds=(0.2, 1.0))
    emulator.control.fault("*", probability=0.3, times=40, **fault)

    found = await asyncio.gather(
        *(triggers.outcome(run_id, GROUP if number % 5 else ALONE) for number, run_id in enumerate(run_ids))
    )

    assert [outcome.ended_run().id for outcome in found] == run_ids
    assert all(outcome.ended_run().outputs for outcome in found)


@pytest.mark.parametrize("header", ["seconds", "date"])
async def test_a_rate_limit_delays_and_ends_no_wait(emulator: RunningEmulator, triggers: Triggers, header: str) -> None:
    limit = {"requests_per_minute": 600, "retry_after": header}
    run_ids = short_runs(emulator, 40, seconds=(0.1, 0.5), rate_limit=limit)

    found = await asyncio.gather(
        *(triggers.outcome(run_id, GROUP if number % 4 else ALONE) for number, run_id in enumerate(run_ids))
    )

    assert [outcome.ended_run().id for outcome in found] == run_ids


async def test_a_key_that_was_changed_is_read_anew(emulator: RunningEmulator, triggers: Triggers) -> None:
    run_ids = short_runs(emulator, 10, seconds=1.5, keys={"demo-key": {}, "old-key": {}})
    keys = ["old-key", "demo-key"]
    triggers.open_client = lambda: KognitosClient(emulator.url, keys.pop(0), attempts=1)
    tasks = [triggers.start(run_id, GROUP if number % 2 else ALONE) for number, run_id in enumerate(run_ids)]
    await asyncio.sleep(0.5)
    assert keys == ["demo-key"]
    scenario = emulator.control.scenario()

    # The old one is revoked.
    emulator.control.play({**scenario, "keys": {"demo-key": {}}})
    found = await asyncio.gather(*tasks)

    assert [outcome.ended_run().id for outcome in found] == run_ids
    assert (keys, triggers.opened) == ([], 2)


async def test_a_key_that_never_worked_is_an_error(emulator: RunningEmulator, triggers: Triggers) -> None:
    (run_id,) = short_runs(emulator, 1)
    triggers.open_client = lambda: KognitosClient(emulator.url, "wrong-key", attempts=1)

    outcome = await triggers.outcome(run_id, every=0.1, status=None)

    assert outcome.kind == "error"
    assert "401" in outcome.message
    assert "wrong-key" not in outcome.message


async def test_a_run_that_does_not_exist_is_an_error_and_disturbs_no_other(
    emulator: RunningEmulator, triggers: Triggers
) -> None:
    run_ids = short_runs(emulator, 2, seconds=0.5)

    lost, *found = await asyncio.gather(
        triggers.outcome("no-such-run", every=0.1, status=None, started_at=time.time() - 61),
        *(triggers.outcome(run_id) for run_id in run_ids),
    )

    assert lost.kind == "error"
    assert "404" in lost.message
    assert [outcome.kind for outcome in found] == ["ended", "ended"]


async def test_a_fault_in_the_watcher_itself_is_everybodys_error_and_nobodys_end_of_the_world(
    emulator: RunningEmulator, triggers: Triggers, monkeypatch: pytest.MonkeyPatch
) -> None:
    (run_id,) = short_runs(emulator, 1, seconds=0.1)
    late: list[asyncio.Task[Outcome]] = []
    end = RunWatcher._end

    def come_late(self: RunWatcher, ticket: Ticket, outcome: Outcome | None) -> None:
        # A trigger that comes at the very moment, before those who wait have heard of the failure.
        if outcome is not None and outcome.kind == "error" and not late:
            triggers.open_client = lambda: client_of(emulator, attempts=1)
            late.append(triggers.start(run_id, every=0.1))
        end(self, ticket, outcome)

    monkeypatch.setattr(RunWatcher, "_end", come_late)
    broken = Scripted(Clock(), run())
    broken.got = iter([RuntimeError("a bug")])
    triggers.open_client = lambda: broken

    found = await asyncio.gather(*(triggers.outcome(f"run-{number}", ALONE, every=0.1) for number in range(3)))

    assert [outcome.kind for outcome in found] == ["error"] * 3
    assert all("a bug" in outcome.message for outcome in found)
    assert broken.closed == 1
    async with asyncio.timeout(30):
        assert (await late[0]).kind == "ended"
