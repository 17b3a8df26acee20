"""The seam where handlers are called. What sync and async handlers share is tested on both, by the same cases."""

from __future__ import annotations

import asyncio
import functools
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Sequence
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pydantic
import pytest

from portable import (
    App,
    BlobEvent,
    ConfigError,
    Context,
    HTTPError,
    Message,
    Queue,
    Reject,
    Request,
    Response,
    Retry,
    Tick,
)
from portable.events import current_context
from portable.invoke import make_function, run, run_shared
from portable.invoke.events import BlobFunction, DirectFunction, ScheduleFunction
from portable.invoke.http import HTTPFunction
from portable.invoke.messages import MessageFunction
from portable.triggers import DirectTrigger, Settings

NOON = datetime(2026, 3, 29, 12, tzinfo=UTC)
TICK = Tick(NOON)


class User(msgspec.Struct):
    id: int


class Model(pydantic.BaseModel):
    id: int


def wait_first(handler: Callable[..., Any]) -> Callable[..., Any]:
    """The same handler, async, giving way to the loop before it works."""

    @functools.wraps(handler)
    async def wrapper(*args: Any, **options: Any) -> Any:
        await asyncio.sleep(0)
        return handler(*args, **options)

    return wrapper


@pytest.fixture(params=["sync", "async"])
def kind(request: pytest.FixtureRequest) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Makes a handler of the kind under test."""
    return wait_first if request.param == "async" else lambda handler: handler


def finish(value: Any) -> Any:
    """As an entry that serves one invocation at a time does."""
    return run(value) if hasattr(value, "send") else value


@pytest.fixture
def app() -> App:
    return App("invoked")


def function_of(app: App) -> Any:
    (triggers,) = app.functions().values()
    return make_function(triggers)


# --- HTTP


def test_a_sync_route_answers_at_once_and_an_async_one_gives_a_coroutine(app: App) -> None:
    app.get("/sync")(lambda: "sync")
    app.get("/async/{n}")(wait_first(takes_number))
    function = function_of(app)
    assert function(Request("GET", "/sync")).body == "sync"
    pending = function(Request("GET", "/async/7"))
    assert asyncio.iscoroutine(pending)
    assert run(pending).body == "7"
    # What fails before the handler is called is answered at once all the same.
    assert function(Request("GET", "/async/x")).status == 404
    assert function(Request("POST", "/async/7")).status == 405


def takes_number(n: int) -> int:
    return n


def test_requests_do_not_leak_into_one_another(app: App, kind: Any) -> None:
    @app.get("/{n}")
    @kind
    def handler(n: int, q: list[str], request: Request) -> Any:
        q.append("added")
        return [n, q, request.params]

    function = function_of(app)
    for n in ("1", "2"):
        response = finish(function(Request("GET", f"/{n}", query={"q": n})))
        assert response.body == f'[{n},["{n}","added"],{{"n":"{n}"}}]'
    assert finish(function(Request("GET", "/3"))).body == '[3,["added"],{"n":"3"}]'


def test_an_http_function_never_raises(app: App, kind: Any, caplog: pytest.LogCaptureFixture) -> None:
    @app.get("/")
    @kind
    def handler() -> None:
        raise RuntimeError("secret")

    response = finish(function_of(app)(Request("GET", "/")))
    assert response.status == 500
    assert "secret" not in response.body
    assert "secret" in caplog.text


# --- which handlers are async


class Asynchronous:
    async def __call__(self, event=None) -> Any:
        return event

    async def method(self, event=None) -> Any:
        return event

    def plain(self, event=None) -> Any:
        return event


async def asynchronous(event=None) -> Any:
    return event


def synchronous(event=None) -> Any:
    return event


def through(handler: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(handler)
    def wrapper(*args: Any, **options: Any) -> Any:
        return handler(*args, **options)

    return wrapper


def finishing(handler: Callable[..., Any]) -> Callable[..., Any]:
    """Sync, around an async handler that it runs itself."""

    @functools.wraps(handler)
    def wrapper(*args: Any, **options: Any) -> Any:
        coroutine = handler(*args, **options)
        try:
            coroutine.send(None)
        except StopIteration as stop:
            return stop.value
        raise AssertionError

    return wrapper


ASYNC = [
    asynchronous,
    Asynchronous(),
    Asynchronous().method,
    functools.partial(asynchronous),
    functools.partial(functools.partial(asynchronous)),
    functools.partial(Asynchronous().method),
    functools.partial(Asynchronous()),
    wait_first(synchronous),
    through(asynchronous),
    through(through(asynchronous)),
    through(Asynchronous().method),
    through(functools.partial(asynchronous)),
    functools.partial(through(asynchronous)),
    finishing(asynchronous),
]
SYNC = [
    synchronous,
    Asynchronous().plain,
    functools.partial(synchronous),
    through(synchronous),
    Asynchronous,
    len,
    print,
]


@pytest.mark.parametrize("handler", ASYNC)
def test_async_handlers_are_known(handler: Any) -> None:
    assert is_async(handler)


@pytest.mark.parametrize("handler", SYNC)
def test_sync_handlers_are_known(handler: Any) -> None:
    assert not is_async(handler)


@pytest.mark.parametrize("handler", [*ASYNC, *SYNC[:4]])
def test_every_handler_is_finished_whatever_it_turns_out_to_be(handler: Any) -> None:
    app = App("kinds")
    bucket, queue = app.bucket("b"), app.queue("q")
    app.get("/{event}")(handler)
    app.on_message(queue, function="message")(handler)
    app.on_blob(bucket, function="blob")(handler)
    app.on_schedule(cron="* * * * *", function="schedule")(handler)
    app.function("direct")(handler)
    functions = {name: make_function(triggers) for name, triggers in app.functions().items()}
    assert finish(functions["http"](Request("GET", "/7"))).body == "7"
    assert finish(functions["message"]([Message("1", "7")])) == [None]
    assert finish(functions["blob"](BlobEvent("created", "b", "k"))) == 1
    assert finish(functions["schedule"](TICK)) is None
    assert finish(functions["direct"](7)) == 7


def test_places_are_those_of_the_handler_under_its_decorators(app: App) -> None:
    line = synchronous.__code__.co_firstlineno
    for handler in (
        synchronous,
        through(synchronous),
        functools.partial(synchronous),
        functools.partial(through(synchronous)),
    ):
        app.get(f"/{len(app.triggers)}")(handler)
        assert app.triggers[-1].where == (__file__, line)
    app.get("/method")(Asynchronous().plain)
    assert app.triggers[-1].where == (__file__, Asynchronous.plain.__code__.co_firstlineno)
    app.get("/callable")(Asynchronous())
    assert app.triggers[-1].where == (__file__, Asynchronous.__call__.__code__.co_firstlineno)
    app.get("/builtin")(len)
    assert app.triggers[-1].where == ("<unknown>", 0)


def is_async(handler: Any) -> bool:
    return DirectTrigger(handler, Settings(function="f")).is_async


def test_generators_are_refused(app: App) -> None:
    def generator(event: Any) -> Any:
        yield event

    async def asynchronous_generator(event: Any) -> Any:
        yield event

    class Shop:
        def method(self, event: Any) -> Any:
            yield event

    for handler in (generator, asynchronous_generator, Shop().method):
        with pytest.raises(ConfigError, match=f"{handler.__name__} at {__file__}:.* is a generator"):
            app.function()(handler)
    assert app.triggers == []


@pytest.mark.filterwarnings("ignore:coroutine 'asynchronous' was never awaited", "ignore:Exception ignored in. <corou")
@pytest.mark.parametrize("kind_of", ["message", "batch", "blob", "schedule", "direct", "http"])
def test_a_coroutine_nobody_expects_is_a_failure_and_never_done_in_silence(
    app: App, kind_of: str, caplog: pytest.LogCaptureFixture
) -> None:
    def gives_coroutine(event=None):
        return asynchronous(event)

    def batch(events: list[Message[Any]]) -> Any:
        return asynchronous(events)

    bucket, queue = app.bucket("b"), app.queue("q")
    declare: dict[str, Any] = {
        "message": (app.on_message(queue), gives_coroutine, messages("1")),
        "batch": (app.on_message(queue), batch, messages("1")),
        "blob": (app.on_blob(bucket), gives_coroutine, BlobEvent("created", "b", "k")),
        "schedule": (app.on_schedule(cron="* * * * *"), gives_coroutine, TICK),
        "direct": (app.function(), gives_coroutine, 1),
        "http": (app.get("/"), gives_coroutine, Request("GET", "/")),
    }
    decorate, handler, event = declare[kind_of]
    decorate(handler)
    function = function_of(app)
    if kind_of in ("message", "batch"):
        (outcome,) = function(event)
        assert "write async def" in str(outcome)
    elif kind_of == "http":
        assert function(event).status == 500
        assert "is an `await` missing?" in caplog.text
    else:
        with pytest.raises(TypeError, match=r"async def|`await` missing"):
            function(event)


# --- messages


def messages(*bodies: str) -> list[Message[Any]]:
    return [Message(str(position), body) for position, body in enumerate(bodies)]


def texts(outcomes: Iterable[BaseException | None]) -> list[str | None]:
    return [None if outcome is None else type(outcome).__name__ for outcome in outcomes]


def test_messages_one_by_one(app: App, kind: Any, caplog: pytest.LogCaptureFixture) -> None:
    seen = []

    @app.on_message(app.queue("users", User))
    @kind
    def handler(message: Message[User]) -> None:
        seen.append(message.body)
        number = message.body.id
        if number == 1:
            message.fail()
        if number == 2:
            message.fail(Retry("later", after=timedelta(seconds=5)))
        if number == 3:
            message.fail(Reject("never"))
        if number == 4:
            raise Retry("later", after=timedelta(seconds=9))
        if number == 5:
            raise Reject("never")
        if number == 6:
            raise ZeroDivisionError("secret")
        if number == 7:
            message.fail(KeyError("why"))

    batch = messages(*(f'{{"id":{number}}}' for number in range(8)), '{"id":"x"}', "{", "[" * 100_000, '{"id":9}')
    outcomes = finish(function_of(app)(batch))
    assert texts(outcomes) == [
        None,
        "Retry",
        "Retry",
        "Reject",
        "Retry",
        "Reject",
        "ZeroDivisionError",
        "KeyError",
        "ValidationError",
        "DecodeError",
        "ValidationError",
        None,
    ]
    assert [user.id for user in seen] == [0, 1, 2, 3, 4, 5, 6, 7, 9]
    assert outcomes[2].after == timedelta(seconds=5)
    assert outcomes[4].after == timedelta(seconds=9)
    logged = [record.getMessage() for record in caplog.records]
    assert logged == [f"handler failed on message {number}" for number in ("6", "8", "9", "10")]
    assert caplog.records[0].exc_info is not None


def test_messages_as_a_batch(app: App, kind: Any, caplog: pytest.LogCaptureFixture) -> None:
    seen: list[Any] = []

    @app.on_message(app.queue("users", User))
    @kind
    def handler(batch: list[Message[User]]) -> None:
        seen.append([message.body.id for message in batch])
        while batch:  # the handler's own list, to do with as it likes
            message = batch.pop()
            if message.body.id == 1:
                message.fail()
            if message.body.id == 2:
                message.fail(Reject("never"))

    function = function_of(app)
    outcomes = finish(function(messages('{"id":0}', "{", '{"id":1}', '{"id":2}', '{"id":"x"}', '{"id":3}')))
    assert texts(outcomes) == [None, "DecodeError", "Retry", "Reject", "ValidationError", None]
    assert seen == [[0, 1, 2, 3]]
    assert [record.getMessage().partition(":")[0] for record in caplog.records] == [
        "handler failed on message 1",
        "handler failed on message 4",
    ]
    assert all("does not fit queue users" in record.getMessage() for record in caplog.records)
    assert finish(function([])) == []
    assert texts(finish(function(messages("{", "{")))) == ["DecodeError", "DecodeError"]
    assert len(seen) == 1  # not called with nothing


@pytest.mark.parametrize(
    ("error", "logged"), [(ZeroDivisionError("x"), 1), (Retry("later", after=timedelta(1)), 0), (Reject("never"), 0)]
)
def test_what_is_raised_for_a_batch_is_every_messages_but_for_those_that_said_more(
    app: App, kind: Any, error: Exception, logged: int, caplog: pytest.LogCaptureFixture
) -> None:
    @app.on_message(app.queue("any"))
    @kind
    def handler(batch: list[Message[Any]]) -> None:
        batch[1].fail(KeyError("mine"))
        raise error

    outcomes = finish(function_of(app)(messages("0", "1", "{", "3")))
    assert outcomes[0] is outcomes[3] is error
    assert texts(outcomes)[1:3] == ["KeyError", "JSONDecodeError"]
    assert len(caplog.records) == logged + 1


def test_a_failure_that_is_falsy_is_a_failure(app: App, kind: Any) -> None:
    class EmptyError(Exception):
        def __bool__(self) -> bool:
            return False

    @app.on_message(app.queue("any"))
    @kind
    def handler(batch: list[Message[Any]]) -> None:
        batch[0].fail(EmptyError())
        raise EmptyError

    assert texts(finish(function_of(app)(messages("0", "1")))) == ["EmptyError", "EmptyError"]


@pytest.mark.parametrize(
    ("annotation", "whole"),
    [
        (Message, False),
        (Message[User], False),
        ("Message[User]", False),
        (list, True),
        (list[Message], True),
        (list[Message[User]], True),
        ("list[Message[User]]", True),
        (Sequence[Message[User]], True),
        ("Iterable[Message[User]]", True),
        (None, False),
    ],
    ids=str,
)
def test_a_handler_that_takes_many_messages_is_given_the_batch(app: App, annotation: Any, whole: bool) -> None:
    seen = []

    def handler(taken: Any) -> None:
        seen.append(taken)

    if annotation is None:
        del handler.__annotations__["taken"]
    else:
        handler.__annotations__["taken"] = annotation
    app.on_message(app.queue("any"))(handler)
    assert function_of(app)(messages("1", "2")) == [None, None]
    assert [type(one) for one in seen] == ([list] if whole else [Message, Message])


def test_bodies_are_what_the_queues_type_says(app: App, kind: Any) -> None:
    seen: list[Any] = []
    for name, type_ in (("models", Model), ("texts", str), ("any", None), ("dicts", dict[str, int])):
        queue = app.queue(name, type_)
        app.on_message(queue, function="all")(kind(lambda message: seen.append(message.body)))
    function = function_of(app)
    for name, body in (("models", '{"id":"7"}'), ("texts", '"é"'), ("any", "[1]"), ("dicts", '{"a":1}')):
        assert finish(function(messages(body), name)) == [None]
        assert texts(finish(function(messages("{"), name))) != [None]
    assert seen == [Model(id=7), "é", [1], {"a": 1}]


def test_a_function_of_several_queues_is_told_which(app: App) -> None:
    seen = []
    app.on_message(app.queue("first"), function="both")(lambda message: seen.append(("first", message.body)))
    app.on_message(app.queue("second"), function="both")(
        wait_first(lambda message: seen.append(("second", message.body)))
    )
    function = function_of(app)
    assert function(messages("1"), "first") == [None]
    assert finish(function(messages("2"), "second")) == [None]
    assert seen == [("first", 1), ("second", 2)]
    for source in ("third", None):
        with pytest.raises(ConfigError, match=f"{source}.*first, second"):
            function(messages("3"), source)


def test_a_function_of_one_queue_knows_it(app: App) -> None:
    app.on_message(app.queue("only"), function="one")(lambda message: None)
    function = function_of(app)
    assert function(messages("1"), "only") == function(messages("1")) == [None]
    with pytest.raises(ConfigError, match="other"):
        function(messages("1"), "other")


def test_one_queue_twice_in_a_function_is_refused(app: App) -> None:
    queue = app.queue("q")
    app.on_message(queue, function="both")(lambda message: None)
    app.on_message(queue, function="both")(lambda message: None)
    with pytest.raises(ConfigError, match="'both' takes one queue or topic twice"):
        function_of(app)


def test_a_type_that_cannot_be_read_is_a_config_error(app: App) -> None:
    class Left(msgspec.Struct):
        a: int

    class Right(msgspec.Struct):
        b: int

    queue: Queue[Any] = app.queue("sides", Left | Right)
    app.on_message(queue, function="s")(lambda batch: None)
    with pytest.raises(ConfigError, match=f"queue 'sides' at {__file__}:"):
        queue.decode  # noqa: B018


# --- blobs, schedules, direct calls


def test_a_blob_event_goes_to_the_triggers_that_want_it(app: App, kind: Any) -> None:
    uploads, other = app.bucket("uploads"), app.bucket("other")
    seen: list[str] = []

    def on(name: str, bucket: Any, **options: Any) -> None:
        app.on_blob(bucket, function="all", **options)(kind(lambda event: seen.append(name)))

    on("all", uploads)
    on("png", uploads, prefix="in/", suffix=".png")
    on("gone", uploads, kinds=["deleted"])
    on("both", uploads, kinds=["created", "deleted"])
    on("other", other)
    function = function_of(app)
    for event, taken in (
        (BlobEvent("created", "uploads", "in/a.png"), ["all", "png", "both"]),
        (BlobEvent("created", "uploads", "in/a.jpg"), ["all", "both"]),
        (BlobEvent("created", "uploads", "a.png"), ["all", "both"]),
        (BlobEvent("deleted", "uploads", "in/a.png"), ["gone", "both"]),
        (BlobEvent("created", "other", "x"), ["other"]),
        (BlobEvent("created", "unknown", "x"), []),
    ):
        seen.clear()
        assert finish(function(event)) == len(taken)
        assert seen == taken


@pytest.mark.parametrize("error", [ZeroDivisionError(), Retry("x"), StopAsyncIteration()])
def test_what_an_event_handler_raises_passes_through(app: App, kind: Any, error: Exception) -> None:
    def handler(event: Any) -> None:
        raise error

    app.on_blob(app.bucket("b"), function="blob")(kind(handler))
    app.on_schedule(cron="* * * * *", function="schedule")(kind(handler))
    app.function("direct")(kind(handler))
    functions = {name: make_function(triggers) for name, triggers in app.functions().items()}
    for name, event in (("blob", BlobEvent("created", "b", "k")), ("schedule", TICK), ("direct", 1)):
        with pytest.raises(type(error)) as caught:
            finish(functions[name](event))
        assert caught.value is error


def test_a_schedule_takes_the_tick_or_nothing_or_options_of_its_own(app: App, kind: Any) -> None:
    seen: list[Any] = []

    def with_tick(tick: Tick) -> None:
        seen.append(tick)

    def unannotated(tick):
        seen.append(tick)

    def with_default(tick: Tick | None = None) -> None:
        seen.append(tick)

    def with_option(days: int = 7, *, dry: bool = False) -> None:
        seen.append((days, dry))

    def with_nothing() -> None:
        seen.append(None)

    for handler in (with_tick, unannotated, with_default, with_option, with_nothing):
        app.on_schedule(every=timedelta(minutes=5), function="all")(kind(handler))
    finish(function_of(app)(TICK))
    assert seen == [TICK, TICK, TICK, (7, False), None]


def test_a_function_has_one_schedule(app: App) -> None:
    app.on_schedule(cron="0 8 * * *", function="reports")(lambda tick: None)
    app.on_schedule(cron="0 9 * * *", function="reports")(lambda tick: None)
    with pytest.raises(ConfigError, match=f"two schedules, .*{__file__}:.* and .*{__file__}:"):
        function_of(app)


@pytest.mark.parametrize(
    ("annotation", "payload", "value"),
    [
        (None, {"a": [1]}, {"a": [1]}),
        (Any, None, None),
        (dict, {"a": 1}, {"a": 1}),
        (dict[str, int], {"a": 1}, {"a": 1}),
        (User, {"id": 1}, {"id": 1}),
        (Model, {"id": "1"}, {"id": 1}),
        (list[Model], [{"id": 1}], [{"id": 1}]),
        (User | None, None, None),
        (datetime, "2026-03-29T12:00:00Z", "2026-03-29T12:00:00Z"),
        (int, 2**70, 2**70),
    ],
    ids=str,
)
def test_a_payload_and_its_answer_are_json_values(
    app: App, kind: Any, annotation: Any, payload: Any, value: Any
) -> None:
    seen: list[Any] = []

    def handler(payload: Any) -> Any:
        seen.append(payload)
        return payload

    if annotation is None:
        del handler.__annotations__["payload"]
    else:
        handler.__annotations__["payload"] = annotation
    app.function("call")(kind(handler))
    assert finish(function_of(app)(payload)) == value
    if annotation in (User, Model, datetime, int):
        assert isinstance(seen[0], annotation)


def test_a_payload_goes_to_a_parameter_with_a_default(app: App, kind: Any) -> None:
    @app.function()
    @kind
    def handler(payload: dict[str, int] = {}, *, other: int = 5) -> Any:  # noqa: B006
        return [payload, other]

    assert finish(function_of(app)({"a": 1})) == [{"a": 1}, 5]


@pytest.mark.parametrize(
    ("annotation", "payload", "name"),
    [(User, {"id": "x"}, "id"), (Model, {"id": "x"}, "id"), (dict, [], ""), (list[User], [{"id": 1}, {}], "[1]")],
    ids=str,
)
def test_a_payload_that_does_not_fit_is_a_422(app: App, kind: Any, annotation: Any, payload: Any, name: str) -> None:
    def handler(payload: Any) -> None: ...

    handler.__annotations__["payload"] = annotation
    app.function("call")(kind(handler))
    with pytest.raises(HTTPError) as caught:
        finish(function_of(app)(payload))
    assert caught.value.status == 422
    assert caught.value.errors[0]["name"] == name


def test_an_answer_json_cannot_hold_is_a_type_error(app: App, kind: Any) -> None:
    app.function("call")(kind(lambda payload: object()))
    with pytest.raises(TypeError, match="object cannot be written"):
        finish(function_of(app)(1))


def test_a_direct_function_has_one_handler(app: App) -> None:
    app.function("call")(lambda payload: 1)
    app.function("call")(lambda payload: 2)
    with pytest.raises(ConfigError, match="one handler"):
        function_of(app)


# --- what event handlers may take


def no_event() -> None: ...
def two_events(event: Any, other: Any) -> None: ...
def context_first(context: Context, event: Any) -> None: ...
def keyword_event(*, event: Any) -> None: ...
def only_context(context: Context) -> None: ...
def catch_all(*args: Any) -> None: ...
def unknown_name(event: Nowhere) -> None: ...  # noqa: F821


@pytest.mark.parametrize("handler", [two_events, context_first, keyword_event, unknown_name])
@pytest.mark.parametrize("decorate", ["on_message", "on_blob", "on_schedule", "function"])
def test_handlers_that_cannot_take_an_event_are_refused(app: App, decorate: str, handler: Any) -> None:
    assert_refused(app, decorate, handler)


@pytest.mark.parametrize("handler", [no_event, only_context, catch_all])
@pytest.mark.parametrize("decorate", ["on_message", "on_blob"])
def test_handlers_that_take_no_event_are_refused(app: App, decorate: str, handler: Any) -> None:
    assert_refused(app, decorate, handler)


def assert_refused(app: App, decorate: str, handler: Any) -> None:
    decorators: dict[str, Any] = {
        "on_message": lambda: app.on_message(app.queue("q")),
        "on_blob": lambda: app.on_blob(app.bucket("b")),
        "on_schedule": lambda: app.on_schedule(cron="* * * * *"),
        "function": app.function,
    }
    decorators[decorate]()(handler)
    with pytest.raises(ConfigError, match=f"{handler.__name__} at {__file__}:{handler.__code__.co_firstlineno}"):
        function_of(app)


@pytest.fixture
def context() -> Iterable[Context]:
    context = Context("function", "request-1")
    token = current_context.set(context)
    yield context
    current_context.reset(token)


def test_the_context_is_given_to_whoever_annotates_it(app: App, kind: Any, context: Context) -> None:
    seen: list[Any] = []

    def last(event: Any, context: Context) -> None:
        seen.append((event, context))

    def named(event: Any, *, here: Context | None) -> None:
        seen.append((event, here))

    def with_default(event: Any, here: Context | None = None, other: int = 1) -> None:
        seen.append((event, here))

    def alone(here: Context) -> None:
        seen.append((TICK, here))

    for handler in (last, named, with_default, alone):
        app.on_schedule(cron="* * * * *", function="all")(kind(handler))
    finish(function_of(app)(TICK))
    assert seen == [(TICK, context)] * 4


def test_the_context_reaches_code_that_nobody_passed_it_to(app: App, kind: Any, context: Context) -> None:
    seen: list[Any] = []
    app.get("/")(kind(lambda: seen.append(Context.current())))
    function = function_of(app)
    for how in (run, run_shared):
        pending = function(Request("GET", "/"))
        if hasattr(pending, "send"):
            how(pending)
    assert seen == [context] * 2


# --- the end of the process


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), GeneratorExit()])
@pytest.mark.parametrize("how", [run, run_shared])
def test_what_ends_a_process_is_not_swallowed_and_nothing_hangs(kind: Any, error: BaseException, how: Any) -> None:
    def handler(event):
        raise error

    def batch(event: list[Message[Any]]) -> None:
        raise error

    app = App("ends")
    app.get("/{event}")(kind(handler))
    app.on_message(app.queue("q"), function="one")(kind(handler))
    app.on_message(app.queue("r"), function="batch")(kind(batch))
    functions = {name: make_function(triggers) for name, triggers in app.functions().items()}

    def call(name: str, event: Any) -> None:
        pending = functions[name](event)
        if hasattr(pending, "send"):
            how(pending)

    for name, event in (("http", Request("GET", "/1")), ("one", messages("1")), ("batch", messages("1"))):
        with pytest.raises(type(error)):
            call(name, event)
    assert how(asynchronous(5)) == 5


def test_a_task_that_ends_the_shared_loop_leaves_it_to_the_others(caplog: pytest.LogCaptureFixture) -> None:
    async def leave() -> None:
        raise SystemExit(3)

    async def start() -> str:
        task = asyncio.get_running_loop().create_task(leave())
        await asyncio.sleep(0.05)
        task.exception()
        return "started"

    assert run_shared(start()) == "started"
    assert run_shared(asynchronous(5)) == 5
    assert "which goes on" in caplog.text


# --- loops


async def loop_of() -> Any:
    return asyncio.get_running_loop()


def test_one_loop_is_kept() -> None:
    assert run(loop_of()) is run(loop_of())
    assert run_shared(loop_of()) is run_shared(loop_of())
    assert run(loop_of()) is not run_shared(loop_of())


def test_what_a_handler_started_goes_on_in_the_next_invocation() -> None:
    done: list[int] = []

    async def start() -> Any:
        async def later() -> None:
            await asyncio.sleep(0)
            done.append(1)

        return asyncio.get_running_loop().create_task(later())

    task = run(start())
    assert done == []
    run(asyncio.wait_for(task, 5))
    assert done == [1]


def test_what_a_coroutine_raises_passes_through() -> None:
    async def fail() -> None:
        raise ZeroDivisionError("here")

    for how in (run, run_shared):
        with pytest.raises(ZeroDivisionError, match="here"):
            how(fail())


variable: ContextVar[str] = ContextVar("variable", default="nothing")


def test_invocations_on_threads_share_a_loop_and_no_variables() -> None:
    count = 16
    barrier = threading.Barrier(count)
    found: dict[int, Any] = {}
    app = App("threads")

    @app.get("/{n}")
    async def handler(n: int, context: Context) -> Any:
        variable.set(f"set by {n}")
        await asyncio.sleep(0.01)
        return [context.request_id, Context.current().request_id, variable.get()]

    function = HTTPFunction(app.triggers)

    def serve(n: int) -> None:
        current_context.set(Context("http", f"request {n}"))
        barrier.wait(10)
        pending = function(Request("GET", f"/{n}"))
        response = run_shared(pending)
        found[n] = (response.body, Context.current().request_id, variable.get())

    threads = [threading.Thread(target=serve, args=(n,)) for n in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert found == {
        n: (f'["request {n}","request {n}","set by {n}"]', f"request {n}", "nothing") for n in range(count)
    }
    assert variable.get() == "nothing"


def test_sync_handlers_run_in_the_calling_thread(app: App) -> None:
    seen: list[Any] = []
    app.get("/")(lambda: seen.append(threading.current_thread()))
    function_of(app)(Request("GET", "/"))
    assert seen == [threading.main_thread()]


def test_sync_handlers_import_no_asyncio() -> None:
    script = """
