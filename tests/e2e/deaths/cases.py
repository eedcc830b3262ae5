"""Every death that is played, and how it is to end."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from .endings import HERE, Ending, Since
from .scene import Scene

Play = Callable[[Scene], None]


@dataclass(frozen=True)
class Case:
    """
    One death in one way to wait.

    :param death: what happens, as the table in the README has it
    :param detail: which kind of it
    :param mode: ``sync``, ``deferrable`` or ``forgotten``: how the task waits for its run
    :param play: makes it happen and sees it to its end
    :param expected: how each task instance ends, by map index
    :param habits: of the emulated service
    :param extra: of the connection
    :param more: what ``play`` finds in ``scene.more``
    :param alone: after all others, since it concerns every task there is
    :param smoke: played on every Airflow even where time is short
    """

    death: str
    detail: str
    mode: str
    play: Play
    expected: Mapping[int, Ending | Since]
    habits: Mapping[str, Any] = field(default_factory=dict)
    capacity: int = 150
    extra: Mapping[str, Any] = field(default_factory=dict)
    more: Mapping[str, Any] = field(default_factory=dict)
    alone: bool = False
    smoke: bool = False

    def endings(self, airflow: str = HERE) -> dict[int, Ending]:
        """How each task instance ends on an Airflow, by map index."""
        return {index: ending.on(airflow) for index, ending in self.expected.items()}

    def __str__(self) -> str:
        """Its name, fit for the id of a connection and of a DAG run."""
        return re.sub(r"\W+", "_", "_".join([self.play.__name__, *map(str, list(self.more.values())[:1]), self.mode]))


class Cases:
    """The cases of one file."""

    def __init__(self) -> None:
        self._cases: list[Case] = []

    def __iter__(self) -> Iterator[Case]:
        return iter(self._cases)

    def parameters(self) -> list[Any]:
        """The cases as parameters of a test."""
        return [
            pytest.param(case, id=str(case), marks=[pytest.mark.smoke] if case.smoke else []) for case in self._cases
        ]

    def add(
        self,
        death: str,
        detail: str,
        modes: Sequence[str],
        ending: Ending | Since | Mapping[int, Ending],
        *,
        more: Mapping[str, Any] | None = None,
        **rest: Any,
    ) -> Callable[[Play], Play]:
        """Add a death in one or many ways to wait; a decorator of what makes it happen."""
        expected = ending if isinstance(ending, Mapping) else {-1: ending}

        def add(play: Play) -> Play:
            self._cases += [Case(death, detail, mode, play, expected, more=more or {}, **rest) for mode in modes]
            return play

        return add
