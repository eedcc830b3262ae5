"""
The marker that tells whose run it is.

The API has no idempotency key and no field for one, but a run keeps the name it was started under. So that
name ends in ``[af-<identity>-<generation>-<fingerprint>]``, and any later attempt of the same task instance
finds its run in the list of runs.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

#: Longest name the API takes. Counted in UTF-16 units here, which is never less than in characters.
NAME_LIMIT = 100

_MARKER = re.compile(r"\[af-([0-9a-f]{10})-([0-9]{1,9})-([0-9a-f]{4})\]")


class Marker(NamedTuple):
    """
    Which task instance started a run, in which generation, and with what.

    :param identity: 10 hex digits that stand for the task instance, see :func:`identity_of`.
    :param generation: ``max_tries`` of the task instance: a retry keeps it, a clear raises it.
    :param fingerprint: 4 hex digits that stand for what was asked for, see :func:`fingerprint_of`.
    """

    identity: str
    generation: int
    fingerprint: str

    def __str__(self) -> str:
        return f"[af-{self.identity}-{self.generation}-{self.fingerprint}]"

    @classmethod
    def read(cls, name: str) -> Marker | None:
        """Return the marker at the end of a run's name, ``None`` if it has none."""
        found = _MARKER.findall(name)
        if not found:
            return None
        identity, generation, fingerprint = found[-1]
        return cls(identity, int(generation), fingerprint)

    def name(self, label: str) -> str:
        """Return a run's name: the label, cut to what fits, and this marker, whole."""
        room = NAME_LIMIT - len(str(self)) - 1
        return f"{_cut(' '.join(label.split()), room)} {self}".lstrip()


def identity_of(*, deployment: str, dag_id: str, run_id: str, task_id: str, map_index: int) -> str:
    """Return the 10 hex digits that stand for one task instance of one Airflow deployment."""
    return _digest([deployment, dag_id, run_id, task_id, map_index])[:10]


def fingerprint_of(
    *,
    process_id: str,
    agent_id: str,
    stage: str,
    inputs: Mapping[str, Any] | None,
    files: Sequence[str],
) -> str:
    """
    Return the 4 hex digits that stand for what a run is asked to do.

    Ids of uploaded files are left out: the same file gets another id with each upload.
    """
    return _digest([process_id, agent_id, stage, inputs or {}, list(files)])[:4]


def _digest(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _cut(label: str, room: int) -> str:
    used = 0
    for position, character in enumerate(label):
        used += 2 if ord(character) > 0xFFFF else 1
        if used > room:
            return label[:position].rstrip()
    return label
