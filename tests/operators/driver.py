"""Drives operators through their attempts, deferrals included, without Airflow's services.

The end-to-end tests do the same with real processes; here each attempt takes milliseconds, and an attempt can be
cut off at any point.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from importlib import import_module
from importlib.util import find_spec
from types import SimpleNamespace
from typing import Any

from airflow.providers.common.compat.sdk import BaseOperator, TaskDeferred

try:
    from airflow.sdk.execution_time.context import OutletEventAccessors
except ImportError:
    from airflow.utils.context import OutletEventAccessors

#: Task state stores came with Airflow 3.3.
STORES = (
    [True, False] if find_spec("airflow.sdk") and hasattr(import_module("airflow.sdk"), "NEVER_EXPIRE") else [False]
)


class Store(dict[str, Any]):
    """Stands in for ``context["task_state_store"]``: JSON in, JSON out."""

    def get(self, key: str, default: Any = None) -> Any:
        return json.loads(self[key]) if key in self else default

    def set(self, key: str, value: Any, *, retention: timedelta | None = None) -> None:
        self[key] = json.dumps(value)


class TaskInstance(SimpleNamespace):
    """What operators use of a task instance."""

    def xcom_push(self, key: str, value: Any) -> None:
        self.xcoms[key] = json.loads(json.dumps(value))

    def xcom_pull(self, task_ids: Any = None, key: str = "return_value", map_indexes: Any = None) -> Any:
        return self.xcoms.get(key)


@dataclass
class Task:
    """One task instance over all its attempts.

    ``store`` is ``None`` for Airflow before 3.3.
    """

    make: Callable[[], BaseOperator]
    retries: int = 2
    map_index: int = -1
    run_id: str = "manual__1"
    store: Store | None = field(default_factory=lambda: Store() if True in STORES else None)
    try_number: int = 0
    max_tries: int = 2
    started: datetime = field(default_factory=lambda: datetime.now(UTC))
    ti: TaskInstance | None = None
    deferrals: list[TaskDeferred] = field(default_factory=list)
    outlet_events: OutletEventAccessors = field(default_factory=OutletEventAccessors)

    def clear(self) -> None:
        """What Airflow does to a task instance that is cleared while it doesn't run on a worker."""
        self.max_tries = self.try_number + self.retries

    def begin(self) -> dict[str, Any]:
        """Begin the next attempt and return its context."""
        self.try_number += 1
        self.ti = TaskInstance(
            dag_id="dag",
            task_id="task",
            run_id=self.run_id,
            map_index=self.map_index,
            try_number=self.try_number,
            max_tries=self.max_tries,
            start_date=datetime.now(UTC),
            xcoms={},
        )
        return self._context()

    def _context(self) -> dict[str, Any]:
        # A new one for each segment, as in Airflow.
        self.outlet_events = OutletEventAccessors()
        context: dict[str, Any] = {
            "ti": self.ti,
            "dag": None,
            "task": SimpleNamespace(retries=self.retries),
            "dag_run": SimpleNamespace(start_date=self.started, run_after=self.started),
            "outlet_events": self.outlet_events,
        }
        if self.store is not None:
            context["task_state_store"] = self.store
        return context

    def attempt(self, *, until_deferred: bool = False) -> Any:
        """Run a whole attempt, deferrals included, and return what the task returns.

        :param until_deferred: stop at the first deferral and return it.
        """
        context = self.begin()
        operator = self.make()
        try:
            return operator.execute(context)
        except TaskDeferred as deferred:
            self.deferrals.append(deferred)
            return deferred if until_deferred else self.resume(deferred)

    def resume(self, deferred: TaskDeferred) -> Any:
        """Run the trigger of a deferral and what follows it, on new objects, as Airflow does."""
        while True:
            event = asyncio.run(fire(again(deferred.trigger)))
            kwargs = {**json.loads(json.dumps(deferred.kwargs or {})), "event": event}
            try:
                return self.make().resume_execution(deferred.method_name, kwargs, self._context())
            except TaskDeferred as next_deferral:
                self.deferrals.append(next_deferral)
                deferred = next_deferral


def again(trigger: Any) -> Any:
    """Return the trigger as another process makes it from what was stored."""
    path, kwargs = trigger.serialize()
    module, _, name = path.rpartition(".")
    if module.startswith("airflow_provider_kognitos."):
        kwargs = json.loads(json.dumps(kwargs))
    return getattr(import_module(module), name)(**kwargs)


async def fire(trigger: Any) -> Any:
    """Return the payload of a trigger's first event."""
    async for event in trigger.run():
        return event.payload
    raise RuntimeError("the trigger fired no event")
