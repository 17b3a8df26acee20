"""Applications as their users write them, one of each framework, and serving them through us.

Annotations are evaluated here: the frameworks read those of functions inside functions.
"""

from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import pytest

from portable import App, Request, Response
from portable.invoke import make_function, run_shared

Serve = Callable[[App], Callable[[Request], Response]]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """The function ``http`` of an app, started as an adapter starts it, and stopped at the end."""
    started = []

    def make(app: App) -> Callable[[Request], Response]:
        call = make_function(app.functions()["http"], app)
        mounts = call.routes.mounts
        if mounts is not None:
            mounts.start(run_shared)
            started.append(mounts)

        def answer(request: Request) -> Response:
            value = call(request)
            return run_shared(value) if hasattr(value, "send") else value

        return answer

    yield make
    for mounts in started:
        mounts.stop(run_shared)


def starlette_application() -> Any:
    from starlette.applications import Starlette
    from starlette.background import BackgroundTask
    from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response, StreamingResponse
    from starlette.routing import Route

    notes: list[str] = []

    async def echo(request: Any) -> Any:
        body = await request.body()
        facts = {
            "method": request.method,
            "path": request.scope["path"],
            "root_path": request.scope["root_path"],
            "query": list(request.query_params.multi_items()),
            "url": str(request.url.replace(scheme="http")),
            "cookies": dict(request.cookies),
            "repeated": request.headers.get("x-repeated"),
            "body": body.decode("latin-1"),
            "name": request.path_params.get("name"),
        }
        return JSONResponse(facts)

    async def cookies(request: Any) -> Any:
        response = PlainTextResponse("two", headers={"x-one": "1"})
        response.set_cookie("a", "1")
        response.set_cookie("b", "2", httponly=True)
        return response

    async def streamed(request: Any) -> Any:
        async def pieces() -> Any:
            for number in range(3):
                yield f"piece {number}\n"

        return StreamingResponse(pieces(), media_type="text/plain")

    async def background(request: Any) -> Any:
        return PlainTextResponse("later", background=BackgroundTask(notes.append, "done"))

    async def form(request: Any) -> Any:
        async with request.form() as sent:
            return JSONResponse({name: getattr(value, "filename", value) for name, value in sent.multi_items()})

    async def fails(request: Any) -> Any:
        raise LookupError("not in the answer")

    def sync(request: Any) -> Any:
        return PlainTextResponse("from a thread")

    application = Starlette(
        routes=[
            Route("/echo", echo, methods=["GET", "POST", "PUT", "DELETE"]),
            Route("/echo/{name}", echo),
            Route("/files/{name:path}", echo),
            Route("/cookies", cookies),
            Route("/streamed", streamed),
            Route("/background", background),
            Route("/form", form, methods=["POST"]),
            Route("/fails", fails),
            Route("/sync", sync),
            Route("/slash/", echo),
            Route("/empty", lambda request: Response(status_code=204)),
            Route("/bytes", lambda request: Response(bytes(range(256)), media_type="image/png")),
            Route("/moved", lambda request: RedirectResponse(request.url_for("renamed"))),
            Route("/new", sync, name="renamed"),
        ]
    )
    application.state.notes = notes
    return application


def fastapi_application() -> Any:
    from fastapi import Cookie, FastAPI, Form, HTTPException, Request
    from pydantic import BaseModel

    class Order(BaseModel):
        item: str
        count: int = 1

    application = FastAPI(title="Legacy")

    @application.get("/orders/{number}")
    def get_order(number: int, verbose: bool = False, session: str | None = Cookie(None)) -> dict[str, Any]:
        if number == 404:
            raise HTTPException(404, "no such order", {"x-why": "unknown"})
        return {"number": number, "verbose": verbose, "session": session}

    @application.post("/orders", status_code=201)
    async def put_order(order: Order, request: Request) -> dict[str, Any]:
        return {"order": order.model_dump(), "at": request.url_for("get_order", number=7).path}

    @application.post("/form")
    async def take_form(name: str = Form(), size: int = Form(1)) -> dict[str, Any]:
        return {"name": name, "size": size}

    return application


