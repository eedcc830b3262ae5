"""Runs the emulator: for the command line, or in a thread of a test."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn

from airflow_provider_kognitos.emulator.app import create_app
from airflow_provider_kognitos.emulator.control import EmulatorControl
from airflow_provider_kognitos.emulator.core import Emulator
from airflow_provider_kognitos.emulator.protocol import protocol_for
from airflow_provider_kognitos.emulator.scenario import Scenario, read_scenario
from airflow_provider_kognitos.emulator.store import Store


@dataclass(frozen=True)
class RunningEmulator:
    """
    An emulator that listens.

    :param url: its address, without ``/v2``.
    :param control: sets the stage.
    """

    url: str
    control: EmulatorControl


def listen(host: str, port: int) -> socket.socket:
    """
    Return a socket that listens; port 0 takes a free one.

    :raises OSError: the address is taken, or not of this machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio sends at once, without Nagle's delay, only by sockets that are told to be TCP.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError:
        listener.close()
        raise
    listener.listen(2048)
    return listener


def server_of(emulator: Emulator, *, log_level: str = "warning") -> uvicorn.Server:
    """Return a server for an emulator, not started yet."""
    return uvicorn.Server(
        uvicorn.Config(
            create_app(emulator),
            http=protocol_for(emulator.connections),
            # Not uvloop where that happens to be installed: the same emulator everywhere.
            loop="asyncio",
            ws="none",
            # The ends of a connection must stay its own, by which it is found when it is to be closed.
            proxy_headers=False,
            lifespan="off",
            log_level=log_level,
            access_log=False,
            timeout_keep_alive=75,
            timeout_graceful_shutdown=1,
        )
    )


@contextmanager
def running_emulator(
    *,
    scenario: Scenario | Mapping[str, Any] | None = None,
    port: int = 0,
    state_file: Path | None = None,
    clock: Callable[[], float] = time.time,
) -> Iterator[RunningEmulator]:
    """
    Run an emulator in a thread, on loopback.

    :param scenario: what to play; the built-in one if not given.
    :param port: 0 takes a free one.
    :param state_file: where to keep its state; in memory if not given.
    :param clock: returns epoch seconds.
    """
    played = scenario if isinstance(scenario, Scenario) else read_scenario(scenario)
    listener = listen("127.0.0.1", port)
    store = Store(state_file)
    server = server_of(Emulator(played, store, clock))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, name="kognitos-emulator", daemon=True)
    thread.start()
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    try:
        while not server.started and thread.is_alive():
            time.sleep(0.01)
        with EmulatorControl(url) as control:
            yield RunningEmulator(url, control)
    finally:
        server.should_exit = True
        thread.join(10)
        listener.close()
        store.close()
