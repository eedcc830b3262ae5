"""A person looks at a task and goes to its run."""

from __future__ import annotations

from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By

from sandbox.airflow import LocalAirflow
from sandbox.emulator import LocalEmulator
from sandbox.kognitos import AGENT

from .conftest import Shot

OUTPUTS = {"total": 1280.5, "currency": "EUR", "invoice_number": "2041"}


def link(browser: Chrome) -> str | None:
    return browser.find_element(By.XPATH, "//a[contains(., 'Kognitos run')]").get_attribute("href")


def test_button_leads_to_the_run_from_its_start_to_its_end(
    browser: Chrome, airflow: LocalAirflow, emulator: LocalEmulator, shot: Shot
) -> None:
    rules = [{"steps": [{"status": "Running", "seconds": 3600}], "outputs": OUTPUTS}]
    emulator.control.play({"rules": rules})
    try:
        run = airflow.api.trigger_dag("kognitos_invoice")
        task = run.task("process_invoice")
        task.wait("deferred")
        page = f"{airflow.url}/dags/kognitos_invoice/runs/{run.run_id}/tasks/process_invoice"
        url = task.wait_for_xcom("run_url")

        browser.get(f"{page}/details")
        assert link(browser) == url
        shot("task-deferred")

        browser.get(f"{page}/rendered_templates")
        browser.find_element(By.XPATH, "//*[contains(text(), 'Contoso Events')]")
        assert "demo-key" not in browser.page_source
        shot("rendered-templates")

        (started,) = emulator.runs_of(run.run_id)
        emulator.control.change_run(started["id"], status="Succeeded")
        run.wait("success")
        browser.get(f"{page}/details")
        assert link(browser) == url
        browser.get(f"{airflow.url}/dags/kognitos_invoice/runs/{run.run_id}")
        browser.find_element(By.XPATH, "//*[contains(text(), 'book_invoice')]")
        shot("dag-run")
    finally:
        emulator.control.play({})


def test_button_is_there_while_the_task_is_running(
    browser: Chrome, airflow: LocalAirflow, emulator: LocalEmulator
) -> None:
    emulator.control.play({"rules": [{"steps": [{"status": "Running", "seconds": 3600}], "outputs": OUTPUTS}]})
    try:
        dag_run = airflow.api.trigger_dag("ui_on_worker")
        task = dag_run.task("run")
        task.wait_for_xcom("run_url")
        (started,) = emulator.runs_of(dag_run.run_id)
        browser.get(f"{airflow.url}/dags/ui_on_worker/runs/{dag_run.run_id}/tasks/run/details")
        assert link(browser) == (
            f"https://app.kognitos.com/department/{AGENT}/processes/process-invoice/run/{started['id']}"
        )
        assert task.state == "running"
        emulator.control.change_run(started["id"], status="Succeeded")
        dag_run.wait("success")
    finally:
        emulator.control.play({})


def test_button_is_there_for_a_run_that_is_not_waited_for(
    browser: Chrome, airflow: LocalAirflow, emulator: LocalEmulator
) -> None:
    dag_run = airflow.api.trigger_dag("kognitos_sensor")
    task = dag_run.task("start_run")
    url = task.wait_for_xcom("run_url")
    browser.get(f"{airflow.url}/dags/kognitos_sensor/runs/{dag_run.run_id}/tasks/start_run/details")
    assert link(browser) == url
    dag_run.wait("success")
