"""An instance that was frozen: its connections are dead when it goes on, and the next call opens others by itself.

A proxy stands between a driver and the real server. Connections end in its hands between two calls, as those of a
frozen process do when the other side gives them up; some end with a farewell, some with a reset.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from portable import Bucket, Cache, Queue, Table
from portable.resources import use_platform
from portable.run.emulators import Emulator
from portable.run.processes import LOOPBACK
from portable_aws._sdk import Client
from portable_aws.platform import AWSPlatform
from portable_aws.provision import make_queue, make_table
from portable_azure import _sdk
from portable_azure.platform import AzurePlatform
from portable_gcp.platform import GoogleCloud
from portable_local.platform import LocalPlatform


class Connection:
    """A client's connection and the one to the server behind it, each read by a thread."""

    def __init__(self, near: socket.socket, far: socket.socket) -> None:
        self._ends = near, far
        self._reset = False
        self._threads = [
            threading.Thread(target=self._pump, args=ends, daemon=True) for ends in ((near, far), (far, near))
        ]
        for thread in self._threads:
            thread.start()

    def _pump(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
        if not self._reset:
            with contextlib.suppress(OSError):
                target.shutdown(socket.SHUT_WR)

    def cut(self, *, reset: bool) -> None:
        """End it, in order or by a reset: closed without a lingering, it says nothing but that."""
        self._reset = reset
        for end in self._ends:
            with contextlib.suppress(OSError):
                if reset:
                    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                end.shutdown(socket.SHUT_RD if reset else socket.SHUT_RDWR)  # which wakes its thread
        for thread in self._threads:
            thread.join(5)
        for end in self._ends:
            end.close()


class Proxy:
    """Hands bytes on, and ends all connections when it is told to."""

    def __init__(self, port: int) -> None:
        self._target = LOOPBACK, port
        self._listener = socket.create_server((LOOPBACK, 0))
        self.port = self._listener.getsockname()[1]
        self._open: list[Connection] = []
        self.opened = 0
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                self._open.append(Connection(near, socket.create_connection(self._target)))
                self.opened += 1

    def cut(self, *, reset: bool) -> int:
        """End every connection; how many there were since the start."""
        while self._open:
            self._open.pop().cut(reset=reset)
        return self.opened

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join(5)
        self._listener.close()
        self.cut(reset=False)


@pytest.fixture
def proxied() -> Iterator[Callable[[Emulator], tuple[Proxy, dict[str, str]]]]:
    """A proxy before an emulator, and its environment by way of it."""
    proxies: list[Proxy] = []

    def make(emulator: Emulator) -> tuple[Proxy, dict[str, str]]:
        port = int(emulator.endpoint.rpartition(":")[2].partition("/")[0])
        proxies.append(Proxy(port))
        return proxies[-1], through(emulator.environment, port, proxies[-1].port)

    yield make
    for proxy in proxies:
        proxy.close()


def through(environment: Mapping[str, str], port: int, other: int) -> dict[str, str]:
    return {name: value.replace(f":{port}", f":{other}") for name, value in environment.items()}


def aws(moto: Emulator, made: tuple[Proxy, dict[str, str]], kind: str) -> tuple[Any, Callable[[int], Any]]:
    _, environment = made
    name = f"thawed-{kind}"
    if kind == "bucket":
        Client("s3", moto.environment).get().create_bucket(Bucket=name)
        environment["PORTABLE_BUCKET_THAWED"] = f"s3://{name}"
        bucket = Bucket("thawed")
        return AWSPlatform(environment), lambda number: (bucket.write(f"k{number}", b"data"), bucket.read(f"k{number}"))
    if kind == "queue":
        address, _ = make_queue(Client("sqs", moto.environment).get(), name, 5, fifo=False)
        environment["PORTABLE_QUEUE_THAWED"] = address
        queue: Queue[Any] = Queue("thawed")
        return AWSPlatform(environment), lambda number: queue.send(number)
    table = Table("thawed", key="id")
    address = make_table(Client("dynamodb", moto.environment).get(), name, table.options)
    environment["PORTABLE_TABLE_THAWED"] = address
    return AWSPlatform(environment), lambda number: (table.put({"id": str(number)}), table.get(str(number)))


def call_cut_and_call(proxy: Proxy, platform: Any, call: Callable[[int], Any]) -> None:
    """Every call succeeds, though the connections of the one before are dead."""
    with use_platform(platform):
        for number, reset in enumerate([False, True, False, True]):
            call(number)
            before = proxy.cut(reset=reset)
            assert before > 0
        call(99)
        assert proxy.opened > 1
    platform.close()


@pytest.mark.parametrize("kind", ["bucket", "queue", "table"])
def test_aws(moto_server: Emulator, proxied: Callable[[Emulator], tuple[Proxy, dict[str, str]]], kind: str) -> None:
    made = proxied(moto_server)
    platform, call = aws(moto_server, made, kind)
    call_cut_and_call(made[0], platform, call)


def test_google_cloud(fake_gcs: Emulator, proxied: Callable[[Emulator], tuple[Proxy, dict[str, str]]]) -> None:
    proxy, _ = proxied(fake_gcs)
    request = urllib.request.Request(
        f"{fake_gcs.endpoint}/storage/v1/b", b'{"name": "thawed-blobs"}', {"content-type": "application/json"}
    )
    urllib.request.urlopen(request, timeout=10).close()
    bucket = Bucket("thawed")
    environment = {"STORAGE_EMULATOR_HOST": f"http://{LOOPBACK}:{proxy.port}"}
    platform = GoogleCloud(environment | {"PORTABLE_BUCKET_THAWED": "gs://thawed-blobs"})
    call_cut_and_call(proxy, platform, lambda number: (bucket.write(f"k{number}", b"x"), bucket.read(f"k{number}")))


def test_azure(azurite: Emulator, proxied: Callable[[Emulator], tuple[Proxy, dict[str, str]]]) -> None:
    storage = dict(part.partition("=")[::2] for part in azurite.environment["AzureWebJobsStorage"].split(";"))
    address = f"{storage['BlobEndpoint']}/thawed"
    with _sdk.container_client(address, azurite.environment) as client:
        client.create_container()
    port = int(storage["BlobEndpoint"].rpartition(":")[2].partition("/")[0])
    proxy = Proxy(port)
    environment = through(azurite.environment | {"PORTABLE_BUCKET_THAWED": address}, port, proxy.port)
    bucket = Bucket("thawed")
    platform = AzurePlatform(environment)
    call_cut_and_call(proxy, platform, lambda number: (bucket.write(f"k{number}", b"x"), bucket.read(f"k{number}")))
    proxy.close()


def test_redis(redis_server: Emulator, proxied: Callable[[Emulator], tuple[Proxy, dict[str, str]]]) -> None:
    proxy, _ = proxied(redis_server)
    port = int(redis_server.endpoint.rpartition(":")[2].partition("/")[0])
    cache: Cache[Any] = Cache("thawed")
    address = redis_server.endpoint.replace(f":{port}", f":{proxy.port}")
    platform = LocalPlatform({"PORTABLE_CACHE_THAWED": address})
    call_cut_and_call(proxy, platform, lambda number: (cache.set(f"k{number}", number), cache.get(f"k{number}")))
