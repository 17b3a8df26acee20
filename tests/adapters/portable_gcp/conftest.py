from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import pytest

from portable.run.emulators import PROJECT, Emulator


def _call_json(method: str, url: str, body: Any = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"}, method=method)
    with urllib.request.urlopen(request, timeout=10) as answer:
        text = answer.read()
    return json.loads(text) if text.strip() else {}


class Topics:
    """Topics and subscriptions on the emulator, each named like nothing else."""

    def __init__(self, emulator: Emulator) -> None:
        self.root = f"{emulator.endpoint}/v1/projects/{PROJECT}"
        self.unique = uuid4().hex[:8]

    def topic(self, name: str) -> str:
        path = f"projects/{PROJECT}/topics/{name}-{self.unique}"
        _call_json("PUT", f"{self.root}/topics/{name}-{self.unique}", {})
        return path

    def subscription(self, name: str, topic: str, **options: Any) -> str:
        _call_json("PUT", f"{self.root}/subscriptions/{name}-{self.unique}", {"topic": topic, **options})
        return f"projects/{PROJECT}/subscriptions/{name}-{self.unique}"


@pytest.fixture(scope="session")
def call_json() -> Callable[..., Any]:
    """``call_json(method, url, body)``: what an emulator's API answers."""
    return _call_json


@pytest.fixture
def topics(pubsub: Emulator) -> Topics:
    return Topics(pubsub)


@pytest.fixture
def payload(request: pytest.FixtureRequest) -> Callable[[str], Any]:
    folder = request.path.parent / "payloads"
    return lambda name: json.loads((folder / f"{name}.json").read_text("utf-8"))


@pytest.fixture(autouse=True)
def no_platform_left() -> Iterator[None]:
    """What an entry sets for its process must not reach the next test."""
    from portable.resources import set_platform

    yield
    set_platform(None)
