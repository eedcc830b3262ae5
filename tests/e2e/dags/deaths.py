"""DAGs whose tasks die in every way; ``conf`` says on which connection (``conn``) and how its run goes (``pace``)."""

import os
import signal
from datetime import datetime, timedelta
from pathlib import Path

from airflow.providers.common.compat.sdk import DAG

from airflow_provider_kognitos.operators.run import KognitosRunOperator

MODES = {
    "sync": {"deferrable": False},
    "deferrable": {"deferrable": True},
    "forgotten": {"wait_for_completion": False},
}
ARGUMENTS = {
    "task_id": "run",
    "process_name": "Process invoice",
    "kognitos_conn_id": "{{ dag_run.conf['conn'] }}",
    "poll_interval": 1,
    "max_poll_interval": 2,
    "retries": 5,
    "retry_delay": timedelta(seconds=1),
}
INPUTS = {"pace": "{{ dag_run.conf['pace'] }}", "customer": "Contoso"}
CHANGING = {**INPUTS, "customer": "{{ var.value.get('customer_of_' ~ dag_run.run_id, 'Contoso') }}"}
FILES = [__file__, str(Path(__file__).with_name("main_path.py"))]


class Run(KognitosRunOperator):
    """Runs on a connection named by the DAG run: each death has an emulator of its own."""

    template_fields = (*KognitosRunOperator.template_fields, "kognitos_conn_id")


class DiesUnstored(Run):
    """Is killed, in its first attempt, with the answer to its start request read and nothing of it stored."""

    def _starter(self, context, record=None):
        starter = super()._starter(context, record)
        if context["ti"].try_number == 1:
            starter._remember_run = lambda own: os.kill(os.getpid(), signal.SIGKILL)
        return starter


class DiesFinishing(Run):
    """Is killed, in the attempt that ``conf['dies_in']`` names, when it resumes with a run that has ended."""

    def execute_complete(self, context, event=None):
        if context["ti"].try_number == context["dag_run"].conf["dies_in"]:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().execute_complete(context, event)


class HardlyPatient(Run):
    """Has Airflow time its deferral out, as if the triggerer had not come to it."""

    def defer(self, *, timeout=None, **kwargs):
        super().defer(timeout=timedelta(seconds=6), **kwargs)


def death(name, operator=Run, modes=MODES, **arguments):
    """A DAG of one task for each way to wait."""
    for mode in modes:
        with DAG(f"deaths_{name}_{mode}", schedule=None, start_date=datetime(2026, 1, 1), catchup=False) as dag:
            operator(**{"inputs": INPUTS, **ARGUMENTS, **MODES[mode], **arguments})
        globals()[dag.dag_id] = dag


def mapped(name, modes, pace, count, **arguments):
    """A DAG of one mapped task for each way to wait."""
    for mode in modes:
        with DAG(f"deaths_{name}_{mode}", schedule=None, start_date=datetime(2026, 1, 1), catchup=False) as dag:
            Run.partial(**{**ARGUMENTS, **MODES[mode], **arguments}).expand(
                inputs=[{"pace": pace, "index": index} for index in range(count)]
            )
        globals()[dag.dag_id] = dag


WAITING = ("sync", "deferrable")

death("run")
death("once", modes=WAITING, retries=0)
death("twice", modes=WAITING, retries=1)
death("changing", modes=WAITING, inputs=CHANGING)
death("unstored", DiesUnstored)
death("finishing", DiesFinishing, modes=("deferrable",))
death("timeout", modes=WAITING, timeout=5)
death("execution_timeout", modes=WAITING, execution_timeout=timedelta(seconds=10))
death("deferral", HardlyPatient, modes=("deferrable",))
death("alone", modes=WAITING, reattach=False)
death("files", modes=WAITING, files=FILES)
mapped("mapped", WAITING, "held", 3)
mapped("capacity", WAITING, "quick", 4, files=[__file__])
