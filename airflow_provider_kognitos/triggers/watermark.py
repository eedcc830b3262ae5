"""What a watcher remembers over a restart, in the state store of the assets that it serves. Airflow 3.3 or later."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

log = logging.getLogger(__name__)

#: When a state was stored: of several assets, the one stored last is right.
STORED_AT = "stored_at"


class Watermark:
    """
    The state of a watcher.

    :param store: the trigger's ``asset_state_store``, ``None`` to remember nothing.
    :param key: its key at every asset.
    """

    def __init__(self, store: Any, key: str) -> None:
        self._stores = _one_by_one(store)
        self._key = key
        self._stored: Mapping[str, Any] | None = None

    async def load(self) -> Any:
        """
        Return what was stored last, ``None`` if nothing was.

        :raises Exception: Airflow could not say.
        """
        found = [value for store in self._stores if (value := await store.aget(self._key)) is not None]
        states = [dict(value) for value in found if isinstance(value, Mapping)]
        if not states:
            return found[0] if found else None
        state = max(states, key=lambda value: str(value.get(STORED_AT)))
        state.pop(STORED_AT, None)
        return state

    async def save(self, state: Mapping[str, Any]) -> None:
        """Store a state at every asset. A failure is told; the next look stores what it has then."""
        if state == self._stored:
            return
        try:
            for store in self._stores:
                await store.aset(self._key, {**state, STORED_AT: datetime.now(UTC).isoformat()})
        except Exception as error:  # noqa: BLE001 - the watcher goes on, and tries again with its next look
            log.warning("Could not store which Kognitos runs have been told of: %s", type(error).__name__)
        else:
            self._stored = state


def _one_by_one(store: Any) -> list[Any]:
    """Return the store of each asset. A trigger that serves several is not told which ones; their store knows."""
    if store is None:
        return []
    of_assets = [*getattr(store, "_by_name", {}).values(), *getattr(store, "_by_uri", {}).values()]
    return of_assets or [store]
