"""The only file that touches NATS's client, ``nats-py``. It is imported on the first use of a resource.

The client is asyncio's alone. One event loop, in a thread of its own, serves everything a platform opens: a sync call
waits for its coroutine there, an async twin awaits it from the loop of its caller. So one connection serves threads
and any number of event loops, and a cancelled twin cancels what it waits for.
"""

from __future__ import annotations

import asyncio
import json
import os
from threading import Lock, Thread

from portable.errors import ConfigError
from portable_nats.limits import MAX_PAYLOAD, PATIENCE_SECONDS, TRY_SECONDS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Coroutine, Mapping
    from typing import Any, TypeVar

    T = TypeVar("T")

__all__ = ["JetStreamError", "Link", "PermissionsViolation", "Server"]

PAUSE_SECONDS = 0.1


class JetStreamError(Exception):
    """What JetStream answered instead. ``err_code`` is the server's number for it, ``code`` a status as in HTTP."""

    def __init__(self, error: Mapping[str, Any]) -> None:
        self.code = int(error.get("code", 500))
        self.err_code = int(error.get("err_code", 0))
        super().__init__(f"{error.get('description', 'no description')} ({self.err_code})")


class PermissionsViolation(Exception):
    """The user may not publish or subscribe there. The server says so apart from the call, which gets no answer."""


_INHERITED: list[Any] = []
"""Clients and loops of the process that this one was forked from: their finalizers would take the parent's connections
out of an epoll that both processes have, so they are never reached here."""


