"""Applications of other frameworks as a part of ours: what ``app.mount`` collects, and finding the one for a path.

Imported by apps that mount something. The bridges, ``portable.http.asgi`` and ``portable.http.wsgi``, are on first use.
"""

from __future__ import annotations

from _thread import RLock

from portable.errors import ConfigError, HTTPError
from portable.events import Request, Response
from portable.triggers import HTTPRoute, _read_code

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from typing import Any

    from portable.http.asgi import Lifespan
    from portable.http.params import Depends
    from portable.triggers import Settings

    Run = Callable[[Coroutine[Any, Any, Any]], Any]

__all__ = ["ANY", "HTTPMount", "Mounted", "Mounts"]

ANY = "*"
"""The method of a mount: it answers all."""


class Mounted:
    """An application, given as an object or as ``module:variable``, which is imported by :meth:`load`.

    Args:
        application: what is mounted. kind: ``"asgi"``, ``"wsgi"``, or None to find out.
        lifespan: whether an ASGI application is told of the instance's start and end.
        where: file and line of the mount, for what is said of it.

    Attributes:
        lifespan: the application's, once it is started; None for one that has none.

    Raises ConfigError for what is no application, at once or, by name, on :meth:`load`.
    """

    __slots__ = ("_application", "_spec", "kind", "lifespan", "wants_lifespan", "where")

    def __init__(self, application: Any, kind: str | None, lifespan: bool, where: tuple[str, int]) -> None:
        if kind not in (None, "asgi", "wsgi"):
            raise ConfigError(f"mount at {where[0]}:{where[1]}: kind is 'asgi' or 'wsgi', got {kind!r}")
        if type(lifespan) is not bool:
            raise ConfigError(f"mount at {where[0]}:{where[1]}: lifespan is True or False, got {lifespan!r}")
        self.where = where
        self.kind = kind
        self.wants_lifespan = lifespan
        self.lifespan: Lifespan | None = None
        self._spec: str | None = None
        self._application: Any = None
        if isinstance(application, str):
            module, _, variable = application.partition(":")
            if not module or not all(part.isidentifier() for part in variable.split(".")):
                raise ConfigError(f"{self}: {application!r} names nothing: write 'module:variable'")
            self._spec = application
        else:
            self._take(application)

    def __str__(self) -> str:
        return f"mount at {self.where[0]}:{self.where[1]}"

    @property
    def name(self) -> str:
        """What is mounted, for people: as it was named, or the application's class."""
        return self._spec or _class_name(self._application)

    def load(self) -> Any:
        """The application. By name it is imported, and what that raises passes through. Raises ConfigError."""
        if self._application is None:
            assert self._spec is not None
            module_name, _, variable = self._spec.partition(":")
            __import__(module_name)
            from sys import modules

            found: Any = modules[module_name]
            for part in variable.split("."):
                found = getattr(found, part, None)
            if found is None:
                raise ConfigError(f"{self}: {self._spec} is not there")
            self._take(found)
        return self._application

    def _take(self, application: Any) -> None:
        if not callable(application):
            raise ConfigError(
                f"{self}: an ASGI or WSGI application is a callable, got {application!r}; "
                "mount an application or its 'module:variable'"
            )
        if self.kind is None:
            self.kind = _kind_of(application, str(self))
        self._application = application


def _class_name(application: Any) -> str:
    kind = application if isinstance(application, type) or hasattr(application, "__qualname__") else type(application)
    return f"{kind.__module__}.{kind.__qualname__}"


def _kind_of(application: Any, where: str) -> str:
    """``asgi`` for what is async or takes three arguments, ``wsgi`` for what takes two. Raises ConfigError."""
    if _read_code(application)[0]:
        return "asgi"
    from inspect import Parameter, signature

    try:
        parameters = signature(application).parameters.values()
    except (TypeError, ValueError):
        parameters = ()  # type: ignore[assignment]
    positional = [one for one in parameters if one.kind in (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)]
    required = [one for one in positional if one.default is Parameter.empty]
    if isinstance(application, type) and len(required) == 1:
        raise ConfigError(
            f"{where}: {_class_name(application)} is called with a scope first, as in ASGI 2; mount one of its "
            "instances, or wrap it with asgiref.compatibility.guarantee_single_callable"
        )
    found = {2: "wsgi", 3: "asgi"}.get(len(required))
    if found is None:
        raise ConfigError(
            f"{where}: {application!r} takes neither (environ, start_response) nor (scope, receive, send); "
            "if it is an application all the same, say kind='asgi' or kind='wsgi'"
        )
    return found


