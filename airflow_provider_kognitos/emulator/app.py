"""The application: routes, faults in front of them, and the log of requests."""

from __future__ import annotations

import asyncio
import re
from contextlib import suppress
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from airflow_provider_kognitos.emulator import control_routes, routes, storage
from airflow_provider_kognitos.emulator.core import Emulator, Refusal
from airflow_provider_kognitos.emulator.faults import Fault, body_of
from airflow_provider_kognitos.emulator.plan import draw
from airflow_provider_kognitos.emulator.scenario import Endpoint

_ENDPOINTS: list[tuple[str, re.Pattern[str], Endpoint]] = [
    ("GET", re.compile("/v2/health"), "getHealth"),
    ("GET", re.compile("/v2/processes"), "listProcesses"),
    ("GET", re.compile("/v2/processes/[^/]+"), "getProcess"),
    ("GET", re.compile("/v2/runs"), "listRuns"),
    ("POST", re.compile("/v2/runs"), "startRun"),
    ("GET", re.compile("/v2/runs/[^/]+"), "getRun"),
    ("POST", re.compile("/v2/files"), "createFile"),
    ("POST", re.compile("/storage/[^/]+"), "upload"),
]


def create_app(emulator: Emulator) -> FastAPI:
    """Return the application that serves an emulator."""
    app = FastAPI(
        title="Kognitos REST API v2 (emulator)",
        version="2.0.0",
        description="A local stand-in. Each endpoint says what the vendor documents and what is inferred.",
        redirect_slashes=False,
        generate_unique_id_function=_operation_name,
    )
    app.state.emulator = emulator
    app.include_router(routes.router)
    app.include_router(storage.router)
    app.include_router(control_routes.router)

    @app.exception_handler(Refusal)
    async def refuse(request: Request, refusal: Refusal) -> JSONResponse:
        return JSONResponse(refusal.body, refusal.status, refusal.headers)

    @app.exception_handler(RequestValidationError)
    async def refuse_input(request: Request, invalid: RequestValidationError) -> JSONResponse:
        details = [
            {"location": list(item["loc"]), "message": item["msg"].removeprefix("Value error, ")}
            for item in invalid.errors()
        ]
        return JSONResponse({"status_code": 400, "message": "Invalid input values", "details": details}, 400)

    @app.exception_handler(HTTPException)
    async def refuse_request(request: Request, wrong: HTTPException) -> JSONResponse:
        body = {"status_code": wrong.status_code, "message": wrong.detail, "details": None}
        return JSONResponse(body, wrong.status_code, wrong.headers)

    app.add_middleware(Faults, emulator=emulator)
    return app


def _operation_name(route: APIRoute) -> str:
    first, *others = route.name.split("_")
    return "".join([first, *(word.capitalize() for word in others)])


class Faults:
    """Delays, spoils or suppresses answers, and notes each request."""

    def __init__(self, app: ASGIApp, emulator: Emulator) -> None:
        self._app = app
        self._emulator = emulator

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        endpoint = _endpoint(scope)
        if endpoint is None:
            await self._app(scope, receive, send)
            return
        latency = self._emulator.scenario.latency
        span = latency.get(endpoint, latency.get("*"))
        if span is not None:
            await asyncio.sleep(draw(self._emulator.delays, span))
        fault = self._emulator.faults.next(endpoint)
        if fault is None or fault.kind == "delay":
            if fault is not None:
                await asyncio.sleep(fault.seconds)

            async def pass_on(message: Message) -> None:
                if message["type"] == "http.response.start":
                    self._note(endpoint, scope, message["status"], fault)
                await send(message)

            await self._app(scope, receive, pass_on)
            return
        answer = _Answer()
        if fault.effect == "after" or fault.kind == "truncate":
            await self._app(scope, receive, answer.take)
        await self._spoil(endpoint, fault, answer, scope, receive, send)

    async def _spoil(
        self, endpoint: str, fault: Fault, answer: _Answer, scope: Scope, receive: Receive, send: Send
    ) -> None:
        status = {"status": fault.code, "wrong_json": 200, "truncate": answer.status}.get(fault.kind)
        # Noted first: who has met the fault must find it among the requests.
        self._note(endpoint, scope, status, fault)
        if fault.kind == "status":
            await _answer(send, fault.code, *body_of(fault), extra=fault.headers)
        elif fault.kind == "wrong_json":
            await _answer(send, 200, *body_of(fault))
        elif fault.kind == "truncate":
            half = answer.body[: len(answer.body) // 2]
            await send({"type": "http.response.start", "status": answer.status, "headers": answer.headers})
            await send({"type": "http.response.body", "body": half, "more_body": True})
            await self._emulator.connections.end(scope)
        else:
            if fault.kind == "hang":
                with suppress(TimeoutError):
                    await asyncio.wait_for(_gone(receive), fault.seconds or None)
            await self._emulator.connections.end(scope, reset=fault.kind == "reset")

    def _note(self, endpoint: str, scope: Scope, status: int | None, fault: Fault | None) -> None:
        headers = dict(scope["headers"])
        self._emulator.note(
            endpoint,
            status,
            path=scope["path"],
            query=scope["query_string"].decode(),
            user_agent=headers.get(b"user-agent", b"").decode("latin-1"),
            fault=fault.kind if fault else None,
        )


class _Answer:
    """An answer that is kept."""

    def __init__(self) -> None:
        self.status: int | None = None
        self.headers: list[tuple[bytes, bytes]] = []
        self.body = b""

    async def take(self, message: Message) -> None:
        """Take a part of the answer."""
        if message["type"] == "http.response.start":
            self.status, self.headers = message["status"], message["headers"]
        else:
            self.body += message.get("body", b"")


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _answer(send: Send, status: int, body: bytes, kind: str, extra: dict[str, str] | None = None) -> None:
    headers: dict[str, Any] = {"content-type": kind, "content-length": str(len(body)), **(extra or {})}
    encoded = [(name.lower().encode(), str(value).encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": encoded})
    await send({"type": "http.response.body", "body": body})


def _endpoint(scope: Scope) -> Endpoint | None:
    if scope["type"] != "http":
        return None
    for method, path, name in _ENDPOINTS:
        if scope["method"] == method and path.fullmatch(scope["path"]):
            return name
    return None
