"""The table driver against a NATS server."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from portable.resources import use_platform
from portable.testing.conformance import TableConformance
from portable.testing.conformance.table import TABLES
from portable_nats.capabilities import CAPABILITIES
from portable_nats.runtime import platform


@pytest.mark.slow
class TestTable(TableConformance):
    capabilities = CAPABILITIES["table"]

    @pytest.fixture
    def tables(self, place: Callable[..., dict[str, str]]) -> Iterator[None]:
        opened = platform(place(*TABLES))
        with use_platform(opened):
            yield
        opened.close()
