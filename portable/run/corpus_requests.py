"""The grammar of requests: encodings of paths and queries, headers and cookies, bodies, forms, conditions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import parse_qsl, quote

import msgspec
from hypothesis import strategies as st

from portable.http.mounts import ANY
from portable.http.routing import parse_path
from portable.manifest import FunctionRecord
from portable.run.corpus import json_values
from portable.run.traffic import RequestStep, Step

__all__ = ["requests"]

_TEXT = st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=12)
_VISIBLE = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), max_size=16)
_TOKEN = st.text("abcdefghijklmnopqrstuvwxyz0123456789-", min_size=1, max_size=10).map(lambda text: f"xx{text}")
_BODIED = ("POST", "PUT", "PATCH")
_BOUNDARY = "----portable-7d1f"

_CONDITIONS = {
    "accept": ["*/*", "application/json", "text/html;q=0.9, */*;q=0.1", ""],
    "accept-encoding": ["gzip", "br, gzip;q=0.5", "gzip;q=0", "identity", "*"],
    "accept-language": ["fr-CH, fr;q=0.9, en;q=0.8"],
    "if-none-match": ["*", '"7"', 'W/"7"', '"a", "7"', "7", '"'],
    "if-match": ["*", '"7"', 'W/"7"', '"a"'],
    "if-modified-since": ["Sun, 29 Mar 2026 12:00:00 GMT", "Thu, 01 Jan 1970 00:00:00 GMT", "yesterday"],
    "range": ["bytes=0-9", "bytes=-5", "bytes=5-", "bytes=99999-", "bytes=1-2,4-5", "lines=1-2", "bytes=x"],
    "origin": ["https://shop.example", "https://evil.example", "null"],
    "access-control-request-method": ["PUT", "GET", "BREW"],
    "access-control-request-headers": ["x-token", "x-token, x-other", "x-none"],
    "authorization": ["Bearer a.b.c", "Basic YTpi", "Basic !", "Bearer", "nonsense"],
    "referer": ["https://shop.example/a?b=c#d"],
    "x-requested-with": ["XMLHttpRequest"],
}


class _Words(msgspec.Struct):
    """What the project's own traffic is written in."""

    query: list[str]
    headers: list[tuple[str, str]]
    cookies: list[str]
    members: list[str]
    json: dict[tuple[str, str], list[Any]]


def requests(functions: Sequence[FunctionRecord], written: Sequence[Step]) -> list[Any]:
    """For each route of these functions, requests to it; one in ten to a path or with a method that it has not."""
    words = _words([step for step in written if isinstance(step, RequestStep)])
    routes = [(one.options["method"], one.options["path"]) for function in functions for one in function.triggers]
    made: Any = _request
    return [made(*route, words) for route in dict.fromkeys(routes)]


def _words(steps: Sequence[RequestStep]) -> _Words:
    words = _Words(
        ["q", "a", "page", "é"], [("x-many", "1"), ("x-token", "t")], ["a", "session"], ["name", "count"], {}
    )
    for step in steps:
        path, _, query = step.path.partition("?")
        words.query += [name for name, _ in parse_qsl(query, keep_blank_values=True)]
        for name, value in step.headers.items() if isinstance(step.headers, dict) else step.headers:
            if name.lower() == "cookie":
                words.cookies += [one.partition("=")[0].strip() for one in value.split(";") if "=" in one]
            elif name.lower() not in ("content-type", "content-length", "host"):
                words.headers.append((name, value))
        if step.json is not msgspec.UNSET:
            words.json.setdefault((step.method, path), []).append(step.json)
            if isinstance(step.json, dict):
                words.members += step.json
        elif step.text and "urlencoded" in str(step.headers):
            words.members += [name for name, _ in parse_qsl(step.text, keep_blank_values=True)]
    return words


