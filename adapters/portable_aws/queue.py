"""Queues on SQS. The address is the queue's URL, as is that of its dead-letter queue."""

from __future__ import annotations

from portable.drivers import Received, SendFailure, read_address
from portable.errors import ConfigError, NotFoundError, ServiceError, UnsupportedError
from portable_aws._sdk import Client, retrying
from portable_aws.errors import code_of, translate
from portable_aws.limits import (
    BATCH_BYTES,
    BATCH_MESSAGES,
    DELAY_SECONDS,
    MESSAGE_BYTES,
    RECEIVE_WAIT_SECONDS,
    VISIBILITY_SECONDS,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from datetime import timedelta
    from typing import Any

    from portable.resources import Resource

__all__ = ["Refusal", "SQSQueue", "chunks", "fit", "open_driver", "region_of", "size_of"]


def open_driver(resource: Resource, environment: Mapping[str, str] | None) -> SQSQueue:
    """The driver of a declared queue. Raises ConfigError without an address."""
    return SQSQueue(resource.name, environment, resource.options)


REDRIVE_SECONDS = 120  # how long a dead letter is hidden while it is sent again
_GONE = ("ReceiptHandleIsInvalid", "InvalidParameterValue", "MessageNotInflight")
LOOK_SECONDS = 30  # how long dead letters are hidden should a look break off
_ORDERED_GROUP = "portable"  # messages of a FIFO queue sent without a group: one order for all of them


def fit(body: str) -> str:
    """``body`` without the characters SQS refuses: as ``\\u`` escapes, which JSON reads back as what they were."""
    if body.isascii():  # the encoder has escaped control characters already
        return body
    if not any(character in "\ufffe\uffff" or "\ud800" <= character <= "\udfff" for character in body):
        return body
    return "".join(
        f"\\u{ord(character):04x}" if character in "\ufffe\uffff" or "\ud800" <= character <= "\udfff" else character
        for character in body
    )


def _whole(span: timedelta) -> int:
    """Whole seconds, rounded up: a wait is at least as long as was asked."""
    return -int(-span.total_seconds() // 1)


def chunks(
    bodies: Sequence[str],
    most: int,
    check: Callable[[str, Mapping[str, str]], None],
    failures: list[SendFailure],
) -> Iterator[dict[int, str]]:
    """Bodies by their index, in batches of ten messages or ``most`` bytes; what ``check`` refuses is a failure."""
    chunk: dict[int, str] = {}
    size = 0
    for index, body in enumerate(bodies):
        body = fit(body)
        try:
            check(body, {})
        except UnsupportedError as error:
            failures.append(SendFailure(index, error))
            continue
        weight = len(body.encode())
        if chunk and (len(chunk) == BATCH_MESSAGES or size + weight > most):
            yield chunk
            chunk, size = {}, 0
        chunk[index] = body
        size += weight
    if chunk:
        yield chunk


class SQSQueue:
    """One queue, standard or FIFO. Sends and receives are tried once; what does no harm twice is tried again.

    Args:
        kinds: of its address and of that of its dead letters. label: what errors call it. A topic's subscription is
            such a queue under other names.
    """

    def __init__(
        self,
        name: str,
        environment: Mapping[str, str] | None,
        options: Mapping[str, Any] | None = None,
        *,
        kinds: tuple[str, str] = ("queue", "deadletter"),
        label: str | None = None,
    ) -> None:
        self._name = name
        self._options = options or {}
        self._label = label or f"queue {name}"
        self._environment = environment
        self._kinds = kinds
        self._url = read_address(kinds[0], name, environment)
        self._fifo = self._url.endswith(".fifo")
        self._client = Client("sqs", environment, region_of(self._url))

    def send(
        self,
        body: str,
        *,
        attributes: Mapping[str, str],
        delay: timedelta | None,
        group: str | None,
        dedup: str | None,
    ) -> str:
        """See ``portable.drivers``."""
        options = self._ordering(group, dedup)
        if delay is not None:
            seconds = _whole(delay)
            if self._fifo and seconds:
                raise UnsupportedError("a FIFO queue of SQS delays no single message", resource=self._label)
            if not 0 <= seconds <= DELAY_SECONDS:
                raise UnsupportedError(f"SQS delays 0 to {DELAY_SECONDS} s, not {delay}", resource=self._label)
            if seconds:
                options["DelaySeconds"] = seconds
        return self._send(self._url, body, attributes, options)

    def _send(self, url: str, body: str, attributes: Mapping[str, str], options: dict[str, Any]) -> str:
        body = fit(body)
        self._check_size(body, attributes)
        if attributes:
            options["MessageAttributes"] = {
                name: {"DataType": "String", "StringValue": value} for name, value in attributes.items()
            }
        sent: str = self._call("send_message", url, MessageBody=body, **options)["MessageId"]
        return sent

    def fits(self, body: str, attributes: Mapping[str, str]) -> bool:
        """See ``portable.drivers``."""
        return size_of(fit(body), attributes) <= MESSAGE_BYTES

    def _check_size(self, body: str, attributes: Mapping[str, str]) -> None:
        size = size_of(body, attributes)
        if size > MESSAGE_BYTES:
            raise UnsupportedError(
                f"SQS takes messages of {MESSAGE_BYTES} bytes, attributes included, not {size}", resource=self._label
            )

    def _ordering(self, group: str | None, dedup: str | None) -> dict[str, Any]:
        if self._fifo:
            from uuid import uuid4

            return {"MessageGroupId": group or _ORDERED_GROUP, "MessageDeduplicationId": dedup or uuid4().hex}
        declared = next((option for option in ("ordered", "dedup") if self._options.get(option)), None)
        if group is not None or dedup is not None or declared:
            raise UnsupportedError(
                "a standard queue of SQS has no groups and no deduplication; the address of a FIFO queue, which a "
                "queue declared ordered or dedup needs, ends with .fifo",
                resource=self._label,
            )
        return {}

    def send_many(self, bodies: Sequence[str]) -> list[SendFailure]:
        """See ``portable.drivers``. Ten messages or 1 MiB a call."""
        failures: list[SendFailure] = []
        for chunk in chunks(bodies, BATCH_BYTES, self._check_size, failures):
            entries = [
                {"Id": str(index), "MessageBody": body, **self._ordering(None, None)} for index, body in chunk.items()
            ]
            answer = self._call("send_message_batch", self._url, Entries=entries)
            for row in answer.get("Failed", ()):
                error = translate(Refusal(row), self._label)
                failures.append(SendFailure(int(row["Id"]), error))
        return sorted(failures, key=lambda failure: failure.index)

    def receive(self, limit: int, wait: timedelta, lease: timedelta) -> list[Received]:
        """See ``portable.drivers``."""
        hidden = min(_whole(lease), VISIBILITY_SECONDS)
        left = _whole(wait)
        found: list[Received] = []
        while len(found) < limit:
            pause = 0 if found else min(left, RECEIVE_WAIT_SECONDS)
            got = self._receive(self._url, limit - len(found), pause, hidden)
            found += got
            left -= pause
            if not got and (found or left <= 0):
                break
        return found

    def _receive(self, url: str, limit: int, wait: int, hidden: int) -> list[Received]:
        answer = self._call(
            "receive_message",
            url,
            MaxNumberOfMessages=min(limit, BATCH_MESSAGES),
            WaitTimeSeconds=wait,
            VisibilityTimeout=hidden,
            MessageSystemAttributeNames=["All"],
            MessageAttributeNames=["All"],
        )
        return [_received(message) for message in answer.get("Messages", ())]

    def acknowledge(self, received: Received) -> None:
        """See ``portable.drivers``."""
        self._leased("delete_message", received.receipt)

    def acknowledge_many(self, batch: Sequence[Received]) -> None:
        """See ``portable.drivers``. Ten a call."""
        for start in range(0, len(batch), BATCH_MESSAGES):
            entries = [
                {"Id": str(index), "ReceiptHandle": one.receipt}
                for index, one in enumerate(batch[start : start + BATCH_MESSAGES])
            ]
            for row in self._call("delete_message_batch", self._url, Entries=entries).get("Failed", ()):
                if row["Code"].rpartition(".")[2] not in _GONE:
                    raise translate(Refusal(row), self._label)

    def retry(self, received: Received, after: timedelta | None) -> None:
        """See ``portable.drivers``. SQS waits 12 hours at most."""
        self._leased("change_message_visibility", received.receipt, VisibilityTimeout=_hidden(after))

    def retry_many(self, waits: Sequence[tuple[Received, timedelta]]) -> None:
        """Like :meth:`retry` for each, ten a call. Raises for the last that was refused, when all were asked for."""
        refused = None
        for start in range(0, len(waits), BATCH_MESSAGES):
            entries = [
                {"Id": str(index), "ReceiptHandle": one.receipt, "VisibilityTimeout": _hidden(after)}
                for index, (one, after) in enumerate(waits[start : start + BATCH_MESSAGES])
            ]
            for row in self._call("change_message_visibility_batch", self._url, Entries=entries).get("Failed", ()):
                if row["Code"].rpartition(".")[2] not in _GONE:
                    refused = row
        if refused is not None:
            raise translate(Refusal(refused), self._label)

    def extend(self, received: Received, lease: timedelta) -> None:
        """See ``portable.drivers``. SQS counts 12 hours at most from when the message was received."""
        seconds = min(_whole(lease), VISIBILITY_SECONDS)
        options = {"ReceiptHandle": received.receipt, "VisibilityTimeout": seconds}
        try:
            retrying(lambda: self._call("change_message_visibility", self._url, **options))
        except ServiceError as error:
            if code_of(error.__cause__).rpartition(".")[2] not in _GONE:
                raise
            message = "the lease of the message has ended"
            raise NotFoundError(message, resource=self._label, key=received.id) from error.__cause__

    def depth(self) -> int:
        """See ``portable.drivers``. SQS counts about, and within a minute."""
        names = [f"ApproximateNumberOfMessages{part}" for part in ("", "NotVisible", "Delayed")]
        answer = retrying(lambda: self._call("get_queue_attributes", self._url, AttributeNames=names))
        return sum(int(answer["Attributes"].get(name, 0)) for name in names)

    def purge(self) -> None:
        """See ``portable.drivers``. SQS takes up to a minute, and refuses to be asked again meanwhile."""
        self._call("purge_queue", self._url)

    def _leased(self, method: str, receipt: str, **options: Any) -> None:
        try:
            retrying(lambda: self._call(method, self._url, ReceiptHandle=receipt, **options))
        except ServiceError as error:
            if (
                code_of(error.__cause__).rpartition(".")[2] not in _GONE
            ):  # the lease has ended: the message is somebody else's by now
                raise

    def dead_letter(self, body: str, attributes: Mapping[str, str]) -> None:
        """See ``portable.drivers``."""
        options: dict[str, Any] = self._ordering(None, None)
        self._send(self._dead_letters_url(), body, attributes, options)

    def dead_letters(self, limit: int) -> list[Received]:
        """See ``portable.drivers``. They are hidden while this looks, and each look counts as an attempt."""
        url = self._dead_letters_url()
        found: dict[str, Received] = {}
        idle = 0
        while len(found) < limit and idle < 2:  # SQS asks some of its servers only, so one empty answer proves little
            got = self._receive(url, limit - len(found), 0, LOOK_SECONDS)
            found.update((received.id, received) for received in got)
            idle = 0 if got else idle + 1
        letters = list(found.values())
        for start in range(0, len(letters), BATCH_MESSAGES):
            entries = [
                {"Id": str(index), "ReceiptHandle": letter.receipt, "VisibilityTimeout": 0}
                for index, letter in enumerate(letters[start : start + BATCH_MESSAGES])
            ]
            self._call("change_message_visibility_batch", url, Entries=entries)
        return letters

    def redrive(self, limit: int | None) -> int:
        """See ``portable.drivers``."""
        url = self._dead_letters_url()
        moved = idle = 0
        while (limit is None or moved < limit) and idle < 2:
            most = BATCH_MESSAGES if limit is None else limit - moved
            got = self._receive(url, most, 0, REDRIVE_SECONDS)
            idle = 0 if got else idle + 1
            for letter in got:
                self._send(self._url, letter.body, letter.attributes, self._ordering(letter.group, None))
                self._delete(url, letter)
                moved += 1
        return moved

    def _delete(self, url: str, letter: Received) -> None:
        retrying(lambda: self._call("delete_message", url, ReceiptHandle=letter.receipt))

    def _dead_letters_url(self) -> str:
        try:
            return read_address(self._kinds[1], self._name, self._environment)
        except ConfigError as error:
            raise UnsupportedError("the queue has no dead-letter queue here", resource=self._label) from error

    def native(self) -> Any:
        """The SQS client of botocore."""
        return self._client.get()

    def close(self) -> None:
        """Close its connections."""
        self._client.close()

    def _call(self, method: str, url: str, **options: Any) -> Any:
        try:
            return getattr(self._client.get(), method)(QueueUrl=url, **options)
        except Exception as error:
            raise translate(error, self._label) from error


def size_of(body: str, attributes: Mapping[str, str]) -> int:
    """Bytes that count."""
    named = sum(len(name.encode()) + len(value.encode()) + len("String") for name, value in attributes.items())
    return len(body.encode()) + named


def _hidden(after: timedelta | None) -> int:
    """Seconds that a message is hidden from now on."""
    return 0 if after is None else max(0, min(_whole(after), VISIBILITY_SECONDS))


class Refusal(Exception):
    """One entry of a batch that SQS did not take, in the form of botocore's own errors."""

    def __init__(self, row: Mapping[str, Any]) -> None:
        super().__init__(f"{row.get('Code')}: {row.get('Message', '')}")
        status = 400 if row.get("SenderFault") else 500
        self.response = {"Error": {"Code": row.get("Code")}, "ResponseMetadata": {"HTTPStatusCode": status}}


def _received(message: Mapping[str, Any]) -> Received:
    from datetime import UTC, datetime

    system = message.get("Attributes", {})
    sent = system.get("SentTimestamp")
    return Received(
        message["MessageId"],
        message["Body"],
        message["ReceiptHandle"],
        {
            name: value["StringValue"]
            for name, value in message.get("MessageAttributes", {}).items()
            if "StringValue" in value
        },
        int(system.get("ApproximateReceiveCount", 1)),
        None if sent is None else datetime.fromtimestamp(int(sent) / 1000, UTC),
        system.get("MessageGroupId"),
    )


def region_of(url: str) -> str | None:
    """``eu-west-1`` of ``https://sqs.eu-west-1.amazonaws.com/…``."""
    labels = url.partition("://")[2].partition("/")[0].split(".")
    return labels[1] if labels[0] == "sqs" and len(labels) > 3 else None
