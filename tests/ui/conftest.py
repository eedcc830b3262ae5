"""Airflow's web UI in a real Chromium, without a window."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By

from sandbox.airflow import USER, LocalAirflow
from sandbox.emulator import LocalEmulator
from sandbox.kognitos import EXAMPLES, connection, create_pool

HERE = Path(__file__).parent
#: Chromium stays away from the network, which it would ask for updates and the like.
OPTIONS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
]
PATIENCE = 30.0
"""Seconds until something has to be on the page."""

Shot = Callable[[str], None]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.ui)


@pytest.fixture(scope="session")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalEmulator]:
    with LocalEmulator(tmp_path_factory.mktemp("emulator")) as emulator:
        yield emulator


@pytest.fixture(scope="session")
def airflow(emulator: LocalEmulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalAirflow]:
    home = tmp_path_factory.mktemp("airflow")
    dags = [EXAMPLES, HERE / "dags"]
    with LocalAirflow(home, dags, connections={"kognitos_default": connection(emulator)}) as airflow:
        create_pool(airflow)
        airflow.api.wait_for_dags("kognitos_invoice", "kognitos_sensor", "ui_on_worker")
        yield airflow


@pytest.fixture(scope="session")
def programs() -> tuple[str, str]:
    """Where Chromium and its driver are."""
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if chromium is None or driver is None:
        missing = "The tests of the web UI need chromium and chromedriver: apt-get install chromium chromium-driver."
        (pytest.fail if os.environ.get("CI") else pytest.skip)(missing)
    return chromium, driver


@pytest.fixture(scope="session")
def browser(
    programs: tuple[str, str], airflow: LocalAirflow, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[webdriver.Chrome]:
    """A browser that is signed in."""
    chromium, driver = programs
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for option in (*OPTIONS, f"--user-data-dir={tmp_path_factory.mktemp('chromium')}", "--window-size=1280,860"):
        options.add_argument(option)
    browser = webdriver.Chrome(options=options, service=Service(driver))
    try:
        browser.implicitly_wait(PATIENCE)
        browser.get(airflow.url)
        browser.find_element(By.NAME, "username").send_keys(USER)
        browser.find_element(By.NAME, "password").send_keys(airflow.password)
        browser.find_element(By.CSS_SELECTOR, "button[type=submit]").click()
        browser.find_element(By.XPATH, "//a[contains(., 'Home')]")
        yield browser
    finally:
        browser.quit()


@pytest.fixture
def shot(browser: webdriver.Chrome) -> Shot:
    """Takes a picture for the documentation, if ``KOGNITOS_SCREENSHOTS`` names a folder for it."""

    def shot(name: str) -> None:
        if folder := os.environ.get("KOGNITOS_SCREENSHOTS"):
            Path(folder).mkdir(parents=True, exist_ok=True)
            browser.save_screenshot(str(Path(folder) / f"{name}.png"))

    return shot
