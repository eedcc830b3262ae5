"""Somebody is called, once, when a run takes long; and the wait goes on."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import BaseNotifier, TaskDeferred

from airflow_provider_kognitos.emulator.server import RunningEmulator
from airflow_provider_kognitos.exceptions import KognitosConfigError, KognitosRunTimeoutError
from airflow_provider_kognitos.operators.run import KognitosRunOperator
from airflow_provider_kognitos.sensors.run import KognitosRunSensor
from tests.operators.driver import STORES, Store, Task
from tests.operators.test_run_operator import MODES, logged, started
from tests.operators.test_run_sensor import sense

NO_STORE_AND_STORE = pytest.mark.parametrize("stored", STORES, ids=["store", "no store"][-len(STORES) :])


class Calls(list[dict[str, Any]]):
    """A callback that keeps what it was called with."""

    def __call__(self, context: Any) -> None:
        self.append({key: context[key] for key in ("run", "link", "age", "ti")})


class Killed(BaseException):
    """Nothing may catch it."""


def task(callback: Any, deferrable: bool, **arguments: Any) -> Task:
    arguments = {"process_id": "invoice", "attention_after": 0.2, **arguments}
    return Task(
        lambda: KognitosRunOperator(
            task_id="task",
            deferrable=deferrable,
            poll_interval=0.1,
            max_poll_interval=0.2,
            on_attention_callback=callback,
            **arguments,
        )
    )


@pytest.mark.parametrize("deferrable", MODES)
def test_is_called_once_with_the_run_and_the_wait_goes_on(emulator: RunningEmulator, deferrable: bool) -> None:
    calls = Calls()
    one = task(calls, deferrable, inputs={"number": 7})

    result = one.attempt()

    (call,) = calls
    assert result["status"] == "Succeeded"
    assert result["outputs"]["number"] == 7
    assert call["run"] == {**result, "status": call["run"]["status"], "outputs": {}}
    assert call["run"]["status"] in ("Created", "Running")
    assert call["link"] == result["url"]
    assert isinstance(call["age"], timedelta)
    assert call["ti"] is one.ti
    # A third segment on a worker is paid only for this.
    assert len(one.deferrals) == (2 if deferrable else 0)


@pytest.mark.parametrize("deferrable", MODES)
def test_nobody_is_called_for_a_run_that_ends_before(emulator: RunningEmulator, deferrable: bool) -> None:
    calls = Calls()
    one = task(calls, deferrable, attention_after=timedelta(hours=1))
    assert one.attempt()["status"] == "Succeeded"
    assert calls == []
    assert len(one.deferrals) == int(deferrable)


@pytest.mark.parametrize("deferrable", MODES)
def test_a_callback_that_fails_is_logged_and_fails_nothing(
    emulator: RunningEmulator,
    deferrable: bool,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(context: Any) -> None:
        raise RuntimeError("the pager is on holiday")

    calls = Calls()
    assert task([fail, calls], deferrable).attempt()["status"] == "Succeeded"
    assert len(calls) == 1
    log = logged(capsys, caplog)
    assert "the pager is on holiday" in log
    assert "is still" in log


@NO_STORE_AND_STORE
@pytest.mark.parametrize("deferrable", MODES)
def test_a_retry_calls_nobody_again_where_airflow_remembers(
    emulator: RunningEmulator, deferrable: bool, stored: bool
) -> None:
    calls = Calls()
    one = task(calls, deferrable, process_id="slow", timeout=1.0)
    one.store = Store() if stored else None
    for _ in range(2):
        with pytest.raises(KognitosRunTimeoutError, match="timeout of 1 s"):
            one.attempt()
    assert started(emulator) == 1
    # Before Airflow 3.3 each attempt calls.
    assert len(calls) == (1 if stored else 2)


@pytest.mark.parametrize("deferrable", MODES)
@pytest.mark.skipif(True not in STORES, reason="this Airflow has no task state store")
def test_a_worker_killed_while_it_calls_leaves_it_to_the_retry(emulator: RunningEmulator, deferrable: bool) -> None:
    calls = Calls()

    def die(context: Any) -> None:
        raise Killed

    one = task(die, deferrable, inputs={"result": "Odd"})
    with pytest.raises(Killed):
        one.attempt()
    one.make = task(calls, deferrable, inputs={"result": "Odd"}).make
    assert one.attempt()["status"] == "Succeeded"
    assert len(calls) == 1
    assert started(emulator) == 1


def test_a_new_run_of_the_same_task_is_called_for_again(emulator: RunningEmulator) -> None:
    calls = Calls()
    one = task(calls, True)
    first = one.attempt()
    one.clear()
    second = one.attempt()
    assert [call["run"]["run_id"] for call in calls] == [first["run_id"], second["run_id"]]


def test_the_deadline_stays_where_it_was(emulator: RunningEmulator) -> None:
    one = task(Calls(), True, process_id="slow", timeout=1.0)
    with pytest.raises(KognitosRunTimeoutError):
        one.attempt()
    deadlines = [deferral.trigger.deadline for deferral in one.deferrals]
    assert len(deadlines) == 2
    assert deadlines[0] == deadlines[1]
    assert one.deferrals[1].timeout <= one.deferrals[0].timeout


def test_a_run_adopted_when_it_is_overdue_needs_no_deferral_to_be_called_for(emulator: RunningEmulator) -> None:
    calls = Calls()
    one = task(calls, True, process_id="slow", attention_after=None)
    one.attempt(until_deferred=True)
    one.make = task(calls, True, process_id="slow", attention_after=0.001).make
    deferred = one.attempt(until_deferred=True)
    assert isinstance(deferred, TaskDeferred)
    assert deferred.trigger.attention_at is None
    assert len(calls) == 1


def test_a_notifier_of_airflow_writes_what_it_is_told(emulator: RunningEmulator) -> None:
    said = []

    class Say(BaseNotifier):
        template_fields = ("message",)

        def __init__(self, message: str) -> None:
            super().__init__()
            self.message = message

        def notify(self, context: Any) -> None:
            said.append(self.message)

    template = "{{ run.run_id }} ({{ run.status }}) open for {{ age }}: {{ link }}"
    result = task(Say(template), False, inputs={"result": "Odd"}).attempt()
    (message,) = said
    assert message.startswith(result["run_id"])
    assert message.endswith(result["url"])
    assert "open for 0:00:0" in message


@pytest.fixture
def start(emulator: RunningEmulator) -> Callable[..., str]:
    def start(process_id: str = "invoice", **inputs: Any) -> str:
        task = Task(
            lambda: KognitosRunOperator(task_id="task", process_id=process_id, inputs=inputs, wait_for_completion=False)
        )
        return str(task.attempt()["run_id"])

    return start


@pytest.mark.parametrize("mode", ["poke", "deferrable"])
def test_a_sensor_calls_once_and_waits_on(start: Callable[..., str], mode: str) -> None:
    calls = Calls()
    run_id = start(number=7)
    result = sense(run_id, mode, attention_after=0.2, on_attention_callback=calls, poke_interval=0.1)
    assert result["outputs"]["number"] == 7
    assert [call["run"]["run_id"] for call in calls] == [run_id]
    assert calls[0]["link"] == result["url"]


@pytest.mark.parametrize("mode", ["poke", "deferrable"])
def test_a_sensor_calls_at_its_first_look_if_the_run_is_overdue(start: Callable[..., str], mode: str) -> None:
    calls = Calls()
    run_id = start(result="Odd")
    assert sense(run_id, mode, attention_after=0.001, on_attention_callback=calls)["status"] == "Succeeded"
    assert len(calls) == 1


def test_a_sensor_that_saw_nothing_at_first_calls_later(start: Callable[..., str], emulator: RunningEmulator) -> None:
    calls = Calls()
    run_id = start(result="Odd")
    emulator.control.fault("getRun", "drop", times=1)
    assert sense(run_id, "deferrable", attention_after=0.2, on_attention_callback=calls, poke_interval=0.1)
    assert len(calls) == 1


def test_a_sensor_in_mode_reschedule_calls_once_over_its_looks_or_says_that_it_cannot(
    start: Callable[..., str], emulator: RunningEmulator
) -> None:
    calls = Calls()
    run_id = start(result="Odd")
    asked: dict[str, Any] = {"attention_after": 0.001, "on_attention_callback": calls}
    if True not in STORES:
        with pytest.raises(KognitosConfigError, match="reschedule"):
            sense(run_id, "reschedule", **asked)
        return
    sense(run_id, "reschedule", **asked)
    assert emulator.control.stats()["requests"]["getRun"] > 2
    assert len(calls) == 1


@pytest.mark.parametrize("make", [KognitosRunOperator, KognitosRunSensor])
@pytest.mark.parametrize(
    "arguments",
    [
        {"attention_after": 0},
        {"attention_after": "1h"},
        {"on_attention_callback": "call me"},
        {"on_attention_callback": [print, 7]},
    ],
)
def test_what_cannot_work_is_refused(make: Any, arguments: dict[str, Any]) -> None:
    with pytest.raises(KognitosConfigError, match=next(iter(arguments))):
        make(task_id="task", **{"run_id": "r"} if make is KognitosRunSensor else {"process_id": "p"}, **arguments)
