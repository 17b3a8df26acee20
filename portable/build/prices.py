"""List prices of a cloud, as data: ``prices.toml`` beside its adapter, and a user's own file over it.

[about]
currency = "USD"
region = "us-east-1"
taken = 2026-11-23

[meters."lambda.calls"]
title = "Lambda, requests"
price = 0.20
per = 1_000_000
unit = "requests"
free = 1_000_000
sure = "other"
source = "https://aws.amazon.com/lambda/pricing/"
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any, Literal

import msgspec

from portable.build.project import nearest
from portable.errors import ConfigError

__all__ = ["Meter", "Prices", "read_prices"]


class Meter(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Something that is billed.

    Attributes:
        title: for people. price: for ``per`` of ``unit``. free: how many of ``unit`` cost nothing in each month, for
            the whole account. pool: meters that share what is free have one; the meter's own name where it is "".
        sure: where the figure was read. ``"page"``: the cloud's own. ``"other"``: somebody else's, which may be late.
            ``"memory"``: no page at hand said it; look before you count on it. source: where to look.
        note: what the figure leaves out.
    """

    title: str
    price: float
    unit: str
    sure: Literal["page", "other", "memory", "yours"]
    source: str
    per: float = 1
    free: float = 0
    pool: str = ""
    note: str = ""

    @property
    def unit_price(self) -> float:
        """Of one unit."""
        return self.price / self.per


class Prices(msgspec.Struct, frozen=True):
    """Of one cloud. ``taken``: when the figures were looked up. ``own``: meters whose price is the user's."""

    currency: str
    region: str
    taken: date
    meters: Mapping[str, Meter]
    own: frozenset[str] = frozenset()


def read_prices(file: Path, target: str = "", over: Path | None = None) -> Prices:
    """The prices of an adapter's file, with those of ``over`` for ``target`` laid on them.

    ``over`` has a table for each target, ``[aws]``, with ``region``, and a new price or fields for each meter:
    ``"lambda.calls" = 0.18`` or ``{ price = 0.18, free = 0 }``. Raises ConfigError for what it says wrongly.
    """
    document = tomllib.loads(file.read_text("utf-8"))
    prices = Prices(**document["about"], meters=msgspec.convert(document["meters"], dict[str, Meter]))
    return prices if over is None else _laid_over(prices, over, target)


def _laid_over(prices: Prices, over: Path, target: str) -> Prices:
    try:
        document = tomllib.loads(over.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"prices of {over}: {getattr(error, 'strerror', None) or error}") from error
    table: Any = document.get(target, {})
    if not isinstance(table, Mapping):
        raise ConfigError(f"{over}: [{target}] is a table of prices, got {table!r}")
    meters, own, region = dict(prices.meters), set[str](), prices.region
    for name, value in table.items():
        if name == "region" and isinstance(value, str):
            region = value
            continue
        if name not in meters:
            raise ConfigError(f"{over}: {target} has no price {name!r}{nearest(name, meters)}")
        fields = dict(value) if isinstance(value, Mapping) else {"price": value}
        said = {**msgspec.to_builtins(meters[name]), "sure": "yours", "source": str(over), **fields}
        try:
            meters[name] = msgspec.convert(said, Meter)
        except msgspec.ValidationError as error:
            raise ConfigError(f"{over}: [{target}] {name}: {error}") from error
        own.add(name)
    return Prices(prices.currency, region, prices.taken, meters, frozenset(own))
