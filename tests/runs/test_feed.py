"""The feed against the emulator: how often it asks, and for what."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Any, cast

import pytest

from airflow_provider_kognitos.emulator.server import RunningEmulator
from airflow_provider_kognitos.runs import feed as feeds
from airflow_provider_kognitos.runs.feed import Look, RunFeed, Service, Wish

from .made import run
from .scripted import Clock, Scripted
from .service import PROCESS, add_foreign, client_of, sent

ALL = Wish(0.0, None, frozenset())


def feed_of(open_client: Callable[[], Any], interval: float = 0.05) -> RunFeed:
    def open_service() -> Service:
        return Service(open_client(), "demo-agent", lambda run: None)

    return RunFeed(PROCESS, "Published", conn_id="conn", open_service=open_service, interval=interval)


async def cancelled(task: asyncio.Future[Any]) -> None:
    task.cancel()
    await asyncio.wait([task])


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feeds, "PACE", 0.01)


@pytest.fixture
async def looks(emulator: RunningEmulator) -> AsyncIterator[AsyncIterator[Look]]:
    async with aclosing(cast(Any, feed_of(lambda: client_of(emulator, attempts=1)).looks())) as looks:
        yield looks


async def test_nothing_is_asked_for_before_somebody_wishes_for_it(
    emulator: RunningEmulator, looks: AsyncIterator[Look]
) -> None:
    for _ in range(3):
        look = await anext(looks)
        assert (look.runs, look.complete, look.covers(None)) == ((), False, False)
    assert sent(emulator, "listRuns", 1) == 0
    look.wish("somebody", ALL)
    look = await anext(looks)
    assert look.complete
    # Who says nothing more wants the same again.
    assert (await anext(looks)).complete


async def test_of_many_wishes_the_widest_counts(emulator: RunningEmulator, looks: AsyncIterator[Look]) -> None:
    run_ids = add_foreign(emulator, 350)
    look = await anext(looks)
    look.wish("one", ALL)
    look = await anext(looks)
    assert [each.id for each in look.runs] == run_ids[::-1]
    newest, older = look.runs[0].created_at, look.runs[60].created_at
    assert newest is not None
    assert older is not None

    look.wish("one", Wish(0.0, newest, frozenset({run_ids[0]})))
    look.wish("other", Wish(60.0, older, frozenset({run_ids[1]})))
    look = await anext(looks)
    # Five minutes of clocks that differ, at a run each second.
    assert sent(emulator, "listRuns", 8) == 8
    assert look.covers(newest)
    assert look.covers(older)
    assert {run_ids[0], run_ids[1]} <= {each.id for each in look.runs}


async def test_a_page_that_fails_is_asked_for_again_and_not_those_before(
    emulator: RunningEmulator, looks: AsyncIterator[Look]
) -> None:
    run_ids = add_foreign(emulator, 350)
    emulator.control.script("listRuns", [None, None, {"kind": "status", "code": 429}, {"kind": "drop"}])
    (await anext(looks)).wish("somebody", ALL)
    look = await anext(looks)
    assert len(look.runs) == len(run_ids)
    assert sent(emulator, "listRuns", 6) == 6


async def test_an_old_run_is_asked_for_now_and_then(emulator: RunningEmulator, looks: AsyncIterator[Look]) -> None:
    """A run that waits for a person for days does not cost a request with every look."""
    (old,) = add_foreign(emulator, 1, created_at=time.time() - 86400)
    add_foreign(emulator, 150, created_at=time.time() - 3600)
    for _ in range(5):
        look = await anext(looks)
        look.wish("somebody", Wish(0.0, datetime.now(UTC), frozenset({old})))
    assert sent(emulator, "getRun", 1) == 1


async def test_a_run_that_cannot_be_read_holds_up_no_other(
    emulator: RunningEmulator, looks: AsyncIterator[Look], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feeds, "LONGEST_PAUSE", 0.1)
    old = sorted(add_foreign(emulator, 2, created_at=time.time() - 86400))
    add_foreign(emulator, 150, created_at=time.time() - 3600)
    broken = {"kind": "status", "code": 403}
    emulator.control.script("getRun", [broken])
    seen: set[str] = set()
    for _ in range(4):
        look = await anext(looks)
        seen.update(each.id for each in look.runs)
        look.wish("somebody", Wish(0.0, datetime.now(UTC), frozenset(old)))
    assert set(old) <= seen


async def test_the_more_pages_a_look_takes_the_later_comes_the_next(
    emulator: RunningEmulator, looks: AsyncIterator[Look], monkeypatch: pytest.MonkeyPatch
) -> None:
    add_foreign(emulator, 250)
    monkeypatch.setattr(feeds, "PACE", 100.0)
    (await anext(looks)).wish("somebody", ALL)
    (await anext(looks)).wish("somebody", ALL)
    following = asyncio.ensure_future(anext(looks))
    done, _ = await asyncio.wait([following], timeout=1.0)
    await cancelled(following)
    assert not done
    assert sent(emulator, "listRuns", 3) == 3


async def test_a_list_that_goes_round_in_circles_is_a_failed_look(caplog: pytest.LogCaptureFixture) -> None:
    client = Scripted(Clock(), run("one"))
    page = client.runs_page("p", "a")
    endless = type(page)(page.items, "again")
    client.runs_page = lambda *args, **more: endless  # type: ignore[method-assign]
    feed = feed_of(lambda: client)
    async with aclosing(cast(Any, feed.looks())) as looks:
        (await anext(looks)).wish("somebody", ALL)
        following = asyncio.ensure_future(anext(looks))
        while "the same page of a list twice" not in caplog.text:
            assert not following.done()
            await asyncio.sleep(0.02)
        await cancelled(following)


async def test_of_a_foreign_error_only_the_kind_is_told(caplog: pytest.LogCaptureFixture) -> None:
    def open_client() -> Any:
        raise ValueError("password=secret")

    async with aclosing(cast(Any, feed_of(open_client).looks())) as looks:
        (await anext(looks)).wish("somebody", ALL)
        following = asyncio.ensure_future(anext(looks))
        while "ValueError" not in caplog.text:
            await asyncio.sleep(0.02)
        await cancelled(following)
    assert "secret" not in caplog.text
