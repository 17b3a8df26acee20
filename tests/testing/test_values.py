"""Secrets, config values and caches in a test: made up, or what ``overrides`` say."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from portable import App
from portable.testing import TestClient


def make() -> App:
    app = App("shop")
    key = app.secret("mailer-key")
    size, ratio, tags = (
        app.config("page-size", int),
        app.config("ratio", float, default=0.5),
        app.config("tags", list[str], default=[]),
    )
    hits = app.cache("hits")

    @app.get("/")
    def values() -> dict[str, Any]:
        return {"key": key.value(), "size": size.value(), "ratio": ratio.value(), "tags": tags.value()}

    @app.post("/hits")
    def hit() -> int:
        return hits.increment("n", ttl=timedelta(minutes=1))

    return app


def test_made_up() -> None:
    with TestClient(make()) as client:
        assert client.get("/").json() == {"key": "made-up-mailer-key", "size": 1, "ratio": 0.5, "tags": []}


def test_overrides() -> None:
    app = make()
    overrides = {
        "secret:mailer-key": "a-key",
        "config:page-size": "20",
        app.resources["config", "ratio"]: 2.5,
        "config:tags": ["a"],
    }
    with TestClient(app, overrides=overrides) as client:
        assert client.get("/").json() == {"key": "a-key", "size": 20, "ratio": 2.5, "tags": ["a"]}
    with TestClient(app) as client:
        assert client.get("/").json()["key"] == "made-up-mailer-key"  # nothing stays from one client to the next


def test_a_cache_is_empty_in_each_client() -> None:
    app = make()
    for _ in range(2):
        with TestClient(app) as client:
            assert [client.post("/hits").json() for _ in range(3)] == [1, 2, 3]
