"""
Look at the runs of one process again and again, for all who wait for one of them to end.

Those who wait say after each look what the next one is to show. As long as nobody has said anything, none is taken.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from airflow_provider_kognitos.api.words import FAILURE_STATUSES
from airflow_provider_kognitos.exceptions import (
    KognitosAuthError,
    KognitosConnectionError,
    KognitosError,
    KognitosNotFoundError,
    KognitosRateLimitError,
    KognitosServerError,
)
from airflow_provider_kognitos.runs.decision import CLOCK_SKEW
from airflow_provider_kognitos.runs.opening import Opening
from airflow_provider_kognitos.runs.order import Order
from airflow_provider_kognitos.runs.polling import LONGEST_PAUSE, Cadence, pause_asked_for

if TYPE_CHECKING:
    from airflow_provider_kognitos.api.client import KognitosClient
    from airflow_provider_kognitos.api.models import Run

log = logging.getLogger(__name__)

T = TypeVar("T")

#: Seconds for a request, on average: a process with many runs must not eat up the organization's rate limit.
PACE = 1.0
#: So many requests of a look may follow each other at once.
BURST = 10
#: A request within a look is repeated so often: what the look has read before need not be read again.
REPEATS = 3


@dataclass(frozen=True)
class Service:
    """
    What a look needs of the connection.

    :param client: does not retry by itself.
    :param agent_id: the agent of the process.
    :param run_url: returns the address of a run's page, if that is known.
    """

    client: KognitosClient
    agent_id: str
    run_url: Callable[[Run], str | None]

    def close(self) -> None:
        """Close the client."""
        self.client.close()


@dataclass(frozen=True)
class Wish:
    """
    What somebody wants of the next look.

    :param within: seconds from the last look.
    :param since: show all runs created since then, ``None`` for all there are.
    :param waiting: ids of older runs to show too.
    """

    within: float
    since: datetime | None
    waiting: frozenset[str]


@dataclass(eq=False)
class Look:
    """
    What was seen of the runs of a process; nothing if nobody has wished for anything yet.

    :param runs: the runs.
    :param since: all runs created since then are among them, if that is a time.
    :param complete: whether all runs of the process are among them.
    :param gone: ids of runs that were wished for and are not there any more.
    :param wishes: for the next look, by who has them.
    :param afterwards: to be called when all that came of this look is safe, by who wants it.
    """

    feed: RunFeed
    service: Service | None = None
    runs: tuple[Run, ...] = ()
    since: datetime | None = None
    complete: bool = False
    gone: frozenset[str] = frozenset()
    wishes: dict[Hashable, Wish] = field(default_factory=dict)
    afterwards: dict[Hashable, Callable[[], Awaitable[None]]] = field(default_factory=dict)
    _whole: dict[str, Run] = field(default_factory=dict)
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    _broken: bool = False

    def covers(self, since: datetime | None) -> bool:
        """Whether all runs created since a time, ``None`` for all there are, are in it."""
        return self.complete or (since is not None and self.since is not None and self.since <= since)

    def wish(self, who: Hashable, wish: Wish) -> None:
        """Say what the next look is to show."""
        self.wishes[who] = wish
        self.feed.wished()

    def url_of(self, run: Run) -> str | None:
        """Return the address of a run's page, if that is known."""
        return self.service.run_url(run) if self.service else None

    async def whole(self, run: Run) -> Run | None:
        """
        Return a run of this look with its outputs, which the list may leave out.

        ``None`` if it could not be read, or is said to be elsewhere than on the list; the next look shows it again.
        """
        if run.raw.get("outputs") is not None or (run.raw and run.status in FAILURE_STATUSES):
            return run
        async with self._lock:
            if run.id not in self._whole and not self._broken and self.service is not None:
                try:
                    self._whole[run.id] = await self.feed.ask(self.service.client.get_run, run.id)
                except KognitosError as error:
                    self._broken = True
                    self.feed.missed(error, f"the outputs of run {run.id}")
        whole = self._whole.get(run.id)
        return whole if whole is not None and whole.status == run.status else None


