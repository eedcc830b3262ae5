"""One long-lived process with a log file, started and ended without leaving anything behind."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import psutil

from sandbox import lifeline
from sandbox.errors import ServiceError

GRACE = 10.0
"""Seconds a service gets to end on SIGTERM before it is killed."""


class Service:
    """A command in a session of its own, so that it and all it forks can be found and ended together.

    :param name: what people call it
    :param command: program and arguments; the program is run directly, without a shell
    :param log: file that collects stdout and stderr over all starts
    :param env: the whole environment
    :param cwd: working directory
    """

    def __init__(self, name: str, command: Sequence[str], *, log: Path, env: Mapping[str, str], cwd: Path) -> None:
        self.name = name
        self.command = list(command)
        self.log = log
        self.env = dict(env)
        self.cwd = cwd
        self._guard: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the command; does nothing while it runs."""
        if self.running:
            return
        self._end_session()
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self._guard = subprocess.Popen(
                [sys.executable, "-P", lifeline.__file__, *self.command],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self.env,
                cwd=self.cwd,
                start_new_session=True,
            )

    @property
    def running(self) -> bool:
        """Whether the command itself is alive."""
        return self._guard is not None and self._guard.poll() is None

    def processes(self) -> list[psutil.Process]:
        """Every living process of this service, its guard left out; the command itself comes first."""
        if self._guard is None:
            return []
        guard = self._guard.pid
        members = [process for process in lifeline.session_members(guard) if process.pid != guard]
        return sorted(members, key=lambda process: (process.info["ppid"] != guard, process.pid))

    def check(self) -> None:
        """Raise when the command was started and has ended by itself.

        :raises ServiceError: with its exit code and the tail of its log
        """
        if self._guard is not None and (code := self._guard.poll()) is not None:
            raise ServiceError(f"{self.name} ended with exit code {code}\n{self.tail()}")

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the command alone, not to what it has forked."""
        self.processes()[0].send_signal(number)

    def kill(self) -> None:
        """SIGKILL the command and everything it has forked, as when a machine dies."""
        self._end_session()

    def terminate(self) -> None:
        """Ask the command to end (SIGTERM) without waiting for it."""
        with suppress(IndexError, psutil.NoSuchProcess):
            self.signal(signal.SIGTERM)

    def stop(self) -> None:
        """End the command by SIGTERM, then kill whatever is left of it after :data:`GRACE` seconds."""
        if self._guard is not None:
            self.terminate()
            with suppress(subprocess.TimeoutExpired):
                self._guard.wait(GRACE)
        self._end_session()

    def tail(self, lines: int = 40) -> str:
        """The last lines of the log, under a heading that names the file."""
        try:
            text = self.log.read_text(errors="replace")
        except FileNotFoundError:
            text = ""
        return "\n".join([f"--- end of {self.log}", *text.splitlines()[-lines:], "---"])

    def _end_session(self) -> None:
        if self._guard is None:
            return
        lifeline.kill_session(self._guard.pid)
        self._guard.communicate()
        self._guard = None


def free_port() -> int:
    """A loopback TCP port nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def base_environment() -> dict[str, str]:
    """This process's environment with the virtual environment's commands first, without settings of another Airflow.

    Loopback addresses are kept away from any proxy.
    """
    env = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
    env["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), env.get("PATH", os.defpath)])
    for name in ("NO_PROXY", "no_proxy"):
        env[name] = ",".join(filter(None, [env.get(name), "127.0.0.1", "localhost"]))
    return env