import sys
from portable import App, BlobEvent, Message, Request, Tick
from portable.invoke import make_function
app = App("sync")
app.get("/")(lambda: {"a": 1})
app.on_message(app.queue("q"), function="message")(lambda message: None)
app.on_blob(app.bucket("b"), function="blob")(lambda event: None)
app.on_schedule(cron="* * * * *", function="schedule")(lambda tick: None)
app.function("direct")(lambda payload: payload)
functions = {name: make_function(triggers) for name, triggers in app.functions().items()}
from datetime import UTC, datetime
assert functions["http"](Request("GET", "/")).body == '{"a":1}'
assert functions["message"]([Message("1", "{}")]) == [None]
assert functions["blob"](BlobEvent("created", "b", "k")) == 1
functions["schedule"](Tick(datetime.now(UTC)))
assert functions["direct"]([1]) == [1]
assert not {"asyncio", "inspect", "typing", "logging", "msgspec"} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-S", "-c", f"import sys; sys.path.insert(0, '.')\n{script}"], check=True)


def test_kinds() -> None:
    kinds = [HTTPFunction, MessageFunction, BlobFunction, ScheduleFunction, DirectFunction]
    assert [kind.kind for kind in kinds] == ["http", "message", "blob", "schedule", "direct"]
    assert isinstance(HTTPFunction([])(Request("GET", "/")), Response)
