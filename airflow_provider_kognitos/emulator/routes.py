"""The seven endpoints."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import JSONResponse
from fastapi.security import APIKeyHeader

from airflow_provider_kognitos.emulator import storage
from airflow_provider_kognitos.emulator.core import Emulator, Refusal, error
from airflow_provider_kognitos.emulator.scenario import Key, Stage
from airflow_provider_kognitos.emulator.schemas import (
    CreateFileRequest,
    CreateRunRequest,
    FileResource,
    HealthResource,
    ProcessList,
    ProcessResource,
    RunList,
    RunResource,
    answer,
    answers,
)

Limit = Annotated[int | None, Query(ge=1, le=100, description="Documented: 100 at most. 10 by default (runs page).")]
Token = Annotated[str | None, Query(description="Documented.")]


async def emulator_of(request: Request) -> Emulator:
    """Return the emulator that serves a request."""
    emulator: Emulator = request.app.state.emulator
    return emulator


Service = Annotated[Emulator, Depends(emulator_of)]


_HEADER = APIKeyHeader(name="x-api-key", scheme_name="APIKeyHeader", description="Documented.", auto_error=False)


async def key_of(service: Service, api_key: Annotated[str | None, Depends(_HEADER)]) -> Key:
    """Return what the key of a request may do."""
    return service.admit(api_key)


Caller = Annotated[Key, Depends(key_of)]
router = APIRouter(prefix="/v2")


@router.get("/health", tags=["health"], response_model=HealthResource, responses=answers(503))
async def get_health(service: Service, caller: Caller) -> dict[str, str]:
    """Documented; that the key is needed is inferred from the example, which sends it."""
    if not service.scenario.habits.healthy:
        raise Refusal(503, {"status": "NOT_OK"})
    return {"status": "OK"}


@router.get("/processes", tags=["processes"], response_model=ProcessList, responses=answers(400, 404))
async def list_processes(
    service: Service, caller: Caller, agent_id: str, limit: Limit = None, continuation_token: Token = None
) -> dict[str, Any]:
    """Documented. The default of `limit` is inferred from the runs page."""
    processes = service.processes(service.agent(caller, agent_id))
    return service.page(
        lambda offset, count, _: processes[offset : offset + count],
        {"agent_id": agent_id},
        limit or 10,
        continuation_token,
    )


@router.get("/processes/{process_id}", tags=["processes"], response_model=ProcessResource, responses=answers(400, 404))
async def get_process(service: Service, caller: Caller, process_id: str, agent_id: str) -> dict[str, Any]:
    """Documented."""
    for process in service.processes(service.agent(caller, agent_id)):
        if process["id"] == process_id:
            return process
    raise error(404, "The specified process or agent was not found")


# Runs are shown without checking each against its model, which would cost most of a request's time.
@router.get(
    "/runs",
    tags=["runs"],
    response_model=None,
    responses={200: answer(RunList, "Documented; the type of the items is inferred."), **answers(400, 404)},
)
async def list_runs(
    service: Service,
    caller: Caller,
    process_id: str,
    agent_id: str,
    limit: Limit = None,
    stage: Stage | None = None,
    continuation_token: Token = None,
) -> JSONResponse:
    """Documented. The order is not; there is no filter by status, name or date."""
    agent = service.agent(caller, agent_id)
    if not service.has_process(process_id, agent):
        raise error(404, "The specified process or agent was not found")
    habits = service.scenario.habits

    def read(offset: int, count: int, since: float) -> list[Any]:
        runs = service.store.runs(
            process_id=process_id,
            agent_id=agent,
            stage=stage,
            created_before=since - habits.list_lag,
            order=habits.list_order,
            offset=offset,
            limit=count,
        )
        return [service.show(run, listed=True) for run in runs]

    query = {"agent_id": agent_id, "process_id": process_id, "stage": stage}
    return JSONResponse(service.page(read, query, limit or 10, continuation_token))


@router.post(
    "/runs",
    tags=["runs"],
    response_model=None,
    status_code=201,
    responses={
        201: answer(RunResource, "The run; the number is inferred.", inferred=True),
        **answers(400, 403, 404, documented=(403,)),
    },
)
async def start_run(service: Service, caller: Caller, body: CreateRunRequest) -> JSONResponse:
    """Documented, but for the number 201. There is no idempotency key."""
    service.agent(caller, body.agent_id)
    return JSONResponse(service.show(service.start_run(body.model_dump())), 201)


@router.get(
    "/runs/{run_id}",
    tags=["runs"],
    response_model=None,
    responses={200: answer(RunResource, "Documented."), **answers(400, 404)},
)
async def get_run(service: Service, caller: Caller, run_id: str) -> JSONResponse:
    """Documented. Only the run's id is needed."""
    run = service.store.run(run_id)
    lag = service.scenario.habits.get_lag
    if run is None or (lag and service.clock() < run["created_at"] + lag):
        raise error(404, "The specified run was not found")
    if caller.agent_id not in (None, run["agent_id"]):
        raise error(404, "The specified run was not found")
    return JSONResponse(service.show(run))


@router.post(
    "/files",
    tags=["files"],
    status_code=201,
    response_model=FileResource,
    responses=answers(400, 404, documented=(400, 404)),
)
async def create_file(request: Request, service: Service, caller: Caller, body: CreateFileRequest) -> dict[str, Any]:
    """Documented. The bytes go to `upload_url`, as a form with all `upload_fields` and then `file`."""
    agent = service.agent_of_file(caller, body.agent_id)
    return storage.new_target(service, agent, body.file_name, str(request.base_url))
