"""How runs go, by the clock and by their rules, and the limits on them."""

from __future__ import annotations

from email.utils import parsedate_to_datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_kognitos.emulator.core import Emulator
from airflow_provider_kognitos.emulator.scenario import read_scenario
from airflow_provider_kognitos.emulator.server import RunningEmulator
from airflow_provider_kognitos.emulator.store import Store

from .conftest import AGENT, PROCESS, Ask, Clock, is_error

STEPS = [{"status": "Created", "seconds": 1}, {"status": "Pending", "seconds": 2}, {"status": "Running", "seconds": 4}]


def play(emulator: RunningEmulator, *rules: dict[str, Any], **more: Any) -> None:
    emulator.control.play({"rules": list(rules), **more})


def named(**inputs: Any) -> list[dict[str, Any]]:
    return [{"name": name, "value": value} for name, value in inputs.items()]


def ended(ask: Ask, clock: Clock, **inputs: Any) -> Any:
    """Start a run and return it when it has ended."""
    run = ask.start(inputs=named(**inputs))
    clock.forward(3600)
    return ask.run(run["id"])


@pytest.mark.parametrize("result", ["Succeeded", "Failed", "Cancelled", "TimedOut", "Stopped"])
def test_statuses_by_the_clock(ask: Ask, emulator: RunningEmulator, clock: Clock, result: str) -> None:
    play(emulator, {"steps": STEPS, "results": {result: 1}, "outputs": {"a": 1}})
    run = ask.start()
    seen = [run["status"]]
    for _ in range(8):
        clock.forward(1)
        seen.append(ask.run(run["id"])["status"])
    assert seen == ["Created", "Pending", "Pending", *["Running"] * 4, result, result]
    assert ask.run(run["id"])["outputs"] == (named(a=1) if result == "Succeeded" else None)


def test_outputs_come_with_success_only(ask: Ask, emulator: RunningEmulator, clock: Clock) -> None:
    play(emulator, {"steps": STEPS, "outputs": {"a": 1}})
    run = ask.start()
    assert run["outputs"] is None
    clock.forward(7)
    assert ask.run(run["id"])["outputs"] == named(a=1)
    assert ask.runs()["items"][0]["outputs"] is None
    play(emulator, habits={"list_hides_outputs": False})
    assert ask.runs()["items"][0]["outputs"] == named(a=1)


def test_steps_that_take_no_time(ask: Ask, emulator: RunningEmulator) -> None:
    play(emulator, {"steps": []})
    assert ask.start()["status"] == "Succeeded"


def test_the_first_rule_that_fits(ask: Ask, emulator: RunningEmulator, clock: Clock) -> None:
    play(
        emulator,
        {"process_id": "triage-claim", "outputs": {"rule": 1}},
        {"when": {"kind": "a", "deep": {"b": [1, None]}}, "outputs": {"rule": 2}},
        {"process_id": PROCESS, "when": {"kind": "a"}, "outputs": {"rule": 3}},
        {"when": {"kind": None}, "outputs": {"rule": 4}},
    )
    assert ended(ask, clock, kind="a", deep={"b": [1, None]})["outputs"] == named(rule=2)
    assert ended(ask, clock, kind="a", deep={"b": [1]})["outputs"] == named(rule=3)
    assert ended(ask, clock, kind=None)["outputs"] == named(rule=4)
    run = ended(ask, clock)
    assert (run["status"], run["outputs"]) == ("Succeeded", None)
    claim = ask.start(process_id="triage-claim")
    clock.forward(3600)
    assert ask.run(claim["id"])["outputs"] == named(rule=1)


JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@settings(deadline=None, max_examples=40)
@given(value=JSON_VALUES)
def test_an_input_comes_back_with_its_type(served: RunningEmulator, clock: Clock, value: Any) -> None:
    served.control.play(
        {"rules": [{"steps": [], "outputs": {"whole": "${inputs.it}", "deep": [{"in": "${inputs.it}"}]}}]}
    )
    ask = Ask(served.url)
    run = ask.start(inputs=named(it=value))
    ask.close()
    assert run["outputs"] == named(whole=value, deep=[{"in": value}])


