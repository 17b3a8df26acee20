"""Buckets on S3. The address is ``s3://physical-name``."""

from __future__ import annotations

from portable.drivers import BlobInfo, read_address
from portable.errors import AlreadyExistsError, NotFoundError, PreconditionFailedError, UnavailableError
from portable_aws import multipart
from portable_aws._sdk import Client, retrying
from portable_aws.errors import code_of, translate
from portable_aws.limits import COPY_BYTES
from portable_aws.wire import Wire

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from datetime import timedelta
    from typing import Any, TypeVar

    from portable.drivers import Chunks, DeleteFailure, SignedURL
    from portable.resources import Resource

    T = TypeVar("T")
    Failures = list[DeleteFailure]
    Infos = Iterator[BlobInfo]

__all__ = ["S3Bucket", "open_driver"]

SMALL = 1024 * 1024  # bytes up to which what a client costs counts beside what the network does


def open_driver(resource: Resource, environment: Mapping[str, str] | None) -> S3Bucket:
    """The driver of a declared bucket. Raises ConfigError without an address."""
    return S3Bucket(resource.name, environment)


def _etag(answer: Mapping[str, Any]) -> str | None:
    """Without the quotes of the header, as events give it."""
    tag = answer.get("ETag")
    return tag.strip('"') if tag else None


def _info(key: str, found: Mapping[str, Any]) -> BlobInfo:
    """From the answer to HeadObject or GetObject; of a part of the blob, the size is in its range."""
    span = found.get("ContentRange")
    return BlobInfo(
        key,
        int(span.rpartition("/")[2]) if span else found["ContentLength"],
        _etag(found),
        found["LastModified"],
        found.get("ContentType"),
        found.get("Metadata", {}),
        found.get("CacheControl"),
    )


def _span(start: int | None, end: int | None) -> dict[str, str]:
    if start is None and end is None:
        return {}
    return {"Range": f"bytes={start or 0}-{'' if end is None else end - 1}"}


