"""What is asked of one Airflow: its health, DAGs, their runs and pools."""

from collections.abc import Mapping
from typing import Any
from uuid import uuid4

from sandbox.dag_run import DagRun
from sandbox.errors import AirflowApiError, NotReachedError
from sandbox.rest import RestApi


class AirflowApi(RestApi):
    """A client of one Airflow."""

    def health(self) -> Mapping[str, Mapping[str, Any]]:
        """What the API server says of each component: its status and latest heartbeat."""
        if self.is_v1:
            return self.call("GET", "/health")
        return self.call("GET", "/monitor/health")

    def import_errors(self) -> dict[str, str]:
        """Stack trace of each DAG file that doesn't import, by file name."""
        return {error["filename"]: error["stack_trace"] for error in self.call("GET", "/importErrors")["import_errors"]}

    def dag_ids(self) -> set[str]:
        """Every DAG the DAG processor has read."""
        return {dag["dag_id"] for dag in self.call("GET", "/dags", params={"limit": 100})["dags"]}

    def wait_for_dags(self, *dag_ids: str, timeout: float = 120) -> None:
        """Wait until the DAG processor has read these DAGs.

        :raises NotReachedError: when a DAG file doesn't import, or the time is up
        """

        def look() -> bool:
            if errors := self.import_errors():
                raise NotReachedError("\n".join(f"{name} doesn't import:\n{trace}" for name, trace in errors.items()))
            return set(dag_ids) <= self.dag_ids()

        self.wait_until(look, f"DAGs {', '.join(dag_ids)}", timeout)

    def unpause(self, dag_id: str) -> None:
        """Let the scheduler run a DAG."""
        self.call("PATCH", f"/dags/{dag_id}", params={"update_mask": "is_paused"}, json={"is_paused": False})

    def pause(self, dag_id: str) -> None:
        """Keep the scheduler from running a DAG; its runs stand still."""
        self.call("PATCH", f"/dags/{dag_id}", params={"update_mask": "is_paused"}, json={"is_paused": True})

    def trigger_dag(self, dag_id: str, *, conf: Mapping[str, Any] | None = None, run_id: str | None = None) -> DagRun:
        """Unpause a DAG and start a run of it.

        :param conf: the DAG run's configuration
        :param run_id: its id; made up when not given
        """
        self.unpause(dag_id)
        run_id = run_id or f"run_{uuid4().hex[:12]}"
        body: dict[str, Any] = {"dag_run_id": run_id, "conf": dict(conf or {})}
        if not self.is_v1:
            body["logical_date"] = None
        try:
            self.call("POST", f"/dags/{dag_id}/dagRuns", json=body)
        except AirflowApiError as error:
            # A repeated request after an answer of 500 may find that the first one did its work.
            if error.status_code != 409:
                raise
        return DagRun(self, dag_id, run_id)

    def dag_runs(self, dag_id: str) -> list[DagRun]:
        """Every run of a DAG, oldest first."""
        runs = self.call("GET", f"/dags/{dag_id}/dagRuns", params={"limit": 100, "order_by": "start_date"})["dag_runs"]
        return [DagRun(self, dag_id, run["dag_run_id"]) for run in runs]

    def create_pool(self, name: str, slots: int, *, include_deferred: bool = False) -> None:
        """Create a pool, or set an existing one to these slots."""
        body = {"name": name, "slots": slots, "include_deferred": include_deferred}
        try:
            self.call("POST", "/pools", json=body)
        except AirflowApiError as error:
            if error.status_code != 409:
                raise
            self.call("PATCH", f"/pools/{name}", json=body)
