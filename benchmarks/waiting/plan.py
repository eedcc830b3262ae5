"""Which runs there are and when each ends: known to the service and to those who are measured."""

from __future__ import annotations

import json
import random
from dataclasses import asdict, dataclass
from typing import Literal

Order = Literal["newest first", "oldest first", "random"]


@dataclass(frozen=True)
class Plan:
    """
    A setting of the benchmark. Times are seconds since its beginning.

    :param runs: how many runs are waited for.
    :param interval: seconds between looks at a run.
    :param first_end: when the first run ends.
    :param last_end: when the last one ends.
    :param delay: seconds that the service takes for an answer.
    :param processes: over how many processes the runs are spread.
    :param foreign: how many runs of others the list holds for each run that is waited for.
    :param order: of the list.
    :param outputs_listed: whether the list shows the outputs of a run that has ended.
    :param throttled: from when to when the service answers 429 and says how long to wait.
    """

    runs: int
    interval: float = 5.0
    first_end: float = 10.0
    last_end: float = 30.0
    delay: float = 0.025
    processes: int = 1
    foreign: int = 0
    order: Order = "random"
    outputs_listed: bool = True
    throttled: tuple[float, float] | None = None

    def ends(self) -> list[float]:
        """Return when each run ends; evenly spread, and not in the order in which they were started."""
        span = self.last_end - self.first_end
        ends = [self.first_end + span * (number + 0.5) / self.runs for number in range(self.runs)]
        random.Random(7).shuffle(ends)
        return ends

    def seen_from(self, end: float) -> float:
        """Return from when on the end of a run can be noticed: not while the service throttles."""
        start, stop = self.throttled or (0.0, 0.0)
        return stop if start <= end < stop else end

    def to_json(self) -> str:
        """Return the plan as text, for another process."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Plan:
        """Return the plan that another process was given."""
        values = json.loads(text)
        if values["throttled"]:
            values["throttled"] = tuple(values["throttled"])
        return cls(**values)
