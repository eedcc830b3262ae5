"""What may be sent again, and how long to wait before it is."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tenacity import Future, RetryCallState

from airflow_provider_kognitos import exceptions
from airflow_provider_kognitos.api import retry
from airflow_provider_kognitos.api.retry import (
    MAX_RETRY_AFTER,
    MAX_TOTAL,
    call,
    may_repeat,
    may_start_again,
    wait_before,
)
from airflow_provider_kognitos.exceptions import (
    KognitosCapacityError,
    KognitosConnectionError,
    KognitosRateLimitError,
    KognitosServerError,
)


def after(error: Exception, attempt: int) -> RetryCallState:
    state = RetryCallState(SimpleNamespace(), None, (), {})  # type: ignore[arg-type]
    state.attempt_number = attempt
    state.outcome = Future.construct(attempt, error, has_exception=True)
    return state


@given(st.none() | st.floats(0, 1e300), st.integers(1, 10_000))
def test_wait_is_bounded_and_never_shorter_than_asked(asked: float | None, attempt: int) -> None:
    wait = wait_before(after(KognitosRateLimitError("", retry_after=asked), attempt))
    assert min(asked or 0, MAX_RETRY_AFTER) <= wait <= max(min(asked or 0, MAX_RETRY_AFTER), 31.0)
    assert wait >= min(0.5 * 2 ** min(attempt - 1, 100), 30)


def test_waits_differ() -> None:
    assert len({wait_before(after(KognitosConnectionError(""), 1)) for _ in range(20)}) > 1


@given(st.integers(1, 8), st.integers(0, 10))
def test_as_often_as_said(attempts: int, failures: int) -> None:
    tries: list[int] = []

    def function() -> str:
        tries.append(1)
        if len(tries) <= failures:
            raise KognitosServerError("busy")
        return "done"

    waits: list[float] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(retry, "sleep", waits.append)
        if failures < attempts:
            assert call(function, attempts=attempts) == "done"
        else:
            with pytest.raises(KognitosServerError, match="busy"):
                call(function, attempts=attempts)
    assert len(tries) == min(attempts, failures + 1)
    assert len(waits) == len(tries) - 1


def test_all_tries_together_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    monkeypatch.setattr(retry, "sleep", lambda seconds: now.__setitem__(0, now[0] + seconds))

    def function() -> None:
        raise KognitosRateLimitError("", retry_after=250)

    with pytest.raises(KognitosRateLimitError):
        call(function, attempts=100)
    assert MAX_TOTAL - 300 <= now[0] <= MAX_TOTAL


ERRORS: list[Any] = [
    kind for kind in vars(exceptions).values() if isinstance(kind, type) and issubclass(kind, exceptions.KognitosError)
]


def test_what_may_be_repeated() -> None:
    repeated = {kind.__name__ for kind in ERRORS if may_repeat(kind.__new__(kind))}
    assert repeated == {
        "KognitosConnectionError",
        "KognitosServerError",
        "KognitosRateLimitError",
        "KognitosCapacityError",
    }
    assert not may_repeat(ValueError())


def test_what_may_be_started_again() -> None:
    assert may_start_again(KognitosRateLimitError(""))
    assert may_start_again(KognitosConnectionError("", sent=False))
    assert not may_start_again(KognitosConnectionError(""))
    assert not may_start_again(KognitosServerError(""))
    assert not may_start_again(KognitosCapacityError(""))
    assert not may_start_again(ValueError())


def test_each_retry_is_logged(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    replies: list[Any] = [KognitosServerError("GET /v2/runs: 503."), "done"]

    def function() -> Any:
        reply = replies.pop(0)
        if isinstance(reply, Exception):
            raise reply
        return reply

    monkeypatch.setattr(retry, "sleep", lambda _: None)
    with caplog.at_level("WARNING", "airflow_provider_kognitos"):
        assert call(function, attempts=3) == "done"
    assert len(caplog.records) == 1
    assert caplog.messages[0].startswith("GET /v2/runs: 503. Trying again in ")
    assert caplog.messages[0].endswith("(try 1 of 3 failed).")
