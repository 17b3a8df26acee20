import pytest

from portable import Bucket, Queue
from portable.resources import use_platform
from portable.testing.conformance import BucketConformance, QueueConformance
from portable_local.platform import LocalPlatform


@pytest.fixture
def in_force(tmp_path):
    gone = str(tmp_path / "gone")
    environment = {
        "PORTABLE_LOCAL_STATE": str(tmp_path),
        "PORTABLE_BUCKET_MISSING": gone,
        "PORTABLE_QUEUE_MISSING": gone,
    }
    platform = LocalPlatform(environment)
    with use_platform(platform):
        yield platform
    platform.close()


class TestBucket(BucketConformance):
    @pytest.fixture
    def bucket(self, in_force):
        return Bucket("uploads")


class TestQueue(QueueConformance):
    supports_delay = True

    @pytest.fixture
    def queue(self, in_force):
        return Queue("emails")
