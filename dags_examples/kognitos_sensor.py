"""Start a run, do something else meanwhile, and wait for the run where its outputs are needed.

The sensor also waits for runs that something outside of Airflow has started: it needs the run's id only.
"""

from datetime import datetime, timedelta

from airflow.providers.common.compat.sdk import dag, task

from airflow_provider_kognitos.operators.run import KognitosRunOperator
from airflow_provider_kognitos.sensors.run import KognitosRunSensor


@dag(schedule=None, start_date=datetime(2026, 1, 1), catchup=False, tags=["kognitos"])
def kognitos_sensor():
    # [START howto_operator_kognitos_run_no_wait]
    start_run = KognitosRunOperator(
        task_id="start_run",
        process_name="Process invoice",
        inputs={"invoice_number": "2042", "customer": "Contoso Events"},
        wait_for_completion=False,
    )
    # [END howto_operator_kognitos_run_no_wait]

    # [START howto_sensor_kognitos_run]
    wait_for_run = KognitosRunSensor(
        task_id="wait_for_run",
        run_id=start_run.output["run_id"],
        deferrable=True,
        timeout=timedelta(days=3).total_seconds(),
    )
    # [END howto_sensor_kognitos_run]

    @task
    def look_up_order():
        return "PO-7719"

    @task
    def compare(order, run):
        print(f"{order}: the invoice says {run['outputs']['total']}")
        return run["outputs"]["total"]

    compare(look_up_order(), wait_for_run.output)


kognitos_sensor()
