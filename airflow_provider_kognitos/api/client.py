"""The seven endpoints of the REST API v2."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar
from urllib.parse import quote

from airflow_provider_kognitos.api import checks, errors, retry
from airflow_provider_kognitos.api.models import MalformedAnswerError, Process, Run, UploadTarget
from airflow_provider_kognitos.api.pacing import Pacer
from airflow_provider_kognitos.api.transport import Answer, Transport
from airflow_provider_kognitos.exceptions import (
    KognitosApiError,
    KognitosAuthError,
    KognitosCapacityError,
    KognitosConnectionError,
    KognitosError,
    KognitosServerError,
    KognitosStartUncertainError,
)

if TYPE_CHECKING:
    from types import TracebackType

    from airflow_provider_kognitos.api.source import AnySource

T = TypeVar("T")


class Page(NamedTuple, Generic[T]):
    """
    A page of a list.

    :param items: what is on it.
    :param continuation_token: asks for the next page, ``None`` on the last.
    """

    items: tuple[T, ...]
    continuation_token: str | None


class KognitosClient:
    """
    Speaks to the Kognitos REST API v2. A few threads may share one client.

    Every method checks its arguments before it sends anything and raises
    :class:`~airflow_provider_kognitos.exceptions.KognitosConfigError` if one cannot work, a subclass of
    :class:`~airflow_provider_kognitos.exceptions.KognitosApiError` if the service refuses, and
    :class:`~airflow_provider_kognitos.exceptions.KognitosConnectionError` if it gives no answer.

    :param base_url: the service's address, with or without ``/v2`` at its end.
    :param api_key: sent as ``x-api-key``.
    :param timeout: seconds to connect, and seconds to wait for an answer.
    :param verify: whether to check the host's certificate, or the path of a CA bundle.
    :param user_agent: who is asking.
    :param pacer: spaces the requests.
    :param attempts: how often a request that may be repeated is sent in all; 1 for no retry.
    """

    def __init__(
        self,
        base_url: str,
        api_key: str,
        *,
        timeout: float = 30.0,
        verify: bool | str = True,
        user_agent: str | None = None,
        pacer: Pacer | None = None,
        attempts: int = 5,
    ) -> None:
        self._transport = Transport(
            base_url, api_key, timeout=timeout, verify=verify, user_agent=user_agent, pacer=pacer
        )
        self._user_agent = user_agent
        self._attempts = attempts

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._transport.base_url!r})"

    def __enter__(self) -> KognitosClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()

    def health(self) -> bool:
        """
        Return ``True`` if the service says that it is OK.

        :raises KognitosServerError: it says something else.
        """
        status = self._get("/health", _read_health)
        if status.upper() != "OK":
            raise KognitosServerError(f"GET /v2/health: the service says that it is {status!r}, not OK.")
        return True

    def processes_page(
        self, agent_id: str, *, limit: int = 100, continuation_token: str | None = None
    ) -> Page[Process]:
        """
        Return a page of an agent's processes.

        :param limit: how many at most, 1 to 100.
        :param continuation_token: from the page before.
        """
        params = {
            "agent_id": checks.url_id("agent_id", agent_id),
            "limit": checks.page_limit(limit),
            "continuation_token": continuation_token,
        }
        return self._get("/processes", partial(_read_page, Process.from_json), params)

    def list_processes(self, agent_id: str, *, limit: int | None = None) -> Iterator[Process]:
        """
        Return all processes of an agent, page after page as they are needed.

        :param limit: how many in all, ``None`` for every one.
        """
        checks.url_id("agent_id", agent_id)
        return _pages(partial(self.processes_page, agent_id), checks.total_limit(limit))

    def get_process(self, process_id: str, agent_id: str) -> Process:
        """Return a process."""
        path = f"/processes/{quote(checks.url_id('process_id', process_id), safe='')}"
        return self._get(path, Process.from_json, {"agent_id": checks.url_id("agent_id", agent_id)})

    def runs_page(
        self,
        process_id: str,
        agent_id: str,
        *,
        stage: str | None = None,
        limit: int = 100,
        continuation_token: str | None = None,
    ) -> Page[Run]:
        """
        Return a page of a process's runs. Their order is undocumented; their outputs may be left out.

        :param stage: ``Draft`` or ``Published``; what leaving it out means is undocumented.
        :param limit: how many at most, 1 to 100.
        :param continuation_token: from the page before.
        """
        params = {
            "process_id": checks.url_id("process_id", process_id),
            "agent_id": checks.url_id("agent_id", agent_id),
            "stage": None if stage is None else checks.stage(stage),
            "limit": checks.page_limit(limit),
            "continuation_token": continuation_token,
        }
        return self._get("/runs", partial(_read_page, Run.from_json), params)

    def list_runs(
        self, process_id: str, agent_id: str, *, stage: str | None = None, limit: int | None = None
    ) -> Iterator[Run]:
        """
        Return all runs of a process, page after page as they are needed.

        :param stage: ``Draft`` or ``Published``; what leaving it out means is undocumented.
        :param limit: how many in all, ``None`` for every one.
        """
        checks.url_id("process_id", process_id)
        checks.url_id("agent_id", agent_id)
        if stage is not None:
            checks.stage(stage)
        return _pages(partial(self.runs_page, process_id, agent_id, stage=stage), checks.total_limit(limit))

    def get_run(self, run_id: str) -> Run:
        """Return a run."""
        return self._get(f"/runs/{quote(checks.url_id('run_id', run_id), safe='')}", Run.from_json)

    def start_run(
        self,
        *,
        process_id: str,
        agent_id: str,
        name: str,
        stage: str = "Published",
        inputs: Mapping[str, Any] | None = None,
        file_ids: Sequence[str] | None = None,
    ) -> Run:
        """
        Start a run and return it.

        The API has no idempotency key, so the request is sent again only if it was refused unread (429) or
        has certainly never been sent.

        :param name: label of the run, 1 to 100 characters.
        :param stage: ``Published`` or ``Draft``.
        :param inputs: names and JSON values.
        :param file_ids: ids of uploaded files.
        :raises KognitosCapacityError: the organization is at its limit of concurrent runs.
        :raises KognitosStartUncertainError: nobody can know whether the run was started.
        """
        body = {
            "agent_id": checks.body_id("agent_id", agent_id),
            "process_id": checks.body_id("process_id", process_id),
            "name": checks.run_name(name),
            "stage": checks.stage(stage),
            "inputs": checks.inputs(inputs),
            "file_ids": checks.file_ids(file_ids),
        }
        try:
            return retry.call(partial(self._start, body), attempts=self._attempts, retry=retry.may_start_again)
        except KognitosAuthError as error:
            if not errors.is_ambiguous(error):
                raise
            raise self._disambiguated(error, process_id, agent_id) from error

    def create_upload(self, file_name: str, agent_id: str) -> UploadTarget:
        """
        Return a new target for the bytes of a file.

        :param file_name: 1 to 256 characters.
        """
        # Repeated like a GET: a target that nobody uses costs nothing.
        body = {
            "file_name": checks.file_name(file_name),
            "agent_id": checks.body_id("agent_id", agent_id),
        }
        return self._repeat("POST", "/files", UploadTarget.from_json, body=body)

    def upload_file(self, source: AnySource, *, agent_id: str, file_name: str | None = None) -> str:
        """
        Upload a file and return its id.

        :param source: a path, an ``ObjectStoragePath``, an object-store URL, or an open binary file, which is
            read from where it stands and left open.
        :param file_name: its name in Kognitos, the source's own if not given.
        :raises KognitosUploadError: the source cannot be read or is too big, or the storage refused it.
        """
        from airflow_provider_kognitos.api.upload import upload

        return upload(
            source,
            file_name=file_name,
            create_target=partial(self.create_upload, agent_id=checks.body_id("agent_id", agent_id)),
            timeout=self._transport.timeout,
            verify=self._transport.verify,
            user_agent=self._user_agent,
            attempts=self._attempts,
        )

    def _get(self, path: str, read: Callable[[Any], T], params: Mapping[str, Any] | None = None) -> T:
        return self._repeat("GET", path, read, params=params)

    def _repeat(self, method: str, path: str, read: Callable[[Any], T], **request: Any) -> T:
        def once() -> T:
            answer = self._transport.send(method, path, **request)
            return self._read(answer, f"{method} /v2{path}", read)

        return retry.call(once, attempts=self._attempts)

    def _read(self, answer: Answer, asked: str, read: Callable[[Any], T], *, starting: bool = False) -> T:
        if not 200 <= answer.status < 300 or errors.declares_error(answer):
            raise errors.refusal(answer, asked, scrub=self._transport.key.scrub, starting=starting)
        try:
            return read(json.loads(answer.body))
        except MalformedAnswerError as error:
            why = str(error)
        except (ValueError, RecursionError) as error:
            why = f"it is not JSON ({type(error).__name__}, {len(answer.body)} bytes)"
        raise errors.unreadable(answer, asked, why)

    def _start(self, body: Mapping[str, Any]) -> Run:
        self._transport.wait_for_turn()
        sent_at = datetime.now(UTC)
        try:
            # On a connection of its own: one that was kept alive may be closed by the service at this very
            # moment, and the outcome would be unknown for no good reason.
            answer = self._transport.send("POST", "/runs", body=body, fresh=True)
            return self._read(answer, "POST /v2/runs", Run.from_json, starting=True)
        except KognitosConnectionError as error:
            if not error.sent:
                raise
            raise _uncertain(body, error, sent_at) from error
        except KognitosServerError as error:
            raise _uncertain(body, error, sent_at) from error
        except KognitosApiError as error:
            # A redirect is no refusal: it may lead to what has been done.
            if 300 <= error.status_code < 400:
                raise _uncertain(body, error, sent_at) from error
            raise

    def _disambiguated(self, error: KognitosAuthError, process_id: str, agent_id: str) -> KognitosApiError:
        """
        Return what a 403 to a start means that does not say so itself.

        The service answers 403 both to a bad key and to a start over the limit of concurrent runs. A key that
        may read the process is a good key.
        """
        try:
            self.get_process(process_id, agent_id)
            found = f"but the key may read process {process_id}"
        except KognitosError as other:
            if not retry.may_repeat(other):
                return KognitosAuthError(
                    f"{error} The key may not read process {process_id} either ({other})",
                    status_code=error.status_code,
                    details=error.details,
                    reason=error.reason,
                )
            found = f"and whether the key is good could not be found out ({other})"
        return KognitosCapacityError(
            f"POST /v2/runs: Kognitos answered 403 ({error.reason or 'no reason given'}), {found}: taken as the "
            "limit of concurrent runs of the organization. The run was not started.",
            status_code=error.status_code,
            details=error.details,
            reason=error.reason,
        )


def _uncertain(body: Mapping[str, Any], error: KognitosError, sent_at: datetime) -> KognitosStartUncertainError:
    return KognitosStartUncertainError(
        f"Whether the run was started is not known: the start request was sent at {sent_at:%Y-%m-%d %H:%M:%S} UTC "
        f"and not answered clearly. {error} Before it is started again, look among the runs of process "
        f"{body['process_id']} (agent {body['agent_id']}, {body['stage']}) for one named {body['name']!r} that was "
        "created about then.",
        sent_at=sent_at,
    )


def _pages(page_of: Callable[..., Page[T]], limit: int | None) -> Iterator[T]:
    """Yield the items of all pages. The size stays the same: a token belongs to one and the same query."""
    size = min(limit or checks.MAX_PAGE, checks.MAX_PAGE)
    left = limit
    page: Page[T] = page_of(limit=size)
    while True:
        for item in page.items:
            yield item
            if left is not None:
                left -= 1
                if not left:
                    return
        if page.continuation_token is None:
            return
        following = page_of(limit=size, continuation_token=page.continuation_token)
        if following == page:
            raise KognitosServerError("The service gave the same page of a list twice; the list cannot be read.")
        page = following


def _read_page(read: Callable[[Any], T], data: Any) -> Page[T]:
    if not isinstance(data, dict):
        raise MalformedAnswerError(f"the list is not a JSON object but {type(data).__name__}")
    items = data.get("items")
    if items is not None and not isinstance(items, list):
        raise MalformedAnswerError(f"the items are not a list but {type(items).__name__}")
    if items is None and "items" not in data:
        raise MalformedAnswerError("the list has no items")
    token = data.get("continuation_token")
    return Page(tuple(read(item) for item in items or ()), str(token) if token not in (None, "") else None)


def _read_health(data: Any) -> str:
    if not isinstance(data, dict) or not isinstance(data.get("status"), str):
        raise MalformedAnswerError("the health has no status")
    return str(data["status"])
