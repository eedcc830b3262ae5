"""A stand-in for any HTTP service, for faults that no well-behaved server makes."""

from __future__ import annotations

import json
import socket
import ssl
import struct
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

KEY = "sk-0123-very/secret+key=="
AGENT = "agent-1"
PROCESS = "process-1"

RUN = {
    "id": "run-1",
    "name": "a run",
    "process_id": PROCESS,
    "agent_id": AGENT,
    "stage": "Published",
    "status": "Created",
    "created_at": "2026-01-02T03:04:05",
    "file_ids": None,
    "outputs": None,
}
PROCESS_JSON = {"id": PROCESS, "name": "Process invoice", "agent_id": AGENT, "stage": "Published"}


@dataclass(frozen=True)
class Seen:
    """A request as it came in."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes
    peer: tuple[str, int]

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, str]:
        return dict(parse_qsl(urlsplit(self.target).query))

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Reply:
    """What to answer. ``cut`` sends only so many bytes of the body; ``wait`` answers so many seconds late."""

    status: int = 200
    body: Any = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    cut: int | None = None
    wait: float = 0.0

    @property
    def content(self) -> bytes:
        if isinstance(self.body, bytes):
            return self.body
        return self.body.encode() if isinstance(self.body, str) else json.dumps(self.body).encode()


class Drop:
    """Read the request and close the connection without a word; ``reset`` with an RST."""

    def __init__(self, *, reset: bool = False) -> None:
        self.reset = reset


class Garbage:
    """Answer with something that is no HTTP; over TLS, with something that is no TLS."""


class Service:
    """Answers what it was told to, one reply after the other, then ``otherwise``."""

    def __init__(self, port: int = 0, tls: ssl.SSLContext | None = None) -> None:
        self.seen: list[Seen] = []
        self.replies: deque[Any] = deque()
        self.otherwise: Callable[[Seen], Any] = lambda _: Reply()
        self._scheme = "https" if tls else "http"
        self._server = ThreadingHTTPServer(("127.0.0.1", port), self._handler())
        self._server.daemon_threads = True
        if tls:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"{self._scheme}://127.0.0.1:{self._server.server_port}"

    @property
    def port(self) -> int:
        return self._server.server_port

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        service = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                seen = Seen(self.command, self.path, dict(self.headers), body, self.client_address)
                service.seen.append(seen)
                reply = service.replies.popleft() if service.replies else service.otherwise(seen)
                if callable(reply):
                    reply = reply(seen)
                if isinstance(reply, Drop):
                    self._drop(reset=reply.reset)
                elif isinstance(reply, Garbage):
                    raw = socket.socket(fileno=self.connection.detach())
                    raw.sendall(b"\x15\x03\x03no tls, no http\r\n\r\n" * 20)
                    raw.close()
                    self.close_connection = True
                else:
                    self._send(reply)

            do_GET = do_POST = do_PUT = answer  # noqa: N815

            def _send(self, reply: Reply) -> None:
                time.sleep(reply.wait)
                content = reply.content
                self.send_response(reply.status)
                for name, value in {"Content-Length": str(len(content)), **reply.headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content[: reply.cut])
                if reply.cut is not None:
                    self._drop(reset=False)

            def _drop(self, *, reset: bool) -> None:
                self.close_connection = True
                # Down to the plain socket, so that TLS says no goodbye either.
                raw = socket.socket(fileno=self.connection.detach())
                if reset:
                    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                else:
                    with suppress(OSError):
                        raw.shutdown(socket.SHUT_RDWR)
                raw.close()

            def handle(self) -> None:
                with suppress(OSError, ValueError):
                    super().handle()

            def finish(self) -> None:
                with suppress(OSError, ValueError):
                    super().finish()

            def log_message(self, *args: Any) -> None:
                pass

        return Handler


@contextmanager
def serving(tls: ssl.SSLContext | None = None) -> Iterator[Service]:
    service = Service(tls=tls)
    try:
        yield service
    finally:
        service.close()


def free_port() -> int:
    """Return a loopback port on which nobody listens."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def certificate(folder: Path, *hosts: str) -> tuple[Path, ssl.SSLContext]:
    """Return a self-signed certificate for 127.0.0.1 and these hosts, and a server's context that uses it."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    names = [x509.IPAddress(ip_address("127.0.0.1")), *map(x509.DNSName, hosts)]
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(datetime.now(UTC) - timedelta(days=1))
        .not_valid_after(datetime.now(UTC) + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = folder / "certificate.pem"
    pem.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    secret = folder / "key.pem"
    secret.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem, secret)
    return pem, context
