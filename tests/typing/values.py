"""Secrets, config values and caches as a user writes them: see ``application.py``."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from portable import App, Cache, Config, Secret


@dataclass
class Price:
    """A cached value."""

    cents: int


app = App("shop")
key: Secret = app.secret("mailer-key", ttl=timedelta(minutes=1))
name = app.config("name")
size = app.config("page-size", int, default=20)
prices: Cache[Price] = app.cache("prices", Price)
limits = app.cache("limits")
ratio: Config[float] = Config("ratio", float, default=0.5)


async def use() -> str:
    """Each in both kinds."""
    secret: str = key.value()
    also: str = await key.avalue()
    data: bytes = key.bytes_value()
    text: str = name.value()
    count: int = size.value() + await size.avalue()
    share: float = ratio.value()
    found: Price | None = prices.get("a")
    several: dict[str, Price] = await prices.aget_many(["a", "b"])
    prices.set("a", Price(count), ttl=timedelta(hours=1))
    stored: bool = await prices.aadd("a", Price(1))
    calls: int = limits.increment("calls", 2, ttl=timedelta(minutes=1))
    return f"{secret}{also}{data!r}{text}{share}{found}{several}{stored}{calls}"


prices.set("a", 7)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
