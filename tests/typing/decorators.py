"""Every decorator as users write it, right and wrong, for mypy and pyright under their strictest settings. Never run.

Each line marked ``# type: ignore[…]  # pyright: ignore[…]`` is a mistake both have to catch: an ignore that is not
needed is an error.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, TypedDict, assert_type

from portable import (
    App,
    BlobEvent,
    BlobInfo,
    Body,
    Bucket,
    Change,
    Context,
    Cookie,
    Entry,
    Header,
    HTTPError,
    Message,
    Page,
    Path,
    Query,
    Queue,
    Reject,
    Request,
    Response,
    Retry,
    Router,
    SocketEvent,
    Sort,
    Stream,
    StreamRecord,
    Table,
    Tick,
    Topic,
    granted,
)


class Order(TypedDict):
    """A message."""

    id: int


app = App("typed")
router = Router("/v1", tags=("a", "b"))
photos = Bucket("photos")
orders = Queue("orders", Order)
anything = app.queue("anything")
sales = app.topic("sales", Order, ordered=True)
clicks = app.stream("clicks", Order, partitions=2)

assert_type(app.queue("orders", Order), Queue[Order])
assert_type(anything, Queue[Any])
assert_type(sales, Topic[Order])
assert_type(Topic("sales"), Topic[Any])
assert_type(app.topic("sales", list[Order]), Topic[list[Order]])
assert_type(clicks, Stream[Order])
assert_type(app.stream("anything"), Stream[Any])
assert_type(app.bucket("photos"), Bucket)


# --- HTTP


@router.get("/items/{item}", memory=512, timeout=timedelta(seconds=3), auth="cloud", max_body=10, function="items")
def get_item(
    item: Annotated[int, Path()],
    q: Annotated[list[str], Query(alias="query")],
    agent: Annotated[str | None, Header(alias="user-agent")] = None,
    session: Annotated[str, Cookie()] = "",
    *,
    context: Context,
) -> dict[str, Any]:
    """Markers, and a parameter that is given."""
    return {"item": item, "q": q, "agent": agent, "session": session, "left": context.remaining()}


@app.route("/a", methods=["GET", "POST"], status=202)
@app.put("/a")
@app.patch("/a")
@app.delete("/a")
async def several(body: Annotated[bytes, Body()]) -> bytes:
    """One handler, several routes."""
    return body


class Shop:
    """Handlers that are methods."""

    def home(self, request: Request) -> Response:
        """What a request says, and what an answer takes."""
        assert_type(request.query.get("a"), str | None)
        assert_type(request.headers.get("a", "b"), str)
        assert_type(request.headers["a"], str)
        assert_type(request.query.get_all("a"), list[str])
        assert_type(request.cookies, dict[str, str])
        assert_type(request.body, bytes)
        assert_type(request.client, str | None)
        response = Response({"a": 1}, 201, [("x-a", "1"), ("x-a", "2")], "application/json")
        response.set_cookie("a", "b", max_age=5, expires=datetime.now(UTC), samesite="none")
        response.headers.add("x-b", "c")
        assert_type(response.header_pairs(), list[tuple[str, str]])
        return response

    async def on_order(self, message: Message[Order]) -> None:
        """A message."""
        assert_type(message.body, Order)
        assert_type(message.attributes, dict[str, str])
        assert_type(message.sent_at, datetime | None)


shop = Shop()
app.get("/")(shop.home)
app.on_message(orders, function="shop")(shop.on_order)

assert_type(get_item(1, ["a"], context=Context("f", "1")), dict[str, Any])


def fail(name: str) -> None:
    """Errors take what they say."""
    raise HTTPError(404, "no", headers={"a": "b"}, errors=[{"in": "path", "name": name, "detail": "no"}])


# --- messages


@app.on_message(orders)
def one(message: Message[Order]) -> None:
    """One message."""
    if message.attempt > 3:
        raise Reject("enough")
    raise Retry("later", after=timedelta(seconds=5))


@app.on_message(orders, batch_size=5, memory=512)
async def batch(messages: list[Message[Order]], *, context: Context) -> None:
    """A batch."""
    for message in messages:
        message.fail(Retry(after=context.remaining()))


@app.on_message(orders)
def sequence(messages: Sequence[Message[Order]]) -> None:
    """A batch by the name of what it is used as."""


@app.on_message(anything)
def untyped(message: Message[Any]) -> None:
    """A queue of anything."""


@app.on_message(anything)
def narrowed(message: Message[int]) -> None:
    """A queue of anything is one of numbers to whoever says so."""


one(Message("1", {"id": 1}))


@app.on_message(orders)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType, reportCallIssue, reportUntypedFunctionDecorator]
def wrong_body(message: Message[str]) -> None:
    """The queue holds orders."""


@app.on_message(orders)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType, reportCallIssue, reportUntypedFunctionDecorator]
def bare_body(order: Order) -> None:
    """A handler takes messages, not bodies."""


@app.on_message(orders)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType, reportCallIssue, reportUntypedFunctionDecorator]
def bare_bodies(batch: list[Order]) -> None:
    """A handler takes messages, not bodies."""


@app.on_message(orders)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType, reportCallIssue, reportUntypedFunctionDecorator]
def no_message() -> None:
    """A message is handed over."""


app.on_message(photos)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
app.on_message("orders")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


# --- streams


@app.on_stream(clicks, batch_size=50, start="trim", max_attempts=3, dead_letters=orders, window=timedelta(seconds=1))
def one_record(record: StreamRecord[Order]) -> None:
    """One record."""
    assert_type(record.body, Order)
    assert_type(record.time, datetime | None)
    record.fail(Reject("enough"))


@app.on_stream(clicks, parallel=2, bisect=True)
async def records(batch: list[StreamRecord[Order]], *, context: Context) -> None:
    """A batch."""


@app.on_stream(clicks)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType, reportCallIssue, reportUntypedFunctionDecorator]
def wrong_record(record: StreamRecord[str]) -> None:
    """The stream holds orders."""


@app.on_stream(clicks)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType, reportCallIssue, reportUntypedFunctionDecorator]
def a_message(message: Message[Order]) -> None:
    """A stream has records."""


app.on_stream(sales)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
app.on_stream(clicks, start="first")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
clicks.send({"id": 1}, key="a")
clicks.send("text", key="a")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
clicks.send({"id": 1})  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
clicks.send_many([("a", {"id": 1})])


# --- blobs


@router.on_blob(photos, prefix="in/", suffix=".png", kinds=["created", "deleted"], timeout=timedelta(minutes=5))
async def on_photo(event: BlobEvent, context: Context) -> None:
    """A blob."""
    assert_type(event.size, int | None)
    assert_type(event.time, datetime)
    assert_type(await photos.aread(event.key), bytes)


@app.on_blob(photos)  # type: ignore[type-var]  # pyright: ignore[reportArgumentType, reportUntypedFunctionDecorator]
def no_event() -> None:
    """An event is handed over."""


@app.on_blob(photos)  # type: ignore[type-var]  # pyright: ignore[reportArgumentType, reportUntypedFunctionDecorator]
def just_the_key(key: str) -> None:
    """An event is no key."""


app.on_blob(orders)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
app.on_blob(photos, kinds=["updated"])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]


# --- tables and their changes

stock = app.table("stock", Order, key="id", indexes={"by-id": ("id", "id")})
loose = app.table("loose", key="id", sort="at", ttl="ends")

assert_type(stock, Table[Order])
assert_type(loose, Table[dict[str, Any]])
assert_type(Table("stock", Order, key="id"), Table[Order])
app.table("stock", Order)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]


async def use_tables() -> None:
    """What a table gives."""
    assert_type(stock.get(1), Order | None)
    assert_type(await stock.aget(1), Order | None)
    assert_type(stock.entry(1), Entry[Order] | None)
    assert_type(stock.get_many([1, 2]), list[Order | None])
    assert_type(stock.put({"id": 1}, if_absent=True), str)
    assert_type(stock.update(1, add={"id": 1}), Order)
    assert_type(stock.query(1, index="by-id", sort=Sort.between(1, 2)), Page[Order])
    assert_type(loose.scan().items, list[dict[str, Any]])
    for item in loose.query("a", sort=Sort.prefix("b"), reverse=True):
        assert_type(item, dict[str, Any])
    async for order in await stock.aquery(1):
        assert_type(order, Order)
    with stock.transaction() as change:
        change.put({"id": 2})
        change.put(7)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    stock.put("1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    stock.get(1.5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    stock.query(1, sort=("between", 1, 2))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


@app.on_change(stock, old=True)
async def on_stock(change: Change[Order], context: Context) -> None:
    """A change."""
    assert_type(change.new, Order | None)
    assert_type(change.time, datetime)


@router.on_change(loose)
def on_loose(change: Change[dict[str, Any]]) -> None:
    """A change of an untyped table."""


@app.on_change(stock)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
def bare_item(item: Order) -> None:
    """A handler takes changes, not items."""


@app.on_change(stock)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
def other_items(change: Change[str]) -> None:
    """A change of another type."""


app.on_change(orders)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


# --- schedules


@app.on_schedule(cron="0 8 * * *", timezone="Europe/Paris")
def with_tick(tick: Tick) -> None:
    """A tick."""


@app.on_schedule(every=timedelta(minutes=5))
async def without_tick() -> None:
    """Nothing."""


@app.on_schedule(every=timedelta(minutes=5))  # type: ignore[type-var]  # pyright: ignore[reportArgumentType, reportUntypedFunctionDecorator]
def wrong_event(event: BlobEvent) -> None:
    """A tick is no blob event."""


app.on_schedule(every=300)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


# --- functions called by name, and hooks


@app.function("count-again", memory=512)
async def count(payload: Order) -> list[int]:
    """A payload."""
    return [payload["id"]]


@app.function()
def nothing() -> None:
    """No payload."""


@app.on_start
async def warm() -> int:
    """A hook stays what it is."""
    return 5


async def starts() -> None:
    """What the hooks give is known."""
    assert_type(await warm(), int)
    assert_type(await count({"id": 1}), list[int])


@app.on_start  # type: ignore[type-var]  # pyright: ignore[reportArgumentType, reportUntypedFunctionDecorator]
def wants_something(name: str) -> None:
    """Nobody would give it."""


# --- settings


app.get("/", memroy=512)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
app.get("/", memory="512")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
app.post("/", timeout=10)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
app.put("/", auth="none")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
app.route("/a")(get_item)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
app.get(get_item)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
app.function(count)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
app.include(get_item)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
App()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


# --- resources


def use() -> Iterator[BlobInfo]:
    """What resources take and give."""
    info = photos.write("a", b"data", content_type="text/plain", metadata={"a": "b"}, if_absent=True)
    assert_type(info, BlobInfo)
    assert_type(photos.read("a", start=1), bytes)
    assert_type(photos.exists("a"), bool)
    assert_type(orders.send({"id": 1}, delay=timedelta(seconds=1)), str)
    for failure in orders.send_many([{"id": 1}]):
        assert_type(failure.index, int)
    anything.send(object())
    yield from photos.list("in/", delimiter="/")


async def ause() -> None:
    """And their async twins."""
    assert_type(await orders.asend({"id": 1}), str)
    assert_type(await photos.astat("a"), BlobInfo)
    async for row in photos.alist():
        assert_type(row.key, str)


orders.send({"id": "1"})  # type: ignore[typeddict-item]  # pyright: ignore[reportArgumentType]
orders.send("1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
orders.send({"id": 1}, delay=5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
photos.write("a", 5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
photos.write("a", b"", if_absent="yes")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


# --- topics


@app.on_message(sales)
def on_sale(message: Message[Order]) -> None:
    """A topic's message is typed as a queue's."""
    assert_type(message.body, Order)


@app.on_message(sales, filter={"plan": ["pro", "team"], "region": {"prefix": "eu-"}}, batch_size=5)
async def on_sales(messages: list[Message[Order]], context: Context) -> None:
    """A batch, with a filter."""


@app.on_message(sales)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType, reportCallIssue, reportUntypedFunctionDecorator]
def on_wrong_sale(message: Message[str]) -> None:
    """The topic holds orders."""


sales.publish({"id": 1}, attributes={"plan": "pro"}, group="a")
sales.publish("no order")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
app.on_message(sales, filter={"plan": 7})  # type: ignore[dict-item]  # pyright: ignore[reportArgumentType]


# --- what documents a route


@app.get(
    "/documented/{number}",
    summary="One",
    tags=["orders"],
    deprecated=True,
    operation_id="oneOrder",
    responses={404: Order, 409: "Taken", "5XX": {"description": "Later"}},
    response_model=list[Order],
    openapi={"x-internal": True},
)
def documented(
    number: Annotated[int, Path(gt=0, description="Its number")],
    page: Annotated[int, Query(ge=1, le=100, examples=[1])] = 1,
    name: Annotated[str | None, Header(min_length=1, pattern="^a")] = None,
) -> list[Order]:
    """Every option, and limits."""
    return [{"id": number + page}]


assert_type(documented(1), list[Order])

app.get("/", sumary="x")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
app.get("/", deprecated="yes")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
Query(ge="1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
App("described", openapi={"info": {"title": "Described"}})


rooms = app.sockets("rooms")
presence = app.table("presence", key="owner", sort="member", ttl="expires")
games = app.sockets("games", presence, binary=True, ttl=timedelta(hours=3))


@app.websocket("/chat", sockets=rooms, timeout=timedelta(seconds=10))
def chat(event: SocketEvent, context: Context) -> bool | None:
    """Sync, and it may refuse."""
    if event.kind == "connect":
        return event.query.get("token") == context.stage
    rooms.broadcast("lobby", event.text(), besides=event.connection)
    return None


@router.websocket("/games", sockets=games)
async def play(event: SocketEvent) -> None:
    """Async."""
    await event.asend({"members": await games.amembers("all")})


@app.websocket("/wrong")  # type: ignore[type-var]  # pyright: ignore[reportArgumentType, reportUntypedFunctionDecorator]
def takes_no_socket_event(event: Tick) -> None:
    """A websocket's event is no tick."""


app.websocket("/wrong", sockets=orders)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
app.sockets("wrong", orders)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def wsgi_application(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    """As Flask and Django have it."""
    start_response("200 OK", [])
    return [environ["PATH_INFO"].encode()]


app.mount("/legacy", wsgi_application, kind="wsgi", memory=512, tags=["old"])
router.mount("/named", "shop.legacy:application", function="legacy", auth="cloud", max_body=10, stream=True)
app.mount("/wrong", 7)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
app.mount("/wrong", wsgi_application, kind="cgi")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


@app.on_message(orders)
@granted({orders: ["send"], "bucket:uploads": ["read", "list"]})
def says_what_it_does(message: Message[Order]) -> None:
    """Its type is its own."""


takes_an_order: Callable[[Message[Order]], None] = says_what_it_does
granted({7: ["read"]})  # type: ignore[dict-item]  # pyright: ignore[reportArgumentType]
