"""What an Airflow connection of type ``kognitos`` says, read and checked."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, urlsplit

from airflow_provider_kognitos.api import checks
from airflow_provider_kognitos.exceptions import KognitosConfigError

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Connection

log = logging.getLogger(__name__)

REGIONS: Mapping[str, str] = {
    "us": "https://rest-api.app.kognitos.com",
    "eu": "https://rest-api.eu.kognitos.com",
    "uk": "https://rest-api.uk.kognitos.com",
}
#: The addresses of the web UI for other regions are not documented.
WEB_URLS: Mapping[str, str] = {"us": "https://app.kognitos.com"}

DEFAULT_REGION = "us"
DEFAULT_TIMEOUT = 30.0
MAX_TIMEOUT = 3600.0

EXTRAS = ("region", "agent_id", "web_url", "timeout", "requests_per_minute", "deployment", "verify")

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_TRUE = frozenset({"true", "yes", "on", "1"})
_FALSE = frozenset({"false", "no", "off", "0"})


@dataclass(frozen=True)
class ConnectionSettings:
    """
    A connection, checked.

    :param conn_id: its id in Airflow.
    :param base_url: the service's address.
    :param api_key: its password.
    :param region: ``us``, ``eu`` or ``uk``.
    :param custom_host: whether ``host`` replaces the region's address.
    :param agent_id: the agent used where a task names none.
    :param web_url: base of the web UI, ``None`` if unknown.
    :param timeout: seconds per request.
    :param requests_per_minute: client-side ceiling, ``None`` for none.
    :param deployment: name of this Airflow deployment.
    :param verify: whether to check certificates, or the path of a CA bundle.
    """

    conn_id: str
    base_url: str
    api_key: str = field(repr=False)
    region: str = DEFAULT_REGION
    custom_host: bool = False
    agent_id: str | None = None
    web_url: str | None = None
    timeout: float = DEFAULT_TIMEOUT
    requests_per_minute: float | None = None
    deployment: str = ""
    verify: bool | str = True

    @property
    def where(self) -> str:
        """The service in words, for messages."""
        return self.base_url if self.custom_host else f"region {self.region} ({self.base_url})"

    @classmethod
    def read(cls, connection: Connection) -> ConnectionSettings:
        """
        Read a connection, whether it comes from the form, the command line, a URI or JSON.

        :raises KognitosConfigError: a field cannot work; names connection, field and what it may be.
        """
        reader = _Reader(connection)
        region = reader.region()
        host = reader.host()
        return cls(
            conn_id=reader.conn_id,
            base_url=host or REGIONS[region],
            api_key=reader.api_key(),
            region=region,
            custom_host=host is not None,
            agent_id=reader.text("agent_id"),
            web_url=reader.web_url() or (None if host else WEB_URLS.get(region)),
            timeout=reader.number("timeout", MAX_TIMEOUT) or DEFAULT_TIMEOUT,
            requests_per_minute=reader.number("requests_per_minute", math.inf),
            deployment=reader.text("deployment") or "",
            verify=reader.verify(),
        )


class _Reader:
    """Reads one field after the other; extras from a URI are texts, from JSON they have types."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.conn_id = connection.conn_id or ""
        self._extra = self._read_extra()

    def api_key(self) -> str:
        key = self._connection.password
        if fault := checks.fault_of_key(key):
            raise self._refusal("password", fault)
        return str(key)

    def region(self) -> str:
        region = (self.text("region") or DEFAULT_REGION).lower()
        if region not in REGIONS:
            raise self._refusal("extra region", f"must be one of {', '.join(REGIONS)}, not {region[:40]!r}")
        return region

    def host(self) -> str | None:
        """Return the address that replaces the region's, ``None`` if there is none."""
        host = (self._connection.host or "").strip().rstrip("/")
        schema = (self._connection.schema or "").strip().strip("/")
        if not host:
            return None
        if "://" not in host:
            # As Airflow's HTTP connections have it: the scheme in a field of its own.
            host = f"{schema if schema in {'http', 'https'} else 'https'}://{host}"
        if schema not in {"", "http", "https", "v2"}:
            raise self._refusal("schema", f"must be http or https or left empty, not {schema[:40]!r}")
        parts = self._address("host", host)
        port = self._connection.port
        if port and parts.port is None:
            parts = parts._replace(netloc=f"{parts.netloc}:{port}")
        if parts.scheme == "http" and parts.hostname not in _LOOPBACK:
            log.warning(
                "Connection %s uses http: its API key travels in clear text to %s.", self.conn_id, parts.hostname
            )
        return parts.geturl()

    def web_url(self) -> str | None:
        url = self.text("web_url")
        return self._address("extra web_url", url.rstrip("/")).geturl() if url else None

    def verify(self) -> bool | str:
        value = self._extra.get("verify")
        if isinstance(value, bool):
            return value
        text = self.text("verify") or "true"
        if text.lower() in _TRUE:
            return True
        return False if text.lower() in _FALSE else text

    def text(self, name: str) -> str | None:
        value = self._extra.get(name)
        if value is None:
            return None
        if not isinstance(value, str):
            raise self._refusal(f"extra {name}", f"must be a text, not {type(value).__name__}")
        if not value.strip().isprintable():
            raise self._refusal(f"extra {name}", "must be a text without control characters")
        return value.strip() or None

    def number(self, name: str, most: float) -> float | None:
        value = self._extra.get(name)
        if value is None or value == "":
            return None
        try:
            number = math.nan if isinstance(value, bool) else float(value)
        except (TypeError, ValueError):
            number = math.nan
        if not 0 < number <= most or math.isinf(number):
            limit = f" up to {most:g}" if math.isfinite(most) else ""
            raise self._refusal(f"extra {name}", f"must be a number above 0{limit}, not {str(value)[:40]!r}")
        return number

    def _read_extra(self) -> dict[str, Any]:
        text = self._connection.extra
        try:
            # Not `extra_dejson`: where the text is not JSON it gives nothing, and an EU key would go to the US.
            extra = json.loads(text) if text and text.strip() else {}
        except ValueError:
            extra = None
        if not isinstance(extra, dict):
            raise self._refusal("extra", "must be a JSON object")
        unknown = sorted(name for name in extra if name not in EXTRAS)
        if unknown:
            log.warning(
                "Connection %s has extras that mean nothing here: %s. Known are: %s.",
                self.conn_id,
                ", ".join(unknown),
                ", ".join(EXTRAS),
            )
        return extra

    def _address(self, name: str, url: str) -> SplitResult:
        if fault := checks.fault_of_address(url):
            raise self._refusal(name, fault)
        return urlsplit(url)

    def _refusal(self, name: str, rule: str) -> KognitosConfigError:
        return KognitosConfigError(f"Connection {self.conn_id!r}: {name} {rule}.")
