"""As many mapped runs as the environment asks for, each waited for in the triggerer."""

import os
from datetime import datetime

from airflow.providers.common.compat.sdk import DAG

from airflow_provider_kognitos.operators.run import KognitosRunOperator

TASKS = int(os.environ["BENCHMARK_TASKS"])

with DAG("kognitos", schedule=None, start_date=datetime(2026, 1, 1), catchup=False):
    KognitosRunOperator.partial(
        task_id="run", process_id="process", deferrable=True, poll_interval=5, max_poll_interval=5
    ).expand(inputs=[{"index": index} for index in range(TASKS)])
