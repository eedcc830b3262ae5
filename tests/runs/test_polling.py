from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from airflow_provider_kognitos.exceptions import (
    KognitosAuthError,
    KognitosCapacityError,
    KognitosConnectionError,
    KognitosError,
    KognitosNotFoundError,
    KognitosRateLimitError,
    KognitosServerError,
)
from airflow_provider_kognitos.runs.ends import EndStatuses
from airflow_provider_kognitos.runs.outcome import Outcome
from airflow_provider_kognitos.runs.polling import Cadence, Wait

from .made import run

START = 1_000_000.0
#: Seconds for which a service may not know a run that it has started, and the longest pause it may ask for.
LAG = 60.0
LONGEST_PAUSE = 300.0
NOT_FOUND = KognitosNotFoundError("no such run", status_code=404)
SERVER_ERROR = KognitosServerError("bad gateway", status_code=502)
THROTTLED = KognitosRateLimitError("too many requests", status_code=429)
REFUSED_KEY = KognitosAuthError("bad key", status_code=401)
#: What counts against a run's budget of failures.
COUNTED = [
    SERVER_ERROR,
    KognitosConnectionError("reset"),
    KognitosCapacityError("resource not available"),
    KognitosError("x"),
]


def wait(**given: object) -> Wait:
    options = {"run_id": "run-1", "started_at": START, "status": "Running", **given}
    return Wait(**options)  # type: ignore[arg-type]


# Intervals.


@pytest.mark.parametrize(
    ("age", "interval"),
    [(-100.0, 15.0), (0.0, 15.0), (150.0, 15.0), (151.0, 15.1), (300.0, 30.0), (600.0, 60.0), (10**9, 60.0)],
)
def test_the_interval_grows_with_the_age_of_the_run(age: float, interval: float) -> None:
    assert Cadence(15, 60).interval(age) == pytest.approx(interval)


def test_runs_are_looked_at_every_quarter_of_a_minute_at_first_and_every_minute_later() -> None:
    assert [wait().interval(START + age) for age in (0, 300, 86400)] == pytest.approx([15, 30, 60])


def test_an_interval_longer_than_the_longest_stays_as_it_is() -> None:
    assert Cadence(90, 60).interval(0) == Cadence(90, 60).interval(10**6) == 90


@given(st.floats(0.1, 1e4), st.floats(0.1, 1e4), st.floats(-1e3, 1e9), st.floats(0, 1e6))
def test_the_interval_never_shrinks_and_keeps_its_bounds(first: float, longest: float, age: float, more: float) -> None:
    cadence = Cadence(first, longest)

    assert first <= cadence.interval(age) <= cadence.interval(age + more) <= max(first, longest)


@given(st.floats(0, 1e5), st.floats(0.1, 100), st.floats(100, 1000))
def test_the_next_look_is_an_interval_away_more_or_less(age: float, first: float, longest: float) -> None:
    waiting = wait(cadence=Cadence(first, longest))
    now = START + age

    assert waiting.on_run(run(), now) is None

    interval = waiting.interval(now)
    assert 0.9 * interval <= waiting.due - now + 1e-6
    assert waiting.due - now <= 1.1 * interval + 1e-6


def test_looks_are_spread_so_that_runs_started_together_do_not_stay_together() -> None:
    waits = [wait().begin(START) for _ in range(50)]
    first = {waiting.due for waiting in waits}
    for waiting in waits:
        waiting.on_run(run(), START + 20)

    assert len(first) == len({waiting.due for waiting in waits}) == 50
    assert all(START + 7.5 <= due <= START + 15 for due in first)


def test_a_wait_that_was_not_begun_looks_right_away() -> None:
    assert wait().due == 0.0


# The end.


@pytest.mark.parametrize("status", ["Succeeded", "Failed", "Cancelled", "TimedOut"])
def test_a_run_that_has_ended_ends_the_wait(status: str) -> None:
    ended = run(status=status)

    assert wait().on_run(ended, START) == Outcome("ended", "run-1", run=ended)


@pytest.mark.parametrize("status", ["Created", "Pending", "Running", "AwaitingGuidance", "", "SUCCEEDED"])
def test_any_other_status_means_that_the_run_goes_on(status: str) -> None:
    assert wait().on_run(run(status=status), START + 10**8) is None


