"""What a build for Azure writes and says, from manifests alone."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from portable import App, BlobEvent, Message, Tick
from portable.build.target import Finding
from portable.errors import ConfigError
from portable.manifest import Manifest, describe_app
from portable_azure.build import TARGET
from portable_azure.build.schedule import ncrontab_of_cron, ncrontab_of_interval


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


@pytest.mark.parametrize(
    ("cron", "ncrontab"),
    [
        ("0 8 * * *", "0 0 8 * * *"),
        ("*/5 9-17/2 * * MON-FRI", "0 */5 9-17/2 * * 1-5"),
        ("0 0 1 jan,JUL *", "0 0 0 1 1,7 *"),
        ("0 0 * * 7", "0 0 0 * * 0"),
        ("0 0 * * 5-7", "0 0 0 * * 5,6,0"),
        ("0 0 * * 1,7", "0 0 0 * * 1,0"),
        ("0 0 1-7 * *", "0 0 0 1-7 * *"),
    ],
)
def test_cron(cron: str, ncrontab: str) -> None:
    assert ncrontab_of_cron(cron) == ncrontab


@pytest.mark.parametrize(
    ("cron", "why"),
    [
        ("61 0 * * *", "minute"),
        ("0 0 L * *", "Azure knows"),
        ("0 0 * * 1#2", "Azure knows"),
        ("*/0 * * * *", "minute"),
        ("9-3 * * * *", "minute"),
        ("0 0 * foo *", "Azure knows"),
    ],
)
def test_cron_that_no_target_has(cron: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        ncrontab_of_cron(cron)
    with pytest.raises(ConfigError, match=re.escape(cron)):
        manifest(app_with_schedule(cron=cron))


@pytest.mark.parametrize(("cron", "why"), [("0 0 13 * 5", "either of them"), ("5/15 * * * *", "no range")])
def test_cron_that_azure_cannot_say(cron: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        ncrontab_of_cron(cron)
    [finding] = [one for one in findings(app_with_schedule(cron=cron)) if one.severity == "error"]
    assert cron in finding.message
    assert finding.where.startswith("test_build.py:")


@pytest.mark.parametrize(
    ("minutes", "ncrontab"),
    [
        (1, "0 */1 * * * *"),
        (15, "0 */15 * * * *"),
        (60, "0 0 */1 * * *"),
        (360, "0 0 */6 * * *"),
        (1440, "0 0 0 * * *"),
    ],
)
def test_interval(minutes: int, ncrontab: str) -> None:
    assert ncrontab_of_interval(minutes * 60) == ncrontab


@pytest.mark.parametrize("minutes", [7, 90, 300, 2880])
def test_interval_that_azure_cannot_space_evenly(minutes: int) -> None:
    with pytest.raises(ValueError, match="whole part"):
        ncrontab_of_interval(minutes * 60)
    assert errors(app_with_schedule(every=timedelta(minutes=minutes)))


def test_a_time_zone_is_refused() -> None:
    assert errors(app_with_schedule(cron="0 8 * * *", timezone="Europe/Paris")) == [
        "timezone 'Europe/Paris': timers of Linux apps on Azure run in UTC alone"
    ]


# --- findings


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
    assert "schedule='0 0 */1 * * *'" in files["http"]
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
