"""A person adds a connection in the web UI."""

from __future__ import annotations

import json

import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement

from sandbox.airflow import LocalAirflow

from .conftest import Shot

DIALOG = "//*[@role='dialog']"
KEY = "a-key-of-nobody"
FURTHER = {
    "web_url": "https://ui.example.com/kognitos",
    "timeout": 12.5,
    "requests_per_minute": 90,
    "deployment": "blue & green",
    "verify": "/etc/ssl/example.pem",
}


def choose(box: WebElement, option: str) -> None:
    box.send_keys(option)
    box.send_keys(Keys.ENTER)


def test_form_shows_and_saves_what_a_connection_has(browser: Chrome, airflow: LocalAirflow, shot: Shot) -> None:
    browser.get(f"{airflow.url}/connections")
    browser.find_element(By.XPATH, "//button[contains(., 'Add Connection')]").click()
    browser.find_element(By.NAME, "connection_id").send_keys("kognitos_eu")
    choose(browser.find_element(By.XPATH, f"{DIALOG}//input[@role='combobox']"), "Kognitos")
    key = browser.find_element(By.XPATH, f"{DIALOG}//input[@name='password']")
    assert key.get_attribute("type") == "password"
    dialog = browser.find_element(By.XPATH, DIALOG)
    assert "API key" in dialog.text
    assert "API base URL" in dialog.text
    assert browser.execute_script("return document.querySelector('[role=dialog] input[name=login]')") is None
    key.send_keys(KEY)

    browser.find_element(By.XPATH, f"{DIALOG}//button[normalize-space() = 'Extra Fields']").click()
    region = browser.find_element(By.XPATH, f"{DIALOG}//input[@name='element_region']/..//input[@role='combobox']")
    region.send_keys(Keys.ARROW_DOWN)
    options = browser.find_elements(By.XPATH, "//*[@role='option']")
    assert [option.text for option in options] == ["us", "eu", "uk"]
    choose(region, "eu")
    browser.find_element(By.NAME, "element_agent_id").send_keys("an-agent")
    shot("connection-form")
    for name, value in FURTHER.items():
        box = browser.find_element(By.NAME, f"element_{name}")
        box.send_keys(Keys.CONTROL, "a")
        box.send_keys(str(value))

    browser.find_element(By.XPATH, f"{DIALOG}//button[contains(., 'Save')]").click()
    airflow.api.wait_until(lambda: bool(saved(airflow)), "the connection to be saved", 30)
    connection = saved(airflow)
    assert connection["conn_type"] == "kognitos"
    assert json.loads(connection["extra"]) == {"region": "eu", "agent_id": "an-agent", **FURTHER}
    assert KEY not in json.dumps(connection)
    (whole,) = json.loads(airflow.cli("connections", "get", "kognitos_eu", "--output", "json").splitlines()[-1])
    assert whole["password"] == KEY


def saved(airflow: LocalAirflow) -> dict[str, str]:
    connections = airflow.api.call("GET", "/connections")["connections"]
    return next((each for each in connections if each["connection_id"] == "kognitos_eu"), {})


def test_providers_page_lists_the_package(browser: Chrome, airflow: LocalAirflow, shot: Shot) -> None:
    browser.get(f"{airflow.url}/providers")
    row = browser.find_element(By.XPATH, "//tr[contains(., 'airflow-provider-kognitos')]")
    assert "Business processes in plain English" in row.text
    shot("providers")


@pytest.mark.parametrize("page", ["connections", "providers"])
def test_pages_show_no_key(browser: Chrome, airflow: LocalAirflow, page: str) -> None:
    browser.get(f"{airflow.url}/{page}")
    browser.find_element(By.XPATH, "//table//tr")
    assert KEY not in browser.page_source
    assert "demo-key" not in browser.page_source
