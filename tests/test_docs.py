"""The documentation: its code can be read, its links lead somewhere, its arguments exist."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path

import pytest

from airflow_provider_kognitos.operators.file import KognitosFileUploadOperator
from airflow_provider_kognitos.operators.run import KognitosRunOperator
from airflow_provider_kognitos.sensors.run import KognitosRunSensor

ROOT = Path(__file__).parents[1]
PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_python_can_be_read(page: Path) -> None:
    for block in re.findall(r"(?ms)^```python\n(.*?)^```", page.read_text()):
        ast.parse(re.sub(r"(?m)^\s*--8<-- .*$", "", block))


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_links_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text())
    local = [target for target in targets if "://" not in target and not target.startswith("mailto:")]
    assert [target for target in local if not (page.parent / target).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_what_is_included_exists(page: Path) -> None:
    for path, section in re.findall(r'--8<-- "([^":]+):?([^"]*)"', page.read_text()):
        text = (ROOT / path).read_text()
        assert not section or f"[start:{section}]" in text


@pytest.mark.parametrize("operator", [KognitosRunOperator, KognitosFileUploadOperator, KognitosRunSensor])
def test_every_argument_is_documented_and_every_documented_one_exists(operator: type) -> None:
    signature = {name for name in inspect.signature(operator.__init__).parameters if name not in ("self", "kwargs")}
    documented = set(re.findall(r":param (\w+):", inspect.getdoc(operator) or ""))
    assert documented == signature
