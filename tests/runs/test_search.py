from __future__ import annotations

import logging
import random
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_kognitos.api.models import Run
from airflow_provider_kognitos.exceptions import KognitosServerError
from airflow_provider_kognitos.runs.decision import CLOCK_SKEW
from airflow_provider_kognitos.runs.identity import Marker
from airflow_provider_kognitos.runs.search import Sighting, search

from .made import AGENT, MARKER, NOW, PROCESS, STAGE, own_name, run
from .scripted import Clock, Scripted

FOREIGN = Marker("ffffffffff", 2, "abcd")
SECOND = timedelta(seconds=1)
ORDERED_AFTER = 10


def shuffled(items: Sequence[Run]) -> list[Run]:
    return random.Random(7).sample(items, len(items))


def oldest_first(items: Sequence[Run]) -> Sequence[Run]:
    return items


def newest_first(items: Sequence[Run]) -> Sequence[Run]:
    return items[::-1]


def history(count: int, *own: int) -> list[Run]:
    """Return a run of others' for every second, the newest now, some of them replaced by our own."""
    return [
        run(
            f"run-{age}",
            name=own_name() if age in own else FOREIGN.name("of somebody else"),
            created_at=NOW - age * SECOND,
        )
        for age in range(count - 1, -1, -1)
    ]


def looked(client: Scripted, since: datetime | None = None, **options: Any) -> Sighting:
    return search(
        client,  # type: ignore[arg-type]
        process_id=PROCESS,
        agent_id=AGENT,
        stage=STAGE,
        identity=MARKER.identity,
        since=since,
        **options,
    )


def found(sighting: Sighting) -> list[str]:
    return sorted(own.run.id for own in sighting.runs)


@pytest.mark.parametrize("order", [newest_first, oldest_first, shuffled])
def test_own_runs_are_found_among_others_wherever_they_are(order: Callable[[Sequence[Run]], Sequence[Run]]) -> None:
    client = Scripted(Clock(), *history(950, 0, 431, 949))
    client.order = order

    sighting = looked(client)

    assert found(sighting) == ["run-0", "run-431", "run-949"]
    assert sighting.complete
    assert client.calls == ["page"] * 10


def test_each_run_is_told_with_what_its_marker_says() -> None:
    marker = Marker(MARKER.identity, 7, "0000")
    client = Scripted(Clock(), run(name=marker.name("x")))

    (own,) = looked(client).runs

    assert (own.generation, own.fingerprint, own.taken_at) == (7, "0000", None)


def test_runs_without_a_marker_are_nobodys() -> None:
    client = Scripted(Clock(), run(name="Process invoice 42"), run("run-2", name=""))

    assert looked(client) == Sighting((), complete=True)


def test_a_list_that_falls_in_time_is_read_no_further_than_it_must_be() -> None:
    client = Scripted(Clock(), *history(2000, 0, 150))

    sighting = looked(client, NOW)

    # Five minutes for clocks that are apart: 301 items are read, on four pages.
    assert client.calls == ["page"] * 4
    assert found(sighting) == ["run-0", "run-150"]
    assert sighting.complete


def test_a_run_started_by_a_clock_that_is_behind_is_still_found() -> None:
    client = Scripted(Clock(), *history(2000, 299))

    assert found(looked(client, NOW)) == ["run-299"]


