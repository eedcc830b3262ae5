"""What is released, and on what it is tested, agrees wherever it is written down."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

import airflow_provider_kognitos
import noxfile
from airflow_provider_kognitos.get_provider_info import get_provider_info

from .e2e.deaths.endings import SUPPORTED

ROOT = Path(__file__).parents[1]
GITHUB = ROOT / ".github"
WORKFLOWS = sorted(path.stem for path in (GITHUB / "workflows").glob("*.yml"))


def workflow(name: str) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((GITHUB / "workflows" / f"{name}.yml").read_text())
    return content


def test_the_newest_version_of_the_changelog_is_the_package_s() -> None:
    newest = re.search(r"(?m)^## (\S+)", (ROOT / "CHANGELOG.md").read_text())
    assert newest is not None
    assert newest[1] == airflow_provider_kognitos.__version__ == get_provider_info()["versions"][0]


def test_every_supported_airflow_has_pins_and_is_tested() -> None:
    pinned = {re.split("-", path.stem)[1] for path in (ROOT / "constraints").glob("airflow-*-python-3.11.txt")}
    matrix = workflow("tests")["jobs"]["matrix"]["strategy"]["matrix"]
    assert pinned == set(noxfile.AIRFLOW) == set(matrix["airflow"])
    assert tuple(version.rpartition(".")[0] for version in noxfile.AIRFLOW) == SUPPORTED


def test_every_python_of_the_classifiers_is_tested() -> None:
    named = re.findall(r'"Programming Language :: Python :: (3\.\d+)"', (ROOT / "pyproject.toml").read_text())
    assert workflow("tests")["jobs"]["matrix"]["strategy"]["matrix"]["python"] == named


@pytest.mark.parametrize("path", sorted(GITHUB.rglob("*.yml")), ids=lambda path: path.name)
def test_what_github_reads_can_be_read(path: Path) -> None:
    assert isinstance(yaml.safe_load(path.read_text()), dict)


def test_pins_are_tested_on_the_python_they_were_made_for() -> None:
    matrix = workflow("tests")["jobs"]["matrix"]["strategy"]["matrix"]
    left_out = {(pair["airflow"], pair["python"]) for pair in matrix["exclude"]}
    made = {tuple(path.stem.split("-")[1::2]) for path in (ROOT / "constraints").glob("airflow-*-python-*.txt")}
    assert made - left_out == made
    assert {python for _, python in made} <= set(matrix["python"])


@pytest.mark.parametrize("name", WORKFLOWS)
def test_actions_are_pinned_by_version(name: str) -> None:
    used = re.findall(r"uses: (\S+)", (GITHUB / "workflows" / f"{name}.yml").read_text())
    assert [action for action in used if not re.fullmatch(r"\./\S+|\S+@v\d+(\.\d+)*", action)] == []


def test_nothing_is_published_untested_and_only_that_job_may_speak_for_the_project() -> None:
    jobs = workflow("release")["jobs"]
    assert set(jobs["publish"]["needs"]) == {"tests", "build"}
    assert jobs["publish"]["permissions"] == {"id-token": "write"}
    assert [name for name, job in jobs.items() if "permissions" in job] == ["publish"]


@pytest.mark.parametrize("name", WORKFLOWS)
def test_a_workflow_may_only_read_unless_a_job_says_otherwise(name: str) -> None:
    assert workflow(name)["permissions"] == {"contents": "read"}
