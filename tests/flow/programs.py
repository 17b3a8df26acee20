"""Programs of every shape, and what their handler may do. Run alone, it checks them under the Python that runs it."""

# ruff: noqa: E501, ISC004, T201 - sources of programs, and a script that prints

from __future__ import annotations

import importlib.util
import sys
import tempfile
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

STORE = """
    from datetime import timedelta
    from portable import App, Bucket, Cache, Config, Queue, Secret, Sockets, Stream, Table, Topic
    app = App("programs")
    uploads = Bucket("uploads")
    thumbs = Bucket("thumbs")
    large = Bucket("large")
    emails = Queue("emails")
    bulky = Queue("bulky", large=large)
    users = Table("users", key="id")
    kept = Table("kept", key="id", ttl="ends")
    news = Topic("news")
    clicks = Stream("clicks")
    key = Secret("key")
    flag = Config("flag")
    hits = Cache("hits")
    groups = Table("groups", key="owner", sort="member", ttl="expires")
    chat = Sockets("chat", groups)
    BUCKETS = {"in": uploads, "out": thumbs}
"""

ALL = "delete list read write"

# name: (source, expected grants by resource, whether something goes out of sight)
PROGRAMS: dict[str, tuple[str, dict[str, str], bool]] = {
    "a global": ("def handler(): uploads.read('a')", {"uploads": "read"}, False),
    "an async twin": ("async def handler(): await uploads.aread('a')", {"uploads": "read"}, False),
    "a method as a value": ("def handler():\n w = uploads.write\n w('a', b'')", {"uploads": "write"}, False),
    "a typed dict and a protocol in annotations": (
        "import typing\nclass Row(typing.TypedDict):\n id: int\nclass Has(typing.Protocol):\n id: int\n"
        "def handler(row: Row, has: Has): uploads.read('a')",
        {"uploads": "read"},
        False,
    ),
    "another name": ("photos = uploads\ndef handler():\n p = photos\n p.delete('a')", {"uploads": "delete"}, False),
    "a walrus": ("def handler():\n if (b := uploads).exists('a'): b.list()", {"uploads": "list read"}, False),
    "an argument": (
        "def put(bucket, key): bucket.write(key, b'')\ndef handler(): put(uploads, 'a')",
        {"uploads": "write"},
        False,
    ),
    "an argument by name, and a default": (
        "def put(key, *, bucket=thumbs): bucket.write(key, b'')\ndef handler():\n put('a', bucket=uploads)",
        {"uploads": "write", "thumbs": "write"},
        False,
    ),
    "arguments in a star": (
        "def move(a, b): b.write('k', a.read('k'))\ndef handler():\n pair = (uploads, thumbs)\n move(*pair)",
        {"uploads": "read write", "thumbs": "read write"},
        False,
    ),
    "arguments by spread": (
        "def move(a, b): b.write('k', a.read('k'))\ndef handler(): move(**{'a': uploads, 'b': thumbs})",
        {"uploads": "read", "thumbs": "write"},
        False,
    ),
    "star parameters": (
        "def every(*buckets, **named):\n for b in buckets: b.list()\n named['x'].delete('a')\n"
        "def handler(): every(uploads, x=thumbs)",
        {"uploads": "list", "thumbs": "delete"},
        False,
    ),
    "a return": ("def pick(): return uploads\ndef handler(): pick().read('a')", {"uploads": "read"}, False),
    "several returns": (
        "def pick(): return uploads, thumbs\ndef handler():\n a, b = pick()\n a.read('x')\n b.write('x', b'')",
        {"uploads": "read", "thumbs": "write"},
        False,
    ),
    "a swap": (
        "def handler():\n a, b = uploads, thumbs\n a, b = b, a\n a.read('x')",
        {"uploads": "read", "thumbs": "read"},
        False,
    ),
    "a dict": ("def handler(): BUCKETS['in'].read('a')", {"uploads": "read"}, False),
    "a dict by a name at run time": (
        "def handler(name: str): BUCKETS[name].read('a')",
        {"uploads": "read", "thumbs": "read"},
        False,
    ),
    "a dict's methods": (
        "def handler(name: str):\n for b in BUCKETS.values(): b.list()\n BUCKETS.get(name).read('a')",
        {"uploads": "list read", "thumbs": "list read"},
        False,
    ),
    "a list that grows": (
        "def handler():\n found = []\n found.append(uploads)\n for one in found: one.list()",
        {"uploads": "list"},
        False,
    ),
    "containers in containers": (
        "def handler():\n x = {'a': [{'b': (uploads, 1)}]}\n x['a'][0]['b'][0].read('k')",
        {"uploads": "read"},
        False,
    ),
    "a comprehension": ("def handler(): return [b.stat('k') for b in (uploads,)]", {"uploads": "read"}, False),
    "a comprehension of a dict": (
        "def handler():\n d = {n: b for n, b in BUCKETS.items()}\n d['in'].delete('k')",
        {"uploads": "delete", "thumbs": "delete"},
        False,
    ),
    "a generator expression": (
        "def handler(): return sum(1 for _ in (i for i in uploads.list()))",
        {"uploads": "list"},
        False,
    ),
    "a lambda": ("def handler():\n f = lambda k: uploads.read(k)\n f('a')", {"uploads": "read"}, False),
    "lambdas of one line": (
        "fs = [lambda: uploads.read('a'), lambda: thumbs.list()]\ndef handler(): fs[0]()",
        {"uploads": "read", "thumbs": "list"},
        False,
    ),
    "a closure": (
        "def make(bucket):\n def inner(): return bucket.read('a')\n return inner\ninner = make(uploads)\n"
        "def handler(): inner()",
        {"uploads": "read"},
        False,
    ),
    "a closure made while it runs": (
        "def make(bucket):\n def inner(): return bucket.read('a')\n return inner\ndef handler(): make(uploads)()",
        {"uploads": "read"},
        False,
    ),
    "nonlocal": (
        "def handler():\n b = None\n def choose():\n  nonlocal b\n  b = uploads\n choose()\n b.read('a')",
        {"uploads": "read"},
        False,
    ),
    "a global that is set": (
        "current = None\ndef choose():\n global current\n current = uploads\ndef handler():\n choose()\n current.list()",
        {"uploads": "list"},
        False,
    ),
    "partial": (
        "from functools import partial\ndef put(b, k): b.write(k, b'')\nput_in = partial(put, uploads)\n"
        "def handler(): put_in('a')",
        {"uploads": "write"},
        False,
    ),
    "partial while it runs": (
        "import functools\ndef put(b, k): b.write(k, b'')\ndef handler(): functools.partial(put, uploads)('a')",
        {"uploads": "write"},
        False,
    ),
    "partial of a method": (
        "from functools import partial\ndef handler(): partial(uploads.read, 'a')()",
        {"uploads": "read"},
        False,
    ),
    "partialmethod": (
        "from functools import partialmethod\nclass R:\n def go(self, verb): return uploads.read(verb)\n"
        " a = partialmethod(go, 'a')\nr = R()\ndef handler(): r.a()",
        {"uploads": "read"},
        False,
    ),
    "a thread pool": (
        "from concurrent.futures import ThreadPoolExecutor\ndef put(b, k): b.write(k, b'')\n"
        "def handler():\n with ThreadPoolExecutor() as pool:\n  pool.submit(put, uploads, 'a').result()",
        {"uploads": "write"},
        False,
    ),
    "a thread": (
        "import threading\ndef put(b): b.write('k', b'')\n"
        "def handler(): threading.Thread(target=put, args=(uploads,)).start()",
        {"uploads": "write"},
        False,
    ),
    "to_thread and gather": (
        "import asyncio\nasync def one(b): return await b.aread('k')\ndef put(b): b.write('k', b'')\n"
        "async def handler():\n await asyncio.gather(one(uploads), asyncio.to_thread(put, thumbs))",
        {"uploads": "read", "thumbs": "write"},
        False,
    ),
    "map": (
        "def put(b): b.write('k', b'')\ndef handler(): list(map(put, [uploads]))",
        {"uploads": "write"},
        False,
    ),
    "a key of sorted": (
        "def handler(): sorted(['a'], key=lambda k: uploads.stat(k).size)",
        {"uploads": "read"},
        False,
    ),
    "a decorator with wraps": (
        "import functools\ndef logged(f):\n @functools.wraps(f)\n def w(*a, **k): return f(*a, **k)\n return w\n"
        "@logged\ndef put(b): b.write('k', b'')\ndef handler(): put(uploads)",
        {"uploads": "write"},
        False,
    ),
    "a decorator with arguments, of a handler": (
        "def times(n):\n def deco(f):\n  def w(*a):\n   for _ in range(n): f(*a)\n  return w\n return deco\n"
        "@times(2)\ndef handler(): uploads.delete('a')",
        {"uploads": "delete"},
        False,
    ),
    "lru_cache": (
        "from functools import lru_cache\n@lru_cache\ndef load(k): return uploads.read(k)\ndef handler(): load('a')",
        {"uploads": "read"},
        False,
    ),
    "a context manager of a generator": (
        "from contextlib import contextmanager\n@contextmanager\ndef opened():\n yield uploads\n"
        "def handler():\n with opened() as b: b.read('a')",
        {"uploads": "read"},
        False,
    ),
    "a context manager of a class": (
        "class C:\n def __enter__(self): return thumbs\n def __exit__(self, *e): uploads.delete('a')\n"
        "def handler():\n with C() as b: b.list()",
        {"uploads": "delete", "thumbs": "list"},
        False,
    ),
    "a generator": (
        "def several():\n yield uploads\n yield from [thumbs]\ndef handler():\n for b in several(): b.list()",
        {"uploads": "list", "thumbs": "list"},
        False,
    ),
    "an async generator": (
        "async def several():\n yield uploads\nasync def handler():\n async for b in several(): await b.aread('a')",
        {"uploads": "read"},
        False,
    ),
    "a repository": (
        "class Repo:\n def __init__(self, table): self.table = table\n def get(self, k): return self.table.get(k)\n"
        " def put(self, i): return self.table.put(i)\nrepo = Repo(users)\ndef handler(): repo.get('a')",
        {"users": "read"},
        False,
    ),
    "a repository made while it runs": (
        "class Repo:\n def __init__(self, table): self.table = table\n def get(self, k): return self.table.get(k)\n"
        " def put(self, i): return self.table.put(i)\ndef handler(): Repo(users).put({})",
        {"users": "write"},
        False,
    ),
    "a dataclass": (
        "from dataclasses import dataclass\n@dataclass\nclass S:\n b: object\n n: int = 0\n def go(self): self.b.list()\n"
        "def handler(): S(uploads).go()",
        {"uploads": "list"},
        False,
    ),
    "a dataclass, live, frozen, with slots": (
        "from dataclasses import dataclass\n@dataclass(frozen=True, slots=True)\nclass S:\n b: object\n"
        " def go(self): self.b.list()\ns = S(uploads)\ndef handler(): s.go()",
        {"uploads": "list"},
        False,
    ),
    "a default factory": (
        "from dataclasses import dataclass, field\ndef made(): return uploads\n@dataclass\nclass S:\n"
        " b: object = field(default_factory=made)\ndef handler(): S().b.read('a')",
        {"uploads": "read"},
        False,
    ),
    "a named tuple": (
        "from typing import NamedTuple\nclass P(NamedTuple):\n a: object\n b: object\np = P(uploads, thumbs)\n"
        "def handler(): p.a.read('k')",
        {"uploads": "read"},
        False,
    ),
    "inheritance": (
        "class A:\n bucket = uploads\n def go(self): self.step()\n def step(self): pass\n"
        "class B(A):\n def step(self): self.bucket.read('a')\ndef handler(): B().go()",
        {"uploads": "read"},
        False,
    ),
    "super": (
        "class A:\n def __init__(self, b): self.b = b\n def go(self): self.b.read('a')\n"
        "class B(A):\n def __init__(self): super().__init__(uploads)\n def go(self):\n  super().go()\n  thumbs.list()\n"
        "def handler(): B().go()",
        {"uploads": "read", "thumbs": "list"},
        False,
    ),
    "a mixin": (
        "class M:\n def save(self): self.bucket.write('k', b'')\nclass C(M):\n def __init__(self, b): self.bucket = b\n"
        "def handler(): C(uploads).save()",
        {"uploads": "write"},
        False,
    ),
    "a property": (
        "class C:\n @property\n def bucket(self): return uploads\ndef handler(): C().bucket.read('a')",
        {"uploads": "read"},
        False,
    ),
    "a property that is set": (
        "class C:\n @property\n def v(self): return 1\n @v.setter\n def v(self, x): uploads.write('k', x)\n"
        "c = C()\ndef handler(): c.v = b'1'",
        {"uploads": "write"},
        False,
    ),
    "cached_property": (
        "from functools import cached_property\nclass C:\n @cached_property\n def bucket(self): return uploads\n"
        "c = C()\ndef handler(): c.bucket.read('a')",
        {"uploads": "read"},
        False,
    ),
    "a class method and a static method": (
        "class C:\n b = uploads\n @classmethod\n def a(cls): return cls.b.read('a')\n @staticmethod\n"
        " def s(): return thumbs.list()\ndef handler():\n C.a()\n C().s()",
        {"uploads": "read", "thumbs": "list"},
        False,
    ),
    "a descriptor": (
        "class D:\n def __get__(self, o, t): return uploads\nclass C:\n b = D()\ndef handler(): C().b.read('a')",
        {"uploads": "read"},
        False,
    ),
    "a descriptor that is set": (
        "class D:\n def __set__(self, o, v): uploads.write('k', v)\nclass C:\n b = D()\n"
        "def handler():\n c = C()\n c.b = b'1'",
        {"uploads": "write"},
        False,
    ),
    "__getattr__": (
        "class P:\n def __getattr__(self, name): return getattr(uploads, 'read')\np = P()\ndef handler(): p.fetch('a')",
        {"uploads": "read"},
        False,
    ),
    "__call__": (
        "class C:\n def __call__(self, k): return uploads.read(k)\nc = C()\ndef handler(): c('a')",
        {"uploads": "read"},
        False,
    ),
    "operators": (
        "class C:\n def __add__(self, o): return uploads.read('a')\n def __contains__(self, o): return thumbs.exists(o)\n"
        "def handler():\n C() + 1\n return 1 in C()",
        {"uploads": "read", "thumbs": "read"},
        False,
    ),
    "formatting": (
        "class C:\n def __str__(self): return uploads.read('a').decode()\nc = C()\ndef handler(): return f'{c}'",
        {"uploads": "read"},
        False,
    ),
    "iteration over an object": (
        "class C:\n def __iter__(self): return iter([uploads])\ndef handler():\n for b in C(): b.delete('k')",
        {"uploads": "delete"},
        False,
    ),
    "indexing an object": (
        "class C:\n def __getitem__(self, k): return uploads\ndef handler(): C()['x'].read('k')",
        {"uploads": "read"},
        False,
    ),
    "keeping in an object's item": (
        "class C:\n def __setitem__(self, k, b): b.read(k)\ndef handler():\n c = C()\n c['x'] = uploads",
        {"uploads": "read"},
        False,
    ),
    "nested attributes": (
        "class Box: pass\nbox = Box()\nbox.inner = Box()\nbox.inner.bucket = uploads\n"
        "def handler(): box.inner.bucket.read('a')",
        {"uploads": "read"},
        False,
    ),
    "attributes that are set while it runs": (
        "class Box: pass\nbox = Box()\ndef fill(): box.bucket = uploads\ndef handler():\n fill()\n box.bucket.read('a')",
        {"uploads": "read"},
        False,
    ),
    "a SimpleNamespace": (
        "from types import SimpleNamespace\nns = SimpleNamespace(b=uploads)\ndef handler(): ns.b.read('a')",
        {"uploads": "read"},
        False,
    ),
    "a class within a function": (
        "def handler():\n class C:\n  def __init__(self, b): self.b = b\n  def go(self): self.b.read('a')\n C(uploads).go()",
        {"uploads": "read"},
        False,
    ),
    "a thread's class": (
        "import threading\nclass W(threading.Thread):\n def run(self): uploads.read('a')\ndef handler(): W().start()",
        {"uploads": "read"},
        False,
    ),
    "match": (
        "from dataclasses import dataclass\n@dataclass\nclass Job:\n b: object\n k: str\n"
        "def handler():\n match Job(uploads, 'x'):\n  case Job(b=b, k=str()): b.read('x')\n  case _: thumbs.list()",
        {"uploads": "read", "thumbs": "list"},
        False,
    ),
    "match by position, sequence and mapping": (
        "from dataclasses import dataclass\n@dataclass\nclass Job:\n b: object\n"
        "def handler():\n match Job(uploads):\n  case Job(b): b.read('x')\n match [thumbs]:\n  case [t, *_]: t.list()\n"
        " match {'q': emails}:\n  case {'q': q, **rest}: q.depth()",
        {"uploads": "read", "thumbs": "list", "emails": "depth"},
        False,
    ),
    "a conditional and or": (
        "def handler(flag: bool):\n (uploads if flag else thumbs).read('a')\n (None or uploads).list()",
        {"uploads": "list read", "thumbs": "read"},
        False,
    ),
    "try, finally and raise": (
        "class E(Exception):\n def __init__(self, b): self.b = b\ndef handler():\n try: raise E(uploads)\n"
        " except (ValueError, E) as e: e.b.read('a')\n finally: thumbs.list()",
        {"uploads": "read", "thumbs": "list"},
        False,
    ),
    "recursion": (
        "def ping(n, b): return pong(n - 1, b) if n else b.read('a')\ndef pong(n, b): return ping(n, b)\n"
        "def handler(): ping(5, uploads)",
        {"uploads": "read"},
        False,
    ),
    "getattr with a name": ("def handler(): getattr(uploads, 'read')('a')", {"uploads": "read"}, False),
    "getattr with a name at run time": ("def handler(n: str): getattr(uploads, n)('a')", {"uploads": ALL}, True),
    "getattr of a module": (
        "import store\ndef handler(n: str): getattr(store, n).read('a')",
        {"uploads": "read", "thumbs": "read", "large": "read"},
        True,
    ),
    "globals": (
        "def handler(n: str): globals()[n].read('a')",
        {"uploads": "read", "thumbs": "read", "large": "read"},
        True,
    ),
    "setattr": (
        "class Box: pass\nbox = Box()\ndef handler(n: str):\n setattr(box, n, uploads)\n box.anything.read('a')",
        {"uploads": "read"},
        False,
    ),
    "the class's function": (
        "from portable import Bucket\ndef handler(): Bucket.read(uploads, 'a')",
        {"uploads": "read"},
        False,
    ),
    "a stranger": ("import json\ndef handler(): json.dumps(uploads)", {"uploads": ALL}, True),
    "a stranger, in a list": ("import json\ndef handler(): json.dumps([{'a': uploads}])", {"uploads": ALL}, True),
    "a stranger, in an object": (
        "import pprint\nclass C:\n def __init__(self, b): self.b = b\ndef handler(): pprint.saferepr(C(uploads))",
        {"uploads": ALL},
        True,
    ),
    "a callback for a stranger": (
        "import re\ndef swap(m): return uploads.read('a').decode()\ndef handler(): re.sub('a', swap, 'b')",
        {"uploads": "read"},
        False,
    ),
    "what does no harm": (
        "import logging\nlog = logging.getLogger('x')\ndef handler():\n print(uploads)\n log.info('%s', uploads)\n"
        " str(uploads), uploads.name, isinstance(uploads, object), repr(thumbs)",
        {},
        False,
    ),
    "native": ("def handler(): uploads.native().anything()", {"uploads": ALL}, True),
    "copy": ("def handler(): uploads.copy('a', 'b', to=thumbs)", {"uploads": "read", "thumbs": "write"}, False),
    "copy within": ("def handler(): uploads.copy('a', 'b')", {"uploads": "read write"}, False),
    "a URL to read": (
        "from datetime import timedelta\ndef handler(): uploads.url('a', expires=timedelta(1))",
        {"uploads": "read"},
        False,
    ),
    "a URL to write": (
        "from datetime import timedelta\ndef handler(): thumbs.url('a', method='PUT', expires=timedelta(1))",
        {"thumbs": "write"},
        False,
    ),
    "a URL for either": (
        "from datetime import timedelta\ndef handler(m: str): thumbs.url('a', method=m, expires=timedelta(1))",
        {"thumbs": "read write"},
        False,
    ),
    "a write on a condition": (
        "def handler():\n uploads.write('a', b'', if_match='x')\n thumbs.write('a', b'', if_absent=True)",
        {"uploads": "read write", "thumbs": "write"},
        False,
    ),
    "data of an iterator": (
        "class Data:\n def __init__(self, b): self.b = b\n def __iter__(self): yield self.b.read('x')\n"
        "def handler(): thumbs.write('a', Data(uploads))",
        {"uploads": "read", "thumbs": "write"},
        False,
    ),
    "a transaction": (
        "def handler():\n with users.transaction() as change:\n  change.put({})\n  change.delete('a')\n"
        "async def other():\n async with kept.transaction() as c: c.check('a')\n",
        {"users": "delete write"},
        False,
    ),
    "a transaction by a name at run time": (
        "def handler(n: str):\n with users.transaction() as change: getattr(change, n)({})",
        {"users": "delete query read write"},
        True,
    ),
    "a large message": (
        "def handler(): bulky.send('x')",
        {"bulky": "send", "large": "delete write"},
        False,
    ),
    "a pull worker": (
        "def handler():\n for d in bulky.receive():\n  d.ack()",
        {"bulky": "receive", "large": "delete read"},
        False,
    ),
    "every method of a queue": (
        "def handler():\n emails.depth()\n emails.purge()\n emails.dead_letters()\n emails.redrive()",
        {"emails": "dead_letters depth purge send"},
        False,
    ),
    "sockets": (
        "def handler(): chat.join('c', 'g')",
        {"chat": "", "groups": "write"},
        False,
    ),
    "a broadcast": (
        "async def handler(): await chat.abroadcast('g', 'x')",
        {"chat": "send", "groups": "delete query"},
        False,
    ),
    "the others": (
        "def handler():\n news.publish('x')\n clicks.send('x', key='k')\n key.value()\n flag.value()\n hits.get('a')",
        {"news": "publish", "clicks": "send", "key": "read", "flag": "read", "hits": "use"},
        False,
    ),
    "a dependency": (
        "from typing import Annotated\nfrom portable import Depends\ndef bucket(): return uploads\n"
        "def handler(b: Annotated[object, Depends(bucket)]): b.read('a')",
        {"uploads": "read"},
        False,
    ),
    "a dependency of a dependency, as a generator": (
        "from typing import Annotated\nfrom portable import Depends\ndef bucket():\n yield uploads\n thumbs.list()\n"
        "class Repo:\n def __init__(self, b): self.b = b\n def get(self): self.b.read('a')\n def put(self): self.b.delete('a')\n"
        "def repo(b: Annotated[object, Depends(bucket)]): return Repo(b)\n"
        "def handler(r: Annotated[Repo, Depends(repo)]): r.get()",
        {"uploads": "read", "thumbs": "list"},
        False,
    ),
    "idempotence": (
        "from portable import idempotent\n@idempotent(kept)\ndef handler(x): pass",
        {"kept": "delete read write"},
        False,
    ),
    "a rate limit": (
        "from datetime import timedelta\nfrom typing import Annotated\nfrom portable import Depends\nfrom portable.security import RateLimit\n"
        "limit = RateLimit(hits, limit=1, per=timedelta(seconds=1))\n"
        "def handler(x: Annotated[object, Depends(limit)]): pass",
        {"hits": "use"},
        False,
    ),
    "the app's own declaration while it runs": (
        "from portable import Bucket\ndef handler(): Bucket('uploads').read('a')",
        {"uploads": "read"},
        False,
    ),
    "background tasks": (
        "from portable import BackgroundTasks\ndef put(b): b.write('k', b'')\n"
        "def handler(tasks: BackgroundTasks): tasks.add(put, uploads)",
        {"uploads": "write"},
        False,
    ),
    "an import within": (
        "def handler():\n from store import uploads as u\n import store as s\n u.read('a')\n s.thumbs.list()",
        {"uploads": "read", "thumbs": "list"},
        False,
    ),
    "eval": ("def handler(): eval('uploads.read(1)')", {}, True),
    "a module chosen at run time": (
        "import importlib\ndef handler(n: str): importlib.import_module(n).uploads.read('a')",
        {},
        True,
    ),
    "a function without source": (
        "exec('def put(): uploads.read(1)')\ndef handler(): put()",
        {"uploads": ALL},
        True,
    ),
    "a method nobody calls": (
        "class C:\n def a(self): uploads.read('a')\n def b(self): uploads.delete('a')\nc = C()\ndef handler(): c.a()",
        {"uploads": "read"},
        False,
    ),
    "a default that is an object": (
        "class C:\n def go(self): uploads.read('a')\ndef handler(c=C()): c.go()",
        {"uploads": "read"},
        False,
    ),
    "an enumeration": (
        "import enum\nclass K(enum.Enum):\n A = 'a'\n def bucket(self): return uploads\n"
        "def handler():\n K.A.bucket().read('x')\n for k in K: k.bucket().list()",
        {"uploads": "list read"},
        False,
    ),
    "a metaclass": (
        "class M(type):\n def bucket(cls): return uploads\nclass C(metaclass=M): pass\ndef handler(): C.bucket().read('a')",
        {"uploads": "read"},
        False,
    ),
    "a proxy by class": (
        "class Lazy:\n _b = None\n def get(self):\n  if self._b is None: self._b = uploads\n  return self._b\n"
        "lazy = Lazy()\ndef handler(): lazy.get().read('a')",
        {"uploads": "read"},
        False,
    ),
    "an augmented assignment": (
        "def handler():\n x = []\n x += [uploads]\n x[0].read('a')",
        {"uploads": "read"},
        False,
    ),
    "starred targets": (
        "def handler():\n a, *rest = [uploads, thumbs]\n for b in rest: b.list()",
        {"uploads": "list", "thumbs": "list"},
        False,
    ),
    "singledispatch": (
        "from functools import singledispatch\n@singledispatch\ndef go(x): uploads.read('a')\n"
        "@go.register\ndef _(x: int): thumbs.list()\ndef handler(): go(1)",
        {"uploads": "read", "thumbs": "list"},
        False,
    ),
    "a context variable": (
        "from contextvars import ContextVar\ncurrent = ContextVar('c')\n"
        "def handler():\n current.set(uploads)\n current.get().read('a')",
        {"uploads": ALL},
        True,
    ),
    "itertools and zip": (
        "import itertools\ndef handler():\n for b in itertools.chain([uploads], [thumbs]): b.list()\n"
        " for b, k in zip([emails], 'a'): b.depth()",
        {"uploads": "list", "thumbs": "list", "emails": "depth"},
        False,
    ),
    "a deque": (
        "from collections import deque\ndef handler():\n d = deque([uploads])\n d.popleft().read('a')",
        {"uploads": "read"},
        False,
    ),
    "a live deque": (
        "from collections import deque\nd = deque([uploads])\ndef handler(): d[0].read('a')",
        {"uploads": "read"},
        False,
    ),
    "an instance that comes back from a stranger": (
        "import copy\nclass C:\n def __init__(self, b): self.b = b\n def go(self): self.b.read('a')\n"
        "def handler(): copy.copy(C(uploads)).go()",
        {"uploads": "read"},
        False,
    ),
}

