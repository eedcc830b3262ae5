"""Some of the tasks that are measured, before anything is: as many of each as the executor has workers."""

from datetime import datetime, timedelta

from airflow.providers.common.compat.sdk import DAG
from airflow.providers.standard.sensors.time_delta import TimeDeltaSensor

from airflow_provider_kognitos.operators.run import KognitosRunOperator

WORKERS = 4

with DAG("warm_up", schedule=None, start_date=datetime(2026, 1, 1), catchup=False):
    TimeDeltaSensor.partial(task_id="floor", deferrable=True).expand(delta=[timedelta(seconds=5)] * WORKERS)
    KognitosRunOperator.partial(task_id="kognitos", process_id="process", deferrable=True, poll_interval=5).expand(
        inputs=[{"warm": True}] * WORKERS
    )
