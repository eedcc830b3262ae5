"""One run for each claim, as many at once as a pool has slots.

Kognitos limits the runs an organization may have at once. A deferred task holds no worker slot, so without a pool all
claims would start their runs together. The pool has to count deferred tasks::

    airflow pools set --include-deferred kognitos 3 "Kognitos runs at once"
"""

from collections import Counter
from datetime import datetime

from airflow.providers.common.compat.sdk import dag, task

from airflow_provider_kognitos.operators.run import KognitosRunOperator


@dag(schedule=None, start_date=datetime(2026, 1, 1), catchup=False, tags=["kognitos"])
def kognitos_mapped():
    @task
    def new_claims():
        return [{"claim": f"C-{number}", "amount": 120 * number} for number in range(1, 7)]

    # [START howto_operator_kognitos_run_mapped]
    triage_claim = KognitosRunOperator.partial(
        task_id="triage_claim",
        process_name="Triage claim",
        deferrable=True,
        pool="kognitos",
    ).expand(inputs=new_claims())
    # [END howto_operator_kognitos_run_mapped]

    @task
    def count_routes(runs):
        return dict(Counter(run["outputs"]["route"] for run in runs))

    count_routes(triage_claim.output)


kognitos_mapped()