@st.composite
def _request(draw: Any, method: str, path: str, words: _Words) -> RequestStep:
    known = [one for (asked, of), bodies in words.json.items() if asked == method and _fits(path, of) for one in bodies]
    target = draw(_path(path, mounted=method == ANY))
    if draw(st.integers(0, 2)):
        target += "?" + draw(_query(words.query))
    if method == ANY:
        method = draw(st.sampled_from(["GET", "POST"]))
    method = draw(st.sampled_from([*[method] * 8, "HEAD", "OPTIONS", "DELETE" if method == "GET" else "GET"]))
    headers = draw(_headers(words))
    if method in _BODIED:
        kind, body = draw(_body(words, known))
        if kind:
            headers.append(("content-type", kind))
        return RequestStep(method, target, headers, base64=body or None)
    return RequestStep(method, target, headers)


def _fits(declared: str, path: str) -> bool:
    """Whether a path that was written is one of a route: by its static beginning, which suffices for words."""
    return path.startswith(declared.partition("{")[0])


def _percent(text: str, how: int) -> str:
    """Text with its reserved characters encoded, or all of them, or with small letters."""
    if how == 0:
        return quote(text, safe="")
    if how == 1:
        return quote(text, safe="!$&'()*+,;=:@")
    encoded = "".join(f"%{byte:02X}" for byte in text.encode())
    return encoded if how == 2 else encoded.lower()


_SEGMENT = st.one_of(
    st.builds(_percent, _TEXT.filter(bool), st.integers(0, 3)),
    st.sampled_from(["a%2Fb", "a%252Fb", "%25", "a+b", "a%20b", "caf%C3%A9", "~", "a;b=c", "%ff", "%zz", "%", "..."]),
    st.sampled_from(["sample", "7", "latest", "index.html"]),
)
_VALUES = {
    "int": st.one_of(st.integers(-9, 99).map(str), st.integers().map(str), st.sampled_from(["007", "1e3", "x", "1.0"])),
    "float": st.one_of(st.floats(0, 99, width=16).map(str), st.sampled_from(["1e5", ".5", "x", "-1.5", "nan"])),
    "uuid": st.one_of(st.uuids().map(str), st.sampled_from(["7f9c24e8", "7F9C24E8-3B12-4FEF-91E0-56A2D5A1B0C3"])),
    "str": _SEGMENT,
    "path": st.lists(_SEGMENT, min_size=1, max_size=4).map("/".join),
}


@st.composite
def _path(draw: Any, declared: str, mounted: bool) -> str:
    if draw(st.integers(0, 14)) == 0:
        odd: str = draw(
            st.sampled_from(["/", "/no/such/route", "//a", "/a//b", "/%F0%9F%90%88", "/.well-known/x", "/a/"])
        )
        return odd
    path = ""
    for converter, name in parse_path(declared):
        path += "/" + (draw(_VALUES[converter]) if converter else quote(name, safe="~"))
    if mounted:
        path = path.rstrip("/") + "/" + draw(_VALUES["path"])
    slash = draw(st.integers(0, 19)) == 0
    return (path or "/") + ("/" if slash and not path.endswith("/") else "")


@st.composite
def _query(draw: Any, names: Sequence[str]) -> str:
    name = st.one_of(st.sampled_from(list(dict.fromkeys(names))), _TEXT)
    plain = st.sampled_from(["1", "0", "true", "false", "-1", "x", "", "a b", "1.5", "2026-03-29"])
    pairs = draw(st.lists(st.tuples(name, st.one_of(plain, _TEXT)), max_size=6))
    if draw(st.integers(0, 19)) == 0:
        pairs = [*pairs, *((f"n{number}", "x" * 40) for number in range(50))]
    written = []
    for key, value in pairs:
        how = draw(st.integers(0, 4))
        encoded = quote(value, safe="") if how else _percent(value, 3)
        if how == 4:
            encoded = encoded.replace("%20", "+")
        written.append(f"{quote(key, safe='')}={encoded}")
    written += draw(
        st.lists(st.sampled_from(["bare", "=", "=x", "", "a=b=c", "%ff=%ff", "x=%zz", "a;b=1"]), max_size=1)
    )
    return "&".join(written)


