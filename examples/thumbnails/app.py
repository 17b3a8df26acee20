"""Photographs in, thumbnails out: one app, the same on AWS, Google Cloud, Azure and this machine."""

from __future__ import annotations

import hashlib
import json

from mail import Email, emails
from mail import router as mail
from portable import App, Bucket, HTTPError, NotFoundError, Response, Tick
from storage import photos, reports, thumbnails

app = App("thumbnails")
app.include(mail)
app.include("images:router")  # by name: only the function that makes thumbnails imports Pillow

FORMATS = {b"\x89PNG\r\n\x1a\n": ("png", "image/png"), b"\xff\xd8\xff": ("jpg", "image/jpeg")}
MOST = 4 * 1024 * 1024  # bytes: less than any cloud takes in one request (AWS: 6 MB in base64)

# For the OpenAPI document: which bytes are taken and given.
PICTURES = {media_type: {} for _, media_type in FORMATS.values()}
SENT = {"requestBody": {"content": {"application/octet-stream": None, **PICTURES}}}
GIVEN = {200: {"description": "The picture", "content": PICTURES}}


@app.post("/images", status=201, max_body=MOST, openapi=SENT)
def upload(body: bytes, notify: str | None = None) -> dict[str, str]:
    """Keep a PNG or JPEG under a key made from its bytes: the same photograph twice is one blob."""
    for signature, (ending, media_type) in FORMATS.items():
        if body.startswith(signature):
            break
    else:
        raise HTTPError(415, "Send a PNG or a JPEG as the body")
    key = f"{hashlib.sha256(body).hexdigest()[:16]}.{ending}"
    photos.write(key, body, content_type=media_type)
    if notify is not None:
        emails.send(Email(to=notify, subject=f"{key} has arrived", key=key))
    return {"key": key, "image": f"/images/{key}", "thumbnail": f"/thumbnails/{key}"}


@app.get("/images")
def list_images() -> list[dict[str, object]]:
    """The photographs, and whether each has its thumbnail yet."""
    done = {info.key for info in thumbnails.list()}
    return [{"key": info.key, "bytes": info.size, "thumbnail": info.key in done} for info in photos.list()]


@app.get("/images/{key}", responses=GIVEN)
def get_image(key: str) -> Response:
    """The photograph as it was sent."""
    return answer_blob(photos, key)


@app.get("/thumbnails/{key}", responses=GIVEN)
def get_thumbnail(key: str) -> Response:
    """Its thumbnail; 404 until it is made."""
    return answer_blob(thumbnails, key)


def answer_blob(bucket: Bucket, key: str) -> Response:
    """A blob as an answer, or a 404."""
    try:
        return Response(bucket.read(key), media_type=bucket.stat(key).content_type)
    except NotFoundError as error:
        raise HTTPError(404, f"There is no {bucket.name} blob {key}") from error


@app.on_schedule(cron="0 8 * * *")
def daily_report(tick: Tick) -> None:
    """How many photographs there are, and their size. A second run on one day writes the same blob again."""
    sizes = [info.size for info in photos.list()]
    report = {"day": tick.scheduled_at.date().isoformat(), "photographs": len(sizes), "bytes": sum(sizes)}
    reports.write(f"{report['day']}.json", json.dumps(report))


@app.function()
def recount(payload: dict[str, str]) -> dict[str, int]:
    """Called by name: how many photographs have a key that starts with ``prefix``."""
    return {"photographs": sum(1 for _ in photos.list(payload.get("prefix", "")))}
