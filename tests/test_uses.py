"""Which resources a handler is seen to use, through code of every shape."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from portable import ConfigError
from portable.app import load_app
from portable.manifest import Manifest, describe_app
from portable.uses import in_project, resources_used

STORE = """
    from portable import Bucket, Queue
    uploads = Bucket("uploads")
    thumbs = Bucket("thumbs")
    emails = Queue("emails")
    other = Bucket("other")
"""

Project = Callable[..., Path]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    """Writes a project's modules, ``__`` in a name for a folder; they are forgotten when the test ends."""
    root = tmp_path.resolve()
    monkeypatch.syspath_prepend(str(root))

    def write(**modules: str) -> Path:
        for name, source in {"store": STORE, **modules}.items():
            path = root.joinpath(*name.split("__")).with_suffix(".py")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(textwrap.dedent(source))
        return root

    yield write
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None) or next(iter(getattr(module, "__path__", ())), None)
        if file is not None and str(file).startswith(str(root)):
            del sys.modules[name]


def used(root: Path, source: str) -> list[str]:
    """Names of the resources that ``handler`` of a module with this source uses."""
    root.joinpath("under_test.py").write_text("from __future__ import annotations\n" + textwrap.dedent(source))
    module = __import__("under_test")
    return sorted(name for _, name in resources_used([module.handler], root))


