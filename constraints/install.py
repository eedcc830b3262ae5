"""
Install this project, editable, with some of its extras and the versions pinned for this Python and Airflow.

Run with the Python of the virtual environment to install into: ``python constraints/install.py --airflow 3.3.2 dev``.
"""

import argparse
import os
import re
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent


def pins_of(airflow: str, python: tuple[int, int]) -> tuple[Path, bool] | None:
    """
    Return the constraints file for an Airflow and a Python version and whether it was made for just these.

    Pins made for another Python version are the next best thing: nearly all of them fit.
    """
    files = {}
    for path in HERE.glob(f"airflow-{airflow}-python-*.txt"):
        if match := re.fullmatch(r".*-python-(\d+)\.(\d+)", path.stem):
            files[int(match[1]), int(match[2])] = path
    if not files:
        return None
    nearest = min(files, key=lambda version: (abs(version[1] - python[1]), version))
    return files[nearest], nearest == python


def install(airflow: str, extra: str, pins: Path | None) -> int:
    """Run pip; return its exit code."""
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    command += ["--editable", f".[{extra}]", f"apache-airflow=={airflow}"]
    env = dict(os.environ)
    if pins:
        # As variables, so that they hold for what builds the project too; relative, since pip splits them at blanks.
        env |= dict.fromkeys(("PIP_CONSTRAINT", "PIP_BUILD_CONSTRAINT"), str(pins.relative_to(ROOT)))
    return subprocess.run(command, cwd=ROOT, env=env, check=False).returncode


def main() -> int:
    """Install, and fall back to unpinned versions only where there are no pins for this Python."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--airflow", required=True, help="version of Airflow, such as 3.3.2")
    parser.add_argument("extra", help="extras of this project: emulator, dev, or dev,openlineage")
    arguments = parser.parse_args()
    found = pins_of(arguments.airflow, sys.version_info[:2])
    pins, exact = found or (None, False)
    print(
        f"Installing Airflow {arguments.airflow} and this project ({pins.name if pins else 'no pins'}); "
        "the downloads may take some minutes",
        flush=True,
    )
    code = install(arguments.airflow, arguments.extra, pins)
    if code and pins and not exact:
        print(
            f"The pins of {pins.name} don't fit Python {sys.version_info[0]}.{sys.version_info[1]}: going without them."
        )
        code = install(arguments.airflow, arguments.extra, None)
    return code


if __name__ == "__main__":
    sys.exit(main())
