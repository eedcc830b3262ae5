"""A DAG starts a run, waits for it without a worker slot, and uses its outputs: in a real Airflow, over its REST."""

import re
import time
from datetime import datetime

import pytest

from sandbox.airflow import LocalAirflow
from sandbox.emulator import LocalEmulator

from .conftest import end, files_with

pytestmark = pytest.mark.smoke
LINK = "Kognitos run"


def test_dag_processor_reads_every_dag_without_an_error(airflow: LocalAirflow) -> None:
    airflow.api.wait_for_dags("e2e_outputs", "e2e_refused", "kognitos_invoice", "kognitos_mapped")
    assert airflow.api.import_errors() == {}


def test_worker_slot_is_given_back_while_the_run_goes_on(airflow: LocalAirflow, emulator: LocalEmulator) -> None:
    airflow.api.wait_for_dags("e2e_outputs")
    dag_run = airflow.api.trigger_dag("e2e_outputs", conf={"pace": "held"})
    task = dag_run.task("run")

    details = task.wait("deferred")
    started = emulator.runs_of(dag_run.run_id)
    assert [run["status"] for run in started] in (["Pending"], ["Running"])
    assert details["trigger"]["classpath"] == "airflow_provider_kognitos.triggers.run.KognitosRunTrigger"
    assert airflow.api.call("GET", "/pools/default_pool")["running_slots"] == 0
    run_id = started[0]["id"]
    run_url = task.wait_for_xcom("run_url")
    assert task.xcom("run_id") == run_id
    assert run_url.startswith("https://app.kognitos.com/")
    assert run_url.endswith(f"/run/{run_id}")
    assert task.extra_links() == {LINK: run_url}

    end(emulator, run_id)
    dag_run.wait("success")
    result = task.xcom()
    assert result == {
        "run_id": run_id,
        "name": started[0]["name"],
        "status": "Succeeded",
        "process_id": "process-invoice",
        "agent_id": "demo-agent",
        "stage": "Published",
        "created_at": result["created_at"],
        "file_ids": [],
        "outputs": {
            "invoice_number": None,
            "customer": "Contoso Events",
            "total": 1280.5,
            "currency": "EUR",
            "files": 0,
        },
        "url": run_url,
    }
    assert datetime.fromisoformat(result["created_at"]).timestamp() == pytest.approx(started[0]["created_at"], abs=1e-3)
    assert task.extra_links() == {LINK: run_url}
    assert dag_run.task("use_outputs").xcom() == {"total": 1280.5, "of": "Contoso Events"}
    assert len(emulator.runs_of(dag_run.run_id)) == 1
    # What the triggerer has seen of the run gets into the log of its task, whenever the triggerer comes to write it.
    told = re.compile(rf"Kognitos run {run_id} is Succeeded after \d+ s \(was (Pending|Running)\)")
    airflow.api.wait_until(lambda: told.search(task.log()) is not None, f"{told.pattern!r} in the log", 30)


def test_service_away_for_twenty_seconds_fails_nothing_and_starts_nothing(
    airflow: LocalAirflow, emulator: LocalEmulator
) -> None:
    airflow.api.wait_for_dags("e2e_outputs")
    dag_run = airflow.api.trigger_dag("e2e_outputs", conf={"pace": "held"})
    task = dag_run.task("run")
    task.wait("deferred")
    run_id = task.wait_for_xcom("run_id")

    emulator.kill()
    time.sleep(20)
    assert task.state == "deferred"
    emulator.start()
    end(emulator, run_id)

    dag_run.wait("success")
    assert task.xcom()["run_id"] == run_id
    assert [run["id"] for run in emulator.runs_of(dag_run.run_id)] == [run_id]


def test_key_is_in_no_log_no_xcom_no_template_no_database(airflow: LocalAirflow, key: str) -> None:
    airflow.api.wait_for_dags("e2e_outputs", "e2e_refused")
    finished = airflow.api.trigger_dag("e2e_outputs", conf={"pace": "quick"})
    refused = airflow.api.trigger_dag("e2e_refused")
    finished.wait("success")
    refused.wait("failed")

    run_id = finished.task("run").xcom("run_id")
    # The search sees what is there: the run's id is in the database, or the write-ahead log beside it, and in a log.
    found = {path.name.partition("-")[0] for path in files_with(airflow.home, run_id)}
    assert found >= {"airflow.db", "attempt=1.log"}
    assert files_with(airflow.home, key) == []
    assert refused.task("run").log()
    assert key not in refused.task("run").log()
    assert key not in str(finished.task("run").rendered_fields())
