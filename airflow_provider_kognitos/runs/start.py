"""
The one place where a run is started.

The API has no idempotency key: a start request that got no readable answer may or may not have created a run.
Here such an outcome is looked into before anything is sent again, and whatever an earlier attempt of the same
task instance started is found first.
"""

from __future__ import annotations

import logging
import math
import random
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow_provider_kognitos.api.retry import MAX_TOTAL, may_repeat
from airflow_provider_kognitos.exceptions import (
    KognitosCapacityError,
    KognitosError,
    KognitosNotFoundError,
    KognitosRateLimitError,
    KognitosStartUncertainError,
)
from airflow_provider_kognitos.runs.decision import CLOCK_SKEW, Attempt, OwnRun, decide
from airflow_provider_kognitos.runs.polling import LAG
from airflow_provider_kognitos.runs.record import RunRecord, RunStore
from airflow_provider_kognitos.runs.search import Sighting, search
from airflow_provider_kognitos.runs.upload import upload_all

if TYPE_CHECKING:
    from airflow_provider_kognitos.api.client import KognitosClient
    from airflow_provider_kognitos.api.models import Run
    from airflow_provider_kognitos.runs.request import RunRequest

log = logging.getLogger(__name__)

SEARCH_EVERY = 5.0
#: Seconds after a start request during which its run may still appear, unless the request's own time-out is
#: longer: gateways give up before backends do.
SETTLE = 30.0
#: Seconds by which the list of runs may lag behind: it is looked at for so long after an answer failed to come.
LIST_LAG = 10.0
#: Seconds between tries to start a run while there is no capacity for it; they grow by half each time.
FIRST_PAUSE = 10.0
LONGEST_PAUSE = 120.0


