"""The provider info against the schemas that ship with Airflow, the version and the changelog."""

from __future__ import annotations

import importlib
import json
from importlib.metadata import entry_points, version
from pathlib import Path
from typing import Any

import airflow
import jsonschema
import pytest

import airflow_provider_kognitos
from airflow_provider_kognitos.get_provider_info import get_provider_info

AIRFLOW = Path(airflow.__path__[0])
ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.smoke


def schema(name: str) -> dict[str, Any]:
    return json.loads((AIRFLOW / name).read_text())


def test_valid_by_the_runtime_schema() -> None:
    jsonschema.validate(get_provider_info(), schema("provider_info.schema.json"))


def test_connection_form_is_valid_by_the_provider_schema() -> None:
    whole = schema("provider.yaml.schema.json")
    form = whole["properties"]["connection-types"]
    if "conn-fields" not in form["items"]["properties"]:
        pytest.skip("this Airflow takes the connection form from the hook")
    jsonschema.validate(get_provider_info()["connection-types"], form)


def test_every_name_in_it_can_be_imported() -> None:
    info = get_provider_info()
    modules = [
        module
        for kind in ("hooks", "operators", "sensors", "triggers")
        for entry in info[kind]
        for module in entry["python-modules"]
    ]
    names = [*info["extra-links"], *(entry["hook-class-name"] for entry in info["connection-types"])]
    for module in modules:
        importlib.import_module(module)
    for name in names:
        module, _, attribute = name.rpartition(".")
        assert hasattr(importlib.import_module(module), attribute)


def test_airflow_finds_it_by_its_entry_point() -> None:
    (entry,) = (point for point in entry_points(group="apache_airflow_provider") if "kognitos" in point.value)
    assert entry.load() is get_provider_info


def test_one_version_everywhere() -> None:
    assert version("airflow-provider-kognitos") == airflow_provider_kognitos.__version__
    assert get_provider_info()["versions"] == [airflow_provider_kognitos.__version__]
    assert f"## {airflow_provider_kognitos.__version__} " in (ROOT / "CHANGELOG.md").read_text()


def test_the_form_names_every_field_that_the_hook_reads() -> None:
    (connection,) = get_provider_info()["connection-types"]
    assert set(connection["conn-fields"]) == {
        "region",
        "agent_id",
        "web_url",
        "timeout",
        "requests_per_minute",
        "deployment",
        "verify",
    }
