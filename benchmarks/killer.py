"""Kills what a storm would kill: task processes, their supervisors, the triggerer."""

from __future__ import annotations

import random
import threading
from collections import Counter
from contextlib import suppress

import psutil

from benchmarks.processes import task_processes
from sandbox.airflow import LocalAirflow

#: What dies, by weight. A supervisor that dies alone leaves a task behind that Airflow believes dead.
VICTIMS = {"task": 75, "task and supervisor": 8, "supervisor": 7, "triggerer": 10}
#: No task is killed while fewer are at work: the last one left would die at every stroke and use up its retries.
CROWD = 4


class Killer(threading.Thread):
    """SIGKILLs at random until told to stop, and starts again what does not come back by itself.

    :param airflow: whose processes
    :param seed: of the draws
    :param every: seconds between two kills, on average
    :param most: kills in all; no end when not given
    """

    def __init__(self, airflow: LocalAirflow, *, seed: int, every: float, most: int | None = None) -> None:
        super().__init__(name="killer", daemon=True)
        self.kills: Counter[str] = Counter()
        self._airflow = airflow
        self._rng = random.Random(f"{seed} kills")
        self._every = every
        self._most = most
        self._over = threading.Event()
        self._error: Exception | None = None

    def run(self) -> None:
        try:
            while self.kills.total() != self._most and not self._over.wait(self._rng.expovariate(1 / self._every)):
                self._kill(self._rng.choices(list(VICTIMS), list(VICTIMS.values()))[0])
        except Exception as error:  # noqa: BLE001 - raised again by stop()
            self._error = error

    def stop(self) -> None:
        """Stop killing; raise what went wrong while killing."""
        self._over.set()
        self.join()
        if self._error is not None:
            raise self._error

    def _kill(self, victim: str) -> None:
        if victim == "triggerer":
            self._airflow.kill_component("triggerer")
            self._airflow.services["triggerer"].start()
        else:
            tasks = task_processes(self._airflow)
            if len(tasks) < CROWD:
                return
            task = self._rng.choice(tasks)
            with suppress(psutil.NoSuchProcess):
                supervisor = task.parent()
                if "supervisor" in victim and supervisor is not None:
                    supervisor.kill()
                if "task" in victim:
                    task.kill()
        self.kills[victim] += 1
