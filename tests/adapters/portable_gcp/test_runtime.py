"""Entries under functions-framework, in this process: its own app, routes and views, without the server."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import functions_framework
import pytest
from functions_framework import _function_registry

from portable.errors import ConfigError, UnavailableError
from portable.manifest import describe_app
from portable.resources import set_platform
from portable_gcp.build import TARGET
from portable_gcp.triggers import identity

APP = """
from datetime import timedelta
from portable import App, BlobEvent, Context, Message, Reject, Request, Retry, Tick

app = App("probe")
emails = app.queue("emails", dict)
welcomes = app.queue("welcomes", dict)
orders = app.queue("orders", dict)
signups = app.topic("signups", dict)
uploads = app.bucket("uploads")
log = []

@app.on_start
async def started():
    log.append("started")

@app.get("/{rest:path}")
def show(rest: str, request: Request, context: Context) -> dict:
    timed = context.deadline_at is not None
    return {"rest": rest, "raw": request.raw_path, "cold": context.cold_start, "deadline": timed}

@app.get("/robots.txt")
def robots() -> str:
    return "mine"

@app.get("/fails")
def fails() -> None:
    raise ValueError("a secret")

@app.on_message(emails)
async def send(message: Message[dict], context: Context) -> None:
    log.append(("send", message.body, context.function))
    if message.body.get("reject"): raise Reject("no")
    if message.body.get("retry"): raise Retry("later", after=timedelta(seconds=7))
    if message.body.get("fail"): raise ValueError("bad luck")

@app.on_message(orders, function="both")
def of_orders(message: Message[dict]) -> None:
    log.append(("orders", message.body))

@app.on_message(welcomes, function="both")
def of_welcomes(message: Message[dict]) -> None:
    log.append(("welcomes", message.body))

@app.on_message(signups, filter={"plan": "pro"})
def bill(message: Message[dict]) -> None:
    log.append(("bill", message.body))
    if "reject" in message.body: raise Reject("no")

@app.on_blob(uploads, prefix="folder/", suffix=".cs")
def make_thumbnail(event: BlobEvent) -> None:
    log.append((event.kind, event.bucket, event.key))
    if "fail" in event.key: raise ValueError("bad picture")

@app.on_schedule(cron="0 8 * * *")
async def daily(tick: Tick) -> None:
    log.append(("tick", tick.scheduled_at.isoformat()))

@app.on_schedule(cron="30 2 * * *", timezone="Europe/Paris")
def nightly(tick: Tick) -> None:
    log.append(("night", tick.scheduled_at.isoformat()))

@app.function()
async def recount(payload: dict) -> dict:
    if payload.get("fail"): raise ValueError("cannot count")
    return {"got": payload}
"""


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """functions-framework writes its choices into the process's environment, path and modules."""
    kept = dict(os.environ), list(sys.path), set(sys.modules), dict(_function_registry.REGISTRY_MAP)
    for name in ("FUNCTION_TARGET", "FUNCTION_SIGNATURE_TYPE", "K_SERVICE", "CLOUD_RUN_TIMEOUT_SECONDS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PORTABLE_EVENT_AUTH", "off-on-loopback")
    monkeypatch.setenv("PORTABLE_BUCKET_UPLOADS", "gs://sample-bucket")
    yield
    for name in set(os.environ) - set(kept[0]):
        del os.environ[name]
    os.environ.update(kept[0])
    sys.path[:] = kept[1]
    for name in set(sys.modules) - kept[2]:
        if not name.partition(".")[0].startswith(("portable", "google", "grpc")):
            del sys.modules[name]
    _function_registry.REGISTRY_MAP.clear()
    _function_registry.REGISTRY_MAP.update(kept[3])


class Project:
    def __init__(self, folder: Path, source: str) -> None:
        self.folder = folder
        (folder / "probe_app.py").write_text(source, "utf-8")

    def client(self, function: str, signature: str = "http", **sources: str) -> Any:
        """functions-framework's app of a function, from the entry file a build writes."""
        main = self.folder / "main.py"
        if not main.exists():
            sys.path.insert(0, str(self.folder))
            app = __import__("probe_app").app
            settings = {f"{kind}_source": name for kind, name in sources.items()}
            [bundle] = TARGET.bundles(describe_app(app, "probe_app:app", self.folder), settings)
            main.write_bytes(bundle.files["main.py"])
        made = functions_framework.create_app(function.replace("-", "_"), str(main), signature)
        return made.test_client()

    @property
    def log(self) -> list[Any]:
        found: list[Any] = sys.modules["probe_app"].log
        return found


