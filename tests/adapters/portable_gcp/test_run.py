"""A built bundle under its own functions-framework, on emulators: Google's own parts, but for Google."""

from __future__ import annotations

import base64
import json
import shutil
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from portable.build.artifact import Wanted, build
from portable.build.project import find_project
from portable.events import BlobEvent, Message, Tick
from portable.plugins import adapter
from portable.run import emulators
from portable.run.deployment import Deployment, deployed
from portable.run.emulators import PROJECT, Emulator
from portable.run.processes import accepts
from portable.run.target import InvocationError, open_artifact
from portable.samples.neutral import make_request
from portable_gcp.run import RUNNER

NOW = datetime(2026, 3, 29, 8, 0, tzinfo=UTC)


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    project = tmp_path_factory.mktemp("probe")
    shutil.copytree(Path(__file__).parent / "project", project, dirs_exist_ok=True)
    return build(find_project(project), adapter("gcp").build, Wanted(for_here=True)).folder


@pytest.fixture(scope="module")
def deployment(artifact: Path, require_part: Any) -> Iterator[Deployment]:
    for part in ("fake-gcs-server", "java", "pubsub-emulator"):
        require_part(part)
    with deployed(artifact) as running:
        yield running


def wait_until(condition: Callable[[], Any], seconds: float = 20) -> Any:
    limit = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < limit, "it did not happen"
        time.sleep(0.05)
    return found


def get(deployment: Deployment, target: str, **options: Any) -> Any:
    return deployment.request(make_request(options.pop("method", "GET"), target, **options))


def noted(deployment: Deployment) -> dict[str, str]:
    """What handlers wrote down, by key."""
    driver = deployment._storage._buckets["seen"]
    return {row.key: driver.read(row.key, None, None).decode() for row in driver.list("", None)}


def test_the_parts_are_named(deployment: Deployment) -> None:
    assert {"python", "functions-framework"} <= set(deployment.parts)


def test_a_request_arrives_as_sent(deployment: Deployment) -> None:
    response = get(
        deployment,
        "/items/a%2Fb%20%C3%A9?x=1&x=2&y=&z=a+b",
        method="POST",
        headers=[("Host", "example.com"), ("X-Mixed", "a"), ("x-mixed", "b"), ("cookie", 'k=v; q="w"')],
        body=b"\x00\xff",
        client="203.0.113.7",
        scheme="https",
    )
    assert response.status == 201
    seen = json.loads(response.body)
    assert (seen["name"], seen["raw_path"]) == ("a/b é", "/items/a%2Fb%20%C3%A9")
    assert seen["query"] == [["x", "1"], ["x", "2"], ["y", ""], ["z", "a b"]]
    assert seen["headers"]["x-mixed"] == ["a,b"]  # WSGI joins them
    assert seen["cookies"] == {"k": "v", "q": "w"}
    assert (seen["body"], seen["client"], seen["scheme"], seen["host"]) == (
        "00ff",
        "203.0.113.7",
        "https",
        "example.com",
    )
    assert (seen["function"], seen["target"], seen["has_request_id"]) == ("http", "gcp", True)
    assert 50 < seen["remaining"] <= 60
    cookies = [value.partition(";")[0] for name, value in response.header_pairs() if name == "set-cookie"]
    assert cookies == ["a=1", "b=2"]
    assert response.headers["x-one"] == "1"


def test_answers(deployment: Deployment) -> None:
    assert json.loads(get(deployment, "/rest/a//b").body)["rest"] == "a//b"
    assert get(deployment, "/bytes").body == bytes(range(256))
    empty = get(deployment, "/empty")
    assert (empty.status, empty.body, empty.header_pairs()) == (204, None, [])
    head = get(deployment, "/bytes", method="HEAD")
    assert (head.status, head.body, head.headers["content-length"]) == (200, None, "256")
    assert get(deployment, "/robots.txt").body == b"User-agent: *"
    assert get(deployment, "//nowhere").status == 404
    assert get(deployment, "/bytes", method="PUT").headers["allow"] == "GET, HEAD, OPTIONS"
    teapot = get(deployment, "/teapot")
    assert (teapot.status, teapot.headers["x-pot"]) == (418, "tea")
    failed = get(deployment, "/fails")
    assert failed.status == 500
    assert b"secret" not in failed.body
    assert "ValueError: a secret" in deployment.log()


def test_a_function_imports_its_own_modules_and_no_library_before_it_is_used(deployment: Deployment) -> None:
    assert set(json.loads(get(deployment, "/modules").body).values()) == {False}
    assert get(deployment, "/heavy").body == b"heavy"