def test_runs_of_the_same_moment_do_not_break_the_order() -> None:
    runs = [run(f"run-{number}", created_at=NOW - number // 150 * 200 * SECOND) for number in range(1000)]
    client = Scripted(Clock(), *runs[::-1])

    looked(client, NOW)

    assert client.calls == ["page"] * 4


def test_ten_runs_make_an_order() -> None:
    client = Scripted(Clock(), *history(1000)[::50], page_size=5)

    looked(client, NOW)

    # Below five minutes before after seven of them, on the second page; the tenth is on it.
    assert client.calls == ["page"] * 2


@pytest.mark.parametrize("order", [oldest_first, shuffled])
def test_a_list_in_another_order_is_read_to_its_end(order: Callable[[Sequence[Run]], Sequence[Run]]) -> None:
    client = Scripted(Clock(), *history(1000, 0))
    client.order = order

    assert found(looked(client, NOW)) == ["run-0"]


def test_a_list_that_rises_once_is_read_to_its_end() -> None:
    client = Scripted(Clock(), *history(1000, 1))
    client.order = lambda items: [items[-3], items[-1], *items[:-3][::-1], items[-2]]

    assert found(looked(client, NOW)) == ["run-1"]
    assert client.calls == ["page"] * 10


def test_a_few_runs_that_fall_do_not_make_an_order() -> None:
    client = Scripted(Clock(), *history(1000, 0)[::111], page_size=ORDERED_AFTER // 2)
    client.order = lambda items: [*items[:-1][::-1], items[-1]]

    assert found(looked(client, NOW)) == ["run-0"]


def test_a_time_that_cannot_be_read_makes_the_order_unknown() -> None:
    runs = history(1000, 0)
    runs[500] = run("odd", created_at=None)
    client = Scripted(Clock(), *runs[:500], runs[500], *runs[501:])
    client.order = lambda items: [items[500], *items[501:][::-1], *items[:500][::-1]]

    looked(client, NOW)

    assert client.calls == ["page"] * 10


def test_where_nothing_is_known_of_the_time_the_whole_list_is_read() -> None:
    client = Scripted(Clock(), *history(1000, 999))

    assert found(looked(client, None)) == ["run-999"]


def test_a_list_too_long_is_cut_and_that_is_said(caplog: pytest.LogCaptureFixture) -> None:
    client = Scripted(Clock(), *history(5100, 10, 5050))

    with caplog.at_level(logging.WARNING):
        sighting = looked(client)

    assert client.calls == ["page"] * 50
    assert found(sighting) == ["run-10"]
    assert not sighting.complete
    assert f"50 pages of process {PROCESS}" in caplog.text


def test_a_list_that_just_fits_is_complete(caplog: pytest.LogCaptureFixture) -> None:
    client = Scripted(Clock(), *history(5000, 4999))

    assert looked(client).complete
    assert not caplog.records


def test_an_error_on_any_page_is_the_callers() -> None:
    client = Scripted(Clock(), *history(300))
    client.listed = iter([None, KognitosServerError("bad gateway", status_code=502)])

    with pytest.raises(KognitosServerError):
        looked(client)


lists = st.lists(st.integers(0, 2000) | st.none(), max_size=60)


def told(ages: Sequence[int | None], own: set[int]) -> list[Run]:
    return [
        run(
            f"run-{position}",
            name=own_name() if position in own else "other",
            created_at=None if age is None else NOW - age * SECOND,
        )
        for position, age in enumerate(ages)
    ]


def missed(runs: Sequence[Run], since: datetime, page_size: int) -> set[str]:
    """Return the own runs that had to be found and were not."""
    client = Scripted(Clock(), *runs, page_size=page_size)
    client.order = oldest_first

    sighting = looked(client, since, max_pages=60)

    assert sighting.complete
    return {
        item.id
        for item in runs
        if item.name == own_name() and item.created_at and item.created_at >= since - CLOCK_SKEW
    }.difference(found(sighting))


@given(lists, st.sets(st.integers(0, 59)), st.integers(0, 1500), st.integers(1, 7))
def test_in_a_list_newest_first_no_run_that_may_matter_is_overlooked(
    ages: list[int | None], own: set[int], since: int, page_size: int
) -> None:
    runs = told(sorted(ages, key=lambda age: -1 if age is None else age), own)

    assert not missed(runs, NOW - since * SECOND, page_size)


@given(lists, st.sets(st.integers(0, 59)), st.integers(0, 1500), st.integers(1, 7))
def test_in_a_list_that_does_not_begin_in_order_no_run_that_may_matter_is_overlooked(
    ages: list[int | None], own: set[int], since: int, page_size: int
) -> None:
    # What may come first by chance are fewer items in falling order than make an order.
    runs = told([*ages[: ORDERED_AFTER - 2], 2000, 0, *ages[ORDERED_AFTER - 2 :]], own)

    assert not missed(runs, NOW - since * SECOND, page_size)
