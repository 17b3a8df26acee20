"""Records of what calls a handler. Decorators make them; the manifest, the entries and the invoke seam read them."""

from __future__ import annotations

from portable.errors import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import timedelta
    from typing import Any

    from portable.http.params import Depends
    from portable.resources.bucket import Bucket
    from portable.resources.filters import Filter
    from portable.resources.queue import Queue
    from portable.resources.sockets import Sockets
    from portable.resources.stream import Stream
    from portable.resources.table import Table
    from portable.resources.topic import Topic

    Handler = Callable[..., Any]

__all__ = [
    "BlobTrigger",
    "ChangeTrigger",
    "DirectTrigger",
    "HTTPRoute",
    "MessageTrigger",
    "ScheduleTrigger",
    "Settings",
    "SocketTrigger",
    "StreamTrigger",
    "Trigger",
]

_COROUTINE = 0x80  # inspect.CO_COROUTINE; inspect itself costs 13 ms at a cold start
_GENERATOR = 0x20 | 0x200  # CO_GENERATOR, CO_ASYNC_GENERATOR


def _read_code(handler: Handler) -> tuple[bool, tuple[str, int]]:
    """Whether a handler, or what its decorators, partials and methods wrap, is async; place of the innermost.

    A plain function around an async one most likely hands its coroutine on; whoever calls looks at what came.
    """
    target: Any = handler
    where = ("<unknown>", 0)
    flags = 0
    while target is not None:
        code = getattr(target, "__code__", None) or getattr(type(target).__call__, "__code__", None)
        if code is not None:
            flags |= code.co_flags
            where = code.co_filename, code.co_firstlineno
        inner = getattr(target, "__wrapped__", None)
        target = target.func if inner is None and hasattr(target, "keywords") else inner
    return flags & _COROUTINE != 0, where


class Settings:
    """What a function may ask for. ``memory`` MiB, ``timeout`` a timedelta; None leaves the target's default."""

    __slots__ = ("function", "memory", "timeout")

    def __init__(
        self, memory: int | None = None, timeout: timedelta | None = None, function: str | None = None
    ) -> None:
        if memory is not None and (type(memory) is not int or memory <= 0):
            raise ConfigError(f"memory is a whole number of MiB above 0, got {memory!r}")
        if timeout is not None and (not hasattr(timeout, "total_seconds") or timeout.total_seconds() <= 0):
            raise ConfigError(f"timeout is a timedelta above 0, got {timeout!r}")
        if function is not None and not isinstance(function, str):
            raise ConfigError(f"function is a function's name, got {function!r}")
        self.memory = memory
        self.timeout = timeout
        self.function = function


class Trigger:
    """What calls a handler.

    Attributes:
        kind: ``http``, ``message``, ``stream``, ``blob``, ``change``, ``schedule``, ``direct`` or ``socket``.
        handler: the user's callable, unchanged. function: the function it belongs to.
        where: file and line of the handler. modules: the routers included by name it came through, outermost first.
    """

    __slots__ = ("function", "handler", "is_async", "modules", "plan", "settings", "where")
    kind = "trigger"

    def __init__(self, handler: Handler, settings: Settings) -> None:
        if not callable(handler):
            raise ConfigError(f"a handler is a callable, got {handler!r}")
        self.handler = handler
        self.settings = settings
        self.is_async, self.where = _read_code(handler)
        code = getattr(handler, "__code__", None)
        if code is not None and code.co_flags & _GENERATOR:
            raise ConfigError(
                f"{handler.__name__} at {self.where[0]}:{self.where[1]} is a generator: calling it runs nothing; "
                "return the answer instead of yielding it"
            )
        self.modules: tuple[str, ...] = ()
        self.function = self.default_function() if settings.function is None else settings.function
        self.plan: Any = None  # how its arguments are bound; made by portable.invoke or portable.http on first use

    def default_function(self) -> str:
        """The function's name when none is given: the handler's, dashes for underscores. Raises ConfigError."""
        name = getattr(self.handler, "__name__", "").strip("_")
        if not name or name == "<lambda>":
            raise ConfigError(f"{self.handler!r} at {self.where[0]}:{self.where[1]} has no name; give function='name'")
        return name.lower().replace("_", "-")


def check_max_body(most: int | None) -> int | None:
    """The same bound of a body, in bytes. Raises ConfigError for what is none."""
    if most is not None and (type(most) is not int or most < 1):
        raise ConfigError(f"max_body is a whole number of bytes above 0, got {most!r}")
    return most


