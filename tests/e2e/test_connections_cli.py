"""Connections by the ``airflow`` command and by variables: each way of writing one is read alike, and can be tested."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pytest

from airflow_provider_kognitos.hooks.connection import ConnectionSettings
from sandbox.airflow import LocalAirflow
from sandbox.emulator import LocalEmulator
from sandbox.kognitos import AGENT
from sandbox.service import free_port
from tests.api.service import KEY as HOSTILE_KEY

from .regions import Regions, regions, through

CONN_ID = "kognitos_default"
VARIABLE = "AIRFLOW_CONN_KOGNITOS_DEFAULT"
#: Before, Airflow ended with 0 when the test of a connection had failed.
REFUSED = 1 if tuple(map(int, version("apache-airflow").split(".")[:2])) >= (3, 3) else 0

HOST = "https://kognitos.example.com:8443"
EXTRA = {
    "region": "eu",
    "agent_id": "9k2tdm8z6pwry9n4hc3vfqe27",
    "web_url": "https://ui.example.com/kognitos",
    "timeout": 12.5,
    "requests_per_minute": 90,
    "deployment": "blue & green",
    "verify": "/etc/ssl/example.pem",
}
JSON = {"conn_type": "kognitos", "password": HOSTILE_KEY, "host": HOST, "extra": EXTRA}
URI = f"kognitos://:{quote(HOSTILE_KEY, safe='')}@{quote(HOST, safe='')}/?{urlencode(EXTRA)}"
FLAGS = [
    *("--conn-type", "kognitos"),
    *("--conn-password", HOSTILE_KEY),
    *("--conn-host", HOST),
    *("--conn-extra", json.dumps(EXTRA)),
]
SETTINGS = ConnectionSettings(
    conn_id=CONN_ID,
    base_url=HOST,
    api_key=HOSTILE_KEY,
    region="eu",
    custom_host=True,
    agent_id="9k2tdm8z6pwry9n4hc3vfqe27",
    web_url="https://ui.example.com/kognitos",
    timeout=12.5,
    requests_per_minute=90,
    deployment="blue & green",
    verify="/etc/ssl/example.pem",
)

READ = f"""
import dataclasses, json
from airflow_provider_kognitos.hooks.kognitos import KognitosHook
print(json.dumps(dataclasses.asdict(KognitosHook({CONN_ID!r}).settings)))
"""


class Machine:
    """An Airflow of which nothing runs but commands."""

    def __init__(self, home: Path) -> None:
        home.mkdir(parents=True)
        self._airflow = LocalAirflow(home, [], settings={"core.test_connection": "Enabled"})
        self._airflow.cli("db", "migrate")

    def airflow(self, *arguments: str, env: Mapping[str, str] | None = None) -> tuple[int, str]:
        """Run ``airflow`` and return its exit code and all that it said, on one line."""
        done = self._python("-m", "airflow", *arguments, env=env)
        return done.returncode, " ".join(f"{done.stdout} {done.stderr}".split())

    def settings(self, env: Mapping[str, str] | None = None) -> dict[str, Any]:
        """What the hook reads."""
        # Outside of a task, only a process that calls itself a server reads connections from the database.
        done = self._python("-c", READ, env={"_AIRFLOW_PROCESS_CONTEXT": "server", **(env or {})})
        assert done.returncode == 0, done.stderr
        settings: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return settings

    def _python(self, *arguments: str, env: Mapping[str, str] | None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-P", *arguments],
            env={**self._airflow.env, **(env or {})},
            cwd=self._airflow.home,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Machine:
    return Machine(tmp_path_factory.mktemp("machine") / "airflow")


@pytest.fixture(scope="module")
def world(key: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Regions]:
    """All regions; the key is one of the EU."""
    with regions(tmp_path_factory.mktemp("regions"), {"eu": key}) as world:
        yield world


@pytest.mark.parametrize(
    "written",
    [
        pytest.param(FLAGS, id="flags"),
        pytest.param(["--conn-uri", URI], id="uri"),
        pytest.param(["--conn-json", json.dumps(JSON)], id="json"),
    ],
)
def test_each_way_of_adding_is_read_alike_and_survives_an_export(
    machine: Machine, tmp_path: Path, written: list[str]
) -> None:
    try:
        code, said = machine.airflow("connections", "add", CONN_ID, *written)
        assert code == 0, said
        assert not shows(HOSTILE_KEY, said)
        assert machine.settings() == asdict(SETTINGS)

        exported = tmp_path / "connections.env"
        assert machine.airflow("connections", "export", "--file-format", "env", str(exported))[0] == 0
    finally:
        machine.airflow("connections", "delete", CONN_ID)
    conn_id, _, uri = exported.read_text().strip().partition("=")
    assert conn_id == CONN_ID
    assert machine.settings({VARIABLE: uri}) == asdict(SETTINGS)


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(json.dumps(JSON), id="json"),
        pytest.param(json.dumps({**JSON, "extra": json.dumps(EXTRA)}), id="json with extra as text"),
        pytest.param(URI, id="uri"),
    ],
)
def test_each_kind_of_variable_is_read_alike(machine: Machine, value: str) -> None:
    assert machine.settings({VARIABLE: value}) == asdict(SETTINGS)


def shows(key: str, said: str) -> bool:
    """Whether a key can be read there, over the ends of lines too."""
    return key in "".join(said.split())


def connection(key: str, *, host: str | None = None, **extra: str) -> str:
    return json.dumps({"conn_type": "kognitos", "password": key, "host": host, "extra": extra})


def test_good_key(machine: Machine, emulator: LocalEmulator, key: str) -> None:
    for extra in ({"agent_id": AGENT}, {}):
        env = {VARIABLE: connection(key, host=emulator.url, **extra)}
        code, said = machine.airflow("connections", "test", CONN_ID, env=env)
        assert (code, "Connection success!" in said) == (0, True), said
        assert not shows(key, said)


@pytest.mark.parametrize("extra", [{"agent_id": AGENT}, {}], ids=["agent", "no agent"])
def test_bad_key(machine: Machine, emulator: LocalEmulator, key: str, extra: dict[str, str]) -> None:
    wrong = key[::-1]
    env = {VARIABLE: connection(wrong, host=emulator.url, **extra)}
    code, said = machine.airflow("connections", "test", CONN_ID, env=env)
    assert code == REFUSED
    agent = extra.get("agent_id", "not set")
    assert f"Kognitos at {emulator.url}, agent {agent}: the API key was refused." in said
    assert "Check the API key of the connection: it may be wrong or revoked" in said
    assert not shows(wrong, said)


def test_agent_that_is_not_there(machine: Machine, emulator: LocalEmulator, key: str) -> None:
    env = {VARIABLE: connection(key, host=emulator.url, agent_id="nobody")}
    code, said = machine.airflow("connections", "test", CONN_ID, env=env)
    assert code == REFUSED
    assert f"Kognitos at {emulator.url}, agent nobody: the agent was not found there." in said
    assert "Check the ids, the agent, and the region of the connection" in said
    assert not shows(key, said)


def test_key_of_another_region(machine: Machine, world: Regions, key: str) -> None:
    told: dict[str, tuple[int, str]] = {}
    for region in ("us", "eu"):
        env = {VARIABLE: connection(key, agent_id=AGENT, region=region, verify=str(world.ca)), **world.env}
        told[region] = machine.airflow("connections", "test", CONN_ID, env=env)

    code, said = told["us"]
    assert code == REFUSED
    assert f"Kognitos at region us (https://rest-api.app.kognitos.com), agent {AGENT}: the API key was refused." in said
    assert "if this one was made in eu or uk, set extra region to that." in said
    assert not shows(key, said)
    # The advice heeded.
    assert told["eu"][0] == 0
    assert "Connection success!" in told["eu"][1]


def test_region_that_there_is_not(machine: Machine, key: str) -> None:
    code, said = machine.airflow("connections", "test", CONN_ID, env={VARIABLE: connection(key, region="mars")})
    assert code == REFUSED
    assert f"Connection '{CONN_ID}': extra region must be one of us, eu, uk, not 'mars'." in said
    assert not shows(key, said)


def test_nothing_listens(machine: Machine, key: str) -> None:
    host = f"http://127.0.0.1:{free_port()}"
    env = {VARIABLE: connection(key, host=host, agent_id=AGENT)}
    code, said = machine.airflow("connections", "test", CONN_ID, env=env)
    assert code == REFUSED
    assert f"Kognitos at {host}, agent {AGENT}: no answer. GET {host}/v2/health" in said
    assert "Connection refused" in said
    assert "Check the region or host of the connection, and that this machine may reach it." in said
    assert not shows(key, said)


def test_no_way_out(machine: Machine, key: str) -> None:
    env = {VARIABLE: connection(key, agent_id=AGENT, region="uk"), **through(f"http://127.0.0.1:{free_port()}")}
    code, said = machine.airflow("connections", "test", CONN_ID, env=env)
    assert code == REFUSED
    assert f"Kognitos at region uk (https://rest-api.uk.kognitos.com), agent {AGENT}: no answer." in said
    assert "Check the proxy settings of the environment (HTTPS_PROXY, NO_PROXY)." in said
    assert not shows(key, said)
