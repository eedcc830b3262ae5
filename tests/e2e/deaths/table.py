"""The matrix of deaths: how each ended, by version of Airflow, out of the reports that pytest wrote."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from tabulate import tabulate

README = Path(__file__).parents[3] / "README.md"
MISSING = "not played"


@dataclass(frozen=True)
class Death:
    """What happens, which kind of it, and how the task waits for its run."""

    what: str
    detail: str
    mode: str


@dataclass(frozen=True)
class Report:
    """How the deaths ended on one Airflow."""

    airflow: str
    endings: dict[Death, str]

    @property
    def failed(self) -> int:
        return sum(ending.startswith("FAILED") for ending in self.endings.values())


def read(path: Path) -> Report:
    """Read a report in JUnit's format."""
    suite = ElementTree.parse(path).getroot().find("testsuite")
    if suite is None:
        raise SystemExit(f"{path} is no report of pytest --junitxml.")
    endings = {}
    for case in suite.iter("testcase"):
        told = _properties(case)
        if "death" not in told:
            continue
        runs = f"{told['runs']} run{'s' * (told['runs'] != '1')}"
        failed = case.find("failure") is not None or case.find("error") is not None
        ending = f"{told['ending']} ({runs})"
        death = Death(told["death"], told["detail"], told["mode"])
        endings[death] = f"FAILED, not: {ending}" if failed else ending
    return Report(_properties(suite)["airflow"], endings)


def table(reports: Iterable[Report]) -> str:
    """Return a Markdown table, a row for each death, in the order of the README."""
    reports = sorted(reports, key=lambda report: [int(part) for part in report.airflow.split(".")])
    told = README.read_text().split("\n## When things die\n")[1]
    deaths = dict.fromkeys(death for report in reports for death in report.endings)
    rows = [
        [death.what, death.detail, death.mode, *(report.endings.get(death, MISSING) for report in reports)]
        for death in sorted(deaths, key=lambda death: told.index(f"| {death.what} |"))
    ]
    return tabulate(rows, ["what dies", "how", "mode", *(report.airflow for report in reports)], tablefmt="github")


def _properties(element: ElementTree.Element) -> dict[str, str]:
    return {each.attrib["name"]: each.attrib["value"] for each in element.findall("properties/property")}


PAGE = """# The matrix of deaths

Every line of [When things die](when-things-die.md), played in a real Airflow against the emulator: processes are really
killed, tasks cleared and marked over the REST API, answers cut off. What a cell says was checked, with the runs
started. `make deaths` plays all of it and writes this page.

{table}

{summary}
"""


def main() -> int:
    """Print the matrix; exit with 1 when a death ended otherwise than it should."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("reports", nargs="+", type=Path, help="files written by pytest --junitxml")
    parser.add_argument("--page", type=Path, help="a page of the documentation to write, too")
    arguments = parser.parse_args()
    reports = [read(path) for path in arguments.reports]
    failed = sum(report.failed for report in reports)
    played = sum(len(report.endings) for report in reports)
    summary = f"{played} deaths played, {failed} of them ended otherwise than they should."
    print(table(reports), summary, sep="\n\n")
    if arguments.page:
        arguments.page.write_text(PAGE.format(table=table(reports), summary=summary))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
