"""Runs that somebody else started make DAG runs: watchers in a real triggerer, which also dies."""

import time
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

import pytest

from sandbox.airflow import LocalAirflow
from sandbox.emulator import LocalEmulator
from sandbox.kognitos import EXAMPLES, connection

from .conftest import HERE, end, files_with

pytest.importorskip("airflow.sdk", reason="watchers came with Airflow 3")

remembers = pytest.mark.skipif(
    find_spec("airflow.triggers.shared_stream") is None, reason="what is remembered came with Airflow 3.3"
)

SUCCEEDED, FAILED = "e2e_event_succeeded", "e2e_event_failed"


@pytest.fixture(scope="module")
def emulator(key: str, scenario: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalEmulator]:
    """An emulator of its own: requests are counted here."""
    with LocalEmulator(tmp_path_factory.mktemp("events-emulator"), scenario=scenario) as emulator:
        yield emulator


@pytest.fixture(scope="module")
def airflow(emulator: LocalEmulator, key: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalAirflow]:
    """An Airflow of its own: its triggerer is killed."""
    add(emulator, "Succeeded")
    add(emulator, "Failed")
    airflow = LocalAirflow(
        tmp_path_factory.mktemp("events-airflow"),
        [HERE / "event_dags", EXAMPLES],
        connections={"kognitos_default": connection(emulator, key=key)},
        # Airflow starts and ends watchers when it reads their file.
        settings={"dag_processor.min_file_process_interval": "5"},
    )
    with airflow:
        airflow.api.wait_for_dags(SUCCEEDED, FAILED, "kognitos_event")
        for dag_id in (SUCCEEDED, FAILED):
            airflow.api.unpause(dag_id)
        wait_for_looks(airflow, emulator, 4)
        yield airflow
        airflow.check()


def add(emulator: LocalEmulator, status: str = "Running", process_id: str = "process-invoice") -> str:
    return str(emulator.control.add_run(process_id, status=status)["id"])


def lists(emulator: LocalEmulator, since: int = 0, process_id: str = "process-invoice") -> list[dict[str, Any]]:
    requests = emulator.control.requests(since)
    return [each for each in requests if each["endpoint"] == "listRuns" and process_id in str(each)]


def wait_for_looks(airflow: LocalAirflow, emulator: LocalEmulator, count: int, *args: Any) -> None:
    seq = last_request(emulator)
    airflow.api.wait_until(lambda: len(lists(emulator, seq, *args)) >= count, f"{count} looks", timeout=90)


def last_request(emulator: LocalEmulator) -> int:
    return max((int(each["seq"]) for each in emulator.control.requests()), default=0)


def told(airflow: LocalAirflow, dag_id: str) -> list[str]:
    """Ids of the runs whose events have started DAG runs, these waited for."""
    ids = []
    for dag_run in airflow.api.dag_runs(dag_id):
        dag_run.wait("success")
        ids += [payload["run_id"] for payload in dag_run.task("read").xcom()]
    return ids


def wait_until_told(airflow: LocalAirflow, dag_id: str, *run_ids: str) -> None:
    airflow.api.wait_until(
        lambda: set(run_ids) <= set(told(airflow, dag_id)), f"events of {', '.join(run_ids)}", timeout=90
    )


def test_each_run_of_others_that_succeeds_makes_a_dag_run(
    airflow: LocalAirflow, emulator: LocalEmulator, key: str
) -> None:
    for number in (1, 2):
        run_id = add(emulator)
        wait_for_looks(airflow, emulator, 2)
        end(emulator, run_id)
        wait_until_told(airflow, SUCCEEDED, run_id)
        assert len(airflow.api.dag_runs(SUCCEEDED)) == number
    newest = max(airflow.api.dag_runs(SUCCEEDED), key=lambda dag_run: dag_run.details()["run_after"])
    (payload,) = newest.task("read").xcom()
    assert payload["run_id"] == run_id
    assert payload["status"] == "Succeeded"
    assert payload["outputs"]["total"] == 1280.5
    assert payload["url"].endswith(run_id)
    assert files_with(airflow.home / "logs", key) == []


