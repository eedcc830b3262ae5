"""The upload storage: presigned form POSTs with a policy that is really signed and really checked."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import mimetypes
import re
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from fastapi import APIRouter, Request, Response
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect

from airflow_provider_kognitos.emulator.core import Emulator

BUCKET = "kognitos-emulator"
ACCESS_KEY = "ASIAEMULATOREXAMPLE"
MAX_FIELDS_BYTES = 20 * 1024
#: Fields that a policy need not name.
UNCHECKED = frozenset({"AWSAccessKeyId", "policy", "signature"})
router = APIRouter(include_in_schema=False)


class StorageRefusal(Exception):  # noqa: N818
    """An error of the storage, in its own words."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message


def new_target(service: Emulator, agent_id: str, file_name: str, base_url: str) -> dict[str, Any]:
    """Return where and how to upload a file, and expect it."""
    name = re.sub(r"[^A-Za-z0-9._-]+", "_", file_name)
    short, now = service.store.new_id(), service.clock()
    key = f"uploads/{agent_id}/{short}/{name}"
    file_id = short if service.scenario.habits.file_ids == "short" else f"s3://{BUCKET}/{key}"
    content_type = mimetypes.guess_type(name)[0] or "application/octet-stream"
    token = f"emulator-session-{short}"
    expires = datetime.fromtimestamp(now + service.scenario.uploads.valid_for, UTC)
    policy = {
        "expiration": expires.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "conditions": [
            {"bucket": BUCKET},
            {"key": key},
            {"Content-Type": content_type},
            {"x-amz-security-token": token},
            ["content-length-range", 0, service.scenario.uploads.max_bytes],
        ],
    }
    encoded = base64.b64encode(json.dumps(policy).encode()).decode()
    service.store.add_file(id=file_id, agent_id=agent_id, file_name=name, key=key, created_at=now)
    return {
        "id": file_id,
        "file_name": name,
        "upload_url": f"{base_url.rstrip('/')}/storage/{BUCKET}",
        "upload_http_method": "POST",
        "upload_http_headers": {},
        "upload_fields": {
            "key": key,
            "AWSAccessKeyId": ACCESS_KEY,
            "x-amz-security-token": token,
            "policy": encoded,
            "signature": _signature(service, encoded),
            "Content-Type": content_type,
        },
    }


@router.post("/storage/{bucket}")
async def upload(request: Request, bucket: str) -> Response:
    """Take a file."""
    service: Emulator = request.app.state.emulator
    chunks = request.stream()
    try:
        await _take(service, request, chunks, bucket)
    except ClientDisconnect:
        # Nobody is there to read the answer.
        return Response(status_code=400)
    except StorageRefusal as refusal:
        with suppress(ClientDisconnect):
            # Who is still sending would meet a broken connection instead of the answer.
            async for _ in chunks:
                pass
        body = (
            '<?xml version="1.0" encoding="UTF-8"?>\n'
            f"<Error><Code>{refusal.code}</Code><Message>{refusal.message}</Message></Error>"
        )
        return Response(body, refusal.status, {"Connection": "close"}, media_type="application/xml")
    return Response(status_code=204)


async def _take(service: Emulator, request: Request, chunks: AsyncIterator[bytes], bucket: str) -> None:
    if "x-api-key" in request.headers:
        service.leaks += 1
        raise StorageRefusal(400, "InvalidArgument", "The API key was sent to the storage")
    if "content-length" not in request.headers:
        raise StorageRefusal(411, "MissingContentLength", "You must provide the Content-Length HTTP header.")
    kind, options = parse_options_header(request.headers.get("content-type"))
    if kind != b"multipart/form-data" or b"boundary" not in options:
        raise StorageRefusal(412, "PreconditionFailed", "Bucket POST must be of the enclosure-type multipart/form-data")
    form = _Form(options[b"boundary"])
    async for chunk in chunks:
        try:
            form.write(chunk)
        except (FormParserError, UnicodeDecodeError) as error:
            raise StorageRefusal(400, "MalformedPOSTRequest", "The body is not well-formed form data.") from error
        if form.fields_bytes > MAX_FIELDS_BYTES:
            raise StorageRefusal(400, "MaxPostPreDataLengthExceeded", "Too much comes before the field 'file'.")
        if form.reads_file and not form.checked:
            _check(service, bucket, form.fields)
            form.checked = True
        if form.size > service.scenario.uploads.max_bytes:
            raise StorageRefusal(400, "EntityTooLarge", "Your proposed upload exceeds the maximum allowed size")
    if not form.has_file:
        raise StorageRefusal(400, "InvalidArgument", "POST requires exactly one file upload per request.")
    if not form.checked:
        _check(service, bucket, form.fields)
    service.store.uploaded(form.fields["key"], form.size, form.digest.hexdigest())


