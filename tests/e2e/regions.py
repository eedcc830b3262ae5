"""Every region on this machine: a proxy leads from its address to a stand-in, over TLS, that knows a key of its own."""

from __future__ import annotations

import socket
import socketserver
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from airflow_provider_kognitos.hooks.connection import REGIONS
from tests.api.service import Reply, Seen, Service, certificate, serving


@dataclass(frozen=True)
class Regions:
    """
    Where they are.

    :param env: the variables that lead there.
    :param ca: the authority that signs for them.
    """

    env: Mapping[str, str]
    ca: Path


def through(proxy: str) -> dict[str, str]:
    """Return the variables that send requests through a proxy."""
    return {"HTTPS_PROXY": proxy, "https_proxy": proxy}


@contextmanager
def regions(folder: Path, keys: Mapping[str, str]) -> Iterator[Regions]:
    """
    Serve every region.

    :param keys: the key that a region knows; a region without one knows none.
    """
    hosts = {region: str(urlsplit(url).hostname) for region, url in REGIONS.items()}
    ca, tls = certificate(folder, *hosts.values())
    with ExitStack() as stack:
        ports = {}
        for region, host in hosts.items():
            service = stack.enter_context(serving(tls))
            _know(service, keys.get(region))
            ports[host] = service.port
        proxy = stack.enter_context(_Proxy(ports))
        stack.callback(proxy.shutdown)
        yield Regions(through(f"http://127.0.0.1:{proxy.server_address[1]}"), ca)


def _know(service: Service, key: str | None) -> None:
    def answer(seen: Seen) -> Reply:
        if seen.headers.get("x-api-key") != key:
            # As the gateway in front of the service says it.
            return Reply(403, {"message": "Forbidden"})
        return Reply(body={"status": "OK"} if seen.path == "/v2/health" else {"items": [], "continuation_token": None})

    service.otherwise = answer


class _Proxy(socketserver.ThreadingTCPServer):
    """Answers CONNECT, to the hosts that it knows."""

    daemon_threads = True

    def __init__(self, ports: Mapping[str, int]) -> None:
        self.ports = ports
        super().__init__(("127.0.0.1", 0), _Tunnel)
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()


class _Tunnel(socketserver.StreamRequestHandler):
    # Nothing of what follows the request may stay in a buffer here.
    rbufsize = 0
    server: _Proxy

    def handle(self) -> None:
        method, target, _ = self.rfile.readline().decode().split()
        while self.rfile.readline().strip():
            pass
        port = self.server.ports.get(target.partition(":")[0])
        if method != "CONNECT" or port is None:
            self.wfile.write(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
            return
        with socket.create_connection(("127.0.0.1", port)) as there:
            self.wfile.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            back = threading.Thread(target=_copy, args=(there, self.connection), daemon=True)
            back.start()
            _copy(self.connection, there)
            back.join()


def _copy(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while part := source.recv(65536):
            target.sendall(part)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)