def test_the_users_statuses_end_the_wait() -> None:
    waiting = wait(ends=EndStatuses(success=("Approved",), failure=("Rejected",)))

    assert waiting.on_run(run(status="Succeeded"), START) is None
    assert waiting.on_run(run(status="Approved"), START) is not None
    assert waiting.on_run(run(status="Rejected"), START) is not None


# The deadline.


def test_the_status_is_looked_at_before_the_deadline() -> None:
    waiting = wait(deadline=START + 60)

    outcome = waiting.on_run(run(status="Succeeded"), START + 3600)

    assert outcome is not None
    assert outcome.kind == "ended"


def test_a_run_that_goes_on_at_the_deadline_ends_the_wait() -> None:
    waiting = wait(deadline=START + 60, limit="timeout of 60 s")

    assert waiting.on_run(run(), START + 59.9) is None
    assert waiting.due == START + 60
    outcome = waiting.on_run(run(status="Pending"), START + 60)

    assert outcome is not None
    assert outcome.kind == "timeout"
    assert outcome.run is None
    assert "run-1 was still Pending: timeout of 60 s is over" in outcome.message
    assert "goes on" in outcome.message


@pytest.mark.parametrize("error", [NOT_FOUND, SERVER_ERROR, THROTTLED, REFUSED_KEY])
def test_a_look_that_fails_at_the_deadline_ends_the_wait_as_a_timeout(error: KognitosError) -> None:
    outcome = wait(deadline=START + 60).on_error(error, START + 61)

    assert outcome is not None
    assert outcome.kind == "timeout"
    assert "was still Running" in outcome.message


def test_the_first_look_is_not_later_than_the_deadline() -> None:
    assert wait(deadline=START + 3).begin(START).due == START + 3
    # A triggerer that was away for long looks at once.
    assert wait(deadline=START - 3600).begin(START).due == START - 3600


@pytest.mark.parametrize(("status", "said"), [(None, "not seen"), ("", "without a status"), ("Odd", "Odd")])
def test_what_is_known_of_the_run_at_the_deadline_is_said(status: str | None, said: str) -> None:
    outcome = wait(status=status, deadline=START).on_error(SERVER_ERROR, START)

    assert outcome is not None
    assert f"was still {said}: " in outcome.message


# Attention.


def test_a_run_that_goes_on_at_the_time_interrupts_the_wait_once() -> None:
    waiting = wait(attention_at=START + 100)
    going_on = run(status="Running")
    assert waiting.on_run(going_on, START + 99) is None
    assert waiting.due == START + 100
    assert waiting.on_run(going_on, START + 100) == Outcome.attention(going_on)
    assert waiting.due > START + 100
    assert waiting.on_run(going_on, START + 200) is None


def test_a_run_that_has_ended_by_then_interrupts_nothing() -> None:
    waiting = wait(attention_at=START + 100)
    ended = run(status="Succeeded")
    assert waiting.on_run(ended, START + 100) == Outcome.ended(ended)


def test_a_wait_that_is_over_is_not_interrupted() -> None:
    waiting = wait(attention_at=START + 100, deadline=START + 100)
    outcome = waiting.on_run(run(status="Running"), START + 100)
    assert outcome is not None
    assert outcome.kind == "timeout"


def test_the_first_look_is_not_later_than_the_time_for_attention() -> None:
    assert wait(attention_at=START + 1).begin(START).due == START + 1


def test_a_run_that_could_not_be_seen_interrupts_the_wait_as_soon_as_it_is() -> None:
    waiting = wait(attention_at=START + 100)
    assert waiting.on_error(SERVER_ERROR, START + 100) is None
    assert waiting.due > START + 100
    assert waiting.on_run(run(status="Running"), START + 120) == Outcome.attention(run(status="Running"))


def test_attention_does_not_make_a_look_before_the_service_wants_one() -> None:
    waiting = wait(attention_at=START + 5)
    waiting.on_error(KognitosRateLimitError("too many", status_code=429, retry_after=40), START)
    assert waiting.due == pytest.approx(START + 40)


