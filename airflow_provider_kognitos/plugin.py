"""The plugin by which Airflow's own processes load this provider before they fork those that need it."""

from __future__ import annotations

import gc
import sys
from typing import Any

from airflow.providers.common.compat.sdk import AirflowPlugin, conf


class KognitosPlugin(AirflowPlugin):
    """
    Loads this provider into the scheduler, if that forks the tasks, and into the triggerer, before they fork.

    So no task and no trigger of this provider has to. Any other process that loads Airflow's plugins, such as a task of
    somebody else, loads this module and no more.

    What a triggerer holds by then is withheld from Python's garbage collector, as Airflow does where it forks tasks:
    a collection goes through all there is, and no trigger in the process goes on before it is over.
    """

    name = "kognitos"

    @classmethod
    def on_load(cls, *args: Any, **kwargs: Any) -> None:
        """Load it in these two processes."""
        command = sys.argv[1] if len(sys.argv) > 1 else None
        if command == "triggerer":
            load_into_triggerer()
        elif command == "scheduler" and "LocalExecutor" in conf.get("core", "executor"):
            _preload()


def load_into_triggerer() -> None:
    """Load this provider, and withhold from the garbage collector what the process holds by now."""
    _preload()
    gc.collect()
    gc.freeze()


def _preload() -> None:
    import airflow_provider_kognitos.preload  # noqa: F401
