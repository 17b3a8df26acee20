"""What the local drivers can do, each figure with its source."""

from __future__ import annotations

SQLITE = (3, 35, 0)
"""Oldest SQLite that runs the queue: UPDATE … RETURNING. Source: SQLite's release notes of 3.35.0."""

LARGEST_BODY = 1_000_000_000 - 1_000_000
"""Bytes of a message's body. Source: SQLITE_MAX_LENGTH, 1,000,000,000 bytes a row by default (sqlite.org/limits.html);
a million is left for attributes."""

LOCK_WAIT = 30.0
"""Seconds a writer waits for those before it; then UnavailableError. Chosen: a write takes milliseconds."""

PYTHONS = ("3.13", "3.12", "3.11")
"""Versions an artifact is built for, the default first: what this project is tested on."""

LARGEST_ITEM = 400 * 1024
"""Bytes of a table's item, as it is stored. Chosen: the least of the clouds', DynamoDB's 400 KB
(amazondynamodb/latest/developerguide/Constraints.html), so that what is too large there is too large here."""
