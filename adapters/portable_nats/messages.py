"""Messages on a stream: their headers, and what is read from a delivery.

Attributes are one header, as JSON, for a header holds ASCII. A delay is a header too, counted from the server's own
time of the message.
"""

from __future__ import annotations

import asyncio
import json
from base64 import b64decode
from secrets import token_hex
from time import time

from portable.drivers import Received, SendFailure
from portable.errors import UnsupportedError
from portable_nats.errors import translate

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from datetime import timedelta
    from typing import Any

__all__ = ["again", "fits", "headers_of", "letter_of", "new_name", "read", "send_each"]

AT_ONCE = 64  # messages that wait for their receipts together
HEADER_BYTES = 256  # the headers of a message, but for its attributes
ATTRIBUTES = "Portable-Attributes"
DELAY = "Portable-Delay"
GROUP = "Portable-Group"


def new_name() -> str:
    """An id no other message has: what makes sending a message again harmless."""
    return f"r.{token_hex(12)}"


def headers_of(
    name: str, attributes: Mapping[str, str], *, group: str | None = None, delay: timedelta | None = None
) -> dict[str, str]:
    """The headers of a message with this id."""
    headers = {"Nats-Msg-Id": name}
    if attributes:
        headers[ATTRIBUTES] = json.dumps(dict(attributes))
    if group is not None:
        headers[GROUP] = json.dumps(group)
    if delay is not None and delay.total_seconds() > 0:
        headers[DELAY] = str(_milliseconds(delay.total_seconds()))
    return headers


def fits(body: str, attributes: Mapping[str, str], largest: int) -> bool:
    """Whether a server that takes so many bytes takes this message."""
    return len(body.encode()) + HEADER_BYTES + (len(json.dumps(dict(attributes))) if attributes else 0) <= largest


def _milliseconds(seconds: float) -> int:
    """Rounded up: a wait is at least as long as was asked."""
    return -int(-seconds * 1000 // 1)


def again(seconds: float) -> bytes:
    """What is answered to a delivery so that it comes again after a while."""
    return b'-NAK {"delay": %d}' % (_milliseconds(seconds) * 1_000_000) if seconds > 0 else b"-NAK"


def read(message: Any) -> tuple[Received, float]:
    """A delivery, and for how many seconds it is to wait still.

    The deliveries that only found out that it is not due are no attempts. There is one, as a rule; none when the
    queue was behind by more than the delay.
    """
    about, headers = message.metadata, message.headers or {}
    attempt, wait = about.num_delivered, 0.0
    if DELAY in headers:
        wait = about.timestamp.timestamp() + int(headers[DELAY]) / 1000 - time()
        attempt = max(1, attempt - 1)
    received = Received(
        str(about.sequence.stream),
        message.data.decode(),
        message.reply,
        _attributes(headers),
        attempt,
        about.timestamp,
        _group(headers),
    )
    return received, wait


def letter_of(stored: Mapping[str, Any]) -> Received:
    """A message as STREAM.MSG.GET gives it. Its id is its number there."""
    from datetime import datetime

    lines = b64decode(stored.get("hdrs", "")).decode().split("\r\n")[1:]  # after NATS/1.0, one a line
    headers = {name: value.strip() for name, found, value in (line.partition(":") for line in lines) if found}
    return Received(
        str(stored["seq"]),
        b64decode(stored.get("data", "")).decode(),
        None,
        _attributes(headers),
        sent_at=datetime.fromisoformat(stored["time"]),
        group=_group(headers),
    )


def _attributes(headers: Mapping[str, str]) -> dict[str, str]:
    text = headers.get(ATTRIBUTES)
    return json.loads(text) if text else {}


def _group(headers: Mapping[str, str]) -> str | None:
    text = headers.get(GROUP)
    return json.loads(text) if text else None


async def send_each(
    store: Callable[[str, Mapping[str, str]], Awaitable[Any]], bodies: Sequence[str], label: str
) -> list[SendFailure]:
    """Store each body; those that were refused. Raises what befell all of them, unless it is of their own making."""
    failures: list[SendFailure] = []

    async def send(index: int, body: str) -> None:
        try:
            await store(body, headers_of(new_name(), {}))
        except Exception as error:
            ours = translate(error, label)
            ours.__cause__ = error
            failures.append(SendFailure(index, ours))

    for start in range(0, len(bodies), AT_ONCE):
        chunk = bodies[start : start + AT_ONCE]
        await asyncio.gather(*(send(start + index, body) for index, body in enumerate(chunk)))
    if len(failures) == len(bodies) > 0 and not isinstance(failures[0].error, UnsupportedError):
        raise failures[0].error
    return sorted(failures, key=lambda failure: failure.index)
