"""Many coroutines at a time."""

from __future__ import annotations

import asyncio

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable
    from typing import Any

__all__ = ["together"]


async def together(call: Callable[[Any], Awaitable[Any]], items: Iterable[Any], at_once: int) -> list[Any]:
    """What ``call`` gives for each, in order, with so many under way at a time. The first failure ends the others."""
    gate = asyncio.Semaphore(at_once)

    async def one(item: Any) -> Any:
        async with gate:
            return await call(item)

    tasks = [asyncio.ensure_future(one(item)) for item in items]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
