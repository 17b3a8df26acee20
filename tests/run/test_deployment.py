from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from portable import App, BlobEvent, HTTPError, Message, Request, Response
from portable.errors import ConfigError
from portable.resources import use_platform
from portable.run.delivery import BLOB_ATTEMPTS, NotSettledError
from portable.run.deployment import Deployment, deployed, given_addresses
from portable.samples.neutral import make_request


def make_app() -> App:
    app = App("shop")
    uploads, thumbs = app.bucket("uploads"), app.bucket("thumbs")
    orders = app.queue("orders", max_attempts=3)

    @app.post("/uploads/{name}", status=201)
    def upload(name: str, request: Request) -> None:
        uploads.write(name, request.body)

    @app.get("/echo/{rest:path}", function="other")
    def echo(rest: str, request: Request) -> Response:
        return Response({"rest": rest, "query": request.query.items()}, headers=[("x-one", "1"), ("x-one", "2")])

    @app.get("/slow", timeout=timedelta(seconds=0.2), function="slow")
    def slow() -> str:
        time.sleep(1)
        return "late"

    @app.get("/teapot")
    def teapot() -> None:
        raise HTTPError(418, "short and stout")

    @app.on_blob(uploads, suffix=".png", kinds=("created", "deleted"))
    def shrink(event: BlobEvent) -> None:
        if event.key.startswith("bad"):
            raise ValueError("no picture")
        if event.kind == "deleted":
            thumbs.delete(event.key)
        else:
            thumbs.write(event.key, uploads.read(event.key)[:3])
            orders.send({"key": event.key})

    @app.on_message(orders)
    def order(message: Message[Any]) -> None:
        if message.body["key"].startswith("poison"):
            raise RuntimeError(f"attempt {message.attempt}")
        thumbs.write(f"seen-{message.body['key']}", b"")

    return app


@pytest.fixture
def deployment(memory_cloud: Callable[..., Any], write_artifact: Callable[..., Path]) -> Iterator[Deployment]:
    app = make_app()
    memory_cloud(app)
    with deployed(write_artifact(app)) as running:
        yield running


def post(deployment: Deployment, name: str) -> None:
    assert deployment.request(make_request("POST", f"/uploads/{name}", body=b"picture")).status == 201


def test_a_request_goes_to_the_function_of_its_route(deployment: Deployment) -> None:
    answer = deployment.request(make_request("GET", "/echo/a%2Fb/c?x=1&x=&y=%26"))
    assert msgspec.json.decode(answer.body) == {"rest": "a/b/c", "query": [["x", "1"], ["x", ""], ["y", "&"]]}
    assert answer.headers.get_all("x-one") == ["1", "2"]
    assert deployment.request(make_request("GET", "/teapot")).status == 418
    assert deployment.request(make_request("POST", "/echo/a")).status == 405
    assert deployment.request(make_request("GET", "/nowhere")).status == 404


def test_a_function_past_its_deadline_is_a_504(deployment: Deployment) -> None:
    answer = deployment.request(make_request("GET", "/slow"))
    assert (answer.status, answer.media_type) == (504, "application/problem+json")
    assert "slow did not answer within 0.2 s" in answer.body


def test_blob_events_and_messages_follow_one_another_until_it_is_quiet(deployment: Deployment) -> None:
    post(deployment, "cat.png")
    post(deployment, "notes.txt")
    settled = deployment.settle()
    assert (settled.delivered, settled.failures) == (2, [])
    contents = deployment.snapshot()
    assert sorted(contents.buckets["uploads"]) == ["cat.png", "notes.txt"]
    assert sorted(contents.buckets["thumbs"]) == ["cat.png", "seen-cat.png"]
    assert contents.buckets["thumbs"]["cat.png"].size == 3
    assert contents.buckets["thumbs"]["cat.png"].content_type == "image/png"
    assert deployment.settle().delivered == 0


def test_an_overwritten_and_a_deleted_blob_are_events(deployment: Deployment) -> None:
    post(deployment, "cat.png")
    deployment.settle()
    post(deployment, "cat.png")
    assert deployment.settle().delivered == 2
    deployment.platform.open(uploads_of(deployment)).delete("cat.png")
    assert deployment.settle().delivered == 1
    assert "cat.png" not in deployment.snapshot().buckets["thumbs"]


def uploads_of(deployment: Deployment) -> Any:
    from portable.resources.bucket import Bucket

    return Bucket("uploads")


def test_a_message_that_always_fails_becomes_a_dead_letter(deployment: Deployment) -> None:
    from portable.resources.queue import Queue

    with use_platform(deployment.platform):
        orders: Queue[Any] = Queue("orders", max_attempts=3)
        orders.send({"key": "poison"})
        orders.send({"key": "fine"})
    settled = deployment.settle()
    assert [(failure.attempt, failure.given_up) for failure in settled.failures] == [(1, False), (2, False), (3, True)]
    queue = deployment.snapshot().queues["orders"]
    assert (queue.left, queue.dead_letters) == ([], ['{"key":"poison"}'])
    deployment.reset()
    assert deployment.dead_letters("orders") == []
    assert deployment.snapshot().buckets == {"thumbs": {}, "uploads": {}}
    assert deployment.settle().delivered == 0, "emptying the buckets is no event"


