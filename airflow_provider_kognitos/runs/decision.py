"""
Start, or adopt what is already there? The whole answer, without any I/O.

What is known of a task instance's earlier runs goes in, one :class:`Decision` comes out. A retry must never
start a second run beside a live one; a clear must start a new one, unless it asks for what still runs.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

from airflow_provider_kognitos.runs.ends import EndStatuses

if TYPE_CHECKING:
    from airflow_provider_kognitos.api.models import Run
    from airflow_provider_kognitos.runs.identity import Marker

#: How far the clocks of the service and of Airflow may be apart.
CLOCK_SKEW = timedelta(minutes=5)


class OwnRun(NamedTuple):
    """
    A run of this task instance.

    :param run: the run as last seen.
    :param generation: the generation that started it or adopted it last.
    :param fingerprint: what it was asked for.
    :param taken_at: when that generation started or adopted it, if that is on record.
    """

    run: Run
    generation: int
    fingerprint: str
    taken_at: datetime | None = None


class Attempt(NamedTuple):
    """
    One attempt of a task instance to have a run.

    :param marker: the marker that a run started now would carry.
    :param ends: the statuses that end a run for this task.
    :param first: whether the task instance was never tried before.
    :param tries_before: how many attempts of the same generation came before this one.
    :param tries_at_clear: how many came before the last clear.
    :param dag_run_started: when the DAG run started, the last time if it was cleared; ``None`` if unknown.
    :param search_from: no run of this task instance is older; ``None`` if unknown.
    """

    marker: Marker
    ends: EndStatuses = EndStatuses()
    first: bool = True
    tries_before: int = 0
    tries_at_clear: int = 0
    dag_run_started: datetime | None = None
    search_from: datetime | None = None


class Decision(NamedTuple):
    """
    What to do about a start.

    :param adopt: the run to adopt; ``None`` means: start one.
    :param why: the reason, for the log.
    :param warn: whether a person should look at it.
    :param beside: a run that goes on beside the one to be started.
    """

    adopt: OwnRun | None
    why: str
    warn: bool = False
    beside: Run | None = None


def decide(attempt: Attempt, found: Iterable[OwnRun]) -> Decision:
    """
    Return whether to start a run or to adopt one of those found.

    :param attempt: what is asked for, by whom.
    :param found: the task instance's earlier runs, as far as they are known.
    """
    runs = sorted(found, key=lambda own: _preference(attempt, own))
    current = [own for own in runs if own.generation == attempt.marker.generation]
    former = [own for own in runs if own.generation != attempt.marker.generation]

    for own in current:
        if attempt.ends.live(own.run):
            return _adopt_live(attempt, own)
    for own in current:
        if attempt.ends.succeeded(own.run) and _in_this_dag_run(attempt, own):
            return _adopt_succeeded(attempt, own)
    for own in former:
        if attempt.ends.live(own.run):
            return _after_clear(attempt, own)
    return Decision(None, f"none of {len(runs)} earlier run(s) goes on" if runs else "no earlier run was found")


def _adopt_live(attempt: Attempt, own: OwnRun) -> Decision:
    if own.fingerprint == attempt.marker.fingerprint:
        return Decision(own, "an earlier attempt of this task started it and it goes on")
    return Decision(
        own,
        "an earlier attempt of this task started it with other inputs and it goes on; "
        "to run with the new inputs, clear the task once this run has ended",
        warn=True,
    )


def _adopt_succeeded(attempt: Attempt, own: OwnRun) -> Decision:
    if own.fingerprint == attempt.marker.fingerprint:
        return Decision(own, "it succeeded before the earlier attempt could say so")
    return Decision(
        own,
        "it was started with other inputs and succeeded before the earlier attempt could say so; "
        "to run with the new inputs, clear the task",
        warn=True,
    )


def _after_clear(attempt: Attempt, own: OwnRun) -> Decision:
    if own.fingerprint == attempt.marker.fingerprint:
        return Decision(own, "the task was cleared while it ran, and asks for the same again")
    return Decision(
        None,
        f"the task was cleared to run with other inputs; run {own.run.id} of before goes on as "
        f"{own.run.status}, since the API has no cancel",
        warn=True,
        beside=own.run,
    )


def _preference(attempt: Attempt, own: OwnRun) -> tuple[bool, float]:
    created = own.run.created_at.timestamp() if own.run.created_at else 0.0
    return own.fingerprint != attempt.marker.fingerprint, -created


def _in_this_dag_run(attempt: Attempt, own: OwnRun) -> bool:
    # A run adopted over a clear is older than the DAG run, whose start the clear has reset; its adoption is not.
    times = [moment for moment in (own.run.created_at, own.taken_at) if moment is not None]
    if attempt.dag_run_started is None or not times:
        return True
    return max(times) >= attempt.dag_run_started - CLOCK_SKEW
