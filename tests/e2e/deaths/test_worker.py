"""Worker processes are killed, at every point between a task's beginning and its end."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from .cases import Case, Cases
from .endings import ADOPTED, ANEW, STARTED, UNDISTURBED, with_store
from .scene import Scene

ALL = ("sync", "deferrable", "forgotten")
WAITING = ("sync", "deferrable")
BETWEEN = "worker killed between request and answer"
AFTER = "worker killed after the answer, or while it waits"
ENDED = "worker killed after the run had ended"
#: A list of runs that makes it hard to find one: late, in no order, full of others, over several pages.
HARD_LIST = {"list_lag": 8.0, "list_order": "shuffled"}
cases = Cases()


def crowd(scene: Scene, count: int) -> None:
    """Let others have so many runs of the same process."""
    scene.emulator.add_runs([{"process_id": "process-invoice", "status": "Running"}] * count)


@cases.add("worker killed before the request was sent", "", WAITING, STARTED)
def killed_before_the_request(scene: Scene) -> None:
    scene.emulator.fault("listProcesses", "hang")
    scene.start("run", "quick")
    scene.met("listProcesses")
    scene.worker().kill()


@cases.add(BETWEEN, "no run created", ALL, STARTED, more={"effect": "before"})
@cases.add(BETWEEN, "run created", ALL, ADOPTED, more={"effect": "after"})
def killed_unanswered(scene: Scene) -> None:
    scene.emulator.fault("startRun", "hang", effect=scene.more["effect"])
    scene.start("run", "quick")
    scene.met("startRun")
    scene.worker().kill()


@cases.add(BETWEEN, "run created, list of runs late, long and shuffled", WAITING, ADOPTED, habits=HARD_LIST)
def killed_unanswered_in_a_crowd(scene: Scene) -> None:
    crowd(scene, 350)
    scene.emulator.fault("startRun", "hang", effect="after")
    scene.start("run")
    scene.met("startRun")
    scene.worker().kill()
    run_id = scene.started()
    scene.adopts(run_id)
    if scene.mode != "forgotten":
        scene.end(run_id)


@cases.add(BETWEEN, "run created, supervisor killed too", WAITING, ADOPTED)
def killed_unanswered_with_the_supervisor(scene: Scene) -> None:
    scene.emulator.fault("startRun", "hang", effect="after")
    scene.start("run", "quick")
    scene.met("startRun")
    worker = scene.worker()
    supervisor = worker.parent()
    assert supervisor is not None
    supervisor.kill()
    worker.kill()


@cases.add(AFTER, "answer not stored", ALL, ADOPTED)
def killed_before_storing(scene: Scene) -> None:
    scene.start("unstored")
    run_id = scene.started()
    scene.adopts(run_id)
    if scene.mode != "forgotten":
        scene.end(run_id)


@cases.add(AFTER, "while it waits", ["sync"], ADOPTED, smoke=True)
def killed_waiting(scene: Scene) -> None:
    scene.start("run")
    run_id = scene.waits()
    scene.worker().kill()
    scene.adopts(run_id)
    scene.end(run_id)


@cases.add(AFTER, "while it waits, supervisor killed too", ["sync"], ADOPTED)
def killed_waiting_with_the_supervisor(scene: Scene) -> None:
    scene.start("run")
    run_id = scene.waits()
    worker = scene.worker()
    supervisor = worker.parent()
    assert supervisor is not None
    supervisor.kill()
    worker.kill()
    scene.adopts(run_id)
    scene.end(run_id)


@cases.add(AFTER, "one of a mapped set", ["sync"], {0: UNDISTURBED, 1: ADOPTED, 2: UNDISTURBED})
def killed_among_siblings(scene: Scene) -> None:
    scene.start("mapped")
    run_ids = [scene.waits(map_index=index) for index in range(3)]
    scene.worker(1).kill()
    scene.adopts(run_ids[1], map_index=1)
    for run_id in run_ids:
        scene.end(run_id)


ONE_OF_THEM = replace(ADOPTED, retried=None, says=())


@cases.add(
    BETWEEN,
    "run created, one of a mapped set",
    ["deferrable"],
    dict.fromkeys(range(3), ONE_OF_THEM),
    extra={"timeout": 60},
)
def killed_unanswered_among_siblings(scene: Scene) -> None:
    scene.emulator.fault("startRun", "hang", effect="after")
    scene.start("mapped")
    run_ids = {index: scene.started(map_index=index) for index in range(3)}
    scene.met("startRun")
    scene.wait(lambda: len(scene.those("deferred", of=3)) == 2, "two of three to be deferred")
    (victim,) = scene.those("running", of=3)
    scene.worker(victim).kill()
    scene.adopts(run_ids[victim], map_index=victim)
    scene.finish()
    assert [scene.attempts(index) for index in range(3)] == [2 if index == victim else 1 for index in range(3)]


@cases.add(ENDED, "before it looked again", ["sync"], ADOPTED)
def killed_when_the_run_has_ended(scene: Scene) -> None:
    scene.start("run")
    run_id = scene.waits()
    worker = scene.worker()
    worker.suspend()
    scene.end(run_id)
    worker.kill()


@cases.add(ENDED, "while it resumed", ["deferrable"], ADOPTED)
def killed_resuming(scene: Scene) -> None:
    scene.start("finishing", "quick", dies_in=1)


@cases.add(
    ENDED,
    "while it resumed, adopted over a clear before",
    ["deferrable"],
    with_store(ADOPTED, without=ANEW),
)
def killed_resuming_after_a_clear(scene: Scene) -> None:
    scene.start("finishing", dies_in=2)
    run_id = scene.waits()
    scene.clear()
    scene.adopts(run_id)
    scene.is_("deferred", attempt=2)
    scene.end(run_id)
    scene.tried(3)
    scene.finish()


UPLOADED_ONCE = replace(STARTED, words="started by the retry, no file uploaded twice", uploads=2)
UPLOADED_AGAIN = replace(STARTED, words="started by the retry, files uploaded again", uploads=4)


@cases.add(BETWEEN, "files uploaded, no run created", WAITING, with_store(UPLOADED_ONCE, without=UPLOADED_AGAIN))
def killed_with_files_uploaded(scene: Scene) -> None:
    scene.emulator.fault("startRun", "hang", effect="before")
    scene.start("files", "quick")
    scene.met("startRun")
    scene.worker().kill()
    run_id = scene.started()
    (run,) = scene.runs()
    uploaded = [file["id"] for file in scene.emulator.uploads()]
    assert run["id"] == run_id
    assert sorted(run["file_ids"]) == sorted(uploaded[-2:])


@cases.add(BETWEEN, "files uploaded, run created", WAITING, replace(ADOPTED, uploads=2))
def killed_with_files_in_a_run(scene: Scene) -> None:
    scene.emulator.fault("startRun", "hang", effect="after")
    scene.start("files", "quick")
    scene.met("startRun")
    scene.worker().kill()


@cases.add("killed, with `reattach=False`", "while it waits", ["sync"], ANEW)
def killed_without_reattach(scene: Scene) -> None:
    scene.start("alone")
    first = scene.waits()
    scene.worker().kill()
    scene.end(scene.started(2))
    assert scene.runs()[0]["id"] == first


@pytest.mark.parametrize("case", cases.parameters())
def test_worker(case: Case, ends: Callable[[Case], None]) -> None:
    ends(case)
