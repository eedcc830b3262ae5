"""Start requests whose answer says nothing: was a run created, or not?"""

from collections.abc import Callable

import pytest

from .cases import Case, Cases
from .endings import ADOPTED, FOUND, SENT_AGAIN, STARTED, UNCERTAIN
from .scene import Scene

WAITING = ("sync", "deferrable")
UNANSWERED = "start request times out, is reset, or gets 5xx or junk"
UNREADABLE = "the list cannot be read, or is too long"
CREATED, NOT_CREATED = "after", "before"
MANY = 350
TOO_MANY = 5_050
cases = Cases()


def add(name: str, fault: dict, *, modes=("deferrable",), effects=(NOT_CREATED, CREATED), **rest) -> None:
    """Add an answer, with the run created and not."""
    for effect in effects:
        created = effect == CREATED
        cases.add(
            UNANSWERED,
            f"{name}, run {'created' if created else 'not created'}",
            modes,
            FOUND if created else SENT_AGAIN,
            more={"name": f"{name}_{'created' if created else 'not_created'}".replace(" ", "_")},
            **rest,
        )(lost({**fault, "effect": effect}, others=MANY if "habits" in rest else 0))


def lost(fault: dict, others: int) -> Callable[[Scene], None]:
    def answer(scene: Scene) -> None:
        if others:
            scene.emulator.add_runs([{"process_id": "process-invoice", "status": "Running"}] * others)
        scene.emulator.fault("startRun", **fault)
        scene.start("uncertain", "quick")

    return answer


add("time-out", {"kind": "hang"}, extra={"timeout": 5}, modes=WAITING)
add("reset", {"kind": "reset"}, modes=(*WAITING, "forgotten"))
add("closed", {"kind": "drop"})
add("500", {"kind": "status", "code": 500})
add("502", {"kind": "status", "code": 502, "body": "html"})
add("503", {"kind": "status", "code": 503, "body": "gateway"})
add("504", {"kind": "status", "code": 504, "body": "empty"})
add("200 with HTML", {"kind": "wrong_json", "body": "html"})
add("truncated", {"kind": "truncate"}, effects=[CREATED], modes=WAITING)
add("reset, list late", {"kind": "reset"}, habits={"list_lag": 3.0})
add("reset, list shuffled", {"kind": "reset"}, habits={"list_order": "shuffled"}, effects=[CREATED])
add("reset, list oldest first", {"kind": "reset"}, habits={"list_order": "oldest_first"}, effects=[CREATED])


@cases.add(UNREADABLE, "list fails, run created", WAITING, ADOPTED, more={"effect": CREATED})
@cases.add(UNREADABLE, "list fails, no run created", WAITING, STARTED, more={"effect": NOT_CREATED})
def list_fails(scene: Scene) -> None:
    scene.emulator.fault("startRun", "reset", effect=scene.more["effect"])
    scene.emulator.fault("listRuns", "status", code=500, times=None)
    scene.start("uncertain", "quick")
    scene.failed_attempt()
    scene.emulator.clear_faults()
    scene.says("KognitosStartUncertainError", attempt=1)
    scene.says("the list of runs could not be read", attempt=1)


@cases.add(
    UNREADABLE,
    "over 5,000 runs before it, run created",
    ["deferrable"],
    UNCERTAIN,
    habits={"list_order": "oldest_first"},
)
def list_too_long(scene: Scene) -> None:
    scene.emulator.add_runs([{"process_id": "process-invoice", "status": "Running"}] * TOO_MANY)
    scene.emulator.fault("startRun", "reset", effect=CREATED)
    scene.start("uncertain", "quick")
    scene.failed_attempt()
    scene.says("the list of runs is too long", attempt=1)


@pytest.mark.parametrize("case", cases.parameters())
def test_start(case: Case, ends: Callable[[Case], None]) -> None:
    ends(case)
