"""KognitosFileUploadOperator: one id for one source, a list for a list."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from airflow_provider_kognitos.emulator.server import RunningEmulator
from airflow_provider_kognitos.exceptions import KognitosConfigError, KognitosUploadError
from airflow_provider_kognitos.operators.file import KognitosFileUploadOperator


def upload(**arguments: object) -> object:
    return KognitosFileUploadOperator(task_id="upload", **arguments).execute({})


def test_one_source_gives_one_id(emulator: RunningEmulator, tmp_path: Path) -> None:
    path = tmp_path / "invoice.txt"
    path.write_bytes(b"Total: 7")
    file_id = upload(source=path, file_name="renamed.txt")
    (file,) = emulator.control.uploads()
    assert file_id == file["id"]
    assert file["file_name"] == "renamed.txt"
    assert file["sha256"] == hashlib.sha256(b"Total: 7").hexdigest()


def test_many_sources_give_their_ids_in_order(emulator: RunningEmulator, tmp_path: Path) -> None:
    paths = [tmp_path / f"{number}.txt" for number in range(3)]
    for path in paths:
        path.write_text(path.name)
    ids = upload(source=[str(paths[0]), paths[1], paths[2].as_uri()])
    names = {file["id"]: file["file_name"] for file in emulator.control.uploads()}
    assert isinstance(ids, list)
    assert [names[file_id] for file_id in ids] == ["0.txt", "1.txt", "2.txt"]


def test_a_list_of_one_gives_a_list(emulator: RunningEmulator, tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("a")
    assert isinstance(upload(source=[path]), list)


def test_a_name_goes_with_a_single_source_only(emulator: RunningEmulator, tmp_path: Path) -> None:
    with pytest.raises(KognitosConfigError, match="single source"):
        upload(source=["a", "b"], file_name="c")
    with pytest.raises(KognitosConfigError, match="at least one"):
        upload(source=[])
    assert emulator.control.stats()["requests"] == {}


@pytest.mark.parametrize("content", [None, b""], ids=["missing", "empty"])
def test_nothing_is_sent_for_a_source_that_cannot_be_read(
    emulator: RunningEmulator, tmp_path: Path, content: bytes | None
) -> None:
    path = tmp_path / "invoice.pdf"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises((KognitosUploadError, KognitosConfigError), match=r"invoice\.pdf"):
        upload(source=path)
    assert emulator.control.stats()["requests"] == {}
