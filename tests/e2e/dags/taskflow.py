"""Runs among TaskFlow tasks, mapped, with assets for outlets, and watched by somebody who wants to be called."""

from datetime import datetime

from airflow.providers.common.compat.sdk import DAG, Asset, task

from airflow_provider_kognitos.operators.run import KognitosRunOperator
from airflow_provider_kognitos.sensors.run import KognitosRunSensor

QUICK = {"deferrable": True, "poll_interval": 1, "max_poll_interval": 2}
BOOKED = Asset("kognitos://demo-agent/process-invoice")


def call(context):
    """Leave in an XCom what the callback was told, one more each time it is called."""
    ti = context["ti"]
    calls = ti.xcom_pull(task_ids=ti.task_id, key="calls", map_indexes=ti.map_index) or []
    told = {"run_id": context["run"]["run_id"], "link": context["link"], "age": context["age"].total_seconds()}
    ti.xcom_push(key="calls", value=[*calls, told])


with DAG("e2e_taskflow", schedule=None, start_date=datetime(2026, 1, 1), catchup=False):

    @task(multiple_outputs=True)
    def what_to_run():
        return {
            "process_id": "process-invoice",
            "agent_id": "demo-agent",
            "stage": "Published",
            "name": "Named by a task",
            "inputs": {"pace": "quick", "customer": "Contoso Events"},
        }

    asked = what_to_run()
    run = KognitosRunOperator(
        task_id="run",
        process_id=asked["process_id"],
        agent_id=asked["agent_id"],
        stage=asked["stage"],
        name=asked["name"],
        inputs=asked["inputs"],
        outlets=[BOOKED],
        **QUICK,
    )

    @task
    def book(total, customer):
        return f"{total} for {customer}"

    @task
    def look_up(kognitos_run):
        from airflow_provider_kognitos.hooks.kognitos import KognitosHook

        return KognitosHook().get_run(kognitos_run).status

    book(run.output["outputs"]["total"], run.output["outputs"]["customer"])
    look_up(run.output["run_id"])
    again = KognitosRunOperator(
        task_id="again",
        process_name="Process invoice",
        inputs={
            "pace": "quick",
            "customer": run.output["outputs"]["customer"],
            "total": run.output["outputs"]["total"],
        },
        name=f"Again {run.output['outputs']['total']}",
        wait_for_completion=False,
    )
    KognitosRunSensor(task_id="wait_again", run_id=again.output["run_id"], poke_interval=1, timeout=120)

# --8<-- [start:asset]
with DAG("e2e_on_booked", schedule=[BOOKED], start_date=datetime(2026, 1, 1), catchup=False):

    @task
    def read_event(**context):
        events = context.get("triggering_asset_events") or context["triggering_dataset_events"]
        (event,) = [event for many in events.values() for event in many]
        return dict(event.extra)

    read_event()
# --8<-- [end:asset]

with DAG("e2e_mapped", schedule=None, start_date=datetime(2026, 1, 1), catchup=False):
    KognitosRunOperator.partial(task_id="expand", process_name="Process invoice", **QUICK).expand(
        inputs=[{"pace": "quick", "customer": name} for name in ("A", "B")]
    )

    @task
    def claims():
        return [{"process_id": "process-invoice", "inputs": {"pace": "quick", "customer": name}} for name in ("C", "D")]

    each = KognitosRunOperator.partial(task_id="expand_kwargs", **QUICK).expand_kwargs(claims())

    @task
    def customers(runs):
        return [run["outputs"]["customer"] for run in runs]

    @task
    def one_total(total):
        return total

    customers(each.output)
    one_total.expand(total=each.output.map(lambda run: run["outputs"]["total"]))

with DAG("e2e_attention", schedule=None, start_date=datetime(2026, 1, 1), catchup=False):
    common = {"attention_after": 4, "on_attention_callback": [call]}
    inputs = {"pace": "steady", "customer": "Contoso Events"}
    KognitosRunOperator(task_id="deferred", process_name="Process invoice", inputs=inputs, **QUICK, **common)
    on_worker = {**QUICK, "deferrable": False}
    KognitosRunOperator(task_id="on_worker", process_name="Process invoice", inputs=inputs, **on_worker, **common)
    KognitosRunOperator.partial(task_id="mapped", process_name="Process invoice", **QUICK, **common).expand(
        inputs=[inputs]
    )
    begun = KognitosRunOperator(
        task_id="begun", process_name="Process invoice", inputs=inputs, wait_for_completion=False
    )
    KognitosRunSensor(
        task_id="sensed", run_id=begun.output["run_id"], deferrable=True, poke_interval=1, timeout=120, **common
    )
