"""Milliseconds that the import of an operator adds to ``import airflow.sdk``, in fresh processes, by turns."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys

MODULES = {
    "kognitos": "airflow_provider_kognitos.operators.run",
    "databricks": "airflow.providers.databricks.operators.databricks",
    "fivetran": "fivetran_provider_async.operators",
    "dbt": "airflow.providers.dbt.cloud.operators.dbt",
    "airbyte": "airflow.providers.airbyte.operators.airbyte",
}
ROUNDS = 3

_SCRIPT = """
import sys, time
import airflow.sdk
from airflow.sdk import BaseOperator
began = time.perf_counter()
__import__(sys.argv[1])
print((time.perf_counter() - began) * 1e3)
"""


def measure() -> dict[str, float]:
    """Return the median for each provider, milliseconds."""
    took: dict[str, list[float]] = {name: [] for name in MODULES}
    # As installed anywhere: compiled once, by the round before the first.
    env = {**os.environ, "PYTHONDONTWRITEBYTECODE": ""}
    for number in range(ROUNDS + 1):
        for name, module in MODULES.items():
            command = [sys.executable, "-W", "ignore", "-c", _SCRIPT, module]
            done = subprocess.run(command, capture_output=True, text=True, check=True, env=env)
            if number:
                took[name].append(float(done.stdout.splitlines()[-1]))
    return {name: statistics.median(times) for name, times in took.items()}


if __name__ == "__main__":
    for name, milliseconds in measure().items():
        print(f"{name:12} {milliseconds:6.0f} ms")