def _check(service: Emulator, bucket: str, fields: dict[str, str]) -> None:
    policy = fields.get("policy", "")
    if fields.get("AWSAccessKeyId") != ACCESS_KEY:
        raise StorageRefusal(403, "InvalidAccessKeyId", "The AWS Access Key Id you provided does not exist.")
    if not hmac.compare_digest(fields.get("signature", "").encode(), _signature(service, policy).encode()):
        raise StorageRefusal(403, "SignatureDoesNotMatch", "The request signature we calculated does not match.")
    read = json.loads(base64.b64decode(policy))
    if datetime.fromisoformat(read["expiration"]).timestamp() < service.clock():
        raise StorageRefusal(403, "AccessDenied", "Invalid according to Policy: Policy expired.")
    wanted = {name: value for item in read["conditions"] if isinstance(item, dict) for name, value in item.items()}
    for name, value in wanted.items():
        if (bucket if name == "bucket" else fields.get(name)) != value:
            raise StorageRefusal(403, "AccessDenied", f"Invalid according to Policy: Policy Condition failed: {name}")
    for name in fields.keys() - wanted.keys() - UNCHECKED:
        raise StorageRefusal(403, "AccessDenied", f"Invalid according to Policy: Extra input fields: {name}")


def _signature(service: Emulator, policy: str) -> str:
    # The signature of version 2, which the documented names of the form fields belong to.
    digest = hmac.new(service.store.secret.encode(), policy.encode(), hashlib.sha1).digest()
    return base64.b64encode(digest).decode()


class _Form:
    """Reads a form as it comes; keeps its fields, and of the file its size and digest only."""

    def __init__(self, boundary: bytes) -> None:
        self.fields: dict[str, str] = {}
        self.fields_bytes = 0
        self.size = 0
        self.digest = hashlib.sha256()
        self.has_file = False
        self.checked = False
        self._name = ""
        self._header = self._value = b""
        self._data = bytearray()
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin,
                "on_header_field": self._header_name,
                "on_header_value": self._header_value,
                "on_header_end": self._header_end,
                "on_part_data": self._part_data,
                "on_part_end": self._end,
            },
        )

    @property
    def reads_file(self) -> bool:
        return self._name == "file"

    def write(self, chunk: bytes) -> None:
        self._parser.write(chunk)

    def _begin(self) -> None:
        self._name = ""
        self._header = self._value = b""
        self._data = bytearray()

    def _header_name(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _header_end(self) -> None:
        if self._header.lower() == b"content-disposition":
            self._name = parse_options_header(self._value)[1].get(b"name", b"").decode()
        self._header = self._value = b""

    def _part_data(self, data: bytes, start: int, end: int) -> None:
        if self.has_file:
            # What comes after the file is ignored.
            return
        if self.reads_file:
            self.size += end - start
            self.digest.update(memoryview(data)[start:end])
        else:
            self.fields_bytes += end - start
            if self.fields_bytes <= MAX_FIELDS_BYTES:
                self._data += data[start:end]

    def _end(self) -> None:
        if self.reads_file:
            self.has_file = True
        elif not self.has_file:
            self.fields[self._name] = self._data.decode()
