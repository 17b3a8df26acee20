"""Forms and uploads: what is read, and what is refused."""

from __future__ import annotations

import asyncio
import builtins
import os
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portable import ConfigError, FormData, FormLimits, HTTPError, Request, Upload

werkzeug_parser = pytest.importorskip("werkzeug.formparser")
starlette_parsers = pytest.importorskip("starlette.formparsers")
pytest.importorskip("python_multipart")

BOUNDARY = "----formboundary7"


def part(disposition: str, body: bytes, *headers: str) -> bytes:
    head = "\r\n".join([f"Content-Disposition: {disposition}", *headers])
    return f"--{BOUNDARY}\r\n{head}\r\n\r\n".encode() + body + b"\r\n"


def whole(*parts: bytes) -> bytes:
    return b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()


def request(body: bytes, content_type: str = f"multipart/form-data; boundary={BOUNDARY}") -> Request:
    return Request("POST", "/", headers={"content-type": content_type}, body=body)


class Streamed(Request):
    """A request whose body comes in pieces, as a target's that hands it over as it arrives."""

    __slots__ = ("taken",)

    def __init__(self, pieces: list[bytes]) -> None:
        super().__init__("POST", "/", headers={"content-type": f"multipart/form-data; boundary={BOUNDARY}"})
        self.native = pieces
        self.taken = 0

    def _pieces(self) -> Iterator[bytes]:
        for piece in self.native:
            self.taken += len(piece)
            yield piece


def refused(body: bytes | Request, limits: FormLimits | None = None) -> HTTPError:
    with pytest.raises(HTTPError) as caught:
        (body if isinstance(body, Request) else request(body)).form(limits)
    return caught.value


def test_fields_and_files_are_read_in_order() -> None:
    body = whole(
        part('form-data; name="title"', "é\r\n2".encode()),
        part('form-data; name="tag"', b"a"),
        part('form-data; name="tag"', b"b"),
        part('form-data; name="photo"; filename="ü b.png"', b"\x89PNG\x00", "Content-Type: image/png", "X-More: 1"),
        part('form-data; name="photo"; filename="2"', b""),
        part('form-data; name="none"; filename=""', b"", "Content-Type: application/octet-stream"),
    )
    one = request(body)
    form = one.form()
    assert isinstance(form, FormData)
    assert form.items() == [("title", "é\r\n2"), ("tag", "a"), ("tag", "b")]
    assert (form["tag"], form.get_all("tag"), form.get("no", "-")) == ("b", ["a", "b"], "-")
    first, second = form.files.get_all("photo")
    assert (first.name, first.filename, first.content_type, first.size) == ("photo", "ü b.png", "image/png", 5)
    assert first.headers["x-more"] == "1"
    assert (first.read(2), first.tell(), first.read(), first.read()) == (b"\x89P", 2, b"NG\x00", b"")
    assert (first.seek(1), list(first)) == (1, [b"PNG\x00"])
    assert form.files["photo"] is second
    assert (second.content_type, second.size, second.read()) == ("", 0, b"")
    assert "none" not in form.files  # an input nobody chose a file for
    assert (list(form.files), len(form.files), form.files.get("none")) == (["photo"], 1, None)
    assert form.files.items() == [("photo", first), ("photo", second)]
    with pytest.raises(KeyError):
        form.files["none"]
    assert one.form() is form
    assert asyncio.run(one.aform()) is form
    form.close()


def test_a_form_closes_its_files() -> None:
    with request(whole(part('form-data; name="f"; filename="a"', b"x"))).form() as form:
        upload = form.files["f"]
        assert upload.read() == b"x"
    with pytest.raises(ValueError, match="closed"):
        upload.read()
    with Upload("f", "a", upload.headers, builtins.open(os.devnull, "rb")) as other:
        pass
    assert other.file.closed


def test_aform_reads_on_a_thread() -> None:
    form = asyncio.run(request(whole(part('form-data; name="a"', b"1"))).aform())
    assert form["a"] == "1"


def test_what_is_large_goes_to_the_disk_and_comes_back() -> None:
    large = os.urandom(300_000)
    body = whole(
        part('form-data; name="small"; filename="s"', b"s" * 1000),
        part('form-data; name="large"; filename="l"', large),
        part('form-data; name="more"; filename="m"', b"m" * 1000),
    )
    pieces = [body[start : start + 4096] for start in range(0, len(body), 4096)]
    with Streamed(pieces).form(FormLimits(memory_bytes=50_000)) as form:
        on_disk = {name: upload.file._rolled for name, upload in form.files.items()}  # type: ignore[attr-defined]
        assert on_disk == {"small": False, "large": True, "more": False}
        assert form.files["large"].read() == large
        assert form.files["more"].read() == b"m" * 1000


