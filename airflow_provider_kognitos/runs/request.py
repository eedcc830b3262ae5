"""What a task asks for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple


class RunRequest(NamedTuple):
    """
    What a task asks Kognitos to run.

    :param label: the user's part of the run's name.
    :param file_ids: ids of files uploaded before.
    :param files: sources of files to upload just before the start.
    """

    process_id: str
    agent_id: str
    stage: str
    label: str
    inputs: Mapping[str, Any] | None = None
    file_ids: Sequence[str] = ()
    files: Sequence[str] = ()
