"""
An answer that refuses becomes the right exception.

Errors of the service come as its own model, as the JSON of a gateway in front of it, as HTML, empty or cut off.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from html import unescape
from typing import Any

from airflow_provider_kognitos.api.transport import Answer
from airflow_provider_kognitos.exceptions import (
    KognitosApiError,
    KognitosAuthError,
    KognitosCapacityError,
    KognitosNotFoundError,
    KognitosRateLimitError,
    KognitosServerError,
    KognitosValidationError,
)

_SHOWN = 500
_READ = 20_000
_MESSAGES = ("message", "Message", "error_description", "error", "detail", "title")
_DETAILS = ("details", "detail", "errors")
_STATUSES = ("status_code", "statusCode")

_REFUSED_KEY = re.compile(r"access\s+not\s+permitted", re.I)
_BAD_KEY = re.compile(
    r"access\s+not\s+permitted|api[ _-]?key|unauthori[sz]ed|not authori[sz]ed|credential|revoked|permission", re.I
)
_CAPACITY = re.compile(r"resource\s+not\s+available", re.I)
_CONCURRENCY = re.compile(r"capacity|concurren|too many (active |parallel )?(runs|workers|processes)", re.I)
_QUOTA = re.compile(r"\s*limit exceeded\W*", re.I)


def refusal(
    answer: Answer,
    asked: str,
    *,
    scrub: Callable[[Any], Any] = lambda value: value,
    starting: bool = False,
) -> KognitosApiError:
    """
    Return the exception for an answer that is not a success.

    :param asked: method and path of the request.
    :param scrub: takes secrets out of the service's words.
    :param starting: whether the request was to start a run; a 403 can speak of capacity then.
    """
    said, details, declared = read_error(answer)
    said, details, details_text = _scrubbed(scrub, said, details)
    # "statusCode: 401" is documented for a bad key, whatever the status of the answer itself is.
    status = declared if declares_error(answer) or declared == 401 else answer.status
    kind, advice = _classify(status, f"{said} {details_text}", answer.headers, starting=starting)
    extra: dict[str, Any] = {"status_code": status, "details": details, "reason": shorten(said)}
    if issubclass(kind, KognitosRateLimitError | KognitosServerError):
        extra["retry_after"] = retry_after(answer.headers)
    words = [f"{asked}: Kognitos answered {status}" + (f" ({shorten(said)})." if said.strip() else ".")]
    if details:
        words.append(f"Details: {shorten(details_text)}.")
    return kind(" ".join([*words, advice]), **extra)


def declares_error(answer: Answer) -> bool:
    """Return whether a 2xx is only the envelope of an error, whose status is in the body: gateways do that."""
    return answer.status < 300 <= read_error(answer)[2] < 600


def unreadable(answer: Answer, asked: str, why: str) -> KognitosServerError:
    """Return the exception for a success whose body is not what it should be."""
    return KognitosServerError(
        f"{asked}: Kognitos answered {answer.status}, but the answer could not be read: {why}. If this goes on, "
        "check that the host of the connection is the service itself, not a portal or proxy in front of it.",
        status_code=answer.status,
        retry_after=retry_after(answer.headers),
    )


def is_ambiguous(error: KognitosApiError) -> bool:
    """Return whether a refused start leaves open what was refused: the key, or one more run."""
    return error.status_code == 403 and isinstance(error, KognitosAuthError) and not _BAD_KEY.search(error.reason)


def read_error(answer: Answer) -> tuple[str, list[Any], int]:
    """Return what an error's body says: message, details and status (0 if it names none)."""
    text = answer.body.decode("utf-8", "replace")
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        return _plain(text), [], 0
    if not isinstance(data, dict):
        return (data if isinstance(data, str) else text if data is not None else ""), [], 0
    message = next((data[key] for key in _MESSAGES if isinstance(data.get(key), str) and data[key].strip()), "")
    found: Any = next((data[key] for key in _DETAILS if data.get(key) and data[key] != message), [])
    details = found if isinstance(found, list) else [found]
    declared = next((_integer(data[key]) for key in _STATUSES if key in data), 0)
    if not message and not details and data.keys() - set(_STATUSES):
        message = text
    return message, details, declared


def retry_after(headers: Mapping[str, str], now: datetime | None = None) -> float | None:
    """Return the seconds that ``Retry-After`` (seconds or a date) asks to wait, ``None`` if it says nothing."""
    value = next((item for name, item in headers.items() if name.lower() == "retry-after"), "").strip()
    if not value:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            moment = parsedate_to_datetime(value)
            seconds = (
                (moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - (now or datetime.now(UTC))
            ).total_seconds()
        except (ValueError, OverflowError):
            return None
    return max(seconds, 0.0) if math.isfinite(seconds) else None


def shorten(text: str) -> str:
    """Return a text on one line and not too long."""
    text = " ".join(text.split())
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"


def _scrubbed(scrub: Callable[[Any], Any], said: str, details: list[Any]) -> tuple[str, list[Any], str]:
    try:
        details = scrub(details)
        return scrub(said), details, json.dumps(details, ensure_ascii=False) if details else ""
    except RecursionError:
        return scrub(said), [], ""


def _classify(
    status: int, said: str, headers: Mapping[str, str], *, starting: bool
) -> tuple[type[KognitosApiError], str]:
    if _CAPACITY.search(said) or (starting and status == 403 and _CONCURRENCY.search(said)):
        return KognitosCapacityError, (
            "The organization is at its limit of concurrent runs"
            + ("; the run was not started. It can be started when others have ended." if starting else ".")
        )
    if status in {401, 403} or _REFUSED_KEY.search(said):
        return KognitosAuthError, (
            "Check the API key of the connection: it may be wrong or revoked, belong to another region, or be "
            "scoped to another agent."
        )
    if status == 404:
        return KognitosNotFoundError, (
            "Check the ids, the agent, and the region of the connection; a key scoped to one agent sees nothing "
            "of the others."
        )
    if status == 429:
        if _QUOTA.fullmatch(said):
            return KognitosRateLimitError, (
                "The quota of the API key is exhausted, not only its rate: Kognitos shows it under API Keys > Usage."
            )
        return KognitosRateLimitError, (
            "All calls of an organization share one limit (API Keys > Usage in Kognitos); extra "
            "`requests_per_minute` of the connection keeps below it."
        )
    if status in {408, 425} or status >= 500:
        return KognitosServerError, "The service failed." + ("" if starting else " Another try may succeed.")
    if 300 <= status < 400:
        location = shorten(next((item for name, item in headers.items() if name.lower() == "location"), ""))
        return KognitosValidationError, (
            f"This is a redirect to {location.partition('?')[0] or 'nowhere'}, not followed since it would take "
            "the API key there. Check the host of the connection, http or https among the rest."
        )
    return KognitosValidationError, "The service refuses these values: correct them."


def _plain(text: str) -> str:
    """Return the words of an answer that is not JSON: an HTML page without its tags."""
    text = text[:_READ]
    if "<" not in text:
        return text
    text = re.sub(r"<(script|style)\b[^<]*<", "<", text, flags=re.I)
    return unescape(re.sub(r"<[^<>]*>", " ", text))


def _integer(value: Any) -> int:
    try:
        return int(value)
    except (TypeError, ValueError, OverflowError):
        return 0
