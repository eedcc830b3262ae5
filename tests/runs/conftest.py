from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import settings

from airflow_provider_kognitos.emulator.server import RunningEmulator, running_emulator

from .attempts import Task
from .scripted import Clock, Scripted
from .store import JsonStore

# The same examples each time, and no time limit: a slow machine is no failure.
settings.register_profile("steady", deadline=None, derandomize=True)
settings.load_profile("steady")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def client(clock: Clock) -> Scripted:
    return Scripted(clock)


@pytest.fixture(params=[True, False], ids=["store", "no-store"])
def task(request: pytest.FixtureRequest, client: Scripted) -> Task:
    """Return a task, once on an Airflow that has a task state store and once on one that has none."""
    return Task(client, client.clock, client.clock.sleep, JsonStore() if request.param else None)


@pytest.fixture
def kept(client: Scripted) -> Task:
    """Return a task on an Airflow that has a task state store."""
    return Task(client, client.clock, client.clock.sleep, JsonStore())


@pytest.fixture(scope="session")
def _emulator() -> Iterator[RunningEmulator]:
    with running_emulator() as emulator:
        yield emulator


@pytest.fixture
def emulator(_emulator: RunningEmulator) -> RunningEmulator:
    """Return an emulator that remembers nothing and plays the built-in scenario."""
    _emulator.control.play({})
    _emulator.control.reset()
    return _emulator
