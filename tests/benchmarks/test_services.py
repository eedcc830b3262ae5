"""The services that the benchmark measures against: fair to all, and what they say fits the plan."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from airflow_provider_kognitos.api.models import Run
from benchmarks.waiting.contenders import PACKAGES
from benchmarks.waiting.plan import Plan
from benchmarks.waiting.services import service


def read_list(plan: Plan, process: str, ended: Any) -> list[dict[str, Any]]:
    kognitos = service("kognitos", plan)
    items: list[dict[str, Any]] = []
    token: str | None = "0"
    while token is not None:
        page = kognitos("/v2/runs", {"process_id": process, "limit": "100", "continuation_token": token}, ended)
        assert len(page["items"]) <= 100
        items += page["items"]
        token = page["continuation_token"]
    return items


@pytest.mark.parametrize("order", ["newest first", "oldest first", "random"])
def test_the_list_shows_each_run_once_in_every_order(order):
    items = read_list(Plan(250, order=order), "process-0", lambda number: False)
    assert sorted(item["id"] for item in items) == sorted(f"run-{number}" for number in range(250))


def test_the_list_of_a_process_shows_its_own_runs_among_those_of_others():
    items = read_list(Plan(60, processes=3, foreign=9), "process-1", lambda number: False)
    ours = {item["id"] for item in items if item["id"].startswith("run-")}
    assert ours == {f"run-{number}" for number in range(1, 60, 3)}
    assert len(items) == 10 * len(ours)


@pytest.mark.parametrize("outputs_listed", [True, False])
def test_a_run_that_ended_has_outputs_in_the_list_only_where_the_plan_says_so(outputs_listed):
    [first, second] = read_list(
        Plan(2, order="oldest first", outputs_listed=outputs_listed), "process-0", lambda number: number == 0
    )
    assert (first["status"], second["status"]) == ("Succeeded", "Running")
    assert bool(first["outputs"]) is outputs_listed
    assert second["outputs"] is None
    alone = service("kognitos", Plan(2, outputs_listed=False))("/v2/runs/run-0", {}, lambda number: True)
    assert Run.from_json(alone).outputs == {"total": 42}


def test_runs_end_evenly_over_the_time_of_the_plan_and_in_no_order():
    ends = Plan(1_000).ends()
    assert 10 < min(ends) < 10.1
    assert 29.9 < max(ends) < 30
    assert {round(later - earlier, 6) for earlier, later in pairwise(sorted(ends))} == {0.02}
    assert ends != sorted(ends)


def test_an_end_while_the_service_throttles_can_be_seen_only_after_that():
    plan = Plan(10, throttled=(12.0, 22.0))
    assert [plan.seen_from(end) for end in (11.0, 12.0, 21.9, 22.0)] == [11.0, 22.0, 22.0, 22.0]


def test_a_plan_is_the_same_in_another_process():
    plan = Plan(10, throttled=(12.0, 22.0), foreign=9, order="oldest first")
    assert Plan.from_json(plan.to_json()) == plan


@pytest.mark.parametrize(
    ("name", "path", "query"),
    [
        ("databricks", "/api/2.1/jobs/runs/get", {"run_id": "3"}),
        ("fivetran", "/v1/connections/connector3", {}),
        ("dbt", "/api/v2/accounts/1/runs/3/", {}),
        ("airbyte", "/v1/jobs/3", {}),
    ],
)
def test_each_peer_is_told_of_the_end_of_the_run_it_asks_for(name, path, query):
    assert name in PACKAGES
    answer = service(name, Plan(10))
    assert answer(path, query, lambda number: False) != answer(path, query, lambda number: number == 3)
    assert answer(path, query, lambda number: number != 3) == answer(path, query, lambda number: False)
