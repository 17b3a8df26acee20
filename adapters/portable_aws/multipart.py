"""Blobs in parts on S3: uploaded, copied, and read."""

from __future__ import annotations

from portable.drivers.bucket import PART_BYTES
from portable.errors import ServiceError
from portable_aws._sdk import retrying
from portable_aws.errors import BY_CODE, translate

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator, Mapping
    from typing import Any, Self

    from portable_aws.bucket import S3Bucket

__all__ = ["BodyChunks", "Upload", "nothing", "refusal"]

CHUNK = 256 * 1024
COPY_PART = 64 * PART_BYTES


class Upload:
    """``with Upload(…) as upload:`` a multipart upload, given up unless ``complete`` was the last thing to succeed."""

    def __init__(self, bucket: S3Bucket, key: str, options: Mapping[str, Any]) -> None:
        self._bucket = bucket
        self._key = key
        self._options = options
        self._parts: list[dict[str, Any]] = []
        self._id: str | None = None

    def __enter__(self) -> Self:
        started = retrying(lambda: self._call("create_multipart_upload", **self._options))
        self._id = started["UploadId"]
        return self

    def _call(self, method: str, **options: Any) -> Any:
        return self._bucket.call(method, self._key, Key=self._key, **options)

    def add(self, data: bytes) -> None:
        """One more part. Sent again after a failure: a part replaces itself."""
        place = {"UploadId": self._id, "PartNumber": len(self._parts) + 1}
        answer = retrying(lambda: self._call("upload_part", Body=data, **place))
        self._parts.append({"ETag": answer["ETag"], "PartNumber": place["PartNumber"]})

    def copy(self, source: Mapping[str, Any], size: int) -> None:
        """Every byte of another object, as parts that S3 copies itself."""
        for start in range(0, size, COPY_PART):
            span = f"bytes={start}-{min(start + COPY_PART, size) - 1}"
            place = {"UploadId": self._id, "PartNumber": len(self._parts) + 1, "CopySourceRange": span}
            answer = retrying(lambda place=place: self._call("upload_part_copy", **source, **place))  # type: ignore[misc]
            self._parts.append({"ETag": answer["CopyPartResult"]["ETag"], "PartNumber": place["PartNumber"]})

    def complete(self, conditions: Mapping[str, str]) -> Any:
        """Make the parts the blob, all at once, if the conditions hold."""
        made = {"Parts": self._parts}
        answer = self._call("complete_multipart_upload", UploadId=self._id, MultipartUpload=made, **conditions)
        self._id = None
        return answer

    def __exit__(self, *exc: object) -> None:
        if self._id is not None:
            given_up, self._id = self._id, None
            try:
                self._call("abort_multipart_upload", UploadId=given_up)
            except ServiceError as error:
                # What went wrong before is what the caller has to know; the parts go with the bucket's lifecycle rule.
                if isinstance(exc[1], BaseException):
                    exc[1].add_note(f"the upload could not be given up: {error}")


class BodyChunks:
    """The body of a GetObject that is under way."""

    def __init__(self, body: Any, label: str, key: str) -> None:
        self._body = body
        self._label = label
        self._key = key

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> bytes:
        try:
            data: bytes = self._body.read(CHUNK)
        except Exception as error:
            raise translate(error, self._label, self._key) from error
        if not data:
            raise StopIteration
        return data

    def close(self) -> None:
        """Drop the connection: what has not been read is not fetched."""
        self._body.close()


def nothing() -> Generator[bytes, None, None]:
    """The chunks of an empty range."""
    yield from ()


def refusal(error: Mapping[str, str], label: str) -> ServiceError:
    """One key's part of the answer to DeleteObjects."""
    code = error.get("Code", "")
    return BY_CODE.get(code, ServiceError)(f"{code}: {error.get('Message', '')}", resource=label, key=error.get("Key"))
