"""DynamoDB's driver against the suite, on moto, and what is its own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from portable.resources import use_platform
from portable.testing.conformance import TableConformance
from portable.testing.conformance.table import TABLES
from portable_aws.capabilities import CAPABILITIES
from portable_aws.platform import AWSPlatform


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


class TestTable(TableConformance):
    capabilities = CAPABILITIES["table"]
