"""Start or adopt, attempt after attempt, with a clock that is driven."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from airflow_provider_kognitos.api.models import Run
from airflow_provider_kognitos.exceptions import (
    KognitosCapacityError,
    KognitosRateLimitError,
    KognitosServerError,
)
from airflow_provider_kognitos.runs.identity import Marker

from .answers import Killed, killed
from .attempts import REQUEST, Task
from .scripted import Scripted
from .store import needs_task_state_store, stored

pytestmark = needs_task_state_store

FULL = KognitosCapacityError("Resource Not Available", status_code=403)
THROTTLED = KognitosRateLimitError("too many requests", status_code=429)
BAD_GATEWAY = KognitosServerError("bad gateway", status_code=502)


# Whose run it is.


def test_runs_of_other_task_instances_are_never_adopted(task: Task, client: Scripted) -> None:
    other = Task(client, client.clock, client.clock.sleep, dag_run_started=task.dag_run_started)
    theirs = client.create(Marker("f" * 10, 2, "abcd").name("dag.task manual"), "Running")
    client.create("a person's", "Running")
    client.started = iter([killed(client.clock, created=False)])
    with pytest.raises(Killed):
        task.attempt()
    client.clock.sleep(timedelta(hours=1).total_seconds())

    assert task.attempt().id not in {theirs.id, "new-2"}
    # The same task instance seen by an Airflow without a store finds it by its name alone.
    other.begin()
    assert other.attempt().id == client.created[-1]


# The plain case.


def test_the_first_attempt_starts_a_run_and_searches_for_none(task: Task, client: Scripted) -> None:
    started = task.attempt()

    assert client.calls == ["start"]
    assert client.created == [started.id]
    assert client.sent == [
        {"name": f"dag.task manual {task.marker()}", "inputs": {"invoice": 1}, "file_ids": [], "stage": "Published"}
    ]
    assert Marker.read(started.name) == task.marker()


def test_the_intent_is_on_record_before_the_request_and_the_run_after_it(kept: Task, client: Scripted) -> None:
    at_request: list[Any] = []

    def answer(create: Callable[[], Run]) -> Run:
        at_request.append(stored(kept.kept))
        return create()

    client.started = iter([answer])
    started = kept.attempt()

    assert (at_request[0].intent_at, at_request[0].run_id) == (client.clock(), None)
    record = stored(kept.kept)
    assert (record.intent_at, record.run_id, record.started_at) == (None, started.id, client.clock())
    assert record.generation == kept.max_tries


def test_a_run_that_has_ended_by_its_answer_is_returned_with_its_outputs(kept: Task, client: Scripted) -> None:
    outputs = [{"name": "total", "value": 42}]
    client.started = iter([lambda create: client.create("x", "Succeeded", outputs=outputs)])

    assert kept.attempt().outputs == {"total": 42}


def test_a_store_that_fails_before_the_request_sends_nothing(kept: Task, client: Scripted) -> None:
    kept.kept.broken_after = 0

    with pytest.raises(RuntimeError, match="API server"):
        kept.attempt()

    assert client.calls == []


def test_a_store_that_fails_after_the_answer_loses_no_run(
    kept: Task, client: Scripted, caplog: pytest.LogCaptureFixture
) -> None:
    kept.kept.broken_after = 1

    started = kept.attempt()

    assert f"{started.id} could not be put on record" in caplog.text
    kept.kept.broken_after = None
    assert kept.attempt().id == started.id
    assert client.created == [started.id]


# A later attempt.


def test_a_retry_adopts_the_run_that_goes_on(task: Task, client: Scripted, caplog: pytest.LogCaptureFixture) -> None:
    task.options["link"] = lambda found: f"https://kognitos/{found.id}"
    started = task.attempt()
    client.clock.sleep(100)
    client.end(started.id, "Running")

    with caplog.at_level(logging.INFO):
        adopted = task.attempt()

    assert (adopted.id, adopted.status) == (started.id, "Running")
    assert client.created == [started.id]
    (line,) = [record for record in caplog.records if record.getMessage().startswith("Adopted")]
    assert line.levelno == logging.INFO
    assert line.getMessage() == (
        f"Adopted Kognitos run {started.id} (Running, 100 s old) and started none: an earlier attempt of this task "
        f"started it and it goes on. https://kognitos/{started.id}"
    )


def test_a_retry_asks_for_the_run_on_record_and_searches_for_none(kept: Task, client: Scripted) -> None:
    started = kept.attempt()
    client.calls.clear()

    kept.attempt()

    assert client.calls == [f"get {started.id}"]


def test_a_retry_returns_the_outputs_of_a_run_that_succeeded_meanwhile(task: Task, client: Scripted) -> None:
    started = task.attempt()
    client.clock.sleep(60)
    client.end(started.id, "Succeeded", outputs=[{"name": "total", "value": 42}])

    assert task.attempt().outputs == {"total": 42}
    assert client.created == [started.id]


@pytest.mark.parametrize("status", ["Failed", "Cancelled", "TimedOut"])
def test_a_retry_after_a_run_that_ended_badly_starts_another(task: Task, client: Scripted, status: str) -> None:
    first = task.attempt()
    client.clock.sleep(60)
    client.end(first.id, status)

    second = task.attempt()

    assert second.id != first.id
    assert client.created == [first.id, second.id]


def test_a_retry_does_not_wait_for_a_run_that_each_attempt_before_has_left(task: Task, client: Scripted) -> None:
    for _ in range(3):
        client.end(task.attempt().id, "Failed")
    task.clear()
    client.end(task.attempt().id, "Failed")
    task.attempt()

    assert client.clock.slept == []


def test_runs_of_before_a_clear_do_not_stand_for_an_attempt_after_it(task: Task, client: Scripted) -> None:
    first = task.attempt()
    client.create(first.name)
    for run_id in client.created.copy():
        client.end(run_id, "Failed")
    client.clock.sleep(60)
    task.clear()
    client.lag = 4.0
    client.started = iter([killed(client.clock, created=True)])
    with pytest.raises(Killed):
        task.attempt()
    client.clock.sleep(1.3)

    assert task.attempt().id == client.created[-1]
    assert len(client.created) == 3


def test_each_retry_after_a_bad_end_starts_one_run_and_no_more(task: Task, client: Scripted) -> None:
    for _ in range(3):
        client.end(task.attempt().id, "Failed")
        client.clock.sleep(60)

    assert len(client.created) == 3
    assert client.calls.count("start") == 3


def test_a_retry_with_other_inputs_adopts_with_a_warning(
    task: Task, client: Scripted, caplog: pytest.LogCaptureFixture
) -> None:
    started = task.attempt()
    task.request = REQUEST._replace(inputs={"invoice": 2})

    assert task.attempt().id == started.id
    (line,) = [record for record in caplog.records if "Adopted" in record.getMessage()]
    assert line.levelno == logging.WARNING
    assert "other inputs" in line.getMessage()


# A clear.


@pytest.mark.parametrize("status", ["Succeeded", "Failed"])
def test_a_clear_after_the_end_starts_another_run(task: Task, client: Scripted, status: str) -> None:
    first = task.attempt()
    client.end(first.id, status)
    task.clear()

    second = task.attempt()

    assert client.created == [first.id, second.id]
    assert Marker.read(second.name) == task.marker() != Marker.read(first.name)


def test_a_clear_while_the_run_goes_on_adopts_it(task: Task, client: Scripted) -> None:
    first = task.attempt()
    task.clear()

    assert task.attempt().id == first.id
    assert client.created == [first.id]


def test_a_clear_right_after_the_start_adopts_a_run_that_is_not_listed_yet(task: Task, client: Scripted) -> None:
    client.lag = 4.0
    first = task.attempt()
    client.clock.sleep(1.3)
    task.clear()

    assert task.attempt().id == first.id
    assert client.created == [first.id]


def test_a_clear_with_other_inputs_starts_another_and_names_the_one_that_goes_on(
    task: Task, client: Scripted, caplog: pytest.LogCaptureFixture
) -> None:
    task.options["link"] = lambda found: f"https://kognitos/{found.id}"
    first = task.attempt()
    task.clear(inputs={"invoice": 2})

    second = task.attempt()

    assert client.created == [first.id, second.id]
    (line,) = [record for record in caplog.records if "Starting a new" in record.getMessage()]
    assert line.levelno == logging.WARNING
    assert first.id in line.getMessage()
    assert f"https://kognitos/{first.id}" in line.getMessage()
    assert client.sent[1]["inputs"] == {"invoice": 2}
    # The retry of that attempt has its own run, and leaves the other alone.
    assert task.attempt().id == second.id


def test_a_run_adopted_over_a_clear_is_the_retrys_too(kept: Task, client: Scripted) -> None:
    first = kept.attempt()
    # The DAG run was over, so the clear resets its start.
    client.clock.sleep(86400)
    kept.dag_run_started = client.clock.moment()
    kept.clear()
    client.clock.sleep(10)
    assert kept.attempt().id == first.id
    assert stored(kept.kept).generation == kept.max_tries
    client.end(first.id, "Succeeded", outputs=[{"name": "total", "value": 42}])

    assert kept.attempt().outputs == {"total": 42}
    assert client.created == [first.id]


def test_retries_that_were_lowered_do_not_make_a_clear_a_retry(kept: Task, client: Scripted) -> None:
    first = kept.attempt()
    client.end(first.id, "Succeeded")
    client.clock.sleep(86400)
    # Two tries allowed beyond the first then, one now: the same number.
    kept.retries = 1
    kept.dag_run_started = client.clock.moment()
    kept.clear()
    assert kept.max_tries == 2

    assert kept.attempt().id != first.id
