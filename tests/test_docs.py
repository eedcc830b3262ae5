"""The documentation: its code is valid and names what exists, its DAGs can be read, its links lead somewhere."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest
from airflow.providers.common.compat.sdk import BaseOperator, BaseSensorOperator

from airflow_provider_kognitos.hooks.kognitos import KognitosHook
from airflow_provider_kognitos.operators.file import KognitosFileUploadOperator
from airflow_provider_kognitos.operators.run import KognitosRunOperator
from airflow_provider_kognitos.sensors.run import KognitosRunSensor

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
SITE = sorted((ROOT / "docs").rglob("*.md"))
TASKS = {task.__name__: task for task in (KognitosRunOperator, KognitosFileUploadOperator, KognitosRunSensor)}
INCLUDED = re.compile(r'--8<-- "([^":]+):?([^"]*)"')


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


def code(page: Path) -> list[str]:
    """The Python of a page itself; what it includes is tested where it comes from."""
    blocks = re.findall(r"(?ms)^( *)```python\n(.*?)^\1```", page.read_text())
    return [INCLUDED.sub("", textwrap.dedent(block)) for _, block in blocks]


BLOCKS = [pytest.param(block, id=f"{named(page)}-{n}") for page in PAGES for n, block in enumerate(code(page))]
DAGS = [param for param in BLOCKS if "with DAG(" in param.values[0]]


def arguments(task: type) -> set[str]:
    """What a task takes, with what it hands on to Airflow."""
    classes = (task, BaseOperator, BaseSensorOperator) if issubclass(task, BaseSensorOperator) else (task, BaseOperator)
    return {name for each in classes for name in inspect.signature(each.__init__).parameters}


def calls(block: str) -> Iterator[tuple[str, ast.Call]]:
    for node in ast.walk(ast.parse(block)):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


@pytest.mark.parametrize("block", BLOCKS)
def test_python_compiles(block: str) -> None:
    compile(block, "a page", "exec")


@pytest.mark.parametrize("block", DAGS)
def test_a_dag_can_be_read_on_every_supported_airflow(block: str) -> None:
    found: dict[str, object] = {}
    exec(compile(block, "a page", "exec"), found)
    dag = next(value.dag for value in found.values() if isinstance(value, tuple(TASKS.values())))
    assert len(dag.tasks) > 1


@pytest.mark.parametrize("block", BLOCKS)
def test_tasks_take_the_arguments_they_are_given(block: str) -> None:
    for name, call in calls(block):
        task = TASKS.get(name.removesuffix(".partial"))
        if task is not None:
            assert {keyword.arg for keyword in call.keywords} - arguments(task) == set()


@pytest.mark.parametrize("block", BLOCKS)
def test_methods_of_the_hook_exist(block: str) -> None:
    used = {name.removeprefix("hook.") for name, _ in calls(block) if name.startswith("hook.")}
    assert {name for name in used if not hasattr(KognitosHook, name)} == set()


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"(?ms)^ *```.*?^ *```", "", page.read_text())
    targets = re.findall(r'\]\(<?([^)#\s>]+)(?:#[^)\s>]*)?>?(?:\s+"[^"]*")?\)', text)
    targets += re.findall(r"(?m)^\[[^\]]+\]:\s*([^#\s]+)", text)
    local = [target for target in targets if not re.match(r"[a-z]+:", target)]
    assert [target for target in local if not (page.parent / target).exists()] == []


@pytest.mark.parametrize("page", SITE, ids=named)
def test_what_is_included_exists_once(page: Path) -> None:
    for path, section in INCLUDED.findall(page.read_text()):
        text = (ROOT / path).read_text()
        if section:
            assert text.count(f"[start:{section}]") == text.count(f"[end:{section}]") == 1


@pytest.mark.parametrize("page", SITE, ids=named)
def test_what_is_included_from_elsewhere_has_no_link_of_that_place(page: Path) -> None:
    for path, section in INCLUDED.findall(page.read_text()):
        if section:
            part = (ROOT / path).read_text().partition(f"[start:{section}]")[2].partition(f"[end:{section}]")[0]
            assert re.findall(r"\]\((?!https?:)[^)]+\)", part) == []


@pytest.mark.parametrize("task", TASKS.values())
def test_every_argument_is_documented_and_every_documented_one_exists(task: type) -> None:
    signature = {name for name in inspect.signature(task.__init__).parameters if name not in ("self", "kwargs")}
    documented = set(re.findall(r":param (\w+):", inspect.getdoc(task) or ""))
    assert documented == signature
