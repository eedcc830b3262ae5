"""Every kind of fault, seen from the other end of a raw socket."""

from __future__ import annotations

import json
import socket
import threading
from contextlib import closing
from typing import Any
from urllib.parse import urlsplit

import pytest

from airflow_provider_kognitos.emulator.server import RunningEmulator

from .conftest import AGENT, KEY, PROCESS, Ask, until

RUN = json.dumps({"agent_id": AGENT, "process_id": PROCESS, "name": "a run", "stage": "Published"}).encode()
LIST = f"/v2/processes?agent_id={AGENT}"
EFFECTS = pytest.mark.parametrize(("effect", "started"), [("before", 0), ("after", 1)])


def request(method: str, path: str, body: bytes = b"", **headers: str) -> bytes:
    lines = [
        f"{method} {path} HTTP/1.1",
        "Host: localhost",
        f"x-api-key: {KEY}",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        *(f"{name}: {value}" for name, value in headers.items()),
    ]
    return "\r\n".join([*lines, "", ""]).encode() + body


START = request("POST", "/v2/runs", RUN)
HEALTH = request("GET", "/v2/health")


@EFFECTS
def test_drop(ask: Ask, emulator: RunningEmulator, effect: str, started: int) -> None:
    emulator.control.fault("startRun", "drop", effect=effect)
    assert ask.raw(START) == b""
    stats = emulator.control.stats()
    assert (stats["runs_started"], stats["requests"], stats["statuses"]) == (started, {"startRun": 1}, {"0": 1})


@EFFECTS
def test_reset(ask: Ask, emulator: RunningEmulator, effect: str, started: int) -> None:
    emulator.control.fault("startRun", "reset", effect=effect)
    with pytest.raises(ConnectionResetError):
        ask.raw(START)
    assert emulator.control.stats()["runs_started"] == started


def test_drop_behind_a_proxy(ask: Ask, emulator: RunningEmulator) -> None:
    emulator.control.fault("getHealth", "drop")
    assert ask.raw(HEALTH.replace(b"Host:", b"X-Forwarded-For: 10.0.0.1\r\nX-Forwarded-Proto: https\r\nHost:")) == b""


@EFFECTS
def test_hang_for_some_time(ask: Ask, emulator: RunningEmulator, effect: str, started: int) -> None:
    emulator.control.fault("startRun", "hang", seconds=5, effect=effect)
    with pytest.raises(TimeoutError):
        ask.raw(START, timeout=0.1)
    emulator.control.fault("startRun", "hang", seconds=0.1, effect=effect)
    assert ask.raw(START) == b""
    assert emulator.control.stats()["runs_started"] == 2 * started


def test_hang_until_the_other_side_leaves(ask: Ask, emulator: RunningEmulator) -> None:
    emulator.control.fault("getHealth", "hang")
    before = emulator.control.stats()["connections"]["open"]
    parts = urlsplit(ask.url)
    with closing(socket.create_connection((parts.hostname, parts.port), 0.1)) as connection:
        connection.sendall(HEALTH)
        with pytest.raises(TimeoutError):
            connection.recv(1)
        assert emulator.control.stats()["connections"]["open"] == before + 1
        assert emulator.control.requests()[-1]["fault"] == "hang"
    until(lambda: emulator.control.stats()["connections"]["open"] == before)
    assert ask("GET", "/v2/health").ok


@pytest.mark.parametrize("effect", ["before", "after"])
def test_truncate(ask: Ask, emulator: RunningEmulator, effect: str) -> None:
    emulator.control.fault("startRun", "truncate", effect=effect)
    head, _, body = ask.raw(START).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 201")
    (length,) = [line.split(b":")[1] for line in head.splitlines() if line.startswith(b"content-length")]
    assert len(body) == int(length) // 2
    assert body.startswith(b'{"id":"')
    assert emulator.control.stats()["runs_started"] == 1


