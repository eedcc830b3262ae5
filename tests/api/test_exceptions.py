"""The tree of errors: what Airflow sees in it, and that each survives a pickle."""

from __future__ import annotations

import pickle
from datetime import UTC, datetime
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowException, AirflowFailException

from airflow_provider_kognitos import exceptions
from airflow_provider_kognitos.api.models import Run

from .service import RUN

KINDS: list[Any] = [
    kind for kind in vars(exceptions).values() if isinstance(kind, type) and issubclass(kind, exceptions.KognitosError)
]


@pytest.mark.parametrize("kind", KINDS)
def test_every_error_is_one_of_airflow_and_can_be_pickled(kind: Any) -> None:
    of_a_run = issubclass(kind, exceptions.KognitosRunFailedError)
    error = kind(Run.from_json(RUN), "http://ui/run-1") if of_a_run else kind("what happened")
    assert isinstance(error, AirflowException)
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again), vars(again)) == (kind, str(error), vars(error))


def test_what_errors_carry_is_kept() -> None:
    sent_at = datetime(2026, 1, 2, tzinfo=UTC)
    errors = [
        exceptions.KognitosConnectionError("x", sent=False),
        exceptions.KognitosStartUncertainError("x", sent_at=sent_at),
        exceptions.KognitosRateLimitError("x", retry_after=3.0, status_code=429, details=[{"a": 1}], reason="y"),
    ]
    for error in errors:
        assert vars(pickle.loads(pickle.dumps(error))) == vars(error)


def test_what_no_retry_can_heal_fails_the_task_at_once() -> None:
    hopeless = {kind.__name__ for kind in KINDS if issubclass(kind, AirflowFailException)}
    assert hopeless == {
        "KognitosConfigError",
        "KognitosAuthError",
        "KognitosValidationError",
        "KognitosNotFoundError",
        # A sensor that waits for the same run once more sees the same end.
        "KognitosWatchedRunFailedError",
    }


def test_a_run_that_failed_is_named() -> None:
    error = exceptions.KognitosRunCancelledError(Run.from_json({**RUN, "status": "Cancelled"}), "http://ui/run-1")
    for part in ("run-1", "process-1", "Cancelled", "http://ui/run-1"):
        assert part in str(error)