def test_failed_runs_are_for_who_watches_for_them(airflow: LocalAirflow, emulator: LocalEmulator) -> None:
    before = told(airflow, SUCCEEDED)
    run_id = add(emulator)
    wait_for_looks(airflow, emulator, 2)
    end(emulator, run_id, "Failed")
    wait_until_told(airflow, FAILED, run_id)
    wait_for_looks(airflow, emulator, 3)
    assert told(airflow, SUCCEEDED) == before
    assert told(airflow, FAILED).count(run_id) == 1


def test_runs_that_end_one_right_after_the_other_are_told_of_once_each(
    airflow: LocalAirflow, emulator: LocalEmulator
) -> None:
    run_ids = [add(emulator) for _ in range(12)]
    wait_for_looks(airflow, emulator, 2)
    for run_id in run_ids:
        end(emulator, run_id)
    wait_until_told(airflow, SUCCEEDED, *run_ids)
    wait_for_looks(airflow, emulator, 3)
    found = told(airflow, SUCCEEDED)
    assert [found.count(run_id) for run_id in run_ids] == [1] * 12


@remembers
def test_watchers_of_a_process_share_one_poll(airflow: LocalAirflow, emulator: LocalEmulator) -> None:
    """Both look each two seconds."""
    wait_for_looks(airflow, emulator, 1)
    seq, begun = last_request(emulator), time.monotonic()
    wait_for_looks(airflow, emulator, 6)
    seen, took = len(lists(emulator, seq)), time.monotonic() - begun
    assert seen <= took / 2 + 1


@remembers
@pytest.mark.parametrize("death", ["killed", "stopped"])
def test_nothing_is_missed_or_told_twice_while_there_is_no_triggerer(
    airflow: LocalAirflow, emulator: LocalEmulator, death: str
) -> None:
    slow, failing, held = add(emulator), add(emulator), add(emulator)
    done = add(emulator)
    wait_for_looks(airflow, emulator, 2)
    end(emulator, done)
    wait_until_told(airflow, SUCCEEDED, done)
    # What was told of is stored within a look or two.
    wait_for_looks(airflow, emulator, 3)
    (airflow.kill_component if death == "killed" else airflow.stop_component)("triggerer")

    end(emulator, slow)
    end(emulator, failing, "Failed")
    meanwhile = [add(emulator, "Succeeded") for _ in range(3)]
    airflow.start_component("triggerer")
    wait_until_told(airflow, SUCCEEDED, slow, *meanwhile)
    wait_until_told(airflow, FAILED, failing)
    end(emulator, held)
    wait_until_told(airflow, SUCCEEDED, held)
    wait_for_looks(airflow, emulator, 3)
    found = told(airflow, SUCCEEDED)
    assert {run_id: found.count(run_id) for run_id in (done, slow, held, *meanwhile)} == dict.fromkeys(
        (done, slow, held, *meanwhile), 1
    )
    assert told(airflow, FAILED).count(failing) == 1


@remembers
def test_what_ends_while_the_dags_are_paused_is_told_of_when_they_are_not(
    airflow: LocalAirflow, emulator: LocalEmulator
) -> None:
    def quiet() -> bool:
        seq = last_request(emulator)
        time.sleep(8)
        return not lists(emulator, seq)

    for dag_id in (SUCCEEDED, FAILED):
        airflow.api.pause(dag_id)
    airflow.api.wait_until(quiet, "the watchers to end", timeout=180)
    good, bad = add(emulator, "Succeeded"), add(emulator, "Failed")
    for dag_id in (SUCCEEDED, FAILED):
        airflow.api.unpause(dag_id)
    wait_until_told(airflow, SUCCEEDED, good)
    wait_until_told(airflow, FAILED, bad)
    wait_for_looks(airflow, emulator, 3)
    assert (told(airflow, SUCCEEDED).count(good), told(airflow, FAILED).count(bad)) == (1, 1)


def test_the_example(airflow: LocalAirflow, emulator: LocalEmulator) -> None:
    airflow.api.unpause("kognitos_event")
    wait_for_looks(airflow, emulator, 1, "triage-claim")
    run_id = add(emulator, process_id="triage-claim")
    end(emulator, run_id)
    airflow.api.wait_until(lambda: bool(airflow.api.dag_runs("kognitos_event")), "a run of the example", timeout=120)
    (dag_run,) = airflow.api.dag_runs("kognitos_event")
    dag_run.wait("success")
    assert dag_run.task("pay_claims").xcom() == [run_id]
    assert "fast track" in dag_run.task("pay_claims").log()
