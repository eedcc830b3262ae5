"""Every error body becomes the right exception."""

from __future__ import annotations

import json
import pickle
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowException, AirflowFailException
from hypothesis import example, given
from hypothesis import strategies as st

from airflow_provider_kognitos.api.errors import declares_error, read_error, refusal, retry_after
from airflow_provider_kognitos.api.transport import Answer, ApiKey
from airflow_provider_kognitos.exceptions import (
    KognitosApiError,
    KognitosAuthError,
    KognitosCapacityError,
    KognitosNotFoundError,
    KognitosRateLimitError,
    KognitosServerError,
    KognitosValidationError,
)

from .service import KEY
from .test_models import JSON

BY_STATUS: dict[int, type[KognitosApiError]] = {
    401: KognitosAuthError,
    403: KognitosAuthError,
    404: KognitosNotFoundError,
    408: KognitosServerError,
    425: KognitosServerError,
    429: KognitosRateLimitError,
}


def expected(status: int) -> type[KognitosApiError]:
    return BY_STATUS.get(status, KognitosServerError if status >= 500 else KognitosValidationError)


def answer(status: int, body: Any = b"", **headers: str) -> Answer:
    if isinstance(body, str):
        body = body.encode()
    elif not isinstance(body, bytes):
        body = json.dumps(body).encode()
    return Answer(status, {name.replace("_", "-"): value for name, value in headers.items()}, body)


BODIES = (
    st.binary(max_size=300)
    | JSON.map(lambda value: json.dumps(value).encode())
    | st.dictionaries(
        st.sampled_from(["message", "Message", "details", "detail", "errors", "status_code", "statusCode", "error"]),
        JSON | st.just(f"bad key {KEY}!") | st.just([{KEY: [KEY]}]),
    ).map(lambda value: json.dumps(value).encode())
    | st.just(b'{"message": "cut o')
)


@given(st.integers(300, 599), BODIES, st.booleans(), st.dictionaries(st.just("Retry-After"), st.text()))
@example(400, b"[" * 50_000, False, {})
@example(503, b'{"details": ' + b"[" * 900 + b"]" * 900 + b"}", False, {})
@example(500, b"\xff\xfe", True, {})
@example(404, b"<" * 900 + b"<script" * 300, True, {})
def test_any_answer_becomes_an_error_without_the_key(
    status: int, body: bytes, starting: bool, headers: dict[str, str]
) -> None:
    error = refusal(Answer(status, headers, body), "GET /v2/runs", scrub=ApiKey(KEY).scrub, starting=starting)
    _, _, declared = read_error(Answer(status, headers, body))
    if declared == 401:
        assert type(error) is KognitosAuthError
    else:
        assert error.status_code == status
        assert isinstance(error, expected(status) | KognitosCapacityError)
    assert KEY not in repr((str(error), error.args, vars(error)))
    assert "\n" not in str(error)
    assert len(str(error)) < 2000
    assert str(error).startswith("GET /v2/runs: Kognitos answered ")
    assert isinstance(error.details, list)
    assert KEY not in str(pickle.loads(pickle.dumps(error)))


@pytest.mark.parametrize("status", [400, 401, 403, 404, 408, 409, 410, 422, 425, 429, 500, 501, 502, 503, 504])
@pytest.mark.parametrize("body", ["", "<html><body>no</body></html>", '{"status_code": 4', {"message": None}, [1], 5])
def test_by_status_whatever_the_body(status: int, body: Any) -> None:
    error = refusal(answer(status, body), "GET /v2/x")
    assert type(error) is expected(status)
    assert error.status_code == status


@pytest.mark.parametrize(
    ("body", "reason", "details"),
    [
        (
            {"status_code": 400, "message": "Invalid input values", "details": [{"field": "name"}]},
            "Invalid input values",
            [{"field": "name"}],
        ),
        ({"status_code": 400, "message": "Bad", "details": None}, "Bad", []),
        ({"message": "Forbidden"}, "Forbidden", []),
        ({"Message": "explicit deny"}, "explicit deny", []),
        (
            {"detail": [{"loc": ["body", "name"], "msg": "too long"}]},
            "",
            [{"loc": ["body", "name"], "msg": "too long"}],
        ),
        ({"detail": "Not Found"}, "Not Found", []),
        ({"error": "invalid_request", "error_description": "what it means"}, "what it means", []),
        ({"message": "x", "errors": {"name": "long"}}, "x", [{"name": "long"}]),
        ({"unknown": 1}, '{"unknown": 1}', []),
        ({"statusCode": 400}, "", []),
        ("  lines\n\tof  text ", "lines of text", []),
        ('"a JSON text"', "a JSON text", []),
        ("<html><head><title>502 Bad Gateway</title><style>h1 {}</style></head><body>a &amp; b", None, []),
        ("", "", []),
        ("null", "", []),
    ],
)
def test_the_service_is_quoted(body: Any, reason: str | None, details: list[Any]) -> None:
    error = refusal(answer(400, body), "POST /v2/runs")
    if reason is not None:
        assert error.reason == reason
        assert reason in str(error)
    else:
        assert error.reason.startswith("502 Bad Gateway")
        assert error.reason.endswith("a & b")
    assert error.details == details


