"""Faults that are put into answers, by endpoint, by chance or by a script."""

from __future__ import annotations

import json
import random
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from airflow_provider_kognitos.emulator.scenario import Endpoint, Part


class Fault(Part):
    """
    One fault.

    :param kind: ``status``: answer with ``code`` and a ``body`` of some form; ``delay``: answer ``seconds`` late;
        ``hang``: the connection stays open without an answer, for ``seconds`` or, with 0, until the other side
        closes it; ``drop``: it is closed without an answer; ``reset``: it is reset; ``truncate``: half of the true
        answer, then it is closed; ``wrong_json``: 200 with a ``body`` that does not belong there.
    :param effect: ``before``: the fault comes instead of what was asked for; ``after``: what was asked for is done
        first. A request that is delayed or whose answer is truncated is always done.
    """

    kind: Literal["status", "delay", "hang", "drop", "reset", "truncate", "wrong_json"]
    code: Annotated[int, Field(ge=200, le=599)] = 500
    body: Literal["error_model", "camel_case", "gateway", "text", "html", "empty", "truncated_json", "other_json"] = (
        "error_model"
    )
    message: str = "A fault of the emulator"
    headers: dict[str, str] = Field(default_factory=dict)
    seconds: Annotated[float, Field(ge=0)] = 0.0
    effect: Literal["before", "after"] = "before"


class FaultRule(Part):
    """
    When a fault comes: with a probability, or by a script, one entry for each request, ``null`` for none.

    :param times: how many faults at most, ``None`` for no limit.
    """

    endpoint: Endpoint
    fault: Fault | None = None
    probability: Annotated[float, Field(ge=0, le=1)] = 1.0
    script: list[Fault | None] = Field(default_factory=list)
    times: int | None = None

    @model_validator(mode="after")
    def _has_something_to_do(self) -> FaultRule:
        if self.fault is None and not self.script:
            raise ValueError("a rule needs a fault or a script")
        return self


class FaultBox:
    """
    The faults to come.

    :param seed: of the draws.
    """

    def __init__(self, seed: int) -> None:
        self._rules: list[FaultRule] = []
        self._rng = random.Random(seed)  # noqa: S311

    def add(self, rule: FaultRule) -> None:
        """Add a rule."""
        self._rules.append(rule.model_copy(deep=True))

    def clear(self) -> None:
        """Let no fault come any more."""
        self._rules.clear()

    def next(self, endpoint: str) -> Fault | None:
        """Return the fault for a request."""
        for rule in self._rules:
            if rule.endpoint not in (endpoint, "*") or rule.times == 0:
                continue
            if rule.script:
                return rule.script.pop(0)
            if rule.fault is not None and self._rng.random() < rule.probability:
                if rule.times is not None:
                    rule.times -= 1
                return rule.fault
        return None


def body_of(fault: Fault) -> tuple[bytes, str]:
    """Return the body of a fault's answer and its content type."""
    if fault.code in (204, 304):
        return b"", "application/json"
    error: Any = {"status_code": fault.code, "message": fault.message, "details": None}
    match fault.body:
        case "camel_case":
            return json.dumps({"statusCode": fault.code, "message": fault.message}).encode(), "application/json"
        case "text":
            return fault.message.encode(), "text/plain"
        case "gateway":
            return json.dumps({"message": fault.message}).encode(), "application/json"
        case "html":
            return b"<html><body><h1>Bad Gateway</h1></body></html>", "text/html"
        case "empty":
            return b"", "application/json"
        case "truncated_json":
            return json.dumps(error).encode()[:-15], "application/json"
        case "other_json":
            return b'["other", "json"]', "application/json"
        case _:
            return json.dumps(error).encode(), "application/json"
