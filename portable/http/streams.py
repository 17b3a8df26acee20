"""Answers sent piece by piece while they are made, and server-sent events.

A body is stepped no further than its reader asks: who reads slowly holds it back. It runs in the context of its
invocation, an async one within one task, and is closed however the answer ends: at its end, on an error, and when the
reader goes away. Imported by apps that stream.
"""

from __future__ import annotations

from contextvars import copy_context
from time import time

from portable.events import Response, current_context

TYPE_CHECKING = False
if TYPE_CHECKING:
    from asyncio import Event, Future, Task
    from collections.abc import (
        AsyncIterable,
        AsyncIterator,
        Awaitable,
        Callable,
        Coroutine,
        Iterable,
        Iterator,
        Mapping,
    )
    from contextvars import Context as Variables
    from datetime import timedelta
    from typing import Any

    Run = Callable[[Coroutine[Any, Any, Any]], Any]
    OnThread = Callable[..., Awaitable[Any]]

__all__ = ["AsyncPieces", "BrokenStreamError", "EventStream", "Pieces", "ServerSentEvent", "StreamResponse"]

_END = object()
PING = b": ping\n\n"
MARGIN = 0.25
"""Seconds before its deadline at which a body is ended: in time to be closed, where a cloud ends the process then."""


class BrokenStreamError(Exception):
    """A body failed midway, which is logged already. What is left to do is to break the connection off."""


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


class _Source:
    """A body being read, in the context of its invocation."""

    def __init__(self, response: StreamResponse) -> None:
        self.response = response
        self.body: Any = response.body
        self.is_async = hasattr(self.body, "__aiter__")
        self.ended = response.bare
        self.variables = response.variables
        self._iterator: Any = None

    def remaining(self) -> float | None:
        """Seconds before the invocation's deadline; None where it has none."""
        context = self.variables.get(current_context)
        if context is None or context.deadline_at is None:
            return None
        return max(0.0, context.deadline_at - MARGIN - time())

    @staticmethod
    def late() -> TimeoutError:
        """What ends a body that goes on past the deadline: the cloud has given the answer up by now."""
        return TimeoutError("the function's deadline passed")

    def next_sync(self) -> Any:
        """The next piece of a sync body, or ``_END``. Raises TimeoutError past the deadline."""
        if self.remaining() == 0:
            raise self.late()
        if self._iterator is None:
            self._iterator = self.variables.run(iter, self.body)
        return self.variables.run(next, self._iterator, _END)

    def close_sync(self) -> None:
        """Close a sync body, begun or not."""
        close = getattr(self.body if self._iterator is None else self._iterator, "close", None)
        if close is not None:
            self.variables.run(close)

    def failed(self, error: BaseException) -> BrokenStreamError:
        """Log what the body raised, in the words of its invocation."""
        from logging import getLogger

        context = self.variables.get(current_context)
        name, request_id = ("", "") if context is None else (context.function, context.request_id)
        getLogger("portable").error(
            "%s: the answer broke off while it was sent, request %s", name, request_id, exc_info=error
        )
        return BrokenStreamError(f"{type(error).__name__}: {error}")


class Pieces:
    """The pieces of an answer, for a server that gives each answer a thread.

    Raises BrokenStreamError where the body failed, once it is logged. ``run`` runs a coroutine to its end, all of them
    on one loop.
    """

    def __init__(self, response: StreamResponse, run: Run) -> None:
        self._source = _Source(response)
        self._run = run
        self._pump = _Pump(self._source) if self._source.is_async else None
        self._closed = False

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        source = self._source
        while not source.ended:
            try:
                value = source.next_sync() if self._pump is None else self._run(self._pump.next())
                piece = value if value is PING else b"" if value is _END else source.response.piece(value)
            except Exception as error:
                broken = source.failed(error)
                self.close()
                raise broken from error
            except BaseException:
                self.close()
                raise
            if value is _END:
                break
            if piece:  # an empty one would be the end in HTTP's chunks
                return piece
        self.close()
        raise StopIteration

    def close(self) -> None:
        """Close the body. What that raises is logged."""
        if self._closed:
            return
        self._closed = True
        self._source.ended = True
        try:
            if self._pump is None:
                self._source.close_sync()
            else:
                self._run(self._pump.aclose())
        except Exception as error:
            self._source.failed(error)


