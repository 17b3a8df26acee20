"""What a bucket checks before any driver is asked, and its async twins over drivers that have none."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest

from portable import BlobInfo, Bucket, NotFoundError, UnavailableError
from portable.drivers.bucket import PART_BYTES, SignedURL
from portable.jsontext import encode_text
from portable.resources import use_platform
from portable.resources.blob_options import guess_type
from portable.resources.bucket import WHOLE_BYTES


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

    def call(method: str, /, *args: Any, **options: Any) -> Any:
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


# --- streams


class Store(Driver):
    """Keeps what it is given, part by part."""

    def __init__(self, **answers: Any) -> None:
        super().__init__(**answers)
        self.parts: list[int] = []

    def write_parts(self, key: str, parts: Iterator[bytes], **options: Any) -> BlobInfo:
        for part in parts:
            self.parts.append(len(part))
        return BlobInfo(key, sum(self.parts))


@pytest.mark.parametrize(
    ("pieces", "parts"),
    [
        ([PART_BYTES + 1], [PART_BYTES, 1]),
        ([PART_BYTES, PART_BYTES], [PART_BYTES, PART_BYTES]),
        ([3 * PART_BYTES + 5], [PART_BYTES] * 3 + [5]),
        ([1, PART_BYTES - 2, 2, 0, 7], [PART_BYTES, 8]),
        ([PART_BYTES // 2] * 5, [PART_BYTES] * 2 + [PART_BYTES // 2]),
    ],
)
def test_pieces_of_any_size_become_parts(do: Any, pieces: list[int], parts: list[int]) -> None:
    store = Store()
    with use_platform(Platform(store)):
        do("write", "a", (bytes(size) for size in pieces))
    assert store.parts == parts
    assert store.calls == []


@pytest.mark.parametrize("pieces", [[], [0], [5], [PART_BYTES], [PART_BYTES - 1, 1, 0]])
def test_what_fits_into_a_part_is_written_in_one_call(driver: Driver, do: Any, pieces: list[int]) -> None:
    do("write", "a", (bytes(size) for size in pieces))
    [(method, args, _)] = driver.calls
    assert (method, len(args[1])) == ("write", sum(pieces))


def test_bytes_too_large_for_one_call_are_parts() -> None:
    store = Store()
    with use_platform(Platform(store)):
        bucket.write("a", bytes(WHOLE_BYTES + 1))
    assert store.parts == [PART_BYTES] * (WHOLE_BYTES // PART_BYTES) + [1]


def test_a_piece_may_be_changed_once_it_was_given(driver: Driver) -> None:
    piece = bytearray(b"ab")

    def pieces() -> Iterator[bytearray]:
        yield piece
        piece[:] = b"cde"
        yield piece
        piece.clear()

    bucket.write("a", pieces())
    assert driver.calls[0][1][1] == b"abcde"


@pytest.mark.parametrize("wrong", ["text", 5, None, [b"a"]])
def test_a_stream_of_something_else_is_refused(driver: Driver, do: Any, wrong: Any) -> None:
    with pytest.raises(TypeError, match="bucket photos: data is bytes, str, a binary file or an iterator of bytes"):
        do("write", "a", iter([b"a", wrong] if wrong is not None else [5]))
    assert driver.calls == []


def test_what_the_source_raises_passes_through_whatever_the_driver_makes_of_it(do: Any) -> None:
    class Translating(Store):
        def write_parts(self, key: str, parts: Iterator[bytes], **options: Any) -> BlobInfo:
            try:
                return super().write_parts(key, parts, **options)
            except Exception as error:
                raise UnavailableError("the upload failed") from error

    def broken() -> Iterator[bytes]:
        yield bytes(2 * PART_BYTES)
        raise LookupError("mine")

    with use_platform(Platform(Translating())), pytest.raises(LookupError, match="mine"):
        do("write", "a", broken())


def test_a_cancelled_write_of_an_async_source_is_given_up() -> None:
    begun, given_up = threading.Event(), threading.Event()

    class Slow(Store):
        def write_parts(self, key: str, parts: Iterator[bytes], **options: Any) -> BlobInfo:
            begun.set()
            try:
                return super().write_parts(key, parts, **options)
            except BaseException:
                given_up.set()
                raise

    async def endless() -> AsyncIterator[bytes]:
        while True:
            await asyncio.sleep(0.001)
            yield bytes(PART_BYTES)

    async def work() -> None:
        task = asyncio.create_task(bucket.awrite("a", endless()))
        assert await asyncio.to_thread(begun.wait, 60)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    with use_platform(Platform(Slow())):
        asyncio.run(work())
        assert given_up.wait(60)


class Breaking(Driver):
    """Hands out ``data``, and breaks after each ``every`` bytes of one connection."""

    def __init__(self, data: bytes, every: int) -> None:
        super().__init__()
        self.data, self.every = data, every
        self.opened: list[tuple[int | None, int | None, str | None]] = []
        self.closed = 0

    def open(self, key: str, start: int | None, end: int | None, if_match: str | None) -> tuple[BlobInfo, Any]:
        self.opened.append((start, end, if_match))

        def chunks() -> Iterator[bytes]:
            try:
                yield self.data[start or 0 :][: self.every]
                if len(self.data) - (start or 0) > self.every:
                    raise UnavailableError("the connection broke", resource="bucket photos", key=key)
            finally:
                self.closed += 1

        return BlobInfo(key, len(self.data), "e1"), chunks()


def test_reading_goes_on_where_the_connection_broke() -> None:
    driver = Breaking(b"0123456789", 4)
    with use_platform(Platform(driver)), bucket.open("a") as blob:
        assert blob.read() == b"0123456789"
        assert blob.info.etag == "e1"
    assert driver.opened == [(None, None, None), (4, None, "e1"), (8, None, "e1")]
    assert driver.closed == 3


def test_reading_does_not_go_on_for_ever() -> None:
    driver = Breaking(b"0123456789", 2)
    with use_platform(Platform(driver)), bucket.open("a") as blob, pytest.raises(UnavailableError):
        blob.read()
    assert len(driver.opened) == 3


def test_an_async_reader_has_to_be_entered() -> None:
    async def work() -> None:
        with pytest.raises(ValueError, match="async with"):
            await bucket.aopen("a").read()

    asyncio.run(work())


# --- the other calls


@pytest.mark.parametrize(
    ("options", "sent"),
    [({"if_match": "e"}, ("e", None)), ({"if_none_match": "e"}, (None, "e"))],
)
def test_conditional_reads(driver: Driver, do: Any, options: Any, sent: Any) -> None:
    do("read", "a", start=1, **options)
    assert driver.calls == [("read", ("a", 1, None, *sent), {})]
    with pytest.raises(ValueError, match="exclude each other"):
        do("read", "a", if_match="e", if_none_match="e")


def test_many_keys_go_a_thousand_at_a_time_each_once(driver: Driver, do: Any) -> None:
    driver.answers["delete_many"] = ["failure"]
    keys = [f"{n:04}" for n in range(2500)]
    assert do("delete_many", iter([*keys, "2499"])) == ["failure"] * 3
    assert [len(args[0]) for _, args, _ in driver.calls] == [1000, 1000, 500]
    assert [key for _, args, _ in driver.calls for key in args[0]] == keys
    driver.calls.clear()
    assert do("delete_many", []) == []
    with pytest.raises(ValueError, match="bucket photos"):
        do("delete_many", ["a", ""])
    assert driver.calls == []


def test_a_copy_onto_itself_is_none(driver: Driver, do: Any) -> None:
    do("copy", "a", "a")
    do("copy", "a", "b")
    do("copy", "a", "a", to=Bucket("other"))
    assert [method for method, _, _ in driver.calls] == ["stat", "copy", "copy"]


@pytest.mark.parametrize(
    ("options", "wrong"),
    [
        ({"expires": timedelta(0)}, "expires after"),
        ({"expires": timedelta(days=7, seconds=1)}, "expires after"),
        ({"expires": timedelta(hours=1), "method": "DELETE"}, "GET or PUT"),
        ({"expires": timedelta(hours=1), "content_type": "image/png"}, "what a PUT has to have"),
        ({"expires": timedelta(hours=1), "method": "PUT", "content_type": "a\nb"}, "no header's value"),
    ],
)
def test_urls_no_cloud_signs_are_refused(driver: Driver, do: Any, options: Any, wrong: str) -> None:
    with pytest.raises(ValueError, match=wrong):
        do("url", "a", **options)
    assert driver.calls == []


def test_a_signed_url_goes_into_an_answer_as_it_is() -> None:
    url = SignedURL("https://example.org/a?b", "PUT", {"content-type": "image/png"})
    assert encode_text({"url": url}) == '{"url":"https://example.org/a?b"}'
    assert (url, url.method, url.headers) == ("https://example.org/a?b", "PUT", {"content-type": "image/png"})
