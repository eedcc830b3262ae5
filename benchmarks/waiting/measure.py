"""
One contender in a process of its own: how much it takes to wait for all runs of a plan, as a line of JSON.

Before the measurement one trigger waits for a run that has ended, so that all is imported. CPU seconds and
memory are those of this process; the event loop's lag is by how much a sleep of 25 ms takes longer.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import requests

from benchmarks.waiting.contenders import Contender, contender
from benchmarks.waiting.plan import Plan

NAP = 0.025
#: Seconds between looks at the memory.
MEMORY_EVERY = 0.5
#: After so many seconds the measurement ends, and what still waits counts as never noticed.
PATIENCE = 150.0
#: For so many seconds nothing but the lag is measured, to know what that takes.
PROBE = 2.0


class Lag:
    """Measures how long the event loop is held, and the most memory the process has had."""

    def __init__(self) -> None:
        self.lags: list[float] = []
        self._process = psutil.Process()
        self.memory = self._process.memory_info().rss

    async def watch(self) -> None:
        """Measure until cancelled."""
        look = 0.0
        while True:
            before = time.perf_counter()
            await asyncio.sleep(NAP)
            now = time.perf_counter()
            self.lags.append(now - before - NAP)
            if now - look > MEMORY_EVERY:
                look = now
                self.memory = max(self.memory, self._process.memory_info().rss)


async def measure(waiting: Contender, plan: Plan, url: str) -> dict[str, Any]:
    """Wait for all runs of a plan; return what that took."""
    async for _ in waiting.trigger(0).run():
        break
    ends = plan.ends()
    seen: list[float | None] = [None] * plan.runs

    async def wait(number: int) -> None:
        # As the triggerer does it: no more of these than it has itself.
        async for event in waiting.trigger(number).run():
            seen[number] = time.time()
            payload = getattr(event, "payload", event)
            if isinstance(payload, dict) and payload.get("status") == "error":
                raise RuntimeError(f"{payload!r}")
            return

    probe = await _probe_cpu()
    gc.collect()
    lag = Lag()
    memory = lag.memory
    cpu, start = time.process_time(), time.perf_counter()
    began = requests.put(f"{url}/begin", timeout=30).json()["began"]
    watch = asyncio.create_task(lag.watch())
    waits = []
    for number in range(plan.runs):
        waits.append(asyncio.create_task(wait(number)))
        await asyncio.sleep(0)  # as the triggerer does it
    _, late = await asyncio.wait(waits, timeout=PATIENCE)
    used, took = time.process_time() - cpu, time.perf_counter() - start
    watch.cancel()
    for task in late:
        task.cancel()
    for task in set(waits) - late:
        task.result()
    count = await asyncio.to_thread(lambda: requests.get(f"{url}/count", timeout=30).json())
    found = [when - began - plan.seen_from(ends[number]) for number, when in enumerate(seen) if when]
    return {
        "runs": plan.runs,
        "requests": count["requests"],
        "connections": count["connections"],
        "cpu_s": used,
        "probe_cpu_s": probe * took,
        "lag_p99_ms": _quantile(lag.lags, 0.99) * 1e3,
        "lag_max_ms": max(lag.lags) * 1e3,
        "memory_mb": (lag.memory - memory) / 1e6,
        "noticed": len(found),
        "detection_median_s": statistics.median(found),
        "detection_p95_s": _quantile(found, 0.95),
    }


async def _probe_cpu() -> float:
    """Return the CPU seconds per second that looking at the loop's lag takes by itself."""
    cpu = time.process_time()
    watch = asyncio.create_task(Lag().watch())
    await asyncio.sleep(PROBE)
    watch.cancel()
    return (time.process_time() - cpu) / PROBE


def _quantile(values: list[float], part: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * part))]


def main() -> None:
    """Measure, and print the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("contender")
    parser.add_argument("folder", type=Path, help="of the service: its port and its certificate")
    parser.add_argument("plan", type=Plan.from_json)
    arguments = parser.parse_args()
    port = int((arguments.folder / "port").read_text())
    os.environ["SSL_CERT_FILE"] = os.environ["REQUESTS_CA_BUNDLE"] = str(arguments.folder / "ca.pem")
    waiting = contender(arguments.contender, arguments.plan, port)
    conn_id, connection = waiting.connection
    os.environ[f"AIRFLOW_CONN_{conn_id.upper()}"] = json.dumps(connection)
    result = asyncio.run(measure(waiting, arguments.plan, f"https://127.0.0.1:{port}"))
    sys.stdout.write(json.dumps(result) + "\n")
    # Threads that still wait for an answer would keep the process.
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
