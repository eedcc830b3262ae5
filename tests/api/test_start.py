"""
Every outcome of a start request.

A run that is started twice or lost is the worst that can happen here: a request is repeated only where it has
certainly not been read, and everything that is not known is said to be unknown.
"""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_kognitos.api.client import KognitosClient
from airflow_provider_kognitos.exceptions import (
    KognitosAuthError,
    KognitosCapacityError,
    KognitosConfigError,
    KognitosConnectionError,
    KognitosNotFoundError,
    KognitosRateLimitError,
    KognitosServerError,
    KognitosStartUncertainError,
    KognitosValidationError,
)

from .service import AGENT, KEY, PROCESS, PROCESS_JSON, RUN, Drop, Garbage, Reply, Service, free_port, serving

Connect = Callable[..., KognitosClient]


def start(client: KognitosClient) -> Any:
    return client.start_run(process_id=PROCESS, agent_id=AGENT, name="my run [af-1]")


@pytest.mark.parametrize(
    "reply",
    [
        Drop(),
        Drop(reset=True),
        Garbage(),
        Reply(201, RUN, cut=0),
        Reply(201, RUN, cut=20),
        Reply(201, ""),
        Reply(204, ""),
        Reply(201, "<html>maintenance</html>"),
        Reply(201, {"name": "no id"}),
        Reply(201, [RUN]),
        Reply(201, "[" * 100_000),
        Reply(200, {"statusCode": 502, "message": "upstream"}),
        Reply(201, RUN, {"Content-Length": "5, 6"}),
        Reply(201, b"no gzip", {"Content-Encoding": "gzip"}),
        Reply(408, {"message": "Request Timeout"}),
        Reply(425, ""),
        Reply(500, {"status_code": 500, "message": "boom", "details": None}),
        Reply(502, "<html>Bad Gateway</html>"),
        Reply(503, {"message": "Service Unavailable"}, {"Retry-After": "1"}),
        Reply(504, ""),
        Reply(599, ""),
        Reply(301, "", {"Location": "https://127.0.0.1:1/v2/runs"}),
        Reply(302, "", {"Location": "/login"}),
        Reply(303, "", {"Location": "/v2/runs/run-1"}),
        Reply(307, "", {"Location": "http://[bad"}),
        Reply(304, ""),
    ],
    ids=lambda reply: f"{type(reply).__name__}-{getattr(reply, 'status', '')}",
)
def test_unknown_outcome_is_said_and_never_sent_again(client: KognitosClient, service: Service, reply: Any) -> None:
    service.otherwise = lambda _: reply
    before = datetime.now(UTC)
    with pytest.raises(KognitosStartUncertainError) as caught:
        start(client)
    assert len(service.seen) == 1
    assert caught.value.sent_at is not None
    assert before <= caught.value.sent_at <= datetime.now(UTC)
    for part in (PROCESS, AGENT, "Published", "'my run [af-1]'", "look among the runs"):
        assert part in str(caught.value)
    assert isinstance(caught.value.__cause__, KognitosConnectionError | KognitosServerError | KognitosValidationError)


def test_no_answer_in_time_is_unknown(connect: Connect, service: Service) -> None:
    service.otherwise = lambda _: Reply(201, RUN, wait=0.5)
    with pytest.raises(KognitosStartUncertainError, match="timed out"):
        start(connect(timeout=0.1))
    assert len(service.seen) == 1


@pytest.mark.parametrize("reply", [Drop(), Drop(reset=True), Garbage()])
def test_tls_that_breaks_after_the_handshake_is_unknown(
    tls: tuple[Path, ssl.SSLContext], connect: Connect, reply: Any
) -> None:
    """The same class of error as a handshake that fails, but here the request has been read."""
    with serving(tls[1]) as service:
        service.otherwise = lambda _: reply
        with pytest.raises(KognitosStartUncertainError):
            start(connect(service.url, verify=str(tls[0])))
        assert len(service.seen) == 1


