"""Lines for the logs of tasks, written by threads."""

from __future__ import annotations

import asyncio
import contextvars

import pytest

from airflow_provider_kognitos.runs.lines import LogLines


async def test_a_line_that_cannot_be_written_takes_no_other_along(caplog: pytest.LogCaptureFixture) -> None:
    lines = LogLines()
    written: list[str] = []

    def broken(text: str) -> None:
        raise OSError("no space left")

    for tell, text in ((written.append, "one"), (broken, "Kognitos run 7 is Running."), (written.append, "three")):
        lines.add(contextvars.copy_context(), tell, text)
    await asyncio.sleep(0)  # all of them are handed over, as those of one moment
    await asyncio.get_running_loop().shutdown_default_executor()

    assert written == ["one", "three"]
    assert "This line did not get into the log of its task: Kognitos run 7 is Running." in caplog.text
    assert "no space left" in caplog.text
