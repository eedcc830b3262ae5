"""The emulator against the facts of the service."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
import requests

from airflow_provider_kognitos.emulator.scenario import Scenario
from airflow_provider_kognitos.emulator.server import RunningEmulator

from ..contract import FACTS, OPERATIONS, arguments, check_answer, check_resource, edge_values, sample, wrong_values
from .conftest import AGENT, KEY, PROCESS, Ask, Clock, is_error

VALID = {"agent_id": AGENT, "process_id": PROCESS, "name": "a run", "stage": "Published", "file_name": "a b.pdf"}


def valid(ask: Ask, operation: str) -> dict[str, Any]:
    """Return arguments of an operation that the emulator accepts."""
    needed = [name for name, argument in arguments(operation).items() if argument["required"]]
    if operation == "createFile":
        needed.append("agent_id")
    return {name: ask.start()["id"] if name == "run_id" else VALID[name] for name in needed}


def call(ask: Ask, operation: str, given: dict[str, Any]) -> requests.Response:
    """Call an operation with every argument where it belongs."""
    path = OPERATIONS[operation]["path"]
    for name in arguments(operation, "path"):
        path = path.replace(f"{{{name}}}", given[name])
    query = {name: given[name] for name in arguments(operation, "query") if name in given}
    body = {name: given[name] for name in arguments(operation, "body") if name in given}
    return ask(OPERATIONS[operation]["method"], path, params=query, json=body if arguments(operation, "body") else None)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_answer(ask: Ask, operation: str) -> None:
    response = call(ask, operation, valid(ask, operation))
    assert response.status_code == OPERATIONS[operation]["gives"]["number"]
    assert response.headers["content-type"] == "application/json"
    check_answer(operation, response.json())


@pytest.mark.parametrize("operation", OPERATIONS)
def test_answer_has_the_fields_of_the_sample(ask: Ask, operation: str) -> None:
    ask.start()
    answer, documented = call(ask, operation, valid(ask, operation)).json(), sample(operation)["answer"]
    assert answer.keys() == documented.keys()
    if "items" in answer:
        assert answer["items"][0].keys() == documented["items"][0].keys()


def test_sample_of_a_start_is_accepted(ask: Ask, emulator: RunningEmulator) -> None:
    given = sample("startRun")["arguments"]
    agent, process = given["agent_id"], given["process_id"]
    scenario = {"agents": [agent], "processes": [{"id": process, "name": "Process invoice", "agent_id": agent}]}
    emulator.control.play(scenario)
    files = [call(ask, "createFile", {"agent_id": agent, "file_name": "a.pdf"}).json()["id"] for _ in range(2)]
    response = call(ask, "startRun", {**given, "file_ids": files})
    assert response.status_code == 201
    run = response.json()
    assert {name: run[name] for name in ("agent_id", "process_id", "name", "stage")} == {
        name: given[name] for name in ("agent_id", "process_id", "name", "stage")
    }
    assert (run["file_ids"], run["status"]) == (files, "Created")


REQUIRED = [
    (operation, name)
    for operation in OPERATIONS
    for name, argument in arguments(operation).items()
    if argument["required"] and argument["in"] != "path"
]


@pytest.mark.parametrize(("operation", "name"), REQUIRED)
def test_required_argument(ask: Ask, operation: str, name: str) -> None:
    given = valid(ask, operation)
    del given[name]
    error = is_error(call(ask, operation, given), 400)
    assert error["message"] == "Invalid input values"
    assert name in error["details"][0]["location"]


@pytest.mark.parametrize("name", [name for operation, name in REQUIRED if operation == "startRun"])
def test_required_field_that_is_null(ask: Ask, name: str) -> None:
    is_error(call(ask, "startRun", {**valid(ask, "startRun"), name: None}), 400)


WRONG = [
    (operation, name, value)
    for operation in OPERATIONS
    for name, argument in arguments(operation).items()
    for value in wrong_values(argument["schema"])
    if argument["in"] == "body" or (argument["schema"] != {"type": "string"} and not isinstance(value, (dict, list)))
]


@pytest.mark.parametrize(("operation", "name", "value"), WRONG)
def test_limit_of_an_argument(ask: Ask, operation: str, name: str, value: Any) -> None:
    given = {**valid(ask, operation), name: value}
    assert is_error(call(ask, operation, given), 400)["message"] == "Invalid input values"


EDGES = [
    (operation, name, value)
    for operation in OPERATIONS
    for name, argument in arguments(operation).items()
    for value in edge_values(argument["schema"])
]


@pytest.mark.parametrize(("operation", "name", "value"), EDGES)
def test_edge_of_an_argument(ask: Ask, emulator: RunningEmulator, operation: str, name: str, value: Any) -> None:
    if name in {"agent_id", "process_id"}:
        agent = value if name == "agent_id" else AGENT
        process = value if name == "process_id" else PROCESS
        emulator.control.play({"agents": [agent], "processes": [{"id": process, "name": "P", "agent_id": agent}]})
    response = call(ask, operation, {**valid(ask, operation), name: value})
    assert response.status_code == OPERATIONS[operation]["gives"]["number"], response.text


@pytest.mark.parametrize("operation", [name for name, facts in OPERATIONS.items() if 404 in facts["refusals"]])
def test_not_found(ask: Ask, operation: str) -> None:
    given = {**valid(ask, operation), OPERATIONS[operation]["refusals"][404]["of"]: "nobody"}
    error = is_error(call(ask, operation, given), 404)
    assert "not found" in error["message"]


@pytest.mark.parametrize("key", ["wrong", "", KEY.upper(), None])
@pytest.mark.parametrize("operation", OPERATIONS)
def test_bad_key(ask: Ask, operation: str, key: str | None) -> None:
    other = Ask(ask.url, key)
    assert is_error(call(other, operation, valid(ask, operation)), 401)["message"] == "access not permitted"
    other.close()


def test_unhealthy(ask: Ask, emulator: RunningEmulator) -> None:
    emulator.control.play({"habits": {"healthy": False}})
    response = call(ask, "getHealth", {})
    assert response.status_code in OPERATIONS["getHealth"]["refusals"]
    assert response.json()["status"] != "OK"


@pytest.mark.parametrize("word", FACTS["enums"]["status"]["words"])
def test_status(ask: Ask, emulator: RunningEmulator, word: str) -> None:
    run = ask.start()
    emulator.control.change_run(run["id"], status=word)
    assert ask.run(run["id"])["status"] == word
    assert ask.runs()["items"][0]["status"] == word


@pytest.mark.parametrize("fact", FACTS["errors"], ids=lambda fact: f"{fact['form']}-{fact['number']}")
def test_form_of_an_error(ask: Ask, emulator: RunningEmulator, fact: dict[str, Any]) -> None:
    message = fact["body"] if isinstance(fact["body"], str) else fact["body"]["message"]
    emulator.control.fault("getHealth", "status", code=fact["number"], body=fact["form"], message=message)
    response = ask("GET", "/v2/health")
    assert response.status_code == fact["number"]
    if isinstance(fact["body"], str):
        assert response.text == fact["body"]
    else:
        assert response.json() == {**fact["body"], **({"details": None} if "details" in fact["body"] else {})}
        if fact["form"] == "error_model":
            check_resource("error", response.json())


def test_limits() -> None:
    limits, built_in = FACTS["limits"], Scenario()
    assert built_in.capacity.limit == limits["concurrent_runs"]["value"]
    assert built_in.uploads.max_bytes == limits["upload_bytes"]["value"]
    assert built_in.uploads.valid_for == limits["upload_seconds"]["value"]


def test_sizes_of_pages(ask: Ask, emulator: RunningEmulator) -> None:
    emulator.control.add_runs([{"process_id": PROCESS}] * 101)
    assert len(ask.runs()["items"]) == arguments("listRuns")["limit"]["default"]
    assert len(ask.runs(limit=100)["items"]) == FACTS["limits"]["page"]["value"]
    emulator.control.play({"processes": [{"id": f"p{number}", "name": "P"} for number in range(11)]})
    assert len(call(ask, "listProcesses", {"agent_id": AGENT}).json()["items"]) == 10


@pytest.mark.parametrize(("habit", "zone"), [("naive", ""), ("offset", "+00:00")])
def test_timestamps(ask: Ask, emulator: RunningEmulator, clock: Clock, habit: str, zone: str) -> None:
    emulator.control.play({"habits": {"timestamps": habit}})
    clock.now = datetime(2021, 1, 1, 12, tzinfo=UTC).timestamp()
    assert ask.start()["created_at"] == f"2021-01-01T12:00:00{zone}"
    clock.forward(0.25)
    assert ask.start()["created_at"] == f"2021-01-01T12:00:00.250000{zone}"


class TestPage:
    """What ``/openapi.json`` says."""

    @pytest.fixture
    def page(self, ask: Ask) -> Any:
        return ask("GET", "/openapi.json").json()

    @pytest.mark.parametrize("name", OPERATIONS)
    def test_operation(self, page: Any, name: str) -> None:
        facts = OPERATIONS[name]
        shown = page["paths"][facts["path"]][facts["method"].lower()]
        assert shown["operationId"] == name
        assert shown["description"].startswith("Documented")
        assert shown["security"] == [{"APIKeyHeader": []}]
        known = {**arguments(name, "query"), **arguments(name, "path")}
        parameters = {item["name"]: item for item in shown.get("parameters", ())}
        assert {key: (item["in"], item["required"]) for key, item in parameters.items()} == {
            key: (item["in"], item["required"]) for key, item in known.items()
        }
        answers = shown["responses"]
        assert "422" not in answers
        for number, fact in {facts["gives"]["number"]: facts["gives"], **facts["refusals"]}.items():
            assert answers[str(number)].get("x-inferred", False) is (fact["sure"] == "inferred"), number
        assert answers[str(facts["gives"]["number"])]["content"]["application/json"]["schema"]["$ref"]

    @pytest.mark.parametrize("name", ["startRun", "createFile"])
    def test_body(self, page: Any, name: str) -> None:
        shown = page["paths"][OPERATIONS[name]["path"]]["post"]["requestBody"]["content"]["application/json"]["schema"]
        schema = page["components"]["schemas"][shown["$ref"].rpartition("/")[2]]
        known = arguments(name, "body")
        assert schema["properties"].keys() == known.keys()
        assert set(schema["required"]) == {key for key, item in known.items() if item["required"]}
        for key in ("name", "file_name", "process_id"):
            if key in known:
                limits = {word: known[key]["schema"].get(word) for word in ("minLength", "maxLength", "pattern")}
                assert {word: schema["properties"][key].get(word) for word in limits} == limits

    def test_nothing_else(self, page: Any) -> None:
        api = {path for path in page["paths"] if not path.startswith("/control")}
        assert api == {facts["path"] for facts in OPERATIONS.values()}
        header = page["components"]["securitySchemes"]["APIKeyHeader"]
        assert (header["in"], header["name"]) == ("header", FACTS["service"]["key_header"]["value"])
        assert page["components"]["schemas"]["RunResource"]["properties"]["status"]["x-inferred"] is True
