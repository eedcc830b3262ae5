"""The seven endpoints: what is sent, what is read, and what is refused before anything is sent."""

from __future__ import annotations

import json
import ssl
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_kognitos.api.client import KognitosClient, Page
from airflow_provider_kognitos.api.pacing import Pacer
from airflow_provider_kognitos.exceptions import (
    KognitosConfigError,
    KognitosConnectionError,
    KognitosServerError,
    KognitosStartUncertainError,
    KognitosValidationError,
)

from .service import AGENT, KEY, PROCESS, PROCESS_JSON, RUN, Drop, Reply, Service, free_port, serving

Connect = Callable[..., KognitosClient]


def page(*items: Any, token: Any = None) -> Reply:
    return Reply(body={"items": list(items), "continuation_token": token})


def test_health(client: KognitosClient, service: Service) -> None:
    service.replies.append(Reply(body={"status": "OK"}))
    assert client.health() is True
    assert (service.seen[0].method, service.seen[0].path) == ("GET", "/v2/health")
    assert service.seen[0].headers["x-api-key"] == KEY


@pytest.mark.parametrize("body", [{"status": "DOWN"}, {"up": True}, [], "OK", None])
def test_health_that_is_not_ok(client: KognitosClient, service: Service, body: Any) -> None:
    service.otherwise = lambda _: Reply(body=body if body != "OK" else '"OK"')
    with pytest.raises(KognitosServerError):
        client.health()


def test_processes(client: KognitosClient, service: Service) -> None:
    service.replies.append(page(PROCESS_JSON, token="next"))
    found = client.processes_page(AGENT, limit=7, continuation_token="this")
    assert found.continuation_token == "next"
    assert [(item.id, item.name) for item in found.items] == [(PROCESS, "Process invoice")]
    assert service.seen[0].path == "/v2/processes"
    assert service.seen[0].query == {"agent_id": AGENT, "limit": "7", "continuation_token": "this"}


def test_every_page_with_the_same_query(client: KognitosClient, service: Service) -> None:
    service.replies.extend([page({**RUN, "id": "1"}, token="a"), page(token="b"), page({**RUN, "id": "2"}, token="")])
    assert [run.id for run in client.list_runs(PROCESS, AGENT, stage="Draft")] == ["1", "2"]
    common = {"process_id": PROCESS, "agent_id": AGENT, "stage": "Draft", "limit": "100"}
    assert [seen.query for seen in service.seen] == [
        common,
        {**common, "continuation_token": "a"},
        {**common, "continuation_token": "b"},
    ]


def test_pages_are_read_as_they_are_needed(client: KognitosClient, service: Service) -> None:
    service.otherwise = lambda _: page({**RUN, "id": "1"}, {**RUN, "id": "2"}, token=str(len(service.seen)))
    assert len(list(client.list_runs(PROCESS, AGENT, limit=3))) == 3
    assert [seen.query["limit"] for seen in service.seen] == ["3", "3"]
    runs = client.list_runs(PROCESS, AGENT)
    next(runs)
    assert len(service.seen) == 3


def test_limit_reached_at_the_end_of_a_page_asks_for_no_other(client: KognitosClient, service: Service) -> None:
    service.otherwise = lambda _: page(PROCESS_JSON, token="more")
    assert len(list(client.list_processes(AGENT, limit=1))) == 1
    assert len(service.seen) == 1


def test_null_items(client: KognitosClient, service: Service) -> None:
    service.replies.append(Reply(body={"items": None, "continuation_token": None}))
    assert client.runs_page(PROCESS, AGENT) == Page((), None)
    assert "stage" not in service.seen[0].query


def test_a_list_that_does_not_move_on(client: KognitosClient, service: Service) -> None:
    service.otherwise = lambda _: page(PROCESS_JSON, token="again")
    with pytest.raises(KognitosServerError, match="same page"):
        list(client.list_processes(AGENT))
    assert len(service.seen) == 2


@pytest.mark.parametrize("body", [[], {}, {"items": {}}, {"items": "ab"}, {"items": [1]}, {"items": [{"name": "x"}]}])
def test_page_of_another_shape(connect: Connect, service: Service, body: Any) -> None:
    service.otherwise = lambda _: Reply(body=body)
    with pytest.raises(KognitosServerError, match="could not be read") as caught:
        connect(attempts=2).runs_page(PROCESS, AGENT)
    assert caught.value.status_code == 200
    assert len(service.seen) == 2


