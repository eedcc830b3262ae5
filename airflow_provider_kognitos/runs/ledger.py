"""
Which runs of a process have been told of. No I/O; the clock is passed in.

The list of runs can be asked neither for those that have ended nor for those since some time, and its order is
undocumented. So this remembers where it stands: a time before which every run is settled, the few runs that go on
all the same, and those that were settled since. What it remembers stays small however long runs go on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow_provider_kognitos.api.models import parse_time
from airflow_provider_kognitos.api.words import FAILURE_STATUSES, SUCCESS_STATUSES
from airflow_provider_kognitos.runs.decision import CLOCK_SKEW

if TYPE_CHECKING:
    from airflow_provider_kognitos.api.models import Run

#: A run may come on the list so much later than one that was created after it.
LIST_LAG = timedelta(minutes=10)


class Ledger:
    """
    The runs of a process that have reached some statuses, each of them once.

    Without a state, the runs of the first look are taken as known: those that go on count, those that are over do not.

    :param statuses: the statuses that count.
    :param state: from :meth:`state`, ``None`` to begin.
    :raises ValueError: the state cannot be read.
    """

    def __init__(self, statuses: Sequence[str], state: Any = None) -> None:
        self._statuses = frozenset(statuses)
        self._over = self._statuses.union(SUCCESS_STATUSES, FAILURE_STATUSES)
        self.begun = state is not None
        self.until: datetime | None = None
        self._open: set[str] = set()
        self._settled: dict[str, datetime | None] = {}
        if state is not None:
            self.until, self._open, self._settled = _read(state)

    @property
    def open(self) -> frozenset[str]:
        """Ids of the runs that are to be looked at: they go on, or have not been told of."""
        return frozenset(self._open)

    def state(self) -> dict[str, Any]:
        """Return what makes this ledger again, plain JSON."""
        return {
            "until": _written(self.until),
            "open": sorted(self._open),
            "settled": {run_id: _written(created_at) for run_id, created_at in sorted(self._settled.items())},
        }

    def see(self, runs: Iterable[Run], now: datetime, gone: Iterable[str] = ()) -> list[Run]:
        """
        Take note of a look at the list, and return the runs to tell of, oldest first.

        Each of them is returned again after the next look unless it is settled meanwhile.

        :param runs: every run created since ``until``, and of the older ones those that have been looked at.
        :param now: when; a run from the future is not to hide those of the present.
        :param gone: ids of runs that are not there any more.
        """
        self._open.difference_update(gone)
        latest = {run.id: run for run in runs}
        news = [run for run in latest.values() if self._is_news(run)]
        for run in news:
            if run.status not in self._over or (self.begun and run.status in self._statuses):
                self._open.add(run.id)
            else:
                self._settle(run)
        due = [run for run in news if self.begun and run.status in self._statuses]
        self.begun = True
        self._move_on([run.created_at for run in latest.values() if run.created_at], now)
        return sorted(due, key=lambda run: (run.created_at.timestamp() if run.created_at else 0.0, run.id))

    def settle(self, run: Run) -> None:
        """Take note that a run has been told of."""
        self._settle(run)
        self._prune()

    def _is_news(self, run: Run) -> bool:
        if run.id in self._open:
            return True
        before = self.until is not None and run.created_at is not None and run.created_at < self.until
        return not before and run.id not in self._settled

    def _settle(self, run: Run) -> None:
        self._open.discard(run.id)
        self._settled[run.id] = run.created_at

    def _move_on(self, created: Sequence[datetime], now: datetime) -> None:
        newest = max((moment for moment in created if moment <= now + CLOCK_SKEW), default=None)
        if newest is not None and (self.until is None or newest - LIST_LAG > self.until):
            self.until = newest - LIST_LAG
        self._prune()

    def _prune(self) -> None:
        until = self.until
        if until is not None:
            self._settled = {
                run_id: created_at
                for run_id, created_at in self._settled.items()
                if created_at is None or created_at >= until
            }


def _read(state: Any) -> tuple[datetime | None, set[str], dict[str, datetime | None]]:
    if (
        not isinstance(state, Mapping)
        or not isinstance(state.get("open"), list)
        or not isinstance(state.get("settled"), Mapping)
        or "until" not in state
    ):
        raise ValueError("it is not what this watcher stores")
    return (
        _moment(state["until"]),
        {str(run_id) for run_id in state["open"]},
        {str(run_id): _moment(created_at) for run_id, created_at in state["settled"].items()},
    )


def _moment(value: Any) -> datetime | None:
    moment = parse_time(value)
    if value is not None and moment is None:
        raise ValueError("a time in it is none")
    return moment


def _written(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()
