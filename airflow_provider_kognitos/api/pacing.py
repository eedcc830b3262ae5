"""A client-side ceiling on requests."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable
from typing import ClassVar


class Pacer:
    """
    Spaces the requests of one connection in one process. Threads may share it.

    :param requests_per_minute: the ceiling.
    :param clock: returns monotonic seconds.
    """

    _shared: ClassVar[dict[tuple[Hashable, float], Pacer]] = {}
    _sharing: ClassVar[threading.Lock] = threading.Lock()

    def __init__(
        self,
        requests_per_minute: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._interval = 60.0 / requests_per_minute
        self._clock = clock
        self._sleep = sleep
        self._lock = threading.Lock()
        self._next = clock()

    @classmethod
    def shared(cls, key: Hashable, requests_per_minute: float) -> Pacer:
        """
        Return this process's pacer of a connection.

        :param key: names the connection; never the API key itself.
        :param requests_per_minute: the ceiling. Another one means another pacer.
        """
        with cls._sharing:
            return cls._shared.setdefault((key, requests_per_minute), cls(requests_per_minute))

    def wait(self) -> None:
        """Sleep until the next free slot, and take it."""
        with self._lock:
            now = self._clock()
            slot = max(self._next, now)
            self._next = slot + self._interval
        if slot > now:
            self._sleep(slot - now)