def test_process(client: KognitosClient, service: Service) -> None:
    service.replies.append(Reply(body=PROCESS_JSON))
    assert client.get_process("a/b c", AGENT).name == "Process invoice"
    assert (service.seen[0].path, service.seen[0].query) == ("/v2/processes/a%2Fb%20c", {"agent_id": AGENT})


def test_run(client: KognitosClient, service: Service) -> None:
    service.replies.append(Reply(body={**RUN, "outputs": [{"name": "total", "value": 42}]}))
    run = client.get_run("run-1?x=1#y")
    assert run.outputs == {"total": 42}
    assert run.created_at == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert service.seen[0].target == "/v2/runs/run-1%3Fx%3D1%23y"


def test_start(client: KognitosClient, service: Service) -> None:
    service.replies.append(Reply(201, RUN))
    inputs = {"the customer": {"id": 1.5, "tags": ["ü", None, True]}, "count": 3}
    run = client.start_run(
        process_id=PROCESS, agent_id=AGENT, name="Rechnung 42 ✓", stage="Draft", inputs=inputs, file_ids=("s3://a/b",)
    )
    assert run.id == "run-1"
    assert (service.seen[0].method, service.seen[0].path) == ("POST", "/v2/runs")
    assert service.seen[0].headers["Content-Type"] == "application/json"
    assert service.seen[0].json == {
        "agent_id": AGENT,
        "process_id": PROCESS,
        "name": "Rechnung 42 ✓",
        "stage": "Draft",
        "inputs": [
            {"name": "the customer", "value": {"id": 1.5, "tags": ["ü", None, True]}},
            {"name": "count", "value": 3},
        ],
        "file_ids": ["s3://a/b"],
    }


@pytest.mark.parametrize("empty", [None, {}])
def test_start_without_inputs_and_files(client: KognitosClient, service: Service, empty: Any) -> None:
    service.replies.append(Reply(200, RUN))
    client.start_run(process_id=PROCESS, agent_id=AGENT, name="x", inputs=empty, file_ids=list(empty or ()))
    assert service.seen[0].json == {"agent_id": AGENT, "process_id": PROCESS, "name": "x", "stage": "Published"}


def test_a_null_value_is_sent(client: KognitosClient, service: Service) -> None:
    service.replies.append(Reply(201, RUN))
    client.start_run(process_id=PROCESS, agent_id=AGENT, name="x", inputs={"nothing": None})
    assert service.seen[0].json["inputs"] == [{"name": "nothing", "value": None}]


def test_create_upload(client: KognitosClient, service: Service) -> None:
    target = {"id": "s3://b/k", "upload_url": "http://storage/", "upload_fields": {"key": "k"}}
    service.replies.extend([Drop(), Reply(201, target)])
    assert client.create_upload("a.pdf", AGENT).id == "s3://b/k"
    assert len(service.seen) == 2
    assert service.seen[1].json == {"file_name": "a.pdf", "agent_id": AGENT}


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("agent_id", ""),
        ("agent_id", "a" * 27),
        ("agent_id", "a b"),
        ("agent_id", "a\n"),
        ("agent_id", None),
        ("process_id", "ä"),
        ("process_id", 7),
        ("name", ""),
        ("name", "x" * 101),
        ("name", None),
        ("stage", "published"),
        ("stage", None),
        ("stage", ["Draft"]),
        ("inputs", [("a", 1)]),
        ("inputs", {"": 1}),
        ("inputs", {" ": 1}),
        ("inputs", {1: 1}),
        ("inputs", {"a": float("nan")}),
        ("inputs", {"a": {"b": [float("inf")]}}),
        ("inputs", {"a": datetime.now(UTC)}),
        ("inputs", {"a": {1, 2}}),
        ("file_ids", "abc"),
        ("file_ids", {"a"}),
        ("file_ids", ["a", ""]),
        ("file_ids", ["a", 1]),
        ("file_ids", 5),
    ],
)
def test_start_refuses_before_it_sends(client: KognitosClient, service: Service, argument: str, value: Any) -> None:
    arguments: dict[str, Any] = {"process_id": PROCESS, "agent_id": AGENT, "name": "x", argument: value}
    with pytest.raises(KognitosConfigError, match=argument) as caught:
        client.start_run(**arguments)
    assert "Nothing was sent" in str(caught.value)
    assert service.seen == []


