"""How a run goes: drawn when it starts, told by the clock afterwards."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Mapping
from typing import Any

from airflow_provider_kognitos.emulator.scenario import Rule, Scenario, Span

_QUOTE = re.compile(r"\$\{(inputs\.([^}]+)|run\.id|files\.count)\}")


def draw_plan(scenario: Scenario, rng: random.Random, run: Mapping[str, Any]) -> dict[str, Any]:
    """
    Return the plan of a run: its steps, how it ends, and its outputs.

    :param run: ``id``, ``process_id``, ``inputs`` (a list of names and values) and ``file_ids``.
    """
    inputs = {item["name"]: item["value"] for item in run["inputs"] or ()}
    rule = next((rule for rule in scenario.rules if _fits(rule, run["process_id"], inputs)), Rule())
    result = rng.choices(list(rule.results), list(rule.results.values()))[0]
    return {
        "steps": [[step.status, draw(rng, step.seconds)] for step in rule.steps],
        "result": result,
        "outputs": _outputs(rule, run, inputs) if result == "Succeeded" else None,
    }


def status_at(plan: Mapping[str, Any], age: float) -> str:
    """Return the status of a run at an age in seconds."""
    for status, seconds in plan["steps"]:
        age -= seconds
        if age < 0:
            return str(status)
    return str(plan["result"])


def duration(plan: Mapping[str, Any]) -> float:
    """Return how many seconds a run takes."""
    return float(sum(seconds for _, seconds in plan["steps"]))


def draw(rng: random.Random, span: Span) -> float:
    """Return the seconds of a span."""
    return rng.uniform(*span) if isinstance(span, tuple) else span


def _fits(rule: Rule, process_id: str, inputs: Mapping[str, Any]) -> bool:
    if rule.process_id not in (None, process_id):
        return False
    return all(name in inputs and inputs[name] == value for name, value in rule.when.items())


def _outputs(rule: Rule, run: Mapping[str, Any], inputs: Mapping[str, Any]) -> list[dict[str, Any]] | None:
    if rule.outputs is None:
        return None
    if isinstance(rule.outputs, dict):
        return [{"name": name, "value": _filled(value, run, inputs)} for name, value in rule.outputs.items()]
    return [{**item, "value": _filled(item.get("value"), run, inputs)} for item in rule.outputs]


def _filled(value: Any, run: Mapping[str, Any], inputs: Mapping[str, Any]) -> Any:
    if isinstance(value, dict):
        return {name: _filled(item, run, inputs) for name, item in value.items()}
    if isinstance(value, list):
        return [_filled(item, run, inputs) for item in value]
    if not isinstance(value, str):
        return value

    def found(match: re.Match[str]) -> Any:
        if match[2]:
            return inputs.get(match[2])
        return run["id"] if match[1] == "run.id" else len(run["file_ids"] or ())

    whole = _QUOTE.fullmatch(value)
    return found(whole) if whole else _QUOTE.sub(lambda match: _text(found(match)), value)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
