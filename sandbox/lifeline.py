"""Run a command that ends when the process that asked for it ends, however that one ends.

``python lifeline.py COMMAND...`` is started with a pipe as stdin. The pipe closes when its other end dies, SIGKILL
included, and then everything in this session is killed: an interrupted test run or demo leaves no Airflow behind.
"""

import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress

import psutil


def session_members(session: int) -> list[psutil.Process]:
    """Every living process of a session; ``info`` of each has its parent's ID as it was then, under ``ppid``.

    A session holds together what a process group does not: Airflow puts each task process into a group of its own.
    """
    members = []
    for process in psutil.process_iter(["status", "ppid"]):
        try:
            if os.getsid(process.pid) == session and process.info["status"] != psutil.STATUS_ZOMBIE:
                members.append(process)
        except (ProcessLookupError, PermissionError):
            continue
    return members


def kill_session(session: int) -> None:
    """SIGKILL every process of a session, again until none is left: a process may fork while it is being killed."""
    while members := [process for process in session_members(session) if process.pid != os.getpid()]:
        for process in members:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        time.sleep(0.02)


class _Lifeline(threading.Thread):
    """Waits for the end of stdin, then kills the session."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.cut = threading.Event()

    def run(self) -> None:
        os.read(0, 1)
        self.cut.set()
        kill_session(os.getsid(0))


def main() -> int:
    """Run the command; return its exit code as a shell tells it."""
    # A signal to the whole session is the command's to answer. A handler, since the command would inherit SIG_IGN.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    command = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL)
    lifeline = _Lifeline()
    lifeline.start()
    code = command.wait()
    if lifeline.cut.is_set():
        # The command may be the first to die of it; the rest has to follow.
        lifeline.join()
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main())
