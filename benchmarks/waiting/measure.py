"""
One contender in a process of its own: how much it takes to wait for all runs of a plan, as a line of JSON.

Before the measurement one trigger waits for a run that has ended, so that all is imported. CPU seconds and
memory are those of this process; the event loop's lag is for how long it is kept from its selector, since so long
nobody else in the process has a turn.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import selectors
import statistics
import sys
import time
from array import array
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import psutil
import requests

from benchmarks.waiting.contenders import Contender, contender
from benchmarks.waiting.plan import Plan

#: Seconds between looks at the memory.
MEMORY_EVERY = 0.5
#: After so many seconds the measurement ends, and what still waits counts as never noticed.
PATIENCE = 150.0


class Selector(selectors.DefaultSelector):
    """
    The selector of an event loop, which notes for how long the loop has been kept from it each time.

    Looking costs next to nothing, and sees each time whole; a task that sleeps for a moment again and again would be
    most of what some contenders take. Not seen is how long the loop, once woken, waits for the interpreter's lock.
    """

    def __init__(self) -> None:
        super().__init__()
        self.forget()

    def forget(self) -> None:
        """Begin anew."""
        self.kept = array("d")
        self._left = time.perf_counter()

    def select(self, timeout: float | None = None) -> Any:
        """Wait, as the event loop asks for."""
        self.kept.append(time.perf_counter() - self._left)
        try:
            return super().select(timeout)
        finally:
            self._left = time.perf_counter()


class Memory:
    """Looks at the memory of this process, and keeps the most it has been."""

    def __init__(self) -> None:
        self._process = psutil.Process()
        self.begun = self.most = self._process.memory_info().rss

    async def watch(self) -> None:
        """Look until cancelled."""
        while True:
            await asyncio.sleep(MEMORY_EVERY)
            self.most = max(self.most, self._process.memory_info().rss)


async def measure(waiting: Contender, plan: Plan, url: str, selector: Selector) -> dict[str, Any]:
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

    gc.collect()
    began = requests.put(f"{url}/begin", timeout=30).json()["began"]
    await asyncio.sleep(0)
    selector.forget()
    memory = Memory()
    watch = asyncio.create_task(memory.watch())
    cpu, start = time.process_time(), time.perf_counter()
    waits = []
    for number in range(plan.runs):
        waits.append(asyncio.create_task(wait(number)))
        await asyncio.sleep(0)  # as the triggerer does it
    _, late = await asyncio.wait(waits, timeout=PATIENCE)
    used, took = time.process_time() - cpu, time.perf_counter() - start
    kept = list(selector.kept)
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
        "lag_p99_ms": lag_at(0.99, kept, took) * 1e3,
        "lag_max_ms": max(kept) * 1e3,
        "memory_mb": (memory.most - memory.begun) / 1e6,
        "noticed": len(found),
        "detection_median_s": statistics.median(found),
        "detection_p95_s": _quantile(found, 0.95),
    }


def lag_at(part: float, kept: Sequence[float], took: float) -> float:
    """
    Return the seconds within which a part of those who may come at any time has a turn.

    :param part: 0.99 for all but a hundredth.
    :param kept: for how long the loop was kept from its selector, each time.
    :param took: how long it was looked at.
    """
    longest = sorted(kept, reverse=True)
    late, total = (1 - part) * took, 0.0
    for count, (this, shorter) in enumerate(pairwise([*longest, 0.0]), 1):
        total += this
        # Those who have to wait longer than `shorter` came in the beginnings of the longer ones.
        if total - count * shorter >= late:
            return (total - late) / count
    return 0.0


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
    selector = Selector()
    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(selector)) as runner:
        result = runner.run(measure(waiting, arguments.plan, f"https://127.0.0.1:{port}", selector))
        sys.stdout.write(json.dumps(result) + "\n")
        # Threads that still wait for an answer would keep the process.
        sys.stdout.flush()
        os._exit(0)


if __name__ == "__main__":
    main()
