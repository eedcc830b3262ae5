"""The trigger that makes events of runs that end, for an ``AssetWatcher``."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Hashable, Sequence
from datetime import UTC, datetime
from functools import partial
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import TriggerEvent

from airflow_provider_kognitos.api import checks
from airflow_provider_kognitos.api.words import SUCCESS_STATUSES
from airflow_provider_kognitos.runs import arguments

try:
    from airflow.triggers.base import BaseEventTrigger
except ImportError:  # Airflow 2 has no watchers; the class can be imported and does nothing.
    from airflow.triggers.base import BaseTrigger as BaseEventTrigger  # type: ignore[assignment]

if TYPE_CHECKING:
    from airflow.triggers.shared_stream import SharedStreamProducer

    from airflow_provider_kognitos.api.models import Run
    from airflow_provider_kognitos.runs.feed import Look, RunFeed, Service
    from airflow_provider_kognitos.runs.ledger import Ledger
    from airflow_provider_kognitos.triggers.watermark import Watermark

#: Events of one look, and seconds that they may take, at most. Airflow takes a watcher that is not done with a look
#: after five minutes for dead; what is left comes with the next look.
MOST_EVENTS = 200
LONGEST_TURN = 60.0
#: Seconds between the last two events. Up to Airflow 3.3, an event that comes while the scheduler has not yet made the
#: DAG run of the one before belongs to none of them until another comes. So the last of many waits: it brings along
#: all that were before.
APART = 10.0


class KognitosRunEventTrigger(BaseEventTrigger):
    """
    Fire an event for each run of a process that reaches a status, whoever has started it.

    To be given to an ``AssetWatcher``, on Airflow 3.0 or later. The payload of an event is the dictionary that
    ``KognitosRunOperator`` returns; outputs of more than 64 KiB are left out. Runs that are over when the watcher
    looks for the first time do not count.

    On Airflow 3.3 and later a watcher goes on where it was after a restart of the triggerer, and all watchers of a
    process share one poll. Before, runs that end while no triggerer runs are not told of.

    :param process_id: the process.
    :param agent_id: its agent, the connection's if not given.
    :param stage: its stage.
    :param statuses: the statuses that count. A run that ends otherwise is never told of.
    :param poll_interval: seconds between looks.
    :param kognitos_conn_id: the :ref:`connection <howto/connection:kognitos>`.
    :raises KognitosConfigError: an argument cannot work.
    """

    def __init__(
        self,
        *,
        process_id: str,
        agent_id: str = "",
        stage: str = "Published",
        statuses: Sequence[str] = SUCCESS_STATUSES,
        poll_interval: float = 30.0,
        kognitos_conn_id: str = "kognitos_default",
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.process_id = checks.url_id("process_id", process_id)
        self.agent_id = agent_id if agent_id == "" else checks.url_id("agent_id", agent_id)
        self.stage = checks.stage(stage)
        self.statuses = list(arguments.statuses("statuses", statuses, SUCCESS_STATUSES))
        self.poll_interval = arguments.seconds("poll_interval", poll_interval)
        if not isinstance(kognitos_conn_id, str) or not kognitos_conn_id.strip():
            raise checks.refuse("kognitos_conn_id", kognitos_conn_id, "the id of a connection")
        self.kognitos_conn_id = kognitos_conn_id

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class and the arguments to make this trigger again, plain JSON all of them."""
        return (
            "airflow_provider_kognitos.triggers.event.KognitosRunEventTrigger",
            {
                "process_id": self.process_id,
                "agent_id": self.agent_id,
                "stage": self.stage,
                "statuses": self.statuses,
                "poll_interval": self.poll_interval,
                "kognitos_conn_id": self.kognitos_conn_id,
            },
        )

    def shared_stream_key(self) -> Hashable | None:
        """Return what watchers have in common that share a poll: the process."""
        return ("kognitos-runs", self.kognitos_conn_id, self.agent_id, self.process_id, self.stage)

    @classmethod
    def create_shared_stream_producer(cls, kwargs: dict[str, Any]) -> SharedStreamProducer:
        """Return the poll of all watchers of a process."""
        from airflow_provider_kognitos.triggers.stream import RunStream

        return RunStream(cls(**kwargs)._feed())

    async def filter_shared_stream(self, shared_stream: AsyncIterator[Look]) -> AsyncIterator[TriggerEvent]:
        """Fire the events of each look of the poll."""
        from airflow_provider_kognitos.triggers.watermark import Watermark

        watermark = Watermark(getattr(self, "asset_state_store", None), self._state_key())
        async for event in self._events(shared_stream, watermark):
            yield event

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Poll alone, and remember nothing: on Airflow before 3.3."""
        from airflow_provider_kognitos.triggers.watermark import Watermark

        async for event in self._events(self._feed().looks(), Watermark(None, "")):
            yield event

    async def _events(self, looks: AsyncIterator[Look], watermark: Watermark) -> AsyncIterator[TriggerEvent]:
        from airflow_provider_kognitos.runs.feed import Wish

        ledger: Ledger | None = None
        fired_at = time.monotonic() - APART
        async for look in looks:
            if ledger is None:
                ledger = await self._remembered(watermark)
            if ledger is None:
                continue
            within = 0.0
            if look.covers(ledger.until if ledger.begun else None):
                due = ledger.see(look.runs, datetime.now(UTC), look.gone)
                look.afterwards[self] = partial(watermark.save, ledger.state())
                turn_ends = time.monotonic() + LONGEST_TURN
                for run in due[:MOST_EVENTS]:
                    now = time.monotonic()
                    if now > turn_ends:
                        break
                    if run is due[-1] and now < fired_at + APART:
                        within = min(self.poll_interval, fired_at + APART - now)
                        break
                    whole = await look.whole(run)
                    if whole is None:
                        continue
                    yield TriggerEvent(self._payload(whole, look))  # type: ignore[no-untyped-call]
                    # Only now: whoever is cut off at the line above has not told of the run.
                    ledger.settle(run)
                    fired_at = time.monotonic()
                    look.afterwards[self] = partial(watermark.save, ledger.state())
                else:
                    within = 0.0 if len(due) > MOST_EVENTS else self.poll_interval
            look.wish(self, Wish(within, ledger.until if ledger.begun else None, ledger.open))

    async def _remembered(self, watermark: Watermark) -> Ledger | None:
        """Return what was remembered, a new ledger if nothing was, ``None`` if Airflow could not say."""
        from airflow_provider_kognitos.runs.ledger import Ledger

        try:
            state = await watermark.load()
        except Exception as error:  # noqa: BLE001 - to begin anew would lose runs; Airflow is asked again
            self.log.warning(
                "Could not read which runs of Kognitos process %s have been told of (%s); asking again in %s s.",
                self.process_id,
                type(error).__name__,
                self.poll_interval,
            )
            return None
        try:
            return Ledger(self.statuses, state)
        except ValueError as error:
            self.log.error(  # noqa: TRY400 - the traceback adds nothing
                "What was stored of Kognitos process %s in the asset state store cannot be read: %s. The watcher "
                "begins anew; runs that ended since it was stored are not told of.",
                self.process_id,
                error,
            )
            return Ledger(self.statuses)

    def _payload(self, run: Run, look: Look) -> dict[str, Any]:
        from airflow_provider_kognitos.runs.outcome import for_asset_event, result_of

        return for_asset_event(
            result_of(run, look.url_of(run)), "KognitosHook.get_run reads them, with the run_id of the event."
        )

    def _state_key(self) -> str:
        """Return the key of what is stored: another for all that changes which runs count."""
        which = [self.kognitos_conn_id, self.agent_id, self.process_id, self.stage, sorted(set(self.statuses))]
        return f"kognitos_runs_{sha256(json.dumps(which).encode()).hexdigest()[:16]}"

    def _feed(self) -> RunFeed:
        from airflow_provider_kognitos.runs.feed import RunFeed

        return RunFeed(
            self.process_id,
            self.stage,
            conn_id=self.kognitos_conn_id,
            open_service=self._open_service,
            interval=self.poll_interval,
        )

    def _open_service(self) -> Service:
        from airflow_provider_kognitos.hooks.kognitos import KognitosHook
        from airflow_provider_kognitos.runs.feed import Service

        hook = KognitosHook(self.kognitos_conn_id)
        agent_id = hook.agent(self.agent_id)
        return Service(hook.client(attempts=1), agent_id, hook.run_url)
