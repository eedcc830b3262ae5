"""``make demo``: a real Airflow runs the invoice DAG against the local emulator while you watch."""

import json
import shutil
import signal
import sys
import time

from tabulate import tabulate

from sandbox.api import AirflowApi
from sandbox.dag_run import FINISHED, DagRun
from sandbox.emulator import LocalEmulator
from sandbox.errors import NotReachedError, ServiceError
from sandbox.kognitos import ROOT, example_airflow

HOME = ROOT / ".airflow" / "demo"
DAG_ID = "kognitos_invoice"
PATIENCE = 180.0

MEANING = {
    "queued": "waits for a worker",
    "running": "a worker process executes it",
    "deferred": "has given its worker slot back; the triggerer watches",
    "up_for_retry": "has failed and is tried again",
}


class Ticker:
    """Prints lines with the seconds since the start."""

    def __init__(self) -> None:
        self._start = time.monotonic()

    def say(self, text: str) -> None:
        print(f"{time.monotonic() - self._start:6.1f} s  {text}", flush=True)


def worker_slots(api: AirflowApi) -> str:
    """How many worker slots are in use now."""
    running = api.call("GET", "/pools/default_pool")["running_slots"]
    return f"{running} worker slot{'' if running == 1 else 's'} in use"


def follow(run: DagRun, ticker: Ticker) -> str:
    """Print each change of a task's state until the DAG run has ended; return its state."""
    seen: dict[str, str | None] = {}

    def look() -> bool:
        ended = run.state in FINISHED
        for task in run.task_instances():
            state = task.seen["state"]
            if state in {None, "scheduled"} or seen.get(task.task_id) == state:
                continue
            seen[task.task_id] = state
            line = f"{task.task_id:<16} {state:<10} {MEANING.get(state, '')}"
            if state == "deferred":
                line += f" run {task.xcom('run_id')}, {worker_slots(run.api)}"
            ticker.say(line.rstrip())
        return ended

    run.api.wait_until(look, f"{run} to end", PATIENCE)
    return run.state


def table(run: DagRun) -> str:
    """What each task did, oldest first."""
    rows = []
    for task in sorted(run.task_instances(), key=lambda task: task.seen["start_date"] or ""):
        result = task.xcom()
        is_run = isinstance(result, dict) and "run_id" in result
        rows.append(
            [
                task.task_id,
                result["run_id"] if is_run else "",
                result["status"] if is_run else task.seen["state"],
                f"{task.seen['duration'] or 0:.1f}",
                json.dumps(result["outputs"] if is_run else result, ensure_ascii=False),
            ]
        )
    headers = ["task", "run", "status", "seconds", "outputs"]
    return tabulate(rows, headers=headers, disable_numparse=True, maxcolwidths=[None, None, None, None, 60])


def main() -> int:
    """Run the demo; return the exit code."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    shutil.rmtree(HOME, ignore_errors=True)
    ticker = Ticker()
    try:
        with LocalEmulator(HOME / "emulator") as emulator:
            ticker.say(f"Kognitos emulator at {emulator.url}")
            ticker.say("Starting Airflow: database, scheduler, DAG processor, triggerer, API server")
            with example_airflow(HOME, emulator) as airflow:
                ticker.say(f"Airflow {airflow.version} at {airflow.url}")
                airflow.api.wait_for_dags(DAG_ID)
                run = airflow.api.trigger_dag(DAG_ID)
                ticker.say(f"DAG {DAG_ID} triggered")
                state = follow(run, ticker)
                print(f"\n{table(run)}\n")
                if state != "success":
                    run.wait()
                ticker.say(f"DAG {DAG_ID} ended: {state}")
    except (ServiceError, NotReachedError) as error:
        print(f"\nThe demo failed: {error}\nAll logs are in {HOME / 'logs'}.", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
