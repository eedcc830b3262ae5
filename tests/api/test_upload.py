"""Files on their way to the storage."""

from __future__ import annotations

import gzip
import io
import os
import socket
import ssl
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import ObjectStoragePath

from airflow_provider_kognitos.api.client import KognitosClient
from airflow_provider_kognitos.api.source import MAX_SIZE, find_source
from airflow_provider_kognitos.exceptions import (
    KognitosConfigError,
    KognitosNotFoundError,
    KognitosServerError,
    KognitosUploadError,
)

from .service import AGENT, KEY, Drop, Reply, Service, free_port, serving
from .test_multipart import parse

Connect = Callable[..., KognitosClient]
FIELDS = {
    "key": "path/to/file.pdf",
    "AWSAccessKeyId": "AKIAIOSFODNN7EXAMPLE",
    "x-amz-security-token": "the-session-token",
    "policy": "the-policy-in-base64",
    "signature": "the-signature",
    "Content-Type": "application/pdf",
}
GONE = '<?xml version="1.0"?><Error><Code>{code}</Code><Message>{message}</Message><Policy>p</Policy></Error>'


@pytest.fixture
def storage() -> Iterator[Service]:
    with serving() as storage:
        storage.otherwise = lambda _: Reply(204, "")
        yield storage


@pytest.fixture
def targets(service: Service, storage: Service) -> dict[str, Any]:
    """What the service answers to a request for a target; each has an id of its own."""
    target: dict[str, Any] = {
        "file_name": "document.pdf",
        "upload_url": f"{storage.url}/bucket?X-Signed=the-signed-query",
        "upload_http_method": "POST",
        "upload_http_headers": {},
        "upload_fields": FIELDS,
    }
    service.otherwise = lambda _: Reply(201, {**target, "id": f"file-{len(service.seen)}"})
    return target


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "invoice.pdf"
    path.write_bytes(b"%PDF-1.7\r\n\x00\xff" * 100)
    return path


def uploaded(seen: Any) -> bytes:
    return parse(seen.body, seen.headers["Content-Type"])[-1][2]


pytestmark = pytest.mark.usefixtures("targets")


def test_upload(client: KognitosClient, service: Service, storage: Service, file: Path) -> None:
    assert client.upload_file(str(file), agent_id=AGENT) == "file-1"
    assert service.seen[0].json == {"file_name": "invoice.pdf", "agent_id": AGENT}
    (seen,) = storage.seen
    assert (seen.method, seen.target) == ("POST", "/bucket?X-Signed=the-signed-query")
    assert int(seen.headers["Content-Length"]) == len(seen.body)
    assert "Transfer-Encoding" not in seen.headers
    assert not {"x-api-key", "authorization", "cookie"} & {name.lower() for name in seen.headers}
    assert KEY.encode() not in seen.body
    parts = parse(seen.body, seen.headers["Content-Type"])
    assert [part[0] for part in parts[:-1]] == [f'form-data; name="{name}"'.encode() for name in FIELDS]
    assert [part[2].decode() for part in parts[:-1]] == list(FIELDS.values())
    assert parts[-1] == (
        b'form-data; name="file"; filename="invoice.pdf"',
        {b"Content-Type": b"application/pdf"},
        file.read_bytes(),
    )


class Elsewhere(os.PathLike[str]):
    def __init__(self, path: Path) -> None:
        self.path = path

    def __fspath__(self) -> str:
        return str(self.path)


@pytest.mark.parametrize(
    "source",
    [
        str,
        Path,
        Elsewhere,
        lambda path: f"file://{path}",
        lambda path: ObjectStoragePath(f"file://{path}"),
        lambda path: path.open("rb"),
        lambda path: os.fdopen(os.open(path, os.O_RDONLY), "rb", buffering=0),
    ],
)
def test_sources(client: KognitosClient, storage: Service, file: Path, source: Callable[[Path], Any]) -> None:
    given = source(file)
    client.upload_file(given, agent_id=AGENT, file_name="named.pdf")
    assert uploaded(storage.seen[0]) == file.read_bytes()
    assert b'filename="named.pdf"' in storage.seen[0].body
    if hasattr(given, "close"):
        assert not given.closed
        given.close()


@pytest.mark.parametrize("source", [lambda path: f"file://{path}", Path, lambda path: path.open("rb")])
def test_the_name_is_the_last_part_of_the_path(
    client: KognitosClient, service: Service, file: Path, source: Callable[[Path], Any]
) -> None:
    given = source(file)
    client.upload_file(given, agent_id=AGENT)
    assert service.seen[0].json["file_name"] == "invoice.pdf"
    if hasattr(given, "close"):
        given.close()


