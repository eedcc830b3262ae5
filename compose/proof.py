"""
Prove the cluster: a hundred runs, while a worker and a triggerer are killed that are at work.

Run it beside a cluster that is up: ``python -m compose.proof``. It needs ``docker compose`` and what ``make venv``
installs. Start the cluster with ``HEARTBEAT_TIMEOUT=30 QUEUED_TIMEOUT=180``, or it takes as long as Airflow needs by
default to notice that a worker is gone.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from tabulate import tabulate

from airflow_provider_kognitos.emulator.control import EmulatorControl
from airflow_provider_kognitos.runs.identity import Marker
from sandbox.api import AirflowApi

RUNS = 100
DAG = "kognitos_hundred"


def compose(*arguments: str) -> str:
    """Run docker compose, and return what it prints."""
    done = subprocess.run(["docker", "compose", *arguments], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def address(service: str, port: int) -> str:
    """Where a service is published on this machine."""
    return f"http://{compose('port', service, str(port)).splitlines()[0]}"


def kill(hostname: str) -> str:
    """SIGKILL a container by what it calls itself."""
    subprocess.run(["docker", "kill", "--signal", "KILL", hostname], check=True, capture_output=True)
    return hostname


def main() -> int:
    """Play it, print what came out, and exit with 1 unless every task has exactly one run."""
    passwords = json.loads(compose("exec", "-T", "airflow-apiserver", "cat", "/opt/secrets/passwords.json"))
    api = AirflowApi(address("airflow-apiserver", 8080), airflow_version="3", user="admin", password=passwords["admin"])
    api.sign_in()
    emulator = EmulatorControl(address("emulator", 8099))
    api.wait_for_dags(DAG)
    before = {each["id"] for each in emulator.runs()}
    began = time.monotonic()
    run = api.trigger_dag(DAG)

    def tasks(state: str) -> list[dict[str, Any]]:
        return [task.seen for task in run.task_instances() if task.seen.get("state") == state]

    def hosts(state: str, of: Callable[[dict[str, Any]], str | None]) -> list[str]:
        return [host for task in tasks(state) if (host := of(task))]

    def triggerers() -> list[str]:
        return hosts("deferred", lambda task: (task.get("triggerer_job") or {}).get("hostname"))

    def workers() -> list[str]:
        return hosts("running", lambda task: task.get("hostname"))

    def seen(now: Callable[[], list[str]], what: str, at_least: int = 1) -> str:
        """Wait for hosts, and return one of those that were there: a moment later none may be."""
        found: list[str] = []

        def look() -> bool:
            found[:] = now()
            return len(found) >= at_least

        api.wait_until(look, what, 300)
        return found[0]

    triggerer = kill(seen(triggerers, "a tenth of the tasks to be watched", RUNS // 10))
    worker = kill(seen(workers, "a worker to be at work"))
    left = {
        service: len(compose("ps", "--quiet", service).split()) for service in ("airflow-triggerer", "airflow-worker")
    }
    print(f"killed triggerer {triggerer} and worker {worker}; still there: {left}", flush=True)
    run.wait("success", timeout=1500)

    markers = [Marker.read(each["name"]) for each in emulator.runs() if each["id"] not in before]
    by_task = Counter(marker.identity if marker else "unmarked" for marker in markers)
    retried = sum(task.seen["try_number"] > 1 for task in run.task_instances())
    succeeded = len(tasks("success"))
    rows = [
        ["tasks that succeeded", succeeded],
        ["tasks that were tried again", retried],
        ["runs started", len(markers)],
        ["runs started twice", sum(count - 1 for count in by_task.values())],
        ["seconds", f"{time.monotonic() - began:.0f}"],
    ]
    print(tabulate(rows, tablefmt="plain"))
    return 0 if succeeded == len(markers) == len(by_task) == RUNS else 1


if __name__ == "__main__":
    sys.exit(main())
