"""The app's OpenAPI document, and Swagger UI to read it with, whose files come from an installed package and no CDN.

Both are below ``/_portable/docs``, and at ``/docs`` and ``/openapi.json`` as well where the app has no such route. They
answer this machine alone, like every page of this server.
"""

from __future__ import annotations

import threading
from html import escape
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI, HTTPException
from fastapi.responses import FileResponse, HTMLResponse, Response

from portable.build.project import find_project
from portable.dev.application import CONTROL, Application
from portable.errors import PortableError
from portable.jsontext import encode_text
from portable.openapi import make_document, project_info

if TYPE_CHECKING:
    from portable.dev.serving import Session

__all__ = ["add_documents"]

_AT = f"{CONTROL}/docs"
_FILES = {
    "swagger-ui-bundle.js": "text/javascript",
    "swagger-ui.css": "text/css",
    "favicon-32x32.png": "image/png",
}
_HEADERS = {
    # Swagger UI styles its elements one by one; scripts come from this server alone, and so do the requests it makes.
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'",
    "x-content-type-options": "nosniff",
    "cache-control": "no-store",
}
_START = f"""\
SwaggerUIBundle({{
  url: "{_AT}/openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  displayRequestDuration: true,
  validatorUrl: null,
}});
"""


def add_documents(api: FastAPI, session: Session) -> None:
    """Add the routes to the application of the pages."""
    written: list[str] = []
    writing = threading.Lock()

    def document() -> Response:
        application = session.application
        if application is None:
            raise HTTPException(503, f"The app does not start: {session.failure}")
        with writing:
            if not written:
                written.append(encode_text(_make(application)))
        return Response(written[0], media_type="application/json", headers={"cache-control": "no-store"})

    def page() -> HTMLResponse:
        name = session.application.app.name if session.application else "the app, which does not start"
        return HTMLResponse(_page(name), headers=_HEADERS)

    def start() -> Response:
        return Response(_START, media_type="text/javascript", headers=_HEADERS)

    def file(name: str) -> FileResponse:
        folder = _folder()
        if name not in _FILES or folder is None:
            raise HTTPException(404, "Swagger UI's files are those of fastapi-swagger: pip install fastapi-swagger")
        return FileResponse(folder / name, media_type=_FILES[name], headers={"x-content-type-options": "nosniff"})

    for path, endpoint in (
        ("/openapi.json", document),
        ("/docs", page),
        (_AT, page),
        (f"{_AT}/openapi.json", document),
        (f"{_AT}/start.js", start),
        (f"{_AT}/{{name}}", file),
    ):
        api.add_api_route(path, endpoint, methods=["GET", "HEAD"], include_in_schema=False, response_model=None)


def _make(application: Application) -> dict[str, Any]:
    try:
        info = project_info(find_project(application.root).document)
    except PortableError:
        info = {}
    document = make_document(application.app, info)
    if "servers" in document:  # what is tried out on these pages is tried here
        document["servers"] = [{"url": "/", "description": "this machine"}]
    return document


def _folder() -> Path | None:
    """Where Swagger UI's files are. The package is not imported: it is a FastAPI extension around them."""
    spec = find_spec("fastapi_swagger")
    places = list(spec.submodule_search_locations or ()) if spec else []
    return Path(places[0]) / "resources" if places else None


def _page(name: str) -> str:
    ready = _folder() is not None
    body = (
        "<div id=swagger-ui></div>"
        if ready
        else (
            "<p>Swagger UI is not installed: <code>pip install 'portable-functions[dev]'</code>. "
            f"The document itself is at <a href='{_AT}/openapi.json'>{_AT}/openapi.json</a>."
        )
    )
    scripts = f"<script src='{_AT}/swagger-ui-bundle.js'></script><script src='{_AT}/start.js'></script>"
    return (
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>"
        f"<title>{escape(name)} · docs</title><link rel=icon href='{_AT}/favicon-32x32.png'>"
        f"<link rel=stylesheet href='{_AT}/swagger-ui.css'><body>{body}{scripts if ready else ''}</body></html>"
    )
