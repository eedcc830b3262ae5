"""Stands in for ``context["task_state_store"]`` of Airflow 3.3 and later."""

from __future__ import annotations

import json
from datetime import timedelta
from importlib.util import find_spec
from typing import Any

import pytest

from airflow_provider_kognitos.runs.record import RunRecord, RunStore


def _is_there() -> bool:
    if find_spec("airflow.sdk") is None:
        return False
    from airflow.sdk.execution_time import context

    return hasattr(context, "NEVER_EXPIRE")


needs_task_state_store = pytest.mark.skipif(not _is_there(), reason="this Airflow has no task state store")


class JsonStore:
    """JSON in, JSON out, as on the way to Airflow's database; ``history`` has every value ever set."""

    def __init__(self) -> None:
        self.values: dict[str, str] = {}
        self.history: list[dict[str, Any]] = []
        self.kept_for: timedelta | None = None
        self.broken_after: int | None = None

    def get(self, key: str, default: Any = None) -> Any:
        return json.loads(self.values[key]) if key in self.values else default

    def set(self, key: str, value: Any, *, retention: timedelta | None = None) -> None:
        if self.broken_after is not None and len(self.history) >= self.broken_after:
            raise RuntimeError("the API server is away")
        self.values[key] = json.dumps(value)
        self.history.append(json.loads(self.values[key]))
        self.kept_for = retention


def run_store(store: JsonStore | None) -> RunStore:
    """Return the store of a context; ``None`` stands for an Airflow that has none."""
    context: Any = {"ti": None} if store is None else {"ti": None, "task_state_store": store}
    return RunStore(context)


def stored(store: JsonStore) -> RunRecord:
    """Return the record that a killed attempt would leave now."""
    record = run_store(store).load()
    assert record is not None
    return record
