"""What the emulator remembers: in memory, or in a file that outlives it."""

from __future__ import annotations

import json
import random
import secrets
import sqlite3
import string
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_ALPHABET = string.ascii_lowercase + string.digits
_SCHEMA = """
CREATE TABLE IF NOT EXISTS setting (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS run (
    number INTEGER PRIMARY KEY, id TEXT UNIQUE NOT NULL, name TEXT NOT NULL, process_id TEXT NOT NULL,
    agent_id TEXT NOT NULL, stage TEXT NOT NULL, created_at REAL NOT NULL, ends_at REAL NOT NULL,
    shuffle REAL NOT NULL, inputs TEXT, file_ids TEXT, plan TEXT NOT NULL, status TEXT, foreign_run INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS run_list ON run (process_id, agent_id, stage, created_at);
CREATE INDEX IF NOT EXISTS run_end ON run (ends_at);
CREATE TABLE IF NOT EXISTS file (
    id TEXT PRIMARY KEY, agent_id TEXT NOT NULL, file_name TEXT NOT NULL, key TEXT UNIQUE NOT NULL,
    created_at REAL NOT NULL, bytes INTEGER, sha256 TEXT);
"""
#: Runs that may still take capacity; takes the time.
_LIVE = "WHERE foreign_run = 0 AND (ends_at > ? OR status IS NOT NULL)"
_JSON = ("inputs", "file_ids", "plan")
_ORDERS = {"newest_first": "created_at DESC, number DESC", "oldest_first": "created_at, number", "shuffled": "shuffle"}


class Store:
    """
    Runs, files and the signing secret.

    :param path: a file, ``None`` for memory.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._db = sqlite3.connect(path or ":memory:", check_same_thread=False, isolation_level=None)
        self._db.row_factory = sqlite3.Row
        self._db.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;" + _SCHEMA)
        self._random = random.SystemRandom()
        self.secret = self.setting("secret") or self.set_setting("secret", secrets.token_hex(20))

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def setting(self, name: str) -> str | None:
        """Return a setting."""
        row = self._db.execute("SELECT value FROM setting WHERE name = ?", (name,)).fetchone()
        return row["value"] if row else None

    def set_setting(self, name: str, value: str) -> str:
        """Keep a setting and return it."""
        self._db.execute("INSERT OR REPLACE INTO setting VALUES (?, ?)", (name, value))
        return value

    def new_id(self) -> str:
        """Return an id as the service makes them: 25 lower-case base-36 characters."""
        return "".join(self._random.choices(_ALPHABET, k=25))

    def add_run(self, **run: Any) -> None:
        """Add a run."""
        run = {"shuffle": self._random.random(), "status": None, "foreign_run": 0, **run}
        self._insert("run", {name: json.dumps(value) if name in _JSON else value for name, value in run.items()})

    def add_file(self, **file: Any) -> None:
        """Add a file that is to be uploaded."""
        self._insert("file", file)

    def run(self, run_id: str) -> dict[str, Any] | None:
        """Return a run."""
        return next(self._runs("WHERE id = ?", (run_id,)), None)

    def runs(
        self,
        *,
        process_id: str,
        agent_id: str,
        stage: str | None,
        created_before: float,
        order: str,
        offset: int,
        limit: int,
    ) -> list[dict[str, Any]]:
        """Return a part of the list of a process's runs."""
        where = "WHERE process_id = ? AND agent_id = ? AND created_at <= ?"
        values: list[Any] = [process_id, agent_id, created_before]
        if stage is not None:
            where, values = f"{where} AND stage = ?", [*values, stage]
        return list(self._runs(f"{where} ORDER BY {_ORDERS[order]} LIMIT ? OFFSET ?", (*values, limit, offset)))

    def all_runs(self) -> list[dict[str, Any]]:
        """Return every run, in the order of their starts."""
        return list(self._runs("ORDER BY number", ()))

    def live_runs(self, now: float) -> list[dict[str, Any]]:
        """Return the runs that have not ended by themselves, and those whose status was set."""
        return list(self._runs(_LIVE, (now,)))

    def count_live(self, now: float) -> int:
        """Return how many runs :meth:`live_runs` has."""
        return int(self._db.execute(f"SELECT COUNT(*) FROM run {_LIVE}", (now,)).fetchone()[0])  # noqa: S608

    def change_run(self, run_id: str, **changes: Any) -> None:
        """Change a run."""
        for name, value in changes.items():
            stored = json.dumps(value) if name in _JSON else value
            self._db.execute(f"UPDATE run SET {name} = ? WHERE id = ?", (stored, run_id))  # noqa: S608

    def file(self, *, file_id: str | None = None, key: str | None = None) -> dict[str, Any] | None:
        """Return a file by its id or by its key in the storage."""
        row = self._db.execute("SELECT * FROM file WHERE id = ? OR key = ?", (file_id, key)).fetchone()
        return dict(row) if row else None

    def files(self) -> list[dict[str, Any]]:
        """Return every file."""
        return [dict(row) for row in self._db.execute("SELECT * FROM file ORDER BY created_at, rowid")]

    def uploaded(self, key: str, size: int, sha256: str) -> None:
        """Note that a file's bytes have arrived."""
        self._db.execute("UPDATE file SET bytes = ?, sha256 = ? WHERE key = ?", (size, sha256, key))

    def clear(self) -> None:
        """Forget all runs and files."""
        self._db.executescript("DELETE FROM run; DELETE FROM file;")

    def _insert(self, table: str, row: dict[str, Any]) -> None:
        names, marks = ", ".join(row), ", ".join("?" * len(row))
        self._db.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", tuple(row.values()))  # noqa: S608

    def _runs(self, clause: str, values: tuple[Any, ...]) -> Iterator[dict[str, Any]]:
        for row in self._db.execute(f"SELECT * FROM run {clause}", values):  # noqa: S608
            yield {name: json.loads(row[name]) if name in _JSON else row[name] for name in row.keys()}  # noqa: SIM118
