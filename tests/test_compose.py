"""The compose file, as far as it can be held without Docker."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from airflow_provider_kognitos.emulator.scenario import Scenario

ROOT = Path(__file__).parents[1]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yaml").read_text())
SERVICES: dict[str, Any] = COMPOSE["services"]
ONCE = {"secrets", "airflow-init"}
AIRFLOW = [name for name in SERVICES if name.startswith("airflow-")]


@pytest.mark.parametrize("name", sorted(set(SERVICES) - ONCE))
def test_every_service_that_stays_has_a_health_check(name: str) -> None:
    assert SERVICES[name]["healthcheck"]["test"]


def test_there_are_two_workers_and_two_triggerers() -> None:
    assert SERVICES["airflow-worker"]["deploy"]["replicas"] == 2
    assert SERVICES["airflow-triggerer"]["deploy"]["replicas"] == 2


@pytest.mark.parametrize("name", AIRFLOW)
def test_all_of_airflow_shares_its_secrets_and_none_is_written_down(name: str) -> None:
    environment = SERVICES[name]["environment"]
    commands = {key: value for key, value in environment.items() if key.endswith("_CMD")}
    assert commands == {
        f"AIRFLOW__{key}_CMD": f"cat /opt/secrets/{name}"
        for key, name in {
            "CORE__FERNET_KEY": "fernet_key",
            "API__SECRET_KEY": "api_secret_key",
            "API_AUTH__JWT_SECRET": "jwt_secret",
            "DATABASE__SQL_ALCHEMY_CONN": "sql_alchemy_conn",
        }.items()
    }
    secret = re.compile(r"KEY|SECRET|PASSWORD|CONN", re.IGNORECASE)
    literal = {key for key in environment if secret.search(key) and not key.endswith(("_CMD", "_FILE"))}
    assert literal <= {"AIRFLOW__CORE__TEST_CONNECTION"}


def test_nothing_is_published_beyond_loopback() -> None:
    ports = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert len(ports) == 2
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_secrets_are_made_up_once(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root may give a file to another user, as the container does")
    command = [sys.executable, str(ROOT / "compose" / "make_secrets.py"), str(tmp_path)]
    subprocess.run(command, check=True)
    made = {path.name: path.read_text() for path in tmp_path.iterdir()}
    subprocess.run(command, check=True)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == made
    assert len(set(made.values())) == len(made)
    scenario = Scenario.model_validate(json.loads(made["scenario.json"]))
    assert list(scenario.keys) == [made["kognitos_key"]]
