"""
How a wait ended, as the event of a trigger and as the end of a task.

The event carries all that the task returns, so that a resumed worker needs no request and no connection.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from airflow_provider_kognitos.api.words import CANCELLED
from airflow_provider_kognitos.exceptions import (
    KognitosError,
    KognitosPollError,
    KognitosRunCancelledError,
    KognitosRunFailedError,
    KognitosRunTimeoutError,
)

if TYPE_CHECKING:
    from airflow_provider_kognitos.api.models import Run
    from airflow_provider_kognitos.runs.ends import EndStatuses

log = logging.getLogger(__name__)

#: Bytes of outputs, as JSON, that an asset event carries at most: Airflow keeps every event, and reads all that
#: started a DAG run at once.
LARGEST_OUTPUTS = 64 * 1024

Kind = Literal["ended", "timeout", "error", "attention"]


class Outcome(NamedTuple):
    """
    How the wait for a run ended, or what interrupts it.

    :param kind: ``ended``: the run did, well or badly; ``timeout``: the deadline passed; ``error``: the
        service could not be asked any more; ``attention``: the run goes on, and takes longer than somebody
        wanted to be left untold.
    :param run_id: the run.
    :param run: the run as it ended, with its outputs, or as it goes on; for ``ended`` and ``attention``.
    :param message: what happened, for the other kinds.
    """

    kind: Kind
    run_id: str
    run: Run | None = None
    message: str = ""

    @classmethod
    def ended(cls, run: Run) -> Outcome:
        """The run ended."""
        return cls("ended", run.id, run=run)

    @classmethod
    def timeout(cls, run_id: str, message: str) -> Outcome:
        """The deadline passed first."""
        return cls("timeout", run_id, message=message)

    @classmethod
    def error(cls, run_id: str, message: str) -> Outcome:
        """The service could not be asked any more."""
        return cls("error", run_id, message=message)

    @classmethod
    def attention(cls, run: Run) -> Outcome:
        """The run goes on, and somebody wants to know."""
        return cls("attention", run.id, run=run)

    def ended_run(self) -> Run:
        """
        Return the run if it ended.

        :raises KognitosRunTimeoutError: the deadline passed first.
        :raises KognitosPollError: the service could not be asked any more.
        """
        if self.run is None:
            raise _lost(self.kind, self.message)
        return self.run

    def to_event(self, url: str | None) -> dict[str, Any]:
        """Return the payload of a trigger's event."""
        return {
            "kind": self.kind,
            "run_id": self.run_id,
            "result": result_of(self.run, url) if self.run else None,
            "message": self.message,
        }


def result_of(run: Run, url: str | None) -> dict[str, Any]:
    """Return what a task returns for a run: plain JSON, the same in every mode."""
    return {
        "run_id": run.id,
        "name": run.name,
        "status": run.status,
        "process_id": run.process_id,
        "agent_id": run.agent_id,
        "stage": run.stage,
        "created_at": run.created_at.isoformat() if run.created_at else None,
        "file_ids": list(run.file_ids),
        "outputs": dict(run.outputs),
        "url": url,
    }


def for_asset_event(result: Mapping[str, Any], elsewhere: str) -> dict[str, Any]:
    """
    Return what an asset event says of a run: without its outputs if these have more than 64 KiB.

    :param result: the run as a task returns it, or a part of that.
    :param elsewhere: where the outputs can be had then, for the log.
    """
    size = len(json.dumps(result["outputs"]).encode())
    if size <= LARGEST_OUTPUTS:
        return dict(result)
    log.warning(
        "The outputs of Kognitos run %s have %s bytes, which is too much for an asset event: it goes without them. %s",
        result["run_id"],
        f"{size:,}",
        elsewhere,
    )
    return {name: value for name, value in result.items() if name != "outputs"}


def is_attention(event: Any) -> bool:
    """Whether a trigger's event says that the run goes on and somebody is to be told."""
    return isinstance(event, Mapping) and event.get("kind") == "attention"


def finish(event: Any, ends: EndStatuses) -> dict[str, Any]:
    """
    Return what the task returns, or raise what it fails with.

    :param event: the payload of the trigger's event.
    :param ends: the statuses that end a run for this task.
    :raises KognitosRunFailedError: the run ended badly (``KognitosRunCancelledError`` if cancelled).
    :raises KognitosRunTimeoutError: the deadline passed.
    :raises KognitosPollError: the service could not be asked any more.
    :raises KognitosError: the event is none of this provider's.
    """
    if not isinstance(event, Mapping) or not {"kind", "run_id", "result", "message"} <= event.keys():
        raise KognitosError(f"A trigger sent an event that says nothing of a Kognitos run: {event!r}")
    result: dict[str, Any] | None = event["result"]
    if result is None:
        raise _lost(event["kind"], event["message"])
    if result["status"] in ends.success:
        return result
    from airflow_provider_kognitos.api.models import Run

    run = Run.from_json({**result, "id": result["run_id"]})
    failed = KognitosRunCancelledError if run.status == CANCELLED else KognitosRunFailedError
    raise failed(run, result["url"])


def _lost(kind: str, message: str) -> KognitosError:
    return KognitosRunTimeoutError(message) if kind == "timeout" else KognitosPollError(message)
