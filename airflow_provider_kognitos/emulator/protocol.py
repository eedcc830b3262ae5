"""Lets an application close or reset the connection that a request came by."""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import Any, ClassVar

from uvicorn.protocols.http.h11_impl import H11Protocol

Ends = tuple[Any, Any]


class Connections:
    """The connections that stand, and how many ever stood."""

    def __init__(self) -> None:
        self.opened = 0
        self._standing: dict[Ends, asyncio.Transport] = {}

    def __len__(self) -> int:
        return len(self._standing)

    def add(self, transport: asyncio.Transport) -> None:
        """Note a new connection."""
        self.opened += 1
        self._standing[_ends(transport)] = transport

    def remove(self, transport: asyncio.Transport) -> None:
        """Note that a connection is gone."""
        self._standing.pop(_ends(transport), None)

    async def end(self, scope: Any, *, reset: bool = False) -> None:
        """Close the connection of a request without an answer, or reset it."""
        transport = self._standing.get((tuple(scope["server"]), tuple(scope["client"])))
        if transport is not None:
            connection: socket.socket | None = transport.get_extra_info("socket")
            if reset and connection is not None:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            transport.abort()
        # The server learns of it in the next round of the loop, and then expects no answer any more.
        await asyncio.sleep(0.01)


def protocol_for(connections: Connections) -> type[H11Protocol]:
    """Return a protocol that keeps account of its connections."""

    class AccountedProtocol(H11Protocol):
        account: ClassVar[Connections] = connections

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self.account.add(transport)

        def connection_lost(self, exc: Exception | None) -> None:
            self.account.remove(self.transport)
            super().connection_lost(exc)

    return AccountedProtocol


def _ends(transport: asyncio.Transport) -> Ends:
    here, there = transport.get_extra_info("sockname"), transport.get_extra_info("peername")
    return tuple(here[:2]), tuple((there or ())[:2])
