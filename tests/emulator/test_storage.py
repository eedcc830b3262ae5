"""The upload storage: what it takes, what it refuses, and in which words."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests

from airflow_provider_kognitos.emulator.server import RunningEmulator

from ..contract import FACTS
from .conftest import AGENT, KEY, Ask, Clock, until

BOUNDARY = "a-boundary"


def target(ask: Ask, file_name: str = "test-file.pdf") -> dict[str, Any]:
    response = ask("POST", "/v2/files", json={"agent_id": AGENT, "file_name": file_name})
    assert response.status_code == 201
    body: dict[str, Any] = response.json()
    return body


def form(parts: list[tuple[str, bytes]]) -> bytes:
    """Return form data; a part named ``file`` gets a file's name."""
    lines = []
    for name, content in parts:
        more = '; filename="a.pdf"\r\nContent-Type: application/pdf' if name == "file" else ""
        head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"{more}\r\n\r\n'
        lines.append(head.encode() + content + b"\r\n")
    return b"".join(lines) + f"--{BOUNDARY}--\r\n".encode()


def parts_of(fields: dict[str, str], content: bytes = b"content", file: str = "file") -> list[tuple[str, bytes]]:
    return [*((name, value.encode()) for name, value in fields.items()), (file, content)]


def post(url: str, body: Any, **headers: str) -> requests.Response:
    kind = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
    return requests.post(url, data=body, headers={**kind, **headers}, timeout=60)


def is_refusal(response: requests.Response, status: int, code: str) -> None:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/xml"
    assert f"<Code>{code}</Code>" in response.text


@pytest.fixture
def wanted(ask: Ask) -> dict[str, Any]:
    return target(ask)


def test_upload(ask: Ask, emulator: RunningEmulator, wanted: dict[str, Any]) -> None:
    content = bytes(range(256)) * 3000 + b"\r\n--a-boundar"
    response = post(wanted["upload_url"], form(parts_of(wanted["upload_fields"], content)))
    assert (response.status_code, response.content) == (FACTS["upload"]["done"]["value"], b"")
    (file,) = emulator.control.uploads()
    assert (file["id"], file["file_name"]) == (wanted["id"], "test-file.pdf")
    assert (file["bytes"], file["sha256"]) == (len(content), hashlib.sha256(content).hexdigest())
    assert ask.start(file_ids=[wanted["id"]])["file_ids"] == [wanted["id"]]
    assert emulator.control.stats()["key_leaks"] == 0


def test_empty_file(emulator: RunningEmulator, wanted: dict[str, Any]) -> None:
    assert post(wanted["upload_url"], form(parts_of(wanted["upload_fields"], b""))).status_code == 204
    assert emulator.control.uploads()[0]["bytes"] == 0


def test_a_file_is_pending_until_its_bytes_arrive(emulator: RunningEmulator, wanted: dict[str, Any]) -> None:
    assert emulator.control.uploads()[0]["bytes"] is None
    assert emulator.control.stats()["uploads"] == 0


@pytest.mark.parametrize(
    ("given", "stored", "kind"),
    [
        ("a.pdf", "a.pdf", "application/pdf"),
        ('März "1".csv', "M_rz_1_.csv", "text/csv"),
        ("../../etc/passwd", ".._.._etc_passwd", "application/octet-stream"),
        ("\u00e4", "_", "application/octet-stream"),
    ],
)
def test_names(ask: Ask, given: str, stored: str, kind: str) -> None:
    body = target(ask, given)
    assert (body["file_name"], body["upload_fields"]["Content-Type"]) == (stored, kind)


def test_forms_of_ids(ask: Ask, emulator: RunningEmulator) -> None:
    assert len(target(ask)["id"]) == 25
    emulator.control.play({"habits": {"file_ids": "s3"}})
    assert target(ask)["id"].startswith("s3://")


@pytest.mark.parametrize(
    "name", ["AWSAccessKeyId", "policy", "signature", "key", "Content-Type", "x-amz-security-token"]
)
@pytest.mark.parametrize("value", ["other", "\u00e9", None])
def test_field_that_is_not_as_given(
    emulator: RunningEmulator, wanted: dict[str, Any], name: str, value: str | None
) -> None:
    fields = {key: field for key, field in wanted["upload_fields"].items() if key != name}
    if value is not None:
        fields[name] = value
    code = {"AWSAccessKeyId": "InvalidAccessKeyId", "policy": "SignatureDoesNotMatch"}
    code["signature"] = code["policy"]
    is_refusal(post(wanted["upload_url"], form(parts_of(fields))), 403, code.get(name, "AccessDenied"))
    assert emulator.control.uploads()[0]["bytes"] is None


def test_policy_of_ones_own_making(wanted: dict[str, Any]) -> None:
    fields = dict(wanted["upload_fields"])
    policy = json.loads(base64.b64decode(fields["policy"]))
    policy["expiration"] = "2999-01-01T00:00:00Z"
    fields["policy"] = base64.b64encode(json.dumps(policy).encode()).decode()
    fields["signature"] = base64.b64encode(hmac.digest(b"guess", fields["policy"].encode(), "sha1")).decode()
    is_refusal(post(wanted["upload_url"], form(parts_of(fields))), 403, "SignatureDoesNotMatch")


def test_fields_of_another_file(ask: Ask, wanted: dict[str, Any]) -> None:
    other = target(ask)["upload_fields"]
    fields = {**wanted["upload_fields"], "policy": other["policy"], "signature": other["signature"]}
    is_refusal(post(wanted["upload_url"], form(parts_of(fields))), 403, "AccessDenied")


