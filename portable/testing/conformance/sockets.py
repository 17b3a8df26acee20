"""What every driver of sockets keeps: the promises of ``portable.drivers.SocketsDriver``, sent through
``portable.Sockets``; and that groups are kept right on the cloud's table.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar, Protocol
from uuid import uuid4

import pytest

from portable.capabilities import Capability
from portable.errors import NotFoundError, ServiceError, UnsupportedError
from portable.live import connections
from portable.resources import sockets as module
from portable.resources.sockets import Sockets
from portable.testing.conformance.cases import Conformance, assert_names, together
from portable.testing.sockets import SocketClosedError, SocketPeer

__all__ = ["SocketsConformance", "SocketsPeer"]


class SocketsPeer(Protocol):
    """A client's end of an open connection."""

    connection: str

    def receive(self, timeout: float = 10.0) -> str | bytes:
        """The next message. Raises SocketClosedError behind the last."""

    def vanish(self) -> None:
        """Be gone without a word."""


class SocketsConformance(Conformance):
    """Subclass it, and give it one fixture, ``sockets``, that yields ``Sockets("rooms")`` with its platform in force.

    Its table ``rooms-sockets`` is there; items of other tests may be in it. ``binary=True`` where it is given. What
    stands for the cloud's gateway holds the connections of ``portable.live.connections``; where something else does,
    override ``open``.

    Attributes:
        capabilities: what the adapter says of sockets. largest: most bytes of a message, None where there is no limit.
        tells_late: whoever holds the connection is told of a send after it has returned, so that it may return for one
            that is gone already.
    """

    capabilities: ClassVar[Mapping[str, Capability]]
    largest: ClassVar[int | None] = None
    tells_late: ClassVar[bool] = False

    @pytest.fixture
    def open(self) -> Iterator[Callable[[], SocketsPeer]]:
        """``open()``: a connection, closed with the test."""
        opened: list[SocketPeer] = []

        def make() -> SocketsPeer:
            opened.append(SocketPeer(connections.new_id()))
            return opened[-1]

        yield make
        for peer in opened:
            peer.vanish()

    @pytest.fixture
    def group(self) -> str:
        """The name of a group of this test's own, with what tables may find hard."""
        return f"room/{uuid4().hex} é:#"

    def given(self, feature: str) -> bool:
        """Whether the adapter says that it gives a feature."""
        return self.capabilities[feature].given

    # --- sending

    @pytest.mark.parametrize("text", ["hello", "", 'é€𝄞\n\t"quoted" \\', '{"a": 1}'])
    def test_text(self, sockets: Sockets, open: Any, text: str) -> None:
        if text == "":
            text = " "  # an empty frame is not worth a difference
        peer = open()
        sockets.send(peer.connection, text)
        assert peer.receive() == text

    def test_json(self, sockets: Sockets, open: Any) -> None:
        peer = open()
        sockets.send(peer.connection, {"n": [1, None, "é"]})
        assert peer.receive() == '{"n":[1,null,"é"]}'

    def test_bytes(self, sockets: Sockets, open: Any) -> None:
        peer = open()
        if self.given("binary"):
            sockets.send(peer.connection, bytes(range(256)))
            assert peer.receive() == bytes(range(256))
        else:
            with pytest.raises(UnsupportedError) as caught:
                sockets.driver().send(peer.connection, b"\x00\xff")
            assert_names(caught.value, "sockets rooms", None)

    def test_order(self, sockets: Sockets, open: Any) -> None:
        peer = open()
        for number in range(20):
            sockets.send(peer.connection, str(number))
        assert [peer.receive() for _ in range(20)] == [str(number) for number in range(20)]

    def test_largest(self, sockets: Sockets, open: Any) -> None:
        if self.largest is None:
            return
        peer = open()
        sockets.send(peer.connection, "x" * self.largest)
        assert len(peer.receive()) == self.largest
        with pytest.raises(UnsupportedError) as caught:
            sockets.send(peer.connection, "x" * (self.largest + 1))
        assert_names(caught.value, "sockets rooms", None)

    def test_async(self, sockets: Sockets, open: Any, group: str) -> None:
        one, other = open(), open()

        async def talk() -> int:
            await sockets.asend(one.connection, "alone")
            await sockets.ajoin(one.connection, group)
            await sockets.ajoin(other.connection, group)
            sent = await sockets.abroadcast(group, "both")
            await sockets.aleave(other.connection, group)
            assert await sockets.amembers(group) == [one.connection]
            await sockets.aforget(one.connection)
            assert await sockets.amembers(group) == []
            await sockets.aclose(one.connection)
            return sent

        assert asyncio.run(talk()) == 2
        assert (one.receive(), one.receive(), other.receive()) == ("alone", "both", "both")
        with pytest.raises(SocketClosedError):
            one.receive()

    # --- connections that are gone

    def test_gone(self, sockets: Sockets, open: Any) -> None:
        peer = open()
        peer.vanish()
        if not self.given("knows_gone") or self.tells_late:
            sockets.send(peer.connection, "x")
            return
        with pytest.raises(NotFoundError) as caught:
            sockets.send(peer.connection, "x")
        assert_names(caught.value, "sockets rooms", peer.connection)

    def test_close(self, sockets: Sockets, open: Any) -> None:
        peer = open()
        sockets.send(peer.connection, "last")
        sockets.close(peer.connection)
        assert peer.receive() == "last"
        with pytest.raises(SocketClosedError):
            peer.receive()
        peer.vanish()
        sockets.close(peer.connection)  # once more is no error

    def test_gone_leaves_groups(self, sockets: Sockets, open: Any, group: str, monkeypatch: pytest.MonkeyPatch) -> None:
        if not self.given("knows_gone"):
            return
        here, gone = open(), open()
        for peer in (here, gone):
            sockets.join(peer.connection, group)
        sockets.join(gone.connection, f"{group} 2")
        gone.vanish()
        if self.tells_late:
            limit = time.monotonic() + 30
            while sockets.members(group) != [here.connection] or sockets.members(f"{group} 2"):
                assert time.monotonic() < limit
                sockets.broadcast(group, "gone")
                time.sleep(0.1)
            return
        assert sockets.broadcast(group, "settling") == 1
        assert len(sockets.members(group)) == 2
        monkeypatch.setattr(module, "SETTLING", 0)
        assert sockets.broadcast(group, "gone") == 1
        assert sockets.members(group) == [here.connection]
        assert sockets.members(f"{group} 2") == []
        assert [here.receive(), here.receive()] == ["settling", "gone"]

    # --- groups

    def test_broadcast(self, sockets: Sockets, open: Any, group: str) -> None:
        inside, outside = [open() for _ in range(20)], open()
        for peer in inside:
            sockets.join(peer.connection, group)
        sockets.join(inside[0].connection, group)  # once more is once
        sockets.join(outside.connection, f"{group} other")
        assert sockets.broadcast(group, "one", besides=inside[0].connection) == 19
        assert sockets.broadcast(group, "two") == 20
        assert {peer.receive() for peer in inside[1:]} == {"one"}
        assert {peer.receive() for peer in inside} == {"two"}
        sockets.send(outside.connection, "nothing before")
        assert outside.receive() == "nothing before"

    def test_leave(self, sockets: Sockets, open: Any, group: str) -> None:
        one, other = open(), open()
        for peer in (one, other):
            sockets.join(peer.connection, group)
        sockets.leave(one.connection, group)
        sockets.leave(one.connection, group)  # it is not in it
        assert sockets.members(group) == [other.connection]
        assert sockets.broadcast(group, "x") == 1
        assert sockets.broadcast(f"{group} empty", "x") == 0

    def test_forget(self, sockets: Sockets, open: Any, group: str) -> None:
        peer = open()
        groups = [f"{group} {number}" for number in range(3)]
        for name in groups:
            sockets.join(peer.connection, name)
        sockets.forget(peer.connection)
        assert [sockets.members(name) for name in groups] == [[], [], []]
        sockets.forget(peer.connection)

    def test_time_to_live(self, sockets: Sockets, open: Any, group: str, monkeypatch: pytest.MonkeyPatch) -> None:
        old, young = open(), open()
        now = time.time()
        monkeypatch.setattr(module, "time", lambda: now - sockets.options["ttl"] - 5)
        sockets.join(old.connection, group)
        monkeypatch.setattr(module, "time", lambda: now)
        sockets.join(young.connection, group)
        assert sockets.members(group) == [young.connection]

    def test_together(self, sockets: Sockets, open: Any, group: str) -> None:
        peers = [open() for _ in range(8)]
        done = together(8, lambda position: sockets.join(peers[position].connection, group))
        assert done == [None] * 8
        assert sorted(sockets.members(group)) == sorted(peer.connection for peer in peers)
        counts = together(4, lambda position: sockets.broadcast(group, str(position)))
        assert counts == [8] * 4
        for peer in peers:
            assert {peer.receive() for _ in range(4)} == {"0", "1", "2", "3"}

    def test_errors(self, sockets: Sockets, open: Any, group: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """One connection that cannot be reached keeps no other from its message."""
        good, bad = open(), open()
        for peer in (good, bad):
            sockets.join(peer.connection, group)
        driver = sockets.driver()
        whole = driver.send

        def send(connection: str, data: str | bytes) -> None:
            if connection == bad.connection:
                raise ServiceError("it broke", resource="sockets rooms", key=connection)
            whole(connection, data)

        monkeypatch.setattr(driver, "send", send)
        with pytest.raises(ServiceError, match="1 of 2 connections were not reached"):
            sockets.broadcast(group, "x")
        assert good.receive() == "x"
        assert sorted(sockets.members(group)) == sorted([good.connection, bad.connection])
