"""The service's resources, as documented and as odd as JSON allows."""

from __future__ import annotations

import json
import pickle
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from airflow_provider_kognitos.api.models import MalformedAnswerError, Process, Run, UploadTarget, parse_time
from airflow_provider_kognitos.api.words import LIVE_STATUSES

from .service import PROCESS_JSON, RUN

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(), inner, max_size=5),
    max_leaves=20,
)
RUN_LIKE = st.dictionaries(st.sampled_from([*RUN, "extra"]), JSON)
TARGET_LIKE = st.dictionaries(
    st.sampled_from(["id", "file_name", "upload_url", "upload_http_method", "upload_http_headers", "upload_fields"]),
    JSON,
)


@given(JSON | RUN_LIKE | TARGET_LIKE, st.sampled_from([Run, Process, UploadTarget]))
@example({"id": "x", "file_ids": 5}, Run)
@example({"id": "x", "outputs": "text"}, Run)
@example({"id": 0, "created_at": "0001-01-01T00:00:00+23:59"}, Run)
def test_any_json_is_read_or_called_malformed(data: Any, model: Any) -> None:
    try:
        made = model.from_json(data)
    except MalformedAnswerError:
        return
    assert isinstance(made.id, str)
    assert made.id
    assert made == model.from_json(data)
    assert isinstance(hash(made), int)
    if model is not UploadTarget:
        assert made.raw == data


NAMED = st.fixed_dictionaries(
    {"name": st.text(max_size=3) | st.sampled_from(["a", "a (2)", "output 1"]), "value": JSON}
)


@given(st.lists(NAMED | JSON.filter(lambda item: not isinstance(item, dict)), max_size=12))
@example([{"name": "a", "value": 1}, {"name": "a (2)", "value": 2}, {"name": "a", "value": 3}])
@example([{"name": "", "value": 1}, {"name": None, "value": 2}, {"name": "output 1", "value": 3}])
def test_outputs_lose_no_value(items: list[Any]) -> None:
    outputs = Run.from_json({**RUN, "outputs": items}).outputs
    assert len(outputs) == len(items)
    wanted = [item["value"] if isinstance(item, dict) else item for item in items]
    assert list(map(repr, outputs.values())) == list(map(repr, wanted))
    first: dict[str, Any] = {}
    for item in items:
        if isinstance(item, dict) and item.get("name"):
            first.setdefault(item["name"], item["value"])
    for name in first:
        assert name in outputs


def test_a_name_that_comes_again() -> None:
    outputs = [{"name": "a", "value": 1}, {"name": "a", "value": None}, {"name": "b"}, {"name": "a", "value": [2]}]
    assert Run.from_json({**RUN, "outputs": outputs}).outputs == {"a": 1, "a (2)": None, "b": None, "a (3)": [2]}


def test_many_of_one_name_take_no_quadratic_time() -> None:
    items = [{"name": "a", "value": number} for number in range(50_000)]
    outputs = Run.from_json({**RUN, "outputs": items}).outputs
    assert outputs["a (50000)"] == 49_999


@pytest.mark.parametrize(
    ("given", "read"),
    [
        (None, {}),
        ([], {}),
        ({"total": 1, "b": [2]}, {"total": 1, "b": [2]}),
        ("text", {"output 1": "text"}),
        ([5, {"value": 6}, {"name": 7, "value": 8}], {"output 1": 5, "output 2": 6, "7": 8}),
        ([{"name": "x", "values": [1]}], {"x": {"name": "x", "values": [1]}}),
        ([{"name": "big", "value": "__large_value_0001"}], {"big": "__large_value_0001"}),
    ],
)
def test_outputs_of_any_shape(given: Any, read: Any) -> None:
    assert Run.from_json({**RUN, "outputs": given}).outputs == read


def test_unknown_fields_and_statuses_are_kept() -> None:
    run = Run.from_json({**RUN, "status": "AwaitingGuidance", "stage": "Beta", "started_by": {"id": 1}})
    assert (run.status, run.stage, run.raw["started_by"]) == ("AwaitingGuidance", "Beta", {"id": 1})
    assert run.status not in LIVE_STATUSES


@pytest.mark.parametrize(
    ("given", "read"), [(None, ()), ([], ()), (["a", "s3://b/c"], ("a", "s3://b/c")), ("one", ("one",)), ([1], ("1",))]
)
def test_file_ids(given: Any, read: tuple[str, ...]) -> None:
    assert Run.from_json({**RUN, "file_ids": given}).file_ids == read


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2021-01-01T12:00:00", datetime(2021, 1, 1, 12, tzinfo=UTC)),
        ("2021-01-01T12:00:00Z", datetime(2021, 1, 1, 12, tzinfo=UTC)),
        ("2026-04-07T08:03:26.749054+00:00", datetime(2026, 4, 7, 8, 3, 26, 749054, tzinfo=UTC)),
        ("2026-04-07T08:03:26.749054123+02:00", datetime(2026, 4, 7, 6, 3, 26, 749054, tzinfo=UTC)),
        ("2021-01-01 12:00", datetime(2021, 1, 1, 12, tzinfo=UTC)),
        ("yesterday", None),
        ("", None),
        (None, None),
        (1609502400, None),
        ({}, None),
    ],
)
def test_times(text: Any, moment: datetime | None) -> None:
    assert parse_time(text) == moment


@given(st.datetimes(), st.none() | st.integers(-1439, 1439))
def test_times_come_back(moment: datetime, offset: int | None) -> None:
    aware = moment.replace(tzinfo=UTC if offset is None else timezone(timedelta(minutes=offset)))
    read = parse_time((moment if offset is None else aware).isoformat())
    assert read == aware
    assert read is not None
    assert read.tzinfo is not None


@pytest.mark.parametrize("data", [None, [], "x", 1, {}, {"id": None}, {"id": ""}, {"name": "x"}])
def test_without_an_id(data: Any) -> None:
    for model in (Run, Process, UploadTarget):
        with pytest.raises(MalformedAnswerError):
            model.from_json(data)


def test_the_documented_samples() -> None:
    assert Process.from_json(PROCESS_JSON).stage == "Published"
    target = UploadTarget.from_json(
        {
            "file_name": "document.pdf",
            "id": "s3://bucket/path/to/uploaded-file.pdf",
            "upload_fields": {"key": "path/to/file.pdf", "policy": "very-secret-policy", "signature": "abc"},
            "upload_http_headers": {},
            "upload_http_method": "POST",
            "upload_url": "http://example.com/file.pdf",
        }
    )
    assert (target.method, target.fields["key"]) == ("POST", "path/to/file.pdf")
    assert "secret" not in repr(target)
    with pytest.raises(MalformedAnswerError, match="upload_url"):
        UploadTarget.from_json({"id": "x", "upload_url": None})


def test_runs_can_be_pickled() -> None:
    run = Run.from_json(json.loads(json.dumps({**RUN, "outputs": [{"name": "a", "value": {"b": 1}}]})))
    assert pickle.loads(pickle.dumps(run)) == run
