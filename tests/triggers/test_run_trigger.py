"""KognitosRunTrigger: what is stored of it makes it again, and a kill is told, not carried out."""

from __future__ import annotations

import json
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


async def test_on_kill_says_what_becomes_of_the_run(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    await KognitosRunTrigger(run_id="run-1", started_at=0, url="https://kognitos.test/run-1").on_kill()
    log = capsys.readouterr().out + caplog.text
    assert "run-1 goes on" in log
    assert "https://kognitos.test/run-1" in log
