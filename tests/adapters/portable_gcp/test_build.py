"""What is checked, asked for and written."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from google import pubsub_v1

from portable import App, Router
from portable.build.target import Finding
from portable.errors import ConfigError
from portable.manifest import Manifest, describe_app
from portable_gcp import limits
from portable_gcp.build import TARGET

HERE = Path(__file__).name


def manifest(app: App) -> Manifest:
    return describe_app(app, "app:app", Path(__file__).parent)


def findings(app: App) -> dict[str, list[Finding]]:
    found: dict[str, list[Finding]] = {"error": [], "warning": [], "info": []}
    for one in TARGET.check(manifest(app), {}):
        assert one.where.startswith(f"{HERE}:")
        found[one.severity].append(one)
    return found


def handler(event: Any) -> None:
    """Whatever it is."""


Declare = Callable[[App], object]
ERRORS: dict[str, tuple[Declare, str, str]] = {
    "too few attempts": (
        lambda app: app.queue("emails", max_attempts=3),
        "after 5 to 100 attempts, not after 3",
        "max_attempts=5",
    ),
    "too many attempts": (lambda app: app.queue("emails", max_attempts=101), "not after 101", "max_attempts=100"),
    "long request": (
        lambda app: app.get("/", timeout=timedelta(minutes=61))(lambda: None),
        "Cloud Run ends a request after 3600 s, 3660 s are asked",
        "shorter",
    ),
    "long message": (
        lambda app: app.on_message(app.queue("q"), batch_size=1, timeout=timedelta(minutes=11))(handler),
        "Pub/Sub delivers again, the first still running, after 600 s",
        "shorter",
    ),
    "long blob": (
        lambda app: app.on_blob(app.bucket("b"), timeout=timedelta(minutes=10))(handler),
        "Eventarc delivers again, the first still running, after 540 s",
        "shorter",
    ),
    "long schedule": (
        lambda app: app.on_schedule(cron="0 8 * * *", timeout=timedelta(hours=1))(handler),
        "Cloud Scheduler gives a job up after 1800 s",
        "shorter",
    ),
    "memory": (
        lambda app: app.function("f", memory=40_000)(handler),
        "40000 MiB are asked, Cloud Run has 32768",
        "less",
    ),
    "name": (lambda app: app.function("f-")(handler), "cannot be called 'f-'", "dash"),
    "body": (
        lambda app: app.post("/", max_body=2**26)(lambda: None),
        "takes requests of 33554432 bytes, not 67108864",
        "bucket",
    ),
}


@pytest.mark.parametrize("name", ERRORS)
def test_what_would_lose_its_meaning_is_an_error(name: str) -> None:
    declare, message, way_out = ERRORS[name]
    app = App("probe")
    declare(app)
    [found] = findings(app)["error"]
    assert message in found.message
    assert way_out in found.way_out


def test_guarded_routes_beside_public_ones() -> None:
    app = App("probe")
    app.get("/a")(lambda: None)
    app.get("/b", auth="cloud")(lambda: None)
    [found] = findings(app)["error"]
    assert "public routes and guarded ones" in found.message
    apart = App("probe")
    apart.get("/a")(lambda: None)
    apart.get("/b", auth="cloud", function="private")(lambda: None)
    assert findings(apart)["error"] == []


def test_what_costs_more_is_a_warning() -> None:
    app = App("probe")
    app.on_message(app.queue("q"), batch_size=10, function="m")(handler)
    app.on_blob(app.bucket("b"), prefix="in/", kinds=("created", "deleted"), function="b")(handler)
    found = [one.message for one in findings(app)["warning"]]
    assert len(found) == 3
    assert "every batch holds one" in found[0]
    assert "events of the whole bucket b" in found[1]
    assert "overwriting a blob sends 'deleted'" in found[2]
    assert findings(app)["error"] == []


def test_small_memory_is_rounded_up() -> None:
    app = App("probe")
    app.function("f", memory=64)(handler)
    assert "it gets 128 MiB" in findings(app)["info"][0].message


def test_an_app_with_nothing_unusual_has_no_findings() -> None:
    app = App("probe")
    app.get("/", memory=512, timeout=timedelta(minutes=60))(lambda: None)
    app.on_message(app.queue("q", max_attempts=5), batch_size=1, timeout=timedelta(minutes=10), function="m")(handler)
    app.on_blob(app.bucket("b"), timeout=timedelta(minutes=9), function="b")(handler)
    app.on_schedule(cron="0 9 13 * 5", timezone="Europe/Paris", function="s")(handler)
    app.on_schedule(every=timedelta(minutes=20), function="t")(handler)
    assert findings(app) == {"error": [], "warning": [], "info": []}


def test_a_schedule_whose_job_runs_more_often_is_a_warning_and_dropped_in_the_entry() -> None:
    app = App("probe")
    app.on_schedule(cron="30 2 * * *", timezone="Europe/Paris", function="night")(handler)
    app.on_schedule(every=timedelta(minutes=7), function="often")(handler)
    night, often = (one.message for one in findings(app)["warning"])
    assert "'30 0,1 * * *' in UTC, and the entry drops what is not due" in night
    assert "every 0:07:00: no cron expression is due at such an interval; it becomes '* * * * *'" in often
    [bundle] = TARGET.bundles(manifest(app), {})
    scope: dict[str, Any] = {}
    exec(bundle.files["main.py"], scope)
    assert scope["_FUNCTIONS"] == {
        "night": ("night", (), "scheduler", "all"),
        "often": ("often", (), "scheduler", "all"),
    }
    assert "tzdata>=2024.2" in TARGET.requirements(manifest(app), {})


def test_libraries_only_for_what_is_used() -> None:
    def names(app: App) -> list[str]:
        return [one.partition(">")[0] for one in TARGET.requirements(manifest(app), {})]

    app = App("probe")
    app.get("/")(lambda: None)
    assert names(app) == ["functions-framework"]
    app.on_schedule(cron="* * * * *", function="s")(handler)
    assert names(app) == ["functions-framework", "google-auth"]
    app.bucket("b")
    assert names(app) == ["functions-framework", "google-auth", "google-cloud-storage"]
    app.queue("q")
    assert names(app) == ["functions-framework", "google-auth", "google-cloud-pubsub", "google-cloud-storage"]


def test_the_entry_file() -> None:
    app, router = App("probe"), Router()
    app.get("/")(lambda: None)
    app.on_message(app.queue("q"), function="send-mail")(handler)
    router.get("/a")(lambda: None)
    app.include(router)
    [bundle] = TARGET.bundles(manifest(app), {})
    assert (bundle.name, bundle.sources) == ("", {"http": "http", "send-mail": "pubsub-push"})
    scope: dict[str, Any] = {}
    exec(bundle.files["main.py"], scope)
    assert scope["_FUNCTIONS"] == {
        "http": ("http", (), "http"),
        "send_mail": ("send-mail", (), "pubsub-push"),
    }
    with pytest.raises(AttributeError, match="no function has the target 'other'; there are http, send_mail"):
        scope["__getattr__"]("other")


def test_eventarc_is_chosen_in_the_settings() -> None:
    app = App("probe")
    app.on_message(app.queue("q"), batch_size=1, function="send-mail")(handler)
    settings = {"message_source": "pubsub-eventarc"}
    [bundle] = TARGET.bundles(manifest(app), settings)
    assert bundle.sources == {"send-mail": "pubsub-eventarc"}
    [found] = TARGET.check(manifest(app), settings)
    assert (found.severity, "no dead letters until" in found.message) == ("warning", True)
    with pytest.raises(ConfigError, match="message_source is 'pubsub-push' or 'pubsub-eventarc', got 'sqs'"):
        TARGET.check(manifest(app), {"message_source": "sqs"})


def test_figures_that_stand_in_the_client_library() -> None:
    def documentation(of: Any) -> str:
        return " ".join(of.__doc__.split())

    least, most = limits.DELIVERY_ATTEMPTS
    assert f"between {least} and {most}" in documentation(pubsub_v1.types.DeadLetterPolicy)
    seconds = limits.ACK_DEADLINE_MAX
    request = documentation(pubsub_v1.types.ModifyAckDeadlineRequest)
    assert f"maximum deadline you can specify in a single request is {seconds} seconds" in request
    assert f"maximum custom deadline you can specify is {seconds} seconds" in documentation(
        pubsub_v1.types.Subscription
    )
