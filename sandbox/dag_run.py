"""DAG runs and task instances as people see them through the REST API."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any
from urllib.parse import quote

import psutil

from sandbox.errors import AirflowApiError, NotReachedError
from sandbox.rest import RestApi

FINISHED = frozenset({"success", "failed"})
"""States in which a DAG run ends."""

TASK_FINISHED = frozenset({"success", "failed", "skipped", "upstream_failed", "removed"})
"""States in which a task instance ends."""


class DagRun:
    """One run of a DAG."""

    def __init__(self, api: RestApi, dag_id: str, run_id: str) -> None:
        self.api = api
        self.dag_id = dag_id
        self.run_id = run_id
        self.path = f"/dags/{dag_id}/dagRuns/{quote(run_id, safe='')}"

    def __repr__(self) -> str:
        return f"{self.dag_id} {self.run_id}"

    def details(self) -> dict[str, Any]:
        """What the REST API says of it."""
        return self.api.call("GET", self.path)

    @property
    def state(self) -> str:
        """``queued``, ``running``, ``success`` or ``failed``."""
        return self.details()["state"]

    def wait(self, expected: str | Collection[str] = "success", *, timeout: float = 180) -> str:
        """Wait until the run is in an expected state and return it.

        :raises NotReachedError: when it ends otherwise or the time is up; with every task's state, and the log of those
            that failed
        """
        wanted = {expected} if isinstance(expected, str) else set(expected)
        state = ""

        def look() -> bool:
            nonlocal state
            state = self.state
            return state in wanted or state in FINISHED

        try:
            self.api.wait_until(look, f"{self} to be {' or '.join(sorted(wanted))}", timeout)
        except NotReachedError as error:
            raise NotReachedError(f"{error}\n{self._story()}") from None
        if state not in wanted:
            raise NotReachedError(f"{self} is {state}, not {' or '.join(sorted(wanted))}\n{self._story()}")
        return state

    def task_instances(self) -> list[TaskInstance]:
        """Each of its task instances as it is now, mapped ones included."""
        found: list[dict[str, Any]] = []
        total = 1
        while len(found) < total:
            page = self.api.call("GET", f"{self.path}/taskInstances", params={"limit": 100, "offset": len(found)})
            total = page["total_entries"]
            found += page["task_instances"]
            if not page["task_instances"]:
                break
        return [TaskInstance(self, each["task_id"], each["map_index"], each) for each in found]

    def count(self, state: str) -> int:
        """How many of its task instances are in a state now; with a thousand of them far cheaper than to list them."""
        page = self.api.call("GET", f"{self.path}/taskInstances", params={"state": state, "limit": 1})
        return page["total_entries"]

    def task(self, task_id: str, map_index: int = -1) -> TaskInstance:
        """One task instance; it need not exist yet."""
        return TaskInstance(self, task_id, map_index)

    def _story(self) -> str:
        lines = []
        for task in self.task_instances():
            lines.append(f"{task}: {task.seen['state']}, try {task.seen['try_number']}")
            if task.seen["state"] in {"failed", "up_for_retry"}:
                lines += ["--- its log", task.log(), "---"]
        return "\n".join(lines)


class TaskInstance:
    """One task of a DAG run, or one of its mapped instances.

    :param seen: what the REST API said of it when it was listed
    """

    def __init__(self, run: DagRun, task_id: str, map_index: int = -1, seen: Mapping[str, Any] | None = None) -> None:
        self.api = run.api
        self.run = run
        self.task_id = task_id
        self.map_index = map_index
        self.seen = dict(seen or {})
        self.task_path = f"{run.path}/taskInstances/{task_id}"
        self.path = self.task_path if map_index < 0 else f"{self.task_path}/{map_index}"

    def __repr__(self) -> str:
        return f"{self.task_id}[{self.map_index}]" if self.map_index >= 0 else self.task_id

    def details(self) -> dict[str, Any]:
        """What the REST API says of it, ``{}`` before it exists: a mapped one is made late."""
        try:
            return self.api.call("GET", self.path)
        except AirflowApiError as error:
            if error.status_code == 404:
                return {}
            raise

    @property
    def state(self) -> str | None:
        """Such as ``queued``, ``running``, ``deferred``, ``success``; ``None`` before it is scheduled."""
        return self.details().get("state")

    def wait(self, expected: str | Collection[str], *, timeout: float = 120) -> dict[str, Any]:
        """Wait until it is in an expected state and return its details.

        :raises NotReachedError: with its log, when it ends in another state or the time is up
        """
        wanted = {expected} if isinstance(expected, str) else set(expected)
        details: dict[str, Any] = {}

        def look() -> bool:
            nonlocal details
            details = self.details()
            return details.get("state") in wanted | TASK_FINISHED

        what = f"{self} of {self.run} to be {' or '.join(sorted(wanted))}"
        try:
            self.api.wait_until(look, what, timeout)
        except NotReachedError as error:
            raise NotReachedError(f"{error}; it is {details.get('state')}\n{self.log()}") from None
        if details["state"] not in wanted:
            raise NotReachedError(f"waited for {what}; it is {details['state']}\n{self.log()}")
        return details

    def wait_for_try(self, try_number: int, *, timeout: float = 120) -> None:
        """Wait until its attempt of this number has been made ready: after a retry or a clear."""
        self.api.wait_until(
            lambda: self.details().get("try_number", 0) >= try_number, f"try {try_number} of {self}", timeout
        )

    def xcom(self, key: str = "return_value") -> Any:
        """The value of an XCom, ``None`` when there is none."""
        params = {"map_index": self.map_index, "deserialize": True, "stringify": False}
        try:
            entry = self.api.call("GET", f"{self.task_path}/xcomEntries/{key}", params=params)
        except AirflowApiError as error:
            if error.status_code == 404:
                return None
            raise
        return entry["value"]

    def wait_for_xcom(self, key: str, *, timeout: float = 120) -> Any:
        """Wait until an XCom has a value and return it."""
        self.api.wait_until(lambda: self.xcom(key) is not None, f"XCom {key} of {self}", timeout)
        return self.xcom(key)

    def xcom_keys(self) -> set[str]:
        """The keys of its XComs that people see in the UI; links are left out."""
        entries = self.api.call("GET", f"{self.task_path}/xcomEntries", params={"map_index": self.map_index})
        return {entry["key"] for entry in entries["xcom_entries"]}

    def extra_links(self) -> dict[str, str | None]:
        """Address of each link button by its name, ``None`` where the button is dead."""
        params = {} if self.api.is_v1 else {"map_index": self.map_index}
        links = self.api.call("GET", f"{self.task_path}/links", params=params)
        return links if self.api.is_v1 else links["extra_links"]

    def rendered_fields(self) -> dict[str, Any]:
        """Its templated fields as rendered."""
        return self.details()["rendered_fields"]

    def log(self, try_number: int | None = None) -> str:
        """The text of its log, by default that of the latest attempt."""
        number = try_number or max(1, self.details().get("try_number", 1))
        try:
            pages = self.api.call(
                "GET",
                f"{self.task_path}/logs/{number}",
                params={"map_index": self.map_index, "full_content": True},
                headers={"Accept": "text/plain" if self.api.is_v1 else "application/json"},
            )
        except AirflowApiError as error:
            return f"(no log: {error})"
        if isinstance(pages, str):
            return pages
        return "\n".join(_log_line(event) for event in pages["content"])

    def clear(self, *, only_failed: bool = False, downstream: bool = True) -> None:
        """Clear it as the button in the UI does, so that it runs again."""
        mapped = self.map_index >= 0 and not self.api.is_v1
        self.api.call(
            "POST",
            f"/dags/{self.run.dag_id}/clearTaskInstances",
            json={
                "dry_run": False,
                "dag_run_id": self.run.run_id,
                "task_ids": [[self.task_id, self.map_index] if mapped else self.task_id],
                "only_failed": only_failed,
                "reset_dag_runs": True,
                "include_downstream": downstream,
            },
        )

    def mark(self, state: str) -> None:
        """Mark it ``failed``, ``success`` or ``skipped`` as the button in the UI does."""
        body: dict[str, Any] = {"new_state": state}
        if self.api.is_v1:
            body["dry_run"] = False
        self.api.call("PATCH", self.path, json=body)

    def process(self, *, timeout: float = 120) -> psutil.Process:
        """The worker process that executes it, waited for until it is running.

        Its parent is what supervises it: kill that one too and nobody reports the death to Airflow.

        :raises NotReachedError: when no living process executes it in time
        """
        found: psutil.Process | None = None

        def look() -> bool:
            nonlocal found
            details = self.details()
            if details.get("state") == "running" and details.get("pid"):
                try:
                    found = psutil.Process(details["pid"])
                except psutil.NoSuchProcess:
                    return False
            return found is not None

        self.api.wait_until(look, f"a worker process of {self}", timeout)
        return found


def _log_line(event: Any) -> str:
    if isinstance(event, str):
        return event
    known = {"timestamp", "level", "event", "logger", "filename", "lineno", "sources", "error_detail"}
    rest = {name: value for name, value in event.items() if name not in known and value is not None}
    line = " ".join(filter(None, [event.get("timestamp"), (event.get("level") or "").upper(), str(event.get("event"))]))
    if rest:
        line += f" {json.dumps(rest, default=str)}"
    for error in event.get("error_detail") or []:
        line += f"\n  {error.get('exc_type')}: {error.get('exc_value')}"
    return line
