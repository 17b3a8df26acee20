"""Forms, uploads, the ready-made middleware and conditional requests: the same answers on every target."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Annotated, Any

import msgspec

from portable import (
    CORS,
    App,
    ETag,
    File,
    Form,
    GZip,
    HTTPError,
    Ranges,
    Request,
    Response,
    Upload,
    check_conditions,
    redirect,
)


class Login(msgspec.Struct):
    user: str
    age: int = 0
    tags: list[str] = []
    keep: bool = False


app = App("forms", max_body=2_000_000)
app.middleware(CORS(["https://shop.example"], headers=["x-token"], expose=["etag"], credentials=True))
app.middleware(GZip())
app.middleware(ETag())
app.middleware(Ranges())


def shown(upload: Upload) -> dict[str, Any]:
    content = upload.read()
    return {
        "name": upload.name,
        "filename": upload.filename,
        "type": upload.content_type,
        "size": upload.size,
        "sha256": sha256(content).hexdigest(),
    }


@app.post("/upload", status=201)
def upload(
    title: Annotated[str, Form()],
    photo: Annotated[Upload, File(max_bytes=1_500_000)],
    more: list[Upload] = [],  # noqa: B006 - never changed
    count: Annotated[int, Form(ge=1)] = 1,
) -> dict[str, Any]:
    return {"title": title, "count": count, "photo": shown(photo), "more": [shown(one) for one in more]}


@app.post("/upload-later")
async def upload_later(photo: Upload) -> dict[str, Any]:
    return shown(photo)


@app.post("/login")
def login(form: Annotated[Login, Form()]) -> Login:
    return form


@app.post("/any")
def any_form(request: Request) -> dict[str, Any]:
    with request.form() as form:
        return {"fields": form.items(), "files": [shown(one) for one in form.files.all()]}


@app.post("/sized", max_body=100)
def sized(request: Request) -> int:
    return len(request.body)


@app.get("/page")
def page() -> str:
    return "words of a page, " * 200


@app.get("/data")
async def data() -> dict[str, Any]:
    return {"rows": list(range(500))}


@app.get("/image")
def image() -> Response:
    return Response(bytes(range(256)) * 8, media_type="image/png")


@app.route("/note", methods=["GET", "PUT"])
def note(request: Request) -> Response | str:
    changed = datetime(2026, 3, 29, 12, tzinfo=UTC)
    if answer := check_conditions(request, etag="7", modified=changed, required=True):
        return answer
    return Response("a note", headers={"etag": '"7"', "last-modified": "Sun, 29 Mar 2026 12:00:00 GMT"})


@app.get("/old/{name}")
def old(name: str) -> Response:
    return redirect(f"/new/{name}?from=old", 308)


@app.get("/cookies")
def cookies() -> Response:
    answer = Response("x")
    answer.set_cookie("a", "1", max_age=timedelta(hours=1), samesite="none")
    answer.delete_cookie("b", path="/p")
    return answer


@app.get("/fails")
def fails() -> None:
    raise HTTPError(409, "so it is")