@pytest.fixture
def project(tmp_path: Path, environment: None) -> Project:
    return Project(tmp_path, APP)


def push(body: Any, **more: Any) -> dict[str, Any]:
    import base64

    data = base64.b64encode(json.dumps(body).encode()).decode()
    return {"message": {"messageId": "7", "data": data, **more}, "subscription": "projects/p/subscriptions/s"}


# --- HTTP


@pytest.mark.parametrize("path", ["/a/b", "/robots.txt", "/favicon.ico", "//a", "/a//b", "/a/", "/%2F"])
def test_every_path_reaches_the_app(project: Project, path: str) -> None:
    answer = project.client("http").get(path, environ_overrides={"RAW_URI": path})
    assert answer.status_code == 200
    if path == "/robots.txt":
        assert answer.text == "mine"
    else:
        assert answer.json["raw"] == path


def test_root_and_methods(project: Project) -> None:
    client = project.client("http")
    assert client.get("/").status_code == 404  # no route of the app's
    assert client.post("/a").status_code == 405
    assert client.options("/a").headers["Allow"] == "GET, HEAD, OPTIONS"
    head = client.head("/robots.txt")
    assert (head.status_code, head.data, head.headers["Content-Length"]) == (200, b"", "4")


def test_a_failing_handler_tells_the_public_nothing(project: Project) -> None:
    answer = project.client("http").get("/fails", headers={"Function-Execution-Id": "run-7"})
    assert (answer.status_code, answer.content_type) == (500, "application/problem+json")
    assert answer.json["request_id"] == "run-7"
    assert "secret" not in answer.text


def test_start_hooks_run_once_and_the_cold_start_is_told(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLOUD_RUN_TIMEOUT_SECONDS", "60")
    client = project.client("http")
    assert [client.get("/a").json["cold"] for _ in range(2)] == [True, False]
    assert client.get("/a").json["deadline"] is True
    assert project.log == ["started"]


def test_a_start_hook_that_fails_is_a_500_and_tried_again(tmp_path: Path, environment: None) -> None:
    source = APP.replace('log.append("started")', 'log.append("tried"); 1 / (len(log) - 1)')
    project = Project(tmp_path, source)
    client = project.client("http")
    assert client.get("/a").status_code == 500
    assert client.get("/a").status_code == 200
    assert project.log == ["tried", "tried"]


def test_an_unknown_target_is_named(project: Project) -> None:
    with pytest.raises(Exception, match="a function named 'nothing'"):
        project.client("nothing")


def test_an_app_that_fails_to_import_shows_why(project: Project) -> None:
    project.client("http")
    del sys.modules["probe_app"]
    (project.folder / "probe_app.py").write_text("import json\njson.no_such_name\n", "utf-8")
    with pytest.raises(ImportError, match=r"function 'http' cannot be imported: AttributeError: .*no_such_name"):
        project.client("http")


# --- messages


def test_a_message_is_handed_over(project: Project, payload: Callable[[str], Any]) -> None:
    client = project.client("send")
    assert client.post("/", json=push({"id": 7})).status_code == 204
    assert project.log == ["started", ("send", {"id": 7}, "send")]
    emulated = payload("pubsub_push_emulator")
    assert client.post("/", json=emulated["body"], headers=emulated["headers"]).status_code == 204


@pytest.mark.parametrize(
    ("body", "status", "detail"),
    [
        ({"fail": 1}, 500, "message 7: ValueError: bad luck"),
        ({"retry": 1}, 429, "message 7: later"),
        ([1], 500, "message 7: "),
    ],
)
def test_a_message_that_is_not_done(project: Project, body: Any, status: int, detail: str) -> None:
    answer = project.client("send").post("/", json=push(body))
    assert answer.status_code == status
    assert answer.json["detail"].startswith(detail)
    assert ("Retry-After" in answer.headers) is (status == 429)


class DeadLetters:
    """A platform whose queue takes dead letters, or cannot."""

    target = "gcp"

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.letters: list[Any] = []
        self.subscribed: list[str] = []

    def open(self, resource: Any) -> Any:
        return self

    def subscription(self, name: str) -> Any:
        self.subscribed.append(name)
        return self

    def dead_letter(self, body: str, attributes: Any) -> None:
        if self.error:
            raise self.error
        self.letters.append((body, attributes))

    def close(self) -> None:
        """Nothing is open."""


def test_a_rejected_message_goes_to_the_dead_letters_and_is_done(project: Project) -> None:
    client = project.client("send")
    cloud = DeadLetters()
    set_platform(cloud)  # type: ignore[arg-type]
    assert client.post("/", json=push({"reject": 1}, attributes={"a": "b"})).status_code == 204
    assert cloud.letters == [('{"reject": 1}', {"a": "b"})]


def test_a_rejected_message_comes_again_while_its_dead_letters_cannot_be_reached(project: Project) -> None:
    client = project.client("send")
    set_platform(DeadLetters(UnavailableError("away")))  # type: ignore[arg-type]
    answer = client.post("/", json=push({"reject": 1}))
    assert (answer.status_code, answer.json["detail"]) == (500, "UnavailableError: away")


def test_a_function_of_several_queues_is_told_which(project: Project) -> None:
    client = project.client("both")
    assert client.post("/welcomes", json=push({"id": 1})).status_code == 204
    assert client.post("/orders", json=push({"id": 2})).status_code == 204
    assert project.log[1:] == [("welcomes", {"id": 1}), ("orders", {"id": 2})]
    for path in ("/", "/emails"):
        answer = client.post(path, json=push({"id": 3}))
        assert answer.status_code == 404
        assert "is none of this function's: orders, welcomes" in answer.json["detail"]


def test_a_topics_messages_pass_the_filter_and_are_rejected_to_their_own_dead_letters(project: Project) -> None:
    client = project.client("bill")
    cloud = DeadLetters()
    set_platform(cloud)  # type: ignore[arg-type]
    free, pro = {"plan": "free"}, {"plan": "pro"}
    assert client.post("/topic:signups", json=push({"id": 1}, attributes=pro)).status_code == 204
    assert client.post("/", json=push({"id": 2}, attributes=free)).status_code == 204
    assert client.post("/", json=push({"reject": 3}, attributes=pro)).status_code == 204
    assert project.log[1:] == [("bill", {"id": 1}), ("bill", {"reject": 3})]
    assert cloud.letters == [('{"reject": 3}', pro)]
    assert cloud.subscribed == ["bill"]
    assert client.post("/signups", json=push({"id": 4}, attributes=pro)).status_code == 404


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b'{"message": {}}'])
def test_a_malformed_push_is_a_400(project: Project, data: bytes) -> None:
    answer = project.client("send").post("/", data=data, content_type="application/json")
    assert answer.status_code == 400
    assert "not a Pub/Sub push request" in answer.json["detail"]


