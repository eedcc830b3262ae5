"""The Kognitos emulator as a process of its own, with a state file that outlives it."""

import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import requests

from airflow_provider_kognitos.emulator.control import EmulatorControl
from sandbox.errors import ServiceError
from sandbox.service import Service, base_environment, free_port


class LocalEmulator:
    """``kognitos-emulator`` on a free loopback port, which it keeps over restarts.

    :param home: folder of its state and log
    :param scenario: scenario file
    """

    def __init__(self, home: Path, *, scenario: Path | None = None) -> None:
        self.home = home.resolve()
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.control = EmulatorControl(self.url)
        command = [str(Path(sys.executable).parent / "kognitos-emulator"), "--host", "127.0.0.1"]
        command += ["--port", str(self.port), "--state", str(self.home / "emulator.sqlite")]
        if scenario is not None:
            command += ["--scenario", str(scenario.resolve())]
        self.service = Service(
            "emulator", command, log=self.home / "emulator.log", env=base_environment(), cwd=self.home
        )

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self, *, timeout: float = 30) -> None:
        """Start it and wait until it answers.

        :raises ServiceError: with the tail of its log
        """
        self.home.mkdir(parents=True, exist_ok=True)
        self.service.start()
        deadline = time.monotonic() + timeout
        while not self._answers():
            self.service.check()
            if time.monotonic() > deadline:
                raise ServiceError(f"the emulator doesn't answer after {timeout:.0f} s\n{self.service.tail()}")
            time.sleep(0.1)

    def stop(self) -> None:
        """Let it end."""
        self.service.stop()

    def kill(self) -> None:
        """SIGKILL it; :meth:`start` brings it back with its state."""
        self.service.kill()

    def runs_of(self, dag_run_id: str) -> list[dict[str, Any]]:
        """The runs started for a DAG run, oldest first, told by the label that the operator gives a run."""
        return [run for run in self.control.runs() if dag_run_id in run["name"]]

    def _answers(self) -> bool:
        try:
            self.control.stats()
        except (requests.ConnectionError, requests.Timeout):
            return False
        return True
