"""App: a Router with a name, its resources and the life of an instance; nothing is called here."""

from __future__ import annotations

from portable.errors import ConfigError
from portable.life import Life
from portable.resources import Resource, check_name
from portable.router import Router, import_object
from portable.triggers import HTTPRoute, check_max_body

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from datetime import timedelta
    from typing import Any, Literal, TypeVar, overload

    from portable.connection import Connection
    from portable.http.params import Depends
    from portable.resources.backoff import Backoff
    from portable.resources.bucket import Bucket
    from portable.resources.cache import Cache
    from portable.resources.config import Config
    from portable.resources.queue import Queue
    from portable.resources.secret import Secret
    from portable.resources.sockets import Sockets
    from portable.resources.stream import Stream
    from portable.resources.table import Table
    from portable.resources.topic import Topic
    from portable.signature_types import ErrorHandler, EventKind, EventMiddleware
    from portable.triggers import Trigger

    E = TypeVar("E", bound=Exception)
    M = TypeVar("M")
    Indexes = Mapping[str, str | tuple[str, str]]
    T = TypeVar("T")
    K = TypeVar("K", bound=Callable[[], Any])
    R = TypeVar("R", bound=Resource)

__all__ = ["EVENT_KINDS", "App", "load_app"]

EVENT_KINDS = ("message", "stream", "blob", "change", "schedule", "direct", "socket")


