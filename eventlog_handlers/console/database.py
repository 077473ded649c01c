"""The SQLite database behind the store: its tables, its lock, its transactions.

In memory unless given a file. Any thread may use it. Not here: the meaning of the rows.
"""

from __future__ import annotations

import sqlite3
import threading
import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from eventlog_handlers.errors import SettingsError

_VERSION = 2
"""Of the tables; a file of another version is refused."""

_SCHEMA = f"""
PRAGMA user_version = {_VERSION};
CREATE TABLE IF NOT EXISTS requests (
    id INTEGER PRIMARY KEY AUTOINCREMENT, service TEXT NOT NULL, received REAL NOT NULL,
    method TEXT NOT NULL, path TEXT NOT NULL, user_agent TEXT NOT NULL, size INTEGER NOT NULL,
    http_status INTEGER, accepted INTEGER NOT NULL, refused INTEGER NOT NULL, code TEXT NOT NULL,
    connection INTEGER NOT NULL, fault TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS events (
    id INTEGER PRIMARY KEY AUTOINCREMENT, request INTEGER NOT NULL, service TEXT NOT NULL,
    received REAL NOT NULL, time REAL, status TEXT NOT NULL, title TEXT NOT NULL,
    body TEXT NOT NULL, stored TEXT NOT NULL, flags TEXT NOT NULL, uid TEXT NOT NULL, problem TEXT NOT NULL,
    heading TEXT NOT NULL, logger TEXT NOT NULL, exception TEXT NOT NULL, times INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS refusals (
    id INTEGER PRIMARY KEY AUTOINCREMENT, request INTEGER NOT NULL, service TEXT NOT NULL,
    received REAL NOT NULL, code TEXT NOT NULL, message TEXT NOT NULL, body TEXT NOT NULL,
    signing TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS exchanges (
    request INTEGER PRIMARY KEY, query TEXT NOT NULL, headers TEXT NOT NULL, body BLOB NOT NULL,
    answer_headers TEXT NOT NULL, answer BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS tries (uid TEXT NOT NULL, request INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS events_by_problem ON events
    (problem, id, received, service, status, logger, exception, times);
CREATE INDEX IF NOT EXISTS events_by_request ON events (request);
CREATE INDEX IF NOT EXISTS refusals_by_request ON refusals (request);
CREATE INDEX IF NOT EXISTS tries_by_uid ON tries (uid);
"""
"""Columns of the first three stand in the order of StoredRequest's, StoredEvent's, StoredRefusal's fields."""

# events_by_problem holds every column that lists of problems count by: their rows, behind whose bodies the
# columns stand, are not read for it.
TABLES = ("events", "refusals", "requests", "exchanges", "tries")


class Database:
    """*path* is a file, which keeps its rows, or None for memory. SettingsError if it can't be used."""

    def __init__(self, path: str | None) -> None:
        self.lock = threading.Condition()
        """Guards the connection; the store notifies it after every request."""
        try:
            self._connection = sqlite3.connect(
                path or ":memory:", check_same_thread=False, isolation_level=None
            )
            # A forgotten close() makes no ResourceWarning.
            weakref.finalize(self, self._connection.close)
            (found,) = self._connection.execute("PRAGMA user_version").fetchone()
            (tables,) = self._connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
            if tables and found != _VERSION:
                raise SettingsError(
                    f"events can't be kept in {path}: it was written by another version; take a new file"
                )
            self._connection.executescript(_SCHEMA)
        except sqlite3.Error as error:
            raise SettingsError(f"events can't be kept in {path}: {error}") from error

    def rows(self, query: str, parameters: Mapping[str, Any] | Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """All rows of a query."""
        with self.lock:
            return self._connection.execute(query, parameters).fetchall()

    def insert(self, table: str, row: Mapping[str, Any]) -> int:
        """Add *row* and return its id; the caller holds the lock."""
        columns, marks = ", ".join(row), ", ".join(f":{name}" for name in row)
        query = f"INSERT INTO {table} ({columns}) VALUES ({marks})"  # noqa: S608 - our own names
        return self._connection.execute(query, row).lastrowid or 0

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing; the caller holds the lock."""
        self._connection.execute("BEGIN")
        try:
            yield
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")

    def close(self) -> None:
        """Give the file back. The database can't be used afterwards."""
        with self.lock:
            self._connection.close()


def storable(text: str) -> str:
    """SQLite takes no half of a surrogate pair; the documents beside it keep them escaped."""
    return text.encode("utf-8", "replace").decode()
