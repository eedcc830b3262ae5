"""The sandbox leaves nothing behind: what it starts ends with it, however it ends."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from sandbox.errors import ServiceError
from sandbox.service import Service, base_environment

#: A command that forks a child into a process group of its own, as Airflow does with its tasks, and tells both pids.
FAMILY = """
import os, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], process_group=0)
print(os.getpid(), child.pid, flush=True)
time.sleep(600)
"""

#: A command whose children end as soon as they are born.
HYDRA = """
import os
os.fork(), os.fork(), os.fork()
while True:
    os.waitpid(os.fork() or os._exit(0), 0)
"""

#: A process that starts that command as a service, and waits.
PARENT = f"""
import signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell lets what it runs in the background ignore it
from pathlib import Path
from sandbox.service import Service, base_environment
home = Path(sys.argv[1])
Service("family", [sys.executable, "-c", {FAMILY!r}], log=home / "log", env=base_environment(), cwd=home).start()
time.sleep(600)
"""


def family(home: Path) -> Service:
    return Service("family", [sys.executable, "-c", FAMILY], log=home / "log", env=base_environment(), cwd=home)


def pids(log: Path) -> list[int]:
    deadline = time.monotonic() + 30
    while not (log.exists() and log.read_text().endswith("\n")):
        assert time.monotonic() < deadline, "the command never told its pids"
        time.sleep(0.05)
    return [int(word) for word in log.read_text().split()]


def gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def wait_until_gone(*pids: int) -> None:
    deadline = time.monotonic() + 30
    while not all(gone(pid) for pid in pids):
        assert time.monotonic() < deadline, f"{pids} still live"
        time.sleep(0.05)


@pytest.mark.parametrize("end", [Service.stop, Service.kill])
def test_service_ends_with_all_it_has_forked(end, tmp_path: Path) -> None:
    service = family(tmp_path)
    service.start()
    command, child = pids(service.log)
    assert [process.pid for process in service.processes()] == [command, child]
    end(service)
    wait_until_gone(command, child)
    assert not service.running


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_service_ends_with_the_process_that_started_it(number: signal.Signals, tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    parent = subprocess.Popen([sys.executable, "-c", PARENT, str(tmp_path)], cwd=root, stderr=subprocess.DEVNULL)
    try:
        command, child = pids(tmp_path / "log")
        os.kill(parent.pid, number)
        parent.wait(30)
        wait_until_gone(command, child)
    finally:
        parent.kill()


def test_processes_of_a_service_may_die_while_they_are_listed(tmp_path: Path) -> None:
    """As Airflow's tasks do."""
    command = [sys.executable, "-c", HYDRA]
    service = Service("hydra", command, log=tmp_path / "log", env=base_environment(), cwd=tmp_path)
    service.start()
    try:
        listings = [service.processes() for _ in range(150)]
    finally:
        service.kill()
    assert max(len(each) for each in listings) > 1, "no child was ever seen"


def test_death_of_a_service_is_told_with_the_end_of_its_log(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "print('out of coffee'); raise SystemExit(3)"]
    service = Service("kettle", command, log=tmp_path / "log", env=base_environment(), cwd=tmp_path)
    service.start()
    deadline = time.monotonic() + 30
    while service.running:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    with pytest.raises(ServiceError, match=r"kettle ended with exit code 3\n(.*\n)*out of coffee"):
        service.check()
    service.stop()
