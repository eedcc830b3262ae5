"""A real Airflow on this machine: every component a process of its own, SQLite, its own home."""

import json
import secrets
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from contextlib import closing
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import requests

from sandbox.api import AirflowApi
from sandbox.errors import AirflowApiError, ServiceError
from sandbox.service import Service, base_environment, free_port

QUICK = {
    "core.load_examples": "False",
    "core.parallelism": "4",
    "core.default_task_retry_delay": "1",
    "core.killed_task_cleanup_time": "5",
    "core.hostname_callable": "socket.gethostname",
    "database.load_default_connections": "False",
    "logging.colored_console_log": "False",
    "api.workers": "1",
    "scheduler.job_heartbeat_sec": "1",
    "scheduler.scheduler_heartbeat_sec": "1",
    "scheduler.scheduler_idle_sleep_time": "0.5",
    "scheduler.scheduler_health_check_threshold": "15",
    "scheduler.trigger_timeout_check_interval": "1",
    "scheduler.orphaned_tasks_check_interval": "10",
    "scheduler.task_instance_heartbeat_sec": "2",
    "scheduler.task_instance_heartbeat_timeout": "12",
    "scheduler.task_instance_heartbeat_timeout_detection_interval": "2",
    "workers.min_heartbeat_interval": "1",
    "triggerer.job_heartbeat_sec": "1",
    "triggerer.triggerer_health_check_threshold": "6",
    "dag_processor.refresh_interval": "3",
    "dag_processor.min_file_process_interval": "300",
    "dag_processor.parsing_processes": "1",
    "dag_processor.print_stats_interval": "300",
    "usage_data_collection.enabled": "False",
}
"""Settings that make a small Airflow react within a second or two and notice deaths within seconds."""

QUICK_2 = {
    "core.executor": "LocalExecutor",
    "api.auth_backends": "airflow.api.auth.backend.basic_auth,airflow.api.auth.backend.session",
    "api.enable_xcom_deserialize_support": "True",
    "webserver.workers": "1",
    "scheduler.local_task_job_heartbeat_sec": "2",
    "scheduler.scheduler_zombie_task_threshold": "12",
    "scheduler.zombie_detection_interval": "2",
    "scheduler.dag_dir_list_interval": "3",
    "scheduler.min_file_process_interval": "300",
    "scheduler.parsing_processes": "1",
}
"""What Airflow 2.11 needs beside :data:`QUICK`."""

USER = "admin"


