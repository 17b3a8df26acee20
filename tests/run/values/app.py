"""Secrets, config values and caches, as every target has to give them."""

from datetime import timedelta
from typing import Any

from portable import App

app = App("values")
key = app.secret("mailer-key")
size = app.config("page-size", int)
ratio = app.config("ratio", float, default=0.5)
hits = app.cache("hits")


@app.get("/values")
def read() -> dict[str, Any]:
    return {"key": key.value(), "size": size.value(), "ratio": ratio.value(), "shown": f"{key} {key!r}"}


@app.post("/hits/{name}")
def hit(name: str) -> dict[str, int]:
    return {"hits": hits.increment(name, ttl=timedelta(minutes=5))}


@app.put("/cached/{name}")
def keep(name: str, body: dict[str, Any]) -> dict[str, bool]:
    return {"added": hits.add(f"body-{name}", body, ttl=timedelta(minutes=5))}


@app.get("/cached/{name}")
async def cached(name: str) -> dict[str, Any]:
    return {"found": await hits.aget(f"body-{name}")}
