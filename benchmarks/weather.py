"""What the emulator does to those who use it in a storm: its scenario and its faults."""

from __future__ import annotations

import time
from typing import Any

from airflow_provider_kognitos.emulator.control import EmulatorControl
from airflow_provider_kognitos.emulator.scenario import Capacity, Habits, Process, Rule, Scenario, Step

PROCESS = "storm"
ENDPOINTS = ("listProcesses", "getProcess", "listRuns", "startRun", "getRun", "createFile", "upload")
#: Seconds per request that the storm's connection allows.
TIMEOUT = 5.0
#: How runs end, by weight. Whatever ends badly has to be followed by another run.
RESULTS = {"Succeeded": 0.9, "Failed": 0.06, "Cancelled": 0.02, "TimedOut": 0.02}

_BODIES = {500: "error_model", 502: "html", 503: "text", 504: "empty"}
FAULTS: list[dict[str, Any]] = [
    {**fault, "effect": effect}
    for effect in ("before", "after")
    for fault in (
        *({"kind": "status", "code": code, "body": body} for code, body in _BODIES.items()),
        {"kind": "drop"},
        {"kind": "reset"},
        {"kind": "hang"},
        {"kind": "wrong_json", "body": "other_json"},
        {"kind": "wrong_json", "body": "truncated_json"},
    )
] + [
    # Only instead of what was asked for: a service that throttles a request does not do it.
    {"kind": "status", "code": 429, "body": "gateway", "headers": {"Retry-After": "2"}},
    {"kind": "truncate"},
    {"kind": "delay", "seconds": TIMEOUT / 5},
    # Done after the other side has given up.
    {"kind": "delay", "seconds": TIMEOUT + 3},
]


def scenario(*, seed: int, capacity: int, run_seconds: tuple[float, float]) -> Scenario:
    """A service that shows its runs late and in no order, and takes fewer at once than are asked for."""
    return Scenario(
        seed=seed,
        processes=[Process(id=PROCESS, name="Storm")],
        rules=[
            Rule(
                steps=[
                    Step(status="Created", seconds=0.3),
                    Step(status="Pending", seconds=(0.3, 1.0)),
                    Step(status="Running", seconds=run_seconds),
                ],
                results=RESULTS,
                outputs={"index": "${inputs.index}", "run": "${run.id}", "nested": {"files": "${files.count}"}},
            )
        ],
        capacity=Capacity(limit=capacity),
        habits=Habits(list_order="shuffled", list_lag=2.0),
    )


def add_foreign_runs(control: EmulatorControl, count: int) -> None:
    """Runs of somebody else in the list, every second one of another Airflow."""
    now = time.time()
    control.add_runs(
        [
            {
                "process_id": PROCESS,
                "name": f"Somebody's run {number}" + (f" [af-{number:010x}-10-abcd]" if number % 2 else ""),
                "created_at": now - number,
                "inputs": [{"name": "index", "value": number}],
            }
            for number in range(count)
        ]
    )


def let_it_storm(control: EmulatorControl, *, faults: float, start_faults: float) -> None:
    """Let a request meet a fault with a probability, each kind as likely as any other.

    :param faults: probability at each endpoint but the one below
    :param start_faults: probability at the start of a run
    """
    for endpoint in ENDPOINTS:
        each = (start_faults if endpoint == "startRun" else faults) / len(FAULTS)
        for place, fault in enumerate(FAULTS):
            # The emulator asks one rule after the other, each only where those before have let a request pass.
            probability = each / (1 - place * each)
            control.fault(endpoint, probability=probability, times=None, **fault)