@EFFECTS
@pytest.mark.parametrize("code", [400, 401, 403, 404, 408, 429, 500, 502, 503, 504, 599, 302])
def test_status(ask: Ask, emulator: RunningEmulator, code: int, effect: str, started: int) -> None:
    headers = {"Retry-After": "7", "X-Amzn-ErrorType": "a"}
    emulator.control.fault("startRun", "status", code=code, headers=headers, effect=effect)
    response = ask("POST", "/v2/runs", data=RUN, headers={"content-type": "application/json"})
    assert response.status_code == code
    assert response.headers["retry-after"] == "7"
    assert response.json() == {"status_code": code, "message": "A fault of the emulator", "details": None}
    stats = emulator.control.stats()
    assert (stats["runs_started"], stats["statuses"]) == (started, {str(code): 1})


@pytest.mark.parametrize("code", [204, 304])
def test_status_without_a_body(ask: Ask, emulator: RunningEmulator, code: int) -> None:
    emulator.control.fault("getHealth", "status", code=code)
    response = ask("GET", "/v2/health")
    assert (response.status_code, response.content) == (code, b"")
    assert ask("GET", "/v2/health").ok


@pytest.mark.parametrize(
    ("body", "kind", "text"),
    [
        ("error_model", "application/json", '{"status_code": 502, "message": "so", "details": null}'),
        ("camel_case", "application/json", '{"statusCode": 502, "message": "so"}'),
        ("gateway", "application/json", '{"message": "so"}'),
        ("text", "text/plain", "so"),
        ("html", "text/html", "<html><body><h1>Bad Gateway</h1></body></html>"),
        ("empty", "application/json", ""),
        ("truncated_json", "application/json", '{"status_code": 502, "message": "so", "'),
        ("other_json", "application/json", '["other", "json"]'),
    ],
)
def test_forms_of_bodies(ask: Ask, emulator: RunningEmulator, body: str, kind: str, text: str) -> None:
    emulator.control.script(
        "getHealth",
        [{"kind": "status", "code": 502, "body": body, "message": "so"}, {"kind": "wrong_json", "body": body}],
    )
    response = ask("GET", "/v2/health")
    assert (response.status_code, response.headers["content-type"], response.text) == (502, kind, text)
    response = ask("GET", "/v2/health")
    assert (response.status_code, response.headers["content-type"]) == (200, kind)


@EFFECTS
def test_wrong_json(ask: Ask, emulator: RunningEmulator, effect: str, started: int) -> None:
    emulator.control.fault("startRun", "wrong_json", body="html", effect=effect)
    response = ask("POST", "/v2/runs", data=RUN, headers={"content-type": "application/json"})
    assert (response.status_code, response.text[:6]) == (200, "<html>")
    assert emulator.control.stats()["runs_started"] == started


def overtaken(ask: Ask, emulator: RunningEmulator) -> list[str]:
    """Ask for the health, then for the processes; return which was answered first."""
    answers: list[bytes] = []
    slow = threading.Thread(target=lambda: answers.append(ask.raw(request("GET", "/v2/health", Connection="close"))))
    slow.start()
    until(lambda: emulator.control.stats()["connections"]["open"] >= 2)
    assert ask("GET", LIST).ok
    slow.join()
    assert answers[0].startswith(b"HTTP/1.1 200")
    return [seen["endpoint"] for seen in emulator.control.requests()]


def test_delay(ask: Ask, emulator: RunningEmulator) -> None:
    emulator.control.fault("getHealth", "delay", seconds=0.5)
    assert overtaken(ask, emulator) == ["listProcesses", "getHealth"]
    assert emulator.control.requests()[-1]["fault"] == "delay"


@pytest.mark.parametrize("latency", [{"getHealth": 0.5}, {"getHealth": [0.5, 0.6]}, {"*": 0.5, "listProcesses": 0}])
def test_latency(ask: Ask, emulator: RunningEmulator, latency: dict[str, Any]) -> None:
    emulator.control.play({"latency": latency})
    assert overtaken(ask, emulator) == ["listProcesses", "getHealth"]


