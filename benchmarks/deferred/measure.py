"""
Hundreds of mapped tasks, each deferred in a real Airflow, that all wait before the first run ends.

``python -m benchmarks.deferred.measure --tasks 1000`` prints what the workers took for a task, beside a deferrable
``TimeDeltaSensor``, and how the triggerer did. The runs of the emulator end, spread over 20 seconds, only when each
task waits in the triggerer. With ``--unloaded`` each task loads this provider itself, as with executors other than
LocalExecutor.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

import yaml

from airflow_provider_kognitos.emulator.scenario import Capacity, Habits, Process, Rule, Scenario, Step
from benchmarks.deferred.executor import OtherExecutor
from benchmarks.processes import executor_workers
from sandbox.airflow import LocalAirflow
from sandbox.dag_run import DagRun
from sandbox.emulator import LocalEmulator
from sandbox.kognitos import connection

DAGS = Path(__file__).parent / "dags"
#: Over how many seconds the runs end.
ENDS = 20.0
DAY = 86_400.0
#: Airflow's own settings, where those of the sandbox are quicker than anybody's.
TRIGGERER = {"triggerer.job_heartbeat_sec": "5", "triggerer.triggerer_health_check_threshold": "30"}


@dataclass(frozen=True)
class Work:
    """What the workers did for a task, on average.

    :param processes: how many worker processes ran a part of it
    :param cpu_s: CPU seconds of them and of those that supervised them
    """

    processes: float
    cpu_s: float

    def mean(self, other: Work) -> Work:
        """Return what is halfway between the two."""
        return Work((self.processes + other.processes) / 2, (self.cpu_s + other.cpu_s) / 2)


@dataclass(frozen=True)
class Watch:
    """How the triggerer did while every task waited.

    :param tasks: that waited at once
    :param succeeded: of them, in the end
    :param requests: for runs and pages of runs, from when all waited until the last had ended
    :param heartbeat_age_s: of the triggerer's latest heartbeat, the most that was seen
    :param blocked: how often it said that a trigger had blocked its thread
    """

    tasks: int
    succeeded: int
    requests: int
    heartbeat_age_s: float
    blocked: int


@dataclass(frozen=True)
class Deferred:
    """
    What was measured.

    :param floor_heartbeat_age_s: the same age as that of the watch, while the triggerer held the floor's triggers
    :param floor_blocked: how often it said that one of those had blocked its thread
    """

    kognitos: Work
    floor: Work
    watch: Watch
    floor_heartbeat_age_s: float
    floor_blocked: int

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Return what this module has printed in another process."""
        values = json.loads(text)
        return cls(
            Work(**values["kognitos"]),
            Work(**values["floor"]),
            Watch(**values["watch"]),
            values["floor_heartbeat_age_s"],
            values["floor_blocked"],
        )


def measure(tasks: int, home: Path, *, unloaded: bool = False) -> Deferred:
    """
    Run both DAGs, one after the other, once Airflow is warm; that of the sensors before and after that of the runs.

    So a machine that gets slower or quicker meanwhile changes neither side more than the other.

    :param tasks: mapped tasks of each
    :param home: folder for everything that is written
    :param unloaded: whether the process that tasks are forked from shall not load this provider before
    """
    executor = f"{OtherExecutor.__module__}.{OtherExecutor.__name__}" if unloaded else "LocalExecutor"
    with _emulator(home / "emulator") as emulator, _airflow(home / "airflow", tasks, emulator, executor) as airflow:
        airflow.api.wait_for_dags("kognitos", "floor", "warm_up")
        _warm_up(airflow, tasks)
        with _Heartbeat(airflow) as heartbeat:
            floor = _floor(airflow, tasks)
        blocked = _blocked(airflow)
        kognitos, watch = _runs(emulator, airflow, tasks)
        floor = floor.mean(_floor(airflow, tasks))
    return Deferred(kognitos, floor, watch, heartbeat.oldest, blocked)


def _warm_up(airflow: LocalAirflow, tasks: int) -> None:
    airflow.api.trigger_dag("warm_up").wait(timeout=_patience(tasks))


def _floor(airflow: LocalAirflow, tasks: int) -> Work:
    """Run the DAG of sensors; return what it took."""
    before = _Used.of(airflow)
    airflow.api.trigger_dag("floor").wait(timeout=_patience(tasks))
    return before.until_now(airflow, tasks)


def _runs(emulator: LocalEmulator, airflow: LocalAirflow, tasks: int) -> tuple[Work, Watch]:
    """Run the DAG of runs; return what it took."""
    before, blocked = _Used.of(airflow), _blocked(airflow)
    dag_run = airflow.api.trigger_dag("kognitos")
    _wait_until_deferred(dag_run, tasks)
    watch = _end_runs(emulator, airflow, dag_run, tasks, blocked)
    return before.until_now(airflow, tasks), watch


