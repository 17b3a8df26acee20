"""App and Router: decorators collect triggers and resources; nothing is called here."""

from __future__ import annotations

from _thread import RLock  # threading adds nothing to a lock but its import

from portable.errors import ConfigError
from portable.resources import Resource, check_name
from portable.triggers import (
    BlobTrigger,
    DirectTrigger,
    HTTPRoute,
    MessageTrigger,
    ScheduleTrigger,
    Settings,
    Trigger,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable
    from datetime import timedelta
    from typing import Any, Literal, TypeVar, Unpack, overload

    from portable.connection import Connection
    from portable.resources.bucket import Bucket
    from portable.resources.queue import Queue
    from portable.signature_types import BlobHandler, Handler, MessageDecorator, RouteOptions, TickHandler

    T = TypeVar("T")
    H = TypeVar("H", bound=Handler)
    K = TypeVar("K", bound=Callable[[], Any])
    B = TypeVar("B", bound=BlobHandler)
    S = TypeVar("S", bound=TickHandler)
    R = TypeVar("R", bound=Resource)

__all__ = ["App", "Router", "load_app"]

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")


class Router:
    """A part of an app: handlers that are included under a prefix, by object or by name."""

    def __init__(self, prefix: str = "", *, tags: Iterable[str] = ()) -> None:
        self.prefix = _check_prefix(prefix)
        self.tags = tuple(tags)
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
    ) -> Callable[[H], H]:
        """Call the handler for requests with this path and one of these methods.

        Args:
            path: ``/users/{user_id}``; a parameter may name a converter: ``{n:int}``, ``float``, ``uuid``, ``path``.
            status: of the answer when the handler returns no Response; 200, or 204 for None, when left out.
            memory: MiB. timeout: timedelta. The function has the largest and longest its handlers ask for.
            function: put the route into a function of this name instead of ``http``.
            auth: ``"public"``, or ``"cloud"``: the cloud's own identity check stands before it.
            max_body: bytes of a body; more is a 413.
        """
        if not isinstance(path, str):
            raise ConfigError(f"a route takes its path, got {path!r}; write @app.get('/path')")
        chosen = [method.upper() for method in ((methods,) if isinstance(methods, str) else methods)]
        if not chosen or any(method not in METHODS for method in chosen):
            raise ConfigError(f"methods are some of {', '.join(METHODS)}, got {chosen}")

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
                        tags=self.tags,
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

    # --- events

    def on_message(
        self,
        source: Queue[T],
        *,
        batch_size: int = 10,
        memory: int | None = None,
        timeout: timedelta | None = None,
        function: str | None = None,
    ) -> MessageDecorator[T]:
        """Call the handler with each message of a queue, or with a batch where it takes ``list[Message[T]]``.

        Return: done. Raise: another attempt. ``batch_size`` is a maximum.
        """
        if getattr(source, "kind", None) != "queue":
            raise ConfigError(f"on_message takes a queue, got {source!r}")

        def decorate(handler: Any) -> Any:
            settings = Settings(memory, timeout, function)
            self.triggers.append(MessageTrigger(source, handler, settings, batch_size=batch_size))
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
        elif not isinstance(router, Router) or isinstance(router, App):
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
        for trigger in self.triggers:
            if prefix and isinstance(trigger, HTTPRoute):
                trigger = _moved(trigger, prefix)
            if id(trigger) not in found:
                trigger.modules = modules
                found[id(trigger)] = trigger
        prefix += self.prefix
        for part, under in self._included:
            if not isinstance(part, str):
                part._gather(found, wanted, prefix + under, modules, (*around, self))
            elif wanted is None or part in wanted:
                router = import_object(part, Router)
                if isinstance(router, App):
                    raise ConfigError(f"{part} is an App, whose hooks and name would be lost; include a Router")
                router._gather(found, wanted, prefix + under, (*modules, part), (*around, self))


def _check_prefix(prefix: str) -> str:
    if not isinstance(prefix, str) or (prefix and (not prefix.startswith("/") or prefix.endswith("/"))):
        raise ConfigError(f"prefix {prefix!r} must start with '/' and not end with one")
    return prefix


def _moved(route: HTTPRoute, prefix: str) -> HTTPRoute:
    return HTTPRoute(
        route.method,
        prefix + route.path,
        route.handler,
        route.settings,
        status=route.status,
        auth=route.auth,
        max_body=route.max_body,
        tags=route.tags,
    )


class App(Router):
    """An application: a name, handlers, and the resources they use."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = check_name("app", name)
        self.resources: dict[tuple[str, str], Resource] = {}
        self._hooks: list[Callable[[], Any]] = []
        self._started = False
        self._starting = RLock()

    # --- resources

    def bucket(self, name: str) -> Bucket:
        """Declare a bucket. The same name again is the same bucket."""
        from portable.resources.bucket import Bucket

        return self._declare(Bucket(name, _depth=1))

    if TYPE_CHECKING:

        @overload
        def queue(self, name: str, *, max_attempts: int = 5) -> Queue[Any]: ...
        @overload
        def queue(self, name: str, type: type[T], *, max_attempts: int = 5) -> Queue[T]: ...
        @overload
        def queue(self, name: str, type: Any, *, max_attempts: int = 5) -> Queue[Any]: ...

    def queue(self, name: str, type: Any = None, *, max_attempts: int = 5) -> Queue[Any]:
        """Declare a queue of messages of ``type``. The same name with the same options again is the same queue."""
        from portable.resources.queue import Queue

        return self._declare(Queue(name, type, max_attempts=max_attempts, _depth=1))

    def _declare(self, resource: R) -> R:
        known = self.resources.setdefault((resource.kind, resource.name), resource)
        if known is not resource and not known.same_as(resource):
            raise ConfigError(
                f"{resource} at {resource.where[0]}:{resource.where[1]} differs from its declaration at "
                f"{known.where[0]}:{known.where[1]}; one resource has one set of options"
            )
        return known  # type: ignore[return-value]

    # --- life of an instance

    def on_start(self, hook: K) -> K:
        """Call ``hook``, sync or async, once an instance before its first invocation."""
        self._hooks.append(hook)
        return hook

    def start(self, run: Callable[[Coroutine[Any, Any, Any]], Any]) -> None:
        """Call the ``on_start`` hooks once. Safe under threads: others wait. Raises what a hook raised, and then the
        next call tries again from the first hook. ``run`` runs a coroutine to its end.
        """
        if self._started:
            return
        with self._starting:
            if self._started:
                return
            for hook in self._hooks:
                result = hook()
                if hasattr(result, "__await__"):
                    run(result)
            self._started = True

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


def load_app(spec: str) -> App:
    """Import ``module:variable`` and return the App. Raises ConfigError; an import error passes through."""
    app: App = import_object(spec, App)
    return app
