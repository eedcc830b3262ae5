"""The command ``kognitos-emulator``."""

from __future__ import annotations

import argparse
import sqlite3
import sys
from collections.abc import Sequence
from ipaddress import ip_address
from pathlib import Path


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the emulator until it is told to stop; return the exit status."""
    options = _parser().parse_args(arguments)
    if not (_is_loopback(options.host) or options.allow_remote):
        print(
            f"kognitos-emulator: {options.host} is not a loopback address. The emulator has a well-known key and a "
            "control page without one: anybody who reaches it can use it. Give --allow-remote if that is meant.",
            file=sys.stderr,
        )
        return 2
    try:
        from airflow_provider_kognitos.emulator.core import Emulator
        from airflow_provider_kognitos.emulator.scenario import Scenario, ScenarioError, load_scenario
        from airflow_provider_kognitos.emulator.server import listen, server_of
        from airflow_provider_kognitos.emulator.store import Store
    except ImportError as error:
        print(
            f"kognitos-emulator: {error.name} is not installed. Install the extra: "
            "pip install 'airflow-provider-kognitos[emulator]'",
            file=sys.stderr,
        )
        return 2
    try:
        scenario = load_scenario(options.scenario) if options.scenario else Scenario()
        store = Store(options.state)
        listener = listen(options.host, options.port)
    except ScenarioError as error:
        print(f"kognitos-emulator: {error}", file=sys.stderr)
        return 2
    except sqlite3.Error as error:
        print(f"kognitos-emulator: cannot keep the state in {options.state}: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"kognitos-emulator: cannot listen on {options.host}:{options.port}: {error}", file=sys.stderr)
        return 2
    host, port = listener.getsockname()[:2]
    address = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    print(
        f"Kognitos emulator on {address} - keys: {', '.join(scenario.keys)} - agents: {', '.join(scenario.agents)} "
        f"- pages: {address}/docs",
        flush=True,
    )
    try:
        server_of(Emulator(scenario, store), log_level=options.log_level).run(sockets=[listener])
    except KeyboardInterrupt:
        pass
    finally:
        store.close()
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="kognitos-emulator",
        description="A local stand-in for the Kognitos REST API v2 and its upload storage.",
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=_port, default=8099, help="port; 0 takes a free one (default: %(default)s)")
    parser.add_argument("--scenario", type=Path, metavar="FILE", help="YAML or JSON file of what to play")
    parser.add_argument("--state", type=Path, metavar="FILE", help="keep runs and files here, over restarts")
    parser.add_argument("--allow-remote", action="store_true", help="listen on an address others can reach")
    parser.add_argument("--log-level", default="warning", choices=["debug", "info", "warning", "error"])
    return parser


def _port(text: str) -> int:
    port = int(text)
    if not 0 <= port <= 65535:
        raise argparse.ArgumentTypeError(f"{text} is not a port from 0 to 65535")
    return port


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


if __name__ == "__main__":
    sys.exit(main())