def test_tls_handshake_that_fails_was_not_sent(tls: tuple[Path, ssl.SSLContext], connect: Connect) -> None:
    with serving(tls[1]) as service:
        with pytest.raises(KognitosConnectionError, match="certificate") as caught:
            start(connect(service.url, attempts=2))
        assert caught.value.sent is False
        assert service.seen == []


def test_tls_handshake_that_is_never_answered_was_not_sent(connect: Connect, waits: list[float]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(KognitosConnectionError) as caught:
        start(connect(f"https://127.0.0.1:{silent.getsockname()[1]}", timeout=0.1, attempts=2))
    assert caught.value.sent is False
    assert len(waits) == 1


def test_refused_is_tried_again_until_somebody_listens(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    port, begun = free_port(), []

    def begin(_: float) -> None:
        if not begun:
            begun.append(Service(port))
            begun[0].otherwise = lambda _: Reply(201, RUN)

    monkeypatch.setattr("airflow_provider_kognitos.api.retry.sleep", begin)
    try:
        assert start(connect(f"http://127.0.0.1:{port}")).id == "run-1"
        assert len(begun[0].seen) == 1
    finally:
        begun[0].close()


@pytest.mark.parametrize("url", ["http://127.0.0.1:{port}", "http://no-such-host.invalid"])
def test_never_sent(connect: Connect, waits: list[float], url: str) -> None:
    with pytest.raises(KognitosConnectionError) as caught:
        start(connect(url.format(port=free_port()), attempts=3))
    assert caught.value.sent is False
    assert len(waits) == 2


def test_proxy_that_refuses_the_tunnel_was_not_sent(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving() as proxy:  # knows no CONNECT: 501
        monkeypatch.setenv("https_proxy", proxy.url)
        with pytest.raises(KognitosConnectionError) as caught:
            start(connect("https://kognitos.invalid", attempts=1))
    assert caught.value.sent is False


def test_connect_timeout_was_not_sent(connect: Connect) -> None:
    # A listener whose queue is full leaves further handshakes unanswered.
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(full.getsockname())
        with pytest.raises(KognitosConnectionError) as caught:
            start(connect(f"http://127.0.0.1:{full.getsockname()[1]}", timeout=0.2, attempts=1))
        for filler in fillers:
            filler.close()
    assert caught.value.sent is False


def test_a_bad_bundle_was_not_sent(connect: Connect) -> None:
    with pytest.raises(KognitosConfigError, match="could not be sent"):
        start(connect("https://127.0.0.1:1", verify="/no/such/bundle.pem"))


def test_throttled_is_tried_again_after_what_was_asked(
    client: KognitosClient, service: Service, waits: list[float]
) -> None:
    service.replies.append(Reply(429, {"message": "Too Many Requests"}, {"Retry-After": "17"}))
    service.replies.append(Reply(201, RUN))
    assert start(client).id == "run-1"
    assert waits == [17.0]
    assert len({seen.peer for seen in service.seen}) == 2


def test_throttled_for_good(connect: Connect, service: Service) -> None:
    service.otherwise = lambda _: Reply(429, {"message": "Limit Exceeded"})
    with pytest.raises(KognitosRateLimitError, match="quota of the API key is exhausted"):
        start(connect(attempts=2))
    assert len(service.seen) == 2


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, KognitosValidationError),
        (401, KognitosAuthError),
        (404, KognitosNotFoundError),
        (409, KognitosValidationError),
        (413, KognitosValidationError),
        (422, KognitosValidationError),
    ],
)
@pytest.mark.parametrize("body", ["", "<html>no</html>", {"status_code": 1, "message": "no", "details": [{"a": 1}]}])
def test_refused_for_good(client: KognitosClient, service: Service, status: int, kind: type, body: Any) -> None:
    service.otherwise = lambda _: Reply(status, body)
    with pytest.raises(kind) as caught:
        start(client)
    assert caught.value.status_code == status
    assert len(service.seen) == 1


