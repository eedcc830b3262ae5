"""Lines for the logs of many tasks, written without holding up the event loop."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable


class LogLines:
    """
    Has lines logged in the threads in which Airflow logs what a trigger does, those of one moment together.

    A triggerer reads no log while it writes to its database. Then a line waits, and nobody may wait for the line.
    """

    def __init__(self) -> None:
        self._lines: list[tuple[contextvars.Context, Callable[[str], None], str]] = []

    def add(self, context: contextvars.Context, tell: Callable[[str], None], line: str) -> None:
        """Have ``tell`` called with a line, in a context of a trigger: by it Airflow finds the log of its task."""
        if not self._lines:
            asyncio.get_running_loop().call_soon(self._hand_over)
        # Two threads may write at once, and a context is one thread's at a time.
        self._lines.append((context.copy(), tell, line))

    def _hand_over(self) -> None:
        lines, self._lines = self._lines, []
        asyncio.get_running_loop().run_in_executor(None, _write, lines)


def _write(lines: list[tuple[contextvars.Context, Callable[[str], None], str]]) -> None:
    for context, tell, line in lines:
        context.run(tell, line)
