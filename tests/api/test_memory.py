"""A big file passes through without being held."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SIZE = 512 * 1024 * 1024

#: Takes one form, counts its bytes and answers as the storage does.
SINK = """
import socket, sys
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
connection, _ = listener.accept()
buffer, head = bytearray(1 << 20), b""
while b"\\r\\n\\r\\n" not in head:
    head += connection.recv(65536)
head, _, rest = head.partition(b"\\r\\n\\r\\n")
assert b"chunked" not in head.lower()
length = next(int(line.split(b":")[1]) for line in head.split(b"\\r\\n") if line.lower().startswith(b"content-length"))
left = length - len(rest)
while left:
    got = connection.recv_into(buffer)
    assert got
    left -= got
connection.sendall(b"HTTP/1.1 204 No Content\\r\\nConnection: close\\r\\n\\r\\n")
print(length, flush=True)
"""

UPLOAD = """
import resource, sys
from airflow_provider_kognitos.api.models import UploadTarget
from airflow_provider_kognitos.api.upload import upload

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

def send(path, url):
    target = lambda name: UploadTarget("id", name, url, fields={"key": "k"})
    return upload(path, file_name=None, create_target=target, timeout=30, verify=True, user_agent=None, attempts=1)

small, big, first, second = sys.argv[1:]
send(small, first)
before = peak()
assert send(big, second) == "id"
print(peak() - before)
"""


def test_a_big_file_adds_next_to_nothing_to_the_memory(tmp_path: Path) -> None:
    small, big = tmp_path / "small", tmp_path / "big"
    small.write_bytes(b"x" * 2_000_000)
    with big.open("wb") as file:
        file.truncate(SIZE)
    sinks = [subprocess.Popen([sys.executable, "-c", SINK], stdout=subprocess.PIPE, text=True) for _ in range(2)]
    try:
        ports = [sink.stdout.readline().strip() for sink in sinks if sink.stdout]
        urls = [f"http://127.0.0.1:{port}/" for port in ports]
        done = subprocess.run(
            [sys.executable, "-c", UPLOAD, str(small), str(big), *urls], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        kilobytes = int(done.stdout.split()[-1])
        assert kilobytes < 8 * 1024
        assert sinks[1].stdout is not None
        assert int(sinks[1].stdout.readline()) > SIZE
    finally:
        for sink in sinks:
            sink.kill()
            sink.wait()
            if sink.stdout:
                sink.stdout.close()
