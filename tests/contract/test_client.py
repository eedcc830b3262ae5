"""The client against the facts of the service: what it sends, what it refuses to send, what it can read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from airflow_provider_kognitos.api import checks, models, words
from airflow_provider_kognitos.api.client import KognitosClient
from airflow_provider_kognitos.exceptions import (
    KognitosApiError,
    KognitosAuthError,
    KognitosCapacityError,
    KognitosConfigError,
    KognitosNotFoundError,
    KognitosRateLimitError,
    KognitosValidationError,
)
from airflow_provider_kognitos.hooks.connection import REGIONS

from ..api.service import KEY, Reply, Service, serving
from . import FACTS, OPERATIONS, arguments, edge_values, sample, wrong_values

MEANINGS: dict[str, type[KognitosApiError]] = {
    "not found": KognitosNotFoundError,
    "invalid": KognitosValidationError,
    "key": KognitosAuthError,
    "rate limit": KognitosRateLimitError,
    "capacity": KognitosCapacityError,
}


@pytest.fixture
def service() -> Iterator[Service]:
    with serving() as service:
        yield service


@pytest.fixture
def client(service: Service) -> Iterator[KognitosClient]:
    with KognitosClient(service.url, KEY, attempts=1) as client:
        yield client


def call(client: KognitosClient, operation: str, given: dict[str, Any]) -> Any:
    """Call an operation with the arguments that the facts name."""
    given = dict(given)
    match operation:
        case "getHealth":
            return client.health()
        case "listProcesses":
            return client.processes_page(**given)
        case "getProcess":
            return client.get_process(**given)
        case "listRuns":
            return client.runs_page(**given)
        case "startRun":
            if isinstance(given.get("inputs"), list):
                given["inputs"] = {item["name"]: item["value"] for item in given["inputs"]}
            return client.start_run(**given)
        case "getRun":
            return client.get_run(**given)
        case _:
            return client.create_upload(**given)


def fits(operation: str) -> dict[str, Any]:
    return dict(sample(operation).get("arguments", {}))


@pytest.mark.parametrize("operation", OPERATIONS)
def test_request(client: KognitosClient, service: Service, operation: str) -> None:
    facts, given = OPERATIONS[operation], fits(operation)
    service.replies.append(Reply(facts["gives"]["number"], sample(operation)["answer"]))
    call(client, operation, given)
    (seen,) = service.seen
    assert (seen.method, seen.path) == (facts["method"], facts["path"].format(**given))
    assert seen.headers[FACTS["service"]["key_header"]["value"]] == KEY
    assert seen.query == {name: str(given[name]) for name in arguments(operation, "query") if name in given}
    if arguments(operation, "body"):
        assert seen.headers["Content-Type"] == "application/json"
        assert seen.json == given
    else:
        assert seen.body == b""


@pytest.mark.parametrize("operation", ["listProcesses", "listRuns"])
def test_pages(client: KognitosClient, service: Service, operation: str) -> None:
    answer, given = sample(operation)["answer"], fits(operation)
    del given["limit"]
    listed = client.list_runs if operation == "listRuns" else client.list_processes
    service.replies += [Reply(200, {**answer, "continuation_token": "a b+/="}), Reply(200, {**answer, "items": None})]
    assert [item.id for item in listed(**given)] == [answer["items"][0]["id"]]
    first, second = (seen.query for seen in service.seen)
    assert second == {**first, "continuation_token": "a b+/="}
    assert int(first["limit"]) <= FACTS["limits"]["page"]["value"]


@pytest.mark.parametrize("form", ["documented", "without what may be missing", "with more"])
@pytest.mark.parametrize("operation", OPERATIONS)
def test_answer(client: KognitosClient, service: Service, operation: str, form: str) -> None:
    gives, answer = OPERATIONS[operation]["gives"], sample(operation)["answer"]
    optional = {
        name for name, field in FACTS["resources"].get(gives.get("resource"), {}).items() if not field["always"]
    }
    if form.startswith("without"):
        answer = {name: value for name, value in answer.items() if name not in optional}
    elif form == "with more":
        answer = {**answer, "new": {"field": 1}}
    service.replies.append(Reply(gives["number"], answer))
    read = call(client, operation, fits(operation))
    if operation == "getHealth":
        assert read is True
        return
    shown, item = (answer["items"][0], read.items[0]) if "items" in answer else (answer, read)
    assert item.id == shown["id"]
    if isinstance(item, models.UploadTarget):
        assert (item.file_name, item.url, item.method) == ("document.pdf", "http://example.com/file.pdf", "POST")
        assert (item.headers, item.fields) == ({}, shown["upload_fields"])
        return
    assert (item.name, item.agent_id, item.stage) == (shown["name"], shown["agent_id"], shown["stage"])
    if isinstance(item, models.Run):
        assert (item.process_id, item.status) == (shown["process_id"], shown["status"])
        assert item.created_at is not None
        assert item.created_at.isoformat() == "2021-01-01T12:00:00+00:00"
        assert item.file_ids == tuple(shown.get("file_ids") or ())
        assert item.outputs == {output["name"]: output["value"] for output in shown.get("outputs") or ()}


WRONG = [
    (operation, name, value)
    for operation in ("startRun", "createFile")
    for name, argument in arguments(operation, "body").items()
    for value in wrong_values(argument["schema"])
    # Inputs are a dictionary on this side.
    if name != "inputs"
]


@pytest.mark.parametrize(("operation", "name", "value"), WRONG)
def test_what_the_service_would_refuse_is_not_sent(
    client: KognitosClient, service: Service, operation: str, name: str, value: Any
) -> None:
    with pytest.raises(KognitosConfigError, match=name):
        call(client, operation, {**fits(operation), name: value})
    assert service.seen == []


EDGES = [
    (operation, name, value)
    for operation in ("startRun", "createFile")
    for name, argument in arguments(operation, "body").items()
    for value in edge_values(argument["schema"])
]


@pytest.mark.parametrize(("operation", "name", "value"), EDGES)
def test_what_the_service_takes_is_sent(
    client: KognitosClient, service: Service, operation: str, name: str, value: Any
) -> None:
    service.replies.append(Reply(201, sample(operation)["answer"]))
    call(client, operation, {**fits(operation), name: value})
    # An empty list and none at all mean the same, and null is what the schema names.
    assert service.seen[0].json.get(name) == (value or None)


@pytest.mark.parametrize("fact", FACTS["errors"], ids=lambda fact: f"{fact['form']}-{fact['number']}")
def test_error(client: KognitosClient, service: Service, fact: dict[str, Any]) -> None:
    service.replies.append(Reply(fact["number"], fact["body"]))
    with pytest.raises(MEANINGS[fact["means"]]) as caught:
        call(client, "startRun", fits("startRun"))
    assert caught.value.status_code == fact["number"]
    assert caught.value.reason == (fact["body"] if isinstance(fact["body"], str) else fact["body"]["message"])
    assert len(service.seen) == 1


def test_words_and_numbers() -> None:
    known = FACTS["enums"]["status"]["words"]
    assert {*words.SUCCESS_STATUSES, *words.FAILURE_STATUSES} == {word for word in known if known[word]["ended"]}
    assert set(words.LIVE_STATUSES) == {word for word in known if not known[word]["ended"]}
    assert list(words.STAGES) == FACTS["enums"]["stage"]["words"]
    assert dict(REGIONS) == {region: host["value"] for region, host in FACTS["service"]["hosts"].items()}
    start, file = arguments("startRun"), arguments("createFile")
    assert start["agent_id"]["schema"]["maxLength"] == checks.MAX_ID
    assert start["name"]["schema"]["maxLength"] == checks.MAX_NAME
    assert file["file_name"]["schema"]["maxLength"] == checks.MAX_FILE_NAME
    assert FACTS["limits"]["page"]["value"] == checks.MAX_PAGE
