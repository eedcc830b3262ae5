"""The order of the list of runs, which is undocumented: it can only be watched."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow_provider_kognitos.api.models import Run

#: So many items in falling order are taken as a sign that the list is ordered, newest first.
ORDERED_AFTER = 10


class Order:
    """Whether a list has been falling in time so far, and how far down."""

    def __init__(self) -> None:
        self._seen = 0
        self._falling = True
        self._lowest: datetime | None = None

    def see(self, run: Run) -> None:
        """Take note of the next item."""
        self._seen += 1
        if run.created_at is None or (self._lowest is not None and run.created_at > self._lowest):
            self._falling = False
        else:
            self._lowest = run.created_at

    def fell_below(self, moment: datetime) -> bool:
        """Whether all that follows is older than a moment, as far as one can tell."""
        if not self._falling or self._lowest is None or self._seen < ORDERED_AFTER:
            return False
        return self._lowest < moment
