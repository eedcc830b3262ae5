"""Call somebody when a run takes longer than runs take: it may wait for a person's guidance.

Kognitos need not say that it waits for a person, and the run can go on for days. The task waits on; only somebody is
told.
"""

from datetime import datetime, timedelta

from airflow.providers.common.compat.sdk import dag, task

from airflow_provider_kognitos.operators.run import KognitosRunOperator


# [START howto_attention_kognitos]
def ask_for_guidance(context):
    run = context["run"]
    print(f"{run['name']} is {run['status']} after {context['age']}. Does it wait for you? {context['link']}")


# [END howto_attention_kognitos]


@dag(schedule=None, start_date=datetime(2026, 1, 1), catchup=False, tags=["kognitos"])
def kognitos_attention():
    # [START howto_operator_kognitos_run_attention]
    process_invoice = KognitosRunOperator(
        task_id="process_invoice",
        process_name="Process invoice",
        inputs={"invoice_number": "2041", "customer": "Contoso Events"},
        deferrable=True,
        timeout=timedelta(days=3),
        attention_after=timedelta(hours=1),
        on_attention_callback=ask_for_guidance,
    )
    # [END howto_operator_kognitos_run_attention]

    @task
    def pay(total):
        print(f"Paid {total}.")
        return total

    pay(process_invoice.output["outputs"]["total"])


kognitos_attention()
