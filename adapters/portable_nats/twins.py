"""A driver from coroutines: each is written once, for the loop of the connections, and called from everywhere."""

from __future__ import annotations

from portable_nats.errors import translate

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from portable_nats._sdk import Link

__all__ = ["Twins"]


class Twins:
    """``driver.send(…)`` waits for ``calls.send(…)``, ``await driver.asend(…)`` awaits it. Errors become ours.

    Args:
        link: the thread they run on. calls: the coroutines, and ``label``, which errors name.
        name_of: the key in a call's first argument, as errors name it, or None.
    """

    def __init__(self, link: Link, calls: Any, *, name_of: Callable[[Any], str | None] | None = None) -> None:
        self._link = link
        self._calls = calls
        self._name_of = name_of

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        method = getattr(self._calls, name, None)
        if method is not None:
            made = self._waiting(method)
        else:
            method = getattr(self._calls, name[1:], None) if name.startswith("a") else None
            if method is None:
                raise AttributeError(f"{self._calls.label} has no {name}")
            made = self._awaiting(method)
        setattr(self, name, made)
        return made

    def _waiting(self, method: Any) -> Callable[..., Any]:
        def call(*args: Any, **options: Any) -> Any:
            return self._link.call(self._guarded(method, args, options, self._key(args)))

        return call

    def _awaiting(self, method: Any) -> Callable[..., Any]:
        async def call(*args: Any, **options: Any) -> Any:
            return await self._link.acall(self._guarded(method, args, options, self._key(args)))

        return call

    def _key(self, args: tuple[Any, ...]) -> str | None:
        return self._name_of(args[0]) if self._name_of is not None and args else None

    async def _guarded(self, method: Any, args: tuple[Any, ...], options: dict[str, Any], key: str | None) -> Any:
        try:
            return await method(*args, **options)
        except Exception as error:
            ours = translate(error, self._calls.label, key)
            if ours is error:
                raise
            raise ours from error

    def native(self) -> Any:
        """NATS's own client. It lives on a thread of its own: reach it with ``driver.link.call(coroutine)``."""
        return self._link.call(self._calls.server.client())

    @property
    def link(self) -> Link:
        """What runs a coroutine of the client's."""
        return self._link

    def close(self) -> None:
        """The connection is the platform's, which closes it."""
