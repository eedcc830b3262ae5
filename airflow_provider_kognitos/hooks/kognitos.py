"""The hook: an Airflow connection becomes a client of the Kognitos REST API v2."""

from __future__ import annotations

import platform
import time
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from airflow.providers.common.compat.sdk import AirflowNotFoundException, BaseHook

try:
    from airflow.sdk.log import mask_secret
except ImportError:  # Airflow 2
    from airflow.utils.log.secrets_masker import mask_secret  # type: ignore[import-not-found, no-redef]

from airflow_provider_kognitos import __version__
from airflow_provider_kognitos.exceptions import (
    KognitosAuthError,
    KognitosConfigError,
    KognitosConnectionError,
    KognitosError,
    KognitosNotFoundError,
    KognitosValidationError,
)
from airflow_provider_kognitos.hooks.connection import DEFAULT_REGION, DEFAULT_TIMEOUT, REGIONS, ConnectionSettings

if TYPE_CHECKING:
    from airflow_provider_kognitos.api.client import KognitosClient
    from airflow_provider_kognitos.api.models import Process, Run
    from airflow_provider_kognitos.api.source import AnySource

#: As long as a run's id, but of no run.
NO_RUN = "0" * 25


class KognitosHook(BaseHook):
    """
    Use the Kognitos REST API v2 with an Airflow connection.

    Every method raises :class:`~airflow_provider_kognitos.exceptions.KognitosConfigError` if connection or
    arguments cannot work, a subclass of :class:`~airflow_provider_kognitos.exceptions.KognitosApiError` if the
    service refuses, and :class:`~airflow_provider_kognitos.exceptions.KognitosConnectionError` if it gives no
    answer.

    :param kognitos_conn_id: the connection.
    """

    conn_name_attr = "kognitos_conn_id"
    default_conn_name = "kognitos_default"
    conn_type = "kognitos"
    hook_name = "Kognitos"

    def __init__(self, kognitos_conn_id: str = default_conn_name) -> None:
        super().__init__()
        self.kognitos_conn_id = kognitos_conn_id
        self._client: KognitosClient | None = None

    @classmethod
    def get_ui_field_behaviour(cls) -> dict[str, Any]:
        """Return labels and placeholders of the connection form, for Airflow up to 3.1."""
        return {
            "hidden_fields": ["login", "port", "schema", "extra"],
            "relabeling": {"password": "API key", "host": "API base URL"},
            "placeholders": {
                "password": "from Kognitos: user icon > API Keys",
                "host": "only to replace the region's, e.g. http://127.0.0.1:8099",
                "agent_id": "used where a task names none",
                "web_url": "https://app.kognitos.com",
                "verify": "true, false, or the path of a CA bundle",
            },
        }

    @classmethod
    def get_connection_form_widgets(cls) -> dict[str, Any]:
        """Return further fields of the connection form, for Airflow up to 3.1."""
        from flask_appbuilder.fieldwidgets import BS3TextFieldWidget  # type: ignore[import-not-found,unused-ignore]
        from flask_babel import lazy_gettext  # type: ignore[import-not-found,unused-ignore]
        from wtforms import IntegerField, StringField  # type: ignore[import-not-found,import-untyped,unused-ignore]
        from wtforms.validators import (  # type: ignore[import-not-found,import-untyped,unused-ignore]
            Optional,
            any_of,
        )

        def text(label: str, *validators: Any, default: str | None = None) -> Any:
            return StringField(
                lazy_gettext(label), validators=[Optional(), *validators], widget=BS3TextFieldWidget(), default=default
            )

        def number(label: str, default: int | None = None) -> Any:
            return IntegerField(
                lazy_gettext(label), validators=[Optional()], widget=BS3TextFieldWidget(), default=default
            )

        return {
            # A drop-down in Airflow 3.1; Airflow 2 checks what is typed.
            "region": text("Region", any_of(list(REGIONS)), default=DEFAULT_REGION),
            "agent_id": text("Agent ID"),
            "web_url": text("Web UI URL"),
            "timeout": number("Time-out (s)", default=int(DEFAULT_TIMEOUT)),
            "requests_per_minute": number("Requests per minute"),
            "deployment": text("Deployment"),
            "verify": text("Verify TLS", default="true"),
        }

    @cached_property
    def settings(self) -> ConnectionSettings:
        """The connection, read once and checked."""
        connection = self.get_connection(self.kognitos_conn_id)
        if connection.password:
            mask_secret(connection.password)
        return ConnectionSettings.read(connection)

    def get_conn(self) -> KognitosClient:
        """Return the client of this hook. It keeps its connections alive from call to call."""
        if self._client is None:
            self._client = self.client()
        return self._client

    def client(self, *, attempts: int | None = None, timeout: float | None = None) -> KognitosClient:
        """
        Return a new client, which the caller closes.

        :param attempts: how often a request that may be repeated is sent in all; 1 for no retry.
        :param timeout: seconds per request, instead of the connection's.
        """
        # Loaded with the first request, not with the DAG file.
        from airflow_provider_kognitos.api.client import KognitosClient
        from airflow_provider_kognitos.api.pacing import Pacer

        settings = self.settings
        limit = settings.requests_per_minute
        options: dict[str, Any] = {} if attempts is None else {"attempts": attempts}
        return KognitosClient(
            settings.base_url,
            settings.api_key,
            timeout=settings.timeout if timeout is None else timeout,
            verify=settings.verify,
            user_agent=_user_agent(),
            pacer=Pacer.shared((settings.conn_id, settings.base_url), limit) if limit else None,
            **options,
        )

    def health(self) -> bool:
        """Return ``True`` when the service says that it is OK; raise otherwise."""
        return self.get_conn().health()

    def list_processes(self, agent_id: str | None = None, limit: int | None = None) -> Iterator[Process]:
        """
        Return all processes of an agent, page after page as they are needed.

        :param agent_id: the agent, the connection's if not given.
        :param limit: how many in all, ``None`` for every one.
        """
        return self.get_conn().list_processes(self.agent(agent_id), limit=limit)

    def get_process(self, process_id: str, agent_id: str | None = None) -> Process:
        """
        Return a process.

        :param agent_id: the agent, the connection's if not given.
        """
        return self.get_conn().get_process(process_id, self.agent(agent_id))

    def find_process(self, name: str, agent_id: str | None = None, stage: str | None = None) -> Process:
        """
        Return the one process of a name.

        :param agent_id: the agent, the connection's if not given.
        :param stage: prefers a process listed in this stage where several have the name.
        :raises KognitosNotFoundError: none has it; names those that come near.
        :raises KognitosConfigError: several have it; names them.
        """
        agent = self.agent(agent_id)
        processes = list(self.get_conn().list_processes(agent))
        named = [process for process in processes if process.name == name]
        if not named:
            raise KognitosNotFoundError(_nothing_named(name, agent, processes), status_code=404)
        # Draft and Published of one process have one id; whether both are listed is not documented.
        of_stage = [process for process in named if process.stage == stage]
        candidates = of_stage or named
        if len({process.id for process in candidates}) > 1:
            found = ", ".join(f"{process.id} ({process.stage})" for process in candidates)
            raise KognitosConfigError(
                f"Several processes of agent {agent} are named {name!r}: {found}. Give the process_id of the one meant."
            )
        return candidates[0]

    def list_runs(
        self, process_id: str, agent_id: str | None = None, stage: str | None = None, limit: int | None = None
    ) -> Iterator[Run]:
        """
        Return all runs of a process, page after page as they are needed, in no documented order.

        A run on the list may lack its outputs; :meth:`get_run` has them.

        :param agent_id: the agent, the connection's if not given.
        :param stage: ``Draft`` or ``Published``; what leaving it out means is undocumented.
        :param limit: how many in all, ``None`` for every one.
        """
        return self.get_conn().list_runs(process_id, self.agent(agent_id), stage=stage, limit=limit)

    def start_run(
        self,
        process_id: str,
        name: str,
        agent_id: str | None = None,
        inputs: Mapping[str, Any] | None = None,
        file_ids: Sequence[str] | None = None,
        stage: str = "Published",
    ) -> Run:
        """
        Start a run and return it, without waiting for its end.

        :param name: label of the run, 1 to 100 characters.
        :param agent_id: the agent, the connection's if not given.
        :param inputs: names and JSON values.
        :param file_ids: ids of uploaded files.
        :param stage: ``Published`` or ``Draft``.
        :raises KognitosCapacityError: the organization is at its limit of concurrent runs.
        :raises KognitosStartUncertainError: nobody can know whether the run was started.
        """
        return self.get_conn().start_run(
            process_id=process_id,
            agent_id=self.agent(agent_id),
            name=name,
            stage=stage,
            inputs=inputs,
            file_ids=file_ids,
        )

    def get_run(self, run_id: str) -> Run:
        """Return a run with its outputs."""
        return self.get_conn().get_run(run_id)

    def upload_file(self, source: AnySource, file_name: str | None = None, agent_id: str | None = None) -> str:
        """
        Upload a file and return its id, to be given to :meth:`start_run`.

        :param source: a path, an ``ObjectStoragePath``, an object-store URL, or an open binary file, which is
            read from where it stands and left open.
        :param file_name: its name in Kognitos, the source's own if not given.
        :param agent_id: the agent that is to use it, the connection's if not given.
        :raises KognitosUploadError: the source cannot be read or is too big, or the storage refused it.
        """
        return self.get_conn().upload_file(source, agent_id=self.agent(agent_id), file_name=file_name)

    def wait_for_run(
        self,
        run_id: str,
        timeout: float | None = None,
        poll_interval: float = 15.0,
        max_poll_interval: float = 60.0,
    ) -> Run:
        """
        Wait for a run to end, well or badly, and return it with its outputs.

        :param timeout: seconds to wait at most, ``None`` for as long as it takes.
        :param poll_interval: seconds between looks at first.
        :param max_poll_interval: seconds between looks at a run that takes long.
        :raises KognitosRunTimeoutError: it did not end in time; it goes on.
        :raises KognitosPollError: the service could not be asked any more.
        """
        from airflow_provider_kognitos.runs.polling import Cadence, Wait
        from airflow_provider_kognitos.runs.wait import wait_for_run

        now = time.time()
        outcome = wait_for_run(
            self.get_conn(),
            Wait(
                run_id=run_id,
                started_at=now,
                cadence=Cadence(poll_interval, max_poll_interval),
                deadline=None if timeout is None else now + timeout,
                limit=f"timeout of {timeout} s",
            ),
        )
        return outcome.ended_run()

    def run_url(self, run: Run) -> str | None:
        """Return the address of a run in the Kognitos web UI, ``None`` if that is not known."""
        web_url, agent_id = self.settings.web_url, run.agent_id or self.settings.agent_id
        if not (web_url and agent_id and run.process_id):
            return None
        agent, process, run_id = (quote(part, safe="") for part in (agent_id, run.process_id, run.id))
        return f"{web_url}/department/{agent}/processes/{process}/run/{run_id}"

    def test_connection(self) -> tuple[bool, str]:
        """Ask the service, and return whether the connection works, and what is wrong or what was checked."""
        try:
            return True, self._checked()
        except AirflowNotFoundException:
            return False, f"There is no connection {self.kognitos_conn_id!r}."
        except KognitosError as error:
            return False, self._trouble(error)
        except Exception as error:  # noqa: BLE001 - Airflow shows what is returned, and no traceback
            # Only the kind: the text of a foreign error may hold the whole connection.
            return False, f"The connection could not be tested: {type(error).__name__}. The log may say more."

    def _checked(self) -> str:
        settings = self.settings
        with self.client(attempts=1, timeout=min(settings.timeout, 10.0)) as client:
            client.health()
            if settings.agent_id is None:
                return self._checked_without_agent(client)
            try:
                client.processes_page(settings.agent_id, limit=1)
            except KognitosNotFoundError as error:
                raise KognitosConfigError(f"{self._place()}the agent was not found there. {error}") from error
        return f"Kognitos at {settings.where} is up and accepts the API key for agent {settings.agent_id}."

    def _checked_without_agent(self, client: KognitosClient) -> str:
        up, no_agent = f"Kognitos at {self.settings.where} is up", "Extra agent_id is not set: each task must name one."
        try:
            # Whether health looks at the key is not documented, and every other call but this wants an agent. Of a run
            # that is not there, a good key is told just that.
            client.get_run(NO_RUN)
        except KognitosNotFoundError:
            pass
        except KognitosValidationError:
            return f"{up}. Whether it accepts the API key can only be checked with an agent. {no_agent}"
        return f"{up} and accepts the API key. {no_agent}"

    def _trouble(self, error: KognitosError) -> str:
        if isinstance(error, KognitosConfigError):
            return str(error)
        where = self._place()
        if isinstance(error, KognitosAuthError):
            return f"{where}the API key was refused. {error} {self._home_of_a_key()}"
        if isinstance(error, KognitosNotFoundError):
            return f"{where}nothing answers there as Kognitos does. Check the host of the connection. {error.reason}"
        if isinstance(error, KognitosConnectionError):
            return f"{where}no answer. {error}"
        return f"{where}{error}"

    def _place(self) -> str:
        return f"Kognitos at {self.settings.where}, agent {self.settings.agent_id or 'not set'}: "

    def _home_of_a_key(self) -> str:
        settings = self.settings
        if settings.custom_host:
            return f"A key works only where it was made: does this one belong to {settings.base_url}?"
        others = " or ".join(region for region in REGIONS if region != settings.region)
        return (
            f"A key works only in the region where it was made, and the connection's is {settings.region}: if this one "
            f"was made in {others}, set extra region to that."
        )

    def agent(self, agent_id: str | None = None) -> str:
        """
        Return the agent to use.

        :param agent_id: the one asked for, the connection's if not given.
        :raises KognitosConfigError: neither names one.
        """
        agent = agent_id or self.settings.agent_id
        if not agent:
            raise KognitosConfigError(
                f"No agent: give agent_id, or set extra agent_id of connection {self.kognitos_conn_id!r}."
            )
        return agent


def _nothing_named(name: str, agent: str, processes: Sequence[Process]) -> str:
    from difflib import get_close_matches

    by_lower = {process.name.casefold(): process.name for process in processes}
    near = [by_lower[match] for match in get_close_matches(name.casefold(), by_lower, n=3)]
    hint = f"Near to it: {', '.join(map(repr, near))}." if near else "None comes near it."
    return f"No process of agent {agent} is named {name!r}; it has {len(processes)}. {hint}"


def _user_agent() -> str:
    import airflow

    version = getattr(airflow, "__version__", "unknown")
    return f"airflow-provider-kognitos/{__version__} Airflow/{version} Python/{platform.python_version()}"
