"""
Find a task instance's runs in the list of runs.

The API filters the list by process, agent and stage only, and the order of the list is undocumented.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from airflow_provider_kognitos.runs.decision import CLOCK_SKEW, OwnRun
from airflow_provider_kognitos.runs.identity import Marker

if TYPE_CHECKING:
    from airflow_provider_kognitos.api.client import KognitosClient
    from airflow_provider_kognitos.api.models import Run

log = logging.getLogger(__name__)

MAX_PAGES = 50
#: So many items in falling order are taken as a sign that the list is ordered, newest first.
ORDERED_AFTER = 10


@dataclass(frozen=True)
class Sighting:
    """
    What a search saw.

    :param runs: the task instance's runs.
    :param complete: whether every run since the given time was looked at.
    """

    runs: tuple[OwnRun, ...]
    complete: bool


def search(
    client: KognitosClient,
    *,
    process_id: str,
    agent_id: str,
    stage: str,
    identity: str,
    since: datetime | None,
    max_pages: int = MAX_PAGES,
) -> Sighting:
    """
    Look through the runs of a process for those whose name carries an identity.

    :param since: runs older than this (less five minutes for clocks that differ) need not be found;
        ``None`` looks at all.
    :param max_pages: pages of 100 to read at most.
    :raises KognitosError: the list could not be read.
    """
    found: list[OwnRun] = []
    order = _Order()
    token: str | None = None
    for _ in range(max_pages):
        page = client.runs_page(process_id, agent_id, stage=stage, continuation_token=token)
        for run in page.items:
            order.see(run)
            marker = Marker.read(run.name)
            if marker and marker.identity == identity:
                found.append(OwnRun(run, marker.generation, marker.fingerprint))
        token = page.continuation_token
        if token is None or (since is not None and order.fell_below(since - CLOCK_SKEW)):
            return Sighting(tuple(found), complete=True)
    log.warning(
        "Stopped looking for earlier runs of this task after %s pages of process %s; %s found so far.",
        max_pages,
        process_id,
        len(found),
    )
    return Sighting(tuple(found), complete=False)


class _Order:
    """Whether a list has been falling in time so far, and how far down."""

    def __init__(self) -> None:
        self._seen = 0
        self._falling = True
        self._lowest: datetime | None = None

    def see(self, run: Run) -> None:
        self._seen += 1
        if run.created_at is None or (self._lowest is not None and run.created_at > self._lowest):
            self._falling = False
        else:
            self._lowest = run.created_at

    def fell_below(self, moment: datetime) -> bool:
        if not self._falling or self._lowest is None or self._seen < ORDERED_AFTER:
            return False
        return self._lowest < moment
