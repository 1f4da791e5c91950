"""The SQLite file: its schema and migrations, a connection for each thread, transactions.

Knows no groups. Every sqlite3 error leaves here as StoreUnavailable, with the transaction
rolled back.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from service.core.errors import StoreUnavailable

# "gpos": marks the file as ours, so that another program's database is never migrated.
APPLICATION_ID = 0x67706F73

# MIGRATIONS[n] takes schema n to schema n + 1; PRAGMA user_version holds the schema of a file.
MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        """CREATE TABLE groups (
            key INTEGER PRIMARY KEY,
            tenant TEXT NOT NULL,
            id TEXT NOT NULL,
            version INTEGER NOT NULL,
            head TEXT NOT NULL,
            created_at TEXT NOT NULL,
            updated_at TEXT NOT NULL,
            UNIQUE (tenant, id)
        )""",
        """CREATE TABLE preferences (
            group_key INTEGER NOT NULL REFERENCES groups (key) ON DELETE CASCADE,
            position INTEGER NOT NULL,
            body TEXT NOT NULL,
            PRIMARY KEY (group_key, position)
        ) WITHOUT ROWID""",
        """CREATE TABLE vectors (
            group_key INTEGER PRIMARY KEY REFERENCES groups (key) ON DELETE CASCADE,
            version INTEGER NOT NULL,
            embedder_digest TEXT NOT NULL,
            rows INTEGER NOT NULL,
            dim INTEGER NOT NULL,
            data BLOB NOT NULL
        )""",
        # Outlives the group: a version number is never given out twice.
        """CREATE TABLE versions (
            tenant TEXT NOT NULL,
            id TEXT NOT NULL,
            last INTEGER NOT NULL,
            PRIMARY KEY (tenant, id)
        ) WITHOUT ROWID""",
        """CREATE TABLE idempotency (
            tenant TEXT NOT NULL,
            key TEXT NOT NULL,
            payload_digest TEXT NOT NULL,
            group_id TEXT NOT NULL,
            version INTEGER NOT NULL,
            head TEXT NOT NULL,
            preferences TEXT NOT NULL,
            created_at TEXT NOT NULL,
            expires_at REAL NOT NULL,
            PRIMARY KEY (tenant, key)
        )""",
        "CREATE INDEX idempotency_expiry ON idempotency (expires_at)",
        "CREATE TABLE probe (one INTEGER PRIMARY KEY CHECK (one = 1), checked_at REAL NOT NULL)",
    ),
    ("CREATE TABLE tags (tenant TEXT PRIMARY KEY, tag TEXT NOT NULL) WITHOUT ROWID",),
    (
        # Set where the key was that of an append; its group's preferences are not kept then.
        "ALTER TABLE idempotency ADD COLUMN preference_count INTEGER",
        "ALTER TABLE idempotency ADD COLUMN context_tokens INTEGER",
        "ALTER TABLE idempotency ADD COLUMN updated_at TEXT",
        """CREATE TABLE texts (
            tenant TEXT NOT NULL,
            key TEXT NOT NULL,
            embedder_digest TEXT NOT NULL,
            data BLOB NOT NULL,
            expires_at REAL NOT NULL,
            PRIMARY KEY (tenant, key)
        )""",
        "CREATE INDEX texts_expiry ON texts (expires_at)",
    ),
)

_REASONS = {
    sqlite3.SQLITE_BUSY: "the database is locked by another process",
    sqlite3.SQLITE_FULL: "the disk is full",
    sqlite3.SQLITE_CORRUPT: "the database file is damaged",
    sqlite3.SQLITE_NOTADB: "the file is not a SQLite database",
    sqlite3.SQLITE_READONLY: "the database file is read-only",
    sqlite3.SQLITE_IOERR: "reading or writing the database file failed",
    sqlite3.SQLITE_CANTOPEN: "the database file cannot be opened",
}
_CONNECTION_STAYS_GOOD = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_FULL}


class Database:
    """One SQLite file in WAL mode, usable from any thread and by several processes of one host."""

    def __init__(self, path: Path, *, busy_timeout_s: float, open_now: bool = True) -> None:
        """Without `open_now` the file must be there and is opened by the first transaction."""
        self._path = path.absolute()
        self._busy_timeout_s = busy_timeout_s
        self._local = threading.local()
        self._open: set[sqlite3.Connection] = set()
        self._lock = threading.Lock()
        self._closed = False
        if open_now:
            self._open_file()

    def _open_file(self) -> None:
        _create_file(self._path)
        try:
            with self.read():
                pass
        except StoreUnavailable as exc:
            self.close()
            raise StoreUnavailable(f"{exc} The file is {self._path}.") from exc

    @contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """A transaction that sees one state of the database throughout."""
        with self._transaction("BEGIN") as conn:
            yield conn

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """A transaction that holds the write lock; leaving it by an exception undoes all of it."""
        with self._transaction("BEGIN IMMEDIATE") as conn:
            _refuse_newer(conn)
            yield conn

    def close(self) -> None:
        """Close the connections of all threads; none may be in use."""
        self._closed = True
        with self._lock:
            for conn in self._open:
                conn.close()
            self._open.clear()

    @contextmanager
    def _transaction(self, begin: str) -> Iterator[sqlite3.Connection]:
        with self.statements() as conn:
            conn.execute(begin)
            try:
                yield conn
                conn.execute("COMMIT")
            finally:
                if conn.in_transaction:
                    conn.execute("ROLLBACK")

    @contextmanager
    def statements(self) -> Iterator[sqlite3.Connection]:
        """No transaction: each statement sees a state of its own, and there is no other to run."""
        try:
            yield self._connection()
        except sqlite3.Error as exc:
            code = _primary_code(exc)
            if code not in _CONNECTION_STAYS_GOOD:
                self._discard()
            reason = _REASONS.get(code, "the database does not answer")
            raise StoreUnavailable(f"The group store failed: {reason}.") from exc

    def _connection(self) -> sqlite3.Connection:
        if self._closed:
            raise StoreUnavailable("The group store is closed.")
        try:
            stat = os.stat(self._path)
        except OSError as exc:
            raise StoreUnavailable("The group store failed: the database file is gone.") from exc
        # A file put in place of the old one (a restored backup) is opened anew; writes to the
        # old, unlinked file would be lost.
        identity = (stat.st_dev, stat.st_ino)
        if getattr(self._local, "identity", None) != identity:
            self._discard()
            self._local.conn = self._connect()
            self._local.identity = identity
        conn: sqlite3.Connection = self._local.conn
        return conn

    def _connect(self) -> sqlite3.Connection:
        # mode=rw: a file that vanished while the service runs is an outage, not an empty store.
        conn = sqlite3.connect(
            f"{self._path.as_uri()}?mode=rw",
            uri=True,
            timeout=self._busy_timeout_s,
            isolation_level=None,
            check_same_thread=False,
        )
        conn.row_factory = sqlite3.Row
        try:
            _refuse_foreign(conn)
            _use_wal(conn, time.monotonic() + self._busy_timeout_s)
            # FULL: with NORMAL a power cut could undo an acknowledged write, and its version
            # number would be given out again.
            conn.execute("PRAGMA synchronous = FULL")
            conn.execute("PRAGMA foreign_keys = ON")
            conn.execute("PRAGMA journal_size_limit = 67108864")
            _migrate(conn)
        except (sqlite3.Error, StoreUnavailable):
            conn.close()
            raise
        with self._lock:
            self._open.add(conn)
        return conn

    def _discard(self) -> None:
        conn = getattr(self._local, "conn", None)
        if conn is not None:
            self._local.conn = self._local.identity = None
            with self._lock:
                self._open.discard(conn)
            conn.close()


def _create_file(path: Path) -> None:
    """Make an empty file that its owner alone can read, unless there is one already."""
    if not path.parent.is_dir():
        raise StoreUnavailable(
            f"The folder {path.parent} of the database {path.name} does not exist; create it first."
        )
    if path.is_dir():
        raise StoreUnavailable(f"The database path {path} is a folder; name a file in it.")
    try:
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    except OSError as exc:
        raise StoreUnavailable(f"The database {path} cannot be opened: {exc.strerror}.") from exc


def _refuse_foreign(conn: sqlite3.Connection) -> None:
    (tables,) = conn.execute("SELECT count(*) FROM sqlite_master").fetchone()
    (application_id,) = conn.execute("PRAGMA application_id").fetchone()
    if tables and application_id != APPLICATION_ID:
        raise StoreUnavailable("The database file belongs to another program.")


def _use_wal(conn: sqlite3.Connection, deadline: float) -> None:
    # SQLite does not wait for a lock when it changes the journal mode, so two processes that
    # open a new file at the same time have to be patient themselves.
    while True:
        try:
            (mode,) = conn.execute("PRAGMA journal_mode = WAL").fetchone()
        except sqlite3.OperationalError as exc:
            if _primary_code(exc) != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.02)
            continue
        if mode != "wal":
            raise StoreUnavailable("The file system cannot share a SQLite database (no WAL).")
        return


def _schema(conn: sqlite3.Connection) -> int:
    (version,) = conn.execute("PRAGMA user_version").fetchone()
    return int(version)


def _refuse_newer(conn: sqlite3.Connection) -> None:
    version = _schema(conn)
    if version > len(MIGRATIONS):
        raise StoreUnavailable(
            f"The database has schema {version}, this release knows {len(MIGRATIONS)}: "
            "it was written by a newer release."
        )


def _migrate(conn: sqlite3.Connection) -> None:
    _refuse_newer(conn)
    if _schema(conn) == len(MIGRATIONS):
        return
    conn.execute("BEGIN IMMEDIATE")
    try:
        # Read again under the lock: another process may have migrated meanwhile.
        for statements in MIGRATIONS[_schema(conn) :]:
            for statement in statements:
                conn.execute(statement)
        conn.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        conn.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
        conn.execute("COMMIT")
    finally:
        if conn.in_transaction:
            conn.execute("ROLLBACK")


def _primary_code(exc: sqlite3.Error) -> int:
    # Extended result codes keep the primary one in the lowest byte; errors of the Python module
    # itself carry none.
    return int(getattr(exc, "sqlite_errorcode", sqlite3.SQLITE_ERROR)) & 0xFF
