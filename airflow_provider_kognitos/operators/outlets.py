"""Tell those who wait for an asset which run has made it."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

log = logging.getLogger(__name__)

#: Bytes of outputs, as JSON, that an event carries at most: Airflow keeps every event, and reads all that started a
#: DAG run at once.
LARGEST_OUTPUTS = 64 * 1024


def tell_outlets(context: Context, outlets: Iterable[Any], result: Mapping[str, Any]) -> None:
    """
    Put ``run_id``, ``url`` and ``outputs`` of a run into the event of each asset a task has for an outlet.

    Outputs of more than 64 KiB are left out; they are in the return value of the task. An alias stands for no
    asset yet, so it has no event.

    :param context: the context of the running task.
    :param outlets: the task's outlets, of which some may be no assets.
    :param result: the run as the task returns it.
    """
    assets = [outlet for outlet in outlets if _is_asset(outlet)]
    if not assets:
        return
    extra = {"run_id": result["run_id"], "url": result["url"], "outputs": result["outputs"]}
    size = len(json.dumps(result["outputs"]).encode())
    if size > LARGEST_OUTPUTS:
        del extra["outputs"]
        log.warning(
            "The outputs of Kognitos run %s have %s bytes, which is too much for an asset event: it carries the id "
            "and the address of the run only. The outputs are in the return value of this task.",
            result["run_id"],
            f"{size:,}",
        )
    events: Any = context["outlet_events"]
    for asset in assets:
        events[asset].extra.update(extra)


def _is_asset(outlet: Any) -> bool:
    from airflow.providers.common.compat.sdk import Asset

    return isinstance(outlet, Asset) or type(outlet).__name__ in ("AssetNameRef", "AssetUriRef")
