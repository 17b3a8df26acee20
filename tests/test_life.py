"""The life of an instance: start, stop, snapshots; deadlines."""

import asyncio
import logging
import threading
import time
from collections.abc import Iterator
from typing import Annotated, Any

import pytest

from portable import App, Context, DeadlineExceededError, Depends, Message, Request, Response, watchdog
from portable.events import current_context
from portable.invoke import make_function, run, run_shared
from portable.life import Life
from portable.testing import TestClient


def test_hooks_of_an_instance_in_their_order() -> None:
    app = App("shop")
    log: list[str] = []

    def note(name: str) -> Any:
        def hook() -> None:
            log.append(name)

        return hook

    def awaited(name: str) -> Any:
        async def hook() -> None:
            await asyncio.sleep(0)
            log.append(name)

        return hook

    app.on_start(note("start 1"))
    app.on_start(awaited("start 2"))
    app.on_stop(note("stop 1"))
    app.on_stop(awaited("stop 2"))
    app.before_snapshot(note("save 1"))
    app.before_snapshot(awaited("save 2"))
    app.after_restore(awaited("restore 1"))
    app.after_restore(note("restore 2"))
    app.life.start(run)
    app.life.start(run)
    app.life.save(run)
    app.life.restore(run)
    app.life.stop(run)
    app.life.stop(run)
    assert log == ["start 1", "start 2", "save 2", "save 1", "restore 1", "restore 2", "stop 2", "stop 1"]


def test_what_one_stop_hook_raises_keeps_no_other_from_its_turn(caplog: pytest.LogCaptureFixture) -> None:
    app = App("shop")
    log: list[str] = []
    opened: list[str] = []

    def pool() -> Iterator[str]:
        yield "pool"
        log.append("pool closed")

    @app.on_stop
    def last() -> None:
        log.append("last")

    @app.on_stop
    def first() -> None:
        raise RuntimeError("no end")

    @app.get("/")
    def home(pool: Annotated[str, Depends(pool, scope="instance")]) -> str:
        opened.append(pool)
        return pool

    with TestClient(app) as client:
        assert client.get("/").text() == "pool"
    assert log == ["last", "pool closed"]
    assert "no end" in caplog.text


def test_what_a_hook_raises_around_a_snapshot_is_raised() -> None:
    life = Life()

    def fails() -> None:
        raise RuntimeError("half a snapshot")

    life.before_snapshot.append(fails)
    with pytest.raises(RuntimeError, match="half a snapshot"):
        life.save(run)


def test_every_copy_of_a_snapshot_draws_its_own_numbers() -> None:
    import random

    life = Life()
    random.seed(1)
    drawn = random.random()
    random.seed(1)
    life.restore(run)
    assert random.random() != drawn


def test_what_was_never_started_is_not_stopped() -> None:
    life = Life()
    log: list[str] = []
    life.on_stop.append(lambda: log.append("stop"))
    life.stop(run)
    assert log == []


# --- deadlines


def context_of(seconds: float) -> Context:
    return Context("http", "r1", deadline_at=time.time() + seconds, cold_start=False, target="local")


@pytest.mark.parametrize("runner", [run, run_shared])
def test_an_async_handler_is_cancelled_before_its_deadline(runner: Any) -> None:
    app = App("shop")
    log: list[str] = []

    @app.get("/")
    async def slow() -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            log.append("cancelled")
            raise

    function = make_function(app.functions()["http"], app)
    context = context_of(4)
    token = current_context.set(context)
    try:
        response: Response = runner(function(Request("GET", "/")))
    finally:
        current_context.reset(token)
    assert (response.status, log) == (504, ["cancelled"])
    assert '"request_id":"r1"' in str(response.body).replace(" ", "")
    left = context.remaining()
    assert left is not None
    assert left.total_seconds() > 0


def test_an_async_event_handler_too() -> None:
    app = App("shop")
    life_orders = app.queue("life-orders", str)

    @app.on_message(life_orders)
    async def slow(message: Message[str]) -> None:
        await asyncio.sleep(60)

    function = make_function(app.functions()["slow"], app)
    token = current_context.set(context_of(4))
    try:
        (outcome,) = run(function([Message("1", '"a"')]))
    finally:
        current_context.reset(token)
    assert isinstance(outcome, DeadlineExceededError)


