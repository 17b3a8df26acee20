import contextlib
from collections.abc import AsyncIterator
from typing import Any

from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

starts: list[str] = []
done: list[str] = []


@contextlib.asynccontextmanager
async def lifespan(application: Starlette) -> AsyncIterator[dict[str, Any]]:
    starts.append("up")
    yield {"starts": starts}


async def echo(request: Request) -> Response:
    scope = request.scope
    body = await request.body()
    return JSONResponse(
        {
            "method": request.method,
            "path": scope["path"].removeprefix(scope["root_path"]),
            "root_path": scope["root_path"][-7:],  # a REST API's stage stands before it
            "query": request.query_params.multi_items(),
            "raw_query": scope["query_string"].decode(),
            "cookies": request.cookies,
            "many": ",".join(request.headers.getlist("x-many")),
            "type": request.headers.get("content-type"),
            "length": request.headers.get("content-length"),
            "body": body.decode("latin-1"),
            "starts": request.state.starts,
        }
    )


async def cookies(request: Request) -> Response:
    response = PlainTextResponse("two cookies", headers={"x-one": "1"})
    response.set_cookie("one", "1")
    response.set_cookie("two", "2", httponly=True, secure=True)
    return response


async def streamed(request: Request) -> Response:
    async def pieces() -> AsyncIterator[str]:
        for number in range(3):
            yield f"piece {number}\n"

    return StreamingResponse(pieces(), media_type="text/plain")


async def background(request: Request) -> Response:
    return PlainTextResponse(f"{len(done)} before", background=BackgroundTask(done.append, "done"))


async def fails(request: Request) -> Response:
    raise LookupError("not in the answer")


def from_thread(request: Request) -> Response:
    return PlainTextResponse("from a thread")


application = Starlette(
    routes=[
        Route("/", echo),
        Route("/echo", echo, methods=["GET", "POST", "PUT", "PATCH", "DELETE"]),
        Route("/files/{name:path}", echo),
        Route("/cookies", cookies),
        Route("/streamed", streamed),
        Route("/background", background),
        Route("/fails", fails),
        Route("/thread", from_thread),
        Route("/empty", lambda request: Response(status_code=204)),
        Route("/bytes", lambda request: Response(bytes(range(256)), media_type="image/png")),
        Route("/moved", lambda request: RedirectResponse("echo", 303)),
    ],
    lifespan=lifespan,
)
