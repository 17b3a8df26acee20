"""Sockets: the open connections of a websocket, and the groups they are in."""

from __future__ import annotations

from contextvars import ContextVar, copy_context
from time import time

from portable.errors import ConfigError, NotFoundError, ServiceError
from portable.jsontext import encode_text
from portable.resources import Resource, check_name, declared_at

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator
    from datetime import timedelta
    from typing import Any

    from portable.drivers import SocketsDriver
    from portable.resources.table import Table

    # What is to be called: of the store or the sockets themselves, a method by its name, and its arguments.
    Steps = Generator[tuple[Any, ...], Any, Any]

__all__ = ["SETTLING", "Sockets", "connecting"]

SETTLING = 30
"""Seconds after it joined a group in which a connection that seems gone keeps its groups: on AWS and Azure it is there
only when the handler of its connect event has returned, for which API Gateway waits 29 seconds."""

LONGEST_GROUP = 200  # bytes: with its prefix well within what a sort key may have
PAGE = 500
AT_ONCE = 16

connecting: ContextVar[str | None] = ContextVar("portable_connecting", default=None)
"""The connection whose connect event is being handled: it is not there yet, so nothing is sent to it."""


class Sockets(Resource):
    """The connections of one websocket: send to one, to a group, close one. Every method has a twin with prefix ``a``.

    Which connection is in which group is kept in a table, two items for each membership. A connection leaves its groups
    when it disconnects, when a send finds it gone, and when ``ttl`` is over.

    Args:
        name: see ``portable.resources.check_name``.
        table: where groups are kept: a table with a sort key, both keys str, and a time to live, its items dicts. Left
            out, a table of its own called ``NAME-sockets``.
        binary: bytes may be sent and received, not text alone. ``portable check`` says where there are none.
        ttl: how long a membership lasts, a day when left out; joining again renews it.
    """

    __slots__ = ("_fields", "store")
    kind = "sockets"

    def __init__(
        self,
        name: str,
        table: Table[dict[str, Any]] | None = None,
        *,
        binary: bool = False,
        ttl: timedelta | None = None,
        _depth: int = 0,
    ) -> None:
        from portable.resources.table import Table

        check_name(self.kind, name)
        if not isinstance(binary, bool):
            raise ConfigError(f"sockets {name!r}: binary is True or False, got {binary!r}")
        if ttl is not None and (not hasattr(ttl, "total_seconds") or ttl.total_seconds() < 60):
            raise ConfigError(f"sockets {name!r}: ttl is a timedelta of a minute or more, got {ttl!r}")
        if table is None:
            if len(name) > 32:
                raise ConfigError(
                    f"sockets {name!r}: its table would be {name}-sockets; a name of 32 characters at "
                    "most, given by sockets=app.sockets('…') where the function's is longer"
                )
            table = Table(f"{name}-sockets", key="owner", sort="member", ttl="expires", _depth=_depth + 1)
        keys = table.key_types if isinstance(table, Table) else ()
        if [kind for _, kind in keys] != ["str", "str"] or table.options["ttl"] is None or table.type is not None:
            raise ConfigError(
                f"sockets {name!r}: a table for groups has a key and a sort key of str, a ttl, and no type; "
                f"{table!r} has not"
            )
        seconds = 86_400 if ttl is None else int(ttl.total_seconds())
        options = {"table": table.name, "binary": binary, "ttl": seconds}
        super().__init__(name, options, declared_at(_depth + 1))
        self.store: Table[dict[str, Any]] = table
        self._fields = keys[0][0], keys[1][0], table.options["ttl"]

    if TYPE_CHECKING:

        def driver(self) -> SocketsDriver: ...

    # --- sending

    def send(self, connection: str, data: Any) -> None:
        """Send to one connection: str as it is, bytes where ``binary`` was declared, anything else as JSON.

        Raises NotFoundError for a connection that is gone, which then leaves its groups; UnsupportedError for what is
        too large; TypeError for bytes without ``binary``.
        """
        self._drive(self._send(connection, self._encoded(data)))

    async def asend(self, connection: str, data: Any) -> None:
        """See :meth:`send`."""
        await self._adrive(self._send(connection, self._encoded(data)))

    def broadcast(self, group: str, data: Any, *, besides: str | None = None) -> int:
        """Send to every connection of a group but ``besides``. Returns how many it was sent to.

        A connection that is gone leaves its groups. Others are sent to whatever becomes of one; then a ServiceError
        says how many were not reached. Nothing is sent twice.
        """
        sent: int = self._drive(self._broadcast(_checked(group), self._encoded(data), besides))
        return sent

    async def abroadcast(self, group: str, data: Any, *, besides: str | None = None) -> int:
        """See :meth:`broadcast`."""
        sent: int = await self._adrive(self._broadcast(_checked(group), self._encoded(data), besides))
        return sent

    def close(self, connection: str) -> None:
        """Close a connection; its disconnect event follows. One that is gone already is no error."""
        self.driver().disconnect(connection)

    async def aclose(self, connection: str) -> None:
        """See :meth:`close`."""
        await self._await("disconnect", connection)

    # --- groups

    def join(self, connection: str, group: str) -> None:
        """Put a connection into a group, a str of 1 to 200 bytes. Once more renews it for another ``ttl``."""
        self._drive(self._join(connection, _checked(group)))

    async def ajoin(self, connection: str, group: str) -> None:
        """See :meth:`join`."""
        await self._adrive(self._join(connection, _checked(group)))

    def leave(self, connection: str, group: str) -> None:
        """Take a connection out of a group; one that is not in it is no error."""
        self._drive(self._leave(connection, _checked(group)))

    async def aleave(self, connection: str, group: str) -> None:
        """See :meth:`leave`."""
        await self._adrive(self._leave(connection, _checked(group)))

    def members(self, group: str) -> list[str]:
        """The connections of a group, in no order to rely on. Some may be gone without anyone knowing yet."""
        found: list[str] = self._drive(self._members(f"g:{_checked(group)}"))
        return [one[0] for one in found]

    async def amembers(self, group: str) -> list[str]:
        """See :meth:`members`."""
        found: list[str] = await self._adrive(self._members(f"g:{_checked(group)}"))
        return [one[0] for one in found]

    def forget(self, connection: str) -> None:
        """Take a connection out of all its groups, as its disconnect event does by itself."""
        self._drive(self._forget(connection, 0))

    async def aforget(self, connection: str) -> None:
        """See :meth:`forget`."""
        await self._adrive(self._forget(connection, 0))

    # --- the steps of each, for sync and async alike

    def _send(self, connection: str, data: str | bytes) -> Steps:
        if connecting.get() == connection:
            raise ConfigError(f"{self}: connection {connection} is not there before its connect event is handled")
        [failed] = yield "_send_each", [connection], data
        if isinstance(failed, NotFoundError):
            yield from self._forget(connection, SETTLING)
        if failed is not None:
            raise failed

    def _broadcast(self, group: str, data: str | bytes, besides: str | None) -> Steps:
        skipped = (besides, connecting.get())
        sent = 0
        failures: list[Exception] = []
        cursor = ""
        while cursor is not None:
            members, cursor = yield from self._page(f"g:{group}", cursor)
            wanted = [connection for connection, _ in members if connection not in skipped]
            outcomes = yield "_send_each", wanted, data
            for connection, failed in zip(wanted, outcomes, strict=True):
                if failed is None:
                    sent += 1
                elif isinstance(failed, NotFoundError):
                    yield from self._forget(connection, SETTLING)
                else:
                    failures.append(failed)
        if failures:
            raise ServiceError(
                f"group {group!r}: {len(failures)} of {len(failures) + sent} connections were not reached; "
                f"the first: {failures[0]}",
                resource=str(self),
            ) from failures[0]
        return sent

    def _join(self, connection: str, group: str) -> Steps:
        # The connection's own item first: whoever is in a group can be taken out of it.
        for owner, member in ((f"c:{connection}", group), (f"g:{group}", connection)):
            yield "put", self._item(owner, member)

    def _leave(self, connection: str, group: str) -> Steps:
        for owner, member in ((f"g:{group}", connection), (f"c:{connection}", group)):
            yield "delete", owner, member

    def _forget(self, connection: str, settling: int) -> Steps:
        groups = yield from self._members(f"c:{connection}")
        now = time()
        for group, joined in groups:
            if now - joined >= settling:
                yield from self._leave(connection, group)

    def _members(self, owner: str) -> Steps:
        found: list[tuple[str, int]] = []
        cursor = ""
        while cursor is not None:
            members, cursor = yield from self._page(owner, cursor)
            found += members
        return found

    def _page(self, owner: str, cursor: str) -> Steps:
        page = yield "query", owner, cursor
        return [(item[self._fields[1]], item["joined"]) for item in page.items], page.cursor

    def _item(self, owner: str, member: str) -> dict[str, Any]:
        key, sort, ttl = self._fields
        now = int(time())
        return {key: owner, sort: member, "joined": now, ttl: now + self.options["ttl"]}

    # --- calling

    def _drive(self, steps: Steps) -> Any:
        try:
            asked = next(steps)
            while True:
                method, *args = asked
                if method == "_send_each":
                    found: Any = self._send_each(*args)
                elif method == "query":
                    found = self.store.query(args[0], limit=PAGE, cursor=args[1] or None)
                else:
                    found = getattr(self.store, method)(*args)
                asked = steps.send(found)
        except StopIteration as end:
            return end.value

    async def _adrive(self, steps: Steps) -> Any:
        try:
            asked = next(steps)
            while True:
                method, *args = asked
                if method == "_send_each":
                    found: Any = await self._asend_each(*args)
                elif method == "query":
                    found = await self.store.aquery(args[0], limit=PAGE, cursor=args[1] or None)
                else:
                    found = await getattr(self.store, f"a{method}")(*args)
                asked = steps.send(found)
        except StopIteration as end:
            return end.value

    def _send_each(self, connections: list[str], data: str | bytes) -> list[Exception | None]:
        send = self.driver().send

        def attempt(connection: str) -> Exception | None:
            try:
                send(connection, data)
            except Exception as error:  # the others are sent to all the same
                return error
            return None

        if len(connections) < 2:
            return [attempt(connection) for connection in connections]
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(min(AT_ONCE, len(connections)), thread_name_prefix="portable-sockets") as threads:
            sending = [threads.submit(copy_context().run, attempt, connection) for connection in connections]
            return [sent.result() for sent in sending]

    async def _asend_each(self, connections: list[str], data: str | bytes) -> list[Exception | None]:
        from asyncio import Semaphore, gather

        free = Semaphore(AT_ONCE)

        async def attempt(connection: str) -> Exception | None:
            async with free:
                try:
                    await self._await("send", connection, data)
                except Exception as error:  # the others are sent to all the same
                    return error
                return None

        return list(await gather(*map(attempt, connections)))

    def _encoded(self, data: Any) -> str | bytes:
        if isinstance(data, str):
            return data
        if isinstance(data, (bytes, bytearray, memoryview)):
            if not self.options["binary"]:
                raise TypeError(
                    f"{self} carries text; bytes need binary=True at {self.where[0]}:{self.where[1]}, or base64"
                )
            return bytes(data)
        return encode_text(data)


def _checked(group: str) -> str:
    if not isinstance(group, str) or not 0 < len(group.encode()) <= LONGEST_GROUP:
        raise ValueError(f"a group is a str of 1 to {LONGEST_GROUP} bytes, got {group!r}")
    return group
