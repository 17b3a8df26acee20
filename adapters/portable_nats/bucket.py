"""Buckets on JetStream: an index (``portable_nats.index``) and a stream with the blobs' bytes in chunks.

A write puts its chunks under a name of its own, then puts the entry in the index, which is the moment it happens, then
removes the chunks of what it replaced. A crash in between leaves chunks that no entry names: ``portable_nats.sweep``.
"""

from __future__ import annotations

import contextlib
from secrets import token_hex
from time import time

from portable.drivers.bucket import BlobInfo, DeleteFailure
from portable.errors import (
    AlreadyExistsError,
    NotFoundError,
    PreconditionFailedError,
    ServiceError,
    UnavailableError,
    UnsupportedError,
)
from portable_nats._sdk import JetStreamError
from portable_nats.errors import translate
from portable_nats.index import Entry, Index
from portable_nats.keys import read_place
from portable_nats.limits import CHUNK_BYTES
from portable_nats.store import WRONG_REVISION
from portable_nats.together import together
from portable_nats.twins import Twins

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from datetime import timedelta
    from typing import Any

    from portable.resources import Resource
    from portable_nats._sdk import Link

    Rows = Iterator[BlobInfo]
    Failures = list[DeleteFailure]

__all__ = ["BucketCalls", "NATSBucket", "chunks_stream", "chunks_subject", "open_driver"]

AT_ONCE = 8  # chunks on their way together: 2 MiB
PAGE = 256  # entries of a listing that are fetched together
ATTEMPTS = 50  # of a read or write that meets other writers of its key again and again


def open_driver(resource: Resource, environment: Mapping[str, str] | None, link: Link) -> NATSBucket:
    """The driver of a declared bucket. Raises ConfigError without an address."""
    return NATSBucket(
        link, BucketCalls(resource.name, read_place("bucket", resource.name, environment), link), name_of=_key_in
    )


def chunks_stream(bucket: str) -> str:
    """The stream with a bucket's bytes."""
    return f"BLOBS_{bucket}"


def chunks_subject(bucket: str, blob: str, number: int | str) -> str:
    """Where one chunk is."""
    return f"portable.blobs.{bucket}.{blob}.{number}"


