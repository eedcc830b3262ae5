"""The facts of the service, read from ``kognitos_v2.yaml``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jsonschema
import yaml

FACTS: dict[str, Any] = yaml.safe_load(Path(__file__).with_name("kognitos_v2.yaml").read_text(encoding="utf-8"))
OPERATIONS: dict[str, dict[str, Any]] = FACTS["operations"]


def arguments(operation: str, where: str | None = None) -> dict[str, dict[str, Any]]:
    """Return the arguments of an operation: all, or those in ``path``, ``query`` or ``body``."""
    known = OPERATIONS[operation].get("arguments", {})
    return {name: argument for name, argument in known.items() if where in (None, argument["in"])}


def sample(operation: str) -> dict[str, Any]:
    """Return the documented sample of an operation."""
    return next(sample for sample in FACTS["samples"] if sample["operation"] == operation)


def check_resource(resource: str, body: Any) -> None:
    """Hold a body against a resource's fields."""
    fields = FACTS["resources"][resource]
    schema = {
        "type": "object",
        "required": [name for name, field in fields.items() if field["always"]],
        "properties": {name: field["schema"] for name, field in fields.items()},
    }
    jsonschema.validate(body, schema)


def check_answer(operation: str, body: Any) -> None:
    """Hold the body of a success against what the operation gives."""
    gives = OPERATIONS[operation]["gives"]
    if "resource" in gives:
        check_resource(gives["resource"], body)
        return
    check_resource("list", body)
    for item in body["items"] or ():
        check_resource(gives["list_of"], item)


def wrong_values(schema: dict[str, Any]) -> list[Any]:
    """Return values that a schema refuses, by each of its limits."""
    tries = [
        "",
        "x" * (schema.get("maxLength", 0) + 1),
        "a b",
        "a\n",
        "published",
        schema.get("maximum", 0) + 1,
        schema.get("minimum", 0) - 1,
        7,
        {"order_id": "1"},
        ["text"],
        [7],
        [{"name": "order_id"}],
        [{"value": 1}],
        [{"name": 1, "value": 1}],
        True,
    ]
    # A pattern's $ matches before a last line break as well, in Python only.
    valid = jsonschema.Draft202012Validator(schema).is_valid
    return [value for value in tries if not valid(value) or (value == "a\n" and "pattern" in schema)]


def edge_values(schema: dict[str, Any]) -> list[Any]:
    """Return values that a schema just allows."""
    if "enum" in schema:
        return list(schema["enum"])
    if "maximum" in schema:
        return [schema["minimum"], schema["maximum"]]
    if "maxLength" in schema:
        return ["x", "x" * schema["maxLength"]]
    return [None, []] if "null" in schema.get("type", ()) else []