def test_a_body_that_was_read_as_a_form_is_spent() -> None:
    one = request(whole(part('form-data; name="a"', b"1")))
    one.form()
    with pytest.raises(RuntimeError, match=r"take request\.body before"):
        _ = one.body
    plain = Request("POST", "/", body=b"a=1")
    plain.form()
    assert plain.body == b"a=1"


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64, 100_000])
def test_pieces_of_any_size_give_the_same_form(size: int) -> None:
    body = whole(
        part('form-data; name="a"', f"1\r\n--{BOUNDARY}x\r\n".encode()),
        part('form-data; name="f"; filename="n"', b"\r\n--" * 50, "Content-Type: text/plain"),
    )
    with Streamed([body[start : start + size] for start in range(0, len(body), size)]).form() as form:
        assert form.items() == [("a", f"1\r\n--{BOUNDARY}x\r\n")]
        assert form.files["f"].read() == b"\r\n--" * 50


FIELD = part('form-data; name="a"', b"1")
MALFORMED = {
    "empty": b"",
    "no boundary in it": b"hello",
    "cut off in a header": whole(FIELD)[:30],
    "cut off in a body": FIELD,
    "cut off at the end": whole(FIELD)[:-6],
    "no disposition": f"--{BOUNDARY}\r\nX: y\r\n\r\n1\r\n--{BOUNDARY}--\r\n".encode(),
    "two dispositions": whole(part('form-data; name="a"', b"1", 'Content-Disposition: form-data; name="b"')),
    "another disposition": whole(part('attachment; name="a"', b"1")),
    "no name": whole(part("form-data", b"1")),
    "a header without a name": whole(part('form-data; name="a"', b"1", ": y")),
    "a header with a control character": whole(part('form-data; name="a"', b"1", "X\x00: y")),
    "nested": whole(part('form-data; name="a"', b"--x\r\n\r\n\r\n--x--", "Content-Type: multipart/mixed; boundary=x")),
    "base64": whole(part('form-data; name="a"', b"MQ==", "Content-Transfer-Encoding: base64")),
    "a field that is not text": whole(part('form-data; name="a"', b"\xff")),
    "a name that is not text": whole(FIELD).replace(b'name="a"', b'name="\xff"'),
    "a header that is not text": whole(FIELD).replace(b"\r\n\r\n1", b"\r\nX: \xff\r\n\r\n1"),
}


@pytest.mark.parametrize("body", MALFORMED.values(), ids=MALFORMED)
def test_what_is_malformed_is_a_400(body: bytes) -> None:
    assert refused(body).status == 400


@pytest.mark.parametrize(
    "content_type",
    [
        "multipart/form-data",
        "multipart/form-data; boundary=",
        'multipart/form-data; boundary=""',
        "multipart/form-data; charset=utf-8",
        f"multipart/form-data; boundary={'x' * 71}",
    ],
)
def test_a_form_without_a_boundary_is_a_400(content_type: str) -> None:
    error = refused(request(whole(FIELD), content_type))
    assert (error.status, "boundary" in error.detail) == (400, True)


@pytest.mark.parametrize("content_type", ["application/json", "multipart/mixed; boundary=x", "text/plain"])
def test_another_content_type_is_a_415(content_type: str) -> None:
    assert refused(request(b"", content_type)).status == 415


FILE = part('form-data; name="f"; filename="n"', b"12345")
TOO_MUCH = {
    "parts": (whole(FIELD, FIELD, FIELD), FormLimits(parts=2), "2 parts"),
    "files": (whole(FILE, FILE), FormLimits(files=1), "1 files"),
    "text": (whole(FIELD, FIELD, FIELD), FormLimits(text_bytes=2), "2 bytes"),
    "a file": (whole(FILE), FormLimits(file_bytes=4), "'f'"),
    "a header": (whole(part('form-data; name="a"', b"", f"X: {'y' * 200}")), FormLimits(header_bytes=200), "200 bytes"),
    "a header's name": (f"--{BOUNDARY}\r\n{'x' * 9000}".encode(), FormLimits(), "8192 bytes"),
    "many headers": (
        whole(part('form-data; name="a"', b"", *["X: 1234567890"] * 30)),
        FormLimits(header_bytes=200),
        "200 bytes",
    ),
}


@pytest.mark.parametrize(("body", "limits", "says"), TOO_MUCH.values(), ids=TOO_MUCH)
def test_what_is_too_much_is_a_413(body: bytes, limits: FormLimits, says: str) -> None:
    error = refused(body, limits)
    assert (error.status, says in error.detail) == (413, True), error.detail


def test_just_enough_is_taken() -> None:
    limits = FormLimits(parts=3, files=1, text_bytes=2, file_bytes=5, header_bytes=60)
    with request(whole(FIELD, FIELD, FILE)).form(limits) as form:
        assert (form.get_all("a"), form.files["f"].size) == (["1", "1"], 5)


