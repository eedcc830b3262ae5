"""
The upload of a large file to a local storage that refuses chunked bodies: seconds, and memory added, by turns.

Ours goes the whole way: it asks for an upload target first. The others only send the form.
"""

from __future__ import annotations

import json
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

SIZE = 512 * 2**20
ROUNDS = 3

_PYTHON = """
import resource, sys, time
{imports}
url, path = sys.argv[1:]
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
began = time.perf_counter()
{send}
took = time.perf_counter() - began
print(took, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)
"""
SENDERS = {
    "kognitos": _PYTHON.format(
        imports="import airflow_provider_kognitos.api.upload\n"
        "from airflow_provider_kognitos.api.client import KognitosClient",
        send="KognitosClient(url, 'benchmark-key').upload_file(path, agent_id='agent')",
    ),
    "requests files=": _PYTHON.format(
        imports="import requests",
        send="requests.post(url + '/upload', files={'file': open(path, 'rb')}).raise_for_status()",
    ),
}
CURL = ["curl", "--silent", "--fail", "--output", "/dev/null", "--write-out", "%{time_total} 0", "--form"]


class Storage:
    """Counts the bytes of a form and keeps none. One request per connection."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        buffer = memoryview(bytearray(2**20))
        while True:
            line, _ = self._listener.accept()
            with line:
                self._answer(line, buffer)

    def _answer(self, line: socket.socket, buffer: memoryview) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            head += line.recv(65_536)
        head, _, body = head.partition(b"\r\n\r\n")
        fields = {
            name.strip().lower(): value.strip()
            for name, _, value in (text.partition(":") for text in head.decode().splitlines()[1:])
        }
        if "content-length" not in fields:
            line.sendall(b"HTTP/1.1 411 Length Required\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            return
        if fields.get("expect"):
            line.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        left = int(fields["content-length"]) - len(body)
        while left > 0 and (count := line.recv_into(buffer)):
            left -= count
        answer = b""
        if b"/v2/files" in head.partition(b"\r\n")[0]:
            target = {
                "id": "file",
                "file_name": "file",
                "upload_url": f"{self.url}/upload",
                "upload_http_method": "POST",
            }
            answer = json.dumps({**target, "upload_http_headers": {}, "upload_fields": {"key": "file"}}).encode()
        line.sendall(
            b"HTTP/1.1 201 Created\r\nContent-Type: application/json\r\nConnection: close\r\n"
            + f"Content-Length: {len(answer)}\r\n\r\n".encode()
            + answer
        )


def measure(size: int = SIZE, rounds: int = ROUNDS) -> dict[str, tuple[float, float]]:
    """
    Return the median seconds, and the megabytes added to the most memory the process had, for each sender.

    The memory of curl is not looked at; 0 stands for it.
    """
    storage = Storage()
    took: dict[str, list[tuple[float, float]]] = {}
    with tempfile.NamedTemporaryFile() as file:
        file.truncate(size)
        Path(file.name).read_bytes()  # into the page cache
        commands: dict[str, Callable[[], list[str]]] = {
            name: lambda script=script: [sys.executable, "-c", script, storage.url, file.name]  # type: ignore[misc]
            for name, script in SENDERS.items()
        }
        if shutil.which("curl"):
            commands["curl --form"] = lambda: [*CURL, f"file=@{file.name}", f"{storage.url}/upload"]
        for _ in range(rounds):
            for name, command in commands.items():
                done = subprocess.run(command(), capture_output=True, text=True, check=True)
                seconds, memory = done.stdout.split()[-2:]
                took.setdefault(name, []).append((float(seconds), float(memory)))
    return {
        name: (statistics.median(s for s, _ in results), statistics.median(m for _, m in results))
        for name, results in took.items()
    }


if __name__ == "__main__":
    for name, (seconds, memory) in measure().items():
        print(f"{name:16} {seconds:6.2f} s {memory:8.1f} MB added")
