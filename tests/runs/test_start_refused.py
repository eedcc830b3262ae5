"""Starts that are refused, and the files of a run, with a clock that is driven."""

from __future__ import annotations

import threading

import pytest

from airflow_provider_kognitos.exceptions import (
    KognitosCapacityError,
    KognitosConnectionError,
    KognitosError,
    KognitosNotFoundError,
    KognitosRateLimitError,
    KognitosServerError,
    KognitosStartUncertainError,
    KognitosUploadError,
    KognitosValidationError,
)

from .answers import Killed, killed, refused, unknown
from .attempts import REQUEST, Task
from .scripted import Scripted
from .store import needs_task_state_store, stored

pytestmark = needs_task_state_store

FULL = KognitosCapacityError("Resource Not Available", status_code=403)
THROTTLED = KognitosRateLimitError("too many requests", status_code=429)
BAD_GATEWAY = KognitosServerError("bad gateway", status_code=502)


# Capacity.


@pytest.mark.parametrize("refusal", [FULL, THROTTLED])
@pytest.mark.parametrize("deferred", [False, True], ids=["on the worker", "deferred"])
def test_a_start_that_is_refused_for_now_is_tried_again_and_uploads_once(
    task: Task, client: Scripted, refusal: KognitosError, deferred: bool
) -> None:
    task.request = REQUEST._replace(files=("/one", "/two"))
    client.started = iter([refused(refusal)] * 6)

    started = task.attempt(deferred=deferred)

    assert client.created == [started.id]
    assert sorted(client.uploaded) == ["/one", "/two"]
    assert client.sent[-1]["file_ids"] == client.sent[0]["file_ids"]
    assert len(client.clock.slept) == 6
    assert "page" not in client.calls


def test_pauses_grow_by_half_up_to_two_minutes(task: Task, client: Scripted) -> None:
    client.started = iter([refused(FULL)] * 12)

    task.attempt()

    expected = [min(10 * 1.5**count, 120) for count in range(12)]
    assert all(0.8 * pause <= slept <= 1.2 * pause for pause, slept in zip(expected, client.clock.slept, strict=True))
    assert max(client.clock.slept) <= 120


def test_the_service_may_ask_for_a_longer_pause(task: Task, client: Scripted) -> None:
    client.started = iter([refused(KognitosRateLimitError("x", status_code=429, retry_after=200.0))])

    task.attempt()

    assert client.clock.slept == [200.0]


@pytest.mark.parametrize("deferred", [False, True], ids=["on the worker", "deferred"])
def test_patience_ends_with_the_last_refusal(task: Task, client: Scripted, deferred: bool) -> None:
    client.started = iter([refused(FULL)] * 1000)
    began = client.clock()

    with pytest.raises(KognitosCapacityError, match=r"for 3600 s, so none was\. .*Resource Not Available") as raised:
        task.attempt(deferred=deferred)

    assert raised.value.status_code == 403
    assert client.clock() == pytest.approx(began + 3600)
    assert client.created == []


def test_a_deadline_of_the_task_ends_patience_sooner(task: Task, client: Scripted) -> None:
    starter = task.begin()
    client.started = iter([refused(THROTTLED)])
    with pytest.raises(KognitosRateLimitError) as refusal:
        starter.start()

    assert starter.pause_after(refusal.value, 3600, client.clock() + 3) == 3
    with pytest.raises(KognitosRateLimitError, match="No Kognitos run could be started"):
        starter.pause_after(refusal.value, 3600, client.clock())


@pytest.mark.parametrize("error", [FULL, KognitosValidationError("bad", status_code=400), BAD_GATEWAY])
def test_a_refusal_leaves_no_intent(kept: Task, client: Scripted, error: KognitosError) -> None:
    client.started = iter([refused(error)])

    with pytest.raises(type(error)):
        kept.attempt(patience=0)

    assert stored(kept.kept).intent_at is None
    client.clock.sleep(1.3)
    slept = len(client.clock.slept)
    kept.attempt()
    assert len(client.created) == 1
    # So the retry need not wait for a run to appear.
    assert len(client.clock.slept) == slept


def test_a_refusal_of_the_second_request_is_a_refusal(kept: Task, client: Scripted) -> None:
    not_sent = KognitosConnectionError("refused", sent=False)
    client.started = iter([unknown(client.clock, created=False), refused(not_sent)])

    with pytest.raises(KognitosConnectionError):
        kept.attempt()

    assert stored(kept.kept).intent_at is None


def test_the_retry_of_a_task_that_found_no_capacity_has_its_own_patience_and_the_files(
    kept: Task, client: Scripted
) -> None:
    kept.request = REQUEST._replace(files=("/one",))
    client.started = iter([refused(FULL)] * 1000)
    with pytest.raises(KognitosCapacityError):
        kept.attempt()
    client.started = iter([refused(FULL)] * 3)

    kept.attempt()

    assert client.uploaded == ["/one"]
    assert len(client.created) == 1


# Files.


def test_files_are_uploaded_after_the_decision_and_given_with_those_uploaded_before(
    task: Task, client: Scripted
) -> None:
    task.request = REQUEST._replace(file_ids=("given",), files=("/one", "/two", "/three", "/four", "/five", "/six"))
    client.upload = lambda source: f"id of {source}"

    started = task.attempt()

    assert client.calls == [*["upload"] * 6, "start"]
    assert client.sent[0]["file_ids"] == ["given", *(f"id of {source}" for source in task.request.files)]
    task.attempt()
    assert client.created == [started.id]
    assert client.calls.count("upload") == 6


