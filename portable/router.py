"""Router: decorators collect triggers; nothing is called here."""

from __future__ import annotations

from portable.errors import ConfigError
from portable.triggers import (
    BlobTrigger,
    ChangeTrigger,
    DirectTrigger,
    HTTPRoute,
    MessageTrigger,
    ScheduleTrigger,
    Settings,
    SocketTrigger,
    StreamTrigger,
    Trigger,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import timedelta
    from typing import Any, Literal, TypeVar, Unpack

    from portable.http.params import Depends
    from portable.resources.bucket import Bucket
    from portable.resources.queue import Queue
    from portable.resources.sockets import Sockets
    from portable.resources.stream import Stream
    from portable.resources.table import Table
    from portable.resources.topic import Topic
    from portable.signature_types import (
        BlobHandler,
        ChangeDecorator,
        Documentation,
        Handler,
        MessageDecorator,
        RouteOptions,
        SocketHandler,
        StreamDecorator,
        TickHandler,
    )

    T = TypeVar("T")
    H = TypeVar("H", bound=Handler)
    B = TypeVar("B", bound=BlobHandler)
    S = TypeVar("S", bound=TickHandler)
    W = TypeVar("W", bound=SocketHandler)

__all__ = ["Router", "import_object"]

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")
DOCUMENTED = (
    "summary",
    "description",
    "operation_id",
    "tags",
    "deprecated",
    "examples",
    "responses",
    "include_in_schema",
    "openapi",
)


class Router:
    """A part of an app: handlers that are included under a prefix, by object or by name."""

    is_app = False

    def __init__(self, prefix: str = "", *, tags: Iterable[str] = (), dependencies: Iterable[Depends] = ()) -> None:
        """``dependencies``: called for each HTTP request of this router before the handler, whatever they give."""
        self.prefix = _check_prefix(prefix)
        self.tags = tuple(tags)
        self.dependencies = _check_dependencies(dependencies)
        self.triggers: list[Trigger] = []
        self._included: list[tuple[Router | str, str]] = []

    # --- HTTP

    def route(
        self,
        path: str,
        *,
        methods: Iterable[str],
        status: int | None = None,
        memory: int | None = None,
        timeout: timedelta | None = None,
        function: str | None = None,
        auth: Literal["public", "cloud"] = "public",
        max_body: int | None = None,
        dependencies: Iterable[Depends] = (),
        stream: bool = False,
        response_model: Any = ...,
        **documentation: Unpack[Documentation],
    ) -> Callable[[H], H]:
        """Call the handler for requests with this path and one of these methods.

        Args:
            path: ``/users/{user_id}``; a parameter may name a converter: ``{n:int}``, ``float``, ``uuid``, ``path``.
            status: of the answer when the handler returns no Response; 200, or 204 for None, when left out.
            memory: MiB. timeout: timedelta. The function has the largest and longest its handlers ask for.
            function: put the route into a function of this name instead of ``http``.
            auth: ``"public"``, or ``"cloud"``: the cloud's own identity check stands before it.
            max_body: bytes of a body; more is a 413.
            stream: the handler may answer with a StreamResponse or EventStream, where the target can.
            response_model: the answer is made this type: fields it does not have are left out, nested ones too, and
                what does not fit is a 500. Left out, the handler's own annotation says it. None: neither.
            documentation: for OpenAPI: ``summary``, ``description``, ``operation_id``, ``tags``, ``deprecated``,
                ``examples``, ``responses``, ``include_in_schema``, ``openapi``.
        """
        _check_documentation(documentation)
        if not isinstance(path, str):
            raise ConfigError(f"a route takes its path, got {path!r}; write @app.get('/path')")
        chosen = [method.upper() for method in ((methods,) if isinstance(methods, str) else methods)]
        if not chosen or any(method not in METHODS for method in chosen):
            raise ConfigError(f"methods are some of {', '.join(METHODS)}, got {chosen}")
        needed = self.dependencies + _check_dependencies(dependencies)

        def decorate(handler: H) -> H:
            for method in chosen:
                settings = Settings(memory, timeout, function)
                self.triggers.append(
                    HTTPRoute(
                        method,
                        self.prefix + path or "/",
                        handler,
                        settings,
                        status=status,
                        auth=auth,
                        max_body=max_body,
                        stream=stream,
                        tags=self.tags,
                        response_model=response_model,
                        documentation=documentation or None,
                        dependencies=needed,
                    )
                )
            return handler

        return decorate

    def get(self, path: str, **options: Unpack[RouteOptions]) -> Callable[[H], H]:
        """See :meth:`route`. HEAD is answered too."""
        return self.route(path, methods=("GET",), **options)

    def post(self, path: str, **options: Unpack[RouteOptions]) -> Callable[[H], H]:
        """See :meth:`route`."""
        return self.route(path, methods=("POST",), **options)

    def put(self, path: str, **options: Unpack[RouteOptions]) -> Callable[[H], H]:
        """See :meth:`route`."""
        return self.route(path, methods=("PUT",), **options)

    def patch(self, path: str, **options: Unpack[RouteOptions]) -> Callable[[H], H]:
        """See :meth:`route`."""
        return self.route(path, methods=("PATCH",), **options)

    def delete(self, path: str, **options: Unpack[RouteOptions]) -> Callable[[H], H]:
        """See :meth:`route`."""
        return self.route(path, methods=("DELETE",), **options)

    def mount(
        self,
        path: str,
        application: Callable[..., Any] | str,
        *,
        kind: Literal["asgi", "wsgi"] | None = None,
        lifespan: bool = True,
        memory: int | None = None,
        timeout: timedelta | None = None,
        function: str | None = None,
        auth: Literal["public", "cloud"] = "public",
        max_body: int | None = None,
        stream: bool = False,
        tags: Iterable[str] = (),
        dependencies: Iterable[Depends] = (),
    ) -> None:
        """Let an ASGI or WSGI application answer every method and path below ``path`` that no route of ours answers.

        Of several mounts the one with the longest path answers. The application sees ``path`` in its ``root_path`` or
        ``SCRIPT_NAME``.

        Args:
            path: ``/legacy``, without parameters; ``/`` for everything.
            application: the application, or its ``"shop.legacy:asgi"``: then its module is imported by the build, and
                at run time only by the function that holds the mount.
            kind: left out, it is told from what the application takes.
            lifespan: an ASGI application is started before the instance's first invocation, and stopped with it.
            memory, timeout, function, auth, max_body, dependencies: as of :meth:`route`.
            stream: its answers are sent as they are made, where the target can; else they are gathered first.
            tags: beside the router's.
        """
        from portable.http.mounts import HTTPMount, Mounted
        from portable.resources import declared_at

        mounted = Mounted(application, kind, lifespan, declared_at(1))
        self.triggers.append(
            HTTPMount(
                self.prefix + path if isinstance(path, str) else path,
                mounted,
                Settings(memory, timeout, function),
                auth=auth,
                max_body=max_body,
                stream=stream,
                tags=(*self.tags, *tags),
                dependencies=self.dependencies + _check_dependencies(dependencies),
            )
        )

    # --- events

    def on_message(
        self,
        source: Queue[T] | Topic[T],
        *,
        filter: Mapping[str, str | Mapping[str, str] | Sequence[str | Mapping[str, str]]] | None = None,
        batch_size: int = 10,
        concurrency: int = 1,
        memory: int | None = None,
        timeout: timedelta | None = None,
        function: str | None = None,
    ) -> MessageDecorator[T]:
        """Call the handler with each message of a queue or topic, or with a batch where it takes ``list[Message[T]]``.

        Return: done. Raise: another attempt. Each function that handles a topic gets a copy of every message.

        Args:
            filter: of a topic, only messages with these attributes: ``{"plan": ["pro", "team"]}`` is one of two
                values, ``{"region": {"prefix": "eu-"}}`` a beginning; all that are named have to fit.
            batch_size: a maximum; a cloud may hand over fewer.
            concurrency: how many messages of a batch an async handler has in hand at once; those of a group stay one
                behind the other.
        """
        if getattr(source, "kind", None) not in ("queue", "topic"):
            raise ConfigError(f"on_message takes a queue or a topic, got {source!r}")

        def decorate(handler: Any) -> Any:
            settings = Settings(memory, timeout, function)
            self.triggers.append(
                MessageTrigger(source, handler, settings, batch_size=batch_size, concurrency=concurrency, filter=filter)
            )
            return handler

        return decorate

    def on_stream(
        self,
        stream: Stream[T],
        *,
        batch_size: int = 100,
        start: Literal["latest", "trim"] = "latest",
        parallel: int = 1,
        bisect: bool = False,
        max_attempts: int | None = None,
        window: timedelta | None = None,
        dead_letters: Queue[Any] | None = None,
        memory: int | None = None,
        timeout: timedelta | None = None,
        function: str | None = None,
    ) -> StreamDecorator[T]:
        """Call the handler with each record of a stream, or with a batch where it takes ``list[StreamRecord[T]]``.

        Return: done. Raise, or ``record.fail()``: this record and those behind it in its partition come again.

        Args:
            batch_size: a maximum; a cloud may hand over fewer.
            start: of a function that is new: with what is sent from now on, or with the oldest record that is kept.
            parallel: batches of one partition at a time; records of one key stay in order. A cloud may do fewer.
            bisect: a batch that failed as a whole comes again in halves.
            max_attempts: of a batch, before what fails in it is given up; None tries until the stream forgets it.
            window: how long to gather a batch.
            dead_letters: a queue that gets what ``Reject`` gives up, and bodies that do not fit the stream's type.
        """
        if getattr(stream, "kind", None) != "stream":
            raise ConfigError(f"on_stream takes a stream, got {stream!r}")

        def decorate(handler: Any) -> Any:
            settings = Settings(memory, timeout, function)
            trigger = StreamTrigger(
                stream,
                handler,
                settings,
                batch_size=batch_size,
                start=start,
                parallel=parallel,
                bisect=bisect,
                max_attempts=max_attempts,
                window=window,
                dead_letters=dead_letters,
            )
            self.triggers.append(trigger)
            return handler

        return decorate

    def on_blob(
        self,
        bucket: Bucket,
        *,
        prefix: str = "",
        suffix: str = "",
        kinds: Iterable[Literal["created", "deleted"]] = ("created",),
        memory: int | None = None,
        timeout: timedelta | None = None,
        function: str | None = None,
    ) -> Callable[[B], B]:
        """Call the handler when a blob of this bucket is created or overwritten (or deleted, when asked)."""
        if getattr(bucket, "kind", None) != "bucket":
            raise ConfigError(f"on_blob takes a bucket, got {bucket!r}")

        def decorate(handler: B) -> B:
            settings = Settings(memory, timeout, function)
            trigger = BlobTrigger(bucket, handler, settings, prefix=prefix, suffix=suffix, kinds=tuple(kinds))
            self.triggers.append(trigger)
            return handler

        return decorate

    def on_change(
        self,
        table: Table[T],
        *,
        old: bool = False,
        memory: int | None = None,
        timeout: timedelta | None = None,
        function: str | None = None,
    ) -> ChangeDecorator[T]:
        """Call the handler when an item of this table is inserted or updated, at least once for each change.

        Return: done. Raise: another attempt. With ``old=True`` deletions come too, and each change has the item as it
        was before: where the cloud has them, see ``portable check``.
        """
        if getattr(table, "kind", None) != "table":
            raise ConfigError(f"on_change takes a table, got {table!r}")

        def decorate(handler: Any) -> Any:
            self.triggers.append(ChangeTrigger(table, handler, Settings(memory, timeout, function), old=old))
            return handler

        return decorate

    def on_schedule(
        self,
        *,
        cron: str | None = None,
        every: timedelta | None = None,
        timezone: str = "UTC",
        memory: int | None = None,
        timeout: timedelta | None = None,
        function: str | None = None,
    ) -> Callable[[S], S]:
        """Call the handler when a POSIX cron expression (in an IANA time zone) or a fixed interval is due."""

        def decorate(handler: S) -> S:
            settings = Settings(memory, timeout, function)
            self.triggers.append(ScheduleTrigger(handler, settings, cron=cron, every=every, timezone=timezone))
            return handler

        return decorate

    def websocket(
        self,
        path: str,
        *,
        sockets: Sockets | None = None,
        memory: int | None = None,
        timeout: timedelta | None = None,
        function: str | None = None,
    ) -> Callable[[W], W]:
        """Call the handler when a client connects to this path, with each message it sends, and when it is gone.

        On connect, ``return False`` or an HTTPError refuses it. A handler that fails on another event closes nothing.
        Messages of one connection come one after the other, but on AWS, where they may come at once.

        Args:
            path: without parameters. AWS and Azure have an endpoint for each websocket instead, and no paths.
            sockets: what is sent through; left out, :class:`~portable.Sockets` that bear the function's name, found as
                ``event.sockets``.
        """

        def decorate(handler: W) -> W:
            settings = Settings(memory, timeout, function)
            where = self.prefix + path if isinstance(path, str) else path
            self.triggers.append(SocketTrigger(where, handler, settings, sockets))
            return handler

        return decorate

    def function(
        self, name: str | None = None, *, memory: int | None = None, timeout: timedelta | None = None
    ) -> Callable[[H], H]:
        """Make the handler a function called by name with a JSON payload. The name is the handler's when left out."""
        if name is not None and not isinstance(name, str):
            raise ConfigError(f"function takes a name, got {name!r}; write @app.function()")

        def decorate(handler: H) -> H:
            self.triggers.append(DirectTrigger(handler, Settings(memory, timeout, name)))
            return handler

        return decorate

    # --- parts

    def include(self, router: Router | str, *, prefix: str = "") -> None:
        """Add a router's handlers, under a prefix.

        By name (``"shop.images:router"``) its module is imported by the build, and at run time only by a function that
        holds one of its handlers.
        """
        if isinstance(router, str):
            _split_spec(router)
        elif not isinstance(router, Router) or router.is_app:
            raise ConfigError(f"include takes a Router or 'module:variable', got {router!r}")
        self._included.append((router, _check_prefix(prefix)))

    def collect(self, modules: Iterable[str] | None = None) -> list[Trigger]:
        """Every trigger, included routers' among them.

        A router included twice has its routes twice, under each prefix; what else calls its handlers is there once.

        ``modules``: of the routers included by name, import only these; None imports all. Raises ConfigError for a
        name that gives no router and a router that includes itself; what the import itself raises passes through.
        """
        found: dict[int, Trigger] = {}
        self._gather(found, None if modules is None else frozenset(modules), "", (), ())
        return list(found.values())

    def _gather(
        self,
        found: dict[int, Trigger],
        wanted: frozenset[str] | None,
        prefix: str,
        modules: tuple[str, ...],
        around: tuple[Router, ...],
    ) -> None:
        if self in around:
            raise ConfigError(f"a router includes itself: prefix {self.prefix!r}, by way of {', '.join(modules)}")
        outer = tuple(dependency for router in around for dependency in router.dependencies)
        for trigger in self.triggers:
            if (prefix or outer) and isinstance(trigger, HTTPRoute):
                trigger = trigger.included(prefix, outer)
            elif prefix and isinstance(trigger, SocketTrigger):
                trigger = SocketTrigger(prefix + trigger.path, trigger.handler, trigger.settings, trigger.sockets)
            if id(trigger) not in found:
                trigger.modules = modules
                found[id(trigger)] = trigger
        prefix += self.prefix
        for part, under in self._included:
            if not isinstance(part, str):
                part._gather(found, wanted, prefix + under, modules, (*around, self))
            elif wanted is None or part in wanted:
                router = import_object(part, Router)
                if router.is_app:
                    raise ConfigError(f"{part} is an App, whose hooks and name would be lost; include a Router")
                router._gather(found, wanted, prefix + under, (*modules, part), (*around, self))


def _check_documentation(documentation: Mapping[str, Any]) -> None:
    for name in documentation:
        if name not in DOCUMENTED:
            raise ConfigError(f"a route has no option {name!r}; what documents it is one of {', '.join(DOCUMENTED)}")


def _check_prefix(prefix: str) -> str:
    if not isinstance(prefix, str) or (prefix and (not prefix.startswith("/") or prefix.endswith("/"))):
        raise ConfigError(f"prefix {prefix!r} must start with '/' and not end with one")
    return prefix


def _check_dependencies(given: Iterable[Depends]) -> tuple[Depends, ...]:
    found = tuple(given)
    for one in found:
        if getattr(one, "place", None) != "depends":
            raise ConfigError(f"dependencies are Depends(…), got {one!r}")
    return found


def _split_spec(spec: str) -> tuple[str, str]:
    module, _, variable = spec.partition(":")
    if not module or not variable.isidentifier():
        raise ConfigError(f"{spec!r} names nothing: write 'module:variable'")
    return module, variable


def import_object(spec: str, kind: type[Any]) -> Any:
    """The object ``module:variable`` names. Raises ConfigError when it is not there or not a ``kind``."""
    module_name, variable = _split_spec(spec)
    __import__(module_name)
    from sys import modules

    module = modules[module_name]
    found = getattr(module, variable, None)
    if isinstance(found, kind):
        return found
    problem = f"is no {kind.__name__}: {found!r}" if hasattr(module, variable) else "is not there"
    others = [f"{module_name}:{name}" for name, value in vars(module).items() if isinstance(value, kind)]
    raise ConfigError(
        f"{spec} {problem}; " + (f"there is {', '.join(others)}" if others else f"module {module_name} holds none")
    )
