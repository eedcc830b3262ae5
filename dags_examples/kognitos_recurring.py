"""Reconcile payments every morning, with defaults that fit work which costs money and may take long.

Retries are safe: a retry adopts the run that an earlier attempt started for as long as it lives, and starts a new one
only when that one has ended badly. Clearing the task after its success starts a new run.
"""

from datetime import datetime, timedelta

from airflow.providers.common.compat.sdk import DAG

from airflow_provider_kognitos.operators.run import KognitosRunOperator

# [START howto_kognitos_recurring]
with DAG(
    "kognitos_recurring",
    schedule="0 6 * * *",
    start_date=datetime(2026, 1, 1),
    catchup=False,
    # The next day's reconciliation waits for today's.
    max_active_runs=1,
    default_args={
        "retries": 4,
        "retry_delay": timedelta(minutes=1),
        "retry_exponential_backoff": True,
        "max_retry_delay": timedelta(minutes=30),
    },
    tags=["kognitos"],
):
    KognitosRunOperator(
        task_id="reconcile_payments",
        process_name="Reconcile payments",
        inputs={"day": "{{ ds }}"},
        deferrable=True,
        # A reconciliation that has not ended by the evening helps nobody; the run itself goes on in Kognitos.
        timeout=timedelta(hours=12),
    )
# [END howto_kognitos_recurring]
