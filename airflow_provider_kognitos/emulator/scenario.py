"""What the emulator plays: agents, keys, processes, how their runs go, limits and habits of the service."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

Endpoint = Literal[
    "listProcesses", "getProcess", "listRuns", "startRun", "getRun", "createFile", "getHealth", "upload", "*"
]
Stage = Literal["Draft", "Published"]
#: Seconds, fixed or drawn between two.
Span = Annotated[float, Field(ge=0)] | tuple[Annotated[float, Field(ge=0)], Annotated[float, Field(ge=0)]]


def _as_json(value: Any) -> Any:
    try:
        json.dumps(value, allow_nan=False, ensure_ascii=False).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"not a JSON value: {error}") from error
    return value


#: Any JSON value: no NaN, no half of a character, no date as YAML reads one where there are no quotes.
Json = Annotated[Any, AfterValidator(_as_json)]


class ScenarioError(ValueError):
    """A scenario that cannot be played; names the field."""


class Part(BaseModel):
    """A part of a scenario; fields that it does not know are refused."""

    model_config = ConfigDict(extra="forbid")


class Step(Part):
    """A status that a run has for some time."""

    status: str
    seconds: Span


class Rule(Part):
    """
    How runs go. The first rule that fits a run is its rule.

    :param process_id: of this process only.
    :param when: only with these input values.
    :param steps: the statuses it goes through.
    :param results: how it ends, by weight; any word will do.
    :param outputs: its outputs; ``${inputs.NAME}``, ``${run.id}`` and ``${files.count}`` are replaced.
    """

    process_id: str | None = None
    when: dict[str, Json] = {}
    steps: list[Step] = [
        Step(status="Created", seconds=0.3),
        Step(status="Pending", seconds=(0.3, 1.0)),
        Step(status="Running", seconds=(2.0, 6.0)),
    ]
    results: Annotated[dict[str, Annotated[float, Field(gt=0)]], Field(min_length=1)] = {"Succeeded": 1.0}
    outputs: dict[str, Json] | list[dict[str, Json]] | None = None


class Process(Part):
    """A process of an agent."""

    id: str
    name: str
    agent_id: str = "demo-agent"
    stage: Stage = "Published"


class Key(Part):
    """An API key; of the whole organization if it names no agent."""

    agent_id: str | None = None


class Capacity(Part):
    """The limit of concurrent runs; runs in a status of ``waiting`` and runs of somebody else do not count."""

    limit: int = 150
    status_code: int = 403
    message: str = "Resource Not Available"
    waiting: list[str] = ["AwaitingGuidance"]


class RateLimit(Part):
    """The limit of requests in all."""

    requests_per_minute: Annotated[float, Field(gt=0)]
    retry_after: Literal["seconds", "date", "none"] = "seconds"
    body: Literal["error_model", "gateway"] = "gateway"


class Habits(Part):
    """What the contract leaves open; each value is one reading of it."""

    list_order: Literal["newest_first", "oldest_first", "shuffled"] = "newest_first"
    list_lag: float = 0.0
    get_lag: float = 0.0
    list_hides_outputs: bool = True
    empty_items_null: bool = False
    timestamps: Literal["naive", "offset"] = "naive"
    file_ids: Literal["short", "s3"] = "short"
    extra_fields: bool = False
    token_lifetime: float | None = None
    healthy: bool = True


class Uploads(Part):
    """The upload storage."""

    valid_for: float = 300.0
    max_bytes: int = 1024**3


class Scenario(Part):
    """All of it. What is left out is as in the built-in scenario, without the processes of agents not there."""

    seed: int = 0
    agents: list[str] = ["demo-agent"]
    keys: dict[str, Key] = {"demo-key": Key()}
    processes: list[Process] = [
        Process(id="process-invoice", name="Process invoice"),
        Process(id="reconcile-payments", name="Reconcile payments"),
        Process(id="triage-claim", name="Triage claim"),
        Process(id="forecast-cash", name="Forecast cash", stage="Draft"),
    ]
    rules: list[Rule] = [
        Rule(
            process_id="process-invoice",
            outputs={
                "invoice_number": "${inputs.invoice_number}",
                "customer": "${inputs.customer}",
                "total": 1280.5,
                "currency": "EUR",
                "files": "${files.count}",
            },
        ),
        Rule(process_id="reconcile-payments", outputs={"day": "${inputs.day}", "matched": 118, "open": 2}),
        Rule(process_id="triage-claim", outputs={"claim": "${inputs.claim}", "route": "fast track"}),
        Rule(outputs={"run": "${run.id}"}),
    ]
    capacity: Capacity = Capacity()
    rate_limit: RateLimit | None = None
    habits: Habits = Habits()
    uploads: Uploads = Uploads()
    latency: dict[Endpoint, Span] = {}

    @model_validator(mode="after")
    def _knows_its_agents(self) -> Scenario:
        if "processes" not in self.model_fields_set:
            self.processes = [process for process in self.processes if process.agent_id in self.agents]
        named = {
            **{f"processes.{place}.agent_id": process.agent_id for place, process in enumerate(self.processes)},
            **{f"keys.{key}.agent_id": scope.agent_id for key, scope in self.keys.items() if scope.agent_id},
        }
        for field, agent_id in named.items():
            if agent_id not in self.agents:
                raise ValueError(f"{field}: {agent_id!r} is not one of the agents")
        return self


def read_scenario(data: Any, where: str = "the scenario") -> Scenario:
    """
    Return a scenario.

    :raises ScenarioError: it cannot be played; names the field and what is wrong with it.
    """
    try:
        return Scenario.model_validate({} if data is None else data)
    except ValidationError as error:
        first = error.errors()[0]
        parts = [where, ".".join(str(part) for part in first["loc"]), first["msg"].removeprefix("Value error, ")]
        raise ScenarioError(": ".join(part for part in parts if part)) from error


def load_scenario(path: Path) -> Scenario:
    """
    Return the scenario in a YAML or JSON file.

    :raises ScenarioError: the file cannot be read, or the scenario in it cannot be played.
    """
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ScenarioError(f"{path} cannot be read: {error}") from error
    return read_scenario(data, str(path))
