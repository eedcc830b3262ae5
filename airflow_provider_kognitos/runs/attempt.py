"""Read from a task's context which attempt of which task instance it is."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from airflow_provider_kognitos.runs.decision import Attempt
from airflow_provider_kognitos.runs.ends import EndStatuses
from airflow_provider_kognitos.runs.identity import Marker, fingerprint_of, identity_of

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_kognitos.runs.request import RunRequest


def attempt_of(context: Context, request: RunRequest, *, deployment: str, ends: EndStatuses) -> Attempt:
    """
    Return the attempt that a context belongs to.

    ``max_tries`` tells a clear from a retry: a clear raises it to the number of tries so far plus the
    task's retries, a retry leaves it as it is.

    :param request: what the attempt asks for.
    :param deployment: name of this Airflow deployment.
    :param ends: the statuses that end a run for this task.
    """
    ti: Any = context["ti"]
    dag_run: Any = context["dag_run"]
    retries = context["task"].retries or 0
    tries_at_clear = max(ti.max_tries - retries, 0)
    return Attempt(
        marker=Marker(
            identity=identity_of(
                deployment=deployment,
                dag_id=ti.dag_id,
                run_id=ti.run_id,
                task_id=ti.task_id,
                map_index=ti.map_index,
            ),
            generation=ti.max_tries,
            fingerprint=fingerprint_of(
                process_id=request.process_id,
                agent_id=request.agent_id,
                stage=request.stage,
                inputs=request.inputs,
                files=request.files,
            ),
        ),
        ends=ends,
        first=ti.try_number <= 1,
        tries_before=max(ti.try_number - 1 - tries_at_clear, 0),
        tries_at_clear=tries_at_clear,
        dag_run_started=dag_run.start_date,
        search_from=_oldest(dag_run) if tries_at_clear else dag_run.start_date,
    )


def _oldest(dag_run: Any) -> datetime | None:
    """Return a time before which no task of a DAG run ran; clearing a DAG run that is over resets its start."""
    fixed: datetime | None = getattr(dag_run, "run_after", None) or getattr(dag_run, "data_interval_end", None)
    started: datetime | None = dag_run.start_date
    return min(fixed, started) if fixed and started else None
