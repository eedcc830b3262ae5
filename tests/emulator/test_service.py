"""Keys, requests that fit nowhere, lists."""

from __future__ import annotations

import base64
import json

import pytest

from airflow_provider_kognitos.emulator.server import RunningEmulator

from .conftest import AGENT, PROCESS, Ask, Clock, is_error

TWO_AGENTS = {
    "agents": [AGENT, "other"],
    "keys": {"demo-key": {}, "agent-key": {"agent_id": AGENT}},
    "processes": [
        {"id": PROCESS, "name": "Process invoice"},
        {"id": "theirs", "name": "Theirs", "agent_id": "other"},
    ],
}
RUN = {"agent_id": AGENT, "process_id": PROCESS, "name": "n", "stage": "Published"}


class TestKeyOfAnAgent:
    @pytest.fixture
    def agent_ask(self, ask: Ask, emulator: RunningEmulator) -> Ask:
        emulator.control.play(TWO_AGENTS)
        return Ask(ask.url, "agent-key")

    @pytest.mark.parametrize(
        ("method", "path", "body"),
        [
            ("GET", "/v2/processes?agent_id=other", None),
            ("GET", "/v2/processes/theirs?agent_id=other", None),
            ("GET", "/v2/runs?agent_id=other&process_id=theirs", None),
            ("POST", "/v2/runs", {**RUN, "agent_id": "other", "process_id": "theirs"}),
            ("POST", "/v2/files", {"agent_id": "other", "file_name": "a"}),
        ],
    )
    def test_other_agent(self, ask: Ask, agent_ask: Ask, method: str, path: str, body: object) -> None:
        is_error(agent_ask(method, path, json=body), 404)
        assert ask(method, path, json=body).ok

    def test_run_of_another_agent(self, ask: Ask, agent_ask: Ask) -> None:
        run = ask.start(agent_id="other", process_id="theirs")
        is_error(agent_ask("GET", f"/v2/runs/{run['id']}"), 404)
        own = agent_ask.start()
        assert agent_ask.run(own["id"])["id"] == own["id"]

    def test_file_without_its_agent(self, ask: Ask, agent_ask: Ask, emulator: RunningEmulator) -> None:
        assert agent_ask("POST", "/v2/files", json={"file_name": "a"}).status_code == 201
        assert emulator.control.uploads()[0]["agent_id"] == AGENT
        assert "agent_id" in str(is_error(ask("POST", "/v2/files", json={"file_name": "a"}), 400)["details"])

    def test_process_of_another_agent(self, ask: Ask, agent_ask: Ask) -> None:
        is_error(ask("GET", f"/v2/processes/theirs?agent_id={AGENT}"), 404)
        is_error(ask("POST", "/v2/runs", json={**RUN, "process_id": "theirs"}), 404)

    def test_file_of_another_agent(self, ask: Ask, agent_ask: Ask) -> None:
        file = ask("POST", "/v2/files", json={"agent_id": "other", "file_name": "a"}).json()
        is_error(ask("POST", "/v2/runs", json={**RUN, "file_ids": [file["id"]]}), 404)
        is_error(ask("POST", "/v2/runs", json={**RUN, "file_ids": ["unknown"]}), 404)


@pytest.mark.parametrize("path", ["/", "/v2", "/v2/", "/v2/agents", "/v2/runs/", "/v2/runs/a/b", "/v1/runs", "/runs"])
def test_unknown_path(ask: Ask, path: str) -> None:
    is_error(ask("GET", path), 404)


@pytest.mark.parametrize(
    ("method", "path"), [("DELETE", "/v2/runs/a"), ("PUT", "/v2/runs"), ("POST", "/v2/health"), ("GET", "/v2/files")]
)
def test_method_that_is_not_there(ask: Ask, method: str, path: str) -> None:
    response = ask(method, path)
    is_error(response, 405)
    assert response.headers["allow"]