class S3Bucket:
    """One bucket. S3 decides ``if_absent`` and ``if_match`` itself; a conditional write is never repeated."""

    def __init__(self, name: str, environment: Mapping[str, str] | None) -> None:
        self.label = f"bucket {name}"
        self.physical = read_address("bucket", name, environment).removeprefix("s3://").rstrip("/")
        # No certificate covers a host with a dot in the bucket's part of it.
        self._client = Client("s3", environment, style="path" if "." in self.physical else "virtual")
        self._wire = Wire(self._client, self.physical)

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
        """See ``portable.drivers``. The time of the write is not in S3's answer."""
        if not if_absent and if_match is None and len(data) <= SMALL:
            etag = self._wire.put(key, data, self._headers(content_type, metadata, cache_control))
            if etag is not None:
                return BlobInfo(key, len(data), etag, None, content_type, dict(metadata or {}), cache_control)
        options, conditions = self._write_options(content_type, metadata, cache_control, if_absent, if_match)
        answer = self._write_if(
            key, conditions, lambda: self.call("put_object", key, Key=key, Body=data, **options, **conditions)
        )
        return BlobInfo(key, len(data), _etag(answer), None, content_type, dict(metadata or {}), cache_control)

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
        """A multipart upload, whose last call decides the condition."""
        options, conditions = self._write_options(content_type, metadata, cache_control, if_absent, if_match)
        with multipart.Upload(self, key, options) as upload:
            size = 0
            for part in parts:
                upload.add(part)
                size += len(part)
            answer = self._write_if(key, conditions, lambda: upload.complete(conditions))
        return BlobInfo(key, size, _etag(answer), None, content_type, dict(metadata or {}), cache_control)

    @staticmethod
    def _headers(
        content_type: str | None, metadata: Mapping[str, str] | None, cache_control: str | None
    ) -> dict[str, str]:
        headers = {f"x-amz-meta-{name}": value for name, value in metadata.items()} if metadata else {}
        if content_type is not None:
            headers["content-type"] = content_type
        if cache_control is not None:
            headers["cache-control"] = cache_control
        return headers

    @staticmethod
    def _write_options(
        content_type: str | None,
        metadata: Mapping[str, str] | None,
        cache_control: str | None,
        if_absent: bool,
        if_match: str | None,
    ) -> tuple[dict[str, Any], dict[str, str]]:
        options: dict[str, Any] = {"Metadata": dict(metadata or {})}
        if content_type is not None:
            options["ContentType"] = content_type
        if cache_control is not None:
            options["CacheControl"] = cache_control
        conditions = {}
        if if_absent:
            conditions["IfNoneMatch"] = "*"
        if if_match is not None:
            conditions["IfMatch"] = f'"{if_match}"'
        return options, conditions

    def _write_if(self, key: str, conditions: Mapping[str, str], write: Callable[[], Any]) -> Any:
        if not conditions:
            return retrying(write)
        if_absent = "IfNoneMatch" in conditions
        try:
            return write()
        except PreconditionFailedError as error:
            if if_absent:
                raise AlreadyExistsError("the key exists", resource=self.label, key=key) from error.__cause__
            raise
        except (NotFoundError, UnavailableError) as error:
            # No such key, or (409) another write won while this one was under way: either way it does not match.
            if not if_absent and code_of(error.__cause__) in ("NoSuchKey", "ConditionalRequestConflict"):
                raise PreconditionFailedError(str(error.__cause__), resource=self.label, key=key) from error.__cause__
            raise

    def read(
        self,
        key: str,
        start: int | None,
        end: int | None,
        if_match: str | None = None,
        if_none_match: str | None = None,
    ) -> bytes | None:
        """See ``portable.drivers``."""
        options = _span(start, end)
        if if_match is None and if_none_match is None and (end is None or end > (start or 0)):
            data = self._wire.get(key, options.get("Range"))
            if data is not None:
                return data
        if if_match is not None:
            options["IfMatch"] = f'"{if_match}"'
        if if_none_match is not None:
            options["IfNoneMatch"] = f'"{if_none_match}"'
        if end is not None and end <= (start or 0):
            found = retrying(lambda: self._read(key, "head_object", options))
            return None if found is None else b""
        return retrying(lambda: self._read(key, "get_object", options))

    def _read(self, key: str, method: str, options: Mapping[str, str]) -> bytes | None:
        kept = {name: value for name, value in options.items() if name != "Range" or method == "get_object"}
        try:
            answer = getattr(self._client.get(), method)(Bucket=self.physical, Key=key, **kept)
            if method == "head_object":
                return b""
            with answer["Body"] as body:
                data: bytes = body.read()
        except Exception as error:
            code = code_of(error)
            if code == "InvalidRange":
                return b""  # it starts behind the end of the blob
            if code in ("304", "NotModified"):
                return None
            raise translate(error, self.label, key) from error
        return data

    def open(self, key: str, start: int | None, end: int | None, if_match: str | None) -> tuple[BlobInfo, Chunks]:
        """One GetObject, whose body is read as it is asked for. S3 sends the version it began with."""
        options = _span(start, end)
        if if_match is not None:
            options["IfMatch"] = f'"{if_match}"'
        if end is None or end > (start or 0):
            try:
                found = retrying(lambda: self.call("get_object", key, Key=key, **options))
                return _info(key, found), multipart.BodyChunks(found["Body"], self.label, key)
            except Exception as error:
                if code_of(error.__cause__) != "InvalidRange":
                    raise
        options.pop("Range")
        found = retrying(lambda: self.call("head_object", key, Key=key, **options))
        return _info(key, found), multipart.nothing()

    def stat(self, key: str) -> BlobInfo:
        """See ``portable.drivers``."""
        return _info(key, retrying(lambda: self.call("head_object", key, Key=key)))

    def delete(self, key: str) -> None:
        """See ``portable.drivers``."""
        retrying(lambda: self.call("delete_object", key, Key=key))

    def delete_many(self, keys: Sequence[str]) -> Failures:
        """One DeleteObjects for a thousand keys. A key that XML cannot hold is deleted by a call of its own."""
        from portable.drivers import DeleteFailure

        plain = [key for key in keys if key.isprintable()]
        failures = []
        if plain:
            wanted = {"Objects": [{"Key": key} for key in plain], "Quiet": True}
            answer = retrying(lambda: self.call("delete_objects", None, Delete=wanted))
            for one in answer.get("Errors", ()):
                error = multipart.refusal(one, self.label)
                failures.append(DeleteFailure(one["Key"], error))
        for key in keys:
            if not key.isprintable():
                try:
                    self.delete(key)
                except UnavailableError as error:
                    failures.append(DeleteFailure(key, error))
        return failures

    def copy(self, source: str, target: str, to: S3Bucket) -> BlobInfo:
        """One CopyObject up to 5 GiB; beyond that, S3 copies part by part."""
        found = retrying(lambda: self.call("head_object", source, Key=source))
        place = {"CopySource": {"Bucket": self.physical, "Key": source}, "CopySourceIfMatch": found["ETag"]}
        info = _info(target, found)
        try:
            if info.size > COPY_BYTES:
                options, _ = self._write_options(info.content_type, info.metadata, info.cache_control, False, None)
                with multipart.Upload(to, target, options) as upload:
                    upload.copy(place, info.size)
                    info.etag = _etag(retrying(lambda: upload.complete({})))
            else:
                answer = retrying(lambda: to.call("copy_object", target, Key=target, **place))
                info.etag = _etag(answer["CopyObjectResult"])
        except NotFoundError as error:
            if code_of(error.__cause__) != "NoSuchKey":
                raise
            raise NotFoundError("there is no such blob", resource=self.label, key=source) from error.__cause__
        return BlobInfo(target, info.size, info.etag, None, info.content_type, info.metadata, info.cache_control)

    def url(self, key: str, method: str, expires: timedelta, content_type: str | None) -> SignedURL:
        """Signed here, by version 4. It ends earlier when the credentials do: those of a function last some hours."""
        from portable.drivers import SignedURL

        options = {"Bucket": self.physical, "Key": key}
        headers = {}
        if content_type is not None:
            options["ContentType"] = headers["content-type"] = content_type
        try:
            made = self._client.get().generate_presigned_url(
                "put_object" if method == "PUT" else "get_object", options, int(expires.total_seconds())
            )
        except Exception as error:
            raise translate(error, self.label, key) from error
        return SignedURL(made, method, headers)

    def list(self, prefix: str, delimiter: str | None) -> Infos:
        """See ``portable.drivers``."""
        options = {"Prefix": prefix}
        if delimiter:
            options["Delimiter"] = delimiter
        while True:
            page = retrying(lambda: self.call("list_objects_v2", None, **options))
            rows = [
                BlobInfo(blob["Key"], blob["Size"], _etag(blob), blob["LastModified"])
                for blob in page.get("Contents", ())
            ]
            folded = [BlobInfo(row["Prefix"], is_prefix=True) for row in page.get("CommonPrefixes", ())]
            if folded:  # S3 pages through both in one order, but gives them apart
                rows = sorted(rows + folded, key=lambda row: row.key.encode())
            yield from rows
            if not page.get("IsTruncated"):
                return
            options["ContinuationToken"] = page["NextContinuationToken"]

    def native(self) -> Any:
        """The S3 client of botocore."""
        return self._client.get()

    def close(self) -> None:
        """Close its connections."""
        self._wire.close()
        self._client.close()

    def call(self, method: str, key: str | None, **options: Any) -> Any:
        """One call of the client, whose errors are ours and name the bucket and the key."""
        try:
            return getattr(self._client.get(), method)(Bucket=self.physical, **options)
        except Exception as error:
            raise translate(error, self.label, key) from error
