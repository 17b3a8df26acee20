"""Topics on SNS. The address is the topic's ARN.

A function's subscription is an SQS queue of its own, to which SNS delivers raw: at least once, with attempts, retries
after a while and dead letters as for any queue. SNS calling a Lambda function directly has none of these: it retries on
its own schedule and then drops the message, unless two more queues catch it. The queue's URL is in
``PORTABLE_SUBSCRIPTION_<TOPIC>_<FUNCTION>``, that of its dead letters in ``PORTABLE_SUBSCRIPTIONDEADLETTER_…``.
"""

from __future__ import annotations

from portable.drivers import SendFailure, read_address
from portable.errors import UnsupportedError
from portable.resources.topic import subscription_name
from portable_aws._sdk import Client
from portable_aws.errors import translate
from portable_aws.limits import TOPIC_BYTES
from portable_aws.queue import Refusal, SQSQueue, chunks, fit, size_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from portable.resources import Resource

__all__ = ["SNSTopic", "open_driver"]

_ORDERED_GROUP = "portable"  # messages of a FIFO topic published without a group: one order for all of them


def open_driver(resource: Resource, environment: Mapping[str, str] | None) -> SNSTopic:
    """The driver of a declared topic. Raises ConfigError without an address."""
    return SNSTopic(resource.name, environment, resource.options)


class SNSTopic:
    """One topic, standard or FIFO. A publication is tried once: whether it arrived is not known after a failure."""

    def __init__(self, name: str, environment: Mapping[str, str] | None, options: Mapping[str, Any]) -> None:
        self._name = name
        self._label = f"topic {name}"
        self._options = options
        self._environment = environment
        self._arn = read_address("topic", name, environment)
        self._fifo = self._arn.endswith(".fifo")
        self._client = Client("sns", environment, _region_of(self._arn))
        self._subscriptions: dict[str, SQSQueue] = {}

    def publish(self, body: str, *, attributes: Mapping[str, str], group: str | None) -> str:
        """See ``portable.drivers``."""
        options = self._ordering(group)
        body = fit(body)
        self._check_size(body, attributes)
        if attributes:
            options["MessageAttributes"] = {
                name: {"DataType": "String", "StringValue": value} for name, value in attributes.items()
            }
        published: str = self._call("publish", Message=body, **options)["MessageId"]
        return published

    def publish_many(self, bodies: Sequence[str]) -> list[SendFailure]:
        """See ``portable.drivers``. Ten messages or 256 KiB a call."""
        failures: list[SendFailure] = []
        for chunk in chunks(bodies, TOPIC_BYTES, self._check_size, failures):
            entries = [{"Id": str(index), "Message": body, **self._ordering(None)} for index, body in chunk.items()]
            answer = self._call("publish_batch", PublishBatchRequestEntries=entries)
            failures += [
                SendFailure(int(row["Id"]), translate(Refusal(row), self._label)) for row in answer.get("Failed", ())
            ]
        return sorted(failures, key=lambda failure: failure.index)

    def _check_size(self, body: str, attributes: Mapping[str, str]) -> None:
        size = size_of(body, attributes)
        if size > TOPIC_BYTES:
            raise UnsupportedError(
                f"SNS takes messages of {TOPIC_BYTES} bytes, attributes included, not {size}", resource=self._label
            )

    def _ordering(self, group: str | None) -> dict[str, Any]:
        if self._fifo:
            from uuid import uuid4

            return {"MessageGroupId": group or _ORDERED_GROUP, "MessageDeduplicationId": uuid4().hex}
        if self._options["ordered"]:
            raise UnsupportedError(
                "a standard topic of SNS keeps no order; the address of a FIFO topic, which a topic declared ordered "
                "needs, ends with .fifo",
                resource=self._label,
            )
        return {}

    def subscription(self, name: str) -> SQSQueue:
        """The queue of one function's copies. Raises ConfigError without its address."""
        known = self._subscriptions.get(name)
        if known is None:
            known = SQSQueue(
                subscription_name(self._name, name),
                self._environment,
                kinds=("subscription", "subscriptiondeadletter"),
                label=self._label,
            )
            known = self._subscriptions.setdefault(name, known)
        return known

    def native(self) -> Any:
        """The SNS client of botocore."""
        return self._client.get()

    def close(self) -> None:
        """Close its connections."""
        for subscription in self._subscriptions.values():
            subscription.close()
        self._client.close()

    def _call(self, method: str, **options: Any) -> Any:
        try:
            return getattr(self._client.get(), method)(TopicArn=self._arn, **options)
        except Exception as error:
            raise translate(error, self._label) from error


def _region_of(arn: str) -> str | None:
    """``eu-west-1`` of ``arn:aws:sns:eu-west-1:…``."""
    parts = arn.split(":")
    return parts[3] if len(parts) == 6 and parts[3] else None
