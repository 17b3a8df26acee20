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
    Trigger,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import timedelta
    from typing import Any, Literal, TypeVar, Unpack

    from portable.resources.bucket import Bucket
    from portable.resources.queue import Queue
    from portable.resources.table import Table
    from portable.resources.topic import Topic
    from portable.signature_types import (
        BlobHandler,
        ChangeDecorator,
        Handler,
        MessageDecorator,
        RouteOptions,
        TickHandler,
    )

    T = TypeVar("T")
    H = TypeVar("H", bound=Handler)
    B = TypeVar("B", bound=BlobHandler)
    S = TypeVar("S", bound=TickHandler)

__all__ = ["Router", "import_object"]

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")


class Router:
    """A part of an app: handlers that are included under a prefix, by object or by name."""

    is_app = False

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
        source: Queue[T] | Topic[T],
        *,
        filter: Mapping[str, str | Mapping[str, str] | Sequence[str | Mapping[str, str]]] | None = None,
        batch_size: int = 10,
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
        """
        if getattr(source, "kind", None) not in ("queue", "topic"):
            raise ConfigError(f"on_message takes a queue or a topic, got {source!r}")

        def decorate(handler: Any) -> Any:
            settings = Settings(memory, timeout, function)
            self.triggers.append(MessageTrigger(source, handler, settings, batch_size=batch_size, filter=filter))
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
                if router.is_app:
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