def test_head(ask: Ask) -> None:
    response = ask("HEAD", "/v2/health")
    assert (response.status_code, response.content) == (405, b"")


@pytest.mark.parametrize("path", ["/v2/runs", "/v2/files"])
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b'"text"',
        b"{",
        b"{'name': 1}",
        b"\xff\xfe{",
        b"[" * 100_000,
        json.dumps({**RUN, "name": "n\ud800", "file_name": "f\ud800"}).encode(),
        b'{"agent_id": "demo-agent", "file_name": NaN, "name": Infinity}',
    ],
    ids=lambda body: body[:12],
)
def test_body_that_is_no_request(ask: Ask, path: str, body: bytes) -> None:
    is_error(ask("POST", path, data=body, headers={"content-type": "application/json"}), 400)


@pytest.mark.parametrize("value", ["NaN", "[-Infinity]", '"\\ud800"', '{"a": {"\\udfff": 1}}'])
def test_input_that_is_no_json(ask: Ask, emulator: RunningEmulator, value: str) -> None:
    body = json.dumps({**RUN, "inputs": [{"name": "a", "value": "VALUE"}]}).replace('"VALUE"', value)
    error = is_error(ask("POST", "/v2/runs", data=body, headers={"content-type": "application/json"}), 400)
    assert error["details"][0]["location"][:3] == ["body", "inputs", 0]
    assert emulator.control.stats()["runs_started"] == 0


def test_body_of_another_type(ask: Ask) -> None:
    is_error(ask("POST", "/v2/runs", data=json.dumps(RUN), headers={"content-type": "text/plain"}), 400)
    is_error(ask("POST", "/v2/runs", data=RUN), 400)


def test_fields_that_are_not_known_do_no_harm(ask: Ask) -> None:
    assert ask.start(webhook="https://example.com", inputs=[{"name": "a", "value": 1, "type": "number"}])


