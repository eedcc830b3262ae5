"""KognitosRunEventTrigger against the emulator: over sockets, in real time, as the triggerer uses it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from importlib.util import find_spec
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_kognitos.emulator.server import RunningEmulator
from airflow_provider_kognitos.exceptions import KognitosConfigError
from airflow_provider_kognitos.runs.outcome import LARGEST_OUTPUTS
from airflow_provider_kognitos.triggers.event import KognitosRunEventTrigger
from tests.operators.driver import again

from .triggerer import AssetStore, Triggerer

PROCESS = "process-invoice"
SHARED = find_spec("airflow.triggers.shared_stream") is not None
needs_shared_streams = pytest.mark.skipif(not SHARED, reason="came with Airflow 3.3")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seconds become moments, and so do the minutes that pass after failures and between looks at old runs."""
    monkeypatch.setattr("airflow_provider_kognitos.triggers.event.APART", 0.0)
    monkeypatch.setattr("airflow_provider_kognitos.runs.feed.PACE", 0.05)
    monkeypatch.setattr("airflow_provider_kognitos.runs.feed.LONGEST_PAUSE", 0.5)


def watcher(**more: Any) -> KognitosRunEventTrigger:
    return KognitosRunEventTrigger(**{"process_id": PROCESS, "poll_interval": 0.1, **more})


def add(emulator: RunningEmulator, status: str = "Running", **more: Any) -> str:
    return str(emulator.control.add_run(PROCESS, status=status, **more)["id"])


def end(emulator: RunningEmulator, run_id: str, status: str = "Succeeded", **outputs: Any) -> None:
    values = [{"name": name, "value": value} for name, value in outputs.items()]
    emulator.control.change_run(run_id, status=status, outputs=values)


def asked(emulator: RunningEmulator, endpoint: str) -> int:
    return int(emulator.control.stats()["requests"].get(endpoint, 0))


async def until(condition: Callable[[], Any], seconds: float = 30.0) -> None:
    give_up = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < give_up, "it never came"
        await asyncio.sleep(0.02)


async def looks(emulator: RunningEmulator, count: int = 3) -> None:
    """Wait for so many further looks."""
    before = asked(emulator, "listRuns")
    await until(lambda: asked(emulator, "listRuns") >= before + count)


class Alone:
    """A watcher that polls by itself, as before Airflow 3.3."""

    def __init__(self, trigger: KognitosRunEventTrigger) -> None:
        self.events: list[dict[str, Any]] = []
        self.times: list[float] = []
        self.task = asyncio.create_task(self._run(trigger))

    async def _run(self, trigger: KognitosRunEventTrigger) -> None:
        async for event in trigger.run():
            self.events.append(event.payload)
            self.times.append(time.monotonic())

    def told(self) -> list[str]:
        return [event["run_id"] for event in self.events]

    async def kill(self) -> None:
        self.task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self.task


@pytest.fixture
async def started() -> AsyncIterator[list[Any]]:
    """What is to be stopped in the end."""
    started: list[Any] = []
    yield started
    for each in started:
        await each.kill()


@pytest.fixture
async def alone(started: list[Any]) -> Callable[..., Alone]:
    def start(**more: Any) -> Alone:
        started.append(Alone(watcher(**more)))
        return started[-1]  # type: ignore[no-any-return]

    return start


@pytest.fixture
def triggerer(started: list[Any]) -> Callable[..., Triggerer]:
    def start(*assets: AssetStore, **settings: Any) -> Triggerer:
        started.append(Triggerer(*assets, **settings))
        return started[-1]  # type: ignore[no-any-return]

    return start


# Arguments


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"process_id": ""}, "process_id"),
        ({"process_id": None}, "process_id"),
        ({"process_id": ["one"]}, "process_id"),
        ({"agent_id": " "}, "agent_id"),
        ({"agent_id": None}, "agent_id"),
        ({"stage": "published"}, "stage"),
        ({"statuses": "Succeeded"}, "statuses"),
        ({"statuses": []}, "statuses"),
        ({"statuses": ["Succeeded", 1]}, "statuses"),
        ({"poll_interval": 0}, "poll_interval"),
        ({"poll_interval": "30"}, "poll_interval"),
        ({"kognitos_conn_id": ""}, "kognitos_conn_id"),
        ({"kognitos_conn_id": None}, "kognitos_conn_id"),
    ],
)
def test_a_wrong_argument_is_told_when_the_dag_is_parsed(wrong: dict[str, Any], named: str) -> None:
    with pytest.raises(KognitosConfigError, match=named):
        watcher(**wrong)


