"""Queue messages: Pub/Sub pushes them, through a subscription of ours or through Eventarc's.

https://cloud.google.com/pubsub/docs/push#receive_push and
https://cloud.google.com/eventarc/docs/cloudevents#pubsub. One request holds one message. A 2xx answer acknowledges it;
anything else makes Pub/Sub send it again, after the back-off its subscription says: ``Retry(after=…)`` cannot choose.
``deliveryAttempt`` is there when the subscription has a dead-letter topic. The emulator leaves out what it has not got.
"""

from __future__ import annotations

from portable.errors import HTTPError, Retry
from portable.events import Message, Response

TYPE_CHECKING = False
if TYPE_CHECKING:
    from datetime import datetime
    from typing import Any

__all__ = ["PubSubEventarc", "PubSubPush"]


def _sent_at(message: PushedMessage) -> datetime | None:
    inner = message.native["message"]
    text = inner.get("publishTime") or inner.get("publish_time")
    if not text:
        return None
    from datetime import datetime

    return datetime.fromisoformat(text)


class PushedMessage(Message[str]):
    """A message read from the push body as far as a handler looks."""

    __slots__ = ()
    _lazy = {
        **Message._lazy,
        "attributes": lambda message: dict(message.native["message"].get("attributes") or {}),
        "attempt": lambda message: int(message.native.get("deliveryAttempt") or 1),
        "group": lambda message: message.native["message"].get("orderingKey") or None,
        "sent_at": _sent_at,
    }

    def __init__(self, native: Any, id: str, body: str) -> None:
        self.native = native
        self.id = id
        self.body = body


def _malformed(what: str) -> HTTPError:
    return HTTPError(400, f"not a Pub/Sub push request: {what}")


def decode_push(document: Any) -> PushedMessage:
    """The message of a push body. Raises HTTPError 400."""
    from base64 import b64decode

    if not isinstance(document, dict) or not isinstance(document.get("message"), dict):
        raise _malformed("the body has no object 'message'; is the subscription's payload unwrapped?")
    inner = document["message"]
    identity = inner.get("messageId") or inner.get("message_id")
    if not isinstance(identity, str) or not identity:
        raise _malformed("'message' has no 'messageId'")
    if not isinstance(inner.get("attributes") or {}, dict):
        raise _malformed("'attributes' is no object")
    try:
        body = b64decode(inner.get("data") or "", validate=True).decode()
    except (ValueError, TypeError) as error:
        raise _malformed(f"'data' of message {identity} is no text in base64: {error}") from error
    return PushedMessage(document, identity, body)


def encode_outcome(message: Message[Any], outcome: BaseException | None) -> Response:
    """204: done. 429: the handler asked for another attempt. 500: it failed."""
    from portable.http.answers import problem

    if outcome is None:
        return Response(None, 204)
    if isinstance(outcome, Retry):
        headers = {}
        if outcome.after is not None:
            headers["retry-after"] = str(max(0, round(outcome.after.total_seconds())))
        return problem(
            429, f"message {message.id}: {outcome.reason or 'another attempt was asked for'}", headers=headers
        )
    return problem(500, f"message {message.id}: {type(outcome).__name__}: {outcome}")


class PubSubPush:
    """A push subscription of our own, wrapped payload, with OIDC.

    Its endpoint's path may name the queue (``/emails``) or topic (``/topic:signups``); it must where a function takes
    several.
    """

    signature = "http"
    guarded = True

    @staticmethod
    def decode(native: Any) -> tuple[PushedMessage, str | None]:
        """The message, and the ``key`` of the trigger where the path says it."""
        from json import loads

        if native.environ["REQUEST_METHOD"] != "POST":
            raise HTTPError(405, "Pub/Sub pushes with POST", headers={"allow": "POST"})
        try:
            document = loads(native.get_data())
        except ValueError as error:
            raise _malformed(f"the body is not JSON: {error}") from error
        return decode_push(document), native.environ.get("PATH_INFO", "/").strip("/") or None

    encode = staticmethod(encode_outcome)


class PubSubEventarc:
    """``google.cloud.pubsub.topic.v1.messagePublished``: Eventarc's subscription, whose retries and dead letters are
    Eventarc's too.
    """

    signature = "cloudevent"
    guarded = True
    event_type = "google.cloud.pubsub.topic.v1.messagePublished"

    @classmethod
    def decode(cls, native: Any) -> tuple[PushedMessage, None]:
        """The message of a CloudEvent; it names no queue."""
        if native["type"] != cls.event_type:
            raise HTTPError(400, f"an event of type {native['type']!r} came, this function takes {cls.event_type}")
        return decode_push(native.data), None

    encode = staticmethod(encode_outcome)
