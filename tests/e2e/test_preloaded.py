"""Tasks of a real Airflow, forked from a process that has loaded this provider."""

import pytest

from sandbox.airflow import LocalAirflow


@pytest.mark.smoke
def test_a_task_finds_this_provider_loaded(airflow: LocalAirflow) -> None:
    airflow.api.wait_for_dags("e2e_preloaded")
    dag_run = airflow.api.trigger_dag("e2e_preloaded")
    dag_run.wait("success")
    loaded = dag_run.task("loaded").xcom()
    assert {"airflow_provider_kognitos.api.client", "airflow_provider_kognitos.operators.run"} <= set(loaded)
