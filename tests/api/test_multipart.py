"""The bytes of an upload form."""

from __future__ import annotations

import io
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_kognitos.api.multipart import BLOCK, FormBody
from airflow_provider_kognitos.api.source import Source
from airflow_provider_kognitos.exceptions import KognitosUploadError

NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)


def form(fields: dict[str, str], content: bytes, name: str = "a.pdf", size: int | None = None) -> FormBody:
    file = io.BytesIO(content)
    return FormBody(fields, Source(file, "it", name, len(content) if size is None else size, 0), file, name)


def parse(body: bytes, content_type: str) -> list[tuple[bytes, dict[bytes, bytes], bytes]]:
    """Return disposition, further headers and content of each part, read strictly."""
    kind, _, boundary = content_type.partition("; boundary=")
    assert kind == "multipart/form-data"
    delimiter = b"--" + boundary.encode()
    first, *parts, last = (b"\r\n" + body).split(b"\r\n" + delimiter)
    assert (first, last) == (b"", b"--\r\n")
    read = []
    for part in parts:
        assert part.startswith(b"\r\n")
        head, _, content = part[2:].partition(b"\r\n\r\n")
        headers = dict(line.split(b": ", 1) for line in head.split(b"\r\n"))
        read.append((headers.pop(b"Content-Disposition"), headers, content))
    return read


def unquoted(name: bytes) -> str:
    return name.decode().replace("%22", '"').replace("%0D", "\r").replace("%0A", "\n")


@given(
    st.dictionaries(NAMES.filter(lambda name: "%" not in name), st.text(st.characters(exclude_categories=["Cs"]))),
    st.binary(max_size=2000),
    NAMES.filter(lambda name: "%" not in name),
)
def test_a_form_is_as_long_as_it_says_and_reads_back(fields: dict[str, str], content: bytes, name: str) -> None:
    body = form(fields, content, name)
    sent = b"".join(body)
    assert len(sent) == len(body)
    *read, (disposition, headers, file) = parse(sent, body.content_type)
    names = [unquoted(part[0].removeprefix(b'form-data; name="').removesuffix(b'"')) for part in read]
    assert dict(zip(names, [part[2].decode() for part in read], strict=True)) == fields
    assert names == list(fields)
    assert disposition.startswith(b'form-data; name="file"; filename="')
    assert unquoted(disposition.removeprefix(b'form-data; name="file"; filename="').removesuffix(b'"')) == name
    assert list(headers) == [b"Content-Type"]
    assert file == content


def test_a_name_of_any_script_and_with_quotes() -> None:
    body = form({}, b"x", 'Rechnung "März"\r\n請求書.pdf')
    assert 'filename="Rechnung %22März%22%0D%0A請求書.pdf"'.encode() in b"".join(body)


@pytest.mark.parametrize(
    ("kind", "sent"),
    [
        ("application/pdf", b"application/pdf"),
        ("", b"application/octet-stream"),
        ("a/b\r\nX: y", b"application/octet-stream"),
        ("ä/b", b"application/octet-stream"),
    ],
)
def test_the_type_of_the_file_is_that_of_the_fields(kind: str, sent: bytes) -> None:
    body = form({"Content-Type": kind}, b"x")
    assert parse(b"".join(body), body.content_type)[-1][1] == {b"Content-Type": sent}


def test_sent_in_blocks() -> None:
    content = bytes(range(256)) * 4096
    blocks = list(form({"a": "b"}, content))
    assert max(map(len, blocks)) == BLOCK
    assert b"".join(blocks[1:-1]) == content


@pytest.mark.parametrize(("size", "how"), [(5, "shorter"), (3, "longer")])
def test_a_file_that_changes_while_it_is_read(size: int, how: str) -> None:
    body = form({}, b"1234", size=size)
    sent = []
    with pytest.raises(KognitosUploadError, match=how):
        sent.extend(body)
    assert len(b"".join(sent)) < len(body)


def test_a_file_that_fails_while_it_is_read() -> None:
    class Broken(io.BytesIO):
        def read(self, *_: Any) -> bytes:
            raise OSError(5, "Input/output error")

    file = Broken(b"1234")
    with pytest.raises(KognitosUploadError, match=r"it cannot be read: OSError.*Input/output error"):
        list(FormBody({}, Source(file, "it", None, 4), file, "a"))
