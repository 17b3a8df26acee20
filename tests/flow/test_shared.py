"""Functions that call the same helpers: those are followed once, and each function may do what it may when alone."""

from __future__ import annotations

import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from portable import uses
from portable.flow import roots
from portable.flow.reading import read_scope
from portable.flow.shared import Shared

sys.path.insert(0, str(Path(__file__).parent))
import programs

sys.path.pop(0)

TOGETHER = {
    "what another function puts into a global": """
kept = None
def keep(b):
    global kept
    kept = b
def use(): kept.read('a')
def first(): use()
def second():
    keep(uploads)
    use()
def third(): use()
""",
    "a helper that each gives another bucket": """
def save(b, key): b.write(key, b'')
def put(b): save(b, 'k')
def first(): put(uploads)
def second(): put(thumbs)
def third():
    put(uploads)
    put(thumbs)
""",
    "an attribute that one of them sets": """
class Shop:
    bucket = None
    def use(self): self.bucket.list()
shop = Shop()
def use(): shop.use()
def first(): use()
def second():
    shop.bucket = uploads
    use()
def third():
    use()
    shop.bucket = thumbs
""",
    "a list that one of them appends to": """
kept = []
def use():
    for one in kept: one.delete('a')
def first(): use()
def second():
    kept.append(uploads)
    use()
def third(): use()
""",
    "what comes back": """
def make(): return [uploads]
def pick(): return make()[0]
def first(): pick().read('a')
def second(): pick().write('a', b'')
def third(): return pick()
""",
    "who may be meant is what a function can reach by name": """
class Eager:
    def go(self): uploads.read('a')
class Lazy:
    def go(self): thumbs.read('a')
def run(one): one.go()
def hand():
    import json
    run(json.loads('x'))
def first():
    Eager
    hand()
def second():
    Lazy
    hand()
def third(): hand()
""",
    "one that calls itself, and one that calls it": """
def down(n):
    uploads.read('a')
    return up(n)
def up(n):
    thumbs.list()
    return down(n)
def first(): down(1)
def second(): up(1)
def third():
    up(1)
    uploads.delete('a')
""",
    "functions within functions": """
def outer():
    bucket = uploads
    def inner(key): return bucket.read(key)
    return inner
def first(): outer()('a')
def second(): return [one('b') for one in [outer()]]
def third():
    def inner(b): b.write('a', b'')
    inner(thumbs)
    outer()
""",
    "any number of arguments": """
def each(*buckets, **more):
    for one in buckets: one.read('a')
    for one in more.values(): one.delete('a')
def first(): each(uploads)
def second(): each(uploads, of=thumbs)
def third(): each()
""",
}


@pytest.mark.parametrize("name", TOGETHER)
def test_each_may_do_what_it_may_alone(name: str, tmp_path: Path) -> None:
    root = tmp_path.resolve()
    with programs.imported(root, TOGETHER[name]) as (program, declared):
        functions = [program.first, program.second, program.third]
        alone = [uses.grants_used([one], root, declared) for one in functions]
        for order in (functions, functions[::-1], [*functions[1:], *functions]):
            shared = Shared()
            found = {one.__name__: uses.grants_used([one], root, declared, shared) for one in order}
            assert [found[one.__name__] for one in functions] == alone


def test_what_is_read_grows_with_the_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Forty helpers that call one another, and functions that call some of them: neither times the other."""
    source = ""
    for number in range(40):
        source += f"def work_{number}(key):\n uploads.read(clean_{number}(key))\n work_{(number + 1) % 40}(key)\n"
        source += f"def clean_{number}(key): return key.strip()\n"
    for number in range(80):
        source += f"def handler_{number}(key: str): work_{number % 40}(key)\n"
    read: list[Any] = []

    def count(trace: Any, scope: Any) -> None:
        read.append(scope)
        read_scope(trace, scope)

    monkeypatch.setattr(roots, "read_scope", count)
    root = tmp_path.resolve()
    with programs.imported(root, source) as (program, declared):
        shared, counts = Shared(), []
        for number in range(80):
            grants, notes = uses.grants_used([getattr(program, f"handler_{number}")], root, declared, shared)
            assert (grants, notes) == ({("bucket", "uploads"): {"read"}}, [])
            counts.append(len(read))
    assert counts[0] >= 81
    assert [later - earlier for earlier, later in pairwise(counts)] == [1] * 79