NEWER = {
    (3, 12): {
        "type parameters": (
            "def put[T](b: T) -> T:\n b.write('k', b'')\n return b\nclass C[T]:\n def go(self, b: T): b.list()\n"
            "def handler():\n put(uploads)\n C[int]().go(thumbs)",
            {"uploads": "write", "thumbs": "list"},
            False,
        ),
        "formatting within formatting": (
            "def handler(): return f'{f\"{uploads.read('a')}\"}'",
            {"uploads": "read"},
            False,
        ),
    },
}


def programs() -> dict[str, tuple[str, dict[str, str], bool]]:
    """Those that this Python can read."""
    from hidden import PROGRAMS as HIDDEN

    found = PROGRAMS | HIDDEN
    if importlib.util.find_spec("msgspec") is None:
        found = {name: one for name, one in found.items() if "import msgspec" not in one[0]}
    for version, more in NEWER.items():
        if sys.version_info >= version:
            found |= more
    return found


@contextmanager
def imported(root: Path, source: str) -> Iterator[tuple[Any, dict[Any, Any]]]:
    """A module of this source, and the resources it may use."""
    from portable.resources import Resource

    (root / "store.py").write_text(textwrap.dedent(STORE))
    (root / "program.py").write_text("from store import *\n" + source)
    sys.path.insert(0, str(root))
    try:
        store: Any = __import__("store")
        yield (
            __import__("program"),
            {(one.kind, one.name): one for one in vars(store).values() if isinstance(one, Resource)},
        )
    finally:
        sys.path.remove(str(root))
        for name in ("store", "program"):
            sys.modules.pop(name, None)


