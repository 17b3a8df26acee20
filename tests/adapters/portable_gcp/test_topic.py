"""The topic driver against Google's Pub/Sub emulator, and filters as Pub/Sub writes them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar
from uuid import uuid4

import pytest

from portable import ConfigError, Topic
from portable.resources import use_platform
from portable.resources.filters import read_filter
from portable.run.emulators import PROJECT, Emulator
from portable.testing.conformance import TopicConformance
from portable.testing.conformance.topic import FILTER
from portable_gcp.capabilities import CAPABILITIES
from portable_gcp.provision import make_topic
from portable_gcp.runtime import platform
from portable_gcp.topic import PubSubTopic, filter_expression

SUBSCRIPTIONS: dict[str, Any] = {"welcome": None, "audit": None, "paid": read_filter(FILTER, "test")}


class TestTopic(TopicConformance):
    capabilities = CAPABILITIES["topic"]
    # The largest request Pub/Sub takes is 10 MB, the message's other fields included.
    largest_body = None
    emulator_faults: ClassVar = {
        "filter": "it keeps filters and does not heed them; the functions' entries filter too, "
        "and the expressions are held against Google's grammar by tests of their own"
    }

    @pytest.fixture
    def topic(self, pubsub: Emulator) -> Iterator[Topic[Any]]:
        environment = dict(pubsub.environment) | {"PORTABLE_TOPIC_MISSING": f"projects/{PROJECT}/topics/nothing-here"}
        unique = uuid4().hex[:8]
        for name, subscriptions in (("signups", SUBSCRIPTIONS), ("orders", {"welcome": None})):
            options = {"max_attempts": 5, "ordered": name == "orders"}
            made = make_topic(pubsub.endpoint, PROJECT, name, f"{name}-{unique}", options, subscriptions)
            environment |= made
        cloud = platform(environment)
        with use_platform(cloud):
            yield Topic("signups")
        cloud.close()


# https://cloud.google.com/pubsub/docs/subscription-message-filter#filtering_syntax
@pytest.mark.parametrize(
    ("given", "expression"),
    [
        ({"plan": "pro"}, 'attributes."plan" = "pro"'),
        ({"plan": ["pro", "team"]}, '(attributes."plan" = "pro" OR attributes."plan" = "team")'),
        ({"region-of": {"prefix": "eu-"}}, 'hasPrefix(attributes."region-of", "eu-")'),
        (
            {"plan": "pro", "region": ["us", {"prefix": "eu-"}]},
            'attributes."plan" = "pro" AND (attributes."region" = "us" OR hasPrefix(attributes."region", "eu-"))',
        ),
        ({"a": 'say "x" \\ é'}, 'attributes."a" = "say \\"x\\" \\\\ é"'),
    ],
)
def test_filters(given: Any, expression: str) -> None:
    assert filter_expression(read_filter(given, "test")) == expression


def test_a_filter_is_taken_by_the_emulator(pubsub: Emulator, call_json: Any) -> None:
    name = f"filtered-{uuid4().hex[:8]}"
    wanted = {"paid": SUBSCRIPTIONS["paid"]}
    make_topic(pubsub.endpoint, PROJECT, "filtered", name, {"max_attempts": 5, "ordered": False}, wanted)
    made = call_json("GET", f"{pubsub.endpoint}/v1/projects/{PROJECT}/subscriptions/{name}-paid")
    assert made["filter"] == filter_expression(wanted["paid"])


def test_a_subscription_needs_its_address() -> None:
    driver = PubSubTopic("signups", {"PORTABLE_TOPIC_SIGNUPS": "projects/p/topics/t"})
    with pytest.raises(ConfigError, match="PORTABLE_SUBSCRIPTION_SIGNUPS_WELCOME is not set"):
        driver.subscription("welcome")
