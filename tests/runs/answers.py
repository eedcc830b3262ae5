"""What a start request may meet."""

from __future__ import annotations

from collections.abc import Callable

from airflow_provider_kognitos.api.models import Run
from airflow_provider_kognitos.exceptions import KognitosStartUncertainError

from .scripted import Clock

Answer = Callable[[Callable[[], Run]], Run]


class Killed(BaseException):
    """The worker's process is gone: nothing after this runs."""


def refused(error: BaseException) -> Answer:
    def answer(create: Callable[[], Run]) -> Run:
        raise error

    return answer


def killed(clock: Clock, *, created: bool, after: float = 0.0) -> Answer:
    """The worker dies in the start request; ``after``: seconds the client waited out refusals before it."""

    def answer(create: Callable[[], Run]) -> Run:
        clock.sleep(after)
        if created:
            create()
        raise Killed

    return answer


def unknown(clock: Clock, *, created: bool, after: float = 0.0, times_out: float = 0.0, late: float = 0.0) -> Answer:
    """
    The outcome of the request is not known.

    :param after: seconds the client waited out refusals before it.
    :param times_out: seconds until there was no answer.
    :param late: seconds until the run is there.
    """

    def answer(create: Callable[[], Run]) -> Run:
        clock.sleep(after)
        sent_at = clock.moment()
        if created:
            clock.at(late, create) if late else create()
        clock.sleep(times_out)
        raise KognitosStartUncertainError("no clear answer.", sent_at=sent_at)

    return answer
