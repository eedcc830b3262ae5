"""Scenarios that can be played, and those that cannot."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_kognitos.emulator.scenario import Scenario, ScenarioError, load_scenario, read_scenario


@pytest.mark.parametrize("data", [None, {}, Scenario().model_dump(), {"seed": 1}, {"agents": ["other"]}])
def test_playable(data: Any) -> None:
    scenario = read_scenario(data)
    assert scenario.keys.keys() == {"demo-key"}
    assert read_scenario(scenario.model_dump(mode="json")) == scenario
    assert {process.agent_id for process in scenario.processes} <= set(scenario.agents)


@pytest.mark.parametrize(
    ("data", "field"),
    [
        ([], "dict"),
        ("text", "dict"),
        ({"sed": 1}, "sed"),
        ({"habits": {"list_order": "random"}}, "habits.list_order"),
        ({"habits": {"order": "shuffled"}}, "habits.order"),
        ({"processes": [{"id": "p"}]}, "processes.0.name"),
        ({"processes": [{"id": "p", "name": "P", "stage": "draft"}]}, "processes.0.stage"),
        ({"processes": [{"id": "p", "name": "P", "agent_id": "x"}]}, "processes.0.agent_id: 'x' is not one"),
        ({"agents": ["a"], "processes": [], "keys": {"k": {"agent_id": "b"}}}, "keys.k.agent_id: 'b' is not one"),
        ({"keys": {1: {}}}, "keys.1"),
        ({"rules": [{"steps": [{"status": "Running", "seconds": -1}]}]}, "rules.0.steps.0.seconds"),
        ({"rules": [{"results": {}}]}, "rules.0.results"),
        ({"rules": [{"results": {"Succeeded": 0}}]}, "rules.0.results.Succeeded"),
        ({"rules": [{"outputs": {"a": float("nan")}}]}, "rules.0.outputs"),
        ({"rate_limit": {}}, "rate_limit.requests_per_minute"),
        ({"rate_limit": {"requests_per_minute": 0}}, "rate_limit.requests_per_minute"),
        ({"latency": {"startrun": 1}}, "latency.startrun"),
    ],
)
def test_unplayable(data: Any, field: str) -> None:
    with pytest.raises(ScenarioError, match=field):
        read_scenario(data)


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("rules: [{when: {day: 2026-01-02}}]", "rules.0.when.day: not a JSON value"),
        ("rules: [{outputs: {day: 2026-01-02}}]", "rules.0.outputs"),
        ("seed: [", "cannot be read"),
        ("\x00", "cannot be read"),
    ],
)
def test_file_that_is_unplayable(tmp_path: Path, text: str, field: str) -> None:
    path = tmp_path / "scenario.yaml"
    path.write_text(text)
    with pytest.raises(ScenarioError, match=field) as caught:
        load_scenario(path)
    assert str(path) in str(caught.value)


def test_files(tmp_path: Path) -> None:
    path = tmp_path / "scenario"
    path.write_text("seed: 3\nrules:\n  - when: {day: '2026-01-02'}\n")
    assert load_scenario(path).seed == 3
    path.write_text(json.dumps({"seed": 4}))
    assert load_scenario(path).seed == 4
    path.write_text("")
    assert load_scenario(path) == Scenario()
    with pytest.raises(ScenarioError, match="cannot be read"):
        load_scenario(tmp_path / "missing")
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ScenarioError, match="cannot be read"):
        load_scenario(path)
