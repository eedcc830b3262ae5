"""
Measure what waiting, uploading and importing cost, ours beside others in one run, and write ``benchmarks/RESULTS.md``.

``python -m benchmarks.bench`` takes ten minutes on two cores. What it says of a machine holds for that machine;
the ratios within a run are what counts.
"""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil

from benchmarks import imports, upload
from benchmarks.plot import plot_growth
from benchmarks.waiting.compare import run
from benchmarks.waiting.contenders import label
from benchmarks.waiting.plan import Plan

HERE = Path(__file__).parent
RESULTS = HERE / "RESULTS.md"
PICTURE = HERE.parent / "docs" / "images" / "growth.png"

Result = dict[str, Any]

PEERS = ("databricks", "fivetran", "dbt", "airbyte")
SIZES = (10, 100, 1_000, 10_000)
SETTINGS = {
    "list newest first": Plan(1_000, order="newest first"),
    "list oldest first": Plan(1_000, order="oldest first"),
    "list without outputs": Plan(1_000, outputs_listed=False),
    "20 processes, nine foreign runs for each of ours": Plan(1_000, processes=20, foreign=9),
    "429 for ten seconds, Retry-After said": Plan(1_000, throttled=(12.0, 22.0)),
}
COLUMNS = {
    "requests per run": lambda r: f"{r['requests'] / r['runs']:.2f}",
    "CPU s": lambda r: f"{r['cpu_s']:.1f}",
    "loop lag p99 / max ms": lambda r: f"{r['lag_p99_ms']:.0f} / {r['lag_max_ms']:.0f}",
    "memory added MB": lambda r: f"{r['memory_mb']:.1f}",
    "connections": lambda r: f"{r['connections']:,}",
    "detection median / p95 s": lambda r: f"{r['detection_median_s']:.1f} / {r['detection_p95_s']:.1f}",
    "noticed": lambda r: f"{r['noticed']:,} of {r['runs']:,}",
}


def measure() -> tuple[dict[str, Result], dict[str, Result], dict[tuple[str, int], Result]]:
    """Return what was measured: beside the peers, in other settings, and by number of runs."""
    growth = {(name, size): _told(name, Plan(size)) for size in SIZES for name in ("floor", "kognitos")}
    growth["kognitos", 5_000] = _told("kognitos", Plan(5_000))
    beside = {label(name): growth[name, 1_000] for name in ("floor", "kognitos")}
    beside |= {label(name): _told(name, Plan(1_000)) for name in PEERS}
    # Requests and detection are what these are about, so they may share the machine.
    with ThreadPoolExecutor(len(SETTINGS)) as pool:
        settings = dict(zip(SETTINGS, pool.map(lambda plan: _told("kognitos", plan), SETTINGS.values()), strict=True))
    return beside, settings, growth


def _told(name: str, plan: Plan) -> Result:
    result = run(name, plan)
    print(
        f"{label(name)}, {plan.runs:,} runs: {result['requests']:,} requests, {result['cpu_s']:.1f} CPU s", flush=True
    )
    return result


def _table(first: str, rows: Mapping[str, Result], columns: Iterable[str]) -> str:
    columns = list(columns)
    lines = [f"| {first} | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
    lines += [
        f"| {name} | " + " | ".join(COLUMNS[column](row) for column in columns) + " |" for name, row in rows.items()
    ]
    return "\n".join(lines)


def others() -> str:
    """Measure uploads and imports, and return their part of the page."""
    times = imports.measure()
    sent = upload.measure()
    fastest = sent.get("curl --form", (0.0, 0.0))[0]
    lines = [
        "## Upload of 512 MB to a storage on the same machine",
        "",
        "| sender | s | × curl | memory added MB |",
        "|---|---|---|---|",
    ]
    for name, (seconds, memory) in sent.items():
        ratio = f"{seconds / fastest:.1f}" if fastest else ""
        lines.append(f"| {name} | {seconds:.2f} | {ratio} | {'' if name.startswith('curl') else f'{memory:.1f}'} |")
    lines += ["", "## What importing an operator adds to `import airflow.sdk`", "", "| operator of | ms |", "|---|---|"]
    lines += [f"| {label(name)} | {milliseconds:.0f} |" for name, milliseconds in times.items()]
    return "\n".join(lines)


def write(beside: dict[str, Result], settings: dict[str, Result], growth: dict[tuple[str, int], Result]) -> None:
    """Write the page of results and the picture."""
    plot_growth(
        {name: {n: row for (who, n), row in growth.items() if who == name} for name in ("floor", "kognitos")}, PICTURE
    )
    by_size = {
        f"{label(name)}, {size:,} runs": row
        for (name, size), row in sorted(growth.items(), key=lambda item: item[0][1])
    }
    memory = psutil.virtual_memory().total / 2**30
    RESULTS.write_text(
        f"""<!-- Written by `make bench`. -->
Measured {datetime.now(UTC):%Y-%m-%d} with airflow-provider-kognitos {version("airflow-provider-kognitos")}, Airflow
{version("apache-airflow")}, Python {platform.python_version()}, {psutil.cpu_count()} cores, {memory:.0f} GiB.

Each trigger waits in one event loop of one process, beside a service of its own that answers in 25 ms over TLS. The
interval is 5 s and runs end after 10 to 30 s. The *floor* is one session that reads one page of a hundred runs for
each hundred runs per interval, without Airflow. *Detection* is the time from a run's end to its event. Each line is
one measurement.

## 1,000 runs of one process, ours beside others

{_table("trigger", beside, COLUMNS)}

## Growth

{_table("trigger", by_size, COLUMNS)}

## Other settings, 1,000 runs

{_table("setting", settings, [name for name in COLUMNS if name not in ("CPU s", "loop lag p99 / max ms")])}

For the setting with 429 the detection counts from the end of the pause. The five settings were measured side by side.

{others()}
"""
    )


def main() -> int:
    """Measure and write."""
    write(*measure())
    print(f"Written: {RESULTS.relative_to(HERE.parent)} and {PICTURE.relative_to(HERE.parent)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
