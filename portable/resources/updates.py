"""An update applied to an item here, for the drivers whose cloud does not do it by itself."""

from __future__ import annotations

from portable.errors import ServiceError
from portable.resources.values import to_number, to_value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from portable.drivers.table import Item, Write

__all__ = ["apply_update"]

_EXACT = 400
"""Digits that hold the sum of any two numbers of a table: from 1E-167 to 1E+126."""


def apply_update(item: Item, write: Write, resource: str, key: str) -> Item:
    """The new item; ``item`` is left as it is. Raises ServiceError for an ``add`` that cannot be."""
    changed = {name: value for name, value in item.items() if name not in write.remove}
    changed.update(write.set)
    for name, more in write.add.items():
        have = changed.get(name)
        try:
            changed[name] = more if have is None and name not in changed else _add(have, more)
        except (TypeError, ValueError) as error:
            raise ServiceError(f"field {name!r} cannot be added to: {error}", resource=resource, key=key) from error
    return changed


def _add(have: Any, more: Any) -> Any:
    if isinstance(more, (set, frozenset)):
        if not isinstance(have, (set, frozenset)):
            raise TypeError(f"it holds a {type(have).__name__}, not a set")
        if have and _kind(have) != _kind(more):
            raise TypeError(f"it holds a set of {_kind(have)}, not of {_kind(more)}")
        return set(have) | set(more)
    from decimal import Context, Decimal

    if isinstance(have, bool) or not isinstance(have, (int, float, Decimal)):
        raise TypeError(f"it holds a {type(have).__name__}, not a number")
    if type(have) is int and type(more) is int:
        return to_value(have + more, "the sum", exact=True)
    sum_ = Context(prec=_EXACT).add(_decimal(have), _decimal(more))
    return to_number(to_value(sum_, "the sum", exact=True), exact=True)


def _kind(members: Any) -> str:
    one = next(iter(members))
    return type(one).__name__ if isinstance(one, (str, bytes)) else "numbers"


def _decimal(number: Any) -> Any:
    from decimal import Decimal

    return Decimal(repr(number)) if isinstance(number, float) else Decimal(number)
