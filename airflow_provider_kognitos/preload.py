"""
Everything that a task or a trigger of this provider imports.

Airflow forks a process for each part of a task: what the one that forks has loaded, no task has to load. The plugin has
it loaded with LocalExecutor; with CeleryExecutor ``airflow_local_settings.py`` may import this module. Nothing else in
the package does.
"""

from __future__ import annotations

import jinja2
import jinja2.ext
import jinja2.lexer

import airflow_provider_kognitos.api.client
import airflow_provider_kognitos.api.upload
import airflow_provider_kognitos.hooks.kognitos
import airflow_provider_kognitos.operators.file
import airflow_provider_kognitos.operators.run
import airflow_provider_kognitos.runs.attempt
import airflow_provider_kognitos.runs.feed
import airflow_provider_kognitos.runs.ledger
import airflow_provider_kognitos.runs.record
import airflow_provider_kognitos.runs.request
import airflow_provider_kognitos.runs.start
import airflow_provider_kognitos.runs.wait
import airflow_provider_kognitos.runs.watcher
import airflow_provider_kognitos.sensors.run
import airflow_provider_kognitos.triggers.event
import airflow_provider_kognitos.triggers.run
import airflow_provider_kognitos.triggers.watermark  # noqa: F401

# All environments with the same delimiters share one, which takes ten regular expressions to make.
jinja2.lexer.get_lexer(jinja2.Environment())  # noqa: S701 - renders nothing
