"""Real processes are killed for real; a task instance has one live run through it all."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sandbox.airflow import LocalAirflow
from sandbox.dag_run import DagRun, TaskInstance
from sandbox.emulator import LocalEmulator

from .conftest import end

GOES_ON = "goes on: the API has no cancel"

Trigger = Callable[..., tuple[DagRun, TaskInstance]]


@pytest.fixture
def trigger(airflow: LocalAirflow, emulator: LocalEmulator) -> Iterator[Trigger]:
    """Triggers one of the DAGs in dags/kills.py; what still runs at the end is ended."""
    airflow.api.wait_for_dags("e2e_kills_sync")
    triggered = []

    def trigger(name: str, **conf: Any) -> tuple[DagRun, TaskInstance]:
        run = airflow.api.trigger_dag(f"e2e_kills_{name}", conf=conf)
        triggered.append(run)
        return run, run.task("run")

    yield trigger
    emulator.control.clear_faults()
    for run in triggered:
        for started in emulator.runs_of(run.run_id):
            end(emulator, started["id"])


def started_runs(emulator: LocalEmulator, run: DagRun) -> list[str]:
    return [started["id"] for started in emulator.runs_of(run.run_id)]


def wait_for_runs(emulator: LocalEmulator, run: DagRun, count: int, timeout: float = 120) -> list[str]:
    run.api.wait_until(lambda: len(started_runs(emulator, run)) >= count, f"{count} run(s) of {run}", timeout)
    return started_runs(emulator, run)


def wait_for_fault(emulator: LocalEmulator, run: DagRun, endpoint: str) -> None:
    def came() -> bool:
        return any(
            request["endpoint"] == endpoint and request["fault"] is not None for request in emulator.control.requests()
        )

    run.api.wait_until(came, f"{endpoint} to meet a fault", 60)


def succeeds_with(run: DagRun, task: TaskInstance, run_id: str) -> None:
    run.wait("success")
    assert task.xcom()["run_id"] == run_id


@pytest.mark.parametrize("mode", ["sync", "deferrable"])
def test_worker_killed_before_the_request(trigger: Trigger, emulator: LocalEmulator, mode: str) -> None:
    emulator.control.reset()
    emulator.control.fault("listProcesses", "hang")
    run, task = trigger(mode, pace="quick")
    wait_for_fault(emulator, run, "listProcesses")
    task.process().kill()
    run.wait("success")
    assert task.details()["try_number"] == 2
    assert started_runs(emulator, run) == [task.xcom()["run_id"]]


@pytest.mark.parametrize(
    ("mode", "effect"),
    [("sync", "after"), ("deferrable", "after"), ("forgotten", "after"), ("deferrable", "before")],
)
def test_worker_killed_between_request_and_answer(
    trigger: Trigger, emulator: LocalEmulator, mode: str, effect: str
) -> None:
    emulator.control.reset()
    emulator.control.fault("startRun", "hang", effect=effect)
    run, task = trigger(mode, pace="steady")
    wait_for_fault(emulator, run, "startRun")
    assert len(started_runs(emulator, run)) == (1 if effect == "after" else 0)
    task.process().kill()
    run.wait("success")
    assert task.details()["try_number"] == 2
    assert started_runs(emulator, run) == [task.xcom()["run_id"]]


def test_worker_killed_with_the_answer_not_stored(trigger: Trigger, emulator: LocalEmulator) -> None:
    run, task = trigger("started")
    (run_id,) = wait_for_runs(emulator, run, 1)
    task.wait_for_try(2)
    task.wait("deferred")
    assert "Adopted Kognitos run" in task.log()
    end(emulator, run_id)
    succeeds_with(run, task, run_id)
    assert started_runs(emulator, run) == [run_id]


def test_worker_killed_while_it_waits(trigger: Trigger, emulator: LocalEmulator) -> None:
    run, task = trigger("sync")
    run_id = task.wait_for_xcom("run_id")
    task.process().kill()
    task.wait_for_try(2)
    assert task.wait_for_xcom("run_id") == run_id
    end(emulator, run_id)
    succeeds_with(run, task, run_id)
    assert started_runs(emulator, run) == [run_id]


def test_worker_killed_while_the_run_ends(trigger: Trigger, emulator: LocalEmulator) -> None:
    run, task = trigger("sync")
    run_id = task.wait_for_xcom("run_id")
    worker = task.process()
    worker.suspend()
    end(emulator, run_id)
    worker.kill()
    succeeds_with(run, task, run_id)
    assert started_runs(emulator, run) == [run_id]


def test_worker_killed_with_its_supervisor(trigger: Trigger, emulator: LocalEmulator) -> None:
    run, task = trigger("sync")
    run_id = task.wait_for_xcom("run_id")
    worker = task.process()
    supervisor = worker.parent()
    assert supervisor is not None
    supervisor.kill()
    worker.kill()
    task.wait_for_try(2)
    assert task.wait_for_xcom("run_id") == run_id
    end(emulator, run_id)
    succeeds_with(run, task, run_id)
    assert started_runs(emulator, run) == [run_id]


def test_triggerer_killed(trigger: Trigger, airflow: LocalAirflow, emulator: LocalEmulator) -> None:
    run, task = trigger("deferrable")
    task.wait("deferred")
    run_id = task.wait_for_xcom("run_id")
    airflow.kill_component("triggerer")
    end(emulator, run_id)
    assert task.state == "deferred"
    airflow.start_component("triggerer")
    succeeds_with(run, task, run_id)
    assert task.details()["try_number"] == 1
    assert started_runs(emulator, run) == [run_id]


def test_deferral_timed_out_by_airflow(trigger: Trigger, airflow: LocalAirflow, emulator: LocalEmulator) -> None:
    run, task = trigger("deferral")
    run_id = task.wait_for_xcom("run_id")
    task.wait_for_try(2)
    assert f"Kognitos run {run_id} goes on" in task.log(1)
    task.wait("deferred")
    end(emulator, run_id)
    succeeds_with(run, task, run_id)
    assert started_runs(emulator, run) == [run_id]


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("timeout", "timeout of 5 s"),
        ("execution_timeout", "execution_timeout of 0:00:08"),
        ("sync_execution_timeout", GOES_ON),
    ],
)
def test_a_deadline_fails_the_attempt_and_the_next_adopts(
    trigger: Trigger, emulator: LocalEmulator, name: str, told: str
) -> None:
    run, task = trigger(name)
    run_id = task.wait_for_xcom("run_id")
    task.wait_for_try(2)
    assert told in task.log(1)
    assert task.wait_for_xcom("run_id") == run_id
    end(emulator, run_id)
    succeeds_with(run, task, run_id)
    assert started_runs(emulator, run) == [run_id]


@pytest.mark.parametrize(("mode", "status"), [("sync", "Failed"), ("deferrable", "Cancelled")])
def test_a_run_that_ended_badly_is_run_again(trigger: Trigger, emulator: LocalEmulator, mode: str, status: str) -> None:
    run, task = trigger(mode)
    first = task.wait_for_xcom("run_id")
    end(emulator, first, status)
    _, second = wait_for_runs(emulator, run, 2)
    assert f"ended as {status}" in task.log(1)
    end(emulator, second)
    succeeds_with(run, task, second)
    assert started_runs(emulator, run) == [first, second]


def test_cleared_while_deferred_for_the_same(trigger: Trigger, emulator: LocalEmulator) -> None:
    run, task = trigger("deferrable")
    task.wait("deferred")
    run_id = task.wait_for_xcom("run_id")
    task.clear()
    task.wait_for_try(2)
    task.wait("deferred")
    end(emulator, run_id)
    succeeds_with(run, task, run_id)
    assert started_runs(emulator, run) == [run_id]


def test_cleared_while_deferred_for_other_inputs(
    trigger: Trigger, airflow: LocalAirflow, emulator: LocalEmulator
) -> None:
    run, task = trigger("deferrable")
    task.wait("deferred")
    first = task.wait_for_xcom("run_id")
    airflow.api.call("POST", "/variables", json={"key": "e2e_customer", "value": "Another"})
    try:
        task.clear()
        _, second = wait_for_runs(emulator, run, 2)
    finally:
        airflow.api.call("DELETE", "/variables/e2e_customer")
    task.wait("deferred")
    assert f"run {first} of before goes on" in task.log()
    end(emulator, second)
    succeeds_with(run, task, second)
    assert started_runs(emulator, run) == [first, second]


def test_cleared_while_it_runs_on_a_worker(trigger: Trigger, emulator: LocalEmulator) -> None:
    run, task = trigger("sync")
    run_id = task.wait_for_xcom("run_id")
    task.clear()
    task.wait_for_try(2)
    assert task.wait_for_xcom("run_id") == run_id
    end(emulator, run_id)
    succeeds_with(run, task, run_id)
    assert started_runs(emulator, run) == [run_id]


@pytest.mark.parametrize("mode", ["deferrable", "forgotten"])
def test_cleared_after_success(trigger: Trigger, emulator: LocalEmulator, mode: str) -> None:
    run, task = trigger(mode, pace="quick")
    run.wait("success")
    first = task.xcom()["run_id"]
    end(emulator, first)
    task.clear()
    _, second = wait_for_runs(emulator, run, 2)
    end(emulator, second)
    run.wait("success")
    assert task.xcom()["run_id"] == second
    assert started_runs(emulator, run) == [first, second]


@pytest.mark.parametrize("mode", ["sync", "deferrable"])
def test_marked_failed_then_cleared_while_the_run_goes_on(trigger: Trigger, emulator: LocalEmulator, mode: str) -> None:
    run, task = trigger(mode)
    run_id = task.wait_for_xcom("run_id")
    if mode == "deferrable":
        task.wait("deferred")
        # Until a triggerer has taken the trigger up, nobody is there to be told of a kill.
        run.api.wait_until(lambda: "starting" in task.log(1), "the trigger to start", 60)
    task.mark("failed")
    run.api.wait_until(lambda: GOES_ON in task.log(1), "the log to say that the run goes on", 60)
    assert f"/run/{run_id}" in task.log(1)
    task.clear()
    # A run that ended before the cleared task looks would be one of before, and rightly be followed by a new one.
    task.wait_for_try(2)
    run.api.wait_until(lambda: "Adopted Kognitos run" in task.log(2), "the run to be adopted", 60)
    end(emulator, run_id)
    succeeds_with(run, task, run_id)
    assert started_runs(emulator, run) == [run_id]


def test_one_of_a_mapped_set_is_killed(trigger: Trigger, emulator: LocalEmulator) -> None:
    run, _ = trigger("mapped")
    tasks = [run.task("run", map_index=index) for index in range(3)]
    ids = [task.wait_for_xcom("run_id") for task in tasks]
    tasks[1].process().kill()
    tasks[1].wait_for_try(2)
    assert tasks[1].wait_for_xcom("run_id") == ids[1]
    for run_id in ids:
        end(emulator, run_id)
    run.wait("success")
    assert [task.xcom()["run_id"] for task in tasks] == ids
    assert [task.details()["try_number"] for task in tasks] == [1, 2, 1]
    assert sorted(started_runs(emulator, run)) == sorted(ids)


def test_without_reattach_a_retry_starts_a_second_run(trigger: Trigger, emulator: LocalEmulator) -> None:
    run, task = trigger("plain")
    first = task.wait_for_xcom("run_id")
    task.process().kill()
    _, second = wait_for_runs(emulator, run, 2)
    end(emulator, second)
    succeeds_with(run, task, second)
    assert started_runs(emulator, run) == [first, second]


def test_a_file_is_not_uploaded_twice(trigger: Trigger, emulator: LocalEmulator, tmp_path: Path) -> None:
    emulator.control.reset()
    second = tmp_path / "second.txt"
    second.write_text("Total: 7")
    emulator.control.fault("startRun", "hang", effect="before")
    run, task = trigger("files", pace="quick", second=str(second))
    wait_for_fault(emulator, run, "startRun")
    task.process().kill()
    run.wait("success")
    uploads = emulator.control.uploads()
    assert sorted(upload["file_name"] for upload in uploads) == ["kills.py", "second.txt"]
    (started,) = emulator.runs_of(run.run_id)
    assert sorted(started["file_ids"]) == sorted(upload["id"] for upload in uploads)
