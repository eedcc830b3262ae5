"""The ledger: each run is told of once, whatever the list shows and whenever the triggerer is restarted."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from airflow_provider_kognitos.api.models import Run
from airflow_provider_kognitos.runs.ledger import LIST_LAG, Ledger

from .made import NOW, run

COUNTS = ("Succeeded", "Approved")
#: One that counts, one that ends a run otherwise, one that goes on, one that nobody knows.
STATUSES = ("Succeeded", "Approved", "Failed", "Running", "Gardening")
OVER = ("Succeeded", "Approved", "Failed")


def ids(runs: list[Run]) -> list[str]:
    return [each.id for each in runs]


def again(ledger: Ledger) -> Ledger:
    return Ledger(COUNTS, json.loads(json.dumps(ledger.state())))


def begun(*runs: Run) -> Ledger:
    ledger = Ledger(COUNTS)
    assert ledger.see(runs, NOW) == []
    return ledger


def test_what_is_over_at_first_is_not_told_of_and_what_goes_on_is_once_it_is_over() -> None:
    ledger = begun(run("old", "Succeeded"), run("live", "Running"))
    assert ledger.see([run("old", "Succeeded"), run("live", "Running")], NOW) == []
    (due,) = ledger.see([run("old", "Succeeded"), run("live", "Succeeded")], NOW)
    assert due.id == "live"
    ledger.settle(due)
    assert ledger.see([run("live", "Succeeded")], NOW) == []


def test_the_first_run_of_a_process_that_had_none_is_told_of() -> None:
    ledger = again(begun())
    assert ids(ledger.see([run("first", "Succeeded")], NOW)) == ["first"]


def test_a_run_is_told_of_again_until_it_is_settled() -> None:
    ledger = begun()
    assert ids(ledger.see([run("one", "Succeeded")], NOW)) == ["one"]
    ledger = again(ledger)
    assert "one" in ledger.open
    assert ids(ledger.see([run("one", "Succeeded")], NOW)) == ["one"]


def test_a_run_that_is_not_told_of_is_looked_at_however_old_it_is() -> None:
    ledger = begun(run("slow", "Running", created_at=NOW - timedelta(days=9)), run("new", "Running"))
    assert ids(ledger.see([run("slow", "Succeeded", created_at=NOW - timedelta(days=9))], NOW)) == ["slow"]


def test_a_run_that_ends_otherwise_is_never_told_of() -> None:
    ledger = begun(run("one", "Running"))
    assert ledger.see([run("one", "Failed")], NOW) == []
    assert ledger.open == frozenset()
    assert ledger.see([run("one", "Succeeded")], NOW) == []


def test_a_run_that_is_not_there_any_more_is_not_waited_for() -> None:
    ledger = begun(run("one", "Running"))
    ledger.see([], NOW, gone=["one"])
    assert ledger.open == frozenset()


def test_a_run_that_comes_late_on_the_list_is_told_of() -> None:
    ledger = begun(run("new", "Succeeded"))
    late = run("late", "Succeeded", created_at=NOW - LIST_LAG)
    assert ids(ledger.see([run("new", "Succeeded"), late], NOW)) == ["late"]


def test_a_run_from_the_future_hides_none_of_the_present() -> None:
    ledger = begun(run("future", "Succeeded", created_at=NOW + timedelta(days=400)), run("now", "Running"))
    assert ledger.until == NOW - LIST_LAG
    future = run("future", "Succeeded", created_at=NOW + timedelta(days=400))
    assert ids(ledger.see([future, run("next", "Succeeded", created_at=NOW + timedelta(seconds=1))], NOW)) == ["next"]


def test_the_oldest_is_told_of_first() -> None:
    ledger = begun()
    runs = [run(f"run-{age}", "Succeeded", created_at=NOW - timedelta(seconds=age)) for age in (3, 9, 1)]
    assert ids(ledger.see(runs, NOW)) == ["run-9", "run-3", "run-1"]


def test_the_state_stays_small() -> None:
    ledger = begun(run("slow", "Running"))
    for minute in range(1, 600):
        now = NOW + timedelta(minutes=minute)
        for due in ledger.see([run(f"run-{minute}", "Succeeded", created_at=now)], now):
            ledger.settle(due)
    assert ledger.open == {"slow"}
    assert len(ledger.state()["settled"]) <= LIST_LAG / timedelta(minutes=1) + 1


@pytest.mark.parametrize(
    "state",
    [
        {},
        "nonsense",
        [],
        {"until": None, "open": {}, "settled": {}},
        {"until": "yesterday", "open": [], "settled": {}},
        {"until": None, "open": [], "settled": {"run": "soon"}},
        {"open": [], "settled": {}},
    ],
)
def test_a_state_that_is_none_is_refused(state: Any) -> None:
    with pytest.raises(ValueError):
        Ledger(COUNTS, state)


@given(moments=st.lists(st.none() | st.datetimes(min_value=datetime(2000, 1, 1), max_value=datetime(2100, 1, 1))))
def test_what_is_stored_makes_the_same_ledger_again(moments: list[datetime | None]) -> None:
    ledger = begun()
    for number, moment in enumerate(moments):
        created_at = moment and moment.replace(tzinfo=UTC)
        status = STATUSES[number % len(STATUSES)]
        for due in ledger.see([run(f"run-{number}", status, created_at=created_at)], NOW):
            ledger.settle(due)
    assert again(ledger).state() == ledger.state()
    assert again(ledger).open == ledger.open


@dataclass
class Process:
    """What the service knows."""

    runs: dict[str, Run] = field(default_factory=dict)
    #: Runs that the list does not show yet, and since when.
    late: dict[str, datetime] = field(default_factory=dict)
    #: Ids of those that have reached a status that counts since somebody watches.
    reached: set[str] = field(default_factory=set)


class Watched(RuleBasedStateMachine):
    """Runs come and go in any order, looks show them in any order, and at any point the triggerer dies."""

    @initialize(
        statuses=st.lists(st.sampled_from(STATUSES), max_size=5),
        data=st.data(),
    )
    def begin(self, statuses: list[str], data: st.DataObject) -> None:
        self.now = NOW
        self.process = Process()
        self.told: Counter[str] = Counter()
        self.ended_at_first = set()
        for number, status in enumerate(statuses):
            age = timedelta(minutes=data.draw(st.integers(0, 5000)))
            self.process.runs[f"old-{number}"] = run(f"old-{number}", status, created_at=NOW - age)
            if status in OVER:
                self.ended_at_first.add(f"old-{number}")
        self.ledger = Ledger(COUNTS)
        self.look(data)
        self.stored = json.dumps(self.ledger.state())

    @rule(status=st.sampled_from(STATUSES), lag=st.sampled_from([0, 0, 9]), timed=st.integers(0, 9))
    def start_a_run(self, status: str, lag: int, timed: int) -> None:
        run_id = f"run-{len(self.process.runs)}"
        self.process.runs[run_id] = run(run_id, status, created_at=self.now if timed else None)
        if lag:
            self.process.late[run_id] = self.now + timedelta(minutes=lag)
        if status in COUNTS:
            self.process.reached.add(run_id)

    @precondition(lambda self: any(each.status not in OVER for each in self.process.runs.values()))
    @rule(status=st.sampled_from(STATUSES), data=st.data())
    def go_on(self, status: str, data: st.DataObject) -> None:
        live = sorted(run_id for run_id, each in self.process.runs.items() if each.status not in OVER)
        run_id = data.draw(st.sampled_from(live))
        before = self.process.runs[run_id]
        self.process.runs[run_id] = run(run_id, status, created_at=before.created_at)
        if status in COUNTS:
            self.process.reached.add(run_id)

    @rule(minutes=st.sampled_from([1, 8, 60]))
    def wait(self, minutes: int) -> None:
        """No longer than until the late ones are on the list: what comes later than that is missed."""
        latest = min(self.process.late.values(), default=self.now + timedelta(minutes=minutes))
        self.now = max(self.now, min(self.now + timedelta(minutes=minutes), latest))
        self.process.late = {run_id: then for run_id, then in self.process.late.items() if then > self.now}

    @rule(data=st.data())
    def look(self, data: st.DataObject) -> None:
        """The list shows what is not too old, in any order, and by their ids come those that are open."""
        known = [each for run_id, each in self.process.runs.items() if run_id not in self.process.late]
        until = self.ledger.until
        shown = [
            each
            for each in known
            if until is None
            or each.created_at is None
            or each.created_at >= until
            or each.id in self.ledger.open
            or data.draw(st.booleans())
        ]
        due = self.ledger.see(data.draw(st.permutations(shown)), self.now)
        could = data.draw(st.integers(0, len(due)))
        for each in due[:could]:
            self.told[each.id] += 1
            self.ledger.settle(each)
            # Airflow has the event in its database; now the state may be stored.
            self.stored = json.dumps(self.ledger.state())

    @rule()
    def die_and_come_back(self) -> None:
        self.ledger = Ledger(COUNTS, json.loads(self.stored))

    @rule()
    def store(self) -> None:
        self.stored = json.dumps(self.ledger.state())

    @invariant()
    def none_twice_and_none_that_was_over(self) -> None:
        assert not [run_id for run_id, times in self.told.items() if times > 1]
        assert not self.told.keys() & self.ended_at_first
        assert self.told.keys() <= self.process.reached

    def teardown(self) -> None:
        """In the end everything that was to be told of has been."""
        if not hasattr(self, "process"):
            return
        self.now += timedelta(minutes=10)
        for each in self.ledger.see(self.process.runs.values(), self.now):
            self.told[each.id] += 1
        assert set(self.told) == self.process.reached
        assert set(self.told.values()) <= {1}


TestWatched = Watched.TestCase
