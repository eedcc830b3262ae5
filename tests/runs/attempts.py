"""A task instance and its attempts, as far as starting a run goes; what the operator does around ``RunStarter``."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any

from airflow_provider_kognitos.api.models import Run
from airflow_provider_kognitos.exceptions import KognitosCapacityError, KognitosRateLimitError
from airflow_provider_kognitos.runs.attempt import attempt_of
from airflow_provider_kognitos.runs.ends import EndStatuses
from airflow_provider_kognitos.runs.identity import Marker
from airflow_provider_kognitos.runs.record import RunRecord
from airflow_provider_kognitos.runs.request import RunRequest
from airflow_provider_kognitos.runs.start import RunStarter

from .made import AGENT, NOW, PROCESS, STAGE
from .store import JsonStore, run_store

REQUEST = RunRequest(PROCESS, AGENT, STAGE, "dag.task manual", {"invoice": 1})
SETTLE = 30.0


@dataclass
class Task:
    """
    A task instance over all its attempts.

    :param client: the service.
    :param store: ``None`` for an Airflow that has none.
    :param options: of every :class:`RunStarter`.
    """

    client: Any
    clock: Callable[[], float]
    sleep: Callable[[float], None]
    store: JsonStore | None = None
    request: RunRequest = REQUEST
    task_id: str = "t"
    retries: int = 2
    try_number: int = 0
    max_tries: int = 2
    dag_run_started: datetime = NOW
    run_after: datetime = NOW - timedelta(minutes=1)
    options: dict[str, Any] = field(default_factory=dict)
    starter: RunStarter | None = None

    def clear(self, **asked: Any) -> None:
        """Do what Airflow does to a task that is cleared while it isn't on a worker; ``asked``: with other inputs."""
        self.max_tries = self.try_number + self.retries
        self.request = self.request._replace(**asked)

    def begin(self) -> RunStarter:
        """Begin the next attempt."""
        self.try_number += 1
        return self.resume(None)

    def resume(self, record: RunRecord | None) -> RunStarter:
        """Begin a segment of an attempt, with what the one before gave to the deferral."""
        context: Any = {
            "ti": SimpleNamespace(
                dag_id="d",
                run_id="r",
                task_id=self.task_id,
                map_index=-1,
                try_number=self.try_number,
                max_tries=self.max_tries,
            ),
            "task": SimpleNamespace(retries=self.retries),
            "dag_run": SimpleNamespace(start_date=self.dag_run_started, run_after=self.run_after),
        }
        self.starter = RunStarter(
            self.client,
            self.request,
            attempt_of(context, self.request, deployment="", ends=EndStatuses()),
            run_store(self.store),
            record=record,
            clock=self.clock,
            sleep=self.sleep,
            **{"settle": SETTLE, **self.options},
        )
        return self.starter

    def attempt(self, *, deferred: bool = False, patience: float = 3600.0) -> Run:
        """Adopt a run or start one, waiting for capacity, on the worker or deferred."""
        starter = self.begin()
        run = starter.adopt()
        while run is None:
            try:
                run = starter.start()
            except (KognitosCapacityError, KognitosRateLimitError) as refusal:
                self.sleep(starter.pause_after(refusal, patience, None))
                if deferred:
                    kwargs = json.loads(json.dumps(starter.record.to_json()))
                    starter = self.resume(RunRecord.from_json(kwargs))
        return run

    @property
    def kept(self) -> JsonStore:
        """The store."""
        assert self.store is not None
        return self.store

    def marker(self) -> Marker:
        """Return the marker of the attempt last begun."""
        assert self.starter is not None
        return self.starter._attempt.marker
