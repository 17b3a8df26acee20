"""Rectangles whose areas are as amounts are, as near to squares as can be: a squarified treemap.

Bruls, Huizing and van Wijk, "Squarified Treemaps", 2000: a row along the shorter side of what is left takes the next
amount as long as that makes the row's worst rectangle no more oblong.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

__all__ = ["Tile", "lay_out"]


class Tile(msgspec.Struct, frozen=True):
    """Where an amount goes, in the units of the whole's width and height."""

    left: float
    top: float
    width: float
    height: float


def lay_out(amounts: Sequence[float], width: float, height: float) -> list[Tile]:
    """A tile for each amount, which are all more than 0 and in falling order; together they fill the whole."""
    total = sum(amounts)
    areas = [amount * width * height / total for amount in amounts]
    left = top = 0.0
    tiles: list[Tile] = []
    while areas:
        short = min(width, height)
        count = 1
        while count < len(areas) and _worst(areas[: count + 1], short) <= _worst(areas[:count], short):
            count += 1
        row, areas = areas[:count], areas[count:]
        thick = sum(row) / short if areas else max(width, height)
        along = 0.0
        for area in row:
            long = area / thick
            if width >= height:
                tiles.append(Tile(left, top + along, thick, long))
            else:
                tiles.append(Tile(left + along, top, long, thick))
            along += long
        if width >= height:
            left, width = left + thick, width - thick
        else:
            top, height = top + thick, height - thick
    return tiles


def _worst(row: Sequence[float], short: float) -> float:
    """The largest ratio of sides in a row."""
    thick = sum(row) / short
    return max(max(thick * thick / area, area / (thick * thick)) for area in row)