def test_a_file_named_twice_is_uploaded_once(task: Task, client: Scripted) -> None:
    task.request = REQUEST._replace(files=("/one", "/one"))
    client.upload = lambda source: f"id of {source}"

    task.attempt()

    assert client.uploaded == ["/one"]
    assert client.sent[0]["file_ids"] == ["id of /one", "id of /one"]


def test_a_file_that_cannot_be_uploaded_leaves_the_others_on_record(kept: Task, client: Scripted) -> None:
    sources = tuple(f"/{number}" for number in range(12))
    kept.request = REQUEST._replace(files=sources)
    broken = {"/3"}

    def upload(source: str) -> str:
        if source in broken:
            raise KognitosUploadError(f"{source} is empty")
        return f"id of {source}"

    client.upload = upload
    with pytest.raises(KognitosUploadError, match="/3 is empty"):
        kept.attempt()

    done = set(client.uploaded) - broken
    assert stored(kept.kept).file_ids == {source: f"id of {source}" for source in done}
    assert client.calls.count("start") == 0
    broken.clear()
    kept.attempt()
    assert sorted(client.uploaded) == sorted([*sources, "/3"])
    assert client.sent[0]["file_ids"] == [f"id of {source}" for source in sources]


@pytest.mark.parametrize("broken", ["file", "store"])
def test_after_a_failure_no_further_upload_is_begun(kept: Task, client: Scripted, broken: str) -> None:
    kept.request = REQUEST._replace(files=tuple(f"/{number}" for number in range(12)))
    kept.kept.broken_after = 0 if broken == "store" else None
    later = threading.Event()

    def upload(source: str) -> str:
        if source != "/0":
            later.wait(10)
        elif broken == "file":
            raise KognitosUploadError("/0 is empty")
        return f"id of {source}"

    client.upload = upload
    threading.Timer(0.3, later.set).start()
    with pytest.raises((KognitosUploadError, RuntimeError), match=r"/0 is empty|API server"):
        kept.attempt()

    assert len(client.uploaded) <= 6


def test_a_worker_killed_between_two_uploads_uploads_the_rest_only(kept: Task, client: Scripted) -> None:
    kept.request = REQUEST._replace(files=("/one", "/two"))
    kept.kept.broken_after = 1
    with pytest.raises(RuntimeError):
        kept.attempt()
    kept.kept.broken_after = None
    (done,) = stored(kept.kept).file_ids
    before = client.uploaded.copy()

    kept.attempt()

    (left,) = {"/one", "/two"} - {done}
    assert client.uploaded == [*before, left]


def test_files_of_a_start_without_an_answer_are_used_again_if_no_run_has_them(kept: Task, client: Scripted) -> None:
    kept.request = REQUEST._replace(files=("/one",))
    client.started = iter([killed(client.clock, created=False)])
    with pytest.raises(Killed):
        kept.attempt()

    kept.attempt()

    assert client.uploaded == ["/one"]


def test_files_are_never_attached_to_two_runs(kept: Task, client: Scripted) -> None:
    kept.request = REQUEST._replace(files=("/one",))
    client.started = iter([killed(client.clock, created=True)])
    with pytest.raises(Killed):
        kept.attempt()
    # The run that nobody knew of had the files; it failed before the retry could adopt it.
    client.end(client.created[0], "Failed")

    kept.attempt()

    assert len(client.created) == 2
    assert client.sent[0]["file_ids"] != client.sent[1]["file_ids"]
    assert client.uploaded == ["/one", "/one"]


def test_a_file_the_service_does_not_know_any_more_is_uploaded_anew(kept: Task, client: Scripted) -> None:
    kept.request = REQUEST._replace(files=("/one",))
    client.started = iter([refused(KognitosNotFoundError("A referenced resource was not found", status_code=404))])
    with pytest.raises(KognitosNotFoundError):
        kept.attempt()

    kept.attempt()

    assert client.uploaded == ["/one", "/one"]
    assert client.sent[0]["file_ids"] != client.sent[1]["file_ids"]


def test_a_clear_uploads_anew(kept: Task, client: Scripted) -> None:
    kept.request = REQUEST._replace(files=("/one",))
    client.started = iter([refused(KognitosValidationError("bad", status_code=400))])
    with pytest.raises(KognitosValidationError):
        kept.attempt()
    kept.clear()

    kept.attempt()

    assert client.uploaded == ["/one", "/one"]


# Without reattachment.


def test_without_reattachment_every_attempt_starts_a_run(task: Task, client: Scripted) -> None:
    task.options["reattach"] = False

    first, second = task.attempt(), task.attempt()

    assert client.created == [first.id, second.id]
    assert client.calls == ["start", "start"]
    assert task.store is None or task.store.history == []


def test_without_reattachment_an_unknown_outcome_is_the_users(task: Task, client: Scripted) -> None:
    task.options["reattach"] = False
    client.started = iter([unknown(client.clock, created=True)])

    with pytest.raises(KognitosStartUncertainError, match="no clear answer"):
        task.attempt()

    assert client.calls == ["start"]