def grants(root: Path, source: str) -> tuple[dict[str, str], bool]:
    """Verbs by resource of ``handler`` in a module of this source, and whether something went out of sight."""
    from portable.uses import grants_used

    with imported(root.resolve(), source) as (program, declared):
        found, notes = grants_used([program.handler], root.resolve(), declared)
    return {name: " ".join(sorted(verbs)) for (_, name), verbs in found.items()}, bool(notes)


CALLERS = """

def calls_it(*rest, **options): return handler()
def calls_it_and_more(key: str):
    uploads.read(key)
    return [calls_it(), handler()]
"""


def together(root: Path, source: str) -> tuple[Any, Any]:
    """What ``handler`` and functions that call it may do: each followed alone, and with what they have in common shared,
    twice over.
    """
    from portable.flow.shared import Shared
    from portable.uses import grants_used

    with imported(root.resolve(), source + CALLERS) as (program, declared):
        functions = [program.handler, program.calls_it, program.calls_it_and_more] * 2
        shared = Shared()
        alone = [grants_used([one], root.resolve(), declared) for one in functions]
        return alone, [grants_used([one], root.resolve(), declared, shared) for one in functions]


def main() -> int:
    """How many programs are read wrongly, each printed."""
    import faulthandler

    wrong = 0
    sys.dont_write_bytecode = True
    for name, (source, expected, unseen) in programs().items():
        with tempfile.TemporaryDirectory() as folder:
            faulthandler.dump_traceback_later(20, exit=True)
            try:
                found: Any = grants(Path(folder), source)
            except Exception as error:
                import traceback

                traceback.print_exc()
                found = error
        if found != (expected, unseen):
            wrong += 1
            print(f"{name}: {found}, not {(expected, unseen)}")
    print(f"{len(programs())} programs, {wrong} wrong, Python {sys.version.split()[0]}")
    return wrong


if __name__ == "__main__":
    sys.exit(min(main(), 1))
