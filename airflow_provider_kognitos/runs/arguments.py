"""Check what a user typed before anything is sent."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from airflow_provider_kognitos.api import checks
from airflow_provider_kognitos.exceptions import KognitosConfigError


def seconds(argument: str, value: float | timedelta) -> float:
    """
    Return a positive number of seconds.

    :raises KognitosConfigError: it is none.
    """
    number = value.total_seconds() if isinstance(value, timedelta) else value
    if isinstance(number, bool) or not isinstance(number, (int, float)) or not math.isfinite(number) or number <= 0:
        raise KognitosConfigError(f"{argument} must be a positive number of seconds or a timedelta, not {value!r}.")
    return float(number)


def statuses(argument: str, value: Sequence[str] | None, default: Sequence[str]) -> tuple[str, ...]:
    """
    Return statuses as the service writes them.

    :raises KognitosConfigError: not a list of words, or an empty one.
    """
    if value is None:
        return tuple(default)
    words = value if isinstance(value, Sequence) and not isinstance(value, str | bytes) else ()
    if not words or not all(isinstance(word, str) and word for word in words):
        raise KognitosConfigError(
            f"{argument} must be a list of statuses as Kognitos writes them, such as {list(default)!r}, not {value!r}."
        )
    return tuple(words)


def texts(argument: str, value: Any) -> tuple[str, ...]:
    """
    Return one or many texts, such as paths, addresses or ids, as many.

    :raises KognitosConfigError: something in it is no text, or empty.
    """
    if value is None:
        return ()
    many = value if isinstance(value, Sequence) and not isinstance(value, (str, bytes)) else [value]
    found = []
    for item in many:
        # An ObjectStoragePath is written out as its address.
        text = str(item) if isinstance(item, os.PathLike) or hasattr(item, "as_uri") else item
        if not isinstance(text, str) or not text.strip():
            raise KognitosConfigError(f"{argument} must be one text or a list of texts; {item!r} in it is none.")
        found.append(text)
    return tuple(found)


def inputs_of_run(value: Any) -> dict[str, Any] | None:
    """
    Return the inputs of a run as they go into JSON.

    :raises KognitosConfigError: not a dictionary with names for keys, or a value that JSON cannot hold.
    """
    if isinstance(value, str):
        raise KognitosConfigError(
            "inputs must be a dictionary of input names and values, not a text. A template that gives a dictionary "
            "needs render_template_as_native_obj=True on the DAG; or pass the upstream task's output itself."
        )
    checks.inputs(value)
    return None if value is None else json.loads(json.dumps(dict(value)))
