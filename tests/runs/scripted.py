"""A service in memory that answers as it is told: for orders, lags and deaths that have to be exact."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from airflow_provider_kognitos.api.client import Page
from airflow_provider_kognitos.api.models import Run
from airflow_provider_kognitos.exceptions import KognitosNotFoundError

from .made import NOW, run


class Clock:
    """Time that passes only while somebody sleeps; ``at`` lets something happen meanwhile."""

    def __init__(self, now: datetime = NOW) -> None:
        self.now = now.timestamp()
        self.slept: list[float] = []
        self._events: list[tuple[float, Callable[[], None]]] = []

    def __call__(self) -> float:
        return self.now

    def moment(self) -> datetime:
        return datetime.fromtimestamp(self.now, UTC)

    def at(self, seconds: float, happens: Callable[[], None]) -> None:
        self._events.append((self.now + seconds, happens))

    def sleep(self, seconds: float) -> None:
        assert seconds >= 0
        self.slept.append(seconds)
        until = self.now + seconds
        for event in sorted(self._events, key=lambda event: event[0]):
            if event[0] <= until:
                self._events.remove(event)
                self.now = max(self.now, event[0])
                event[1]()
        self.now = until


class Scripted:
    """
    Stands in for ``KognitosClient``.

    :param started: what a start request meets: an exception, or what makes one; nothing for success.
    :param listed: the same for each page of the list.
    :param lag: seconds until a run that was started is listed.
    """

    def __init__(self, clock: Clock, *runs: Run, lag: float = 0.0, page_size: int = 100) -> None:
        self.clock = clock
        self.runs: dict[str, Run] = {item.id: item for item in runs}
        self.lag = lag
        self.page_size = page_size
        self.hides_outputs = True
        self.takes = 0.0
        self.closed = 0
        self.calls: list[str] = []
        self.sent: list[dict[str, Any]] = []
        self.created: list[str] = []
        self.uploaded: list[str] = []
        self.files_of: dict[str, list[str]] = {}
        self.started: Iterator[Callable[[Callable[[], Run]], Run]] = iter(())
        self.listed: Iterator[Exception | None] = iter(())
        self.got: Iterator[Exception | None] = iter(())
        self.upload: Callable[[str], str] = lambda source: f"file-{len(self.uploaded)}"
        self.order: Callable[[Sequence[Run]], Sequence[Run]] = lambda items: items[::-1]
        self._seen_from: dict[str, float] = {}

    def create(self, name: str, status: str = "Created", **more: Any) -> Run:
        created = run(f"new-{len(self.created) + 1}", status, name=name, created_at=self.clock.moment(), **more)
        self.runs[created.id] = created
        self.created.append(created.id)
        self.files_of[created.id] = self.sent[-1]["file_ids"] if self.sent else []
        self._seen_from[created.id] = self.clock() + self.lag
        return created

    def end(self, run_id: str, status: str, **more: Any) -> None:
        self.runs[run_id] = Run.from_json({**self.runs[run_id].raw, "status": status, **more})

    def start_run(
        self,
        *,
        process_id: str,
        agent_id: str,
        name: str,
        stage: str,
        inputs: Mapping[str, Any] | None,
        file_ids: Sequence[str],
    ) -> Run:
        self.calls.append("start")
        self.sent.append({"name": name, "inputs": inputs, "file_ids": list(file_ids), "stage": stage})
        answer = next(self.started, None)
        return self.create(name) if answer is None else answer(lambda: self.create(name))

    def get_run(self, run_id: str) -> Run:
        self.calls.append(f"get {run_id}")
        self.clock.now += self.takes
        if error := next(self.got, None):
            raise error
        if run_id not in self.runs or self._seen_from.get(run_id, 0.0) > self.clock():
            raise KognitosNotFoundError(f"no run {run_id}", status_code=404)
        return self.runs[run_id]

    def runs_page(
        self,
        process_id: str,
        agent_id: str,
        *,
        stage: str | None = None,
        limit: int = 100,
        continuation_token: str | None = None,
    ) -> Page[Run]:
        self.calls.append("page")
        self.clock.now += self.takes
        if error := next(self.listed, None):
            raise error
        visible = [item for item in self.runs.values() if self._seen_from.get(item.id, 0.0) <= self.clock()]
        listed = self.order(visible)
        first = int(continuation_token or 0)
        last = first + min(limit, self.page_size)
        items = tuple(listed[first:last])
        if self.hides_outputs:
            # As in the samples: an item of the list has no outputs.
            items = tuple(Run.from_json({**item.raw, "outputs": None}) for item in items)
        return Page(items, str(last) if last < len(listed) else None)

    def upload_file(self, source: str, *, agent_id: str, file_name: str | None = None) -> str:
        self.calls.append("upload")
        self.uploaded.append(source)
        return self.upload(source)

    def close(self) -> None:
        self.closed += 1