class Link:
    """The connections of one platform, and the thread they live on. Safe under threads.

    Args:
        environment: servers and credentials (``NATS_USER`` …); None reads the process's own.
    """

    def __init__(self, environment: Mapping[str, str] | None) -> None:
        self._environment = environment
        self._lock = Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: Thread | None = None
        self._pid = 0
        self._servers: dict[str, Server] = {}

    def server(self, urls: str) -> Server:
        """The connection to the servers of an address: the same for all that name the same."""
        with self._lock:
            return self._servers.setdefault(urls, Server(urls, self._environment))

    def call(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Wait for a coroutine on the thread of the connections."""
        future = asyncio.run_coroutine_threadsafe(coroutine, self._running())
        try:
            return future.result()
        except BaseException:
            future.cancel()  # an interrupt: nobody waits for the answer any more
            raise

    async def acall(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Await a coroutine of that thread from any event loop."""
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(coroutine, self._running()))

    def close(self) -> None:
        """Send what is on its way, close every connection, end the thread. The next call begins anew."""
        with self._lock:
            loop, thread = self._loop, self._thread
            self._loop = self._thread = None
            mine = self._pid == os.getpid()
        if loop is None or thread is None or not mine:
            return
        asyncio.run_coroutine_threadsafe(self._close_all(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()

    async def _close_all(self) -> None:
        for server in list(self._servers.values()):
            await server.close()

    def _running(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None or self._pid != os.getpid():  # a forked process has no thread of its parent's
                _INHERITED.append((self._loop, self._thread))
                for server in self._servers.values():
                    _INHERITED.append(vars(server).copy())
                    server.forget()
                self._pid = os.getpid()
                self._loop = asyncio.new_event_loop()
                self._thread = Thread(target=_serve, args=(self._loop,), name="portable-nats", daemon=True)
                self._thread.start()
            return self._loop


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
    finally:
        loop.close()


class Server:
    """One connection to a server or a cluster, made on first use and made again when it breaks.

    Every method is a coroutine of the link's loop.
    """

    def __init__(self, urls: str, environment: Mapping[str, str] | None) -> None:
        scheme, _, hosts = urls.rpartition("://")
        self._urls = [f"{scheme or 'nats'}://{host}" for host in hosts.split(",")]
        self._environment = os.environ if environment is None else environment
        self.forget()

    def forget(self) -> None:
        """Drop the connection without a word: it is another process's."""
        self._client: Any = None
        self._connecting: asyncio.Lock | None = None
        self._violations: list[str] = []
        self._refused: asyncio.Future[str] | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def largest(self) -> int:
        """Most bytes of a message with its headers."""
        client = self._client
        return MAX_PAYLOAD if client is None else int(client.max_payload)

    async def client(self) -> Any:
        """The connected client. Raises ConfigError without the library, and what the library raises."""
        client = self._client
        if client is not None and not client.is_closed:
            return client
        if self._connecting is None:
            self._connecting = asyncio.Lock()
        async with self._connecting:
            if self._client is None or self._client.is_closed:
                self._client = await self._connect()
            return self._client

    async def close(self) -> None:
        """Flush and close."""
        client, self._client = self._client, None
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if client is None:
            return
        import contextlib

        with contextlib.suppress(Exception):  # a connection that has broken is closed too
            if client.is_connected:
                await client.flush(timeout=1)
            await client.close()
        _hang_up(client)  # a client that was closing itself says that it is closed before it is

    async def _connect(self) -> Any:
        try:
            import nats.aio.client
        except ImportError as error:
            raise ConfigError("NATS's client is not installed: pip install 'portable-functions[nats]'") from error
        client = nats.aio.client.Client()

        async def note(error: Exception) -> None:
            self._note(client, error)

        options = {
            "servers": self._urls,
            "error_cb": note,
            "max_reconnect_attempts": -1,  # calls have their own end: see request
            "reconnect_time_wait": PAUSE_SECONDS,
            "connect_timeout": TRY_SECONDS,
            **_credentials(self._environment),
        }
        # The client tries for ever, also with credentials that were refused.
        connecting = asyncio.ensure_future(client.connect(**options))
        self._refused = asyncio.get_running_loop().create_future()
        try:
            await asyncio.wait((connecting, self._refused), timeout=TRY_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            if connecting.done():
                connecting.result()
                return client
            if self._refused.done():
                raise PermissionsViolation(self._refused.result())
            raise TimeoutError(f"no answer from {', '.join(self._urls)}")
        finally:
            if not connecting.done():
                # One after the other: what it opened until it ended is closed. A client that never was connected may
                # fail to close.
                connecting.cancel()
                await asyncio.gather(connecting, return_exceptions=True)
                await asyncio.gather(client.close(), return_exceptions=True)
                _hang_up(client)

    def _note(self, client: Any, error: Exception) -> None:
        if not client.is_connected:
            _hang_up(client)  # an attempt that failed half-way: the client forgets it with the next one
        if "authorization" in str(error).lower() and self._refused is not None and not self._refused.done():
            self._refused.set_result(str(error))
        if "permissions violation" in str(error).lower():
            self._violations = [*self._violations[-15:], str(error)]

    async def request(self, subject: str, payload: bytes = b"", headers: Mapping[str, str] | None = None) -> Any:
        """The answer. Asked again for ``PATIENCE_SECONDS`` while no server answers, so only what does no harm twice."""
        loop = asyncio.get_running_loop()
        end = loop.time() + PATIENCE_SECONDS
        while True:
            try:
                client = await self.client()
                return await client.request(subject, payload, timeout=TRY_SECONDS, headers=dict(headers or {}) or None)
            except Exception as error:
                self._check_violation(subject, error)
                if not _passes(error) or loop.time() > end:
                    raise
                if type(error).__name__ == "NoRespondersError" and not subject.startswith("$JS.API."):
                    raise  # no stream takes it, or not yet: the caller finds out
            await asyncio.sleep(PAUSE_SECONDS)

    def _check_violation(self, subject: str, error: BaseException) -> None:
        for text in self._violations:
            if subject.lower() in text.lower():
                self._violations = []
                raise PermissionsViolation(text) from error

    async def api(self, subject: str, question: Mapping[str, Any] | None = None) -> Any:
        """An answer of JetStream's interface, as JSON says it. Raises JetStreamError."""
        message = await self.request(f"$JS.API.{subject}", b"" if question is None else json.dumps(question).encode())
        answer = json.loads(message.data)
        if "error" in answer:
            raise JetStreamError(answer["error"])
        return answer

    async def store(self, stream: str, subject: str, payload: bytes, headers: Mapping[str, str]) -> Any:
        """Put a message on a stream; the stream's receipt, with ``seq``. ``Nats-Msg-Id`` has to be in the headers:
        it is what makes a repetition harmless. Raises JetStreamError.
        """
        loop = asyncio.get_running_loop()
        end = loop.time() + PATIENCE_SECONDS
        while True:
            try:
                message = await self.request(subject, payload, {**headers, "Nats-Expected-Stream": stream})
            except Exception as error:
                if type(error).__name__ != "NoRespondersError" or loop.time() > end:
                    raise
                await self.api(f"STREAM.INFO.{stream}")  # 404 when there is none; else it has no leader yet
                await asyncio.sleep(PAUSE_SECONDS)
                continue
            answer = json.loads(message.data)
            if "error" in answer:
                raise JetStreamError(answer["error"])
            return answer

    async def last(self, stream: str, subject: str) -> bytes | None:
        """The last message on a subject of a stream, or None. Any replica is asked, then the leader."""
        question = json.dumps({"last_by_subj": subject}).encode()
        message = await self.request(f"$JS.API.DIRECT.GET.{stream}", question)
        if (message.headers or {}).get("Status") is None:
            data: bytes = message.data
            return data
        from base64 import b64decode

        try:
            answer = await self.api(f"STREAM.MSG.GET.{stream}", {"last_by_subj": subject})
        except JetStreamError as error:
            if error.err_code == 10037:  # no message found
                return None
            raise
        return b64decode(answer["message"].get("data", ""))

    async def tell(self, subject: str, payload: bytes) -> None:
        """Send without an answer."""
        await (await self.client()).publish(subject, payload)

    async def pull(self, stream: str, consumer: str, count: int, seconds: float) -> list[Any]:
        """Up to ``count`` messages: those that are there, else the first to come within ``seconds``."""
        client = await self.client()
        inbox = client.new_inbox()
        subscription = await client.subscribe(inbox)
        question: dict[str, Any] = {"batch": count, "no_wait": True}
        if seconds > 0:
            question["expires"] = int(seconds * 1e9)
        found: list[Any] = []
        try:
            await client.publish(
                f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}", json.dumps(question).encode(), reply=inbox
            )
            while len(found) < count:
                message = await subscription.next_msg(timeout=max(0.0, seconds) + TRY_SECONDS)
                status = (message.headers or {}).get("Status")
                if status is None:
                    found.append(message)
                elif status != "100":  # a heartbeat; all others end it
                    break
        except asyncio.CancelledError:
            task = asyncio.get_running_loop().create_task(self._hand_back(client, subscription, found, seconds))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            raise
        except Exception as error:
            self._check_violation(f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}", error)
            if not found:
                # Silence: there is no such consumer, or no server, and this says so; or it had nothing to say.
                await self.api(f"CONSUMER.INFO.{stream}.{consumer}")
        await _leave(client, subscription)
        return found

    async def _hand_back(self, client: Any, subscription: Any, found: list[Any], seconds: float) -> None:
        """Return the messages of a pull nobody waits for any more; the server goes on sending them for as long.

        By the connection they came by: another would be opened for nothing, and perhaps by a link that is closing.
        """
        import contextlib

        with contextlib.suppress(Exception):  # silence: it is over
            for message in found:
                await client.publish(message.reply, b"-NAK")
            while True:
                message = await subscription.next_msg(timeout=seconds + TRY_SECONDS)
                if message.reply:
                    await client.publish(message.reply, b"-NAK")
                elif (message.headers or {}).get("Status") != "100":
                    break
            await _leave(client, subscription)


def _hang_up(client: Any) -> None:
    """Close the socket a client may have left open: the library's own ways to close it do not reach every one."""
    if client._transport is not None:
        client._transport.close()


async def _leave(client: Any, subscription: Any) -> None:
    if not client.is_closed:
        await subscription.unsubscribe()


def _passes(error: BaseException) -> bool:
    """Whether the same call may succeed in a moment."""
    import nats.errors

    lasting = (nats.errors.MaxPayloadError, nats.errors.AuthorizationError, nats.errors.BadSubjectError)
    return isinstance(error, (nats.errors.Error, OSError, asyncio.TimeoutError)) and not isinstance(error, lasting)


def _credentials(environment: Mapping[str, str]) -> dict[str, Any]:
    """By the variables of NATS's own command line."""
    names = {
        "user": "NATS_USER",
        "password": "NATS_PASSWORD",
        "token": "NATS_TOKEN",
        "user_credentials": "NATS_CREDS",
        "nkeys_seed": "NATS_NKEY",
    }
    options: dict[str, Any] = {option: environment[name] for option, name in names.items() if environment.get(name)}
    authority, certificate = environment.get("NATS_CA"), environment.get("NATS_CERT")
    if authority or certificate:
        import ssl

        context = ssl.create_default_context(cafile=authority or None)
        if certificate:
            context.load_cert_chain(certificate, environment.get("NATS_KEY") or None)
        options["tls"] = context
    return options
