"""App and Router: what they collect, and what they refuse."""

from __future__ import annotations

import re
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from portable import App, Bucket, ConfigError, Message, Queue, Request, Router
from portable.app import load_app
from portable.instance import Instance
from portable.invoke import make_function, run
from portable.invoke.http import HTTPFunction
from portable.router import import_object
from portable.triggers import HTTPRoute, Trigger


def paths(app: Router, modules: list[str] | None = None) -> list[str]:
    return [f"{one.method} {one.path}" for one in app.collect(modules) if isinstance(one, HTTPRoute)]


@pytest.fixture
def app() -> App:
    return App("shop")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Writes modules, which can be imported until the test ends."""
    monkeypatch.syspath_prepend(str(tmp_path))
    before = set(sys.modules)

    def write(**modules: str) -> None:
        for name, source in modules.items():
            path = tmp_path.joinpath(*name.split("__")).with_suffix(".py")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("from portable import *\n" + textwrap.dedent(source))

    yield write
    for name in set(sys.modules) - before:
        file = getattr(sys.modules[name], "__file__", None)
        if file and file.startswith(str(tmp_path)):
            del sys.modules[name]


def imported(*names: str) -> list[str]:
    return [name for name in names if name in sys.modules]


# --- decorators


def test_decorators_return_the_handler_unchanged(app: App) -> None:
    def handler(event: Any = None) -> str:
        return f"called with {event}"

    queue, bucket = app.queue("q"), app.bucket("b")
    decorators = [
        app.get("/a"),
        app.post("/a"),
        app.put("/a"),
        app.patch("/a"),
        app.delete("/a"),
        app.route("/b", methods=["GET", "HEAD"]),
        app.on_message(queue),
        app.on_blob(bucket),
        app.on_schedule(cron="* * * * *"),
        app.function(),
        app.on_start,
    ]
    for decorate in decorators:
        assert decorate(handler) is handler
    assert handler(7) == "called with 7"
    assert len(app.triggers) == 11
    assert {trigger.handler for trigger in app.triggers} == {handler}
    assert [trigger.kind for trigger in app.triggers[7:]] == ["message", "blob", "schedule", "direct"]


def test_one_handler_bears_several_triggers(app: App) -> None:
    queue = app.queue("q")

    @app.get("/a/{n}")
    @app.post("/a/{n}")
    @app.on_message(queue)
    def handler(n: Any = None) -> None: ...

    assert paths(app) == ["POST /a/{n}", "GET /a/{n}"]
    assert sorted(app.functions()) == ["handler", "http"]


def test_settings_are_kept(app: App) -> None:
    @app.post("/a", status=201, memory=512, timeout=timedelta(seconds=10), auth="cloud", max_body=1000)
    def handler() -> None: ...

    (route,) = app.triggers
    assert isinstance(route, HTTPRoute)
    assert (route.status, route.auth, route.max_body) == (201, "cloud", 1000)
    assert (route.settings.memory, route.settings.timeout) == (512, timedelta(seconds=10))
    assert route.where == (__file__, handler.__code__.co_firstlineno)
    assert repr(route) == "<HTTPRoute POST /a>"


def handler(event: Any = None) -> None: ...


QUEUE, BUCKET = Queue("q"), Bucket("b")


@pytest.mark.parametrize(
    ("declare", "says"),
    [
        (lambda app: app.get("a")(handler), "path 'a' must start with '/'"),
        (lambda app: app.get(handler), "write @app.get('/path')"),
        (lambda app: app.route(handler, methods=["GET"]), "a route takes its path"),
        (lambda app: app.route("/", methods=[]), "methods are some of GET"),
        (lambda app: app.route("/", methods=["GET", "BREW"]), "methods are some of GET"),
        (lambda app: app.get("/", status=99)(handler), "status is 200 to 599"),
        (lambda app: app.get("/", status=600)(handler), "status is 200 to 599"),
        (lambda app: app.get("/", status="200")(handler), "status is 200 to 599"),
        (lambda app: app.get("/", auth="none")(handler), "auth is 'public' or 'cloud'"),
        (lambda app: app.get("/", auth=None)(handler), "auth is 'public' or 'cloud'"),
        (lambda app: app.get("/", max_body=0)(handler), "max_body is a whole number of bytes"),
        (lambda app: app.get("/", max_body=-1)(handler), "max_body is a whole number of bytes"),
        (lambda app: app.get("/", max_body="1 MB")(handler), "max_body is a whole number of bytes"),
        (lambda app: app.get("/", memory=0)(handler), "memory is a whole number of MiB"),
        (lambda app: app.get("/", memory=-5)(handler), "memory is a whole number of MiB"),
        (lambda app: app.get("/", memory=1.5)(handler), "memory is a whole number of MiB"),
        (lambda app: app.get("/", memory=True)(handler), "memory is a whole number of MiB"),
        (lambda app: app.get("/", memory="512")(handler), "memory is a whole number of MiB"),
        (lambda app: app.get("/", timeout=10)(handler), "timeout is a timedelta"),
        (lambda app: app.get("/", timeout=timedelta(0))(handler), "timeout is a timedelta"),
        (lambda app: app.get("/", timeout=timedelta(-1))(handler), "timeout is a timedelta"),
        (lambda app: app.get("/", function=5)(handler), "function is a function's name"),
        (lambda app: app.get("/")("no callable"), "a handler is a callable"),
        (lambda app: app.on_message(handler), "on_message takes a queue"),
        (lambda app: app.on_message("q"), "on_message takes a queue"),
        (lambda app: app.on_message(BUCKET), "on_message takes a queue"),
        (lambda app: app.on_message(QUEUE, batch_size=0)(handler), "batch_size is a whole number"),
        (lambda app: app.on_message(QUEUE, batch_size=2.5)(handler), "batch_size is a whole number"),
        (lambda app: app.on_blob(handler), "on_blob takes a bucket"),
        (lambda app: app.on_blob(QUEUE), "on_blob takes a bucket"),
        (lambda app: app.on_blob(BUCKET, prefix=None)(handler), "prefix and suffix are str"),
        (lambda app: app.on_blob(BUCKET, suffix=[".png"])(handler), "prefix and suffix are str"),
        (lambda app: app.on_blob(BUCKET, kinds=[])(handler), "kinds are 'created' and 'deleted'"),
        (lambda app: app.on_blob(BUCKET, kinds=["updated"])(handler), "kinds are 'created' and 'deleted'"),
        (lambda app: app.on_blob(BUCKET, kinds="created")(handler), "kinds are 'created' and 'deleted'"),
        (lambda app: app.on_schedule()(handler), "one of them"),
        (lambda app: app.on_schedule(cron="* * * * *", every=timedelta(minutes=1))(handler), "one of them"),
        (lambda app: app.on_schedule(cron="* * * *")(handler), "cron has five fields"),
        (lambda app: app.on_schedule(cron="@daily")(handler), "cron has five fields"),
        (lambda app: app.on_schedule(cron=5)(handler), "cron has five fields"),
        (lambda app: app.on_schedule(every=60)(handler), "every is whole minutes"),
        (lambda app: app.on_schedule(every=timedelta(seconds=59))(handler), "every is whole minutes"),
        (lambda app: app.on_schedule(every=timedelta(seconds=90))(handler), "every is whole minutes"),
        (lambda app: app.on_schedule(every=timedelta(minutes=-1))(handler), "every is whole minutes"),
        (lambda app: app.function(handler), "write @app.function()"),
        (lambda app: app.function()(lambda payload: None), "has no name; give function='name'"),
        (lambda app: app.on_message(QUEUE)(lambda message: None), "has no name; give function='name'"),
        (lambda app: app.include(handler), "include takes a Router"),
        (lambda app: app.include(App("other")), "include takes a Router"),
        (lambda app: app.include("module"), "write 'module:variable'"),
        (lambda app: app.include(":router"), "write 'module:variable'"),
        (lambda app: app.include("module:"), "write 'module:variable'"),
        (lambda app: app.include("a:b:c"), "write 'module:variable'"),
        (lambda app: app.include(Router(), prefix="api"), "must start with '/'"),
        (lambda app: app.include(Router(), prefix="/api/"), "not end with one"),
        (lambda app: app.include(Router(), prefix="/"), "not end with one"),
        (lambda app: Router("api"), "must start with '/'"),
        (lambda app: Router("/api/"), "not end with one"),
        (lambda app: Router(None), "must start with '/'"),
    ],
)
def test_wrong_settings_are_refused_where_they_are_written(app: App, declare: Callable[[App], Any], says: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(says)):
        declare(app)
    assert app.collect() == []


def test_methods_in_any_case_and_one_alone(app: App) -> None:
    app.route("/a", methods=["get", "Post"])(handler)
    app.route("/b", methods="put")(handler)
    assert paths(app) == ["GET /a", "POST /a", "PUT /b"]


@pytest.mark.parametrize("name", ["", "A", "1a", "-a", "a_b", "a.b", "é", "a" * 41, "a b", None, 5])
def test_bad_names_are_refused(app: App, name: Any) -> None:
    for declare in (App, app.bucket, app.queue, Bucket, Queue):
        with pytest.raises(ConfigError, match=r"name .* is not allowed"):
            declare(name)


@pytest.mark.parametrize("name", ["a", "a-", "a1", "a--b", "a" * 40])
def test_good_names(app: App, name: str) -> None:
    assert app.bucket(name).name == app.queue(name).name == App(name).name == name


# --- functions and their grouping


def test_all_routes_are_one_function_unless_they_say_otherwise(app: App) -> None:
    app.get("/a")(handler)
    app.get("/b", function="admin")(handler)
    app.post("/b", function="admin")(handler)
    grouped = {name: len(triggers) for name, triggers in app.functions().items()}
    assert grouped == {"http": 1, "admin": 2}


def test_functions_are_named_after_their_handlers(app: App) -> None:
    def send_Mail(payload: Any) -> None: ...  # noqa: N802
    def _private_(payload: Any) -> None: ...

    app.function()(send_Mail)
    app.function()(_private_)
    assert list(app.functions()) == ["send-mail", "private"]


@pytest.mark.parametrize(
    ("declare", "says"),
    [
        (
            lambda app, one, two: (app.get("/", function="x")(one), app.on_blob(BUCKET, function="x")(two)),
            "'x' mixes http and blob triggers",
        ),
        (
            lambda app, one, two: (app.function("x")(one), app.on_schedule(cron="* * * * *", function="x")(two)),
            "'x' mixes direct and schedule triggers",
        ),
        (
            lambda app, one, two: (app.on_message(QUEUE, function="http")(one), app.get("/")(two)),
            "'http' mixes message and http triggers",
        ),
        (
            lambda app, one, two: (app.on_message(QUEUE)(one), app.on_message(Queue("r"))(two)),
            "two handlers make the function 'one'",
        ),
        (
            lambda app, one, two: (app.on_blob(BUCKET)(one), app.on_blob(BUCKET, function="one")(two)),
            "two handlers make the function 'one'",
        ),
    ],
)
def test_groups_that_cannot_be_are_refused_naming_both_places(app: App, declare: Any, says: str) -> None:
    def one(event: Any) -> None: ...
    def two(event: Any) -> None: ...

    two.__name__ = "one"
    declare(app, one, two)
    with pytest.raises(ConfigError, match=re.escape(says)) as caught:
        app.functions()
    for found in (one, two):
        assert f"{__file__}:{found.__code__.co_firstlineno}" in str(caught.value)


@pytest.mark.parametrize("name", ["", "Admin", "a_b", "é"])
def test_functions_with_bad_names_are_refused(app: App, name: str) -> None:
    app.get("/", function=name)(handler)
    with pytest.raises(ConfigError, match="function name"):
        app.functions()


def test_handlers_of_one_kind_may_share_a_function(app: App) -> None:
    app.on_blob(BUCKET, function="blobs", prefix="a/")(handler)
    app.on_blob(BUCKET, function="blobs", prefix="b/")(handler)
    assert {name: len(found) for name, found in app.functions().items()} == {"blobs": 2}


# --- resources


def test_the_same_declaration_twice_is_one_resource(app: App) -> None:
    first = app.queue("emails", dict, max_attempts=3)
    line = sys._getframe().f_lineno - 1
    assert app.queue("emails", dict, max_attempts=3) is first
    assert app.bucket("emails") is app.bucket("emails")
    assert first.where == (__file__, line)
    assert list(app.resources) == [("queue", "emails"), ("bucket", "emails")]


@pytest.mark.parametrize("options", [{"max_attempts": 4}, {"type": int}, {"type": dict[str, int]}])
def test_another_declaration_of_the_same_name_is_refused_naming_both_places(app: App, options: dict[str, Any]) -> None:
    app.queue("emails", dict)
    first = sys._getframe().f_lineno - 1
    with pytest.raises(ConfigError, match="one resource has one set of options") as caught:
        app.queue("emails", **{"type": dict, **options})
    second = sys._getframe().f_lineno - 1
    assert f"{__file__}:{first}" in str(caught.value)
    assert f"{__file__}:{second}" in str(caught.value)


@pytest.mark.parametrize("attempts", [0, 1001, -1, 1.5, "5", None, True])
def test_attempts(app: App, attempts: Any) -> None:
    with pytest.raises(ConfigError, match="max_attempts is 1 to 1000"):
        app.queue("q", max_attempts=attempts)


# --- routers


def test_prefixes_add_up() -> None:
    inner = Router("/inner")
    inner.get("")(handler)
    inner.get("/{n}")(handler)
    middle = Router("/middle")
    middle.get("/x")(handler)
    middle.include(inner, prefix="/under")
    app = App("prefixes")
    app.include(middle, prefix="/v1")
    app.include(middle, prefix="/v2")
    app.get("/")(handler)
    assert paths(app) == [
        "GET /",
        "GET /v1/middle/x",
        "GET /v1/middle/under/inner",
        "GET /v1/middle/under/inner/{n}",
        "GET /v2/middle/x",
        "GET /v2/middle/under/inner",
        "GET /v2/middle/under/inner/{n}",
    ]
    # Collecting moves copies, never the router's own routes.
    assert paths(app) == paths(app)
    assert paths(inner) == ["GET /inner", "GET /inner/{n}"]


def test_a_prefix_may_hold_parameters() -> None:
    router = Router("/users/{user}")

    @router.get("/items/{item}")
    def get(user: int, item: str) -> Any:
        return [user, item]

    app = App("tenants")
    app.include(router, prefix="/{tenant}")
    function = HTTPFunction(app.collect())  # type: ignore[arg-type]
    assert function(Request("GET", "/t/users/7/items/x")).body == '[7,"x"]'  # type: ignore[union-attr]


def test_a_router_under_two_prefixes_serves_both_with_plans_of_their_own() -> None:
    router = Router()

    @router.get("/{n}")
    def get(n: int, request: Request) -> Any:
        return [n, request.params]

    app = App("twice")
    app.include(router, prefix="/a/{x}")
    app.include(router, prefix="/b")
    app.include(router)
    function = HTTPFunction(app.collect())  # type: ignore[arg-type]
    for _ in range(2):
        assert function(Request("GET", "/a/1/7")).body == '[7,{"x":"1","n":"7"}]'  # type: ignore[union-attr]
        assert function(Request("GET", "/b/7")).body == '[7,{"n":"7"}]'  # type: ignore[union-attr]
        assert function(Request("GET", "/7")).body == '[7,{"n":"7"}]'  # type: ignore[union-attr]


def test_a_router_included_twice_takes_its_events_once() -> None:
    router, seen = Router(), []

    @router.on_message(QUEUE)
    def work(message: Message[Any]) -> None:
        seen.append(message.body)

    router.on_blob(BUCKET, function="blobs")(handler)
    app = App("twice")
    app.include(router, prefix="/a")
    app.include(router, prefix="/b")
    functions = app.functions()
    assert {name: len(triggers) for name, triggers in functions.items()} == {"work": 1, "blobs": 1}
    assert make_function(functions["work"])([Message("1", "5")]) == [None]
    assert seen == [5]


def test_a_router_that_includes_itself_is_refused(project: Any) -> None:
    router = Router("/a")
    router.include(router)
    app = App("loop")
    app.include(router)
    with pytest.raises(ConfigError, match="includes itself"):
        app.collect()
    project(
        loop_one="router = Router()\nrouter.include('loop_two:router')\n",
        loop_two="router = Router()\nrouter.include('loop_one:router')\n",
    )
    app = App("loop")
    app.include("loop_one:router")
    with pytest.raises(ConfigError, match=r"includes itself.*loop_one:router, loop_two:router"):
        app.collect()


def test_tags_are_those_of_the_router() -> None:
    router = Router("/a", tags=["users"])
    router.get("/b")(handler)
    app = App("tags")
    app.include(router, prefix="/v1")
    (route,) = app.collect()
    assert isinstance(route, HTTPRoute)
    assert route.tags == ("users",)


# --- routers by name


MODULES = {
    "named_app": """
        app = App("named")
        app.include("named_one:router", prefix="/one")
        app.include("named__pkg.two:router")
        @app.get("/")
        def home() -> str: return "home"
    """.replace("named__pkg.two", "named_pkg.two"),
    "named_one": """
        router = Router("/r")
        @router.get("/a")
        def a() -> str: return "a"
        queue = Queue("q")
        @router.on_message(queue)
        def work(message: Message[object]) -> None: ...
    """,
    "named_pkg__two": """
        router = Router()
        router.include("named_deep:router", prefix="/deep")
    """,
    "named_deep": """
        router = Router()
        @router.get("/b")
        def b() -> str: return "b"
        @router.function()
        def deep(payload: object) -> object: return payload
    """,
}
NAMED = ["named_one", "named_pkg.two", "named_deep"]


def modules_of(triggers: list[Trigger]) -> set[str]:
    return {module for trigger in triggers for module in trigger.modules}


def test_every_module_is_imported_when_nobody_says_which(project: Any) -> None:
    project(**MODULES)
    app = load_app("named_app:app")
    assert imported(*NAMED) == []
    functions = app.functions()
    assert imported(*NAMED) == NAMED
    assert paths(app) == ["GET /", "GET /one/r/a", "GET /deep/b"]
    assert modules_of(functions["work"]) == {"named_one:router"}
    # One within another: both are needed to come to it.
    assert modules_of(functions["deep"]) == {"named_pkg.two:router", "named_deep:router"}
    assert modules_of(functions["http"]) == {"named_one:router", "named_pkg.two:router", "named_deep:router"}


@pytest.mark.parametrize(
    ("function", "modules", "names"),
    [
        ("work", ["named_one:router"], ["named_one"]),
        ("deep", ["named_pkg.two:router", "named_deep:router"], ["named_pkg.two", "named_deep"]),
        ("http", [], []),
    ],
)
def test_a_function_imports_only_the_modules_of_its_handlers(
    project: Any, function: str, modules: list[str], names: list[str]
) -> None:
    project(**MODULES)
    instance = Instance("named_app:app", function, modules)
    assert imported(*NAMED) == names
    assert instance.call.kind == instance.kind == {"work": "message", "deep": "direct", "http": "http"}[function]


def test_what_a_module_lacks_or_raises_is_said(project: Any) -> None:
    project(
        broken="raise ZeroDivisionError('at import')",
        empty="",
        nearly="users = Router()\nrouter = 5",
    )

    def collect(name: str) -> None:
        app = App("a")
        app.include(name)
        app.collect()

    with pytest.raises(ZeroDivisionError, match="at import"):
        collect("broken:router")
    with pytest.raises(ModuleNotFoundError):
        collect("no_such_module:router")
    with pytest.raises(ConfigError, match="empty:router is not there; module empty holds none"):
        collect("empty:router")
    with pytest.raises(ConfigError, match="nearly:router is no Router: 5; there is nearly:users"):
        collect("nearly:router")


@pytest.mark.parametrize("spec", ["", "app", ":app", "module:", "a:b:c", "module:app.x", "module:a b"])
def test_specs_that_name_nothing(spec: str) -> None:
    with pytest.raises(ConfigError, match="write 'module:variable'"):
        load_app(spec)


def test_an_app_is_no_router_by_name_and_a_router_no_app(project: Any) -> None:
    project(both="app = App('both')\nrouter = Router()\n")
    assert load_app("both:app").name == "both"
    with pytest.raises(ConfigError, match="both:router is no App"):
        load_app("both:router")
    app = App("outer")
    app.include("both:app")
    with pytest.raises(ConfigError, match="an App"):
        app.collect()
    assert isinstance(import_object("both:router", Router), Router)


# --- life of an instance


def test_start_hooks_run_once_in_order_sync_and_async(app: App) -> None:
    seen = []

    @app.on_start
    def first() -> None:
        seen.append("first")

    @app.on_start
    async def second() -> None:
        seen.append("second")

    app.on_start(lambda: second())
    for _ in range(3):
        app.life.start(run)
    assert seen == ["first", "second", "second"]


def test_a_hook_that_fails_is_tried_again_from_the_first(app: App) -> None:
    seen: list[str] = []

    @app.on_start
    def first() -> None:
        seen.append("first")

    @app.on_start
    async def flaky() -> None:
        seen.append("flaky")
        if len(seen) < 4:
            raise ConnectionError("not yet")

    for _ in range(1):
        with pytest.raises(ConnectionError):
            app.life.start(run)
    app.life.start(run)
    app.life.start(run)
    assert seen == ["first", "flaky", "first", "flaky"]


def test_other_threads_wait_until_the_hooks_are_done(app: App) -> None:
    seen: list[Any] = []

    @app.on_start
    def slow() -> None:
        time.sleep(0.05)
        seen.append("started")

    def serve() -> None:
        app.life.start(run)
        seen.append("served")

    threads = [threading.Thread(target=serve) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert seen == ["started", *["served"] * 8]


def test_an_instance_is_cold_once(project: Any) -> None:
    project(cold="app = App('cold')\n@app.get('/')\ndef home() -> str: return 'home'\n")
    instance = Instance("cold:app", "http")
    assert [instance.take_cold_start() for _ in range(3)] == [True, False, False]
    with pytest.raises(ConfigError, match="no function 'other'; it has http"):
        Instance("cold:app", "other")
