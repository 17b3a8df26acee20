"""Events of every trigger, neutral and native: what `portable events` prints, runs post and codecs are tested on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from portable.events import BlobEvent, Change, Message, Request, Response, Tick
from portable.manifest import FunctionRecord

__all__ = ["Event", "Outcome", "Samples"]

Event = Request | Sequence[Message[str]] | BlobEvent | Change[Any] | Tick | Any
"""What a function takes, neutral: by its kind a Request, messages whose body is the text as sent, records of a stream
whose body is the bytes as sent, a BlobEvent, a Change, a Tick, a SocketEvent, or the payload of a direct call as JSON
values."""


class Outcome:
    """What a function made of an event, neutral.

    Attributes:
        response: of an HTTP function. value: of a direct function, JSON values.
        failed: ids of the messages to be delivered again; of a stream, of the record from which on each partition is.
            error: ``Type: text`` when the invocation failed as a whole.
        after: seconds until one of them may come again, by id, where the answer says it (``Retry(after=…)``).
    """

    def __init__(
        self,
        *,
        response: Response | None = None,
        value: Any = None,
        failed: Sequence[str] = (),
        error: str | None = None,
        after: Mapping[str, float] | None = None,
    ) -> None:
        self.response = response
        self.value = value
        self.failed = list(failed)
        self.error = error
        self.after = dict(after or {})


class Samples(Protocol):
    """One adapter's translation between neutral and native events: the inverse of its codecs.

    One of a cloud that bounds requests has ``too_large(native, *, source) -> int | None`` too: the most bytes that this
    cloud hands to a function, where an HTTP event has more; None where it fits.

    Attributes:
        batch_limit: the most messages one event of this cloud carries; None where the queue's ``batch_size`` decides.
    """

    batch_limit: int | None

    def sources(self, kind: str) -> Sequence[str]:
        """The event sources this cloud has for a trigger kind, the default first (``http-api``, ``rest-api`` …)."""

    def native(self, function: FunctionRecord, event: Event, *, source: str | None = None) -> Any:
        """The event as this cloud gives it to the function, as JSON values: for a cloud that posts events over HTTP,
        ``{"method", "path", "headers", "body"}``; for Azure, the trigger's data and metadata.
        """

    def outcome(self, function: FunctionRecord, event: Event, answer: Any, *, source: str | None = None) -> Outcome:
        """What the function's native answer says."""
