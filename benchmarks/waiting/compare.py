"""Measure a contender against a service of its own."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.waiting.contenders import SERVICES
from benchmarks.waiting.plan import Plan

ROOT = Path(__file__).parents[2]


def run(name: str, plan: Plan) -> dict[str, Any]:
    """
    Return what a contender took for a plan; see :func:`benchmarks.waiting.measure.measure` for the keys.

    :raises RuntimeError: the service or the contender failed.
    """
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        env = {
            **os.environ,
            "AIRFLOW_HOME": temporary,
            # Some log a line for each look, some do not; what a line costs depends on where Airflow sends it.
            "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR",
            "PYTHONPATH": str(ROOT),
            "PYTHONWARNINGS": "ignore",
        }
        service = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.waiting.server", SERVICES[name], temporary, plan.to_json()],
            cwd=ROOT,
            env=env,
            preexec_fn=_many_files,
        )
        try:
            while not (folder / "port").exists():
                if service.poll() is not None:
                    raise RuntimeError(f"The service of {name} did not start.")
                time.sleep(0.05)
            done = subprocess.run(
                [sys.executable, "-m", "benchmarks.waiting.measure", name, temporary, plan.to_json()],
                cwd=ROOT,
                env=env,
                capture_output=True,
                text=True,
                check=False,
                preexec_fn=_many_files,
            )
        finally:
            service.kill()
            service.wait()
    if done.returncode:
        raise RuntimeError(f"{name} failed:\n{done.stderr[-3000:]}")
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def _many_files() -> None:
    """Let a process have as many connections as the machine allows: some contenders have one for each run."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def main() -> None:
    """Print what the contenders named take, for trying."""
    import argparse

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("contenders", nargs="+", choices=list(SERVICES))
    parser.add_argument("--plan", type=json.loads, default={}, help='such as {"runs": 1000}')
    arguments = parser.parse_args()
    for name in arguments.contenders:
        print(name, json.dumps(run(name, Plan(**{"runs": 100, **arguments.plan}))), flush=True)


if __name__ == "__main__":
    main()
