"""What every check before a handler shares: dependency and middleware in one object, and how it refuses."""

from __future__ import annotations

from portable.errors import ConfigError, HTTPError
from portable.events import Request

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    from portable.events import Response
    from portable.resources import Resource

__all__ = ["Guard", "SecurityScheme", "check_text", "read_text", "tuple_of"]


class SecurityScheme:
    """What OpenAPI says of a check: the ``name`` in the document, the scheme object, and the scopes it asks for."""

    __slots__ = ("name", "openapi", "scopes")

    def __init__(self, name: str, openapi: Mapping[str, Any], scopes: tuple[str, ...] = ()) -> None:
        self.name = name
        self.openapi = dict(openapi)
        self.scopes = scopes


class Guard:
    """A check before handlers. As a dependency it gives what it found out; as a middleware it refuses or lets pass.

    A handler that depends on a guard that is a middleware too gets what that has found: nothing is checked twice.

    Args:
        name: of the scheme in the OpenAPI document.
        realm: what the challenge of a 401 calls the protected part.
        except_paths: as a middleware, leave these alone: a path (``/health``), or all below one (``/docs/*``).

    Attributes:
        blocks: it may wait for a secret, a key set or a cache; as a middleware it then runs on a thread where others
            share the loop.
        requirements: distributions a bundle needs for it. resources: what it reads, for the build.
        security_scheme: what OpenAPI says of it.
    """

    blocks = True
    requirements: tuple[str, ...] = ()
    scheme = ""  # of the challenge

    def __init__(self, name: str, realm: str, except_paths: Iterable[str]) -> None:
        self.name = name
        self.realm = check_text("realm", realm)
        self.resources: tuple[Resource, ...] = ()
        self.security_scheme: SecurityScheme
        patterns = tuple_of(except_paths)
        for pattern in patterns:
            if not pattern.startswith("/") or "*" in pattern.removesuffix("/*"):
                raise ConfigError(f"except_paths: {pattern!r} is no path; write '/health', or '/docs/*' for all below")
        self._open = frozenset(pattern for pattern in patterns if not pattern.endswith("/*"))
        self._open_below = tuple(pattern[:-1] for pattern in patterns if pattern.endswith("/*"))

    def check(self, request: Request) -> Any:
        """What the request proves. Raises HTTPError."""
        raise NotImplementedError

    def __call__(self, request: Request) -> Any:
        return self.check(request)

    def optional(self, request: Request) -> Any:
        """A dependency for what a request may prove: ``Depends(bearer.optional)``. None where it does not try to; as
        :meth:`check` where it does, and a refusal of what is wrong.
        """
        return self.check(request) if self.tries(request) else None

    def tries(self, request: Request) -> bool:
        """Whether the request has credentials of this kind, right or wrong."""
        kind = request.headers.get("authorization", "").partition(" ")[0]
        return kind.lower() == self.scheme.lower()

    def before(self, request: Request) -> Response | None:
        """None for a request that may pass. Raises HTTPError for one that may not.

        One that a test replaces as a dependency lets every request pass here.
        """
        if not self.leaves_alone(request) and not self.is_replaced():
            self.check(request)
        return None

    def is_replaced(self) -> bool:
        """Whether a test has put something in the place of this check."""
        from sys import modules

        calling = modules.get("portable.invoke.dependencies")
        table = None if calling is None else calling.replacements.get()
        return table is not None and self in table

    def leaves_alone(self, request: Request) -> bool:
        """Whether ``except_paths`` has the request's path. One with dots in the way of a folder is never left alone."""
        path = request.raw_path
        if path in self._open:
            return True
        return bool(self._open_below) and path.startswith(self._open_below) and _is_plain(path)

    def refusal(self, status: int, detail: str, **parameters: str) -> HTTPError:
        """The HTTPError of a refusal, with its challenge; ``parameters`` go into that beside the realm."""
        pairs = {"realm": self.realm, **parameters}
        challenge = ", ".join(f'{name}="{text}"' for name, text in pairs.items())
        return HTTPError(status, detail, headers={"www-authenticate": f"{self.scheme} {challenge}"})


def _is_plain(path: str) -> bool:
    """Whether a path means the same to whoever tidies paths up, a mounted application for one."""
    text = path.lower().replace("%2e", ".").replace("%2f", "/").replace("%5c", "\\")
    return "//" not in text and "\\" not in text and not {".", ".."}.intersection(text.split("/"))


def check_text(what: str, text: str) -> str:
    """``text``, or ConfigError where it cannot stand in quotes in a header."""
    if not isinstance(text, str) or not text.isascii() or not text.isprintable() or '"' in text or "\\" in text:
        raise ConfigError(f"{what} is printable ASCII without quotes and backslashes, got {text!r}")
    return text


def tuple_of(given: str | Iterable[str]) -> tuple[str, ...]:
    """One text, or several."""
    return (given,) if isinstance(given, str) else tuple(given)


def read_text(given: Any) -> Any:
    """``given``, or the value of a Secret or Config that stands for it."""
    return given.value() if hasattr(given, "value") else given
