"""Every example DAG is read without a warning and runs to success."""

import subprocess
import sys
from collections.abc import Mapping

import pytest

from sandbox.airflow import LocalAirflow
from sandbox.dag_run import DagRun
from sandbox.emulator import LocalEmulator
from sandbox.kognitos import EXAMPLES
from sandbox.service import base_environment

FILES = sorted(path.name for path in EXAMPLES.glob("*.py"))
#: The DAGs that are started by hand; an asset and the clock start the others.
TRIGGERED = (
    "kognitos_invoice",
    "kognitos_attention",
    "kognitos_chain_reconcile",
    "kognitos_mapped",
    "kognitos_sensor",
    "kognitos_taskflow",
)

#: Older versions of Airflow warn of themselves when they are first imported.
READ = """
import runpy, sys, warnings
import airflow.triggers.base
from airflow.providers.common.compat.sdk import DAG, Asset, BaseOperator, BaseSensorOperator, dag, task
warnings.simplefilter("error")
runpy.run_path(sys.argv[1])
"""


@pytest.mark.parametrize("name", FILES)
def test_file_is_read_without_a_warning(name: str, airflow: LocalAirflow) -> None:
    done = subprocess.run(
        [sys.executable, "-P", "-c", READ, str(EXAMPLES / name)],
        env={**base_environment(), "AIRFLOW_HOME": str(airflow.home)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def runs(airflow: LocalAirflow) -> Mapping[str, DagRun]:
    """A run of each example, all going on at once."""
    airflow.api.wait_for_dags(*TRIGGERED, "kognitos_chain_close", "kognitos_recurring")
    for dag_id in ("kognitos_chain_close", "kognitos_recurring"):
        airflow.api.unpause(dag_id)
    return {dag_id: airflow.api.trigger_dag(dag_id) for dag_id in TRIGGERED}


def first_run(airflow: LocalAirflow, dag_id: str) -> DagRun:
    airflow.api.wait_until(lambda: bool(airflow.api.dag_runs(dag_id)), f"a run of {dag_id}", timeout=60)
    return airflow.api.dag_runs(dag_id)[0]


def test_invoice(runs: Mapping[str, DagRun], emulator: LocalEmulator) -> None:
    run = runs["kognitos_invoice"]
    run.wait()
    result = run.task("process_invoice").xcom()
    assert result["outputs"] == {
        "invoice_number": "2041",
        "customer": "Contoso Events",
        "total": 1280.5,
        "currency": "EUR",
        "files": 1,
    }
    assert result["file_ids"] == [run.task("upload_invoice").xcom()]
    assert run.task("book_invoice").xcom() == 1280.5
    uploaded = next(file for file in emulator.control.uploads() if file["id"] == result["file_ids"][0])
    assert uploaded["bytes"] == (EXAMPLES / "data" / "invoice-2041.txt").stat().st_size


def test_attention_is_asked_for_by_nobody_if_the_run_is_quick(runs: Mapping[str, DagRun]) -> None:
    run = runs["kognitos_attention"]
    run.wait()
    assert run.task("pay").xcom() == run.task("process_invoice").xcom()["outputs"]["total"]
    assert "Does it wait for you?" not in run.task("process_invoice").log()


def test_chain(runs: Mapping[str, DagRun], airflow: LocalAirflow) -> None:
    runs["kognitos_chain_reconcile"].wait()
    downstream = first_run(airflow, "kognitos_chain_close")
    downstream.wait()
    assert downstream.task("close_books").state == "success"


def test_mapped_runs_keep_within_the_pool(runs: Mapping[str, DagRun], emulator: LocalEmulator) -> None:
    run = runs["kognitos_mapped"]
    run.wait(timeout=180)
    assert run.task("count_routes").xcom() == {"fast track": 6}
    claims = [run.task("triage_claim", index).xcom()["outputs"]["claim"] for index in range(6)]
    assert claims == [f"C-{number}" for number in range(1, 7)]
    lives = [(each["created_at"], each["ends_at"]) for each in emulator.runs_of(run.run_id)]
    assert len(lives) == 6
    for start, _ in lives:
        assert sum(begin <= start < end for begin, end in lives) <= 3


def test_sensor(runs: Mapping[str, DagRun]) -> None:
    run = runs["kognitos_sensor"]
    run.wait()
    assert run.task("start_run").xcom()["outputs"] == {}
    assert run.task("wait_for_run").xcom()["run_id"] == run.task("start_run").xcom("run_id")
    assert run.task("compare").xcom() == 1280.5


def test_taskflow(runs: Mapping[str, DagRun]) -> None:
    run = runs["kognitos_taskflow"]
    run.wait()
    counts = run.task("count_by_status").xcom()
    assert sum(counts.values()) >= 1


def test_recurring_is_started_by_its_schedule(runs: Mapping[str, DagRun], airflow: LocalAirflow) -> None:
    run = first_run(airflow, "kognitos_recurring")
    run.wait()
    assert run.details()["run_type"] == "scheduled"
    day = run.details()["logical_date"][:10]
    assert run.task("reconcile_payments").xcom()["outputs"] == {"day": day, "matched": 118, "open": 2}