def test_an_open_file_is_read_from_where_it_stands(client: KognitosClient, storage: Service) -> None:
    file = io.BytesIO(b"0123456789")
    file.seek(4)
    client.upload_file(file, agent_id=AGENT, file_name="x")
    assert uploaded(storage.seen[0]) == b"456789"
    assert not file.closed


def test_open_files_of_other_kinds(client: KognitosClient, storage: Service, tmp_path: Path) -> None:
    packed = tmp_path / "a.gz"
    packed.write_bytes(gzip.compress(b"unpacked" * 100))
    with gzip.open(packed) as file:
        client.upload_file(file, agent_id=AGENT, file_name="x")
    with tempfile.SpooledTemporaryFile() as spooled:
        spooled.write(b"spooled")
        spooled.seek(0)
        client.upload_file(spooled, agent_id=AGENT, file_name="x")
    assert [uploaded(seen) for seen in storage.seen] == [b"unpacked" * 100, b"spooled"]


def sparse(folder: Path, size: int) -> Path:
    path = folder / "big.bin"
    with path.open("wb") as file:
        file.truncate(size)
    return path


def fifo(folder: Path) -> Path:
    os.mkfifo(folder / "fifo")
    return folder / "fifo"


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (lambda folder: folder / "none.pdf", "does not exist"),
        (lambda folder: f"file://{folder}/none.pdf", "does not exist"),
        (lambda folder: folder, "not a file"),
        (lambda folder: f"file://{folder}", "not a file"),
        (fifo, "not a file"),
        (lambda folder: sparse(folder, 0), "is empty"),
        (lambda folder: sparse(folder, MAX_SIZE + 1), "1 GB"),
        (lambda folder: "", "is empty"),
        (lambda folder: "nope://bucket/key", r"nope.*provider package of its scheme"),
        (lambda folder: "a\0b", "cannot be read"),
        (lambda folder: 5, "not int"),
        (lambda folder: b"bytes", "not bytes"),
        (lambda folder: io.BytesIO(b""), "is empty"),
        (lambda folder: io.StringIO("text"), "open as text"),
    ],
)
def test_refused_before_anything_is_sent(
    client: KognitosClient, service: Service, tmp_path: Path, source: Callable[[Path], Any], words: str
) -> None:
    with pytest.raises(KognitosUploadError, match=words):
        client.upload_file(source(tmp_path), agent_id=AGENT)
    assert service.seen == []


def test_the_biggest_file_is_allowed(tmp_path: Path) -> None:
    assert find_source(sparse(tmp_path, MAX_SIZE)).size == 1024**3


def test_open_files_that_will_not_do(client: KognitosClient, service: Service, file: Path) -> None:
    with file.open("rb") as read:
        read.read()
        with pytest.raises(KognitosUploadError, match="read to its end"):
            client.upload_file(read, agent_id=AGENT)
    with file.open(errors="replace") as text, pytest.raises(KognitosUploadError, match="'rb'"):
        client.upload_file(text, agent_id=AGENT)
    with pytest.raises(KognitosUploadError, match="cannot be read"):
        client.upload_file(read, agent_id=AGENT)
    with pytest.raises(KognitosConfigError, match="file_name"):
        client.upload_file(io.BytesIO(b"no name"), agent_id=AGENT)
    out, into = os.pipe()
    with open(out, "rb") as pipe, open(into, "wb"), pytest.raises(KognitosUploadError, match="pipe"):
        client.upload_file(pipe, agent_id=AGENT, file_name="x")
    assert service.seen == []


def test_a_file_that_may_not_be_opened(client: KognitosClient, service: Service, tmp_path: Path) -> None:
    class Locked(type(tmp_path)):  # type: ignore[misc]  # root may open anything
        def open(self, *_: Any, **__: Any) -> Any:
            raise PermissionError(13, "Permission denied")

    (tmp_path / "x").write_bytes(b"x")
    with pytest.raises(KognitosUploadError, match="Permission denied"):
        client.upload_file(Locked(tmp_path / "x"), agent_id=AGENT)
    assert service.seen == []


def test_a_file_that_goes_before_it_is_sent(client: KognitosClient, service: Service, file: Path) -> None:
    target = service.otherwise

    def remove(seen: Any) -> Any:
        file.unlink()
        return target(seen)

    service.otherwise = remove
    with pytest.raises(KognitosUploadError, match="cannot be read: FileNotFoundError"):
        client.upload_file(file, agent_id=AGENT)


