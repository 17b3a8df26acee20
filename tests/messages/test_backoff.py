"""A policy of retries: the waits it makes, and what each cloud is told of them."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portable import App, Backoff, ConfigError, Message, Queue, Reject, Retry, Topic
from portable.build.features import check_features
from portable.invoke import make_function, run
from portable.manifest import Manifest, describe_app
from portable.resources import use_platform
from portable.run.delivery import Delivery, resource_of
from portable.samples import Outcome
from portable.testing import TestClient
from portable_aws.build import TARGET as AWS
from portable_azure.build import TARGET as AZURE
from portable_azure.triggers.storage_queue import StorageQueueTrigger
from portable_gcp import provision
from portable_gcp.build import TARGET as GCP
from portable_local.platform import LocalPlatform

SECOND = timedelta(seconds=1)


def test_waits_grow_up_to_the_limit() -> None:
    policy = Backoff(SECOND, factor=3, limit=timedelta(seconds=20), jitter=0)
    assert [policy.after(attempt).total_seconds() for attempt in (1, 2, 3, 4, 5, 1000)] == [1, 3, 9, 20, 20, 20]
    assert Backoff(SECOND).limit == timedelta(minutes=10)
    assert Backoff(timedelta(hours=1)).limit == timedelta(hours=1)


@given(
    first=st.floats(0, 1e5),
    factor=st.floats(1, 100),
    more=st.floats(0, 1e6),
    jitter=st.floats(0, 1),
    attempt=st.integers(1, 1000),
)
def test_a_wait_is_within_its_bounds(first: float, factor: float, more: float, jitter: float, attempt: int) -> None:
    limit = timedelta(seconds=first + more)
    policy = Backoff(timedelta(seconds=first), factor=factor, limit=limit, jitter=jitter)
    wait = policy.after(attempt)
    longest = min(policy.first.total_seconds() * factor ** min(attempt - 1, 150), policy.limit.total_seconds())
    assert longest * (1 - jitter) - 1e-3 <= wait.total_seconds() <= longest + 1e-3
    again = Backoff.of_options(policy.options)
    assert again.options == policy.options
    assert not math.isinf(wait.total_seconds())


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Backoff(5), "first is a timedelta, not below 0, got 5"),  # type: ignore[arg-type]
        (lambda: Backoff(-SECOND), "first is a timedelta, not below 0"),
        (lambda: Backoff(SECOND * 2, limit=SECOND), "limit is a timedelta, not below first"),
        (lambda: Backoff(SECOND, factor=0.5), "factor is 1 to 100, got 0.5"),
        (lambda: Backoff(SECOND, jitter=2), "jitter is 0 to 1, got 2"),
        (lambda: App("a").queue("q", retry=SECOND), "queue 'q': retry is a Backoff, got"),  # type: ignore[call-overload]
    ],
)
def test_what_is_no_policy(make: Callable[[], Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        make()


def outcomes(handler: Any, *attempts: int, is_async: bool = False, **options: Any) -> list[Any]:
    app = App("policy")
    policy = Backoff(SECOND, factor=10, jitter=0)
    app.on_message(app.queue("mails", max_attempts=4, retry=policy), function="mail", **options)(handler)
    function = make_function(app.functions()["mail"])
    batch = [Message(str(attempt), "1", attempt=attempt) for attempt in attempts]
    found = function(batch)
    return list(run(found) if is_async else found)


def test_a_failure_becomes_a_retry_that_waits() -> None:
    def mail(message: Message[int]) -> None:
        raise OSError("no")

    first, second, last = outcomes(mail, 1, 2, 4)
    assert (type(first), first.after, str(first)) == (Retry, SECOND, "OSError: no")
    assert isinstance(first.__cause__, OSError)
    assert second.after == timedelta(seconds=10)
    assert isinstance(last, OSError)  # nothing waits for a dead letter


def test_what_the_handler_says_counts_for_more() -> None:
    wishes: dict[str, BaseException] = {
        "1": Retry("soon", after=timedelta(seconds=3)),
        "2": Retry("whenever"),
        "3": Reject("never"),
    }

    async def mail(message: Message[int]) -> None:
        raise wishes[message.id]

    for options in ({}, {"concurrency": 3}):
        soon, whenever, never = outcomes(mail, 1, 2, 3, is_async=True, **options)
        assert soon is wishes["1"]
        assert (whenever.after, whenever.reason) == (timedelta(seconds=10), "whenever")
        assert never is wishes["3"]


def test_batches_too() -> None:
    def mail(messages: list[Message[int]]) -> None:
        messages[0].fail()

    marked, done = outcomes(mail, 3, 1)
    assert (marked.after, done) == (timedelta(seconds=100), None)


def test_a_declaration_keeps_it() -> None:
    policy = Backoff(SECOND, jitter=0.5)
    app = App("kept")
    mails = app.queue("mails", retry=policy)
    news = app.topic("news", retry=policy)
    assert mails.options["retry"] == (1.0, 2.0, 600.0, 0.5)
    assert mails.same_as(Queue("mails", retry=Backoff(SECOND, jitter=0.5)))
    assert not mails.same_as(Queue("mails"))
    app.on_message(news, function="read")(lambda message: None)
    manifest = describe_app(app, "app:app", Path("/nowhere"))
    for declared in (mails, news):
        found = resource_of(manifest.resource(declared.kind, declared.name))
        assert isinstance(found, (Queue, Topic))
        assert found.backoff is not None
        assert found.same_as(declared)


def test_here_it_is_waited_for() -> None:
    app = App("here")
    mails = app.queue("waiting-mails", max_attempts=3, retry=Backoff(timedelta(hours=1)))
    news = app.topic("waiting-news", max_attempts=3, retry=Backoff(timedelta(0)))
    seen: list[tuple[str, int]] = []

    @app.on_message(mails)
    def mail(message: Message[str]) -> None:
        seen.append(("mail", message.attempt))
        raise OSError("no")

    @app.on_message(news)
    def read(message: Message[str]) -> None:
        seen.append(("read", message.attempt))
        raise OSError("no")

    with TestClient(app) as client:
        client.send(mails, "a")
        client.publish(news, "b")
        client.settle()
        assert client.dead_letters("waiting-news/read") == ["b"]
        assert client.dead_letters(mails) == []  # it waits, for an hour
    assert seen == [("mail", 1), ("read", 1), ("read", 2), ("read", 3)]


def described(**options: Any) -> Manifest:
    app = App("checked")
    app.on_message(app.queue("mails", **options), batch_size=1, function="mail")(lambda message: None)
    app.on_message(app.topic("news", **options), batch_size=1, function="read")(lambda message: None)
    return describe_app(app, "app:app", Path("/nowhere"))


def findings(target: Any, manifest: Manifest) -> list[tuple[str, str]]:
    found = [*check_features(manifest, target), *target.check(manifest, {})]
    return [(one.severity, one.message) for one in found if "retry" in one.message]


@pytest.mark.parametrize("target", [AWS, GCP])
def test_policies_the_clouds_can_keep(target: Any) -> None:
    found = findings(target, described(retry=Backoff(SECOND, factor=2, limit=timedelta(minutes=10))))
    assert [severity for severity, _ in found if severity == "error"] == []


def test_a_wait_longer_than_sqs_hides_a_message() -> None:
    manifest = described(retry=Backoff(SECOND, limit=timedelta(hours=13)))
    assert findings(AWS, manifest) == [
        ("error", f"{kind}, retry: a wait of 46800 s; SQS hides a message for 43200 at most")
        for kind in ("queue mails", "topic news")
    ]


def test_pubsub_has_ten_minutes_and_a_curve_of_its_own() -> None:
    found = findings(GCP, described(retry=Backoff(SECOND, factor=3, limit=timedelta(minutes=11))))
    assert found[0] == (
        "error",
        "queue mails, retry: a wait of 660 s; Pub/Sub's retry policy has 600 at most",
    )
    assert ("info", "queue mails, retry: Pub/Sub has a first and a longest wait; how they grow is its own") in found


def test_azure_has_none_where_a_message_cannot_be_sent_again() -> None:
    found = findings(AZURE, described(retry=Backoff(SECOND, limit=timedelta(days=8))))
    assert found[0][0] == "error"
    assert found[0][1].startswith(
        "topic 'news', retry=(1.0, 2.0, 691200.0, 0.1): target azure has none: a failed message"
    )
    assert (
        "error",
        "queue 'mails', retry: a wait of 691200 s; a storage queue hides a message for 604800 at most",
    ) in found
    ordered = App("ordered")
    ordered.on_message(ordered.queue("mails", ordered=True, retry=Backoff(SECOND)), batch_size=1, function="mail")(
        lambda message: None
    )
    [(severity, message)] = findings(AZURE, describe_app(ordered, "app:app", Path("/nowhere")))
    assert severity == "error"
    assert message.startswith("queue 'mails', retry: a failed message of an ordered queue comes back at once")


def test_pubsub_is_told_the_first_and_the_longest_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    told: dict[str, Any] = {}
    monkeypatch.setattr(
        provision, "call", lambda method, url, document: told.update({url.rpartition("/")[2]: document})
    )
    options = described(retry=Backoff(SECOND, limit=timedelta(minutes=5))).resource("topic", "news").options
    provision.make_topic("http://pubsub", "p", "news", "news-topic", options, {"read": None})
    assert told["news-topic-read"]["retryPolicy"] == {"minimumBackoff": "1s", "maximumBackoff": "300s"}
    assert "retryPolicy" not in told["news-topic-read-dead"]


def test_azure_sends_a_failed_message_again_when_it_is_due() -> None:
    sent: list[tuple[str, int, timedelta]] = []

    class Driver:
        def send_again(self, envelope: Any, after: timedelta) -> None:
            sent.append((envelope.body, envelope.attempts, after))

    app = App("again")
    mails = app.queue("mails", max_attempts=4, retry=Backoff(SECOND, factor=10, jitter=0))
    app.on_message(mails, function="mail")(lambda message: message.fail())
    native = SimpleNamespace(dequeue_count=2)
    message: Message[Any] = Message("1", "1", attempt=2, native=native)
    [outcome] = make_function(app.functions()["mail"])([message])
    codec = StorageQueueTrigger(SimpleNamespace(max_attempts=4, driver=Driver), 5)
    left = codec.encode(outcome, message, "1")
    assert left is not None
    left()
    assert sent == [("1", 2, timedelta(seconds=10))]


def test_portable_run_keeps_to_the_policy(tmp_path: Path) -> None:
    """Where a function's answer does not say when a message may come again, the queue's policy does."""
    app = App("imitated")
    mails = app.queue("imitated-mails", retry=Backoff(timedelta(hours=1)))
    app.on_message(mails, function="mail")(lambda message: None)
    manifest = describe_app(app, "app:app", tmp_path)
    local = LocalPlatform({"PORTABLE_LOCAL_STATE": str(tmp_path)})
    with use_platform(local):
        calls: list[Any] = []

        def call(function: Any, event: Any) -> Outcome:
            calls.append([one.id for one in event])
            return Outcome(failed=[one.id for one in event])

        delivery = Delivery(manifest, local, call, confirm=timedelta(0))
        mails.send("a")
        assert len(delivery.settle().failures) == 1
        delivery.settle()
        assert len(calls) == 1
    local.close()
