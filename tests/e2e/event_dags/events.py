"""Two watchers of one process, each with its own asset and DAG."""

from datetime import datetime

from airflow.sdk import DAG, Asset, AssetWatcher, task

from airflow_provider_kognitos.triggers.event import KognitosRunEventTrigger

for name, statuses in {"succeeded": ["Succeeded"], "failed": ["Failed", "TimedOut"]}.items():
    trigger = KognitosRunEventTrigger(process_id="process-invoice", statuses=statuses, poll_interval=2)
    asset = Asset(
        name=f"invoices {name}",
        uri=f"kognitos://demo-agent/process-invoice-{name}",
        watchers=[AssetWatcher(name=name, trigger=trigger)],
    )

    with DAG(f"e2e_event_{name}", schedule=[asset], start_date=datetime(2026, 1, 1), catchup=False) as dag:

        @task
        def read(triggering_asset_events=None):
            return [event.extra["payload"] for events in triggering_asset_events.values() for event in events]

        read()
    globals()[dag.dag_id] = dag
