"""Azure's requests and answers as ``azure.functions`` has them, and as we do, on generated ones."""

from __future__ import annotations

import string
from datetime import UTC, datetime
from typing import Any, ClassVar
from urllib.parse import quote, urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from portable.events import Response
from portable.http.answers import as_response

functions = pytest.importorskip("azure.functions")

# ruff: noqa: E402
from portable_azure.triggers.http import HTTPTrigger
from portable_azure.triggers.timer import TimerTrigger

EXAMPLES = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
TEXT = st.text(st.characters(min_codepoint=0x20, exclude_categories=("Cs", "Cc")), max_size=12)
NAME = st.text(string.ascii_lowercase + string.digits + "-", min_size=1, max_size=10).filter(
    lambda name: name not in ("cookie", "host", "set-cookie", "content-type")
)
VALUE = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=16)
BODY = st.one_of(st.just(b""), TEXT.map(str.encode), st.binary(max_size=40))
METHOD = st.sampled_from(["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"])


@st.composite
def asked(draw: st.DrawFn) -> Any:
    """A request as the worker makes it: its URL is the caller's, its parameters are the host's own reading."""
    query = draw(st.lists(st.tuples(NAME, TEXT), max_size=4))
    path = "/".join(quote(part, safe="") for part in draw(st.lists(TEXT, max_size=3)))
    url = f"https://app.azurewebsites.net/{path}" + (f"?{urlencode(query)}" if query else "")
    headers = draw(st.dictionaries(NAME, VALUE, max_size=4))
    cookies = draw(st.dictionaries(NAME, st.from_regex(r"[a-z0-9]{0,6}", fullmatch=True), max_size=3))
    if cookies:
        headers["Cookie"] = "; ".join(f"{name}={value}" for name, value in cookies.items())
    return functions.HttpRequest(
        draw(METHOD),
        url,
        headers=headers,
        params=dict(reversed(query)),
        route_params={},
        body=draw(BODY),
    )


@EXAMPLES
@given(native=asked())
def test_requests(native: Any) -> None:
    ours = HTTPTrigger.decode(native)
    assert ours.method == native.method
    assert f"https://{ours.host}{ours.raw_path}" == native.url.partition("?")[0]
    assert ours.body == native.get_body()
    for name, value in native.headers.items():
        assert ours.headers[name.upper()] == value
    assert len(ours.headers) == len(native.headers)
    for name, value in native.params.items():
        assert ours.query.get_all(name)[0] == value  # the host's first of equal names; ours keeps all
    assert set(ours.query) == set(native.params)
    cookies = native.headers.get("cookie", "")
    assert "; ".join(f"{name}={value}" for name, value in ours.cookies.items()) == cookies
    try:
        document = native.get_json()
    except ValueError:
        return
    assert ours.json() == document


RESPONSE = st.builds(
    Response,
    st.one_of(TEXT, st.binary(max_size=20), st.dictionaries(NAME, TEXT, max_size=3)),
    st.integers(200, 599).filter(lambda status: status not in (204, 205, 304)),
    st.dictionaries(NAME, VALUE, max_size=4),
)


@EXAMPLES
@given(response=RESPONSE)
def test_answers(response: Response) -> None:
    complete = as_response(response, 200)
    native = HTTPTrigger.encode(complete)
    assert isinstance(native, functions.HttpResponse)
    assert native.status_code == response.status
    body = complete.body
    assert native.get_body() == (body.encode() if isinstance(body, str) else body)
    assert native.mimetype is None or native.mimetype in str(complete.media_type)
    found = {name.lower(): value for name, value in native.headers.items()}
    for name, value in response.headers.items():
        assert found[name] == value


@EXAMPLES
@given(late=st.booleans(), seconds=st.integers(1_577_836_800, 1_893_456_000), zoned=st.booleans())
def test_timers(late: bool, seconds: int, zoned: bool) -> None:
    due = datetime.fromtimestamp(seconds, UTC)
    text = due.isoformat() if zoned else due.replace(tzinfo=None).isoformat()  # the host writes both

    class Timer(functions.TimerRequest):  # type: ignore[misc,name-defined]
        past_due = late
        schedule_status: ClassVar[dict[str, str]] = {"Next": text}

    tick = TimerTrigger.decode(Timer())
    assert tick.native.past_due is late
    assert tick.scheduled_at == due
