"""HTTP events of AWS for neutral requests, in the shapes AWS documents (pages named in ``portable_aws.triggers``)."""

from __future__ import annotations

from base64 import b64encode
from typing import Any
from urllib.parse import unquote

from portable.events import Request
from portable.samples.neutral import request_target
from portable_aws.triggers.bodies import parse_query

__all__ = ["alb", "function_url", "http_api", "rest_api"]

_TRACE = "Root=1-5e6722a7-cc56xmpl46db7ae02d4da47e"
_TEXTUAL = ("application/json", "application/javascript", "application/xml")
STAGE = "prod"


def _body(request: Request) -> tuple[str | None, bool]:
    """As ALB documents it: text and JSON types as text, unless encoded; the rest in base64. None when empty."""
    if not request.body:
        return None, False
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if (kind.startswith("text/") or kind in _TEXTUAL) and "content-encoding" not in request.headers:
        try:
            return request.body.decode(), False
        except UnicodeDecodeError:
            pass
    return b64encode(request.body).decode(), True


def _raw_query(request: Request) -> str:
    return request_target(request).partition("?")[2]


def _forwarded(request: Request) -> list[tuple[str, str]]:
    """The request's headers and those AWS adds."""
    pairs = [pair for pair in request.headers.items() if not pair[0].startswith("x-forwarded-")]
    client = request.client or "203.0.113.7"
    port = "443" if request.scheme == "https" else "80"
    return [
        *pairs,
        ("x-amzn-trace-id", _TRACE),
        ("x-forwarded-for", client),
        ("x-forwarded-port", port),
        ("x-forwarded-proto", request.scheme),
    ]


def _grouped(pairs: list[tuple[str, str]]) -> dict[str, list[str]]:
    grouped: dict[str, list[str]] = {}
    for name, value in pairs:
        grouped.setdefault(name, []).append(value)
    return grouped


def _payload_2(request: Request, raw_path: str) -> dict[str, Any]:
    pairs = _forwarded(request)
    cookies = [part.strip() for name, value in pairs if name == "cookie" for part in value.split(";")]
    headers = {name: ",".join(values) for name, values in _grouped(pairs).items() if name != "cookie"}
    raw_query = _raw_query(request)
    body, encoded = _body(request)
    event: dict[str, Any] = {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": raw_path,
        "rawQueryString": raw_query,
        "headers": headers,
        "requestContext": {
            "accountId": "anonymous",
            "apiId": "api-id",
            "domainName": request.host,
            "domainPrefix": request.host.partition(".")[0],
            "http": {
                "method": request.method,
                "path": raw_path,
                "protocol": "HTTP/1.1",
                "sourceIp": request.client or "203.0.113.7",
                "userAgent": request.headers.get("user-agent", ""),
            },
            "requestId": "id",
            "routeKey": "$default",
            "stage": "$default",
            "time": "12/Mar/2020:19:03:58 +0000",
            "timeEpoch": 1583348638390,
        },
        "isBase64Encoded": encoded,
    }
    if raw_query:
        event["queryStringParameters"] = {
            name: ",".join(values) for name, values in _grouped(parse_query(raw_query)).items()
        }
    if cookies:
        event["cookies"] = cookies
        headers["cookie"] = "; ".join(cookies)
    if body is not None:
        event["body"] = body
    return event


def http_api(request: Request) -> dict[str, Any]:
    """An HTTP API decodes the path before anybody sees it, and leaves the cookies out of the headers."""
    event = _payload_2(request, unquote(request.raw_path))
    event["headers"].pop("cookie", None)
    return event


def function_url(request: Request) -> dict[str, Any]:
    """A function URL leaves the path as it was sent, and gives the cookies twice."""
    return _payload_2(request, request.raw_path)


def _last(grouped: dict[str, list[str]]) -> dict[str, str] | None:
    return {name: values[-1] for name, values in grouped.items()} or None


def rest_api(request: Request) -> dict[str, Any]:
    """A REST API on its own host, with a resource ``/{proxy+}``."""
    headers = _grouped(_forwarded(request))
    query = _grouped(parse_query(_raw_query(request)))
    body, encoded = _body(request)
    proxy = request.raw_path.removeprefix("/")
    return {
        "resource": "/{proxy+}" if proxy else "/",
        "path": request.raw_path,
        "httpMethod": request.method,
        "headers": _last(headers),
        "multiValueHeaders": headers,
        "queryStringParameters": _last(query),
        "multiValueQueryStringParameters": query or None,
        "pathParameters": {"proxy": proxy} if proxy else None,
        "stageVariables": None,
        "requestContext": {
            "accountId": "123456789012",
            "apiId": "id",
            "domainName": request.host,
            "httpMethod": request.method,
            "identity": {"sourceIp": request.client or "203.0.113.7", "userAgent": request.headers.get("user-agent")},
            "path": f"/{STAGE}{request.raw_path}",
            "protocol": "HTTP/1.1",
            "requestId": "id=",
            "requestTimeEpoch": 1583348638390,
            "resourcePath": "/{proxy+}" if proxy else "/",
            "stage": STAGE,
        },
        "body": body,
        "isBase64Encoded": encoded,
    }


def alb(request: Request) -> dict[str, Any]:
    """A target group with multi-value headers on. The query comes encoded, and a body is never absent."""
    raw = [part.partition("=") for part in _raw_query(request).split("&") if part]
    body, encoded = _body(request)
    group = "arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/portable/6d0ecf831eec9f09"
    return {
        "requestContext": {"elb": {"targetGroupArn": group}},
        "httpMethod": request.method,
        "path": request.raw_path,
        "multiValueQueryStringParameters": _grouped([(name, value) for name, _, value in raw]),
        "multiValueHeaders": _grouped(_forwarded(request)),
        "body": body or "",
        "isBase64Encoded": encoded,
    }
