"""The local tables against the suite."""

import pytest

from portable.resources import use_platform
from portable.testing.conformance import TableConformance
from portable_local.capabilities import CAPABILITIES
from portable_local.platform import LocalPlatform


@pytest.fixture
def tables(tmp_path):
    environment = {"PORTABLE_LOCAL_STATE": str(tmp_path), "PORTABLE_TABLE_MISSING": str(tmp_path / "gone")}
    platform = LocalPlatform(environment)
    with use_platform(platform):
        yield platform
    platform.close()


class TestTable(TableConformance):
    capabilities = CAPABILITIES["table"]
