#!/usr/bin/env bash
# Once, before anything of Airflow starts: its database, the connection to the emulator, and the pool of the examples.
set -euo pipefail

airflow db migrate

if ! airflow connections get kognitos_default >/dev/null 2>&1; then
  # From a file, since a command line can be read by everybody on the machine.
  python - >/tmp/connections.json <<'PYTHON'
import json
from pathlib import Path

connection = {
    "conn_type": "kognitos",
    "host": "http://emulator:8099",
    "password": Path("/opt/secrets/kognitos_key").read_text(),
    "extra": {"agent_id": "demo-agent", "web_url": "https://app.kognitos.com"},
}
print(json.dumps({"kognitos_default": connection}))
PYTHON
  airflow connections import /tmp/connections.json
  rm /tmp/connections.json
fi

airflow pools set --include-deferred kognitos 3 "Kognitos runs at once"