@given(
    arguments=st.fixed_dictionaries(
        {
            "process_id": st.text("abc-/ ", min_size=1).filter(str.strip),
            "agent_id": st.just("") | st.text("abc", min_size=1),
            "stage": st.sampled_from(["Draft", "Published"]),
            "statuses": st.lists(st.text(min_size=1), min_size=1, max_size=3),
            "poll_interval": st.floats(0.1, 1e6) | st.integers(1, 100),
            "kognitos_conn_id": st.text(min_size=1).filter(str.strip),
        }
    )
)
def test_what_is_stored_makes_the_same_trigger_again(arguments: dict[str, Any]) -> None:
    trigger = KognitosRunEventTrigger(**arguments)
    assert again(trigger).serialize() == trigger.serialize()
    assert again(trigger).shared_stream_key() == trigger.shared_stream_key()
    assert again(trigger)._state_key() == trigger._state_key()


def test_a_dag_file_that_has_a_watcher_loads_no_client() -> None:
    code = (
        "import sys\n"
        "from airflow_provider_kognitos.triggers.event import KognitosRunEventTrigger\n"
        "KognitosRunEventTrigger(process_id='p')\n"
        "late = [name for name in sys.modules if name.startswith('airflow_provider_kognitos.')\n"
        "        and name.rpartition('.')[2] in {'client', 'transport', 'kognitos', 'feed', 'watcher'}]\n"
        "assert not late, late\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


# Which runs


async def test_each_run_that_succeeds_is_told_of_once(emulator: RunningEmulator, alone: Callable[..., Alone]) -> None:
    add(emulator, "Succeeded")
    live = add(emulator)
    other = emulator.control.add_run("triage-claim", status="Running")["id"]
    watched = alone()
    await looks(emulator)
    assert watched.events == []

    quick = add(emulator, "Succeeded")
    await until(lambda: watched.told() == [quick])
    end(emulator, live, total=42)
    end(emulator, other)
    end(emulator, add(emulator), "Failed")
    await until(lambda: live in watched.told())
    await looks(emulator, 5)
    assert watched.told() == [quick, live]
    event = watched.events[-1]
    assert event["status"] == "Succeeded"
    assert event["outputs"] == {"total": 42}
    assert event["process_id"] == PROCESS
    assert event["url"] == f"https://kognitos.test/department/demo-agent/processes/{PROCESS}/run/{live}"


@pytest.mark.parametrize("order", ["newest_first", "oldest_first", "shuffled"])
async def test_in_any_order_of_the_list_and_over_many_pages(
    emulator: RunningEmulator, alone: Callable[..., Alone], order: str
) -> None:
    emulator.control.play({"habits": {"list_order": order}})
    now = time.time()
    emulator.control.add_runs(
        [
            {"process_id": PROCESS, "status": "Succeeded", "created_at": now - 9000 + 30 * number}
            for number in range(250)
        ]
    )
    old = add(emulator, created_at=now - 86400 * 9)
    watched = alone()
    await looks(emulator, 8)
    assert watched.events == []
    end(emulator, old)
    new = add(emulator, "Succeeded")
    await until(lambda: {old, new} <= set(watched.told()))
    assert sorted(watched.told()) == sorted([old, new])


async def test_a_list_that_falls_in_time_is_not_read_to_its_end_again(
    emulator: RunningEmulator, alone: Callable[..., Alone]
) -> None:
    now = time.time()
    emulator.control.add_runs(
        [{"process_id": PROCESS, "status": "Succeeded", "created_at": now - 60 * number} for number in range(450)]
    )
    watched = alone()
    await until(lambda: asked(emulator, "listRuns") == 6)
    seq = max(request["seq"] for request in emulator.control.requests())
    new = add(emulator, "Succeeded")
    await until(lambda: watched.told() == [new])
    lists = [each for each in emulator.control.requests(seq) if each["endpoint"] == "listRuns"]
    assert lists
    assert not [each for each in lists if "continuation_token" in json.dumps(each)]


async def test_any_status_may_count(emulator: RunningEmulator, alone: Callable[..., Alone]) -> None:
    run_id = add(emulator)
    watched = alone(statuses=["AwaitingGuidance", "Failed"])
    await looks(emulator)
    end(emulator, run_id, "AwaitingGuidance")
    await until(lambda: watched.told() == [run_id])
    end(emulator, run_id, "Failed")
    failed = add(emulator, "Failed")
    add(emulator, "Succeeded")
    await until(lambda: failed in watched.told())
    assert watched.told() == [run_id, failed]


async def test_a_run_that_is_gone_is_not_asked_for_again(
    emulator: RunningEmulator, alone: Callable[..., Alone], caplog: pytest.LogCaptureFixture
) -> None:
    add(emulator)
    alone()
    await looks(emulator)
    emulator.control.reset()
    with caplog.at_level(logging.WARNING):
        await until(lambda: "is not there any more" in caplog.text)
        before = asked(emulator, "getRun")
        await looks(emulator)
    assert asked(emulator, "getRun") == before == 1


async def test_large_outputs_are_left_out(
    emulator: RunningEmulator, alone: Callable[..., Alone], caplog: pytest.LogCaptureFixture
) -> None:
    watched = alone()
    await looks(emulator)
    large, fits = add(emulator), add(emulator)
    await looks(emulator)
    end(emulator, large, text="x" * LARGEST_OUTPUTS)
    end(emulator, fits, text="x" * (LARGEST_OUTPUTS - 50))
    await until(lambda: len(watched.events) == 2)
    by_id = {event["run_id"]: event for event in watched.events}
    assert "outputs" not in by_id[large]
    assert len(by_id[fits]["outputs"]["text"]) == LARGEST_OUTPUTS - 50
    assert "get_run" in caplog.text


async def test_the_last_of_many_events_comes_by_itself(
    emulator: RunningEmulator, alone: Callable[..., Alone], monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that a DAG run is made for it, which takes along those before that came too close together for one."""
    monkeypatch.setattr("airflow_provider_kognitos.triggers.event.APART", 1.5)
    watched = alone()
    await looks(emulator)
    runs = emulator.control.add_runs([{"process_id": PROCESS, "status": "Succeeded"} for _ in range(4)])
    await until(lambda: len(watched.events) >= 4)
    assert sorted(watched.told()) == sorted(run["id"] for run in runs)
    assert watched.times[-1] - watched.times[-2] >= 1.4
    one_more = add(emulator, "Succeeded")
    await until(lambda: one_more in watched.told())
    assert watched.times[-1] - watched.times[-2] >= 1.4


# Faults


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "status", "code": 500},
        {"kind": "status", "code": 429, "headers": {"Retry-After": "1"}},
        {"kind": "status", "code": 403},
        {"kind": "drop"},
        {"kind": "wrong_json", "body": "html"},
    ],
    ids=lambda fault: str(fault.get("code", fault["kind"])),
)
@pytest.mark.parametrize("endpoint", ["listRuns", "getRun"])
async def test_a_fault_delays_and_ends_nothing(
    emulator: RunningEmulator,
    alone: Callable[..., Alone],
    caplog: pytest.LogCaptureFixture,
    fault: dict[str, Any],
    endpoint: str,
) -> None:
    watched = alone()
    await looks(emulator)
    emulator.control.script(endpoint, [fault])
    run_id = add(emulator, "Succeeded")
    await until(lambda: watched.told() == [run_id])
    assert "demo-key" not in caplog.text
    assert not watched.task.done()


async def test_a_key_that_was_changed_is_read_anew(
    emulator: RunningEmulator,
    alone: Callable[..., Alone],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    right = {"conn_type": "kognitos", "host": emulator.url, "password": "demo-key", "extra": {"agent_id": "demo-agent"}}
    monkeypatch.setenv("AIRFLOW_CONN_KOGNITOS_DEFAULT", json.dumps({**right, "password": "wrong-key"}))
    watched = alone()
    await until(lambda: "Could not see the runs" in caplog.text)
    monkeypatch.setenv("AIRFLOW_CONN_KOGNITOS_DEFAULT", json.dumps(right))
    await looks(emulator, 2)
    run_id = add(emulator, "Succeeded")
    await until(lambda: watched.told() == [run_id])
    assert "wrong-key" not in caplog.text


async def test_a_connection_that_cannot_be_read_ends_nothing(
    emulator: RunningEmulator, alone: Callable[..., Alone], caplog: pytest.LogCaptureFixture
) -> None:
    watched = alone(kognitos_conn_id="not_there")
    await until(lambda: caplog.text.count("Could not see the runs") >= 2)
    assert not watched.task.done()
    assert asked(emulator, "listRuns") == 0


# Over a restart, and together: Airflow 3.3


@needs_shared_streams
async def test_nothing_is_missed_or_told_twice_over_restarts(
    emulator: RunningEmulator, triggerer: Callable[..., Triggerer]
) -> None:
    asset = AssetStore()
    add(emulator, "Succeeded")
    slow, held = add(emulator), add(emulator)
    first = triggerer(asset)
    first.watch(watcher())
    await until(lambda: asset.writes)
    seen = add(emulator, "Succeeded")
    await until(lambda: first.told() == [seen])
    await looks(emulator)
    await first.kill()

    end(emulator, slow)
    meanwhile = add(emulator, "Succeeded")
    end(emulator, add(emulator), "Failed")
    second = triggerer(asset)
    second.watch(watcher())
    await until(lambda: sorted(second.told()) == sorted([slow, meanwhile]))
    await looks(emulator)
    await second.kill()

    third = triggerer(asset)
    third.watch(watcher())
    end(emulator, held)
    await until(lambda: third.told() == [held])
    await looks(emulator)
    assert third.told() == [held]
    assert sorted(second.told()) == sorted([slow, meanwhile])


@needs_shared_streams
async def test_what_has_not_reached_the_database_is_told_again(
    emulator: RunningEmulator, triggerer: Callable[..., Triggerer]
) -> None:
    asset = AssetStore()
    first = triggerer(asset, loses=True)
    first.watch(watcher())
    await until(lambda: asset.writes)
    run_id = add(emulator, "Succeeded")
    await looks(emulator, 5)
    await first.kill()
    second = triggerer(asset)
    second.watch(watcher())
    await until(lambda: second.told() == [run_id])


@needs_shared_streams
async def test_a_watcher_that_airflow_gives_up_tells_of_its_runs_when_it_is_back(
    emulator: RunningEmulator, triggerer: Callable[..., Triggerer]
) -> None:
    """A sibling goes on meanwhile, and what it stores says nothing for the other."""
    asset = AssetStore()
    one = triggerer(asset, ack_timeout=1.0)
    one.watch(watcher(), 1)
    one.watch(watcher(statuses=["Failed"]), 2)
    await until(lambda: asset.writes == 2)
    one.loses = True
    run_id = add(emulator, "Succeeded")
    await until(one.watchers[1].done)
    one.loses = False
    one.watch(watcher(), 1)
    await until(lambda: one.told(1) == [run_id])
    failed = add(emulator, "Failed")
    await until(lambda: one.told(2) == [failed])
    assert one.told(1) == [run_id]


@needs_shared_streams
async def test_watchers_of_a_process_share_one_poll(
    emulator: RunningEmulator, triggerer: Callable[..., Triggerer]
) -> None:
    asset = AssetStore()
    one = triggerer(asset)
    one.watch(watcher(poll_interval=0.5), 1)
    one.watch(watcher(statuses=["Failed"], poll_interval=60), 2)
    await looks(emulator, 4)
    assert len(one.streams._groups) == 1
    good, bad = add(emulator), add(emulator)
    await looks(emulator, 2)
    end(emulator, good)
    end(emulator, bad, "Failed")
    await until(lambda: (one.told(1), one.told(2)) == ([good], [bad]))

    # One that comes later takes what is there for known, and none of the others is told anything again.
    one.watch(watcher(statuses=["Succeeded", "Failed"], poll_interval=0.5), 3)
    await looks(emulator, 4)
    late = add(emulator, "Succeeded")
    await until(lambda: one.told(3) == [late])
    assert one.told(1) == [good, late]
    assert one.told(2) == [bad]
    # Who is left goes on.
    await one.stop(1)
    last = add(emulator, "Failed")
    await until(lambda: one.told(2) == [bad, last])


@needs_shared_streams
async def test_siblings_ask_for_outputs_once(emulator: RunningEmulator, triggerer: Callable[..., Triggerer]) -> None:
    one = triggerer(AssetStore())
    for number in range(3):
        one.watch(watcher(statuses=["Succeeded", f"Word {number}"]), number)
    await until(lambda: one.assets[0].writes == 3)
    run_id = add(emulator, "Succeeded")
    await until(lambda: all(one.told(number) == [run_id] for number in range(3)))
    assert asked(emulator, "getRun") == 1


@needs_shared_streams
async def test_the_state_is_stored_only_when_it_changes(
    emulator: RunningEmulator, triggerer: Callable[..., Triggerer]
) -> None:
    asset = AssetStore()
    one = triggerer(asset)
    one.watch(watcher())
    await looks(emulator, 6)
    assert asset.writes == 1


@needs_shared_streams
async def test_every_asset_that_is_served_has_the_state(
    emulator: RunningEmulator, triggerer: Callable[..., Triggerer]
) -> None:
    old, both = AssetStore(), AssetStore()
    alone = triggerer(old)
    alone.watch(watcher())
    await until(lambda: old.writes)
    await alone.kill()
    missed = add(emulator, "Succeeded")
    two = triggerer(both, old)
    two.watch(watcher())
    await until(lambda: two.told() == [missed])
    await until(lambda: missed in str(both.values) and missed in str(old.values))
    await two.kill()

    stale = AssetStore()
    stale.values = {key: json.dumps({**json.loads(value), "stored_at": "2020-01-01T00:00:00+00:00", "settled": {}})
                    for key, value in both.values.items()}  # fmt: skip
    three = triggerer(stale, both)
    three.watch(watcher())
    await looks(emulator, 4)
    assert three.told() == []


@needs_shared_streams
async def test_a_state_store_that_does_not_answer_is_asked_again(
    emulator: RunningEmulator, triggerer: Callable[..., Triggerer]
) -> None:
    asset = AssetStore()
    one = triggerer(asset)
    one.watch(watcher())
    await until(lambda: asset.writes)
    await one.kill()
    missed = add(emulator, "Succeeded")

    asset.broken = True
    before = asked(emulator, "listRuns")
    two = triggerer(asset)
    two.watch(watcher())
    await asyncio.sleep(0.5)
    assert asked(emulator, "listRuns") == before
    asset.broken = False
    await until(lambda: two.told() == [missed])

    asset.broken = True
    more = add(emulator, "Succeeded")
    await until(lambda: two.told() == [missed, more])
    await looks(emulator, 4)
    assert not two.watchers[1].done()
    assert more not in str(asset.values)
    asset.broken = False
    await until(lambda: more in str(asset.values))


@needs_shared_streams
async def test_a_state_that_cannot_be_read_is_told_and_begun_anew(
    emulator: RunningEmulator,
    triggerer: Callable[..., Triggerer],
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    asset = AssetStore()
    asset.values[watcher()._state_key()] = json.dumps("nonsense")
    add(emulator, "Succeeded")
    one = triggerer(asset)
    one.watch(watcher())
    await until(lambda: asset.writes)
    assert "cannot be read" in caplog.text + capsys.readouterr().out
    run_id = add(emulator, "Succeeded")
    await until(lambda: one.told() == [run_id])


@needs_shared_streams
async def test_more_than_a_turn_allows_comes_with_the_next_looks(
    emulator: RunningEmulator, triggerer: Callable[..., Triggerer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("airflow_provider_kognitos.triggers.event.MOST_EVENTS", 40)
    monkeypatch.setattr("airflow_provider_kognitos.runs.feed.PACE", 0.01)
    asset = AssetStore()
    one = triggerer(asset)
    one.watch(watcher())
    await until(lambda: asset.writes)
    runs = emulator.control.add_runs([{"process_id": PROCESS, "status": "Succeeded"} for _ in range(130)])
    await until(lambda: len(one.told()) >= 130)
    await looks(emulator)
    assert sorted(one.told()) == sorted(run["id"] for run in runs)
