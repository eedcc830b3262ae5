"""
The API key is in no error, whatever part of it is looked at, and in no log.

An error is walked the way a curious log handler might: text, arguments, attributes, causes, contexts, and the
local variables of every frame of its traceback as they print, in depth.
"""

from __future__ import annotations

import io
import logging
import ssl
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from airflow_provider_kognitos.api.client import KognitosClient
from airflow_provider_kognitos.exceptions import KognitosError

from .service import AGENT, KEY, PROCESS, Drop, Garbage, Reply, Service, free_port, serving

Connect = Callable[..., KognitosClient]

ECHO = {"message": f"The key {KEY} is not valid", "details": [{KEY: [f"see {KEY}"]}], "status_code": 401}


def chain(error: BaseException) -> Iterator[BaseException]:
    seen: list[BaseException] = []
    found: list[BaseException | None] = [error]
    while found:
        one = found.pop()
        if one is not None and one not in seen:
            seen.append(one)
            found.extend([one.__cause__, one.__context__])
            yield one


def leaks(value: Any, depth: int = 4, seen: set[int] | None = None) -> bool:
    """Return whether the key is in a value, as it prints or among the attributes and items below it."""
    seen = set() if seen is None else seen
    if id(value) in seen or depth < 0:
        return False
    seen.add(id(value))
    if KEY in repr(value) or KEY in str(value):
        return True
    inner: list[Any] = []
    if isinstance(value, dict):
        inner = [*value.keys(), *value.values()]
    elif isinstance(value, list | tuple | set):
        inner = list(value)
    inner.extend(getattr(value, "__dict__", {}).values())
    return any(leaks(item, depth - 1, seen) for item in inner)


def check(error: BaseException) -> None:
    for one in chain(error):
        assert isinstance(one, KognitosError), f"{one!r} is chained"
        assert not leaks([str(one), repr(one), one.args, vars(one)])
        for frame, _ in traceback.walk_tb(one.__traceback__):
            if frame.f_code.co_filename == __file__:
                continue  # A test knows the key.
            for name, value in frame.f_locals.items():
                assert KEY not in repr(value), f"{name} of {frame.f_code.co_name}"
                assert not isinstance(value, requests.PreparedRequest | requests.Response)


def start(client: KognitosClient) -> Any:
    return client.start_run(process_id=PROCESS, agent_id=AGENT, name="x", inputs={"a": 1})


def upload(client: KognitosClient) -> Any:
    return client.upload_file(io.BytesIO(b"content"), agent_id=AGENT, file_name="x")


CALLS: list[Callable[[KognitosClient], Any]] = [
    lambda client: client.health(),
    lambda client: client.get_run("run-1"),
    lambda client: client.create_upload("x", AGENT),
    start,
    upload,
]
ANSWERS = [Drop(), Drop(reset=True), Garbage(), Reply(201, "{}", cut=1), Reply(302, "", {"Location": f"/?{KEY}"})]
ANSWERS += [Reply(status, ECHO) for status in (200, 400, 401, 403, 404, 422, 429, 500, 503)]
ANSWERS += [Reply(status, f"<html>{KEY}</html>") for status in (200, 400, 403, 502)]


@pytest.fixture(autouse=True)
def logs(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    caplog.set_level(logging.DEBUG)
    yield
    assert KEY not in caplog.text
    for record in caplog.records:
        assert not leaks([record.msg, record.args])


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(
    "answer", ANSWERS, ids=lambda answer: f"{type(answer).__name__}{getattr(answer, 'status', '')}"
)
def test_no_error_holds_the_key(connect: Connect, service: Service, call: Any, answer: Any) -> None:
    service.otherwise = lambda _: answer
    with pytest.raises(KognitosError) as caught:
        call(connect(attempts=2))
    assert service.seen[0].headers["x-api-key"] == KEY
    check(caught.value)


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("url", ["http://127.0.0.1:{port}", "https://no-such-host.invalid", "https://127.0.0.1:{http}"])
def test_no_error_of_a_connection_holds_the_key(connect: Connect, service: Service, call: Any, url: str) -> None:
    with pytest.raises(KognitosError) as caught:
        call(connect(url.format(port=free_port(), http=service.port), attempts=2))
    check(caught.value)


@pytest.mark.parametrize("call", CALLS)
def test_no_error_of_tls_or_of_a_time_out_holds_the_key(
    connect: Connect, service: Service, tls: tuple[Path, ssl.SSLContext], call: Any
) -> None:
    with serving(tls[1]) as secure, pytest.raises(KognitosError) as caught:
        call(connect(secure.url, attempts=1))
    check(caught.value)
    service.otherwise = lambda _: Reply(wait=0.3)
    with pytest.raises(KognitosError) as caught:
        call(connect(attempts=1, timeout=0.05))
    check(caught.value)
    with pytest.raises(KognitosError) as caught:
        call(connect("https://127.0.0.1:1", verify="/no/bundle"))
    check(caught.value)


def test_the_storage_never_gets_it(connect: Connect, service: Service) -> None:
    with serving() as storage:
        target = {"id": "f", "upload_url": storage.url, "upload_fields": {"key": "k", "policy": "the-policy-text"}}
        service.otherwise = lambda _: Reply(201, target)
        storage.otherwise = lambda _: Reply(
            500, f"<Error><Code>Bad</Code><Message>the-policy-text {KEY}</Message></Error>"
        )
        with pytest.raises(KognitosError) as caught:
            upload(connect(attempts=2))
        for seen in storage.seen:
            assert KEY not in repr(seen)
    assert "the-policy-text" not in str(caught.value)


def test_the_check_itself_finds_a_key() -> None:
    for error in (KognitosError(KEY), KognitosError(requests.Request(headers={"x-api-key": KEY}).prepare)):
        error.request = {"headers": [KEY]}  # type: ignore[attr-defined]
        with pytest.raises(AssertionError):
            check(error)
    hidden = KognitosError("x")
    hidden.__context__ = requests.ConnectionError("y")
    with pytest.raises(AssertionError, match="chained"):
        check(hidden)
