"""A task that is running all the while its run goes on."""

from datetime import datetime

from airflow.providers.common.compat.sdk import DAG

from airflow_provider_kognitos.operators.run import KognitosRunOperator

with DAG("ui_on_worker", schedule=None, start_date=datetime(2026, 1, 1), catchup=False):
    KognitosRunOperator(
        task_id="run",
        process_name="Process invoice",
        inputs={"customer": "Contoso Events"},
        deferrable=False,
        poll_interval=1,
        max_poll_interval=2,
    )