class RunStarter:
    """
    Starts a run for a task instance, or adopts the one it already has.

    :param client: the service.
    :param request: what to run.
    :param attempt: whose run it is, and where the task instance stands among its attempts.
    :param store: where the task instance keeps its record.
    :param settle: seconds after a start request during which its run may still appear.
    :param reattach: whether to look for runs at all, of earlier attempts and after an unknown outcome.
    :param record: what an earlier segment of this very attempt knew, when its start was refused.
    :param link: returns a run's page, for the log.
    :param clock: returns epoch seconds.
    """

    def __init__(
        self,
        client: KognitosClient,
        request: RunRequest,
        attempt: Attempt,
        store: RunStore,
        *,
        settle: float,
        reattach: bool = True,
        record: RunRecord | None = None,
        link: Callable[[Run], str | None] = lambda run: None,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._client = client
        self._request = request
        self._attempt = attempt
        self._store = store
        self._settle = settle
        self._reattach = reattach
        self._link = link
        self._clock = clock
        self._sleep = sleep
        self._earlier = store.load() if reattach else None
        self.record = record or self._next_record()

    def adopt(self) -> Run | None:
        """
        Return the run that an earlier attempt left to this one, ``None`` if one has to be started.

        :raises KognitosStartUncertainError: an earlier start request has an unknown outcome, and the list
            of runs cannot tell.
        :raises KognitosError: the service could not be asked.
        """
        if not self._reattach or (self._earlier is None and self._attempt.first):
            return None
        found = self._look_back()
        known = dict.fromkeys((*self.record.earlier, *(own.run.id for own in found)))
        self.record = self.record._replace(
            earlier=tuple(known),
            # A run that was not on record may have been started with the files that are.
            file_ids=self.record.file_ids if len(known) == len(self.record.earlier) else {},
        )
        decision = decide(self._attempt, found)
        level = logging.WARNING if decision.warn else logging.INFO
        if decision.adopt is None:
            beside = self._link(decision.beside) if decision.beside else None
            log.log(level, "Starting a new Kognitos run: %s. %s", decision.why, beside or "")
            return None
        run = decision.adopt.run
        if not self._attempt.ends.live(run):
            # An item of the list may leave the outputs out.
            run = self._client.get_run(run.id)
        age = f"{self._clock() - run.created_at.timestamp():.0f} s old" if run.created_at else "of unknown age"
        log.log(
            level,
            "Adopted Kognitos run %s (%s, %s) and started none: %s. %s",
            run.id,
            run.status,
            age,
            decision.why,
            self._link(run) or "",
        )
        self._remember_run(decision.adopt._replace(run=run))
        return run

    def start(self) -> Run:
        """
        Upload the files, start a run and return it.

        :raises KognitosCapacityError: refused for now; ``record`` keeps what is uploaded and since when.
        :raises KognitosRateLimitError: as above.
        :raises KognitosStartUncertainError: nobody can know whether a run was started.
        :raises KognitosError: refused for good, or never sent.
        """
        self._upload()
        try:
            run = self._send()
        except KognitosStartUncertainError:
            raise
        except (KognitosCapacityError, KognitosRateLimitError):
            self._remember(
                intent_at=None,
                waiting_since=self.record.waiting_since or self._clock(),
                refusals=self.record.refusals + 1,
            )
            raise
        except KognitosNotFoundError:
            # Perhaps the files: how long an uploaded one is kept is undocumented.
            self._remember(intent_at=None, file_ids={})
            raise
        except KognitosError:
            self._remember(intent_at=None)
            raise
        marker = self._attempt.marker
        self._remember_run(OwnRun(run, marker.generation, marker.fingerprint))
        if self._attempt.ends.live(run):
            return run
        # It may have been found in the list, an item of which may leave the outputs out.
        return self._client.get_run(run.id)

    def pause_after(
        self,
        refusal: KognitosCapacityError | KognitosRateLimitError,
        patience: float,
        give_up_at: float | None,
    ) -> float:
        """
        Return how many seconds to wait before a start that was refused is tried again.

        :param refusal: the last refusal.
        :param patience: seconds to keep trying, counted from the first refusal.
        :param give_up_at: when to stop trying in any case, epoch seconds.
        :raises KognitosCapacityError: patience is over; or ``KognitosRateLimitError``, as the refusal was.
        """
        now = self._clock()
        waited = now - (self.record.waiting_since or now)
        left = min(patience - waited, math.inf if give_up_at is None else give_up_at - now)
        if left <= 0:
            raise type(refusal)(
                f"No Kognitos run could be started for {waited:.0f} s, so none was. The last refusal: {refusal}",
                status_code=refusal.status_code,
                details=refusal.details,
                reason=refusal.reason,
            ) from refusal
        growing = FIRST_PAUSE * 1.5 ** min(max(self.record.refusals - 1, 0), 20) * random.uniform(0.8, 1.2)  # noqa: S311
        asked_for = getattr(refusal, "retry_after", None) or 0.0
        return min(max(min(growing, LONGEST_PAUSE), asked_for), left)

    def _look_back(self) -> tuple[OwnRun, ...]:
        earlier = self._earlier
        if earlier is not None and earlier.run_id is not None:
            recorded = self._recorded(earlier, earlier.run_id)
            return (recorded,) if recorded else self._find(until=0, wanted=self._adoptable)
        began = self._clock()
        if earlier is not None and earlier.intent_at is not None:
            # The request may have left later than was intended: the client waits and retries what was refused.
            sent_by = min(began, earlier.intent_at + MAX_TOTAL)
            return self._find(until=sent_by + self._settle, wanted=self._adoptable, or_raise=True)
        sighting = self._search()
        if earlier is not None or self._accounted_for(sighting.runs) or self._adoptable(sighting.runs):
            return sighting.runs
        if not sighting.complete:
            raise self._uncertain("the list of runs is too long to be read to its end")
        # An attempt left no run to be seen: killed or cleared a moment ago, its run may not be listed yet.
        return self._find(until=began + self._settle, wanted=self._adoptable)

    def _recorded(self, earlier: RunRecord, run_id: str) -> OwnRun | None:
        while True:
            try:
                return _on_record(self._client.get_run(run_id), earlier)
            except KognitosNotFoundError:
                if self._clock() > (earlier.started_at or 0) + LAG:
                    log.warning("Kognitos run %s of an earlier attempt is not known any more.", run_id)
                    return None
            self._sleep(SEARCH_EVERY)

    def _accounted_for(self, found: Sequence[OwnRun]) -> bool:
        """Whether there is a run for each attempt that came before."""
        attempt = self._attempt
        current = [own for own in found if own.generation == attempt.marker.generation]
        return len(current) >= attempt.tries_before and len(found) >= attempt.tries_before + attempt.tries_at_clear

    def _adoptable(self, found: Sequence[OwnRun]) -> bool:
        return decide(self._attempt, found).adopt is not None

    def _find(
        self, *, until: float, wanted: Callable[[Sequence[OwnRun]], bool], or_raise: bool = False
    ) -> tuple[OwnRun, ...]:
        """Search until what is wanted is there or the time is over; ``or_raise`` if that proves nothing."""
        while True:
            last = self._clock() >= until
            try:
                sighting = self._search()
            except KognitosError as error:
                if not or_raise:
                    raise
                if last or not may_repeat(error):
                    raise self._uncertain(f"the list of runs could not be read: {error}") from error
            else:
                if wanted(sighting.runs):
                    return sighting.runs
                if last and or_raise and not sighting.complete:
                    raise self._uncertain("the list of runs is too long to be read to its end")
                if last:
                    return sighting.runs
            self._sleep(min(SEARCH_EVERY, max(until - self._clock(), 0.1)))

    def _search(self) -> Sighting:
        earlier, since = self._earlier, self._attempt.search_from
        if since and earlier is not None and earlier.intent_at is not None:
            since = min(since, datetime.fromtimestamp(earlier.intent_at, UTC))
        sighting = search(
            self._client,
            process_id=self._request.process_id,
            agent_id=self._request.agent_id,
            stage=self._request.stage,
            identity=self._attempt.marker.identity,
            since=since,
        )
        if earlier is None:
            return sighting
        return sighting._replace(
            runs=tuple(_on_record(own.run, earlier) if own.run.id == earlier.run_id else own for own in sighting.runs),
        )

    def _upload(self) -> None:
        missing = [source for source in dict.fromkeys(self._request.files) if source not in self.record.file_ids]

        def keep(source: str, file_id: str) -> None:
            self._remember(file_ids={**self.record.file_ids, source: file_id})

        upload_all(self._client, missing, agent_id=self._request.agent_id, keep=keep)

    def _send(self) -> Run:
        """Send the start request; once more if it left no trace, never a third time."""
        try:
            return self._request_start()
        except KognitosStartUncertainError as unknown:
            if not self._reattach:
                raise
            run = self._trace(unknown)
            if run is not None:
                return run
        log.warning("No such run after %.0f s: sending the start request once more.", self._settle)
        try:
            return self._request_start()
        except KognitosStartUncertainError as unknown:
            run = self._trace(unknown)
            if run is None:
                raise
            return run

    def _request_start(self) -> Run:
        self._remember(intent_at=self._clock())
        return self._client.start_run(
            process_id=self._request.process_id,
            agent_id=self._request.agent_id,
            name=self._attempt.marker.name(self._request.label),
            stage=self._request.stage,
            inputs=self._request.inputs,
            file_ids=[
                *self._request.file_ids,
                *(self.record.file_ids[source] for source in self._request.files),
            ],
        )

    def _trace(self, unknown: KognitosStartUncertainError) -> Run | None:
        """Return the run that the start request just sent has created, ``None`` if it created none."""
        log.warning("%s Looking for the run by its name.", unknown)
        now = self._clock()
        # The client waits and retries what was refused unread, so the request may have left after the intent.
        sent_at = unknown.sent_at.timestamp() if unknown.sent_at else now
        earliest = datetime.fromtimestamp(self.record.intent_at or sent_at, UTC) - CLOCK_SKEW

        def created(found: Sequence[OwnRun]) -> list[Run]:
            return [
                own.run
                for own in found
                if own.generation == self._attempt.marker.generation
                and own.run.id not in self.record.earlier
                and (own.run.created_at is None or own.run.created_at >= earliest)
            ]

        until = max(sent_at + self._settle, now + LIST_LAG)
        runs = created(self._find(until=until, wanted=lambda found: bool(created(found)), or_raise=True))
        if not runs:
            return None
        log.log(
            logging.INFO if len(runs) == 1 else logging.WARNING,
            "The start request had created Kognitos run %s.",
            ", ".join(run.id for run in runs),
        )
        return runs[0]

    def _next_record(self) -> RunRecord:
        marker = self._attempt.marker
        if self._earlier is None:
            return RunRecord(marker.generation, marker.fingerprint)
        return self._earlier.following(marker.generation, marker.fingerprint)

    def _remember(self, **changes: Any) -> None:
        self.record = self.record._replace(**changes)
        if self._reattach:
            self._store.save(self.record)

    def _remember_run(self, own: OwnRun) -> None:
        try:
            self._remember(
                generation=self._attempt.marker.generation,
                fingerprint=own.fingerprint,
                run_id=own.run.id,
                started_at=self._clock(),
                intent_at=None,
                file_ids={},
                waiting_since=None,
                refusals=0,
            )
        except Exception:
            # The run exists: failing here would lose it, and its name leads a later attempt to it anyway.
            log.exception("Kognitos run %s could not be put on record; it goes on and is waited for.", own.run.id)

    def _uncertain(self, why: str) -> KognitosStartUncertainError:
        process = self._request.process_id
        intents = [record.intent_at for record in (self._earlier, self.record) if record is not None]
        known = (
            f"A start request for process {process} was sent, its outcome is unknown"
            if any(intents)
            else f"An earlier attempt of this task may have started a run of process {process}"
        )
        return KognitosStartUncertainError(
            f"{known}, and {why}. No run is started before this is known. Look in Kognitos for a run of this process "
            f"whose name has [af-{self._attempt.marker.identity}-…] in it; the next attempt of this task looks too. "
            "If there is none, a task with reattach=False starts one without looking."
        )


def _on_record(run: Run, earlier: RunRecord) -> OwnRun:
    taken_at = None if earlier.started_at is None else datetime.fromtimestamp(earlier.started_at, UTC)
    return OwnRun(run, earlier.generation, earlier.fingerprint, taken_at)
