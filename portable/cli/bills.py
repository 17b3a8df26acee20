"""What an app costs on two targets, as a table at 80 columns."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

from portable.build.costs import APP, Bill, Cost
from portable.build.load import Load
from portable.cli.bars import shortened
from portable.cli.lines import wrapped

if TYPE_CHECKING:
    from portable.build.load import Loads

__all__ = ["bill_lines"]

_ROWS = {
    "calls": "calls",
    "time": "time",
    "front": "what stands before it",
    "events": "what brings the events",
    "always": "what is there all month",
    "read": "reads",
    "write": "writes",
    "delete": "deletes",
    "list": "lists",
    "stored": "what it holds",
}
_FIRST, _CELL = 43, 18


def bill_lines(bills: Mapping[str, Bill | None], loads: Loads) -> list[str]:
    """The bills by target; None for one whose prices are not known."""
    known = {name: bill for name, bill in bills.items() if bill is not None}
    if not known:
        return [f"  no prices are known of {' or '.join(bills)}"]
    return [
        *_head(bills, known, loads),
        "",
        "".join(["  of a month".ljust(_FIRST), *(name.rjust(_CELL) for name in bills)]),
        *_table(bills, known, loads),
        *_totals(bills),
        *_counted(known),
        *_resources(bills, known),
        *_left_out(known),
    ]


def _head(bills: Mapping[str, Bill | None], known: Mapping[str, Bill], loads: Loads) -> Iterator[str]:
    where = ", ".join(
        f"{name} in {bill.prices.region} ({bill.prices.currency}, looked up {bill.prices.taken})"
        for name, bill in known.items()
    )
    yield from wrapped(f"list prices without taxes: {where}", "  ", "  ")
    for name, bill in known.items():
        if bill.prices.own:
            yield from wrapped(f"{name}, prices of your own: {', '.join(sorted(bill.prices.own))}", "  ", "    ")
    for name in bills.keys() - known.keys():
        yield from wrapped(f"{name}: no prices; it costs what it runs on", "  ", "  ")
    yield f"  each function, where nothing else is said: {_load_text(_usual(loads))}"


def _table(bills: Mapping[str, Bill | None], known: Mapping[str, Bill], loads: Loads) -> Iterator[str]:
    usual = _usual(loads)
    for name in (*loads.functions, APP, *loads.resources):
        if not any(bill.charges.get(name) for bill in known.values()):
            continue
        load = loads.functions.get(name, usual)
        label = "the app" if name == APP else name.replace(":", " ")
        totals = {of: bill.total(name) if bill and bill.charges.get(name) else None for of, bill in bills.items()}
        yield _row(label, totals)
        if load != usual:
            yield f"    {_load_text(load)}"
        for row, words in _ROWS.items():
            cells = {target: None if bill is None else bill.row(name, row) for target, bill in bills.items()}
            if any(cells.values()):
                yield _row(f"  {words}", cells)


def _usual(loads: Loads) -> Load:
    """That of most functions."""
    every = list(loads.functions.values()) or [Load()]
    return max(every, key=every.count)


def _load_text(load: Load) -> str:
    duration = f"{load.duration * 1000:g} ms" if load.duration < 1 else f"{load.duration:g} s"
    return f"{load.requests:,.0f} of {duration}, {load.size:,.0f} B"


def _totals(bills: Mapping[str, Bill | None]) -> Iterator[str]:
    yield _row("together", {name: None if bill is None else bill.total() for name, bill in bills.items()})
    free = {name: None if bill is None else Cost() - bill.free for name, bill in bills.items()}
    yield _row("free each month, if not used elsewhere", free)
    yield _row("to pay", {name: None if bill is None else bill.total() - bill.free for name, bill in bills.items()})


def _counted(known: Mapping[str, Bill]) -> Iterator[str]:
    yield ""
    yield "  time is billed:"
    for target, bill in known.items():
        for said, names in _said(bill).items():
            yield from wrapped(f"{target} {', '.join(names)}: {said}", "    ", "      ")


def _said(bill: Bill) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, charges in bill.charges.items():
        for one in charges:
            if one.said:
                found.setdefault(one.said, []).append(name or "the app")
    return found


def _resources(bills: Mapping[str, Bill | None], known: Mapping[str, Bill]) -> Iterator[str]:
    """Unit prices of the kinds of resources in use."""
    kinds = list(dict.fromkeys(kind for bill in known.values() for kind in bill.kinds))
    rows = []
    for kind in kinds:
        for operation in ("read", "write", "delete", "list", "stored"):
            cells = {name: None if bill is None else bill.unit_cost(kind, operation) for name, bill in bills.items()}
            if any(cell is not None and cell.most for cell in cells.values()):
                label = {"stored": "one, for a month" if kind == "secret" else "a GB, for a month"}
                rows.append(_row(f"{kind}: {label.get(operation, f'a million {operation}s')}", cells, _unit_price))
    if rows:
        yield ""
        yield from wrapped(
            "resources, where [tool.portable.load.resources] does not say how often they are used:", "  ", "  "
        )
        yield from rows


def _left_out(known: Mapping[str, Bill]) -> Iterator[str]:
    yield ""
    silent = list(dict.fromkeys(one for bill in known.values() for one in bill.silent))
    also = f", {', '.join(silent)}" if silent else ""
    yield from wrapped(f"Not counted: data that leaves the cloud, logs, images and builds{also}.", "  ", "  ")
    for name, bill in known.items():
        meters = [meter for meter in bill.meters if bill.prices.meters[meter].sure == "memory"]
        if meters:
            said = f"{name}: in no page at hand, so look before you count on it: {', '.join(meters)}"
            yield from wrapped(said, "  ", "    ")
    yield from wrapped(
        "The load is [tool.portable.load] or --requests, --duration, --memory; prices of your own come with --prices.",
        "  ",
        "  ",
    )


def _row(label: str, cells: Mapping[str, Cost | None], show: Callable[[Cost], str] | None = None) -> str:
    shown = shortened(label, _FIRST - 3)
    told = ("-" if cell is None else (show or _money)(cell) for cell in cells.values())
    return "".join([f"  {shown}".ljust(_FIRST), *(one.rjust(_CELL) for one in told)])


def _money(cost: Cost) -> str:
    least, most = _amount(cost.least), _amount(cost.most)
    return most if least == most else f"{least} to {most}"


def _unit_price(cost: Cost) -> str:
    return f"{cost.most:.3f}".removesuffix("0")


def _amount(value: float) -> str:
    """Cents; what they round to nothing is not nothing."""
    if 0 < value < 0.005:
        return "<0.01"
    shown = f"{value:,.2f}"
    return "0.00" if shown == "-0.00" else shown
