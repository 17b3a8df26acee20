"""Programs that hide what they do: objects of the library and of C around resources, names and classes made at run time."""

# ruff: noqa: E501, ISC004 - sources of programs

from __future__ import annotations

ALL = "delete list read write"

PROGRAMS: dict[str, tuple[str, dict[str, str], bool]] = {
    "getattr by f-string": (
        "def handler(n: str): getattr(uploads, f'{n}_many')(['a'])",
        {"uploads": ALL},
        True,
    ),
    "resources made in a loop": (
        "from portable import Bucket\nTWO = {}\nfor n in ('uploads', 'thumbs'): TWO[n] = Bucket(n)\n"
        "def handler(): TWO['uploads'].read('a')",
        {"uploads": "read"},
        False,
    ),
    "resources made in a comprehension": (
        "from portable import Bucket\nTWO = [Bucket(n) for n in ('uploads', 'thumbs')]\ndef handler():\n"
        " for b in TWO: b.list()",
        {"uploads": "list", "thumbs": "list"},
        False,
    ),
    "alias through class attr": (
        "class Stores:\n photos = uploads\n class Inner:\n  t = thumbs\ndef handler():\n"
        " Stores.photos.read('a')\n Stores.Inner.t.list()",
        {"uploads": "read", "thumbs": "list"},
        False,
    ),
    "class attribute changed while running": (
        "class Stores:\n b = None\ndef handler():\n Stores.b = uploads\n Stores().b.read('a')",
        {"uploads": "read"},
        False,
    ),
    "partial of partial": (
        "from functools import partial\ndef mv(a, b, k): b.write(k, a.read(k))\n"
        "x = partial(partial(mv, uploads), thumbs)\ndef handler(): x('a')",
        {"uploads": "read", "thumbs": "write"},
        False,
    ),
    "decorator that injects": (
        "import functools\ndef with_bucket(f):\n @functools.wraps(f)\n"
        " def w(*a, **k): return f(*a, bucket=uploads, **k)\n return w\n@with_bucket\n"
        "def go(k, bucket=None): bucket.read(k)\ndef handler(): go('a')",
        {"uploads": "read"},
        False,
    ),
    "a decorator class": (
        "class Deco:\n def __init__(self, f): self.f = f\n"
        " def __call__(self, *a): return self.f(uploads, *a)\n@Deco\ndef go(b, k): b.delete(k)\n"
        "def handler(): go('a')",
        {"uploads": "delete"},
        False,
    ),
    "asynccontextmanager": (
        "from contextlib import asynccontextmanager\n@asynccontextmanager\nasync def opened():\n"
        " yield uploads\nasync def handler():\n async with opened() as b: await b.aread('a')",
        {"uploads": "read"},
        False,
    ),
    "an exit stack": (
        "from contextlib import ExitStack, contextmanager\n@contextmanager\ndef opened():\n yield uploads\n"
        "def handler():\n with ExitStack() as s:\n  b = s.enter_context(opened())\n  b.read('a')\n"
        "  s.callback(thumbs.delete, 'x')",
        {"thumbs": "delete", "uploads": ALL},
        True,
    ),
    "async comprehension": (
        "async def some():\n yield uploads\n yield thumbs\n"
        "async def handler(): return [await b.aread('k') async for b in some()]",
        {"uploads": "read", "thumbs": "read"},
        False,
    ),
    "match on class w/ alias": (
        "def handler(x: int):\n match (uploads, x):\n  case (b, 1) if b.exists('a'): b.read('x')\n"
        "  case (b, _) as both: both[0].list()",
        {"uploads": "list read"},
        False,
    ),
    "queue of callbacks": (
        "import queue\nq = queue.Queue()\ndef handler():\n q.put(lambda: uploads.read('a'))\n q.get()()",
        {"uploads": "read"},
        False,
    ),
    "queue of resources": (
        "import queue\nq = queue.Queue()\ndef handler():\n q.put(uploads)\n q.get().read('a')",
        {"uploads": ALL},
        True,
    ),
    "local queue of resources": (
        "import queue\ndef handler():\n q = queue.SimpleQueue()\n q.put((uploads, 'a'))\n b, k = q.get()\n b.read(k)",
        {"uploads": "read"},
        False,
    ),
    "asyncio queue": (
        "import asyncio\nasync def handler():\n q = asyncio.Queue()\n await q.put(uploads)\n"
        " b = await q.get()\n await b.aread('a')",
        {"uploads": "read"},
        False,
    ),
    "super through three classes": (
        "class A:\n def go(self, b): b.read('a')\nclass B(A):\n def go(self, b):\n  super(B, self).go(b)\n"
        "class C(B):\n def go(self, b):\n  super().go(b)\n  b.list()\ndef handler(): C().go(uploads)",
        {"uploads": "list read"},
        False,
    ),
    "abstract base": (
        "from abc import ABC, abstractmethod\nclass A(ABC):\n @abstractmethod\n def go(self): ...\n"
        "class B(A):\n def go(self): uploads.read('a')\nclass C(A):\n def go(self): thumbs.list()\nclass R:\n"
        " def __init__(self, a: A): self.a = a\nr = R(B())\ndef handler(): r.a.go()",
        {"uploads": "read"},
        False,
    ),
    "dict dispatch": (
        "def a(): uploads.read('a')\ndef b(): thumbs.list()\nD = {'a': a, 'b': b}\ndef handler(n: str): D[n]()",
        {"uploads": "read", "thumbs": "list"},
        False,
    ),
    "a registry by decorator": (
        "R = {}\ndef reg(name):\n def deco(f):\n  R[name] = f\n  return f\n return deco\n@reg('a')\n"
        "def a(): uploads.read('a')\n@reg('b')\ndef b(): thumbs.list()\ndef handler(n: str): R[n]()",
        {"uploads": "read", "thumbs": "list"},
        False,
    ),
    "registry by __init_subclass__": (
        "class Base:\n kinds = []\n def __init_subclass__(cls): Base.kinds.append(cls)\n"
        " def run(self): pass\nclass X(Base):\n def run(self): uploads.read('a')\ndef handler():\n"
        " for k in Base.kinds: k().run()",
        {"uploads": "read"},
        False,
    ),
    "__subclasses__": (
        "class Base:\n def run(self): pass\nclass X(Base):\n def run(self): uploads.read('a')\n"
        "def handler():\n for k in Base.__subclasses__(): k().run()",
        {"uploads": "read"},
        False,
    ),
    "operator.methodcaller": (
        "from operator import methodcaller\ndef handler(): methodcaller('read', 'a')(uploads)",
        {"uploads": ALL},
        True,
    ),
    "operator.attrgetter": (
        "from operator import attrgetter\ndef handler(): attrgetter('read')(uploads)('a')",
        {"uploads": ALL},
        True,
    ),
    "operator.attrgetter at top": (
        "from operator import methodcaller\nget = methodcaller('read', 'a')\ndef handler(): get(uploads)",
        {"uploads": ALL},
        True,
    ),
    "map with attr": (
        "from operator import itemgetter\ndef handler(): itemgetter('in')(BUCKETS).read('a')",
        {"uploads": ALL, "thumbs": ALL},
        True,
    ),
    "functools.reduce": (
        "from functools import reduce\ndef handler(): reduce(lambda acc, b: b.read('a'), [uploads, thumbs], None)",
        {"uploads": "read", "thumbs": "read"},
        False,
    ),
    "third-party object w/ resource": (
        "import string\nclass F(string.Formatter):\n"
        " def get_value(self, k, a, kw): return uploads.read(k)\ndef handler(): F().format('{a}')",
        {"uploads": "read"},
        False,
    ),
    "third party callback in kwarg": (
        "import json\ndef enc(o): return uploads.read('x').decode()\ndef handler(): json.dumps({}, default=enc)",
        {"uploads": "read"},
        False,
    ),
    "third party subclass": (
        "import json\nclass E(json.JSONEncoder):\n"
        " def default(self, o): return uploads.read('x').decode()\ndef handler(): json.dumps({}, cls=E)",
        {"uploads": "read"},
        False,
    ),
    "a weakref": (
        "import weakref\nclass C:\n def go(self): uploads.read('a')\nc = C()\nr = weakref.ref(c)\n"
        "def handler(): r().go()",
        {"uploads": "read"},
        False,
    ),
    "vars of an object": (
        "class S:\n def __init__(self): self.b = uploads\ns = S()\ndef handler(): vars(s)['b'].read('a')",
        {"uploads": "read"},
        False,
    ),
    "__dict__ loop": (
        "class S:\n def __init__(self): self.b = uploads\ns = S()\ndef handler():\n"
        " for v in s.__dict__.values(): v.read('a')",
        {"uploads": "read"},
        False,
    ),
    "module dict": (
        "import store\ndef handler(n: str): store.__dict__[n].read('a')",
        {"uploads": "read", "thumbs": "read", "large": "read"},
        True,
    ),
    "del and rebinding": (
        "def handler():\n b = uploads\n del b\n b = thumbs\n b.list()",
        {"uploads": "list", "thumbs": "list"},
        False,
    ),
    "inner import module": (
        "def handler():\n import importlib\n m = importlib.import_module('store')\n m.uploads.read('a')",
        {"uploads": "read"},
        False,
    ),
    "with as tuple": (
        "from contextlib import contextmanager\n@contextmanager\ndef two():\n yield uploads, thumbs\n"
        "def handler():\n with two() as (a, b): a.read('k'); b.list()",
        {"uploads": "read", "thumbs": "list"},
        False,
    ),
    "slots inheritance": (
        "class A:\n __slots__ = ('b',)\n def __init__(self, b): self.b = b\nclass B(A):\n __slots__ = ()\n"
        " def go(self): return self.b.read('a')\nx = B(uploads)\ndef handler(): x.go()",
        {"uploads": "read"},
        False,
    ),
    "msgspec struct": (
        "import msgspec\nfrom typing import Any\nclass S(msgspec.Struct):\n b: Any\n"
        " def go(self): self.b.read('a')\ns = S(uploads)\ndef handler(): s.go()\n",
        {"uploads": "read"},
        False,
    ),
    "made msgspec struct": (
        "import msgspec\nfrom typing import Any\nclass S(msgspec.Struct):\n b: Any\n"
        " def go(self): self.b.read('a')\ndef handler(): S(uploads).go()\n",
        {"uploads": "read"},
        False,
    ),
    "dataclass replace": (
        "from dataclasses import dataclass, replace\n@dataclass\nclass S:\n b: object\n k: str = ''\n"
        " def go(self): self.b.read(self.k)\ns = S(uploads)\ndef handler(): replace(s, k='a').go()",
        {"uploads": "read"},
        False,
    ),
    "dataclass fields()": (
        "import dataclasses\n@dataclasses.dataclass\nclass S:\n b: object\ns = S(uploads)\ndef handler():\n"
        " for f in dataclasses.fields(s): getattr(s, f.name).read('a')",
        {"uploads": "read"},
        False,
    ),
    "dataclass astuple": (
        "import dataclasses\n@dataclasses.dataclass\nclass S:\n b: object\ns = S(uploads)\ndef handler():\n"
        " [b] = dataclasses.astuple(s)\n b.read('a')",
        {"uploads": "read"},
        False,
    ),
    "generator send": (
        "def worker():\n while True:\n  b = yield\n  b.read('a')\ndef handler():\n g = worker()\n next(g)\n"
        " g.send(uploads)",
        {"uploads": ALL},
        True,
    ),
    "yield value": (
        "def worker():\n b = yield 1\n b.read('a')\nG = worker()\ndef handler():\n next(G)\n G.send(uploads)",
        {"uploads": "read"},
        False,
    ),
    "an exception group": (
        "class E(Exception): pass\ndef handler():\n try: raise ExceptionGroup('g', [E(uploads)])\n"
        " except* E as e: e.exceptions[0].args[0].read('a')",
        {"uploads": "read"},
        False,
    ),
    "a loop's else": (
        "def handler():\n for _ in (): pass\n else: uploads.read('a')\n while False: pass\n else: thumbs.list()",
        {"uploads": "read", "thumbs": "list"},
        False,
    ),
    "assert and fstring": (
        "def handler():\n assert uploads.exists('a'), thumbs.read('b')\n"
        " f'{emails.depth()!r:>{len(list(uploads.list()))}}'",
        {"uploads": "list read", "thumbs": "read", "emails": "depth"},
        False,
    ),
    "a decorator on nested": (
        "def deco(f):\n uploads.read('x')\n return f\ndef handler():\n @deco\n def g(): pass\n g()",
        {"uploads": "read"},
        False,
    ),
    "nested class deco/inherit": (
        "class A:\n def go(self): self.step()\ndef handler():\n class B(A):\n"
        "  def step(self): uploads.read('a')\n B().go()",
        {"uploads": "read"},
        False,
    ),
    "monkeypatched at import": (
        "class C:\n pass\ndef go(self): uploads.read('a')\nC.go = go\ndef handler(): C().go()",
        {"uploads": "read"},
        False,
    ),
    "module __getattr__": (
        "import store\ndef __getattr__(n): return uploads\nimport program as me\ndef handler(): me.anything.read('a')",
        {"uploads": "read"},
        False,
    ),
    "type() made class": (
        "C = type('C', (), {'go': lambda self: uploads.read('a')})\ndef handler(): C().go()",
        {"uploads": "read"},
        False,
    ),
    "type() while running": (
        "def handler():\n C = type('C', (), {'go': lambda self: uploads.read('a')})\n C().go()",
        {"uploads": "read"},
        False,
    ),
    "namedtuple run": (
        "from collections import namedtuple\nP = namedtuple('P', 'a b')\ndef handler(): P(uploads, thumbs).a.read('x')",
        {"uploads": "read"},
        False,
    ),
    "a ChainMap": (
        "from collections import ChainMap\nc = ChainMap({}, BUCKETS)\ndef handler(): c['in'].read('a')",
        {"uploads": "read", "thumbs": "read"},
        False,
    ),
    "a mapping proxy": (
        "from types import MappingProxyType\nc = MappingProxyType(BUCKETS)\ndef handler(): c['in'].read('a')",
        {"uploads": "read"},
        False,
    ),
    "a defaultdict": (
        "from collections import defaultdict\nd = defaultdict(lambda: uploads)\ndef handler(): d['x'].read('a')",
        {"uploads": "read"},
        False,
    ),
    "a UserDict": (
        "from collections import UserDict\nd = UserDict(BUCKETS)\ndef handler(): d['in'].read('a')",
        {"uploads": "read", "thumbs": "read"},
        False,
    ),
    "subclass of dict": (
        "class D(dict): pass\nd = D(BUCKETS)\ndef handler(): d['in'].read('a')",
        {"uploads": "read"},
        False,
    ),
    "subclass of dict method": (
        "class D(dict): pass\nd = D(BUCKETS)\ndef handler():\n for b in d.values(): b.read('a')",
        {"uploads": "read", "thumbs": "read"},
        False,
    ),
    "subclass of dict running": (
        "class D(dict): pass\ndef handler():\n d = D(a=uploads)\n d['a'].read('a')",
        {"uploads": "read"},
        False,
    ),
    "thread local": (
        "import threading\nlocal = threading.local()\ndef handler():\n local.b = uploads\n local.b.read('a')",
        {"uploads": "read"},
        False,
    ),
    "executor map": (
        "from concurrent.futures import ThreadPoolExecutor\ndef handler():\n"
        " with ThreadPoolExecutor() as p: list(p.map(lambda b: b.read('a'), [uploads, thumbs]))",
        {"uploads": "read", "thumbs": "read"},
        False,
    ),
    "global executor": (
        "from concurrent.futures import ThreadPoolExecutor\npool = ThreadPoolExecutor()\n"
        "def go(b): b.read('a')\ndef handler(): pool.submit(go, uploads).result()",
        {"uploads": "read"},
        False,
    ),
    "global executor method": (
        "from concurrent.futures import ThreadPoolExecutor\npool = ThreadPoolExecutor()\n"
        "def handler(): pool.submit(uploads.read, 'a').result()",
        {"uploads": "read"},
        False,
    ),
    "a task group": (
        "import asyncio\nasync def go(b): await b.aread('a')\nasync def handler():\n"
        " async with asyncio.TaskGroup() as g: g.create_task(go(uploads))",
        {"uploads": "read"},
        False,
    ),
    "a callable in a struct": (
        "class S:\n def __init__(self, f): self.f = f\ns = S(uploads.read)\ndef handler(): s.f('a')",
        {"uploads": "read"},
        False,
    ),
    "types.MethodType": (
        "import types\nclass A: pass\na = A()\ndef go(self): uploads.read('a')\n"
        "a.go = types.MethodType(go, a)\ndef handler(): a.go()",
        {"uploads": "read"},
        False,
    ),
    "inherit portable Bucket": (
        "from portable import Bucket\nclass Photos(Bucket):\n"
        " def latest(self): return self.read('latest')\np = Photos('uploads')\ndef handler(): p.latest()",
        {"uploads": "read"},
        False,
    ),
    "a resource in resource method": (
        "def handler():\n uploads.write('a', thumbs.read('b'))",
        {"uploads": "write", "thumbs": "read"},
        False,
    ),
    "method of delivered object": (
        "def handler():\n with uploads.open('a') as f: thumbs.write('b', f)",
        {"uploads": "read", "thumbs": "write"},
        False,
    ),
    "copy positional": (
        "def handler(): uploads.copy('a', 'b', **{'to': thumbs})",
        {"uploads": "read", "thumbs": "write"},
        False,
    ),
    "nested function returned through list": (
        "def make():\n out = []\n for b in (uploads, thumbs):\n  out.append(lambda b=b: b.read('a'))\n"
        " return out\ndef handler():\n for f in make(): f()",
        {"uploads": "read", "thumbs": "read"},
        False,
    ),
    "sorted of buckets": (
        "def handler():\n for b in sorted([uploads, thumbs], key=lambda b: b.name): b.list()",
        {"uploads": "list", "thumbs": "list"},
        False,
    ),
    "filter/next": (
        "def handler(): next(b for b in (uploads, thumbs) if b.name == 'x').read('a')",
        {"uploads": "read", "thumbs": "read"},
        False,
    ),
    "set of buckets": (
        "S = {uploads, thumbs}\ndef handler():\n for b in S: b.list()",
        {"uploads": "list", "thumbs": "list"},
        False,
    ),
    "dict keyed by resource": (
        "S = {uploads: 1}\ndef handler():\n for b in S: b.list()",
        {"uploads": "list"},
        False,
    ),
    "a cache of instances": (
        "_i = None\nclass S:\n def __init__(self, b): self.b = b\ndef get():\n global _i\n"
        " if _i is None: _i = S(uploads)\n return _i\ndef handler(): get().b.read('a')",
        {"uploads": "read"},
        False,
    ),
    "singleton __new__": (
        "class S:\n one = None\n def __new__(cls):\n  if cls.one is None:\n"
        "   cls.one = super().__new__(cls)\n   cls.one.b = uploads\n  return cls.one\n"
        "def handler(): S().b.read('a')",
        {"uploads": "read"},
        False,
    ),
    "functools.cache factory": (
        "from functools import cache\nclass S:\n def __init__(self, b): self.b = b\n@cache\n"
        "def get(): return S(uploads)\ndef handler(): get().b.read('a')",
        {"uploads": "read"},
        False,
    ),
    "atexit": (
        "import atexit\ndef handler(): atexit.register(uploads.delete, 'tmp')",
        {"uploads": "delete"},
        False,
    ),
    "a stranger that pickles": (
        "import pickle\ndef handler(): pickle.dumps(uploads)",
        {"uploads": ALL},
        True,
    ),
    "class decorated dataclass inherit": (
        "from dataclasses import dataclass\n@dataclass\nclass A:\n a: object\n@dataclass\nclass B(A):\n"
        " b: object = thumbs\ndef handler():\n x = B(uploads)\n x.a.read('k'); x.b.list()",
        {"uploads": "read", "thumbs": "list"},
        False,
    ),
    "unpack object attr": (
        "class P:\n def __iter__(self): yield uploads; yield thumbs\ndef handler():\n a, b = P()\n a.read('x')",
        {"uploads": "read", "thumbs": "read"},
        False,
    ),
    "an asynchronous iterator": (
        "class P:\n def __aiter__(self): return self\n async def __anext__(self): return uploads\n"
        "async def handler():\n async for b in P(): await b.aread('x')",
        {"uploads": "read"},
        False,
    ),
    "an awaitable": (
        "class P:\n def __await__(self):\n  yield\n  return uploads\nasync def handler():\n b = await P()\n"
        " await b.aread('x')",
        {"uploads": "read"},
        False,
    ),
    "future result": (
        "from concurrent.futures import Future\ndef handler():\n f = Future()\n f.set_result(uploads)\n"
        " f.result().read('a')",
        {"uploads": "read"},
        False,
    ),
    "property via lambda": (
        "class C:\n b = property(lambda self: uploads)\ndef handler(): C().b.read('a')",
        {"uploads": "read"},
        False,
    ),
    "inspect.getmembers": (
        "import inspect\nclass C:\n def go(self): uploads.read('a')\ndef handler():\n"
        " for n, m in inspect.getmembers(C()): m()",
        {"uploads": "read"},
        False,
    ),
    "logging handler": (
        "import logging\nclass H(logging.Handler):\n def emit(self, r): uploads.write('log', b'')\n"
        "logging.getLogger('x').addHandler(H())\nlog = logging.getLogger('x')\n"
        "def handler(): log.error('a')",
        {"uploads": "write"},
        False,
    ),
    "logger handler within": (
        "import logging\nclass H(logging.Handler):\n def __init__(self, b):\n  super().__init__()\n"
        "  self.b = b\n def emit(self, r): self.b.write('log', b'')\ndef handler():\n"
        " log = logging.getLogger('x')\n log.addHandler(H(uploads))\n log.error('a')",
        {"uploads": ALL},
        True,
    ),
    "map over objects": (
        "class S:\n def __init__(self, b): self.b = b\ndef go(s): s.b.read('a')\n"
        "def handler(): list(map(go, [S(uploads)]))",
        {"uploads": "read"},
        False,
    ),
    "map over live objects": (
        "class S:\n def __init__(self, b): self.b = b\nALLS = [S(uploads)]\ndef go(s): s.b.read('a')\n"
        "def handler(): list(map(go, ALLS))",
        {"uploads": "read"},
        False,
    ),
    "__dict__.update": (
        "class S:\n def __init__(self, **k): self.__dict__.update(k)\ndef handler(): S(b=uploads).b.read('a')",
        {"uploads": "read"},
        False,
    ),
    "__dict__ item": (
        "class S:\n def __init__(self, b): self.__dict__['b'] = b\ndef handler(): S(uploads).b.read('a')",
        {"uploads": "read"},
        False,
    ),
    "dict subclass item set": (
        "class D(dict): pass\nd = D()\ndef handler():\n d['x'] = uploads\n d.get('x').read('a')",
        {"uploads": "read"},
        False,
    ),
    "attribute dict": (
        "class D(dict):\n def __getattr__(self, n): return self[n]\nd = D(b=uploads)\ndef handler(): d.b.read('a')",
        {"uploads": "read"},
        False,
    ),
    "weak set": (
        "import weakref\nclass C:\n def go(self): uploads.read('a')\nc = C()\nr = weakref.WeakSet([c])\n"
        "def handler():\n for x in r: x.go()",
        {"uploads": "read"},
        False,
    ),
    "a live cycle": (
        "import itertools\nc = itertools.cycle([uploads, thumbs])\ndef handler(): next(c).read('a')",
        {"uploads": "read", "thumbs": "read"},
        False,
    ),
    "live iterator": (
        "c = iter([uploads, thumbs])\ndef handler(): next(c).read('a')",
        {"uploads": "read", "thumbs": "read"},
        False,
    ),
    "live generator": (
        "def g():\n yield uploads\nG = g()\ndef handler(): next(G).read('a')",
        {"uploads": "read"},
        False,
    ),
    "live dict view": (
        "V = BUCKETS.values()\ndef handler():\n for b in V: b.read('a')",
        {"uploads": "read", "thumbs": "read"},
        False,
    ),
    "live map": (
        "V = map(lambda b: b, [uploads])\ndef handler():\n for b in V: b.read('a')",
        {"uploads": "read"},
        False,
    ),
    "live bound methods in a tuple": (
        "V = (uploads.read, thumbs.delete)\ndef handler(): V[1]('a')",
        {"thumbs": "delete"},
        False,
    ),
    "live attrgetter": (
        "from operator import attrgetter\nclass S:\n b = uploads\ns = S()\nget = attrgetter('b')\n"
        "def handler(): get(s).read('a')",
        {"uploads": ALL},
        True,
    ),
    "contextvar default": (
        "from contextvars import ContextVar\nc = ContextVar('c', default=uploads)\ndef handler(): c.get().read('a')",
        {"uploads": "read"},
        False,
    ),
    "contextvar default object": (
        "from contextvars import ContextVar\nclass S:\n def __init__(self, b): self.b = b\n"
        "c = ContextVar('c', default=S(uploads))\ndef handler(): c.get().b.read('a')",
        {"uploads": "read"},
        False,
    ),
    "contextvar set at import": (
        "from contextvars import ContextVar\nc = ContextVar('c')\nc.set(uploads)\ndef handler(): c.get().read('a')",
        {"uploads": "read"},
        False,
    ),
    "threading.local set at import": (
        "import threading\nc = threading.local()\nc.b = uploads\ndef handler(): c.b.read('a')",
        {"uploads": "read"},
        False,
    ),
    "lru_cache of method": (
        "from functools import lru_cache\nclass S:\n @lru_cache\n def get(self, k): return uploads.read(k)\n"
        "s = S()\ndef handler(): s.get('a')",
        {"uploads": "read"},
        False,
    ),
    "cached wrapper lambda": (
        "from functools import lru_cache\nget = lru_cache(lambda: uploads)\ndef handler(): get().read('a')",
        {"uploads": "read"},
        False,
    ),
    "threading.Timer": (
        "import threading\ndef handler(): threading.Timer(1, uploads.delete, ['a']).start()",
        {"uploads": "delete"},
        False,
    ),
    "Thread kwargs": (
        "import threading\ndef go(b=None): b.read('a')\n"
        "def handler(): threading.Thread(target=go, kwargs={'b': uploads}).start()",
        {"uploads": "read"},
        False,
    ),
    "weak method": (
        "import weakref\nclass C:\n def go(self): uploads.read('a')\nc = C()\nr = weakref.WeakMethod(c.go)\n"
        "def handler(): r()()",
        {"uploads": "read"},
        False,
    ),
    "functools.singledispatchmethod": (
        "from functools import singledispatchmethod\nclass C:\n @singledispatchmethod\n"
        " def go(self, x): uploads.read('a')\n @go.register\n def _(self, x: int): thumbs.list()\nc = C()\n"
        "def handler(): c.go(1)",
        {"uploads": "read", "thumbs": "list"},
        False,
    ),
    "contextlib.closing": (
        "from contextlib import closing\nclass C:\n def close(self): uploads.delete('a')\ndef handler():\n"
        " with closing(C()): pass",
        {"uploads": "delete"},
        False,
    ),
    "a heap": (
        "import heapq\ndef handler():\n h = []\n heapq.heappush(h, (1, uploads))\n heapq.heappop(h)[1].read('x')",
        {"uploads": "read"},
        False,
    ),
    "__del__": (
        "class C:\n def __del__(self): uploads.delete('tmp')\ndef handler(): C()",
        {"uploads": "delete"},
        False,
    ),
    "nullcontext": (
        "from contextlib import nullcontext\ndef handler():\n with nullcontext(uploads) as b: b.read('a')",
        {"uploads": "read"},
        False,
    ),
    "foreign class attribute": (
        "import string\nclass T(string.Template):\n bucket = uploads\n"
        " def go(self): return self.bucket.read('a')\ndef handler(): T('x').go()",
        {"uploads": "read"},
        False,
    ),
    "class registry with metaclass": (
        "class M(type):\n reg = {}\n def __new__(m, n, b, d):\n  c = super().__new__(m, n, b, d)\n"
        "  M.reg[n] = c\n  return c\nclass X(metaclass=M):\n def go(self): uploads.read('a')\n"
        "def handler(n: str): M.reg[n]().go()",
        {"uploads": "read"},
        False,
    ),
    "generic class": (
        "from typing import Generic, TypeVar\nT = TypeVar('T')\nclass R(Generic[T]):\n"
        " def __init__(self, b): self.b = b\n def go(self): self.b.read('a')\n"
        "def handler(): R[int](uploads).go()",
        {"uploads": "read"},
        False,
    ),
    "typing.cast": (
        "from typing import cast\nfrom portable import Bucket\ndef handler(): cast(Bucket, BUCKETS['in']).read('a')",
        {"uploads": "read"},
        False,
    ),
    "copy.copy of resource": (
        "import copy\ndef handler(): copy.copy(uploads).read('a')",
        {"uploads": "read"},
        False,
    ),
    "dict merge op": (
        "def handler():\n d = {'x': thumbs} | {'b': uploads}\n d['b'].read('a')",
        {"thumbs": "read", "uploads": "read"},
        False,
    ),
    "kwargs update": (
        "def b(x, y): x.read('a'); y.list()\ndef handler():\n k = dict(x=uploads)\n k.update(y=thumbs)\n b(**k)",
        {"uploads": "read", "thumbs": "list"},
        False,
    ),
    "a class within a function, with a property": (
        "def handler():\n class C:\n  @property\n  def p(self): return uploads\n C().p.read('a')",
        {"uploads": "read"},
        False,
    ),
    "a class within a function, with a branch": (
        "def handler():\n class C:\n  if uploads.exists('a'):\n   y = 1\n return C",
        {"uploads": "read"},
        False,
    ),
    "a class within a function, with a loop": (
        "def handler():\n class C:\n  for k in uploads.list(): pass\n return C",
        {"uploads": "list"},
        False,
    ),
    "a class within a function, with a call": (
        "def handler():\n class C:\n  thumbs.delete('x')\n return C",
        {"thumbs": "delete"},
        False,
    ),
    "a class within a function, with a keyword": (
        "def handler():\n class C(metaclass=type(uploads.read('a')) and type): pass",
        {"uploads": "read"},
        False,
    ),
    "resource call in class body": (
        "def handler():\n class C:\n  x = uploads.read('a')\n return C",
        {"uploads": "read"},
        False,
    ),
    "del of an item": (
        "class C:\n def __delitem__(self, k): uploads.delete(k)\ndef handler():\n c = C()\n del c['x']",
        {"uploads": "delete"},
        False,
    ),
    "del of an attribute": (
        "class C:\n def __delattr__(self, k): uploads.delete(k)\ndef handler():\n c = C()\n del c.x",
        {"uploads": "delete"},
        False,
    ),
    "star-args forwarding": (
        "def a(*p, **k): return b(*p, **k)\ndef b(x, *, y): x.read('a'); y.list()\ndef handler(): a(uploads, y=thumbs)",
        {"uploads": "read", "thumbs": "list"},
        False,
    ),
    "async context class": (
        "class C:\n async def __aenter__(self): return uploads\n"
        " async def __aexit__(self, *e): await thumbs.adelete('x')\nasync def handler():\n"
        " async with C() as b: await b.aread('a')",
        {"uploads": "read", "thumbs": "delete"},
        False,
    ),
    "dict of names to getattr": (
        "V = {'r': 'read'}\ndef handler(k: str): getattr(uploads, V[k])('a')",
        {"uploads": ALL},
        True,
    ),
    "run_in_executor partial": (
        "import asyncio, functools\n"
        "async def handler(): await asyncio.get_running_loop().run_in_executor(None, functools.partial(uploads.write, 'a', b''))",
        {"uploads": "read write"},
        False,
    ),
    "sorted objects": (
        "class C:\n def __lt__(self, o): return uploads.exists('a')\ndef handler(): sorted([C(), C()])",
        {"uploads": "read"},
        False,
    ),
    "object logged": (
        "import logging\nclass C:\n def __str__(self): return uploads.read('a').decode()\n"
        "log = logging.getLogger('z')\ndef handler(): log.info('%s', C())",
        {"uploads": "read"},
        False,
    ),
    "protocol typed param": (
        "from typing import Protocol\nclass Store(Protocol):\n def get(self): ...\nclass A:\n"
        " def get(self): return uploads.read('a')\na = A()\ndef use(s: Store): s.get()\n"
        "def handler(): use(a)",
        {"uploads": "read"},
        False,
    ),
    "a proxy whose object is gone": (
        "import weakref\nclass C: pass\np = weakref.proxy(C())\ndef handler():\n p.anything('x')\n uploads.read('a')",
        {"uploads": "read"},
        False,
    ),
    "a proxy whose object is gone, beside a bucket": (
        "import weakref\nfrom collections import ChainMap\nclass C: pass\n"
        "c = ChainMap({'p': weakref.proxy(C()), 'b': uploads})\ndef handler(): c['b'].read('a')",
        {"uploads": "read"},
        False,
    ),
    "a proxy": (
        "import weakref\nclass C:\n def go(self): uploads.read('a')\nk = C()\np = weakref.proxy(k)\n"
        "def handler(): p.go()",
        {"uploads": "read"},
        False,
    ),
    "one of many in a ChainMap": (
        "from collections import ChainMap\nc = ChainMap({str(i): object() for i in range(200)}, {'b': uploads})\n"
        "def handler(): c['b'].read('a')",
        {"uploads": "read"},
        False,
    ),
}
