"""Sets the stage of a running emulator, from a test or a demo."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any

import requests


class EmulatorControl:
    """
    The control endpoints of an emulator.

    :param base_url: its address, without ``/v2``.
    """

    def __init__(self, base_url: str) -> None:
        self._base_url = base_url.rstrip("/")
        self._session = requests.Session()
        self._session.trust_env = False

    def __enter__(self) -> EmulatorControl:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._session.close()

    def stats(self) -> dict[str, Any]:
        """Return counts: ``requests`` by endpoint, ``statuses``, ``runs_started``, ``uploads``, ``key_leaks``."""
        return dict(self._ask("GET", "stats"))

    def requests(self, since: int = 0) -> list[dict[str, Any]]:
        """Return the last requests, from the one after number ``since``."""
        return list(self._ask("GET", f"requests?since={since}"))

    def runs(self) -> list[dict[str, Any]]:
        """Return every run with all that is known of it."""
        return list(self._ask("GET", "runs"))

    def add_run(self, process_id: str, **run: Any) -> dict[str, Any]:
        """Add a run of somebody else: ``name``, ``status``, ``created_at`` (epoch seconds) and so on."""
        return self.add_runs([{"process_id": process_id, **run}])[0]

    def add_runs(self, runs: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Add many runs of somebody else."""
        return list(self._ask("POST", "runs", list(runs)))

    def change_run(self, run_id: str, *, status: str | None = None, outputs: Any = None) -> dict[str, Any]:
        """Change a run's status or outputs now."""
        return dict(self._ask("PATCH", f"runs/{run_id}", {"status": status, "outputs": outputs}))

    def uploads(self) -> list[dict[str, Any]]:
        """Return the files; those whose bytes have arrived have ``bytes`` and ``sha256``."""
        return list(self._ask("GET", "uploads"))

    def scenario(self) -> dict[str, Any]:
        """Return the scenario."""
        return dict(self._ask("GET", "scenario"))

    def play(self, scenario: Mapping[str, Any]) -> dict[str, Any]:
        """Play another scenario from now on, without any fault; runs keep their plans."""
        return dict(self._ask("PUT", "scenario", dict(scenario)))

    def fault(self, endpoint: str, kind: str, *, probability: float = 1.0, times: int | None = 1, **more: Any) -> None:
        """Let a fault come at the next request of an endpoint (``times=None``: at each from now on)."""
        fault = {"kind": kind, **more}
        rule = {"endpoint": endpoint, "fault": fault, "probability": probability, "times": times}
        self._ask("POST", "faults", [rule])

    def script(self, endpoint: str, faults: Sequence[Mapping[str, Any] | None]) -> None:
        """Let one fault after the other come, ``None`` for none."""
        self._ask("POST", "faults", [{"endpoint": endpoint, "script": list(faults)}])

    def clear_faults(self) -> None:
        """Let no fault come any more."""
        self._ask("DELETE", "faults")

    def reset(self) -> None:
        """Forget runs, files, faults and requests."""
        self._ask("POST", "reset")

    def _ask(self, method: str, path: str, body: Any = None) -> Any:
        response = self._session.request(method, f"{self._base_url}/control/{path}", json=body, timeout=30)
        if not response.ok:
            raise ValueError(f"{method} /control/{path}: {response.status_code} {response.text}")
        return response.json() if response.content else None
