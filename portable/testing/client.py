"""A client for tests: requests, messages, ticks and calls, in this process or against a built artifact.

    with TestClient(app) as client:
        assert client.post("/images", body=png).status == 201
        client.settle()                                        # blob events and messages are delivered
        assert thumbnails.exists("cat.png")                    # resources work in the block as they do in a handler

The same methods drive an artifact under its cloud's own runtime client; the ``client`` fixture of
``portable.testing.plugin`` gives one or the other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from http.cookies import SimpleCookie
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, Self
from urllib.parse import quote, urlencode

import msgspec

from portable.app import App
from portable.drivers import Platform
from portable.errors import ConfigError
from portable.events import Headers, Request, Response, SocketEvent, Tick
from portable.jsontext import encode_text
from portable.manifest import FunctionRecord, Manifest
from portable.resources import use_platform
from portable.resources.bucket import Bucket
from portable.resources.queue import Queue
from portable.resources.stream import Stream
from portable.resources.table import Table
from portable.resources.topic import Topic
from portable.run.delivery import Settled, resource_of
from portable.run.target import InvocationError
from portable.samples import Event, Outcome
from portable.samples.neutral import make_request
from portable.testing.forms import Files, write_form

if TYPE_CHECKING:
    from portable.testing.sockets import SocketSession

__all__ = ["Answer", "Client", "Host", "TestClient"]

Pairs = Mapping[str, str] | Iterable[tuple[str, str]]


class Host(Protocol):
    """What runs the app for a client: this process, or a deployment of a built artifact."""

    manifest: Manifest
    platform: Platform

    def request(self, request: Request, chunks: int | None = None) -> Response:
        """Answer a request. ``chunks``: hang up after so many pieces; ConfigError where an answer comes whole."""

    def deliver(self, function: str, event: Event) -> Outcome:
        """Give a function an event, once."""

    def settle(self, timeout: float = 30.0) -> Settled:
        """Deliver messages and blob events until there are none, ``timeout`` seconds at most."""

    def dead_letters(self, queue: str) -> list[str]:
        """Bodies of a queue's dead letters, as sent."""

    def socket(self, path: str) -> tuple[Callable[[SocketEvent], Response], bool]:
        """What answers the events of a websocket, and whether it carries bytes. Raises ConfigError."""


class Answer:
    """An HTTP answer as it came.

    Attributes:
        headers: names in any case, repeated ones kept. body: bytes.
        chunks: the body as the app gave it out: the pieces of a streamed answer, one of any other.
    """

    def __init__(self, response: Response) -> None:
        body = response.body
        self.status = response.status
        self.headers = Headers(response.header_pairs())
        if response.streamed:
            self.chunks: list[bytes] = list(body)
        else:
            whole = b"" if body is None else body.encode() if isinstance(body, str) else bytes(body)
            self.chunks = [whole] if whole else []
        self.body = b"".join(self.chunks)

    def text(self) -> str:
        """The body as UTF-8."""
        return self.body.decode()

    def json(self) -> Any:
        """The body read as JSON. Raises ValueError when it is not JSON."""
        return msgspec.json.decode(self.body)

    @property
    def cookies(self) -> dict[str, str]:
        """The cookies this answer sets, by name."""
        jar: SimpleCookie = SimpleCookie()
        for line in self.headers.get_all("set-cookie"):
            jar.load(line)
        return {name: morsel.value for name, morsel in jar.items()}

    def __repr__(self) -> str:
        return f"<Answer {self.status} {self.body[:200]!r}>"