def test_messages_through_eventarc(project: Project, payload: Callable[[str], Any]) -> None:
    document = payload("pubsub_eventarc")
    client = project.client("send", message="pubsub-eventarc")
    assert client.post("/", json=document["body"], headers=document["headers"]).status_code == 200
    assert project.log[1:] == [("send", {"id": 7}, "send")]


# --- blobs


def test_a_blob_event_is_handed_over(project: Project, payload: Callable[[str], Any]) -> None:
    document = payload("storage_finalized")
    client = project.client("make-thumbnail")  # the build says it takes CloudEvents, whatever the flag
    assert client.post("/", json=document["body"], headers=document["headers"]).status_code == 200
    assert project.log[1:] == [("created", "uploads", "folder/Test.cs")]


@pytest.mark.parametrize("name", ["other/Test.cs", "folder/Test.py"])
def test_blobs_that_nobody_asked_for_are_no_error(project: Project, payload: Callable[[str], Any], name: str) -> None:
    document = payload("storage_finalized")
    document["body"]["name"] = name
    answer = project.client("make-thumbnail").post("/", json=document["body"], headers=document["headers"])
    assert answer.status_code == 200
    deleted = payload("storage_deleted")
    assert (
        project.client("make-thumbnail").post("/", json=deleted["body"], headers=deleted["headers"]).status_code == 200
    )
    assert project.log[1:] == []


def test_a_blob_handler_that_fails_is_a_500(project: Project, payload: Callable[[str], Any]) -> None:
    document = payload("storage_finalized")
    document["body"]["name"] = "folder/fail.cs"
    answer = project.client("make-thumbnail").post("/", json=document["body"], headers=document["headers"])
    assert (answer.status_code, answer.json["detail"]) == (500, "ValueError: bad picture")


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b'{"bucket": "sample-bucket"}', b'{"bucket": "b", "name": "n"}'])
def test_a_malformed_blob_event_is_a_4xx(project: Project, payload: Callable[[str], Any], data: bytes) -> None:
    headers = payload("storage_finalized")["headers"]
    client = project.client("make-thumbnail", "cloudevent")
    assert client.post("/", data=data, headers=headers).status_code in (400, 404)
    assert client.post("/", data=data, content_type="application/json").status_code == 400


