"""Lines for the logs of many tasks, written without holding up the event loop."""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections.abc import Callable
from typing import NamedTuple

log = logging.getLogger(__name__)


class Line(NamedTuple):
    """A line, what takes it for the log, and the context of a trigger: by it Airflow finds the log of its task."""

    context: contextvars.Context
    tell: Callable[[str], None]
    text: str


class LogLines:
    """
    Has lines logged in the threads in which Airflow logs what a trigger does, those of one moment together.

    A triggerer reads no log while it writes to its database. Then a line waits, and nobody may wait for the line.
    """

    def __init__(self) -> None:
        self._lines: list[Line] = []

    def add(self, context: contextvars.Context, tell: Callable[[str], None], text: str) -> None:
        """Have ``tell`` called with a line, in a copy of a trigger's context."""
        if not self._lines:
            asyncio.get_running_loop().call_soon(self._hand_over)
        # Two threads may write at once, and a context is one thread's at a time.
        self._lines.append(Line(context.copy(), tell, text))

    def _hand_over(self) -> None:
        lines, self._lines = self._lines, []
        asyncio.get_running_loop().run_in_executor(None, _write, lines)


def _write(lines: list[Line]) -> None:
    for line in lines:
        try:
            line.context.run(line.tell, line.text)
        except Exception:
            # The lines after it are those of other tasks.
            log.exception("This line did not get into the log of its task: %s", line.text)
