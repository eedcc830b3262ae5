"""Call somebody when a run takes long: it may wait for a person, and the API need not say so."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow_provider_kognitos.exceptions import KognitosConfigError

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

#: What is called: as Airflow's own ``on_failure_callback``, a function of the context or a notifier, or many.
Callbacks = Callable[..., Any] | Collection[Callable[..., Any]]

log = logging.getLogger(__name__)

KEY = "kognitos_attention"


def callbacks_of(argument: str, value: Callbacks | None) -> tuple[Callable[..., Any], ...]:
    """
    Return one or many callbacks as many.

    :raises KognitosConfigError: something in it cannot be called.
    """
    many = () if value is None else (value,) if callable(value) or not isinstance(value, Collection) else tuple(value)
    for callback in many:
        if not callable(callback):
            raise KognitosConfigError(
                f"{argument} must be a function of the context, a notifier, or a list of those; got {callback!r}."
            )
    return many


class Attention:
    """
    Sees to it that callbacks are called once for a run that takes long.

    Airflow 3.3 and later remember it with the task instance, over retries and deaths: a worker that is killed
    while the callbacks are being called calls them again, since one call too many is better than none. Before
    3.3 there is nowhere to remember it but the wait itself, so each attempt calls them once.

    :param context: the context of the running task, given to the callbacks.
    :param after: seconds after a run's creation, ``None`` to call nobody.
    :param callbacks: what to call.
    :param since: since when a run has gone on whose creation is not known, epoch seconds; now if not given.
    """

    def __init__(
        self,
        context: Context,
        after: float | None,
        callbacks: Collection[Callable[..., Any]],
        since: float | None = None,
    ) -> None:
        self._context: Any = context
        self._after = after
        self._callbacks = callbacks
        self._store: Any = context.get("task_state_store")
        self._since = time.time() if since is None else since
        self._called: set[str] = set()

    @property
    def survives(self) -> bool:
        """Whether the next process knows whom this one has called."""
        return self._store is not None

    @property
    def asked_for(self) -> bool:
        """Whether anybody is ever to be called."""
        return self._after is not None and bool(self._callbacks)

    def due_at(self, result: Mapping[str, Any]) -> float | None:
        """
        Return when the callbacks are to be called for a run, ``None`` for never or not again.

        :param result: the run as the task returns it.
        """
        if self._after is None or not self._callbacks or self._has_been_called(result["run_id"]):
            return None
        return self._created(result) + self._after

    def give(self, result: Mapping[str, Any]) -> None:
        """
        Call the callbacks; one that fails is logged, and fails nothing.

        :param result: the run as the task returns it.
        """
        run_id = result["run_id"]
        if self._has_been_called(run_id):
            return
        age = timedelta(seconds=round(time.time() - self._created(result)))
        log.warning("Kognitos run %s is still %s after %s. %s", run_id, result["status"], age, result["url"] or "")
        # Airflow's own notifiers add to the context of the task, too.
        self._context.update({"run": dict(result), "link": result["url"], "age": age})
        for callback in self._callbacks:
            try:
                callback(self._context)
            except Exception:
                log.exception("on_attention_callback %r failed for Kognitos run %s.", callback, run_id)
        self._called.add(run_id)
        if self._store is not None:
            from airflow.sdk.execution_time.context import NEVER_EXPIRE

            self._store.set(KEY, sorted(self._called | self._remembered()), retention=NEVER_EXPIRE)

    def give_if_due(self, result: Mapping[str, Any]) -> None:
        """Call the callbacks if it is time for that and they have not been called."""
        # The time first: what is remembered has to be asked for over the network.
        if self._after is not None and self._callbacks and self._created(result) + self._after <= time.time():
            self.give(result)

    def _has_been_called(self, run_id: str) -> bool:
        return run_id in self._called or run_id in self._remembered()

    def _remembered(self) -> set[str]:
        stored = self._store.get(KEY) if self._store is not None else None
        return set(stored) if isinstance(stored, list) else set()

    def _created(self, result: Mapping[str, Any]) -> float:
        created_at = result["created_at"]
        return datetime.fromisoformat(created_at).timestamp() if created_at else self._since