class OneWay(io.RawIOBase):
    """A regular file behind a stream that cannot be wound back."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb")

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        return self._file.read(size)

    def fileno(self) -> int:
        return self._file.fileno()

    def close(self) -> None:
        self._file.close()
        super().close()


def test_a_stream_of_known_size_is_sent_once(client: KognitosClient, storage: Service, file: Path) -> None:
    with OneWay(file) as stream:
        assert client.upload_file(stream, agent_id=AGENT, file_name="x") == "file-1"
    assert uploaded(storage.seen[0]) == file.read_bytes()
    storage.replies.append(Reply(500, ""))
    with OneWay(file) as stream, pytest.raises(KognitosUploadError, match="500"):
        client.upload_file(stream, agent_id=AGENT, file_name="x")
    assert len(storage.seen) == 2


@pytest.mark.parametrize(("change", "how"), [(-1, "shorter"), (+1, "longer")])
def test_a_file_that_changes_meanwhile(
    client: KognitosClient, service: Service, storage: Service, file: Path, change: int, how: str
) -> None:
    target = service.otherwise

    def resize(seen: Any) -> Any:
        os.truncate(file, file.stat().st_size + change)
        return target(seen)

    service.otherwise = resize
    with pytest.raises(KognitosUploadError, match=how):
        client.upload_file(file, agent_id=AGENT)
    assert len(service.seen) == 1
    assert all(seen.body == b"" or int(seen.headers["Content-Length"]) > len(seen.body) for seen in storage.seen)


@pytest.mark.parametrize(
    "first",
    [
        Reply(403, GONE.format(code="AccessDenied", message="Invalid according to Policy: Policy expired.")),
        Reply(403, ""),
        Reply(500, GONE.format(code="InternalError", message="We encountered an internal error.")),
        Reply(503, GONE.format(code="SlowDown", message="Please reduce your request rate."), {"Retry-After": "3"}),
        Reply(400, GONE.format(code="RequestTimeout", message="Idle")),
        Reply(429, ""),
        Drop(),
        Drop(reset=True),
        Reply(200, "x" * 9, cut=3),
    ],
    ids=str,
)
@pytest.mark.parametrize("opened", [False, True])
def test_another_target_may_do(
    client: KognitosClient, service: Service, storage: Service, file: Path, first: Any, opened: bool, waits: list[float]
) -> None:
    storage.replies.append(first)
    with file.open("rb") as read:
        assert client.upload_file(read if opened else file, agent_id=AGENT) == "file-2"
    assert len(service.seen) == 2
    assert [uploaded(seen) for seen in storage.seen[-1:]] == [file.read_bytes()]
    assert len(waits) == 1
    if getattr(first, "headers", {}):
        assert waits == [3.0]


def test_nobody_listens_at_the_target(
    client: KognitosClient, service: Service, targets: dict[str, Any], file: Path
) -> None:
    targets["upload_url"] = f"http://127.0.0.1:{free_port()}/?the-signed-query"
    with pytest.raises(KognitosUploadError, match=r"127\.0\.0\.1: check that this machine may reach it") as caught:
        client.upload_file(file, agent_id=AGENT)
    assert "the-signed-query" not in str(caught.value)
    assert len(service.seen) == 3


def test_expired_again_and_again(client: KognitosClient, service: Service, storage: Service, file: Path) -> None:
    storage.otherwise = lambda _: Reply(403, GONE.format(code="AccessDenied", message="Policy Expired"))
    with pytest.raises(KognitosUploadError, match=r"403 .AccessDenied: Policy Expired.") as caught:
        client.upload_file(file, agent_id=AGENT)
    assert type(caught.value) is KognitosUploadError
    assert (len(service.seen), len(storage.seen)) == (3, 3)


def test_refused_by_the_policy(client: KognitosClient, storage: Service, file: Path) -> None:
    storage.otherwise = lambda _: Reply(403, GONE.format(code="AccessDenied", message="Policy Condition failed"))
    with pytest.raises(KognitosUploadError, match="Policy Condition failed"):
        client.upload_file(file, agent_id=AGENT)
    assert len(storage.seen) == 2


def test_one_attempt(connect: Connect, storage: Service, file: Path) -> None:
    storage.otherwise = lambda _: Reply(500, "")
    with pytest.raises(KognitosUploadError, match="no reason given"):
        connect(attempts=1).upload_file(file, agent_id=AGENT)
    assert len(storage.seen) == 1


def test_what_cannot_heal_is_not_tried_again(client: KognitosClient, storage: Service, file: Path) -> None:
    message = "Signed with the-signature over the-policy-in-base64 &amp; the-session-token by AKIAIOSFODNN7EXAMPLE"
    body = GONE.format(code="EntityTooLarge", message=message)
    storage.otherwise = lambda _: Reply(400, body)
    with pytest.raises(KognitosUploadError, match=r"400 .EntityTooLarge: Signed with .* over .* & ") as caught:
        client.upload_file(file, agent_id=AGENT)
    for secret in FIELDS.values():
        assert secret not in str(caught.value)
    assert len(storage.seen) == 1


@pytest.mark.parametrize("status", [301, 307])
def test_the_storage_redirects(client: KognitosClient, storage: Service, file: Path, status: int) -> None:
    with serving() as other:
        storage.otherwise = lambda _: Reply(status, "", {"Location": other.url})
        with pytest.raises(KognitosUploadError, match=str(status)):
            client.upload_file(file, agent_id=AGENT)
        assert other.seen == []


def test_a_method_that_is_not_known(
    client: KognitosClient, targets: dict[str, Any], storage: Service, file: Path
) -> None:
    targets["upload_http_method"] = "PUT"
    with pytest.raises(KognitosUploadError, match=r"'PUT'.*only POST"):
        client.upload_file(file, agent_id=AGENT)
    assert storage.seen == []


@pytest.mark.parametrize("url", ["no address", "ftp://host/", "http://[", "//x"])
def test_a_target_that_is_no_address(
    client: KognitosClient, service: Service, targets: dict[str, Any], file: Path, url: str
) -> None:
    targets["upload_url"] = url
    with pytest.raises(KognitosUploadError):
        client.upload_file(file, agent_id=AGENT)
    assert len(service.seen) == 1


def test_headers_of_the_target(client: KognitosClient, targets: dict[str, Any], storage: Service, file: Path) -> None:
    targets["upload_http_headers"] = {
        "x-amz-tagging": "a=b",
        "content-type": "text/plain",
        "Content-Length": "3",
        "X-API-Key": "echo",
    }
    client.upload_file(file, agent_id=AGENT)
    headers = storage.seen[0].headers
    assert headers["x-amz-tagging"] == "a=b"
    assert headers["Content-Type"].startswith("multipart/form-data; boundary=")
    assert "X-API-Key" not in headers
    assert uploaded(storage.seen[0]) == file.read_bytes()


def test_errors_of_the_service_are_its_own(client: KognitosClient, service: Service, file: Path) -> None:
    service.otherwise = lambda _: Reply(404, {"message": "The specified agent was not found"})
    with pytest.raises(KognitosNotFoundError):
        client.upload_file(file, agent_id=AGENT)
    service.otherwise = lambda _: Reply(201, {"id": "x"})
    with pytest.raises(KognitosServerError, match="no upload_url"):
        client.upload_file(file, agent_id=AGENT)


def test_netrc_is_never_used(
    client: KognitosClient, storage: Service, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "netrc").write_text("default login a password b\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    client.upload_file(file, agent_id=AGENT)
    assert "Authorization" not in storage.seen[0].headers


def test_proxy_and_certificates_as_for_the_service(
    tls: tuple[Path, ssl.SSLContext],
    connect: Connect,
    targets: dict[str, Any],
    file: Path,
    monkeypatch: pytest.MonkeyPatch,
    storage: Service,
) -> None:
    bundle, context = tls
    with serving(context) as storage_tls:
        storage_tls.otherwise = lambda _: Reply(204, "")
        targets["upload_url"] = storage_tls.url
        connect(verify=str(bundle)).upload_file(file, agent_id=AGENT)
        assert uploaded(storage_tls.seen[0]) == file.read_bytes()
        with pytest.raises(KognitosUploadError, match="certificate"):
            connect(attempts=1).upload_file(file, agent_id=AGENT)
    targets["upload_url"] = "http://storage.invalid/x"
    monkeypatch.setenv("http_proxy", storage.url)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    connect().upload_file(file, agent_id=AGENT)
    assert storage.seen[0].target == "http://storage.invalid/x"


def test_the_storage_refuses_before_it_has_read_all(
    client: KognitosClient, targets: dict[str, Any], tmp_path: Path
) -> None:
    """A verdict that comes early, with a closed connection, is still read where the system lets it through."""
    verdict = GONE.format(code="EntityTooLarge", message="Too big").encode()
    listener = socket.create_server(("127.0.0.1", 0))
    targets["upload_url"] = f"http://127.0.0.1:{listener.getsockname()[1]}/"

    def refuse() -> None:
        accepted, _ = listener.accept()
        with accepted:
            accepted.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: %d\r\n\r\n%b" % (len(verdict), verdict))
            accepted.shutdown(socket.SHUT_WR)
            while accepted.recv(1 << 20):
                pass

    thread = threading.Thread(target=refuse)
    thread.start()
    with listener, pytest.raises(KognitosUploadError, match="EntityTooLarge: Too big"):
        client.upload_file(sparse(tmp_path, 8 << 20), agent_id=AGENT)
    thread.join()
