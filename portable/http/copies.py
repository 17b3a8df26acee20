"""Changing an answer that its handler may give out again: on a copy."""

from __future__ import annotations

from portable.events import Headers, Response

__all__ = ["add_vary", "bytes_of", "copied"]


def copied(response: Response) -> Response:
    """The same answer with headers of its own. One that is sent while it is made is read once, and has them already."""
    if response.streamed:
        return response
    return Response(
        response.body,
        response.status,
        None if response._headers is None else response._headers.items(),
        response.media_type,
    )


def add_vary(headers: Headers, name: str) -> None:
    """Say that the answer depends on a header of the request, once."""
    said = [part.strip().lower() for value in headers.get_all("vary") for part in value.split(",")]
    if "*" not in said and name.lower() not in said:
        headers["vary"] = ", ".join([*headers.get_all("vary"), name])


def bytes_of(response: Response) -> bytes | None:
    """The body as it is sent; None when there is none, or it is sent while it is made."""
    body = response.body
    if body is None or response.streamed:
        return None
    return body.encode() if isinstance(body, str) else bytes(body)