class App(Router):
    """An application: a name, handlers, and the resources they use."""

    is_app = True

    def __init__(
        self,
        name: str,
        *,
        dependencies: Iterable[Depends] = (),
        max_body: int | None = None,
        openapi: Mapping[str, Any] | None = None,
    ) -> None:
        """``dependencies``: called for each HTTP request before the handler, whatever they give. ``max_body``: bytes of
        a body, for routes that do not say their own; more is a 413. ``openapi``: laid over the OpenAPI document:
        ``{"info": {"title": "Shop"}, "servers": [{"url": "https://api.example.com"}]}``.
        """
        super().__init__(dependencies=dependencies)
        self.max_body = check_max_body(max_body)
        self.name = check_name("app", name)
        self.openapi = openapi or {}
        self.resources: dict[tuple[str, str], Resource] = {}
        self.middlewares: list[tuple[tuple[str, ...], Any]] = []
        self.exception_handlers: dict[type[BaseException], Callable[..., Any]] = {}
        self.life = Life()

    # --- resources

    def bucket(self, name: str) -> Bucket:
        """Declare a bucket. The same name again is the same bucket."""
        from portable.resources.bucket import Bucket

        return self._declare(Bucket(name, _depth=1))

    if TYPE_CHECKING:

        @overload
        def queue(
            self,
            name: str,
            *,
            max_attempts: int = 5,
            ordered: bool = False,
            dedup: bool = False,
            large: Bucket | None = None,
            retry: Backoff | None = None,
        ) -> Queue[Any]: ...
        @overload
        def queue(
            self,
            name: str,
            type: type[T],
            *,
            max_attempts: int = 5,
            ordered: bool = False,
            dedup: bool = False,
            large: Bucket | None = None,
            retry: Backoff | None = None,
        ) -> Queue[T]: ...
        @overload
        def queue(
            self,
            name: str,
            type: Any,
            *,
            max_attempts: int = 5,
            ordered: bool = False,
            dedup: bool = False,
            large: Bucket | None = None,
            retry: Backoff | None = None,
        ) -> Queue[Any]: ...

    def queue(
        self,
        name: str,
        type: Any = None,
        *,
        max_attempts: int = 5,
        ordered: bool = False,
        dedup: bool = False,
        large: Bucket | None = None,
        retry: Backoff | None = None,
    ) -> Queue[Any]:
        """Declare a queue of messages of ``type``. The same name with the same options again is the same queue."""
        from portable.resources.queue import Queue

        queue: Queue[Any] = Queue(
            name, type, max_attempts=max_attempts, ordered=ordered, dedup=dedup, large=large, retry=retry, _depth=1
        )
        return self._declare(queue)

    if TYPE_CHECKING:

        @overload
        def topic(
            self, name: str, *, ordered: bool = False, max_attempts: int = 5, retry: Backoff | None = None
        ) -> Topic[Any]: ...
        @overload
        def topic(
            self,
            name: str,
            type: type[T],
            *,
            ordered: bool = False,
            max_attempts: int = 5,
            retry: Backoff | None = None,
        ) -> Topic[T]: ...
        @overload
        def topic(
            self, name: str, type: Any, *, ordered: bool = False, max_attempts: int = 5, retry: Backoff | None = None
        ) -> Topic[Any]: ...

    def topic(
        self, name: str, type: Any = None, *, ordered: bool = False, max_attempts: int = 5, retry: Backoff | None = None
    ) -> Topic[Any]:
        """Declare a topic of messages of ``type``. The same name with the same options again is the same topic."""
        from portable.resources.topic import Topic

        return self._declare(Topic(name, type, ordered=ordered, max_attempts=max_attempts, retry=retry, _depth=1))

    if TYPE_CHECKING:

        @overload
        def stream(self, name: str, *, partitions: int = 1) -> Stream[Any]: ...
        @overload
        def stream(self, name: str, type: type[T], *, partitions: int = 1) -> Stream[T]: ...
        @overload
        def stream(self, name: str, type: Any, *, partitions: int = 1) -> Stream[Any]: ...

    def stream(self, name: str, type: Any = None, *, partitions: int = 1) -> Stream[Any]:
        """Declare a stream of records of ``type``. The same name with the same options again is the same stream."""
        from portable.resources.stream import Stream

        return self._declare(Stream(name, type, partitions=partitions, _depth=1))

    if TYPE_CHECKING:

        @overload
        def cache(self, name: str) -> Cache[Any]: ...
        @overload
        def cache(self, name: str, type: type[T]) -> Cache[T]: ...
        @overload
        def cache(self, name: str, type: Any) -> Cache[Any]: ...

    def cache(self, name: str, type: Any = None) -> Cache[Any]:
        """Declare a cache of values of ``type``. The same name with the same type again is the same cache."""
        from portable.resources.cache import Cache

        return self._declare(Cache(name, type, _depth=1))

    if TYPE_CHECKING:

        @overload
        def table(
            self,
            name: str,
            *,
            key: str,
            sort: str | None = None,
            indexes: Indexes | None = None,
            ttl: str | None = None,
        ) -> Table[dict[str, Any]]: ...
        @overload
        def table(
            self,
            name: str,
            type: type[T],
            *,
            key: str,
            sort: str | None = None,
            indexes: Indexes | None = None,
            ttl: str | None = None,
        ) -> Table[T]: ...

    def table(
        self,
        name: str,
        type: Any = None,
        *,
        key: str,
        sort: str | None = None,
        indexes: Indexes | None = None,
        ttl: str | None = None,
    ) -> Table[Any]:
        """Declare a table of items of ``type``, found by ``key`` (and ``sort``). See :class:`portable.Table`."""
        from portable.resources.table import Table

        table: Table[Any] = Table(name, type, key=key, sort=sort, indexes=indexes, ttl=ttl, _depth=1)
        return self._declare(table)

    def secret(self, name: str, *, ttl: timedelta | None = None) -> Secret:
        """Declare a secret, kept in the instance for ``ttl``, five minutes when left out."""
        from portable.resources.secret import Secret

        return self._declare(Secret(name, ttl=ttl, _depth=1))

    def sockets(
        self,
        name: str,
        table: Table[dict[str, Any]] | None = None,
        *,
        binary: bool = False,
        ttl: timedelta | None = None,
    ) -> Sockets:
        """Declare the connections of a websocket. See :class:`portable.Sockets`."""
        from portable.resources.sockets import Sockets

        return self._declare(Sockets(name, table, binary=binary, ttl=ttl, _depth=1))

    if TYPE_CHECKING:

        @overload
        def config(self, name: str, *, default: str = ..., ttl: timedelta | None = None) -> Config[str]: ...
        @overload
        def config(self, name: str, type: type[T], *, default: T = ..., ttl: timedelta | None = None) -> Config[T]: ...
        @overload
        def config(self, name: str, type: Any, *, default: Any = ..., ttl: timedelta | None = None) -> Config[Any]: ...

    def config(self, name: str, type: Any = str, **options: Any) -> Config[Any]:
        """Declare a config value of ``type``, with ``default=`` where a deployment may leave it out, and ``ttl=``."""
        from portable.resources.config import Config

        return self._declare(Config(name, type, _depth=1, **options))

    def _declare(self, resource: R) -> R:
        known = self.resources.setdefault((resource.kind, resource.name), resource)
        if known is not resource and not known.same_as(resource):
            raise ConfigError(
                f"{resource} at {resource.where[0]}:{resource.where[1]} differs from its declaration at "
                f"{known.where[0]}:{known.where[1]}; one resource has one set of options"
            )
        return known  # type: ignore[return-value]

    # --- around every handler

    if TYPE_CHECKING:

        @overload
        def middleware(self, middleware: M, /) -> M: ...
        @overload
        def middleware(
            self, /, *, events: Literal["all"] | Iterable[EventKind]
        ) -> Callable[[EventMiddleware], EventMiddleware]: ...

    def middleware(self, middleware: Any = None, /, *, events: Any = ()) -> Any:
        """Put a function around every HTTP request, or around every event of some kinds. The first is outermost.

        ``def m(request, call_next)`` calls ``call_next(request)`` and returns its Response or another; an async one
        awaits it. What a handler raises is an answer by then. An object with ``before(request)``, which may answer,
        and ``after(request, response)``, which gives the answer, does with less: no thread and no event loop.

        Around events, ``def m(event, call_next)`` is called for each that a handler is called with, a whole batch
        where that takes one; what ``call_next(event)`` raises passes through it.

        Args:
            events: ``"all"``, or kinds: ``"message"``, ``"blob"``, ``"change"``, ``"schedule"``, ``"direct"``,
                ``"stream"``, ``"socket"``.
        """
        kinds = EVENT_KINDS if events == "all" else tuple((events,) if isinstance(events, str) else events)
        for kind in kinds:
            if kind not in EVENT_KINDS:
                raise ConfigError(f"there are no events of kind {kind!r}; there are {', '.join(EVENT_KINDS)}")

        def register(one: Any) -> Any:
            looks = hasattr(one, "before") or hasattr(one, "after")
            if isinstance(one, type) or not (callable(one) or (looks and not kinds)):
                wanted = "a function (event, call_next)" if kinds else "a function, or an object with before or after"
                raise ConfigError(f"middleware is {wanted}, got {one!r}")
            self.middlewares.append((kinds or ("http",), one))
            return one

        return register if middleware is None else register(middleware)

    def exception_handler(self, kind: type[E]) -> Callable[[ErrorHandler[E]], ErrorHandler[E]]:
        """Answer what HTTP handlers, dependencies and middleware raise of this class: ``def f(request, error)``.

        It gives a Response, or a value that is sent with the status of an HTTPError, else 500. The nearest class
        counts; an HTTPError of this framework's own, as for a path nobody answers, goes through it too.
        """
        if not (isinstance(kind, type) and issubclass(kind, Exception)):
            raise ConfigError(f"exception_handler takes a class of exceptions, got {kind!r}")

        def register(handler: ErrorHandler[E]) -> ErrorHandler[E]:
            if kind in self.exception_handlers:
                raise ConfigError(f"{kind.__name__} has an exception handler: {self.exception_handlers[kind]!r}")
            self.exception_handlers[kind] = handler
            return handler

        return register

    # --- life of an instance

    def on_start(self, hook: K) -> K:
        """Call ``hook``, sync or async, once an instance before its first invocation."""
        self.life.on_start.append(hook)
        return hook

    def on_stop(self, hook: K) -> K:
        """Call ``hook``, sync or async, when an instance ends, the last declared first.

        That is a courtesy: a cloud may end an instance without a word, so nothing that matters may wait for it.
        """
        self.life.on_stop.append(hook)
        return hook

    def before_snapshot(self, hook: K) -> K:
        """Call ``hook``, sync or async, before the started instance is saved (Lambda's SnapStart), the last declared
        first: to close what no copy may share, to warm what each copy shall have.
        """
        self.life.before_snapshot.append(hook)
        return hook

    def after_restore(self, hook: K) -> K:
        """Call ``hook``, sync or async, in each instance restored from a snapshot: for what has to be its own."""
        self.life.after_restore.append(hook)
        return hook

    def collect(self, modules: Iterable[str] | None = None) -> list[Trigger]:
        """See :meth:`Router.collect`. Routes without a bound of the body have the app's."""
        found = super().collect(modules)
        if self.max_body is not None:
            for trigger in found:
                if isinstance(trigger, HTTPRoute) and trigger.max_body is None:
                    trigger.max_body = self.max_body
        return found

    def functions(self, modules: Iterable[str] | None = None) -> dict[str, list[Trigger]]:
        """The triggers of each function, by its name. Raises ConfigError for mixed kinds and duplicate names."""
        grouped: dict[str, list[Trigger]] = {}
        for trigger in self.collect(modules):
            grouped.setdefault(check_name("function", trigger.function), []).append(trigger)
        for name, triggers in grouped.items():
            _check_group(name, triggers)
        return grouped

    # --- outside a cloud

    def connect(self, target: str, stage: str = "") -> Connection:
        """``with app.connect("local"):`` gives this app's resources that target's drivers, in a script or a shell.

        Addresses are read from the environment as in a cloud (``PORTABLE_BUCKET_UPLOADS``).
        """
        from portable.connection import Connection

        return Connection(target, stage)


def _check_group(name: str, triggers: list[Trigger]) -> None:
    first = triggers[0]
    for other in triggers[1:]:
        places = f"{first.where[0]}:{first.where[1]} and {other.where[0]}:{other.where[1]}"
        if other.kind != first.kind:
            raise ConfigError(f"function {name!r} mixes {first.kind} and {other.kind} triggers: {places}")
        if first.kind != "http" and not (first.settings.function and other.settings.function):
            raise ConfigError(f"two handlers make the function {name!r}: {places}; rename one, or give function='…'")


def load_app(spec: str) -> App:
    """Import ``module:variable`` and return the App. Raises ConfigError; an import error passes through."""
    app: App = import_object(spec, App)
    return app
