"""Much of what an app can be made of: a generated corpus of requests and events holds it equal on every target."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from hashlib import sha256
from typing import Annotated, Any, Literal
from urllib.parse import parse_qsl

import msgspec

from portable import (
    CORS,
    App,
    BlobEvent,
    Context,
    Cookie,
    Depends,
    ETag,
    File,
    Form,
    GZip,
    Header,
    HTTPError,
    Message,
    Query,
    Ranges,
    Reject,
    Request,
    Response,
    Retry,
    Router,
    Tick,
    Upload,
    check_conditions,
    redirect,
)

Positive = Annotated[int, msgspec.Meta(gt=0)]


class Line(msgspec.Struct):
    sku: str
    count: Positive = 1


class Order(msgspec.Struct):
    customer: str
    lines: list[Line]
    note: str | None = None
    kind: Literal["web", "shop"] = "web"


class Receipt(msgspec.Struct):
    customer: str
    total: int


class OutOfStock(Exception):
    pass


app = App("corpus", max_body=200_000)
app.middleware(CORS(["https://shop.example"], headers=["x-token"], expose=["etag"], credentials=True))
app.middleware(GZip())
app.middleware(ETag())
app.middleware(Ranges())
results = app.bucket("results")
uploads = app.bucket("uploads")
single = app.queue("single", max_attempts=5)
several = app.queue("several", max_attempts=5)


@app.middleware
def stamp(request: Request, call_next: Any) -> Response:
    response: Response = call_next(request)
    response.headers["x-path-length"] = str(len(request.path))
    return response


@app.exception_handler(OutOfStock)
def out_of_stock(request: Request, error: OutOfStock) -> Response:
    return Response({"out_of_stock": str(error), "method": request.method}, 409, [("x-reason", "stock")])


def page_of(page: Annotated[int, Query(ge=1, le=1000)] = 1, size: int = 10) -> tuple[int, int]:
    if size < 0:
        raise HTTPError(400, "a size is not negative")
    return page, size


def unit() -> Iterator[list[str]]:
    work: list[str] = ["begun"]
    yield work
    work.append("ended")


async def caller(x_token: Annotated[str, Header()] = "", session: Annotated[str, Cookie()] = "") -> str:
    if x_token == "refused":
        raise HTTPError(401, "not you", headers={"www-authenticate": "Bearer"})
    return x_token or session or "nobody"


Page = Annotated[tuple[int, int], Depends(page_of)]
Caller = Annotated[str, Depends(caller)]
area = Router(prefix="/area", dependencies=[Depends(caller)])


@app.route("/echo/{rest:path}", methods=["GET", "POST", "PUT", "PATCH", "DELETE"])
def echo(rest: str, request: Request) -> dict[str, Any]:
    return {
        "rest": rest,
        "method": request.method,
        "path": request.path,
        "query": request.query.items(),
        "many": request.headers.get("x-many"),
        "token": request.headers.get("x-token"),
        "own": {name: request.headers[name] for name in sorted(request.headers) if name.startswith("xx")},
        "content_type": request.headers.get("content-type"),
        "cookies": request.cookies,
        "body": sha256(request.body).hexdigest()[:16],
        "size": len(request.body),
    }


@app.get("/items/{number:int}")
def item(number: int, page: Page, who: Caller, tag: Annotated[list[str], Query()] = []) -> dict[str, Any]:  # noqa: B006
    return {"number": number, "page": page, "who": who, "tag": tag}


@app.get("/prices/{amount:float}")
async def price(amount: float, exact: bool = False) -> dict[str, Any]:
    return {"amount": round(amount, 2) if not exact else amount}


@app.get("/things/{thing:uuid}")
def thing(thing: str, since: datetime | None = None) -> dict[str, Any]:
    return {"thing": str(thing), "since": since}


@app.post("/orders", status=201)
def order(body: Order, work: Annotated[list[str], Depends(unit)]) -> Receipt:
    if body.customer == "nobody":
        raise OutOfStock(body.lines[0].sku if body.lines else "everything")
    return Receipt(body.customer, sum(line.count for line in body.lines) + len(work) - 1)


@app.put("/documents/{name}")
async def document(name: str, request: Request) -> Any:
    found = request.json()
    return {"name": name, "kind": type(found).__name__, "document": found}


@app.post("/raw")
def raw(body: bytes, request: Request) -> Response:
    return Response(body, media_type=request.content_type or "application/x-none")


@app.post("/login")
def login(name: Annotated[str, Form()], count: Annotated[int, Form(ge=1)] = 1) -> Response:
    answer = Response({"name": name, "count": count})
    answer.set_cookie("session", "s1", max_age=60, samesite="strict")
    answer.set_cookie("seen", str(count))
    return answer


@app.post("/upload")
def upload(photo: Annotated[Upload, File(max_bytes=100_000)], name: Annotated[str, Form()] = "none") -> dict[str, Any]:
    content = photo.read()
    return {"name": name, "filename": photo.filename, "size": photo.size, "digest": sha256(content).hexdigest()[:16]}


@app.post("/form")
def form(request: Request) -> dict[str, Any]:
    with request.form() as found:
        return {"fields": found.items(), "files": [one.filename for one in found.files.all()]}


@app.route("/note", methods=["GET", "PUT"])
def note(request: Request) -> Response | str:
    changed = datetime(2026, 3, 29, 12, tzinfo=UTC)
    if answer := check_conditions(request, etag="7", modified=changed, required=True):
        return answer
    return Response("a note", headers={"etag": '"7"', "last-modified": "Sun, 29 Mar 2026 12:00:00 GMT"})


@app.get("/page")
async def page(n: int = 3) -> str:
    return "words of a page, " * min(abs(n), 400)


@app.get("/image")
def image() -> Response:
    return Response(bytes(range(256)) * 8, media_type="image/png")


@app.get("/old/{name:path}")
def old(name: str, request: Request) -> Response:
    return redirect("/page", 307 if request.query.get("q") else 303)


@app.get("/fails/{kind}")
def fails(kind: str) -> None:
    if kind == "stock":
        raise OutOfStock(kind)
    if kind == "7":
        raise HTTPError(418, "a teapot", headers={"x-tea": "green"})
    raise RuntimeError(kind)


@area.get("/{name}")
def in_area(name: str, page: Page) -> dict[str, Any]:
    return {"name": name, "page": page}


@area.delete("/{name}", status=204)
async def left(name: str) -> None:
    """Nothing to answer."""


app.include(area)


async def mounted(scope: Any, receive: Any, send: Any) -> None:
    """An ASGI application of nobody's framework."""
    if scope["type"] != "http":
        return
    body = b""
    while (event := await receive()).get("more_body") or not body:
        body += event.get("body", b"") or b" "
        if not event.get("more_body"):
            break
    query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
    told = [scope["method"], scope["path"], query, len(body)]
    headers = [(b"content-type", b"application/json"), (b"x-one", b"1"), (b"x-one", b"2")]
    await send({"type": "http.response.start", "status": 203, "headers": headers})
    await send({"type": "http.response.body", "body": msgspec.json.encode(told)})


