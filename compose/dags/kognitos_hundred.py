"""A hundred runs at once, for what a cluster has to bear."""

from datetime import datetime, timedelta

from airflow.providers.common.compat.sdk import dag

from airflow_provider_kognitos.operators.run import KognitosRunOperator


@dag(schedule=None, start_date=datetime(2026, 1, 1), catchup=False, tags=["kognitos"], max_active_tasks=100)
def kognitos_hundred():
    KognitosRunOperator.partial(
        task_id="triage_claim",
        process_name="Triage claim",
        deferrable=True,
        poll_interval=5,
        retries=5,
        retry_delay=timedelta(seconds=5),
    ).expand(inputs=[{"claim": f"C-{number}", "pace": "long"} for number in range(1, 101)])


kognitos_hundred()
