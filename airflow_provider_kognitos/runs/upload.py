"""Upload the files of a run side by side."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow_provider_kognitos.api.client import KognitosClient

log = logging.getLogger(__name__)

AT_ONCE = 4


def upload_all(
    client: KognitosClient, sources: Sequence[str], *, agent_id: str, keep: Callable[[str, str], None]
) -> None:
    """
    Upload files.

    When one fails, none is begun any more, but those under way are still kept; then the failure is raised.

    :param keep: called in this thread with each source and the id of its file, as soon as it is uploaded.
    :raises KognitosError: a file could not be uploaded.
    """
    failed: list[BaseException] = []
    with ThreadPoolExecutor(AT_ONCE, "kognitos-upload") as pool:
        uploads = {pool.submit(client.upload_file, source, agent_id=agent_id): source for source in sources}
        try:
            for upload in as_completed(uploads):
                if upload.cancelled():
                    continue
                source, error = uploads[upload], upload.exception()
                if error is None:
                    log.info("Uploaded %s to Kognitos as file %s.", source, upload.result())
                    keep(source, upload.result())
                else:
                    log.error("Could not upload %s to Kognitos: %s", source, error)
                    failed.append(error)
                    _begin_none_of(uploads)
        finally:
            _begin_none_of(uploads)
    if failed:
        raise failed[0]


def _begin_none_of(uploads: Iterable[Future[str]]) -> None:
    for upload in uploads:
        upload.cancel()
