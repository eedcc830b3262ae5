"""The real emulator over a socket, and time that passes faster than it does."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow_provider_kognitos.api.client import KognitosClient
from airflow_provider_kognitos.emulator.server import RunningEmulator
from airflow_provider_kognitos.runs.request import RunRequest

from .attempts import Task
from .store import JsonStore

PROCESS = "process-invoice"
REQUEST = RunRequest(PROCESS, "demo-agent", "Published", "dag.task manual", {"invoice_number": "A-1"})


class SteppedClock:
    """
    Time for what waits: it passes only while somebody sleeps, and then faster than it does for the service.

    :param speed: seconds that pass in a second of sleep.
    """

    def __init__(self, speed: float) -> None:
        self.speed = speed
        self._now = time.time()

    def __call__(self) -> float:
        return self._now

    def sleep(self, seconds: float) -> None:
        self._now += seconds
        time.sleep(seconds / self.speed)


def client_of(emulator: RunningEmulator, *, timeout: float = 5.0, attempts: int = 3) -> KognitosClient:
    return KognitosClient(emulator.url, "demo-key", timeout=timeout, attempts=attempts)


def task_of(client: KognitosClient, clock: SteppedClock, store: JsonStore | None, **more: Any) -> Task:
    started = datetime.fromtimestamp(clock(), UTC)
    given = {"request": REQUEST, "dag_run_started": started, "run_after": started - timedelta(minutes=1)}
    return Task(client, clock, clock.sleep, store, **{**given, **more})


def play(emulator: RunningEmulator, *, steps: Any = (("Running", 3600.0),), **scenario: Any) -> None:
    """Play the built-in scenario with runs that go through these steps, and with other habits."""
    rule = {
        "steps": [{"status": status, "seconds": seconds} for status, seconds in steps],
        "outputs": {"total": 42, "invoice": "${inputs.invoice_number}"},
    }
    emulator.control.play({"rules": [rule], **scenario})


def add_foreign(emulator: RunningEmulator, count: int, **more: Any) -> list[str]:
    """Add runs of others, a second apart, the newest now; return their ids."""
    now = time.time()
    runs = [
        {
            "process_id": PROCESS,
            "status": "Running",
            "name": f"other.task [af-ffffffff{number % 100:02d}-2-abcd]" if number % 2 else f"Invoice {number}",
            "created_at": now - (count - number),
            **more,
        }
        for number in range(count)
    ]
    return [run["id"] for run in emulator.control.add_runs(runs)]


def own_runs(emulator: RunningEmulator) -> list[Mapping[str, Any]]:
    return [run for run in emulator.control.runs() if not run["foreign_run"]]


def sent(emulator: RunningEmulator, endpoint: str, expected: int) -> int:
    """Return how many requests an endpoint had; one whose connection was dropped is counted a moment later."""
    for _ in range(100):
        count = int(emulator.control.stats()["requests"].get(endpoint, 0))
        if count >= expected:
            break
        time.sleep(0.02)
    return count
