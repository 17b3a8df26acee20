"""Claim-check: a body too large for a queue goes to a bucket, and the message holds a reference to it.

The blob is written before the message is sent, and deleted after the message is acknowledged. So a crash leaves a blob
that no message refers to, never a message whose blob is gone: give the bucket a lifecycle rule on ``PREFIX`` that is
longer than the queue keeps its messages, dead letters among them. A reference whose blob is gone all the same fails
with NotFoundError, which names the queue, the bucket and the key.
"""

from __future__ import annotations

from portable.errors import NotFoundError, UnavailableError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from portable.drivers import QueueDriver
    from portable.resources.bucket import Bucket

__all__ = ["PREFIX", "LargeBodies"]

PREFIX = "portable-queues/"
"""What the keys of all such blobs start with; the queue's name and a random part follow."""

_MARK = "portable-large/1 "  # no JSON text starts like this, so no body is taken for a reference


class LargeBodies:
    """The large bodies of one queue."""

    __slots__ = ("bucket", "queue")

    def __init__(self, queue: str, bucket: Bucket) -> None:
        self.queue = queue
        self.bucket = bucket

    def put(self, driver: QueueDriver, body: str, attributes: Mapping[str, str]) -> str:
        """What to send: ``body`` where it fits, else a reference to the blob it was written to."""
        if driver.fits(body, attributes):
            return body
        from uuid import uuid4

        key = f"{PREFIX}{self.queue}/{uuid4().hex}"
        self.bucket.write(key, body, content_type="application/json")
        return _MARK + key

    @staticmethod
    def key_of(text: str) -> str | None:
        """The key that a message refers to; None for a body that is in the message."""
        return text[len(_MARK) :] if text.startswith(_MARK) else None

    def get(self, text: str) -> str:
        """The body of a message. Raises NotFoundError for a lost reference, and what reading a blob raises."""
        key = self.key_of(text)
        if key is None:
            return text
        try:
            return self.bucket.read(key).decode()
        except NotFoundError as error:
            raise NotFoundError(
                f"the message's body was put into bucket {self.bucket.name}, and is not there: it was deleted, or the "
                "message was acknowledged before and came again",
                resource=f"queue {self.queue}",
                key=key,
            ) from error

    def drop(self, text: str) -> None:
        """Delete the blob of a message that is done. Does nothing for a body that is in the message."""
        key = self.key_of(text)
        if key is not None:
            self.bucket.delete(key)

    def unsent(self, text: str, error: Exception) -> None:
        """A message was not sent: its blob is of no use, unless the queue may have accepted it all the same."""
        if not isinstance(error, UnavailableError):
            self.drop(text)
