"""What an app costs in a month: what its functions are billed for on a target, at list prices."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from portable.build.load import Load, Loads
from portable.build.prices import Prices
from portable.build.settings import FunctionSettings
from portable.manifest import FunctionRecord, Manifest

__all__ = ["APP", "Bill", "Calls", "Charge", "Cost", "bill_of"]

APP = ""
"""Whose charges those are that no function has for itself."""


_LISTENING = ("message", "stream", "blob", "change")


class Calls(msgspec.Struct, frozen=True):
    """A function, as a target is asked what it is billed for. ``source``: what calls it there. ``load``: of a month."""

    function: FunctionRecord
    source: str
    settings: FunctionSettings
    load: Load
    manifest: Manifest

    @property
    def asked_batch(self) -> int:
        """Messages or records that come together, as far as the handler takes them."""
        sizes = self.function.asks("batch_size")
        return max(1, min(self.load.batch, *sizes)) if sizes else 1

    @property
    def heard(self) -> frozenset[tuple[str, str]]:
        """Kind and name of the resources whose messages, records, blobs or changes call it."""
        return _heard(self.function)

    @property
    def hearers(self) -> int:
        """How many functions have the messages of its topics, itself among them; 0 where it has none."""
        topics = {(kind, name) for kind, name in self.heard if kind == "topic"}
        return sum(bool(topics & _heard(one)) for one in self.manifest.functions)


class Charge(msgspec.Struct, frozen=True):
    """An amount that a meter counts.

    Attributes:
        row: what it is for: ``calls``, ``time``, ``front``, ``events``, ``always``. meter: a name of ``Prices.meters``.
        amount: units of the meter, at most. least: where it can be less, as calls that overlap are billed once.
        said: how it comes about, where that is not plain.
    """

    row: str
    meter: str
    amount: float
    least: float | None = None
    said: str = ""


class Cost(msgspec.Struct, frozen=True):
    """Money of a month, at least and at most."""

    least: float = 0.0
    most: float = 0.0

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.least + other.least, self.most + other.most)

    def __sub__(self, other: Cost) -> Cost:
        return Cost(self.least - other.least, self.most - other.most)


class Bill(msgspec.Struct, frozen=True):
    """See the module. ``charges``: by function, ``APP`` for the whole app, ``kind:name`` for a resource with a load.

    ``silent``: resources that have no price here, and no function whose events they are. ``kinds``: of the app's
    resources, in order.
    """

    prices: Prices
    charges: Mapping[str, Sequence[Charge]]
    silent: Sequence[str] = ()
    kinds: Sequence[str] = ()

    @property
    def meters(self) -> list[str]:
        """Those that count something here, in order."""
        return list(dict.fromkeys(one.meter for found in self.charges.values() for one in found))

    def unit_cost(self, kind: str, operation: str) -> Cost | None:
        """Of a million calls of a kind of resource, or of what it holds: a GB, a secret. None where no meter counts."""
        meter = self.prices.meters.get(f"{kind}.{operation}")
        if meter is None:
            return None
        amount = meter.unit_price * (1 if operation == "stored" else 1_000_000)
        return Cost(amount, amount)

    def cost(self, charge: Charge) -> Cost:
        """Before anything is free."""
        price = self.prices.meters[charge.meter].unit_price
        least = charge.amount if charge.least is None else charge.least
        return Cost(least * price, charge.amount * price)

    def row(self, of: str, row: str) -> Cost | None:
        """All charges of one row; None where there is none."""
        found = [self.cost(one) for one in self.charges.get(of, ()) if one.row == row]
        return sum(found, Cost()) if found else None

    def total(self, of: str | None = None) -> Cost:
        """Of a function, else of everything."""
        names = list(self.charges) if of is None else [of]
        return sum((self.cost(one) for name in names for one in self.charges.get(name, ())), Cost())

    @property
    def free(self) -> Cost:
        """What each month's free amounts take off, where nothing else in the account uses them."""
        pools: dict[str, list[Charge]] = {}
        for charge in (one for found in self.charges.values() for one in found):
            pools.setdefault(self.prices.meters[charge.meter].pool or charge.meter, []).append(charge)
        return sum((self._free(found) for found in pools.values()), Cost())

    def _free(self, charges: Sequence[Charge]) -> Cost:
        left = [max(self.prices.meters[one.meter].free for one in charges)] * 2
        taken = [0.0, 0.0]
        for one in charges:
            price = self.prices.meters[one.meter].unit_price
            for at, amount in enumerate((one.amount if one.least is None else one.least, one.amount)):
                used = min(amount, left[at])
                left[at] -= used
                taken[at] += used * price
        return Cost(*taken)


def bill_of(
    target: Any,
    prices: Prices,
    manifest: Manifest,
    sources: Mapping[str, str],
    functions: Mapping[str, FunctionSettings],
    settings: Mapping[str, Any],
    loads: Loads,
) -> Bill:
    """The bill of a target that has prices. ``sources``: the event source of each function there. ``functions``: how
    each is deployed. ``settings``: ``[tool.portable.<target>]``.
    """
    calls = [
        Calls(one, sources[one.name], functions[one.name], loads.functions[one.name], manifest)
        for one in manifest.functions
        if one.name in sources
    ]
    charges = {name: list(found) for name, found in target.charges(calls, settings).items()}
    for key in loads.resources:
        charges[key] = list(_of_resource(key, loads.resources[key], prices))
    priced = {name.partition(".")[0] for name in prices.meters}
    heard = frozenset[tuple[str, str]]().union(*map(_heard, manifest.functions))
    silent = [one for one in manifest.resources if one.kind not in priced and (one.kind, one.name) not in heard]
    kinds = list(dict.fromkeys(one.kind for one in manifest.resources))
    return Bill(prices, charges, [f"{one.kind} {one.name}" for one in silent], kinds)


def _heard(function: FunctionRecord) -> frozenset[tuple[str, str]]:
    if function.kind == "socket":
        return frozenset(("sockets", name) for name in function.asks("sockets"))
    return frozenset(trigger.source for trigger in function.triggers) if function.kind in _LISTENING else frozenset()


def _of_resource(key: str, load: Mapping[str, float], prices: Prices) -> Iterator[Charge]:
    kind = key.partition(":")[0]
    for operation, amount in load.items():
        meter = f"{kind}.{operation}"
        if meter in prices.meters:
            yield Charge(operation, meter, amount / 1e9 if operation == "stored" else amount)
