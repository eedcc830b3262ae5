"""The operator that uploads files."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseOperator

from airflow_provider_kognitos.exceptions import KognitosConfigError
from airflow_provider_kognitos.operators.template_fields import GivenFields
from airflow_provider_kognitos.runs.arguments import texts

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_kognitos.hooks.kognitos import KognitosHook


class KognitosFileUploadOperator(BaseOperator):
    """
    Upload one file or many to Kognitos, for the ``file_ids`` of a later run.

    Returns one file id for one source, a list of ids for a list. Each file may have up to 1 GB and is
    streamed.

    :param source: a path or an object-store URL, or a list of them. (templated)
    :param file_name: name of the file in Kognitos, for a single source; its base name if not given. (templated)
    :param agent_id: the agent that will use the file; the connection's if not given. (templated)
    :param kognitos_conn_id: the :ref:`connection <howto/connection:kognitos>`.
    :raises KognitosUploadError: a file is missing, empty, too large or unreadable, or its upload failed.
    """

    template_fields: Sequence[str] = GivenFields(("source", "file_name", "agent_id"))
    ui_color = "#e8f0ff"

    def __init__(
        self,
        *,
        source: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
        file_name: str | None = None,
        agent_id: str | None = None,
        kognitos_conn_id: str = "kognitos_default",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.source = source
        self.file_name = file_name
        self.agent_id = agent_id
        self.kognitos_conn_id = kognitos_conn_id

    @cached_property
    def hook(self) -> KognitosHook:
        """The hook of the connection."""
        from airflow_provider_kognitos.hooks.kognitos import KognitosHook

        return KognitosHook(self.kognitos_conn_id)

    def execute(self, context: Context) -> str | list[str]:
        """Upload, and return the ids."""
        sources = texts("source", self.source)
        single = isinstance(self.source, (str, os.PathLike))
        if not sources:
            raise KognitosConfigError("source must name at least one file.")
        if self.file_name and not single:
            raise KognitosConfigError(f"file_name goes with a single source, but source is a list of {len(sources)}.")
        ids = [
            self.hook.upload_file(source, file_name=self.file_name or None, agent_id=self.agent_id)
            for source in sources
        ]
        for source, file_id in zip(sources, ids, strict=True):
            self.log.info("Uploaded %s to Kognitos as file %s.", source, file_id)
        return ids[0] if single else ids
