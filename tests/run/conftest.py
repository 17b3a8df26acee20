"""A cloud of the tests' own: drivers in memory, functions in this process, native events that are JSON documents.

It is laid out as any third party's adapter, so that what runs artifacts is tested without a particular cloud.
"""

from __future__ import annotations

import contextlib
import importlib.util
import itertools
import json
import sys
import threading
import time
import types
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import msgspec
import pytest

from portable.app import App
from portable.build.target import Bundle
from portable.drivers import BlobInfo, Received
from portable.errors import NotFoundError
from portable.events import Context, Response, current_context
from portable.hookspecs import Adapter
from portable.invoke import make_function, run_shared
from portable.manifest import describe_app
from portable.resources import use_platform
from portable.run.target import InvocationError
from portable.samples import Outcome
from portable.samples.neutral import event_document, event_of

PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"


class MemoryBucket:
    def __init__(self) -> None:
        self.blobs: dict[str, tuple[bytes, BlobInfo]] = {}
        self.count = itertools.count()

    def write(self, key, data, *, content_type, metadata, if_absent, if_match):
        info = BlobInfo(key, len(data), str(next(self.count)), datetime.now(UTC), content_type, metadata)
        self.blobs[key] = (data, info)
        return info

    def read(self, key, start, end):
        if key not in self.blobs:
            raise NotFoundError("no such blob", resource="bucket", key=key)
        return self.blobs[key][0][start:end]

    def stat(self, key):
        self.read(key, 0, 0)
        return self.blobs[key][1]

    def delete(self, key):
        self.blobs.pop(key, None)

    def list(self, prefix, delimiter):
        return iter([self.blobs[key][1] for key in sorted(self.blobs) if key.startswith(prefix)])


class MemoryQueue:
    def __init__(self) -> None:
        self.waiting: list[Received] = []
        self.taken: dict[str, Received] = {}
        self.dead: list[Received] = []
        self.count = itertools.count()

    def send(self, body, *, attributes, delay, group, dedup):
        identity = f"m{next(self.count)}"
        self.waiting.append(Received(identity, body, identity, dict(attributes), 1, datetime.now(UTC), group))
        return identity

    def send_many(self, bodies):
        for body in bodies:
            self.send(body, attributes={}, delay=None, group=None, dedup=None)
        return []

    def receive(self, limit, wait, lease):
        batch, self.waiting = self.waiting[:limit], self.waiting[limit:]
        self.taken.update({one.id: one for one in batch})
        return batch

    def acknowledge(self, received):
        self.taken.pop(received.id, None)

    def retry(self, received, after):
        del self.taken[received.id]
        self.waiting.append(received)  # it does not count attempts: whoever delivers has to

    def dead_letter(self, body, attributes):
        self.dead.append(Received(f"d{next(self.count)}", body, None, dict(attributes)))

    def dead_letters(self, limit):
        return self.dead[:limit]


class MemoryPlatform:
    target = "memory"

    def __init__(self) -> None:
        self.drivers: dict[tuple[str, str], Any] = {}

    def open(self, resource):
        make = MemoryBucket if resource.kind == "bucket" else MemoryQueue
        return self.drivers.setdefault((resource.kind, resource.name), make())

    def close(self) -> None:
        pass


class MemorySamples:
    batch_limit = None

    def sources(self, kind):
        return ["memory"]

    def native(self, function, event, *, source=None):
        document = event_document(function, event)
        return json.loads(json.dumps(document))

    def outcome(self, function, event, answer, *, source=None):
        if function.kind == "http":
            return Outcome(response=Response(answer["body"].encode("latin-1"), answer["status"], answer["headers"]))
        if function.kind == "message":
            return Outcome(failed=answer)
        return Outcome(value=answer)


