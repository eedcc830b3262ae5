"""
One request to the service, one answer or one error. No retries here.

The API key lives in one object that neither shows it nor lets it out: the errors of requests and urllib3 hold
the request with its headers, so none of them is ever chained; what they say is told in words of our own.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from http.client import HTTPException
from http.cookiejar import DefaultCookiePolicy
from types import MappingProxyType
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase

from airflow_provider_kognitos.api import checks
from airflow_provider_kognitos.api.pacing import Pacer
from airflow_provider_kognitos.exceptions import KognitosConfigError, KognitosConnectionError

#: Connections kept alive: a client is shared by a few threads at most.
POOL_SIZE = 4

#: What requests may raise for a request that got no answer; not all of it is wrapped by requests itself.
FAILURES = (requests.RequestException, urllib3.exceptions.HTTPError, HTTPException, OSError, ValueError)
_INVALID_ADDRESS = (
    requests.exceptions.InvalidURL,
    requests.exceptions.InvalidSchema,
    requests.exceptions.MissingSchema,
)


class Answer(NamedTuple):
    """What came back: a status and a body of any kind."""

    status: int
    headers: Mapping[str, str] = MappingProxyType({})
    body: bytes = b""

    def __repr__(self) -> str:
        # What a service says of a request may hold anything of it.
        return f"{type(self).__name__}({self.status})"


class NoCredentials(AuthBase):
    """Sends nothing, and so keeps requests from sending what ``~/.netrc`` has for the host."""

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Return the request as it is."""
        return request


class ApiKey(NoCredentials):
    """Sends the API key in its header."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def __repr__(self) -> str:
        return "ApiKey(***)"

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Set the header."""
        request.headers["x-api-key"] = self._value
        return request

    def scrub(self, value: Any) -> Any:
        """Return JSON without the key: a service may well quote the key it refuses."""
        if isinstance(value, str):
            return value.replace(self._value, "***")
        if isinstance(value, dict):
            return {self.scrub(name): self.scrub(item) for name, item in value.items()}
        if isinstance(value, list):
            return [self.scrub(item) for item in value]
        return value


class Transport:
    """
    Sends requests to the service with the API key, over connections that are kept alive.

    :param base_url: with or without ``/v2`` at its end.
    :param api_key: sent as ``x-api-key``, to this host only.
    :param timeout: seconds to connect, and seconds to wait for an answer.
    :param verify: whether to check the host's certificate, or the path of a CA bundle.
    :param user_agent: who is asking.
    :param pacer: spaces the requests.
    :raises KognitosConfigError: an argument cannot work.
    """

    def __init__(
        self,
        base_url: str,
        api_key: str,
        *,
        timeout: float,
        verify: bool | str,
        user_agent: str | None,
        pacer: Pacer | None,
    ) -> None:
        self.base_url = service_url(base_url)
        self.key = ApiKey(checked_key(api_key))
        self.timeout = timeout
        self.verify = verify
        self._user_agent = user_agent
        self._pacer = pacer
        self._session = open_session(self.key, user_agent)

    def wait_for_turn(self) -> None:
        """Sleep until the connection's ceiling on requests lets the next one go."""
        if self._pacer is not None:
            self._pacer.wait()

    def send(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        body: Mapping[str, Any] | None = None,
        fresh: bool = False,
    ) -> Answer:
        """
        Send one request.

        :param path: below the base URL, its parts quoted.
        :param params: the query; what is ``None`` is left out.
        :param body: sent as JSON; what is ``None`` is left out.
        :param fresh: send it at once, over a connection of its own. A connection that was kept alive may have been
            closed by the service meanwhile, and then nobody knows whether the request was read. The caller has
            waited for its turn (:meth:`wait_for_turn`), and so knows when the request left.
        :raises KognitosConnectionError: no answer; its ``sent`` is ``False`` where nothing has left.
        :raises KognitosConfigError: the request cannot be made.
        """
        if not fresh:
            self.wait_for_turn()
            return self._send(self._session, None, method, path, params, body)
        line = _Line()
        with open_session(self.key, self._user_agent, adapter=line) as session:
            return self._send(session, line, method, path, params, body)

    def _send(
        self,
        session: requests.Session,
        line: _Line | None,
        method: str,
        path: str,
        params: Mapping[str, Any] | None,
        body: Mapping[str, Any] | None,
    ) -> Answer:
        headers = {"Accept": "application/json"}
        data = None
        if body is not None:
            headers["Content-Type"] = "application/json"
            data = json.dumps(_given(body), allow_nan=False).encode()
        try:
            response = session.request(
                method,
                self.base_url + path,
                params=_given(params or {}),
                data=data,
                headers=headers,
                timeout=(self.timeout, self.timeout),
                # Given here and not to the session: REQUESTS_CA_BUNDLE would win over the session's.
                verify=self.verify,
                allow_redirects=False,
            )
            return Answer(response.status_code, dict(response.headers), response.content)
        except FAILURES as failure:
            told, hopeless = tell(failure), cannot_heal(failure)
        # Out of the handler, so that the failure, which holds the key, is not even the context of this.
        asked = f"{method} {self.base_url}{path}"
        sent = line is None or line.connected
        if hopeless and not (line and line.connected):
            raise KognitosConfigError(f"{asked} could not be sent: {self.key.scrub(told)}.")
        raise KognitosConnectionError(f"{asked} got no answer: {self.key.scrub(told)}. {advice(told)}", sent=sent)

    def close(self) -> None:
        """Close the connections."""
        self._session.close()