def test_an_input_without_end(client: KognitosClient, service: Service) -> None:
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(KognitosConfigError, match=r"inputs\['loop'\]"):
        client.start_run(process_id=PROCESS, agent_id=AGENT, name="x", inputs={"loop": loop})
    assert service.seen == []


def test_a_long_value_is_shown_short(client: KognitosClient) -> None:
    with pytest.raises(KognitosConfigError) as caught:
        client.start_run(process_id=PROCESS, agent_id=AGENT, name="x" * 5000)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize("name", ["é" * 100, "\N{GRINNING FACE}" * 100])
def test_a_name_is_measured_in_characters(client: KognitosClient, service: Service, name: str) -> None:
    service.replies.append(Reply(201, RUN))
    client.start_run(process_id="a" * 26, agent_id="_-aZ09", name=name)
    assert service.seen[0].json["name"] == name


@pytest.mark.parametrize(
    "call",
    [
        lambda client: client.processes_page(AGENT, limit=0),
        lambda client: client.processes_page(AGENT, limit=101),
        lambda client: client.processes_page(AGENT, limit=True),
        lambda client: client.processes_page("", limit=1),
        lambda client: client.list_processes(AGENT, limit=0),
        lambda client: client.list_processes(AGENT, limit=1.5),
        lambda client: client.list_processes(None),
        lambda client: client.list_runs(PROCESS, AGENT, stage="x"),
        lambda client: client.list_runs(PROCESS, AGENT, limit=False),
        lambda client: client.runs_page(PROCESS, AGENT, stage="x"),
        lambda client: client.get_run(""),
        lambda client: client.get_run(".."),
        lambda client: client.get_run("."),
        lambda client: client.get_run("a\r\nb"),
        lambda client: client.get_run("\x85"),
        lambda client: client.get_run(5),
        lambda client: client.get_process("é", AGENT),
        lambda client: client.get_process(PROCESS, " "),
        lambda client: client.create_upload("", AGENT),
        lambda client: client.create_upload("x" * 257, AGENT),
        lambda client: client.create_upload("a\nb", AGENT),
        lambda client: client.create_upload("\ud800", AGENT),
        lambda client: client.create_upload("a", "a" * 27),
        lambda client: client.upload_file("a", agent_id="a" * 27),
    ],
)
def test_refuses_before_it_sends(client: KognitosClient, service: Service, call: Callable[[Any], Any]) -> None:
    with pytest.raises(KognitosConfigError):
        call(client)
    assert service.seen == []


def test_ids_in_paths_and_queries_may_be_longer_than_in_bodies(client: KognitosClient, service: Service) -> None:
    service.replies.append(Reply(body=PROCESS_JSON))
    client.get_process("a" * 29, "b" * 29)
    assert service.seen[0].path == "/v2/processes/" + "a" * 29


@pytest.mark.parametrize("suffix", ["", "/", "/v2", "/v2/"])
def test_base_url_with_or_without_version(connect: Connect, service: Service, suffix: str) -> None:
    service.otherwise = lambda _: Reply(body={"status": "OK"})
    connect(service.url + suffix).health()
    connect(f"{service.url}/behind/a/proxy{suffix}").health()
    assert [seen.path for seen in service.seen] == ["/v2/health", "/behind/a/proxy/v2/health"]


@pytest.mark.parametrize(
    "url",
    [
        *(
            "",
            "127.0.0.1",
            "ftp://host",
            "http://",
            "http://host:port",
            "http://host:0",
            "http://a b",
            "http://[",
            None,
            5,
        ),
        *("http://h?a=b", "http://h#a", "http://user:sesame@host", "http://h\n"),
    ],
)
def test_base_url_that_cannot_work(url: Any) -> None:
    with pytest.raises(KognitosConfigError) as caught:
        KognitosClient(url, KEY)
    assert "sesame" not in str(caught.value)


