"""Signed URLs of local buckets, answered by the server the app runs on."""

import httpx
import pytest

SOURCE = """
from datetime import timedelta

from portable import App

app = App("play")
photos = app.bucket("photos")


@app.post("/urls/{key:path}")
def sign(key: str, method: str = "GET") -> dict[str, str]:
    kind = "image/png" if method == "PUT" else None
    return {"url": photos.url(key, expires=timedelta(minutes=5), method=method, content_type=kind)}
"""


@pytest.fixture
def server(project, start):
    (project / "app.py").write_text(SOURCE, "utf-8")
    return start()


def test_a_browser_writes_and_reads_with_urls_alone(server):
    put = server.http.post("/urls/in/ä b.png?method=PUT").json()["url"]
    get = server.http.post("/urls/in/ä b.png").json()["url"]
    assert put.startswith(f"{server.url}/_portable/signed/photos?")
    elsewhere = {"origin": "https://shop.example", "sec-fetch-site": "cross-site"}
    with httpx.Client(trust_env=False) as browser:
        assert browser.get(get).status_code == 404
        assert browser.put(put, content=b"data", headers=elsewhere).status_code == 403  # not the signed content type
        assert browser.put(put, content=b"data", headers=elsewhere | {"content-type": "image/png"}).status_code == 200
        found = browser.get(get)
        assert (found.status_code, found.content, found.headers["content-type"]) == (200, b"data", "image/png")
        assert browser.head(get).status_code == 200
        for wrong in (get.replace("signature=", "signature=0"), get.replace("GET", "PUT"), get.partition("?")[0]):
            assert browser.get(wrong).status_code == 403
        assert browser.get(get.replace("/photos?", "/others?")).status_code == 404
        assert browser.put(get, content=b"x").status_code == 403
    assert server.blob("photos", "in/ä b.png") == "data"
