"""KognitosRunOperator through its attempts: the same result in every mode, and never a second live run."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import DAG, TaskDeferred

from airflow_provider_kognitos.emulator.server import RunningEmulator
from airflow_provider_kognitos.exceptions import (
    KognitosAuthError,
    KognitosCapacityError,
    KognitosConfigError,
    KognitosPollError,
    KognitosRunCancelledError,
    KognitosRunFailedError,
    KognitosRunTimeoutError,
    KognitosUploadError,
)
from airflow_provider_kognitos.operators.file import KognitosFileUploadOperator
from airflow_provider_kognitos.operators.run import KognitosRunOperator
from tests.operators.conftest import AGENT, KEY
from tests.operators.driver import STORES, Store, Task

MODES = [pytest.param(False, id="sync"), pytest.param(True, id="deferrable")]


def task(deferrable: bool = True, run_id: str = "manual__1", **arguments: Any) -> Task:
    arguments = {"process_id": "invoice", "poll_interval": 0.2, "max_poll_interval": 0.4, **arguments}
    return Task(
        lambda: KognitosRunOperator(task_id="task", deferrable=deferrable, **arguments),
        run_id=run_id,
    )


def logged(capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> str:
    """Return what was logged since the last call; Airflow 3 writes to the console, Airflow 2 to logging."""
    text = capsys.readouterr().out + caplog.text
    caplog.clear()
    return text


def started(emulator: RunningEmulator) -> int:
    return int(emulator.control.stats()["runs_started"])


@pytest.mark.parametrize("deferrable", MODES)
def test_returns_the_run_with_its_outputs(emulator: RunningEmulator, deferrable: bool) -> None:
    one = task(deferrable, inputs={"number": 7})
    result = one.attempt()
    (run,) = emulator.control.runs()
    assert result == {
        "run_id": run["id"],
        "name": run["name"],
        "status": "Succeeded",
        "process_id": "invoice",
        "agent_id": AGENT,
        "stage": "Published",
        "created_at": result["created_at"],
        "file_ids": [],
        "outputs": {"number": 7, "files": 0},
        "url": f"https://kognitos.test/department/{AGENT}/processes/invoice/run/{run['id']}",
    }
    assert run["name"].startswith("dag.task manual__1 [af-")
    assert one.ti is not None
    assert one.ti.xcoms["run_id"] == run["id"]
    assert one.ti.xcoms["run_url"] == result["url"]
    assert len(one.deferrals) == int(deferrable)


def test_both_modes_return_the_same(emulator: RunningEmulator) -> None:
    results = [task(mode, run_id=f"r{mode}", inputs={"number": 1}).attempt() for mode in (False, True)]
    for result in results:
        for own in ("run_id", "name", "created_at", "url"):
            del result[own]
    assert results[0] == results[1]


def test_does_not_wait_if_told_so(emulator: RunningEmulator) -> None:
    one = task(wait_for_completion=False, process_id="slow")
    result = one.attempt()
    assert result["status"] == "Running"
    assert result["outputs"] == {}
    assert not one.deferrals


def test_finds_the_process_by_its_name_and_stage(emulator: RunningEmulator) -> None:
    result = task(process_id=None, process_name="Draft only", stage="Draft").attempt()
    assert (result["process_id"], result["stage"]) == ("draft", "Draft")


@pytest.mark.parametrize("deferrable", MODES)
@pytest.mark.parametrize(
    ("ending", "error"), [("Failed", KognitosRunFailedError), ("Cancelled", KognitosRunCancelledError)]
)
def test_fails_with_the_run_and_starts_a_new_one_on_retry(
    emulator: RunningEmulator, deferrable: bool, ending: str, error: type[Exception]
) -> None:
    one = task(deferrable, inputs={"result": ending})
    with pytest.raises(error) as caught:
        one.attempt()
    (run,) = emulator.control.runs()
    for told in (run["id"], run["name"], "invoice", ending, f"/run/{run['id']}"):
        assert told in str(caught.value)
    with pytest.raises(error):
        one.attempt()
    assert started(emulator) == 2


@pytest.mark.parametrize("deferrable", MODES)
def test_an_undocumented_status_means_it_goes_on(
    emulator: RunningEmulator,
    deferrable: bool,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.INFO):
        assert task(deferrable, inputs={"result": "Odd"}).attempt()["status"] == "Succeeded"
    assert "AwaitingGuidance after" in (log := logged(capsys, caplog))
    assert "not documented" in log


@pytest.mark.parametrize("stored", STORES, ids=["store", "no store"][-len(STORES) :])
@pytest.mark.parametrize("retried_as", MODES)
def test_a_retry_adopts_the_live_run(emulator: RunningEmulator, stored: bool, retried_as: bool) -> None:
    one = task()
    one.store = Store() if stored else None
    deferred = one.attempt(until_deferred=True)
    assert isinstance(deferred, TaskDeferred)
    one.make = task(retried_as).make
    result = one.attempt()
    assert result["status"] == "Succeeded"
    assert started(emulator) == 1


@pytest.mark.parametrize("stored", STORES, ids=["store", "no store"][-len(STORES) :])
def test_a_clear_starts_a_new_run(emulator: RunningEmulator, stored: bool) -> None:
    one = task()
    one.store = Store() if stored else None
    first = one.attempt()
    one.clear()
    second = one.attempt()
    assert first["run_id"] != second["run_id"]
    assert started(emulator) == 2


@pytest.mark.parametrize("stored", STORES, ids=["store", "no store"][-len(STORES) :])
def test_a_clear_while_the_run_goes_on_adopts_it_for_the_same_inputs_only(
    emulator: RunningEmulator, stored: bool
) -> None:
    one = task(process_id="slow", inputs={"number": 1}, wait_for_completion=False)
    one.store = Store() if stored else None
    first = one.attempt()
    one.clear()
    assert one.attempt()["run_id"] == first["run_id"]
    one.clear()
    one.make = task(process_id="slow", inputs={"number": 2}, wait_for_completion=False).make
    assert one.attempt()["run_id"] != first["run_id"]
    assert started(emulator) == 2


def test_without_reattach_each_attempt_starts_a_run(emulator: RunningEmulator) -> None:
    one = task(process_id="slow", reattach=False, wait_for_completion=False)
    one.attempt()
    one.attempt()
    assert started(emulator) == 2


@pytest.mark.parametrize("deferrable", MODES)
def test_own_timeout_names_the_run_and_a_retry_adopts_it(emulator: RunningEmulator, deferrable: bool) -> None:
    one = task(deferrable, process_id="slow", timeout=0.5)
    for _ in range(2):
        with pytest.raises(KognitosRunTimeoutError, match="timeout of") as caught:
            one.attempt()
        assert emulator.control.runs()[0]["id"] in str(caught.value)
    assert started(emulator) == 1


def test_execution_timeout_counts_while_deferred(emulator: RunningEmulator) -> None:
    with pytest.raises(KognitosRunTimeoutError, match="execution_timeout"):
        task(process_id="slow", execution_timeout=timedelta(seconds=0.5)).attempt()


def test_the_deferral_outlives_the_deadline(emulator: RunningEmulator) -> None:
    one = task(process_id="slow", timeout=100, max_poll_interval=30)
    deferred = one.attempt(until_deferred=True)
    assert deferred.timeout > timedelta(seconds=100 + 2 * 30)
    without = task(process_id="slow", run_id="r2").attempt(until_deferred=True)
    assert without.timeout is None


def test_a_deferral_that_times_out_says_what_becomes_of_the_run(emulator: RunningEmulator) -> None:
    one = task(process_id="slow")
    one.attempt(until_deferred=True)
    operator, context = one.make(), one._context()
    (run,) = emulator.control.runs()
    with pytest.raises(KognitosRunTimeoutError, match=run["id"]):
        operator.resume_execution("__fail__", {"error": "Trigger timeout"}, context)
    with pytest.raises(KognitosPollError, match=run["id"]):
        operator.resume_execution("__fail__", {"error": "Trigger failure", "traceback": ["it broke"]}, context)
    one.begin()
    with pytest.raises(KognitosPollError, match="No Kognitos run had been started"):
        operator.resume_execution("__fail__", {"error": "Trigger failure"}, one._context())


@pytest.mark.parametrize("deferrable", MODES)
@pytest.mark.parametrize("stored", STORES, ids=["store", "no store"][-len(STORES) :])
def test_waits_for_capacity_and_uploads_once(
    emulator: RunningEmulator, deferrable: bool, stored: bool, tmp_path: Path
) -> None:
    invoice = tmp_path / "invoice.txt"
    invoice.write_text("Total: 7")
    refused = {"kind": "status", "code": 403, "body": "gateway", "message": "Resource Not Available"}
    emulator.control.script("startRun", [refused, refused])
    one = task(deferrable, files=invoice)
    one.store = Store() if stored else None
    result = one.attempt()
    assert result["outputs"]["files"] == 1
    assert len(result["file_ids"]) == 1
    assert len(emulator.control.uploads()) == 1
    assert started(emulator) == 1
    assert len(one.deferrals) == (3 if deferrable else 0)


@pytest.mark.parametrize("deferrable", MODES)
def test_patience_with_capacity_ends(emulator: RunningEmulator, deferrable: bool) -> None:
    emulator.control.fault("startRun", "status", code=403, message="Resource Not Available", times=None)
    with pytest.raises(KognitosCapacityError, match="none was"):
        task(deferrable, capacity_timeout=0.5).attempt()
    assert started(emulator) == 0


@pytest.mark.parametrize("effect", ["before", "after"])
@pytest.mark.parametrize("kind", ["drop", "reset", "truncate", "status", "wrong_json"])
def test_an_answer_that_never_came_makes_no_second_run(emulator: RunningEmulator, kind: str, effect: str) -> None:
    emulator.control.fault("startRun", kind, effect=effect, code=502, body="html")
    result = task().attempt()
    assert result["status"] == "Succeeded"
    assert started(emulator) == 1


def test_files_of_every_kind_are_uploaded_before_the_start(emulator: RunningEmulator, tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("a.txt", "b.txt")]
    for path in paths:
        path.write_text(path.name)
    result = task(files=[paths[0], paths[1].as_uri()], file_ids=emulator_file(emulator)).attempt()
    assert result["outputs"]["files"] == 3
    assert sorted(upload["file_name"] for upload in emulator.control.uploads()) == ["a.txt", "b.txt", "before.txt"]
    assert emulator.control.stats()["key_leaks"] == 0


def emulator_file(emulator: RunningEmulator) -> str:
    import io

    from airflow_provider_kognitos.hooks.kognitos import KognitosHook

    return KognitosHook().upload_file(io.BytesIO(b"x"), file_name="before.txt")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"process_id": None}, "process_id or process_name"),
        ({"process_name": "Process invoice"}, "process_id or process_name"),
        ({"process_id": ""}, "process_id or process_name"),
        ({"stage": "published"}, "stage must be one of Draft, Published"),
        ({"inputs": "{'a': 1}"}, "render_template_as_native_obj"),
        ({"inputs": [1]}, "inputs"),
        ({"inputs": {"a": object()}}, "inputs"),
        ({"inputs": {"a": float("nan")}}, "inputs"),
        ({"inputs": {"": 1}}, "inputs"),
        ({"files": [""]}, "files"),
        ({"file_ids": [7]}, "file_ids"),
        ({"process_id": "way-too-long-an-identifier-for-this"}, "process_id"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_is_sent(
    emulator: RunningEmulator, arguments: dict[str, Any], told: str
) -> None:
    with pytest.raises(KognitosConfigError, match=told):
        task(**arguments).attempt()
    assert emulator.control.stats()["requests"] == {}


@pytest.mark.parametrize(
    "arguments",
    [
        {"poll_interval": 0},
        {"max_poll_interval": -1},
        {"timeout": float("inf")},
        {"timeout": "1h"},
        {"capacity_timeout": None},
        {"success_statuses": "Succeeded"},
        {"failure_statuses": []},
        {"failure_statuses": [1]},
    ],
)
def test_a_constructor_refuses_what_cannot_work(arguments: dict[str, Any]) -> None:
    with pytest.raises(KognitosConfigError, match=next(iter(arguments))):
        KognitosRunOperator(task_id="task", process_id="invoice", **arguments)


def test_an_unreadable_file_starts_nothing(emulator: RunningEmulator, tmp_path: Path) -> None:
    with pytest.raises((KognitosConfigError, KognitosUploadError), match=r"missing\.pdf"):
        task(files=tmp_path / "missing.pdf").attempt()
    assert emulator.control.stats()["requests"] == {}


def test_a_bad_key_fails_for_good_and_is_not_shown(
    emulator: RunningEmulator, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    emulator.control.play({"keys": {"another": {}}, "agents": [AGENT]})
    with caplog.at_level(logging.DEBUG), pytest.raises(KognitosAuthError) as caught:
        task().attempt()
    assert KEY not in f"{caught.value!r} {caught.value} {logged(capsys, caplog)}"


def test_statuses_can_be_named(emulator: RunningEmulator) -> None:
    result = task(inputs={"result": "Odd"}, success_statuses=["AwaitingGuidance"]).attempt()
    assert result["status"] == "AwaitingGuidance"
    with pytest.raises(KognitosRunFailedError, match="AwaitingGuidance"):
        task(run_id="r2", inputs={"result": "Odd"}, failure_statuses=["AwaitingGuidance"]).attempt()


def test_on_kill_says_what_becomes_of_the_run_and_sends_nothing(
    emulator: RunningEmulator, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    operator = task(process_id="slow", wait_for_completion=False).make()
    operator.on_kill()
    result = operator.execute(task().begin())
    before = emulator.control.stats()["requests"]
    logged(capsys, caplog)
    operator.on_kill()
    log = logged(capsys, caplog)
    assert result["run_id"] in log
    assert result["url"] in log
    assert emulator.control.stats()["requests"] == before


def test_on_kill_while_starting_says_that_nobody_knows(
    emulator: RunningEmulator,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Killed(BaseException):
        pass

    def killed(*args: Any, **kwargs: Any) -> None:
        raise Killed

    monkeypatch.setattr("airflow_provider_kognitos.api.client.KognitosClient.start_run", killed)
    operator = task().make()
    with pytest.raises(Killed):
        operator.execute(task().begin())
    operator.on_kill()
    assert "may or may not have started" in logged(capsys, caplog)


def test_xcoms_are_left_out_if_told_so(emulator: RunningEmulator) -> None:
    one = task(do_xcom_push=False)
    one.attempt()
    assert one.ti is not None
    assert one.ti.xcoms == {}


def test_templates_reach_every_argument_that_says_what_to_run() -> None:
    with DAG("dag", schedule=None):
        operator = KognitosRunOperator(
            task_id="task",
            process_name="{{ word }}",
            agent_id="{{ word }}",
            inputs={"a": ["{{ word }}"]},
            files=["{{ word }}"],
            file_ids="{{ word }}",
            stage="{{ word }}",
            name="{{ word }}",
        )
    operator.render_template_fields({"word": "rendered"})
    assert operator.process_name == operator.agent_id == operator.stage == operator.name == "rendered"
    assert operator.inputs == {"a": ["rendered"]}
    assert operator.files == ["rendered"]
    assert operator.file_ids == "rendered"


def test_only_arguments_with_a_value_are_rendered_whenever_they_got_it() -> None:
    every = {"process_id", "process_name", "agent_id", "inputs", "files", "file_ids", "stage", "name"}
    assert set(KognitosRunOperator.template_fields) == every
    operator = KognitosRunOperator(task_id="task", process_id="invoice")
    assert set(operator.template_fields) == {"process_id", "stage"}

    operator.name = "for {{ word }}"
    operator.render_template_fields({"word": "you"})
    assert set(operator.template_fields) == {"process_id", "stage", "name"}
    assert operator.name == "for you"


def test_a_reference_given_late_makes_a_dependency() -> None:
    with DAG("dag", schedule=None, start_date=datetime(2026, 1, 1)):
        upload = KognitosFileUploadOperator(task_id="upload", source="invoice.txt")
        run = KognitosRunOperator(task_id="run", process_id="invoice")
        run.file_ids = upload.output
    assert run.upstream_task_ids == {"upload"}
