"""What handlers receive and answer: plain classes, cheap to make, costly fields computed on first use.

A codec subclasses an event, stores the vendor's own object in ``native`` and lists in ``_lazy`` how each other
field is read from it. A field nobody reads costs nothing. Nothing here imports more than the interpreter has loaded.
"""

from __future__ import annotations

from contextvars import ContextVar

from portable.generics import Generic, T

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from datetime import datetime, timedelta
    from typing import Any, ClassVar, Literal, overload

    from portable.errors import HTTPError
    from portable.forms import FormData, FormLimits
    from portable.resources.sockets import Sockets

__all__ = [
    "BlobEvent",
    "Change",
    "Context",
    "Headers",
    "Message",
    "Query",
    "Request",
    "Response",
    "SocketEvent",
    "Tick",
]


class Lazy:
    """An object whose unset slots are computed on first use by the functions in ``_lazy``."""

    __slots__ = ()
    _lazy: ClassVar[dict[str, Callable[[Any], Any]]] = {}

    if not TYPE_CHECKING:

        def __getattr__(self, name):  # noqa: ANN001, ANN204 - type checkers read the slots
            compute = self._lazy.get(name)
            if compute is None:
                raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
            value = compute(self)
            setattr(self, name, value)
            return value


class Query:
    """Query parameters in order, each name with one or several values. ``[]`` and ``get`` give the last value."""

    __slots__ = ("_index", "_pairs")
    _pairs: list[tuple[str, str]]
    _index: dict[str, list[str]]

    def __init__(self, pairs: Iterable[tuple[str, str]] | Mapping[str, str] = ()) -> None:
        found = pairs.items() if hasattr(pairs, "items") else pairs
        self._pairs = [(self._fold(name), value) for name, value in found]
        index: dict[str, list[str]] = {}
        for name, value in self._pairs:
            if name in index:
                index[name].append(value)
            else:
                index[name] = [value]
        self._index = index

    @staticmethod
    def _fold(name: str) -> str:
        return name

    def get_all(self, name: str) -> list[str]:
        """Every value of ``name``, in order; an empty list when there is none."""
        return list(self._index.get(self._fold(name), ()))

    def _one(self, name: str, values: list[str]) -> str:  # noqa: ARG002 - headers join by name
        return values[-1]

    def __getitem__(self, name: str) -> str:
        folded = self._fold(name)
        return self._one(folded, self._index[folded])

    if TYPE_CHECKING:

        @overload
        def get(self, name: str) -> str | None: ...
        @overload
        def get(self, name: str, default: T) -> str | T: ...

    def get(self, name: str, default: Any = None) -> Any:
        """The value of ``name``, or ``default``."""
        folded = self._fold(name)
        values = self._index.get(folded)
        return default if values is None else self._one(folded, values)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self._fold(name) in self._index

    def __iter__(self) -> Iterator[str]:
        return iter(self._index)

    def __len__(self) -> int:
        return len(self._index)

    def items(self) -> list[tuple[str, str]]:
        """Every ``(name, value)`` pair in order, repeated names repeated."""
        return list(self._pairs)

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and other._pairs == self._pairs

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._pairs!r})"


class Headers(Query):
    """Header fields: names in any case, kept in lower case; ``[]`` and ``get`` join repeated values with a comma.

    Joined as API Gateway's payload 2.0 joins them (``a,b``; cookies with ``; ``), so that a handler reads the same
    string on every cloud.
    """

    __slots__ = ()

    @staticmethod
    def _fold(name: str) -> str:
        return name.lower()

    def _one(self, name: str, values: list[str]) -> str:
        if len(values) == 1:
            return values[0]
        return ("; " if name == "cookie" else ",").join(values)

    def add(self, name: str, value: str) -> None:
        """Append a value, keeping those already there."""
        self._pairs.append((name.lower(), value))
        self._index.setdefault(name.lower(), []).append(value)

    def __setitem__(self, name: str, value: str) -> None:
        folded = name.lower()
        self._pairs = [pair for pair in self._pairs if pair[0] != folded]
        self._index.pop(folded, None)
        self.add(folded, value)

    def setdefault(self, name: str, value: str) -> None:
        """Set ``name`` unless it is there."""
        if name not in self:
            self.add(name, value)


def _decode_path(request: Request) -> str:
    if "%" not in request.raw_path:
        return request.raw_path
    from urllib.parse import unquote

    return unquote(request.raw_path)