@pytest.mark.parametrize("key", ["", " abc-key", "abc-key\n", "abc key", "abc\x00key", "äbc-key", None, 5])
def test_api_key_that_no_header_holds(key: Any) -> None:
    with pytest.raises(KognitosConfigError, match="API key") as caught:
        KognitosClient("http://127.0.0.1", key)
    assert "abc" not in str(caught.value)
    assert "bc-key" not in str(caught.value)


def test_context_manager_and_repr(service: Service) -> None:
    service.otherwise = lambda _: Reply(body={"status": "OK"})
    with KognitosClient(service.url, KEY) as client:
        assert client.health()
        assert KEY not in repr(client)
        assert KEY not in repr(client._transport.key)
        assert service.url in repr(client)


def test_one_connection_is_kept_alive_and_a_start_has_its_own(client: KognitosClient, service: Service) -> None:
    service.otherwise = lambda seen: Reply(body=RUN)
    for _ in range(3):
        client.get_run("run-1")
    client.start_run(process_id=PROCESS, agent_id=AGENT, name="x")
    client.get_run("run-1")
    kept = {seen.peer for seen in service.seen if seen.method == "GET"}
    assert len(kept) == 1
    assert service.seen[3].peer not in kept


def test_user_agent(connect: Connect, service: Service) -> None:
    service.otherwise = lambda seen: Reply(body=RUN)
    client = connect(user_agent="airflow-provider-kognitos/1")
    client.get_run("run-1")
    client.start_run(process_id=PROCESS, agent_id=AGENT, name="x")
    assert [seen.headers["User-Agent"] for seen in service.seen] == ["airflow-provider-kognitos/1"] * 2


def test_paced(connect: Connect, service: Service) -> None:
    slept: list[float] = []
    service.otherwise = lambda seen: Reply(body=RUN)
    client = connect(pacer=Pacer(60, clock=lambda: 0.0, sleep=slept.append))
    client.get_run("run-1")
    client.start_run(process_id=PROCESS, agent_id=AGENT, name="x")
    client.get_run("run-1")
    assert slept == [1.0, 2.0]


def test_a_start_is_taken_as_sent_when_its_turn_has_come(connect: Connect, service: Service) -> None:
    turns: list[datetime] = []
    service.otherwise = lambda seen: Reply(502, "")
    pacer = Pacer(60, clock=lambda: 0.0, sleep=lambda _: turns.append(datetime.now(UTC)))
    client = connect(pacer=pacer)
    pacer.wait()
    with pytest.raises(KognitosStartUncertainError) as caught:
        client.start_run(process_id=PROCESS, agent_id=AGENT, name="x")
    assert caught.value.sent_at is not None
    assert [turn <= caught.value.sent_at for turn in turns] == [True]