class TestLists:
    @pytest.fixture(autouse=True)
    def runs(self, emulator: RunningEmulator, clock: Clock) -> None:
        created = [{"created_at": clock() - number, "name": f"run {number}"} for number in range(25)]
        emulator.control.add_runs([{"process_id": PROCESS, **run} for run in created])

    @staticmethod
    def pages(ask: Ask, **query: object) -> list[list[str]]:
        pages, token = [], None
        while True:
            page = ask.runs(**query, **({"continuation_token": token} if token else {}))
            pages.append([run["name"] for run in page["items"]])
            token = page["continuation_token"]
            if token is None:
                return pages

    @pytest.mark.parametrize("order", ["newest_first", "oldest_first", "shuffled"])
    def test_order(self, ask: Ask, emulator: RunningEmulator, order: str) -> None:
        emulator.control.play({"habits": {"list_order": order}})
        pages = self.pages(ask)
        assert [len(page) for page in pages] == [10, 10, 5]
        names = [name for page in pages for name in page]
        newest_first = [f"run {number}" for number in range(25)]
        assert sorted(names) == sorted(newest_first)
        assert self.pages(ask) == pages
        assert (names == newest_first) == (order == "newest_first")
        assert (names == newest_first[::-1]) == (order == "oldest_first")

    def test_full_last_page(self, ask: Ask) -> None:
        assert [len(page) for page in self.pages(ask, limit=5)] == [5] * 5
        assert [len(page) for page in self.pages(ask, limit=25)] == [25]

    def test_pages_do_not_move_when_a_run_starts(self, ask: Ask, clock: Clock) -> None:
        first = ask.runs()
        clock.forward(1)
        ask.start(name="new")
        second = ask.runs(continuation_token=first["continuation_token"])
        assert [run["name"] for run in second["items"]] == [f"run {number}" for number in range(10, 20)]
        assert ask.runs()["items"][0]["name"] == "new"

    @pytest.mark.parametrize("change", [{"stage": "Published"}, {"process_id": "triage-claim"}, {"limit": 11}])
    def test_token_belongs_to_its_query(self, ask: Ask, change: dict[str, object]) -> None:
        token = ask.runs()["continuation_token"]
        query = {"agent_id": AGENT, "process_id": PROCESS, "continuation_token": token, **change}
        is_error(ask("GET", "/v2/runs", params=query), 400)
        is_error(ask("GET", "/v2/processes", params={"agent_id": AGENT, "continuation_token": token}), 400)

    def test_token_that_was_never_given(self, ask: Ask) -> None:
        token = ask.runs()["continuation_token"]
        forged = base64.urlsafe_b64encode(json.dumps([{}, 5, 0]).encode()).decode()
        for wrong in ("x", "MTI=", "é", ".", forged, f"{forged}.{token.partition('.')[2]}", token[:-1], f"{token}0"):
            query = {"agent_id": AGENT, "process_id": PROCESS, "continuation_token": wrong}
            is_error(ask("GET", "/v2/runs", params=query), 400)

    def test_token_expires(self, ask: Ask, emulator: RunningEmulator, clock: Clock) -> None:
        emulator.control.play({"habits": {"token_lifetime": 60}})
        query = {"agent_id": AGENT, "process_id": PROCESS, "continuation_token": ask.runs()["continuation_token"]}
        clock.forward(60)
        assert ask("GET", "/v2/runs", params=query).ok
        clock.forward(0.1)
        is_error(ask("GET", "/v2/runs", params=query), 400)

    def test_stage(self, ask: Ask) -> None:
        draft = ask.start(stage="Draft")
        assert [run["id"] for run in ask.runs(stage="Draft")["items"]] == [draft["id"]]
        assert draft["id"] not in [run["id"] for run in ask.runs(stage="Published", limit=100)["items"]]
        assert draft["id"] in [run["id"] for run in ask.runs(limit=100)["items"]]

    def test_other_processes_are_apart(self, ask: Ask) -> None:
        assert ask.runs(process_id="triage-claim") == {"items": [], "continuation_token": None}

    def test_lag_of_the_list(self, ask: Ask, emulator: RunningEmulator, clock: Clock) -> None:
        emulator.control.play({"habits": {"list_lag": 5}})
        run = ask.start()
        clock.forward(4.9)
        assert run["id"] not in [item["id"] for item in ask.runs(limit=100)["items"]]
        assert ask.run(run["id"])["id"] == run["id"]
        clock.forward(0.1)
        assert ask.runs()["items"][0]["id"] == run["id"]

    def test_lag_of_a_run(self, ask: Ask, emulator: RunningEmulator, clock: Clock) -> None:
        emulator.control.play({"habits": {"get_lag": 5}})
        run = ask.start()
        clock.forward(4.9)
        is_error(ask("GET", f"/v2/runs/{run['id']}"), 404)
        clock.forward(0.1)
        assert ask.run(run["id"])["id"] == run["id"]

    def test_items_that_are_null(self, ask: Ask, emulator: RunningEmulator) -> None:
        emulator.control.play({"habits": {"empty_items_null": True}})
        assert ask.runs(process_id="triage-claim")["items"] is None
        assert ask.runs()["items"]


def test_processes_in_pages(ask: Ask, emulator: RunningEmulator) -> None:
    emulator.control.play({"processes": [{"id": f"p{number}", "name": "P"} for number in range(5)]})
    ids, query = [], {"agent_id": AGENT, "limit": 2}
    while True:
        page = ask("GET", "/v2/processes", params=query).json()
        ids.append([process["id"] for process in page["items"]])
        if not page["continuation_token"]:
            break
        query["continuation_token"] = page["continuation_token"]
    assert ids == [["p0", "p1"], ["p2", "p3"], ["p4"]]


def test_fields_of_tomorrow(ask: Ask, emulator: RunningEmulator) -> None:
    emulator.control.play({"habits": {"extra_fields": True}})
    assert ask.start()["a_field_of_tomorrow"]
