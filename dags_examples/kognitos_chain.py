"""Chain a Kognitos run with other pipelines by an asset: a run reconciles the ledger, another DAG closes the books.

The downstream DAG knows neither Kognitos nor the DAG before it, only the asset.
"""

from datetime import datetime

from airflow.providers.common.compat.sdk import DAG, Asset, task

from airflow_provider_kognitos.operators.run import KognitosRunOperator

# [START howto_kognitos_chain]
reconciled_ledger = Asset("reconciled_ledger")

with DAG("kognitos_chain_reconcile", schedule=None, start_date=datetime(2026, 1, 1), catchup=False, tags=["kognitos"]):
    KognitosRunOperator(
        task_id="reconcile_payments",
        process_name="Reconcile payments",
        inputs={"day": "2026-03-31"},
        deferrable=True,
        # Updated only when the run has succeeded.
        outlets=[reconciled_ledger],
    )

with DAG(
    "kognitos_chain_close",
    schedule=[reconciled_ledger],
    start_date=datetime(2026, 1, 1),
    catchup=False,
    tags=["kognitos"],
):

    @task
    def close_books():
        print("The ledger is reconciled: closing the books")

    close_books()
# [END howto_kognitos_chain]