def _read_cookies(request: Request | SocketEvent) -> dict[str, str]:
    cookies: dict[str, str] = {}
    for part in request.headers.get("cookie", "").split(";"):
        name, equals, value = part.partition("=")
        name = name.strip()
        if equals and name:
            value = value.strip()
            if len(value) > 1 and value[0] == value[-1] == '"':
                value = value[1:-1]
            cookies.setdefault(name, value)
    return cookies


def _encode_query(request: Request) -> str:
    from urllib.parse import urlencode

    return urlencode(request.query.items())


def _spent_body(request: Request) -> bytes:
    if request._form is None:
        raise AttributeError("this request was made without a body")
    raise RuntimeError("the body was read as a multipart form, of which nothing is kept; take request.body before it")


class Request(Lazy):
    """One HTTP request.

    Attributes:
        method: upper case.
        path: percent-decoded, without ``root_path``.
        raw_path: as sent where the cloud gives it, without ``root_path``; routing splits this one.
        root_path: what the cloud puts before the app's paths (an API Gateway stage).
        params: path parameters, decoded strings.
        query: see :class:`Query`. headers: see :class:`Headers`. cookies: by name.
        body: bytes, after any base64 of the cloud's. RuntimeError when a multipart form was read from it before.
        client: the caller's address as the cloud saw it, or None.
        scheme: ``https`` or ``http``. host: the ``Host`` the caller used.
        content_type: the ``content-type`` header, or None.
        sent_body: the body as the cloud gives it, str or bytes, after base64: what JSON is read from.
        state: what middleware leaves here for those behind it, by keys of their own.
        raw_query: the query as sent, where the cloud gives it, else encoded anew.
        native: the vendor's own event or request object.
    """

    __slots__ = (
        "_form",
        "body",
        "client",
        "content_type",
        "cookies",
        "headers",
        "host",
        "method",
        "native",
        "params",
        "path",
        "query",
        "raw_path",
        "raw_query",
        "root_path",
        "scheme",
        "sent_body",
        "state",
    )
    method: str
    path: str
    raw_path: str
    raw_query: str
    root_path: str
    params: dict[str, str]
    query: Query
    headers: Headers
    cookies: dict[str, str]
    body: bytes
    client: str | None
    scheme: str
    host: str
    content_type: str | None
    sent_body: str | bytes
    state: dict[Any, Any]
    native: Any
    _form: FormData | HTTPError | None
    encodes_cookies = False  # whether the cloud percent-encodes what Set-Cookie holds, so that it comes back encoded
    _lazy = {
        "_form": lambda request: None,
        "body": _spent_body,
        "path": _decode_path,
        "cookies": _read_cookies,
        "params": lambda request: {},
        "raw_query": _encode_query,
        "host": lambda request: request.headers.get("host", ""),
        "content_type": lambda request: request.headers.get("content-type"),
        "sent_body": lambda request: request.body,
        "state": lambda request: {},
    }

    def __init__(
        self,
        method: str,
        path: str,
        *,
        raw_path: str | None = None,
        root_path: str = "",
        query: Iterable[tuple[str, str]] | Mapping[str, str] = (),
        headers: Iterable[tuple[str, str]] | Mapping[str, str] = (),
        body: bytes = b"",
        client: str | None = None,
        scheme: str = "https",
        host: str | None = None,
        native: object = None,
    ) -> None:
        self.method = method.upper()
        self.path = path
        if raw_path is None:
            from urllib.parse import quote

            raw_path = quote(path, safe="/:@!$&'()*+,;=~-._")
        self.raw_path = raw_path
        self.root_path = root_path
        self.query = Query(query)
        self.headers = Headers(headers)
        self.body = body
        self.client = client
        self.scheme = scheme
        if host is not None:
            self.host = host
        self.native = native

    def json(self) -> Any:
        """The body read as JSON. Raises HTTPError 400 when it is not JSON."""
        from portable.errors import HTTPError
        from portable.jsontext import load_text

        try:
            return load_text(self.sent_body)
        except ValueError as error:
            raise HTTPError(400, f"The body is not JSON: {error}") from error

    def text(self) -> str:
        """The body as text, in the charset of its content type, UTF-8 by default. Raises HTTPError 400."""
        from portable.errors import HTTPError

        charset = "utf-8"
        for part in self.headers.get("content-type", "").split(";")[1:]:
            name, _, value = part.strip().partition("=")
            if name.lower() == "charset":
                charset = value.strip('"') or charset
        try:
            return self.body.decode(charset)
        except (LookupError, ValueError) as error:  # some codecs raise no UnicodeDecodeError, but its bases
            raise HTTPError(400, f"The body is not text in {charset}: {error}") from error

    def form(self, limits: FormLimits | None = None) -> FormData:
        """The body read as ``application/x-www-form-urlencoded`` or ``multipart/form-data``, once: then the same again.

        ``limits``: of the first call; :class:`portable.FormLimits` says the usual ones. Where the target hands the body
        over as it arrives, so it is read. Raises HTTPError 400, 413 or 415; ConfigError without the extra ``forms``.
        """
        return self._read_form(limits)

    async def aform(self, limits: FormLimits | None = None) -> FormData:
        """See :meth:`form`; on a thread, since a body that still arrives is waited for."""
        from asyncio import to_thread

        return await to_thread(self._read_form, limits)

    def _read_form(self, limits: FormLimits | None, file_bytes: Mapping[str, int] | None = None) -> FormData:
        form = self._form
        if form is None:
            from portable.errors import HTTPError
            from portable.forms import FormLimits, read_form

            try:
                form = self._form = read_form(self, limits or FormLimits(), file_bytes)
            except HTTPError as error:
                self._form = error  # what is read as it arrives is not there again
                raise
        elif isinstance(form, Exception):
            raise form
        return form

    def _pieces(self) -> Iterable[bytes]:
        """The body for a multipart form, once. A target that hands it over as it arrives gives it in pieces."""
        yield self.body

    def _size(self, most: int) -> int:
        """Bytes of the body; where it is more than ``most`` any number above that, and then it may be unread."""
        said = self.headers.get("content-length", "")
        if said.isascii() and said.isdigit() and len(said) < 19 and int(said) > most:
            return int(said)
        return len(self.body)

    def _spend_body(self) -> None:
        """A multipart form was read, and its body is held no longer: found in tests, before the target that streams."""
        if self._lazy["body"] is _spent_body:
            del self.body

    def __repr__(self) -> str:
        return f"<Request {self.method} {self.raw_path}>"