def test_nothing_is_begun_behind_a_message_that_took_all_the_time() -> None:
    app = App("shop")
    life_batches = app.queue("life-batches", str)
    begun: list[str] = []

    @app.on_message(life_batches)
    async def slow(message: Message[str]) -> None:
        begun.append(message.body)
        if message.body == "b":
            await asyncio.sleep(60)

    function = make_function(app.functions()["slow"], app)
    token = current_context.set(context_of(4))
    try:
        outcomes = run(function([Message(body, f'"{body}"') for body in "abc"]))
    finally:
        current_context.reset(token)
    assert begun == ["a", "b"]
    assert [type(outcome) for outcome in outcomes] == [type(None), DeadlineExceededError, DeadlineExceededError]


def test_a_handlers_own_timeout_is_its_own() -> None:
    app = App("shop")

    @app.get("/")
    async def own() -> str:
        try:
            async with asyncio.timeout(0.01):
                await asyncio.sleep(60)
        except TimeoutError:
            return "own"
        return "none"

    function = make_function(app.functions()["http"], app)
    token = current_context.set(context_of(30))
    try:
        assert run(function(Request("GET", "/"))).body == "own"
    finally:
        current_context.reset(token)


def hang_here(until: threading.Event) -> None:
    until.wait(30)


def test_what_hangs_near_its_deadline_is_logged_with_its_stack(caplog: pytest.LogCaptureFixture) -> None:
    context = context_of(0.5)
    over = threading.Event()

    def invocation() -> None:
        watchdog.enter(context)
        try:
            hang_here(over)
        finally:
            watchdog.leave(context)

    thread = threading.Thread(target=invocation)
    with caplog.at_level(logging.ERROR, "portable"):
        thread.start()
        for _ in range(1000):
            if "nears its deadline" in caplog.text:
                break
            time.sleep(0.02)
    over.set()
    thread.join()
    assert "http nears its deadline" in caplog.text
    assert "invocation r1" in caplog.text
    assert "hang_here" in caplog.text


def test_what_ends_in_time_is_not_spoken_of(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR, "portable"):
        for _ in range(50):
            context = context_of(0.3)
            watchdog.enter(context)
            watchdog.leave(context)
        time.sleep(0.6)
    assert caplog.text == ""


def test_a_margin_is_a_tenth_and_a_second_at_most() -> None:
    assert [watchdog.margin(timeout) for timeout in (0.5, 3, 30, 900)] == [0.05, 0.3, 1.0, 1.0]


async def wait_within() -> None:
    await asyncio.sleep(60)


@pytest.mark.parametrize("runner", [run, run_shared])
def test_the_log_says_what_an_async_handler_awaits(runner: Any, caplog: pytest.LogCaptureFixture) -> None:
    app = App("shop")

    @app.get("/")
    async def slow() -> None:
        await wait_within()

    with caplog.at_level(logging.ERROR, "portable"):
        assert answered_within(app, runner, 2).status == 504
    (told,) = [record.getMessage() for record in caplog.records if "nears its deadline" in record.getMessage()]
    assert "in slow" in told
    assert "in wait_within" in told


def test_the_log_says_what_holds_up_the_loop(caplog: pytest.LogCaptureFixture) -> None:
    app = App("shop")
    over = threading.Event()

    @app.get("/")
    async def blocks() -> str:
        hang_here(over)
        return "done"

    with caplog.at_level(logging.ERROR, "portable"):
        asked = threading.Thread(target=answered_within, args=(app, run_shared, 1))
        asked.start()
        for _ in range(1000):
            if "nears its deadline" in caplog.text:
                break
            time.sleep(0.02)
    over.set()
    asked.join()
    assert "on its loop's thread at" in caplog.text
    assert "in hang_here" in caplog.text


def answered_within(app: App, runner: Any, seconds: float) -> Response:
    function = make_function(app.functions()["http"], app)
    context = context_of(seconds)
    token = current_context.set(context)
    watchdog.enter(context)
    try:
        response: Response = runner(function(Request("GET", "/")))
    finally:
        watchdog.leave(context)
        current_context.reset(token)
    return response
