"""SQLite files that several threads and processes use at once.

Durability: by default (``normal``) what was accepted survives the end of the process however it ends, kill -9 among
them; a power cut may take the last moments, and never leaves a file broken. With ``PORTABLE_LOCAL_DURABILITY=full`` an
accepted write survives the power cut too, for one fsync each. ``normal`` is the default because this platform serves
development, where the process is what crashes, and an fsync costs several times the rest of a write.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from pathlib import Path
from zlib import crc32

from portable.errors import ConfigError
from portable_local.limits import LOCK_WAIT, SQLITE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["DURABILITIES", "Database"]

DURABILITIES = ("normal", "full")


class Database:
    """One file, and the connections to it that are not in use at the moment.

    Args:
        path: the file; made with ``schema`` on first use, when it is not there and its folder is.

    Methods raise sqlite3.Error and OSError, and ConfigError for a file that another version made with another schema.
    """

    def __init__(self, path: Path, schema: str, durability: str = "normal") -> None:
        if sqlite3.sqlite_version_info < SQLITE:
            needed = ".".join(map(str, SQLITE))
            raise ConfigError(f"local buckets and queues need SQLite {needed} or later, not {sqlite3.sqlite_version}")
        self.path = path
        self._schema = schema
        self._durability = durability
        self._idle: list[sqlite3.Connection] = []
        self._pid = os.getpid()

    def take(self) -> sqlite3.Connection:
        """A connection in autocommit mode, for one thread until it is given back."""
        if self._pid != os.getpid():  # a forked child must not touch its parent's connections
            self._idle = []
            self._pid = os.getpid()
        try:
            return self._idle.pop()
        except IndexError:
            return self._connect()

    def give(self, connection: sqlite3.Connection) -> None:
        """Hand a connection back."""
        self._idle.append(connection)

    @contextlib.contextmanager
    def connection(self) -> Iterator[sqlite3.Connection]:
        """A connection for a block."""
        connection = self.take()
        try:
            yield connection
        finally:
            self.give(connection)

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """A block that nobody else writes during, and that counts whole or not at all."""
        with self.connection() as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    def close(self) -> None:
        """Close the connections that are idle."""
        while self._idle:
            self._idle.pop().close()

    def _connect(self) -> sqlite3.Connection:
        if not self.path.exists():
            _create(self.path, self._schema)
        # mode=rw: a file deleted at this moment is not made anew, empty and without its tables.
        connection = sqlite3.connect(
            f"{self.path.absolute().as_uri()}?mode=rw",
            timeout=LOCK_WAIT,
            isolation_level=None,
            check_same_thread=False,
            uri=True,
        )
        (made_with,) = connection.execute("PRAGMA user_version").fetchone()
        if made_with != _mark(self._schema):
            connection.close()
            raise ConfigError(
                f"{self.path} was made by another version of portable, whose tables this one does not read: use that "
                "version to empty it, or move its folder away and a new one is made"
            )
        connection.execute(f"PRAGMA synchronous = {self._durability}")
        return connection


def _mark(schema: str) -> int:
    """What tells schemas apart: SQLite keeps a signed number of 32 bits in a file's head."""
    return crc32(schema.encode()) >> 1


def _create(path: Path, schema: str) -> None:
    """Make the file whole under another name first: of several processes that begin at once, one wins."""
    fresh = path.with_name(f"{path.name}.{os.getpid()}-{os.urandom(4).hex()}")
    connection = sqlite3.connect(fresh, isolation_level=None)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.executescript(schema)
        connection.execute(f"PRAGMA user_version = {_mark(schema)}")
    finally:
        connection.close()
    try:
        os.link(fresh, path)
    except FileExistsError:
        pass
    finally:
        fresh.unlink()