def test_details_are_shown() -> None:
    error = refusal(answer(422, {"message": "no", "details": [{"field": "näme"}]}), "POST /v2/runs")
    assert 'Details: [{"field": "näme"}].' in str(error)


def test_details_too_deep_to_be_searched_for_the_key_are_left_out() -> None:
    def scrub(value: Any) -> Any:
        if isinstance(value, list):
            raise RecursionError
        return value

    error = refusal(answer(400, {"message": "no", "details": [[]]}), "POST /v2/runs", scrub=scrub)
    assert (error.reason, error.details) == ("no", [])


def test_long_answers_are_cut() -> None:
    error = refusal(answer(400, {"message": "x" * 10_000, "details": ["y" * 10_000]}), "POST /v2/runs")
    assert len(str(error)) < 1500
    assert len(error.reason) == 500


@pytest.mark.parametrize(
    ("status", "body", "headers", "words"),
    [
        (401, "", {}, "another region"),
        (404, "", {}, "scoped to one agent"),
        (429, {"message": "Too Many Requests"}, {}, "requests_per_minute"),
        (429, {"message": "Limit Exceeded"}, {}, "quota"),
        (429, {"message": "Rate limit exceeded"}, {}, "requests_per_minute"),
        (307, "", {"Location": "https://else/where?secret=1"}, "redirect to https://else/where, not followed"),
        (302, "", {}, "redirect to nowhere"),
    ],
)
def test_what_to_do(status: int, body: Any, headers: dict[str, str], words: str) -> None:
    error = refusal(answer(status, body, **headers), "GET /v2/runs")
    assert words in str(error)
    assert "secret" not in str(error)


def test_access_not_permitted_is_the_key_whatever_the_status() -> None:
    for status in (400, 401, 403, 404, 500):
        assert type(refusal(answer(status, {"message": "access not permitted"}), "GET /v2/x")) is KognitosAuthError


def test_capacity_words_mean_capacity_only_at_a_start() -> None:
    body = {"message": "concurrency limit"}
    assert type(refusal(answer(403, body), "GET /v2/x")) is KognitosAuthError
    assert type(refusal(answer(403, body), "POST /v2/runs", starting=True)) is KognitosCapacityError
    named = refusal(answer(404, "Resource Not Available"), "GET /v2/x")
    assert type(named) is KognitosCapacityError
    assert "not started" not in str(named)


@pytest.mark.parametrize(
    ("status", "body", "declared"),
    [
        (200, {"statusCode": 403, "message": "no"}, True),
        (200, {"status_code": "500"}, True),
        (200, {"status_code": 200}, False),
        (200, {"status_code": 1e400}, False),
        (200, {"status_code": 99999}, False),
        (200, {"status_code": None}, False),
        (200, {"id": "run-1"}, False),
        (200, [1], False),
        (403, {"statusCode": 403}, False),
    ],
)
def test_an_error_inside_a_success(status: int, body: Any, declared: bool) -> None:
    assert declares_error(answer(status, body)) is declared
    if declared:
        assert refusal(answer(status, body), "GET /v2/x").status_code == int(next(iter(body.values())))


NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("120", 120.0),
        (" 1.5 ", 1.5),
        ("0", 0.0),
        ("-5", 0.0),
        ("inf", None),
        ("nan", None),
        ("1e999", None),
        ("soon", None),
        ("", None),
        (format_datetime(NOW + timedelta(seconds=90), usegmt=True), 90.0),
        (format_datetime(NOW - timedelta(seconds=90), usegmt=True), 0.0),
        ("Fri, 02 Jan 2026 04:04:15 +0100", 10.0),
        ("Fri, 02 Jan 2026 03:04:15 -0000", 10.0),
        ("Fri, 99 Jan 2026 03:04:15 GMT", None),
    ],
)
def test_retry_after(value: str, seconds: float | None) -> None:
    assert retry_after({"retry-AFTER": value}, NOW) == seconds


def test_no_retry_after() -> None:
    assert retry_after({}) is None


@given(st.text() | st.floats().map(str) | st.datetimes().map(format_datetime))
def test_any_retry_after(value: str) -> None:
    seconds = retry_after({"Retry-After": value})
    assert seconds is None or 0 <= seconds < float("inf")


@given(st.integers(0, 10**9))
def test_retry_after_as_seconds_and_as_a_date_agree(seconds: int) -> None:
    date = format_datetime(NOW + timedelta(seconds=seconds), usegmt=True)
    assert retry_after({"Retry-After": date}, NOW) == retry_after({"Retry-After": str(seconds)}) == seconds


@pytest.mark.parametrize("status", [429, 503, 408])
def test_retry_after_reaches_the_error(status: int) -> None:
    error: Any = refusal(answer(status, "", Retry_After="9"), "GET /v2/x")
    assert error.retry_after == 9
    assert pickle.loads(pickle.dumps(error)).retry_after == 9


def test_kinds_of_airflow() -> None:
    for kind in {*BY_STATUS.values(), KognitosValidationError, KognitosCapacityError}:
        assert issubclass(kind, AirflowException)
        heals = kind in {KognitosServerError, KognitosRateLimitError, KognitosCapacityError}
        assert issubclass(kind, AirflowFailException) is not heals
