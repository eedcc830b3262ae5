"""The wait on a worker."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_kognitos.exceptions import (
    KognitosAuthError,
    KognitosConnectionError,
    KognitosError,
    KognitosNotFoundError,
    KognitosRateLimitError,
    KognitosServerError,
)
from airflow_provider_kognitos.runs.outcome import Outcome
from airflow_provider_kognitos.runs.polling import Cadence, Wait
from airflow_provider_kognitos.runs.wait import look, wait_for_run

from .made import run
from .scripted import Clock, Scripted

AWAY = KognitosConnectionError("refused")


def waited(client: Scripted, **options: Any) -> Outcome:
    wait = Wait("run-1", client.clock(), status="Created", **options).begin(client.clock())
    return wait_for_run(client, wait, clock=client.clock, sleep=client.clock.sleep)  # type: ignore[arg-type]


def test_the_run_is_returned_as_it_ended_with_its_outputs(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    client = Scripted(clock, run(status="Pending"))
    clock.at(40, lambda: client.end("run-1", "Running"))
    clock.at(200, lambda: client.end("run-1", "Succeeded", outputs=[{"name": "total", "value": 42}]))

    with caplog.at_level(logging.INFO):
        outcome = waited(client, url="https://kognitos/run-1")

    assert outcome.ended_run().outputs == {"total": 42}
    # 15 s apart at first, a tenth of the age later, each with a tenth of jitter.
    assert 11 <= len(client.calls) <= 17
    assert all(7 <= pause <= 23 for pause in clock.slept)
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 3
    assert [line.split(" is ")[1].split()[0] for line in said] == ["Pending", "Running", "Succeeded"]
    assert all("https://kognitos/run-1" in line for line in said)


def test_a_deadline_is_kept_to_the_second_and_looked_at_once_more() -> None:
    client = Scripted(Clock(), run())
    began = client.clock()

    outcome = waited(client, deadline=began + 100, limit="timeout of 100 s")

    assert outcome.kind == "timeout"
    assert client.clock() == began + 100


def test_a_run_that_ended_just_before_the_deadline_has_ended() -> None:
    client = Scripted(Clock(), run())
    client.clock.at(99.9, lambda: client.end("run-1", "Failed"))

    assert waited(client, deadline=client.clock() + 100).ended_run().status == "Failed"


def test_an_interruption_is_told_with_the_run_and_the_wait_goes_on() -> None:
    client = Scripted(Clock(), run())
    client.clock.at(300, lambda: client.end("run-1", "Succeeded"))
    told: list[tuple[str, float]] = []
    began = client.clock()
    wait = Wait("run-1", began, attention_at=began + 100).begin(began)

    outcome = wait_for_run(
        client,  # type: ignore[arg-type]
        wait,
        on_attention=lambda run: told.append((run.status, client.clock() - began)),
        clock=client.clock,
        sleep=client.clock.sleep,
    )

    assert outcome.kind == "ended"
    assert told == [("Running", 100)]


def test_a_service_that_is_away_for_a_while_fails_nothing(caplog: pytest.LogCaptureFixture) -> None:
    client = Scripted(Clock(), run())
    client.got = iter([AWAY] * 4)
    client.clock.at(600, lambda: client.end("run-1", "Succeeded"))

    assert waited(client).kind == "ended"
    assert caplog.text.count("Could not ask about Kognitos run run-1: refused") == 4


def test_a_service_that_stays_away_ends_the_wait_with_an_error() -> None:
    client = Scripted(Clock(), run())
    client.got = iter([AWAY] * 1000)

    outcome = waited(client)

    assert outcome.kind == "error"
    assert "refused" in outcome.message
    assert 5 <= len(client.calls) <= 6


def test_what_is_no_error_of_the_service_is_not_taken_for_one() -> None:
    client = Scripted(Clock(), run())
    client.got = iter([RuntimeError("a bug")])

    with pytest.raises(RuntimeError, match="a bug"):
        waited(client)


def test_one_look_tells_the_run_and_whether_the_wait_is_over() -> None:
    client: Any = Scripted(Clock(), run(), run("run-2", "Succeeded"))
    client.got = iter([None, None, AWAY])
    now = client.clock()

    assert look(client, Wait("run-1", now), now) == (client.runs["run-1"], None)
    ended = client.runs["run-2"]
    assert look(client, Wait("run-2", now), now) == (ended, Outcome.ended(ended))
    assert look(client, Wait("run-1", now), now) == (None, None)


errors = st.sampled_from(
    [
        AWAY,
        KognitosServerError("bad gateway", status_code=502),
        KognitosRateLimitError("throttled", retry_after=10**6),
        KognitosNotFoundError("no such run", status_code=404),
        KognitosAuthError("bad key", status_code=401),
    ]
)


@given(
    st.lists(st.none() | errors, min_size=1, max_size=15),
    st.floats(0.1, 30),
    st.floats(0, 5000),
    st.none() | st.floats(0, 6000),
)
def test_whatever_the_service_does_the_wait_ends_by_its_deadline(
    answers: list[KognitosError | None], first: float, patience: float, ends_after: float | None
) -> None:
    clock = Clock()
    client = Scripted(clock, run())
    client.got = iter(answers * 5000)
    if ends_after is not None:
        clock.at(ends_after, lambda: client.end("run-1", "Succeeded"))
    began = clock()

    outcome = waited(client, deadline=began + patience, cadence=Cadence(first, 60))

    assert clock() <= began + patience + 1e-3
    if outcome.kind == "ended":
        assert ends_after is not None
        assert ends_after <= patience
    assert len(client.calls) <= 2 + patience / (0.9 * first)