# --- schedules and direct calls


def test_a_tick(project: Project, payload: Callable[[str], Any]) -> None:
    client = project.client("daily")
    assert client.post("/", headers=payload("scheduler")["headers"]).status_code == 204
    assert project.log[1:] == [("tick", "2019-10-12T07:20:50.520000+00:00")]
    assert client.post("/").status_code == 400


def test_a_job_that_runs_at_two_offsets_is_dropped_at_one(project: Project) -> None:
    client = project.client("nightly")
    due = ["2026-03-28T01:30:00Z", "2026-03-30T00:30:00Z", "2026-10-25T00:30:00Z"]
    dropped = ["2026-03-29T00:30:00Z", "2026-03-29T01:30:00Z", "2026-03-30T01:30:00Z", "2026-10-25T01:30:00Z"]
    for instant in (*due, *dropped):
        assert client.post("/", headers={"X-CloudScheduler-ScheduleTime": instant}).status_code == 204
    assert project.log[-3:] == [("night", instant.replace("Z", "+00:00")) for instant in due]
    assert ("night", "2026-03-29T01:30:00+00:00") not in project.log


def test_a_direct_call(project: Project) -> None:
    client = project.client("recount")
    assert client.post("/", json={"a": "é"}).json == {"got": {"a": "é"}}
    unfit = client.post("/", json=[1])
    assert (unfit.status_code, unfit.json["errors"][0]["in"]) == (422, "payload")
    failed = client.post("/", json={"fail": 1})
    assert (failed.status_code, failed.json["detail"]) == (500, "ValueError: cannot count")
    assert client.post("/", data=b"{").status_code == 400


# --- who may post


@pytest.mark.parametrize("function", ["send", "make-thumbnail", "daily"])
def test_a_forged_event_reaches_no_handler(
    project: Project, payload: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch, function: str
) -> None:
    monkeypatch.setenv("PORTABLE_EVENT_AUTH", "oidc")
    monkeypatch.setenv("PORTABLE_EVENT_AUDIENCE", "https://f.run.app")
    monkeypatch.setenv("PORTABLE_EVENT_ACCOUNT", "push@p.iam.gserviceaccount.com")
    client = project.client(function)
    name = {"send": "pubsub_push", "make-thumbnail": "storage_finalized", "daily": "scheduler"}[function]
    document = payload(name)
    answer = client.post("/", json=document["body"], headers=document["headers"])
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert project.log == []


def test_an_event_function_does_not_start_without_knowing_its_caller(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PORTABLE_EVENT_AUTH")
    project.client("http")
    with pytest.raises(ConfigError, match="PORTABLE_EVENT_AUDIENCE"):
        project.client("send")


def test_requests_from_another_machine_are_refused_while_verification_is_off(project: Project) -> None:
    client = project.client("send")
    elsewhere = client.post("/", json=push({}), environ_overrides={"REMOTE_ADDR": "10.0.0.9"})
    assert elsewhere.status_code == 403
    assert project.log == []


def test_a_token_of_googles_reaches_the_handler(project: Project, google: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(identity, "fetch_certificates", lambda: ({"key-1": google.certificate}, 3600.0))
    monkeypatch.setenv("PORTABLE_EVENT_AUTH", "oidc")
    monkeypatch.setenv("PORTABLE_EVENT_AUDIENCE", "https://f.run.app")
    monkeypatch.setenv("PORTABLE_EVENT_ACCOUNT", "push@p.iam.gserviceaccount.com")
    client = project.client("send")
    now = int(time.time())
    claims = {"iss": "https://accounts.google.com", "aud": "https://f.run.app", "iat": now, "exp": now + 60}
    for account, status in (("push@p.iam.gserviceaccount.com", 204), ("thief@p.iam.gserviceaccount.com", 403)):
        token = google.token({**claims, "email": account, "email_verified": True})
        answer = client.post("/", json=push({"id": 1}), headers={"Authorization": f"Bearer {token}"})
        assert answer.status_code == status
    assert project.log == ["started", ("send", {"id": 1}, "send")]
