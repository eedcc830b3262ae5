"""One Airflow and one emulator for the whole session; tests keep apart by DAG run ids."""

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from airflow_provider_kognitos.emulator.scenario import Rule, Scenario, Step
from sandbox.airflow import LocalAirflow
from sandbox.emulator import LocalEmulator
from sandbox.kognitos import EXAMPLES, connection, create_pool

HERE = Path(__file__).parent

#: Seconds that a run takes, by its input ``pace``; a held one goes on until the test ends it (:func:`end`).
PACES = {"quick": 3, "steady": 12, "slow": 45, "held": 3600}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.e2e)


@pytest.fixture(scope="session")
def key() -> str:
    """An API key that occurs nowhere by chance."""
    return f"knt{secrets.token_hex(16)}"


@pytest.fixture(scope="session")
def scenario(key: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    builtin = Scenario()
    outputs = builtin.rules[0].outputs
    paced = [
        Rule(
            when={"pace": pace}, steps=[Step(status="Pending", seconds=1), Step(status="Running", seconds=seconds - 1)]
        )
        for pace, seconds in PACES.items()
    ]
    rules = [rule.model_copy(update={"outputs": outputs}) for rule in paced] + builtin.rules
    path = tmp_path_factory.mktemp("scenario") / "scenario.yaml"
    path.write_text(yaml.safe_dump({"keys": {key: {}}, "rules": [rule.model_dump(mode="json") for rule in rules]}))
    return path


@pytest.fixture(scope="session")
def emulator(key: str, scenario: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalEmulator]:
    with LocalEmulator(tmp_path_factory.mktemp("emulator"), scenario=scenario) as emulator:
        yield emulator


@pytest.fixture(scope="session")
def airflow(emulator: LocalEmulator, key: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalAirflow]:
    airflow = LocalAirflow(
        tmp_path_factory.mktemp("airflow"),
        [HERE / "dags", EXAMPLES],
        connections={"kognitos_default": connection(emulator, key=key)},
    )
    with airflow:
        create_pool(airflow)
        yield airflow
        airflow.check()
        assert deprecations(airflow.logs) == []


def end(emulator: LocalEmulator, run_id: str, status: str = "Succeeded") -> None:
    """End a run now."""
    emulator.control.change_run(run_id, status=status)


def deprecations(logs: Path) -> list[str]:
    """What Airflow, or anything else, deprecates of what this package does, out of every log."""
    lines = (line for path in logs.rglob("*.log") for line in path.read_text(errors="replace").splitlines())
    return [line for line in lines if "airflow_provider_kognitos/" in line and "deprecat" in line.lower()]


def files_with(folder: Path, text: str) -> list[Path]:
    """Every file below a folder, logs and database alike, whose bytes hold a text."""
    return [path for path in folder.rglob("*") if path.is_file() and text.encode() in path.read_bytes()]
