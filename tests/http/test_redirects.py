"""Redirects and cookies: what an answer's head may say."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from portable import Response, redirect


def test_a_redirect() -> None:
    response = redirect("/items/7?a=1#b")
    assert (response.status, response.body, response.headers["location"]) == (307, None, "/items/7?a=1#b")
    assert redirect("https://shop.example/", 303).status == 303


@pytest.mark.parametrize(
    ("url", "location"),
    [
        ("/café au lait", "/caf%C3%A9%20au%20lait"),
        ("/a%2Fb%20c", "/a%2Fb%20c"),
        ("https://[::1]:80/a;b@c?d[]=e&f='g'", "https://[::1]:80/a;b@c?d[]=e&f='g'"),
        ('/a"b<c>\\d', "/a%22b%3Cc%3E%5Cd"),
    ],
)
def test_what_a_url_cannot_hold_is_encoded(url: str, location: str) -> None:
    assert redirect(url).headers["location"] == location


@pytest.mark.parametrize("url", ["/a\r\nSet-Cookie: b=1", "/a\nb", "/a\tb", "/\x00", "/\x7f"])
def test_a_redirect_splits_no_head(url: str) -> None:
    with pytest.raises(ValueError, match="control characters"):
        redirect(url)


@pytest.mark.parametrize("status", [200, 300, 304, 305, 306, 309, 404])
def test_a_redirect_has_a_status_of_redirects(status: int) -> None:
    with pytest.raises(ValueError, match="301, 302, 303, 307, 308"):
        redirect("/", status)


def test_a_cookie_says_all_that_browsers_know() -> None:
    response = Response()
    response.set_cookie("a", "1", max_age=timedelta(hours=1), samesite="none", partitioned=True)
    response.set_cookie("__Host-b", "2")
    response.delete_cookie("c", path="/p", domain="example.org", samesite=None)
    assert response.headers.get_all("set-cookie") == [
        "a=1; Max-Age=3600; Path=/; Secure; HttpOnly; SameSite=None; Partitioned",
        "__Host-b=2; Path=/; Secure; HttpOnly; SameSite=Lax",
        "c=; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Path=/p; Domain=example.org; Secure; HttpOnly",
    ]


@pytest.mark.parametrize(
    "options",
    [
        {"samesite": "none", "secure": False},
        {"partitioned": True, "secure": False},
        {"name": "__Secure-a", "secure": False},
        {"name": "__Host-a", "secure": False},
        {"name": "__Host-a", "path": "/p"},
        {"name": "__Host-a", "path": None},
        {"name": "__host-a", "domain": "example.org"},
    ],
    ids=str,
)
def test_a_cookie_that_browsers_drop_is_refused(options: dict[str, Any]) -> None:
    response = Response()
    with pytest.raises(ValueError, match="browsers drop"):
        response.set_cookie(**{"name": "a", **options})
    assert response.header_pairs() == []
