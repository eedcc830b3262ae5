"""The control endpoints, through the class that a test uses."""

from __future__ import annotations

import pytest
import requests

from airflow_provider_kognitos.emulator.control import EmulatorControl
from airflow_provider_kognitos.emulator.core import REQUESTS_KEPT, Emulator
from airflow_provider_kognitos.emulator.scenario import Scenario
from airflow_provider_kognitos.emulator.server import RunningEmulator, running_emulator
from airflow_provider_kognitos.emulator.store import Store

from .conftest import AGENT, KEY, PROCESS, START, Ask, Clock


def test_stats(ask: Ask, emulator: RunningEmulator) -> None:
    ask("GET", "/v2/health")
    run = ask.start()
    ask.run(run["id"])
    ask.run("unknown")
    emulator.control.add_run(PROCESS)
    stats = emulator.control.stats()
    assert stats.pop("connections")["opened"] >= 2
    assert stats == {
        "requests": {"getHealth": 1, "startRun": 1, "getRun": 2},
        "statuses": {"200": 2, "201": 1, "404": 1},
        "runs_started": 1,
        "uploads": 0,
        "key_leaks": 0,
    }


def test_connections(ask: Ask, emulator: RunningEmulator) -> None:
    before = emulator.control.stats()["connections"]["opened"]
    for _ in range(3):
        ask("GET", "/v2/health")
        requests.get(f"{ask.url}/v2/health", timeout=10)
    assert emulator.control.stats()["connections"]["opened"] == before + 4


def test_requests(ask: Ask, emulator: RunningEmulator, clock: Clock) -> None:
    ask("GET", "/v2/health", headers={"User-Agent": "me/1"})
    clock.forward(2)
    ask("GET", f"/v2/processes/unknown?agent_id={AGENT}")
    first, second = emulator.control.requests()
    assert first == {
        "seq": 1,
        "time": START,
        "endpoint": "getHealth",
        "status": 200,
        "path": "/v2/health",
        "query": "",
        "user_agent": "me/1",
        "fault": None,
    }
    assert (second["seq"], second["time"], second["status"]) == (2, START + 2, 404)
    assert (second["path"], second["query"]) == ("/v2/processes/unknown", f"agent_id={AGENT}")
    assert emulator.control.requests(since=1) == [second]
    assert emulator.control.requests(since=2) == []


def test_requests_that_are_kept() -> None:
    service = Emulator(Scenario(), Store())
    for _ in range(REQUESTS_KEPT + 1):
        service.note("getHealth", 200)
    assert [request["seq"] for request in service.requests][:: REQUESTS_KEPT - 1] == [2, REQUESTS_KEPT + 1]


def test_runs_of_somebody_else(ask: Ask, emulator: RunningEmulator, clock: Clock) -> None:
    more = {"name": "theirs", "stage": "Draft", "status": "Odd", "created_at": START - 60}
    run = emulator.control.add_run(PROCESS, inputs=[{"name": "a", "value": 1}], file_ids=["f"], **more)
    shown = ask.run(run["id"])
    assert {key: shown[key] for key in ("name", "stage", "status", "file_ids")} == {
        "name": "theirs",
        "stage": "Draft",
        "status": "Odd",
        "file_ids": ["f"],
    }
    assert shown["created_at"] == "2023-11-14T22:12:20"
    (known,) = emulator.control.runs()
    assert (known["inputs"], known["foreign_run"]) == ([{"name": "a", "value": 1}], 1)
    by_itself = emulator.control.add_run(PROCESS)
    assert ask.run(by_itself["id"])["status"] == "Created"
    clock.forward(3600)
    assert ask.run(by_itself["id"])["status"] == "Succeeded"


def test_change_of_a_run(ask: Ask, emulator: RunningEmulator) -> None:
    run = ask.start()
    assert emulator.control.change_run(run["id"])["status"] == "Created"
    outputs = [{"name": "a", "value": [1]}]
    assert emulator.control.change_run(run["id"], outputs=outputs)["outputs"] is None
    assert emulator.control.change_run(run["id"], status="Succeeded")["outputs"] == outputs
    assert emulator.control.change_run(run["id"], outputs=[])["outputs"] == []
    assert emulator.control.runs()[0]["status"] == "Succeeded"
    with pytest.raises(ValueError, match=r"404 .*No such run"):
        emulator.control.change_run("unknown", status="Failed")


def test_scenario(ask: Ask, emulator: RunningEmulator, clock: Clock) -> None:
    assert emulator.control.scenario() == Scenario().model_dump(mode="json")
    run = ask.start()
    played = emulator.control.play({"rules": [{"results": {"Failed": 1}}], "keys": {KEY: {}, "other": {}}})
    assert played == emulator.control.scenario()
    clock.forward(3600)
    assert ask.run(run["id"])["status"] == "Succeeded"
    assert Ask(ask.url, "other")("GET", "/v2/health").ok
    with pytest.raises(ValueError, match=r"400 .*habits\.list_lag"):
        emulator.control.play({"habits": {"list_lag": "long"}})
    assert emulator.control.scenario() == played


@pytest.mark.parametrize("run", [{}, {"process_id": PROCESS, "colour": "red"}, {"process_id": PROCESS, "stage": "x"}])
def test_run_that_is_none(emulator: RunningEmulator, run: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"400 .*Invalid input values"):
        emulator.control.add_runs([run])


def test_reset(ask: Ask, emulator: RunningEmulator) -> None:
    ask.start()
    ask("POST", "/v2/files", json={"agent_id": AGENT, "file_name": "a"})
    emulator.control.fault("*", "status", times=None)
    emulator.control.reset()
    stats = emulator.control.stats()
    assert (stats["requests"], stats["statuses"], stats["runs_started"]) == ({}, {}, 0)
    assert (emulator.control.runs(), emulator.control.uploads(), emulator.control.requests()) == ([], [], [])
    assert ask("GET", "/v2/health").ok


def test_an_address_with_a_slash(emulator: RunningEmulator) -> None:
    with EmulatorControl(f"{emulator.url}/") as control:
        assert control.runs() == []


def test_two_emulators_are_apart(ask: Ask, emulator: RunningEmulator) -> None:
    with running_emulator(scenario=Scenario(agents=["a"], processes=[])) as other:
        assert other.url != emulator.url
        run = ask.start()
        assert other.control.runs() == []
        assert Ask(other.url)("GET", f"/v2/runs/{run['id']}").status_code == 404
