"""Answers the signed URLs of local buckets, as a cloud's object store would: for whoever has one, from anywhere."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl

from fastapi import FastAPI, Request
from fastapi import Response as Answer

from portable.errors import NotFoundError, PermissionDeniedError
from portable.events import Response
from portable.http.answers import problem
from portable.resources.bucket import check_key

__all__ = ["add_signed", "answer_signed"]


def answer_signed(driver: Any, method: str, query: str, headers: Mapping[str, str], body: bytes) -> Response:
    """The answer to one request for a URL of ``bucket.url``. ``headers``: names in lower case."""
    check = getattr(driver, "check_url", None)
    if check is None:
        return problem(404, "This bucket's URLs are not answered here")
    try:
        key = check_key("signed", check(dict(parse_qsl(query, keep_blank_values=True)), method, headers))
    except PermissionDeniedError as error:
        return problem(403, str(error))
    if method == "PUT":
        kind = headers.get("content-type") or "application/octet-stream"
        written = driver.write(
            key,
            body,
            content_type=kind,
            metadata=None,
            if_absent=False,
            if_match=None,
            cache_control=headers.get("cache-control"),
        )
        return Response(b"", 200, {"etag": f'"{written.etag}"'})
    try:
        info = driver.stat(key)
        data = driver.read(key, None, None, info.etag)
    except NotFoundError as error:
        return problem(404, str(error))
    found = {"etag": f'"{info.etag}"'}
    if info.cache_control:
        found["cache-control"] = info.cache_control
    found |= {f"x-meta-{name}": value for name, value in info.metadata.items()}
    return Response(data, 200, found, info.content_type)


def add_signed(api: FastAPI, path: str, driver_of: Callable[[str], Any]) -> None:
    """Serve the URLs of every bucket below ``path``. ``driver_of`` raises for a bucket the app does not have."""

    @api.api_route(f"{path}/{{name}}", methods=["GET", "HEAD", "PUT"], include_in_schema=False)
    async def signed(name: str, request: Request) -> Answer:
        driver, body = driver_of(name), await request.body()
        query, headers = request.url.query, dict(request.headers)
        response = await asyncio.to_thread(answer_signed, driver, request.method, query, headers, body)
        return Answer(response.body, response.status, dict(response.header_pairs()))
