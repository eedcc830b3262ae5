"""Runs, markers and records as the tests need them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from airflow_provider_kognitos.api.models import Run
from airflow_provider_kognitos.runs.identity import Marker

PROCESS = "invoice"
AGENT = "demo-agent"
STAGE = "Published"

MARKER = Marker("0123456789", 2, "abcd")
NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


def run(
    run_id: str = "run-1",
    status: str = "Running",
    *,
    name: str = "a run",
    created_at: datetime | None = NOW,
    **more: Any,
) -> Run:
    body = {
        "id": run_id,
        "name": name,
        "process_id": PROCESS,
        "agent_id": AGENT,
        "stage": STAGE,
        "status": status,
        "created_at": created_at.isoformat() if created_at else None,
        "file_ids": None,
        "outputs": None,
    }
    return Run.from_json({**body, **more})


def own_name(marker: Marker = MARKER, label: str = "dag.task manual") -> str:
    return marker.name(label)
