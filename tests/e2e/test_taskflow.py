"""What a DAG's author writes around runs, in a real Airflow."""

from sandbox.airflow import LocalAirflow
from sandbox.dag_run import TaskInstance
from sandbox.emulator import LocalEmulator

LINK = "Kognitos run"


def links_of(task: TaskInstance) -> dict[str, str | None]:
    """The task's buttons; Airflow 2 tells those of a mapped instance to its own UI only, which reads this XCom."""
    if task.api.is_v1 and task.map_index >= 0:
        return {LINK: task.xcom("run_url")}
    return task.extra_links()


def test_outputs_ids_and_arguments_go_from_task_to_task(airflow: LocalAirflow, emulator: LocalEmulator) -> None:
    airflow.api.wait_for_dags("e2e_taskflow", "e2e_on_booked")
    airflow.api.unpause("e2e_on_booked")
    dag_run = airflow.api.trigger_dag("e2e_taskflow")
    dag_run.wait("success")

    result = dag_run.task("run").xcom()
    assert result["name"].startswith("Named by a task [af-")
    assert dag_run.task("book").xcom() == "1280.5 for Contoso Events"
    assert dag_run.task("look_up").xcom() == "Succeeded"
    again = dag_run.task("again").xcom()
    assert again["name"].startswith("Again 1280.5 [af-")
    assert dag_run.task("wait_again").xcom()["run_id"] == again["run_id"]

    airflow.api.wait_until(lambda: bool(airflow.api.dag_runs("e2e_on_booked")), "a run by the asset", timeout=60)
    (downstream,) = airflow.api.dag_runs("e2e_on_booked")
    downstream.wait("success")
    extra = downstream.task("read_event").xcom()
    assert {key: extra[key] for key in ("run_id", "url", "outputs")} == {
        key: result[key] for key in ("run_id", "url", "outputs")
    }


def test_each_mapped_instance_has_its_run_and_its_link(airflow: LocalAirflow, emulator: LocalEmulator) -> None:
    airflow.api.wait_for_dags("e2e_mapped")
    dag_run = airflow.api.trigger_dag("e2e_mapped")
    dag_run.wait("success", timeout=180)

    links = set()
    for task_id, customers in (("expand", "AB"), ("expand_kwargs", "CD")):
        for index, customer in enumerate(customers):
            task = dag_run.task(task_id, index)
            result = task.xcom()
            assert result["outputs"]["customer"] == customer
            assert links_of(task) == {LINK: result["url"]}
            links.add(result["url"])
    assert len(links) == 4
    assert len(emulator.runs_of(dag_run.run_id)) == 4
    assert dag_run.task("customers").xcom() == ["C", "D"]
    assert [dag_run.task("one_total", index).xcom() for index in range(2)] == [1280.5, 1280.5]


def test_somebody_is_called_once_when_a_run_takes_long_and_the_wait_goes_on(
    airflow: LocalAirflow, emulator: LocalEmulator
) -> None:
    airflow.api.wait_for_dags("e2e_attention")
    dag_run = airflow.api.trigger_dag("e2e_attention")
    dag_run.wait("success", timeout=180)

    tasks: list[TaskInstance] = [dag_run.task(name) for name in ("deferred", "on_worker", "sensed")]
    for task in (*tasks, dag_run.task("mapped", 0)):
        result = task.xcom()
        assert result["status"] == "Succeeded"
        (call,) = task.xcom("calls")
        assert (call["run_id"], call["link"]) == (result["run_id"], result["url"])
        assert 4 <= call["age"] < 12
        assert links_of(task) == {LINK: result["url"]}
    assert len(emulator.runs_of(dag_run.run_id)) == 4
