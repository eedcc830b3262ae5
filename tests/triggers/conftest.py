from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from airflow_provider_kognitos.emulator.server import RunningEmulator, running_emulator


@pytest.fixture(scope="session")
def _service() -> Iterator[RunningEmulator]:
    with running_emulator() as emulator:
        yield emulator


@pytest.fixture
def emulator(_service: RunningEmulator, monkeypatch: pytest.MonkeyPatch) -> RunningEmulator:
    """The emulator, empty, with the built-in scenario, and ``kognitos_default`` as a connection to it."""
    _service.control.play({})
    _service.control.reset()
    extra = {"agent_id": "demo-agent", "timeout": 5, "web_url": "https://kognitos.test"}
    connection = {"conn_type": "kognitos", "host": _service.url, "password": "demo-key", "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_KOGNITOS_DEFAULT", json.dumps(connection))
    return _service
