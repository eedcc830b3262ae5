"""The event of an asset says which run has made it."""

from __future__ import annotations

from typing import Any

import pytest
from airflow.providers.common.compat.sdk import Asset, AssetAlias

from airflow_provider_kognitos.emulator.server import RunningEmulator
from airflow_provider_kognitos.exceptions import KognitosRunFailedError
from airflow_provider_kognitos.operators.run import KognitosRunOperator
from tests.operators.driver import Task
from tests.operators.test_run_operator import MODES, logged

BOOKED = Asset("kognitos://agent-1/invoice")


def task(deferrable: bool, **arguments: Any) -> Task:
    arguments = {"process_id": "invoice", "outlets": [BOOKED], **arguments}
    return Task(
        lambda: KognitosRunOperator(
            task_id="task", deferrable=deferrable, poll_interval=0.1, max_poll_interval=0.2, **arguments
        )
    )


@pytest.mark.parametrize("deferrable", MODES)
@pytest.mark.parametrize("waits", [True, False])
def test_an_event_carries_the_run(emulator: RunningEmulator, deferrable: bool, waits: bool) -> None:
    one = task(deferrable, inputs={"number": 7}, wait_for_completion=waits)
    result = one.attempt()
    extra = one.outlet_events[BOOKED].extra
    assert extra == {"run_id": result["run_id"], "url": result["url"], "outputs": result["outputs"]}
    assert extra["outputs"] == ({"number": 7, "files": 0} if waits else {})


def test_an_adopted_run_is_told_too(emulator: RunningEmulator) -> None:
    one = task(True)
    one.attempt(until_deferred=True)
    (run,) = emulator.control.runs()
    emulator.control.change_run(run["id"], status="Succeeded")
    one.attempt()
    assert one.outlet_events[BOOKED].extra["run_id"] == run["id"]


def test_what_others_wrote_is_kept(emulator: RunningEmulator) -> None:
    one = task(False)
    context = one.begin()
    context["outlet_events"][BOOKED].extra["partition"] = "2026-11"
    one.make().execute(context)
    assert one.outlet_events[BOOKED].extra.keys() == {"partition", "run_id", "url", "outputs"}


def test_outputs_too_large_for_an_event_are_left_out(
    emulator: RunningEmulator, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    one = task(True, inputs={"number": "9" * 70_000})
    result = one.attempt()
    assert len(result["outputs"]["number"]) == 70_000
    assert one.outlet_events[BOOKED].extra == {"run_id": result["run_id"], "url": result["url"]}
    assert "too much for an asset event" in logged(capsys, caplog)


def test_a_run_that_failed_makes_nothing(emulator: RunningEmulator) -> None:
    one = task(True, inputs={"result": "Failed"})
    with pytest.raises(KognitosRunFailedError):
        one.attempt()
    assert len(one.outlet_events) == 0


def test_outlets_that_are_no_assets_are_left_alone(emulator: RunningEmulator) -> None:
    one = task(True, outlets=[AssetAlias("later"), {"file": "/tmp/x"}])
    assert one.attempt()["status"] == "Succeeded"
    assert len(one.outlet_events) == 0
