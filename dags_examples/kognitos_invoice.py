"""Process an invoice: upload it, run a Kognitos process on it, use what the process found.

A run may take minutes or, when it asks a person, days. All that time the task is deferred: no worker slot is held.
"""

from datetime import datetime, timedelta
from pathlib import Path

from airflow.providers.common.compat.sdk import dag, task

from airflow_provider_kognitos.operators.file import KognitosFileUploadOperator
from airflow_provider_kognitos.operators.run import KognitosRunOperator

INVOICE = Path(__file__).parent / "data" / "invoice-2041.txt"


@dag(schedule=None, start_date=datetime(2026, 1, 1), catchup=False, tags=["kognitos"])
def kognitos_invoice():
    # [START howto_operator_kognitos_file_upload]
    upload_invoice = KognitosFileUploadOperator(task_id="upload_invoice", source=str(INVOICE))
    # [END howto_operator_kognitos_file_upload]

    # [START howto_operator_kognitos_run]
    process_invoice = KognitosRunOperator(
        task_id="process_invoice",
        process_name="Process invoice",
        inputs={"invoice_number": "2041", "customer": "Contoso Events"},
        file_ids=upload_invoice.output,
        deferrable=True,
        timeout=timedelta(hours=12),
    )
    # [END howto_operator_kognitos_run]

    @task
    def book_invoice(run):
        outputs = run["outputs"]
        print(
            f"Booked {outputs['total']} {outputs['currency']} for invoice {outputs['invoice_number']}, see {run['url']}"
        )
        return outputs["total"]

    book_invoice(process_invoice.output)


kognitos_invoice()
