"""One emulator on a real socket for all tests here; its time stands still until a test moves it."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests

from airflow_provider_kognitos.emulator.server import RunningEmulator, running_emulator

AGENT, PROCESS, KEY = "demo-agent", "process-invoice", "demo-key"
START = 1_700_000_000.0


class Clock:
    """Epoch seconds."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> float:
        return self.now

    def forward(self, seconds: float) -> None:
        self.now += seconds


class Ask:
    """Asks an emulator with a key."""

    def __init__(self, url: str, key: str | None = KEY) -> None:
        self.url = url
        self._session = requests.Session()
        self._session.trust_env = False
        if key is not None:
            self._session.headers["x-api-key"] = key

    def __call__(self, method: str, path: str, **request: Any) -> requests.Response:
        return self._session.request(method, self.url + path, timeout=30, allow_redirects=False, **request)

    def start(self, **more: Any) -> Any:
        body = {"agent_id": AGENT, "process_id": PROCESS, "name": "a run", "stage": "Published", **more}
        response = self("POST", "/v2/runs", json=body)
        assert response.status_code == 201, response.text
        return response.json()

    def run(self, run_id: str) -> Any:
        return self("GET", f"/v2/runs/{run_id}").json()

    def runs(self, **query: Any) -> Any:
        response = self("GET", "/v2/runs", params={"agent_id": AGENT, "process_id": PROCESS, **query})
        assert response.status_code == 200, response.text
        return response.json()

    def raw(self, request: bytes, timeout: float = 10.0) -> bytes:
        """Send bytes over a socket of their own and return all that comes back until it is closed."""
        parts = urlsplit(self.url)
        with closing(socket.create_connection((parts.hostname, parts.port), timeout)) as connection:
            connection.sendall(request)
            received = b""
            while chunk := connection.recv(65536):
                received += chunk
            return received

    def close(self) -> None:
        self._session.close()


def until(happened: Callable[[], object]) -> None:
    """Wait for something that another thread or process is about to do."""
    end = time.monotonic() + 30
    while not happened():
        assert time.monotonic() < end
        time.sleep(0.005)


def is_error(response: requests.Response, status: int) -> Any:
    """Check that an answer is an error in the service's own form, and return it."""
    assert response.status_code == status, response.text
    body = response.json()
    assert body.keys() == {"status_code", "message", "details"}
    assert body["status_code"] == status
    assert isinstance(body["message"], str)
    return body


@pytest.fixture(scope="session")
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="session")
def served(clock: Clock) -> Iterator[RunningEmulator]:
    with running_emulator(clock=clock) as emulator:
        yield emulator


@pytest.fixture
def emulator(served: RunningEmulator, clock: Clock) -> RunningEmulator:
    clock.now = START
    served.control.reset()
    served.control.play({})
    return served


@pytest.fixture
def ask(emulator: RunningEmulator) -> Iterator[Ask]:
    ask = Ask(emulator.url)
    yield ask
    ask.close()