class Client:
    """Drives an app on a host. See the module."""

    def __init__(self, host: Host) -> None:
        self.host = host

    # --- HTTP

    def request(
        self,
        method: str,
        path: str,
        *,
        query: Pairs = (),
        headers: Pairs = (),
        cookies: Mapping[str, str] | None = None,
        body: bytes | str = b"",
        json: Any = msgspec.UNSET,
        form: Pairs | None = None,
        files: Files = (),
        chunks: int | None = None,
    ) -> Answer:
        """Send a request.

        Args:
            path: as in a URL, with its query if it has one; ``%2F`` stays as it is, other characters are encoded.
            query: added to the path's. headers: pairs or a mapping. cookies: sent as one ``cookie`` header.
            body: a str as UTF-8. json: sent as ``application/json`` instead of ``body``.
            form: fields, sent urlencoded, or multipart where there are ``files``. files: by the names of their fields;
                each is bytes, ``(filename, bytes)`` or ``(filename, bytes, content_type)``.
            chunks: hang up after so many pieces of a streamed answer, of an app in this process.
        """
        pairs = _pairs(headers)
        names = {name.lower() for name, _ in pairs}
        if sum((bool(body), json is not msgspec.UNSET, form is not None or bool(files))) > 1:
            raise ValueError("a request has one body: give body, json, or form and files")
        if json is not msgspec.UNSET:
            body, kind = encode_text(json), "application/json"
        elif form is not None or files:
            body, kind = write_form(_pairs(form or ()), files)
        else:
            kind = ""
        if kind and "content-type" not in names:
            pairs.append(("content-type", kind))
        if cookies:
            pairs.append(("cookie", "; ".join(f"{name}={value}" for name, value in cookies.items())))
        target = quote(path, safe="/%:@!$&'()*+,;=~-._?")
        if added := _pairs(query):
            target += ("&" if "?" in target else "?") + urlencode(added)
        data = body.encode() if isinstance(body, str) else bytes(body)
        request = make_request(method, target, headers=pairs, body=data)
        return Answer(self.host.request(request) if chunks is None else self.host.request(request, chunks))

    def get(self, path: str, **options: Any) -> Answer:
        """See :meth:`request`."""
        return self.request("GET", path, **options)

    def post(self, path: str, **options: Any) -> Answer:
        """See :meth:`request`."""
        return self.request("POST", path, **options)

    def put(self, path: str, **options: Any) -> Answer:
        """See :meth:`request`."""
        return self.request("PUT", path, **options)

    def patch(self, path: str, **options: Any) -> Answer:
        """See :meth:`request`."""
        return self.request("PATCH", path, **options)

    def delete(self, path: str, **options: Any) -> Answer:
        """See :meth:`request`."""
        return self.request("DELETE", path, **options)

    def head(self, path: str, **options: Any) -> Answer:
        """See :meth:`request`."""
        return self.request("HEAD", path, **options)

    def options(self, path: str, **options: Any) -> Answer:
        """See :meth:`request`."""
        return self.request("OPTIONS", path, **options)

    # --- websockets

    def websocket(
        self,
        path: str,
        *,
        query: Pairs = (),
        headers: Pairs = (),
        cookies: Mapping[str, str] | None = None,
        subprotocols: Iterable[str] = (),
    ) -> SocketSession:
        """Connect to a websocket of the app: ``with client.websocket("/chat") as session:``.

        Raises SocketRefusedError when the handler refuses, ConfigError for a path that is none.
        """
        from portable.testing.sockets import SocketSession

        call, binary = self.host.socket(path)
        return SocketSession(call, binary, query=query, headers=headers, cookies=cookies, subprotocols=subprotocols)

    # --- events

    def send(self, queue: Queue[Any] | str, body: Any, **options: Any) -> str:
        """Send a message, as ``Queue.send`` does; :meth:`settle` delivers it. Returns its id."""
        found = self.queue(queue) if isinstance(queue, str) else queue
        with use_platform(self.host.platform):
            return found.send(body, **options)

    def publish(self, topic: Topic[Any] | str, body: Any, **options: Any) -> str:
        """Publish a message, as ``Topic.publish`` does; :meth:`settle` delivers it to every handler that wants it."""
        found = self.topic(topic) if isinstance(topic, str) else topic
        with use_platform(self.host.platform):
            return found.publish(body, **options)

    def append(self, stream: Stream[Any] | str, body: Any, *, key: str) -> None:
        """Send a record, as ``Stream.send`` does; :meth:`settle` delivers it to every function of the stream."""
        found = self.stream(stream) if isinstance(stream, str) else stream
        with use_platform(self.host.platform):
            found.send(body, key=key)

    def tick(self, handler: Callable[..., Any] | str, at: datetime | None = None) -> None:
        """Call a schedule's handler as if it were due, now or at an aware datetime. Raises InvocationError."""
        self.deliver(handler, Tick(at or datetime.now(UTC)))

    def call(self, handler: Callable[..., Any] | str, payload: Any = None) -> Any:
        """Call a direct function with JSON values, and return its own. Raises InvocationError."""
        return self.deliver(handler, payload).value

    def deliver(self, handler: Callable[..., Any] | str, event: Event) -> Outcome:
        """Give a function an event, once: nothing is retried. Raises InvocationError when it fails as a whole."""
        outcome = self.host.deliver(self.function(handler).name, event)
        if outcome.error is not None:
            kind, _, message = outcome.error.partition(": ")
            raise InvocationError(kind, message)
        return outcome

    def settle(self, timeout: float = 30.0) -> Settled:
        """Deliver messages and blob events until it is quiet, ``timeout`` seconds at most.

        What was delivered and what failed is in the answer; a failed delivery raises nothing, as in a cloud. Raises
        NotSettledError for a loop.
        """
        return self.host.settle(timeout)

    # --- resources

    def bucket(self, name: str) -> Bucket:
        """A bucket of the app by its name, to be used where this client's platform is in force."""
        found = resource_of(self.host.manifest.resource("bucket", name))
        assert isinstance(found, Bucket)
        return found

    def queue(self, name: str) -> Queue[Any]:
        """A queue of the app by its name; bodies are any JSON values."""
        found = resource_of(self.host.manifest.resource("queue", name))
        assert isinstance(found, Queue)
        return found

    def topic(self, name: str) -> Topic[Any]:
        """A topic of the app by its name; bodies are any JSON values."""
        found = resource_of(self.host.manifest.resource("topic", name))
        assert isinstance(found, Topic)
        return found

    def stream(self, name: str) -> Stream[Any]:
        """A stream of the app by its name; bodies are any JSON values."""
        found = resource_of(self.host.manifest.resource("stream", name))
        assert isinstance(found, Stream)
        return found

    def table(self, name: str) -> Table[dict[str, Any]]:
        """A table of the app by its name; items are dicts, whatever type the app gives them."""
        found = resource_of(self.host.manifest.resource("table", name))
        assert isinstance(found, Table)
        return found

    def dead_letters(self, queue: Queue[Any] | str) -> list[Any]:
        """Bodies of a queue's dead letters, as JSON values; of a function's subscription to a topic, by
        ``"topic/function"``.
        """
        name = queue if isinstance(queue, str) else queue.name
        return [msgspec.json.decode(body) for body in self.host.dead_letters(name)]

    def function(self, handler: Callable[..., Any] | str) -> FunctionRecord:
        """The function a handler belongs to, or of this name. Raises ConfigError."""
        if isinstance(handler, str):
            return self.host.manifest.function(handler)
        spec = f"{handler.__module__}:{getattr(handler, '__qualname__', '?')}"
        for function in self.host.manifest.functions:
            if any(trigger.handler == spec for trigger in function.triggers):
                return function
        raise ConfigError(f"{spec} is no handler of app {self.host.manifest.app!r}")


