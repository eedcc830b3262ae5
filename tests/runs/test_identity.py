from __future__ import annotations

from typing import Any

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from airflow_provider_kognitos.runs.identity import Marker, fingerprint_of, identity_of

#: The service's own limit.
NAME_LIMIT = 100
HEX = "0123456789abcdef"
markers = st.builds(
    Marker,
    identity=st.text(HEX, min_size=10, max_size=10),
    generation=st.integers(0, 999_999_999),
    fingerprint=st.text(HEX, min_size=4, max_size=4),
)
# Whole clusters, so that the cut falls into combining sequences, flags, families and pairs of surrogates.
clusters = st.sampled_from(
    [
        "a",
        " ",
        "\n",
        "\t",
        "\u00a0",
        "\u2028",
        "é",
        "e\u0301",
        "\u0301" * 5,
        "👩‍👩‍👧‍👦",
        "🇩🇪",
        "🧾",
        "漢",
        "ا",
        "\u202e",
        "\0",
        "\ud83e",
        "\uffff",
        "\U00010000",
        "[af-0123456789-1-abcd]",
        "[af-",
        "]",
        " [af-ffffffffff-99-ffff]",
    ]
)
labels = st.one_of(st.text(max_size=150), st.lists(clusters, max_size=120).map("".join))

TASK = {"deployment": "", "dag_id": "d", "run_id": "r", "task_id": "t", "map_index": -1}
REQUEST: dict[str, Any] = {
    "process_id": "p",
    "agent_id": "a",
    "stage": "Published",
    "inputs": {"b": 1, "a": {"y": [1, 2], "x": None}},
    "files": ["/one", "/two"],
}


def utf16_units(text: str) -> int:
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


@given(markers, labels)
@example(Marker("0" * 10, 0, "0" * 4), "🧾" * 60)
@example(Marker("0" * 10, 999_999_999, "0" * 4), "x" * 200)
def test_any_label_leaves_room_for_a_whole_marker(marker: Marker, label: str) -> None:
    name = marker.name(label)

    assert 1 <= len(name) <= utf16_units(name) <= NAME_LIMIT
    assert name.endswith(str(marker))
    assert Marker.read(name) == marker


@given(markers, labels)
def test_a_label_is_cut_only_at_its_end_and_only_if_it_must_be(marker: Marker, label: str) -> None:
    plain = " ".join(label.split())
    kept = marker.name(label).removesuffix(str(marker)).removesuffix(" ")

    assert plain.startswith(kept)
    rest = plain[len(kept) :].lstrip()
    if rest:
        # Not one more character would have had room, besides a space that was taken off.
        longer = plain[: len(plain) - len(rest) + 1]
        assert utf16_units(f"{longer} {marker}") > NAME_LIMIT


@given(markers)
def test_a_label_of_spaces_leaves_the_marker_alone(marker: Marker) -> None:
    assert marker.name(" \n\t") == str(marker)


@given(markers, markers)
def test_a_marker_inside_the_label_is_not_taken_for_the_runs_own(own: Marker, foreign: Marker) -> None:
    name = own.name(f"again {foreign}")

    assert Marker.read(name) == own


@pytest.mark.parametrize(
    "name",
    [
        "",
        "Process invoice 42",
        "[af-0123456789-1-abc]",
        "[af-0123456789-1-abcde]",
        "[af-012345678-1-abcd]",
        "[af-0123456789--abcd]",
        "[af-0123456789-x-abcd]",
        "[af-0123456789-1-ABCD]",
        "[af-0123456789-1-abcd",
        "af-0123456789-1-abcd",
        "[af-0123456789-١-abcd]",
        f"[af-0123456789-{'9' * 5000}-abcd]",
    ],
)
def test_a_name_without_a_whole_marker_has_none(name: str) -> None:
    assert Marker.read(name) is None


texts = st.text(max_size=12)
tasks = st.fixed_dictionaries(
    {"deployment": texts, "dag_id": texts, "run_id": texts, "task_id": texts, "map_index": st.integers(-1, 10_000)}
)


