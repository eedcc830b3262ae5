"""The README's table of deaths says what the deaths that are played in a real Airflow come to."""

import re
from pathlib import Path

from .e2e.deaths import test_clears, test_deferred, test_uncertain_starts, test_worker
from .e2e.deaths.endings import SUPPORTED

README = Path(__file__).parent.parent / "README.md"
CASES = [case for module in (test_worker, test_uncertain_starts, test_deferred, test_clears) for case in module.cases]


def runs_by_death(airflow: str) -> dict[str, str]:
    """How many runs are started, by what happens, in the README's words."""
    counts: dict[str, set[int]] = {}
    for case in CASES:
        counts.setdefault(case.death, set()).update(*(ending.runs for ending in case.endings(airflow).values()))
    return {death: " or ".join(map(str, sorted(numbers))) for death, numbers in counts.items()}


def in_words(death: str) -> str:
    *older, newest = SUPPORTED
    told = now = runs_by_death(newest)[death]
    for airflow, later in zip(reversed(older), reversed(SUPPORTED), strict=False):
        before = runs_by_death(airflow)[death]
        if before != now:
            told += f"; before Airflow {later}: {before}"
            now = before
    return told


def test_every_line_of_the_readme_is_played_and_comes_to_what_it_says() -> None:
    section = README.read_text().split("## When things die")[1].split("\n## ")[0]
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in re.findall(r"(?m)^\|.*\|$", section)][2:]
    told = {what: runs for what, _, runs in rows}
    assert told == {case.death: in_words(case.death) for case in CASES}
