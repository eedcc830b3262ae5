"""Tell those who wait for an asset which run has made it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from airflow_provider_kognitos.runs.outcome import for_asset_event

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context


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
    extra = for_asset_event(
        {name: result[name] for name in ("run_id", "url", "outputs")},
        "They are in the return value of this task.",
    )
    events: Any = context["outlet_events"]
    for asset in assets:
        events[asset].extra.update(extra)


def _is_asset(outlet: Any) -> bool:
    from airflow.providers.common.compat.sdk import Asset

    return isinstance(outlet, Asset) or type(outlet).__name__ in ("AssetNameRef", "AssetUriRef")
