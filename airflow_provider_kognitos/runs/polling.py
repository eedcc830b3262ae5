"""
When to look at a run, and what a look means. No I/O, no sleep; the clock is passed in.

The synchronous wait, the sensor and the watcher in the triggerer share these decisions.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from airflow_provider_kognitos.api.words import FAILURE_STATUSES, LIVE_STATUSES, SUCCESS_STATUSES
from airflow_provider_kognitos.exceptions import (
    KognitosAuthError,
    KognitosNotFoundError,
    KognitosRateLimitError,
)
from airflow_provider_kognitos.runs.ends import EndStatuses
from airflow_provider_kognitos.runs.outcome import Outcome

if TYPE_CHECKING:
    from airflow_provider_kognitos.api.models import Run
    from airflow_provider_kognitos.exceptions import KognitosError

#: Seconds during which the service may not know a run yet that it has started.
LAG = 60.0
#: A wait ends with an error after so many failed looks in a row, over at least so many seconds.
FAILURES_IN_A_ROW = 5
FAILING_FOR = 60.0
#: Seconds. The longest pause that the service can ask for: a deadline must not be overslept.
LONGEST_PAUSE = 300.0
#: A run is asked about every tenth of the time it has gone on, within the two intervals given.
GROWTH = 0.1

_DOCUMENTED = frozenset((*LIVE_STATUSES, *SUCCESS_STATUSES, *FAILURE_STATUSES))


class Cadence(NamedTuple):
    """
    How often to look at a run.

    :param first: seconds between looks at a young run.
    :param longest: seconds between looks at an old one.
    """

    first: float = 15.0
    longest: float = 60.0

    def interval(self, age: float) -> float:
        """Return the seconds between looks at a run that has gone on for ``age`` seconds."""
        return min(max(age * GROWTH, self.first), max(self.first, self.longest))


def pause_asked_for(error: KognitosError) -> float:
    """Return the seconds that the service asks to wait before the next request, 0 if it does not say."""
    return min(getattr(error, "retry_after", None) or 0.0, LONGEST_PAUSE)


def _said(status: str | None) -> str:
    return "not seen" if status is None else status or "without a status"


@dataclass(slots=True)
class Wait:
    """
    The wait for one run to end. Times are epoch seconds, so that a restart changes none of them.

    :param run_id: the run.
    :param started_at: when it was started or adopted.
    :param cadence: how often to look.
    :param ends: the statuses that end it.
    :param deadline: when to stop waiting, ``None`` for never.
    :param limit: what set the deadline, for the message.
    :param attention_at: when to interrupt the wait, once, if the run still goes on; ``None`` for never.
    :param due: when to look next; right away if not given.
    :param status: the status last seen.
    :param url: the run's page, for the log.
    """

    run_id: str
    started_at: float
    cadence: Cadence = field(default_factory=Cadence)
    ends: EndStatuses = field(default_factory=EndStatuses)
    deadline: float | None = None
    limit: str = "timeout"
    attention_at: float | None = None
    due: float = 0.0
    status: str | None = None
    url: str | None = None
    failures: int = 0
    failing_since: float = 0.0

    def begin(self, now: float) -> Wait:
        """
        Set the first look, within the first interval, and return this wait.

        Not at once: Airflow's scheduler takes a deferred task for failed that resumes before it has heard that the task
        left its worker.
        """
        self._look_in(self.cadence.first * random.uniform(0.5, 1.0), now)  # noqa: S311
        return self

    def news(self, run: Run, now: float) -> str | None:
        """Return a line for the log if the run's status is new, ``None`` if it was known."""
        if run.status == self.status:
            return None
        line = f"Kognitos run {run.id} is {_said(run.status)} after {now - self.started_at:.0f} s"
        if self.status is not None:
            line += f" (was {_said(self.status)})"
        if run.status not in _DOCUMENTED and self.ends.live(run):
            line += "; this status is not documented and is taken as still going"
        return f"{line}. {self.url}" if self.url else f"{line}."

    def on_run(self, run: Run, now: float) -> Outcome | None:
        """Return how the wait ended or what interrupts it, ``None`` if it goes on, after the run was seen."""
        self.failures = 0
        self.status = run.status
        if not self.ends.live(run):
            return Outcome.ended(run)
        attention = self.attention_at is not None and now >= self.attention_at
        if attention:
            self.attention_at = None
        return self._next(now) or (Outcome.attention(run) if attention else None)

    def on_error(self, error: KognitosError, now: float) -> Outcome | None:
        """Return how the wait ended, ``None`` if it goes on, after the run could not be seen."""
        outcome = self._next(now, at_least=pause_asked_for(error))
        lagging = isinstance(error, KognitosNotFoundError) and now < self.started_at + LAG
        # A throttled request says nothing about the run.
        if outcome is not None or lagging or isinstance(error, KognitosRateLimitError):
            return outcome
        if not self.failures:
            self.failing_since = now
        self.failures += 1
        never_seen = self.status is None and isinstance(error, (KognitosNotFoundError, KognitosAuthError))
        if never_seen or (self.failures >= FAILURES_IN_A_ROW and now - self.failing_since >= FAILING_FOR):
            return Outcome.error(
                self.run_id,
                f"Gave up asking about Kognitos run {self.run_id} after {self.failures} failure(s) in a row over "
                f"{now - self.failing_since:.0f} s, the last: {error} If the run exists, it goes on; a later "
                "attempt of this task looks at it again.",
            )
        return None

    def interval(self, now: float) -> float:
        """Return the seconds between looks at this run now."""
        return self.cadence.interval(now - self.started_at)

    def elapsed(self, now: float) -> float:
        """Return the part of its interval that has gone by since the last look, from 0 to 1."""
        return min(max(1.0 - (self.due - now) / self.interval(now), 0.0), 1.0)

    def _next(self, now: float, at_least: float = 0.0) -> Outcome | None:
        if self.deadline is not None and now >= self.deadline:
            return Outcome.timeout(
                self.run_id,
                f"Kognitos run {self.run_id} was still {_said(self.status)}: {self.limit} is over. The run "
                "goes on, since the API has no cancel; a later attempt of this task adopts it.",
            )
        self._look_in(max(self.interval(now) * random.uniform(0.9, 1.1), at_least), now, at_least)  # noqa: S311
        return None

    def _look_in(self, pause: float, now: float, at_least: float = 0.0) -> None:
        """Set the next look; a time that something hangs on is not overslept."""
        times = [now + pause]
        if self.deadline is not None:
            times.append(self.deadline)
        if self.attention_at is not None and self.attention_at > now:
            times.append(max(self.attention_at, now + at_least))
        self.due = min(times)