SHAPES = {
    "a global": """
        from store import uploads
        def handler(): return uploads.read("a")
    """,
    "a global of another name": """
        from store import uploads as photos
        def handler(): return photos.read("a")
    """,
    "a module's attribute": """
        import store
        def handler(): return store.uploads.read("a")
    """,
    "a module of another name": """
        import store as s
        def handler(): return s.uploads.read("a")
    """,
    "a function": """
        from store import uploads
        def read(): return uploads.read("a")
        def again(): return read()
        def handler(): return again()
    """,
    "functions that call each other": """
        from store import uploads
        def ping(n): return pong(n - 1) if n else uploads.read("a")
        def pong(n): return ping(n)
        def handler(): return ping(5)
    """,
    "a lambda, a comprehension and a nested function": """
        from store import uploads
        def handler():
            def inner(): return [(lambda: uploads.read(key))() for key in "ab"]
            return inner()
    """,
    "a closure": """
        from store import uploads
        def make(bucket):
            def handler(): return bucket.read("a")
            return handler
        handler = make(uploads)
    """,
    "a closure filled later": """
        from store import uploads
        def make():
            def handler(): return inner()
            def inner(): return uploads.read("a")
            return handler
        handler = make()
    """,
    "a default": """
        from store import uploads
        def handler(bucket=uploads): return bucket.read("a")
    """,
    "a keyword-only default": """
        from store import uploads
        def handler(*, bucket=uploads): return bucket.read("a")
    """,
    "a decorator with wraps": """
        import functools
        from store import uploads
        def logged(function):
            @functools.wraps(function)
            def wrapper(*args): return function(*args)
            return wrapper
        @logged
        def handler(): return uploads.read("a")
    """,
    "a decorator without wraps": """
        from store import uploads
        def logged(function):
            def wrapper(*args): return function(*args)
            return wrapper
        @logged
        def handler(): return uploads.read("a")
    """,
    "a decorator that uses it": """
        import functools
        from store import uploads
        def logged(function):
            @functools.wraps(function)
            def wrapper(*args):
                uploads.write("log", b"")
                return function(*args)
            return wrapper
        @logged
        def handler(): return 1
    """,
    "a decorator of a library": """
        import contextlib
        from store import uploads
        @contextlib.contextmanager
        def opened(): yield uploads
        def handler():
            with opened() as bucket: return bucket.read("a")
    """,
    "a cached function": """
        import functools
        from store import uploads
        @functools.cache
        def read(): return uploads.read("a")
        def handler(): return read()
    """,
    "a partial": """
        import functools
        from store import uploads
        def read(bucket, key): return bucket.read(key)
        handler = functools.partial(read, uploads)
    """,
    "a keyword of a partial": """
        import functools
        from store import uploads
        def read(key, bucket): return bucket.read(key)
        handler = functools.partial(read, bucket=uploads)
    """,
    "single dispatch": """
        import functools
        from store import uploads
        @functools.singledispatch
        def read(key): ...
        @read.register
        def _(key: str): return uploads.read(key)
        def handler(): return read("a")
    """,
    "a class": """
        from store import uploads
        class Shop:
            def read(self): return uploads.read("a")
        def handler(): return Shop().read()
    """,
    "a base class": """
        from store import uploads
        class Base:
            def read(self): return uploads.read("a")
        class Shop(Base): ...
        def handler(): return Shop().read()
    """,
    "a class attribute": """
        from store import uploads
        class Shop:
            bucket = uploads
        def handler(): return Shop.bucket.read("a")
    """,
    "a property": """
        from store import uploads
        class Shop:
            @property
            def photo(self): return uploads.read("a")
        def handler(): return Shop().photo
    """,
    "a cached property": """
        import functools
        from store import uploads
        class Shop:
            @functools.cached_property
            def photo(self): return uploads.read("a")
        def handler(): return Shop().photo
    """,
    "a static and a class method": """
        from store import uploads
        class Shop:
            @staticmethod
            def one(): return uploads.read("a")
            @classmethod
            def two(cls): return cls.one()
        def handler(): return Shop.two()
    """,
    "a method as the handler": """
        from store import uploads
        class Shop:
            def read(self): return uploads.read("a")
        handler = Shop().read
    """,
    "a callable object as the handler": """
        from store import uploads
        class Shop:
            def __call__(self): return uploads.read("a")
        handler = Shop()
    """,
    "an object's attribute": """
        from store import uploads
        class Shop:
            def __init__(self, bucket): self.bucket = bucket
            def read(self): return self.bucket.read("a")
        shop = Shop(uploads)
        def handler(): return shop.read()
    """,
    "the attribute of a method's object": """
        from store import uploads
        class Shop:
            def __init__(self, bucket): self.bucket = bucket
            def read(self): return self.bucket.read("a")
        handler = Shop(uploads).read
    """,
    "a slot": """
        from store import uploads
        class Shop:
            __slots__ = ("bucket", "unset")
            def __init__(self, bucket): self.bucket = bucket
        shop = Shop(uploads)
        def handler(): return shop.bucket.read("a")
    """,
    "a dataclass": """
        from dataclasses import dataclass
        from store import uploads
        @dataclass(slots=True)
        class Shop:
            bucket: object
        shop = Shop(uploads)
        def handler(): return shop.bucket.read("a")
    """,
    "an enum's member": """
        import enum
        from store import uploads
        class Places(enum.Enum):
            PHOTOS = uploads
        def handler(): return Places.PHOTOS.value.read("a")
    """,
    "a list": """
        from store import uploads
        every = [uploads]
        def handler(): return every[0].read("a")
    """,
    "a dict of tuples": """
        from store import uploads
        by_name = {"a": (1, uploads)}
        def handler(name): return by_name[name][1].read("a")
    """,
    "functions in a dict": """
        from store import uploads
        def read(): return uploads.read("a")
        actions = {"read": read}
        def handler(name): return actions[name]()
    """,
    "a package's module": """
        import pack.inner.deep
        def handler(): return pack.inner.deep.uploads.read("a")
    """,
    "a function of a package's module": """
        import pack.inner.deep as d
        def handler(): return d.read()
    """,
    "an import inside": """
        import store
        def handler():
            from store import uploads as u
            return u.read("a")
    """,
    "a module imported inside": """
        import pack.inner.deep
        def handler():
            import pack.inner.deep
            return pack.inner.deep.read()
    """,
    "an async function": """
        from store import uploads
        async def read(): return await uploads.aread("a")
        async def handler(): return await read()
    """,
    "a generator": """
        from store import uploads
        def keys(): yield from uploads.list()
        def handler(): return list(keys())
    """,
}


@pytest.mark.parametrize("shape", SHAPES)
def test_a_resource_is_seen_through(project: Project, shape: str) -> None:
    root = project(pack__inner__deep="from store import uploads\ndef read(): return uploads.read('a')\n")
    for name in ("pack", "pack/inner"):
        root.joinpath(name, "__init__.py").touch()
    assert used(root, SHAPES[shape]) == ["uploads"]


