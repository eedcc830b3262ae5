"""
A service over TLS, in a process of its own, that answers after the same time whoever asks, and counts.

``PUT /begin`` starts the time of the plan, ``GET /count`` tells what was counted since; neither is counted itself.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import socket
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import trustme
import uvicorn

from benchmarks.waiting.plan import Plan
from benchmarks.waiting.services import service

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


class App:
    """Answers by a plan (an ASGI application)."""

    def __init__(self, provider: str, plan: Plan) -> None:
        self._plan = plan
        self._service = service(provider, plan)
        self._ends = plan.ends()
        self._began = time.time() - plan.last_end
        self._requests = 0
        self._connections: set[Any] = set()

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["path"] == "/begin":
            self._began = time.time()
            self._requests = 0
            self._connections.clear()
            await _answer(send, {"began": self._began})
        elif scope["path"] == "/count":
            await _answer(send, {"requests": self._requests, "connections": len(self._connections)})
        else:
            self._requests += 1
            self._connections.add(tuple(scope["client"]))
            await asyncio.sleep(self._plan.delay)
            left = self._throttled_for()
            if left > 0:
                await _answer(send, {"detail": "slow down"}, 429, retry_after=left)
            else:
                # One of the providers asks by a GET with a body.
                asked = dict(parse_qsl(scope["query_string"].decode())) | json.loads(await _body(receive) or b"{}")
                await _answer(send, self._service(scope["path"], asked, self._ended))

    def _ended(self, number: int) -> bool:
        return time.time() >= self._began + self._ends[number]

    def _throttled_for(self) -> float:
        start, stop = self._plan.throttled or (0.0, 0.0)
        now = time.time() - self._began
        return stop - now if start <= now < stop else 0.0


async def _body(receive: Receive) -> bytes:
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return body


async def _answer(send: Send, body: dict[str, Any], status: int = 200, retry_after: float = 0.0) -> None:
    headers = [(b"content-type", b"application/json")]
    if retry_after:
        headers.append((b"retry-after", str(int(retry_after) + 1).encode()))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps(body).encode()})


def main() -> None:
    """Serve until the process is killed; writes the port and the certificate of its authority into a folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("provider")
    parser.add_argument("folder", type=Path)
    parser.add_argument("plan", type=Plan.from_json)
    arguments = parser.parse_args()
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    authority.cert_pem.write_to_path(str(arguments.folder / "ca.pem"))
    certificate.private_key_and_cert_chain_pem.write_to_path(str(arguments.folder / "server.pem"))
    listener = socket.create_server(("127.0.0.1", 0), backlog=16_384)
    config = uvicorn.Config(
        App(arguments.provider, arguments.plan),
        log_level="warning",
        access_log=False,
        lifespan="off",
        ssl_certfile=str(arguments.folder / "server.pem"),
        timeout_keep_alive=120,
    )
    config.load()
    (arguments.folder / "port.part").write_text(str(listener.getsockname()[1]))
    (arguments.folder / "port.part").rename(arguments.folder / "port")
    asyncio.run(uvicorn.Server(config).serve(sockets=[listener]))


if __name__ == "__main__":
    main()
