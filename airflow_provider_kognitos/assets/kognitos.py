"""Assets that a process of Kognitos makes or changes: ``kognitos://agent/process``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, quote, urlsplit

from airflow_provider_kognitos.api import checks

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Asset
    from openlineage.client.event_v2 import Dataset

SCHEME = "kognitos"


def sanitize_uri(uri: SplitResult) -> SplitResult:
    """
    Return the address of an asset as it is kept.

    :param uri: the address as it was given.
    :raises ValueError: it does not name an agent and a process.
    """
    process = uri.path.strip("/")
    if not uri.netloc or not process or "/" in process:
        raise ValueError(
            f"The URI of a Kognitos asset must name an agent and a process, {SCHEME}://agent/process, "
            f"not {uri.geturl()!r}."
        )
    if uri.query:
        raise ValueError(f"The URI of a Kognitos asset has no query; take ?{uri.query} away from {uri.geturl()!r}.")
    return uri._replace(scheme=SCHEME, path=f"/{process}", fragment="")


def create_asset(*, agent_id: str, process_id: str, extra: dict[str, Any] | None = None) -> Asset:
    """
    Return the asset of a process.

    :param agent_id: its agent.
    :param process_id: the process.
    :param extra: what else is to be known of the asset.
    :raises KognitosConfigError: one of the ids cannot be one.
    """
    from airflow.providers.common.compat.sdk import Asset

    agent = quote(checks.url_id("agent_id", agent_id), safe="")
    process = quote(checks.url_id("process_id", process_id), safe="")
    return Asset(uri=f"{SCHEME}://{agent}/{process}", extra=extra)


def convert_asset_to_openlineage(asset: Asset, lineage_context: Any) -> Dataset:
    """
    Return an asset as OpenLineage calls it: the agent is the namespace, the process the name.

    :param asset: the asset.
    :param lineage_context: who uses it, which makes no difference.
    """
    from openlineage.client.event_v2 import Dataset

    uri = urlsplit(asset.uri)
    return Dataset(namespace=f"{SCHEME}://{uri.netloc}", name=uri.path.strip("/"))
