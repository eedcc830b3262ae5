"""Stands in for the executors whose tasks are not forked from a process that has loaded this provider."""

from __future__ import annotations

from airflow.executors.local_executor import LocalExecutor


class OtherExecutor(LocalExecutor):
    """Airflow's LocalExecutor under a name that this provider does not know, so that nothing is loaded ahead for it."""
