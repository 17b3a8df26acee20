"""What a build for Azure writes and says, from manifests alone."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from portable import App, BlobEvent, Message, Tick
from portable.build.target import Finding
from portable.errors import ConfigError
from portable.manifest import Manifest, describe_app
from portable_azure.build import TARGET


def manifest(app: App) -> Manifest:
    return describe_app(app, "app:app", Path(__file__).parent)


def findings(app: App, **settings: Any) -> list[Finding]:
    return list(TARGET.check(manifest(app), settings))


def errors(app: App, **settings: Any) -> list[str]:
    return [finding.message for finding in findings(app, **settings) if finding.severity == "error"]


def app_with_http(path: str = "/", **options: Any) -> App:
    app = App("shop")

    @app.get(path, **options)
    def hello() -> str:
        return "hello"

    return app


def app_with_schedule(**options: Any) -> App:
    app = App("shop")

    @app.on_schedule(**options)
    def report(tick: Tick) -> None: ...

    return app


# --- schedules


def registered(app: App) -> str:
    """What the worker indexes, as the build writes it."""
    [bundle] = TARGET.bundles(manifest(app), {})
    return bundle.files["function_app.py"].decode()


def test_a_schedule_in_utc_is_a_timer() -> None:
    app = app_with_schedule(cron="*/5 9-17 * * MON-FRI")
    assert findings(app) == []
    assert "schedule='0 */5 9-17 * * 1-5'" in registered(app)
    assert "drops=" not in registered(app)


def test_a_day_and_a_weekday_are_two_timers() -> None:
    app = app_with_schedule(cron="0 9 1-7 * 5")
    [finding] = findings(app)
    assert finding.severity == "info"
    assert "'0 0 9 1-7 * *' and '0 0 9 8-31 * 5'" in finding.message
    source = registered(app)
    assert "app.function_name('report')" in source
    assert "app.function_name('report_weekdays')" in source
    assert "drops=" not in source


def test_a_time_zone_is_covered_in_utc_with_a_warning() -> None:
    app = app_with_schedule(cron="0 8 1 * 5", timezone="Europe/Paris")
    [finding] = findings(app)
    assert finding.severity == "warning"
    assert finding.where.startswith("test_build.py:")
    assert "timers on Azure run in UTC" in finding.message
    assert "'0 0 6,7 1 * *' and '0 0 6,7 * * 5' in UTC, and the entry drops what is not due" in finding.message
    source = registered(app)
    assert "drops='day'" in source
    assert "drops='weekday'" in source
    assert "tzdata>=2024.2" in TARGET.requirements(manifest(app), {})


@pytest.mark.parametrize(("minutes", "ncrontab"), [(1, "0 * * * * *"), (15, "0 */15 * * * *"), (360, "0 0 */6 * * *")])
def test_an_interval_is_a_timer(minutes: int, ncrontab: str) -> None:
    app = app_with_schedule(every=timedelta(minutes=minutes))
    assert findings(app) == []
    assert f"schedule={ncrontab!r}" in registered(app)


def test_an_interval_that_no_expression_has_is_dropped_in_the_entry() -> None:
    app = app_with_schedule(every=timedelta(days=2))
    [finding] = findings(app)
    assert finding.severity == "warning"
    assert "no cron expression is due at such an interval" in finding.message
    assert "schedule='0 0 0 * * *'" in registered(app)
    assert "drops='all'" in registered(app)
    assert "tzdata>=2024.2" not in TARGET.requirements(manifest(app), {})


# --- findings


def test_a_mount_at_the_root_is_told_what_does_not_reach_it() -> None:
    app = App("shop")
    app.mount("/", _application)
    found = findings(app)
    assert [(one.severity, one.message) for one in found] == [
        ("warning", "a mount at /: requests to /admin, /runtime do not reach the app on Azure")
    ]


async def _application(scope: Any, receive: Any, send: Any) -> None: ...


@pytest.mark.parametrize("path", ["/admin/users", "/runtime", "/Admin"])
def test_routes_of_the_host_are_refused(path: str) -> None:
    assert "do not reach the app" in errors(app_with_http(path))[0]


@pytest.mark.parametrize(
    ("options", "settings", "error"),
    [
        ({"timeout": timedelta(seconds=231)}, {}, "ends a request after 230"),
        ({"memory": 8192}, {}, "flex plan has at most 4096"),
        ({"memory": 2048}, {"plan": "consumption"}, "consumption plan has at most 1536"),
        ({"timeout": timedelta(minutes=11)}, {"plan": "consumption"}, "ends it after 600"),
    ],
)
def test_sizes_and_times(options: Any, settings: Any, error: str) -> None:
    assert any(error in one for one in errors(app_with_http(**options), **settings))


def test_a_size_is_rounded_up_and_said() -> None:
    [finding] = findings(app_with_http(memory=1024))
    assert (finding.severity, finding.message) == (
        "info",
        "function 'http' asks for 1024 MiB and gets instances of 2048 MiB",
    )


def test_two_http_functions_and_mixed_access_are_refused() -> None:
    app = app_with_http()

    @app.get("/b", function="second", auth="cloud")
    def b() -> None: ...

    @app.get("/c", auth="cloud")
    def c() -> None: ...

    messages = errors(app)
    assert any("both take requests" in one for one in messages)
    assert any("one level of access" in one for one in messages)


def test_a_batch_is_one_message_and_a_blob_trigger_has_its_price() -> None:
    app = App("shop")
    uploads, emails = app.bucket("uploads"), app.queue("emails")

    @app.on_message(emails, batch_size=1)
    def send(message: Message[Any]) -> None: ...

    @app.on_blob(uploads, suffix=".png")
    def shrink(event: BlobEvent) -> None: ...

    said = findings(app)
    assert [one.severity for one in said] == ["warning", "info", "warning"]
    assert "Retry(after=…)" in said[0].message
    assert "polls" in errors(app, blob_source="poll")[0]


@pytest.mark.parametrize("settings", [{"plan": "basic"}, {"apps": "many"}, {"blob_source": "push"}])
def test_an_unknown_setting_is_refused(settings: Any) -> None:
    with pytest.raises(ConfigError, match="it is one of"):
        TARGET.check(manifest(app_with_http()), settings)


# --- bundles


def big_app() -> App:
    app = app_with_http()
    uploads, emails, slow = app.bucket("uploads"), app.queue("emails"), app.queue("slow", max_attempts=2)

    @app.on_message(emails)
    def send(message: Message[Any]) -> None: ...

    @app.on_message(slow, timeout=timedelta(hours=25))
    async def work(message: Message[Any]) -> None: ...

    @app.on_blob(uploads, prefix="in/images/a", memory=4096, function="shrink")
    @app.on_blob(app.bucket("more"), function="shrink")
    def shrink(event: BlobEvent) -> None: ...

    @app.on_schedule(every=timedelta(hours=1))
    def report(tick: Tick) -> None: ...

    @app.function()
    def recount(payload: Any) -> Any: ...

    return app


def test_functions_that_agree_share_an_app() -> None:
    bundles = TARGET.bundles(manifest(big_app()), {})
    assert [(one.name, list(one.sources)) for one in bundles] == [
        ("http", ["http", "send", "report", "recount"]),
        ("work", ["work"]),
        ("shrink", ["shrink"]),
    ]
    hosts = {one.name: json.loads(one.files["host.json"]) for one in bundles}
    assert hosts["http"]["extensions"]["http"] == {"routePrefix": ""}
    assert hosts["http"]["extensions"]["queues"] == {
        "batchSize": 10,
        "maxDequeueCount": 5,
        "messageEncoding": "base64",
    }
    assert hosts["http"]["functionTimeout"] == "00:30:00"
    assert (hosts["work"]["functionTimeout"], hosts["work"]["extensions"]["queues"]["maxDequeueCount"]) == (
        "1.01:00:00",
        2,
    )


def test_one_app_takes_the_union_and_says_what_that_widens() -> None:
    [bundle] = TARGET.bundles(manifest(big_app()), {"apps": "one"})
    assert (bundle.name, len(bundle.sources)) == ("", 6)
    assert json.loads(bundle.files["host.json"])["extensions"]["queues"]["maxDequeueCount"] == 5
    wider = [one.message for one in findings(big_app(), apps="one") if "apps = 'one'" in one.message]
    assert "apps = 'one' gives function 'http' instances of 4096 MiB" in wider
    assert "the identity of all" in wider[-1]


def test_function_app_binds_through_settings() -> None:
    files = {one.name: one.files["function_app.py"].decode() for one in TARGET.bundles(manifest(big_app()), {})}
    assert "queue_name='%PORTABLE_QUEUENAME_EMAILS%', connection='PORTABLE_QUEUEACCOUNT_EMAILS'" in files["http"]
    assert "path='%PORTABLE_BUCKETNAME_UPLOADS%/in/images/{name}'" in files["shrink"]
    assert "app.function_name('shrink_uploads')" in files["shrink"]
    assert "path='%PORTABLE_BUCKETNAME_MORE%/{name}'" in files["shrink"]
    assert "is_async=True" in files["work"]
    assert "schedule='0 0 * * * *'" in files["http"]
    assert "route='portable-invoke/recount'" in files["http"]
    assert "auth_level=func.AuthLevel.ANONYMOUS" in files["http"]
    for text in files.values():
        compile(text, "function_app.py", "exec")


def test_deletions_come_through_event_grid() -> None:
    app = App("shop")

    @app.on_blob(app.bucket("uploads"), kinds=["created", "deleted"])
    def watch(event: BlobEvent) -> None: ...

    [bundle] = TARGET.bundles(manifest(app), {})
    assert bundle.sources == {"watch": "event-grid"}
    assert b"app.event_grid_trigger(arg_name='event')" in bundle.files["function_app.py"]


def test_sdks_enter_only_for_the_kinds_used() -> None:
    assert [one.partition(">")[0] for one in TARGET.requirements(manifest(app_with_http()), {})] == ["azure-functions"]
    assert [one.partition(">")[0] for one in TARGET.requirements(manifest(big_app()), {})] == [
        "azure-functions",
        "azure-identity",
        "azure-storage-blob",
        "azure-storage-queue",
    ]