class HTTPRoute(Trigger):
    """A method and a path. ``status`` is None unless the decorator said one; ``auth`` is ``"public"`` by default.

    ``response_model`` is ``...`` for what the handler's annotation says; ``documentation`` is read by OpenAPI alone.
    """

    __slots__ = (
        "auth",
        "dependencies",
        "documentation",
        "exact",
        "max_body",
        "method",
        "path",
        "response_model",
        "shape",
        "status",
        "stream",
        "tags",
    )
    kind = "http"

    def __init__(
        self,
        method: str,
        path: str,
        handler: Handler,
        settings: Settings,
        *,
        status: int | None = None,
        auth: str = "public",
        max_body: int | None = None,
        tags: tuple[str, ...] = (),
        dependencies: tuple[Depends, ...] = (),
        stream: bool = False,
        response_model: Any = ...,
        documentation: Mapping[str, Any] | None = None,
    ) -> None:
        if not path.startswith("/"):
            raise ConfigError(f"path {path!r} must start with '/'")
        if status is not None and not (isinstance(status, int) and 200 <= status <= 599):
            raise ConfigError(f"status is 200 to 599, got {status!r}")
        if auth != "public" and auth != "cloud":
            raise ConfigError(f"auth is 'public' or 'cloud', got {auth!r}")
        if type(stream) is not bool:
            raise ConfigError(f"stream is True or False, got {stream!r}")
        super().__init__(handler, settings)
        self.stream = stream
        self.method = method
        self.path = path
        self.status = status
        self.auth = auth
        self.max_body = check_max_body(max_body)
        self.tags = tags
        self.dependencies = dependencies
        self.response_model = response_model
        self.shape: Any = None  # what makes an answer the declared model; made with the plan
        self.exact: Any = None  # the class whose objects are that model as they are
        self.documentation = documentation

    def included(self, prefix: str, dependencies: tuple[Depends, ...]) -> HTTPRoute:
        """This route as a router around its own has it: under a prefix, and after that router's dependencies."""
        copy = type(self).__new__(type(self))
        for kind in type(self).__mro__[:-1]:
            for slot in kind.__dict__.get("__slots__", ()):
                setattr(copy, slot, getattr(self, slot))
        copy.path = prefix + self.path
        copy.dependencies = dependencies + self.dependencies
        copy.plan = None
        return copy

    def default_function(self) -> str:
        """All routes are one function unless they say otherwise."""
        return "http"

    def __repr__(self) -> str:
        return f"<HTTPRoute {self.method} {self.path}>"


class MessageTrigger(Trigger):
    """A queue, or a topic with the filter of this handler. ``batch_size`` is a maximum: a cloud may hand over fewer.

    ``key`` tells the sources of one function apart: a queue's name, or ``topic:`` and a topic's.
    """

    __slots__ = ("batch_size", "concurrency", "filter", "key", "source")
    kind = "message"

    def __init__(
        self,
        source: Queue[Any] | Topic[Any],
        handler: Handler,
        settings: Settings,
        *,
        batch_size: int = 10,
        concurrency: int = 1,
        filter: Mapping[str, Any] | None = None,
    ) -> None:
        if type(batch_size) is not int or batch_size < 1:
            raise ConfigError(f"batch_size is a whole number above 0, got {batch_size!r}")
        if type(concurrency) is not int or concurrency < 1:
            raise ConfigError(f"concurrency is a whole number above 0, got {concurrency!r}")
        super().__init__(handler, settings)
        self.source = source
        self.batch_size = batch_size
        self.concurrency = concurrency
        self.key = source.name if source.kind == "queue" else f"topic:{source.name}"
        self.filter: Filter | None = None
        if filter is not None:
            where = f"{self.function} at {self.where[0]}:{self.where[1]}"
            if source.kind != "topic":
                raise ConfigError(f"{where}: a filter is for the messages of a topic, not for {source}")
            from portable.resources.filters import read_filter

            self.filter = read_filter(filter, where)

    def driver(self) -> Any:
        """What this handler's messages are received from: the queue, or the function's subscription of the topic."""
        driver: Any = self.source.driver()
        return driver if self.source.kind == "queue" else driver.subscription(self.function)

    def wants(self, attributes: Mapping[str, str]) -> bool:
        """Whether a message is this trigger's: where the cloud cannot filter, the entry does."""
        if self.filter is None:
            return True
        from portable.resources.filters import fits

        return fits(self.filter, attributes)


class StreamTrigger(Trigger):
    """Records of a stream. ``window`` is a timedelta or None; ``max_attempts`` None tries until a record expires."""

    __slots__ = ("batch_size", "bisect", "dead_letters", "max_attempts", "parallel", "start", "stream", "window")
    kind = "stream"

    def __init__(
        self,
        stream: Stream[Any],
        handler: Handler,
        settings: Settings,
        *,
        batch_size: int = 100,
        start: str = "latest",
        parallel: int = 1,
        bisect: bool = False,
        max_attempts: int | None = None,
        window: timedelta | None = None,
        dead_letters: Queue[Any] | None = None,
    ) -> None:
        numbers = {"batch_size": (batch_size, 10_000), "parallel": (parallel, 10)}
        if max_attempts is not None:
            numbers["max_attempts"] = (max_attempts, 10_000)
        for name, (value, most) in numbers.items():
            if type(value) is not int or not 1 <= value <= most:
                raise ConfigError(f"{name} is 1 to {most}, got {value!r}")
        if start != "latest" and start != "trim":
            raise ConfigError(f"start is 'latest' or 'trim' (the oldest record that is kept), got {start!r}")
        if type(bisect) is not bool:
            raise ConfigError(f"bisect is True or False, got {bisect!r}")
        if window is not None and (not hasattr(window, "total_seconds") or not 0 < window.total_seconds() <= 300):
            raise ConfigError(f"window is a timedelta above 0, five minutes at most, got {window!r}")
        if dead_letters is not None and getattr(dead_letters, "kind", None) != "queue":
            raise ConfigError(f"dead_letters is a queue of the app, got {dead_letters!r}")
        super().__init__(handler, settings)
        self.stream = stream
        self.batch_size = batch_size
        self.start = start
        self.parallel = parallel
        self.bisect = bisect
        self.max_attempts = max_attempts
        self.window = window
        self.dead_letters = dead_letters


