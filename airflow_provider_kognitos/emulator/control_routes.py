"""Endpoints, outside the API and without a key, by which a test or a person sets the stage."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Body

from airflow_provider_kognitos.emulator.core import error
from airflow_provider_kognitos.emulator.faults import FaultRule
from airflow_provider_kognitos.emulator.plan import draw_plan
from airflow_provider_kognitos.emulator.routes import Service
from airflow_provider_kognitos.emulator.scenario import Part, Scenario, ScenarioError, Stage, read_scenario

router = APIRouter(prefix="/control", tags=["control (not part of the API)"])


class ForeignRun(Part):
    """A run that somebody else started."""

    process_id: str
    agent_id: str = "demo-agent"
    stage: Stage = "Published"
    name: str = "Somebody's run"
    status: str | None = None
    created_at: float | None = None
    inputs: list[dict[str, Any]] | None = None
    file_ids: list[str] | None = None


class RunChange(Part):
    """What to change about a run now."""

    status: str | None = None
    outputs: list[dict[str, Any]] | None = None


@router.get("/stats")
async def stats(service: Service) -> dict[str, Any]:
    """Count what has happened."""
    runs = service.store.all_runs()
    return {
        "requests": dict(service.counts),
        "statuses": {str(status): count for status, count in service.statuses.items()},
        "runs_started": len([run for run in runs if not run["foreign_run"]]),
        "uploads": len([file for file in service.store.files() if file["bytes"] is not None]),
        "key_leaks": service.leaks,
        "connections": {"open": len(service.connections), "opened": service.connections.opened},
    }


@router.get("/requests")
async def requests(service: Service, since: int = 0) -> list[dict[str, Any]]:
    """List the last requests, from the one after number ``since``."""
    return [request for request in service.requests if request["seq"] > since]


@router.get("/runs")
async def runs(service: Service) -> list[dict[str, Any]]:
    """List every run with all that is known of it."""
    return [{**run, "status": service.status(run)} for run in service.store.all_runs()]


@router.post("/runs", status_code=201)
async def add_runs(service: Service, bodies: list[ForeignRun]) -> list[dict[str, Any]]:
    """Add runs of somebody else."""
    added = []
    for body in bodies:
        run = {**body.model_dump(exclude={"status", "created_at"}), "id": service.store.new_id()}
        plan = draw_plan(service.scenario, service.rng, run)
        created_at = service.clock() if body.created_at is None else body.created_at
        added.append(service.keep_run(run, plan, created_at=created_at, status=body.status, foreign_run=1))
    return added


@router.patch("/runs/{run_id}")
async def change_run(service: Service, run_id: str, change: RunChange) -> dict[str, Any]:
    """Change a run's status or outputs now."""
    run = service.store.run(run_id)
    if run is None:
        raise error(404, "No such run")
    if change.status is not None:
        service.store.change_run(run_id, status=change.status)
    if change.outputs is not None:
        service.store.change_run(run_id, plan={**run["plan"], "outputs": change.outputs})
    return service.show(service.store.run(run_id) or run)


@router.get("/uploads")
async def uploads(service: Service) -> list[dict[str, Any]]:
    """List the files; those whose bytes have arrived have a size."""
    return service.store.files()


@router.get("/scenario")
async def scenario(service: Service) -> Scenario:
    """Show the scenario."""
    return service.scenario


@router.put("/scenario")
async def play(service: Service, body: Annotated[dict[str, Any], Body()]) -> Scenario:
    """Play another scenario from now on, without any fault; runs keep their plans."""
    try:
        service.play(read_scenario(body))
    except ScenarioError as wrong:
        raise error(400, str(wrong)) from wrong
    return service.scenario


@router.post("/faults", status_code=201)
async def add_faults(service: Service, rules: list[FaultRule]) -> int:
    """Let faults come."""
    for rule in rules:
        service.faults.add(rule)
    return len(rules)


@router.delete("/faults", status_code=204)
async def clear_faults(service: Service) -> None:
    """Let no fault come any more."""
    service.faults.clear()


@router.post("/reset", status_code=204)
async def reset(service: Service) -> None:
    """Forget runs, files, faults and requests."""
    service.store.clear()
    service.faults.clear()
    service.forget_requests()
