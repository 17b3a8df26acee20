"""Conditional requests and ranges, by RFC 9110."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portable import ETag, HTTPError, Ranges, Request, Response, check_conditions

werkzeug_http = pytest.importorskip("werkzeug.http")

CHANGED = datetime(2026, 3, 29, 12, tzinfo=UTC)
BEFORE, SAME, LATER = (
    "Sun, 29 Mar 2026 11:59:59 GMT",
    "Sun, 29 Mar 2026 12:00:00 GMT",
    "Sun, 29 Mar 2026 12:00:01 GMT",
)


def asked(method: str = "GET", **headers: str) -> Request:
    return Request(method, "/", headers={name.replace("_", "-"): value for name, value in headers.items()})


def test_an_answer_gets_a_tag_of_its_body() -> None:
    tagged = ETag()
    kept = Response("hello", media_type="text/plain")
    first = tagged.after(asked(), kept)
    assert first.body == "hello"
    assert "etag" not in kept.headers
    tag = first.headers["etag"]
    assert tag.startswith('"')
    assert tagged.after(asked(), Response(b"hello")).headers["etag"] == tag
    assert tagged.after(asked(), Response("hello!")).headers["etag"] != tag
    assert ETag(weak=True).after(asked(), Response("hello")).headers["etag"] == f"W/{tag}"


def test_who_has_it_gets_a_304() -> None:
    tagged = ETag()
    headers = {
        "Cache-Control": "max-age=5",
        "Vary": "Accept",
        "X-A": "1",
        "Content-Language": "en",
        "Set-Cookie": "a=1",
    }
    whole = Response("hello", 200, headers, "text/plain")
    tag = tagged.after(asked(), whole).headers["etag"]
    for match in (tag, f"W/{tag}", f'"x", {tag}', '"a,b",' + tag, "*"):
        response = tagged.after(asked(if_none_match=match), whole)
        assert (response.status, response.body, response.media_type) == (304, None, None)
        assert dict(response.headers.items()) == {
            "cache-control": "max-age=5",
            "vary": "Accept",
            "x-a": "1",
            "set-cookie": "a=1",
            "etag": tag,
        }
    assert tagged.after(asked(if_none_match='"x"'), whole).status == 200
    assert tagged.after(asked("HEAD", if_none_match=tag), whole).status == 304


def test_the_handlers_own_tag_counts() -> None:
    tagged = ETag()
    own = Response("hello", headers={"ETag": 'W/"7"'})
    assert tagged.after(asked(), own) is own
    assert tagged.after(asked(if_none_match='"7"'), own).status == 304
    assert tagged.after(asked(if_match='"7"'), own).status == 412  # If-Match compares strongly


@pytest.mark.parametrize(
    ("method", "response"),
    [
        ("POST", Response("x")),
        ("GET", Response("x", 404)),
        ("GET", Response("x", 206)),
        ("GET", Response(None)),
        ("GET", Response("x", headers={"cache-control": "no-store"})),
    ],
)
def test_what_gets_no_tag(method: str, response: Response) -> None:
    assert ETag().after(asked(method, if_none_match="*"), response) is response


def test_a_read_with_a_failed_condition_is_a_412() -> None:
    own = Response("hello", headers={"ETag": '"7"', "Last-Modified": SAME})
    for request in (asked(if_match='"8"'), asked(if_unmodified_since=BEFORE)):
        response = ETag().after(request, own)
        assert (response.status, response.headers["etag"]) == (412, '"7"')
    for request in (asked(if_match='"8", "7"'), asked(if_match="*"), asked(if_unmodified_since=SAME)):
        assert ETag().after(request, own).status == 200


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"if_modified_since": BEFORE}, 200),
        ({"if_modified_since": SAME}, 304),
        ({"if_modified_since": LATER}, 304),
        ({"if_modified_since": "yesterday"}, 200),
        ({"if_modified_since": "Sun, 99 Mar 2026 12:00:00 GMT"}, 200),
        ({"if_modified_since": LATER, "if_none_match": '"x"'}, 200),  # a tag counts for more than a date
        ({"if_modified_since": BEFORE, "if_none_match": '"7"'}, 304),
        ({"if_unmodified_since": BEFORE, "if_match": '"7"'}, 200),
        ({"if_match": '"x"', "if_none_match": '"7"'}, 412),
    ],
)
def test_dates_and_what_counts_for_more(headers: dict[str, str], status: int) -> None:
    own = Response("hello", headers={"ETag": '"7"', "Last-Modified": SAME})
    assert ETag().after(asked(**headers), own).status == status


# --- before the work


def test_a_handler_asks_before_it_works() -> None:
    assert check_conditions(asked(), etag="7") is None
    response = check_conditions(asked(if_none_match='"7"'), etag="7", modified=CHANGED)
    assert response is not None
    assert (response.status, response.headers.items()) == (304, [("etag", '"7"')])
    moscow = CHANGED.astimezone(timezone(timedelta(hours=3)))
    assert check_conditions(asked(if_modified_since=SAME), modified=moscow) is not None
    assert check_conditions(asked(if_modified_since=BEFORE), modified=moscow) is None
    assert check_conditions(asked("PUT", if_modified_since=SAME), modified=CHANGED) is None  # for reads alone


@pytest.mark.parametrize(
    ("headers", "etag"),
    [
        ({"if_match": '"6"'}, "7"),
        ({"if_match": "*"}, None),
        ({"if_match": 'W/"7"'}, '"7"'),
        ({"if_match": '"7"'}, 'W/"7"'),
        ({"if_none_match": "*"}, "7"),
        ({"if_none_match": 'W/"7"'}, "7"),
        ({"if_unmodified_since": BEFORE}, "7"),
    ],
)
def test_a_write_on_another_state_is_a_412(headers: dict[str, str], etag: str | None) -> None:
    with pytest.raises(HTTPError) as caught:
        check_conditions(asked("PUT", **headers), etag=etag, modified=CHANGED)
    assert caught.value.status == 412


@pytest.mark.parametrize(
    ("headers", "etag"),
    [({"if_match": '"7"'}, "7"), ({"if_match": "*"}, "7"), ({"if_none_match": "*"}, None), ({}, "7")],
)
def test_a_write_on_the_state_it_knows_goes_on(headers: dict[str, str], etag: str | None) -> None:
    assert check_conditions(asked("PUT", **headers), etag=etag, modified=CHANGED) is None


def test_a_write_may_have_to_say_what_it_changes() -> None:
    with pytest.raises(HTTPError, match="If-Match") as caught:
        check_conditions(asked("PUT"), etag="7", required=True)
    assert caught.value.status == 428
    assert check_conditions(asked(), etag="7", required=True) is None
    assert check_conditions(asked("PUT", if_match='"7"'), etag="7", required=True) is None
    assert check_conditions(asked("PUT", if_unmodified_since=SAME), modified=CHANGED, required=True) is None


def test_what_is_no_tag_or_instant_is_refused() -> None:
    with pytest.raises(ValueError, match="aware"):
        check_conditions(asked(), modified=datetime(2026, 1, 1))  # noqa: DTZ001 - that is the point
    with pytest.raises(ValueError, match="entity tag"):
        check_conditions(asked(), etag='a"b')


tags = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters='"'), min_size=1, max_size=4)
listed = st.lists(st.tuples(st.booleans(), tags), min_size=1, max_size=3)


@settings(max_examples=200, deadline=None)
@given(wanted=listed, own=st.tuples(st.booleans(), tags), strong=st.booleans())
def test_werkzeug_matches_the_same_tags(wanted: list[tuple[bool, str]], own: tuple[bool, str], strong: bool) -> None:
    field = ", ".join(f'{"W/" if weak else ""}"{tag}"' for weak, tag in wanted)
    tag = f'{"W/" if own[0] else ""}"{own[1]}"'
    environ = {"REQUEST_METHOD": "GET", "HTTP_IF_MATCH" if strong else "HTTP_IF_NONE_MATCH": field}
    unmodified = not werkzeug_http.is_resource_modified(environ, tag)
    response = ETag().after(
        asked(**{"if_match" if strong else "if_none_match": field}), Response("x", headers={"etag": tag})
    )
    if strong:
        parsed = werkzeug_http.parse_etags(field)
        assert (response.status == 200) == (not own[0] and parsed.is_strong(own[1]))
    else:
        assert (response.status == 304) == unmodified


# --- ranges

BODY = b"0123456789"


def ranged(asked_for: str, **headers: str) -> Response:
    own = Response(BODY, 200, {"ETag": '"7"', "Last-Modified": SAME, "content-length": "10"}, "image/png")
    return Ranges().after(asked(range=asked_for, **headers), own)


@pytest.mark.parametrize(
    ("asked_for", "start", "part"),
    [
        ("bytes=0-3", 0, b"0123"),
        ("bytes=3-3", 3, b"3"),
        ("bytes=7-", 7, b"789"),
        ("bytes=7-99", 7, b"789"),
        ("bytes=-2", 8, b"89"),
        ("bytes=-99", 0, BODY),
        ("Bytes = 1-2", 1, b"12"),
    ],
)
def test_a_part_of_an_answer(asked_for: str, start: int, part: bytes) -> None:
    response = ranged(asked_for)
    assert (response.status, response.body) == (206, part)
    assert dict(response.header_pairs()) == {
        "content-type": "image/png",
        "etag": '"7"',
        "last-modified": SAME,
        "accept-ranges": "bytes",
        "content-length": str(len(part)),
        "content-range": f"bytes {start}-{start + len(part) - 1}/10",
    }


@pytest.mark.parametrize("asked_for", ["bytes=10-", "bytes=99-100", "bytes=-0"])
def test_a_part_that_is_not_there(asked_for: str) -> None:
    response = ranged(asked_for)
    assert (response.status, response.headers["content-range"]) == (416, "bytes */10")


@pytest.mark.parametrize(
    "asked_for",
    ["bytes=0-1,3-4", "bytes=", "bytes=-", "bytes=5-2", "bytes=a-b", "bytes=٣-٤", "items=0-1", "bytes 0-1", "x"],
)
def test_what_is_no_range_gets_the_whole(asked_for: str) -> None:
    response = ranged(asked_for)
    assert (response.status, response.body, response.headers["accept-ranges"]) == (200, BODY, "bytes")


def test_if_range_asks_whether_it_is_still_the_same() -> None:
    for validator, status in (('"7"', 206), (SAME, 206), ('"8"', 200), ('W/"7"', 200), (BEFORE, 200), (LATER, 200)):
        assert ranged("bytes=0-3", if_range=validator).status == status, validator


def test_what_has_no_ranges() -> None:
    ranges: Any = Ranges()
    for method, response in (
        ("POST", Response(BODY)),
        ("GET", Response(BODY, 404)),
        ("GET", Response(None)),
        ("GET", Response(BODY, headers={"content-encoding": "gzip"})),
    ):
        assert ranges.after(asked(method, range="bytes=0-1"), response) is response
    assert ranges.after(asked("HEAD", range="bytes=0-1"), Response(BODY)).status == 200


@settings(max_examples=200, deadline=None)
@given(size=st.integers(1, 30), start=st.integers(0, 35) | st.none(), end=st.integers(0, 35) | st.none())
def test_werkzeug_reads_the_same_range(size: int, start: int | None, end: int | None) -> None:
    text = f"bytes={'' if start is None else start}-{'' if end is None else end}"
    body = bytes(range(size))
    response = Ranges().after(asked(range=text), Response(body))
    parsed = werkzeug_http.parse_range_header(text)
    found = parsed.range_for_length(size) if parsed is not None else None
    if found is not None and found[0] < found[1]:
        assert (response.status, response.body) == (206, body[found[0] : found[1]])
    elif start is None and end:
        assert response.body == body  # RFC 9110, 14.1.2: a longer suffix is the whole, which werkzeug refuses
    else:
        assert response.status in (200, 416)
