"""The index of a bucket: one key-value entry a key, whose revision is the blob's etag. Coroutines of the link's loop.

An entry names the blob's chunks. It is replaced under the condition that its revision is the one that was seen, which
the server decides; so of the writers of one key each knows what it replaced.
"""

from __future__ import annotations

import json
from base64 import b64decode
from secrets import token_hex

from portable.drivers import BlobInfo
from portable_nats._sdk import JetStreamError
from portable_nats.keys import key_of, subject_filter, tokens_of
from portable_nats.limits import NAMES_A_PAGE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from typing import Any

    from portable_nats._sdk import Server

__all__ = ["Entry", "Index"]

NO_MESSAGE = 10037  # err_code: no message found


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
    """The entries of one bucket, on the stream that NATS's own key-value store would use for it."""

    def __init__(self, server: Server, bucket: str) -> None:
        self._server = server
        self._stream = f"KV_{bucket}"
        self._root = f"$KV.{bucket}."

    async def find(self, key: str) -> Entry | None:
        """The entry of a key. The leader of the stream is asked, so what has been written is seen."""
        question = {"last_by_subj": self._root + tokens_of(key)}
        try:
            message = (await self._server.api(f"STREAM.MSG.GET.{self._stream}", question))["message"]
        except JetStreamError as error:
            if error.err_code == NO_MESSAGE:
                return None
            raise
        from datetime import datetime

        entry = Entry(**json.loads(b64decode(message["data"])))
        entry.revision = message["seq"]
        entry.time = datetime.fromisoformat(message["time"])
        return entry

    async def put(self, key: str, entry: Entry, revision: int) -> None:
        """Put the entry in the place of the one with that revision, of none for 0. Raises JetStreamError when it is
        not there any more. Sending it again after a lost answer is known by its id.
        """
        headers = {
            "Nats-Msg-Id": f"{entry.blob}.{token_hex(4)}",
            "Nats-Expected-Last-Subject-Sequence": str(revision),
        }
        receipt = await self._server.store(self._stream, self._root + tokens_of(key), entry.text(), headers)
        entry.revision = receipt["seq"]

    async def remove(self, key: str, revision: int) -> None:
        """Remove the entry unless it is a later one than this revision."""
        question = {"filter": self._root + tokens_of(key), "seq": revision + 1}
        await self._server.api(f"STREAM.PURGE.{self._stream}", question)

    async def keys(self, prefix: str) -> list[str]:
        """Every key with a prefix, in order. The server names them 100,000 at a time."""
        found: list[str] = []
        async for subject in subjects(self._server, self._stream, self._root + subject_filter(prefix)):
            key = key_of(subject.removeprefix(self._root))
            if key.startswith(prefix):
                found.append(key)
        found.sort(key=str.encode)
        return found


async def subjects(server: Server, stream: str, pattern: str) -> AsyncIterator[str]:
    """The subjects of a stream's messages that a pattern lets through."""
    offset = 0
    while True:
        answer = await server.api(f"STREAM.INFO.{stream}", {"subjects_filter": pattern, "offset": offset})
        names = answer["state"].get("subjects") or {}
        for name in names:
            yield name
        offset += len(names)
        if len(names) < NAMES_A_PAGE and offset >= answer.get("total", 0):
            return
        if not names:
            return
