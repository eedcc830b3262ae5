"""The button that leads from a task to its run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.providers.common.compat.sdk import BaseOperatorLink, XCom

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import BaseOperator, TaskInstanceKey

#: XCom under which the address of a run is kept.
RUN_URL = "run_url"


class KognitosRunLink(BaseOperatorLink):
    """Opens the run in the Kognitos web UI; empty where the address of the web UI is not known."""

    name = "Kognitos run"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """
        Return the run's address.

        Airflow asks after each segment of a task, which knows it and need not ask for the XCom that was pushed as
        soon as the run had started. Airflow 2 asks in the web server, which needs that one.
        """
        return getattr(operator, "run_url", None) or XCom.get_value(ti_key=ti_key, key=RUN_URL) or ""