class LocalAirflow:
    """A scheduler, DAG processor, triggerer and API server of the Airflow installed in this virtual environment.

    Use it in a ``with`` block, or call :meth:`start` and :meth:`stop`.

    :param home: AIRFLOW_HOME; kept when it is there already
    :param dags: folders with DAG files
    :param connections: value of ``AIRFLOW_CONN_…`` by connection id, a URI or a mapping that becomes JSON
    :param settings: Airflow's own settings as ``section.option``, over those of :data:`QUICK`
    :param env: further environment variables
    :param password: of the user :data:`USER`; made up when not given
    """

    def __init__(
        self,
        home: Path,
        dags: Iterable[Path],
        *,
        connections: Mapping[str, str | Mapping[str, Any]] | None = None,
        settings: Mapping[str, str] | None = None,
        env: Mapping[str, str] | None = None,
        password: str | None = None,
    ) -> None:
        self.version = version("apache-airflow")
        self.home = home.resolve()
        self.logs = self.home / "logs"
        self.dags = [folder.resolve() for folder in dags]
        self.password = password or secrets.token_urlsafe(12)
        self.url = f"http://127.0.0.1:{free_port()}"
        self._is_2 = self.version.startswith("2.")
        self.env = self._environment(connections or {}, settings or {}, env or {})
        self.services = {name: self._service(name, *command) for name, command in self._commands().items()}
        self.api = AirflowApi(
            self.url, airflow_version=self.version, user=USER, password=self.password, check=self.check
        )

    def _environment(
        self, connections: Mapping[str, str | Mapping[str, Any]], settings: Mapping[str, str], env: Mapping[str, str]
    ) -> dict[str, str]:
        host, port = self.url.removeprefix("http://").split(":")
        merged = {
            **QUICK,
            "core.dags_folder": str(self.home / "dags"),
            "database.sql_alchemy_conn": self._database(timeout=30),
            "logging.base_log_folder": str(self.logs),
        }
        if self._is_2:
            merged |= {**QUICK_2, "webserver.base_url": self.url}
            merged |= {"webserver.web_server_host": host, "webserver.web_server_port": port}
        else:
            merged |= {"api.host": host, "api.port": port, "api.base_url": self.url}
            merged |= {"core.execution_api_server_url": f"{self.url}/execution/"}
            merged |= {"core.simple_auth_manager_users": f"{USER}:admin"}
            merged |= {"core.simple_auth_manager_passwords_file": str(self.home / "passwords.json")}
        merged |= settings
        return {
            **base_environment(),
            # Airflow 2 refuses to run tasks side by side on SQLite for fear of locks; the write-ahead log avoids them.
            "_AIRFLOW__SKIP_DATABASE_EXECUTOR_COMPATIBILITY_CHECK": "1",
            "AIRFLOW_HOME": str(self.home),
            **{f"AIRFLOW__{name.replace('.', '__').upper()}": value for name, value in merged.items()},
            **{
                f"AIRFLOW_CONN_{conn_id.upper()}": value if isinstance(value, str) else json.dumps(value)
                for conn_id, value in connections.items()
            },
            **env,
        }

    def _commands(self) -> dict[str, list[str]]:
        commands = {
            "scheduler": ["scheduler", "--skip-serve-logs"],
            "triggerer": ["triggerer", "--skip-serve-logs"],
        }
        if self._is_2:
            # Its scheduler reads the DAG files itself: on SQLite it refuses a DAG processor beside it.
            return {**commands, "webserver": ["webserver"]}
        return {**commands, "dag-processor": ["dag-processor"], "api-server": ["api-server"]}

    def _database(self, *, timeout: float) -> str:
        """The database, whose file is waited for so long when somebody else has locked it."""
        return f"sqlite:///{self.home / 'airflow.db'}?timeout={timeout:.0f}"

    def _service(self, name: str, *command: str) -> Service:
        env = self.env
        if name == "api-server":
            # Its event loop waits for locks that only a request held up by this very waiting gives back. It answers 500
            # then, and whoever asked asks again.
            env = {**env, "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": self._database(timeout=2)}
        return Service(name, self._airflow(*command), log=self.logs / f"{name}.log", env=env, cwd=self.home)

    @staticmethod
    def _airflow(*arguments: str) -> list[str]:
        return [sys.executable, "-P", "-m", "airflow", *arguments]

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

    def start(self, *, timeout: float = 120) -> None:
        """Create or migrate the database, start every component and wait until each has sent a heartbeat."""
        self._lay_out_home()
        self.cli("db", "migrate", timeout=timeout)
        self._use_write_ahead_log()
        if self._is_2:
            self._create_user_2(timeout)
        for service in self.services.values():
            service.start()
        self._wait_until_healthy(self.services, timeout)

    def stop(self) -> None:
        """End every component and whatever they have forked."""
        for service in self.services.values():
            service.terminate()
        for service in self.services.values():
            service.stop()

    def restart(self, *, timeout: float = 120) -> None:
        """Stop everything and start it again on the same database."""
        self.stop()
        self.start(timeout=timeout)

    def start_component(self, name: str, *, timeout: float = 60) -> None:
        """Start one component and wait for its heartbeat."""
        self.services[name].start()
        self._wait_until_healthy([name], timeout)

    def stop_component(self, name: str) -> None:
        """Let one component end in its own time."""
        self.services[name].stop()

    def kill_component(self, name: str) -> None:
        """SIGKILL one component and all it has forked; killing the scheduler kills the running tasks too."""
        self.services[name].kill()

    def check(self) -> None:
        """Raise when a component has ended that nobody stopped.

        :raises ServiceError: with the tail of its log
        """
        for service in self.services.values():
            service.check()

    def cli(self, *arguments: str, timeout: float = 120) -> str:
        """Run the ``airflow`` command in this home and return what it prints.

        :raises ServiceError: when it fails
        """
        done = subprocess.run(
            self._airflow(*arguments),
            env=self.env,
            cwd=self.home,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        if done.returncode:
            raise ServiceError(f"airflow {' '.join(arguments)} failed\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}")
        return done.stdout

    def _lay_out_home(self) -> None:
        """One DAGs folder that links to all that were asked for: Airflow 2.11 reads a single one."""
        root = self.home / "dags"
        root.mkdir(parents=True, exist_ok=True)
        for folder in self.dags:
            link = root / folder.name
            link.unlink(missing_ok=True)
            link.symlink_to(folder)
        if not self._is_2:
            passwords = self.home / "passwords.json"
            passwords.touch(mode=0o600)
            passwords.write_text(json.dumps({USER: self.password}))

    def _use_write_ahead_log(self) -> None:
        """Let components read while another one writes; the setting stays in the file."""
        with closing(sqlite3.connect(self.home / "airflow.db")) as database:
            database.execute("PRAGMA journal_mode=WAL")

    def _create_user_2(self, timeout: float) -> None:
        names = ["--firstname", "Local", "--lastname", "Admin", "--email", "admin@example.com"]
        self.cli("users", "create", "-u", USER, "-p", self.password, "-r", "Admin", *names, timeout=timeout)

    def _wait_until_healthy(self, names: Iterable[str], timeout: float) -> None:
        started = datetime.now(UTC)
        deadline = time.monotonic() + timeout
        waiting = set(names)
        signed_in = False
        while waiting:
            for name in waiting:
                self.services[name].check()
            if time.monotonic() > deadline:
                tails = "\n".join(self.services[name].tail() for name in sorted(waiting))
                raise ServiceError(f"not ready after {timeout:.0f} s: {', '.join(sorted(waiting))}\n{tails}")
            time.sleep(0.25)
            try:
                if not signed_in:
                    self.api.sign_in()
                    signed_in = True
                waiting = {name for name in waiting if not self._is_healthy(name, started)}
            except (requests.ConnectionError, requests.Timeout, AirflowApiError):
                continue

    def _is_healthy(self, name: str, since: datetime) -> bool:
        if name in {"api-server", "webserver"}:
            return True
        key = name.replace("-", "_")
        health = self.api.health().get(key, {})
        heartbeat = health.get(f"latest_{key}_heartbeat")
        return health.get("status") == "healthy" and datetime.fromisoformat(heartbeat or "0001-01-01T00:00Z") > since
