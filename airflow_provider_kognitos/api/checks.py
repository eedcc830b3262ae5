"""What an argument must look like. All of it is checked before anything is sent."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from airflow_provider_kognitos.api.words import STAGES
from airflow_provider_kognitos.exceptions import KognitosConfigError

#: The service's own limits.
MAX_ID = 26
MAX_NAME = 100
MAX_FILE_NAME = 256
MAX_PAGE = 100

_ID = re.compile(rf"[a-zA-Z0-9_-]{{1,{MAX_ID}}}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_SHOWN = 60


def refuse(argument: str, value: Any, rule: str) -> KognitosConfigError:
    """Return the error that names an argument, its value (shortened) and the rule it breaks."""
    shown = repr(value)
    if len(shown) > _SHOWN:
        shown = f"{shown[: _SHOWN - 1]}…"
    return KognitosConfigError(f"{argument} must be {rule}, not {shown}. Nothing was sent.")


def fault_of_key(api_key: Any) -> str | None:
    """Return what is wrong with an API key, without showing it, ``None`` if a header can hold it."""
    if not isinstance(api_key, str) or not api_key:
        return "must hold the API key (Kognitos: user icon > API Keys)"
    if api_key != api_key.strip():
        return "begins or ends with a space or a line break; take these away"
    if not api_key.isascii() or not api_key.isprintable() or " " in api_key:
        return (
            "has a character that no API key can have: only printable ASCII without spaces fits into a header. "
            "Copy the key once more (it is not shown here)"
        )
    return None


def fault_of_address(url: Any) -> str | None:
    """Return what is wrong with a base address, without showing it, ``None`` if it will do."""
    example = "must be an address such as https://kognitos.example.com"
    if not isinstance(url, str) or not url.isprintable() or " " in url:
        return example
    try:
        parts = urlsplit(url)
        usable = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:
        return example
    if parts.username is not None or parts.password is not None:
        return "must not hold credentials; the API key has its own place"
    return None if usable and not parts.query and not parts.fragment else example


def body_id(argument: str, value: Any) -> str:
    """Check an id that goes into a request body, where the service's schema limits it."""
    if not isinstance(value, str) or not _ID.fullmatch(value):
        raise refuse(argument, value, f"1 to {MAX_ID} of the characters a-z, A-Z, 0-9, - and _")
    return value


def url_id(argument: str, value: Any) -> str:
    """
    Check an id that goes into a path or a query.

    The service shows no limit for these, and one of its own samples is longer than the schema of bodies allows.
    """
    if not isinstance(value, str) or not value.strip() or _CONTROL.search(value) or not value.isascii():
        raise refuse(argument, value, "a non-empty ASCII text without control characters")
    if value in {".", ".."}:
        raise refuse(argument, value, "an id")
    return value


def run_name(value: Any) -> str:
    """Check the name of a run."""
    if not isinstance(value, str) or not 1 <= len(value) <= MAX_NAME:
        raise refuse("name", value, f"a text of 1 to {MAX_NAME} characters")
    return value


def stage(value: Any) -> str:
    """Check the stage of a process."""
    if value not in STAGES:
        raise refuse("stage", value, f"one of {', '.join(STAGES)}")
    return str(value)


def page_limit(value: Any) -> int:
    """Check how many items a page is to have."""
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MAX_PAGE:
        raise refuse("limit", value, f"a whole number from 1 to {MAX_PAGE}")
    return value


def total_limit(value: Any) -> int | None:
    """Check how many items are wanted in all."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise refuse("limit", value, "a whole number from 1, or None for all")
    return value


def file_name(value: Any) -> str:
    """Check the name under which a file is uploaded."""
    if not isinstance(value, str) or not 1 <= len(value) <= MAX_FILE_NAME or _CONTROL.search(value):
        raise refuse("file_name", value, f"1 to {MAX_FILE_NAME} characters without control characters")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise refuse("file_name", value, "text that can be encoded as UTF-8") from None
    return value


def file_ids(value: Any) -> list[str] | None:
    """Check ids of uploaded files. They are opaque: the samples show both 25 characters and an s3 URI."""
    if value is None:
        return None
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise refuse("file_ids", value, "a list of texts")
    for item in value:
        if not isinstance(item, str) or not item.strip():
            raise refuse("file_ids", item, "a list of non-empty texts")
    return list(value) or None


def inputs(value: Any) -> list[dict[str, Any]] | None:
    """
    Check inputs and return them as the list the service wants.

    Values go as any JSON: the service's pages show a text only, but exclude nothing.
    """
    if value is None:
        return None
    if not isinstance(value, Mapping):
        raise refuse("inputs", value, "a dictionary of names and JSON values")
    for name, content in value.items():
        if not isinstance(name, str) or not name.strip():
            raise refuse("inputs", name, "named by non-empty texts")
        try:
            json.dumps(content, allow_nan=False)
        except (TypeError, ValueError, RecursionError) as error:
            raise refuse(f"inputs[{name!r}]", content, f"a JSON value ({error})") from None
    return [{"name": name, "value": content} for name, content in value.items()] or None
