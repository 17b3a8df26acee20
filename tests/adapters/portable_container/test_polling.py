"""Workers under real processes: batches, retries, dead letters, leases, and ends of every kind."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import socket
import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from portable.drivers import Received, address_variable
from portable.resources.queue import Queue
from portable.resources.topic import Topic
from portable.run.emulators import Emulator
from portable.run.processes import free_port
from portable.serving.threads import Threads
from portable_aws._sdk import Client
from portable_aws.provision import make_queue
from portable_aws.runtime import platform as aws_platform
from portable_container.poller import Poller
from portable_container.settings import Settings
from portable_local.runtime import platform as local_platform
from portable_nats.provision import provision, subscribe
from portable_nats.runtime import platform as nats_platform

APP = """
import json, os, time
from pathlib import Path
from portable import App, Message, Reject, Retry

app = App("shop")
jobs = app.queue("jobs", dict, max_attempts=3)
batches = app.queue("batches", dict, max_attempts=2)
news = app.topic("news", dict)

def note(what, message):
    with open("done.jsonl", "a") as file:
        file.write(json.dumps([what, message.body, message.attempt, os.getpid()]) + chr(10))

@app.on_message(jobs, batch_size=1)
def work(message: Message[dict]) -> None:
    name = message.body["name"]
    note("begun", message)
    if name.startswith("reject"):
        raise Reject("no use")
    if name.startswith("fail"):
        raise Retry("again", after=__import__("datetime").timedelta(milliseconds=50))
    if name.startswith("hold"):
        while not Path("go").exists():
            time.sleep(0.01)
    note("ended", message)

@app.on_message(batches, batch_size=10)
async def batch(messages: list[Message[dict]]) -> None:
    for message in messages:
        note("batch", message)
        if message.body["name"] == "bad":
            message.fail()

@app.on_message(news)
def hear(message: Message[dict]) -> None:
    note("news", message)
