"""SQS, with ``ReportBatchItemFailures``.

https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html
https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html
"""

from __future__ import annotations

from datetime import UTC

from portable.events import Message
from portable_aws.triggers import malformed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from typing import Any

    from portable.invoke.messages import Outcomes

__all__ = ["SQS"]


def _sent_at(message: Message[Any]) -> datetime | None:
    sent = message.native.get("attributes", {}).get("SentTimestamp")
    if sent is None:
        return None
    from datetime import datetime

    return datetime.fromtimestamp(int(sent) / 1000, UTC)


def _attributes(message: Message[Any]) -> dict[str, str]:
    found = message.native.get("messageAttributes") or {}
    return {name: value["stringValue"] for name, value in found.items() if value.get("stringValue") is not None}


def _text(record: dict[str, Any], name: str) -> str:
    """What has to be text: an identifier, which others are compared with. Raises ValueError where it is not."""
    value: str = record[name]
    if value.__class__ is not str:
        raise ValueError(f"the {name} of an SQS message is {value!r}, which is no text")
    return value


def _group(message: Message[Any]) -> str | None:
    attributes = message.native.get("attributes", {})
    return None if attributes.get("MessageGroupId") is None else _text(attributes, "MessageGroupId")


class _Message(Message["Any"]):
    __slots__ = ()
    _lazy = {
        **Message._lazy,
        "id": lambda message: _text(message.native, "messageId"),
        "attributes": _attributes,
        "attempt": lambda message: int(message.native.get("attributes", {}).get("ApproximateReceiveCount", 1)),
        "sent_at": _sent_at,
        "group": _group,
    }


_new = _Message.__new__


class SQS:
    """An event source mapping of a standard or FIFO queue."""

    source = "sqs"

    @staticmethod
    def decode(event: dict[str, Any]) -> list[Message[Any]]:
        """The batch, bodies as text. Raises ValueError naming what is missing: the whole batch then comes again."""
        messages: list[Message[Any]] = []
        add = messages.append
        try:
            for record in event["Records"]:
                message = _new(_Message)
                message.native = record
                message.body = body = record["body"]
                if body.__class__ is not str:
                    raise TypeError(f"the body of a message is {body!r}")
                add(message)
        except (KeyError, TypeError) as error:
            raise malformed("sqs", "an SQS event", error, event) from error
        return messages

    @staticmethod
    def queue(event: dict[str, Any]) -> str:
        """Physical name of the queue this batch is from."""
        name: str = event["Records"][0]["eventSourceARN"].rpartition(":")[2]
        return name

    @staticmethod
    def encode(batch: Sequence[Message[Any]], outcomes: Outcomes) -> dict[str, Any]:
        """The messages to be delivered again. Raises ValueError where one of them has no id."""
        failed = [message for message, outcome in zip(batch, outcomes, strict=True) if outcome is not None]
        try:
            return {"batchItemFailures": [{"itemIdentifier": message.native["messageId"]} for message in failed]}
        except KeyError as error:  # nothing else says which of them come again, so all of them do
            raise malformed("sqs", "an SQS event", error, {}) from error
