"""What the example DAGs find: an emulator with their processes, and an Airflow that is connected to it."""

from pathlib import Path

from sandbox.airflow import LocalAirflow
from sandbox.emulator import LocalEmulator

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = ROOT / "dags_examples"
KEY = "demo-key"
AGENT = "demo-agent"


def connection(emulator: LocalEmulator, *, key: str = KEY) -> dict[str, object]:
    """The connection ``kognitos_default`` of the example DAGs."""
    extra = {"agent_id": AGENT, "web_url": "https://app.kognitos.com"}
    return {"conn_type": "kognitos", "host": emulator.url, "password": key, "extra": extra}


def example_airflow(home: Path, emulator: LocalEmulator, **settings: str) -> LocalAirflow:
    """An Airflow with every example DAG, connected to an emulator; not started yet."""
    return LocalAirflow(
        home, [EXAMPLES], connections={"kognitos_default": connection(emulator)}, settings=settings or None
    )


def create_pool(airflow: LocalAirflow) -> None:
    """The pool that ``kognitos_mapped`` runs in."""
    airflow.api.create_pool("kognitos", 3, include_deferred=True)