def test_script(ask: Ask, emulator: RunningEmulator) -> None:
    script = [{"kind": "status", "code": 500}, None, {"kind": "status", "code": 502}]
    emulator.control.script("getHealth", script)
    ask("GET", LIST)
    assert [ask("GET", "/v2/health").status_code for _ in range(5)] == [500, 200, 502, 200, 200]


def test_script_goes_before_what_comes_later(ask: Ask, emulator: RunningEmulator) -> None:
    emulator.control.script("getHealth", [None, {"kind": "status", "code": 502}])
    emulator.control.fault("*", "status", code=503, times=None)
    assert [ask("GET", "/v2/health").status_code for _ in range(4)] == [200, 502, 503, 503]
    assert ask("GET", LIST).status_code == 503
    emulator.control.clear_faults()
    assert ask("GET", "/v2/health").ok


@pytest.mark.parametrize(("times", "faults"), [(1, 1), (3, 3), (None, 6)])
def test_times(ask: Ask, emulator: RunningEmulator, times: int | None, faults: int) -> None:
    emulator.control.fault("getHealth", "status", times=times)
    assert [ask("GET", "/v2/health").status_code for _ in range(6)] == [500] * faults + [200] * (6 - faults)


def test_probability(ask: Ask, emulator: RunningEmulator) -> None:
    def drawn(seed: int) -> list[int]:
        emulator.control.play({"seed": seed})
        emulator.control.fault("getHealth", "status", times=None, probability=0.5)
        return [ask("GET", "/v2/health").status_code for _ in range(60)]

    first = drawn(1)
    assert 10 < first.count(500) < 50
    assert drawn(1) == first
    assert drawn(2) != first
    emulator.control.play({})
    emulator.control.fault("getHealth", "status", times=None, probability=0)
    assert {ask("GET", "/v2/health").status_code for _ in range(20)} == {200}


def test_a_new_scenario_ends_all_faults(ask: Ask, emulator: RunningEmulator) -> None:
    emulator.control.fault("*", "status", times=None)
    emulator.control.play({})
    assert ask("GET", "/v2/health").ok


def test_upload(ask: Ask, emulator: RunningEmulator) -> None:
    target = ask("POST", "/v2/files", json={"agent_id": AGENT, "file_name": "a"}).json()
    stranger = Ask(ask.url, None)
    for effect, arrived in (("before", 0), ("after", 1)):
        emulator.control.fault("upload", "status", code=503, body="html", effect=effect)
        path = urlsplit(target["upload_url"]).path
        response = stranger("POST", path, data=target["upload_fields"], files={"file": b"content"})
        assert response.status_code == 503
        assert emulator.control.stats()["uploads"] == arrived
    stranger.close()


@pytest.mark.parametrize(
    ("fault", "field"),
    [
        ({"endpoint": "startrun", "kind": "drop"}, "endpoint"),
        ({"endpoint": "startRun", "kind": "explode"}, "kind"),
        ({"endpoint": "startRun", "kind": "status", "code": 1000}, "code"),
        ({"endpoint": "startRun", "kind": "status", "body": "xml"}, "body"),
        ({"endpoint": "startRun", "kind": "delay", "seconds": -1}, "seconds"),
        ({"endpoint": "startRun", "kind": "delay", "second": 1}, "second"),
        ({"endpoint": "startRun", "kind": "drop", "probability": 2}, "probability"),
    ],
)
def test_fault_that_is_none(emulator: RunningEmulator, fault: dict[str, Any], field: str) -> None:
    with pytest.raises(ValueError, match=rf'400 .*"{field}"'):
        emulator.control.fault(**fault)


def test_rule_without_a_fault(ask: Ask, emulator: RunningEmulator) -> None:
    with pytest.raises(ValueError, match="fault or a script"):
        emulator.control._ask("POST", "faults", [{"endpoint": "*"}])
