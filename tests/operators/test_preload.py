"""What is preloaded is all that a task or a trigger of this provider loads."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from airflow_provider_kognitos.emulator.server import RunningEmulator

#: Loads all of it, runs a task in this process, and prints what was loaded only then.
TASK = """
import sys
import airflow_provider_kognitos.preload
from tests.operators.driver import Task
before = set(sys.modules)
from airflow_provider_kognitos.operators.file import KognitosFileUploadOperator
from airflow_provider_kognitos.operators.run import KognitosRunOperator
from airflow_provider_kognitos.sensors.run import KognitosRunSensor
file = {file!r}
result = Task(lambda: {operator}).{how}
print(*(set(sys.modules) - before))
"""
#: What this package is and brings along.
OURS = {"airflow_provider_kognitos", "requests", "urllib3", "charset_normalizer", "tenacity", "asgiref"}
ROOT = Path(__file__).parents[2]
START = "KognitosRunOperator(task_id='task', process_id='invoice', poll_interval=0.2, files=file, {})"


@pytest.mark.parametrize(
    ("operator", "how", "sent"),
    [
        (START.format("deferrable=True"), "attempt(until_deferred=True)", {"createFile", "startRun"}),
        (START.format("deferrable=True, max_poll_interval=0.2"), "attempt()", {"createFile", "startRun", "getRun"}),
        (START.format("deferrable=False"), "attempt()", {"createFile", "startRun", "getRun"}),
        ("KognitosFileUploadOperator(task_id='task', source=file)", "attempt()", {"createFile"}),
        ("KognitosRunSensor(task_id='task', run_id=sys.argv[1], poke_interval=0.2)", "attempt()", {"getRun"}),
    ],
)
def test_a_task_loads_nothing_more(
    emulator: RunningEmulator, tmp_path: Path, operator: str, how: str, sent: set[str]
) -> None:
    file = tmp_path / "invoice.txt"
    file.write_text("three coffees")
    code = TASK.format(file=str(file), operator=operator, how=how)

    (run,) = emulator.control.add_runs([{"process_id": "invoice", "status": None}])

    done = subprocess.run(
        [sys.executable, "-c", code, run["id"]], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr
    assert set(emulator.control.stats()["requests"]) >= sent
    late = done.stdout.splitlines()[-1].split()
    assert [name for name in late if name.partition(".")[0] in OURS] == []


def test_a_task_that_renders_templates_makes_no_lexer() -> None:
    code = """
import airflow_provider_kognitos.preload
import jinja2.lexer
del jinja2.lexer.Lexer
from datetime import datetime
from airflow.providers.common.compat.sdk import DAG
print(DAG("dag", schedule=None, start_date=datetime(2026, 1, 1)).get_template_env().from_string("{{ 1 + 1 }}").render())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split()[-1] == "2"


@pytest.mark.smoke
def test_it_can_be_imported_where_airflow_reads_its_local_settings(tmp_path: Path) -> None:
    settings = tmp_path / "config" / "airflow_local_settings.py"
    settings.parent.mkdir()
    settings.write_text("import airflow_provider_kognitos.preload\n")
    code = "import airflow.settings, sys; airflow.settings.initialize(); print('loaded:', *sys.modules)"

    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "AIRFLOW_HOME": str(tmp_path)},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    loaded = set(done.stdout.partition("loaded:")[2].split())
    assert loaded >= {"airflow_provider_kognitos.operators.run", "airflow_provider_kognitos.api.client", "requests"}
