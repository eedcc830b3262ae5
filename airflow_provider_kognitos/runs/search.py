"""
Find a task instance's runs in the list of runs.

The API filters the list by process, agent and stage only, and the order of the list is undocumented.
"""

from __future__ import annotations

import logging
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from airflow_provider_kognitos.runs.decision import CLOCK_SKEW, OwnRun
from airflow_provider_kognitos.runs.identity import Marker
from airflow_provider_kognitos.runs.order import Order

if TYPE_CHECKING:
    from airflow_provider_kognitos.api.client import KognitosClient

log = logging.getLogger(__name__)

MAX_PAGES = 50


class Sighting(NamedTuple):
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
    order = Order()
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