# Failures.


@pytest.mark.parametrize("error", COUNTED, ids=repr)
def test_five_failures_in_a_row_over_a_minute_end_the_wait(error: KognitosError) -> None:
    waiting = wait()

    assert [waiting.on_error(error, START + seconds) for seconds in (0, 15, 30, 45)] == [None] * 4
    outcome = waiting.on_error(error, START + 60)

    assert outcome is not None
    assert outcome.kind == "error"
    assert "5 failure(s) in a row over 60 s" in outcome.message
    assert str(error) in outcome.message


def test_five_failures_in_less_than_a_minute_do_not() -> None:
    waiting = wait()

    assert not any(waiting.on_error(SERVER_ERROR, START + seconds) for seconds in range(60))
    assert waiting.on_error(SERVER_ERROR, START + 60) is not None


def test_four_failures_do_not_however_long_they_take() -> None:
    waiting = wait()

    assert not any(waiting.on_error(SERVER_ERROR, START + hours * 3600) for hours in range(4))


def test_a_look_that_succeeds_starts_the_count_anew() -> None:
    waiting = wait()
    for seconds in (0, 60, 120, 180):
        waiting.on_error(SERVER_ERROR, START + seconds)

    assert waiting.on_run(run(), START + 240) is None
    assert not any(waiting.on_error(SERVER_ERROR, START + 300 + 60 * count) for count in range(4))
    assert waiting.on_error(SERVER_ERROR, START + 540) is not None


def test_throttling_is_never_a_failure() -> None:
    waiting = wait()

    assert not any(waiting.on_error(THROTTLED, START + minutes * 60) for minutes in range(1000))


def test_throttling_among_failures_neither_counts_nor_ends_the_wait() -> None:
    waiting = wait()
    for seconds in (0, 5, 10, 15, 20):
        assert waiting.on_error(SERVER_ERROR, START + seconds) is None

    assert waiting.on_error(THROTTLED, START + 300) is None
    assert waiting.on_error(SERVER_ERROR, START + 301) is not None


@pytest.mark.parametrize("status", [None, "Created"])
def test_a_run_that_is_not_known_yet_is_no_failure(status: str | None) -> None:
    waiting = wait(status=status)

    assert not any(waiting.on_error(NOT_FOUND, START + seconds) for seconds in range(int(LAG)))
    assert waiting.failures == 0


def test_a_run_never_seen_that_is_not_known_after_a_minute_does_not_exist() -> None:
    outcome = wait(status=None).on_error(NOT_FOUND, START + LAG)

    assert outcome is not None
    assert outcome.kind == "error"
    assert "no such run" in outcome.message


def test_a_run_that_was_seen_may_be_unknown_once_in_a_while() -> None:
    waiting = wait(status="Running")

    assert waiting.on_error(NOT_FOUND, START + LAG) is None
    for minute in range(2, 5):
        assert waiting.on_error(NOT_FOUND, START + minute * 60) is None
    assert waiting.on_error(NOT_FOUND, START + 300) is not None


def test_a_key_that_never_worked_ends_the_wait_at_once() -> None:
    assert wait(status=None).on_error(REFUSED_KEY, START) is not None


def test_a_key_that_worked_may_be_changed_meanwhile() -> None:
    assert wait(status="Running").on_error(REFUSED_KEY, START) is None


# Retry-After.


@pytest.mark.parametrize(
    "error", [KognitosRateLimitError("x", retry_after=120.0), KognitosServerError("x", retry_after=120.0)]
)
def test_the_service_is_not_asked_before_it_wants_to(error: KognitosError) -> None:
    waiting = wait()

    waiting.on_error(error, START)

    assert waiting.due == START + 120


def test_a_pause_shorter_than_the_interval_changes_nothing() -> None:
    waiting = wait()

    waiting.on_error(KognitosRateLimitError("x", retry_after=1.0), START)

    assert waiting.due - START >= 0.9 * 15


def test_a_pause_is_never_longer_than_a_deadline_can_bear() -> None:
    waiting = wait()

    waiting.on_error(KognitosRateLimitError("x", retry_after=10.0**9), START)

    assert waiting.due == START + LONGEST_PAUSE