class MemoryRunning:
    """Functions in this process, each invocation on a thread of its own so that a deadline can pass."""

    parts = {"memory": "1.0"}

    def __init__(self, app: App, platform: MemoryPlatform, bend: Callable[[str, Any], Any]) -> None:
        self.bend = bend
        self.app = app
        self.platform = platform
        self.functions = {name: make_function(triggers) for name, triggers in app.functions().items()}
        self.records = {record.name: record for record in describe_app(app, "app:app", Path(__file__).parent).functions}
        self.invoked: list[tuple[str, Any]] = []
        self.closed = False

    def invoke(self, function, native, *, timeout=None):
        self.invoked.append((function, native))
        result: list[Any] = []
        thread = threading.Thread(target=lambda: result.append(self._invoke(function, native)), daemon=True)
        thread.start()
        thread.join(timeout)
        if not result:
            raise InvocationError("Timeout", f"{function} took longer than {timeout} s")
        if isinstance(result[0], Exception):
            raise InvocationError(type(result[0]).__name__, str(result[0]))
        return self.bend(function, result[0])

    def _invoke(self, function, native):
        current_context.set(Context(function, "r-1", deadline_at=time.time() + 5, target="memory"))
        with use_platform(self.platform):
            try:
                return self._answer(function, native)
            except Exception as error:
                return error

    def _answer(self, function, native):
        record = self.records[function]
        event = event_of(record, native)
        ids = [message.id for message in event] if record.kind == "message" else []
        value = self.functions[function](event)
        value = run_shared(value) if hasattr(value, "send") else value
        if record.kind == "http":
            body = value.body.encode() if isinstance(value.body, str) else value.body or b""
            return {"status": value.status, "headers": value.header_pairs(), "body": body.decode("latin-1")}
        if record.kind == "message":
            return [identity for identity, problem in zip(ids, value, strict=True) if problem is not None]
        return value if record.kind == "direct" else None

    def log(self):
        return "nothing printed"

    def close(self):
        self.closed = True


class MemoryRunner:
    parts: tuple[str, ...] = ()
    emulators: tuple[str, ...] = ()

    def __init__(self, app: App | None, bend: Callable[[str, Any], Any]) -> None:
        self.app = app
        self.bend = bend
        self.platforms: list[MemoryPlatform] = []
        self.running: list[MemoryRunning] = []

    def start(self, artifact, environment, log):
        app = self.app or app_in(artifact.bundles[""])
        self.running.append(MemoryRunning(app, self.platforms[-1], self.bend))
        return self.running[-1]

    @contextlib.contextmanager
    def emulate(self, manifest, folder):
        self.platforms.append(MemoryPlatform())
        yield {f"PORTABLE_{one.kind}_{one.name}".upper(): one.name for one in manifest.resources}


class MemoryTarget:
    pythons = (PYTHON,)
    reserved: frozenset[str] = frozenset()
    dependency_folder = ""
    adapter_packages = ()

    def __init__(self, name: str) -> None:
        self.name = name

    def check(self, manifest, settings):
        return []

    def requirements(self, manifest, settings):
        return []

    def data_used(self, manifest, listed, pins):
        return {}

    def bundles(self, manifest, settings):
        return [Bundle("", {function.name: "memory" for function in manifest.functions}, {"entry.py": b""})]


def app_in(bundle: Path) -> App:
    name = f"app_{uuid4().hex}"
    spec = importlib.util.spec_from_file_location(name, bundle / "app.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module.app


@pytest.fixture
def memory_cloud(monkeypatch: pytest.MonkeyPatch) -> Callable[..., MemoryRunner]:
    """``memory_cloud(app, name="memory")`` installs the adapter; its runner is returned.

    Without an app it runs the one in the bundle. ``bend`` may change a function's native answer.
    """
    adapters: dict[str, Adapter] = {}
    monkeypatch.setattr("portable.plugins.adapters", lambda: adapters)

    def install(
        app: App | None, name: str = "memory", bend: Callable[[str, Any], Any] = lambda function, answer: answer
    ) -> MemoryRunner:
        runner = MemoryRunner(app, bend)
        package = f"portable_{name}_of_tests"
        adapters[name] = Adapter(name, package, name.title())
        runtime = {"platform": lambda environment: runner.platforms[-1]}
        for module, members in {
            "run": {"RUNNER": runner},
            "samples": {"SAMPLES": MemorySamples()},
            "runtime": runtime,
            "build": {"TARGET": MemoryTarget(name)},
        }.items():
            made = types.ModuleType(f"{package}.{module}")
            vars(made).update(members)
            monkeypatch.setitem(sys.modules, made.__name__, made)
        monkeypatch.setitem(sys.modules, package, types.ModuleType(package))
        return runner

    return install


@pytest.fixture
def write_artifact(tmp_path: Path) -> Callable[..., Path]:
    """``write_artifact(app, target="memory", python=…)`` lays out ``dist/<target>`` and gives its folder."""

    def write(app: App, target: str = "memory", python: str = PYTHON) -> Path:
        manifest = describe_app(app, "app:app", Path(__file__).parent)
        folder = tmp_path / "dist" / target
        (folder / "bundle").mkdir(parents=True)
        document = {
            "target": target,
            "inputs": {"python": python},
            "app": manifest,
            "bundles": {
                "": {"path": "bundle", "sources": {function.name: "memory" for function in manifest.functions}}
            },
        }
        (folder / "manifest.json").write_bytes(msgspec.json.encode(document))
        return folder

    return write
