"""As many mapped tasks as the environment asks for, each of which only waits, deferred."""

import os
from datetime import datetime, timedelta

from airflow.providers.common.compat.sdk import DAG
from airflow.providers.standard.sensors.time_delta import TimeDeltaSensor

TASKS = int(os.environ["BENCHMARK_TASKS"])
#: Long enough for every task to be deferred before the first of them is resumed.
SECONDS = float(os.environ["BENCHMARK_FLOOR_SECONDS"])

with DAG("floor", schedule=None, start_date=datetime(2026, 1, 1), catchup=False):
    TimeDeltaSensor.partial(task_id="run", deferrable=True).expand(delta=[timedelta(seconds=SECONDS)] * TASKS)
