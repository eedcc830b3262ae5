"""A task that ends in the triggerer, by what Airflow has for that."""

from datetime import datetime, timedelta
from typing import Any

from airflow.providers.common.compat.sdk import DAG, Asset, BaseOperator
from airflow.providers.common.compat.standard.triggers import TimeDeltaTrigger


class EndInTriggerer(BaseOperator):
    def execute(self, context: Any) -> None:
        self.defer(trigger=TimeDeltaTrigger(timedelta(seconds=1), end_from_trigger=True), method_name="never")


with DAG("e2e_end_from_trigger", schedule=None, start_date=datetime(2026, 1, 1)):
    EndInTriggerer(task_id="wait", outlets=[Asset("e2e://end_from_trigger")])
