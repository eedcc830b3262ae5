"""DAGs for answers that say nothing of whether a run was started; ``conf`` as in deaths.py."""

from datetime import datetime, timedelta

from airflow.providers.common.compat.sdk import DAG

from airflow_provider_kognitos.operators.run import KognitosRunOperator
from airflow_provider_kognitos.runs import start

# The half minute in which a run may still appear is waited for in full by the deaths of deaths.py. Here what is looked
# at is how each answer is taken, and the service of these tests answers for good within a second.
start.SETTLE = 5.0


class Run(KognitosRunOperator):
    """Runs on a connection named by the DAG run: each death has an emulator of its own."""

    template_fields = (*KognitosRunOperator.template_fields, "kognitos_conn_id")


for mode, arguments in {
    "sync": {"deferrable": False},
    "deferrable": {"deferrable": True},
    "forgotten": {"wait_for_completion": False},
}.items():
    with DAG(f"deaths_uncertain_{mode}", schedule=None, start_date=datetime(2026, 1, 1), catchup=False) as dag:
        Run(
            task_id="run",
            process_name="Process invoice",
            kognitos_conn_id="{{ dag_run.conf['conn'] }}",
            inputs={"pace": "{{ dag_run.conf['pace'] }}"},
            poll_interval=1,
            max_poll_interval=2,
            retries=1,
            retry_delay=timedelta(seconds=1),
            **arguments,
        )
    globals()[dag.dag_id] = dag
