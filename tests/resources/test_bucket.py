"""What a bucket checks before any driver is asked, and its async twins over drivers that have none."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from portable import BlobInfo, Bucket, NotFoundError, UnavailableError
from portable.resources import use_platform
from portable.resources.blob_options import guess_type


class Driver:
    """Remembers each call and its thread; ``answers`` are what calls give or raise."""

    def __init__(self, **answers: Any) -> None:
        self.calls: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = []
        self.threads: list[str] = []
        self.answers = answers

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name[:1] == "a":
            raise AttributeError(name)  # no twins

        def call(*args: Any, **options: Any) -> Any:
            self.calls.append((name, args, options))
            self.threads.append(threading.current_thread().name)
            answer = self.answers.get(name)
            if isinstance(answer, Exception):
                raise answer
            return answer

        return call


class Platform:
    target = "test"

    def __init__(self, driver: Any) -> None:
        self.driver = driver

    def open(self, resource: Any) -> Any:
        return self.driver

    def close(self) -> None: ...


bucket = Bucket("photos")


@pytest.fixture
def driver() -> Iterator[Driver]:
    driver = Driver()
    with use_platform(Platform(driver)):
        yield driver


@pytest.fixture(params=["sync", "async"])
def do(request: pytest.FixtureRequest) -> Callable[..., Any]:
    """Calls a method, or its twin."""

    def call(method: str, *args: Any, **options: Any) -> Any:
        if request.param == "sync":
            return getattr(bucket, method)(*args, **options)
        return asyncio.run(getattr(bucket, f"a{method}")(*args, **options))

    return call


KEYS = ["a", "/", "a/b", "é" * 512, "k" * 1024, " ", "a\nb", "..", "\0"]
BAD_KEYS = ["", "k" * 1025, "é" * 513, "a\ud800"]


@pytest.mark.parametrize("method", ["read", "stat", "delete", "exists"])
def test_keys_are_passed_on_as_they_are(driver: Driver, do: Any, method: str) -> None:
    for key in KEYS:
        do(method, key)
    assert [args[0] for _, args, _ in driver.calls] == KEYS


@pytest.mark.parametrize("method", ["read", "stat", "delete", "exists", "write"])
def test_keys_no_cloud_takes_are_refused_before_a_driver_is_asked(driver: Driver, do: Any, method: str) -> None:
    more = [b"data"] if method == "write" else []
    for key in BAD_KEYS:
        with pytest.raises(ValueError, match="bucket photos"):
            do(method, key, *more)
    for key in (None, b"a", 5):
        with pytest.raises((TypeError, AttributeError)):
            do(method, key, *more)
    assert driver.calls == []


@pytest.mark.parametrize(
    ("data", "sent"),
    [
        (b"a", b"a"),
        ("é", "é".encode()),
        (bytearray(b"a"), b"a"),
        (memoryview(b"abc")[::2], b"ac"),
        (b"", b""),
        ("", b""),
    ],
)
def test_data(driver: Driver, do: Any, data: Any, sent: bytes) -> None:
    do("write", "a", data)
    ((_, args, _),) = driver.calls
    assert args == ("a", sent)
    assert type(args[1]) is bytes


@pytest.mark.parametrize("data", [None, 5, [1], {"a": 1}, object()])
def test_data_that_is_none_is_refused(driver: Driver, do: Any, data: Any) -> None:
    with pytest.raises(TypeError, match="data is bytes, str, a binary file or an iterator of bytes"):
        do("write", "a", data)
    assert driver.calls == []


def test_options_of_a_write(driver: Driver, do: Any) -> None:
    do("write", "a.png", b"", metadata={"a_1": "b c"}, if_match="etag")
    do("write", "a", b"", content_type="text/html; charset=utf-8", if_absent=True)
    assert [options for _, _, options in driver.calls] == [
        {"content_type": "image/png", "metadata": {"a_1": "b c"}, "if_absent": False, "if_match": "etag"},
        {"content_type": "text/html; charset=utf-8", "metadata": None, "if_absent": True, "if_match": None},
    ]


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"if_absent": True, "if_match": "e"}, ValueError),
        ({"content_type": "text/html\r\nx-evil: 1"}, ValueError),
        ({"content_type": "text/é"}, ValueError),
        ({"metadata": {"": "a"}}, ValueError),
        ({"metadata": {"A": "a"}}, ValueError),
        ({"metadata": {"a-b": "a"}}, ValueError),
        ({"metadata": {"1a": "a"}}, ValueError),
        ({"metadata": {"é": "a"}}, ValueError),
        ({"metadata": {"a": "é"}}, ValueError),
        ({"metadata": {"a": "b\nc"}}, ValueError),
        ({"metadata": {"a": " b"}}, ValueError),
        ({"metadata": {"a": 5}}, TypeError),
        ({"metadata": {5: "a"}}, TypeError),
    ],
    ids=str,
)
def test_options_no_cloud_takes_are_refused(driver: Driver, do: Any, options: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        do("write", "a", b"", **options)
    assert driver.calls == []


@pytest.mark.parametrize(
    ("options", "sent"),
    [
        ({}, (None, None)),
        ({"start": 0}, (0, None)),
        ({"end": 5}, (None, 5)),
        ({"start": 5, "end": 5}, (5, 5)),
        ({"start": 2, "end": 5}, (2, 5)),
    ],
)
def test_ranges(driver: Driver, do: Any, options: Any, sent: Any) -> None:
    do("read", "a", **options)
    assert driver.calls == [("read", ("a", *sent), {})]


@pytest.mark.parametrize("options", [{"start": -1}, {"end": -1}, {"start": 5, "end": 4}, {"start": -5, "end": -1}])
def test_ranges_that_are_none_are_refused(driver: Driver, do: Any, options: Any) -> None:
    with pytest.raises(ValueError, match="0 <= start <= end"):
        do("read", "a", **options)
    assert driver.calls == []


def test_exists_is_whether_stat_finds_it(driver: Driver, do: Any) -> None:
    assert do("exists", "a") is True
    driver.answers["stat"] = NotFoundError("no", resource="bucket photos", key="a")
    assert do("exists", "a") is False
    driver.answers["stat"] = UnavailableError("no", resource="bucket photos")
    with pytest.raises(UnavailableError):
        do("exists", "a")


@pytest.mark.parametrize("count", [0, 1, 255, 256, 257, 600])
@pytest.mark.parametrize("kind", [iter, list])
def test_a_listing_comes_page_by_page(driver: Driver, count: int, kind: Any) -> None:
    rows = [BlobInfo(str(at)) for at in range(count)]

    async def every() -> list[BlobInfo]:
        return [row async for row in bucket.alist("p", delimiter="/")]

    driver.answers["list"] = kind(rows)
    assert list(bucket.list("p", delimiter="/")) == rows
    driver.answers["list"] = kind(rows)
    assert asyncio.run(every()) == rows
    assert driver.calls == [("list", ("p", "/"), {})] * 2
    assert driver.threads[0] == "MainThread"
    assert driver.threads[1].startswith("portable-resource")


def test_a_listing_left_early_reads_no_further(driver: Driver) -> None:
    taken: list[int] = []

    def rows() -> Iterator[BlobInfo]:
        for at in range(10_000):
            taken.append(at)
            yield BlobInfo(str(at))

    async def first() -> str:
        async for row in bucket.alist():
            return row.key
        return ""

    driver.answers["list"] = rows()
    assert asyncio.run(first()) == "0"
    assert len(taken) == 256


def test_twins_run_on_threads_unless_the_driver_has_its_own(driver: Driver) -> None:
    class Twin(Driver):
        async def aread(self, *args: Any) -> Any:
            self.calls.append(("aread", args, {}))
            return b"own"

        def __getattr__(self, name: str) -> Any:
            return super().__getattr__(name)

    driver.answers["read"] = b"thread"
    assert asyncio.run(bucket.aread("a")) == b"thread"
    assert driver.threads[0].startswith("portable-resource")
    twin = Twin()
    with use_platform(Platform(twin)):
        assert asyncio.run(bucket.aread("a", start=1)) == b"own"
    assert twin.calls == [("aread", ("a", 1, None), {})]


def test_native_is_the_drivers(driver: Driver) -> None:
    driver.answers["native"] = "client"
    assert bucket.native() == "client"


@pytest.mark.parametrize(
    ("key", "content_type"),
    [
        ("a.png", "image/png"),
        ("in/A.JPG", "image/jpeg"),
        ("a.webp", "image/webp"),
        ("a.json", "application/json"),
        ("a.html", "text/html"),
        ("a", "application/octet-stream"),
        (".png", "application/octet-stream"),
        ("a.png/b", "application/octet-stream"),
        ("a.unknown", "application/octet-stream"),
        ("a.tar.gz", "application/gzip"),
        ("a.json.gz", "application/gzip"),
        ("a.txt.bz2", "application/octet-stream"),
        ("data:text/html,a", "application/octet-stream"),
        ("https://example.org/a.png", "image/png"),
        ("a?b.png#c", "application/octet-stream"),
        ("\0", "application/octet-stream"),
    ],
)
def test_content_types_are_read_from_the_ending(key: str, content_type: str) -> None:
    assert guess_type(key) == content_type


def test_content_types_do_not_depend_on_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    import mimetypes

    mimetypes.init()
    monkeypatch.setattr(mimetypes, "types_map", {".png": "image/x-strange"})
    monkeypatch.setitem(mimetypes._db.types_map[True], ".png", "image/x-strange")
    assert mimetypes.guess_type("a.png")[0] == "image/x-strange"
    assert guess_type("a.png") == "image/png"
