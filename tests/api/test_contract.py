"""The client against the emulator: what is documented of the service, and each reading of what is not."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_kognitos.api.client import KognitosClient
from airflow_provider_kognitos.api.words import FAILURE_STATUSES, LIVE_STATUSES, SUCCESS_STATUSES
from airflow_provider_kognitos.emulator.server import RunningEmulator, running_emulator
from airflow_provider_kognitos.exceptions import (
    KognitosAuthError,
    KognitosCapacityError,
    KognitosConnectionError,
    KognitosError,
    KognitosNotFoundError,
    KognitosRateLimitError,
    KognitosServerError,
    KognitosStartUncertainError,
    KognitosUploadError,
    KognitosValidationError,
)

AGENT, PROCESS = "demo-agent", "process-invoice"


@pytest.fixture(scope="module")
def running() -> Iterator[RunningEmulator]:
    with running_emulator() as emulator:
        yield emulator


@pytest.fixture
def emulator(running: RunningEmulator) -> Iterator[RunningEmulator]:
    running.control.reset()
    running.control.play({})
    yield running
    assert running.control.stats()["key_leaks"] == 0


@pytest.fixture
def connect(emulator: RunningEmulator) -> Iterator[Callable[..., KognitosClient]]:
    clients = []

    def connect(key: str = "demo-key", **options: Any) -> KognitosClient:
        clients.append(KognitosClient(emulator.url, key, **options))
        return clients[-1]

    yield connect
    for client in clients:
        client.close()


@pytest.fixture
def client(connect: Callable[..., KognitosClient]) -> KognitosClient:
    return connect()


Connect = Callable[..., KognitosClient]


def asked(emulator: RunningEmulator, endpoint: str, times: int) -> int:
    """Return how often an endpoint was asked; a connection that is cut may be gone before that is noted."""
    until = time.monotonic() + 10
    while (count := emulator.control.stats()["requests"].get(endpoint, 0)) < times and time.monotonic() < until:
        time.sleep(0.01)
    return int(count)


def start(client: KognitosClient, **more: Any) -> Any:
    return client.start_run(**{"process_id": PROCESS, "agent_id": AGENT, "name": "a run", **more})


def test_health(client: KognitosClient, emulator: RunningEmulator) -> None:
    assert client.health()
    emulator.control.play({"habits": {"healthy": False}})
    with pytest.raises(KognitosServerError):
        client.health()


def test_processes(client: KognitosClient) -> None:
    processes = list(client.list_processes(AGENT))
    assert {process.stage for process in processes} == {"Draft", "Published"}
    for process in processes:
        assert process.agent_id == AGENT
        assert client.get_process(process.id, AGENT) == process


def test_a_run_from_start_to_end(client: KognitosClient, emulator: RunningEmulator) -> None:
    inputs = {"invoice_number": "R-42", "customer": {"name": "Äpfel & Co"}}
    before = datetime.now(UTC) - timedelta(seconds=1)
    run = start(client, name="Process invoice 42 ✓", inputs=inputs)
    assert (run.name, run.process_id, run.agent_id, run.stage) == ("Process invoice 42 ✓", PROCESS, AGENT, "Published")
    assert run.status in LIVE_STATUSES
    assert run.outputs == {}
    assert before <= run.created_at <= datetime.now(UTC) + timedelta(seconds=1)
    emulator.control.change_run(run.id, status="Succeeded")
    (listed,) = client.list_runs(PROCESS, AGENT, stage="Published")
    assert (listed.id, listed.status, listed.outputs) == (run.id, "Succeeded", {})
    ended = client.get_run(run.id)
    assert ended.outputs["invoice_number"] == "R-42"
    assert ended.outputs["customer"] == {"name": "Äpfel & Co"}
    (stored,) = emulator.control.runs()
    assert stored["inputs"] == [{"name": name, "value": value} for name, value in inputs.items()]


@pytest.mark.parametrize("status", [*SUCCESS_STATUSES, *FAILURE_STATUSES, *LIVE_STATUSES, "AwaitingGuidance", "?"])
def test_every_status(client: KognitosClient, emulator: RunningEmulator, status: str) -> None:
    run = start(client)
    emulator.control.change_run(run.id, status=status)
    assert client.get_run(run.id).status == status


def test_outputs_of_one_name(client: KognitosClient, emulator: RunningEmulator) -> None:
    run = start(client)
    outputs = [{"name": "the output", "value": 1}, {"name": "the output", "value": None}]
    emulator.control.change_run(run.id, status="Succeeded", outputs=outputs)
    assert client.get_run(run.id).outputs == {"the output": 1, "the output (2)": None}


@pytest.mark.parametrize("order", ["newest_first", "oldest_first", "shuffled"])
def test_pages_in_any_order(client: KognitosClient, emulator: RunningEmulator, order: str) -> None:
    emulator.control.play({"habits": {"list_order": order, "empty_items_null": True}})
    assert list(client.list_runs(PROCESS, AGENT)) == []
    emulator.control.add_runs([{"process_id": PROCESS, "name": f"run {number}"} for number in range(230)])
    runs = list(client.list_runs(PROCESS, AGENT))
    assert {run.name for run in runs} == {f"run {number}" for number in range(230)}
    assert emulator.control.stats()["requests"]["listRuns"] == 4
    for limit in (3, 100, 150):
        some = client.list_runs(PROCESS, AGENT, limit=limit)
        assert [run.id for run in some] == [run.id for run in runs[:limit]]


def test_stage_is_a_filter(client: KognitosClient) -> None:
    run = start(client, stage="Draft")
    assert [item.id for item in client.list_runs(PROCESS, AGENT, stage="Draft")] == [run.id]
    assert list(client.list_runs(PROCESS, AGENT, stage="Published")) == []


def test_other_habits(client: KognitosClient, emulator: RunningEmulator) -> None:
    emulator.control.play({"habits": {"timestamps": "offset", "file_ids": "s3", "extra_fields": True}})
    target = client.create_upload("a b.pdf", AGENT)
    assert target.id.startswith("s3://")
    run = start(client, file_ids=[target.id])
    assert run.raw["a_field_of_tomorrow"] == {"any": "thing"}
    assert run.created_at is not None
    assert abs(datetime.now(UTC) - run.created_at) < timedelta(minutes=1)
    assert run.file_ids == (target.id,)


def test_upload(client: KognitosClient, emulator: RunningEmulator, tmp_path: Path) -> None:
    content = bytes(range(256)) * 5000
    path = tmp_path / 'Rechnung "März".pdf'
    path.write_bytes(content)
    file_id = client.upload_file(path, agent_id=AGENT)
    (file,) = emulator.control.uploads()
    assert (file["bytes"], file["sha256"]) == (len(content), hashlib.sha256(content).hexdigest())
    assert start(client, file_ids=[file_id]).file_ids == (file_id,)


def test_upload_asks_for_a_new_target_when_one_has_expired(
    client: KognitosClient, emulator: RunningEmulator, tmp_path: Path
) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"content")
    emulator.control.play({"uploads": {"valid_for": 0}})
    with pytest.raises(KognitosUploadError, match=r"403 .AccessDenied.*expired"):
        client.upload_file(path, agent_id=AGENT)
    assert emulator.control.stats()["requests"]["createFile"] == 3
    emulator.control.play({})
    emulator.control.fault("upload", "status", code=403, body="empty")
    assert client.upload_file(path, agent_id=AGENT)


def test_upload_that_the_policy_refuses(client: KognitosClient, emulator: RunningEmulator, tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"content")
    emulator.control.play({"uploads": {"max_bytes": 3}})
    with pytest.raises(KognitosUploadError, match="EntityTooLarge"):
        client.upload_file(path, agent_id=AGENT)
    assert emulator.control.stats()["requests"]["createFile"] == 1


@pytest.mark.parametrize("kind", ["drop", "reset", "truncate"])
def test_upload_over_a_bad_line(client: KognitosClient, emulator: RunningEmulator, tmp_path: Path, kind: str) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"content" * 1000)
    emulator.control.fault("upload", kind)
    assert client.upload_file(path, agent_id=AGENT)


@pytest.mark.parametrize(
    ("call", "kind"),
    [
        (lambda client: client.get_run("nobody"), KognitosNotFoundError),
        (lambda client: client.get_process("nothing", AGENT), KognitosNotFoundError),
        (lambda client: client.get_process(PROCESS, "nobody"), KognitosNotFoundError),
        (lambda client: next(client.list_processes("nobody")), KognitosNotFoundError),
        (lambda client: next(client.list_runs("nothing", AGENT)), KognitosNotFoundError),
        (lambda client: start(client, process_id="nothing"), KognitosNotFoundError),
        (lambda client: start(client, file_ids=["nothing"]), KognitosNotFoundError),
        (lambda client: client.create_upload("a", "nobody"), KognitosNotFoundError),
        (lambda client: client.runs_page(PROCESS, AGENT, continuation_token="x"), KognitosValidationError),
    ],
)
def test_what_is_not_there(client: KognitosClient, call: Callable[[Any], Any], kind: type[KognitosError]) -> None:
    with pytest.raises(kind):
        call(client)


CALLS: dict[str, Callable[[KognitosClient], Any]] = {
    "getHealth": lambda client: client.health(),
    "listProcesses": lambda client: list(client.list_processes(AGENT)),
    "getProcess": lambda client: client.get_process(PROCESS, AGENT),
    "listRuns": lambda client: list(client.list_runs(PROCESS, AGENT)),
    "getRun": lambda client: client.get_run(next(client.list_runs(PROCESS, AGENT)).id),
    "createFile": lambda client: client.create_upload("a.pdf", AGENT),
}


# Whether health wants a key is not documented.
@pytest.mark.parametrize("endpoint", [*(name for name in CALLS if name != "getHealth"), "startRun"])
@pytest.mark.parametrize("key", ["another-key", "k"])
def test_a_key_that_is_not_known(connect: Connect, endpoint: str, key: str) -> None:
    with pytest.raises(KognitosAuthError, match="access not permitted"):
        {**CALLS, "startRun": start}[endpoint](connect(key))


@pytest.mark.parametrize("endpoint", CALLS)
@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "drop"},
        {"kind": "reset"},
        {"kind": "truncate"},
        {"kind": "wrong_json"},
        {"kind": "wrong_json", "body": "other_json"},
        *({"kind": "status", "code": code, "body": "html"} for code in (408, 425, 429, 500, 502, 503, 504)),
    ],
    ids=lambda fault: f"{fault['kind']}{fault.get('code', '')}",
)
def test_what_changes_nothing_is_asked_again(
    client: KognitosClient, emulator: RunningEmulator, endpoint: str, fault: dict[str, Any]
) -> None:
    emulator.control.add_run(PROCESS)
    emulator.control.script(endpoint, [fault, fault, None])
    CALLS[endpoint](client)
    assert asked(emulator, endpoint, 3) == 3


@pytest.mark.parametrize("body", ["error_model", "gateway", "html", "empty", "truncated_json", "other_json"])
@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (400, KognitosValidationError),
        (401, KognitosAuthError),
        (404, KognitosNotFoundError),
        (422, KognitosValidationError),
        (429, KognitosRateLimitError),
        (503, KognitosServerError),
    ],
)
def test_errors_of_every_form(
    connect: Connect, emulator: RunningEmulator, code: int, body: str, kind: type[KognitosError]
) -> None:
    emulator.control.fault("getProcess", "status", code=code, body=body, message="what it says")
    with pytest.raises(kind) as caught:
        connect(attempts=1).get_process(PROCESS, AGENT)
    assert caught.value.status_code == code
    if body in {"error_model", "gateway"}:
        assert caught.value.reason == "what it says"


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "drop"},
        {"kind": "reset"},
        {"kind": "truncate"},
        {"kind": "wrong_json"},
        {"kind": "hang", "seconds": 0.6},
        *({"kind": "status", "code": code} for code in (408, 425, 500, 502, 503, 504)),
    ],
    ids=lambda fault: f"{fault['kind']}{fault.get('code', '')}",
)
@pytest.mark.parametrize("effect", ["before", "after"])
def test_a_start_without_a_clear_answer_starts_one_run_at_most(
    connect: Connect, emulator: RunningEmulator, fault: dict[str, Any], effect: str
) -> None:
    emulator.control.script("startRun", [{**fault, "effect": effect}])
    with pytest.raises(KognitosStartUncertainError):
        start(connect(timeout=0.3))
    assert asked(emulator, "startRun", 1) == 1
    assert emulator.control.stats()["runs_started"] <= 1


@pytest.mark.parametrize("body", ["gateway", "error_model"])
@pytest.mark.parametrize("form", ["seconds", "date", "none"])
def test_rate_limit(connect: Connect, emulator: RunningEmulator, waits: list[float], form: str, body: str) -> None:
    emulator.control.play({"rate_limit": {"requests_per_minute": 1, "retry_after": form, "body": body}})
    client = connect(attempts=2)
    client.get_process(PROCESS, AGENT)
    with pytest.raises(KognitosRateLimitError) as caught:
        start(client)
    assert len(waits) == 1
    if form == "none":
        assert caught.value.retry_after is None
    else:
        assert caught.value.retry_after is not None
        assert 0 < caught.value.retry_after <= 61
        assert waits[0] > 1.5
    assert emulator.control.stats()["runs_started"] == 0


@pytest.mark.parametrize(
    ("code", "message"), [(403, "Resource Not Available"), (403, "Forbidden"), (503, "Resource Not Available")]
)
def test_capacity(client: KognitosClient, emulator: RunningEmulator, code: int, message: str) -> None:
    emulator.control.play({"capacity": {"limit": 1, "status_code": code, "message": message}})
    run = start(client)
    with pytest.raises(KognitosCapacityError):
        start(client)
    emulator.control.change_run(run.id, status="Succeeded")
    assert start(client).id != run.id
    assert emulator.control.stats()["runs_started"] == 2


def test_nobody_listens_any_more() -> None:
    with running_emulator() as gone:
        url = gone.url
    with KognitosClient(url, "demo-key", attempts=2) as client:
        with pytest.raises(KognitosConnectionError) as caught:
            start(client)
        assert caught.value.sent is False
