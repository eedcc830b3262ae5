"""The poll that watchers of one process share. Airflow 3.3 or later."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING

from airflow.triggers.shared_stream import AdvanceItem, SharedStreamProducer

if TYPE_CHECKING:
    from airflow_provider_kognitos.runs.feed import Look, RunFeed


class RunStream(SharedStreamProducer):
    """
    Hands out looks, and lets watchers store what they know once all their events of a look are in the database.

    :param feed: looks at the process.
    """

    def __init__(self, feed: RunFeed) -> None:
        self._feed = feed
        self._latest = 0
        self._doubtful = 0

    async def open_stream(self) -> AsyncIterator[tuple[Look, tuple[int, Look]]]:
        """Yield look after look, each also with its number as what is told to be done with."""
        async for look in self._feed.looks():
            self._latest += 1
            yield look, (self._latest, look)

    async def advance(self, batch: Sequence[AdvanceItem]) -> None:
        """Let the watchers store what they know; whose event was lost begins again from what was stored before."""
        for item in batch:
            number, look = item.broker_payload
            if item.outcome.failed or item.outcome.rejected:
                # Whose it was is not said. It may have got further looks before it was given up, and what it wanted
                # to store of these holds the lost event too. So nobody stores anything of them; those who go on do
                # with the first look after them.
                self._doubtful = self._latest
            if number > self._doubtful:
                for store in look.afterwards.values():
                    await store()

    async def aclose(self) -> None:
        """Close the client."""
        self._feed.close()
