"""
Everything that a task of this provider imports, for ``airflow_local_settings.py``, which imports this module.

The LocalExecutor and a Celery worker fork a process for each part of a task: what they have loaded, no task has to
load. Nothing else in the package imports this.
"""

from __future__ import annotations

import jinja2
import jinja2.lexer

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

# All environments with the same delimiters share one, which takes ten regular expressions to make.
jinja2.lexer.get_lexer(jinja2.Environment())  # noqa: S701 - renders nothing
