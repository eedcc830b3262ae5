"""What Airflow's database says of every task instance, read once for all who wait for something."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from sandbox.airflow import LocalAirflow
from sandbox.errors import NotReachedError

PERIOD = 0.5
"""Seconds between two looks."""


@dataclass(frozen=True)
class Row:
    """A task instance as it was a moment ago."""

    state: str | None = None
    try_number: int = 0
    pid: int | None = None


class Board:
    """
    The states of all task instances and DAG runs.

    Dozens of deaths are played at once. Were each to ask the API server for its own state, that would take more of the
    machine than the tasks do.
    """

    def __init__(self, airflow: LocalAirflow) -> None:
        self._airflow = airflow
        self._path: Path = airflow.home / "airflow.db"
        self._changed = threading.Condition()
        self._over = threading.Event()
        self._tasks: dict[tuple[str, int], Row] = {}
        self._runs: dict[str, str] = {}
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._watch, name="board", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._over.set()
        self._thread.join()

    def task(self, run_id: str, map_index: int = -1) -> Row:
        """The task ``run`` of a DAG run."""
        return self._tasks.get((run_id, map_index), Row())

    def run_state(self, run_id: str) -> str | None:
        """State of a DAG run."""
        return self._runs.get(run_id)

    def wait(self, look: Callable[[], bool], timeout: float) -> bool:
        """Call ``look`` after each look at the database until it is true; return whether it was in time."""
        deadline = time.monotonic() + timeout
        while not look():
            with self._changed:
                self._changed.wait()
            if self._error is not None:
                raise NotReachedError("Airflow can't be watched any more") from self._error
            if time.monotonic() > deadline:
                return False
        return True

    def _watch(self) -> None:
        while not self._over.wait(PERIOD):
            try:
                self._airflow.check()
                tasks, runs = self._read()
            except sqlite3.OperationalError:
                continue
            except Exception as error:  # noqa: BLE001 - raised again by wait()
                tasks, runs, self._error = self._tasks, self._runs, error
            with self._changed:
                self._tasks, self._runs = tasks, runs
                self._changed.notify_all()

    def _read(self) -> tuple[dict[tuple[str, int], Row], dict[str, str]]:
        with closing(sqlite3.connect(f"file:{self._path}?mode=ro", uri=True, timeout=5)) as database:
            tasks = database.execute("SELECT run_id, map_index, state, try_number, pid FROM task_instance").fetchall()
            runs = database.execute("SELECT run_id, state FROM dag_run").fetchall()
        return {(run_id, index): Row(*rest) for run_id, index, *rest in tasks}, dict(runs)
