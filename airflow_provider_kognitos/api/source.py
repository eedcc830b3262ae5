"""
Where the bytes of an upload come from.

The one module of this room that touches Airflow, and only for an object-store URL: its credentials are an
Airflow connection. Everything else is told by what it can do, so that no class of Airflow has to be loaded.
"""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Protocol, runtime_checkable

from airflow_provider_kognitos.exceptions import KognitosUploadError

#: The service documents "1 GB"; read as 1 GiB here so that no file is refused which it may accept.
MAX_SIZE = 1024**3


@runtime_checkable
class PathLike(Protocol):
    """What a source has that is a path of any kind: local, or ``ObjectStoragePath``."""

    @property
    def name(self) -> str:
        """Its last part."""

    def open(self, mode: str) -> Any:
        """Open it."""

    def stat(self) -> Any:
        """Look at it."""

    def is_file(self) -> bool:
        """Whether it is a file."""


AnySource = str | os.PathLike[str] | PathLike | IO[bytes]


@dataclass(frozen=True)
class Source:
    """
    A file to upload.

    :param shown: what messages call it.
    :param file_name: the last part of its path, if it has one.
    :param size: bytes.
    :param again: whether it can be read more than once.
    """

    origin: Any
    shown: str
    file_name: str | None
    size: int
    start: int | None = None
    again: bool = True

    @contextmanager
    def reading(self) -> Iterator[Any]:
        """
        Give the file to read from its beginning. A file that was given open is left open.

        :raises KognitosUploadError: it cannot be opened.
        """
        if isinstance(self.origin, PathLike):
            try:
                file = self.origin.open("rb")
            except Exception as error:
                raise unreadable(self.shown, error) from error
            with file:
                yield file
            return
        if self.start is not None:
            self.origin.seek(self.start)
        yield self.origin


def find_source(source: Any) -> Source:
    """
    Look at a source without reading it.

    :raises KognitosUploadError: it is missing, a directory, unreadable, empty, too big, or of no known size.
    """
    found = _open_file(source) if hasattr(source, "read") else _path(_as_path(source))
    if found.size <= 0:
        raise KognitosUploadError(f"{found.shown} is empty (or read to its end). Nothing was sent.")
    if found.size > MAX_SIZE:
        raise KognitosUploadError(
            f"{found.shown} has {found.size:,} bytes; Kognitos takes files of up to 1 GB ({MAX_SIZE:,} bytes). "
            "Nothing was sent."
        )
    return found


def unreadable(shown: str, error: Exception) -> KognitosUploadError:
    """Return the error for a source that cannot be read."""
    hint = ""
    if "://" in shown:
        hint = ". An object store needs the provider package of its scheme, and the Airflow connection its URL names"
    return KognitosUploadError(f"{shown} cannot be read: {type(error).__name__}: {error}{hint}")


def _as_path(source: Any) -> PathLike:
    if isinstance(source, str) and "://" in source:
        try:
            from airflow.providers.common.compat.sdk import ObjectStoragePath

            path: PathLike = ObjectStoragePath(source)
        except Exception as error:
            raise unreadable(source, error) from error
        return path
    if isinstance(source, str) and not source:
        raise KognitosUploadError("The path of the file to upload is empty. Nothing was sent.")
    if isinstance(source, PathLike):
        return source
    if isinstance(source, str | os.PathLike):
        return Path(source)
    raise KognitosUploadError(
        f"A file to upload must be a path, an object-store URL or an open binary file, not "
        f"{type(source).__name__}. Nothing was sent."
    )


def _path(path: PathLike) -> Source:
    shown = str(path)
    try:
        size = path.stat().st_size
        regular = path.is_file()
        if regular:
            # Whether it may be read shows only when it is opened.
            with path.open("rb"):
                pass
    except FileNotFoundError as error:
        raise KognitosUploadError(
            f"{shown} does not exist (on this worker, if it is a local path). Nothing was sent."
        ) from error
    except Exception as error:
        raise unreadable(shown, error) from error
    if not regular:
        raise KognitosUploadError(f"{shown} is a directory, a pipe or the like, not a file. Nothing was sent.")
    return Source(path, shown, path.name, int(size))


def _open_file(file: Any) -> Source:
    name = getattr(file, "name", None)
    shown = f"The open file {name!r}" if isinstance(name, str) else "The open file"
    base = os.path.basename(name) if isinstance(name, str) else None
    try:
        if isinstance(file, io.TextIOBase) or isinstance(file.read(0), str):
            raise KognitosUploadError(f"{shown} is open as text; open it with mode 'rb'. Nothing was sent.")
        if file.seekable():
            start = file.tell()
            size = file.seek(0, io.SEEK_END) - start
            file.seek(start)
            return Source(file, shown, base, size, start)
        known = os.fstat(file.fileno())
    except (OSError, AttributeError, ValueError) as error:
        raise unreadable(shown, error) from error
    if not stat.S_ISREG(known.st_mode):
        raise KognitosUploadError(
            f"{shown} is a pipe or the like, whose size nobody knows beforehand; the storage needs it. "
            "Write it to a file first. Nothing was sent."
        )
    return Source(file, shown, base, known.st_size, again=False)