@st.composite
def _headers(draw: Any, words: _Words) -> list[tuple[str, str]]:
    names = draw(st.lists(st.sampled_from(sorted(_CONDITIONS)), max_size=3, unique=True))
    pairs = [(name, draw(st.sampled_from(_CONDITIONS[name]))) for name in names]
    pairs += draw(st.lists(st.sampled_from(words.headers), max_size=3))
    if draw(st.integers(0, 2)) == 0:
        name = draw(_TOKEN)
        pairs += [(name, value) for value in draw(st.lists(_VISIBLE, min_size=1, max_size=3))]
    if draw(st.integers(0, 2)) == 0:
        pairs.append(("cookie", draw(_cookies(words.cookies))))
    return pairs


def _cookies(names: Sequence[str]) -> Any:
    value = st.one_of(
        st.text("abcXYZ0189!#$&'()*+-./:<=>?@[]^_`{|}~", max_size=10),
        st.sampled_from(['"quoted"', '"a b"', "", "%41%20", "a=b"]),
    )
    pair = st.builds("{}={}".format, st.sampled_from(list(dict.fromkeys(names))), value)
    return st.lists(st.one_of(pair, pair, st.sampled_from(["bare", "=x"])), min_size=1, max_size=4).map("; ".join)


def _body(words: _Words, known: list[Any]) -> Any:
    members = st.sampled_from(list(dict.fromkeys(words.members)))
    written = st.builds(msgspec.json.encode, json_values(known))
    document = st.builds(msgspec.json.encode, st.dictionaries(members, json_values(), max_size=4))
    text = _TEXT.map(str.encode)
    form = st.lists(st.tuples(members, _TEXT), max_size=4).map(
        lambda pairs: "&".join(f"{quote(name)}={quote(value)}" for name, value in pairs).encode()
    )
    choices = [
        st.tuples(st.just("application/json"), written),
        st.tuples(st.just("application/json"), document),
        st.tuples(st.just("application/json; charset=utf-8"), written),
        st.tuples(st.just("application/json"), st.sampled_from([b"", b"{", b"[1,", b'{"a":1,"a":2}', b"\xff", b"nul"])),
        st.tuples(st.just("application/vnd.shop+json"), written),
        st.tuples(st.just("application/x-www-form-urlencoded"), form),
        st.tuples(st.just(f"multipart/form-data; boundary={_BOUNDARY}"), _multipart(members)),
        st.tuples(st.just("multipart/form-data"), text),
        st.tuples(st.just("text/plain"), text),
        st.tuples(st.just("text/plain; charset=iso-8859-1"), st.binary(max_size=30)),
        st.tuples(st.sampled_from(["application/octet-stream", "image/png"]), st.binary(max_size=300)),
        st.tuples(st.just(""), st.one_of(st.just(b""), text)),
    ]
    return st.sampled_from([choices[0]] * 8 + choices if known else choices).flatmap(lambda chosen: chosen)


@st.composite
def _multipart(draw: Any, members: Any) -> bytes:
    body = b""
    for _ in range(draw(st.integers(0, 4))):
        disposition = f'form-data; name="{draw(members)}"'
        content = draw(st.one_of(st.binary(max_size=60), _TEXT.map(str.encode)))
        kind = ""
        if draw(st.booleans()):
            filename = draw(_TEXT).replace('"', "%22").replace("\\", "")
            disposition += f'; filename="{filename}"'
            kind = "content-type: image/png\r\n"
        head = f"--{_BOUNDARY}\r\ncontent-disposition: {disposition}\r\n{kind}\r\n"
        body += head.encode() + content.replace(_BOUNDARY.encode(), b"") + b"\r\n"
    end = draw(st.sampled_from(["--\r\n"] * 6 + ["", "--"]))
    return body + f"--{_BOUNDARY}{end}".encode()
