"""A small storm, by the code of ``benchmarks/storm.py``.

Few faults at the start of a run, and few kills: what they leave behind takes half a minute to clear up, each time.
"""

from importlib.metadata import version
from pathlib import Path

import pytest

from benchmarks.account import Task, settle
from benchmarks.storm import Forecast, storm

SMALL = Forecast(
    runs=30,
    seed=3,
    start_faults=0.04,
    kill_every=2,
    kills=8,
    capacity=20,
    run_seconds=(1, 6),
    minutes=4,
)


@pytest.mark.skipif(version("apache-airflow").startswith("2."), reason="kills the processes that Airflow 3 has")
def test_storm_starts_nothing_twice_and_loses_nothing(tmp_path: Path) -> None:
    report = storm(SMALL, tmp_path)
    print(report)
    assert report.finished, report
    assert report.account.problems == []
    assert report.account.started >= SMALL.runs
    assert report.faults.total() > 0
    assert report.kills.total() > 0


def started(index: int, run_id: str, *, at: float, ends: float, result: str = "Succeeded", marker: str = "a" * 10):
    return {
        "id": run_id,
        "name": f"storm.run x [af-{marker}-10-abcd]",
        "inputs": [{"name": "index", "value": index}],
        "plan": {"result": result, "outputs": [{"name": "run", "value": run_id}]},
        "created_at": at,
        "ends_at": ends,
        "foreign_run": 0,
    }


def succeeded(index: int, run_id: str, outputs: dict | None = None) -> Task:
    return Task(index, "success", 1, {"run_id": run_id, "outputs": outputs or {"run": run_id}})


RETRIED = [started(0, "bad", at=1, ends=2, result="Failed"), started(0, "good", at=3, ends=4)]
GAVE_UP = Task(0, "failed", 1, None, [("KognitosRunFailedError", "Kognitos run bad ended as Failed.")])


def test_account_of_a_failed_run_and_the_one_after_it_is_clean() -> None:
    account = settle([succeeded(0, "good")], [*RETRIED, {**RETRIED[0], "foreign_run": 1}])
    assert account.problems == []
    assert (account.started, account.expected, account.ended_badly) == (2, 2, 1)


def test_account_of_a_task_that_says_why_it_failed_is_clean() -> None:
    assert settle([GAVE_UP], RETRIED[:1]).problems == []


@pytest.mark.parametrize(
    ("tasks", "runs", "counted"),
    [
        ([succeeded(0, "good")], [started(0, "bad", at=1, ends=3.5, result="Failed"), RETRIED[1]], "duplicates"),
        ([succeeded(0, "one")], [started(0, "one", at=1, ends=2), started(0, "two", at=3, ends=4)], "lost"),
        ([GAVE_UP], RETRIED, "lost"),
        ([succeeded(0, "bad")], RETRIED[:1], "lost"),
        ([succeeded(0, "of another")], [], "lost"),
        ([], RETRIED[1:], "lost"),
        ([succeeded(0, "good", {"run": "another"})], RETRIED, "wrong"),
        ([succeeded(0, "good")], [RETRIED[0], started(0, "good", at=3, ends=4, marker="b" * 10)], "wrong"),
        ([Task(0, "failed", 1, None)], RETRIED[:1], "unexplained"),
        ([Task(0, "failed", 1, None, [("KognitosError", "")])], RETRIED[:1], "unexplained"),
        ([Task(0, "deferred", 1, None, GAVE_UP.errors)], RETRIED[:1], "unexplained"),
        ([Task(0, None, 0, None)], [], "unexplained"),
    ],
)
def test_account_names_what_went_wrong(tasks: list[Task], runs: list[dict], counted: str) -> None:
    account = settle(tasks, runs)
    assert len(getattr(account, counted)) >= 1
    assert account.problems
