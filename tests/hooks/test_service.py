"""The hook against the emulator, as a task uses it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from airflow_provider_kognitos.api.words import FAILED, SUCCEEDED
from airflow_provider_kognitos.emulator.server import RunningEmulator, running_emulator
from airflow_provider_kognitos.exceptions import KognitosRunTimeoutError
from airflow_provider_kognitos.hooks.kognitos import KognitosHook

QUICK = {"rules": [{"steps": [{"status": "Running", "seconds": 0.1}], "outputs": {"files": "${files.count}"}}]}


@pytest.fixture
def emulator() -> Iterator[RunningEmulator]:
    with running_emulator(scenario=QUICK) as emulator:
        yield emulator


@pytest.fixture
def hook(hook_for: Callable[..., KognitosHook], emulator: RunningEmulator) -> KognitosHook:
    extra = {"agent_id": "demo-agent", "web_url": "http://ui.example"}
    return hook_for(host=emulator.url, password="demo-key", extra=extra)


def test_upload_start_and_wait(hook: KognitosHook, emulator: RunningEmulator, tmp_path: Path) -> None:
    (tmp_path / "invoice.pdf").write_bytes(b"%PDF")
    process = hook.find_process("Process invoice")
    file_id = hook.upload_file(tmp_path / "invoice.pdf")
    run = hook.start_run(process.id, "a run", inputs={"invoice_number": "R-1"}, file_ids=[file_id])
    assert hook.run_url(run) == f"http://ui.example/department/demo-agent/processes/{process.id}/run/{run.id}"
    ended = hook.wait_for_run(run.id, poll_interval=0.1, max_poll_interval=0.1)
    assert (ended.id, ended.status, ended.outputs) == (run.id, SUCCEEDED, {"files": 1})
    assert [item.id for item in hook.list_runs(process.id)] == [run.id]
    assert emulator.control.stats()["key_leaks"] == 0


def test_a_run_that_fails_is_returned(hook: KognitosHook, emulator: RunningEmulator) -> None:
    run = hook.start_run("process-invoice", "a run")
    emulator.control.change_run(run.id, status=FAILED)
    assert hook.wait_for_run(run.id).status == FAILED


def test_a_run_that_takes_too_long(hook: KognitosHook, emulator: RunningEmulator) -> None:
    run = hook.start_run("process-invoice", "a run")
    emulator.control.change_run(run.id, status="AwaitingGuidance")
    with pytest.raises(KognitosRunTimeoutError, match="AwaitingGuidance"):
        hook.wait_for_run(run.id, timeout=0.3, poll_interval=0.1)
    assert hook.get_run(run.id).status == "AwaitingGuidance"


def test_connection(hook: KognitosHook, hook_for: Callable[..., KognitosHook], emulator: RunningEmulator) -> None:
    assert hook.test_connection()[0] is True
    wrong = hook_for(host=emulator.url, password="another-key", extra={"agent_id": "demo-agent"})
    works, told = wrong.test_connection()
    assert not works
    assert "access not permitted" in told
    assert "another-key" not in told