def test_requests_at_once_keep_their_contexts_apart(deployment: Deployment) -> None:
    def ask(number: int) -> tuple[str, str]:
        headers = [("Function-Execution-Id", f"run-{number}")]
        found = json.loads(get(deployment, f"/rest/{number}", headers=headers).body)
        return found["rest"], found["request_id"]

    with ThreadPoolExecutor(16) as pool:
        assert list(pool.map(ask, range(64))) == [(f"{n}", f"run-{n}") for n in range(64)]


# --- events


def test_events(deployment: Deployment) -> None:
    deployment.reset()
    assert deployment.deliver("send", [Message("m", '{"id":1}', {"a": "é"}, 2, NOW, "g")]).failed == []
    assert deployment.deliver("send", [Message("m", '{"id":2,"fail":1}')]).failed == ["m"]
    assert deployment.deliver("send", [Message("m", '{"id":3,"retry":1}')]).failed == ["m"]
    assert deployment.deliver("thumb", BlobEvent("created", "uploads", "in/日本.png", 5, "17", NOW)).error is None
    assert deployment.deliver("thumb", BlobEvent("created", "uploads", "out/x.png", 5, "17", NOW)).error is None
    assert deployment.deliver("thumb", BlobEvent("created", "uploads", "in/fail")).error == "ValueError: bad picture"
    assert deployment.deliver("daily", Tick(NOW)).error is None
    assert deployment.deliver("recount", {"é": [1]}).value == {"got": {"é": [1]}}
    assert deployment.deliver("recount", {"fail": 1}).error == "ValueError: cannot count"
    seen = noted(deployment)
    assert set(seen) == {"send/1-2", "send/2-1", "send/3-1", "thumb/in/日本.png", "daily/2026-03-29T08:00:00+00:00"}
    assert seen["send/1-2"] == "[('attributes', {'a': 'é'}), ('group', 'g'), ('has_time', True)]"
    assert "('version', '17')" in seen["thumb/in/日本.png"]


def test_delivery_from_the_emulators(deployment: Deployment) -> None:
    deployment.reset()
    queue = deployment._storage._queues["emails"]
    options: dict[str, Any] = {"attributes": {}, "delay": None, "group": None, "dedup": None}
    queue.send('{"id":1}', **options)
    queue.send('{"id":2,"fail":1}', **options)
    queue.send('{"id":3,"reject":1}', **options)
    uploads = deployment._storage._buckets["uploads"]
    write: dict[str, Any] = {"content_type": None, "metadata": None, "if_absent": False, "if_match": None}
    uploads.write("in/a", b"123", **write)
    uploads.write("out/a", b"123", **write)
    deployment.settle()
    seen = noted(deployment)
    assert {key for key in seen if key.startswith("send/")} == {
        "send/1-1",
        "send/3-1",
        *(f"send/2-{attempt}" for attempt in range(1, 6)),
    }
    assert "('size', 3)" in seen["thumb/in/a"]
    assert "thumb/out/a" not in seen
    wait_until(lambda: sorted(deployment.dead_letters("emails")) == ['{"id":2,"fail":1}', '{"id":3,"reject":1}'])


def test_pubsub_itself_pushes_to_a_function(deployment: Deployment, call_json: Any) -> None:
    """The emulator plays the push subscription of production: retries, attempts and dead letters are its own."""
    deployment.reset()
    deployment.deliver("send", [Message("m", '{"id":0}')])  # so that it runs
    port = deployment._running._ports["send"]  # type: ignore[attr-defined]
    root = f"http://{deployment.environment['PUBSUB_EMULATOR_HOST']}/v1/projects/{PROJECT}"
    topic, dead = f"projects/{PROJECT}/topics/pushed", f"projects/{PROJECT}/topics/emails-queue-dead"
    call_json("PUT", f"{root}/topics/pushed", {})
    subscription = {
        "topic": topic,
        "pushConfig": {"pushEndpoint": f"http://127.0.0.1:{port}/emails"},
        "deadLetterPolicy": {"deadLetterTopic": dead, "maxDeliveryAttempts": 5},
    }
    call_json("PUT", f"{root}/subscriptions/pushed", subscription)
    before = deployment.log().count("ValueError: bad luck")
    bodies = [{"id": 10, "text": "é"}, {"id": 11, "fail": 1}, {"id": 12, "reject": 1}]
    messages = [
        {"data": base64.b64encode(json.dumps(body).encode()).decode(), "attributes": {"a": "ü"}} for body in bodies
    ]
    call_json("POST", f"{root}/topics/pushed:publish", {"messages": messages})
    wait_until(lambda: len(deployment.dead_letters("emails")) >= 2)
    seen = noted(deployment)
    assert "('attributes', {'a': 'ü'})" in seen["send/10-1"]
    assert deployment.log().count("ValueError: bad luck") - before == 5
    assert sorted(json.loads(body)["id"] for body in deployment.dead_letters("emails")) == [11, 12]


