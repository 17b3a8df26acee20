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
from portable.errors import AlreadyExistsError, ConfigError, PreconditionFailedError
from portable_gcp import _sdk
from portable_gcp.errors import translate

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import Any

    from portable.resources import Resource

__all__ = ["StorageBucket", "key_of", "name_of", "parse_address", "open_driver"]


def open_driver(resource: Resource, environment: Mapping[str, str]) -> StorageBucket:
    """The driver of a declared bucket. Raises ConfigError without an address."""
    return StorageBucket(resource.name, read_address("bucket", resource.name, environment), environment)


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
    ) -> BlobInfo:
        """One upload. A conditional one is never retried: the answer that was lost may have been its success."""
        options: dict[str, Any] = {}
        if if_absent:
            options = {"if_generation_match": 0, "retry": None}
        elif if_match is not None:
            if not if_match.isdigit():
                raise PreconditionFailedError(f"no etag is {if_match!r}", resource=self._resource, key=key)
            options = {"if_generation_match": int(if_match), "retry": None}
        blob = self._blob(key)
        if metadata:
            blob.metadata = dict(metadata)
        try:
            blob.upload_from_string(data, content_type=content_type, timeout=TIMEOUT, **options)
        except Exception as error:
            found = translate(error, self._resource, key)
            if if_absent and isinstance(found, PreconditionFailedError):
                found = AlreadyExistsError("it is there already", resource=self._resource, key=key)
            raise found from error
        return _info(blob)

    def read(self, key: str, start: int | None, end: int | None) -> bytes:
        """The bytes as stored; one request, but for an empty range."""
        if end is not None and end == (start or 0):
            self.stat(key)
            return b""
        last = None if end is None else end - 1
        blob = self._blob(key)
        try:
            data: bytes = blob.download_as_bytes(
                start=0 if start is None and end is not None else start,
                end=last,
                raw_download=True,
                timeout=TIMEOUT,
            )
        except Exception as error:
            if type(error).__name__ == "RequestRangeNotSatisfiable":  # it starts behind the last byte
                return b""
            raise translate(error, self._resource, key) from error
        return data

    def stat(self, key: str) -> BlobInfo:
        """One request for the blob's metadata."""
        blob = self._blob(key)
        self._do(key, lambda: blob.reload(timeout=TIMEOUT))
        return _info(blob)

    def delete(self, key: str) -> None:
        """Remove it; that it is not there is no error."""
        blob = self._blob(key)
        try:
            blob.delete(timeout=TIMEOUT)
        except Exception as error:
            if type(error).__name__ != "NotFound":
                raise translate(error, self._resource, key) from error

    def list(self, prefix: str, delimiter: str | None) -> Iterator[BlobInfo]:
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
        return self.native().bucket(self._physical).blob(name_of(key))

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
    )
