"""The emulated service itself: what is asked is answered from scenario, store and clock."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import random
import time
from collections import Counter, deque
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import formatdate
from typing import Any

from airflow_provider_kognitos.emulator.faults import FaultBox
from airflow_provider_kognitos.emulator.plan import draw_plan, duration, status_at
from airflow_provider_kognitos.emulator.protocol import Connections
from airflow_provider_kognitos.emulator.scenario import Key, Scenario
from airflow_provider_kognitos.emulator.store import Store

REQUESTS_KEPT = 10_000
#: Statuses, as documented, in which a run takes no capacity.
ENDED = frozenset({"Succeeded", "Failed", "Cancelled", "TimedOut"})


class Refusal(Exception):  # noqa: N818
    """An answer other than success."""

    def __init__(self, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
        super().__init__(status)
        self.status = status
        self.body = body
        self.headers = headers or {}


def error(status: int, message: str, details: list[Any] | None = None) -> Refusal:
    """Return a refusal in the service's own form."""
    return Refusal(status, {"status_code": status, "message": message, "details": details})


class Emulator:
    """
    The service.

    :param scenario: what to play.
    :param store: what to remember.
    :param clock: returns epoch seconds.
    """

    def __init__(self, scenario: Scenario, store: Store, clock: Callable[[], float] = time.time) -> None:
        self.store = store
        self.clock = clock
        self.connections = Connections()
        self.play(scenario)
        self.forget_requests()

    def play(self, scenario: Scenario) -> None:
        """Play a scenario from now on. Runs keep their plans."""
        self.scenario = scenario
        self.rng = random.Random(scenario.seed)  # noqa: S311
        # Apart from the above: how a run goes must not depend on how often somebody has looked at others.
        self.delays = random.Random(scenario.seed)  # noqa: S311
        self.faults = FaultBox(scenario.seed)
        self._tokens = max(1.0, scenario.rate_limit.requests_per_minute) if scenario.rate_limit else 0.0
        self._tokens_at = self.clock()

    def forget_requests(self) -> None:
        """Begin the statistics anew."""
        self.requests: deque[dict[str, Any]] = deque(maxlen=REQUESTS_KEPT)
        self.counts: Counter[str] = Counter()
        self.statuses: Counter[int] = Counter()
        self.leaks = 0

    def note(self, endpoint: str, status: int | None, **more: Any) -> None:
        """Note a request; ``status`` is ``None`` where no answer was given."""
        self.counts[endpoint] += 1
        self.statuses[status or 0] += 1
        number = sum(self.counts.values())
        self.requests.append({"seq": number, "time": self.clock(), "endpoint": endpoint, "status": status, **more})

    def admit(self, api_key: str | None) -> Key:
        """
        Return what an API key may do.

        :raises Refusal: the key is not known, or there were too many requests.
        """
        key = self.scenario.keys.get(api_key or "")
        if key is None:
            raise error(401, "access not permitted")
        self._throttle()
        return key

    def agent(self, key: Key, agent_id: str | None) -> str:
        """
        Return the agent of a request.

        :raises Refusal: it does not exist, or not for this key.
        """
        if agent_id not in self.scenario.agents or key.agent_id not in (None, agent_id):
            raise error(404, "The specified agent was not found")
        return agent_id

    def agent_of_file(self, key: Key, agent_id: str | None) -> str:
        """
        Return the agent of an upload, which an agent's key need not name.

        :raises Refusal: it is not named, does not exist, or not for this key.
        """
        if agent_id is None and key.agent_id is None:
            raise error(400, "Invalid input values", [{"agent_id": "required with a key of the organization"}])
        return self.agent(key, agent_id or key.agent_id)

    def processes(self, agent_id: str) -> list[dict[str, Any]]:
        """Return the processes of an agent."""
        return [process.model_dump() for process in self.scenario.processes if process.agent_id == agent_id]

    def has_process(self, process_id: str, agent_id: str) -> bool:
        """Whether an agent has a process, in whatever stage."""
        return any(process["id"] == process_id for process in self.processes(agent_id))

    def page(
        self, read: Callable[[int, int, float], list[Any]], query: dict[str, Any], limit: int, token: str | None
    ) -> dict[str, Any]:
        """
        Return a page of a list.

        :param read: returns items, given an offset, a limit and the time of the first page.
        :param query: what the list is of; a token belongs to one query.
        :raises Refusal: the token is not of this query, or too old.
        """
        query = {**query, "limit": limit}
        offset, since = self._read_token(token, query) if token else (0, self.clock())
        items = read(offset, limit + 1, since)
        more = len(items) > limit
        shown: list[Any] | None = items[:limit]
        if not shown and self.scenario.habits.empty_items_null:
            shown = None
        return {
            "items": shown,
            "continuation_token": self._token(query, offset + limit, since) if more else None,
        }

    def start_run(self, request: dict[str, Any]) -> dict[str, Any]:
        """
        Start a run.

        :raises Refusal: something it refers to does not exist, or there is no capacity for it.
        """
        now = self.clock()
        if not self.has_process(request["process_id"], request["agent_id"]):
            raise error(404, "A referenced resource was not found")
        for file_id in request["file_ids"] or ():
            file = self.store.file(file_id=file_id)
            if file is None or file["agent_id"] != request["agent_id"]:
                raise error(404, "A referenced resource was not found")
        capacity = self.scenario.capacity
        # Only the whole number is quick to ask for, so it comes first.
        if self.store.count_live(now) >= capacity.limit:
            active = [run for run in self.store.live_runs(now) if self._is_active(run)]
            if len(active) >= capacity.limit:
                raise error(capacity.status_code, capacity.message)
        run = {**request, "id": self.store.new_id()}
        return self.keep_run(run, draw_plan(self.scenario, self.rng, run), created_at=now)

    def keep_run(self, run: dict[str, Any], plan: dict[str, Any], *, created_at: float, **more: Any) -> dict[str, Any]:
        """Keep a run and return it as the store does."""
        self.store.add_run(**run, plan=plan, created_at=created_at, ends_at=created_at + duration(plan), **more)
        return self.store.run(run["id"]) or {}

    def status(self, run: dict[str, Any]) -> str:
        """Return the status of a run now."""
        return run["status"] or status_at(run["plan"], self.clock() - run["created_at"])

    def show(self, run: dict[str, Any], *, listed: bool = False) -> dict[str, Any]:
        """Return a run as the service shows it."""
        habits = self.scenario.habits
        status = self.status(run)
        hidden = listed and habits.list_hides_outputs
        shown = {
            "id": run["id"],
            "name": run["name"],
            "process_id": run["process_id"],
            "agent_id": run["agent_id"],
            "stage": run["stage"],
            "status": status,
            "created_at": self._timestamp(run["created_at"]),
            "file_ids": None if hidden else run["file_ids"],
            "outputs": None if hidden or status != "Succeeded" else run["plan"]["outputs"],
        }
        return {**shown, "a_field_of_tomorrow": {"any": "thing"}} if habits.extra_fields else shown

    def _is_active(self, run: dict[str, Any]) -> bool:
        idle = {*ENDED, *self.scenario.capacity.waiting, run["plan"]["result"]}
        return self.status(run) not in idle

    def _timestamp(self, moment: float) -> str:
        text = datetime.fromtimestamp(moment, UTC).isoformat()
        return text if self.scenario.habits.timestamps == "offset" else text.removesuffix("+00:00")

    def _token(self, query: dict[str, Any], offset: int, since: float) -> str:
        content = base64.urlsafe_b64encode(json.dumps([query, offset, since]).encode()).decode()
        return f"{content}.{self._seal(content)}"

    def _seal(self, content: str) -> str:
        return hmac.new(self.store.secret.encode(), content.encode(), hashlib.sha256).hexdigest()

    def _read_token(self, token: str, query: dict[str, Any]) -> tuple[int, float]:
        content, _, seal = token.partition(".")
        if not hmac.compare_digest(seal.encode(), self._seal(content).encode()):
            raise error(400, "Invalid input values", [{"continuation_token": "unknown"}])
        asked, offset, since = json.loads(base64.urlsafe_b64decode(content))
        lifetime = self.scenario.habits.token_lifetime
        if asked != query or (lifetime is not None and self.clock() > since + lifetime):
            raise error(400, "Invalid input values", [{"continuation_token": "of another query, or too old"}])
        return int(offset), float(since)

    def _throttle(self) -> None:
        limit = self.scenario.rate_limit
        if limit is None:
            return
        now, rate = self.clock(), limit.requests_per_minute / 60
        self._tokens = min(max(1.0, limit.requests_per_minute), self._tokens + (now - self._tokens_at) * rate)
        self._tokens_at = now
        if self._tokens >= 1:
            self._tokens -= 1
            return
        wait = (1 - self._tokens) / rate
        headers = {
            "seconds": {"Retry-After": str(int(wait) + 1)},
            "date": {"Retry-After": formatdate(now + wait + 1, usegmt=True)},
            "none": {},
        }[limit.retry_after]
        if limit.body == "gateway":
            raise Refusal(429, {"message": "Too Many Requests"}, headers)
        raise Refusal(429, error(429, "Too many requests").body, headers)
