"""The trigger that waits for one run."""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_provider_kognitos.api.words import FAILURE_STATUSES, SUCCESS_STATUSES
from airflow_provider_kognitos.runs.ends import EndStatuses
from airflow_provider_kognitos.runs.polling import Cadence, Wait

if TYPE_CHECKING:
    from airflow_provider_kognitos.api.client import KognitosClient

# One for all: a trigger's own log is made when it is first used, and takes more than all else that a trigger is.
_tell = logging.getLogger(__name__).info

# Thousands of triggers share a few of these: what is not there holds up nobody while garbage is collected.
_cadence = lru_cache(Cadence)
_ends = lru_cache(EndStatuses)

#: Seconds that a trigger has to report its own deadline before Airflow times the deferral out.
GRACE = 60.0


class KognitosRunTrigger(BaseTrigger):
    """
    Wait for a run to end, together with all other runs that wait on the same connection.

    Fires one event: how the wait ended, with all that the task returns (see ``runs/outcome.py``); or, at
    ``attention_at``, that the run still goes on, with the arguments of the trigger to wait on with. All times are
    absolute, so a triggerer that takes over from another keeps every deadline.

    :param run_id: the run.
    :param process_id: its process; without it the run is asked for by its id alone.
    :param agent_id: its agent.
    :param stage: its stage.
    :param started_at: when it was started or adopted, epoch seconds.
    :param deadline: when to stop waiting, epoch seconds, ``None`` for never.
    :param limit: what set the deadline, for the message.
    :param attention_at: when to say that the run still goes on, epoch seconds, ``None`` for never.
    :param poll_interval: seconds between looks at first.
    :param max_poll_interval: seconds between looks at a run that takes long.
    :param success_statuses: statuses of a run that ended well.
    :param failure_statuses: statuses of a run that ended badly.
    :param status: the status last seen.
    :param url: the run's page in the Kognitos web UI.
    :param kognitos_conn_id: the connection.
    """

    def __init__(
        self,
        *,
        run_id: str,
        started_at: float,
        process_id: str = "",
        agent_id: str = "",
        stage: str = "",
        deadline: float | None = None,
        limit: str = "timeout",
        attention_at: float | None = None,
        poll_interval: float = 15.0,
        max_poll_interval: float = 60.0,
        success_statuses: Sequence[str] = SUCCESS_STATUSES,
        failure_statuses: Sequence[str] = FAILURE_STATUSES,
        status: str | None = None,
        url: str | None = None,
        kognitos_conn_id: str = "kognitos_default",
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.run_id = run_id
        self.started_at = started_at
        self.process_id = process_id
        self.agent_id = agent_id
        self.stage = stage
        self.deadline = deadline
        self.limit = limit
        self.attention_at = attention_at
        self.poll_interval = poll_interval
        self.max_poll_interval = max_poll_interval
        self.success_statuses = tuple(success_statuses)
        self.failure_statuses = tuple(failure_statuses)
        self.status = status
        self.url = url
        self.kognitos_conn_id = kognitos_conn_id

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class and the arguments to make this trigger again, plain JSON all of them."""
        return (
            "airflow_provider_kognitos.triggers.run.KognitosRunTrigger",
            {
                "run_id": self.run_id,
                "started_at": self.started_at,
                "process_id": self.process_id,
                "agent_id": self.agent_id,
                "stage": self.stage,
                "deadline": self.deadline,
                "limit": self.limit,
                "attention_at": self.attention_at,
                "poll_interval": self.poll_interval,
                "max_poll_interval": self.max_poll_interval,
                "success_statuses": list(self.success_statuses),
                "failure_statuses": list(self.failure_statuses),
                "status": self.status,
                "url": self.url,
                "kognitos_conn_id": self.kognitos_conn_id,
            },
        )

    def wait(self) -> Wait:
        """Return the wait for the run, its first look within the first interval from now."""
        return Wait(
            run_id=self.run_id,
            started_at=self.started_at,
            cadence=_cadence(self.poll_interval, self.max_poll_interval),
            ends=_ends(self.success_statuses, self.failure_statuses),
            deadline=self.deadline,
            limit=self.limit,
            attention_at=self.attention_at,
            status=self.status,
            url=self.url,
        ).begin(time.time())

    def patience(self) -> timedelta | None:
        """
        Return how long a task may be deferred to this trigger, ``None`` for ever.

        Only a net: the trigger looks once more at its deadline and says more than Airflow would.
        """
        if self.deadline is None:
            return None
        return timedelta(seconds=max(self.deadline - time.time() + 2 * self.max_poll_interval, 0.0) + GRACE)

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait, and fire how it ended."""
        from airflow_provider_kognitos.runs.watcher import RunWatcher, group_of

        watcher = RunWatcher.of(self.kognitos_conn_id, self._open_client)
        ticket = watcher.join(self.wait(), group_of(self.process_id, self.agent_id, self.stage), _tell)
        try:
            outcome = await ticket.outcome
        finally:
            watcher.leave(ticket)
        event = outcome.to_event(self.url)
        if outcome.kind == "attention" and outcome.run is not None:
            # In the event and not in the arguments of the deferral, which dag.test() leaves out.
            event["trigger"] = {**self.serialize()[1], "attention_at": None, "status": outcome.run.status}
        yield TriggerEvent(event)  # type: ignore[no-untyped-call]

    async def on_kill(self) -> None:
        """
        Say what becomes of the run; nothing is sent, since the API has no cancel.

        Airflow 3.3.0 to 3.3.2 call this too when they move a trigger to another triggerer.
        """
        self.log.warning(
            "Kognitos run %s goes on: the API has no cancel. %s It can be stopped in Kognitos only. If the task "
            "runs again as it is, it adopts this run. (A trigger that only moves to another triggerer goes on too.)",
            self.run_id,
            self.url or "",
        )

    def _open_client(self) -> KognitosClient:
        from airflow_provider_kognitos.hooks.kognitos import KognitosHook

        return KognitosHook(self.kognitos_conn_id).client(attempts=1)
