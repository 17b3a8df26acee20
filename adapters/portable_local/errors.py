"""What SQLite and the file system say, as portable errors."""

from __future__ import annotations

import errno
import sqlite3

from portable.errors import (
    NotFoundError,
    PermissionDeniedError,
    ServiceError,
    UnavailableError,
    UnsupportedError,
)

__all__ = ["translate"]

_BY_SQLITE: dict[int, type[ServiceError]] = {
    sqlite3.SQLITE_BUSY: UnavailableError,
    sqlite3.SQLITE_LOCKED: UnavailableError,
    sqlite3.SQLITE_FULL: UnavailableError,
    sqlite3.SQLITE_IOERR: UnavailableError,
    sqlite3.SQLITE_NOMEM: UnavailableError,
    sqlite3.SQLITE_INTERRUPT: UnavailableError,
    sqlite3.SQLITE_PROTOCOL: UnavailableError,
    sqlite3.SQLITE_CANTOPEN: NotFoundError,
    sqlite3.SQLITE_READONLY: PermissionDeniedError,
    sqlite3.SQLITE_PERM: PermissionDeniedError,
    sqlite3.SQLITE_AUTH: PermissionDeniedError,
    sqlite3.SQLITE_TOOBIG: UnsupportedError,
}

_BY_ERRNO: dict[int, type[ServiceError]] = {
    errno.ENOENT: NotFoundError,
    errno.ENOTDIR: NotFoundError,
    errno.EACCES: PermissionDeniedError,
    errno.EPERM: PermissionDeniedError,
    errno.EROFS: PermissionDeniedError,
    errno.ENOSPC: UnavailableError,
    errno.EDQUOT: UnavailableError,
    errno.EMFILE: UnavailableError,
    errno.ENFILE: UnavailableError,
    errno.EIO: UnavailableError,
}


def translate(error: sqlite3.Error | OSError, resource: str, key: str | None = None) -> ServiceError:
    """The portable error for what SQLite or the file system raised. Raise it ``from`` that one."""
    if isinstance(error, OSError):
        kind = _BY_ERRNO.get(error.errno or 0, ServiceError)
    else:
        # The low byte is the primary code; the rest says more (SQLITE_IOERR_WRITE).
        kind = _BY_SQLITE.get(getattr(error, "sqlite_errorcode", 0) & 0xFF, ServiceError)
    return kind(str(error) or type(error).__name__, resource=resource, key=key)
