"""Buckets on Azure Blob Storage: a bucket is a container, a blob a block blob. Keys are stored as ``keys`` says."""

from __future__ import annotations

from heapq import heappop, heappush, merge

from portable.drivers import BlobInfo, read_address
from portable.errors import AlreadyExistsError, NotFoundError, PreconditionFailedError, UnsupportedError
from portable_azure import _sdk, limits
from portable_azure.errors import code_of, translate
from portable_azure.keys import decode_key, encode_key, prefixes_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import Any

    from portable.resources import Resource

__all__ = ["AzureBucket", "open_driver"]


def open_driver(resource: Resource, environment: Mapping[str, str]) -> AzureBucket:
    """The driver of a declared bucket. Raises ConfigError without an address."""
    return AzureBucket(resource.name, read_address("bucket", resource.name, environment), environment)


PAGE = limits.BLOB_PAGE


class AzureBucket:
    """One container. See ``portable.drivers.BucketDriver``.

    A write of up to 64 MiB is one request, a larger one is committed by its last. Etags are without their quotes. A
    listing gives keys that hold control characters below U+0020 a little late; all others are in order.
    """

    def __init__(self, name: str, address: str, environment: Mapping[str, str]) -> None:
        self._resource = f"bucket {name}"
        self._address = address
        self._environment = environment
        self._container: Any = None

    def native(self) -> Any:
        """The ``azure.storage.blob.ContainerClient``."""
        container = self._container
        if container is None:
            container = self._container = _sdk.container_client(self._address, self._environment)
        return container

    def close(self) -> None:
        """Close the client's connections."""
        container, self._container = self._container, None
        if container is not None:
            container.close()

    def _blob(self, key: str) -> Any:
        name = encode_key(key)
        if len(name) > limits.BLOB_NAME_CHARACTERS:
            raise UnsupportedError(
                f"the name of a blob has at most {limits.BLOB_NAME_CHARACTERS} characters on Azure, and this key, "
                f"escaped, has {len(name)}",
                resource=self._resource,
                key=key,
            )
        return self.native().get_blob_client(name)

    def _call(self, key: str, operation: Callable[[], Any]) -> Any:
        try:
            return operation()
        except _sdk.error_class() as error:
            raise translate(error, self._resource, key) from error

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
        options: dict[str, Any] = {"overwrite": not if_absent}
        if if_match is not None:
            options |= _sdk.unless_changed(if_match)
        if if_absent or if_match is not None:
            options["retry_total"] = 0  # a retry after a lost answer would meet its own write
        blob = self._blob(key)
        try:
            written = blob.upload_blob(
                data,
                length=len(data),
                metadata=dict(metadata or {}),
                content_settings=_sdk.content_settings(content_type),
                **options,
            )
        except _sdk.error_class() as error:
            raise self._write_error(error, key, if_absent, if_match) from error
        return BlobInfo(
            key, len(data), written["etag"].strip('"'), written["last_modified"], content_type, dict(metadata or {})
        )

    def _write_error(self, error: Exception, key: str, if_absent: bool, if_match: str | None) -> Exception:
        translated = translate(error, self._resource, key)
        missing_container = code_of(error).startswith("Container")
        if if_absent and isinstance(translated, PreconditionFailedError):
            return AlreadyExistsError("the key exists", resource=self._resource, key=key)
        if if_match is not None and isinstance(translated, NotFoundError) and not missing_container:
            return PreconditionFailedError("the key is not there", resource=self._resource, key=key)
        return translated

    def read(self, key: str, start: int | None, end: int | None) -> bytes:
        blob = self._blob(key)
        if start is None and end is None:
            whole: bytes = self._call(key, lambda: blob.download_blob().readall())
            return whole
        first = start or 0
        if end == first:
            self._call(key, blob.get_blob_properties)
            return b""
        length = None if end is None else end - first
        try:
            part: bytes = blob.download_blob(offset=first, length=length).readall()
        except _sdk.error_class() as error:
            if code_of(error) == "InvalidRange" or getattr(error, "status_code", None) == 416:
                return b""
            raise translate(error, self._resource, key) from error
        return part

    def stat(self, key: str) -> BlobInfo:
        found = self._call(key, self._blob(key).get_blob_properties)
        return BlobInfo(
            key,
            found.size,
            found.etag.strip('"'),
            found.last_modified,
            found.content_settings.content_type,
            dict(found.metadata or {}),
        )

    def delete(self, key: str) -> None:
        blob = self._blob(key)
        try:
            blob.delete_blob()
        except _sdk.error_class() as error:
            if code_of(error) != "BlobNotFound":
                raise translate(error, self._resource, key) from error

    def list(self, prefix: str, delimiter: str | None) -> Iterator[BlobInfo]:
        listings = [self._listing(names, delimiter) for names in prefixes_of(prefix)]
        rows = listings[0] if len(listings) == 1 else merge(*listings, key=lambda row: row.key.encode())
        folded: set[str] = set()
        for row in rows:
            if not row.key.startswith(prefix):
                continue
            if delimiter:
                # Azure folds by names: where a slash is escaped, or with another delimiter, it is done here.
                at = row.key.find(delimiter, len(prefix))
                if at >= 0:
                    group = row.key[: at + len(delimiter)]
                    if group not in folded:
                        folded.add(group)
                        yield BlobInfo(group, is_prefix=True)
                    continue
            yield row

    def _listing(self, names: str, delimiter: str | None) -> Iterator[BlobInfo]:
        """Rows whose blobs' names start like this, in order of their keys.

        Azure has them in order of names, and a name with an escape, or with characters beyond U+FFFF (which UTF-16
        sorts before U+E000), never comes after the place of its key. So a row waits until a plain name has passed it.
        """
        waiting: list[tuple[bytes, int, BlobInfo]] = []
        container = self.native()
        try:
            found = (
                container.walk_blobs(name_starts_with=names, delimiter="/", results_per_page=PAGE)
                if delimiter == "/"
                else container.list_blobs(name_starts_with=names, results_per_page=PAGE)
            )
            # Of a page, the SDK gives the common prefixes before the blobs.
            ordered = (one for page in found.by_page() for one in sorted(page, key=lambda one: one.name))
            for number, one in enumerate(ordered):
                row = _row(one)
                place = row.key.encode()
                heappush(waiting, (place, number, row))
                if row.key == one.name and max(row.key) <= "\uffff":
                    while waiting and waiting[0][0] <= place:
                        yield heappop(waiting)[2]
        except _sdk.error_class() as error:
            raise translate(error, self._resource) from error
        while waiting:
            yield heappop(waiting)[2]


def _row(found: Any) -> BlobInfo:
    if getattr(found, "etag", None) is None:
        return BlobInfo(_decode_prefix(found.name), is_prefix=True)
    return BlobInfo(decode_key(found.name), found.size, found.etag.strip('"'), found.last_modified)


def _decode_prefix(name: str) -> str:
    """A common prefix ends with a slash that is none at the end of its blobs' names."""
    return decode_key(f"{name}x")[:-1]
