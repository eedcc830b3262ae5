"""The sensor that waits for a run started elsewhere."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.providers.common.compat.sdk import (
    AirflowSensorTimeout,
    AirflowSkipException,
    BaseSensorOperator,
    PokeReturnValue,
    conf,
)

from airflow_provider_kognitos.api.words import FAILURE_STATUSES, SUCCESS_STATUSES
from airflow_provider_kognitos.exceptions import (
    KognitosConfigError,
    KognitosError,
    KognitosRunFailedError,
    KognitosRunTimeoutError,
    KognitosWatchedRunFailedError,
)
from airflow_provider_kognitos.links.run import RUN_URL, KognitosRunLink
from airflow_provider_kognitos.operators.attention import Attention, Callbacks, callbacks_of
from airflow_provider_kognitos.runs.arguments import seconds, statuses
from airflow_provider_kognitos.runs.ends import EndStatuses
from airflow_provider_kognitos.runs.outcome import Outcome, finish, is_attention, result_of
from airflow_provider_kognitos.runs.polling import Wait
from airflow_provider_kognitos.runs.wait import look

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_kognitos.api.models import Run
    from airflow_provider_kognitos.hooks.kognitos import KognitosHook
    from airflow_provider_kognitos.operators.output import RunOutput
    from airflow_provider_kognitos.triggers.run import KognitosRunTrigger

#: Seconds between looks at least, whatever ``poke_interval`` says.
SHORTEST_INTERVAL = 1.0


class KognitosRunSensor(BaseSensorOperator):
    """
    Wait for a Kognitos run that another task, DAG or person started, and return its outputs.

    Returns the same dictionary as ``KognitosRunOperator``. A run that ends badly fails the task at once, or
    skips it with ``soft_fail``.

    :param run_id: the run. (templated)
    :param attention_after: call ``on_attention_callback`` when the run has not ended so long after it was created,
        seconds or a timedelta. The wait goes on, and so does ``timeout``. In mode ``reschedule`` it needs Airflow
        3.3 or later, as before no look knows what the one before has done.
    :param on_attention_callback: a function of the context or a notifier, or a list of those, as
        ``on_failure_callback``. The context also has ``run``, the dictionary as returned so far, ``link``, its
        ``url``, and ``age``, a timedelta. Called once per run, on Airflow before 3.3 once per run and attempt.
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
        attention_after: float | timedelta | None = None,
        on_attention_callback: Callbacks | None = None,
        success_statuses: Sequence[str] | None = None,
        failure_statuses: Sequence[str] | None = None,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        max_poll_interval: float = 60.0,
        kognitos_conn_id: str = "kognitos_default",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.run_id = run_id
        self.attention_after = None if attention_after is None else seconds("attention_after", attention_after)
        self.on_attention_callback = callbacks_of("on_attention_callback", on_attention_callback)
        self.success_statuses = statuses("success_statuses", success_statuses, SUCCESS_STATUSES)
        self.failure_statuses = statuses("failure_statuses", failure_statuses, FAILURE_STATUSES)
        self.deferrable = deferrable
        self.max_poll_interval = seconds("max_poll_interval", max_poll_interval)
        self.kognitos_conn_id = kognitos_conn_id
        self._wait: Wait | None = None
        self._attention: Attention | None = None

    @property
    def output(self) -> RunOutput:
        """Reference to what the task returns; ``output["outputs"]["total"]`` refers to one output of the run."""
        from airflow_provider_kognitos.operators.output import RunOutput

        return RunOutput(self)

    @cached_property
    def hook(self) -> KognitosHook:
        """The hook of the connection."""
        from airflow_provider_kognitos.hooks.kognitos import KognitosHook

        return KognitosHook(self.kognitos_conn_id)

    def execute(self, context: Context) -> Any:
        """Wait on the worker, or look once and leave the rest to the triggerer."""
        if not isinstance(self.run_id, str) or not self.run_id.strip():
            raise KognitosConfigError(f"run_id must be the id of a Kognitos run, not {self.run_id!r}.")
        self._attention = Attention(context, self.attention_after, self.on_attention_callback)
        if not self.deferrable:
            if self.reschedule and self._attention.asked_for and not self._attention.survives:
                raise KognitosConfigError(
                    "attention_after in mode 'reschedule' needs Airflow 3.3 or later: before, no look knows whom the "
                    "one before has called. Use deferrable=True or mode='poke'."
                )
            return super().execute(context)
        run, outcome = self._look(context)
        if outcome is not None:
            try:
                return self._finish(outcome)
            except KognitosError as error:
                if self.soft_fail or self.never_fail:
                    raise AirflowSkipException(str(error)) from error
                raise
        return self._defer(self._trigger(run))

    def _defer(self, trigger: KognitosRunTrigger) -> NoReturn:
        self.defer(trigger=trigger, method_name="execute_complete", timeout=trigger.patience())

    def poke(self, context: Context) -> bool | PokeReturnValue:
        """Look at the run once."""
        _, outcome = self._look(context)
        if outcome is None:
            return False
        return PokeReturnValue(is_done=True, xcom_value=self._finish(outcome))

    def execute_complete(self, context: Context, event: Any = None) -> dict[str, Any]:
        """Return the outputs of the run that has ended, or fail as it did; or wait on, once somebody is told."""
        if is_attention(event):
            from airflow_provider_kognitos.triggers.run import KognitosRunTrigger

            trigger = KognitosRunTrigger(**event["trigger"])
            attention = Attention(context, self.attention_after, self.on_attention_callback, since=trigger.started_at)
            attention.give(event["result"])
            self._defer(trigger)
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
        if run is not None and outcome is None and self._attention is not None:
            self._attention.give_if_due(result_of(run, self._wait.url))
        return run, outcome

    def _began(self, context: Context) -> float:
        """Return since when this sensor has looked; in mode ``reschedule`` each look is a new process."""
        first = getattr(context["ti"], "get_first_reschedule_date", None) if self.reschedule else None
        moment = first(context) if first else None
        return moment.timestamp() if moment else time.time()

    def _trigger(self, run: Run | None) -> KognitosRunTrigger:
        from airflow_provider_kognitos.triggers.run import KognitosRunTrigger

        now = time.time()
        url = self.hook.run_url(run) if run else None
        seen = result_of(run, url) if run else {"run_id": self.run_id, "created_at": None}
        return KognitosRunTrigger(
            run_id=self.run_id,
            started_at=run.created_at.timestamp() if run and run.created_at else now,
            process_id=run.process_id if run else "",
            agent_id=run.agent_id if run else "",
            stage=run.stage if run else "",
            deadline=now + self.timeout,
            limit=f"the sensor's timeout of {self.timeout:.0f} s",
            attention_at=self._attention.due_at(seen) if self._attention else None,
            poll_interval=max(float(self.poke_interval), SHORTEST_INTERVAL),
            max_poll_interval=self.max_poll_interval,
            success_statuses=self.success_statuses,
            failure_statuses=self.failure_statuses,
            status=run.status if run else None,
            url=url,
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