class NATSBucket(Twins):
    """One bucket. See :class:`BucketCalls`; what takes or gives a stream is here, on its caller's thread."""

    def write_parts(self, key: str, parts: Iterator[bytes], **options: Any) -> BlobInfo:
        """See ``portable.drivers``."""
        calls, blob, size = self._calls, _blob_name(), 0
        try:
            for part in parts:
                self._do(calls.upload, key, blob, size // CHUNK_BYTES, part)
                size += len(part)
                del part  # before the next one is made
            info: BlobInfo = self._do(calls.commit, key, blob, size, **options)
        except BaseException:
            with contextlib.suppress(ServiceError):
                self._do(calls.give_up, key, blob)
            raise
        return info

    def open(self, key: str, start: int | None, end: int | None, if_match: str | None) -> tuple[BlobInfo, BlobChunks]:
        """See ``portable.drivers``."""
        entry: Entry = self._do(self._calls.entry, key, if_match)
        first, last = _span(entry, start, end)
        return entry.info(key), BlobChunks(
            lambda position, until: self._do(self._calls.bytes_of, key, entry, position, until), first, last
        )

    def list(self, prefix: str, delimiter: str | None) -> Rows:
        """See ``portable.drivers``. The names of all keys with the prefix are fetched at once, their entries page by
        page: memory grows by the keys' own length.
        """
        keys: list[str] = self._do(self._calls.keys, None, prefix)
        page: list[BlobInfo | str] = []
        for row in _folded(keys, prefix, delimiter):
            page.append(row)
            if len(page) == PAGE:
                yield from self._do(self._calls.filled, None, page)
                page = []
        yield from self._do(self._calls.filled, None, page)

    def url(self, key: str, method: str, expires: timedelta, content_type: str | None) -> Any:  # noqa: ARG002
        """Raises UnsupportedError: NATS has no HTTP."""
        raise UnsupportedError("NATS has no HTTP, so no URL", resource=self._calls.label, key=key)

    def _do(self, method: Any, key: str | None, *args: Any, **options: Any) -> Any:
        """A coroutine's result; ``key`` is its first argument where there is one."""
        given = args if key is None else (key, *args)
        return self._link.call(self._guarded(method, given, options, key))


class BlobChunks:
    """The bytes of one version of a blob, 2 MiB a time."""

    def __init__(self, fetch: Callable[[int, int], bytes], start: int, end: int) -> None:
        self._fetch = fetch
        self._position = start
        self._end = end

    def __next__(self) -> bytes:
        if self._position >= self._end:
            raise StopIteration
        until = min(self._end, (self._position // CHUNK_BYTES + AT_ONCE) * CHUNK_BYTES)
        data = self._fetch(self._position, until)
        self._position = until
        return data

    def close(self) -> None:
        """Nothing is held."""
        self._position = self._end


class BucketCalls:
    """One bucket, as coroutines.

    The server decides a condition together with the write, and knows a write it has done already by its id: so after a
    lost answer it is asked again, and a conditional write is told its own outcome.
    """

    def __init__(self, name: str, place: tuple[str, str], link: Link) -> None:
        self.label = f"bucket {name}"
        self.server = link.server(place[0])
        self._bucket = place[1]
        self._stream = chunks_stream(place[1])
        self._index = Index(self.server, place[1])

    async def write(self, key: str, data: bytes, **options: Any) -> BlobInfo:
        """See ``portable.drivers``."""
        blob = _blob_name()
        if options["if_absent"] or options["if_match"] is not None:
            await self._expected(key, options["if_absent"], options["if_match"])  # told before anything is sent
        await self.upload(key, blob, 0, data)
        return await self.commit(key, blob, len(data), **options)

    async def upload(self, key: str, blob: str, number: int, data: bytes) -> None:  # noqa: ARG002 - errors name it
        """Put bytes on the stream, as chunks from ``number`` on."""

        async def put(position: int) -> None:
            name = chunks_subject(self._bucket, blob, number + position // CHUNK_BYTES)
            chunk = data[position : position + CHUNK_BYTES]
            await self.server.store(self._stream, name, chunk, {"Nats-Msg-Id": name})

        await together(put, range(0, len(data), CHUNK_BYTES), AT_ONCE // 2)

    async def commit(
        self,
        key: str,
        blob: str,
        size: int,
        *,
        content_type: str | None,
        metadata: Mapping[str, str] | None,
        if_absent: bool,
        if_match: str | None,
        cache_control: str | None = None,
    ) -> BlobInfo:
        """Put the entry in the index, and remove what it replaced. The time of the write is not in the answer."""
        entry = Entry(blob, size, CHUNK_BYTES, content_type, dict(metadata or {}), cache_control)
        for _ in range(ATTEMPTS):
            try:
                old = await self._expected(key, if_absent, if_match)
                await self._index.put(key, entry, old)
            except JetStreamError as error:
                if error.err_code not in WRONG_REVISION:
                    raise
                continue  # another write was first: the condition is looked at anew
            except (AlreadyExistsError, PreconditionFailedError):
                await self.give_up(key, blob)
                raise
            if old is not None:
                await self.give_up(key, old.blob)
            return entry.info(key)
        await self.give_up(key, blob)
        raise UnavailableError("too many others write this key", resource=self.label, key=key)

    async def _expected(self, key: str, if_absent: bool, if_match: str | None) -> Entry | None:
        """What is there, if it fits the condition."""
        old = await self._index.find(key)
        if if_absent and old is not None:
            raise AlreadyExistsError("the key exists", resource=self.label, key=key)
        if if_match is not None and (old is None or str(old.revision) != if_match):
            raise PreconditionFailedError("the etag is another", resource=self.label, key=key)
        return old

    async def give_up(self, key: str, blob: str) -> None:  # noqa: ARG002 - errors name it
        """Remove chunks. Where that fails they are left for a sweep: the blob itself is not concerned."""
        question = {"filter": chunks_subject(self._bucket, blob, "*")}
        with contextlib.suppress(Exception):
            await self.server.api(f"STREAM.PURGE.{self._stream}", question)

    async def entry(self, key: str, if_match: str | None = None) -> Entry:
        """What is there. Raises NotFoundError, PreconditionFailedError."""
        found = await self._index.find(key)
        if found is None:
            raise NotFoundError("there is no such key", resource=self.label, key=key)
        if if_match is not None and str(found.revision) != if_match:
            raise PreconditionFailedError("the etag is another", resource=self.label, key=key)
        return found

    async def read(
        self,
        key: str,
        start: int | None,
        end: int | None,
        if_match: str | None = None,
        if_none_match: str | None = None,
    ) -> bytes | None:
        """See ``portable.drivers``."""
        seen = 0
        for _ in range(ATTEMPTS):
            entry = await self.entry(key, if_match)
            if if_none_match is not None and str(entry.revision) == if_none_match:
                return None
            try:
                return await self.bytes_of(key, entry, *_span(entry, start, end))
            except UnavailableError:
                if entry.revision == seen:
                    raise  # nobody has replaced it, and still its bytes are not there
                seen = entry.revision
        raise UnavailableError("it is overwritten faster than it can be read", resource=self.label, key=key)

    async def bytes_of(self, key: str, entry: Entry, start: int, end: int) -> bytes:
        """Bytes of one version. Raises UnavailableError when a chunk is gone: the blob was replaced in the meantime."""
        if start >= end:
            return b""
        size = entry.chunk
        numbers = range(start // size, (end - 1) // size + 1)
        names = [chunks_subject(self._bucket, entry.blob, number) for number in numbers]
        chunks = await together(lambda name: self.server.last(self._stream, name), names, AT_ONCE)
        if None in chunks:
            raise UnavailableError("its bytes were removed while it was read", resource=self.label, key=key)
        data = b"".join(chunks)
        first = start - numbers[0] * size
        return data[first : first + end - start]

    async def stat(self, key: str) -> BlobInfo:
        """See ``portable.drivers``."""
        return (await self.entry(key)).info(key)

    async def delete(self, key: str) -> None:
        """See ``portable.drivers``. A write that happens at the same time comes after it."""
        old = await self._index.find(key)
        if old is None:
            return
        try:
            await self._index.remove(key, old)
        except JetStreamError as error:
            if error.err_code not in WRONG_REVISION:
                raise
        else:
            await self.give_up(key, old.blob)

    async def delete_many(self, keys: Sequence[str]) -> Failures:
        """See ``portable.drivers``. A call a key."""
        failures: Failures = []

        async def remove(key: str) -> None:
            try:
                await self.delete(key)
            except Exception as error:
                ours = translate(error, self.label, key)
                ours.__cause__ = error
                failures.append(DeleteFailure(key, ours))

        await self.keys("\0")  # whether there is such a bucket
        await together(remove, keys, AT_ONCE)
        return failures

    async def copy(self, source: str, target: str, to: NATSBucket) -> BlobInfo:
        """See ``portable.drivers``. The data does pass through this process, 2 MiB at a time: NATS copies nothing."""
        other: BucketCalls = to._calls
        old = await self.entry(source)
        blob = _blob_name()
        step = AT_ONCE * CHUNK_BYTES
        for position in range(0, old.size, step):
            data = await self.bytes_of(source, old, position, min(old.size, position + step))
            await other.upload(target, blob, position // CHUNK_BYTES, data)
        return await other.commit(
            target,
            blob,
            old.size,
            content_type=old.content_type,
            metadata=old.metadata,
            if_absent=False,
            if_match=None,
            cache_control=old.cache_control,
        )

    async def keys(self, prefix: str) -> list[str]:
        """Every key with a prefix, in order."""
        return await self._index.keys(prefix)

    async def filled(self, rows: Sequence[BlobInfo | str]) -> list[BlobInfo]:
        """Rows of a listing; for a key what is known of it, and nothing when it is gone by now."""

        async def fill(row: BlobInfo | str) -> BlobInfo | None:
            if not isinstance(row, str):
                return row
            entry = await self._index.find(row)
            return entry.info(row) if entry else None

        return [row for row in await together(fill, rows, 64) if row is not None]


def _key_in(first: Any) -> str | None:
    return first if isinstance(first, str) else None


def _blob_name() -> str:
    """A name no other blob has. It begins with its time, in milliseconds, which a sweep goes by."""
    return f"{int(time() * 1000):012x}{token_hex(10)}"


def _span(entry: Entry, start: int | None, end: int | None) -> tuple[int, int]:
    return start or 0, entry.size if end is None else min(end, entry.size)


def _folded(keys: Iterable[str], prefix: str, delimiter: str | None) -> Iterator[BlobInfo | str]:
    folded = None
    for key in keys:
        head, found, _ = key[len(prefix) :].partition(delimiter) if delimiter else ("", "", "")
        if not found:
            yield key
        elif folded != prefix + head + found:
            folded = prefix + head + found
            yield BlobInfo(folded, is_prefix=True)