class _Line(HTTPAdapter):
    """
    A connection of one request's own, that knows whether it ever stood.

    Which error says that nothing was sent? None for sure: a TLS error may come from the handshake or from
    reading the answer, a time-out too. But before a connection stands (TCP, proxy tunnel and TLS handshake)
    nothing can have gone over it.
    """

    def __init__(self) -> None:
        self.connected = False
        super().__init__(pool_connections=1, pool_maxsize=1, max_retries=0)

    def get_connection_with_tls_context(self, *args: Any, **kwargs: Any) -> Any:
        pool: Any = super().get_connection_with_tls_context(*args, **kwargs)
        pool.ConnectionCls = self._noting(pool.ConnectionCls)
        return pool

    def _noting(self, connection: Any) -> Any:
        line = self

        class NotingConnection(connection):  # type: ignore[misc]
            def connect(self) -> None:
                super().connect()
                line.connected = True

        return NotingConnection


class _Session(requests.Session):
    def get_redirect_target(self, resp: requests.Response) -> None:
        """Return no target: requests prepares the next request, key and all, even if it is not to follow."""


def open_session(auth: AuthBase, user_agent: str | None, *, adapter: HTTPAdapter | None = None) -> requests.Session:
    """
    Return a session whose only credentials are those given.

    It heeds the environment's proxies and CA bundle; ``auth`` being set keeps ``~/.netrc`` out. Nothing below
    it sends a request a second time.
    """
    session = _Session()
    session.auth = auth
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    if user_agent:
        session.headers["User-Agent"] = user_agent
    adapter = adapter or HTTPAdapter(pool_connections=1, pool_maxsize=POOL_SIZE, max_retries=0)
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    return session


def service_url(base_url: str) -> str:
    """
    Return the base of all paths, which ends in ``/v2``.

    :raises KognitosConfigError: it is no address. The message does not show it: it may hold credentials.
    """
    if fault := checks.fault_of_address(base_url):
        raise KognitosConfigError(f"The base URL of the service {fault}.")
    url = base_url.rstrip("/")
    return url if urlsplit(url).path.endswith("/v2") else f"{url}/v2"


def checked_key(api_key: str) -> str:
    """
    Return the API key if a header can hold it.

    :raises KognitosConfigError: it cannot. The message does not show it.
    """
    if fault := checks.fault_of_key(api_key):
        raise KognitosConfigError(f"The API key {fault}.")
    return api_key


def cannot_heal(failure: BaseException) -> bool:
    """Return whether another try would fail alike: a bad address, or a CA bundle that does not exist."""
    no_bundle = isinstance(failure, OSError) and not isinstance(failure, requests.RequestException)
    return no_bundle or isinstance(failure, _INVALID_ADDRESS)


def tell(failure: BaseException) -> str:
    """Return in words what the innermost cause of a failure is."""
    cause: BaseException = failure
    while inner := next((part for part in _parts(cause) if isinstance(part, BaseException)), None):
        cause = inner
    # "HTTPSConnection(host='…', port=443): what happened"; the host is in our own message.
    text = re.sub(r"^\w+\(host=[^)]*\): ", "", " ".join(str(cause).split()))
    through = "through the proxy of the environment, " if isinstance(failure, requests.exceptions.ProxyError) else ""
    return f"{through}{type(cause).__name__}: {text}"[:400].rstrip(".")


def _parts(failure: BaseException) -> tuple[Any, ...]:
    return (getattr(failure, "reason", None), *failure.args)


def advice(told: str) -> str:
    """Return what to do about a request without an answer."""
    lower = told.lower()
    if "proxy" in lower:
        return "Check the proxy settings of the environment (HTTPS_PROXY, NO_PROXY)."
    if "wrong_version_number" in lower:
        return "The host seems to speak http, not https: write the scheme in front of the host of the connection."
    if "certificate" in lower or "ssl" in lower:
        return (
            "Check the host, and the CA bundle: extra `verify` of the connection, or REQUESTS_CA_BUNDLE, if "
            "your network has a certificate authority of its own."
        )
    if "resolve" in lower or "name or service" in lower or "getaddrinfo" in lower:
        return "Check the region or host of the connection, and the DNS of this machine."
    if "timed out" in lower or "timeout" in lower:
        return "Check that this machine may reach the host; extra `timeout` of the connection gives it longer."
    return "Check the region or host of the connection, and that this machine may reach it."


def _given(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}
