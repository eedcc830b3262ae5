"""Use the hook in a task of your own, for what no operator does: here, count the runs of a process by status."""

from collections import Counter
from datetime import datetime

from airflow.providers.common.compat.sdk import dag, task


@dag(schedule=None, start_date=datetime(2026, 1, 1), catchup=False, tags=["kognitos"])
def kognitos_taskflow():
    # [START howto_hook_kognitos]
    @task
    def count_by_status(process_name):
        # Imported where it runs, so that the DAG file is parsed without it.
        from airflow_provider_kognitos.hooks.kognitos import KognitosHook

        hook = KognitosHook()
        process = hook.find_process(process_name)
        return dict(Counter(run.status for run in hook.list_runs(process.id, limit=100)))

    # [END howto_hook_kognitos]

    @task
    def report(counts):
        for status, count in sorted(counts.items()):
            print(f"{status}: {count}")

    report(count_by_status("Process invoice"))


kognitos_taskflow()
