"""Buckets on S3. The address is ``s3://physical-name``."""

from __future__ import annotations

from portable.drivers import BlobInfo, read_address
from portable.errors import AlreadyExistsError, NotFoundError, PreconditionFailedError, UnavailableError
from portable_aws._sdk import Client, retrying
from portable_aws.errors import code_of, translate

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    from portable.resources import Resource

__all__ = ["S3Bucket", "open_driver"]


def open_driver(resource: Resource, environment: Mapping[str, str] | None) -> S3Bucket:
    """The driver of a declared bucket. Raises ConfigError without an address."""
    return S3Bucket(resource.name, environment)


def _etag(answer: Mapping[str, Any]) -> str | None:
    """Without the quotes of the header, as events give it."""
    tag = answer.get("ETag")
    return tag.strip('"') if tag else None


class S3Bucket:
    """One bucket. S3 decides ``if_absent`` and ``if_match`` itself; a conditional write is never repeated."""

    def __init__(self, name: str, environment: Mapping[str, str] | None) -> None:
        self._label = f"bucket {name}"
        self._bucket = read_address("bucket", name, environment).removeprefix("s3://").rstrip("/")
        self._client = Client("s3", environment)

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
        """See ``portable.drivers``. The time of the write is not in S3's answer."""
        options: dict[str, Any] = {"Key": key, "Body": data, "Metadata": dict(metadata or {})}
        if content_type is not None:
            options["ContentType"] = content_type
        if if_absent:
            options["IfNoneMatch"] = "*"
        if if_match is not None:
            options["IfMatch"] = f'"{if_match}"'
        if if_absent or if_match is not None:
            answer = self._write_if(key, options, if_absent)
        else:
            answer = retrying(lambda: self._call("put_object", key, **options))
        return BlobInfo(key, len(data), _etag(answer), None, content_type, dict(metadata or {}))

    def _write_if(self, key: str, options: dict[str, Any], if_absent: bool) -> Any:
        try:
            return self._call("put_object", key, **options)
        except PreconditionFailedError as error:
            if if_absent:
                raise AlreadyExistsError("the key exists", resource=self._label, key=key) from error.__cause__
            raise
        except (NotFoundError, UnavailableError) as error:
            # No such key, or (409) another write won while this one was under way: either way it does not match.
            if not if_absent and code_of(error.__cause__) in ("NoSuchKey", "ConditionalRequestConflict"):
                raise PreconditionFailedError(str(error.__cause__), resource=self._label, key=key) from error.__cause__
            raise

    def read(self, key: str, start: int | None, end: int | None) -> bytes:
        """See ``portable.drivers``."""
        if start is None and end is None:
            return retrying(lambda: self._read(key))
        first = start or 0
        if end is not None and end <= first:
            self.stat(key)
            return b""
        span = f"bytes={first}-{'' if end is None else end - 1}"
        return retrying(lambda: self._read(key, Range=span))

    def _read(self, key: str, **options: str) -> bytes:
        try:
            answer = self._client.get().get_object(Bucket=self._bucket, Key=key, **options)
            with answer["Body"] as body:
                data: bytes = body.read()
        except Exception as error:
            if code_of(error) == "InvalidRange":
                return b""  # it starts behind the end of the blob
            raise translate(error, self._label, key) from error
        return data

    def stat(self, key: str) -> BlobInfo:
        """See ``portable.drivers``."""
        found = retrying(lambda: self._call("head_object", key, Key=key))
        return BlobInfo(
            key,
            found["ContentLength"],
            _etag(found),
            found["LastModified"],
            found.get("ContentType"),
            found.get("Metadata", {}),
        )

    def delete(self, key: str) -> None:
        """See ``portable.drivers``."""
        retrying(lambda: self._call("delete_object", key, Key=key))

    def list(self, prefix: str, delimiter: str | None) -> Iterator[BlobInfo]:
        """See ``portable.drivers``."""
        options = {"Prefix": prefix}
        if delimiter:
            options["Delimiter"] = delimiter
        while True:
            page = retrying(lambda: self._call("list_objects_v2", None, **options))
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
        self._client.close()

    def _call(self, method: str, key: str | None, **options: Any) -> Any:
        try:
            return getattr(self._client.get(), method)(Bucket=self._bucket, **options)
        except Exception as error:
            raise translate(error, self._label, key) from error
