"""A task that says what it finds loaded; nothing in this file loads it."""

import sys
from datetime import datetime

from airflow.providers.common.compat.sdk import DAG, task

with DAG("e2e_preloaded", schedule=None, start_date=datetime(2026, 1, 1), catchup=False):

    @task
    def loaded():
        return sorted(name for name in sys.modules if name.startswith("airflow_provider_kognitos."))

    loaded()
