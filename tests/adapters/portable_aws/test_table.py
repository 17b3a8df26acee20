"""DynamoDB's driver against the suite, on moto, and what is its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from threading import Lock
from typing import Any, ClassVar

import pytest

from portable.resources import use_platform
from portable.testing.conformance import TableConformance
from portable.testing.conformance.table import TABLES
from portable_aws.capabilities import CAPABILITIES
from portable_aws.platform import AWSPlatform
from portable_aws.table import DynamoTable


@pytest.fixture
def tables(account: Any) -> Iterator[AWSPlatform]:
    environment = dict(account.environment)
    for table in TABLES:
        environment[f"PORTABLE_TABLE_{table.name.upper()}"] = account.table(table)
    environment["PORTABLE_TABLE_MISSING"] = "dynamodb://nothing-is-here"
    platform = AWSPlatform(environment)
    with use_platform(platform):
        yield platform
    platform.close()


_SUMS = "moto adds with 28 digits, DynamoDB with 38, and says when that is not enough"


class TestTable(TableConformance):
    capabilities = CAPABILITIES["table"]
    emulator_faults: ClassVar[Mapping[str, str]] = {
        "sums_are_exact[far_apart]": _SUMS,
        "sums_are_exact[39_digits]": _SUMS,
    }
    model_examples = 4

    def test_money_moves_and_none_is_lost(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """moto undoes a failed transaction by putting back a copy of the table, without what others wrote meanwhile:
        here it gets one call at a time.
        """
        turn = Lock()
        for method in ("write", "transact"):
            original = getattr(DynamoTable, method)

            def alone(driver: Any, asked: Any, original: Any = original) -> Any:
                with turn:
                    return original(driver, asked)

            monkeypatch.setattr(DynamoTable, method, alone)
        super().test_money_moves_and_none_is_lost()