class TestClient(Client):
    """An app in this process, on a local platform of its own that is empty at the start and gone at the end.

    Args:
        overrides: drivers of your own by resource (``uploads`` or ``"bucket:uploads"``): anything with the methods of
            ``portable.drivers``; for a secret or a config the value itself will do. A secret that is not named here
            has the value ``made-up-NAME``, a config without a default one of its type. A function that handlers depend
            on is replaced by another: ``{current_user: lambda: admin}``.
        raise_errors: what a handler raises comes out of ``get``, ``tick`` and ``call``. False: a 500 and an
            InvocationError, as in a cloud. ``settle`` never raises it.
    """

    __test__ = False  # pytest takes a class of this name for tests

    def __init__(self, app: App, overrides: Mapping[Any, Any] | None = None, *, raise_errors: bool = True) -> None:
        from portable.testing.inprocess import InProcess

        self._host = InProcess(app, overrides or {}, raise_errors)
        super().__init__(self._host)

    def __enter__(self) -> Self:
        self._host.open()
        self._scope = use_platform(self._host.platform)
        self._scope.__enter__()
        try:
            self._host.start()
        except BaseException:  # an on_start hook's
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._scope.__exit__(kind, error, trace)
        self._host.close()


def _pairs(given: Pairs) -> list[tuple[str, str]]:
    return list(given.items() if isinstance(given, Mapping) else given)
