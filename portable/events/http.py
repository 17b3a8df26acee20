"""Requests and answers."""

from __future__ import annotations

from portable.events.fields import Headers, Query
from portable.events.lazy import Lazy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime, timedelta
    from typing import Any, Literal, TypeVar

    from portable.errors import HTTPError
    from portable.events.sockets import SocketEvent
    from portable.forms import FormData, FormLimits

    T = TypeVar("T")

__all__ = ["Request", "Response", "read_cookies"]


def _decode_path(request: Request) -> str:
    if "%" not in request.raw_path:
        return request.raw_path
    from urllib.parse import unquote

    return unquote(request.raw_path)


def read_cookies(request: Request | SocketEvent) -> dict[str, str]:
    """The cookies of a request, by name: the first of several."""
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
        "cookies": read_cookies,
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
