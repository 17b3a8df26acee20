"""Reading the body of a streamed answer, on a thread or on an event loop.

A body is stepped no further than its reader asks, in the context of its invocation, an async one within one task, and
is closed however the answer ends. Imported with the first streamed answer.
"""

from __future__ import annotations

from time import time

from portable.events import current_context

TYPE_CHECKING = False
if TYPE_CHECKING:
    from asyncio import Event, Future, Task
    from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
    from typing import Any

    from portable.http.streams import StreamResponse

    Run = Callable[[Coroutine[Any, Any, Any]], Any]
    OnThread = Callable[..., Awaitable[Any]]

__all__ = ["AsyncPieces", "BrokenStreamError", "Pieces"]

MARGIN = 0.25
"""Seconds before its deadline at which a body is ended: in time to be closed, where a cloud ends the process then."""
PING = b": ping\n\n"
_END = object()


class BrokenStreamError(Exception):
    """A body failed midway, which is logged already. What is left to do is to break the connection off."""


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
        self.variables.copy().run(  # a log may show what the context says; the body's own may be in use
            getLogger("portable").error,
            "%s: the answer broke off while it was sent, request %s",
            name,
            request_id,
            exc_info=error,
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
