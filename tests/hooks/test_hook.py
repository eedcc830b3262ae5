"""The hook's methods against a service."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowNotFoundException

from airflow_provider_kognitos.api.models import Run
from airflow_provider_kognitos.exceptions import KognitosConfigError, KognitosNotFoundError
from airflow_provider_kognitos.hooks import kognitos
from airflow_provider_kognitos.hooks.kognitos import KognitosHook
from tests.api.service import AGENT, KEY, PROCESS, PROCESS_JSON, RUN, Reply, Service, serving

HookFor = Callable[..., KognitosHook]


def answering(service: Service, *processes: tuple[str, str, str]) -> None:
    """Let the service list processes by id, name and stage, one on each page."""

    def reply(seen: Any) -> Reply:
        at = int(seen.query.get("continuation_token", 0))
        token = str(at + 1) if at + 1 < len(processes) else None
        items = [
            {"id": id_, "name": name, "stage": stage, "agent_id": AGENT} for id_, name, stage in processes[at : at + 1]
        ]
        return Reply(body={"items": items, "continuation_token": token})

    service.otherwise = reply


def test_attributes() -> None:
    assert KognitosHook.conn_name_attr == "kognitos_conn_id"
    assert KognitosHook().kognitos_conn_id == KognitosHook.default_conn_name == "kognitos_default"
    assert (KognitosHook.conn_type, KognitosHook.hook_name) == ("kognitos", "Kognitos")


def test_methods_use_the_agent_of_the_connection(hook: KognitosHook, service: Service) -> None:
    service.otherwise = lambda seen: Reply(
        body={**RUN, "status": "OK", "items": [PROCESS_JSON], "continuation_token": None}
    )
    assert hook.health() is True
    assert [process.id for process in hook.list_processes(limit=1)] == [PROCESS]
    assert hook.get_process(PROCESS).id == "run-1"
    assert [run.id for run in hook.list_runs(PROCESS, stage="Draft")] == [PROCESS]
    assert hook.start_run(PROCESS, "name", inputs={"a": 1}, file_ids=["f"]).id == "run-1"
    assert hook.get_run("run-1").process_id == PROCESS
    assert [seen.path for seen in service.seen] == [
        "/v2/health",
        "/v2/processes",
        "/v2/processes/process-1",
        "/v2/runs",
        "/v2/runs",
        "/v2/runs/run-1",
    ]
    assert [seen.query.get("agent_id") for seen in service.seen[1:4]] == [AGENT] * 3
    assert service.seen[4].json == {
        "agent_id": AGENT,
        "process_id": PROCESS,
        "name": "name",
        "stage": "Published",
        "inputs": [{"name": "a", "value": 1}],
        "file_ids": ["f"],
    }
    assert len({seen.peer for seen in service.seen if seen.method == "GET"}) == 1


def test_an_agent_of_ones_own(hook: KognitosHook, service: Service) -> None:
    service.otherwise = lambda _: Reply(body=PROCESS_JSON)
    hook.get_process(PROCESS, agent_id="other")
    assert service.seen[0].query["agent_id"] == "other"


def test_no_agent(hook_for: HookFor, service: Service) -> None:
    hook = hook_for(host=service.url)
    for call in (hook.list_processes, lambda: hook.get_process(PROCESS), lambda: hook.start_run(PROCESS, "x")):
        with pytest.raises(KognitosConfigError, match="agent_id of connection 'kognitos_test'"):
            call()
    assert service.seen == []


def test_upload(hook: KognitosHook, service: Service) -> None:
    with serving() as storage:
        target = {"id": "file-1", "upload_url": storage.url, "upload_fields": {"key": "k"}}
        service.otherwise = lambda _: Reply(201, target)
        storage.otherwise = lambda _: Reply(204, "")
        assert hook.upload_file(io.BytesIO(b"content"), file_name="a.txt") == "file-1"
        assert service.seen[0].json == {"file_name": "a.txt", "agent_id": AGENT}
        assert b"\r\n\r\ncontent\r\n" in storage.seen[0].body


def test_user_agent(hook: KognitosHook, service: Service) -> None:
    service.otherwise = lambda _: Reply(body=RUN)
    hook.get_run("run-1")
    assert re.fullmatch(
        r"airflow-provider-kognitos/[\w.]+ Airflow/\d+\.\d+\S* Python/3\.\d+\.\d+\S*",
        service.seen[0].headers["User-Agent"],
    )


def test_every_read_masks_the_key(hook_for: HookFor, monkeypatch: pytest.MonkeyPatch) -> None:
    masked: list[Any] = []
    monkeypatch.setattr(kognitos, "mask_secret", masked.append)
    _ = hook_for().settings
    with pytest.raises(KognitosConfigError):
        _ = hook_for(extra={"region": "x"}).settings
    assert masked == [KEY, KEY]


def test_one_client_for_the_hook_and_new_ones_on_demand(hook: KognitosHook, service: Service) -> None:
    assert hook.get_conn() is hook.get_conn()
    service.otherwise = lambda _: Reply(500, "")
    with hook.client(attempts=1) as client:
        assert client is not hook.get_conn()
        with pytest.raises(Exception, match="500"):
            client.health()
    assert len(service.seen) == 1


def test_hooks_of_one_connection_share_one_pace(hook_for: HookFor, service: Service) -> None:
    extra = {"requests_per_minute": 600}
    hooks = [hook_for(host=service.url, extra=extra) for _ in range(2)]
    first, second = (hook.get_conn()._transport._pacer for hook in hooks)
    assert first is second is not None
    assert hook_for(host="http://127.0.0.1:1", extra=extra).get_conn()._transport._pacer is not first
    assert hook_for(host=service.url).get_conn()._transport._pacer is None


def test_unknown_connection() -> None:
    with pytest.raises(AirflowNotFoundException):
        KognitosHook("no_such_connection").health()


def test_find_process(hook: KognitosHook, service: Service) -> None:
    answering(service, ("a", "Pay invoice", "Draft"), ("b", "Send letter", "Published"))
    assert hook.find_process("Send letter").id == "b"
    assert len(service.seen) == 2
    assert hook.find_process("Pay invoice", stage="Published").id == "a"


def test_find_process_in_two_stages_with_one_id(hook: KognitosHook, service: Service) -> None:
    answering(service, ("a", "Pay", "Draft"), ("a", "Pay", "Published"))
    assert hook.find_process("Pay").id == "a"
    assert hook.find_process("Pay", stage="Published").stage == "Published"


def test_find_process_of_several_by_stage(hook: KognitosHook, service: Service) -> None:
    answering(service, ("a", "Pay", "Draft"), ("b", "Pay", "Published"))
    assert hook.find_process("Pay", stage="Published").id == "b"
    with pytest.raises(KognitosConfigError, match=r"a \(Draft\), b \(Published\)"):
        hook.find_process("Pay")


def test_find_process_that_is_not_there(hook: KognitosHook, service: Service) -> None:
    answering(service, ("a", "Process Invoice", "Draft"), ("b", "Send letter", "Draft"))
    with pytest.raises(KognitosNotFoundError, match=r"'process invoices'; it has 2. Near to it: 'Process Invoice'\."):
        hook.find_process("process invoices")
    with pytest.raises(KognitosNotFoundError, match="None comes near it"):
        hook.find_process("zzz")
    answering(service)
    with pytest.raises(KognitosNotFoundError, match="it has 0"):
        hook.find_process("zzz")


@pytest.mark.parametrize(
    ("fields", "url"),
    [
        ({}, "https://app.kognitos.com/department/agent-1/processes/process-1/run/run-1"),
        ({"extra": {"region": "eu"}}, None),
        ({"host": "http://127.0.0.1:1"}, None),
        (
            {"host": "http://127.0.0.1:1", "extra": {"web_url": "http://127.0.0.1:2/"}},
            "http://127.0.0.1:2/department/agent-1/processes/process-1/run/run-1",
        ),
        (
            {"extra": {"region": "eu", "web_url": "https://ui"}},
            "https://ui/department/agent-1/processes/process-1/run/run-1",
        ),
    ],
)
def test_run_url(hook_for: HookFor, fields: dict[str, Any], url: str | None) -> None:
    assert hook_for(**fields).run_url(Run.from_json(RUN)) == url


def test_run_url_of_a_run_that_lacks_ids(hook_for: HookFor) -> None:
    hook = hook_for(extra={"agent_id": "mine"})
    assert hook.run_url(Run.from_json({**RUN, "agent_id": None, "id": "a/b"})) == (
        "https://app.kognitos.com/department/mine/processes/process-1/run/a%2Fb"
    )
    assert hook.run_url(Run.from_json({**RUN, "process_id": None})) is None
    assert hook_for().run_url(Run.from_json({**RUN, "agent_id": None})) is None