def _emulator(home: Path) -> LocalEmulator:
    scenario = Scenario(
        processes=[Process(id="process", name="Process")],
        rules=[
            Rule(when={"warm": True}, steps=[Step(status="Running", seconds=5)]),
            Rule(steps=[Step(status="Running", seconds=DAY)]),
        ],
        capacity=Capacity(limit=100_000),
        habits=Habits(list_hides_outputs=False),
    )
    home.mkdir(parents=True)
    played = home / "scenario.yaml"
    played.write_text(yaml.safe_dump(scenario.model_dump(mode="json")))
    return LocalEmulator(home, scenario=played)


def _airflow(home: Path, tasks: int, emulator: LocalEmulator, executor: str) -> LocalAirflow:
    return LocalAirflow(
        home,
        [DAGS],
        connections={"kognitos_default": connection(emulator)},
        settings={
            **TRIGGERER,
            "core.executor": executor,
            "core.max_map_length": str(max(1024, tasks)),
            "logging.logging_level": "INFO",
        },
        env={
            "BENCHMARK_TASKS": str(tasks),
            "BENCHMARK_FLOOR_SECONDS": str(5 + tasks / 2),
            # As installed anywhere: compiled once, not by each task.
            "PYTHONDONTWRITEBYTECODE": "",
        },
    )


def _patience(tasks: int) -> float:
    return 120.0 + 5 * tasks


def _wait_until_deferred(dag_run: DagRun, tasks: int) -> None:
    dag_run.api.wait_until(lambda: dag_run.count("deferred") == tasks, f"{tasks} deferred tasks", _patience(tasks))


def _blocked(airflow: LocalAirflow) -> int:
    return airflow.services["triggerer"].log.read_text(errors="replace").count("thread was blocked for")


def _end_runs(emulator: LocalEmulator, airflow: LocalAirflow, dag_run: DagRun, tasks: int, blocked: int) -> Watch:
    ids = [run["id"] for run in emulator.control.runs() if run["status"] == "Running"]
    before = _looks(emulator)
    with _Heartbeat(airflow) as heartbeat:
        began = time.monotonic()
        for number, run_id in enumerate(ids):
            time.sleep(max(0.0, began + ENDS * number / len(ids) - time.monotonic()))
            emulator.control.change_run(run_id, status="Succeeded", outputs=[{"name": "number", "value": number}])
        dag_run.wait(timeout=_patience(tasks))
    return Watch(
        tasks=tasks,
        succeeded=dag_run.count("success"),
        requests=_looks(emulator) - before,
        heartbeat_age_s=heartbeat.oldest,
        blocked=_blocked(airflow) - blocked,
    )


def _looks(emulator: LocalEmulator) -> int:
    requests = emulator.control.stats()["requests"]
    return requests.get("listRuns", 0) + requests.get("getRun", 0)


class _Heartbeat:
    """Looks at the triggerer's heartbeat every second, beside what is done in its ``with`` block."""

    def __init__(self, airflow: LocalAirflow) -> None:
        self.oldest = 0.0
        self._airflow = airflow
        self._over = threading.Event()
        self._pool = ThreadPoolExecutor(1, "heartbeat")

    def __enter__(self) -> Self:
        self._looking = self._pool.submit(self._look)
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        self._pool.shutdown()
        self._looking.result()

    def _look(self) -> None:
        while not self._over.wait(1.0):
            latest = self._airflow.api.health()["triggerer"]["latest_triggerer_heartbeat"]
            age = datetime.now(UTC) - datetime.fromisoformat(latest)
            self.oldest = max(self.oldest, age.total_seconds())


@dataclass(frozen=True)
class _Used:
    """What the executor's workers have used so far."""

    processes: int
    cpu_s: float

    @classmethod
    def of(cls, airflow: LocalAirflow) -> Self:
        times = [worker.cpu_times() for worker in executor_workers(airflow)]
        cpu = sum(each.user + each.system + each.children_user + each.children_system for each in times)
        # Said for each process that executes a part of a task.
        log = airflow.services["api-server"].log.read_text(errors="replace")
        return cls(log.count("Task started"), cpu)

    def until_now(self, airflow: LocalAirflow, tasks: int) -> Work:
        now = self.of(airflow)
        return Work((now.processes - self.processes) / tasks, (now.cpu_s - self.cpu_s) / tasks)


def main() -> int:
    """Measure, and print what was measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, default=200)
    parser.add_argument("--unloaded", action="store_true", help="let each task load this provider itself")
    parser.add_argument("--keep", action="store_true", help="keep logs and databases")
    arguments = parser.parse_args()
    home = Path(tempfile.mkdtemp(prefix="kognitos-deferred-"))
    print(json.dumps(asdict(measure(arguments.tasks, home, unloaded=arguments.unloaded)), indent=1))
    if arguments.keep:
        print(home)
    else:
        shutil.rmtree(home)
    return 0


if __name__ == "__main__":
    sys.exit(main())
