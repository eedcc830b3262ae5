"""How the benchmark measures for how long an event loop is held."""

from __future__ import annotations

import asyncio
import time

import pytest

from benchmarks.waiting.measure import Selector, lag_at


def test_it_is_noted_for_how_long_a_loop_is_kept_from_its_selector() -> None:
    async def hold() -> None:
        await asyncio.sleep(0)
        selector.forget()
        time.sleep(0.3)
        await asyncio.sleep(0)

    selector = Selector()
    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(selector)) as runner:
        runner.run(hold())

    assert max(selector.kept) >= 0.3


@pytest.mark.parametrize(
    ("kept", "lag"),
    [
        ([], 0.0),
        # Nobody of a hundred comes in so short a time.
        ([0.05] * 2, 0.0),
        # One of a hundred comes in its first tenth of a second.
        ([1.0], 0.9),
        ([1.0, 1.0], 0.95),
        # In its first 0.06 s, or in the first 0.02 s of two shorter ones.
        ([0.5, 0.46, 0.46], 0.44),
        ([0.1] * 100, 0.099),
    ],
)
def test_the_lag_is_what_one_of_a_hundred_finds_who_come_at_any_time(kept: list[float], lag: float) -> None:
    assert lag_at(0.99, kept, took=10.0) == pytest.approx(lag)