@pytest.mark.parametrize(
    "reply",
    [
        Reply(403, {"message": "Resource Not Available"}),
        Reply(404, "Resource Not Available"),
        Reply(503, {"status_code": 503, "message": "resource not available", "details": None}),
        Reply(500, "<html><h1>Resource\nNot Available</h1></html>"),
        Reply(200, {"statusCode": 403, "message": "Resource Not Available"}),
        Reply(403, {"message": "Too many concurrent runs"}),
        Reply(403, {"message": "Forbidden", "details": [{"reason": "capacity reached"}]}),
    ],
)
def test_capacity(client: KognitosClient, service: Service, reply: Reply) -> None:
    service.otherwise = lambda _: reply
    with pytest.raises(KognitosCapacityError, match="not started"):
        start(client)
    assert len(service.seen) == 1


@pytest.mark.parametrize(
    "reply",
    [
        Reply(403, {"message": "access not permitted"}),
        Reply(403, {"message": "Invalid API key"}),
        Reply(403, {"Message": "User is not authorized to access this resource with an explicit deny"}),
        Reply(403, {"statusCode": 401}),
        Reply(500, {"statusCode": 401, "message": "x"}),
        Reply(200, {"statusCode": 401, "message": "x"}),
        Reply(401, ""),
    ],
)
def test_a_key_that_is_said_to_be_bad(client: KognitosClient, service: Service, reply: Reply) -> None:
    service.otherwise = lambda _: reply
    with pytest.raises(KognitosAuthError, match="Check the API key"):
        start(client)
    assert len(service.seen) == 1


UNDECIDED = [Reply(403, ""), Reply(403, {"message": "Forbidden"}), Reply(403, "<html>403 Forbidden</html>")]


@pytest.mark.parametrize("reply", UNDECIDED)
def test_403_is_capacity_if_the_key_may_read_the_process(
    client: KognitosClient, service: Service, reply: Reply
) -> None:
    service.replies.extend([reply, Reply(body=PROCESS_JSON)])
    with pytest.raises(KognitosCapacityError, match="key may read process process-1") as caught:
        start(client)
    assert caught.value.status_code == 403
    assert [(seen.method, seen.path) for seen in service.seen] == [
        ("POST", "/v2/runs"),
        ("GET", "/v2/processes/process-1"),
    ]
    assert service.seen[1].query == {"agent_id": AGENT}


@pytest.mark.parametrize("reply", UNDECIDED)
@pytest.mark.parametrize("second", [Reply(403, {"message": "Forbidden"}), Reply(401, ""), Reply(404, "")])
def test_403_is_the_key_if_it_may_not_read_the_process(
    client: KognitosClient, service: Service, reply: Reply, second: Reply
) -> None:
    service.replies.extend([reply, second])
    with pytest.raises(KognitosAuthError, match="may not read process process-1 either"):
        start(client)
    assert len(service.seen) == 2


@pytest.mark.parametrize("second", [Drop(), Reply(500, ""), Reply(429, ""), Reply(200, "?")])
def test_403_that_cannot_be_resolved_is_no_verdict_on_the_key(connect: Connect, service: Service, second: Any) -> None:
    service.replies.append(Reply(403, {"message": "Forbidden"}))
    service.otherwise = lambda _: second
    with pytest.raises(KognitosCapacityError, match="could not be found out"):
        start(connect(attempts=2))
    assert len(service.seen) == 3


def test_many_threads_share_a_client(client: KognitosClient, service: Service) -> None:
    service.otherwise = lambda seen: Reply(201, {**RUN, "id": seen.path.rpartition("/")[2]})
    failed: list[Exception] = []

    def work(number: int) -> None:
        try:
            for step in range(5):
                assert client.get_run(f"run-{number}-{step}").id == f"run-{number}-{step}"
                start(client)
        except Exception as error:  # noqa: BLE001 - a thread has nobody to raise to
            failed.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert len(service.seen) == 80
    assert {seen.headers["x-api-key"] for seen in service.seen} == {KEY}
