"""Buckets on Cloud Storage. Addresses: ``gs://name``.

An etag is the blob's generation, which is what Cloud Storage compares when it writes; a blob event's version is the
same.

Cloud Storage holds every key but ``.``, ``..`` and those with a line break
(https://cloud.google.com/storage/docs/objects#naming). Such a key is stored under another name, and every name stands
for one key: a line feed is ``%0A``, a carriage return ``%0D``, a key that is ``.`` or ``..`` gets ``%00`` at its end,
and a ``%`` before ``00``, ``0A``, ``0D`` or ``25`` is ``%25``. All other keys are stored as they are.
"""

from __future__ import annotations

from datetime import UTC
from threading import Lock

from portable.drivers import BlobInfo, read_address
from portable.errors import (
    AlreadyExistsError,
    ConfigError,
    PreconditionFailedError,
    ServiceError,
    UnsupportedError,
)
from portable_gcp import _sdk
from portable_gcp.errors import translate
from portable_gcp.limits import NAME_BYTES
from portable_gcp.streams import PartStream, RangeChunks, stored

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from datetime import timedelta
    from typing import Any

    from portable.drivers import DeleteFailure, SignedURL
    from portable.resources import Resource

    Failures = list[DeleteFailure]
    Infos = Iterator[BlobInfo]

__all__ = ["StorageBucket", "key_of", "name_of", "parse_address", "open_driver"]


def open_driver(resource: Resource, environment: Mapping[str, str]) -> StorageBucket:
    """The driver of a declared bucket. Raises ConfigError without an address."""
    return StorageBucket(resource.name, read_address("bucket", resource.name, environment), environment)


DELETES = 8  # requests of one delete_many under way at once
TIMEOUT = (10.0, 60.0)  # seconds to connect, and between two bytes of an answer

_ESCAPES = {"%00": "", "%0A": "\n", "%0D": "\r", "%25": "%"}


def parse_address(address: str) -> str:
    """The name of the bucket an address stands for. Raises ConfigError."""
    scheme, _, name = address.partition("://")
    if scheme != "gs" or not name or "/" in name:
        raise ConfigError(f"bucket address {address!r} is not 'gs://NAME'")
    return name


def name_of(key: str) -> str:
    """The name a key is stored under."""
    if key in (".", ".."):
        return f"{key}%00"
    if "%" in key:
        first, *rest = key.split("%")
        key = first + "".join(("%25" if "%" + part[:2] in _ESCAPES else "%") + part for part in rest)
    return key.replace("\n", "%0A").replace("\r", "%0D")


def key_of(name: str) -> str:
    """The key stored under a name: the inverse of :func:`name_of`."""
    if "%" not in name:
        return name
    parts = []
    position = 0
    while (found := name.find("%", position)) >= 0:
        escape = name[found : found + 3]
        parts.append(name[position:found])
        parts.append(_ESCAPES.get(escape, "%"))
        position = found + (3 if escape in _ESCAPES else 1)
    return "".join(parts) + name[position:]


def _name_prefix(prefix: str) -> str:
    """A prefix of the names of all keys that start with ``prefix``: what follows may make an escape of its end."""
    if prefix in (".", ".."):
        return prefix
    cut = prefix
    if prefix[-2:-1] == "%":
        cut = prefix[:-1]
    return name_of(cut)