"""


def rows(folder: Path) -> list[list[Any]]:
    file = folder / "done.jsonl"
    lines = file.read_text().splitlines(keepends=True) if file.exists() else []
    return [json.loads(line) for line in lines if line.endswith("\n")]


def said_of(folder: Path, what: str, name: str) -> list[list[Any]]:
    return [row for row in rows(folder) if row[0] == what and row[1]["name"] == name]


def local(folder: Path, kind: type[Any] = Queue, name: str = "jobs", **options: Any) -> Any:
    """The driver of a resource, as another process has it."""
    return local_platform({"PORTABLE_LOCAL_STATE": str(folder / "state")}).open(kind(name, dict, **options))


def sent(name: str) -> str:
    return json.dumps({"name": name})


def test_messages_are_handled_retried_and_given_up(start: Callable[..., Any]) -> None:
    container = start(APP)
    queue = local(container.folder, max_attempts=3)
    queue.send_many([sent(name) for name in ("one", "fail", "reject")])
    container.until(lambda: len(queue.dead_letters(10)) == 2 and said_of(container.folder, "ended", "one"))
    assert [row[2] for row in said_of(container.folder, "begun", "fail")] == [1, 2, 3]
    assert len(said_of(container.folder, "begun", "reject")) == 1
    assert {json.loads(one.body)["name"] for one in queue.dead_letters(10)} == {"fail", "reject"}
    assert queue.depth() == 0
    batches = local(container.folder, name="batches", max_attempts=2)
    batches.send_many([sent(name) for name in ("good", "bad", "fine")])
    container.until(lambda: len(batches.dead_letters(10)) == 1 and batches.depth() == 0)
    assert len(said_of(container.folder, "batch", "good")) == 1
    assert len(said_of(container.folder, "batch", "bad")) == 2
    local(container.folder, Topic, "news").publish(sent("hot"), attributes={}, group=None)
    container.until(lambda: said_of(container.folder, "news", "hot"))


def test_a_lease_is_extended_while_its_handler_runs(start: Callable[..., Any]) -> None:
    container = start(APP, PORTABLE_LEASE_SECONDS="5", PORTABLE_TIMEOUT_SECONDS="120")
    queue = local(container.folder, max_attempts=3)
    queue.send_many([sent("hold")])
    container.until(lambda: said_of(container.folder, "begun", "hold"))
    # Nobody else gets it, though the lease it was taken with has long ended.
    assert queue.receive(1, timedelta(seconds=8), timedelta(seconds=1)) == []
    (container.folder / "go").touch()
    container.until(lambda: queue.depth() == 0)
    assert len(said_of(container.folder, "begun", "hold")) == 1


def test_a_message_is_settled_once_its_extension_is_there() -> None:
    """An extension may come with a new receipt: who settles with the old one settles nothing."""
    said: list[str] = []
    begun, may_end = threading.Event(), threading.Event()

    class Driver:
        def extend(self, received: Received, lease: timedelta) -> None:
            begun.set()
            may_end.wait()
            received.receipt = "new"

        def acknowledge(self, received: Received) -> None:
            said.append(received.receipt)

    class Handlers:
        def context_of(self, function: Any) -> None: ...

        async def invoke(self, *given: Any) -> list[None]:
            await asyncio.to_thread(begun.wait)
            asyncio.get_running_loop().call_later(0.1, may_end.set)
            return [None]

    trigger = SimpleNamespace(driver=Driver, key="jobs", is_async=True, source=SimpleNamespace())
    function: Any = SimpleNamespace(name="work", call=None)
    settings = Settings({})
    settings.lease_seconds = 0.03

    async def deliver() -> None:
        handlers: Any = Handlers()
        poller = Poller(function, trigger, handlers, Threads(4, "poller"), settings)
        await poller._deliver([Received("1", "{}", "old", {}, 1, None)])

    asyncio.run(deliver())
    assert said == ["new"]


def test_a_message_in_the_hand_of_a_killed_process_comes_again(start: Callable[..., Any]) -> None:
    container = start(APP, PORTABLE_LEASE_SECONDS="5")
    queue = local(container.folder, max_attempts=3)
    queue.send_many([sent("hold")])
    container.until(lambda: said_of(container.folder, "begun", "hold"))
    container.tell(signal.SIGKILL)
    container.end()
    assert queue.depth() == 1
    (container.folder / "go").touch()
    other = start(APP, PORTABLE_LEASE_SECONDS="5")
    other.until(lambda: said_of(container.folder, "ended", "hold"))
    assert [row[2] for row in said_of(container.folder, "begun", "hold")] == [1, 2]
    other.until(lambda: queue.depth() == 0)


def test_told_to_stop_it_ends_what_is_in_hand_and_takes_no_more(start: Callable[..., Any]) -> None:
    container = start(APP, PORTABLE_BATCHES="1")
    queue = local(container.folder, max_attempts=3)
    queue.send_many([sent("hold")])
    container.until(lambda: said_of(container.folder, "begun", "hold"))
    container.tell()
    container.until(lambda: "stopping" in container.said)
    queue.send_many([sent("later")])
    (container.folder / "go").touch()
    assert container.end() == 0
    assert len(said_of(container.folder, "ended", "hold")) == 1
    assert not said_of(container.folder, "begun", "later")
    assert queue.depth() == 1


def test_what_does_not_end_in_time_goes_to_another_process(start: Callable[..., Any]) -> None:
    container = start(APP, PORTABLE_SHUTDOWN_SECONDS="1", PORTABLE_LEASE_SECONDS="600")
    queue = local(container.folder, max_attempts=3)
    queue.send_many([sent("hold")])
    container.until(lambda: said_of(container.folder, "begun", "hold"))
    container.tell()
    assert container.end() == 0
    [again] = queue.receive(1, timedelta(seconds=10), timedelta(seconds=5))  # long before its lease would end
    assert again.attempt == 2


def test_a_process_serves_the_functions_it_is_told_to(start: Callable[..., Any]) -> None:
    container = start(APP, PORTABLE_FUNCTIONS="batch")
    local(container.folder, max_attempts=3).send_many([sent("one")])
    local(container.folder, name="batches", max_attempts=2).send_many([sent("two")])
    container.until(lambda: said_of(container.folder, "batch", "two"))
    assert not said_of(container.folder, "begun", "one")
    quiet = start(APP, PORTABLE_POLL="0")
    container.tell()
    container.end()
    local(container.folder, name="batches", max_attempts=2).send_many([sent("three")])
    body = {"queue": "batches", "messages": [{"id": name, "body": sent(name)} for name in ("pushed", "bad")]}
    status, answer, _ = quiet.event("batch", "dev.portable.messages", body)
    assert status == 200
    assert [one["id"] for one in json.loads(answer)["failed"]] == ["bad"]
    assert not said_of(quiet.folder, "batch", "three")


def test_nats(start: Callable[..., Any], nats_server: Emulator) -> None:
    """The same workers over NATS, one of which is killed."""
    url = nats_server.environment["NATS_URL"]
    environment: dict[str, str] = dict(nats_server.environment)
    jobs, batches, news = (
        Queue("jobs", dict, max_attempts=3),
        Queue("batches", dict, max_attempts=2),
        Topic("news", dict),
    )
    for kind, name in (("queue", "jobs"), ("queue", "batches"), ("topic", "news")):
        environment[address_variable(kind, name)] = f"{url}/container-{name}"
    for name in ("jobs", "batches"):
        environment[address_variable("deadletter", name)] = f"{url}/container-{name}-dead"
    provision([jobs, batches, news], environment)
    subscribe(news, {"hear": None}, environment)
    container = start(APP, "nats", PORTABLE_LEASE_SECONDS="10", **environment)
    drivers = nats_platform(environment)
    try:
        queue = drivers.open(jobs)
        queue.send_many([sent(name) for name in ("one", "fail", "reject")])
        container.until(lambda: len(queue.dead_letters(10)) == 2 and said_of(container.folder, "ended", "one"))
        drivers.open(news).publish(sent("hot"), attributes={}, group=None)
        container.until(lambda: said_of(container.folder, "news", "hot"))
        queue.send_many([sent("hold")])
        container.until(lambda: said_of(container.folder, "begun", "hold"))
        container.tell(signal.SIGKILL)
        container.end()
        (container.folder / "go").touch()
        other = start(APP, "nats", PORTABLE_LEASE_SECONDS="10", **environment)
        other.until(lambda: said_of(container.folder, "ended", "hold"))
        other.tell()
        assert other.end() == 0
    finally:
        drivers.close()


class Way:
    """A way to a server, which is there and is not."""

    def __init__(self, port: int) -> None:
        self._inner = port
        self.port = free_port()
        self._open: list[socket.socket] = []
        self._server: socket.socket | None = None

    def open(self) -> None:
        self._server = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._accept, args=(self._server,), daemon=True).start()

    def close(self) -> None:
        assert self._server is not None
        for one in (self._server, *self._open):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
        self._open.clear()

    def _accept(self, server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                outer, _ = server.accept()
                inner = socket.create_connection(("127.0.0.1", self._inner))
                self._open += [outer, inner]
                for ends in ((outer, inner), (inner, outer)):
                    threading.Thread(target=self._pass_on, args=ends, daemon=True).start()

    @staticmethod
    def _pass_on(source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65_536):
                sink.sendall(data)
        for one in (source, sink):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)


@pytest.mark.slow
def test_a_queue_that_cannot_be_reached_is_tried_again(start: Callable[..., Any], moto_server: Emulator) -> None:
    """It is not there when the process starts, and goes away later; requests are answered all the while."""
    moto_server.reset()
    environment: dict[str, str] = dict(moto_server.environment)
    client = Client("sqs", environment)
    url, dead = make_queue(client.get(), "jobs", 3, fifo=False)
    way = Way(int(moto_server.endpoint.rpartition(":")[2]))
    there = moto_server.endpoint
    distant = {name: value.replace(there, f"http://127.0.0.1:{way.port}") for name, value in environment.items()}
    distant |= {
        address_variable("queue", "jobs"): url.replace(there, f"http://127.0.0.1:{way.port}"),
        address_variable("deadletter", "jobs"): dead,
    }
    # A call that was broken off may have taken the message all the same: it comes again when its lease ends.
    container = start(APP, "aws", PORTABLE_FUNCTIONS="work", PORTABLE_LEASE_SECONDS="5", **distant)
    try:
        container.until(lambda: container.said.count("taking messages failed, again in") >= 2)
        assert container.get("/-/ready")[0] == 200
        client.get().send_message(QueueUrl=url, MessageBody=sent("one"))
        way.open()
        container.until(lambda: said_of(container.folder, "ended", "one"))
        before = container.said.count("taking messages failed")
        way.close()
        container.until(lambda: container.said.count("taking messages failed") > before)
        client.get().send_message(QueueUrl=url, MessageBody=sent("two"))
        way.open()
        container.until(lambda: said_of(container.folder, "ended", "two"))
        container.tell()
        assert container.end() == 0
    finally:
        way.close()
        client.close()


def test_sqs(start: Callable[..., Any], moto_server: Emulator) -> None:
    """The same workers over SQS."""
    moto_server.reset()
    environment: dict[str, str] = dict(moto_server.environment)
    jobs, batches = Queue("jobs", dict, max_attempts=3), Queue("batches", dict, max_attempts=2)
    client = Client("sqs", environment)
    for one in (jobs, batches):
        url, dead = make_queue(client.get(), one.name, one.options["max_attempts"], fifo=False)
        environment[address_variable("queue", one.name)] = url
        environment[address_variable("deadletter", one.name)] = dead
    client.close()
    container = start(APP, "aws", PORTABLE_FUNCTIONS="work,batch", **environment)
    drivers = aws_platform(environment)
    try:
        queue = drivers.open(jobs)
        queue.send_many([sent(name) for name in ("one", "reject")])
        container.until(lambda: said_of(container.folder, "ended", "one"))
        container.until(lambda: len(queue.dead_letters(10)) == 1)
        drivers.open(batches).send_many([sent(name) for name in ("good", "bad", "fine")])
        container.until(lambda: len(said_of(container.folder, "batch", "bad")) == 2)
        assert len(said_of(container.folder, "batch", "good")) == 1
        container.tell()
        assert container.end() == 0
    finally:
        drivers.close()
