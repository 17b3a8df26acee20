"""Work after the answer: order, errors, deadlines, and that it waits for the answer's last piece."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from portable import App, BackgroundTasks, ConfigError, Context, HTTPError, StreamResponse
from portable.events import current_context
from portable.http.background import take_tasks, tasks_of_invocation
from portable.invoke import run_shared
from portable.manifest import describe_app
from portable.testing import TestClient


def test_tasks_run_in_order_after_the_answer_and_in_its_context() -> None:
    app = App("background")
    seen: list[str] = []

    async def later(word: str, *, mark: str) -> None:
        await asyncio.sleep(0)
        seen.append(f"{word}{mark} {Context.current().function}")

    @app.post("/sync")
    def handler(tasks: BackgroundTasks) -> str:
        tasks.add(seen.append, "first")
        tasks.add(later, "second", mark="!")
        tasks.add(seen.append, "third")
        seen.append("answered")
        return "done"

    @app.post("/async")
    async def async_handler(tasks: BackgroundTasks, context: Context) -> str:
        tasks.add(seen.append, context.request_id)
        seen.append("answered")
        return context.request_id

    with TestClient(app) as client:
        assert client.post("/sync").text() == "done"
        assert seen == ["answered", "first", "second! http", "third"]
        seen.clear()
        request_id = client.post("/async").text()
        assert seen == ["answered", request_id]


def test_they_wait_for_the_last_piece_of_a_streamed_answer() -> None:
    app = App("after-streams")
    seen: list[str] = []

    def generate() -> Iterator[bytes]:
        for number in range(2):
            seen.append(f"piece {number}")
            yield b"."

    @app.get("/", stream=True)
    def handler(tasks: BackgroundTasks) -> StreamResponse:
        tasks.add(seen.append, "task")
        return StreamResponse(generate())

    with TestClient(app) as client:
        client.get("/")
    assert seen == ["piece 0", "piece 1", "task"]


def test_one_that_fails_is_logged_and_the_next_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    app = App("failing")
    seen: list[str] = []

    def fail() -> None:
        raise ValueError("the mail server is down")

    @app.post("/")
    def handler(tasks: BackgroundTasks) -> None:
        tasks.add(fail)
        tasks.add(seen.append, "next")

    with TestClient(app, raise_errors=False) as client:
        assert client.post("/").status == 204
    assert seen == ["next"]
    [record] = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert "fail" in record.message
    assert "http, request" in record.message
    assert record.exc_info is not None


def test_what_was_added_before_a_refusal_runs_too() -> None:
    app = App("refusing")
    seen: list[str] = []

    @app.post("/")
    def handler(tasks: BackgroundTasks) -> None:
        tasks.add(seen.append, "audited")
        raise HTTPError(403)

    with TestClient(app) as client:
        assert client.post("/").status == 403
    assert seen == ["audited"]


def test_none_is_begun_after_the_deadline(caplog: pytest.LogCaptureFixture) -> None:
    seen: list[str] = []
    context = Context("f", "r-1", deadline_at=time.time() + 3600)
    token = current_context.set(context)
    try:
        tasks = tasks_of_invocation()
        assert tasks_of_invocation() is tasks
        tasks.add(lambda: setattr(context, "deadline_at", time.time() - 1))
        tasks.add(seen.append, "late")
    finally:
        current_context.reset(token)
    left = take_tasks(context)
    assert left is tasks
    assert take_tasks(context) is None
    left.run(run_shared)

    assert seen == []
    assert len(tasks) == 0
    assert "the deadline passed before" in caplog.text
    assert "append" in caplog.text


def test_on_a_loop_sync_functions_go_to_a_thread() -> None:
    seen: list[str] = []

    async def later() -> None:
        await asyncio.sleep(0)
        seen.append("async")

    def fail() -> None:
        raise ValueError("no")

    tasks = BackgroundTasks()
    tasks.add(seen.append, "sync")
    tasks.add(fail)
    tasks.add(later)
    asyncio.run(tasks.arun(asyncio.to_thread))

    assert seen == ["sync", "async"]


def test_a_handler_is_tested_with_tasks_of_its_own() -> None:
    seen: list[str] = []
    tasks = BackgroundTasks()
    tasks.add(seen.append, "done")
    assert (len(tasks), seen) == (1, [])
    tasks.run(asyncio.run)
    assert seen == ["done"]


def test_only_functions_are_added_and_only_in_an_invocation() -> None:
    with pytest.raises(TypeError, match=r"tasks\.add takes a function"):
        BackgroundTasks().add("text")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="outside of an invocation"):
        tasks_of_invocation()


def test_the_manifest_says_which_routes_have_some(tmp_path: Path) -> None:
    app = App("described")

    @app.get("/a")
    def with_tasks(tasks: BackgroundTasks) -> None: ...

    @app.get("/b", stream=True)
    def without() -> None: ...

    [function] = describe_app(app, "app:app", tmp_path).functions
    found = {trigger.options["path"]: trigger.options for trigger in function.triggers}
    assert (found["/a"]["background"], found["/a"]["stream"]) == (True, False)
    assert (found["/b"]["background"], found["/b"]["stream"]) == (False, True)
