"""The command, in this process and as one of its own that can be killed."""

from __future__ import annotations

import http.client
import io
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests

from airflow_provider_kognitos.emulator import cli
from airflow_provider_kognitos.emulator.server import listen

from .conftest import AGENT, KEY, Ask, until

COMMAND = [sys.executable, "-m", "airflow_provider_kognitos.emulator.cli", "--port", "0"]
ADDRESS = re.compile(r"http://\S+?:\d+(?=[/ ])")


@contextmanager
def command(*options: str) -> Iterator[tuple[subprocess.Popen[str], str, str]]:
    """Run the command; yield it, what it prints first, and its address."""
    with subprocess.Popen([*COMMAND, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            found = ADDRESS.search(line)
            assert found, process.communicate()[1]
            yield process, line, found[0]
        finally:
            with suppress(ProcessLookupError):
                process.kill()


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.com"])
def test_address_that_others_can_reach(capsys: pytest.CaptureFixture[str], host: str) -> None:
    assert cli.main(["--host", host, "--port", "0"]) == 2
    printed = capsys.readouterr()
    assert "not a loopback address" in printed.err
    assert "--allow-remote" in printed.err
    assert printed.out == ""


@pytest.mark.parametrize("text", ["habits: {list_order: random}", "habits: ["])
def test_bad_scenario(tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str) -> None:
    path = tmp_path / "scenario.yaml"
    path.write_text(text)
    assert cli.main(["--scenario", str(path), "--port", "0"]) == 2
    error = capsys.readouterr().err
    assert f"kognitos-emulator: {path}" in error
    assert "habits.list_order" in error or "cannot be read" in error


def test_missing_scenario(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--scenario", str(tmp_path / "none"), "--port", "0"]) == 2
    assert "none cannot be read" in capsys.readouterr().err


def test_port_in_use(capsys: pytest.CaptureFixture[str]) -> None:
    with listen("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        assert cli.main(["--port", str(port)]) == 2
    assert f"cannot listen on 127.0.0.1:{port}: [Errno" in capsys.readouterr().err


@pytest.mark.parametrize("port", ["-1", "65536", "http"])
def test_port_that_is_none(capsys: pytest.CaptureFixture[str], port: str) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(["--port", port])
    assert caught.value.code == 2
    assert "--port" in capsys.readouterr().err


@pytest.mark.parametrize("content", [None, b"no database at all, but something else of some length" * 20])
def test_state_that_cannot_be_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes | None) -> None:
    path = tmp_path / "state"
    if content is None:
        path.mkdir()
    else:
        path.write_bytes(content)
    assert cli.main(["--port", "0", "--state", str(path)]) == 2
    assert f"cannot keep the state in {path}" in capsys.readouterr().err


def test_missing_library(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.delitem(sys.modules, "airflow_provider_kognitos.emulator.server")
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    assert cli.main(["--port", "0"]) == 2
    error = capsys.readouterr().err
    assert "uvicorn is not installed" in error
    assert "airflow-provider-kognitos[emulator]" in error


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1"])
def test_runs_until_it_is_interrupted(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    printed = io.StringIO()
    answers: list[requests.Response] = []

    def visit() -> None:
        until(lambda: printed.getvalue().endswith("\n"))
        try:
            (address,) = set(ADDRESS.findall(printed.getvalue()))
            answers.append(requests.get(f"{address}/v2/health", headers={"x-api-key": KEY}, timeout=30))
        finally:
            os.kill(os.getpid(), signal.SIGINT)

    try:
        listen(host, 0).close()
    except OSError:
        pytest.skip(f"this machine has no {host}")
    monkeypatch.setattr(sys, "stdout", printed)
    visitor = threading.Thread(target=visit)
    visitor.start()
    assert cli.main(["--port", "0", "--host", host]) == 0
    visitor.join()
    assert answers[0].json() == {"status": "OK"}
    assert KEY in printed.getvalue()
    assert AGENT in printed.getvalue()


def test_state_survives_a_kill(tmp_path: Path) -> None:
    scenario = tmp_path / "scenario.yaml"
    scenario.write_text("rules: [{steps: [{status: Running, seconds: [3600, 9999]}], results: {A: 1, B: 1}}]\n")
    options = ["--state", str(tmp_path / "state"), "--scenario", str(scenario), "--log-level", "debug"]
    with command(*options) as (process, line, url):
        assert (KEY in line, AGENT in line, url.endswith(":0")) == (True, True, False)
        ask = Ask(url)
        runs = [ask.start(name=f"run {number}") for number in range(12)]
        page = ask.runs()
        file = ask("POST", "/v2/files", json={"agent_id": AGENT, "file_name": "a"}).json()
        plans = requests.get(f"{url}/control/runs", timeout=30).json()
        ask("GET", "/v2/unknown")
        assert Ask(url, f"{KEY}-wrong")("GET", "/v2/health").status_code == 401
        process.send_signal(signal.SIGKILL)
        log = process.communicate()[1]
    assert KEY not in log
    scenario.write_text("seed: 5\n")
    with command(*options) as (process, line, url):
        ask = Ask(url)
        assert requests.get(f"{url}/control/runs", timeout=30).json() == plans
        assert [ask.run(run["id"]) for run in runs] == runs
        rest = ask.runs(continuation_token=page["continuation_token"])
        assert [run["name"] for run in page["items"] + rest["items"]] == [run["name"] for run in reversed(runs)]
        path = urlsplit(file["upload_url"]).path
        response = requests.post(url + path, data=file["upload_fields"], files={"file": b"content"}, timeout=30)
        assert response.status_code == 204
        assert requests.get(f"{url}/control/uploads", timeout=30).json()[0]["bytes"] == len(b"content")
        assert ask.start(file_ids=[file["id"]])["file_ids"] == [file["id"]]


def test_upload_needs_no_memory() -> None:
    size, chunk = 300 * 2**20, b"x" * 2**20
    with command() as (process, _, url):
        memory = Path(f"/proc/{process.pid}/status")
        if not memory.exists():
            pytest.skip("this machine does not tell how much memory a process has used")
        target = Ask(url)("POST", "/v2/files", json={"agent_id": AGENT, "file_name": "big.mp4"}).json()
        fields = {**target["upload_fields"], "file": ""}
        parts = [f'--b\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n{value}' for key, value in fields.items()]
        head, tail = "\r\n".join(parts).encode(), b"\r\n--b--\r\n"
        address = urlsplit(target["upload_url"])
        connection = http.client.HTTPConnection(address.netloc, timeout=60)
        connection.putrequest("POST", address.path)
        connection.putheader("Content-Type", "multipart/form-data; boundary=b")
        connection.putheader("Content-Length", str(len(head) + size + len(tail)))
        connection.endheaders(head)
        for _ in range(size // len(chunk)):
            connection.send(chunk)
        connection.send(tail)
        assert connection.getresponse().status == 204
        connection.close()
        assert requests.get(f"{url}/control/uploads", timeout=30).json()[0]["bytes"] == size
        (peak,) = [line.split() for line in memory.read_text().splitlines() if line.startswith("VmHWM")]
    assert int(peak[1]) * 1024 < size * 0.7
