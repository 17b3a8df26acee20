"""Answers sent piece by piece while they are made, and server-sent events.

A body is stepped no further than its reader asks: who reads slowly holds it back. It runs in the context of its
invocation, an async one within one task, and is closed however the answer ends: at its end, on an error, and when the
reader goes away. Imported by apps that stream.
"""

from __future__ import annotations

from contextvars import copy_context

from portable.events import Response

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Iterable, Mapping
    from contextvars import Context as Variables
    from datetime import timedelta
    from typing import Any

__all__ = ["EventStream", "ServerSentEvent", "StreamResponse"]


class StreamResponse(Response):
    """An HTTP answer whose body is sent while it is made, from a route declared with ``stream=True``.

    Args:
        body: an iterable or async iterable of bytes and str, str as UTF-8; a generator in most cases. It is closed
            (``close``, ``aclose``) at its end, after an error and when the caller goes away.
        status, headers, media_type: as for :class:`Response`; the media type is ``application/octet-stream`` when left
            out.

    What the body raises is logged, and the connection broken off: the answer's end never looks like a good one.
    """

    __slots__ = ("_bare", "_variables")
    streamed = True
    usual_media_type = "application/octet-stream"
    ping: float | None = None
    """Seconds of silence after which a reader is told that the connection lives, where the format can."""

    def __init__(
        self,
        body: Iterable[bytes | str] | AsyncIterable[bytes | str],
        status: int = 200,
        headers: Mapping[str, str] | Iterable[tuple[str, str]] | None = None,
        media_type: str | None = None,
    ) -> None:
        self._check_body(body)
        super().__init__(body, status, headers, media_type or self.usual_media_type)
        self._bare = False
        self._variables: Variables | None = None

    def _check_body(self, body: Any) -> None:
        if isinstance(body, (str, bytes, bytearray, memoryview, dict)):
            raise TypeError(
                f"a {type(self).__name__} takes an iterable of pieces, got {type(body).__name__}; what is there at "
                "once is a Response"
            )
        if not hasattr(body, "__aiter__") and not hasattr(body, "__iter__"):
            raise TypeError(f"a {type(self).__name__} takes an iterable or async iterable, got {type(body).__name__}")

    @property
    def bare(self) -> bool:
        """Whether the head alone is sent, to HEAD or with a status that has no body: the body is closed unread."""
        return self._bare

    def without_body(self) -> StreamResponse:
        """This answer with its head alone."""
        self._bare = True
        return self

    @property
    def begun(self) -> bool:
        """Whether a declared route has answered with it."""
        return self._variables is not None

    def remember(self) -> None:
        """Keep the context variables in force here: the body runs with them. Called within the invocation."""
        if self._variables is None:
            self._variables = copy_context()

    @property
    def variables(self) -> Variables:
        """What :meth:`remember` kept."""
        self.remember()
        assert self._variables is not None
        return self._variables

    def drop(self) -> None:
        """Close a sync body that nobody will read. An async one that was not begun holds nothing open."""
        close = getattr(self.body, "close", None)
        if close is not None:
            close()

    def piece(self, value: Any) -> bytes:
        """One piece as sent. Raises TypeError for what is neither bytes nor str."""
        if isinstance(value, str):
            return value.encode()
        if isinstance(value, (bytes, bytearray, memoryview)):
            return bytes(value)
        raise TypeError(
            f"the body of a {type(self).__name__} gave {type(value).__name__}, and is made of bytes and str; "
            "an EventStream takes models"
        )

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.status}>"


class ServerSentEvent:
    """One event of an :class:`EventStream`.

    Args:
        data: a str as it is, line by line; anything else as JSON. None: an event without data.
        event: its type, ``message`` when left out. id: the browser sends the last one as ``Last-Event-ID`` when it
            connects anew. retry: what it is to wait before that. comment: a line that readers leave out.

    Raises ValueError for an event or id with a line break, an id with NUL, and a retry below zero.
    """

    __slots__ = ("comment", "data", "event", "id", "retry")

    def __init__(
        self,
        data: Any = None,
        event: str | None = None,
        id: str | None = None,
        retry: timedelta | None = None,
        *,
        comment: str | None = None,
    ) -> None:
        for name, text in (("event", event), ("id", id)):
            if text is not None and ("\n" in text or "\r" in text):
                raise ValueError(f"the {name} of a server-sent event is one line, got {text!r}")
        if id is not None and "\0" in id:
            raise ValueError(f"the id of a server-sent event has no NUL, got {id!r}")
        if retry is not None and retry.total_seconds() < 0:
            raise ValueError(f"retry is a timedelta, zero or more, got {retry!r}")
        self.data = data
        self.event = event
        self.id = id
        self.retry = retry
        self.comment = comment

    def encode(self) -> bytes:
        """As sent. Raises TypeError for data JSON cannot hold, ValueError for text UTF-8 cannot."""
        lines = []
        if self.comment is not None:
            lines += [f": {line}" for line in _lines(self.comment)]
        if self.event is not None:
            lines.append(f"event: {self.event}")
        if self.id is not None:
            lines.append(f"id: {self.id}")
        if self.retry is not None:
            lines.append(f"retry: {round(self.retry.total_seconds() * 1000)}")
        if self.data is not None:
            lines += [f"data: {line}" for line in _lines(_text_of(self.data))]
        return "".join(f"{line}\n" for line in (*lines, "")).encode()

    def __repr__(self) -> str:
        return f"ServerSentEvent({self.data!r}, event={self.event!r}, id={self.id!r})"


def _text_of(data: Any) -> str:
    if isinstance(data, str):
        return data
    from portable.http import answers

    return answers._encode(data)


def _lines(text: str) -> list[str]:
    """As a reader splits them: at CRLF, LF and CR, and at nothing else that Unicode breaks lines at."""
    return text.replace("\r\n", "\n").replace("\r", "\n").split("\n")


class EventStream(StreamResponse):
    """Server-sent events (``text/event-stream``), from a route declared with ``stream=True``.

    Args:
        events: an iterable or async iterable of :class:`ServerSentEvent`, str, or anything JSON can hold, which is the
            data of an event.
        ping: after so long without an event a comment is sent, so that nothing between drops the connection. Of async
            iterables alone; TypeError for others.
        status, headers: as for :class:`Response`. Caches and proxies are told to keep nothing back.

    https://html.spec.whatwg.org/multipage/server-sent-events.html
    """

    __slots__ = ("ping",)
    usual_media_type = "text/event-stream"

    def __init__(
        self,
        events: Iterable[Any] | AsyncIterable[Any],
        *,
        ping: timedelta | None = None,
        status: int = 200,
        headers: Mapping[str, str] | Iterable[tuple[str, str]] | None = None,
    ) -> None:
        super().__init__(events, status, headers)
        if ping is not None and not hasattr(events, "__aiter__"):
            raise TypeError("ping needs an async iterable: nothing can be sent while a sync one makes its next event")
        if ping is not None and ping.total_seconds() <= 0:
            raise ValueError(f"ping is a timedelta above 0, got {ping!r}")
        self.ping = None if ping is None else ping.total_seconds()
        self.headers.setdefault("cache-control", "no-cache")
        self.headers.setdefault("x-accel-buffering", "no")  # nginx and what is made of it gathers answers otherwise

    def piece(self, value: Any) -> bytes:
        """One event as sent. Raises TypeError for data JSON cannot hold."""
        return (value if isinstance(value, ServerSentEvent) else ServerSentEvent(value)).encode()