def _check_aware(name: str, instant: datetime) -> None:
    if instant.tzinfo is None:
        raise ValueError(f"{name} is an aware datetime, got one without a time zone: {instant!r}")


class Response:
    """An HTTP answer. ``body`` is bytes, str, None, or anything JSON can hold, encoded when it is sent.

    ``status`` is 200 to 599; 204, 205 and 304 are sent without a body. Headers are printable ASCII: an answer with any
    other, a line break above all, becomes a 500. They are a mapping, or pairs where a name is repeated. ``media_type``
    is the content type; left out, it follows from the body: text, bytes or JSON.
    """

    __slots__ = ("_headers", "body", "media_type", "status")
    streamed = False
    """Whether the body is sent while it is made: see ``StreamResponse``."""

    def __init__(
        self,
        body: Any = None,
        status: int = 200,
        headers: Mapping[str, str] | Iterable[tuple[str, str]] | None = None,
        media_type: str | None = None,
    ) -> None:
        self.body = body
        self.status = status
        self._headers = None if headers is None else Headers(headers)
        self.media_type = media_type

    @property
    def headers(self) -> Headers:
        """The header fields, to be read and changed; ``content-type`` comes from ``media_type`` unless it is here."""
        if self._headers is None:
            self._headers = Headers()
        return self._headers

    def header_pairs(self) -> list[tuple[str, str]]:
        """Every header as sent: names in lower case, ``content-type`` first when there is one."""
        pairs = [] if self._headers is None else self._headers.items()
        if self.media_type is not None and (self._headers is None or "content-type" not in self._headers):
            pairs.insert(0, ("content-type", self.media_type))
        return pairs

    def set_cookie(
        self,
        name: str,
        value: str = "",
        *,
        max_age: int | timedelta | None = None,
        expires: datetime | None = None,
        path: str | None = "/",
        domain: str | None = None,
        secure: bool = True,
        httponly: bool = True,
        samesite: Literal["lax", "strict", "none"] | None = "lax",
        partitioned: bool = False,
    ) -> None:
        """Add a ``Set-Cookie`` header (RFC 6265). ``max_age`` is seconds or a timedelta; ``expires`` an aware datetime.

        ``partitioned``: a cookie of its own for each site that embeds this one. Raises ValueError when the name, value,
        path or domain holds a character a cookie cannot (a value is not quoted: encode what is more than plain text),
        and for what browsers drop without a word: ``samesite="none"``, ``partitioned`` and the names ``__Secure-…`` and
        ``__Host-…`` without ``secure``.
        """
        from portable.cookies import write_cookie

        self.headers.add(
            "set-cookie",
            write_cookie(
                name,
                value,
                max_age=max_age,
                expires=expires,
                path=path,
                domain=domain,
                secure=secure,
                httponly=httponly,
                samesite=samesite,
                partitioned=partitioned,
            ),
        )

    def delete_cookie(
        self,
        name: str,
        *,
        path: str | None = "/",
        domain: str | None = None,
        secure: bool = True,
        httponly: bool = True,
        samesite: Literal["lax", "strict", "none"] | None = "lax",
        partitioned: bool = False,
    ) -> None:
        """Have the browser forget a cookie that was set with this path and domain (and ``partitioned``)."""
        from datetime import UTC, datetime

        self.set_cookie(
            name,
            max_age=0,
            expires=datetime(1970, 1, 1, tzinfo=UTC),
            path=path,
            domain=domain,
            secure=secure,
            httponly=httponly,
            samesite=samesite,
            partitioned=partitioned,
        )

    def __repr__(self) -> str:
        return f"<Response {self.status}>"


