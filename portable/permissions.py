"""``@granted``: what a function does with resources, where a build cannot see that in its source."""

from __future__ import annotations

from portable.errors import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any, TypeVar

    from portable.resources import Resource

    H = TypeVar("H", bound=Callable[..., Any])

__all__ = ["granted", "grants_of"]

_ATTRIBUTE = "__portable_grants__"


def granted(grants: Mapping[Resource | str, Sequence[str]]) -> Callable[[H], H]:
    """Say all that a function, and what it calls, does with resources: a build takes this in place of its source.

    It stands on a handler, above or below the decorator that registers it, or on any function of the project. What the
    handler depends on, middleware, and other functions are read as ever. It changes nothing when the app runs.

    Args:
        grants: verbs by resource, or by its ``"kind:name"``: ``{uploads: ["read"], "queue:emails": ["send"]}``; empty
            where it uses none.

    Raises ConfigError for what is no such mapping; a verb or a name that there is not is an error of the build.
    """
    said: dict[tuple[str, str], tuple[str, ...]] = {}
    if not isinstance(grants, dict):
        raise ConfigError(f"granted takes verbs by resource, {{uploads: ['read']}}, got {grants!r}")
    for resource, verbs in grants.items():
        kind, found, name = str(resource).partition(":") if isinstance(resource, str) else _named(resource)
        if not found or not name:
            raise ConfigError(f"granted: {resource!r} is no resource, nor the name of one like 'bucket:uploads'")
        if not isinstance(verbs, (list, tuple)) or not all(isinstance(verb, str) for verb in verbs):
            raise ConfigError(f"granted: what is done with {resource} is a list of verbs, got {verbs!r}")
        said[kind, name] = tuple(verbs)

    def decorate(function: H) -> H:
        code = getattr(function, "__code__", None)
        if code is None:
            raise ConfigError(f"granted stands on a function, not on {function!r}")
        setattr(function, _ATTRIBUTE, (code, said))
        return function

    return decorate


def _named(resource: object) -> tuple[str, str, str]:
    kind, name = getattr(resource, "kind", None), getattr(resource, "name", None)
    return (str(kind), ":", str(name)) if isinstance(kind, str) and isinstance(name, str) else ("", "", "")


def grants_of(function: object) -> dict[tuple[str, str], tuple[str, ...]] | None:
    """What was said of this very function, by kind and name: ``functools.wraps`` hands its attributes on to others."""
    code, said = getattr(function, _ATTRIBUTE, (None, None))
    return said if code is not None and code is getattr(function, "__code__", None) else None
