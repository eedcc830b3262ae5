"""DAGs whose tasks are killed, cleared and marked in the middle of things; ``conf`` says what a run is given."""

import os
import signal
from datetime import datetime, timedelta
from pathlib import Path

from airflow.providers.common.compat.sdk import DAG, task

from airflow_provider_kognitos.operators.run import KognitosRunOperator
from airflow_provider_kognitos.runs.record import RunRecord, RunStore

INPUTS = {
    "pace": "{{ dag_run.conf.get('pace', 'held') }}",
    "customer": "{{ var.value.get('e2e_customer', 'Contoso') }}",
}
ARGUMENTS = {
    "task_id": "run",
    "process_name": "Process invoice",
    "poll_interval": 0.5,
    "max_poll_interval": 1,
    "retries": 2,
    "retry_delay": timedelta(seconds=1),
}


def kills(name, operator=KognitosRunOperator, **arguments):
    """A DAG of one task."""
    with DAG(f"e2e_kills_{name}", schedule=None, start_date=datetime(2026, 1, 1), catchup=False) as dag:
        operator(**{"inputs": INPUTS, **ARGUMENTS, **arguments})
    return dag


class DiesOnceStarted(KognitosRunOperator):
    """Is killed, in its first attempt, with the answer to its start request read and nothing of it stored."""

    def execute(self, context):
        def die(record: RunRecord, save=RunStore.save):
            if record.run_id is not None and context["ti"].try_number == 1:
                os.kill(os.getpid(), signal.SIGKILL)
            return save(store, record)

        store = RunStore(context)
        RunStore.save = lambda self, record: die(record)
        return super().execute(context)


class HardlyPatient(KognitosRunOperator):
    """Has Airflow time its deferral out soon after its own deadline."""

    def defer(self, *, timeout=None, **kwargs):
        super().defer(timeout=timedelta(seconds=6), **kwargs)


sync = kills("sync", deferrable=False)
deferrable = kills("deferrable", deferrable=True)
forgotten = kills("forgotten", wait_for_completion=False)
started = kills("started", DiesOnceStarted, deferrable=True)
timeout = kills("timeout", deferrable=True, timeout=5, retry_delay=timedelta(seconds=3))
execution_timeout = kills("execution_timeout", deferrable=True, execution_timeout=timedelta(seconds=8))
sync_execution_timeout = kills("sync_execution_timeout", deferrable=False, execution_timeout=timedelta(seconds=8))
deferral = kills("deferral", HardlyPatient, deferrable=True)
plain = kills("plain", deferrable=False, reattach=False)
files = kills(
    "files",
    deferrable=True,
    files=[str(Path(__file__)), "{{ dag_run.conf['second'] }}"],
)

with DAG("e2e_kills_mapped", schedule=None, start_date=datetime(2026, 1, 1), catchup=False) as mapped:

    @task
    def customers():
        return [{"pace": "held", "customer": name} for name in ("a", "b", "c")]

    KognitosRunOperator.partial(deferrable=False, **ARGUMENTS).expand(inputs=customers())
