"""The index of a bucket: one key-value entry a key, whose revision is the blob's etag. Coroutines of the link's loop.

An entry names the blob's chunks. It is replaced under the condition that it is the one that was seen, so of the writers
of one key each knows what it replaced.
"""

from __future__ import annotations

import json

from portable.drivers import BlobInfo
from portable_nats.keys import key_of, subject_filter, tokens_of
from portable_nats.store import Store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from portable_nats._sdk import Server

__all__ = ["Entry", "Index"]


class Entry:
    """What the index holds of one blob.

    Attributes:
        blob: the name of its chunks. size: bytes. chunk: bytes of each chunk but the last. revision: the etag, as int.
    """

    __slots__ = ("blob", "cache_control", "chunk", "content_type", "metadata", "revision", "size", "time")

    def __init__(
        self,
        blob: str,
        size: int,
        chunk: int,
        content_type: str | None,
        metadata: dict[str, str],
        cache_control: str | None,
    ) -> None:
        self.blob = blob
        self.size = size
        self.chunk = chunk
        self.content_type = content_type
        self.metadata = metadata
        self.cache_control = cache_control
        self.revision = 0
        self.time: Any = None

    def text(self) -> bytes:
        """As it is stored."""
        return json.dumps(
            {
                "blob": self.blob,
                "size": self.size,
                "chunk": self.chunk,
                "content_type": self.content_type,
                "metadata": self.metadata,
                "cache_control": self.cache_control,
            }
        ).encode()

    def info(self, key: str) -> BlobInfo:
        """As the portable type gives it."""
        return BlobInfo(
            key, self.size, str(self.revision), self.time, self.content_type, dict(self.metadata), self.cache_control
        )


class Index:
    """The entries of one bucket."""

    def __init__(self, server: Server, bucket: str) -> None:
        self._store = Store(server, bucket)

    async def find(self, key: str) -> Entry | None:
        """The entry of a key."""
        value = await self._store.find(tokens_of(key))
        if value is None or value.data is None:
            return None
        entry = Entry(**json.loads(value.data))
        entry.revision, entry.time = value.revision, value.time
        return entry

    async def put(self, key: str, entry: Entry, old: Entry | None) -> None:
        """Put the entry in the place of ``old``. Raises JetStreamError when that is not there any more."""
        entry.revision = await self._store.put(tokens_of(key), entry.text(), await self._revision(key, old))

    async def remove(self, key: str, entry: Entry) -> None:
        """Remove the entry. Raises likewise."""
        await self._store.remove(tokens_of(key), entry.revision)

    async def _revision(self, key: str, old: Entry | None) -> int:
        if old is not None:
            return old.revision
        mark = await self._store.find(tokens_of(key))  # of a removal that a crash has left, or nothing
        return mark.revision if mark is not None and mark.data is None else 0

    async def keys(self, prefix: str) -> list[str]:
        """Every key with a prefix, in order."""
        found = [
            key
            async for tokens in self._store.keys(subject_filter(prefix))
            if (key := key_of(tokens)).startswith(prefix)
        ]
        found.sort(key=str.encode)
        return found
