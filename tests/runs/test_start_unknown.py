"""Deaths around a start request and requests without a clear answer, with a clock that is driven."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest

from airflow_provider_kognitos.api.models import Run
from airflow_provider_kognitos.exceptions import (
    KognitosCapacityError,
    KognitosError,
    KognitosNotFoundError,
    KognitosRateLimitError,
    KognitosServerError,
    KognitosStartUncertainError,
)
from airflow_provider_kognitos.runs.polling import LAG

from .answers import Killed, killed, refused, unknown
from .attempts import SETTLE, Task
from .made import run
from .scripted import Scripted
from .store import needs_task_state_store, stored

pytestmark = needs_task_state_store

FULL = KognitosCapacityError("Resource Not Available", status_code=403)
THROTTLED = KognitosRateLimitError("too many requests", status_code=429)
BAD_GATEWAY = KognitosServerError("bad gateway", status_code=502)


# Deaths around the request.


def test_a_worker_killed_before_the_request_leaves_the_start_to_the_retry(task: Task, client: Scripted) -> None:
    client.started = iter([killed(client.clock, created=False)])
    with pytest.raises(Killed):
        task.attempt()
    client.clock.sleep(1.3)

    started = task.attempt()

    assert client.created == [started.id]


@pytest.mark.parametrize("lag", [0.0, 4.0, 25.0])
@pytest.mark.parametrize("gap", [1.3, 300.0])
def test_a_worker_killed_before_the_answer_leaves_its_run_to_the_retry(
    task: Task, client: Scripted, lag: float, gap: float
) -> None:
    client.lag = lag
    client.started = iter([killed(client.clock, created=True)])
    with pytest.raises(Killed):
        task.attempt()
    client.clock.sleep(gap)

    adopted = task.attempt()

    assert client.created == [adopted.id]


def test_a_worker_killed_long_after_the_intent_leaves_its_run_to_the_retry(task: Task, client: Scripted) -> None:
    # The client waits out 429 for up to fifteen minutes, so the request leaves long after the intent.
    client.lag = 5.0
    client.started = iter([killed(client.clock, created=True, after=600)])
    with pytest.raises(Killed):
        task.attempt()
    client.clock.sleep(1.3)

    adopted = task.attempt()

    assert client.created == [adopted.id]


def test_an_old_intent_is_looked_into_without_waiting(kept: Task, client: Scripted) -> None:
    client.started = iter([killed(client.clock, created=False)])
    with pytest.raises(Killed):
        kept.attempt()
    client.clock.sleep(3600)
    slept = len(client.clock.slept)

    kept.attempt()

    assert len(client.clock.slept) == slept
    assert client.calls == ["start", "page", "start"]


def test_an_intent_of_before_the_dag_run_was_cleared_is_searched_back_to(kept: Task, client: Scripted) -> None:
    client.started = iter([killed(client.clock, created=True)])
    with pytest.raises(Killed):
        kept.attempt()
    client.clock.sleep(86400)
    for number in range(200):
        client.clock.sleep(5)
        client.runs[f"foreign-{number}"] = run(f"foreign-{number}", created_at=client.clock.moment())
    # As if the task had never been cleared: its retries were raised so far that no number tells it.
    kept.dag_run_started = client.clock.moment()
    kept.retries = 100

    assert kept.attempt().id == client.created[0]


def test_a_first_attempt_that_died_before_it_wrote_anything_is_made_up_for(kept: Task, client: Scripted) -> None:
    kept.begin()

    started = kept.attempt()

    assert client.created == [started.id]
    assert "page" in client.calls


# An unknown outcome.


@pytest.mark.parametrize("lag", [0.0, 3.0, 9.0])
@pytest.mark.parametrize("times_out", [0.0, 30.0, 60.0])
@pytest.mark.parametrize("after", [0.0, 600.0])
def test_a_run_created_by_a_request_without_an_answer_is_found(
    task: Task, client: Scripted, lag: float, times_out: float, after: float
) -> None:
    client.lag = times_out + lag
    client.started = iter([unknown(client.clock, created=True, times_out=times_out, after=after)])

    run_found = task.attempt()

    assert client.created == [run_found.id]
    assert client.calls.count("start") == 1


def test_a_run_that_appears_long_after_the_gateway_gave_up_is_found(task: Task, client: Scripted) -> None:
    client.started = iter([unknown(client.clock, created=True, late=SETTLE - 1)])

    run_found = task.attempt()

    assert client.created == [run_found.id]
    assert client.calls.count("start") == 1


def test_a_request_that_left_no_trace_is_sent_once_more(task: Task, client: Scripted) -> None:
    client.started = iter([unknown(client.clock, created=False)])
    began = client.clock()

    started = task.attempt()

    assert client.created == [started.id]
    assert client.calls.count("start") == 2
    assert client.clock() >= began + SETTLE


@pytest.mark.parametrize("settle", [12.0, 33.3])
def test_the_search_ends_when_the_run_had_its_time_to_appear(task: Task, client: Scripted, settle: float) -> None:
    task.options["settle"] = settle
    client.started = iter([unknown(client.clock, created=False)])
    began = client.clock()

    task.attempt()

    assert client.clock() == pytest.approx(began + settle, abs=0.2)


def test_a_run_whose_time_cannot_be_read_is_found_too(task: Task, client: Scripted) -> None:
    def answer(create: Callable[[], Run]) -> Run:
        client.end(create().id, "Running", created_at="who knows")
        raise KognitosStartUncertainError("no clear answer.", sent_at=client.clock.moment())

    client.started = iter([answer])

    assert task.attempt().id == client.created[0]
    assert len(client.created) == 1


def test_a_run_of_long_before_is_not_taken_for_the_one_just_started(task: Task, client: Scripted) -> None:
    # A DAG run that was deleted and triggered again under the same id has the same task instances.
    task.begin()
    old = client.create(str(task.marker()), "Running")
    task.try_number = 0
    client.clock.sleep(86400)
    client.started = iter([unknown(client.clock, created=False)])

    assert task.attempt().id != old.id
    assert len(client.created) == 2


def test_a_request_is_never_sent_a_third_time(kept: Task, client: Scripted) -> None:
    client.started = iter([unknown(client.clock, created=False)] * 3)

    with pytest.raises(KognitosStartUncertainError):
        kept.attempt()

    assert client.calls.count("start") == 2
    assert stored(kept.kept).intent_at is not None


def test_the_second_request_may_leave_a_run_without_an_answer_too(task: Task, client: Scripted) -> None:
    client.lag = 5.0
    client.started = iter([unknown(client.clock, created=False), unknown(client.clock, created=True)])

    run_found = task.attempt()

    assert client.created == [run_found.id]


def test_a_run_that_ended_before_it_was_found_is_returned_with_its_outputs(task: Task, client: Scripted) -> None:
    def answer(create: Callable[[], Run]) -> Run:
        client.end(create().id, "Succeeded", outputs=[{"name": "total", "value": 42}])
        raise KognitosStartUncertainError("no clear answer.", sent_at=client.clock.moment())

    client.started = iter([answer])

    assert task.attempt().outputs == {"total": 42}
    assert len(client.created) == 1


def test_outputs_that_cannot_be_read_now_are_read_by_the_retry(kept: Task, client: Scripted) -> None:
    def answer(create: Callable[[], Run]) -> Run:
        client.end(create().id, "Succeeded", outputs=[{"name": "total", "value": 42}])
        raise KognitosStartUncertainError("no clear answer.", sent_at=client.clock.moment())

    client.started = iter([answer])
    client.got = iter([BAD_GATEWAY])
    with pytest.raises(KognitosServerError):
        kept.attempt()

    assert kept.attempt().outputs == {"total": 42}
    assert len(client.created) == 1


def test_runs_of_before_are_not_taken_for_the_one_just_started(task: Task, client: Scripted) -> None:
    first = task.attempt()
    client.end(first.id, "Failed")
    client.clock.sleep(10)
    client.started = iter([unknown(client.clock, created=True)])
    client.lag = 5.0

    second = task.attempt()

    assert client.created == [first.id, second.id]


def test_the_error_of_an_unknown_outcome_names_the_time_that_is_known_or_not(task: Task, client: Scripted) -> None:
    client.started = iter([refused(KognitosStartUncertainError("when?"))] * 2)

    with pytest.raises(KognitosStartUncertainError, match="when"):
        task.attempt()


def test_two_runs_of_one_request_are_said_and_one_is_followed(
    task: Task, client: Scripted, caplog: pytest.LogCaptureFixture
) -> None:
    def answer(create: Callable[[], Run]) -> Run:
        create()
        create()
        raise KognitosStartUncertainError("no clear answer.", sent_at=client.clock.moment())

    client.started = iter([answer])

    followed = task.attempt()

    assert followed.id in client.created
    assert any(
        record.levelno == logging.WARNING and all(run_id in record.getMessage() for run_id in client.created)
        for record in caplog.records
    )


# A search that cannot answer.


def test_a_list_that_cannot_be_read_leaves_the_start_uncertain_and_the_intent_on_record(
    kept: Task, client: Scripted
) -> None:
    client.started = iter([unknown(client.clock, created=True)])
    client.listed = iter([BAD_GATEWAY] * 100)

    with pytest.raises(KognitosStartUncertainError, match="Look in Kognitos for a run") as raised:
        kept.attempt()

    assert "could not be read" in str(raised.value)
    assert "bad gateway" in str(raised.value)
    assert f"[af-{kept.marker().identity}-" in str(raised.value)
    assert client.calls.count("start") == 1
    assert stored(kept.kept).intent_at is not None
    client.listed = iter(())
    client.clock.sleep(60)
    assert kept.attempt().id == client.created[0]
    assert len(client.created) == 1


def test_a_list_that_heals_in_time_answers(task: Task, client: Scripted) -> None:
    client.started = iter([unknown(client.clock, created=True)])
    client.listed = iter([BAD_GATEWAY] * 4)

    assert task.attempt().id == client.created[0]
    assert len(client.created) == 1


def test_a_list_that_is_forbidden_is_not_asked_again(kept: Task, client: Scripted) -> None:
    client.started = iter([unknown(client.clock, created=False)])
    client.listed = iter([KognitosNotFoundError("no such process", status_code=404)] * 100)

    with pytest.raises(KognitosStartUncertainError, match="no such process"):
        kept.attempt()

    assert client.calls == ["start", "page"]


def test_a_list_too_long_to_be_read_leaves_the_start_uncertain(task: Task, client: Scripted) -> None:
    client.started = iter([unknown(client.clock, created=True)])
    client.page_size = 1
    client.order = lambda items: [*[run(f"foreign-{number}", created_at=None) for number in range(60)], *items]

    with pytest.raises(KognitosStartUncertainError, match="too long"):
        task.attempt()

    assert client.calls.count("start") == 1
    # As is the next attempt, until the list can be read.
    with pytest.raises(KognitosStartUncertainError, match="too long"):
        task.attempt()
    client.page_size = 100
    assert task.attempt().id == client.created[0]
    assert len(client.created) == 1


def test_a_list_too_long_to_be_read_may_hide_the_run_of_a_killed_attempt(task: Task, client: Scripted) -> None:
    client.started = iter([killed(client.clock, created=True)])
    with pytest.raises(Killed):
        task.attempt()
    client.page_size = 1
    client.order = lambda items: [*[run(f"foreign-{number}", created_at=None) for number in range(60)], *items]

    with pytest.raises(KognitosStartUncertainError, match="too long"):
        task.attempt()

    client.page_size = 100
    assert task.attempt().id == client.created[0]
    assert len(client.created) == 1


def test_a_retry_that_cannot_read_the_list_starts_nothing(task: Task, client: Scripted) -> None:
    client.started = iter([killed(client.clock, created=False)])
    with pytest.raises(Killed):
        task.attempt()
    client.clock.sleep(3600)
    client.listed = iter([BAD_GATEWAY] * 100)

    with pytest.raises(KognitosError, match="bad gateway"):
        task.attempt()

    assert client.created == []


# A run on record that the service does not know.


def test_a_run_that_is_not_known_yet_is_waited_for(kept: Task, client: Scripted) -> None:
    client.lag = 20.0
    started = kept.attempt()
    client.clock.sleep(1.3)

    assert kept.attempt().id == started.id
    assert client.calls == ["start", *[f"get {started.id}"] * 5]


def test_a_run_that_is_gone_is_searched_for(kept: Task, client: Scripted, caplog: pytest.LogCaptureFixture) -> None:
    started = kept.attempt()
    del client.runs[started.id]
    client.clock.sleep(LAG + 1)
    client.calls.clear()

    again = kept.attempt()

    assert client.calls == [f"get {started.id}", "page", "start"]
    assert again.id != started.id
    assert f"{started.id} of an earlier attempt is not known any more" in caplog.text


def test_a_run_that_only_the_list_knows_is_adopted_with_what_is_on_record(kept: Task, client: Scripted) -> None:
    first = kept.attempt()
    kept.clear()
    kept.attempt()
    client.clock.sleep(LAG + 1)
    client.got = iter([KognitosNotFoundError("no such run", status_code=404)])
    client.end(first.id, "Succeeded", outputs=[{"name": "total", "value": 42}])

    # By its name it is of the generation before the clear; the record says that this one adopted it.
    assert kept.attempt().outputs == {"total": 42}
    assert client.created == [first.id]


def test_an_error_that_says_nothing_of_the_run_is_not_taken_for_its_end(kept: Task, client: Scripted) -> None:
    started = kept.attempt()
    client.got = iter([BAD_GATEWAY])

    with pytest.raises(KognitosServerError):
        kept.attempt()

    assert kept.attempt().id == started.id
