"""Waits that end otherwise than by the run's end: the triggerer dies, a deadline passes, the run ends badly."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from .cases import Case, Cases
from .endings import ADOPTED, ANEW, GOES_ON, UNDISTURBED, Ending, with_store
from .scene import Scene

WAITING = ("sync", "deferrable")
TRIGGERER = "triggerer killed while deferred"
DEADLINE = "own `timeout`, `execution_timeout`, deferral timed out"
BADLY = "the run failed, was cancelled or timed out"
AWAY = "service away while waiting"
MARKED = "task marked failed or success"
FULL = "no capacity for all runs"
cases = Cases()


@cases.add(TRIGGERER, "the run ends meanwhile", ["deferrable"], UNDISTURBED, alone=True)
def triggerer_killed(scene: Scene) -> None:
    scene.start("run")
    run_id = scene.waits()
    scene.airflow.kill_component("triggerer")
    scene.end(run_id)
    assert scene.state() == "deferred"
    scene.airflow.start_component("triggerer")


@cases.add(TRIGGERER, "its own `timeout` passes meanwhile", ["deferrable"], ADOPTED, alone=True)
def triggerer_killed_before_a_deadline(scene: Scene) -> None:
    scene.start("timeout")
    run_id = scene.waits()
    scene.airflow.kill_component("triggerer")
    scene.airflow.start_component("triggerer")
    scene.says("timeout of 5 s is over", attempt=1)
    scene.adopts(run_id)
    scene.finish()


@cases.add(TRIGGERER, "a mapped set", ["deferrable"], dict.fromkeys(range(3), UNDISTURBED), alone=True)
def triggerer_of_a_mapped_set_killed(scene: Scene) -> None:
    scene.start("mapped")
    run_ids = [scene.waits(map_index=index) for index in range(3)]
    scene.airflow.kill_component("triggerer")
    scene.airflow.start_component("triggerer")
    for run_id in run_ids:
        scene.end(run_id)


@cases.add(DEADLINE, "own `timeout`", WAITING, ADOPTED, more={"dag": "timeout", "told": "timeout of 5 s is over"})
@cases.add(
    DEADLINE,
    "`execution_timeout`",
    ["deferrable"],
    ADOPTED,
    more={"dag": "execution_timeout", "told": "execution_timeout of 0:00:10 is over"},
)
@cases.add(DEADLINE, "`execution_timeout`", ["sync"], ADOPTED, more={"dag": "execution_timeout", "told": GOES_ON})
@cases.add(
    DEADLINE, "deferral timed out", ["deferrable"], ADOPTED, more={"dag": "deferral", "told": "The deferral of this"}
)
def deadline(scene: Scene) -> None:
    scene.start(scene.more["dag"])
    run_id = scene.started()
    scene.failed_attempt()
    scene.says(scene.more["told"], attempt=1)
    scene.says(run_id, attempt=1)
    scene.adopts(run_id)
    scene.finish()


@cases.add(BADLY, "failed", WAITING, ANEW, more={"status": "Failed", "error": "KognitosRunFailedError"})
@cases.add(BADLY, "cancelled", WAITING, ANEW, more={"status": "Cancelled", "error": "KognitosRunCancelledError"})
@cases.add(BADLY, "timed out", WAITING, ANEW, more={"status": "TimedOut", "error": "KognitosRunFailedError"})
def ended_badly(scene: Scene) -> None:
    scene.start("run")
    first = scene.waits()
    scene.end(first, scene.more["status"])
    scene.failed_attempt()
    scene.says(scene.more["error"], attempt=1)
    scene.says(f"{first} ", attempt=1)
    scene.says(f"ended as {scene.more['status']}", attempt=1)
    scene.end(scene.started(2))


@cases.add(BADLY, "failed, it had files", ["deferrable"], replace(ANEW, uploads=4))
def ended_badly_with_files(scene: Scene) -> None:
    scene.start("files")
    scene.end(scene.waits(), "Failed")
    scene.end(scene.started(2))
    first, second = ({*run["file_ids"]} for run in scene.runs())
    assert len(first) == len(second) == 2
    assert not first & second


@cases.add(AWAY, "for over a minute", WAITING, ADOPTED)
def service_away(scene: Scene) -> None:
    scene.start("run")
    run_id = scene.waits()
    for endpoint in ("getRun", "listRuns"):
        scene.emulator.fault(endpoint, "status", code=503, times=None)
    scene.failed_attempt()
    scene.emulator.clear_faults()
    scene.says(f"Gave up asking about Kognitos run {run_id}", attempt=1)
    scene.adopts(run_id)
    scene.finish()


SAID = Ending("the run goes on, the log says so", returns=None, state="failed", retried=False, says=(GOES_ON,))
UNSAID = Ending("the run goes on, no log says so", returns=None, state="failed", retried=False, silent=(GOES_ON,))
BY_TRIGGER = with_store(SAID, without=UNSAID)


def marked_success(ending: Ending) -> Ending:
    return replace(ending, state="success")


@cases.add(MARKED, "failed, on a worker", ["sync"], SAID, more={"state": "failed"})
@cases.add(MARKED, "success, on a worker", ["sync"], marked_success(SAID), more={"state": "success"})
@cases.add(MARKED, "failed, deferred", ["deferrable"], BY_TRIGGER, more={"state": "failed"})
@cases.add(
    MARKED,
    "success, deferred",
    ["deferrable"],
    with_store(marked_success(SAID), without=marked_success(UNSAID)),
    more={"state": "success"},
)
def marked(scene: Scene) -> None:
    scene.start("run")
    run_id = scene.waits()
    scene.mark(scene.more["state"])
    scene.over(scene.more["state"])
    for text in scene.endings[-1].says:
        scene.says(text, attempt=1)
        scene.says(f"/run/{run_id}", attempt=1)
    assert scene.runs()[0]["status"] == "Running"


@cases.add(
    FULL, "two at a time, four mapped tasks with a file each", WAITING, dict.fromkeys(range(4), UNDISTURBED), capacity=2
)
def full(scene: Scene) -> None:
    scene.start("capacity")
    scene.over("success")
    assert len(scene.emulator.uploads()) == 4
    runs = scene.runs()
    assert len({file_id for run in runs for file_id in run["file_ids"]}) == 4
    for run in runs:
        assert sum(other["created_at"] <= run["created_at"] < other["ends_at"] for other in runs) <= 2


@pytest.mark.parametrize("case", cases.parameters())
def test_wait(case: Case, ends: Callable[[Case], None]) -> None:
    ends(case)
