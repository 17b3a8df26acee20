"""The build target: entry module, sources, and what AWS cannot give."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from portable import App, ConfigError
from portable.manifest import Manifest, describe_app
from portable.resources import set_platform
from portable_aws.build import TARGET


def manifest(declare: Callable[[App], Any]) -> Manifest:
    app = App("probe")
    declare(app)
    return describe_app(app, "probe_build:app", Path(__file__).parent)


def event(value: Any) -> None:
    """A handler that takes anything."""


def said(found: Any) -> list[tuple[str, str]]:
    return [(finding.severity, finding.message) for finding in found]


def declare_all(app: App) -> None:
    uploads, emails = app.bucket("uploads"), app.queue("emails")
    app.get("/")(lambda: None)
    app.on_message(emails, function="send-mail")(event)
    app.on_blob(uploads, function="thumb")(event)
    app.on_schedule(cron="0 8 * * *", timezone="Europe/Paris", function="daily")(event)
    app.function("act")(event)


def test_bundle(monkeypatch: pytest.MonkeyPatch) -> None:
    [bundle] = TARGET.bundles(manifest(declare_all), {})
    assert bundle.name == ""
    assert bundle.sources == {
        "http": "http-api",
        "send-mail": "sqs",
        "thumb": "s3",
        "daily": "scheduler",
        "act": "direct",
    }
    module = ModuleType("probe_build")
    module.app = App("probe")
    declare_all(module.app)
    monkeypatch.setitem(sys.modules, "probe_build", module)
    entry = ModuleType("portable_entry")
    [(name, source)] = bundle.files.items()
    assert name == "portable_entry.py"
    exec(compile(source, name, "exec"), vars(entry))
    assert entry.act({"a": 1}, None) is None
    assert entry.act is vars(entry)["act"]
    assert callable(entry.send_mail)
    with pytest.raises(AttributeError, match="'other'; there are http, send_mail, thumb, daily, act"):
        entry.other  # noqa: B018
    set_platform(None)


def test_settings_choose_the_sources() -> None:
    settings = {"http": "alb", "blob": "s3-eventbridge", "schedule": "eventbridge-rule"}
    [bundle] = TARGET.bundles(manifest(declare_all), settings)
    assert bundle.sources | {"send-mail": "", "act": ""} == {
        "http": "alb",
        "send-mail": "",
        "thumb": "s3-eventbridge",
        "daily": "eventbridge-rule",
        "act": "",
    }
    with pytest.raises(ConfigError, match="AWS has no source 'nginx'"):
        TARGET.bundles(manifest(declare_all), {"http": "nginx"})
    assert said(TARGET.check(manifest(declare_all), {"http": "nginx"})) == [
        ("error", "[tool.portable.aws] http = 'nginx': AWS has no such source")
    ]


def test_requirements() -> None:
    assert [name.partition(">")[0] for name in TARGET.requirements(manifest(declare_all), {})] == ["botocore"]
    assert TARGET.requirements(manifest(lambda app: app.get("/")(lambda: None)), {}) == []


def test_data_of_services_nothing_calls_is_left_out() -> None:
    everything = manifest(declare_all)
    used = TARGET.data_used(everything, ["requests"], ["botocore", "jmespath", "requests"])["botocore/data"]
    assert {"s3", "sqs", "endpoints.json"} <= set(used)
    assert "ec2" not in used
    only_queue = manifest(lambda app: app.on_message(app.queue("emails"), function="send")(event))
    assert "s3" not in TARGET.data_used(only_queue, [], ["botocore"])["botocore/data"]


@pytest.mark.parametrize(("listed", "pins"), [(["boto3"], ["boto3", "botocore"]), (["botocore"], ["botocore"])])
def test_an_app_that_brings_the_sdk_keeps_all_of_it(listed: list[str], pins: list[str]) -> None:
    assert TARGET.data_used(manifest(declare_all), listed, pins) == {}


def test_an_app_that_fits_has_no_findings() -> None:
    assert TARGET.check(manifest(declare_all), {}) == []


CASES: dict[str, tuple[Callable[[App], Any], dict[str, str], str, str]] = {
    "timeout": (
        lambda app: app.function("a", timeout=timedelta(minutes=16))(event),
        {},
        "error",
        "function a: Lambda ends an invocation after 900 s",
    ),
    "memory above": (lambda app: app.function("a", memory=10_241)(event), {}, "error", "10240 MiB at most"),
    "memory below": (lambda app: app.function("a", memory=64)(event), {}, "warning", "128 MiB at least"),
    "http api": (
        lambda app: app.get("/", timeout=timedelta(seconds=31))(lambda: None),
        {},
        "error",
        "http-api gives up after 30 s",
    ),
    "rest api": (
        lambda app: app.get("/", timeout=timedelta(seconds=30))(lambda: None),
        {"http": "rest-api"},
        "warning",
        "rest-api gives up after 29 s",
    ),
    "alb": (lambda app: app.get("/", auth="cloud")(lambda: None), {"http": "alb"}, "error", "no IAM check"),
    "function url": (
        lambda app: (app.get("/", auth="cloud")(lambda: None), app.get("/b")(lambda: None)),
        {"http": "function-url"},
        "error",
        "checked as a whole",
    ),
    "body of alb": (
        lambda app: app.post("/", max_body=2_000_000)(lambda: None),
        {"http": "alb"},
        "warning",
        "a load balancer hands on bodies of 1048576 bytes, and answers of 1048576",
    ),
    "body": (lambda app: app.post("/", max_body=7_000_000)(lambda: None), {}, "warning", "events of 6291456 bytes"),
    "batch above": (
        lambda app: app.on_message(app.queue("q"), batch_size=10_001, function="a")(event),
        {},
        "warning",
        "10000 messages at most",
    ),
    "batch with window": (
        lambda app: app.on_message(app.queue("q"), batch_size=11, function="a")(event),
        {},
        "info",
        "gathers messages for a second",
    ),
    "time zone": (
        lambda app: app.on_schedule(cron="0 8 * * *", timezone="Europe/Paris", function="a")(event),
        {"schedule": "eventbridge-rule"},
        "warning",
        "it becomes 'cron(0 6,7 * * ? *)' in UTC, and the entry drops what is not due",
    ),
    "a day and a weekday": (
        lambda app: app.on_schedule(cron="0 8 1 * 1", function="a")(event),
        {},
        "info",
        "'cron(0 8 1 * ? *)' and 'cron(0 8 ? * 2 *)'; a day that is both counts once",
    ),
    "half an hour": (
        lambda app: app.on_schedule(cron="*/5 * * * *", timezone="Australia/Lord_Howe", function="a")(event),
        {},
        "info",
        "by a part of an hour",
    ),
}


def test_a_rest_api_waits_longer_for_what_streams() -> None:
    def declare(app: App) -> None:
        app.get("/", stream=True, timeout=timedelta(seconds=900))(lambda: None)

    assert TARGET.check(manifest(declare), {"http": "rest-api", "runtime": "portable"}) == []


@pytest.mark.parametrize("name", CASES)
def test_findings(name: str) -> None:
    declare, settings, severity, words = CASES[name]
    [finding] = TARGET.check(manifest(declare), settings)
    assert finding.severity == severity
    assert words in finding.message
    assert finding.where.startswith("test_build.py:")
    assert finding.way_out or severity == "info"


@pytest.mark.parametrize(
    ("one", "other", "overlap"),
    [
        ({}, {}, True),
        ({"prefix": "in/"}, {"prefix": "in/a/"}, True),
        ({"prefix": "in/"}, {"prefix": "out/"}, False),
        ({"suffix": ".png"}, {"suffix": "png"}, True),
        ({"suffix": ".png"}, {"suffix": ".jpg"}, False),
        ({"prefix": "in/"}, {"suffix": ".jpg"}, True),
        ({"kinds": ["created"]}, {"kinds": ["deleted"]}, False),
    ],
)
def test_overlapping_notifications(one: Any, other: Any, overlap: bool) -> None:
    def declare(app: App) -> None:
        app.on_blob(app.bucket("uploads"), function="one", **one)(event)
        app.on_blob(app.bucket("uploads"), function="other", **other)(event)

    found = TARGET.check(manifest(declare), {})
    assert [finding.severity for finding in found] == (["error"] if overlap else [])
    assert TARGET.check(manifest(declare), {"blob": "s3-eventbridge"}) == []
