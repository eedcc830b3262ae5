"""What the "Test" button of a connection says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from airflow_provider_kognitos.hooks.connection import REGIONS
from airflow_provider_kognitos.hooks.kognitos import NO_RUN, KognitosHook
from tests.api.service import AGENT, KEY, Drop, Reply, Service, free_port

HookFor = Callable[..., KognitosHook]
PAGE = Reply(body={"items": [], "continuation_token": None})
UP = Reply(body={"status": "OK"})


def test_good(hook: KognitosHook, service: Service) -> None:
    service.replies.extend([UP, PAGE])
    assert hook.test_connection() == (
        True,
        f"Kognitos at {service.url} is up and accepts the API key for agent agent-1.",
    )
    assert [(seen.path, seen.query) for seen in service.seen] == [
        ("/v2/health", {}),
        ("/v2/processes", {"agent_id": AGENT, "limit": "1"}),
    ]


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (Reply(404, {"message": "The specified run was not found"}), "is up and accepts the API key. "),
        (Reply(400, {"message": "Invalid input values"}), "is up. Whether it accepts the API key can only be checked "),
    ],
)
def test_good_without_an_agent(hook_for: HookFor, service: Service, reply: Reply, said: str) -> None:
    service.replies.extend([UP, reply])
    works, told = hook_for(host=service.url).test_connection()
    assert works
    assert told.startswith(f"Kognitos at {service.url} {said}")
    assert "agent_id is not set" in told
    assert [seen.path for seen in service.seen] == ["/v2/health", f"/v2/runs/{NO_RUN}"]


def test_a_bad_key_is_found_without_an_agent(hook_for: HookFor, service: Service) -> None:
    service.replies.extend([UP, Reply(403, {"message": "Forbidden"})])
    works, told = hook_for(host=service.url).test_connection()
    assert not works
    assert f"Kognitos at {service.url}, agent not set: the API key was refused." in told


@pytest.mark.parametrize(("region", "others"), [("us", "eu or uk"), ("eu", "us or uk"), ("uk", "us or eu")])
def test_a_key_of_another_region(
    hook_for: HookFor, service: Service, monkeypatch: pytest.MonkeyPatch, region: str, others: str
) -> None:
    monkeypatch.setitem(REGIONS, region, service.url)
    service.replies.append(Reply(403, {"message": "Forbidden"}))
    works, told = hook_for(extra={"region": region}).test_connection()
    assert not works
    for words in (f"Kognitos at region {region} (", f"connection's is {region}", f"made in {others}, set extra region"):
        assert words in told


@pytest.mark.parametrize(
    ("replies", "words"),
    [
        (
            [UP, Reply(401, {"message": "access not permitted"})],
            ["API key was refused", "works only where it was made"],
        ),
        ([UP, Reply(403, {"message": f"Forbidden {KEY}"})], ["API key was refused", "Forbidden ***"]),
        ([Reply(403, "")], ["API key was refused"]),
        ([UP, Reply(404, {"message": "The specified agent was not found"})], ["the agent was not found there"]),
        ([Reply(404, "<h1>nginx</h1>")], ["nothing answers there as Kognitos does. Check the host", "nginx"]),
        ([Reply(503, {"status": "DOWN"})], ["503"]),
        ([Reply(200, {"status": "DEGRADED"})], ["DEGRADED"]),
        ([Reply(200, "<html>a portal</html>")], ["could not be read", "not a portal"]),
        ([Reply(301, "", {"Location": "https://else"})], ["redirect"]),
        ([Drop()], ["no answer"]),
        ([UP, Reply(429, "")], ["429"]),
    ],
)
def test_what_is_wrong_is_said(hook: KognitosHook, service: Service, replies: list[Any], words: list[str]) -> None:
    service.replies.extend(replies)
    works, told = hook.test_connection()
    assert not works
    for part in [f"Kognitos at {service.url}, agent agent-1: ", *words]:
        assert part in told
    assert KEY not in told
    assert len(service.seen) == len(replies)


def test_nobody_there(hook_for: HookFor) -> None:
    works, told = hook_for(host=f"http://127.0.0.1:{free_port()}").test_connection()
    assert not works
    assert "agent not set: no answer" in told
    assert "refused" in told


def test_no_such_host(hook_for: HookFor) -> None:
    works, told = hook_for(host="no-such-host.invalid").test_connection()
    assert not works
    assert "DNS" in told


def test_too_slow(hook_for: HookFor, service: Service) -> None:
    service.otherwise = lambda _: Reply(wait=0.4)
    works, told = hook_for(host=service.url, extra={"timeout": 0.05}).test_connection()
    assert not works
    assert "timed out" in told


def test_no_tls_there(hook_for: HookFor, service: Service) -> None:
    works, told = hook_for(host=f"127.0.0.1:{service.port}").test_connection()
    assert not works
    assert "speak http, not https" in told


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"password": ""}, "password must hold the API key"),
        ({"extra": {"region": "mars"}}, "one of us, eu, uk"),
        ({"host": "https://h", "extra": {"verify": "/no/bundle.pem"}}, "/no/bundle.pem"),
    ],
)
def test_a_connection_that_cannot_work(hook_for: HookFor, fields: dict[str, Any], words: str) -> None:
    works, told = hook_for(**fields).test_connection()
    assert not works
    assert words in told


def test_no_connection() -> None:
    assert KognitosHook("no_such_connection").test_connection() == (
        False,
        "There is no connection 'no_such_connection'.",
    )


def test_whatever_happens_it_does_not_raise(hook: KognitosHook, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: str) -> Any:
        raise ValueError(f"Invalid connection string: kognitos://:{KEY}@host")

    monkeypatch.setattr(hook, "get_connection", broken)
    assert hook.test_connection() == (
        False,
        "The connection could not be tested: ValueError. The log may say more.",
    )


def test_as_airflow_calls_it(hook_for: HookFor, service: Service) -> None:
    service.replies.extend([UP, PAGE])
    hook_for(host=service.url, extra={"agent_id": AGENT})
    connection = KognitosHook.get_connection("kognitos_test")
    assert KognitosHook(**{KognitosHook.conn_name_attr: connection.conn_id}).test_connection()[0] is True
