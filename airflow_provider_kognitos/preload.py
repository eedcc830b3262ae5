"""
Everything that a task of this provider imports, for ``airflow_local_settings.py``, which imports this module.

The LocalExecutor and a Celery worker fork a process for each part of a task: what they have loaded, no task has to
load. Nothing else in the package imports this.
"""

from __future__ import annotations

import airflow_provider_kognitos.api.client
import airflow_provider_kognitos.api.upload
import airflow_provider_kognitos.hooks.kognitos
import airflow_provider_kognitos.operators.file
import airflow_provider_kognitos.operators.run
import airflow_provider_kognitos.runs.attempt
import airflow_provider_kognitos.runs.record
import airflow_provider_kognitos.runs.request
import airflow_provider_kognitos.runs.start
import airflow_provider_kognitos.runs.wait
import airflow_provider_kognitos.sensors.run
import airflow_provider_kognitos.triggers.run  # noqa: F401