def test_field_that_the_policy_does_not_know(wanted: dict[str, Any]) -> None:
    fields = {**wanted["upload_fields"], "acl": "public-read"}
    is_refusal(post(wanted["upload_url"], form(parts_of(fields))), 403, "AccessDenied")


def test_other_bucket(wanted: dict[str, Any]) -> None:
    is_refusal(post(f"{wanted['upload_url']}2", form(parts_of(wanted["upload_fields"]))), 403, "AccessDenied")


def test_policy_expires(wanted: dict[str, Any], clock: Clock) -> None:
    body = form(parts_of(wanted["upload_fields"]))
    clock.forward(FACTS["limits"]["upload_seconds"]["value"])
    assert post(wanted["upload_url"], body).status_code == 204
    clock.forward(0.1)
    response = post(wanted["upload_url"], body)
    is_refusal(response, 403, "AccessDenied")
    assert "Policy expired" in response.text


@pytest.mark.parametrize(("size", "status"), [(1000, 204), (1001, 400), (20_000_000, 400)])
def test_size(ask: Ask, emulator: RunningEmulator, size: int, status: int) -> None:
    emulator.control.play({"uploads": {"max_bytes": 1000}})
    wanted = target(ask)
    response = post(wanted["upload_url"], form(parts_of(wanted["upload_fields"], b"x" * size)))
    assert response.status_code == status
    if status == 400:
        is_refusal(response, 400, "EntityTooLarge")
        assert emulator.control.uploads()[0]["bytes"] is None


def test_chunked_body(emulator: RunningEmulator, wanted: dict[str, Any]) -> None:
    body = form(parts_of(wanted["upload_fields"], b"x" * 5_000_000))
    response = post(wanted["upload_url"], (body[start : start + 70_000] for start in range(0, len(body), 70_000)))
    is_refusal(response, 411, "MissingContentLength")
    assert emulator.control.uploads()[0]["bytes"] is None


@pytest.mark.parametrize("name", ["File", "data", "files[]"])
def test_file_under_another_name(wanted: dict[str, Any], name: str) -> None:
    url, fields = wanted["upload_url"], wanted["upload_fields"]
    is_refusal(post(url, form(parts_of(fields, file=name))), 400, "InvalidArgument")
    too_much = form(parts_of(fields, b"x" * 1_000_000, file=name))
    is_refusal(post(url, too_much), 400, "MaxPostPreDataLengthExceeded")


def test_no_file(wanted: dict[str, Any]) -> None:
    is_refusal(post(wanted["upload_url"], form(parts_of(wanted["upload_fields"])[:-1])), 400, "InvalidArgument")


def test_form_without_an_end(emulator: RunningEmulator, wanted: dict[str, Any]) -> None:
    body = form(parts_of(wanted["upload_fields"]))
    is_refusal(post(wanted["upload_url"], body[:-20]), 400, "InvalidArgument")
    assert emulator.control.uploads()[0]["bytes"] is None


def test_fields_after_the_file_are_ignored(emulator: RunningEmulator, wanted: dict[str, Any]) -> None:
    parts = parts_of(wanted["upload_fields"])
    harmless = [*parts, ("key", b"other"), ("file", b"another"), ("acl", b"x")]
    assert post(wanted["upload_url"], form(harmless)).status_code == 204
    assert emulator.control.uploads()[0]["bytes"] == len(b"content")
    is_refusal(post(wanted["upload_url"], form([parts[-1], *parts[:-1]])), 403, "InvalidAccessKeyId")


def test_api_key(emulator: RunningEmulator, wanted: dict[str, Any]) -> None:
    body = form(parts_of(wanted["upload_fields"]))
    is_refusal(post(wanted["upload_url"], body, **{"x-api-key": KEY}), 400, "InvalidArgument")
    assert emulator.control.stats()["key_leaks"] == 1
    assert emulator.control.uploads()[0]["bytes"] is None
    emulator.control.reset()
    assert emulator.control.stats()["key_leaks"] == 0


@pytest.mark.parametrize("kind", ["application/octet-stream", "multipart/form-data", "multipart/mixed; boundary=a", ""])
def test_body_that_is_no_form(wanted: dict[str, Any], kind: str) -> None:
    is_refusal(post(wanted["upload_url"], b"content", **{"Content-Type": kind}), 412, "PreconditionFailed")


@pytest.mark.parametrize(
    "body",
    [
        b"garbage",
        f"--{BOUNDARY}\r\nbad header\r\n\r\n".encode(),
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="key"\r\n\r\n\xff\r\n--{BOUNDARY}--'.encode("latin-1"),
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="\xff"\r\n\r\na\r\n--{BOUNDARY}--'.encode("latin-1"),
    ],
)
def test_malformed_form(wanted: dict[str, Any], body: bytes) -> None:
    is_refusal(post(wanted["upload_url"], body), 400, "MalformedPOSTRequest")


@pytest.mark.parametrize("key", [None, KEY])
def test_who_leaves_in_the_middle(
    ask: Ask, emulator: RunningEmulator, wanted: dict[str, Any], key: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    body = form(parts_of(wanted["upload_fields"], b"x" * 100_000))
    head = [
        f"POST {urlsplit(wanted['upload_url']).path} HTTP/1.1",
        "Host: localhost",
        f"Content-Type: multipart/form-data; boundary={BOUNDARY}",
        f"Content-Length: {len(body)}",
        *([f"x-api-key: {key}"] if key else []),
    ]
    with pytest.raises(TimeoutError):
        ask.raw("\r\n".join([*head, "", ""]).encode() + body[:50_000], timeout=0.1)
    until(lambda: emulator.control.stats()["connections"]["open"] <= 2)
    assert emulator.control.uploads()[0]["bytes"] is None
    assert not [record for record in caplog.records if record.levelname == "ERROR"]