class Message(Lazy, Generic[T]):
    """One message of a queue or topic.

    Attributes:
        id: the cloud's id of the message. body: decoded to the queue's type.
        attributes: strings by name. attempt: 1 on the first delivery, where the cloud counts; else 1.
        sent_at: aware datetime. group: the ordering group, or None. native: the vendor's own record.
    """

    __slots__ = ("_failed", "attempt", "attributes", "body", "group", "id", "native", "sent_at")
    id: str
    body: T
    attributes: dict[str, str]
    attempt: int
    sent_at: datetime | None
    group: str | None
    native: Any
    _failed: BaseException | bool
    _lazy = {"_failed": lambda message: False}

    def __init__(
        self,
        id: str,
        body: T,
        attributes: dict[str, str] | None = None,
        attempt: int = 1,
        sent_at: datetime | None = None,
        group: str | None = None,
        native: object = None,
    ) -> None:
        self.id = id
        self.body = body
        self.attributes = {} if attributes is None else attributes
        self.attempt = attempt
        if sent_at is not None:
            _check_aware("sent_at", sent_at)
        self.sent_at = sent_at
        self.group = group
        self.native = native

    def fail(self, error: BaseException | None = None) -> None:
        """Mark this message of a batch for another attempt; the rest of the batch is done.

        ``error`` may be a :class:`~portable.Retry` or :class:`~portable.Reject` to say more.
        """
        self._failed = error if error is not None else True

    @property
    def failed(self) -> BaseException | bool:
        """What :meth:`fail` was given, True without an error, False when it was not called."""
        return self._failed

    def __repr__(self) -> str:
        return f"<Message {self.id}>"


class BlobEvent(Lazy):
    """A blob was created (or overwritten) or deleted.

    Attributes:
        kind: ``"created"`` or ``"deleted"``. bucket: the name declared in the app. key: decoded.
        size: bytes, or None where the cloud does not say (deletions). version: the cloud's version or ETag, or None.
        time: aware datetime. native: the vendor's own event.
    """

    __slots__ = ("bucket", "key", "kind", "native", "size", "time", "version")
    kind: Literal["created", "deleted"]
    bucket: str
    key: str
    size: int | None
    version: str | None
    time: datetime
    native: Any

    def __init__(
        self,
        kind: Literal["created", "deleted"],
        bucket: str,
        key: str,
        size: int | None = None,
        version: str | None = None,
        time: datetime | None = None,
        native: object = None,
    ) -> None:
        self.kind = kind
        self.bucket = bucket
        self.key = key
        self.size = size
        self.version = version
        if time is None:
            from datetime import UTC, datetime

            time = datetime.now(UTC)
        _check_aware("time", time)
        self.time = time
        self.native = native

    def __repr__(self) -> str:
        return f"<BlobEvent {self.kind} {self.bucket} {self.key!r}>"


