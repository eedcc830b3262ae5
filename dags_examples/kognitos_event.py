"""Do something with every claim that was triaged, whoever started the run: a person, an email or another system.

Watchers came with Airflow 3: Airflow 2 reads this file and finds no DAG in it.
"""

from datetime import datetime

from airflow.providers.common.compat.sdk import DAG, Asset, task

from airflow_provider_kognitos.triggers.event import KognitosRunEventTrigger

try:
    from airflow.sdk import AssetWatcher
except ImportError:
    AssetWatcher = None

if AssetWatcher:
    # [START howto_trigger_kognitos_run_event]
    triaged = AssetWatcher(name="triaged", trigger=KognitosRunEventTrigger(process_id="triage-claim"))
    claims = Asset("kognitos://demo-agent/triage-claim", watchers=[triaged])

    with DAG("kognitos_event", schedule=[claims], start_date=datetime(2026, 1, 1), catchup=False, tags=["kognitos"]):

        @task
        def pay_claims(triggering_asset_events=None):
            runs = [event.extra["payload"] for events in triggering_asset_events.values() for event in events]
            for run in runs:
                print(f"Run {run['run_id']} is {run['status']}: {run['outputs']}")
            return [run["run_id"] for run in runs]

        pay_claims()
    # [END howto_trigger_kognitos_run_event]
