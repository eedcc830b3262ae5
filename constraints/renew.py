"""
Write down the versions that pip chooses today for this project, its build and one Airflow.

The project is taken with its extras ``dev`` and ``openlineage``.

Run it with the Python to pin for: ``python constraints/renew.py --airflow 3.3.2``. Run the tests with the new file
before you commit it.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent


def freeze(airflow: str, limits: list[str]) -> list[str]:
    """Install everything into a new virtual environment and return what pip lists there."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        pip = [f"{folder}/bin/python", "-m", "pip", "--disable-pip-version-check"]
        wanted = [f"{HERE.parent}[dev,openlineage]", "hatchling", "editables", f"apache-airflow=={airflow}", *limits]
        subprocess.run([*pip, "install", "--quiet", *wanted], check=True)
        listed = subprocess.run(
            [*pip, "freeze", "--exclude", "airflow-provider-kognitos"], check=True, capture_output=True, text=True
        )
    return [line for line in listed.stdout.splitlines() if "==" in line]


def main() -> None:
    """Write the file of this Python and the Airflow asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--airflow", required=True, help="version of Airflow, such as 3.3.2")
    parser.add_argument("limits", nargs="*", help="requirements to hold back what this Airflow can't stand")
    arguments = parser.parse_args()
    python = f"{sys.version_info[0]}.{sys.version_info[1]}"
    path = HERE / f"airflow-{arguments.airflow}-python-{python}.txt"
    again = " ".join(["constraints/renew.py", "--airflow", arguments.airflow, *arguments.limits])
    lines = [f"# Made by: python{python} {again}", *freeze(arguments.airflow, arguments.limits)]
    path.write_text("\n".join(lines) + "\n")
    print(f"{path}: {len(lines) - 1} pins")


if __name__ == "__main__":
    main()
