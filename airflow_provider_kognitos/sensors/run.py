"""The sensor that waits for a run started elsewhere."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import (
    AirflowSensorTimeout,
    AirflowSkipException,
    BaseSensorOperator,
    PokeReturnValue,
    conf,
)

from airflow_provider_kognitos.api.models import FAILURE_STATUSES, SUCCESS_STATUSES
from airflow_provider_kognitos.exceptions import (
    KognitosConfigError,
    KognitosError,
    KognitosRunFailedError,
    KognitosRunTimeoutError,
    KognitosWatchedRunFailedError,
)
from airflow_provider_kognitos.links.run import RUN_URL, KognitosRunLink
from airflow_provider_kognitos.operators.arguments import seconds, statuses
from airflow_provider_kognitos.runs.decision import EndStatuses
from airflow_provider_kognitos.runs.outcome import Outcome, finish
from airflow_provider_kognitos.runs.polling import Wait
from airflow_provider_kognitos.runs.wait import look

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_kognitos.api.models import Run
    from airflow_provider_kognitos.hooks.kognitos import KognitosHook
    from airflow_provider_kognitos.triggers.run import KognitosRunTrigger

#: Seconds between looks at least, whatever ``poke_interval`` says.
SHORTEST_INTERVAL = 1.0
#: Seconds a trigger has to report its own deadline before Airflow times the deferral out.
DEFERRAL_GRACE = 60.0


class KognitosRunSensor(BaseSensorOperator):
    """
    Wait for a Kognitos run that another task, DAG or person started, and return its outputs.

    Returns the same dictionary as ``KognitosRunOperator``. A run that ends badly fails the task at once, or
    skips it with ``soft_fail``.

    :param run_id: the run. (templated)
    :param success_statuses: statuses of a run that ended well.
    :param failure_statuses: statuses of a run that ended badly. Any other status means it goes on.
    :param deferrable: whether to wait in the triggerer, without a worker slot.
    :param max_poll_interval: seconds between looks at a run that takes long, when deferrable; ``poke_interval``
        is the interval at first.
    :param kognitos_conn_id: the :ref:`connection <howto/connection:kognitos>`.
    :raises KognitosRunFailedError: the run ended badly (``KognitosRunCancelledError`` if it was cancelled).
    """

    template_fields: Sequence[str] = ("run_id",)
    operator_extra_links = (KognitosRunLink(),)
    ui_color = "#e8f0ff"

    def __init__(
        self,
        *,
        run_id: str,
        success_statuses: Sequence[str] | None = None,
        failure_statuses: Sequence[str] | None = None,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        max_poll_interval: float = 60.0,
        kognitos_conn_id: str = "kognitos_default",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.run_id = run_id
        self.success_statuses = statuses("success_statuses", success_statuses, SUCCESS_STATUSES)
        self.failure_statuses = statuses("failure_statuses", failure_statuses, FAILURE_STATUSES)
        self.deferrable = deferrable
        self.max_poll_interval = seconds("max_poll_interval", max_poll_interval)
        self.kognitos_conn_id = kognitos_conn_id
        self._wait: Wait | None = None

    @cached_property
    def hook(self) -> KognitosHook:
        """The hook of the connection."""
        from airflow_provider_kognitos.hooks.kognitos import KognitosHook

        return KognitosHook(self.kognitos_conn_id)

    def execute(self, context: Context) -> Any:
        """Wait on the worker, or look once and leave the rest to the triggerer."""
        if not isinstance(self.run_id, str) or not self.run_id.strip():
            raise KognitosConfigError(f"run_id must be the id of a Kognitos run, not {self.run_id!r}.")
        if not self.deferrable:
            return super().execute(context)
        run, outcome = self._look(context)
        if outcome is not None:
            try:
                return self._finish(outcome)
            except KognitosError as error:
                if self.soft_fail or self.never_fail:
                    raise AirflowSkipException(str(error)) from error
                raise
        return self.defer(
            trigger=self._trigger(run),
            method_name="execute_complete",
            # Only a net: the trigger looks once more at its deadline and says more than Airflow would.
            timeout=timedelta(seconds=self.timeout + 2 * self.max_poll_interval + DEFERRAL_GRACE),
        )

    def poke(self, context: Context) -> bool | PokeReturnValue:
        """Look at the run once."""
        _, outcome = self._look(context)
        if outcome is None:
            return False
        return PokeReturnValue(is_done=True, xcom_value=self._finish(outcome))

    def execute_complete(self, context: Context, event: Any = None) -> dict[str, Any]:
        """Return the outputs of the run that has ended, or fail as it did."""
        return self._finish(event)

    def _look(self, context: Context) -> tuple[Run | None, Outcome | None]:
        if self._wait is None:
            self._wait = Wait(
                run_id=self.run_id,
                started_at=self._began(context),
                ends=EndStatuses(self.success_statuses, self.failure_statuses),
            )
        run, outcome = look(self.hook.get_conn(), self._wait, time.time())
        if run is not None and self._wait.url is None:
            self._wait.url = self.hook.run_url(run)
            if self.do_xcom_push and self._wait.url:
                context["ti"].xcom_push(key=RUN_URL, value=self._wait.url)
        return run, outcome

    def _began(self, context: Context) -> float:
        """Return since when this sensor has looked; in mode ``reschedule`` each look is a new process."""
        first = getattr(context["ti"], "get_first_reschedule_date", None) if self.reschedule else None
        moment = first(context) if first else None
        return moment.timestamp() if moment else time.time()

    def _trigger(self, run: Run | None) -> KognitosRunTrigger:
        from airflow_provider_kognitos.triggers.run import KognitosRunTrigger

        now = time.time()
        return KognitosRunTrigger(
            run_id=self.run_id,
            started_at=run.created_at.timestamp() if run and run.created_at else now,
            process_id=run.process_id if run else "",
            agent_id=run.agent_id if run else "",
            stage=run.stage if run else "",
            deadline=now + self.timeout,
            limit=f"the sensor's timeout of {self.timeout:.0f} s",
            poll_interval=max(float(self.poke_interval), SHORTEST_INTERVAL),
            max_poll_interval=self.max_poll_interval,
            success_statuses=self.success_statuses,
            failure_statuses=self.failure_statuses,
            status=run.status if run else None,
            url=self.hook.run_url(run) if run else None,
            kognitos_conn_id=self.kognitos_conn_id,
        )

    def _finish(self, end: Any) -> dict[str, Any]:
        event = end.to_event(self._wait.url if self._wait else None) if isinstance(end, Outcome) else end
        try:
            return finish(event, EndStatuses(self.success_statuses, self.failure_statuses))
        except KognitosRunTimeoutError as error:
            raise AirflowSensorTimeout(str(error)) from error
        except KognitosRunFailedError as error:
            raise KognitosWatchedRunFailedError(error.run, error.url) from error
