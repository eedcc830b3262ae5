"""DAGs of the end-to-end tests; ``conf`` says which rule of the scenario a run follows."""

from datetime import datetime

from airflow.providers.common.compat.sdk import DAG, task

from airflow_provider_kognitos.operators.run import KognitosRunOperator

with DAG("e2e_outputs", schedule=None, start_date=datetime(2026, 1, 1), catchup=False):
    run = KognitosRunOperator(
        task_id="run",
        process_name="Process invoice",
        inputs={"pace": "{{ dag_run.conf['pace'] }}", "customer": "Contoso Events"},
        deferrable=True,
        poll_interval=1,
        max_poll_interval=2,
    )

    @task
    def use_outputs(result):
        return {"total": result["outputs"]["total"], "of": result["outputs"]["customer"]}

    use_outputs(run.output)

with DAG("e2e_refused", schedule=None, start_date=datetime(2026, 1, 1), catchup=False):
    KognitosRunOperator(task_id="run", process_id="no-such-process", deferrable=True)
