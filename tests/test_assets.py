"""Assets of Kognitos: kognitos://agent/process."""

from __future__ import annotations

import importlib
from importlib.util import find_spec
from typing import Any
from urllib.parse import urlsplit

import pytest
from airflow.providers.common.compat.sdk import Asset
from airflow.providers_manager import ProvidersManager

from airflow_provider_kognitos.assets.kognitos import convert_asset_to_openlineage, create_asset, sanitize_uri
from airflow_provider_kognitos.exceptions import KognitosConfigError
from airflow_provider_kognitos.get_provider_info import get_provider_info

pytestmark = pytest.mark.smoke


@pytest.mark.parametrize(
    ("uri", "kept"),
    [
        ("kognitos://agent-1/process-1", "kognitos://agent-1/process-1"),
        ("KOGNITOS://Agent/Process/", "kognitos://Agent/Process"),
        ("kognitos://agent//process//", "kognitos://agent/process"),
        ("kognitos://agent/a%20process#part", "kognitos://agent/a%20process"),
    ],
)
def test_a_uri_names_an_agent_and_a_process(uri: str, kept: str) -> None:
    assert sanitize_uri(urlsplit(uri)).geturl() == kept
    assert Asset(uri=uri).uri == kept


@pytest.mark.parametrize(
    "uri",
    [
        "kognitos://",
        "kognitos://agent",
        "kognitos://agent/",
        "kognitos:///process",
        "kognitos://agent/process/run",
        "kognitos://agent/process?stage=Draft",
    ],
)
def test_any_other_is_refused(uri: str) -> None:
    with pytest.raises(ValueError, match="Kognitos asset"):
        sanitize_uri(urlsplit(uri))


def test_an_asset_of_a_process() -> None:
    asset = create_asset(agent_id="agent", process_id="a process", extra={"owner": "books"})
    assert asset.uri == "kognitos://agent/a%20process"
    assert asset.extra == {"owner": "books"}


@pytest.mark.parametrize("wrong", [{"agent_id": ""}, {"process_id": ""}, {"process_id": None}])
def test_an_asset_of_no_process_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(KognitosConfigError):
        create_asset(**{"agent_id": "agent", "process_id": "process", **wrong})


def test_openlineage_calls_it_by_agent_and_process() -> None:
    pytest.importorskip("openlineage.client")
    dataset = convert_asset_to_openlineage(create_asset(agent_id="agent", process_id="process"), None)
    assert (dataset.namespace, dataset.name) == ("kognitos://agent", "process")


def test_airflow_knows_them() -> None:
    if find_spec("airflow.sdk") and find_spec("airflow.sdk.providers_manager_runtime"):
        manager: Any = importlib.import_module("airflow.sdk.providers_manager_runtime").ProvidersManagerTaskRuntime()
    else:
        manager = ProvidersManager()
    kind = "asset" if hasattr(manager, "asset_uri_handlers") else "dataset"
    assert getattr(manager, f"{kind}_uri_handlers")["kognitos"] is sanitize_uri
    assert getattr(manager, f"{kind}_factories")["kognitos"] is create_asset


def test_every_function_in_the_provider_info_is_there() -> None:
    info = get_provider_info()
    names = [name for kind in ("asset-uris", "dataset-uris") for entry in info[kind] for name in entry.values()]
    for name in (name for name in names if isinstance(name, str)):
        module, _, attribute = name.rpartition(".")
        assert callable(getattr(importlib.import_module(module), attribute))
