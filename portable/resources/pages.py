"""A page of items, and the pages behind it."""

from __future__ import annotations

from portable.generics import Generic, T

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
    from typing import Any

__all__ = ["Entry", "Page"]


class Entry(Generic[T]):
    """An item and its version, which changes with every write: what ``if_match`` takes."""

    __slots__ = ("item", "version")

    def __init__(self, item: T, version: str) -> None:
        self.item = item
        self.version = version

    def __repr__(self) -> str:
        return f"<Entry {self.item!r}>"


class Page(Generic[T]):
    """What a query or a scan found.

    Iterating gives the items of this page, and, where no ``limit`` was asked for, of all pages behind it, each read
    when it is come to. ``async for`` does the same without blocking.

    Attributes:
        items: of this page. cursor: continues behind it (``table.query(…, cursor=page.cursor)``), None when nothing is
            left. Behind a cursor there may be no more items.
    """

    __slots__ = ("_anext", "_next", "cursor", "items")

    def __init__(
        self,
        items: list[T],
        cursor: str | None,
        following: Callable[[str], Page[T]] | None = None,
        afollowing: Callable[[str], Coroutine[Any, Any, Page[T]]] | None = None,
    ) -> None:
        self.items = items
        self.cursor = cursor
        self._next = following
        self._anext = afollowing

    def __iter__(self) -> Iterator[T]:
        page = self
        yield from page.items
        while page.cursor is not None and page._next is not None:
            page = page._next(page.cursor)
            yield from page.items

    async def __aiter__(self) -> AsyncIterator[T]:
        page = self
        for item in page.items:
            yield item
        while page.cursor is not None and page._anext is not None:
            page = await page._anext(page.cursor)
            for item in page.items:
                yield item

    def __repr__(self) -> str:
        return f"<Page of {len(self.items)}{'' if self.cursor is None else ', more behind it'}>"
