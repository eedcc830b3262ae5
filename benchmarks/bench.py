"""
Measure what waiting, deferring, uploading and importing cost, ours beside others, and write ``benchmarks/RESULTS.md``.

``make bench`` takes ten minutes on two cores. What it says of a machine holds for that machine;
the ratios within a run are what counts.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from benchmarks import imports, upload
from benchmarks.deferred.measure import Deferred
from benchmarks.plot import plot_growth
from benchmarks.report import Results, Row, page
from benchmarks.waiting.compare import run
from benchmarks.waiting.contenders import label
from benchmarks.waiting.plan import Plan

HERE = Path(__file__).parent
RESULTS = HERE / "RESULTS.md"
PICTURE = HERE.parent / "docs" / "images" / "growth.png"

PEERS = ("databricks", "fivetran", "dbt", "airbyte")
OURS = ("floor", "kognitos")
#: What is measured side by side: together they take less than a tenth of the time of two cores.
GROWTH = (
    (("floor", 1_000), ("kognitos", 1_000)),
    (("floor", 10_000), ("kognitos", 5_000)),
    (("floor", 10), ("floor", 100), ("kognitos", 10), ("kognitos", 100), ("kognitos", 10_000)),
)
SETTINGS = {
    "list newest first": Plan(1_000, order="newest first"),
    "list oldest first": Plan(1_000, order="oldest first"),
    "list without outputs": Plan(1_000, outputs_listed=False),
    "20 processes, nine foreign runs for each of ours": Plan(1_000, processes=20, foreign=9),
    "429 for ten seconds, Retry-After said": Plan(1_000, throttled=(12.0, 22.0)),
}
#: Deferred tasks of a real Airflow, so few that it takes three minutes.
TASKS = 40

Key = TypeVar("Key")


def measure(plain_python: str) -> Results:
    """
    Measure all of it.

    :param plain_python: an interpreter with this provider and none of the others.
    """
    growth: dict[tuple[str, int], Row] = {}
    for together in GROWTH:
        growth |= _side_by_side({(name, size): (name, Plan(size)) for name, size in together})
    beside = {name: growth[name, 1_000] for name in OURS} | {name: _told(name, Plan(1_000)) for name in PEERS}
    settings = _side_by_side({setting: ("kognitos", plan) for setting, plan in SETTINGS.items()})
    return Results(beside, growth, settings, _deferred(plain_python), upload.measure(), imports.measure())


def _deferred(python: str) -> Deferred:
    """Measure tasks of a real Airflow without other providers: what these load at its start would serve ours, too."""
    command = [python, "-m", "benchmarks.deferred.measure", "--tasks", str(TASKS)]
    done = subprocess.run(command, cwd=HERE.parent, stdout=subprocess.PIPE, text=True, check=True)
    result = Deferred.from_json(done.stdout)
    print(f"{TASKS} deferred tasks: {result.kognitos.cpu_s / result.floor.cpu_s:.2f} × the floor", flush=True)
    return result


def _side_by_side(plans: Mapping[Key, tuple[str, Plan]]) -> dict[Key, Row]:
    """Measure where nothing but the times of the event loop suffers when others use the machine, too."""
    with ThreadPoolExecutor(len(plans)) as pool:
        return dict(zip(plans, pool.map(lambda plan: _told(*plan), plans.values()), strict=True))


def _told(name: str, plan: Plan) -> Row:
    result = run(name, plan)
    print(
        f"{label(name)}, {plan.runs:,} runs: {result['requests']:,} requests, {result['cpu_s']:.1f} CPU s", flush=True
    )
    return result


def main() -> int:
    """Measure and write."""
    plain_python = os.environ.get("PYTHON_WITHOUT_OTHERS")
    if not plain_python:
        print(
            "PYTHON_WITHOUT_OTHERS must name a Python with this provider and no other; run `make bench`, which does.",
            file=sys.stderr,
        )
        return 2
    began = time.monotonic()
    results = measure(plain_python)
    RESULTS.write_text(page(results))
    plot_growth({name: {n: row for (who, n), row in results.growth.items() if who == name} for name in OURS}, PICTURE)
    print(f"Written in {time.monotonic() - began:.0f} s: {RESULTS.relative_to(HERE.parent)}, {PICTURE.name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
