"""A queue of e-mails, and the handler that sends them. Sending here means writing a record into the outbox."""

from __future__ import annotations

import json

import msgspec

from portable import Bucket, Message, Queue, Router


class Email(msgspec.Struct):
    """What the queue carries."""

    to: str
    subject: str
    key: str


emails = Queue("emails", Email, max_attempts=5)
outbox = Bucket("outbox")
router = Router()


@router.on_message(emails, batch_size=10)
def send_email(message: Message[Email]) -> None:
    """Delivery is at least once, so the record's key comes from the e-mail: sending it twice leaves one."""
    email = message.body
    if "@" not in email.to:
        raise ValueError(f"{email.to!r} is no e-mail address")
    record = {"to": email.to, "subject": email.subject, "image": email.key}
    outbox.write(f"{email.to}/{email.key}.json", json.dumps(record))
