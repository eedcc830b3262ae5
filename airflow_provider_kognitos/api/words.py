"""The words that the service has for stages and statuses."""

from __future__ import annotations

#: Documented statuses with which a run has ended. Any other word, documented or not, means it goes on.
SUCCEEDED = "Succeeded"
FAILED = "Failed"
CANCELLED = "Cancelled"
TIMED_OUT = "TimedOut"
SUCCESS_STATUSES: tuple[str, ...] = (SUCCEEDED,)
FAILURE_STATUSES: tuple[str, ...] = (FAILED, CANCELLED, TIMED_OUT)
#: Documented statuses of a run that goes on. ``Created`` stands in the vendor's samples only.
LIVE_STATUSES: tuple[str, ...] = ("Created", "Pending", "Running")

STAGES: tuple[str, ...] = ("Draft", "Published")
