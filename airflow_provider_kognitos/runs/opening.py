"""Open what a connection leads to, from the event loop of a triggerer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from asgiref.sync import sync_to_async

from airflow_provider_kognitos.exceptions import KognitosError, KognitosPollError

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor


class Closable(Protocol):
    """What is closed when it is not needed any more."""

    def close(self) -> None:
        """Close it."""


T = TypeVar("T", bound=Closable)


class Opening(Generic[T]):
    """
    Something that is opened with a connection when it is first needed, and anew after its key was refused.

    :param conn_id: the connection.
    :param open_it: opens it; called in a thread.
    :param owner: who opens it, for the name of the task.
    :param pool: where the thread comes from, the event loop's own if not given.
    """

    def __init__(
        self, conn_id: str, open_it: Callable[[], T], *, owner: str, pool: ThreadPoolExecutor | None = None
    ) -> None:
        self._conn_id = conn_id
        self._open_it = open_it
        self._owner = owner
        self._pool = pool
        self._opened: T | None = None
        self._refused = False

    def refused(self) -> None:
        """Open it anew when it is next needed: its key was refused, and may have been changed meanwhile."""
        self._refused = True

    def close(self) -> None:
        """Close what is open."""
        if self._opened is not None:
            self._opened.close()
            self._opened = None

    async def get(self) -> T:
        """
        Return what is open, after opening it if need be. Not to be called again before it has returned.

        :raises KognitosError: the connection could not be read, or cannot work.
        """
        if self._refused:
            self.close()
        if self._opened is None:
            # The way by which every supported Airflow lets a thread of the triggerer read a connection.
            opening = asyncio.create_task(
                sync_to_async(self._open_it, thread_sensitive=False, executor=self._pool)(),
                name=f"{self._owner} {self._conn_id} opens its client",
            )
            try:
                # Not to be cut off: the triggerer of Airflow 3.1 would take the answer to the question it then no
                # longer waits for as that to its next one, and die of it.
                self._opened = await asyncio.shield(opening)
            except asyncio.CancelledError:
                opening.add_done_callback(_close_unused)
                raise
            except KognitosError:
                raise
            except Exception as error:  # noqa: BLE001 - raised again, as a look that failed
                # Only the kind: the text of a foreign error may hold the whole connection.
                raise KognitosPollError(
                    f"Connection {self._conn_id!r} could not be read: {type(error).__name__}."
                ) from None
            self._refused = False
        return self._opened


def _close_unused(opening: asyncio.Task[T]) -> None:
    if not opening.cancelled() and opening.exception() is None:
        opening.result().close()
