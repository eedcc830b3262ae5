"""
What a task instance remembers of its run, in the task state store of Airflow 3.3 and later.

The store outlives retries, deferrals, SIGKILL and clears, unlike XComs, which every new attempt empties.
Before 3.3 there is no such store; the record then lives as long as one attempt, and the marker in the run's
name has to do alone.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

log = logging.getLogger(__name__)

KEY = "kognitos_run"


class RunRecord(NamedTuple):
    """
    The state of one task instance's run.

    :param generation: generation of the attempt that started or adopted the run.
    :param fingerprint: what that attempt asked for.
    :param intent_at: when a start request was about to be sent whose outcome is not known, epoch seconds.
    :param run_id: the run, once known.
    :param started_at: when the run was started or adopted, epoch seconds.
    :param file_ids: ids of files uploaded for a run that is not started yet, by source.
    :param earlier: ids of the runs this task instance had before.
    :param waiting_since: since when a start has been refused for want of capacity, epoch seconds.
    :param refusals: how often it has been refused.
    """

    generation: int
    fingerprint: str
    intent_at: float | None = None
    run_id: str | None = None
    started_at: float | None = None
    file_ids: Mapping[str, str] = MappingProxyType({})
    earlier: tuple[str, ...] = ()
    waiting_since: float | None = None
    refusals: int = 0

    @classmethod
    def from_json(cls, data: Any) -> RunRecord | None:
        """Return the record in stored JSON, ``None`` where there is none that can be read."""
        if not isinstance(data, Mapping):
            return None
        known = {name: data[name] for name in _READABLE if name in data}
        if not {"generation", "fingerprint"} <= known.keys() or not all(_READABLE[name](known[name]) for name in known):
            return None
        return cls(**{**known, "earlier": tuple(known.get("earlier", ()))})

    def to_json(self) -> dict[str, Any]:
        """Return the record as JSON for the store or for the kwargs of a deferral."""
        return {**self._asdict(), "file_ids": dict(self.file_ids), "earlier": list(self.earlier)}

    def following(self, generation: int, fingerprint: str) -> RunRecord:
        """
        Return the record of a run to be started after this one.

        Files uploaded for a run that was never started go over to the next attempt of the same
        generation; a file that already went into a run, or that a clear asks for anew, does not.
        """
        unused = self.run_id is None and self.generation == generation
        return RunRecord(
            generation=generation,
            fingerprint=fingerprint,
            file_ids=self.file_ids if unused else {},
            earlier=tuple(dict.fromkeys((*self.earlier, self.run_id))) if self.run_id else self.earlier,
        )


def _number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _text(value: Any) -> bool:
    return isinstance(value, str)


#: What a field of a stored record must look like: a provider of another version may have written it.
_READABLE: Mapping[str, Callable[[Any], bool]] = {
    "generation": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "fingerprint": _text,
    "intent_at": lambda value: value is None or _number(value),
    "run_id": lambda value: value is None or (_text(value) and value != ""),
    "started_at": lambda value: value is None or _number(value),
    "file_ids": lambda value: isinstance(value, Mapping) and all(map(_text, (*value, *value.values()))),
    "earlier": lambda value: isinstance(value, (list, tuple)) and all(map(_text, value)),
    "waiting_since": lambda value: value is None or _number(value),
    "refusals": lambda value: isinstance(value, int) and not isinstance(value, bool),
}


class RunStore:
    """
    Reads and writes the record of the task instance that a context belongs to.

    :param context: the context of the running task.
    """

    def __init__(self, context: Context) -> None:
        self._store: Any = context.get("task_state_store")

    @property
    def survives(self) -> bool:
        """Whether what is written is there for the next attempt."""
        return self._store is not None

    def load(self) -> RunRecord | None:
        """Return the record an earlier attempt or segment left, if any."""
        stored = self._store.get(KEY) if self.survives else None
        record = RunRecord.from_json(stored)
        if stored is not None and record is None:
            log.warning("The record of this task's Kognitos run cannot be read; looking at the list of runs instead.")
        return record

    def save(self, record: RunRecord) -> RunRecord:
        """Write the record and return it."""
        if self.survives:
            from airflow.sdk.execution_time.context import NEVER_EXPIRE

            self._store.set(KEY, record.to_json(), retention=NEVER_EXPIRE)
        return record
