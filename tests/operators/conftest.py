"""A real emulator and a connection to it, for operators driven without Airflow's services."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from airflow_provider_kognitos.emulator.server import RunningEmulator, running_emulator

KEY = "test-key-7f3a91c2"
AGENT = "agent-1"
QUICK = [{"status": "Created", "seconds": 0.1}, {"status": "Running", "seconds": 0.4}]
SCENARIO: dict[str, Any] = {
    "agents": [AGENT],
    "keys": {KEY: {}},
    "processes": [
        {"id": "invoice", "name": "Process invoice", "agent_id": AGENT},
        {"id": "slow", "name": "Slow", "agent_id": AGENT},
        {"id": "draft", "name": "Draft only", "agent_id": AGENT, "stage": "Draft"},
    ],
    "rules": [
        {"process_id": "slow", "steps": [{"status": "Running", "seconds": 3600}]},
        {"when": {"result": "Failed"}, "steps": QUICK, "results": {"Failed": 1}},
        {"when": {"result": "Cancelled"}, "steps": QUICK, "results": {"Cancelled": 1}},
        {"when": {"result": "Odd"}, "steps": [*QUICK, {"status": "AwaitingGuidance", "seconds": 0.5}]},
        {"steps": QUICK, "outputs": {"number": "${inputs.number}", "files": "${files.count}"}},
    ],
}


@pytest.fixture(scope="session")
def service() -> Iterator[RunningEmulator]:
    with running_emulator(scenario=SCENARIO) as emulator:
        yield emulator


@pytest.fixture
def emulator(service: RunningEmulator, monkeypatch: pytest.MonkeyPatch) -> RunningEmulator:
    """The emulator, empty, and ``kognitos_default`` as a connection to it."""
    service.control.reset()
    service.control.play(SCENARIO)
    extra = {"agent_id": AGENT, "timeout": 2, "web_url": "https://kognitos.test"}
    connection = {"conn_type": "kognitos", "host": service.url, "password": KEY, "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_KOGNITOS_DEFAULT", json.dumps(connection))
    return service


@pytest.fixture(autouse=True)
def quick_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Minutes become moments; that the pauses are as long as they should be is tested where they are decided."""
    monkeypatch.setattr("airflow_provider_kognitos.runs.start.SETTLE", 0.0)
    monkeypatch.setattr("airflow_provider_kognitos.runs.start.LIST_LAG", 0.5)
    monkeypatch.setattr("airflow_provider_kognitos.runs.start.FIRST_PAUSE", 0.2)
    monkeypatch.setattr("airflow_provider_kognitos.runs.start.SEARCH_EVERY", 0.2)
    monkeypatch.setattr("airflow_provider_kognitos.api.retry.sleep", lambda seconds: None)