def test_netrc_is_never_used(
    client: KognitosClient, service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password sesame\ndefault login a password b\n")
    monkeypatch.setenv("NETRC", str(netrc))
    service.otherwise = lambda seen: Reply(body=RUN)
    client.get_run("run-1")
    client.start_run(process_id=PROCESS, agent_id=AGENT, name="x")
    for seen in service.seen:
        assert "Authorization" not in seen.headers
        assert seen.headers["x-api-key"] == KEY


def test_proxy_of_the_environment(connect: Connect, service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", service.url)
    monkeypatch.setenv("http_proxy", service.url)
    service.otherwise = lambda seen: Reply(body=RUN)
    client = connect("http://kognitos.invalid")
    client.get_run("run-1")
    client.start_run(process_id=PROCESS, agent_id=AGENT, name="x")
    assert [seen.target for seen in service.seen] == [
        "http://kognitos.invalid/v2/runs/run-1",
        "http://kognitos.invalid/v2/runs",
    ]


def test_tls(tls: tuple[Path, ssl.SSLContext], connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle, context = tls
    with serving(context) as service:
        service.otherwise = lambda seen: Reply(body=RUN)
        with pytest.raises(KognitosConnectionError, match=r"certificate verify failed.*CA bundle"):
            connect(service.url, attempts=1).get_run("run-1")
        assert connect(service.url, verify=str(bundle)).get_run("run-1").id == "run-1"
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(bundle))
        assert connect(service.url).get_run("run-1").id == "run-1"


@pytest.mark.filterwarnings("ignore:Unverified HTTPS request")
def test_tls_unchecked_whatever_the_environment_says(
    tls: tuple[Path, ssl.SSLContext], connect: Connect, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "none.pem"))
    with serving(tls[1]) as service:
        service.otherwise = lambda seen: Reply(body=RUN)
        assert connect(service.url, verify=False).get_run("run-1").id == "run-1"


def test_ca_bundle_that_does_not_exist(connect: Connect, tmp_path: Path) -> None:
    client = connect("https://127.0.0.1:1", verify=str(tmp_path / "none.pem"))
    with pytest.raises(KognitosConfigError, match=r"none\.pem"):
        client.health()


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("location", ["{other}/v2/health?token=x", "http://[", "", "//", "\x80"])
def test_a_redirect_is_not_followed(connect: Connect, service: Service, status: int, location: str) -> None:
    with serving() as other:
        service.otherwise = lambda _: Reply(status, "", {"Location": location.format(other=other.url)})
        with pytest.raises(KognitosValidationError, match="redirect") as caught:
            connect().health()
        assert other.seen == []
    assert caught.value.status_code == status
    assert "token" not in str(caught.value)
    assert len(service.seen) == 1


def test_no_answer_is_retried(client: KognitosClient, service: Service, waits: list[float]) -> None:
    service.replies.extend([Drop(), Drop(reset=True), Reply(body=RUN, cut=10), Reply(503, "busy"), Reply(body=RUN)])
    assert client.get_run("run-1").id == "run-1"
    assert len(waits) == 4


def test_attempts_end(connect: Connect, service: Service, waits: list[float]) -> None:
    service.otherwise = lambda _: Reply(502, "<html><title>Bad Gateway</title></html>")
    with pytest.raises(KognitosServerError, match=r"502 .Bad Gateway.") as caught:
        connect(attempts=3).get_run("run-1")
    assert (caught.value.status_code, len(service.seen), len(waits)) == (502, 3, 2)


def test_one_attempt_is_no_retry(connect: Connect, service: Service, waits: list[float]) -> None:
    service.otherwise = lambda _: Reply(429, {"message": "Too Many Requests"}, {"Retry-After": "7"})
    with pytest.raises(Exception, match="429") as caught:
        connect(attempts=1).get_run("run-1")
    assert caught.value.retry_after == 7
    assert (len(service.seen), waits) == (1, [])


def test_refused(connect: Connect) -> None:
    port = free_port()
    with pytest.raises(KognitosConnectionError, match=rf"GET http://127.0.0.1:{port}/v2/health .*refused"):
        connect(f"http://127.0.0.1:{port}", attempts=2).health()


def test_no_answer_in_time(connect: Connect, service: Service) -> None:
    service.otherwise = lambda _: Reply(body=RUN, wait=0.5)
    with pytest.raises(KognitosConnectionError, match=r"timed out.*`timeout`"):
        connect(timeout=0.05, attempts=1).get_run("run-1")


def test_unknown_host(connect: Connect) -> None:
    with pytest.raises(KognitosConnectionError, match="DNS"):
        connect("http://no-such-host.invalid", attempts=1).health()


def test_proxy_that_is_not_there(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", f"http://somebody:sesame@127.0.0.1:{free_port()}")
    with pytest.raises(KognitosConnectionError, match=r"through the proxy .* Check the proxy settings") as caught:
        connect("https://kognitos.invalid", attempts=1).health()
    assert "sesame" not in str(caught.value)


def test_http_where_https_is_asked_for(connect: Connect, service: Service) -> None:
    with pytest.raises(KognitosConnectionError, match="speak http, not https"):
        connect(f"https://127.0.0.1:{service.port}", attempts=1).health()


def test_an_answer_with_a_byte_order_mark(client: KognitosClient, service: Service) -> None:
    service.replies.append(Reply(body=b"\xef\xbb\xbf" + json.dumps(RUN).encode()))
    assert client.get_run("run-1").id == "run-1"


def test_cookies_are_not_kept(client: KognitosClient, service: Service) -> None:
    service.otherwise = lambda _: Reply(body=RUN, headers={"Set-Cookie": "a=b"})
    client.get_run("run-1")
    client.get_run("run-1")
    assert "Cookie" not in service.seen[1].headers
