"""What the plugin has loaded, and where."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.smoke

#: As a process of Airflow does that was started by this command, before it forks any other.
CODE = """
import gc, json, sys
sys.argv = ["airflow", *sys.argv[1:]]
from airflow.plugins_manager import ensure_plugins_loaded
ensure_plugins_loaded()
print(json.dumps({"modules": list(sys.modules), "withheld": gc.get_freeze_count()}))
"""
NEEDED = {"airflow_provider_kognitos.api.client", "airflow_provider_kognitos.triggers.run"}


def process(home: Path, *command: str, executor: str = "LocalExecutor") -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-c", CODE, *command],
        env={**os.environ, "AIRFLOW_HOME": str(home), "AIRFLOW__CORE__EXECUTOR": executor},
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


def test_a_scheduler_that_forks_its_tasks_has_loaded_what_they_need(tmp_path: Path) -> None:
    scheduler = process(tmp_path, "scheduler")
    assert set(scheduler["modules"]) >= NEEDED
    assert scheduler["withheld"] == 0


def test_a_triggerer_has_loaded_what_triggers_need_and_never_looks_through_it_for_garbage(tmp_path: Path) -> None:
    triggerer = process(tmp_path, "triggerer", executor="CeleryExecutor")
    assert set(triggerer["modules"]) >= NEEDED
    assert triggerer["withheld"] > 10_000


@pytest.mark.parametrize(
    ("command", "executor"),
    [
        (["scheduler"], "CeleryExecutor"),
        (["api-server"], "LocalExecutor"),
        (["celery", "worker"], "CeleryExecutor"),
        (["tasks", "run", "dag", "scheduler"], "KubernetesExecutor"),
        ([], "LocalExecutor"),
    ],
)
def test_no_other_process_loads_more_than_the_plugin(tmp_path: Path, command: list[str], executor: str) -> None:
    other = process(tmp_path, *command, executor=executor)
    assert "airflow_provider_kognitos.plugin" in other["modules"]
    assert NEEDED.isdisjoint(other["modules"])
    assert other["withheld"] == 0
