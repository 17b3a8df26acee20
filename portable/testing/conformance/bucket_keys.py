"""What every bucket keeps about keys: any key comes back exactly, no two are one, and listings are in order."""

from __future__ import annotations

from typing import ClassVar

import pytest

from portable.resources.bucket import Bucket
from portable.testing.conformance.cases import Conformance, together

__all__ = ["HOSTILE_KEYS", "BucketKeys"]

HOSTILE_KEYS = {
    "plain": "plain",
    "below_a_blob": "plain/below",
    "parent": "../x",
    "parent_inside": "a/../b",
    "dot_inside": "a/./b",
    "dot": ".",
    "two_dots": "..",
    "slash": "a/b",
    "two_slashes": "a//b",
    "leading_slash": "/a/b",
    "trailing_slash": "a/b/",
    "only_a_slash": "/",
    "trailing_dot": "a/b.",
    "trailing_space": "a/b ",
    "leading_space": " a/b",
    "escaped_slash": "a%2Fb",
    "escaped_escape": "a%252Fb",
    "percent": "100%",
    "plus": "a+b",
    "space": "a b",
    "backslash": "a\\b",
    "query": "a?b=c&d",
    "fragment": "a#b",
    "markup": "<a>&amp;'\"</a>",
    "windows": 'con:*|"?',
    "emoji": "🐍/é ✓",
    "composed": "caf\u00e9",
    "decomposed": "cafe\u0301",
    "upper": "Case/Pair",
    "lower": "case/pair",
    "temporary": ".tmp-0",
    "beyond_the_basic_plane": "\U0001f600",
    "end_of_the_basic_plane": "\uffee",
    "nul": "a\0b",
    "only_nul": "\0",
    "line_feed": "a\nb",
    "carriage_return": "a\rb",
    "drive": "C:\\x",
    "home": "~/x",
    "three_dots": "a/.../b",
    "all_dots": "../../../../etc/passwd",
    "device": "NUL.txt",
    "longest": "k" * 1024,
    "longest_but_for_its_end": "k" * 1023 + "l",
    "longest_unicode": "é/" * 341 + "x",
}


def _in_order(keys: list[str]) -> list[str]:
    return sorted(keys, key=str.encode)


class BucketKeys(Conformance):
    """Cases on keys and listings.

    Attributes:
        spoiled_characters: characters in a key that the emulator in use spoils; the reason stands where it is set.
        page_size: rows the driver fetches at a time; a case lists a few more than that.
    """

    spoiled_characters: ClassVar[str] = ""
    page_size: ClassVar[int] = 1000

    def _hostile_keys(self) -> dict[str, str]:
        return {name: key for name, key in HOSTILE_KEYS.items() if not set(key) & set(self.spoiled_characters)}

    @pytest.mark.parametrize("name", HOSTILE_KEYS)
    def test_hostile_key(self, bucket: Bucket, name: str) -> None:
        key = HOSTILE_KEYS[name]
        assert not bucket.exists(key)
        assert bucket.write(key, name).key == key
        assert bucket.read(key) == name.encode()
        assert bucket.stat(key).key == key
        assert [row.key for row in bucket.list()] == [key]
        assert [row.key for row in bucket.list(key)] == [key]
        bucket.delete(key)
        assert not bucket.exists(key)

    def test_hostile_keys_never_collide(self, bucket: Bucket) -> None:
        keys = self._hostile_keys()
        for name, key in keys.items():
            bucket.write(key, name, if_absent=True)
        assert [row.key for row in bucket.list()] == _in_order(list(keys.values()))
        for name, key in keys.items():
            assert bucket.read(key) == name.encode()
        removed = keys.pop("slash")
        bucket.delete(removed)
        assert not bucket.exists(removed)
        assert [row.key for row in bucket.list()] == _in_order(list(keys.values()))

    # --- listings

    @staticmethod
    def _fill(bucket: Bucket, keys: list[str]) -> None:
        for key in keys:
            bucket.write(key, key)

    def test_list_nothing(self, bucket: Bucket) -> None:
        assert list(bucket.list()) == []
        assert list(bucket.list("in/", delimiter="/")) == []

    def test_list_in_order_of_utf8(self, bucket: Bucket) -> None:
        # UTF-16, which some stores sort by, puts the last two the other way round.
        keys = ["A", "Z", "a", "a-", "a/b", "a0", "b", "é", "\uffee", "\U0001f600"]
        self._fill(bucket, keys[::-1])
        assert [row.key for row in bucket.list()] == keys

    def test_list_rows(self, bucket: Bucket) -> None:
        bucket.write("a", b"12345")
        [row] = bucket.list()
        info = bucket.stat("a")
        assert (row.key, row.size, row.is_prefix, row.etag) == ("a", 5, False, info.etag)
        assert row.time is not None
        assert row.time.utcoffset() is not None

    @pytest.mark.parametrize(
        ("prefix", "expected"),
        [
            ("in/", ["in/a", "in/b/c"]),
            ("in", ["in/a", "in/b/c", "inner"]),
            ("in/b", ["in/b/c"]),
            ("in/b/c", ["in/b/c"]),
            ("in/b/c/", []),
            ("IN/", []),
            ("100%", ["100%_x"]),
            ("é", ["é1"]),
        ],
    )
    def test_list_prefix(self, bucket: Bucket, prefix: str, expected: list[str]) -> None:
        self._fill(bucket, ["100%_x", "100x", "in/a", "in/b/c", "inner", "out", "é1"])
        assert [row.key for row in bucket.list(prefix)] == expected

    @pytest.mark.parametrize(
        ("prefix", "delimiter", "expected"),
        [
            ("", "/", ["a", "b/", "b0", "c/"]),
            ("b/", "/", ["b/", "b/1", "b/2/"]),
            ("b", "/", ["b/", "b0"]),
            ("b/2/", "/", ["b/2/x", "b/2/y"]),
            ("c/", "/", ["c//"]),
            ("b/1", "/", ["b/1"]),
        ],
    )
    def test_list_delimiter(self, bucket: Bucket, prefix: str, delimiter: str, expected: list[str]) -> None:
        self._fill(bucket, ["a", "b/", "b/1", "b/2/x", "b/2/y", "b0", "c//d"])
        rows = list(bucket.list(prefix, delimiter=delimiter))
        assert [row.key for row in rows] == expected
        for row in rows:
            assert row.is_prefix == (row.key.endswith(delimiter) and row.key != prefix)

    def test_list_more_than_a_page(self, bucket: Bucket) -> None:
        count = self.page_size + 3
        keys = [f"in/{n:06}" for n in range(count)]
        threads = 8

        def fill(position: int) -> None:
            for key in keys[position::threads]:
                bucket.write(key, b"")

        assert together(threads, fill) == [None] * threads
        bucket.write("out", b"")
        rows = bucket.list("in/")
        assert iter(rows) is rows  # pages come as they are asked for
        assert next(rows).key == keys[0]
        assert [row.key for row in rows] == keys[1:]
        assert [row.key for row in bucket.list(delimiter="/")] == ["in/", "out"]
