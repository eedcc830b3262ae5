"""What the triggerer of Airflow 3.3 does with watchers, with its own shared streams, in one event loop."""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from contextlib import suppress
from typing import Any

from airflow_provider_kognitos.triggers.event import KognitosRunEventTrigger
from tests.operators.driver import again


class AssetStore:
    """Stands in for the state store of one asset: JSON in, JSON out."""

    def __init__(self) -> None:
        self.values: dict[str, str] = {}
        self.writes = 0
        self.broken = False

    async def aget(self, key: str, default: Any = None) -> Any:
        await asyncio.sleep(0)
        if self.broken:
            raise RuntimeError("No answer.")
        return json.loads(self.values[key]) if key in self.values else default

    async def aset(self, key: str, value: Any) -> None:
        await asyncio.sleep(0)
        if self.broken:
            raise RuntimeError("No answer.")
        self.writes += 1
        self.values[key] = json.dumps(value)


class Triggerer:
    """
    Runs watchers until it is killed.

    :param assets: the stores of the assets that all watchers serve.
    :param loses: whether events get lost on their way into the database.
    """

    def __init__(self, *assets: AssetStore, loses: bool = False, **settings: Any) -> None:
        from airflow.triggers.shared_stream import SharedStreamManager

        self.assets = assets
        self.loses = loses
        self.streams = SharedStreamManager(**settings)
        self.events: dict[int, list[dict[str, Any]]] = defaultdict(list)
        self.watchers: dict[int, asyncio.Task[None]] = {}

    def watch(self, trigger: KognitosRunEventTrigger, trigger_id: int = 1) -> None:
        self.watchers[trigger_id] = asyncio.create_task(self._run(again(trigger), trigger_id))

    async def _run(self, trigger: Any, trigger_id: int) -> None:
        from airflow.sdk.execution_time.context import AssetStateStoreAccessors

        stores = AssetStateStoreAccessors(inlets=[])
        stores._by_name = {f"asset-{number}": asset for number, asset in enumerate(self.assets)}  # type: ignore[misc]
        stores._total = len(self.assets)
        trigger.asset_state_store = stores if self.assets else None
        key = trigger.shared_stream_key()
        stream = self.streams.subscribe(trigger_id=trigger_id, trigger=trigger, key=key)
        try:
            async for event in trigger.filter_shared_stream(stream):
                seq = self.streams.bind_pending_event(trigger_id=trigger_id, key=key)
                if self.loses:
                    continue
                self.events[trigger_id].append(json.loads(json.dumps(event.payload)))
                if seq is not None:
                    asyncio.get_running_loop().call_later(0.02, self.streams.confirm_persisted, [seq])
        finally:
            await self.streams.unsubscribe(trigger_id, key)

    def told(self, trigger_id: int = 1) -> list[str]:
        return [event["run_id"] for event in self.events[trigger_id]]

    async def stop(self, trigger_id: int) -> None:
        task = self.watchers.pop(trigger_id)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    async def kill(self) -> None:
        """Nothing more is stored, confirmed or told: what is under way is cut off."""
        for asset in self.assets:
            asset.broken = True
        for trigger_id in list(self.watchers):
            await self.stop(trigger_id)
        await self.streams.stop_all()
        for asset in self.assets:
            asset.broken = False
