"""What a caller can send over HTTP: bodies, forms, queries, cookies, headers, tokens and keys. None is a 500."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Annotated, Any
from urllib.parse import quote
from uuid import UUID

import msgspec
import pytest
from hypothesis import strategies as st

from portable import (
    CORS,
    App,
    Cookie,
    Depends,
    ETag,
    File,
    Form,
    GZip,
    Header,
    Query,
    Ranges,
    Request,
    Upload,
    check_conditions,
    idempotent,
)
from portable.security import APIKey, BasicAuth, JWTBearer
from portable.testing import TestClient

KEY = "a secret that is long enough for HS256, 32 bytes and more"


class Inner(msgspec.Struct):
    when: datetime
    tags: list[str] = []
    more: Inner | None = None


class Outer(msgspec.Struct):
    name: str
    inner: Inner
    number: Annotated[int, msgspec.Meta(gt=0)] = 1


def make() -> App:
    app = App("fuzzed", max_body=100_000)
    for one in (CORS(["https://shop.example"], credentials=True), GZip(), ETag(), Ranges()):
        app.middleware(one)
    once = app.table("requests", key="id", ttl="ends")
    signing = app.secret("signing")

    @app.post("/model")
    def model(body: Outer) -> Outer:
        return body

    @app.post("/any")
    def anything(request: Request) -> Any:
        return request.json()

    @app.post("/form")
    def form(request: Request) -> Any:
        with request.form() as found:
            return [found.items(), [(one.filename, one.content_type, one.size) for one in found.files.all()]]

    @app.post("/upload")
    def upload(name: Annotated[str, Form()], photo: Annotated[Upload, File(max_bytes=1000)]) -> Any:
        return [name, len(photo.read())]

    @app.get("/query")
    def query(
        request: Request,
        n: int = 0,
        f: float = 0.0,
        b: bool = False,
        when: datetime | None = None,
        u: UUID | None = None,
        many: Annotated[list[int], Query()] = [],  # noqa: B006 - never changed
        x_number: Annotated[int, Header()] = 0,
        session: Annotated[str, Cookie()] = "",
    ) -> Any:
        return [n, f, b, when, u, many, x_number, session, request.cookies, request.query.items()]

    @app.get("/items/{number:int}/{rest:path}")
    def item(number: int, rest: str, request: Request) -> Any:
        return check_conditions(request, etag="7", modified=datetime(2026, 3, 29).astimezone()) or [number, rest]

    @app.get("/token", dependencies=[Depends(JWTBearer(key=signing, audience="me", algorithms=["HS256"]))])
    def token() -> str:
        return "in"

    @app.get("/basic", dependencies=[Depends(BasicAuth(lambda user, password: None))])
    def basic() -> str:
        return "in"

    @app.get("/key", dependencies=[Depends(APIKey(lambda key: None))])
    def key() -> str:
        return "in"

    @app.post("/once")
    @idempotent(once)
    def pay(body: bytes) -> int:
        return len(body)

    return app


@pytest.fixture
def client(errors_logged: list[BaseException]) -> Iterator[TestClient]:
    with TestClient(make(), {"secret:signing": KEY}, raise_errors=False) as opened:
        yield opened


def assert_no_mistake(answer: Any, logged: list[BaseException]) -> None:
    assert answer.status < 500, (answer.status, answer.body, logged)
    assert not logged


KINDS = [
    "application/json",
    "application/json; charset=utf-16",
    "text/plain; charset=x",
    "application/x-www-form-urlencoded",
]
KINDS += ["multipart/form-data; boundary=B", "multipart/form-data", 'multipart/form-data; boundary="', "", "/", ";;"]
GOOD = {"name": "n", "inner": {"when": "2026-03-29T08:00:00Z", "more": {"when": "2026-03-29T08:00:00Z"}}, "number": 7}
PART = '--B\r\ncontent-disposition: form-data; name="photo"; filename="a.png"\r\ncontent-type: image/png\r\n\r\nxyz\r\n'
FIELD = '--B\r\nContent-Disposition: form-data; name="name"\r\n\r\nAda\r\n'
FORM = (FIELD + PART + "--B--\r\n").encode()


@st.composite
def broken_form(draw: st.DrawFn) -> bytes:
    data = bytearray(FORM)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(data)))
        how = draw(st.integers(0, 3))
        if how == 0:
            del data[at : at + draw(st.integers(1, 30))]
        elif how == 1:
            data[at:at] = draw(
                st.sampled_from([b"--B\r\n", b"\r\n", b"\x00", b"\xff", b";", b'"', b"--B--", b"x" * 3000])
            )
        elif how == 2 and at < len(data):
            data[at] = draw(st.integers(0, 255))
        else:
            del data[at:]
    return bytes(data)


def test_bodies(client: TestClient, fuzz: Any, mutations: Any, errors_logged: list[BaseException]) -> None:
    documents = mutations([GOOD]).map(lambda document: encoded(document))
    bodies = st.one_of(
        documents,
        documents.map(lambda body: body[: len(body) // 2]),
        broken_form(),
        broken_form(),
        st.binary(max_size=60),
        st.sampled_from([b"[" * 5000, b'{"a":' * 5000, b"9" * 5000, b'"\\ud800"', b"\xef\xbb\xbf{}", b"1e9999", b"-"]),
        st.text(max_size=40).map(lambda text: text.encode("utf-8", "surrogatepass")),
        st.just(b"&".join(b"a%d=%%zz" % one for one in range(3000))),
    )
    paths = st.sampled_from(["/model", "/any", "/form", "/upload", "/once"])

    def check(value: Any) -> None:
        path, kind, body = value
        answer = client.request("POST", path, headers={"content-type": kind} if kind else {}, body=body)
        assert_no_mistake(answer, errors_logged)

    fuzz(st.tuples(paths, st.sampled_from(KINDS), bodies), check)


def encoded(document: Any) -> bytes:
    return json.dumps(document).encode("utf-8", "surrogatepass")


SAFE = st.text(st.characters(min_codepoint=0x20, max_codepoint=0xFF, exclude_characters="\x7f"), max_size=40)
VALUES = st.one_of(
    SAFE,
    st.sampled_from(["", "*", '"', 'W/"', "bytes=", "bytes=-", "bytes=1-0", "bytes=0-0,,", "bytes=" + "0-1," * 500]),
    st.sampled_from(["9" * 5000, "Sun, 99 Mar 2026 99:99:99 GMT", "Sun, 06 Nov 1994 08:49:37 +9999", "a=b;" * 900]),
    st.sampled_from(['a="\\', "a=%", "a=%zz; ;;=;a", "gzip;q=x", "gzip;q=1;q=2", ";q", "*;q=0, gzip;q=0.00000001"]),
    st.sampled_from(["nan", "1e400", "-0", "0x10", "１２", "٣", "1_000", " 7 ", "+7", "inf"]),
)
NAMES = st.sampled_from(["accept", "accept-encoding", "cookie", "if-none-match", "if-match", "if-modified-since"])
NAMES |= st.sampled_from(["if-unmodified-since", "if-range", "range", "origin", "access-control-request-method"])
NAMES |= st.sampled_from(["access-control-request-headers", "x-number", "content-type", "content-length", "host"])
NAMES |= st.sampled_from(["x-forwarded-for", "x-forwarded-proto"])
PATHS = st.one_of(
    st.builds(lambda n, rest: f"/items/{n}/{rest}", st.integers(), SAFE.map(quote)),
    st.sampled_from(
        ["/items/7/%ff", "/items/-/x", "/items/7/%", "//", "/%00", "/" + "a/" * 900, "/items/" + "9" * 5000 + "/x"]
    ),
    st.lists(st.tuples(st.sampled_from(["n", "f", "b", "when", "u", "many", "é", ""]), VALUES), max_size=6).map(
        lambda pairs: "/query?" + "&".join(f"{quote(name)}={quote(value)}" for name, value in pairs)
    ),
    SAFE.map(lambda text: "/query?" + quote(text, safe="&=%+;")),
)


def test_paths_queries_headers_and_cookies(client: TestClient, fuzz: Any, errors_logged: list[BaseException]) -> None:
    def check(value: Any) -> None:
        method, path, headers = value
        assert_no_mistake(client.request(method, path, headers=headers), errors_logged)

    methods = st.sampled_from(["GET", "HEAD", "OPTIONS", "POST", "BREW"])
    fuzz(st.tuples(methods, PATHS, st.lists(st.tuples(NAMES, VALUES), max_size=4)), check)


def tokens() -> Any:
    import jwt

    good = jwt.encode({"aud": "me", "exp": 4_000_000_000}, KEY, "HS256")
    claims = st.dictionaries(
        st.sampled_from(["aud", "exp", "nbf", "iat", "iss", "sub", "scope"]),
        st.one_of(st.none(), st.booleans(), st.integers(), SAFE, st.floats(), st.lists(st.integers(), max_size=2)),
        max_size=4,
    )
    odd = [good[:-1], good + "=", good.replace(".", ".."), "..", "a.b.c", "." * 3000, "e30.e30.e30", "bnVsbA.bnVsbA."]
    odd += ["W10.W10.W10", "x" * 20_000, good.partition(".")[2], f"{good}.{good}"]
    documents = st.one_of(claims.map(encoded), claims.map(encoded), st.binary(max_size=12))
    signed = documents.map(lambda body: jwt.PyJWS().encode(body, KEY, "HS256"))  # claims that jwt.encode would refuse
    heads = st.sampled_from(["Bearer ", "bearer ", "Bearer", "Basic ", "Bearer  ", "", "DPoP "])
    return st.builds(str.__add__, heads, st.one_of(st.sampled_from(odd), signed, SAFE))


def test_tokens_and_keys(client: TestClient, fuzz: Any, errors_logged: list[BaseException]) -> None:
    pytest.importorskip("jwt")

    def check(value: Any) -> None:
        path, text, name = value
        answer = client.request("GET", path, headers={name: text})
        assert_no_mistake(answer, errors_logged)
        if path != "/token":
            assert answer.status in (400, 401, 403), "nobody is let in by accident"

    names = st.sampled_from(["authorization", "authorization", "x-api-key"])
    fuzz(st.tuples(st.sampled_from(["/token", "/basic", "/key"]), tokens(), names), check)


def test_idempotency_keys(client: TestClient, fuzz: Any, errors_logged: list[BaseException]) -> None:
    keys = st.one_of(VALUES, SAFE.map('"{}"'.format), st.just("k" * 5000), st.just('"a", "b"'))

    def check(value: Any) -> None:
        key, body = value
        answer = client.request("POST", "/once", headers={"idempotency-key": key}, body=body)
        assert_no_mistake(answer, errors_logged)
        assert answer.status in (200, 400, 409, 422)
        if answer.status == 200:
            assert answer.body == str(len(body)).encode(), "the answer of another request"

    fuzz(st.tuples(keys, st.binary(max_size=5)), check)
