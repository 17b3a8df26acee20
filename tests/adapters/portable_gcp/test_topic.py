"""The topic driver against Google's Pub/Sub emulator, and filters as Pub/Sub writes them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portable import App, Backoff, ConfigError, Topic
from portable.manifest import describe_app
from portable.resources import use_platform
from portable.resources.filters import fits, read_filter
from portable.run.emulators import PROJECT, Emulator
from portable.testing.conformance import TopicConformance
from portable.testing.conformance.topic import FILTER
from portable_gcp.build import TARGET
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


def test_a_policy_of_retries_is_taken_by_the_emulator(pubsub: Emulator, call_json: Any) -> None:
    name = f"waiting-{uuid4().hex[:8]}"
    options = Topic("waiting", retry=Backoff(timedelta(seconds=1.5), limit=timedelta(minutes=10))).options
    make_topic(pubsub.endpoint, PROJECT, "waiting", name, options, {"mail": None})
    made = call_json("GET", f"{pubsub.endpoint}/v1/projects/{PROJECT}/subscriptions/{name}-mail")
    assert made["retryPolicy"] == {"minimumBackoff": "1.500s", "maximumBackoff": "600s"}


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


class Expression:
    """As much of Pub/Sub's filter grammar as is used here, evaluated by itself."""

    TOKEN = re.compile(r'\s*(attributes\.|hasPrefix|AND|OR|[()=,]|"(?:[^"\\]|\\.)*")')

    def __init__(self, text: str, attributes: dict[str, str]) -> None:
        self.tokens = self.TOKEN.findall(text)
        assert "".join(self.tokens) == re.sub(r'("(?:[^"\\]|\\.)*")|\s', lambda match: match[1] or "", text)
        self.attributes = attributes

    def take(self, wanted: str = "") -> str:
        token: str = self.tokens.pop(0)
        assert wanted in ("", token)
        return token

    def string(self) -> str:
        return re.sub(r"\\(.)", r"\1", self.take()[1:-1], flags=re.DOTALL)

    def chain(self, word: str, part: Callable[[], bool]) -> bool:
        found = [part()]
        while self.tokens and self.tokens[0] == word:
            self.take()
            found.append(part())
        return all(found) if word == "AND" else any(found)

    def test(self) -> bool:
        if self.tokens[0] == "(":
            self.take()
            value = self.chain("OR", self.test)
            self.take(")")
            return value
        if self.tokens[0] == "hasPrefix":
            for token in ("hasPrefix", "(", "attributes."):
                self.take(token)
            name = self.string()
            self.take(",")
            prefix = self.string()
            self.take(")")
            return name in self.attributes and self.attributes[name].startswith(prefix)
        self.take("attributes.")
        name = self.string()
        self.take("=")
        return self.attributes.get(name) == self.string()

    def value(self) -> bool:
        found = self.chain("AND", self.test)
        assert self.tokens == []
        return found


texts = st.text('ab"\\ ()', min_size=1, max_size=4)
wants = st.lists(texts | st.builds(lambda text: {"prefix": text}, texts), min_size=1, max_size=3)
filters_given = st.dictionaries(st.sampled_from(["a", "b-b", "C_1"]), wants, min_size=1)


@given(filters_given, st.dictionaries(st.sampled_from(["a", "b-b", "C_1", "d"]), texts))
def test_an_expression_means_what_the_filter_means(wanted: Any, attributes: dict[str, str]) -> None:
    wanted = read_filter(wanted, "test")
    assert Expression(filter_expression(wanted), attributes).value() == fits(wanted, attributes)


def test_what_pubsub_cannot_give_a_topic() -> None:
    app = App("shop")
    signups = app.topic("signups", max_attempts=3)
    app.on_message(signups, filter={"plan": ["x" * 110, "y" * 110]}, function="bill", batch_size=1)(
        lambda message: None
    )
    found = TARGET.check(describe_app(app, "app:app", Path("/nowhere")), {})
    assert [one.severity for one in found] == ["error", "error"]
    assert "topic signups: Pub/Sub moves a message to the dead-letter topic after 5 to 100 attempts" in found[0].message
    assert "function bill: a filter of" in found[1].message
    assert found[1].message.endswith("Pub/Sub takes 256")
