"""The storm's DAG: one mapped task for each run that ``conf["runs"]`` asks for."""

from datetime import datetime, timedelta

from airflow.providers.common.compat.sdk import DAG, task

from airflow_provider_kognitos.operators.run import KognitosRunOperator

PATIENT = {"retries": 25, "retry_delay": timedelta(seconds=1)}

with DAG("storm", schedule=None, start_date=datetime(2026, 1, 1), catchup=False, default_args=PATIENT):

    @task
    def ask(dag_run=None):
        """A tenth waits in a worker, a tenth uploads a file first, a tenth knows its process by name only."""
        return [
            {
                "inputs": {"index": index},
                "deferrable": index % 10 != 0,
                "files": [__file__] if index % 10 == 1 else None,
                **({"process_name": "Storm"} if index % 10 == 2 else {"process_id": "storm"}),
            }
            for index in range(dag_run.conf["runs"])
        ]

    KognitosRunOperator.partial(task_id="run", poll_interval=2, max_poll_interval=6).expand_kwargs(ask())
