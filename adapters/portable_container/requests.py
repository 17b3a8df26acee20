"""A request as this server read it."""

from __future__ import annotations

from urllib.parse import parse_qsl

from portable.events import Headers, Query, Request

__all__ = ["ContainerRequest", "Raw"]


class Raw:
    """What came over the wire: ``request.native``.

    Attributes:
        target: of the request line. headers: names in lower case. peer: address of whoever connected.
        proxies: how many of those in front may be believed. keeps: whether the connection goes on after the answer.
        modern: whether the client speaks HTTP/1.1.
    """

    __slots__ = ("headers", "keeps", "modern", "peer", "proxies", "target")

    def __init__(
        self,
        target: bytes,
        headers: list[tuple[bytes, bytes]],
        peer: str | None,
        proxies: int,
        *,
        keeps: bool,
        modern: bool,
    ) -> None:
        self.target = target
        self.headers = headers
        self.peer = peer
        self.proxies = proxies
        self.keeps = keeps
        self.modern = modern

    def client(self) -> str | None:
        """The caller's address: what the outermost of the trusted proxies wrote, else who connected."""
        if not self.proxies:
            return self.peer
        listed = [
            one.strip() for name, value in self.headers if name == b"x-forwarded-for" for one in value.split(b",")
        ]
        # Each proxy appends who called it; what stands before those that are ours, anybody may have written.
        found = listed[-self.proxies] if len(listed) >= self.proxies else b""
        return found.decode("latin-1") or self.peer

    def scheme(self) -> str:
        """``http``, unless a trusted proxy says ``https``."""
        if self.proxies:
            said = [value for name, value in self.headers if name == b"x-forwarded-proto"]
            if said and said[-1].rpartition(b",")[2].strip().lower() == b"https":
                return "https"
        return "http"


def _headers(request: Request) -> Headers:
    return Headers((name.decode("latin-1"), value.decode("latin-1")) for name, value in request.native.headers)


class ContainerRequest(Request):
    """A request read from a connection."""

    __slots__ = ()
    _lazy = {
        **Request._lazy,
        "headers": _headers,
        "query": lambda request: Query(parse_qsl(request.raw_query, keep_blank_values=True)),
        "client": lambda request: request.native.client(),
        "scheme": lambda request: request.native.scheme(),
    }

    def __init__(self, raw: Raw, method: str, body: bytes) -> None:
        self.native = raw
        self.method = method
        self.root_path = ""
        self.body = body
        target = raw.target
        if not target.startswith(b"/"):
            target = _origin_form(target)
        path, _, query = target.partition(b"?")
        self.raw_path = path.decode("latin-1")
        self.raw_query = query.decode("latin-1")


def _origin_form(target: bytes) -> bytes:
    """The path of a target that names its host too, as a proxy is asked; ``*`` stays."""
    _, found, rest = target.partition(b"://")
    if not found:
        return target
    slash = rest.find(b"/")
    return rest[slash:] if slash >= 0 else b"/" + rest[len(rest.partition(b"?")[0]) :]
