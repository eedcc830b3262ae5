"""Which attempt of which generation a context belongs to."""

from __future__ import annotations

from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_provider_kognitos.runs.attempt import attempt_of
from airflow_provider_kognitos.runs.decision import Attempt
from airflow_provider_kognitos.runs.ends import EndStatuses
from airflow_provider_kognitos.runs.identity import fingerprint_of, identity_of
from airflow_provider_kognitos.runs.request import RunRequest

from .made import NOW

REQUEST = RunRequest("invoice", "demo-agent", "Published", "label", {"a": 1}, ("f1",), ("/one",))
HOUR = timedelta(hours=1)


def attempt(
    try_number: int,
    max_tries: int,
    *,
    retries: int | None = 2,
    request: RunRequest = REQUEST,
    **dag_run: datetime | None,
) -> Attempt:
    context: Any = {
        "ti": SimpleNamespace(
            dag_id="d", run_id="r", task_id="t", map_index=4, try_number=try_number, max_tries=max_tries
        ),
        "task": SimpleNamespace(retries=retries),
        "dag_run": SimpleNamespace(**{"start_date": NOW, **dag_run}),
    }
    return attempt_of(context, request, deployment="prod", ends=EndStatuses())


def test_the_marker_stands_for_the_task_instance_and_for_what_it_asks() -> None:
    marker = attempt(1, 2).marker

    assert marker.identity == identity_of(deployment="prod", dag_id="d", run_id="r", task_id="t", map_index=4)
    assert marker.generation == 2
    assert marker.fingerprint == fingerprint_of(
        process_id="invoice", agent_id="demo-agent", stage="Published", inputs={"a": 1}, files=["/one"]
    )


def test_neither_label_nor_ids_of_uploaded_files_make_it_another_request() -> None:
    other = REQUEST._replace(label="another", file_ids=("f2",))

    assert attempt(1, 2, request=other).marker == attempt(1, 2).marker


@pytest.mark.parametrize(
    ("try_number", "max_tries", "retries", "first", "tries_before", "tries_at_clear"),
    [
        (1, 2, 2, True, 0, 0),
        (2, 2, 2, False, 1, 0),
        (3, 2, 2, False, 2, 0),
        (1, 0, 0, True, 0, 0),
        (1, 0, None, True, 0, 0),
        # Cleared after one try, then after a retry of that: Airflow sets max_tries to tries so far plus retries.
        (2, 3, 2, False, 0, 1),
        (3, 3, 2, False, 1, 1),
        (2, 1, None, False, 0, 1),
        (4, 5, 2, False, 0, 3),
        # Cleared while it ran on a worker: looks like a retry.
        (2, 0, 0, False, 1, 0),
        # The task's retries were raised since.
        (2, 2, 9, False, 1, 0),
    ],
)
def test_a_clear_is_told_from_a_retry(
    try_number: int, max_tries: int, retries: int | None, first: bool, tries_before: int, tries_at_clear: int
) -> None:
    found = attempt(try_number, max_tries, retries=retries)

    assert (found.first, found.tries_before, found.tries_at_clear) == (first, tries_before, tries_at_clear)
    assert found.marker.generation == max_tries


def test_no_run_of_a_task_never_cleared_is_older_than_the_dag_run() -> None:
    found = attempt(2, 2, start_date=NOW, run_after=NOW - HOUR)

    assert found.dag_run_started == found.search_from == NOW


@pytest.mark.parametrize(
    ("dag_run", "search_from"),
    [
        ({"run_after": NOW - HOUR}, NOW - HOUR),
        ({"data_interval_end": NOW - HOUR}, NOW - HOUR),
        ({"run_after": None, "data_interval_end": NOW - HOUR}, NOW - HOUR),
        # Asked for in the future, run now.
        ({"run_after": NOW + HOUR}, NOW),
        ({}, None),
        ({"start_date": None, "run_after": NOW}, None),
    ],
    ids=str,
)
def test_after_a_clear_runs_may_be_older_than_the_start_it_has_reset(
    dag_run: dict[str, Any], search_from: datetime | None
) -> None:
    assert attempt(2, 3, **dag_run).search_from == search_from