class StorageBucket:
    """See ``portable.drivers.BucketDriver``. Safe under threads.

    Args:
        name: as declared. address: see the module. environment: where the client finds its endpoint.
    """

    def __init__(self, name: str, address: str, environment: Mapping[str, str]) -> None:
        self._resource = f"bucket {name}"
        self._physical = parse_address(address)
        self._environment = environment
        self._lock = Lock()
        self._client: Any = None

    def write(
        self,
        key: str,
        data: bytes,
        *,
        content_type: str | None,
        metadata: Mapping[str, str] | None,
        if_absent: bool,
        if_match: str | None,
        cache_control: str | None = None,
    ) -> BlobInfo:
        """One upload. A conditional one is never retried: the answer that was lost may have been its success."""
        options = self._conditions(key, if_absent, if_match)
        if options:
            options["retry"] = None
        blob = self._described(key, metadata, cache_control)
        self._written(
            key,
            if_absent,
            lambda: blob.upload_from_string(data, content_type=content_type, timeout=TIMEOUT, **options),
        )
        return _info(blob)

    def write_parts(
        self,
        key: str,
        parts: Iterator[bytes],
        *,
        content_type: str | None,
        metadata: Mapping[str, str] | None,
        if_absent: bool,
        if_match: str | None,
        cache_control: str | None = None,
    ) -> BlobInfo:
        """A resumable upload. Its parts are retried, also of a conditional one: they belong to this upload alone."""
        options = self._conditions(key, if_absent, if_match)
        blob = self._described(key, metadata, cache_control)
        self._written(
            key,
            if_absent,
            lambda: _sdk.upload_stream(blob, PartStream(parts), content_type=content_type, timeout=TIMEOUT, **options),
        )
        return _info(blob)

    def _conditions(self, key: str, if_absent: bool, if_match: str | None) -> dict[str, Any]:
        if if_absent:
            return {"if_generation_match": 0}
        return {} if if_match is None else {"if_generation_match": self._generation(key, if_match)}

    def _generation(self, key: str, etag: str) -> int:
        if not etag.isdigit():
            raise PreconditionFailedError(f"no etag is {etag!r}", resource=self._resource, key=key)
        return int(etag)

    def _described(self, key: str, metadata: Mapping[str, str] | None, cache_control: str | None) -> Any:
        blob = self._blob(key)
        if metadata:
            blob.metadata = dict(metadata)
        if cache_control is not None:
            blob.cache_control = cache_control
        return blob

    def _written(self, key: str, if_absent: bool, upload: Callable[[], Any]) -> None:
        try:
            upload()
        except Exception as error:
            found = translate(error, self._resource, key)
            if if_absent and isinstance(found, PreconditionFailedError):
                found = AlreadyExistsError("it is there already", resource=self._resource, key=key)
            raise found from error

    def read(
        self,
        key: str,
        start: int | None,
        end: int | None,
        if_match: str | None = None,
        if_none_match: str | None = None,
    ) -> bytes | None:
        """The bytes as stored; one request, but for an empty range."""
        conditions = {} if if_match is None else {"if_generation_match": self._generation(key, if_match)}
        if if_none_match is not None and if_none_match.isdigit():
            conditions["if_generation_not_match"] = int(if_none_match)
        blob = self._blob(key)
        try:
            if end is not None and end == (start or 0):
                blob.reload(timeout=TIMEOUT, **conditions)
                return b""
            return stored(blob, start, end, TIMEOUT, conditions)
        except Exception as error:
            if type(error).__name__ == "NotModified":
                return None
            raise translate(error, self._resource, key) from error

    def open(self, key: str, start: int | None, end: int | None, if_match: str | None) -> tuple[BlobInfo, RangeChunks]:
        """One request for what is known of it, then one for each range, all of that generation."""
        conditions = {} if if_match is None else {"if_generation_match": self._generation(key, if_match)}
        blob = self._blob(key)
        self._do(key, lambda: blob.reload(timeout=TIMEOUT, **conditions))
        info = _info(blob)
        last = info.size if end is None else min(end, info.size)

        def fetch(first: int, past: int) -> bytes:
            pinned = {"if_generation_match": blob.generation}
            data: bytes = self._do(key, lambda: stored(blob, first, past, TIMEOUT, pinned))
            return data

        return info, RangeChunks(fetch, start or 0, last)

    def stat(self, key: str) -> BlobInfo:
        """One request for the blob's metadata."""
        blob = self._blob(key)
        self._do(key, lambda: blob.reload(timeout=TIMEOUT))
        return _info(blob)

    def delete(self, key: str) -> None:
        """Remove it; that it is not there is no error."""
        self._delete(key)

    def _delete(self, key: str) -> bool:
        blob = self._blob(key)
        try:
            blob.delete(timeout=TIMEOUT)
        except Exception as error:
            if type(error).__name__ != "NotFound":
                raise translate(error, self._resource, key) from error
            return False
        return True

    def delete_many(self, keys: Sequence[str]) -> Failures:
        """A request a key, eight at a time: a batch request counts no less, and is answered no sooner."""
        from concurrent.futures import ThreadPoolExecutor

        from portable.drivers import DeleteFailure

        def delete(key: str) -> bool | ServiceError:
            try:
                return self._delete(key)
            except ServiceError as error:
                return error

        with ThreadPoolExecutor(min(DELETES, len(keys))) as threads:
            found = list(threads.map(delete, keys))
        if not any(found):
            next(self.list("", None), None)  # nothing was there: the bucket, at least?
        return [DeleteFailure(key, one) for key, one in zip(keys, found, strict=True) if isinstance(one, ServiceError)]

    def copy(self, source: str, target: str, to: StorageBucket) -> BlobInfo:
        """A rewrite, which Cloud Storage does in one step, or asks to be called again for a large blob."""
        found, copied = self._blob(source), to._blob(target)
        token = None
        try:
            while True:
                token, _, _ = copied.rewrite(found, token=token, timeout=TIMEOUT)
                if token is None:
                    return _info(copied)
        except Exception as error:
            raise translate(error, self._resource, source) from error

    def url(self, key: str, method: str, expires: timedelta, content_type: str | None) -> SignedURL:
        """Signed by version 4: here with a service account's key, else by IAM (role Service Account Token Creator)."""
        from portable.drivers import SignedURL

        headers = {} if content_type is None else {"content-type": content_type}
        try:
            made = _sdk.signed_url(
                self._blob(key), self._environment, method=method, expiration=expires, content_type=content_type
            )
        except UnsupportedError as error:
            raise UnsupportedError(str(error), resource=self._resource, key=key) from error
        except Exception as error:
            raise translate(error, self._resource, key) from error
        return SignedURL(made, method, headers)

    def list(self, prefix: str, delimiter: str | None) -> Infos:
        """A request for each thousand rows, when they are asked for."""
        client = self.native()
        rows = client.list_blobs(
            self._physical, prefix=_name_prefix(prefix) or None, delimiter=delimiter, timeout=TIMEOUT
        )
        pages = rows.pages
        while (page := self._do(None, lambda: next(pages, None))) is not None:
            found = [_info(blob) for blob in page]
            found += [BlobInfo(key_of(name), is_prefix=True) for name in page.prefixes]
            found = [info for info in found if info.key.startswith(prefix)]
            yield from sorted(found, key=lambda info: info.key.encode())

    def native(self) -> Any:
        """``google.cloud.storage.Client``."""
        if self._client is None:
            with self._lock:
                if self._client is None:
                    self._client = self._do(None, lambda: _sdk.storage(self._environment))
        return self._client

    def close(self) -> None:
        """Close the connections; the next call opens them anew."""
        with self._lock:
            client, self._client = self._client, None
        if client is not None:
            client.close()

    def _blob(self, key: str) -> Any:
        name = name_of(key)
        if len(name) != len(key) and len(name.encode()) > NAME_BYTES:
            raise ValueError(
                f"{self._resource}, key {key!r}: a name has at most {NAME_BYTES} bytes on Cloud Storage, and this key, "
                f"escaped, has {len(name.encode())}"
            )
        return self.native().bucket(self._physical).blob(name)

    def _do(self, key: str | None, call: Callable[[], Any]) -> Any:
        try:
            return call()
        except ConfigError:
            raise
        except Exception as error:
            raise translate(error, self._resource, key) from error


def _info(blob: Any) -> BlobInfo:
    time = blob.updated
    return BlobInfo(
        key_of(blob.name),
        blob.size or 0,
        None if blob.generation is None else str(blob.generation),
        None if time is None else time.astimezone(UTC),
        blob.content_type,
        dict(blob.metadata or {}),
        blob.cache_control,
    )
