"""The process of a container on Cloud Run that holds the websockets of one function: uvicorn, and what others send.

    PORT=8080 python -m portable_gcp.serving module:variable FUNCTION

It answers websockets at the handler's path; requests that are none are told so. ``SIGTERM``, which Cloud Run sends ten
seconds before the end, closes every connection with 1012, and each gets its disconnect event. A request, so a websocket
too, lasts as long as the service's timeout, an hour at most: https://cloud.google.com/run/docs/triggering/websockets.

It needs ``uvicorn`` and ``websockets`` (``portable-functions[sockets]``), and the right to make and delete
subscriptions of the sockets' topic. It is imported by nothing that runs in Cloud Functions.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from logging import getLogger
from time import time
from typing import Any
from uuid import uuid4

from portable.errors import ConfigError
from portable.events import Context, Response, SocketEvent, current_context
from portable.http.answers import problem
from portable.instance import Instance
from portable.invoke import run_shared
from portable.live.asgi import LONGEST_MESSAGE, Receive, Scope, Send, refuse, serve_socket
from portable.resources import set_platform
from portable_gcp.platform import GoogleCloud

__all__ = ["SocketServer", "main"]

THREADS = 80  # Cloud Run's default of requests at once for an instance
DEADLINE = 300.0  # seconds, its default timeout of a request; a handler of one event has no more


class SocketServer:
    """The ASGI application of one websocket function."""

    def __init__(self, instance: Instance) -> None:
        if instance.kind != "socket":
            raise ConfigError(f"function {instance.function!r} has no websocket: it is called by {instance.kind}")
        self._instance = instance
        self._trigger = instance.call.trigger
        self._binary = self._trigger.sockets.options["binary"]
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="portable-handler")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See the module."""
        if scope["type"] == "http":
            await _say(send, problem(426, f"A websocket is at {self._trigger.path}", headers={"upgrade": "websocket"}))
            return
        if scope["path"] != self._trigger.path:
            await receive()
            await refuse(scope, send, problem(404, "No websocket is here"))
            return
        await serve_socket(_with_client(scope), receive, send, self._call, binary=self._binary)

    async def _call(self, event: SocketEvent) -> Response:
        instance = self._instance
        context = Context(
            instance.function,
            uuid4().hex,
            deadline_at=time() + DEADLINE,
            cold_start=instance.take_cold_start(),
            target="gcp",
            stage=instance.stage,
            native=event.native,
        )
        inside = copy_context()
        inside.run(current_context.set, context)
        # Async handlers too: they run on the loop that hooks and dependencies of the instance run on, not on uvicorn's.
        loop = asyncio.get_running_loop()
        response: Response = await loop.run_in_executor(self._threads, inside.run, self._handle, event)
        return response

    def _handle(self, event: SocketEvent) -> Any:
        found = self._instance.call(event)
        return run_shared(found) if self._instance.call.is_async else found

    def close(self) -> None:
        """End the threads, once they are done."""
        self._threads.shutdown()


def _with_client(scope: Scope) -> Scope:
    """The last address of ``X-Forwarded-For``, which Google's front end appends."""
    for name, value in scope["headers"]:
        if name == b"x-forwarded-for" and (last := value.decode("latin-1").rpartition(",")[2].strip()):
            return {**scope, "client": (last, 0)}
    return scope


async def _say(send: Send, response: Response) -> None:
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in response.header_pairs()]
    body = response.body.encode()
    headers.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def main(arguments: list[str]) -> int:
    """Serve until SIGTERM or SIGINT. Returns the exit status."""
    try:
        import uvicorn
        import websockets  # noqa: F401 - uvicorn's own message would not say what to install
    except ImportError as error:
        raise ConfigError(f"{error.name} is not installed: pip install 'portable-functions[sockets]'") from error
    if len(arguments) != 2:
        sys.stderr.write("usage: python -m portable_gcp.serving module:variable FUNCTION\n")
        return 2
    platform = GoogleCloud()
    set_platform(platform)
    instance = Instance(*arguments)
    server = SocketServer(instance)
    instance.start(run_shared)
    instance.stop_at_exit(run_shared)
    inbox, end = server._trigger.sockets.driver().inbox()
    try:
        inbox.start()
        config = uvicorn.Config(
            server,
            host=os.environ.get("HOST", "0.0.0.0"),  # noqa: S104 - a container's own network
            port=int(os.environ.get("PORT", "8080")),
            ws="websockets-sansio",
            ws_max_size=LONGEST_MESSAGE,
            lifespan="off",
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=8,  # of the ten seconds Cloud Run gives
        )
        for number in (signal.SIGTERM, signal.SIGINT):
            # uvicorn raises the signal that ended it once more, for whoever handled it before: the process ends itself.
            signal.signal(number, lambda received, frame: None)
        uvicorn.Server(config).run()
    finally:
        for close in (inbox.stop, end, server.close, platform.close):
            _quietly(close)
    return 0


def _quietly(close: Any) -> None:
    """What fails at the end keeps nothing else from ending."""
    try:
        close()
    except Exception:
        getLogger("portable").exception("ending the server")


if __name__ == "__main__":
    sys.path.insert(0, os.getcwd())
    sys.exit(main(sys.argv[1:]))