def litestar_application() -> Any:
    from litestar import Litestar, Request, get, post

    @get("/orders/{number:int}", sync_to_thread=False)
    def get_order(number: int, verbose: bool = False) -> dict[str, Any]:
        return {"number": number, "verbose": verbose}

    @post("/orders")
    async def put_order(data: dict[str, Any], request: Request[Any, Any, Any]) -> dict[str, Any]:
        return {"data": data, "path": request.url.path}

    return Litestar([get_order, put_order], openapi_config=None, logging_config=None)


def django_applications() -> tuple[Any, Any]:
    """ASGI and WSGI. One set of settings a process is all that Django has."""
    import django
    from django.conf import settings
    from django.core.asgi import get_asgi_application
    from django.core.wsgi import get_wsgi_application
    from django.http import HttpResponse, JsonResponse, StreamingHttpResponse
    from django.urls import clear_url_caches, path, reverse

    def echo(request: Any, name: str = "") -> Any:
        facts = {
            "method": request.method,
            "path": request.path,
            "path_info": request.path_info,
            "query": [[name, values] for name, values in request.GET.lists()],
            "post": [[name, values] for name, values in request.POST.lists()],
            "cookies": request.COOKIES,
            "body": len(request.body),
            "host": request.get_host(),
            "url": reverse("named", kwargs={"name": "x"}),
            "name": name,
        }
        response = JsonResponse(facts)
        response.set_cookie("a", "1")
        response.set_cookie("b", "2")
        return response

    async def slow(request: Any) -> Any:
        return HttpResponse("awaited", content_type="text/plain")

    def streamed(request: Any) -> Any:
        return StreamingHttpResponse(iter([b"one ", b"two"]), content_type="text/plain")

    if not settings.configured:
        settings.configure(SECRET_KEY="tests", ALLOWED_HOSTS=["*"], USE_TZ=True, LOGGING_CONFIG=None)
        django.setup()
    urls = ModuleType("mounts_urls")
    urls.urlpatterns = [  # type: ignore[attr-defined]
        path("echo", echo),
        path("echo/<name>", echo, name="named"),
        path("slow", slow),
        path("streamed", streamed),
    ]
    settings.ROOT_URLCONF = urls
    clear_url_caches()
    return get_asgi_application(), get_wsgi_application()


def flask_application() -> Any:
    import flask

    application = flask.Flask("legacy")

    @application.route("/echo", methods=["GET", "POST", "PUT", "DELETE"])
    @application.route("/echo/<name>")
    @application.route("/files/<path:name>")
    def echo(name: str = "") -> Any:
        request = flask.request
        return {
            "method": request.method,
            "path": request.path,
            "root": request.script_root,
            "query": list(request.args.items(multi=True)),
            "form": list(request.form.items(multi=True)),
            "files": {name: file.filename for name, file in request.files.items()},
            "cookies": dict(request.cookies),
            "url": request.url.replace("https:", "http:"),
            "made": flask.url_for("echo", name="x"),
            "name": name,
            "body": request.get_data().decode("latin-1"),
        }

    @application.route("/slash/")
    def slash() -> str:
        return "slash"

    @application.route("/streamed")
    def streamed() -> Any:
        return flask.Response((f"piece {number}\n" for number in range(3)), mimetype="text/plain")

    @application.route("/cookies")
    def cookies() -> Any:
        response = flask.make_response("two")
        response.set_cookie("a", "1")
        response.set_cookie("b", "2")
        return response

    @application.route("/fails")
    def fails() -> Any:
        raise LookupError("not in the answer")

    return application


MAKERS: dict[str, Callable[[], Any]] = {
    "starlette": starlette_application,
    "fastapi": fastapi_application,
    "litestar": litestar_application,
    "django-asgi": lambda: django_applications()[0],
    "django-wsgi": lambda: django_applications()[1],
    "flask": flask_application,
}


@pytest.fixture
def application() -> Callable[[str], Any]:
    """A new application by its framework's name."""
    return lambda name: MAKERS[name]()