class Tick(Lazy):
    """A schedule is due. ``scheduled_at`` is the aware datetime it was due at, where the cloud says; else now."""

    __slots__ = ("native", "scheduled_at")
    scheduled_at: datetime
    native: Any

    def __init__(self, scheduled_at: datetime, native: object = None) -> None:
        _check_aware("scheduled_at", scheduled_at)
        self.scheduled_at = scheduled_at
        self.native = native

    def __repr__(self) -> str:
        return f"<Tick {self.scheduled_at.isoformat()}>"


class Change(Lazy, Generic[T]):
    """An item of a table was inserted, updated or deleted.

    Attributes:
        kind: ``"insert"``, ``"update"`` or ``"delete"``; deletions come only to a handler that asked for ``old=True``.
        table: the name declared in the app. key: the item's key as ``get_many`` takes it: a value, or a pair where the
            table has a sort key. new: the item, None after a deletion. old: the item before, None after an insertion
            and for a handler that did not ask. time: aware datetime. native: the vendor's own record.
    """

    __slots__ = ("key", "kind", "native", "new", "old", "table", "time")
    kind: Literal["insert", "update", "delete"]
    table: str
    key: Any
    old: T | None
    new: T | None
    time: datetime
    native: Any

    def __init__(
        self,
        kind: Literal["insert", "update", "delete"],
        table: str,
        key: Any,
        old: T | None = None,
        new: T | None = None,
        time: datetime | None = None,
        native: object = None,
    ) -> None:
        self.kind = kind
        self.table = table
        self.key = key
        self.old = old
        self.new = new
        if time is None:
            from datetime import UTC, datetime

            time = datetime.now(UTC)
        _check_aware("time", time)
        self.time = time
        self.native = native

    def __repr__(self) -> str:
        return f"<Change {self.kind} {self.table} {self.key!r}>"


def _read_subprotocols(event: SocketEvent) -> list[str]:
    offered = event.headers.get("sec-websocket-protocol", "")
    return [name.strip() for name in offered.split(",") if name.strip()]


def _known_at_connect(name: str) -> Callable[[Any], Any]:
    def refuse(event: SocketEvent) -> Any:
        from portable.errors import ConfigError

        raise ConfigError(
            f"event.{name} of a {event.kind} event: it is known when a client connects, and no cloud says it again; "
            "keep what later events need in a table, under event.connection"
        )

    return refuse


class SocketEvent(Lazy):
    """A client connected to a websocket, sent a message, or is gone.

    ``connect`` comes before the connection is there: the handler refuses it with an HTTPError or ``return False``, and
    nothing can be sent to it yet. ``disconnect`` comes at most once, and not at all where a cloud loses it.

    Attributes:
        kind: ``"connect"``, ``"message"`` or ``"disconnect"``. connection: its id, for as long as it is there.
        body: of a message, str; bytes where the sockets were declared with ``binary=True`` and the client sent bytes.
        path: the declared path. sockets: the :class:`~portable.Sockets` this connection belongs to.
        query, headers, cookies, client: of the request that connects, on a connect event alone.
        subprotocols: what the client offers on connect. subprotocol: set it to one of these to choose it.
        code: of a disconnect, the close code (RFC 6455), None where the cloud does not say. reason: a str, maybe "".
        native: the vendor's own event.
    """

    __slots__ = (
        "body",
        "client",
        "code",
        "connection",
        "cookies",
        "headers",
        "kind",
        "native",
        "path",
        "query",
        "reason",
        "sockets",
        "subprotocol",
        "subprotocols",
    )
    kind: Literal["connect", "message", "disconnect"]
    connection: str
    body: bytes | str
    path: str
    query: Query
    headers: Headers
    cookies: dict[str, str]
    client: str | None
    subprotocols: list[str]
    subprotocol: str | None
    code: int | None
    reason: str
    sockets: Sockets
    native: Any
    _lazy = {
        "body": lambda event: "",
        "code": lambda event: None,
        "native": lambda event: None,
        "reason": lambda event: "",
        "subprotocol": lambda event: None,
        "subprotocols": _read_subprotocols,
        "cookies": _read_cookies,
        **{name: _known_at_connect(name) for name in ("client", "headers", "query")},
    }

    def __init__(
        self,
        kind: Literal["connect", "message", "disconnect"],
        connection: str,
        body: bytes | str = "",
        *,
        path: str = "/",
        query: Iterable[tuple[str, str]] | Mapping[str, str] = (),
        headers: Iterable[tuple[str, str]] | Mapping[str, str] = (),
        client: str | None = None,
        code: int | None = None,
        reason: str = "",
        native: object = None,
    ) -> None:
        self.kind = kind
        self.connection = connection
        self.body = body
        self.path = path
        if kind == "connect":
            self.query = Query(query)
            self.headers = Headers(headers)
            self.client = client
        self.code = code
        self.reason = reason
        self.native = native

    def text(self) -> str:
        """The body as text, bytes as UTF-8. Raises ValueError."""
        body = self.body
        return body if isinstance(body, str) else body.decode()

    def json(self) -> Any:
        """The body read as JSON. Raises ValueError when it is not JSON."""
        from portable.jsontext import load_text

        return load_text(self.body)

    def send(self, data: Any) -> None:
        """Send to this connection: see ``Sockets.send``. Raises ConfigError on connect: nobody hears it yet."""
        self._check_there()
        self.sockets.send(self.connection, data)

    async def asend(self, data: Any) -> None:
        """See :meth:`send`."""
        self._check_there()
        await self.sockets.asend(self.connection, data)

    def _check_there(self) -> None:
        if self.kind != "message":
            from portable.errors import ConfigError

            raise ConfigError(
                f"nothing can be sent to a connection on its {self.kind} event: it is there when the handler of its "
                "connect event has returned, and until it is closed"
            )

    def __repr__(self) -> str:
        return f"<SocketEvent {self.kind} {self.connection}>"


