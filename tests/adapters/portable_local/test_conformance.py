from datetime import timedelta

import pytest

from portable import Queue
from portable.resources import use_platform
from portable.testing.conformance import QueueConformance
from portable_local.capabilities import CAPABILITIES
from portable_local.platform import LocalPlatform


@pytest.fixture
def in_force(tmp_path):
    gone = str(tmp_path / "gone")
    environment = {
        "PORTABLE_LOCAL_STATE": str(tmp_path),
        "PORTABLE_QUEUE_MISSING": gone,
    }
    platform = LocalPlatform(environment)
    with use_platform(platform):
        yield platform
    platform.close()


class TestQueue(QueueConformance):
    capabilities = CAPABILITIES["queue"]
    silence = timedelta(seconds=0.1)  # one database: a message is there as soon as it is sent
    model_examples = 8
    model_steps = 30

    @pytest.fixture
    def queue(self, in_force):
        return Queue("emails")
