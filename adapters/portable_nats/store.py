"""Values by key on the stream that NATS's own key-value store would use, each replaced under a condition the server
decides. Coroutines of the link's loop.
"""

from __future__ import annotations

from base64 import b64decode
from secrets import token_hex

from portable_nats._sdk import JetStreamError
from portable_nats.limits import NAMES_A_PAGE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from datetime import datetime
    from typing import Any

    from portable_nats._sdk import Server

__all__ = ["WRONG_REVISION", "Store", "Value", "subjects"]

NO_MESSAGE = 10037  # err_code: no message found
WRONG_REVISION = (10071, 10164)  # err_code: wrong last sequence; newer servers have the second


class Value:
    """What is stored. ``data`` is None where only the mark of a removal is; ``revision`` grows with every write."""

    __slots__ = ("_time", "data", "revision")

    def __init__(self, revision: int, data: bytes | None, time: str) -> None:
        self.revision = revision
        self.data = data
        self._time = time

    @property
    def time(self) -> datetime:
        """When it was written, by the server's clock."""
        from datetime import datetime

        return datetime.fromisoformat(self._time)


class Store:
    """The values of one bucket of NATS's key-value store. A key is tokens, as they stand in a subject."""

    def __init__(self, server: Server, bucket: str) -> None:
        self._server = server
        self._stream = f"KV_{bucket}"
        self._root = f"$KV.{bucket}."

    async def find(self, key: str) -> Value | None:
        """The value of a key. The leader of the stream is asked, so what has been written is seen."""
        question = {"last_by_subj": self._root + key}
        try:
            message = (await self._server.api(f"STREAM.MSG.GET.{self._stream}", question))["message"]
        except JetStreamError as error:
            if error.err_code == NO_MESSAGE:
                return None
            raise
        # A value of ours is never empty: the mark of a removal is.
        data = b64decode(message["data"]) if message.get("data") else None
        return Value(message["seq"], data, message["time"])

    async def put(self, key: str, data: bytes, revision: int | None) -> int:
        """Put a value in the place of the one with that revision, of none for 0, of any for None. Raises
        JetStreamError (``WRONG_REVISION``) when it is not there any more. After a lost answer it is sent again, and
        the server knows it by its id. Returns the new revision.
        """
        return await self._write(key, data, revision, {})

    async def remove(self, key: str, revision: int) -> None:
        """Remove the value with that revision; raises as :meth:`put`. A mark is written, then that is cleared away."""
        mark = await self._write(key, b"", revision, {"KV-Operation": "DEL"})
        await self._server.api(f"STREAM.PURGE.{self._stream}", {"filter": self._root + key, "seq": mark + 1})

    async def clear(self, key: str) -> None:
        """Remove whatever is there."""
        await self._server.api(f"STREAM.PURGE.{self._stream}", {"filter": self._root + key})

    async def _write(self, key: str, data: bytes, revision: int | None, headers: dict[str, Any]) -> int:
        headers["Nats-Msg-Id"] = token_hex(12)
        if revision is not None:
            headers["Nats-Expected-Last-Subject-Sequence"] = str(revision)
        receipt = await self._server.store(self._stream, self._root + key, data, headers)
        written: int = receipt["seq"]
        return written

    async def keys(self, pattern: str) -> AsyncIterator[str]:
        """Every key that a pattern lets through, in no order. Of a removal under way the key may be among them."""
        async for subject in subjects(self._server, self._stream, self._root + pattern):
            yield subject.removeprefix(self._root)


async def subjects(server: Server, stream: str, pattern: str) -> AsyncIterator[str]:
    """The subjects of a stream's messages that a pattern lets through. The server names 100,000 at a time."""
    offset = 0
    while True:
        answer = await server.api(f"STREAM.INFO.{stream}", {"subjects_filter": pattern, "offset": offset})
        names = answer["state"].get("subjects") or {}
        for name in names:
            yield name
        offset += len(names)
        if len(names) < NAMES_A_PAGE:
            return
