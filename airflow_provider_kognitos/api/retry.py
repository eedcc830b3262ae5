"""What may be sent again, when, and how long to wait before."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TypeVar

from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception,
    stop_after_attempt,
    stop_before_delay,
    wait_exponential,
    wait_random,
)

from airflow_provider_kognitos.exceptions import (
    KognitosCapacityError,
    KognitosConnectionError,
    KognitosRateLimitError,
    KognitosServerError,
)

log = logging.getLogger(__name__)
T = TypeVar("T")

#: Seconds. The longest wait that the service can ask for, and the time after which no other try begins.
MAX_RETRY_AFTER = 300.0
MAX_TOTAL = 900.0

_backoff = wait_exponential(multiplier=0.5, max=30.0) + wait_random(0.0, 1.0)
# The clock of every wait here; a name of this module so that a test can let time pass.
sleep = time.sleep


def may_repeat(error: BaseException) -> bool:
    """Return whether a request that changes nothing may be sent again after this error."""
    # A capacity refusal belongs to a start, but "any request" is not excluded by the service's pages.
    return isinstance(
        error, KognitosConnectionError | KognitosServerError | KognitosRateLimitError | KognitosCapacityError
    )


def may_start_again(error: BaseException) -> bool:
    """Return whether a start request may be sent again: only if it was refused unread or never sent."""
    return isinstance(error, KognitosRateLimitError) or (isinstance(error, KognitosConnectionError) and not error.sent)


def wait_before(state: RetryCallState) -> float:
    """Return the seconds to wait before the next try: what the service asks for, or a jittered backoff."""
    error = state.outcome.exception() if state.outcome else None
    asked = getattr(error, "retry_after", None) or 0.0
    return max(min(asked, MAX_RETRY_AFTER), _backoff(state))


def call(
    function: Callable[[], T],
    *,
    attempts: int,
    retry: Callable[[BaseException], bool] = may_repeat,
    total: float = MAX_TOTAL,
) -> T:
    """
    Return what the function returns, trying again as often and as long as it may.

    The last error is raised as it is.

    :param attempts: how often to try in all.
    :param retry: which errors may heal.
    :param total: seconds after which no other try begins.
    """
    retrying = Retrying(
        retry=retry_if_exception(retry),
        wait=wait_before,
        stop=stop_after_attempt(attempts) | stop_before_delay(total),
        before_sleep=_announce(attempts),
        sleep=lambda seconds: sleep(seconds),
        reraise=True,
    )
    return retrying(function)


def _announce(attempts: int) -> Callable[[RetryCallState], None]:
    def announce(state: RetryCallState) -> None:
        log.warning(
            "%s Trying again in %.1f s (try %d of %d failed).",
            state.outcome.exception() if state.outcome else "",
            state.upcoming_sleep,
            state.attempt_number,
            attempts,
        )

    return announce
