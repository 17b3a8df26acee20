"""What every driver of a kind has to keep, as test classes: a driver's test file is one subclass and one fixture.

    from portable.testing.conformance import BucketConformance

    class TestBucket(BucketConformance):
        @pytest.fixture
        def bucket(self, tmp_path):
            environment = {"PORTABLE_BUCKET_UPLOADS": …, "PORTABLE_BUCKET_MISSING": "a-bucket-that-is-not-there"}
            with use_platform(platform(environment)):
                yield Bucket("uploads")

The cases use the portable type, so they test what a user sees. What a cloud cannot do is declared in class attributes,
and a case fails both when a driver cannot do what it claims and when it does what it denies.
"""

from __future__ import annotations

import pytest

# Before the imports: a failed case then shows the values in its assertion, as in a test file.
pytest.register_assert_rewrite(
    *(
        f"{__name__}.{module}"
        for module in (
            "bucket",
            "bucket_keys",
            "bucket_model",
            "bucket_streams",
            "cache",
            "cases",
            "queue",
            "secret",
            "queue_cases",
            "queue_model",
            "queue_options",
            "sockets",
            "stream",
            "table",
            "table_model",
            "table_queries",
            "table_transactions",
            "table_values",
            "topic",
        )
    )
)

from portable.testing.conformance.bucket import BucketConformance  # noqa: E402
from portable.testing.conformance.cache import CacheConformance  # noqa: E402
from portable.testing.conformance.queue import QueueConformance  # noqa: E402
from portable.testing.conformance.secret import ConfigConformance, SecretConformance  # noqa: E402
from portable.testing.conformance.sockets import SocketsConformance  # noqa: E402
from portable.testing.conformance.stream import StreamConformance  # noqa: E402
from portable.testing.conformance.table import TableConformance  # noqa: E402
from portable.testing.conformance.topic import TopicConformance  # noqa: E402

__all__ = [
    "BucketConformance",
    "CacheConformance",
    "ConfigConformance",
    "QueueConformance",
    "SecretConformance",
    "SocketsConformance",
    "StreamConformance",
    "TableConformance",
    "TopicConformance",
]