app.mount("/mounted", mounted)


def fate(body: Any) -> str:
    """What becomes of a message, by its body."""
    return ("done", "done", "retry", "reject", "fail", "late")[sum(msgspec.json.encode(body)) % 6]


@app.on_message(single)
async def take(message: Message[Any]) -> None:
    kind = fate(message.body)
    if kind == "retry" or (kind == "late" and message.attempt < 3):
        raise Retry("again")
    if kind == "reject":
        raise Reject("never")
    if kind == "fail":
        raise ValueError("no")
    told = {"body": message.body, "attributes": message.attributes, "attempt": message.attempt}
    await results.awrite(f"single/{message.id}", msgspec.json.encode(told))


@app.on_message(several, batch_size=10)
def take_several(messages: list[Message[Any]]) -> None:
    for message in messages:
        kind = fate(message.body)
        if kind in ("retry", "late"):
            message.fail(Retry("again"))
        elif kind == "reject":
            message.fail(Reject("never"))
        elif kind == "fail":
            message.fail()
        else:
            results.write(f"several/{message.id}", msgspec.json.encode(message.body))


@app.on_blob(uploads, prefix="in/", suffix=".txt")
def copied(event: BlobEvent) -> None:
    digest = sha256(event.key.encode()).hexdigest()[:12]
    results.write(f"blobs/{digest}", f"{event.kind} {event.bucket} {event.size}")


@app.on_schedule(cron="30 8 * * 1-5", timezone="Europe/Paris")
def daily(tick: Tick, context: Context) -> None:
    results.write(f"ticks/{tick.scheduled_at:%Y%m%d%H%M}", context.function)


@app.function()
def count(payload: dict[str, int]) -> dict[str, int]:
    return {name: value + 1 for name, value in payload.items()}


@app.function()
async def reflect(payload: Any) -> Any:
    if fate(payload) == "fail":
        raise ValueError("no")
    return [payload]
