"""What a topic checks and encodes before any driver is asked, its filters, and how handlers take it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portable import App, ConfigError, Message, Queue, Topic
from portable.checks import check_functions
from portable.drivers import SendFailure
from portable.invoke import make_function
from portable.manifest import describe_app
from portable.resources import use_platform
from portable.resources.filters import fits, read_filter


class Driver:
    def __init__(self) -> None:
        self.calls: list[tuple[str, Any, dict[str, Any]]] = []

    def publish(self, body: str, **options: Any) -> str:
        self.calls.append(("publish", body, options))
        return "id-1"

    def publish_many(self, bodies: Any) -> list[SendFailure]:
        self.calls.append(("publish_many", bodies, {}))
        return [SendFailure(1, ValueError("too large"))]


class Platform:
    target = "test"

    def __init__(self, driver: Any) -> None:
        self.driver = driver

    def open(self, resource: Any) -> Any:
        return self.driver

    def close(self) -> None: ...


topic: Topic[Any] = Topic("signups")
ordered: Topic[Any] = Topic("orders", ordered=True)


@pytest.fixture
def driver() -> Iterator[Driver]:
    driver = Driver()
    with use_platform(Platform(driver)):
        yield driver


@pytest.fixture(params=["sync", "async"])
def do(request: pytest.FixtureRequest) -> Callable[..., Any]:
    """Calls a method, or its twin."""

    def call(of: Topic[Any], method: str, *args: Any, **options: Any) -> Any:
        if request.param == "sync":
            return getattr(of, method)(*args, **options)
        return asyncio.run(getattr(of, f"a{method}")(*args, **options))

    return call


def test_publish(driver: Driver, do: Any) -> None:
    assert do(topic, "publish", {"a": "é"}, attributes={"plan": "pro"}) == "id-1"
    assert driver.calls == [("publish", '{"a":"é"}', {"attributes": {"plan": "pro"}, "group": None})]


def test_publish_many(driver: Driver, do: Any) -> None:
    [failure] = do(topic, "publish_many", (n for n in range(3)))
    assert failure.index == 1
    assert driver.calls == [("publish_many", ["0", "1", "2"], {})]


def test_a_group_needs_an_ordered_topic(driver: Driver, do: Any) -> None:
    with pytest.raises(ValueError, match="topic signups: group= needs a topic declared with ordered=True"):
        do(topic, "publish", 1, group="a")
    do(ordered, "publish", 1, group="a")
    assert driver.calls[0][2]["group"] == "a"


@pytest.mark.parametrize("group", ["", "a b", "é", "x" * 129, 7])
def test_groups_no_cloud_takes(driver: Driver, do: Any, group: Any) -> None:
    with pytest.raises(ValueError, match="topic orders: a group is 1 to 128 ASCII characters without spaces"):
        do(ordered, "publish", 1, group=group)


@pytest.mark.parametrize(
    ("attributes", "problem"),
    [
        ({"é": "x"}, "attribute name 'é'"),
        ({"a": ""}, "attribute 'a' must be a non-empty str"),
        ({f"a{n}": "x" for n in range(11)}, "at most 10 attributes, got 11"),
    ],
)
def test_attributes_no_cloud_takes(driver: Driver, do: Any, attributes: Any, problem: str) -> None:
    with pytest.raises(ValueError, match=f"topic signups: .*{problem}"):
        do(topic, "publish", 1, attributes=attributes)
    assert driver.calls == []


@pytest.mark.parametrize(("option", "value"), [("max_attempts", 0), ("max_attempts", True), ("ordered", 1)])
def test_options(option: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=f"topic 'signups': {option} is"):
        Topic("signups", **{option: value})


def test_one_name_is_one_topic() -> None:
    app = App("shop")
    first = app.topic("signups", int)
    assert app.topic("signups", int) is first
    with pytest.raises(ConfigError, match=r"topic signups at .* differs"):
        app.topic("signups", int, ordered=True)
    assert app.queue("signups").name == "signups"  # another kind, another thing


# --- filters


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ({"plan": "pro"}, {"plan": ["pro"]}),
        ({"plan": ["pro", "team"]}, {"plan": ["pro", "team"]}),
        ({"plan": {"prefix": "p"}}, {"plan": [{"prefix": "p"}]}),
        ({"plan": ("pro", {"prefix": "p"}), "a-b_C": "x"}, {"plan": ["pro", {"prefix": "p"}], "a-b_C": ["x"]}),
    ],
)
def test_filters_have_one_form(given: Any, read: Any) -> None:
    assert read_filter(given, "here") == read
    assert read_filter(read, "here") == read


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({}, "a filter is a mapping"),
        ("plan", "a filter is a mapping"),
        ({"plän": "x"}, "attribute name 'plän'"),
        ({"plan": []}, "leaves nothing that attribute 'plan' may be"),
        ({"plan": ""}, "attribute 'plan' may be"),
        ({"plan": 7}, "attribute 'plan' may be"),
        ({"plan": {"prefix": ""}}, "attribute 'plan' may be"),
        ({"plan": {"suffix": "x"}}, "attribute 'plan' may be"),
        ({"plan": [["x"]]}, "attribute 'plan' may be"),
    ],
)
def test_filters_that_say_nothing(given: Any, problem: str) -> None:
    with pytest.raises(ConfigError, match=f"here: .*{problem}"):
        read_filter(given, "here")


values = st.text(max_size=4)
choices = st.lists(st.text(min_size=1, max_size=3), min_size=1, max_size=3)


@given(
    wanted=st.dictionaries(st.sampled_from("ab"), choices, min_size=1),
    found=st.dictionaries(st.sampled_from("abc"), values),
)
def test_every_attribute_named_has_to_fit(wanted: Any, found: Any) -> None:
    assert fits(wanted, found) == all(found.get(name) in any_of for name, any_of in wanted.items())
    prefixes = {name: [{"prefix": one} for one in any_of] for name, any_of in wanted.items()}
    assert fits(prefixes, found) == all(
        name in found and found[name].startswith(tuple(any_of)) for name, any_of in wanted.items()
    )


# --- handlers


def make_app() -> App:
    app = App("shop")
    signups = app.topic("signups", int)

    @app.on_message(signups)
    def welcome(message: Message[int]) -> None: ...

    @app.on_message(signups, filter={"plan": ["pro"]}, batch_size=5)
    def bill(messages: list[Message[int]]) -> None: ...

    return app


def test_several_handlers_take_one_topic() -> None:
    manifest = describe_app(make_app(), "app:app", Path("/nowhere"))
    options = {function.name: function.triggers[0].options for function in manifest.functions}
    assert options == {
        "welcome": {"topic": "signups", "filter": None, "batch_size": 10},
        "bill": {"topic": "signups", "filter": {"plan": ["pro"]}, "batch_size": 5},
    }
    assert manifest.subscriptions("signups") == {"welcome": None, "bill": {"plan": ["pro"]}}
    assert manifest.function("bill").triggers[0].key == "topic:signups"
    assert manifest.function("bill").uses == ["topic:signups"]
    assert manifest.resource("topic", "signups").options == {"max_attempts": 5, "ordered": False}


def test_a_queue_takes_no_filter() -> None:
    app = App("shop")
    with pytest.raises(ConfigError, match=r"send at .*test_topic.py:\d+: a filter is for the messages of a topic"):

        @app.on_message(Queue("emails"), filter={"a": "b"})
        def send(message: Message[Any]) -> None: ...


def test_a_function_takes_a_topic_once() -> None:
    app = App("shop")
    for _ in range(2):
        app.on_message(topic, function="both")(lambda message: None)
    with pytest.raises(ConfigError, match="takes one queue or topic twice"):
        check_functions(app.functions())


def test_a_queue_and_a_topic_of_one_name_in_a_function() -> None:
    app = App("shop")
    seen: list[Any] = []

    @app.on_message(Queue("signups"), function="both")
    def from_queue(message: Message[Any]) -> None:
        seen.append(("queue", message.body))

    @app.on_message(topic, function="both")
    def from_topic(message: Message[Any]) -> None:
        seen.append(("topic", message.body))

    function = make_function(app.functions()["both"])
    function([Message("1", "1")], "topic:signups")
    function([Message("2", "2")], "signups")
    assert seen == [("topic", 1), ("queue", 2)]


def test_two_subscriptions_of_one_name_are_refused() -> None:
    app = App("shop")
    app.on_message(Topic("a-b"), function="c")(lambda message: None)
    app.on_message(Topic("a"), function="b-c")(lambda message: None)
    with pytest.raises(ConfigError, match="both called subscription 'a-b-c'"):
        check_functions(app.functions())


@pytest.mark.parametrize("batch", [False, True])
def test_the_entry_filters_what_the_cloud_did_not(batch: bool) -> None:
    app = App("shop")
    seen: list[Any] = []
    if batch:

        @app.on_message(topic, filter={"plan": "pro"})
        def together(messages: list[Message[Any]]) -> None:
            seen.extend(message.body for message in messages)
            messages[0].fail()
    else:

        @app.on_message(topic, filter={"plan": "pro"})
        async def each(message: Message[Any]) -> None:
            seen.append(message.body)
            if message.body == 2:
                raise ValueError("no")

    (triggers,) = app.functions().values()
    function = make_function(triggers)
    messages = [
        Message("1", "1", {"plan": "free"}),
        Message("2", "2", {"plan": "pro"}),
        Message("3", "no json", {}),
        Message("4", "4", {"plan": "pro"}),
    ]
    found = function(messages)
    outcomes = asyncio.run(found) if hasattr(found, "send") else found
    assert [outcome is None for outcome in outcomes] == [True, False, True, True]
    assert seen == [2, 4]
    assert function([Message("5", "5", {})]) == [None] if batch else True