def test_a_blob_event_with_the_data_storage_itself_sends(
    deployment: Deployment, pubsub: Emulator, call_json: Any, payload: Callable[[str], Any]
) -> None:
    """fake-gcs-server's notification holds the object as Eventarc's CloudEvent does."""
    deployment.reset()
    project = f"{pubsub.endpoint}/v1/projects/{PROJECT}"
    call_json("PUT", f"{project}/topics/objects", {})
    call_json("PUT", f"{project}/subscriptions/objects", {"topic": f"projects/{PROJECT}/topics/objects"})
    with emulators.fake_gcs(events=pubsub, topic="objects") as storage:
        call_json("POST", f"{storage.endpoint}/storage/v1/b", {"name": "uploads-bucket"})
        address = f"{storage.endpoint}/upload/storage/v1/b/uploads-bucket/o?uploadType=media&name=in%2F%C3%A9"
        call_json("POST", address, {"some": "data"})
        pull = f"{project}/subscriptions/objects:pull"
        [pulled] = wait_until(lambda: call_json("POST", pull, {"maxMessages": 1}).get("receivedMessages"))
    data = base64.b64decode(pulled["message"]["data"])
    headers = [[name, value] for name, value in payload("storage_finalized")["headers"].items()]
    native = {"method": "POST", "path": "/", "headers": headers, "body": data.decode(), "base64": False}
    assert deployment.invoke_native("thumb", native)["status"] == 200
    stored = json.loads(data)
    assert f"('version', '{stored['generation']}')" in noted(deployment)["thumb/in/é"]
    assert "('size', 16)" in noted(deployment)["thumb/in/é"]


@pytest.mark.parametrize("function", ["send", "thumb", "daily", "recount"])
@pytest.mark.parametrize("body", ["{", "[]", "7"])
def test_a_malformed_event_is_a_4xx(deployment: Deployment, function: str, body: str) -> None:
    native = {"method": "POST", "path": "/", "headers": [], "body": body, "base64": False}
    answer = deployment.invoke_native(function, native)
    assert 400 <= answer["status"] < 500, answer


def test_a_proxied_event_is_refused(deployment: Deployment) -> None:
    native = {"method": "POST", "path": "/", "headers": [["X-Forwarded-For", "6.6.6.6"]], "body": "", "base64": False}
    assert deployment.invoke_native("daily", native)["status"] == 403


# --- what goes wrong


def test_a_handler_that_takes_too_long(deployment: Deployment) -> None:
    native = {"method": "GET", "path": "/slow?seconds=2", "headers": [], "body": "", "base64": False}
    with pytest.raises(InvocationError, match=r"Timeout: function http did not answer within 0\.5 s") as caught:
        deployment._running.invoke("http", native, timeout=0.5)
    assert caught.value.kind == "Timeout"
    assert get(deployment, "/empty").status == 204  # the instance serves on, as Cloud Run's does


@pytest.mark.parametrize("status", [1, 3])  # after 1 gunicorn starts another worker, after 3 it gives up
def test_a_process_that_ends(deployment: Deployment, status: int) -> None:
    native = {"method": "GET", "path": f"/crash?status={status}", "headers": [], "body": "", "base64": False}
    with pytest.raises(InvocationError, match="function http ended the connection") as caught:
        deployment._running.invoke("http", native)
    assert caught.value.kind == "ConnectionError"
    assert wait_until(lambda: get(deployment, "/empty").status == 204)


def test_an_app_that_does_not_start(artifact: Path, deployment: Deployment, tmp_path: Path) -> None:
    broken = tmp_path / "gcp"
    shutil.copytree(artifact, broken, symlinks=True)
    (broken / "bundle" / "heavy.py").write_text("import no_such_module\n")
    shutil.rmtree(broken / "bundle" / "__pycache__", ignore_errors=True)
    running = RUNNER.start(open_artifact(broken), deployment.environment, tmp_path / "log")
    try:
        native = {"method": "GET", "path": "/empty", "headers": [], "body": "", "base64": False}
        assert running.invoke("http", native)["status"] == 204
        with pytest.raises(InvocationError, match="heavy does not start: No module named 'no_such_module'") as caught:
            running.invoke("heavy", native)
        assert caught.value.kind == "ModuleNotFoundError"
        assert "Traceback" in caught.value.trace
        assert "heavy.py" in caught.value.trace
        port = running._ports["http"]
        assert accepts(port)
    finally:
        running.close()
    assert not accepts(port)


def test_nothing_of_this_process_leaks_into_the_functions(
    artifact: Path, deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", "/nowhere")
    monkeypatch.setenv("PYTHONSTARTUP", "/nowhere.py")
    monkeypatch.setenv("K_SERVICE", "surprise")  # would refuse to start unverified
    with deployed(artifact, addresses=deployment.environment) as running:
        assert running.deliver("daily", Tick(NOW)).error is None
