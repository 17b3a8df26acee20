"""Forms, uploads and the ready-made middleware, as a type checker sees them. Never run."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, assert_type

from portable import (
    CORS,
    App,
    ETag,
    File,
    Form,
    FormData,
    FormLimits,
    GZip,
    Ranges,
    Request,
    Response,
    Upload,
    check_conditions,
    redirect,
)

app = App("album", max_body=10_000_000)
app.middleware(CORS(["https://shop.example"], credentials=True, max_age=timedelta(hours=1)))
app.middleware(CORS("*"))
app.middleware(GZip(500, level=9))
app.middleware(ETag(weak=True))
app.middleware(Ranges())


@app.post("/pictures")
def add_picture(
    title: Annotated[str, Form(max_length=80)],
    photo: Annotated[Upload, File(max_bytes=5_000_000)],
    more: list[Upload],
) -> str:
    """Parameters of a form."""
    assert_type(photo.read(), bytes)
    assert_type([one.size for one in more], list[int])
    return title


@app.post("/any")
async def any_form(request: Request) -> Response | None:
    """The form itself."""
    with await request.aform(FormLimits(files=5)) as form:
        assert_type(form, FormData)
        assert_type(form["a"], str)
        assert_type(form.files.get("a"), Upload | None)
        assert_type(form.files["a"], Upload)
        app.bucket("pictures").write("a", form.files["a"].file)
    if answer := check_conditions(request, etag="7", modified=datetime.now(UTC)):
        assert_type(answer, Response)
        return answer
    answer = redirect("/", 303)
    answer.set_cookie("a", "b", max_age=timedelta(days=1), partitioned=True)
    answer.delete_cookie("a", partitioned=True)
    return answer
