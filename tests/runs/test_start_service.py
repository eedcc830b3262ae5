"""Starts against the emulator: whatever the service answers, one run is started and that one is followed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_kognitos.api import retry
from airflow_provider_kognitos.api.client import KognitosClient
from airflow_provider_kognitos.emulator.server import RunningEmulator
from airflow_provider_kognitos.exceptions import (
    KognitosCapacityError,
    KognitosError,
    KognitosNotFoundError,
    KognitosStartUncertainError,
    KognitosUploadError,
)

from .service import PROCESS, REQUEST, SteppedClock, add_foreign, client_of, own_runs, play, sent, task_of
from .store import JsonStore, needs_task_state_store, stored

pytestmark = needs_task_state_store

ORDERS = ["newest_first", "oldest_first", "shuffled"]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SteppedClock:
    clock = SteppedClock(speed=120)
    monkeypatch.setattr(retry, "sleep", clock.sleep)
    return clock


@pytest.fixture
def client(emulator: RunningEmulator) -> Iterator[KognitosClient]:
    with client_of(emulator) as client:
        yield client


# Answers that leave the outcome open.

FAULTS: dict[str, dict[str, Any]] = {
    "time-out": {"kind": "hang", "seconds": 1.0},
    "drop": {"kind": "drop"},
    "reset": {"kind": "reset"},
    "500": {"kind": "status", "code": 500, "body": "empty"},
    "502": {"kind": "status", "code": 502, "body": "html"},
    "503": {"kind": "status", "code": 503, "body": "gateway"},
    "504": {"kind": "status", "code": 504, "body": "error_model"},
    "408": {"kind": "status", "code": 408, "body": "truncated_json"},
    "redirect": {"kind": "status", "code": 307, "body": "empty", "headers": {"location": "/v2/elsewhere"}},
    "half an answer": {"kind": "truncate"},
    "other JSON": {"kind": "wrong_json", "body": "other_json"},
    "a web page": {"kind": "wrong_json", "body": "html"},
}
#: Half an answer is one to a request that took effect.
CASES = [(name, created) for name in FAULTS for created in (True, False) if created or name != "half an answer"]


@pytest.mark.parametrize(("fault", "created"), CASES, ids=[f"{name}-{'created' if c else 'not'}" for name, c in CASES])
def test_an_answer_that_is_none_leads_to_one_run(
    emulator: RunningEmulator, client: KognitosClient, clock: SteppedClock, fault: str, created: bool
) -> None:
    # The list lags by some seconds, has others' runs on several pages, and an order of its own.
    number = CASES.index((fault, created))
    play(emulator, habits={"list_lag": 5 / clock.speed, "list_order": ORDERS[number % 3]})
    add_foreign(emulator, 120)
    emulator.control.fault("startRun", effect="after" if created else "before", **FAULTS[fault])
    store = JsonStore() if number % 2 else None
    impatient = client_of(emulator, timeout=0.5)
    task = task_of(impatient if fault == "time-out" else client, clock, store)

    followed = task.attempt()

    (own,) = own_runs(emulator)
    assert followed.id == own["id"]
    assert sent(emulator, "startRun", 1) == (1 if created else 2)
    if store is not None:
        assert (stored(store).run_id, stored(store).intent_at) == (own["id"], None)
    # And the next attempt has the same.
    assert task.attempt().id == own["id"]
    assert emulator.control.stats()["runs_started"] == 1


@pytest.mark.parametrize("order", ORDERS)
def test_own_runs_of_before_and_other_tasks_runs_are_not_taken_for_the_one_just_started(
    emulator: RunningEmulator, client: KognitosClient, clock: SteppedClock, order: str
) -> None:
    play(emulator, habits={"list_order": order})
    add_foreign(emulator, 150)
    task, other = task_of(client, clock, JsonStore()), task_of(client, clock, JsonStore())
    other.task_id = "another"
    theirs = other.attempt()
    first = task.attempt()
    emulator.control.change_run(first.id, status="Failed")
    emulator.control.fault("startRun", "drop", effect="after")

    second = task.attempt()

    assert second.id not in {first.id, theirs.id}
    assert emulator.control.stats()["runs_started"] == 3
    assert other.attempt().id == theirs.id


def test_a_start_that_never_leaves_a_trace_is_sent_twice_and_no_more(
    emulator: RunningEmulator, client: KognitosClient, clock: SteppedClock
) -> None:
    emulator.control.fault("startRun", "drop", times=None)
    store = JsonStore()

    with pytest.raises(KognitosStartUncertainError, match="Whether the run was started is not known"):
        task_of(client, clock, store).attempt()

    assert sent(emulator, "startRun", 2) == 2
    assert emulator.control.stats()["runs_started"] == 0
    assert stored(store).intent_at is not None


# A search that cannot answer.


@pytest.mark.parametrize(
    "fault",
    [{"kind": "status", "code": 500}, {"kind": "drop"}, {"kind": "status", "code": 401}, {"kind": "wrong_json"}],
    ids=["500", "drop", "401", "web page"],
)
@pytest.mark.parametrize("has_store", [True, False], ids=["store", "no-store"])
def test_while_the_list_cannot_be_read_nothing_is_started_and_then_the_run_is_adopted(
    emulator: RunningEmulator, client: KognitosClient, clock: SteppedClock, fault: dict[str, Any], has_store: bool
) -> None:
    play(emulator)
    store = JsonStore() if has_store else None
    task = task_of(client, clock, store)
    emulator.control.fault("startRun", "drop", effect="after")
    emulator.control.fault("listRuns", times=None, **fault)

    with pytest.raises(KognitosStartUncertainError, match="could not be read"):
        task.attempt()
    assert store is None or stored(store).intent_at is not None
    with pytest.raises(KognitosError):
        task.attempt()
    emulator.control.clear_faults()

    (own,) = own_runs(emulator)
    assert task.attempt().id == own["id"]
    assert emulator.control.stats()["runs_started"] == 1


# Attempts.


def test_the_first_attempt_costs_one_request(
    emulator: RunningEmulator, client: KognitosClient, clock: SteppedClock
) -> None:
    add_foreign(emulator, 10)

    task_of(client, clock, JsonStore()).attempt()

    assert emulator.control.stats()["requests"] == {"startRun": 1}


@pytest.mark.parametrize("has_store", [True, False], ids=["store", "no-store"])
@pytest.mark.parametrize("order", ORDERS)
def test_a_retry_adopts_what_lives_or_has_succeeded_with_the_outputs_the_list_hides(
    emulator: RunningEmulator, client: KognitosClient, clock: SteppedClock, has_store: bool, order: str
) -> None:
    play(emulator, habits={"list_order": order})
    add_foreign(emulator, 150)
    task = task_of(client, clock, JsonStore() if has_store else None)
    started = task.attempt()

    assert task.attempt().status == "Running"
    emulator.control.change_run(started.id, status="Succeeded")
    adopted = task.attempt()

    assert (adopted.id, adopted.status) == (started.id, "Succeeded")
    assert adopted.outputs == {"total": 42, "invoice": "A-1"}
    assert emulator.control.stats()["runs_started"] == 1


@pytest.mark.parametrize("has_store", [True, False], ids=["store", "no-store"])
def test_a_clear_after_success_starts_a_run_and_a_clear_before_it_none(
    emulator: RunningEmulator, client: KognitosClient, clock: SteppedClock, has_store: bool
) -> None:
    play(emulator)
    task = task_of(client, clock, JsonStore() if has_store else None)
    first = task.attempt()
    task.clear()
    assert task.attempt().id == first.id
    emulator.control.change_run(first.id, status="Succeeded")
    task.clear()

    second = task.attempt()

    assert second.id != first.id
    assert emulator.control.stats()["runs_started"] == 2
    task.clear(inputs={"invoice_number": "A-2"})
    assert task.attempt().id not in {first.id, second.id}


def test_a_run_on_record_that_is_not_known_yet_is_waited_for_and_one_that_is_gone_is_not(
    emulator: RunningEmulator, client: KognitosClient, clock: SteppedClock
) -> None:
    play(emulator, habits={"get_lag": 20 / clock.speed})
    store = JsonStore()
    task = task_of(client, clock, store)
    started = task.attempt()

    assert task.attempt().id == started.id
    assert "listRuns" not in emulator.control.stats()["requests"]

    # Somebody deletes it.
    emulator.control.reset()
    clock.sleep(61)
    again = task.attempt()
    assert again.id != started.id
    assert emulator.control.stats()["requests"]["listRuns"] == 1
    assert emulator.control.stats()["runs_started"] == 1


def test_without_reattachment_an_open_outcome_is_an_error_and_a_retry_a_run(
    emulator: RunningEmulator, client: KognitosClient, clock: SteppedClock
) -> None:
    task = task_of(client, clock, JsonStore(), options={"reattach": False})
    emulator.control.fault("startRun", "drop", effect="after")

    with pytest.raises(KognitosStartUncertainError):
        task.attempt()
    task.attempt()

    assert sent(emulator, "startRun", 2) == 2
    assert "listRuns" not in emulator.control.stats()["requests"]
    assert emulator.control.stats()["runs_started"] == 2


# Capacity and files.


@pytest.fixture
def invoices(tmp_path: Path) -> list[str]:
    paths = [tmp_path / f"invoice-{number}.txt" for number in range(6)]
    for path in paths:
        path.write_text(f"the bytes of {path.name}")
    return [str(path) for path in paths]


@pytest.mark.parametrize("deferred", [False, True], ids=["on the worker", "deferred"])
@pytest.mark.parametrize("message", ["Resource Not Available", "Forbidden"])
def test_a_start_over_capacity_waits_and_uploads_once(
    emulator: RunningEmulator,
    client: KognitosClient,
    clock: SteppedClock,
    invoices: list[str],
    deferred: bool,
    message: str,
) -> None:
    full = {"limit": 0, "status_code": 403, "message": message}
    play(emulator, capacity=full)
    task = task_of(client, clock, JsonStore(), request=REQUEST._replace(files=tuple(invoices)))
    pauses: list[float] = []

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        clock.sleep(seconds)
        if len(pauses) == 3:
            play(emulator)

    task.sleep = sleep
    task.attempt(deferred=deferred)

    (own,) = own_runs(emulator)
    files = {file["id"]: file for file in emulator.control.uploads()}
    assert [files[file_id]["file_name"] for file_id in own["file_ids"]] == [Path(path).name for path in invoices]
    assert all(file["bytes"] for file in files.values())
    assert emulator.control.stats()["requests"]["startRun"] == 4
    assert emulator.control.stats()["uploads"] == len(invoices)
    assert [8, 12, 18] <= pauses <= [12, 18, 27]


def test_patience_ends(emulator: RunningEmulator, client: KognitosClient, clock: SteppedClock) -> None:
    play(emulator, capacity={"limit": 0})

    with pytest.raises(KognitosCapacityError, match="No Kognitos run could be started for"):
        task_of(client, clock, JsonStore()).attempt(patience=40)

    assert emulator.control.stats()["runs_started"] == 0


def test_a_file_that_cannot_be_read_leaves_the_others_to_the_retry(
    emulator: RunningEmulator, client: KognitosClient, clock: SteppedClock, invoices: list[str], tmp_path: Path
) -> None:
    play(emulator)
    missing = tmp_path / "missing.txt"
    store = JsonStore()
    task = task_of(client, clock, store, request=REQUEST._replace(files=(*invoices[:3], str(missing), *invoices[3:])))

    with pytest.raises(KognitosUploadError, match=r"missing\.txt"):
        task.attempt()
    done = emulator.control.stats()["uploads"]
    assert len(stored(store).file_ids) == done
    assert emulator.control.stats()["runs_started"] == 0
    missing.write_text("here it is")
    task.attempt()

    (own,) = own_runs(emulator)
    assert len(own["file_ids"]) == 7
    assert emulator.control.stats()["uploads"] == 7


def test_files_that_may_have_gone_into_a_run_are_not_given_to_another(
    emulator: RunningEmulator, client: KognitosClient, clock: SteppedClock, invoices: list[str]
) -> None:
    play(emulator)
    task = task_of(client, clock, JsonStore(), request=REQUEST._replace(files=(invoices[0],)))
    emulator.control.fault("startRun", "drop", effect="after")
    emulator.control.fault("listRuns", "drop", times=None)
    with pytest.raises(KognitosStartUncertainError):
        task.attempt()
    emulator.control.clear_faults()
    emulator.control.change_run(own_runs(emulator)[0]["id"], status="Failed")

    task.attempt()

    first, second = own_runs(emulator)
    assert not set(first["file_ids"]) & set(second["file_ids"])


def test_a_file_that_is_gone_is_uploaded_anew(
    emulator: RunningEmulator, client: KognitosClient, clock: SteppedClock, invoices: list[str]
) -> None:
    play(emulator, capacity={"limit": 0})
    task = task_of(client, clock, JsonStore(), request=REQUEST._replace(files=(invoices[0],)))
    with pytest.raises(KognitosCapacityError):
        task.attempt(patience=0)
    # The service keeps no file for ever.
    emulator.control.reset()
    play(emulator)

    with pytest.raises(KognitosNotFoundError):
        task.attempt()
    task.attempt()

    (own,) = own_runs(emulator)
    assert len(own["file_ids"]) == 1


def test_the_process_asked_for_is_the_one_searched(
    emulator: RunningEmulator, client: KognitosClient, clock: SteppedClock
) -> None:
    play(emulator)
    task = task_of(client, clock, None)
    started = task.attempt()
    task.attempt()

    queries = [item["query"] for item in emulator.control.requests() if item["endpoint"] == "listRuns"]
    assert queries
    assert all(f"process_id={PROCESS}&agent_id=demo-agent&stage=Published&limit=100" in query for query in queries)
    assert started.id == task.attempt().id
