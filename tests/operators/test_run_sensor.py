"""KognitosRunSensor in its three modes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import (
    AirflowFailException,
    AirflowSensorTimeout,
    AirflowSkipException,
    TaskDeferred,
)

from airflow_provider_kognitos.emulator.server import RunningEmulator
from airflow_provider_kognitos.exceptions import (
    KognitosConfigError,
    KognitosPollError,
    KognitosRunFailedError,
)
from airflow_provider_kognitos.operators.run import KognitosRunOperator
from airflow_provider_kognitos.sensors.run import KognitosRunSensor
from tests.operators.driver import Task

try:
    from airflow.sdk.exceptions import AirflowRescheduleException
except ImportError:
    from airflow.exceptions import AirflowRescheduleException

MODES = {
    "poke": {"mode": "poke"},
    "reschedule": {"mode": "reschedule"},
    "deferrable": {"deferrable": True},
}


def sense(run_id: str, mode: str, **arguments: Any) -> Any:
    """Run a sensor to its end; in mode reschedule, look as often as it asks for."""
    arguments = {"poke_interval": 0.2, "timeout": 20, "max_poll_interval": 1, **MODES[mode], **arguments}
    task = Task(lambda: KognitosRunSensor(task_id="task", run_id=run_id, **arguments), retries=0, max_tries=0)
    original = task.begin

    def begin() -> dict[str, Any]:
        context = original()
        assert task.ti is not None
        task.ti.get_first_reschedule_date = lambda context: task.started
        task.ti.get_task_reschedule_count = lambda *a, **k: 1
        return context

    task.begin = begin  # type: ignore[method-assign]
    while True:
        try:
            return task.attempt()
        except AirflowRescheduleException:
            continue


@pytest.fixture
def start(emulator: RunningEmulator) -> Callable[..., str]:
    def start(process_id: str = "invoice", **inputs: Any) -> str:
        task = Task(
            lambda: KognitosRunOperator(task_id="task", process_id=process_id, inputs=inputs, wait_for_completion=False)
        )
        return str(task.attempt()["run_id"])

    return start


@pytest.mark.parametrize("mode", ["poke", "deferrable"])
def test_returns_the_run_with_its_outputs(start: Callable[..., str], mode: str) -> None:
    run_id = start(number=7)
    result = sense(run_id, mode)
    assert (result["run_id"], result["status"], result["outputs"]["number"]) == (run_id, "Succeeded", 7)
    assert result["url"].endswith(run_id)


def test_a_run_that_has_ended_needs_no_deferral(start: Callable[..., str], emulator: RunningEmulator) -> None:
    run_id = start()
    emulator.control.change_run(run_id, status="Succeeded")
    task = Task(lambda: KognitosRunSensor(task_id="task", run_id=run_id, deferrable=True))
    assert not isinstance(task.attempt(until_deferred=True), TaskDeferred)


@pytest.mark.parametrize("mode", ["poke", "deferrable"])
@pytest.mark.parametrize("ended", [True, False], ids=["ended before", "ends later"])
def test_a_run_that_ends_badly_fails_for_good(
    start: Callable[..., str], emulator: RunningEmulator, mode: str, ended: bool
) -> None:
    run_id = start(result="Failed")
    if ended:
        emulator.control.change_run(run_id, status="Failed")
    with pytest.raises(KognitosRunFailedError, match=run_id) as caught:
        sense(run_id, mode)
    assert isinstance(caught.value, AirflowFailException)


@pytest.mark.parametrize("mode", ["poke", "deferrable"])
@pytest.mark.parametrize("ended", [True, False], ids=["ended before", "ends later"])
def test_soft_fail_skips(start: Callable[..., str], emulator: RunningEmulator, mode: str, ended: bool) -> None:
    run_id = start(result="Failed")
    if ended:
        emulator.control.change_run(run_id, status="Failed")
    with pytest.raises(AirflowSkipException):
        sense(run_id, mode, soft_fail=True)


@pytest.mark.parametrize("mode", ["poke", "deferrable"])
def test_its_timeout_ends_it(start: Callable[..., str], mode: str) -> None:
    with pytest.raises(AirflowSensorTimeout):
        sense(start("slow"), mode, timeout=0.6)
    with pytest.raises(AirflowSkipException):
        sense(start("slow"), mode, timeout=0.6, soft_fail=True)


@pytest.mark.parametrize("mode", ["poke", "deferrable"])
def test_one_bad_answer_does_not_end_it(start: Callable[..., str], emulator: RunningEmulator, mode: str) -> None:
    run_id = start()
    emulator.control.fault("getRun", "drop", times=7)
    assert sense(run_id, mode)["status"] == "Succeeded"


def test_a_run_that_never_was_ends_it_after_a_minute(
    emulator: RunningEmulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("airflow_provider_kognitos.runs.polling.LAG", 0.5)
    with pytest.raises(KognitosPollError, match="no-such-run"):
        sense("no-such-run", "poke")


@pytest.mark.parametrize("run_id", ["", "  ", None, 7])
def test_what_is_no_id_is_refused(emulator: RunningEmulator, run_id: Any) -> None:
    with pytest.raises(KognitosConfigError, match="run_id"):
        sense(run_id, "poke")
    assert emulator.control.stats()["requests"] == {}
