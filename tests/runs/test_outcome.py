from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_kognitos.exceptions import (
    KognitosError,
    KognitosPollError,
    KognitosRunCancelledError,
    KognitosRunFailedError,
    KognitosRunTimeoutError,
)
from airflow_provider_kognitos.runs.ends import EndStatuses
from airflow_provider_kognitos.runs.outcome import Outcome, finish, result_of

from .made import run

URL = "https://kognitos/run-1"
ENDS = EndStatuses()
DONE = run(
    status="Succeeded",
    name="dag.task [af-0123456789-2-abcd]",
    created_at=datetime(2026, 1, 2, 3, 4, 5, 678, UTC),
    file_ids=["f1", "f2"],
    outputs=[{"name": "total", "value": 42}, {"name": "lines", "value": [{"a": None}]}],
)
RESULT = {
    "run_id": "run-1",
    "name": "dag.task [af-0123456789-2-abcd]",
    "status": "Succeeded",
    "process_id": "invoice",
    "agent_id": "demo-agent",
    "stage": "Published",
    "created_at": "2026-01-02T03:04:05.000678+00:00",
    "file_ids": ["f1", "f2"],
    "outputs": {"total": 42, "lines": [{"a": None}]},
    "url": URL,
}


def delivered(outcome: Outcome, url: str | None = URL) -> Any:
    """Return the event as it comes out of Airflow's database."""
    return json.loads(json.dumps(outcome.to_event(url)))


def test_what_a_task_returns() -> None:
    assert result_of(DONE, URL) == RESULT


def test_a_run_that_succeeded_gives_its_result_through_the_triggerer_too() -> None:
    assert finish(delivered(Outcome.ended(DONE)), ENDS) == RESULT


@pytest.mark.parametrize(
    ("status", "error"),
    [
        ("Failed", KognitosRunFailedError),
        ("Cancelled", KognitosRunCancelledError),
        ("TimedOut", KognitosRunFailedError),
        ("Rejected", KognitosRunFailedError),
    ],
)
def test_a_run_that_ended_badly_fails_the_task_with_what_is_known_of_it(
    status: str, error: type[KognitosRunFailedError]
) -> None:
    ended = run(status=status, name="Invoice 42")

    with pytest.raises(
        KognitosRunFailedError, match=f"run-1 .*Invoice 42.* invoice ended as {status}.*{URL}"
    ) as raised:
        finish(delivered(Outcome.ended(ended)), EndStatuses(failure=(*ENDS.failure, "Rejected")))

    assert type(raised.value) is error
    assert (raised.value.run, raised.value.url) == (ended, URL)


def test_a_deadline_and_a_lost_service_are_different_errors() -> None:
    with pytest.raises(KognitosRunTimeoutError, match="too late"):
        finish(delivered(Outcome.timeout("run-1", "too late")), ENDS)
    with pytest.raises(KognitosPollError, match="no answer"):
        finish(delivered(Outcome.error("run-1", "no answer")), ENDS)


def test_the_run_itself_is_there_only_if_it_ended() -> None:
    assert Outcome.ended(DONE).ended_run() is DONE
    with pytest.raises(KognitosRunTimeoutError, match="too late"):
        Outcome.timeout("run-1", "too late").ended_run()
    with pytest.raises(KognitosPollError, match="no answer"):
        Outcome.error("run-1", "no answer").ended_run()


@pytest.mark.parametrize(
    "event", [None, "done", [], {}, {"status": "success"}, {"kind": "ended", "run_id": "run-1"}], ids=repr
)
def test_an_event_of_something_else_is_refused(event: Any) -> None:
    with pytest.raises(KognitosError, match="says nothing of a Kognitos run"):
        finish(event, ENDS)


outputs = st.dictionaries(
    st.text(max_size=5),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
        lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=3), children, max_size=3),
        max_leaves=5,
    ),
    max_size=4,
)


@given(outputs, st.none() | st.text(max_size=9), st.none() | st.datetimes(timezones=st.just(UTC)))
def test_no_output_is_lost_on_the_way_through_the_triggerer(
    values: dict[str, Any], url: str | None, created_at: datetime | None
) -> None:
    ended = run(status="Succeeded", outputs=values, created_at=created_at)

    assert finish(delivered(Outcome.ended(ended), url), ENDS) == result_of(ended, url)
    assert finish(delivered(Outcome.ended(ended), url), ENDS)["outputs"] == values
