"""Buckets on Azure Blob Storage: a bucket is a container, a blob a block blob. Keys are stored as ``keys`` says."""

from __future__ import annotations

from heapq import heappop, heappush, merge
from secrets import token_hex
from time import sleep

from portable.drivers import BlobInfo, read_address
from portable.errors import (
    AlreadyExistsError,
    NotFoundError,
    PreconditionFailedError,
    ServiceError,
    UnavailableError,
    UnsupportedError,
)
from portable_azure import _sdk, limits
from portable_azure.errors import BY_CODE, BY_STATUS, code_of, translate
from portable_azure.keys import decode_key, encode_key, prefixes_of
from portable_azure.streams import BlobChunks, nothing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from datetime import timedelta
    from typing import Any

    from portable.drivers import DeleteFailure, SignedURL
    from portable.resources import Resource

    Failures = list[DeleteFailure]
    Infos = Iterator[BlobInfo]

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
            raise ValueError(
                f"{self._resource}, key {key!r}: the name of a blob has at most {limits.BLOB_NAME_CHARACTERS} "
                f"characters on Azure, and this key, escaped, has {len(name)}"
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
        cache_control: str | None = None,
    ) -> BlobInfo:
        known = (content_type, dict(metadata or {}), cache_control)
        options: dict[str, Any] = {"overwrite": not if_absent, "length": len(data)} | self._described(*known)
        if if_match is not None:
            options |= _sdk.unless_changed(if_match)
        if if_absent or if_match is not None:
            options["retry_total"] = 0  # a retry after a lost answer would meet its own write
        blob = self._blob(key)
        try:
            written = blob.upload_blob(data, **options)
        except _sdk.error_class() as error:
            raise self._write_error(error, key, if_absent, if_match) from error
        return BlobInfo(key, len(data), written["etag"].strip('"'), written["last_modified"], *known)

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
        """Blocks, and a list of them that makes them the blob. Azure drops blocks without a list after a week."""
        known = (content_type, dict(metadata or {}), cache_control)
        options = self._described(*known)
        if if_absent:
            options |= _sdk.unless_there()
        if if_match is not None:
            options |= _sdk.unless_changed(if_match)
        if if_absent or if_match is not None:
            options["retry_total"] = 0
        blob = self._blob(key)
        # Names of one length, and of this write alone: two writers of one key do not mix their blocks.
        writer, size = token_hex(8), 0
        blocks: list[str] = []
        try:
            for part in parts:
                blocks.append(f"{writer}{len(blocks):08}")
                size += len(part)
                blob.stage_block(blocks[-1], part, length=len(part))
            written = blob.commit_block_list(_sdk.block_list(blocks), **options)
        except _sdk.error_class() as error:
            raise self._write_error(error, key, if_absent, if_match) from error
        return BlobInfo(key, size, written["etag"].strip('"'), written["last_modified"], *known)

    @staticmethod
    def _described(content_type: str | None, metadata: dict[str, str], cache_control: str | None) -> dict[str, Any]:
        return {"metadata": metadata, "content_settings": _sdk.content_settings(content_type, cache_control)}

    def _write_error(self, error: Exception, key: str, if_absent: bool, if_match: str | None) -> Exception:
        translated = translate(error, self._resource, key)
        missing_container = code_of(error).startswith("Container")
        if if_absent and isinstance(translated, PreconditionFailedError):
            return AlreadyExistsError("the key exists", resource=self._resource, key=key)
        if if_match is not None and isinstance(translated, NotFoundError) and not missing_container:
            return PreconditionFailedError("the key is not there", resource=self._resource, key=key)
        return translated

    def read(
        self,
        key: str,
        start: int | None,
        end: int | None,
        if_match: str | None = None,
        if_none_match: str | None = None,
    ) -> bytes | None:
        conditions = {} if if_match is None else _sdk.unless_changed(if_match)
        if if_none_match is not None:
            conditions = _sdk.if_changed(if_none_match)
        blob = self._blob(key)
        try:
            if end is not None and end == (start or 0):
                blob.get_blob_properties(**conditions)
                return b""
            found = blob.download_blob(**_span(start, end), **conditions)
            data: bytes = found.readall()
        except _sdk.error_class() as error:
            if code_of(error) == "InvalidRange" or getattr(error, "status_code", None) == 416:
                return b""
            if getattr(error, "status_code", None) == 304:
                return None
            raise self._read_error(error, key) from error
        return data

    def open(self, key: str, start: int | None, end: int | None, if_match: str | None) -> tuple[BlobInfo, BlobChunks]:
        """Ranges of 2 MiB, all of the version the first one was of."""
        blob = self._blob(key)
        conditions = {} if if_match is None else _sdk.unless_changed(if_match)
        span = _span(start, end)
        try:
            if not span:
                found = blob.download_blob(**conditions)
                return _info(key, found.properties), BlobChunks(found.chunks(), self._resource, key)
            info = _info(key, blob.get_blob_properties(**conditions))
            if info.size <= span["offset"] or end == span["offset"]:
                return info, BlobChunks(nothing(), self._resource, key)
            found = blob.download_blob(**span, **_sdk.unless_changed(info.etag or ""))
            return info, BlobChunks(found.chunks(), self._resource, key)
        except _sdk.error_class() as error:
            raise self._read_error(error, key) from error

    def _read_error(self, error: Exception, key: str) -> Exception:
        translated = translate(error, self._resource, key)
        if isinstance(translated, PreconditionFailedError):
            self.stat(key)  # where it is not there, that is what is wrong
        return translated

    def stat(self, key: str) -> BlobInfo:
        return _info(key, self._call(key, self._blob(key).get_blob_properties))

    def delete(self, key: str) -> None:
        blob = self._blob(key)
        try:
            blob.delete_blob()
        except _sdk.error_class() as error:
            if code_of(error) != "BlobNotFound":
                raise translate(error, self._resource, key) from error

    def delete_many(self, keys: Sequence[str]) -> Failures:
        """One batch request for each 256 keys, in which Azure answers for every one."""
        from portable.drivers import DeleteFailure

        failures, deleted = [], 0
        names = {self._blob(key).blob_name: key for key in keys}
        left = list(names)
        while left:
            lot, left = left[: limits.BATCH_CALLS], left[limits.BATCH_CALLS :]
            try:
                answers = list(self.native().delete_blobs(*lot, raise_on_any_failure=False))
            except _sdk.error_class() as error:
                raise translate(error, self._resource) from error
            for name, answer in zip(lot, answers, strict=True):
                deleted += answer.status_code < 300
                if answer.status_code >= 300 and answer.headers.get("x-ms-error-code") != "BlobNotFound":
                    failures.append(DeleteFailure(names[name], self._refusal(answer, names[name])))
        if not deleted:
            next(self.list("", None), None)  # nothing was there: the bucket, at least?
        return failures

    def _refusal(self, answer: Any, key: str) -> ServiceError:
        code = answer.headers.get("x-ms-error-code", "")
        kind = BY_CODE.get(code) or BY_STATUS.get(answer.status_code, ServiceError)
        return kind(f"{code}: {answer.reason}", resource=self._resource, key=key)

    def copy(self, source: str, target: str, to: AzureBucket) -> BlobInfo:
        """Azure copies by itself, and what is too large for one request, within an account in no time. Where a large
        blob goes to another account, it is asked until it is done, which takes the right to read the copy.
        """
        blob, copied = self._blob(source), to._blob(target)
        info = self.stat(source)
        address = _sdk.readable_url(blob, self._environment)
        conditions = _sdk.unless_source_changed(info.etag or "")
        try:
            at_once = info.size <= limits.COPY_BYTES
            started = copied.start_copy_from_url(address, requires_sync=at_once or None, **conditions)
            while started["copy_status"] == "pending":
                sleep(0.2)
                properties = copied.get_blob_properties()
                started = {"copy_status": properties.copy.status, "etag": properties.etag}
        except _sdk.error_class() as error:
            raise translate(error, self._resource, source) from error
        if started["copy_status"] != "success":
            raise UnavailableError(f"the copy was {started['copy_status']}", resource=self._resource, key=source)
        info.key, info.etag, info.time = target, started["etag"].strip('"'), started.get("last_modified", info.time)
        return info

    def url(self, key: str, method: str, expires: timedelta, content_type: str | None) -> SignedURL:
        """A shared access signature: by the account's key, else by a key that Azure gives the identity for 7 days.

        It cannot bind a content type: whoever writes chooses it, and ``headers`` hold the one that was asked for.
        """
        from portable.drivers import SignedURL

        blob = self._blob(key)
        try:
            made = _sdk.signed_url(blob, self._environment, method, expires)
        except _sdk.error_class() as error:
            raise translate(error, self._resource, key) from error
        except UnsupportedError as error:
            raise UnsupportedError(str(error), resource=self._resource, key=key) from error
        headers = {}
        if method == "PUT":
            headers["x-ms-blob-type"] = "BlockBlob"
            if content_type is not None:
                headers["content-type"] = content_type
        return SignedURL(made, method, headers)

    def list(self, prefix: str, delimiter: str | None) -> Infos:
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


def _span(start: int | None, end: int | None) -> dict[str, int]:
    if start is None and end is None:
        return {}
    first = start or 0
    return {"offset": first} if end is None else {"offset": first, "length": end - first}


def _info(key: str, found: Any) -> BlobInfo:
    settings = found.content_settings
    return BlobInfo(
        key,
        found.size,
        found.etag.strip('"'),
        found.last_modified,
        settings.content_type,
        dict(found.metadata or {}),
        settings.cache_control or None,
    )


def _row(found: Any) -> BlobInfo:
    if getattr(found, "etag", None) is None:
        return BlobInfo(_decode_prefix(found.name), is_prefix=True)
    return BlobInfo(decode_key(found.name), found.size, found.etag.strip('"'), found.last_modified)


def _decode_prefix(name: str) -> str:
    """A common prefix ends with a slash that is none at the end of its blobs' names."""
    return decode_key(f"{name}x")[:-1]