def test_quotes_in_outputs(ask: Ask, emulator: RunningEmulator) -> None:
    play(
        emulator,
        {
            "steps": [],
            "outputs": {
                "text": "No. ${inputs.number} of ${inputs.name}: ${inputs.flag}, ${inputs.missing}, ${files.count}",
                "missing": "${inputs.missing}",
                "files": "${files.count}",
                "id": "${run.id}",
                "as it is": "${other} $ {run.id}",
                "number": 4.5,
            },
        },
    )
    files = [ask("POST", "/v2/files", json={"agent_id": AGENT, "file_name": "a"}).json()["id"] for _ in range(2)]
    run = ask.start(inputs=named(number=7, name="Äpfel", flag=True), file_ids=files)
    assert {item["name"]: item["value"] for item in run["outputs"]} == {
        "text": "No. 7 of Äpfel: true, null, 2",
        "missing": None,
        "files": 2,
        "id": run["id"],
        "as it is": "${other} $ {run.id}",
        "number": 4.5,
    }


def test_outputs_as_a_list(ask: Ask, emulator: RunningEmulator) -> None:
    items: list[dict[str, Any]] = [
        {"name": "a", "value": "${files.count}"},
        {"name": "a", "value": 2},
        {"name": "empty"},
    ]
    play(emulator, {"steps": [], "outputs": items})
    assert ask.start()["outputs"] == [items[0] | {"value": 0}, items[1], {"name": "empty", "value": None}]


DRAWN: dict[str, Any] = {
    "capacity": {"limit": 1000},
    "latency": {"getHealth": [0, 0]},
    "rules": [{"steps": [{"status": "Running", "seconds": [0, 100]}], "results": {"Succeeded": 1, "Failed": 1}}],
}
GUIDED = {"steps": [{"status": "Running", "seconds": 10}, {"status": "AwaitingGuidance", "seconds": 100}]}


class TestSeed:
    def plans(self, ask: Ask, emulator: RunningEmulator, *, looks: bool = False, **more: Any) -> list[Any]:
        emulator.control.reset()
        emulator.control.play({**DRAWN, **more})
        for _ in range(20):
            ask.start()
            if looks:
                ask("GET", "/v2/health")
        return [run["plan"] for run in emulator.control.runs()]

    def test_same(self, ask: Ask, emulator: RunningEmulator) -> None:
        plans = self.plans(ask, emulator, seed=3)
        assert len({str(plan) for plan in plans}) == 20
        assert {plan["result"] for plan in plans} == {"Succeeded", "Failed"}
        assert self.plans(ask, emulator, seed=3, looks=True) == plans
        assert self.plans(ask, emulator, seed=4) != plans

    def test_weights(self) -> None:
        scenario = {"rules": [{"results": {"Succeeded": 9, "Failed": 1}}], "capacity": {"limit": 10_000}}
        service = Emulator(read_scenario(scenario), Store())
        run = {
            "agent_id": AGENT,
            "process_id": PROCESS,
            "stage": "Published",
            "name": "n",
            "inputs": None,
            "file_ids": None,
        }
        failed = [service.start_run(dict(run))["plan"]["result"] for _ in range(1000)].count("Failed")
        assert 50 < failed < 150


class TestCapacity:
    def full(self, ask: Ask) -> Any:
        body = {"agent_id": AGENT, "process_id": PROCESS, "name": "n", "stage": "Published"}
        return ask("POST", "/v2/runs", json=body)

    def test_full(self, ask: Ask, emulator: RunningEmulator, clock: Clock) -> None:
        play(emulator, {"steps": STEPS}, capacity={"limit": 2})
        ask.start()
        clock.forward(1)
        ask.start()
        assert is_error(self.full(ask), 403)["message"] == "Resource Not Available"
        assert emulator.control.stats()["runs_started"] == 2
        clock.forward(6)
        ask.start()
        is_error(self.full(ask), 403)

    def test_other_words(self, ask: Ask, emulator: RunningEmulator) -> None:
        play(emulator, capacity={"limit": 0, "status_code": 503, "message": "Busy"})
        assert is_error(self.full(ask), 503)["message"] == "Busy"

    def test_runs_that_wait_for_a_person_do_not_count(self, ask: Ask, emulator: RunningEmulator, clock: Clock) -> None:
        play(emulator, GUIDED, capacity={"limit": 1})
        waiting = ask.start()
        is_error(self.full(ask), 403)
        clock.forward(10)
        assert ask.run(waiting["id"])["status"] == "AwaitingGuidance"
        ask.start()
        is_error(self.full(ask), 403)

    @pytest.mark.parametrize("status", ["Succeeded", "Failed", "Cancelled", "TimedOut", "AwaitingGuidance", "Over"])
    def test_status_that_frees_capacity(self, ask: Ask, emulator: RunningEmulator, status: str) -> None:
        play(emulator, {"steps": STEPS, "results": {"Over": 1}}, capacity={"limit": 1})
        emulator.control.change_run(ask.start()["id"], status=status)
        ask.start()

    def test_status_that_takes_capacity_for_good(self, ask: Ask, emulator: RunningEmulator, clock: Clock) -> None:
        play(emulator, {"steps": STEPS}, capacity={"limit": 1})
        emulator.control.change_run(ask.start()["id"], status="Running")
        clock.forward(3600)
        is_error(self.full(ask), 403)

    def test_runs_of_somebody_else_do_not_count(self, ask: Ask, emulator: RunningEmulator) -> None:
        play(emulator, capacity={"limit": 1})
        emulator.control.add_run(PROCESS, status="Running")
        ask.start()


