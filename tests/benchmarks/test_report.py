"""The page of the benchmark says what was measured, and nothing else."""

from __future__ import annotations

import pytest

from benchmarks.deferred.measure import Deferred, Watch, Work
from benchmarks.report import Results, Row, page
from benchmarks.waiting import contenders


def row(runs: int, requests: int) -> Row:
    return {
        "runs": runs,
        "requests": requests,
        "connections": 1,
        "cpu_s": 0.74,
        "lag_p99_ms": 2.4,
        "lag_max_ms": 6.0,
        "memory_mb": 4.51,
        "noticed": runs,
        "detection_median_s": 2.14,
        "detection_p95_s": 4.3,
    }


@pytest.fixture
def results(monkeypatch):
    # The peers are installed where the benchmark runs, not here.
    monkeypatch.setattr(contenders, "version", lambda package: "9.9.9")
    rows = {("floor", 1_000): row(1_000, 66), ("kognitos", 1_000): row(1_000, 70)}
    return Results(
        beside={"kognitos": row(1_000, 70), "databricks": row(1_000, 6_240)},
        growth=rows,
        settings={"list newest first": row(1_000, 71)},
        deferred=Deferred(Work(2.0, 0.12), Work(2.0, 0.1), Watch(40, 39, 52, 5.21, 1), 5.17, 3),
        uploads={"kognitos": (0.3, 0.04), "curl --form": (0.2, 0.0)},
        imports={"kognitos": 13.4, "dbt": 127.0},
    )


def test_each_figure_stands_in_the_line_of_what_it_is_of(results):
    lines = page(results).splitlines()
    expected = (
        "| kognitos 9.9.9 | 0.07 | 0.74 | 2 / 6 | 4.5 | 1 | 2.1 / 4.3 | 1,000 of 1,000 |",
        "| databricks 9.9.9 | 6.24 | 0.74 | 2 / 6 | 4.5 | 1 | 2.1 / 4.3 | 1,000 of 1,000 |",
        "| floor, 1,000 runs | 0.07 | 0.74 | 2 / 6 | 4.5 | 1 | 2.1 / 4.3 | 1,000 of 1,000 |",
        "| list newest first | 0.07 | 4.5 | 1 | 2.1 / 4.3 | 1,000 of 1,000 |",
        "| KognitosRunOperator | 2.00 | 0.120 | 1.20 |",
        "| TimeDeltaSensor | 2.00 | 0.100 | 1.00 |",
        "| kognitos | 0.30 | 1.5 | 0.0 |",
        "| curl --form | 0.20 | 1.0 |  |",
        "| dbt 9.9.9 | 127 |",
    )
    for line in expected:
        assert line in lines


def test_what_went_wrong_is_said(results):
    text = " ".join(page(results).split())
    assert "39 tasks succeeded" in text
    assert "1 times the triggerer's log says that a trigger blocked its thread; with the sensor's triggers, 3" in text


def test_without_curl_there_is_nothing_to_compare_with(results):
    alone = Results(**{**vars(results), "uploads": {"kognitos": (0.3, 0.04)}})
    assert "| kognitos | 0.30 |  | 0.0 |" in page(alone).splitlines()
