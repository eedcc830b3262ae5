"""
The service's resources as frozen dataclasses.

Tolerant of what is new: unknown fields stay in ``raw``, unknown statuses and stages are kept as they come.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any


class MalformedAnswerError(ValueError):
    """An answer of the service lacks what every answer of its kind has."""


@dataclass(frozen=True)
class Process:
    """A process of an agent; nothing about its inputs is exposed."""

    id: str
    name: str
    agent_id: str
    stage: str
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def from_json(cls, data: Any) -> Process:
        """
        Read a process from the service's JSON.

        :raises MalformedAnswerError: not an object, or without an id.
        """
        body = _object(data, "process")
        return cls(
            id=_identifier(body, "process"),
            name=_text(body, "name"),
            agent_id=_text(body, "agent_id"),
            stage=_text(body, "stage"),
            raw=body,
        )


@dataclass(frozen=True)
class Run:
    """
    A run of a process, as last seen.

    ``outputs`` maps names to values. A name that comes more than once keeps its first value under the bare
    name and the others under ``name (2)``, ``name (3)``…; a value without a name is ``output 1`` if it comes
    first, ``output 2`` if second… ``created_at`` is aware; UTC is assumed where the
    service names no zone, ``None`` stands for a time that cannot be read.
    """

    id: str
    name: str
    process_id: str
    agent_id: str
    stage: str
    status: str
    created_at: datetime | None
    file_ids: tuple[str, ...] = ()
    outputs: Mapping[str, Any] = field(default_factory=dict, hash=False)
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def from_json(cls, data: Any) -> Run:
        """
        Read a run from the service's JSON.

        :raises MalformedAnswerError: not an object, or without an id.
        """
        body = _object(data, "run")
        return cls(
            id=_identifier(body, "run"),
            name=_text(body, "name"),
            process_id=_text(body, "process_id"),
            agent_id=_text(body, "agent_id"),
            stage=_text(body, "stage"),
            status=_text(body, "status"),
            created_at=parse_time(body.get("created_at")),
            file_ids=tuple(str(item) for item in _items(body.get("file_ids"))),
            outputs=_outputs(body.get("outputs")),
            raw=body,
        )


@dataclass(frozen=True)
class UploadTarget:
    """Where and how to send the bytes of one file: a presigned form POST."""

    id: str
    file_name: str
    url: str = field(repr=False)
    method: str = "POST"
    headers: Mapping[str, str] = field(default_factory=dict, repr=False, hash=False)
    fields: Mapping[str, str] = field(default_factory=dict, repr=False, hash=False)

    @classmethod
    def from_json(cls, data: Any) -> UploadTarget:
        """
        Read an upload target from the service's JSON.

        :raises MalformedAnswerError: not an object, or without id or upload_url.
        """
        body = _object(data, "upload target")
        url = _text(body, "upload_url")
        if not url:
            raise MalformedAnswerError("the upload target has no upload_url")
        return cls(
            id=_identifier(body, "upload target"),
            file_name=_text(body, "file_name"),
            url=url,
            method=_text(body, "upload_http_method") or "POST",
            headers=_strings(body.get("upload_http_headers")),
            fields=_strings(body.get("upload_fields")),
        )


def parse_time(value: Any) -> datetime | None:
    """Return an aware time for an ISO 8601 text with or without a zone (UTC assumed), else ``None``."""
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _outputs(value: Any) -> dict[str, Any]:
    if isinstance(value, dict):
        return dict(value)
    outputs: dict[str, Any] = {}
    counts: dict[str, int] = {}
    for position, item in enumerate(_items(value), 1):
        name, content = _named_value(item)
        name = free = name or f"output {position}"
        while free in outputs:
            counts[name] = counts.get(name, 1) + 1
            free = f"{name} ({counts[name]})"
        outputs[free] = content
    return outputs


def _named_value(item: Any) -> tuple[str, Any]:
    if not isinstance(item, dict):
        return "", item
    if "value" in item:
        return _text(item, "name"), item["value"]
    # A null may be left out; a value under another key must not be lost.
    return _text(item, "name"), item if item.keys() - {"name"} else None


def _items(value: Any) -> Sequence[Any]:
    """Return a list as it is, nothing for null, and anything else, undocumented, as a list of one."""
    if value is None:
        return ()
    return value if isinstance(value, list) else (value,)


def _object(data: Any, what: str) -> dict[str, Any]:
    if not isinstance(data, dict):
        raise MalformedAnswerError(f"the {what} is not a JSON object but {type(data).__name__}")
    return data


def _identifier(body: Mapping[str, Any], what: str) -> str:
    identifier = _text(body, "id")
    if not identifier:
        raise MalformedAnswerError(f"the {what} has no id")
    return identifier


def _text(body: Mapping[str, Any], key: str) -> str:
    value = body.get(key)
    return "" if value is None else str(value)


def _strings(value: Any) -> dict[str, str]:
    return {str(key): str(item) for key, item in value.items()} if isinstance(value, Mapping) else {}
