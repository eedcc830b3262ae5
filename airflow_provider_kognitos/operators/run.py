"""The operator that runs a Kognitos process."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.providers.common.compat.sdk import BaseOperator, conf

from airflow_provider_kognitos.api.words import FAILURE_STATUSES, STAGES, SUCCESS_STATUSES
from airflow_provider_kognitos.exceptions import (
    KognitosCapacityError,
    KognitosConfigError,
    KognitosPollError,
    KognitosRateLimitError,
    KognitosRunTimeoutError,
)
from airflow_provider_kognitos.links.run import RUN_URL, KognitosRunLink
from airflow_provider_kognitos.operators.attention import Attention, Callbacks, callbacks_of
from airflow_provider_kognitos.operators.outlets import tell_outlets
from airflow_provider_kognitos.operators.template_fields import GivenFields
from airflow_provider_kognitos.runs.arguments import inputs_of_run, seconds, statuses, texts
from airflow_provider_kognitos.runs.ends import EndStatuses
from airflow_provider_kognitos.runs.outcome import Outcome, finish, is_attention, result_of

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context
    from airflow.providers.openlineage.extractors import OperatorLineage

    from airflow_provider_kognitos.api.models import Run
    from airflow_provider_kognitos.hooks.kognitos import KognitosHook
    from airflow_provider_kognitos.operators.output import RunOutput
    from airflow_provider_kognitos.runs.record import RunRecord
    from airflow_provider_kognitos.runs.request import RunRequest
    from airflow_provider_kognitos.runs.start import RunStarter
    from airflow_provider_kognitos.triggers.run import KognitosRunTrigger

#: XCom under which the id of a run is kept.
RUN_ID = "run_id"
#: What Airflow resumes a task with when its trigger failed or its deferral timed out.
FAILED_DEFERRAL = "__fail__"


class KognitosRunOperator(BaseOperator):
    """
    Start a run of a Kognitos process, wait for it and return its outputs.

    A run costs money and posts invoices, and the API has neither an idempotency key nor a cancel. So a retry
    adopts the run that an earlier attempt started, for as long as it lives, and only a clear or a run that
    ended badly leads to a new one.

    The task returns the same dictionary in every mode: ``run_id``, ``name``, ``status``, ``process_id``,
    ``agent_id``, ``stage``, ``created_at``, ``file_ids``, ``outputs`` (a dictionary) and ``url``. The XComs
    ``run_id`` and ``run_url`` and the link "Kognitos run" are there as soon as the run has started. The events of
    assets that are outlets of the task carry ``run_id``, ``url`` and ``outputs`` as their extra; outputs of more
    than 64 KiB are left out there.

    :param process_id: the process to run; give this or ``process_name``. (templated)
    :param process_name: name of the process, looked up among the agent's processes. (templated)
    :param agent_id: the agent of the process; the connection's if not given. (templated)
    :param inputs: the run's inputs, any JSON value by name. (templated)
    :param files: paths or object-store URLs, one or many, uploaded just before the start. (templated)
    :param file_ids: ids of files uploaded before, one or many. (templated)
    :param stage: ``Published`` or ``Draft``. (templated)
    :param name: label of the run in Kognitos, ``{dag_id}.{task_id} {run_id}`` if not given; cut to what fits
        in 100 characters together with the mark by which the run is found again. (templated)
    :param wait_for_completion: whether to wait for the run to end; if not, the task succeeds once it started.
    :param deferrable: whether to wait in the triggerer, without a worker slot.
    :param poll_interval: seconds between looks at the run at first.
    :param max_poll_interval: seconds between looks at a run that takes long; up to this the interval grows to
        a tenth of the time the run has taken.
    :param timeout: how long to wait for the run, seconds or a timedelta. The run goes on after that, and a
        retry adopts it. ``execution_timeout`` is honoured too, deferred or not.
    :param capacity_timeout: seconds to wait while the organization is at its limit of concurrent runs or
        requests; without a worker slot if ``deferrable``.
    :param attention_after: call ``on_attention_callback`` when a run that the task waits for has not ended so long
        after it was created, seconds or a timedelta. The wait goes on, and so does ``timeout``.
    :param on_attention_callback: a function of the context or a notifier, or a list of those, as
        ``on_failure_callback``. The context also has ``run``, the dictionary as returned so far, ``link``, its
        ``url``, and ``age``, a timedelta. Called once per run, on Airflow before 3.3 once per run and attempt.
    :param success_statuses: statuses of a run that ended well.
    :param failure_statuses: statuses of a run that ended badly. Any other status means it goes on.
    :param reattach: whether to look for the run of an earlier attempt before starting one. ``False`` is
        Airflow's plain behaviour: every attempt starts a run.
    :param kognitos_conn_id: the :ref:`connection <howto/connection:kognitos>`.
    :raises KognitosRunFailedError: the run ended badly (``KognitosRunCancelledError`` if it was cancelled).
    :raises KognitosRunTimeoutError: the run did not end in time.
    :raises KognitosStartUncertainError: nobody can know whether a run was started.
    """

    template_fields: Sequence[str] = GivenFields(
        ("process_id", "process_name", "agent_id", "inputs", "files", "file_ids", "stage", "name")
    )
    template_fields_renderers = {"inputs": "json"}  # noqa: RUF012 - as the base class has it
    operator_extra_links = (KognitosRunLink(),)
    ui_color = "#e8f0ff"

    def __init__(
        self,
        *,
        process_id: str | None = None,
        process_name: str | None = None,
        agent_id: str | None = None,
        inputs: Mapping[str, Any] | None = None,
        files: str | os.PathLike[str] | Sequence[str | os.PathLike[str]] | None = None,
        file_ids: str | Sequence[str] | None = None,
        stage: str = "Published",
        name: str | None = None,
        wait_for_completion: bool = True,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        poll_interval: float = 15.0,
        max_poll_interval: float = 60.0,
        timeout: float | timedelta | None = None,
        capacity_timeout: float = 3600.0,
        attention_after: float | timedelta | None = None,
        on_attention_callback: Callbacks | None = None,
        success_statuses: Sequence[str] | None = None,
        failure_statuses: Sequence[str] | None = None,
        reattach: bool = True,
        kognitos_conn_id: str = "kognitos_default",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.process_id = process_id
        self.process_name = process_name
        self.agent_id = agent_id
        self.inputs = inputs
        self.files = files
        self.file_ids = file_ids
        self.stage = stage
        self.name = name
        self.wait_for_completion = wait_for_completion
        self.deferrable = deferrable
        self.poll_interval = seconds("poll_interval", poll_interval)
        self.max_poll_interval = seconds("max_poll_interval", max_poll_interval)
        self.timeout = None if timeout is None else seconds("timeout", timeout)
        self.capacity_timeout = seconds("capacity_timeout", capacity_timeout)
        self.attention_after = None if attention_after is None else seconds("attention_after", attention_after)
        self.on_attention_callback = callbacks_of("on_attention_callback", on_attention_callback)
        self.success_statuses = statuses("success_statuses", success_statuses, SUCCESS_STATUSES)
        self.failure_statuses = statuses("failure_statuses", failure_statuses, FAILURE_STATUSES)
        self.reattach = reattach
        self.kognitos_conn_id = kognitos_conn_id
        self._run: Run | None = None
        self._starting = False
        self._seen: dict[str, Any] | None = None

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

    @property
    def run_url(self) -> str | None:
        """The page of the run that this attempt has started or adopted, as far as it is known."""
        return None if self._seen is None else self._seen.get("url")

    def execute(self, context: Context) -> dict[str, Any]:
        """Adopt or start a run, and see it to its end."""
        give_up_at = None
        if self.deferrable and self.execution_timeout:
            # Airflow applies execution_timeout to each stay on a worker, not to the time in the triggerer.
            give_up_at = time.time() + self.execution_timeout.total_seconds()
        starter = self._starter(context)
        run = starter.adopt()
        if run is None:
            run = self._start(starter, give_up_at)
        return self._follow(context, run, give_up_at)

    def resume_start(
        self, context: Context, event: Any = None, record: Any = None, give_up_at: float | None = None
    ) -> dict[str, Any]:
        """Try again to start a run after a pause for want of capacity."""
        from airflow_provider_kognitos.runs.record import RunRecord

        starter = self._starter(context, RunRecord.from_json(record))
        return self._follow(context, self._start(starter, give_up_at), give_up_at)

    def execute_complete(self, context: Context, event: Any = None) -> dict[str, Any]:
        """Return the outputs of the run that has ended, or fail as it did; or wait on, once somebody is told."""
        if is_attention(event):
            from airflow_provider_kognitos.triggers.run import KognitosRunTrigger

            trigger = KognitosRunTrigger(**event["trigger"])
            self._attention(context, since=trigger.started_at).give(event["result"])
            self._defer(trigger)
        return self._finish(context, event)

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """Resume after a deferral; if that failed, say what becomes of the run."""
        try:
            return super().resume_execution(next_method, next_kwargs, context)
        except Exception as error:
            if next_method != FAILED_DEFERRAL:
                raise
            ti = context["ti"]
            run_id = ti.xcom_pull(task_ids=ti.task_id, key=RUN_ID, map_indexes=ti.map_index)
            fate = (
                f"Kognitos run {run_id} goes on, since the API has no cancel; a later attempt of this task adopts it."
                if run_id
                else "No Kognitos run had been started."
            )
            if "timeout" in str(error).lower():
                raise KognitosRunTimeoutError(f"The deferral of this task timed out ({error}). {fate}") from error
            raise KognitosPollError(f"The trigger of this task failed ({error}). {fate}") from error

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> OperatorLineage[Any, Any]:
        """Return which process ran, as which run, on which files; called by Airflow's OpenLineage provider only."""
        from airflow_provider_kognitos.lineage.run import lineage_of

        return lineage_of(self._seen, texts("files", self.files))

    # Without it Airflow calls the one above for a task that failed, too; named for those who look for it.
    get_openlineage_facets_on_failure = get_openlineage_facets_on_complete

    def on_kill(self) -> None:
        """Say what becomes of the run; nothing is sent, since the API has no cancel."""
        if self._run is not None:
            self.log.warning(
                "Kognitos run %s goes on: the API has no cancel. %s It can be stopped in Kognitos only. %s",
                self._run.id,
                self.hook.run_url(self._run) or "",
                "A later attempt of this task adopts it." if self.reattach else "",
            )
        elif self._starting:
            self.log.warning(
                "Killed while a Kognitos run was being started: it may or may not have started. %s",
                "A later attempt of this task looks for it first." if self.reattach else "",
            )

    @cached_property
    def _ends(self) -> EndStatuses:
        return EndStatuses(self.success_statuses, self.failure_statuses)

    def _starter(self, context: Context, record: RunRecord | None = None) -> RunStarter:
        from airflow_provider_kognitos.runs.attempt import attempt_of
        from airflow_provider_kognitos.runs.record import RunStore
        from airflow_provider_kognitos.runs.start import SETTLE, RunStarter

        request = self._request(context)
        settings = self.hook.settings
        return RunStarter(
            self.hook.get_conn(),
            request,
            attempt_of(context, request, deployment=settings.deployment, ends=self._ends),
            RunStore(context),
            settle=max(settings.timeout, SETTLE),
            reattach=self.reattach,
            record=record,
            link=self.hook.run_url,
        )

    def _request(self, context: Context) -> RunRequest:
        from airflow_provider_kognitos.runs.request import RunRequest

        if bool(self.process_id) == bool(self.process_name):
            raise KognitosConfigError(
                "Give either process_id or process_name, and not an empty one; "
                f"got process_id={self.process_id!r} and process_name={self.process_name!r}."
            )
        if self.stage not in STAGES:
            raise KognitosConfigError(f"stage must be one of {', '.join(STAGES)}, not {self.stage!r}.")
        inputs = inputs_of_run(self.inputs)
        files, file_ids = texts("files", self.files), texts("file_ids", self.file_ids)
        agent_id = self.hook.agent(self.agent_id)
        ti = context["ti"]
        return RunRequest(
            process_id=self.process_id
            or self.hook.find_process(str(self.process_name), agent_id=agent_id, stage=self.stage).id,
            agent_id=agent_id,
            stage=self.stage,
            label=self.name or f"{ti.dag_id}.{ti.task_id} {ti.run_id}",
            inputs=inputs,
            file_ids=file_ids,
            files=files,
        )

    def _start(self, starter: RunStarter, give_up_at: float | None) -> Run:
        """Start a run; while there is no capacity for one, wait, in the triggerer if deferrable."""
        while True:
            self._starting = True
            try:
                return starter.start()
            except (KognitosCapacityError, KognitosRateLimitError) as refusal:
                self._starting = False
                pause = starter.pause_after(refusal, self.capacity_timeout, give_up_at)
                self.log.info("%s Trying again in %.0f s.", refusal, pause)
            if self.deferrable:
                from airflow.providers.common.compat.standard.triggers import TimeDeltaTrigger

                self.defer(
                    trigger=TimeDeltaTrigger(timedelta(seconds=pause)),
                    method_name="resume_start",
                    kwargs={"record": starter.record.to_json(), "give_up_at": give_up_at},
                )
            time.sleep(pause)

    def _follow(self, context: Context, run: Run, give_up_at: float | None) -> dict[str, Any]:
        """Make the run known, and see it to its end."""
        from airflow_provider_kognitos.runs.wait import wait_for_run

        self._run = run
        url = self.hook.run_url(run)
        self._seen = result_of(run, url)
        self._announce(context, run, url)
        if not self.wait_for_completion:
            return self._done(context, self._seen)
        if not self._ends.live(run):
            return self._finish(context, Outcome.ended(run).to_event(url))
        attention = self._attention(context)
        attention.give_if_due(self._seen)
        trigger = self._trigger(run, url, give_up_at, attention.due_at(self._seen))
        if self.deferrable:
            self._defer(trigger)
        outcome = wait_for_run(
            self.hook.get_conn(), trigger.wait(), on_attention=lambda run: attention.give(result_of(run, url))
        )
        return self._finish(context, outcome.to_event(url))

    def _defer(self, trigger: KognitosRunTrigger) -> NoReturn:
        self.defer(trigger=trigger, method_name="execute_complete", timeout=trigger.patience())

    def _attention(self, context: Context, since: float | None = None) -> Attention:
        return Attention(context, self.attention_after, self.on_attention_callback, since)

    def _finish(self, context: Context, event: Any) -> dict[str, Any]:
        if isinstance(event, Mapping):
            self._seen = event.get("result") or {"run_id": event.get("run_id")}
        return self._done(context, finish(event, self._ends))

    def _done(self, context: Context, result: dict[str, Any]) -> dict[str, Any]:
        self._seen = result
        tell_outlets(context, self.outlets, result)
        return result

    def _trigger(
        self, run: Run, url: str | None, give_up_at: float | None, attention_at: float | None
    ) -> KognitosRunTrigger:
        from airflow_provider_kognitos.triggers.run import KognitosRunTrigger

        now = time.time()
        deadline, limit = None, ""
        if self.timeout is not None:
            deadline, limit = now + self.timeout, f"timeout of {self.timeout:.0f} s"
        if give_up_at is not None and (deadline is None or give_up_at < deadline):
            deadline, limit = give_up_at, f"execution_timeout of {self.execution_timeout}"
        return KognitosRunTrigger(
            run_id=run.id,
            started_at=now,
            process_id=run.process_id,
            agent_id=run.agent_id,
            stage=run.stage,
            deadline=deadline,
            limit=limit,
            attention_at=attention_at,
            poll_interval=self.poll_interval,
            max_poll_interval=self.max_poll_interval,
            success_statuses=self.success_statuses,
            failure_statuses=self.failure_statuses,
            status=run.status,
            url=url,
            kognitos_conn_id=self.kognitos_conn_id,
        )

    def _announce(self, context: Context, run: Run, url: str | None) -> None:
        self.log.info("Kognitos run %s (%r) is %s. %s", run.id, run.name, run.status, url or "")
        if not self.do_xcom_push:
            return
        ti = context["ti"]
        ti.xcom_push(key=RUN_ID, value=run.id)
        if url:
            ti.xcom_push(key=RUN_URL, value=url)
            # Airflow 3 shows a link only once this XCom is there, which it writes after a task or a deferral.
            if not self.deferrable and hasattr(KognitosRunLink, "xcom_key"):
                ti.xcom_push(key=KognitosRunLink().xcom_key, value=url)
