"""
One watcher for all runs of a connection that wait in one triggerer process.

An organization has one rate limit for all its calls. A page of the list of runs shows a hundred of them, so the
runs that wait are looked at together: a page for many instead of a request for each.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import TYPE_CHECKING, ClassVar, NamedTuple, ParamSpec, TypeVar
from weakref import WeakKeyDictionary

from airflow_provider_kognitos.exceptions import (
    KognitosAuthError,
    KognitosConnectionError,
    KognitosError,
    KognitosRateLimitError,
    KognitosServerError,
)
from airflow_provider_kognitos.runs.lines import LogLines
from airflow_provider_kognitos.runs.opening import Opening
from airflow_provider_kognitos.runs.outcome import Outcome
from airflow_provider_kognitos.runs.polling import pause_asked_for

if TYPE_CHECKING:
    from airflow_provider_kognitos.api.client import KognitosClient
    from airflow_provider_kognitos.api.models import Run
    from airflow_provider_kognitos.runs.polling import Wait

log = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")

#: Requests under way at once, and so connections to the service.
REQUESTS_AT_ONCE = 4
#: A run due within this part of its interval is looked at together with those that are due now.
EARLY = 0.2
#: So many triggers are told something before anybody else has a turn: what Airflow does with an event takes a
#: millisecond and more, and a page may show the end of a hundred runs.
TOLD_AT_ONCE = 10
#: Seconds to pause after a 429 that does not say how long.
PAUSE = 15.0


class Group(NamedTuple):
    """The runs that one list shows. Without a process each run is asked for by its id."""

    process_id: str
    agent_id: str
    stage: str


@dataclass(eq=False, slots=True)
class Ticket:
    """
    One trigger's place among those who wait. There may be thousands, so it is kept small.

    :param tell: takes a line for the log; called in a thread, in the context of the trigger, by which Airflow finds
        its task's log.
    """

    group: Group
    wait: Wait
    tell: Callable[[str], None]
    outcome: asyncio.Future[Outcome] = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    context: contextvars.Context = field(default_factory=contextvars.copy_context)


#: Thousands who wait for runs of one process share one.
group_of = lru_cache(Group)


class RunWatcher:
    """
    Watches runs for the triggers of one event loop, and ends with the last of them.

    :param conn_id: the connection.
    :param open_client: returns a client that does not retry by itself; called in a thread.
    :param clock: returns epoch seconds.
    """

    _shared: ClassVar[WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, RunWatcher]]] = WeakKeyDictionary()

    def __init__(
        self, conn_id: str, open_client: Callable[[], KognitosClient], clock: Callable[[], float] = time.time
    ) -> None:
        self._conn_id = conn_id
        self._clock = clock
        self._pool = ThreadPoolExecutor(REQUESTS_AT_ONCE, "kognitos-watcher")
        self._opening = Opening(conn_id, open_client, owner="kognitos-run-watcher", pool=self._pool)
        # Waiting for a thread is done here and not in the pool's queue: a pause, or a trigger that leaves, keeps
        # what has not been sent from being sent.
        self._free = asyncio.Semaphore(REQUESTS_AT_ONCE)
        self._tickets: dict[Group, dict[str, list[Ticket]]] = {}
        self._lines = LogLines()
        self._paused_until = 0.0
        self._looked_at = 0.0
        self._wakes_at = 0.0
        self._woken = asyncio.Event()
        # In a context of its own: what is logged in that of a trigger goes into the log of its task.
        self._task = asyncio.create_task(
            self._watch(), name=f"kognitos-run-watcher {conn_id}", context=contextvars.Context()
        )

    @classmethod
    def of(cls, conn_id: str, open_client: Callable[[], KognitosClient]) -> RunWatcher:
        """Return the watcher that this event loop has for a connection; make it if there is none."""
        watchers = cls._shared.setdefault(asyncio.get_running_loop(), {})
        watcher = watchers.get(conn_id)
        if watcher is None:
            watcher = watchers[conn_id] = cls(conn_id, open_client)
        return watcher

    def join(self, wait: Wait, group: Group, tell: Callable[[str], None]) -> Ticket:
        """
        Wait together with all others who wait on the connection, for the ``outcome`` of the ticket; then :meth:`leave`.

        :param tell: called with a line for the log when the run's status is new, or could not be asked for.
        """
        ticket = Ticket(group, wait, tell)
        self._tickets.setdefault(group, {}).setdefault(wait.run_id, []).append(ticket)
        if max(wait.due, self._paused_until) < self._wakes_at:
            self._woken.set()
        return ticket

    def leave(self, ticket: Ticket) -> None:
        """Wait no more; who leaves last ends the watcher."""
        self._leave(ticket)
        if not self._tickets:
            self._retire()

    def _leave(self, ticket: Ticket) -> None:
        runs = self._tickets.get(ticket.group, {})
        waiting = runs.get(ticket.wait.run_id, [])
        if ticket in waiting:
            waiting.remove(ticket)
            if not waiting:
                del runs[ticket.wait.run_id]
            if not runs:
                del self._tickets[ticket.group]

    def _retire(self) -> None:
        self._disappear()
        self._task.cancel()

    def _disappear(self) -> None:
        """Let no further trigger find this watcher: one that has ended would never look at its run."""
        watchers = self._shared.get(asyncio.get_running_loop(), {})
        if watchers.get(self._conn_id) is self:
            del watchers[self._conn_id]

    async def _watch(self) -> None:
        try:
            while self._tickets:
                self._woken.clear()
                self._wakes_at = max(min(ticket.wait.due for ticket in self._all()), self._paused_until)
                pause = self._wakes_at - self._clock()
                if pause > 0:
                    with suppress(TimeoutError):
                        await asyncio.wait_for(self._woken.wait(), pause)
                else:
                    await self._rounds()
        except Exception as error:
            log.exception("The watcher of Kognitos runs failed.")
            for ticket in list(self._all()):
                run_id = ticket.wait.run_id
                self._end(ticket, Outcome.error(run_id, f"Watching Kognitos run {run_id} failed: {error!r}"))
        finally:
            self._disappear()
            self._pool.shutdown(wait=False, cancel_futures=True)
            self._opening.close()

    def _all(self) -> Iterator[Ticket]:
        return (ticket for runs in self._tickets.values() for tickets in runs.values() for ticket in tickets)

    def _waiting(self, group: Group, run_id: str) -> list[Ticket]:
        return list(self._tickets.get(group, {}).get(run_id, ()))

    def _due(self, group: Group) -> set[str]:
        """Return the runs to look at, none if none is due; those that are nearly due come along."""
        now = self._clock()
        waits = [ticket.wait for tickets in self._tickets.get(group, {}).values() for ticket in tickets]
        if all(wait.due > now for wait in waits):
            return set()
        return {wait.run_id for wait in waits if wait.due <= now or wait.due <= now + EARLY * wait.interval(now)}

    @property
    def _paused(self) -> bool:
        return self._paused_until > self._clock()

    async def _rounds(self) -> None:
        """Look at the runs that are due, group by group, all of them side by side."""
        # What one round has seen falls due together, however long the round takes: else the first pages of the next
        # would show only runs that have just been looked at, and would not pay.
        self._looked_at = self._clock()
        due = {group: run_ids for group in self._tickets if (run_ids := self._due(group))}
        try:
            client = await self._opening.get()
        except KognitosError as error:
            for group, run_ids in due.items():
                self._missed(group, run_ids, error)
        else:
            await asyncio.gather(*(self._round(client, group, run_ids) for group, run_ids in due.items()))

    async def _round(self, client: KognitosClient, group: Group, unseen: set[str]) -> None:
        """
        Look at the runs of a group that are due.

        Pages are read while they pay: the order of the list is undocumented, and what a page has not saved must be
        made up for by others before the next is read. It saves a look at each run it shows, as much of one as is due
        by now. So all runs come to be looked at together, and in the long run pages cost no more requests than asking
        for each run by its id, and one for each round.
        """
        pages = useless = 0
        saved = 0.0
        token: str | None = None
        while group.process_id and len(unseen) > max(useless, 1) and pages <= saved:
            try:
                async with self._free:
                    if self._paused:
                        return
                    page = await self._call(
                        client.runs_page,
                        group.process_id,
                        group.agent_id,
                        stage=group.stage,
                        continuation_token=token,
                    )
            except (KognitosConnectionError, KognitosRateLimitError, KognitosServerError) as error:
                self._missed(group, unseen, error)
                return
            except KognitosError as error:
                log.warning("Could not list the runs of process %s: %s", group.process_id, error)
                break
            ours = [(run, tickets) for run in page.items if (tickets := self._waiting(group, run.id))]
            shown = unseen.intersection(run.id for run, _ in ours)
            pages += 1
            useless += not shown
            saved += len(shown) + sum(self._elapsed(tickets) for run, tickets in ours if run.id not in shown)
            unseen -= shown
            hidden = await self._listed(ours)
            await asyncio.gather(*(self._ask(client, group, run_id) for run_id in hidden))
            token = page.continuation_token
            if token is None:
                break
        await asyncio.gather(*(self._ask(client, group, run_id) for run_id in unseen))

    def _elapsed(self, tickets: Iterable[Ticket]) -> float:
        return max(ticket.wait.elapsed(self._looked_at) for ticket in tickets)

    async def _listed(self, ours: Iterable[tuple[Run, list[Ticket]]]) -> list[str]:
        """Take note of the runs on a page; return the ids of those that have to be read for their outputs."""
        hidden = []
        told = 0
        for run, tickets in ours:
            if run.raw.get("outputs") is None and any(ticket.wait.ends.succeeded(run) for ticket in tickets):
                hidden.append(run.id)
                continue
            told += self._seen(tickets, run)
            if told >= TOLD_AT_ONCE:
                told = 0
                await asyncio.sleep(0)
        return hidden

    async def _ask(self, client: KognitosClient, group: Group, run_id: str) -> None:
        async with self._free:
            if self._paused or not self._waiting(group, run_id):
                return
            try:
                run = await self._call(client.get_run, run_id)
            except KognitosError as error:
                self._missed(group, (run_id,), error)
            else:
                self._seen(self._waiting(group, run_id), run)

    def _seen(self, tickets: Iterable[Ticket], run: Run) -> int:
        """Take note of a run; return how many of those who wait for it have been told something."""
        told = 0
        for ticket in tickets:
            line = ticket.wait.news(run, self._looked_at)
            outcome = ticket.wait.on_run(run, self._looked_at)
            if line:
                self._say(ticket, line)
            self._end(ticket, outcome)
            told += bool(line or outcome)
        return told

    def _missed(self, group: Group, run_ids: Iterable[str], error: KognitosError) -> None:
        tickets = [ticket for run_id in run_ids for ticket in self._waiting(group, run_id)]
        log.warning("Could not ask about %s waiting Kognitos run(s): %s", len(tickets), error)
        if isinstance(error, KognitosRateLimitError):
            self._paused_until = max(self._paused_until, self._clock() + (pause_asked_for(error) or PAUSE))
        if isinstance(error, KognitosAuthError):
            self._opening.refused()
        for ticket in tickets:
            if not isinstance(error, KognitosRateLimitError):
                self._say(ticket, f"Could not ask about Kognitos run {ticket.wait.run_id}: {error}")
            self._end(ticket, ticket.wait.on_error(error, self._looked_at))

    def _say(self, ticket: Ticket, line: str) -> None:
        self._lines.add(ticket.context, ticket.tell, line)

    def _end(self, ticket: Ticket, outcome: Outcome | None) -> None:
        if outcome is not None:
            if not ticket.outcome.done():
                ticket.outcome.set_result(outcome)
            self._leave(ticket)

    async def _call(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, partial(function, *args, **kwargs))
