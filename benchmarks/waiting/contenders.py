"""
Those who wait: the triggers of four providers and ours, and the floor.

Each module of a provider is imported when its contender is made, in a process that measures nothing else.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any
from urllib.parse import quote

from benchmarks.waiting.plan import Plan

#: Distribution of each contender that is no invention of the benchmark.
PACKAGES = {
    "kognitos": "airflow-provider-kognitos",
    "databricks": "apache-airflow-providers-databricks",
    "fivetran": "airflow-provider-fivetran-async",
    "dbt": "apache-airflow-providers-dbt-cloud",
    "airbyte": "apache-airflow-providers-airbyte",
}
#: The service of each; the floor asks ours.
SERVICES = {name: name for name in PACKAGES} | {"floor": "kognitos"}
TOKEN = "benchmark-key"


@dataclass(frozen=True)
class Contender:
    """
    Waits for runs.

    :param connection: the Airflow connection, id and JSON.
    :param trigger: makes what waits for a run; its first event says that the run has ended.
    """

    connection: tuple[str, dict[str, Any]]
    trigger: Callable[[int], Any]


def label(name: str) -> str:
    """Return a contender's name with the version that is installed."""
    return f"{name} {version(PACKAGES[name])}" if name in PACKAGES else name


def contender(name: str, plan: Plan, port: int) -> Contender:
    """Return a contender for a service on a port of loopback."""
    host = f"127.0.0.1:{port}"
    makers = {
        "kognitos": _kognitos,
        "floor": _floor,
        "databricks": _databricks,
        "fivetran": _fivetran,
        "dbt": _dbt,
        "airbyte": _airbyte,
    }
    return makers[name](plan, host)


def _kognitos(plan: Plan, host: str) -> Contender:
    from airflow_provider_kognitos.plugin import load_into_triggerer
    from airflow_provider_kognitos.triggers.run import KognitosRunTrigger

    # Where this package is installed its plugin does so; the others are measured as they are without it.
    load_into_triggerer()

    def trigger(number: int) -> KognitosRunTrigger:
        return KognitosRunTrigger(
            run_id=f"run-{number}",
            process_id=f"process-{number % plan.processes}",
            agent_id="agent",
            stage="Published",
            started_at=time.time(),
            poll_interval=plan.interval,
            max_poll_interval=plan.interval,
        )

    connection = {"conn_type": "kognitos", "host": f"https://{host}", "password": TOKEN}
    return Contender(("kognitos_default", connection), trigger)


def _databricks(plan: Plan, host: str) -> Contender:
    from airflow.providers.databricks.triggers.databricks import DatabricksExecutionTrigger

    def trigger(number: int) -> DatabricksExecutionTrigger:
        return DatabricksExecutionTrigger(number, "databricks_default", polling_period_seconds=int(plan.interval))

    name, port = host.split(":")
    connection = {"conn_type": "databricks", "host": f"https://{name}", "port": int(port), "password": TOKEN}
    return Contender(("databricks_default", connection), trigger)


def _fivetran(plan: Plan, host: str) -> Contender:
    import pendulum
    from fivetran_provider_async.hooks import FivetranHook
    from fivetran_provider_async.triggers import FivetranTrigger

    # The address is a constant of the hook.
    FivetranHook.api_host = host

    def trigger(number: int) -> FivetranTrigger:
        return FivetranTrigger(
            task_id="wait",
            connector_id=f"connector{number}",
            fivetran_conn_id="fivetran_default",
            previous_completed_at=pendulum.datetime(2025, 1, 1),
            poke_interval=plan.interval,
        )

    return Contender(("fivetran_default", {"conn_type": "fivetran", "login": "key", "password": TOKEN}), trigger)


def _dbt(plan: Plan, host: str) -> Contender:
    from airflow.providers.dbt.cloud.triggers.dbt import DbtCloudRunJobTrigger

    def trigger(number: int) -> DbtCloudRunJobTrigger:
        return DbtCloudRunJobTrigger(
            conn_id="dbt_cloud_default",
            run_id=number,
            end_time=time.time() + 3600,
            poll_interval=plan.interval,
            account_id=1,
        )

    connection = {"conn_type": "dbt_cloud", "host": host, "login": "1", "password": TOKEN}
    return Contender(("dbt_cloud_default", connection), trigger)


def _airbyte(plan: Plan, host: str) -> Contender:
    from airflow.providers.airbyte.triggers.airbyte import AirbyteSyncTrigger

    def trigger(number: int) -> AirbyteSyncTrigger:
        return AirbyteSyncTrigger(
            job_id=number,
            conn_id="airbyte_default",
            end_time=time.time() + 3600,
            poll_interval=plan.interval,
        )

    # Without client id and secret, so that it asks for no token beside.
    return Contender(("airbyte_default", {"conn_type": "airbyte", "host": f"https://{host}"}), trigger)


def _floor(plan: Plan, host: str) -> Contender:
    return Contender(("none", {"conn_type": "http"}), _Floor(plan, f"https://{host}").trigger)


class _Floor:
    """
    The least that can be done by polling: one session that reads all pages of the list, once per interval.

    It knows what nobody knows: that the list holds no run but those that are waited for.
    """

    def __init__(self, plan: Plan, url: str) -> None:
        import requests

        self._plan = plan
        self._url = url
        self._session = requests.Session()
        self._waiting: dict[str, asyncio.Event] = {}
        self._task: asyncio.Task[None] | None = None

    def trigger(self, number: int) -> _FloorTrigger:
        return _FloorTrigger(self, f"run-{number}")

    async def wait(self, run_id: str) -> None:
        event = self._waiting[run_id] = asyncio.Event()
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._poll())
        await event.wait()

    async def _poll(self) -> None:
        round_at = time.monotonic()
        while self._waiting:
            round_at += self._plan.interval
            await asyncio.sleep(round_at - time.monotonic())
            token = ""
            while token is not None:
                page = await asyncio.to_thread(self._page, token)
                token = page["continuation_token"]
                for run in page["items"]:
                    if run["status"] != "Running" and run["id"] in self._waiting:
                        self._waiting.pop(run["id"]).set()

    def _page(self, token: str) -> Any:
        url = f"{self._url}/v2/runs?process_id=process-0&limit=100&continuation_token={quote(token or '0')}"
        return json.loads(self._session.get(url, timeout=30).content)


class _FloorTrigger:
    def __init__(self, floor: _Floor, run_id: str) -> None:
        self._floor = floor
        self._run_id = run_id

    async def run(self) -> AsyncIterator[str]:
        await self._floor.wait(self._run_id)
        yield self._run_id
