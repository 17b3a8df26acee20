"""The connection: what it does when servers restart, refuse, or are not there; threads and event loops."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import socketserver
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from portable import (
    App,
    Bucket,
    ConfigError,
    NotFoundError,
    PermissionDeniedError,
    Queue,
    UnavailableError,
    UnsupportedError,
)
from portable.resources import use_platform
from portable.run.processes import LOOPBACK, accepts, free_port, running
from portable_nats import _sdk
from portable_nats.platform import NATSPlatform
from portable_nats.provision import provision

NOW, LEASE = timedelta(0), timedelta(seconds=30)


@pytest.fixture
def port() -> int:
    return free_port()


def serving(require_part: Callable[..., Any], port: int, folder: Path, *options: str | Path) -> Any:
    command = [require_part("nats-server").path, "-a", LOOPBACK, "-p", str(port), "-js", "-sd", folder, *options]
    return running("nats-server", command, ready=lambda _: accepts(port))


def environment(port: int) -> dict[str, str]:
    url = f"nats://{LOOPBACK}:{port}"
    return {"NATS_URL": url, "PORTABLE_QUEUE_EMAILS": "emails", "PORTABLE_BUCKET_UPLOADS": "uploads"}


@pytest.fixture
def opened() -> Iterator[Callable[[dict[str, str]], NATSPlatform]]:
    made: list[NATSPlatform] = []

    def make(environment: dict[str, str]) -> NATSPlatform:
        made.append(NATSPlatform(environment))
        return made[-1]

    yield make
    for platform in made:
        platform.close()
    assert not left_open()


def left_open() -> list[Any]:
    """Connections of any event loop that nobody has closed."""
    writers = [one for one in gc.get_objects() if isinstance(one, asyncio.StreamWriter)]
    return [one for one in writers if not one.is_closing()]


def test_a_restart_is_bridged(require_part: Any, port: int, tmp_path: Path, opened: Any) -> None:
    queue: Queue[Any] = Queue("emails")
    bucket = Bucket("uploads")
    with use_platform(opened(environment(port))):
        with serving(require_part, port, tmp_path):
            provision([queue, bucket], environment(port))
            queue.send("before")
            bucket.write("a", b"before")
        with serving(require_part, port, tmp_path):
            queue.send("after")
            assert bucket.read("a") == b"before"
            received = queue.driver().receive(10, timedelta(seconds=5), LEASE)
            assert [queue.decode(one.body) for one in received] == ["before", "after"]


def test_a_server_that_is_gone(
    require_part: Any, port: int, tmp_path: Path, opened: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_sdk, "PATIENCE_SECONDS", 0.5)
    monkeypatch.setattr(_sdk, "TRY_SECONDS", 0.5)
    queue: Queue[Any] = Queue("emails")
    with use_platform(opened(environment(port))):
        with serving(require_part, port, tmp_path):
            provision([queue], environment(port))
            queue.send("before")
        for call in (lambda: queue.send("after"), lambda: queue.driver().receive(1, NOW, LEASE)):
            with pytest.raises(UnavailableError, match="queue emails"):
                call()


def test_a_server_that_refuses_half_way(require_part: Any, port: int, tmp_path: Path, opened: Any) -> None:
    """Each attempt to connect anew closes what it has opened."""
    asked: list[bytes] = []
    closed: list[bytes] = []

    class Refuses(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self.wfile.write(
                b'INFO {"server_id": "x", "version": "2.9.10", "headers": true, "max_payload": 1048576}\r\n'
            )
            asked.append(self.rfile.readline())
            self.wfile.write(b"-ERR 'Not Now'\r\n")
            closed.append(self.rfile.read())  # until the client closes it

    class Listening(socketserver.ThreadingTCPServer):
        allow_reuse_address = True

    queue: Queue[Any] = Queue("emails")
    with use_platform(opened(environment(port))):
        with serving(require_part, port, tmp_path):
            provision([queue], environment(port))
            queue.send("before")
        with Listening((LOOPBACK, port), Refuses) as server:
            while len(asked) < 3:
                server.handle_request()
        with serving(require_part, port, tmp_path):
            queue.send("after")
            assert len(left_open()) == 1
    assert all(line.startswith(b"CONNECT ") for line in asked)
    assert len(closed) == len(asked) >= 3


def test_a_server_that_never_was(port: int, opened: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_sdk, "PATIENCE_SECONDS", 0.2)
    monkeypatch.setattr(_sdk, "TRY_SECONDS", 0.2)
    with use_platform(opened(environment(port))):
        with pytest.raises(UnavailableError, match="bucket uploads, key 'a'"):
            Bucket("uploads").read("a")
        with pytest.raises(UnavailableError, match="queue emails"):
            asyncio.run(Queue("emails").asend("x"))


def test_credentials_and_permissions(require_part: Any, port: int, tmp_path: Path, opened: Any) -> None:
    settings = tmp_path / "server.conf"
    settings.write_text(
        "authorization { users = [ {user: ann, password: right}, {user: bob, password: right, permissions: "
        '{publish: {deny: ["portable.queue.>", "$JS.API.CONSUMER.>"]}}} ] }'
    )
    queue: Queue[Any] = Queue("emails")
    ann = environment(port) | {"NATS_USER": "ann", "NATS_PASSWORD": "right"}
    with serving(require_part, port, tmp_path / "state", "-c", settings):
        provision([queue], ann)
        with use_platform(opened(ann)):
            queue.send("allowed")
        for wrong in (environment(port), ann | {"NATS_PASSWORD": "wrong"}):
            with use_platform(opened(wrong)), pytest.raises(PermissionDeniedError, match="queue emails"):
                queue.send("x")
        with use_platform(opened(ann | {"NATS_USER": "bob"})):
            with pytest.raises(PermissionDeniedError, match=r"queue emails.*ermissions"):
                queue.send("x")
            with pytest.raises(PermissionDeniedError, match=r"queue emails.*ermissions"):
                queue.driver().receive(1, NOW, LEASE)


def test_a_server_without_jetstream(require_part: Any, port: int, opened: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_sdk, "PATIENCE_SECONDS", 0.5)
    command = [require_part("nats-server").path, "-a", LOOPBACK, "-p", str(port)]
    alive = running("nats-server", command, ready=lambda _: accepts(port))
    refused = pytest.raises(UnavailableError, match="queue emails")
    with alive, use_platform(opened(environment(port))), refused:
        Queue("emails").send("x")


def test_one_connection_for_threads_and_loops(place: Callable[..., dict[str, str]], opened: Any) -> None:
    queue: Queue[Any] = Queue("emails")
    bucket = Bucket("uploads")
    with use_platform(opened(place(queue, bucket))):
        bucket.write("a", b"data")
        assert [asyncio.run(bucket.aread("a")) for _ in range(3)] == [b"data"] * 3
        assert bucket.native() is queue.native()


def test_a_cancelled_call_leaves_the_connection_whole(place: Callable[..., dict[str, str]], opened: Any) -> None:
    queue: Queue[Any] = Queue("emails")

    async def work() -> None:
        waiting = asyncio.ensure_future(queue._await("receive", 1, timedelta(seconds=60), LEASE))
        await asyncio.sleep(0.2)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await queue.asend("x")

    with use_platform(opened(place(queue))):
        asyncio.run(work())
        assert len(queue.driver().receive(1, timedelta(seconds=5), LEASE)) == 1


def test_closed_and_used_again(place: Callable[..., dict[str, str]]) -> None:
    queue: Queue[Any] = Queue("emails")
    platform = NATSPlatform(place(queue))
    with use_platform(platform):
        first = queue.send("a")
        platform.close()
        assert int(queue.send("b")) == int(first) + 1
    platform.close()
    platform.close()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no fork")
def test_a_forked_process_has_a_connection_of_its_own(place: Callable[..., dict[str, str]], opened: Any) -> None:
    queue: Queue[Any] = Queue("emails")
    with use_platform(opened(place(queue))):
        queue.send("parent")
        child = os.fork()
        if child == 0:
            try:
                signal.alarm(20)
                queue.send("child")
            finally:
                os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        received = queue.driver().receive(10, timedelta(seconds=5), LEASE)
        assert sorted(queue.decode(one.body) for one in received) == ["child", "parent"]


def test_a_message_too_large(place: Callable[..., dict[str, str]], opened: Any) -> None:
    queue: Queue[Any] = Queue("emails")
    with use_platform(opened(place(queue))):
        assert queue.driver().fits("x" * 1_000_000, {})
        assert not queue.driver().fits("x" * 1_000_000, {"a": "x" * 100_000})
        with pytest.raises(UnsupportedError, match="queue emails"):
            queue.send("x" * 1_100_000)
        refused = queue.send_many(["a", "x" * 1_100_000])
        assert [(one.index, type(one.error)) for one in refused] == [(1, UnsupportedError)]


def test_a_lease_that_ended_for_the_last_time(place: Callable[..., dict[str, str]], opened: Any) -> None:
    queue: Queue[Any] = Queue("emails", max_attempts=2)
    with use_platform(opened(place(queue))):
        queue.send("poison")
        for _ in range(2):  # a worker that dies each time, without a word
            assert queue.driver().receive(1, timedelta(seconds=5), timedelta(seconds=0.2))
            time.sleep(0.3)
        assert queue.driver().receive(1, timedelta(seconds=1), LEASE) == []
        assert [letter.body for letter in queue.driver().dead_letters(10)] == ['"poison"']


@pytest.mark.parametrize("address", ["nats://127.0.0.1:4222/", "nats://127.0.0.1:4222/a.b", "a b"])
def test_a_wrong_address(address: str) -> None:
    wrong = NATSPlatform({"NATS_URL": "nats://127.0.0.1", "PORTABLE_QUEUE_EMAILS": address})
    with use_platform(wrong), pytest.raises(ConfigError, match="PORTABLE_QUEUE_EMAILS"):
        Queue("emails").send("x")


def test_no_server_anywhere() -> None:
    with use_platform(NATSPlatform({"PORTABLE_QUEUE_EMAILS": "emails"})), pytest.raises(ConfigError, match="NATS_URL"):
        Queue("emails").send("x")


def test_an_ordered_queue_that_is_not(place: Callable[..., dict[str, str]], opened: Any) -> None:
    environment = place(Queue("emails"))
    with use_platform(opened(environment)), pytest.raises(ConfigError, match="max_ack_pending"):
        Queue("emails", ordered=True).driver().receive(1, NOW, LEASE)


def test_a_missing_bucket_behind_a_server(place: Callable[..., dict[str, str]], opened: Any) -> None:
    environment = place(Bucket("uploads")) | {"PORTABLE_BUCKET_UPLOADS": "nothing-is-here"}
    with use_platform(opened(environment)), pytest.raises(NotFoundError, match="bucket uploads, key 'a'"):
        Bucket("uploads").write("a", b"x", if_absent=True)


def test_a_script(place: Callable[..., dict[str, str]], monkeypatch: pytest.MonkeyPatch) -> None:
    app = App("shop")
    emails = app.queue("emails", str)
    uploads = app.bucket("uploads")
    for name, value in place(emails, uploads).items():
        monkeypatch.setenv(name, value)
    with app.connect("nats"):
        emails.send("hello")
        emails.send("again")
        taken = emails.receive(limit=10)
        assert [message.body for message in taken] == ["hello", "again"]
        emails.ack_many(taken)
        uploads.write("a", b"data")
        assert emails.depth() == 0
    assert not [thread for thread in threading.enumerate() if thread.name == "portable-nats"]
