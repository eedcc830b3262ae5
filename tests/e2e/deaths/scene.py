"""One death as it is played: a DAG run, an emulator of its own, and what can be done to both."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Collection
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import psutil

from airflow_provider_kognitos.emulator.control import EmulatorControl
from sandbox.airflow import LocalAirflow
from sandbox.dag_run import TASK_FINISHED, DagRun
from sandbox.errors import NotReachedError

from .board import Board
from .endings import Ending

if TYPE_CHECKING:
    from .cases import Case

PATIENCE = 180.0
"""Seconds that anything may take; many tasks share two cores."""
SUCCEEDED = "Succeeded"


class Scene:
    """
    A DAG run whose task meets its death.

    :param case: what is played; its name is the id of the DAG run and of the connection
    :param rest: held by whoever asks Airflow's API server: with dozens at once SQLite has it stand still
    """

    def __init__(
        self,
        case: Case,
        *,
        airflow: LocalAirflow,
        board: Board,
        emulator: EmulatorControl,
        rest: threading.Lock,
    ) -> None:
        self.name = str(case)
        self.mode = case.mode
        self.more = case.more
        self.endings = case.endings()
        self.airflow = airflow
        self.emulator = emulator
        self._board = board
        self._rest = rest
        self.dag_run: DagRun

    def start(self, dag: str, pace: str = "held", **conf: Any) -> None:
        """Trigger a DAG of dags/deaths*.py; its run ``held`` goes on until it is ended, a ``quick`` one ends itself."""
        with self._rest:
            self.dag_run = self.airflow.api.trigger_dag(
                f"deaths_{dag}_{self.mode}", run_id=self.name, conf={"conn": self.name, "pace": pace, **conf}
            )

    def state(self) -> str | None:
        """The task's state now."""
        with self._rest:
            return self.dag_run.task("run").state

    def result(self, map_index: int = -1) -> Any:
        """What the task returned, ``None`` if nothing."""
        return self.xcom("return_value", map_index)

    def xcom(self, key: str, map_index: int = -1) -> Any:
        """What the task told others under a key, ``None`` if nothing."""
        with self._rest:
            return self.dag_run.task("run", map_index).xcom(key)

    def log(self, attempt: int | None = None, map_index: int = -1) -> str:
        """The log files of an attempt, the triggerer's too; of all attempts by default."""
        folder = self.airflow.logs / f"dag_id={self.dag_run.dag_id}" / f"run_id={self.name}" / "task_id=run"
        if map_index >= 0:
            folder /= f"map_index={map_index}"
        files = sorted(folder.glob(f"attempt={attempt or '*'}.log*"))
        return "\n".join(file.read_text(errors="replace") for file in files)

    def wait(self, look: Callable[[], bool], what: str, map_index: int = -1) -> None:
        """
        Wait for something.

        :raises NotReachedError: with the task's log, if it doesn't come
        """
        if not self._board.wait(look, PATIENCE):
            row, log = self._board.task(self.name, map_index), self.log(map_index=map_index)
            raise NotReachedError(f"{self.name}: waited in vain for {what}; the task is {row}\n{log}")

    def runs(self, map_index: int = -1) -> list[dict[str, Any]]:
        """The runs started for the task instance, oldest first."""
        own = [run for run in self.emulator.runs() if not run["foreign_run"]]
        if map_index < 0:
            return own
        return [run for run in own if {"name": "index", "value": map_index} in run["inputs"]]

    def started(self, count: int = 1, map_index: int = -1) -> str:
        """Wait until so many runs have been started; return the id of the last of them."""
        self.wait(lambda: len(self.runs(map_index)) >= count, f"{count} run(s) to be started", map_index)
        return str(self.runs(map_index)[count - 1]["id"])

    def met(self, endpoint: str) -> None:
        """Wait until a request has met a fault."""
        self.wait(
            lambda: any(each["fault"] and each["endpoint"] == endpoint for each in self.emulator.requests()),
            f"a fault to be met by {endpoint}",
        )

    def is_(self, states: str | Collection[str], *, attempt: int = 1, map_index: int = -1) -> None:
        """Wait until the task is in a state, in this attempt or a later one."""
        wanted = {states} if isinstance(states, str) else set(states)

        def look() -> bool:
            row = self._board.task(self.name, map_index)
            if row.state in TASK_FINISHED - wanted and row.try_number >= attempt:
                raise NotReachedError(f"{self.name} is {row}, not {wanted}\n{self.log(map_index=map_index)}")
            return row.state in wanted and row.try_number >= attempt

        self.wait(look, f"{' or '.join(wanted)} in attempt {attempt}", map_index)

    def tried(self, attempt: int, map_index: int = -1) -> None:
        """Wait until an attempt has been made ready, after a retry or a clear."""
        self.wait(lambda: self._board.task(self.name, map_index).try_number >= attempt, f"attempt {attempt}", map_index)

    def failed_attempt(self, attempt: int = 1) -> None:
        """Wait until an attempt has failed."""

        def look() -> bool:
            row = self._board.task(self.name)
            return row.try_number > attempt or (row.state in {"up_for_retry", "failed"} and row.try_number == attempt)

        self.wait(look, f"attempt {attempt} to fail")

    def over(self, state: str) -> None:
        """Wait until the whole DAG run is over."""
        self.wait(lambda: self._board.run_state(self.name) == state, f"the DAG run to be a {state}")

    def says(self, text: str, *, attempt: int, map_index: int = -1) -> None:
        """Wait until the log of an attempt says something."""
        self.wait(
            lambda: text in self.log(attempt, map_index), f"the log of attempt {attempt} to say {text!r}", map_index
        )

    def waits(self, *, attempt: int = 1, map_index: int = -1) -> str:
        """Wait until the task waits for its run, on its worker or in the triggerer; return the run's id."""
        run_id = self.started(map_index=map_index)
        if self.mode == "deferrable":
            self.is_("deferred", attempt=attempt, map_index=map_index)
            # Until a triggerer has taken the trigger up, nobody is there to be told of a kill.
            self.wait(lambda: self._taken_up(map_index), "a triggerer to take it up", map_index)
        else:
            self.says(f"Kognitos run {run_id} (", attempt=attempt, map_index=map_index)
            self.wait(lambda: self.xcom("run_id", map_index) == run_id, "the run to be made known", map_index)
        return run_id

    def _taken_up(self, map_index: int) -> bool:
        attempt = self._board.task(self.name, map_index).try_number
        trigger = re.escape(f"trigger {self.dag_run.dag_id}/{self.name}/run/{map_index}/{attempt} ")
        # Airflow 3 says so in the task's log, Airflow 2 in the triggerer's.
        logs = self.log(attempt, map_index) + (self.airflow.logs / "triggerer.log").read_text(errors="replace")
        return re.search(rf"{trigger}\(ID \d+\) starting", logs) is not None

    def adopts(self, run_id: str, *, attempt: int = 2, map_index: int = -1) -> None:
        """Wait until an attempt, or a later one, has adopted a run."""
        self.tried(attempt, map_index)
        text = f"Adopted Kognitos run {run_id}"

        def look() -> bool:
            attempts = range(attempt, self.attempts(map_index) + 1)
            return any(text in self.log(each, map_index) for each in attempts)

        self.wait(look, f"the log to say {text!r}", map_index)

    def worker(self, map_index: int = -1) -> psutil.Process:
        """The process that executes the task now."""
        found: list[psutil.Process] = []

        def look() -> bool:
            row = self._board.task(self.name, map_index)
            if row.state == "running" and row.pid:
                with suppress(psutil.NoSuchProcess):
                    found.append(psutil.Process(row.pid))
            return bool(found)

        self.wait(look, "a worker", map_index)
        return found[0]

    def end(self, run_id: str, status: str = SUCCEEDED) -> None:
        """End a run; if its task waits in the triggerer, once that has left its worker."""
        if self.mode == "deferrable":
            (run,) = (each for each in self.runs() if each["id"] == run_id)
            map_index = next((each["value"] for each in run["inputs"] if each["name"] == "index"), -1)
            self.wait(lambda: self._left_its_worker(map_index), "the task to leave its worker", map_index)
        self.emulator.change_run(run_id, status=status)

    def _left_its_worker(self, map_index: int) -> bool:
        """Whether the scheduler has heard so: a task that resumes before, Airflow takes for one that has failed."""
        row = self._board.task(self.name, map_index)
        if row.state != "deferred":
            return row.state in TASK_FINISHED
        task = f"dag_id='{self.dag_run.dag_id}', task_id='run', run_id='{self.name}'"
        heard = f"success for task instance TaskInstanceKey({task}, try_number={row.try_number}, map_index={map_index})"
        return heard in (self.airflow.logs / "scheduler.log").read_text(errors="replace")

    def finish(self, state: str = "success") -> None:
        """End whatever run there is or comes, until the DAG run is over."""

        def look() -> bool:
            for run in self.runs():
                if run["status"] == "Running":
                    self.end(run["id"])
            return self._board.run_state(self.name) == state

        self.wait(look, f"the DAG run to be a {state}")

    def attempts(self, map_index: int = -1) -> int:
        """How many attempts there were."""
        return self._board.task(self.name, map_index).try_number

    def those(self, state: str, *, of: int) -> list[int]:
        """Map indices of the task instances that are in a state."""
        return [index for index in range(of) if self._board.task(self.name, index).state == state]

    def clear(self) -> None:
        """Clear the task; again, as a person would, where Airflow 2 has at once taken a clear back."""
        before = self.attempts()
        while True:
            with self._rest:
                self.dag_run.task("run").clear()
            if self._board.wait(lambda: self.attempts() > before, 10) or self._board.task(self.name).state != "running":
                return

    def mark(self, state: str) -> None:
        with self._rest:
            self.dag_run.task("run").mark(state)

    def set_customer(self, name: str) -> None:
        """Let the task ask for something else from now on."""
        with self._rest:
            self.airflow.api.call("POST", "/variables", json={"key": f"customer_of_{self.name}", "value": name})

    def check(self, map_index: int, ending: Ending) -> None:
        """Wait until the task instance has ended, and compare how."""
        self.is_({"success", "failed"}, map_index=map_index)
        row = self._board.task(self.name, map_index)
        runs = [run["id"] for run in self.runs(map_index)]
        told = f"{self.name} [{map_index}]: {row}, runs {runs}\n{self.log(map_index=map_index)}"
        assert row.state == ending.state, told
        assert len(runs) in ending.runs, told
        result = self.result(map_index)
        if ending.returns is None:
            assert result is None, told
        else:
            assert result["run_id"] == runs[ending.returns], told
            has_ended = result["status"] == SUCCEEDED
            assert result["outputs"] == ({"run": result["run_id"]} if has_ended else {}), told
            assert has_ended or self.mode == "forgotten", told
        assert ending.retried in (None, row.try_number > 1), told
        for text in ending.says:
            self.says(text, attempt=row.try_number, map_index=map_index)
        for text in ending.silent:
            assert text not in self.log(row.try_number, map_index), told
        if map_index < 0:
            uploads = [file for file in self.emulator.uploads() if file["bytes"] is not None]
            assert len(uploads) == ending.uploads, told
