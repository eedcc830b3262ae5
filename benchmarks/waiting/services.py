"""
The services that the triggers ask, as far as they are asked: one answer each, in the words of its API.

Nothing is stored: whether a run has ended is a matter of the time.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from typing import Any

from benchmarks.waiting.plan import Plan

Json = dict[str, Any]
#: Path and query of a request, and which runs have ended, to the answer.
Service = Callable[[str, Mapping[str, str], Callable[[int], bool]], Json]

PAGE = 100


def service(name: str, plan: Plan) -> Service:
    """Return the service of a provider."""
    if name == "kognitos":
        return _Kognitos(plan)
    return {"databricks": _databricks, "fivetran": _fivetran, "dbt": _dbt, "airbyte": _airbyte}[name]


class _Kognitos:
    """Lists and single runs. The items of the list are made once, since making them is not what is measured."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._lists: dict[str, list[int]] = {}
        for process in range(plan.processes):
            ours = list(range(process, plan.runs, plan.processes))
            foreign = [-1 - place for place in range(len(ours) * plan.foreign)]
            items = ours + foreign
            if plan.order == "random" or plan.foreign:
                random.Random(process).shuffle(items)
            elif plan.order == "newest first":
                items.reverse()
            self._lists[f"process-{process}"] = items

    def __call__(self, path: str, query: Mapping[str, str], ended: Callable[[int], bool]) -> Json:
        parts = path.strip("/").split("/")
        if len(parts) == 3:
            number = int(parts[2].removeprefix("run-"))
            return self._run(number, f"process-{number % self._plan.processes}", ended(number), outputs=True)
        process = query["process_id"]
        start = int(query.get("continuation_token", 0))
        items = self._lists[process]
        page = items[start : start + min(PAGE, int(query.get("limit", PAGE)))]
        runs = [self._run(item, process, item < 0 or ended(item), outputs=self._plan.outputs_listed) for item in page]
        after = start + len(page)
        return {"items": runs, "continuation_token": str(after) if after < len(items) else None}

    def _run(self, number: int, process: str, ended: bool, *, outputs: bool) -> Json:
        return {
            "id": f"run-{number}" if number >= 0 else f"{process}-foreign{number}",
            "name": "a run",
            "agent_id": "agent",
            "process_id": process,
            "stage": "Published",
            "status": "Succeeded" if ended else "Running",
            "created_at": "2026-01-01T12:00:00",
            "file_ids": None,
            "outputs": [{"name": "total", "value": 42}] if ended and outputs else None,
        }


def _databricks(path: str, query: Mapping[str, str], ended: Callable[[int], bool]) -> Json:
    run_id = int(query["run_id"])
    over = ended(run_id)
    state = {"life_cycle_state": "TERMINATED" if over else "RUNNING", "state_message": ""}
    return {
        "run_id": run_id,
        "job_id": 1,
        "run_page_url": f"https://example.com/{run_id}",
        "state": {**state, "result_state": "SUCCESS"} if over else state,
        "tasks": [],
    }


def _fivetran(path: str, query: Mapping[str, str], ended: Callable[[int], bool]) -> Json:
    connector = path.rsplit("/", 1)[1]
    over = ended(int(connector.removeprefix("connector")))
    return {
        "code": "Success",
        "data": {
            "id": connector,
            "service": "postgres",
            "schema": "s",
            "paused": False,
            "succeeded_at": "2030-01-01T00:00:00Z" if over else "2020-01-01T00:00:00Z",
            "failed_at": None,
            "status": {"setup_state": "connected", "sync_state": "scheduled" if over else "syncing"},
        },
    }


def _dbt(path: str, query: Mapping[str, str], ended: Callable[[int], bool]) -> Json:
    run_id = int(path.strip("/").rsplit("/", 1)[1])
    return {"status": {"code": 200}, "data": {"id": run_id, "status": 10 if ended(run_id) else 3}}


def _airbyte(path: str, query: Mapping[str, str], ended: Callable[[int], bool]) -> Json:
    job_id = int(path.rsplit("/", 1)[1])
    return {
        "jobId": job_id,
        "connectionId": "c",
        "jobType": "sync",
        "status": "succeeded" if ended(job_id) else "running",
        "startTime": "2026-01-01T12:00:00Z",
    }
