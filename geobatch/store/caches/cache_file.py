"""One sqlite file of sealed entries that may be lost or damaged at any time without harm.

Whatever goes wrong with the file, an entry is then not there: no call raises on its account.
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from blake3 import blake3

VERSION = 1
"""Version of the schema and of the entries; a file of another is emptied."""

_SCHEMA = "CREATE TABLE entries (kind INTEGER, key BLOB, value BLOB, PRIMARY KEY (kind, key))"
_SEAL_BYTES = 16
_KEYS_PER_QUERY = 900
_PATIENCE = 1.0
"""Seconds to wait for other processes, in all; after that, a locked file is as if it were empty."""
_SAVE_BYTES, _SAVE_SECONDS = 8 << 20, 5.0
_SAVE_SHARE = 50
"""How many times as long as it takes to save lies between two times, where it is done often."""
_HEALTHY = frozenset(
    (
        sqlite3.SQLITE_PERM, sqlite3.SQLITE_ABORT, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_INTERRUPT,
        sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PROTOCOL,
        sqlite3.SQLITE_AUTH,
    )
)  # fmt: skip
"""Failures that say nothing against what is in the file."""

_FAILURES = (sqlite3.Error, UnicodeDecodeError)
"""What sqlite3 raises; a damaged schema it may quote in a message that is not UTF-8."""


class CacheFile:
    """Values by (kind, key); what is put is kept in memory until it can be saved.

    Safe to share between threads, and any number of processes may use one file.
    """

    def __init__(self, path: Path | None, *, may_write: Callable[[], bool] = lambda: True) -> None:
        """Open lazily.

        Args:
            path: The file; None keeps everything in memory.
            may_write: Asked before the file is written; until it says so, all stays in memory.
        """
        self._path = path
        self._may_write = may_write
        self._lock = threading.Lock()
        self._reader: sqlite3.Connection | None = None
        self._unsaved: dict[tuple[int, bytes], bytes] = {}
        self._unsaved_bytes = 0
        self._saved_at = time.monotonic()
        self._last_seconds = 0.0
        self._patience = _PATIENCE
        self._is_damaged = False
        self._is_writable = path is not None

    def get(self, kind: int, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        """Return the values of those keys that are known."""
        with self._lock:
            found = self._stored(kind, keys)
            for key in keys if self._unsaved else ():
                if (value := self._unsaved.get((kind, key))) is not None:
                    found[key] = value
            return found

    def put(self, kind: int, key: bytes, value: bytes) -> None:
        """Keep a value; from time to time, all are saved."""
        with self._lock:
            self._unsaved_bytes += len(value) - len(self._unsaved.get((kind, key), b""))
            self._unsaved[kind, key] = value
            is_due = time.monotonic() - self._saved_at > _SAVE_SECONDS
            if self._is_writable and (is_due or self._unsaved_bytes > _SAVE_BYTES):
                self._save()

    def move(self, path: Path) -> None:
        """Keep values in a file from now on, if they are kept in memory until now."""
        with self._lock:
            if self._path is None:
                self._path, self._is_writable = path, True

    def save(self, *, every: float = 0) -> None:
        """Write what was put to the file, if that is possible.

        Args:
            every: Seconds that must have passed since the last time, or nothing is done; more where
                the disk is slow, so that saving takes a small share of the time. Then the disk is
                not waited for: the file survives a kill, and after a loss of power it may have to
                be made again. 0 for at once.
        """
        with self._lock:
            wait = max(every, _SAVE_SHARE * self._last_seconds)
            if not every or time.monotonic() - self._saved_at > wait:
                self._save(is_synced=not every)

    def close(self) -> None:
        """Save, and let go of the file."""
        with self._lock:
            self._save()
            self._close_reader()

    def _stored(self, kind: int, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        found: dict[bytes, bytes] = {}
        began = time.monotonic()
        try:
            reader = self._open_reader()
            if reader is None:
                return found
            for start in range(0, len(keys), _KEYS_PER_QUERY):
                some = keys[start : start + _KEYS_PER_QUERY]
                marks = ",".join("?" * len(some))
                query = f"SELECT key, value FROM entries WHERE kind = ? AND key IN ({marks})"  # noqa: S608 - marks are question marks
                for key, sealed in reader.execute(query, (kind, *some)):
                    if (value := _unseal(kind, key, sealed)) is not None:
                        found[key] = value
        except (*_FAILURES, OSError) as error:
            self._note(error, began)
            self._close_reader()
        return found

    def _open_reader(self) -> sqlite3.Connection | None:
        if self._reader is None and self._path is not None and self._path.is_file():
            reader = _connect(self._path, "ro", self._patience)
            try:
                is_ours = _version(reader) == VERSION
            except _FAILURES:
                reader.close()
                raise
            if is_ours:
                self._reader = reader
            else:
                reader.close()
        return self._reader

    def _close_reader(self) -> None:
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    def _save(self, *, is_synced: bool = True) -> None:
        began = time.monotonic()
        self._save_all(is_synced)
        self._saved_at = time.monotonic()
        self._last_seconds = self._saved_at - began

    def _save_all(self, is_synced: bool) -> None:
        path = self._path
        if not self._unsaved or path is None or not self._is_writable:
            return
        began = time.monotonic()
        for _ in range(2):  # a damaged file gives way to a new one, once
            try:
                if not self._may_write():
                    return
                path.parent.mkdir(parents=True, exist_ok=True)
                if self._is_damaged:
                    self._remove(path)
                self._write(path, is_synced)
            except (*_FAILURES, OSError) as error:
                self._note(error, began)
                # After a wait it may be tried again later; else this process works without it.
                self._is_writable = self._is_damaged or _is_busy(error)
                if self._is_damaged:
                    continue
            return
        self._is_writable = False

    def _write(self, path: Path, is_synced: bool) -> None:
        rows = [
            (kind, key, _seal(kind, key, value)) for (kind, key), value in self._unsaved.items()
        ]
        with contextlib.closing(_connect(path, "rwc", self._patience)) as writer:
            # Power may fail: then a torn file must be seen to be one. Where the disk is not waited
            # for, the seals of the entries tell.
            writer.execute(f"PRAGMA synchronous = {'NORMAL' if is_synced else 'OFF'}")
            with _transaction(writer):
                if _version(writer) != VERSION:
                    _empty(writer)
                writer.executemany("INSERT OR REPLACE INTO entries VALUES (?, ?, ?)", rows)
        self._unsaved.clear()
        self._unsaved_bytes = 0

    def _remove(self, path: Path) -> None:
        self._close_reader()
        # The journal first: sqlite would roll it back into a new file.
        path.with_name(f"{path.name}-journal").unlink(missing_ok=True)
        path.unlink(missing_ok=True)
        self._is_damaged = False

    def _note(self, error: Exception, began: float) -> None:
        if _is_busy(error):
            self._patience = max(0.0, self._patience - (time.monotonic() - began))
        if isinstance(error, UnicodeDecodeError):
            self._is_damaged = True
        code = getattr(error, "sqlite_errorcode", None)
        if isinstance(error, sqlite3.Error) and code is not None:
            self._is_damaged = code & 0xFF not in _HEALTHY


def unreadable(path: Path) -> str:
    """Return what of a file cannot be used, for people; empty if all of it can."""
    try:
        with contextlib.closing(_connect(path, "ro", _PATIENCE)) as reader:
            if _version(reader) != VERSION:
                return "another version of geobatch made it"
            rows = reader.execute("SELECT kind, key, value FROM entries")
            count = sum(1 for kind, key, sealed in rows if _unseal(kind, key, sealed) is None)
    except (*_FAILURES, OSError) as error:
        return str(error)
    return f"{count:,} of its entries are damaged" if count else ""


def _connect(path: Path, mode: str, patience: float) -> sqlite3.Connection:
    return sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}",
        uri=True,
        timeout=patience,
        isolation_level=None,
        check_same_thread=False,
    )


@contextlib.contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _empty(connection: sqlite3.Connection) -> None:
    names = connection.execute(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
    ).fetchall()
    for (name,) in names:
        quoted = name.replace('"', '""')
        connection.execute(f'DROP TABLE "{quoted}"')
    connection.execute(_SCHEMA)
    connection.execute(f"PRAGMA user_version = {VERSION}")


def _is_busy(error: Exception) -> bool:
    code = getattr(error, "sqlite_errorcode", None)
    return code is not None and code & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def _seal(kind: int, key: bytes, value: bytes) -> bytes:
    """Return a value with a hash in front, so that damage is seen."""
    hasher = blake3(b"%d %d " % (kind, len(key)))
    hasher.update(key)
    hasher.update(value)
    return hasher.digest(_SEAL_BYTES) + value


def _unseal(kind: int, key: object, sealed: object) -> bytes | None:
    if not isinstance(key, bytes) or not isinstance(sealed, bytes):
        return None
    value = sealed[_SEAL_BYTES:]
    return value if _seal(kind, key, value) == sealed else None