class TestRateLimit:
    def test_refills_with_time(self, ask: Ask, emulator: RunningEmulator, clock: Clock) -> None:
        emulator.control.play({"rate_limit": {"requests_per_minute": 3}})
        assert [ask("GET", "/v2/health").status_code for _ in range(4)] == [200, 200, 200, 429]
        clock.forward(20)
        assert [ask("GET", "/v2/health").status_code for _ in range(2)] == [200, 429]
        clock.forward(3600)
        assert [ask("GET", "/v2/health").status_code for _ in range(4)] == [200, 200, 200, 429]

    def test_all_operations_share_it(self, ask: Ask, emulator: RunningEmulator) -> None:
        emulator.control.play({"rate_limit": {"requests_per_minute": 2}})
        ask("GET", f"/v2/processes?agent_id={AGENT}")
        ask("GET", "/v2/runs/unknown")
        body = {"agent_id": AGENT, "process_id": PROCESS, "name": "n", "stage": "Published"}
        assert ask("POST", "/v2/runs", json=body).status_code == 429
        assert emulator.control.stats()["runs_started"] == 0

    def test_less_than_one_a_minute(self, ask: Ask, emulator: RunningEmulator, clock: Clock) -> None:
        emulator.control.play({"rate_limit": {"requests_per_minute": 0.5}})
        assert [ask("GET", "/v2/health").status_code for _ in range(2)] == [200, 429]
        clock.forward(120)
        assert ask("GET", "/v2/health").ok

    def test_retry_after_can_be_relied_on(self, ask: Ask, emulator: RunningEmulator, clock: Clock) -> None:
        emulator.control.play({"rate_limit": {"requests_per_minute": 7}})
        while (response := ask("GET", "/v2/health")).ok:
            pass
        clock.forward(int(response.headers["retry-after"]))
        assert ask("GET", "/v2/health").ok

    def test_retry_after_as_a_date(self, ask: Ask, emulator: RunningEmulator, clock: Clock) -> None:
        emulator.control.play({"rate_limit": {"requests_per_minute": 1, "retry_after": "date", "body": "error_model"}})
        ask("GET", "/v2/health")
        response = ask("GET", "/v2/health")
        is_error(response, 429)
        clock.now = parsedate_to_datetime(response.headers["retry-after"]).timestamp()
        assert ask("GET", "/v2/health").ok

    def test_no_retry_after(self, ask: Ask, emulator: RunningEmulator) -> None:
        emulator.control.play({"rate_limit": {"requests_per_minute": 1, "retry_after": "none"}})
        ask("GET", "/v2/health")
        response = ask("GET", "/v2/health")
        assert response.json() == {"message": "Too Many Requests"}
        assert "retry-after" not in response.headers

    def test_a_bad_key_takes_nothing(self, ask: Ask, emulator: RunningEmulator) -> None:
        emulator.control.play({"rate_limit": {"requests_per_minute": 1}})
        stranger = Ask(ask.url, "wrong")
        assert {stranger("GET", "/v2/health").status_code for _ in range(3)} == {401}
        stranger.close()
        assert ask("GET", "/v2/health").ok