def test_a_file_that_is_too_large_is_refused_before_it_was_read() -> None:
    pieces = [part('form-data; name="f"; filename="n"', b""), *[b"x" * 1000] * 1000]
    one = Streamed(pieces)
    error = refused(one, FormLimits(file_bytes=5000))
    assert error.status == 413
    assert error.errors == [{"in": "body", "name": "f", "detail": "has more than 5000 bytes"}]
    assert one.taken < 10_000


def test_urlencoded_forms_have_bounds_too() -> None:
    def plain() -> Request:
        return Request("POST", "/", body=b"a=1&a=2&a=3")

    assert refused(plain(), FormLimits(parts=2)).status == 413
    assert refused(plain(), FormLimits(text_bytes=10)).status == 413
    assert plain().form(FormLimits(parts=3, text_bytes=11)).get_all("a") == ["1", "2", "3"]


def test_without_the_library_it_says_what_to_type(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any, **options: Any) -> Any:
        if name.startswith("python_multipart"):
            raise ImportError(name)
        return real(name, *rest, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ConfigError, match=r"pip install 'portable-functions\[forms\]'"):
        request(whole(FIELD)).form()
    assert Request("POST", "/", body=b"a=1").form()["a"] == "1"


# --- against what others read from the same bytes

names = st.text(st.characters(exclude_characters='"\\\r\n', exclude_categories=("Cs", "Cc")), min_size=1, max_size=8)
texts = st.text(st.characters(exclude_categories=("Cs",)), max_size=20)
blobs = st.binary(max_size=200) | st.sampled_from([b"\r\n--", f"\r\n--{BOUNDARY}x".encode(), b"\r", b"-" * 30])
kinds = st.sampled_from(["", "text/plain", "image/png", "application/json; charset=utf-8"])
fields = st.tuples(st.just("field"), names, texts.map(str.encode), st.just(""), st.just(""))
files = st.tuples(st.just("file"), names, blobs, names, kinds)


def written(parts: list[tuple[str, str, bytes, str, str]]) -> bytes:
    made = []
    for kind, name, body, filename, content_type in parts:
        disposition = f'form-data; name="{name}"' + (f'; filename="{filename}"' if kind == "file" else "")
        made.append(part(disposition, body, *([f"Content-Type: {content_type}"] if content_type else [])))
    return whole(*made)


def read_by_us(body: bytes) -> tuple[list[Any], list[Any]]:
    with request(body).form() as form:
        found = [(name, one.filename, one.content_type, one.read()) for name, one in form.files.items()]
        return form.items(), found


def read_by_starlette(body: bytes) -> tuple[list[Any], list[Any]]:
    from starlette.datastructures import Headers

    async def stream() -> Any:
        yield body

    async def read() -> tuple[list[Any], list[Any]]:
        headers = Headers({"content-type": f"multipart/form-data; boundary={BOUNDARY}"})
        form = await starlette_parsers.MultiPartParser(headers, stream()).parse()
        texts, found = [], []
        for name, value in form.multi_items():
            if isinstance(value, str):
                texts.append((name, value))
            else:
                found.append((name, value.filename, value.content_type or "", await value.read()))
        await form.close()
        return texts, found

    return asyncio.run(read())


def read_by_werkzeug(body: bytes) -> tuple[list[Any], list[Any]]:
    from io import BytesIO

    parser = werkzeug_parser.FormDataParser(max_form_memory_size=None)
    _, form, sent = parser.parse(
        BytesIO(body), "multipart/form-data", len(body), {"boundary": BOUNDARY, "charset": "utf-8"}
    )
    found = [(name, one.filename, one.content_type or "", one.read()) for name, one in sent.items(multi=True)]
    for uploads in sent.listvalues():
        for one in uploads:
            one.close()
    return list(form.items(multi=True)), found


@settings(max_examples=150, deadline=None)
@given(st.lists(fields | files, max_size=6))
def test_starlette_reads_the_same(parts: list[tuple[str, str, bytes, str, str]]) -> None:
    body = written(parts)
    assert read_by_us(body) == read_by_starlette(body)


@settings(max_examples=150, deadline=None)
@given(st.lists(fields | files, max_size=6))
def test_werkzeug_reads_the_same(parts: list[tuple[str, str, bytes, str, str]]) -> None:
    body = written(parts)
    ours, theirs = read_by_us(body), read_by_werkzeug(body)
    assert sorted(ours[0]) == sorted(theirs[0])  # werkzeug groups equal names
    assert sorted(ours[1]) == sorted(theirs[1])


@settings(max_examples=300, deadline=None)
@given(st.lists(fields | files, max_size=3), st.data())
def test_a_damaged_form_is_read_or_refused(parts: list[tuple[str, str, bytes, str, str]], data: st.DataObject) -> None:
    body = bytearray(written(parts))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(body) - 1))
        body[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=4))
        if not body:
            body = bytearray(b"-")
    try:
        with request(bytes(body)).form() as form:
            assert all(isinstance(value, str) for _, value in form.items())
    except HTTPError as error:
        if error.status not in (400, 413):
            raise