# News for the log.


def test_each_status_is_news_once() -> None:
    waiting = wait(status="Created", url="https://kognitos/run-1")
    lines = []
    for seconds, status in enumerate(["Created", "Pending", "Pending", "Odd", "Odd", "", "", "Running", "Succeeded"]):
        seen = run(status=status)
        lines.append(waiting.news(seen, START + 10 * seconds))
        waiting.on_run(seen, START + 10 * seconds)

    assert [line for line in lines if line] == [
        "Kognitos run run-1 is Pending after 10 s (was Created). https://kognitos/run-1",
        "Kognitos run run-1 is Odd after 30 s (was Pending); this status is not documented and is taken as still "
        "going. https://kognitos/run-1",
        "Kognitos run run-1 is without a status after 50 s (was Odd); this status is not documented and is taken as "
        "still going. https://kognitos/run-1",
        "Kognitos run run-1 is Running after 70 s (was without a status). https://kognitos/run-1",
        "Kognitos run run-1 is Succeeded after 80 s (was Running). https://kognitos/run-1",
    ]


def test_the_first_status_ever_seen_is_news() -> None:
    assert wait(status=None).news(run(status="Pending"), START) == "Kognitos run run-1 is Pending after 0 s."


def test_an_undocumented_status_that_the_user_named_is_no_riddle() -> None:
    waiting = wait(status=None, ends=EndStatuses(success=("Approved",)))

    assert waiting.news(run(status="Approved"), START) == "Kognitos run run-1 is Approved after 0 s."


# With a clock that is driven.

looks = st.one_of(
    st.sampled_from(["Created", "Pending", "Running", "Odd"]).map(lambda status: run(status=status)),
    st.sampled_from([NOT_FOUND, THROTTLED, REFUSED_KEY, *COUNTED]),
    st.floats(0, 1e7).map(lambda seconds: KognitosRateLimitError("x", retry_after=seconds)),
)


def step(waiting: Wait, look: object, now: float) -> Outcome | None:
    return waiting.on_error(look, now) if isinstance(look, KognitosError) else waiting.on_run(look, now)  # type: ignore[arg-type]


@given(
    deadline=st.floats(-1000, 5000),
    first=st.floats(0.5, 600),
    longest=st.floats(0.5, 3600),
    lateness=st.lists(st.floats(0, 100), min_size=1, max_size=5),
    seen=st.lists(looks, min_size=1, max_size=20),
)
@example(deadline=5000, first=0.5, longest=0.5, lateness=[0.0], seen=[THROTTLED])
def test_a_wait_always_ends_once_its_deadline_has_passed_and_never_turns_in_place(
    deadline: float, first: float, longest: float, lateness: list[float], seen: list[object]
) -> None:
    waiting = wait(cadence=Cadence(first, longest), deadline=START + deadline).begin(START)
    now, outcome, count = START, None, 0
    while outcome is None:
        now = max(now, waiting.due) + lateness[count % len(lateness)]
        outcome = step(waiting, seen[count % len(seen)], now)
        count += 1
        # Every look is a real interval after the one before, but for one at the deadline.
        assert outcome is not None or waiting.due - now >= min(0.9 * first, START + deadline - now) - 1e-6
        assert outcome is not None or waiting.due <= START + deadline

    assert outcome.kind in {"timeout", "error"}
    # Not a look later than the one at the deadline.
    assert now <= max(START + deadline, START) + max(lateness)


@given(seen=st.lists(looks, min_size=1, max_size=30), gap=st.floats(0.0, 400))
def test_a_wait_without_a_deadline_ends_only_with_the_run_or_a_row_of_failures(seen: list[object], gap: float) -> None:
    waiting, now = wait(), START
    for position, look in enumerate(seen):
        outcome = step(waiting, look, now)
        if outcome is not None:
            row = []
            for earlier in reversed(seen[: position + 1]):
                if not isinstance(earlier, KognitosError):
                    break
                if not isinstance(earlier, KognitosRateLimitError):
                    row.append(earlier)
            assert outcome.kind == "error"
            assert len(row) >= 5
            return
        now = max(now + gap, waiting.due)
