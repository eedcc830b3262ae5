"""Which templated arguments of an operator there is anything to render of."""

from __future__ import annotations

from typing import Any


class GivenFields(tuple[str, ...]):
    """
    The names of an operator's templated arguments: of its class all of them, of a task those that have a value.

    Airflow renders, checks, masks, sends and shows each of them twice for a task that is deferred, whether there is
    anything in it or not; half a millisecond of a worker's CPU is what each takes.
    """

    __slots__ = ()

    def __get__(self, task: Any, operator: type) -> tuple[str, ...]:
        """Return them; an argument that gets its value later comes in later."""
        if task is None:
            return self
        return tuple(name for name in self if getattr(task, name, None) is not None)