@given(tasks, tasks)
def test_two_task_instances_never_share_an_identity(one: dict[str, Any], other: dict[str, Any]) -> None:
    assume(one != other)

    assert identity_of(**one) != identity_of(**other)


@given(tasks, tasks, st.sampled_from(sorted(TASK)))
def test_each_field_alone_changes_the_identity(one: dict[str, Any], other: dict[str, Any], field: str) -> None:
    assume(one[field] != other[field])

    assert identity_of(**one) != identity_of(**{**one, field: other[field]})


def test_text_that_moves_from_one_field_to_the_next_changes_the_identity() -> None:
    assert identity_of(**{**TASK, "dag_id": "a.b", "task_id": "c"}) != identity_of(
        **{**TASK, "dag_id": "a", "task_id": "b.c"}
    )
    assert identity_of(**{**TASK, "dag_id": 'a","b'}) != identity_of(**{**TASK, "dag_id": "a", "run_id": "b"})


@given(tasks)
def test_an_identity_is_ten_hex_digits_and_stays_the_same(task: dict[str, Any]) -> None:
    identity = identity_of(**task)

    assert len(identity) == 10
    assert set(identity) <= set(HEX)
    assert identity_of(**dict(reversed(task.items()))) == identity


def test_a_new_release_finds_the_runs_of_the_one_before() -> None:
    assert identity_of(deployment="", dag_id="invoices", run_id="manual__1", task_id="pay", map_index=3) == "4cc6beaf33"
    assert fingerprint_of(**REQUEST) == "7b20"
    assert str(Marker("4cc6beaf33", 3, "7b20")) == "[af-4cc6beaf33-3-7b20]"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=5), children, max_size=3),
    max_leaves=10,
)


def reversed_everywhere(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: reversed_everywhere(item) for name, item in reversed(value.items())}
    if isinstance(value, list):
        return [reversed_everywhere(item) for item in value]
    return value


@given(st.dictionaries(st.text(max_size=8), json_values, max_size=6))
def test_the_order_of_the_inputs_does_not_change_the_fingerprint(inputs: dict[str, Any]) -> None:
    turned = reversed_everywhere(inputs)

    assert fingerprint_of(**{**REQUEST, "inputs": inputs}) == fingerprint_of(**{**REQUEST, "inputs": turned})


@pytest.mark.parametrize(
    "change",
    [
        {"process_id": "q"},
        {"agent_id": "b"},
        {"stage": "Draft"},
        {"inputs": None},
        {"inputs": {"b": 2, "a": {"y": [1, 2], "x": None}}},
        {"inputs": {"b": "1", "a": {"y": [1, 2], "x": None}}},
        {"inputs": {"b": 1, "a": {"y": [2, 1], "x": None}}},
        {"files": []},
        {"files": ["/one"]},
        {"files": ["/two", "/one"]},
        {"files": ["/one/two"]},
    ],
    ids=repr,
)
def test_each_part_of_what_is_asked_for_changes_the_fingerprint(change: dict[str, Any]) -> None:
    assert fingerprint_of(**{**REQUEST, **change}) != fingerprint_of(**REQUEST)


def test_text_that_is_no_text_has_a_fingerprint_too() -> None:
    assert fingerprint_of(**{**REQUEST, "inputs": {"a": "\ud83e"}}) != fingerprint_of(
        **{**REQUEST, "inputs": {"a": ""}}
    )


def test_no_inputs_and_empty_inputs_ask_for_the_same() -> None:
    assert fingerprint_of(**{**REQUEST, "inputs": None}) == fingerprint_of(**{**REQUEST, "inputs": {}})


@given(st.dictionaries(st.text(max_size=8), json_values, max_size=4), st.lists(st.text(max_size=30), max_size=3))
def test_a_fingerprint_is_four_hex_digits(inputs: dict[str, Any], files: list[str]) -> None:
    fingerprint = fingerprint_of(**{**REQUEST, "inputs": inputs, "files": files})

    assert len(fingerprint) == 4
    assert set(fingerprint) <= set(HEX)
