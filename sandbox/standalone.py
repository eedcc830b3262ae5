"""``make standalone``: Airflow with its web UI, the emulator and all example DAGs, until Ctrl-C."""

import signal
import sys
import time

from sandbox.airflow import USER
from sandbox.emulator import LocalEmulator
from sandbox.errors import ServiceError
from sandbox.kognitos import AGENT, EXAMPLES, KEY, ROOT, create_pool, example_airflow

HOME = ROOT / ".airflow" / "standalone"


def main() -> int:
    """Run until interrupted; return the exit code."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        with LocalEmulator(HOME / "emulator") as emulator:
            print("Starting Airflow, which takes half a minute …", flush=True)
            with example_airflow(HOME, emulator, **{"core.test_connection": "Enabled"}) as airflow:
                create_pool(airflow)
                print(
                    f"\n  Airflow {airflow.version}   {airflow.url}\n"
                    f"  user           {USER}\n"
                    f"  password       {airflow.password}\n"
                    f"  example DAGs   {EXAMPLES} (switch one on and trigger it)\n"
                    f"  emulator       {emulator.url}, key {KEY}, agent {AGENT}; kognitos_default leads there\n"
                    f"  logs           {airflow.logs}\n"
                    "\n  Ctrl-C stops everything; the next start goes on with the same database.",
                    flush=True,
                )
                while True:
                    airflow.check()
                    time.sleep(1)
    except ServiceError as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped.")
        return 0


if __name__ == "__main__":
    sys.exit(main())
