from __future__ import annotations

import json
import logging
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_kognitos.runs.record import KEY, RunRecord

from .store import JsonStore, needs_task_state_store, run_store

times = st.none() | st.floats(0, 2e9)
texts = st.text(max_size=20)
records = st.builds(
    RunRecord,
    generation=st.integers(0, 100),
    fingerprint=texts,
    intent_at=times,
    run_id=st.none() | st.text(min_size=1, max_size=20),
    started_at=times,
    file_ids=st.dictionaries(texts, texts, max_size=4),
    earlier=st.lists(texts, max_size=4, unique=True).map(tuple),
    waiting_since=times,
    refusals=st.integers(0, 1000),
)


@given(records)
def test_a_record_comes_back_from_json_as_it_was(record: RunRecord) -> None:
    assert RunRecord.from_json(json.loads(json.dumps(record.to_json()))) == record


@given(records)
def test_a_record_of_a_newer_provider_is_read_as_far_as_it_is_known(record: RunRecord) -> None:
    assert RunRecord.from_json({**record.to_json(), "what_comes_later": [1]}) == record


@given(records)
def test_a_record_of_an_older_provider_lacks_fields(record: RunRecord) -> None:
    known = RunRecord.from_json({"generation": record.generation, "fingerprint": record.fingerprint})

    assert known == RunRecord(record.generation, record.fingerprint)


GOOD = RunRecord(2, "abcd", intent_at=1.0, file_ids={"/a": "f1"}, earlier=("run-1",)).to_json()


@pytest.mark.parametrize(
    "change",
    [
        {"generation": None},
        {"generation": "2"},
        {"generation": True},
        {"fingerprint": None},
        {"fingerprint": 1},
        {"intent_at": "now"},
        {"intent_at": float("nan")},
        {"run_id": 5},
        {"run_id": ""},
        {"run_id": {"id": "run-1"}},
        {"started_at": "2026-01-01"},
        {"file_ids": None},
        {"file_ids": ["f1"]},
        {"file_ids": {"/a": None}},
        {"earlier": 5},
        {"earlier": [None]},
        {"earlier": "run-1"},
        {"waiting_since": []},
        {"refusals": None},
    ],
    ids=repr,
)
def test_a_record_with_a_field_that_cannot_be_read_is_none(change: dict[str, Any]) -> None:
    assert RunRecord.from_json({**GOOD, **change}) is None


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=5), children, max_size=3),
    max_leaves=8,
)


@given(json_values | st.fixed_dictionaries({}, optional=dict.fromkeys(GOOD, json_values)))
def test_junk_is_no_record_and_no_error(junk: Any) -> None:
    record = RunRecord.from_json(junk)

    assert record is None or RunRecord.from_json(record.to_json()) == record


# What one attempt leaves to the next.


@given(records, st.integers(0, 100), texts)
def test_a_run_that_is_to_be_started_has_nothing_of_the_run_before(
    record: RunRecord, generation: int, fingerprint: str
) -> None:
    following = record.following(generation, fingerprint)

    assert (following.generation, following.fingerprint) == (generation, fingerprint)
    assert following.run_id is following.intent_at is following.started_at is following.waiting_since is None
    assert following.refusals == 0


@given(records, st.integers(0, 100))
def test_files_of_a_run_never_started_go_over_to_a_retry_only(record: RunRecord, generation: int) -> None:
    kept = record.following(generation, "abcd").file_ids

    assert kept == (record.file_ids if record.run_id is None and generation == record.generation else {})


@given(records)
def test_the_run_before_is_remembered_once(record: RunRecord) -> None:
    following = record.following(1, "abcd")

    assert following.earlier[: len(record.earlier)] == record.earlier
    assert set(following.earlier) == {*record.earlier, *filter(None, [record.run_id])}
    assert len(set(following.earlier)) == len(following.earlier)


# The store.


@needs_task_state_store
def test_what_is_saved_is_there_for_the_next_attempt_for_ever() -> None:
    from airflow.sdk.execution_time.context import NEVER_EXPIRE

    airflow_store = JsonStore()
    record = RunRecord(2, "abcd", intent_at=12.5, file_ids={"/a": "f1"}, earlier=("run-1",))

    assert run_store(airflow_store).load() is None
    assert run_store(airflow_store).save(record) == record

    assert run_store(airflow_store).survives
    assert run_store(airflow_store).load() == record
    assert airflow_store.kept_for is NEVER_EXPIRE


def test_before_airflow_3_3_nothing_is_kept() -> None:
    record = RunRecord(2, "abcd")

    assert run_store(None).save(record) == record
    assert run_store(None).load() is None
    assert not run_store(None).survives


@pytest.mark.parametrize("junk", ["junk", 5, [], {}, {"generation": 1}, {**GOOD, "earlier": 5}], ids=repr)
def test_a_stored_record_that_cannot_be_read_is_said_and_left(junk: Any, caplog: pytest.LogCaptureFixture) -> None:
    airflow_store = JsonStore()
    airflow_store.set(KEY, junk)

    with caplog.at_level(logging.WARNING):
        assert run_store(airflow_store).load() is None

    assert "cannot be read" in caplog.text


def test_no_record_is_nothing_to_talk_about(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        run_store(JsonStore()).load()

    assert not caplog.records