def test_a_blob_event_that_fails_is_tried_again_and_then_dropped(deployment: Deployment) -> None:
    post(deployment, "bad.png")
    settled = deployment.settle()
    assert [failure.attempt for failure in settled.failures] == list(range(1, BLOB_ATTEMPTS + 1))
    assert settled.failures[-1].given_up
    assert settled.failures[0].error == "ValueError: no picture"
    assert deployment.settle().failures == []


def test_a_handler_that_feeds_itself_is_an_error(memory_cloud: Any, write_artifact: Any) -> None:
    app = App("loop")
    box = app.bucket("box")

    @app.on_blob(box)
    def again(event: BlobEvent) -> None:
        box.write(f"{event.key}x", b"")

    memory_cloud(app)
    with deployed(write_artifact(app)) as deployment:
        deployment.platform.open(box).write("a", b"", content_type=None, metadata=None, if_absent=False, if_match=None)
        with pytest.raises(NotSettledError, match=r"new event for again: blob 'ax+' of bucket box created"):
            deployment.settle()


def test_a_message_handler_that_feeds_its_own_queue_is_an_error(memory_cloud: Any, write_artifact: Any) -> None:
    app = App("loop")
    work = app.queue("work")

    @app.on_message(work)
    def again(message: Message[Any]) -> None:
        work.send(message.body)

    memory_cloud(app)
    with deployed(write_artifact(app)) as deployment:
        with use_platform(deployment.platform):
            work.send(1)
        with pytest.raises(NotSettledError, match=r"new event for again: message m\d+ of queue work"):
            deployment.settle()


def test_what_is_no_artifact_is_refused(tmp_path: Path, memory_cloud: Any, write_artifact: Any) -> None:
    memory_cloud(make_app())
    with pytest.raises(ConfigError, match="is no artifact"), deployed(tmp_path / "nowhere"):
        pass
    folder = write_artifact(make_app())
    (folder / "bundle").rmdir()
    with pytest.raises(ConfigError, match="is incomplete: bundle"), deployed(folder):
        pass
    (folder / "manifest.json").write_text('{"target": "memory"')
    with pytest.raises(ConfigError, match="is no artifact"), deployed(folder):
        pass


def test_an_artifact_for_a_python_that_is_not_here_is_refused(memory_cloud: Any, write_artifact: Any) -> None:
    app = make_app()
    memory_cloud(app)
    with pytest.raises(ConfigError, match=r"Python 3\.99 is not on this machine: uv python install 3\.99"):
        deployed(write_artifact(app, python="3.99")).__enter__()


def test_a_missing_part_is_named_before_anything_starts(
    memory_cloud: Any, write_artifact: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    app = make_app()
    runner = memory_cloud(app)
    monkeypatch.setattr(type(runner), "emulators", ("moto",))
    monkeypatch.setenv("PORTABLE_PARTS", str(tmp_path / "empty"))
    with pytest.raises(ConfigError, match=r"moto .* is not on this machine.*portable doctor --install"):
        deployed(write_artifact(app)).__enter__()
    assert runner.platforms == []


def test_everything_ends_with_the_block(memory_cloud: Any, write_artifact: Any) -> None:
    app = make_app()
    runner = memory_cloud(app)
    with pytest.raises(ZeroDivisionError), deployed(write_artifact(app)):
        _ = 1 / 0
    assert runner.running[0].closed


def test_an_app_without_http_answers_404(memory_cloud: Any, write_artifact: Any) -> None:
    app = App("silent")
    app.function()(lambda_like)
    memory_cloud(app)
    with deployed(write_artifact(app)) as deployment:
        assert deployment.request(make_request("GET", "/")).status == 404
        assert deployment.deliver("lambda-like", {"n": 2}).value == {"twice": 4}
        with pytest.raises(ConfigError, match="no function 'other'; it has lambda-like"):
            deployment.deliver("other", {})


def lambda_like(payload: dict[str, int]) -> dict[str, int]:
    return {"twice": payload["n"] * 2}


def test_addresses_in_the_environment_are_all_or_none() -> None:
    from portable.manifest import describe_app

    manifest = describe_app(make_app(), "app:app", Path(__file__).parent)
    every = {"PORTABLE_BUCKET_UPLOADS": "u", "PORTABLE_BUCKET_THUMBS": "t", "PORTABLE_QUEUE_ORDERS": "o"}
    assert given_addresses(manifest, {"HOME": "/"}) is None
    assert given_addresses(manifest, {**every, "PYTHONPATH": "/x"}) == every
    with pytest.raises(ConfigError, match="but not PORTABLE_QUEUE_ORDERS"):
        given_addresses(manifest, {**every, "PORTABLE_QUEUE_ORDERS": ""})
