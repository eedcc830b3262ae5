"""Holds what the tasks say against what the service knows: nothing started twice, nothing lost."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from airflow_provider_kognitos.runs.identity import Marker

RUN = Mapping[str, Any]


@dataclass(frozen=True)
class Task:
    """How one mapped task instance ended.

    :param index: its map index
    :param tries: how many attempts it took
    :param returned: its return value
    :param errors: of each attempt that raised one, the exception's class and text
    """

    index: int
    state: str | None
    tries: int
    returned: Mapping[str, Any] | None
    errors: Sequence[tuple[str, str]] = ()


@dataclass
class Account:
    """What came of it. Each problem is a sentence that names the task and the runs.

    :param expected: runs that had to be started: one for each task that succeeded, one before for each that ended badly
    """

    started: int = 0
    expected: int = 0
    ended_badly: int = 0
    duplicates: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    unexplained: list[str] = field(default_factory=list)
    states: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    tries: Counter[int] = field(default_factory=Counter)

    @property
    def problems(self) -> list[str]:
        found = [*self.duplicates, *self.lost, *self.wrong, *self.unexplained]
        if self.started != self.expected:
            found.append(f"{self.started} runs were started, {self.expected} had to be")
        return found


def settle(tasks: Iterable[Task], runs: Iterable[RUN]) -> Account:
    """Settle the account of a storm.

    :param tasks: every task instance there had to be
    :param runs: all that the emulator knows of every run
    """
    account = Account()
    by_index: dict[int, list[RUN]] = defaultdict(list)
    for run in runs:
        if not run["foreign_run"]:
            by_index[{item["name"]: item["value"] for item in run["inputs"]}["index"]].append(run)
    for task in tasks:
        _settle(account, task, sorted(by_index.pop(task.index, []), key=lambda run: run["created_at"]))
    for index, own in by_index.items():
        account.started += len(own)
        account.lost += [f"run {run['id']} has the input of a task {index} that does not exist" for run in own]
    return account


def _settle(account: Account, task: Task, runs: list[RUN]) -> None:
    account.states[task.state or "none"] += 1
    account.tries[task.tries] += 1
    account.errors.update(kind for kind, _ in task.errors)
    bad = [run for run in runs if run["plan"]["result"] != "Succeeded"]
    account.started += len(runs)
    account.ended_badly += len(bad)
    account.expected += len(bad) + (task.state == "success")

    for before, after in pairwise(runs):
        if after["created_at"] < before["ends_at"]:
            account.duplicates.append(f"task {task.index}: {after['id']} was started while {before['id']} was live")
    if len({marker and marker.identity for marker in (Marker.read(run["name"]) for run in runs)}) > 1:
        account.wrong.append(f"task {task.index}: its runs carry several markers: {[run['name'] for run in runs]}")

    returned = (task.returned or {}).get("run_id")
    for run in runs:
        if run not in bad and run["id"] != returned:
            account.lost.append(f"task {task.index} ({task.state}): nobody returned run {run['id']}, which succeeded")
    if task.state == "success":
        run = next((run for run in runs if run["id"] == returned), None)
        if run is None or run in bad:
            account.lost.append(f"task {task.index}: returned run {returned}, not one of its own that succeeded")
        elif task.returned is not None and task.returned["outputs"] != _outputs(run):
            account.wrong.append(f"task {task.index}: outputs {task.returned['outputs']}, not {_outputs(run)}")
    elif not (task.state == "failed" and task.errors and all(task.errors[-1])):
        account.unexplained.append(f"task {task.index} is {task.state} without a reason: {list(task.errors)}")


def _outputs(run: RUN) -> dict[str, Any]:
    return {item["name"]: item["value"] for item in run["plan"]["outputs"]}
