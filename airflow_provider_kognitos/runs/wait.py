"""Wait for a run in the worker itself."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from airflow_provider_kognitos.exceptions import KognitosError

if TYPE_CHECKING:
    from airflow_provider_kognitos.api.client import KognitosClient
    from airflow_provider_kognitos.api.models import Run
    from airflow_provider_kognitos.runs.outcome import Outcome
    from airflow_provider_kognitos.runs.polling import Wait

log = logging.getLogger(__name__)


def wait_for_run(
    client: KognitosClient,
    wait: Wait,
    *,
    on_attention: Callable[[Run], None] | None = None,
    clock: Callable[[], float] = time.time,
    sleep: Callable[[float], None] = time.sleep,
) -> Outcome:
    """
    Look at a run until its wait is over, and return how it ended.

    :param wait: what to wait for, how often to look and until when.
    :param on_attention: called with the run when the wait is interrupted for it; the wait goes on after that.
    """
    while True:
        sleep(max(0.0, wait.due - clock()))
        _, outcome = look(client, wait, clock())
        if outcome is None:
            continue
        if outcome.kind != "attention" or outcome.run is None:
            return outcome
        if on_attention is not None:
            on_attention(outcome.run)


def look(client: KognitosClient, wait: Wait, now: float) -> tuple[Run | None, Outcome | None]:
    """Look at a run once; return it, if it could be seen, and how the wait for it ended, if it did."""
    try:
        run = client.get_run(wait.run_id)
    except KognitosError as error:
        log.warning("Could not ask about Kognitos run %s: %s", wait.run_id, error)
        return None, wait.on_error(error, now)
    if line := wait.news(run, now):
        log.info(line)
    return run, wait.on_run(run, now)
