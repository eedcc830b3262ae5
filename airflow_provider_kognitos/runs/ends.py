"""Which statuses end a run, for one task."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from airflow_provider_kognitos.api.words import FAILURE_STATUSES, SUCCESS_STATUSES

if TYPE_CHECKING:
    from airflow_provider_kognitos.api.models import Run


class EndStatuses(NamedTuple):
    """
    The statuses that end a run for a task; every other word, documented or not, means it goes on.

    :param success: statuses of a run that ended well.
    :param failure: statuses of a run that ended badly.
    """

    success: Sequence[str] = SUCCESS_STATUSES
    failure: Sequence[str] = FAILURE_STATUSES

    def succeeded(self, run: Run) -> bool:
        """Whether the run ended well."""
        return run.status in self.success

    def live(self, run: Run) -> bool:
        """Whether the run goes on."""
        return run.status not in self.success and run.status not in self.failure
