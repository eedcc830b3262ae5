"""Hundreds of mapped runs in a real Airflow while the service fails, hangs and lies, and processes die.

``python -m benchmarks.storm`` exits with 0 only when no task instance had two live runs, none lost one, and every task
succeeded or says why not. The seed draws how runs end, which faults come and who dies; the times at which they hit are
those of the machine, so no two storms are the same.
"""

from __future__ import annotations

import argparse
import json
import platform
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from airflow_provider_kognitos import __version__
from benchmarks.account import Account, Task, settle
from benchmarks.killer import Killer
from benchmarks.weather import TIMEOUT, add_foreign_runs, let_it_storm, scenario
from sandbox.airflow import LocalAirflow
from sandbox.dag_run import FINISHED, DagRun
from sandbox.emulator import LocalEmulator
from sandbox.kognitos import connection

DAG_FILE = Path(__file__).parent / "dags" / "storm.py"
FOREIGN_RUNS = 60
#: Seconds between two looks at the storm. The emulator keeps ten thousand requests: more than come in that time.
LOOK_EVERY = 3.0


@dataclass(frozen=True)
class Forecast:
    """What is asked for.

    :param runs: mapped task instances
    :param faults: probability of a fault at each request
    :param start_faults: the same for the start of a run; that of the others when not given
    :param kill_every: seconds between two kills, on average
    :param kills: most kills in all; no end when not given
    :param capacity: runs at once that the service takes; an eighth of all when not given
    :param run_seconds: how long a run takes, from and to
    :param minutes: after which the storm is called off
    """

    runs: int = 500
    seed: int = 1
    faults: float = 0.2
    start_faults: float | None = None
    kill_every: float = 6.0
    kills: int | None = None
    capacity: int | None = None
    run_seconds: tuple[float, float] = (5.0, 40.0)
    minutes: float = 25.0

    @property
    def limit(self) -> int:
        return self.capacity or max(3, self.runs // 8)


@dataclass
class Report:
    """What came of a storm."""

    forecast: Forecast
    account: Account = field(default_factory=Account)
    faults: Counter[str] = field(default_factory=Counter)
    kills: Counter[str] = field(default_factory=Counter)
    requests: Counter[str] = field(default_factory=Counter)
    airflow: str = ""
    seconds: float = 0.0
    finished: bool = False

    @property
    def passed(self) -> bool:
        return self.finished and not self.account.problems

    def __str__(self) -> str:
        account, forecast = self.account, self.forecast
        rows = {
            "seed": forecast.seed,
            "versions": f"provider {__version__}, Airflow {self.airflow}, Python {platform.python_version()}",
            "task instances": f"{forecast.runs}: {_counted(account.states)}",
            "attempts": sum(tries * count for tries, count in account.tries.items()),
            "attempts that raised": _counted(account.errors),
            "runs started": f"{account.started}, of which {account.ended_badly} ended badly",
            "runs expected": account.expected,
            "capacity": f"{forecast.limit} runs at once",
            "requests": f"{self.requests.total()}: {_counted(self.requests)}",
            "faults": f"{self.faults.total()}: {_counted(self.faults)}",
            "kills": f"{self.kills.total()}: {_counted(self.kills)}",
            "duplicates": len(account.duplicates),
            "lost": len(account.lost),
            "wrong outputs": len(account.wrong),
            "without a reason": len(account.unexplained),
            "duration": f"{self.seconds:.0f} s" + ("" if self.finished else ", CALLED OFF BEFORE ITS END"),
            "result": "passed" if self.passed else "FAILED",
        }
        lines = [f"{name:<22}{value}" for name, value in rows.items()]
        return "\n".join([*lines, *(f"  ! {problem}" for problem in account.problems)])


def storm(forecast: Forecast, home: Path, say: Callable[[str], None] = lambda line: None) -> Report:
    """Let it storm, and report what came of it.

    :param home: folder for everything that is written
    :param say: called with a line about how it goes, now and then
    """
    report = Report(forecast)
    home.mkdir(parents=True, exist_ok=True)
    dags = home / "dags"
    dags.mkdir()
    shutil.copy(DAG_FILE, dags)
    played = home / "scenario.yaml"
    weather = scenario(seed=forecast.seed, capacity=forecast.limit, run_seconds=forecast.run_seconds)
    played.write_text(yaml.safe_dump(weather.model_dump(mode="json")))
    with LocalEmulator(home / "emulator", scenario=played) as emulator:
        kognitos: dict[str, Any] = connection(emulator)
        kognitos["extra"] = {**kognitos["extra"], "timeout": TIMEOUT}
        airflow = LocalAirflow(
            home / "airflow",
            [dags],
            connections={"kognitos_default": kognitos},
            settings={"core.parallelism": "16", "core.max_map_length": str(max(1024, forecast.runs))},
        )
        report.airflow = airflow.version
        with airflow:
            airflow.api.wait_for_dags("storm")
            add_foreign_runs(emulator.control, FOREIGN_RUNS)
            start_faults = forecast.faults if forecast.start_faults is None else forecast.start_faults
            let_it_storm(emulator.control, faults=forecast.faults, start_faults=start_faults)
            began = time.monotonic()
            dag_run = airflow.api.trigger_dag("storm", conf={"runs": forecast.runs}, run_id=f"storm_{forecast.seed}")
            killer = Killer(airflow, seed=forecast.seed, every=forecast.kill_every, most=forecast.kills)
            killer.start()
            try:
                report.finished = _watch(report, emulator, airflow, dag_run, say)
            finally:
                killer.stop()
            report.seconds = time.monotonic() - began
            report.kills = killer.kills
            report.requests = Counter(emulator.control.stats()["requests"])
            tasks = _tasks(dag_run, airflow.logs, forecast.runs)
            report.account = settle(tasks, emulator.control.runs())
    return report


def _watch(
    report: Report, emulator: LocalEmulator, airflow: LocalAirflow, dag_run: DagRun, say: Callable[[str], None]
) -> bool:
    """Count faults until the DAG run has ended; return whether it has, before it was called off."""
    until = time.monotonic() + 60 * report.forecast.minutes
    said = time.monotonic()
    seen = 0
    while True:
        ended = dag_run.state in FINISHED
        for request in emulator.control.requests(since=seen):
            seen = request["seq"]
            if fault := request.get("fault"):
                report.faults[f"{fault} {request['status']}" if fault == "status" else fault] += 1
        if ended or time.monotonic() > until:
            return ended
        for name, service in airflow.services.items():
            if name != "triggerer":  # the killer's
                service.check()
        if time.monotonic() > said + 30:
            said = time.monotonic()
            states = Counter(str(task.seen["state"]) for task in dag_run.task_instances())
            say(f"{seen} requests, {report.faults.total()} faults, tasks: {_counted(states)}")
        time.sleep(LOOK_EVERY)


def _tasks(dag_run: DagRun, logs: Path, count: int) -> list[Task]:
    found = {task.map_index: task for task in dag_run.task_instances() if task.task_id == "run"}
    tasks = []
    for index in range(count):
        task = found.get(index)
        if task is None:
            tasks.append(Task(index, None, 0, None))
            continue
        state, tries = task.seen["state"], task.seen["try_number"]
        folder = logs / "dag_id=storm" / f"run_id={dag_run.run_id}" / "task_id=run" / f"map_index={index}"
        errors = [error for number in range(1, tries + 1) if (error := _error(folder / f"attempt={number}.log"))]
        tasks.append(Task(index, state, tries, task.xcom() if state == "success" else None, errors))
    return tasks


def _error(log: Path) -> tuple[str, str] | None:
    """The class and the text of the exception that an attempt ended with, from its log."""
    found = None
    for line in log.read_text(errors="replace").splitlines() if log.exists() else ():
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if isinstance(entry, dict) and entry.get("event", "").startswith("Task failed with exception"):
            raised = entry["error_detail"][0]
            found = (raised["exc_type"], raised["exc_value"])
    return found


def _counted(counter: Counter[str]) -> str:
    return ", ".join(f"{count} {name}" for name, count in sorted(counter.items(), key=lambda item: (-item[1], item[0])))


def main() -> int:
    """Run one storm, print its report and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.storm", description=__doc__)
    parser.add_argument("--runs", type=int, default=Forecast.runs)
    parser.add_argument("--seed", type=int, default=Forecast.seed)
    parser.add_argument("--faults", type=float, default=Forecast.faults, help="probability of a fault at each request")
    parser.add_argument("--kill-every", type=float, default=Forecast.kill_every, help="seconds, on average")
    parser.add_argument("--capacity", type=int, help="runs at once that the service takes")
    parser.add_argument("--minutes", type=float, default=Forecast.minutes, help="after which it is called off")
    forecast = Forecast(**vars(parser.parse_args()))
    home = Path(tempfile.mkdtemp(prefix="kognitos-storm-"))
    print(f"{forecast.runs} runs, seed {forecast.seed}; logs and databases in {home}", flush=True)
    report = storm(forecast, home, say=lambda line: print(f"  {line}", flush=True))
    print(f"\n{report}")
    if not report.passed:
        print(f"logs and databases are kept in {home}")
        return 1
    shutil.rmtree(home)
    return 0


if __name__ == "__main__":
    sys.exit(main())
