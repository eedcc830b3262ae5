"""A ``multipart/form-data`` body of known length that is read from a file as it is sent."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from typing import Any

from airflow_provider_kognitos.api.source import Source, unreadable
from airflow_provider_kognitos.exceptions import KognitosUploadError

#: Bytes read at once. Bigger blocks save no more time, and each must pass within the connection's time-out.
BLOCK = 256 * 1024


class FormBody:
    """
    All fields, then the file under ``file``: the storage ignores what comes after it.

    An iterable with a length, which requests sends block by block under a ``Content-Length``, never chunked
    (the storage takes no chunked form).

    :param fields: the form's fields.
    :param source: where the bytes come from, and how many they are.
    :param file: the source, open at its beginning.
    :param file_name: the file's name in the form.
    """

    def __init__(self, fields: Mapping[str, str], source: Source, file: Any, file_name: str) -> None:
        boundary = uuid.uuid4().hex
        parts = [
            f'--{boundary}\r\nContent-Disposition: form-data; name="{_quoted(name)}"\r\n\r\n{value}\r\n'
            for name, value in fields.items()
        ]
        kind = fields.get("Content-Type", "")
        if not kind.isascii() or not kind.isprintable() or not kind:
            kind = "application/octet-stream"
        parts.append(
            f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{_quoted(file_name)}"\r\n'
            f"Content-Type: {kind}\r\n\r\n"
        )
        self.content_type = f"multipart/form-data; boundary={boundary}"
        self._head = "".join(parts).encode()
        self._tail = f"\r\n--{boundary}--\r\n".encode()
        self._source = source
        self._file = file

    def __len__(self) -> int:
        return len(self._head) + self._source.size + len(self._tail)

    def __iter__(self) -> Iterator[bytes]:
        """
        Yield the body in blocks.

        :raises KognitosUploadError: the file cannot be read, or is not as long as it was.
        """
        yield self._head
        left = self._source.size
        while left:
            block = self._read(min(left, BLOCK))
            if not block:
                raise self._changed("shorter")
            left -= len(block)
            yield block
        # Before the end of the form is sent, so that the storage does not take a part for the whole.
        if self._read(1):
            raise self._changed("longer")
        yield self._tail

    def _read(self, amount: int) -> bytes:
        try:
            block: bytes = self._file.read(amount)
        except Exception as error:
            # Told apart from an error of the connection, which another try can heal.
            raise unreadable(self._source.shown, error) from error
        return block

    def _changed(self, how: str) -> KognitosUploadError:
        return KognitosUploadError(
            f"{self._source.shown} became {how} than its {self._source.size:,} bytes while it was uploaded. "
            "Upload it again when nobody writes to it."
        )


def _quoted(name: str) -> str:
    """Escape a name as browsers do in a form: UTF-8 as it is, only quotes and line breaks percent-encoded."""
    return name.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")
