"""People clear tasks: in the middle of things, and after them."""

from collections.abc import Callable

import pytest

from .cases import Case, Cases
from .endings import ADOPTED, ANEW, ANEW_WARNING, GOES_ON, HERE, WARNED
from .scene import Scene

WAITING = ("sync", "deferrable")
OVER = "task cleared after it succeeded or failed"
ALIVE = "task cleared while its run goes on"
RUNNING = "task cleared while it runs on a worker"
cases = Cases()


@cases.add(OVER, "succeeded", (*WAITING, "forgotten"), ANEW)
def cleared_after_success(scene: Scene) -> None:
    scene.start("run", "quick")
    scene.over("success")
    run_id = scene.started()
    scene.wait(lambda: scene.runs()[0]["status"] == "Succeeded", "the run to end")
    assert scene.result()["run_id"] == run_id
    scene.clear()
    scene.started(2)
    scene.over("success")


@cases.add(OVER, "failed", WAITING, ANEW)
def cleared_after_failure(scene: Scene) -> None:
    scene.start("once")
    scene.end(scene.waits(), "Failed")
    scene.over("failed")
    scene.clear()
    scene.end(scene.started(2))
    scene.over("success")


@cases.add(ALIVE, "deferred, the same asked for", ["deferrable"], ADOPTED)
def cleared_while_deferred(scene: Scene) -> None:
    scene.start("run")
    run_id = scene.waits()
    scene.clear()
    scene.adopts(run_id)
    scene.finish()


@cases.add(ALIVE, "deferred, other inputs asked for", ["deferrable"], ANEW_WARNING)
def cleared_while_deferred_for_something_else(scene: Scene) -> None:
    scene.start("changing")
    first = scene.waits()
    scene.set_customer("Another")
    scene.clear()
    scene.started(2)
    scene.says(f"/run/{first}", attempt=2)
    scene.finish()


@cases.add(ALIVE, "not waited for, the same asked for", ["forgotten"], ADOPTED)
def cleared_after_it_was_left_alone(scene: Scene) -> None:
    scene.start("run")
    scene.over("success")
    run_id = scene.started()
    scene.clear()
    scene.adopts(run_id)
    scene.over("success")


def mark_failed(scene: Scene) -> None:
    worker = scene.worker() if scene.mode == "sync" else None
    scene.mark("failed")
    scene.over("failed")
    # Airflow 2 lets a worker live on whose task is cleared in the second before it looks.
    scene.wait(lambda: worker is None or not worker.is_running(), "the worker to end")


@cases.add(ALIVE, "marked failed before", WAITING, ADOPTED)
def marked_failed_then_cleared(scene: Scene) -> None:
    scene.start("run")
    run_id = scene.waits()
    mark_failed(scene)
    scene.clear()
    scene.adopts(run_id)
    scene.finish()


@cases.add(ALIVE, "marked failed before, other inputs asked for", WAITING, ANEW_WARNING)
def marked_failed_then_cleared_for_something_else(scene: Scene) -> None:
    scene.start("changing")
    first = scene.waits()
    mark_failed(scene)
    scene.set_customer("Another")
    scene.clear()
    scene.started(2)
    scene.says(f"/run/{first}", attempt=2)
    scene.finish()


@cases.add(RUNNING, "the same asked for", ["sync"], ADOPTED)
def cleared_on_a_worker(scene: Scene) -> None:
    scene.start("run")
    run_id = scene.waits()
    scene.clear()
    scene.adopts(run_id)
    if HERE != "2.11":  # which may let the worker of before live on, unaware
        scene.says(GOES_ON, attempt=1)
    scene.finish()


@cases.add(RUNNING, "other inputs asked for", ["sync"], WARNED)
def cleared_on_a_worker_for_something_else(scene: Scene) -> None:
    scene.start("changing")
    scene.waits()
    scene.set_customer("Another")
    scene.clear()
    # A retry to Airflow or a clear, as its scheduler hears first of the task's end or of the worker's.
    scene.says("with other inputs", attempt=2)
    scene.finish()


@pytest.mark.parametrize("case", cases.parameters())
def test_clear(case: Case, ends: Callable[[Case], None]) -> None:
    ends(case)