def test_an_import_inside_of_a_module_beside_it(project: Project) -> None:
    root = project(
        near__storage="from portable import Bucket\nnear = Bucket('near')\n",
        near__work="from . import storage\ndef read():\n    from .storage import near\n    return near.read('a')\n",
    )
    root.joinpath("near", "__init__.py").touch()
    assert used(root, "from near.work import read as handler") == ["near"]


def test_what_is_not_used_is_not_found(project: Project) -> None:
    source = """
        import json, store
        from store import emails, thumbs, uploads
        def unused(): return emails
        def handler(bucket: thumbs = None, name="uploads"):
            "uploads"
            other = 5
            return json.dumps(other)
    """
    assert used(project(), source) == []


def test_several_handlers_share_what_they_use(project: Project) -> None:
    root = project()
    root.joinpath("two.py").write_text(
        "from store import *\ndef one(): return uploads\ndef two(): return [thumbs, emails]\n"
    )
    module = __import__("two")
    assert resources_used([module.one, module.two], root) == {
        ("bucket", "uploads"),
        ("bucket", "thumbs"),
        ("queue", "emails"),
    }


def test_nothing_is_called(project: Project) -> None:
    source = """
        from store import uploads
        class Trap:
            def __getattr__(self, name): raise SystemExit(name)
            @property
            def func(self): raise SystemExit
            @property
            def __wrapped__(self): raise SystemExit
            def __call__(self): raise SystemExit
            def __iter__(self): raise SystemExit
            def __eq__(self, other): raise SystemExit
            __hash__ = None
            def use(self): return uploads
        trap = Trap()
        def handler(): return trap.use()
    """
    assert used(project(), source) == ["uploads"]


@pytest.mark.parametrize(
    ("path", "ours"),
    [
        ("app.py", True),
        ("pack/app.py", True),
        (".venv/lib/python3.13/site-packages/x.py", False),
        ("venv/lib/site-packages/x.py", False),
        ("dist/aws/bundle/app.py", False),
        ("node_modules/x/y.py", False),
        (".portable/app.py", False),
        ("distance/app.py", True),
        ("../other/app.py", False),
    ],
)
def test_what_is_the_projects_own(tmp_path: Path, path: str, ours: bool) -> None:
    assert in_project(tmp_path / path, tmp_path.resolve()) is ours


# --- in a manifest


APP = """
    from portable import App
    import store
    app = App("traced")

    @app.get("/")
    def home(): return store.uploads.read("a")

    @app.on_message(store.emails)
    def send(message): ...

    @app.on_blob(store.uploads)
    def shrink(event): store.thumbs.write(event.key, b"")

    @app.function()
    def idle(payload): ...
"""


def uses(manifest: Manifest) -> dict[str, list[str]]:
    return {function.name: function.uses for function in manifest.functions}


def test_each_function_gets_what_it_uses_and_everyone_what_nobody_is_seen_to(project: Project) -> None:
    root = project(traced=APP)
    manifest = describe_app(load_app("traced:app"), "traced:app", root)
    assert uses(manifest) == {
        "http": ["bucket:other", "bucket:uploads"],
        "send": ["bucket:other", "queue:emails"],
        "shrink": ["bucket:other", "bucket:thumbs", "bucket:uploads"],
        "idle": ["bucket:other"],
    }
    assert [f"{one.kind} {one.name} {one.where}" for one in manifest.resources] == [
        "bucket other store.py:6",
        "bucket thumbs store.py:4",
        "bucket uploads store.py:3",
        "queue emails store.py:5",
    ]


def test_a_manifest_of_some_functions_has_their_resources_alone(project: Project) -> None:
    root = project(traced=APP)
    manifest = describe_app(load_app("traced:app"), "traced:app", root)
    part = manifest.only(["send", "nobody"])
    assert list(uses(part)) == ["send"]
    assert [one.name for one in part.resources] == ["other", "emails"]
    assert (part.app, part.spec, part.models) == ("traced", "traced:app", False)
    assert manifest.only([]).resources == []


def test_a_resource_of_an_imported_module_is_declared_twice_only_alike(project: Project) -> None:
    root = project(traced=APP, again="from portable import Queue\nmore = Queue('emails', max_attempts=9)\n")
    app = load_app("traced:app")
    __import__("again")
    with pytest.raises(ConfigError, match=r"queue emails at again\.py:2 differs from its declaration at store\.py:5"):
        describe_app(app, "traced:app", root)
