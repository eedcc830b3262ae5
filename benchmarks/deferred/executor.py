"""Stands in for an executor whose tasks the scheduler does not fork."""

from __future__ import annotations

from airflow.executors.local_executor import LocalExecutor


class ForkingExecutor(LocalExecutor):
    """Airflow's LocalExecutor under a name that this provider does not know, so that nothing is loaded ahead for it."""