class Context(Lazy):
    """One invocation, for whoever annotates it, and for the whole call stack through :meth:`current`.

    Attributes:
        function: the function's name. request_id: the cloud's id of this invocation.
        deadline: aware datetime at which the cloud ends it, or None where it sets none.
        cold_start: True for the first invocation of an instance. target: ``aws``, ``gcp``, ``azure``, ``local``.
        stage: ``PORTABLE_STAGE``, or "". native: the vendor's own context.
        message: the Message or StreamRecord in hand, in a handler of single ones; None elsewhere.
    """

    __slots__ = (
        "_message",
        "background",
        "cold_start",
        "deadline",
        "deadline_at",
        "function",
        "native",
        "request_id",
        "stage",
        "target",
    )
    _message: Any
    background: Any  # the invocation's BackgroundTasks, where it has any
    function: str
    request_id: str
    deadline: datetime | None
    deadline_at: float | None  # seconds since the epoch: what `deadline` and `remaining` are read from
    cold_start: bool
    target: str
    stage: str
    native: Any

    def __init__(
        self,
        function: str,
        request_id: str,
        *,
        deadline_at: float | None = None,
        cold_start: bool = False,
        target: str = "local",
        stage: str = "",
        native: object = None,
    ) -> None:
        self.function = function
        self.request_id = request_id
        self.deadline_at = deadline_at
        self.cold_start = cold_start
        self.target = target
        self.stage = stage
        self.native = native

    def remaining(self) -> timedelta | None:
        """Time left before the deadline, never negative; None where there is no deadline."""
        if self.deadline_at is None:
            return None
        from datetime import timedelta
        from time import time

        return timedelta(seconds=max(0.0, self.deadline_at - time()))

    @property
    def message(self) -> Any:
        """The message or record in hand. Of several at once, the one that this task is for."""
        own = current_message.get()
        return self._message if own is None else own

    @staticmethod
    def current() -> Context:
        """The context of the invocation under way. Raises ConfigError outside one."""
        context = current_context.get()
        if context is None:
            from portable.errors import ConfigError

            raise ConfigError("Context.current() was called outside an invocation")
        return context

    def __repr__(self) -> str:
        return f"<Context {self.function} {self.request_id}>"


def _read_deadline(context: Context) -> datetime | None:
    if context.deadline_at is None:
        return None
    from datetime import UTC, datetime

    return datetime.fromtimestamp(context.deadline_at, UTC)


Context._lazy = {
    "_message": lambda context: None,
    "background": lambda context: None,
    "deadline": _read_deadline,
}

current_context: ContextVar[Context | None] = ContextVar("portable_context", default=None)
current_message: ContextVar[Any] = ContextVar("portable_message", default=None)
