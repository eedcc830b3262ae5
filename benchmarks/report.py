"""What was measured, as a page of Markdown."""

from __future__ import annotations

import platform
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

import psutil

from benchmarks.deferred.measure import Deferred, Work
from benchmarks.waiting.contenders import label

Row = dict[str, Any]

COLUMNS = {
    "requests per run": lambda r: f"{r['requests'] / r['runs']:.2f}",
    "CPU s": lambda r: f"{r['cpu_s']:.2f}",
    "loop lag p99 / max ms": lambda r: f"{r['lag_p99_ms']:.0f} / {r['lag_max_ms']:.0f}",
    "memory added MB": lambda r: f"{r['memory_mb']:.1f}",
    "connections": lambda r: f"{r['connections']:,}",
    "detection median / p95 s": lambda r: f"{r['detection_median_s']:.1f} / {r['detection_p95_s']:.1f}",
    "noticed": lambda r: f"{r['noticed']:,} of {r['runs']:,}",
}


@dataclass(frozen=True)
class Results:
    """
    All that was measured.

    :param beside: waiting for 1,000 runs, by contender.
    :param growth: waiting, by contender and number of runs.
    :param settings: waiting for 1,000 runs, by setting.
    :param deferred: tasks of a real Airflow.
    :param uploads: seconds and MB added to memory, by sender.
    :param imports: milliseconds, by contender.
    """

    beside: Mapping[str, Row]
    growth: Mapping[tuple[str, int], Row]
    settings: Mapping[str, Row]
    deferred: Deferred
    uploads: Mapping[str, tuple[float, float]]
    imports: Mapping[str, float]


def page(results: Results) -> str:
    """Return the page."""
    by_size = {
        f"{label(name)}, {size:,} runs": row
        for (name, size), row in sorted(results.growth.items(), key=lambda item: item[0][1])
    }
    memory = psutil.virtual_memory().total / 2**30
    return f"""<!-- Written by `make bench`. -->
Measured {datetime.now(UTC):%Y-%m-%d} with airflow-provider-kognitos {version("airflow-provider-kognitos")}, Airflow
{version("apache-airflow")}, Python {platform.python_version()}, {psutil.cpu_count()} cores, {memory:.0f} GiB. Each line
is one measurement.

In the first three tables each trigger waits in one event loop of one process, beside a service of its own that answers
in 25 ms over TLS. The interval is 5 s and runs end after 10 to 30 s. Ours has been loaded as the plugin of this package
does it in a triggerer. The *floor* is one session that reads one page of a hundred runs for each hundred runs per
interval, without Airflow. *Detection* is the time from a run's end to its event. *Lag* is for how long the event loop
was kept from its selector, so that nobody else in the process had a turn: what one in a hundred would find who come at
any time, and the most.

## 1,000 runs of one process, ours beside others

{_waiting("trigger", {label(name): row for name, row in results.beside.items()}, COLUMNS)}

## Growth

{_waiting("trigger", by_size, COLUMNS)}

## Other settings, 1,000 runs

{_waiting("setting", results.settings, [name for name in COLUMNS if name not in ("CPU s", "loop lag p99 / max ms")])}

For the setting with 429 the detection counts from the end of the pause. The five settings were measured side by side,
and so were the two with 1,000 runs, the floor's 10,000 with our 5,000, and those with 10 and 100 with our 10,000.

{_deferred(results.deferred)}

## Upload of 512 MB to a storage on the same machine

{_uploads(results.uploads)}

## What importing an operator adds to `import airflow.sdk`

{_table(("operator of", "ms"), ((label(name), f"{time:.0f}") for name, time in results.imports.items()))}
"""


def _waiting(first: str, rows: Mapping[str, Row], columns: Iterable[str]) -> str:
    columns = list(columns)
    return _table([first, *columns], ([name, *(COLUMNS[each](row) for each in columns)] for name, row in rows.items()))


def _deferred(deferred: Deferred) -> str:
    watch = deferred.watch

    def work(name: str, work: Work) -> list[str]:
        return [name, f"{work.processes:.2f}", f"{work.cpu_s:.3f}", f"{work.cpu_s / deferred.floor.cpu_s:.2f}"]

    rows = [
        work("KognitosRunOperator", deferred.kognitos),
        work("TimeDeltaSensor", deferred.floor),
    ]
    return f"""## {watch.tasks:,} mapped tasks of a real Airflow, deferred at once

Nothing but this provider is installed there, with LocalExecutor. The sensor was measured before and after the operator,
and the mean is given.

{_table(("deferrable task", "worker processes per task", "CPU s per task", "× TimeDeltaSensor"), rows)}

With all {watch.tasks:,} in one triggerer, the runs ended over 20 s; interval 5 s, outputs in the list:

- {watch.requests:,} requests for runs and lists, {watch.requests / watch.tasks:.2f} per run
- {watch.succeeded:,} tasks succeeded
- The triggerer's heartbeat, due every 5 s, was never older than {watch.heartbeat_age_s:.1f} s; with the sensor's
  triggers, than {deferred.floor_heartbeat_age_s:.1f} s.
- {watch.blocked} times the triggerer's log says that a trigger blocked its thread; with the sensor's triggers,
  {deferred.floor_blocked} times."""


def _uploads(uploads: Mapping[str, tuple[float, float]]) -> str:
    fastest = uploads.get("curl --form", (0.0, 0.0))[0]
    rows = (
        (
            name,
            f"{seconds:.2f}",
            f"{seconds / fastest:.1f}" if fastest else "",
            "" if name.startswith("curl") else f"{memory:.1f}",
        )
        for name, (seconds, memory) in uploads.items()
    )
    return _table(("sender", "s", "× curl", "memory added MB"), rows)


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    head = list(head)
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
