"""The processes of a local Airflow's executor."""

from __future__ import annotations

from contextlib import suppress

import psutil

from sandbox.airflow import LocalAirflow

_WORKER = "airflow worker -- LocalExecutor:"


def executor_workers(airflow: LocalAirflow) -> list[psutil.Process]:
    """Return the executor's workers, each of which forks a process for each task that it supervises."""
    found = []
    for process in airflow.services["scheduler"].processes():
        with suppress(psutil.NoSuchProcess):
            if " ".join(process.cmdline()).startswith(_WORKER):
                found.append(process)
    return found


def task_processes(airflow: LocalAirflow) -> list[psutil.Process]:
    """Return the processes that execute a task now."""
    workers = {worker.pid for worker in executor_workers(airflow)}
    return [each for each in airflow.services["scheduler"].processes() if each.info["ppid"] in workers]