class RunFeed:
    """
    Looks at the runs of one process until it is closed; no error ends it.

    :param process_id: the process.
    :param stage: its stage.
    :param conn_id: the connection.
    :param open_service: opens it; called in a thread.
    :param interval: seconds between looks as long as nobody says otherwise.
    """

    def __init__(
        self,
        process_id: str,
        stage: str,
        *,
        conn_id: str,
        open_service: Callable[[], Service],
        interval: float,
    ) -> None:
        self._process_id = process_id
        self._stage = stage
        self._interval = interval
        self._opening = Opening(conn_id, open_service, owner="kognitos-run-feed")
        self._wished = asyncio.Event()
        self._begun = 0.0
        self._requests = 0
        self._failures = 0
        self._pause = 0.0
        #: When a run that the pages do not show is asked for by its id again.
        self._ask_at: dict[str, float] = {}

    async def looks(self) -> AsyncIterator[Look]:
        """Return look after look, the first of them empty."""
        look: Look | None = Look(self)
        wishes: Mapping[Hashable, Wish] = {}
        self._begun = time.monotonic()
        try:
            while True:
                if look is not None:
                    yield look
                await self._until_due(look, wishes)
                wishes = (look.wishes if look is not None else None) or wishes
                self._begun, self._requests = time.monotonic(), 0
                look = await self._look([*wishes.values()]) if wishes else Look(self)
        finally:
            self.close()

    def close(self) -> None:
        """Close the client."""
        self._opening.close()

    def wished(self) -> None:
        """Take note that there is a new wish."""
        self._wished.set()

    def missed(self, error: Exception, what: str) -> None:
        """Take note that something could not be seen."""
        self._failures += 1
        self._pause = min(2.0**self._failures, LONGEST_PAUSE)
        if isinstance(error, KognitosError):
            self._pause = max(self._pause, pause_asked_for(error))
        if isinstance(error, KognitosAuthError):
            self._opening.refused()
        # Of a foreign error only the kind: its text may hold anything.
        why = str(error) if isinstance(error, KognitosError) else type(error).__name__
        log.warning("Could not see %s of Kognitos process %s: %s", what, self._process_id, why)

    async def ask(self, call: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        """
        Call a method of the client in a thread, at this feed's pace.

        :raises KognitosError: it could not be done.
        """
        failures = 0
        while True:
            await asyncio.sleep(max(0.0, self._begun + (self._requests - BURST) * PACE - time.monotonic()))
            self._requests += 1
            try:
                return await asyncio.to_thread(partial(call, *args, **kwargs))
            except (KognitosConnectionError, KognitosRateLimitError, KognitosServerError) as error:
                failures += 1
                if self._requests == 1 or failures > REPEATS:
                    raise
                await asyncio.sleep(max(pause_asked_for(error), PACE * 2**failures))

    async def _until_due(self, look: Look | None, before: Mapping[Hashable, Wish]) -> None:
        while True:
            self._wished.clear()
            wishes = (look.wishes if look is not None else None) or before
            within = min((wish.within for wish in wishes.values()), default=self._interval)
            due = self._begun + max(within, self._requests * PACE, self._pause)
            pause = due - time.monotonic()
            if pause <= 0:
                return
            with suppress(TimeoutError):
                await asyncio.wait_for(self._wished.wait(), pause)

    async def _look(self, wishes: list[Wish]) -> Look | None:
        failures = self._failures
        try:
            look = await self._read(await self._opening.get(), wishes)
        except Exception as error:  # noqa: BLE001 - nothing may end a watcher
            self.missed(error, "the runs")
            return None
        if self._failures == failures:
            self._failures, self._pause = 0, 0.0
        return look

    async def _read(self, service: Service, wishes: list[Wish]) -> Look:
        times = [wish.since for wish in wishes if wish.since is not None]
        since = min(times) if len(times) == len(wishes) else None
        waiting = frozenset[str]().union(*(wish.waiting for wish in wishes))
        runs, complete = await self._pages(service, since, waiting)
        unseen = waiting - runs.keys()
        gone: set[str] = set()
        self._ask_at = {run_id: moment for run_id, moment in self._ask_at.items() if run_id in unseen}
        for run_id in sorted(unseen):
            now = time.monotonic()
            if self._ask_at.get(run_id, now) > now:
                continue
            self._ask_at[run_id] = now + self._interval
            try:
                run = await self.ask(service.client.get_run, run_id)
            except KognitosNotFoundError:
                log.warning("Kognitos run %s of process %s is not there any more.", run_id, self._process_id)
                gone.add(run_id)
            except KognitosError as error:
                # What was seen is seen; the others come first next time.
                self.missed(error, f"run {run_id}")
                break
            else:
                runs[run_id] = run
                self._ask_at[run_id] = now + self._cadence(run)
        return Look(self, service, tuple(runs.values()), since, complete, frozenset(gone))

    async def _pages(
        self, service: Service, since: datetime | None, waiting: frozenset[str]
    ) -> tuple[dict[str, Run], bool]:
        """
        Return the runs that the list shows, and whether these are all.

        The order of the list is undocumented: it is read to its end, unless it has been falling in time from its
        beginning. Then older pages are read only while they show what somebody waits for.
        """
        runs: dict[str, Run] = {}
        order = Order()
        last = None
        while True:
            page = await self.ask(
                service.client.runs_page,
                self._process_id,
                service.agent_id,
                stage=self._stage,
                continuation_token=last.continuation_token if last else None,
            )
            if page == last:
                raise KognitosServerError("The service gave the same page of a list twice; the list cannot be read.")
            for run in page.items:
                order.see(run)
                kept = run.id in waiting or (since and (run.created_at is None or run.created_at >= since))
                # Many thousand old runs with their outputs are more than a triggerer should hold.
                runs[run.id] = run if kept else replace(run, outputs={}, raw={})
            if page.continuation_token is None:
                return runs, True
            pays = len(waiting - runs.keys()) > 1 and any(run.id in waiting for run in page.items)
            if since is not None and order.fell_below(since - CLOCK_SKEW) and not pays:
                return runs, False
            last = page

    def _cadence(self, run: Run) -> float:
        age = (datetime.now(UTC) - run.created_at).total_seconds() if run.created_at else 0.0
        return Cadence(self._interval, LONGEST_PAUSE).interval(age)
