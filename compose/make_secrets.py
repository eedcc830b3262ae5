"""
Make up the secrets of this deployment, each in a file of its own; those that are there stay.

All services share them, the emulator too: this is a cluster for trying and testing.
"""

import base64
import json
import os
import secrets
import sys
from pathlib import Path
from typing import Any

from airflow_provider_kognitos.emulator.scenario import Scenario

#: The user that Airflow's images run as.
AIRFLOW = 50000


def main(folder: Path) -> None:
    """Write what is missing. Whoever has the volume may read it: Airflow, the database and the emulator."""

    def keep(name: str, text: str) -> str:
        path = folder / name
        if not path.exists():
            # Whole or not at all, whatever dies meanwhile.
            new = path.with_suffix(".new")
            new.write_text(text)
            new.chmod(0o444)
            new.replace(path)
        return path.read_text()

    folder.chmod(0o755)
    keep("jwt_secret", secrets.token_urlsafe(64))
    keep("api_secret_key", secrets.token_urlsafe(32))
    keep("fernet_key", base64.urlsafe_b64encode(secrets.token_bytes(32)).decode())
    password = keep("postgres_password", secrets.token_urlsafe(32))
    keep("sql_alchemy_conn", f"postgresql+psycopg2://airflow:{password}@postgres/airflow")
    keep("passwords.json", json.dumps({"admin": secrets.token_urlsafe(16)}))
    # Airflow opens it for writing, too.
    os.chown(folder / "passwords.json", AIRFLOW, 0)
    (folder / "passwords.json").chmod(0o640)
    key = keep("kognitos_key", secrets.token_hex(32))
    keep("scenario.json", json.dumps(scenario(key)))


def scenario(key: str) -> dict[str, Any]:
    """What the emulator plays: its own processes, and long runs for those who ask for them."""
    builtin = [rule.model_dump(mode="json") for rule in Scenario().rules]
    long = [
        {**rule, "when": {"pace": "long"}, "steps": [{"status": "Running", "seconds": [45, 90]}]} for rule in builtin
    ]
    return {"keys": {key: {}}, "rules": [*long, *builtin]}


if __name__ == "__main__":
    main(Path(sys.argv[1]))