class BlobTrigger(Trigger):
    """Blobs of a bucket created (or overwritten) or deleted, whose keys start and end as given."""

    __slots__ = ("bucket", "kinds", "prefix", "suffix")
    kind = "blob"

    def __init__(
        self,
        bucket: Bucket,
        handler: Handler,
        settings: Settings,
        *,
        prefix: str = "",
        suffix: str = "",
        kinds: tuple[str, ...] = ("created",),
    ) -> None:
        if not isinstance(prefix, str) or not isinstance(suffix, str):
            raise ConfigError(f"prefix and suffix are str, got {prefix!r} and {suffix!r}")
        if not kinds or not {"created", "deleted"}.issuperset(kinds):
            raise ConfigError(f"kinds are 'created' and 'deleted', got {kinds!r}")
        super().__init__(handler, settings)
        self.bucket = bucket
        self.prefix = prefix
        self.suffix = suffix
        self.kinds = tuple(kinds)

    def wants(self, kind: str, key: str) -> bool:
        """Whether an event is this trigger's: where the cloud cannot filter, the entry does."""
        return kind in self.kinds and key.startswith(self.prefix) and key.endswith(self.suffix)


class ChangeTrigger(Trigger):
    """Items of a table inserted and updated; deleted ones too, and what they were before, with ``old``."""

    __slots__ = ("old", "table")
    kind = "change"

    def __init__(self, table: Table[Any], handler: Handler, settings: Settings, *, old: bool = False) -> None:
        if type(old) is not bool:
            raise ConfigError(f"old is True or False, got {old!r}")
        super().__init__(handler, settings)
        self.table = table
        self.old = old

    def wants(self, kind: str) -> bool:
        """Whether a change is this trigger's."""
        return self.old or kind != "delete"


class ScheduleTrigger(Trigger):
    """A cron expression of five POSIX fields in a time zone, or a fixed interval."""

    __slots__ = ("cron", "every", "timezone")
    kind = "schedule"

    def __init__(
        self,
        handler: Handler,
        settings: Settings,
        *,
        cron: str | None = None,
        every: timedelta | None = None,
        timezone: str = "UTC",
    ) -> None:
        if (cron is None) == (every is None):
            raise ConfigError("on_schedule takes cron='…' or every=timedelta(…), one of them")
        if cron is not None and (not isinstance(cron, str) or len(cron.split()) != 5):
            raise ConfigError(f"cron has five fields (minute hour day month weekday), got {cron!r}")
        if every is not None and (not hasattr(every, "total_seconds") or not _is_whole_minutes(every.total_seconds())):
            raise ConfigError(f"every is whole minutes, one at least, as the clouds have it; got {every!r}")
        super().__init__(handler, settings)
        self.cron = cron
        self.every = every
        self.timezone = timezone


def _is_whole_minutes(seconds: float) -> bool:
    return seconds >= 60 and not seconds % 60


class DirectTrigger(Trigger):
    """Called by name with a JSON payload."""

    __slots__ = ()
    kind = "direct"


class SocketTrigger(Trigger):
    """A websocket: its path, and the sockets its connections belong to, which bear the function's name by default."""

    __slots__ = ("path", "sockets")
    kind = "socket"

    def __init__(self, path: str, handler: Handler, settings: Settings, sockets: Sockets | None = None) -> None:
        if not isinstance(path, str) or not path.startswith("/"):
            raise ConfigError(f"path {path!r} must start with '/'")
        if "{" in path or "?" in path or "#" in path:
            raise ConfigError(
                f"path {path!r}: a websocket's path has no parameters, as the gateways of AWS and Azure have no paths "
                "at all; let the client say it in the query"
            )
        super().__init__(handler, settings)
        self.path = path
        if sockets is None:
            from portable.resources.sockets import Sockets

            sockets = Sockets(self.function)
            sockets.where = sockets.store.where = self.where
        elif getattr(sockets, "kind", None) != "sockets":
            raise ConfigError(f"sockets is what app.sockets('name') gives, got {sockets!r}")
        self.sockets = sockets
