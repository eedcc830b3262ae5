"""A client of Airflow's REST API: v2 of Airflow 3, v1 of Airflow 2.11."""

import time
from collections.abc import Callable, Mapping
from typing import Any
from uuid import uuid4

import requests
import tenacity

from sandbox.dag_run import DagRun
from sandbox.errors import AirflowApiError, NotReachedError


def _may_heal(error: BaseException) -> bool:
    # SQLite is locked now and then, which is answered with 500; an API server that restarts refuses connections.
    return isinstance(error, requests.ConnectionError | requests.Timeout) or (
        isinstance(error, AirflowApiError) and error.status_code >= 500
    )


class AirflowApi:
    """A client of one Airflow's REST API.

    :param base_url: address of the API server, without a path
    :param airflow_version: such as ``3.3.2``; anything before 3 is spoken to in API v1
    :param user: name that signs in
    :param password: its password
    :param check: called between looks while waiting; raises when waiting has become pointless
    """

    def __init__(
        self, base_url: str, *, airflow_version: str, user: str, password: str, check: Callable[[], None] = lambda: None
    ) -> None:
        self.base_url = base_url
        self.is_v1 = int(airflow_version.split(".")[0]) < 3
        self.check = check
        self._credentials = (user, password)
        self._session = requests.Session()
        self._session.trust_env = False
        if self.is_v1:
            self._session.auth = self._credentials

    def sign_in(self) -> None:
        """Get the token that Airflow 3 wants with each request."""
        if self.is_v1:
            return
        user, password = self._credentials
        answer = self._session.post(
            f"{self.base_url}/auth/token", json={"username": user, "password": password}, timeout=30
        )
        self._refuse_errors(answer)
        self._session.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"

    @tenacity.retry(
        retry=tenacity.retry_if_exception(_may_heal),
        wait=tenacity.wait_random_exponential(multiplier=0.2, max=2),
        stop=tenacity.stop_after_delay(30),
        reraise=True,
    )
    def call(self, method: str, path: str, **kwargs: Any) -> Any:
        """Send one request below the API's root and return the parsed body.

        :raises AirflowApiError: on any status of 400 and above
        """
        root = f"{self.base_url}/api/{'v1' if self.is_v1 else 'v2'}"
        answer = self._session.request(method, root + path, timeout=30, **kwargs)
        self._refuse_errors(answer)
        if not answer.content:
            return None
        is_json = answer.headers.get("Content-Type", "").startswith(("application/json", "application/problem+json"))
        return answer.json() if is_json else answer.text

    @staticmethod
    def _refuse_errors(answer: requests.Response) -> None:
        if answer.status_code >= 400:
            text = f"{answer.request.method} {answer.url}: {answer.status_code} {answer.text[:2000]}"
            raise AirflowApiError(text, answer.status_code)

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

    def wait_until(self, look: Callable[[], bool], what: str, timeout: float) -> None:
        """Call ``look`` until it is true.

        :param what: named in the error
        :param timeout: seconds
        :raises NotReachedError: when the time is up
        """
        deadline = time.monotonic() + timeout
        while not look():
            self.check()
            if time.monotonic() > deadline:
                raise NotReachedError(f"waited {timeout:.0f} s in vain for {what}")
            time.sleep(0.25)
