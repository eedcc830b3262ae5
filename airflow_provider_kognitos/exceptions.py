"""
What can go wrong, one tree under :class:`KognitosError`.

A class that is an ``AirflowFailException`` too names a fault which no retry can heal: Airflow fails the
task at once and spends none of its retries. No message, attribute or repr ever holds the API key.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowException, AirflowFailException

if TYPE_CHECKING:
    from airflow_provider_kognitos.api.models import Run


class KognitosError(AirflowException):
    """Base of every error of this provider."""


class KognitosConfigError(KognitosError, AirflowFailException):
    """The connection or the arguments of a task cannot work; nothing was sent."""


class KognitosConnectionError(KognitosError):
    """
    The service gave no answer: refused, unresolved, timed out, reset or cut off.

    :param sent: ``False`` where it is certain that nothing of the request has left this machine.
    """

    def __init__(self, message: str, *, sent: bool = True) -> None:
        super().__init__(message)
        self.sent = sent


class KognitosApiError(KognitosError):
    """
    The service answered with an error.

    :param message: what went wrong, where, and what to do next.
    :param status_code: the HTTP status of the answer.
    :param details: the service's own list of details (open objects), empty when it gave none.
    :param reason: the service's own words, empty when it gave none.
    """

    def __init__(self, message: str, *, status_code: int = 0, details: Sequence[Any] = (), reason: str = "") -> None:
        super().__init__(message)
        self.status_code = status_code  # type: ignore[assignment]  # AirflowException has an HTTPStatus
        self.details = list(details)
        self.reason = reason


class KognitosAuthError(KognitosApiError, AirflowFailException):
    """The API key is wrong, revoked, or not allowed to do this (401, 403)."""


class KognitosValidationError(KognitosApiError, AirflowFailException):
    """The service refused the values it was sent (400, 422 and other refusals for good)."""


class KognitosNotFoundError(KognitosApiError, AirflowFailException):
    """The agent, process, run or file does not exist, or not for this key (404)."""


class KognitosRateLimitError(KognitosApiError):
    """
    Too many requests (429). All calls of an organization share one limit.

    :param retry_after: seconds the service asked to wait, ``None`` when it did not say.
    """

    def __init__(self, message: str, *, retry_after: float | None = None, **kwargs: Any) -> None:
        super().__init__(message, **kwargs)
        self.retry_after = retry_after


class KognitosCapacityError(KognitosApiError):
    """The organization is at its limit of concurrent runs; the run was not started."""


class KognitosServerError(KognitosApiError):
    """
    The service failed (5xx, 408, 425), or its answer could not be read.

    :param retry_after: seconds the service asked to wait, ``None`` when it did not say.
    """

    def __init__(self, message: str, *, retry_after: float | None = None, **kwargs: Any) -> None:
        super().__init__(message, **kwargs)
        self.retry_after = retry_after


class KognitosUploadError(KognitosError):
    """A file could not be uploaded; no run was started with it."""


class KognitosRunFailedError(KognitosError):
    """
    The run ended badly.

    :param run: the run as last seen.
    :param url: its page in the Kognitos web UI, if known.
    """

    def __init__(self, run: Run, url: str | None = None) -> None:
        where = f" See {url}" if url else ""
        super().__init__(
            f"Kognitos run {run.id} ({run.name!r}) of process {run.process_id} ended as {run.status}.{where}"
            " The API gives no reason; the run's page in Kognitos does."
        )
        self.run = run
        self.url = url

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.run, self.url)


class KognitosRunCancelledError(KognitosRunFailedError):
    """Somebody cancelled the run in Kognitos."""


class KognitosWatchedRunFailedError(KognitosRunFailedError, AirflowFailException):
    """A run that a sensor watched ended badly; looking again changes nothing."""


class KognitosRunTimeoutError(KognitosError):
    """The run did not end before the task's deadline. It goes on: the API has no cancel."""


class KognitosPollError(KognitosError):
    """The service could not be asked about a run any more. The run goes on as far as is known."""


class KognitosStartUncertainError(KognitosError):
    """
    Nobody can know whether a start request created a run, so none is sent again blindly.

    :param sent_at: when the request was sent, an aware time, ``None`` if that is not known.
    """

    def __init__(self, message: str, *, sent_at: datetime | None = None) -> None:
        super().__init__(message)
        self.sent_at = sent_at
