"""What is known of callables that are not the project's: those that do nothing with what they get, those that hold it,
those that hand it on.
"""

from __future__ import annotations

import builtins
import enum
import logging
from types import BuiltinMethodType, MethodType
from typing import Any

__all__ = ["IN_ORDER", "Kind", "kind_of"]


class Kind(enum.Enum):
    """What a call of something foreign does with its arguments.

    NOTHING: neither keeps nor calls them. HOLDS: gives an object that holds them, and may call them. PASSES: gives them
    back, calls functions among them. LATER: calls the functions among them with the others. OTHER: nobody knows.
    """

    NOTHING = 0
    HOLDS = 1
    PASSES = 2
    LATER = 3
    OTHER = 4


_NOTHING = frozenset(
    id(getattr(builtins, name))
    for name in [
        "print",
        "len",
        "repr",
        "str",
        "ascii",
        "format",
        "isinstance",
        "issubclass",
        "id",
        "hash",
        "bool",
        "callable",
        "int",
        "float",
        "bytes",
        "bytearray",
        "sum",
        "any",
        "all",
        "abs",
        "round",
        "range",
        "ord",
        "chr",
        "input",
        "open",
        "object",
        "hasattr",
        "memoryview",
        "complex",
    ]
)
_PASSES = frozenset(
    map(id, (next, iter, map, filter, min, max, reversed, sorted, enumerate, zip, aiter, anext, slice, divmod))
)
_HOLDS = frozenset(map(id, (list, tuple, set, dict, frozenset)))
_HOLDING = (
    "functools",
    "itertools",
    "collections",
    "threading",
    "concurrent.futures",
    "multiprocessing",
    "queue",
    "contextlib",
    "types",
    "weakref",
    "asyncio",
)
_PASSING = (
    "functools",
    "itertools",
    "asyncio",
    "concurrent.futures",
    "contextlib",
    "copy",
    "bisect",
    "dataclasses",
    "heapq",
    "random",
    "typing",
    "anyio",
    "trio",
)
_LATER = frozenset(
    [
        "submit",
        "map",
        "imap",
        "starmap",
        "apply",
        "apply_async",
        "run_in_executor",
        "run_sync",
        "to_thread",
        "run",
        "call_soon",
        "call_later",
        "call_at",
        "call_soon_threadsafe",
        "add_done_callback",
        "add_task",
        "add",
        "start_soon",
        "create_task",
        "spawn",
        "defer",
        "push",
        "push_async_callback",
        "callback",
        "register",
    ]
)
IN_ORDER = frozenset(
    [
        "submit",
        "run_in_executor",
        "run_sync",
        "to_thread",
        "call_soon",
        "call_later",
        "call_at",
        "call_soon_threadsafe",
        "add_task",
        "add",
        "start_soon",
        "defer",
        "push_async_callback",
        "callback",
    ]
)
"""Names under which what follows a function are its arguments."""

_LOGGED = frozenset(["debug", "info", "warning", "error", "exception", "critical", "log"])


def kind_of(one: Any, name: str) -> Kind:
    """Of a callable, None where it is not known, written under this name."""
    if one is not None and id(one) in _NOTHING:
        return Kind.NOTHING
    if id(one) in _PASSES:
        return Kind.PASSES
    if id(one) in _HOLDS:
        return Kind.HOLDS
    if isinstance(one, type) and issubclass(one, BaseException):
        return Kind.NOTHING
    owner = getattr(one, "__self__", None) if isinstance(one, (MethodType, BuiltinMethodType)) else None
    if isinstance(owner, (logging.Logger, logging.LoggerAdapter, str, bytes)):
        return Kind.NOTHING
    if name in _LOGGED and getattr(one, "__module__", "logging") == "logging":
        return Kind.NOTHING
    module = (getattr(one, "__module__", None) or "").lstrip("_")
    if isinstance(one, type) and _is_in(module, _HOLDING):
        return Kind.HOLDS
    if one is not None and _is_in(module, _PASSING):
        return Kind.PASSES
    return Kind.LATER if name in _LATER or module.startswith("portable.") else Kind.OTHER


def _is_in(module: str, names: tuple[str, ...]) -> bool:
    return any(module == name or module.startswith(f"{name}.") for name in names)
