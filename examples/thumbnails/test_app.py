"""One test file for every target: in this process by default, else `pytest --target aws|gcp|azure|local|all`."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from io import BytesIO

import pytest
from PIL import Image

from photographs import make_rotated, make_transparent
from portable.testing import Client
from storage import photos, reports, thumbnails


def picture(size: tuple[int, int] = (640, 480), kind: str = "PNG") -> bytes:
    """A picture whose upper half is red and whose lower half is blue."""
    image = Image.new("RGB", size, "blue")
    image.paste("red", (0, 0, size[0], size[1] // 2))
    data = BytesIO()
    image.save(data, format=kind)
    return data.getvalue()


def upload(client: Client, data: bytes, **query: str) -> str:
    answer = client.post("/images", body=data, headers={"content-type": "image/png"}, query=query)
    assert answer.status == 201, answer
    key: str = answer.json()["key"]
    return key


def thumbnail(client: Client, key: str) -> Image.Image:
    answer = client.get(f"/thumbnails/{key}")
    assert answer.status == 200, answer
    return Image.open(BytesIO(answer.body))


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_a_photograph_comes_back_as_it_was_sent(client: Client, kind: str) -> None:
    data = picture(kind=kind)
    key = upload(client, data)
    answer = client.get(f"/images/{key}")
    assert (answer.status, answer.headers["content-type"]) == (200, f"image/{kind.lower()}")
    assert answer.body == data


def test_a_thumbnail_is_made_and_listed(client: Client) -> None:
    key = upload(client, picture())
    assert client.get(f"/thumbnails/{key}").status == 404
    assert client.get("/images").json() == [{"key": key, "bytes": len(picture()), "thumbnail": False}]
    client.settle()
    assert thumbnail(client, key).size == (256, 192)
    assert client.get("/images").json()[0]["thumbnail"] is True
    assert [info.key for info in thumbnails.list()] == [key]


def test_a_photograph_on_its_side_is_turned_upright(client: Client) -> None:
    key = upload(client, make_rotated(picture(), width=1200))
    client.settle()
    small = thumbnail(client, key)
    assert small.size == (256, 192)
    red, _, blue = small.convert("RGB").getpixel((128, 10))
    assert red > 200 > 60 > blue


def test_transparency_is_kept(client: Client) -> None:
    key = upload(client, make_transparent(picture()))
    client.settle()
    small = thumbnail(client, key)
    assert small.mode == "RGBA"
    assert small.getpixel((0, 0))[3] != small.getpixel((small.width - 1, 0))[3]


def test_what_is_no_photograph_is_refused(client: Client) -> None:
    answer = client.post("/images", body=b"GIF89a", headers={"content-type": "image/gif"})
    assert (answer.status, answer.headers["content-type"]) == (415, "application/problem+json")
    assert list(photos.list()) == []


def test_a_body_beyond_the_limit_is_refused(client: Client) -> None:
    answer = client.post("/images", body=b"\x89PNG\r\n\x1a\n" + bytes(4 * 1024 * 1024))
    assert answer.status == 413


def test_a_broken_photograph_has_no_thumbnail_and_is_not_tried_again(client: Client) -> None:
    key = upload(client, b"\x89PNG\r\n\x1a\n and then nothing")
    client.settle()
    assert client.get(f"/thumbnails/{key}").status == 404


def test_who_asks_is_told_by_mail_once(client: Client) -> None:
    key = upload(client, picture(), notify="ada@example.com")
    client.settle()
    outbox = client.bucket("outbox")
    assert [info.key for info in outbox.list()] == [f"ada@example.com/{key}.json"]
    record = json.loads(outbox.read(f"ada@example.com/{key}.json"))
    assert record == {"to": "ada@example.com", "subject": f"{key} has arrived", "image": key}


def test_mail_to_nowhere_ends_among_the_dead_letters(client: Client) -> None:
    client.send("emails", {"to": "nowhere", "subject": "lost", "key": "k"})
    client.settle(timeout=60)
    assert list(client.bucket("outbox").list()) == []
    assert client.dead_letters("emails") == [{"to": "nowhere", "subject": "lost", "key": "k"}]


def test_the_daily_report_counts_the_photographs(client: Client) -> None:
    upload(client, picture())
    upload(client, picture(kind="JPEG"))
    client.tick("daily-report", at=datetime(2026, 3, 14, 8, 0, tzinfo=UTC))
    sizes = len(picture()) + len(picture(kind="JPEG"))
    assert json.loads(reports.read("2026-03-14.json")) == {"day": "2026-03-14", "photographs": 2, "bytes": sizes}


def test_a_direct_call_counts_by_prefix(client: Client) -> None:
    key = upload(client, picture())
    assert client.call("recount", {"prefix": key[:4]}) == {"photographs": 1}
    assert client.call("recount", {"prefix": "no such"}) == {"photographs": 0}


def test_unknown_keys_and_routes_are_404(client: Client) -> None:
    for path in ("/images/none.png", "/thumbnails/none.png", "/nothing"):
        assert client.get(path).status == 404
    assert client.delete("/images").headers["allow"] == "GET, HEAD, OPTIONS, POST"
