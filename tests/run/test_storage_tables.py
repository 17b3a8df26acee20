"""What a snapshot shows of a table, and that it can be emptied."""

from __future__ import annotations

from decimal import Decimal

from portable import App
from portable.manifest import describe_app
from portable.resources import use_platform
from portable.run.storage import Storage
from portable_local.platform import STATE, LocalPlatform


def test_items_are_shown_by_key_with_equal_numbers_alike_and_removed(tmp_path) -> None:
    app = App("shop")
    orders = app.table("orders", key="who", sort="number")
    platform = LocalPlatform({STATE: str(tmp_path)})
    storage = Storage(describe_app(app, "app:app", tmp_path), platform)
    with use_platform(platform):
        for number in range(250):
            orders.put({"who": "ann", "number": str(number), "paid": True, "sum": 2.50, "tags": {"b", "a"}})
        orders.put({"who": "é", "number": "1", "whole": 10**20, "data": b"\x00", "parts": [1, None, {"x": 0.1}]})
    shown = storage.contents().tables["orders"]
    assert len(shown) == 251
    assert shown["ann, 7"] == "{number: '7', paid: True, sum: 2.5, tags: {'a', 'b'}, who: 'ann'}"
    assert shown["é, 1"] == (
        f"{{data: b'\\x00', number: '1', parts: [1, None, {{x: 0.1}}], who: 'é', whole: {10**20}}}"
    )
    storage.clear()
    assert storage.contents().tables == {"orders": {}}
    platform.close()


def test_a_number_is_shown_alike_in_each_of_its_types() -> None:
    from portable.run.storage import _show

    assert {_show(one) for one in (2, 2.0, Decimal("2.00"))} == {"2"}
    assert _show(True) == "True"
