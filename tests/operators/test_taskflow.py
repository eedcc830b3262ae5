"""Operators among TaskFlow tasks: what a DAG's author writes, as Airflow reads it."""

from __future__ import annotations

import json
from datetime import datetime
from importlib.util import find_spec
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import DAG, task

from airflow_provider_kognitos.operators.output import RunOutput
from airflow_provider_kognitos.operators.run import KognitosRunOperator
from airflow_provider_kognitos.sensors.run import KognitosRunSensor

try:
    from airflow.serialization.serialized_objects import DagSerialization
except ImportError:
    from airflow.serialization.serialized_objects import SerializedDAG as DagSerialization

#: Airflow 2 reads XComs from its database, and the links of installed providers only; end-to-end tests cover both.
needs_airflow_3 = pytest.mark.skipif(find_spec("airflow.sdk") is None, reason="Airflow 2 needs its database for it")
RESULT = {"run_id": "run-1", "url": "https://kognitos.test", "outputs": {"total": 7, "lines": [{"sku": "a"}]}}


class Instance:
    """What an XComArg asks of a task instance: the XComs of the tasks before it."""

    def __init__(self, **xcoms: Any) -> None:
        self.xcoms = xcoms
        self.map_index = -1
        self.task = None

    def xcom_pull(self, *, task_ids: Any, key: str = "return_value", default: Any = None, **more: Any) -> Any:
        return self.xcoms.get(key, default)

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(name)


def dag(name: str = "d") -> DAG:
    return DAG(name, schedule=None, start_date=datetime(2026, 1, 1), catchup=False)


def resolved(reference: Any) -> Any:
    return reference.resolve({"ti": Instance(return_value=RESULT, run_id="run-1", run_url="https://kognitos.test")})


def restored(one: DAG) -> Any:
    """Return a DAG as the scheduler has it."""
    return DagSerialization.from_dict(json.loads(json.dumps(DagSerialization.to_dict(one))))


@pytest.fixture
def run() -> KognitosRunOperator:
    with dag():
        return KognitosRunOperator(task_id="run", process_id="invoice")


@needs_airflow_3
@pytest.mark.parametrize(
    ("part", "value"),
    [
        (lambda output: output, RESULT),
        (lambda output: output["outputs"], RESULT["outputs"]),
        (lambda output: output["outputs"]["total"], 7),
        (lambda output: output["outputs"]["lines"][0]["sku"], "a"),
        (lambda output: output["url"], "https://kognitos.test"),
        (lambda output: output["run_id"], "run-1"),
        (lambda output: output["run_url"], "https://kognitos.test"),
    ],
)
def test_any_part_of_what_a_run_returns_can_be_named(run: KognitosRunOperator, part: Any, value: Any) -> None:
    assert resolved(part(run.output)) == value


@needs_airflow_3
def test_a_part_is_taken_of_each_run_of_a_mapped_task_group(run: KognitosRunOperator) -> None:
    instance = Instance(return_value=[RESULT, {**RESULT, "outputs": {"total": 8}}])
    assert run.output["outputs"]["total"].resolve({"ti": instance}) == [7, 8]


@needs_airflow_3
def test_an_output_that_is_not_there_is_named_in_the_error(run: KognitosRunOperator) -> None:
    with pytest.raises(KeyError, match="sum"):
        resolved(run.output["outputs"]["sum"])


@needs_airflow_3
def test_a_sensor_has_the_same_output() -> None:
    with dag():
        sensor = KognitosRunSensor(task_id="wait", run_id="run-1")
    assert resolved(sensor.output["outputs"]["total"]) == 7


def test_parts_differ_and_are_no_sequences(run: KognitosRunOperator) -> None:
    assert run.output["outputs"]["total"] == run.output["outputs"]["total"]
    assert run.output["outputs"]["total"] != run.output["outputs"]
    with pytest.raises(TypeError):
        list(run.output["outputs"])


def test_a_part_within_a_template_is_that_part(run: KognitosRunOperator) -> None:
    with dag("other"):
        after = KognitosRunOperator(task_id="after", process_id="p", name=f"Pay {run.output['outputs']['total']}")
    after.render_template_fields({"task_instance": Instance(return_value=RESULT)})
    assert after.name == "Pay 7"


def test_naming_a_part_makes_the_tasks_follow_each_other_and_the_scheduler_can_read_it() -> None:
    with dag() as one:
        first = KognitosRunOperator(task_id="first", process_id="p")

        @task
        def book(total: Any) -> Any:
            return total

        KognitosRunOperator(task_id="second", process_id="p", inputs={"total": first.output["outputs"]["total"]})
        book(first.output["outputs"]["total"])
    assert one.get_task("first").downstream_task_ids == {"second", "book"}
    assert restored(one).get_task("first").downstream_task_ids == {"second", "book"}


def test_mapping_over_a_part_is_refused_since_airflow_could_not_count_it(run: KognitosRunOperator) -> None:
    with dag("other"), pytest.raises(ValueError, match="lines"):
        KognitosRunOperator.partial(task_id="each", process_id="p").expand(inputs=run.output["outputs"]["lines"])


def test_every_templated_argument_takes_what_another_task_returns() -> None:
    with dag():

        @task
        def give() -> Any: ...

        given = give()
        arguments = {name: given for name in KognitosRunOperator.template_fields if name != "process_name"}
        operator = KognitosRunOperator(task_id="run", **arguments)
        sensor = KognitosRunSensor(task_id="wait", run_id=given)
    assert operator.upstream_task_ids == sensor.upstream_task_ids == {"give"}


def notify(context: Any) -> None: ...


@pytest.mark.parametrize("mapped", [True, False])
def test_the_scheduler_can_read_a_task_with_everything_set(mapped: bool) -> None:
    common: dict[str, Any] = {
        "task_id": "run",
        "process_id": "p",
        "attention_after": 60.0,
        "on_attention_callback": [notify],
        "timeout": 3600.0,
        "deferrable": True,
    }
    with dag() as one:
        if mapped:
            KognitosRunOperator.partial(**common).expand(inputs=[{"n": 1}, {"n": 2}])
        else:
            KognitosRunOperator(**common, inputs={"n": 1})
    task = restored(one).get_task("run")
    assert ("Mapped" in type(task).__name__) is mapped
    if find_spec("airflow.sdk"):
        assert list(task.extra_links) == ["Kognitos run"]


@pytest.mark.parametrize("how", ["expand", "expand_kwargs"])
def test_each_mapped_instance_gets_its_arguments(how: str) -> None:
    with dag():
        partial = KognitosRunOperator.partial(task_id="run", on_attention_callback=notify, attention_after=60)
        if how == "expand":
            mapped = partial.expand(process_id=["a", "b"])
        else:
            mapped = partial.expand_kwargs([{"process_id": "a", "inputs": {"n": 1}}, {"process_id": "b"}])
    resolved = {"process_id": "b"} if how == "expand" else {"process_id": "a", "inputs": {"n": 1}}
    operator = mapped.unmap(resolved)
    assert isinstance(operator, KognitosRunOperator)
    assert operator.process_id == resolved["process_id"]
    assert operator.on_attention_callback == (notify,)
    assert isinstance(operator.output, RunOutput)
