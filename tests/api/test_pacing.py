"""The client-side ceiling on requests."""

from __future__ import annotations

import threading
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_kognitos.api.pacing import Pacer


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@given(st.floats(0.1, 10_000), st.lists(st.floats(0, 100), max_size=30))
def test_requests_are_spaced(limit: float, pauses: list[float]) -> None:
    clock = Clock()
    pacer = Pacer(limit, clock=clock, sleep=clock.sleep)
    times = []
    for pause in pauses:
        clock.now += pause
        pacer.wait()
        times.append(clock.now)
    assert all(later - earlier >= 60 / limit - 1e-6 for earlier, later in pairwise(times))


def test_the_first_does_not_wait_and_idle_time_is_not_saved_up() -> None:
    clock, slept = Clock(), list[float]()
    pacer = Pacer(60, clock=clock, sleep=slept.append)
    pacer.wait()
    assert slept == []
    clock.now += 1000
    pacer.wait()
    pacer.wait()
    assert slept == [1.0]


def test_threads_get_a_slot_each() -> None:
    slept: list[float] = []
    pacer = Pacer(60, clock=lambda: 0.0, sleep=slept.append)
    threads = [threading.Thread(target=pacer.wait) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(slept) == [float(slot) for slot in range(1, 20)]


def test_shared_by_connection() -> None:
    assert Pacer.shared("pacing-a", 60) is Pacer.shared("pacing-a", 60)
    assert Pacer.shared("pacing-a", 60) is not Pacer.shared("pacing-b", 60)
    assert Pacer.shared("pacing-a", 60) is not Pacer.shared("pacing-a", 61)
