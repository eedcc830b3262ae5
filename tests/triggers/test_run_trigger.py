"""KognitosRunTrigger: what is stored of it makes it again, and a kill is told, not carried out."""

from __future__ import annotations

import asyncio
import gc
import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_kognitos.exceptions import KognitosConfigError
from airflow_provider_kognitos.operators.run import KognitosRunOperator
from airflow_provider_kognitos.triggers.run import KognitosRunTrigger
from tests.operators.driver import again

seconds = st.floats(min_value=0.1, max_value=1e6)
words = st.lists(st.text(min_size=1), min_size=1, max_size=3)


@given(
    arguments=st.fixed_dictionaries(
        {
            "run_id": st.text(min_size=1),
            "started_at": seconds,
            "deadline": st.none() | seconds,
            "attention_at": st.none() | seconds,
            "poll_interval": seconds,
            "max_poll_interval": seconds,
            "success_statuses": words,
            "failure_statuses": words,
            "status": st.none() | st.text(),
            "url": st.none() | st.text(),
        }
    )
)
def test_what_is_stored_makes_the_same_trigger_again(arguments: dict[str, Any]) -> None:
    trigger = KognitosRunTrigger(**arguments)
    assert again(trigger).serialize() == trigger.serialize()


@given(value=st.one_of(st.integers(), st.text(), st.binary(), st.lists(st.binary()), st.none()))
def test_an_operator_takes_no_argument_that_its_trigger_could_not_store(value: Any) -> None:
    """So a deferral cannot fail on its arguments after the run was started."""
    for argument in (
        "poll_interval",
        "max_poll_interval",
        "timeout",
        "attention_after",
        "success_statuses",
        "failure_statuses",
    ):
        try:
            operator = KognitosRunOperator(task_id="task", process_id="p", **{argument: value})
        except KognitosConfigError:
            continue
        json.dumps(getattr(operator, argument))


async def test_a_trigger_that_waits_is_a_few_objects() -> None:
    """With each that the garbage collector has to look at, it holds up all other triggers of the process for longer."""

    async def wait(number: int) -> None:
        trigger = KognitosRunTrigger(
            run_id=f"run-{number}", process_id="p", agent_id="a", started_at=time.time(), poll_interval=3600
        )
        async for _ in trigger.run():
            return

    count = 100
    tasks = [asyncio.create_task(wait(0))]
    await asyncio.sleep(0.1)  # by now all that is needed is imported
    gc.collect()
    before = len(gc.get_objects())
    tasks += [asyncio.create_task(wait(number)) for number in range(1, count + 1)]
    await asyncio.sleep(0.1)
    gc.collect()
    each = (len(gc.get_objects()) - before) / count
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    # Half of them belong to any task that waits for the event of a trigger.
    assert 6 < each < 18


async def test_on_kill_says_what_becomes_of_the_run(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    await KognitosRunTrigger(run_id="run-1", started_at=0, url="https://kognitos.test/run-1").on_kill()
    log = capsys.readouterr().out + caplog.text
    assert "run-1 goes on" in log
    assert "https://kognitos.test/run-1" in log
