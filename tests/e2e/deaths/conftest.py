"""All deaths that were asked for are played side by side, in one Airflow; each test looks at how its own ended."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import ExitStack
from importlib.metadata import version

import pytest

from airflow_provider_kognitos.emulator.server import running_emulator
from sandbox.airflow import LocalAirflow

from ..conftest import HERE
from .board import Board
from .cases import Case
from .scene import Scene

KEY = "demo-key"
#: Deaths played side by side. With many more SQLite makes Airflow's own parts wait for each other until they give up.
AT_ONCE = 4
SETTINGS = {
    "core.parallelism": "6",
    "core.max_active_runs_per_dag": "200",
    "core.max_active_tasks_per_dag": "200",
    # The machine is full of tasks: who is late by some seconds is not dead.
    "scheduler.task_instance_heartbeat_timeout": "20",
    "scheduler.scheduler_zombie_task_threshold": "20",
}
STEPS = {
    # Not so quick that a deferred task resumes before the scheduler has heard that it left its worker.
    "quick": [{"status": "Running", "seconds": 5}],
    "held": [{"status": "Running", "seconds": 3600}],
}


def scenario_of(case: Case) -> dict[str, object]:
    rules = [{"when": {"pace": pace}, "steps": steps, "outputs": {"run": "${run.id}"}} for pace, steps in STEPS.items()]
    return {"rules": rules, "habits": dict(case.habits), "capacity": {"limit": case.capacity}}


def play(case: Case, scene: Scene) -> None:
    case.play(scene)
    for map_index, ending in case.endings().items():
        scene.check(map_index, ending)


@pytest.fixture(scope="session")
def played(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    record_testsuite_property: Callable[[str, object], None],
) -> Iterator[dict[str, Future[None]]]:
    """How each case ends, by its name."""
    cases: list[Case] = [
        item.callspec.params["case"]
        for item in request.session.items
        if isinstance(item, pytest.Function) and "played" in item.fixturenames
    ]
    record_testsuite_property("airflow", version("apache-airflow"))
    with ExitStack() as stack:
        emulators = {str(case): stack.enter_context(running_emulator(scenario=scenario_of(case))) for case in cases}
        connections = {
            str(case): {
                "conn_type": "kognitos",
                "host": emulators[str(case)].url,
                "password": KEY,
                "extra": {"agent_id": "demo-agent", "web_url": "https://app.kognitos.com", **case.extra},
            }
            for case in cases
        }
        home = tmp_path_factory.mktemp("deaths")
        airflow = stack.enter_context(LocalAirflow(home, [HERE / "dags"], connections=connections, settings=SETTINGS))
        airflow.api.wait_for_dags("deaths_run_sync", "deaths_uncertain_sync")
        board, rest = Board(airflow), threading.Lock()
        stack.callback(board.stop)
        board.start()
        scenes = {
            str(case): Scene(case, airflow=airflow, board=board, emulator=emulators[str(case)].control, rest=rest)
            for case in cases
        }
        together = stack.enter_context(ThreadPoolExecutor(AT_ONCE, "death"))
        endings = {str(case): together.submit(play, case, scenes[str(case)]) for case in cases if not case.alone}

        def play_alone(case: Case) -> None:
            wait(endings.values())
            play(case, scenes[str(case)])

        alone = stack.enter_context(ThreadPoolExecutor(1, "death-alone"))
        yield endings | {str(case): alone.submit(play_alone, case) for case in cases if case.alone}


@pytest.fixture
def ends(played: dict[str, Future[None]], record_property: Callable[[str, object], None]) -> Callable[[Case], None]:
    """Waits until a case has ended, and fails if it did not end as it should."""

    def ends(case: Case) -> None:
        ending = max(case.endings().values(), key=lambda ending: ending.words != "undisturbed")
        for name, value in {"death": case.death, "detail": case.detail, "mode": case.mode}.items():
            record_property(name, value)
        record_property("ending", ending.words)
        record_property("runs", " or ".join(map(str, ending.runs)))
        played[str(case)].result()

    return ends
