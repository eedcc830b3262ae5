"""The connection form of Airflow up to 3.1, and what importing the hook costs."""

from __future__ import annotations

import subprocess
import sys
import types
from importlib.util import find_spec
from typing import Any

import pytest

from airflow_provider_kognitos.hooks.connection import EXTRAS
from airflow_provider_kognitos.hooks.kognitos import KognitosHook


def test_fields_of_the_form_have_a_name_and_none_is_hidden_that_is_used() -> None:
    behaviour = KognitosHook.get_ui_field_behaviour()
    assert set(behaviour) == {"hidden_fields", "relabeling", "placeholders"}
    assert behaviour["relabeling"]["password"] == "API key"
    assert not {"password", "host", "description"} & set(behaviour["hidden_fields"])


class Field:
    def __init__(self, label: str, validators: Any, widget: Any, default: Any) -> None:
        self.label, self.validators, self.widget, self.default = label, validators, widget, default


def test_widgets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the form's libraries are missing, Airflow 3 puts others of the same names in their place; so here."""
    if find_spec("flask_appbuilder") is None or find_spec("wtforms") is None:
        for name, content in {
            "flask_appbuilder": {},
            "flask_appbuilder.fieldwidgets": {"BS3TextFieldWidget": object},
            "flask_babel": {"lazy_gettext": str},
            "wtforms": {"StringField": Field, "IntegerField": Field},
            "wtforms.validators": {"Optional": object, "any_of": list},
        }.items():
            module = types.ModuleType(name)
            vars(module).update(content)
            monkeypatch.setitem(sys.modules, name, module)
    assert tuple(sorted(KognitosHook.get_connection_form_widgets())) == tuple(sorted(EXTRAS))


def test_importing_the_hook_loads_no_client() -> None:
    code = (
        "import sys; import airflow.providers.common.compat.sdk as sdk; sdk.BaseHook, sdk.AirflowFailException;"
        "sdk.AirflowNotFoundException; before = set(sys.modules);"
        "import airflow_provider_kognitos.hooks.kognitos;"
        "print(*(set(sys.modules) - before))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "airflow_provider_kognitos.hooks.kognitos" in loaded
    assert not {"requests", "urllib3", "tenacity", "airflow_provider_kognitos.api.client"} & loaded
