"""Payload 2.0: API Gateway HTTP APIs and Lambda function URLs.

https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html
https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html
"""

from __future__ import annotations

from portable.events import Headers, Query, Request
from portable_aws.limits import LAMBDA_PAYLOAD_BYTES
from portable_aws.triggers import malformed
from portable_aws.triggers.bodies import check_pairs, check_text, decode_body, encode_body, parse_query

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from portable.events import Response

__all__ = ["HTTPAPI", "FunctionURL"]


def _headers(request: Request) -> Headers:
    event = request.native
    given = event.get("headers") or _NONE
    check_pairs(given.items())
    headers = Headers(given)
    cookies = event.get("cookies")
    if cookies and "cookie" not in headers:
        headers.add("cookie", "; ".join(cookies))
    return headers


def _query(request: Request) -> Query:
    text = request.native.get("rawQueryString")
    return Query(parse_query(text) if text else ())


def _sent_body(request: Request) -> str | bytes:
    event = request.native
    if event.get("isBase64Encoded"):
        return request.body
    body: str = event.get("body") or ""
    return body


def _content_type(request: Request) -> str | None:
    headers = request.native.get("headers") or {}
    found: str | None = headers.get("content-type")  # this payload's header names are lower case
    return found


class _Request(Request):
    __slots__ = ()
    _lazy = {
        **Request._lazy,
        "body": decode_body,
        "content_type": _content_type,
        "sent_body": _sent_body,
        "client": lambda request: request.native["requestContext"]["http"].get("sourceIp"),
        "headers": _headers,
        "query": _query,
        "raw_query": lambda request: request.native.get("rawQueryString") or "",
        "root_path": lambda request: "",
        "scheme": lambda request: request.headers.get("x-forwarded-proto", "https"),
    }


_new = _Request.__new__
_NONE: dict[str, str] = {}


class FunctionURL:
    """A Lambda function URL. ``rawPath`` is percent-encoded, as sent."""

    source = "function-url"
    limit = LAMBDA_PAYLOAD_BYTES

    @staticmethod
    def decode(event: dict[str, Any]) -> Request:
        """The request. Raises ValueError naming what is missing."""
        try:
            request = _new(_Request)
            request.native = event
            request.method = method = event["requestContext"]["http"]["method"]
            request.raw_path = path = event["rawPath"]
            if method.__class__ is not str or path.__class__ is not str:
                raise TypeError(f"its method {method!r} and rawPath {path!r} are not both text")
            body = event.get("body")
            if body and not event.get("isBase64Encoded"):  # read at once: on first use it costs twice as much
                request.sent_body = body if body.__class__ is str else check_text(body)
                request.content_type = (event.get("headers") or _NONE).get("content-type")
        except (KeyError, TypeError, AttributeError) as error:
            raise malformed("function-url", "a function URL event", error, event) from error
        return request

    @staticmethod
    def encode(response: Response, event: dict[str, Any]) -> dict[str, Any]:  # noqa: ARG004 - ALB's needs it
        """The answer: repeated headers joined with commas, cookies apart."""
        media_type = response.media_type
        given = response._headers
        headers = {}
        if media_type is not None:
            headers["content-type"] = media_type
        body = response.body
        encoded = False
        if body.__class__ is not str:
            body, encoded = encode_body(response)
        answer = {"statusCode": response.status, "headers": headers, "body": body, "isBase64Encoded": encoded}
        if given is not None:
            for name in given:
                if name == "set-cookie":
                    answer["cookies"] = given.get_all(name)
                else:
                    headers[name] = given[name]
        return answer

    @staticmethod
    def stream_head(response: Response) -> dict[str, Any]:
        """What comes before the pieces of a streamed answer: as :meth:`encode`, but for the body."""
        headers: dict[str, str] = {}
        head: dict[str, Any] = {"statusCode": response.status, "headers": headers}
        found = Headers(response.header_pairs())
        for name in found:
            if name == "set-cookie":
                head["cookies"] = found.get_all(name)
            else:
                headers[name] = found[name]
        return head


class HTTPAPI(FunctionURL):
    """An HTTP API with payload format 2.0.

    API Gateway decodes ``rawPath`` before it hands it over, ``%2F`` among the rest (captures of live events:
    github.com/hotsock/voker/pull/8), so the path is taken as it is and encoded anew for ``raw_path``. A stage other
    than ``$default`` comes first in it, with a custom domain too.
    """

    source = "http-api"

    @staticmethod
    def decode(event: dict[str, Any]) -> Request:
        """The request. Raises ValueError naming what is missing."""
        try:
            request = _new(_Request)
            request.native = event
            context = event["requestContext"]
            request.method = method = context["http"]["method"]
            path = event["rawPath"]
            if method.__class__ is not str or path.__class__ is not str:
                raise TypeError(f"its method {method!r} and rawPath {path!r} are not both text")
            stage = context.get("stage", "$default")
            if stage != "$default":
                path = _without_stage(request, path, stage)
            if not path.isascii() or "%" in path or " " in path:
                path = _encode_anew(request, path)
            request.raw_path = path
            body = event.get("body")
            if body and not event.get("isBase64Encoded"):
                request.sent_body = body if body.__class__ is str else check_text(body)
                request.content_type = (event.get("headers") or _NONE).get("content-type")
        except (KeyError, TypeError, AttributeError) as error:
            raise malformed("http-api", "an HTTP API event of payload format 2.0", error, event) from error
        return request


def _without_stage(request: Request, path: str, stage: str) -> str:
    prefix = f"/{stage}"
    if path == prefix or path.startswith(prefix + "/"):
        request.root_path = prefix
        return path[len(prefix) :] or "/"
    return path


def _encode_anew(request: Request, path: str) -> str:
    from urllib.parse import quote

    request.path = path
    return quote(path, safe="/:@!$&'()*+,;=~-._")
