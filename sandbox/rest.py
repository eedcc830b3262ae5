"""Requests to Airflow's REST API: v2 of Airflow 3, v1 of Airflow 2.11."""

import time
from collections.abc import Callable
from typing import Any

import requests
import tenacity

from sandbox.errors import AirflowApiError, NotReachedError


def _may_heal(error: BaseException) -> bool:
    # SQLite is locked now and then, which is answered with 500; an API server that restarts refuses connections.
    return isinstance(error, requests.ConnectionError | requests.Timeout) or (
        isinstance(error, AirflowApiError) and error.status_code >= 500
    )


class RestApi:
    """One Airflow's REST API, signed in to.

    :param base_url: address of the API server, without a path
    :param airflow_version: such as ``3.3.2``; anything before 3 is spoken to in API v1
    :param user: name that signs in
    :param password: its password
    :param check: called between looks while waiting; raises when waiting has become pointless
    """

    def __init__(
        self, base_url: str, *, airflow_version: str, user: str, password: str, check: Callable[[], None] = lambda: None
    ) -> None:
        self.base_url = base_url
        self.is_v1 = int(airflow_version.split(".")[0]) < 3
        self.check = check
        self._credentials = (user, password)
        self._session = requests.Session()
        self._session.trust_env = False
        if self.is_v1:
            self._session.auth = self._credentials

    def sign_in(self) -> None:
        """Get the token that Airflow 3 wants with each request."""
        if self.is_v1:
            return
        user, password = self._credentials
        answer = self._session.post(
            f"{self.base_url}/auth/token", json={"username": user, "password": password}, timeout=30
        )
        self._refuse_errors(answer)
        self._session.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"

    @tenacity.retry(
        retry=tenacity.retry_if_exception(_may_heal),
        wait=tenacity.wait_random_exponential(multiplier=0.2, max=2),
        stop=tenacity.stop_after_delay(30),
        reraise=True,
    )
    def call(self, method: str, path: str, **kwargs: Any) -> Any:
        """Send one request below the API's root and return the parsed body.

        :raises AirflowApiError: on any status of 400 and above
        """
        root = f"{self.base_url}/api/{'v1' if self.is_v1 else 'v2'}"
        answer = self._session.request(method, root + path, timeout=30, **kwargs)
        self._refuse_errors(answer)
        if not answer.content:
            return None
        is_json = answer.headers.get("Content-Type", "").startswith(("application/json", "application/problem+json"))
        return answer.json() if is_json else answer.text

    @staticmethod
    def _refuse_errors(answer: requests.Response) -> None:
        if answer.status_code >= 400:
            text = f"{answer.request.method} {answer.url}: {answer.status_code} {answer.text[:2000]}"
            raise AirflowApiError(text, answer.status_code)

    def wait_until(self, look: Callable[[], bool], what: str, timeout: float) -> None:
        """Call ``look`` until it is true.

        :param what: named in the error
        :param timeout: seconds
        :raises NotReachedError: when the time is up
        """
        deadline = time.monotonic() + timeout
        while not look():
            self.check()
            if time.monotonic() > deadline:
                raise NotReachedError(f"waited {timeout:.0f} s in vain for {what}")
            time.sleep(0.25)
