"""The supported versions of Airflow, each in a virtual environment of its own: ``nox --list``."""

from __future__ import annotations

import sys
from pathlib import Path

import nox

#: Each has pins under constraints/. Older first: what they lack is told soonest.
AIRFLOW = ("2.11.2", "3.1.8", "3.2.2", "3.3.2")
REPORTS = Path("build")

nox.needs_version = ">=2025.2.9"
nox.options.reuse_existing_virtualenvs = True
nox.options.sessions = ["tests"]


def install(session: nox.Session, airflow: str, extras: str = "dev") -> None:
    """Install this project with the pins of an Airflow."""
    session.run("python", "constraints/install.py", "--airflow", airflow, extras)


@nox.session
@nox.parametrize("airflow", AIRFLOW, ids=AIRFLOW)
def tests(session: nox.Session, airflow: str) -> None:
    """Unit and end-to-end tests."""
    install(session, airflow)
    session.run("pytest", "-m", "not ui", *session.posargs)


@nox.session
@nox.parametrize("airflow", AIRFLOW[:-1], ids=AIRFLOW[:-1])
def smoke(session: nox.Session, airflow: str) -> None:
    """Provider info, DAG files, a deferred run and a retry in a real Airflow, where time is too short for all."""
    install(session, airflow)
    session.run("pytest", "-m", "smoke", *session.posargs)


@nox.session
def lineage(session: nox.Session) -> None:
    """What runs tell OpenLineage, beside its provider; elsewhere this is left out, as it is for most users."""
    install(session, AIRFLOW[-1], "dev,openlineage")
    session.run("python", "-c", "import airflow.providers.openlineage")
    session.run("pytest", "tests/lineage", *session.posargs)


@nox.session
@nox.parametrize("airflow", AIRFLOW, ids=AIRFLOW)
def deaths(session: nox.Session, airflow: str) -> None:
    """Every death of the README's table, really died; how each ended goes to a report."""
    install(session, airflow)
    report = REPORTS / "deaths" / f"airflow-{airflow}.xml"
    session.run("pytest", "tests/e2e/deaths", f"--junitxml={report}", *session.posargs, success_codes=[0, 1])


@nox.session(venv_backend="none")
def deaths_table(session: nox.Session) -> None:
    """How every death ended on each Airflow, as the reports have it."""
    reports = map(str, sorted((REPORTS / "deaths").glob("*.xml")))
    session.run(sys.executable, "-m", "tests.e2e.deaths.table", "--page", "docs/deaths.md", *reports, external=True)