class AsyncPieces:
    """The pieces of an answer, for a server on an event loop; a sync body is stepped by ``on_thread``.

    Raises BrokenStreamError where the body failed, once it is logged.
    """

    def __init__(self, response: StreamResponse, on_thread: OnThread) -> None:
        self._source = _Source(response)
        self._on_thread = on_thread
        self._pump = _Pump(self._source) if self._source.is_async else None
        self._step: Future[Any] | None = None
        self._closed = False

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        source = self._source
        while not source.ended:
            try:
                value = await (self._next_on_thread() if self._pump is None else self._pump.next())
                piece = value if value is PING else b"" if value is _END else source.response.piece(value)
            except Exception as error:
                broken = source.failed(error)
                await self.aclose()
                raise broken from error
            if value is _END:
                break
            if piece:
                return piece
        await self.aclose()
        raise StopAsyncIteration

    async def _next_on_thread(self) -> Any:
        from asyncio import ensure_future, shield

        self._step = ensure_future(self._on_thread(self._source.next_sync))
        return await shield(self._step)

    async def _close_on_thread(self) -> None:
        if self._step is not None and not self._step.done():  # its reader went away meanwhile
            from asyncio import wait

            await wait((self._step,))
        await self._on_thread(self._source.close_sync)

    async def aclose(self) -> None:
        """Close the body, once a step under way is over. What that raises is logged."""
        if self._closed:
            return
        self._closed = True
        self._source.ended = True
        try:
            await (self._close_on_thread() if self._pump is None else self._pump.aclose())
        except Exception as error:
            self._source.failed(error)


class _Pump:
    """Steps an async body in one task, which keeps its context and its cancel scopes, and no further than asked."""

    def __init__(self, source: _Source) -> None:
        self._source = source
        self._task: Task[None] | None = None
        self._asked: Event
        self._answer: Future[Any] | None = None
        self._closing = False
        self._over = False

    def _begin(self) -> Task[None]:
        from asyncio import Event, get_running_loop

        self._asked = Event()
        return get_running_loop().create_task(self._step(), context=self._source.variables)

    async def next(self) -> Any:
        """The next piece, ``_END``, or ``PING`` where nothing came for so long. Raises what the body raised."""
        from asyncio import get_running_loop, wait

        if self._task is None:
            self._task = self._begin()
        if self._answer is None:
            self._answer = get_running_loop().create_future()
            self._asked.set()
        ping, left = self._source.response.ping, self._source.remaining()
        pings = ping is not None and (left is None or ping < left)
        done, _ = await wait((self._answer,), timeout=ping if pings else left)
        if not done:
            if pings:
                return PING
            raise self._source.late()
        answer, self._answer = self._answer, None
        return answer.result()

    async def _step(self) -> None:
        iterator = self._source.body.__aiter__()
        try:
            while not self._closing:
                await self._asked.wait()
                self._asked.clear()
                try:
                    value = await iterator.__anext__()
                except StopAsyncIteration:
                    self._give(_END)
                    return
                self._give(value)
        except Exception as error:
            if self._answer is None or self._answer.done():  # nobody waits for it
                raise
            self._answer.set_exception(error)
        except (SystemExit, KeyboardInterrupt) as end:  # it would end the loop, which is not this body's alone
            if self._answer is not None and not self._answer.done():
                broken = RuntimeError(f"the body raised {type(end).__name__}")
                broken.__cause__ = end
                self._answer.set_exception(broken)
        finally:
            self._over = True
            await _aclose(iterator)

    def _give(self, value: Any) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(value)

    async def aclose(self) -> None:
        """End the task, and close the body, begun or not."""
        if self._task is None:
            await _aclose(self._source.body)
            return
        from asyncio import wait

        self._closing = True  # a body may swallow what cancels it
        if not self._over:
            self._task.cancel()
        await wait((self._task,))
        if not self._task.cancelled() and (error := self._task.exception()) is not None:
            raise error


async def _aclose(body: Any) -> None:
    close = getattr(body, "aclose", None)
    if close is not None:
        await close()