class HTTPMount(HTTPRoute):
    """Every method and every path below a prefix. ``path`` is the prefix, ``/`` for all; ``method`` is :data:`ANY`.

    Its handler is :meth:`answer`, so that it is called, and depends on what its router does, as any handler.
    """

    __slots__ = ("_options", "mounted")

    def __init__(self, path: str, mounted: Mounted, settings: Settings, **options: Any) -> None:
        if not isinstance(path, str) or any(character in path for character in "{}%?#") or not path.startswith("/"):
            raise ConfigError(
                f"{mounted}: a mount's path starts with '/', is written decoded and has no parameters, got {path!r}"
            )
        self.mounted = mounted
        self._options = options
        super().__init__(ANY, path.rstrip("/") or "/", self.answer, settings, **options)
        self.where = mounted.where

    if not TYPE_CHECKING:

        @property
        def is_async(self):  # noqa: ANN201
            """Whether the application is an ASGI one: by name, that is known once it is imported."""
            return self.mounted.kind == "asgi"

        @is_async.setter
        def is_async(self, of_the_handler):  # noqa: ANN001, ANN202
            pass

    def included(self, prefix: str, dependencies: tuple[Depends, ...]) -> HTTPMount:
        """This mount below a prefix, with dependencies before its own: the same application, and one lifespan."""
        options = {**self._options, "dependencies": dependencies + self.dependencies}
        return HTTPMount(prefix + self.path, self.mounted, self.settings, **options)

    def load(self) -> None:
        """Import the application, where it was mounted by name. Raises ConfigError, and what the import raises."""
        self.mounted.load()

    def answer(self, request: Request) -> Response:
        """The application's answer, or a coroutine that gives it. Raises HTTPError, and what the application raised."""
        if request.headers.get("upgrade", "").lower() == "websocket":
            raise HTTPError(501, "A mounted application gets no websockets here; declare them with @app.websocket")
        application = self.mounted.load()
        prefix = "" if self.path == "/" else self.path
        if self.mounted.kind == "asgi":
            from portable.http import asgi

            lifespan = self.mounted.lifespan
            scope = asgi.make_scope(request, prefix, None if lifespan is None else lifespan.state)
            # It is awaited, since is_async says so.
            return (asgi.stream if self.stream else asgi.call)(application, scope, request)  # type: ignore[return-value]
        from portable.http import wsgi

        return (wsgi.stream if self.stream else wsgi.call)(application, wsgi.make_environ(request, prefix), request)

    def __repr__(self) -> str:
        return f"<HTTPMount {self.path}>"


class Mounts:
    """The mounts of one function: which of them a path belongs to, and their start and end."""

    __slots__ = ("_by_prefix", "_deepest", "_started", "_starting")

    def __init__(self) -> None:
        self._by_prefix: dict[tuple[str, ...], HTTPRoute] = {}
        self._deepest = 0
        self._started: list[Mounted] | None = None
        self._starting = RLock()

    def add(self, mount: HTTPRoute) -> None:
        """Add a mount. Raises ConfigError where another has its prefix, naming both places."""
        prefix = tuple(mount.path.split("/")[1:]) if mount.path != "/" else ()
        other = self._by_prefix.setdefault(prefix, mount)
        if other is not mount:
            raise ConfigError(
                f"the mount of {mount.path} at {mount.where[0]}:{mount.where[1]} answers the same requests as the "
                f"one at {other.where[0]}:{other.where[1]}; remove one"
            )
        self._deepest = max(self._deepest, len(prefix))

    def find(self, segments: list[str]) -> HTTPRoute | None:
        """The mount with the longest prefix of these decoded segments."""
        for length in range(min(len(segments), self._deepest), -1, -1):
            found = self._by_prefix.get(tuple(segments[:length]))
            if found is not None:
                return found
        return None

    def start(self, run: Run) -> bool:
        """Import what was mounted by name, and start each application's lifespan, once: True when this call did. Safe
        under threads: others wait. Raises what the import or the start raised, and then the next call tries again.
        """
        if self._started is not None:
            return False
        with self._starting:
            if self._started is not None:
                return False
            for mount in self._by_prefix.values():
                if isinstance(mount, HTTPMount):
                    mount.load()
            started: list[Mounted] = []
            try:
                for mounted, twins in self._applications():
                    if mounted.kind == "asgi" and mounted.wants_lifespan:
                        _open(mounted, run)
                        started.append(mounted)
                        for twin in twins:
                            twin.lifespan = mounted.lifespan
            except BaseException:
                _close_all(started, run)
                raise
            self._started = started
            return True

    def _applications(self) -> list[tuple[Mounted, list[Mounted]]]:
        """Each application once, and what else mounts the same object."""
        found: dict[int, tuple[Mounted, list[Mounted]]] = {}
        for mount in self._by_prefix.values():
            if isinstance(mount, HTTPMount):
                first, twins = found.setdefault(id(mount.mounted.load()), (mount.mounted, []))
                if mount.mounted is not first:
                    twins.append(mount.mounted)
        return list(found.values())

    def stop(self, run: Run) -> None:
        """End each lifespan that was started, the last one first. What an application raises there is logged."""
        with self._starting:
            started, self._started = self._started, None
            _close_all(started or [], run)


def _open(mounted: Mounted, run: Run) -> None:
    from portable.http.asgi import Lifespan

    lifespan = Lifespan(mounted.load(), str(mounted))
    run(lifespan.start())
    mounted.lifespan = lifespan


def _close_all(started: list[Mounted], run: Run) -> None:
    for mounted in reversed(started):
        lifespan, mounted.lifespan = mounted.lifespan, None
        if lifespan is not None:
            run(lifespan.stop())
