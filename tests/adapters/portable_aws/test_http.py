"""HTTP codecs on the events AWS documents."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
from typing import Any

import pytest

from portable import Response
from portable.http.routing import Routes
from portable.triggers import HTTPRoute, Settings
from portable_aws.triggers.http_v1 import ALB, RESTAPI
from portable_aws.triggers.http_v2 import HTTPAPI, FunctionURL

Load = Callable[[str], Any]


def found(request: Any, path: str) -> dict[str, str] | None:
    """The parameters with which a route answers the request."""
    routes = Routes([HTTPRoute(request.method, path, lambda: None, Settings(function="http"))])
    hit = routes.find(request.method, request.raw_path)
    return None if hit is None else hit[1]


def cookies(value: Any) -> Response:
    response = Response(value, 201, [("x-a", "1"), ("X-A", "2")], "application/json")
    response.set_cookie("a", "1", path=None, secure=False, httponly=False, samesite=None)
    response.set_cookie("b", "2", path=None, secure=False, httponly=False, samesite=None)
    return response


class TestHTTPAPI:
    def test_documented_event(self, payload: Load) -> None:
        event = payload("http_api")
        request = HTTPAPI.decode(event)
        assert (request.method, request.path, request.raw_path, request.root_path) == (
            "POST",
            "/my/path",
            "/my/path",
            "",
        )
        assert request.query.items() == [("parameter1", "value1"), ("parameter1", "value2"), ("parameter2", "value")]
        assert request.headers["Header2"] == "value1,value2"
        assert request.headers["cookie"] == "cookie1=1; cookie2=2"
        assert request.cookies == {"cookie1": "1", "cookie2": "2"}
        assert (request.body, request.client, request.scheme) == (b"Hello from Lambda", "192.0.2.1", "https")
        assert request.host == "id.execute-api.us-east-1.amazonaws.com"
        assert request.native is event

    @pytest.mark.parametrize("body", [None, ""])
    def test_empty_body(self, payload: Load, body: str | None) -> None:
        assert HTTPAPI.decode(payload("http_api") | {"body": body, "isBase64Encoded": True}).body == b""

    def test_absent_parts(self, payload: Load) -> None:
        event = payload("http_api")
        for name in ("body", "cookies", "headers", "rawQueryString", "queryStringParameters"):
            del event[name]
        request = HTTPAPI.decode(event)
        assert (request.body, request.headers.items(), request.query.items()) == (b"", [], [])
        assert (request.host, request.scheme, request.cookies) == ("", "https", {})

    def test_the_path_comes_decoded_and_is_not_decoded_again(self, payload: Load) -> None:
        request = HTTPAPI.decode(payload("http_api") | {"rawPath": "/items/100%25 é"})
        assert (request.path, request.raw_path) == ("/items/100%25 é", "/items/100%2525%20%C3%A9")
        assert found(request, "/items/{key}") == {"key": "100%25 é"}

    @pytest.mark.parametrize(
        ("raw", "root", "path"),
        [
            ("/dev/my/path", "/dev", "/my/path"),
            ("/dev", "/dev", "/"),
            ("/dev/", "/dev", "/"),
            ("/device", "", "/device"),
        ],
    )
    def test_stage(self, payload: Load, raw: str, root: str, path: str) -> None:
        event = payload("http_api") | {"rawPath": raw}
        event["requestContext"]["stage"] = "dev"
        request = HTTPAPI.decode(event)
        assert (request.root_path, request.raw_path, request.path) == (root, path, path)

    def test_query_as_sent(self, payload: Load) -> None:
        event = payload("http_api") | {"rawQueryString": "a=1%2B1+x&b&c=&%C3%A9=%F0%9F%90%8D&a=2&&=z"}
        assert HTTPAPI.decode(event).query.items() == [
            ("a", "1+1 x"),
            ("b", ""),
            ("c", ""),
            ("é", "🐍"),
            ("a", "2"),
            ("", "z"),
        ]

    def test_answer(self, payload: Load) -> None:
        assert HTTPAPI.encode(cookies('{"é":1}'), payload("http_api")) == {
            "statusCode": 201,
            "headers": {"content-type": "application/json", "x-a": "1,2"},
            "cookies": ["a=1", "b=2"],
            "body": '{"é":1}',
            "isBase64Encoded": False,
        }

    @pytest.mark.parametrize(
        ("data", "media_type", "encoded"),
        [
            (b"\x89PNG", "image/png", True),
            (b"text", "image/png", True),
            ("é".encode(), "text/plain; charset=utf-8", False),
            ("é".encode("latin-1"), "text/plain; charset=latin-1", True),
            (b"\xff\xfe", "text/plain", True),
            (b"{}", "application/vnd.api+json", False),
            (b"a=b", "application/x-www-form-urlencoded", False),
            (b"", "image/png", True),
        ],
    )
    def test_binary_in_base64_and_text_as_text(self, data: bytes, media_type: str, encoded: bool) -> None:
        answer = HTTPAPI.encode(Response(data, media_type=media_type), {})
        assert answer["isBase64Encoded"] is encoded
        assert answer["body"] == (b64encode(data) if encoded else data).decode()

    def test_a_given_content_type_wins(self) -> None:
        answer = HTTPAPI.encode(Response("<a/>", 200, {"Content-Type": "text/xml"}, "text/plain"), {})
        assert answer["headers"] == {"content-type": "text/xml"}

    def test_no_body(self) -> None:
        assert HTTPAPI.encode(Response(None, 204), {}) == {
            "statusCode": 204,
            "headers": {},
            "body": "",
            "isBase64Encoded": False,
        }


def test_function_url(payload: Load) -> None:
    request = FunctionURL.decode(payload("function_url"))
    assert (request.raw_path, request.path) == ("/my/p%2Fath", "/my/p/ath")
    assert found(request, "/my/{key}") == {"key": "p/ath"}
    assert (request.body, request.client) == (b"Hello from client!", "123.123.123.123")
    assert request.cookies == {"cookie1": "1", "cookie2": "2"}


class TestRESTAPI:
    def test_documented_event(self, payload: Load) -> None:
        request = RESTAPI.decode(payload("rest_api"))
        assert (request.method, request.raw_path, request.path) == ("GET", "/my/p%C3%A4th", "/my/päth")
        assert request.root_path == "/stage"
        assert request.query.items() == [("parameter1", "value1"), ("parameter1", "value2"), ("parameter2", "a+b &c")]
        assert request.headers.get_all("header2") == ["value1", "value2"]
        assert (request.cookies, request.client, request.scheme) == ({"a": "1", "b": "2"}, "192.0.2.7", "https")
        assert (request.body, request.host) == (b"", "id.execute-api.us-east-1.amazonaws.com")

    @pytest.mark.parametrize(
        ("path", "whole", "resource", "parameters", "root", "raw"),
        [
            ("/", "/stage", "/", None, "/stage", "/"),
            ("/", "/stage/", "/", None, "/stage", "/"),
            # On a custom domain `path` holds the base path, and requestContext.path says the same.
            ("/v1/a/b%2Fc", "/v1/a/b%2Fc", "/{proxy+}", {"proxy": "a/b%2Fc"}, "/v1", "/a/b%2Fc"),
            ("/v1/stage/a/b", "/v1/stage/a/b", "/{proxy+}", {"proxy": "a/b"}, "/v1/stage", "/a/b"),
            ("/v1", "/v1", "/", None, "/v1", "/"),
            ("/v1/users/7", "/v1/users/7", "/users/{id}", {"id": "7"}, "/v1", "/users/7"),
            ("/a/b", "/a/b", "/{proxy+}", {"proxy": "a/b"}, "", "/a/b"),
            ("/a/", "/a/", "/{proxy+}", {"proxy": "a/"}, "", "/a/"),
        ],
    )
    def test_stage_and_base_path(
        self, payload: Load, path: str, whole: str, resource: str, parameters: Any, root: str, raw: str
    ) -> None:
        event = payload("rest_api") | {"path": path, "resource": resource, "pathParameters": parameters}
        event["requestContext"]["path"] = whole
        request = RESTAPI.decode(event)
        assert (request.root_path, request.raw_path) == (root, raw)

    def test_answer_has_no_other_keys(self, payload: Load) -> None:
        assert RESTAPI.encode(cookies("{}"), payload("rest_api")) == {
            "statusCode": 201,
            "multiValueHeaders": {
                "content-type": ["application/json"],
                "x-a": ["1", "2"],
                "set-cookie": ["a=1", "b=2"],
            },
            "body": "{}",
            "isBase64Encoded": False,
        }


class TestALB:
    def test_single_valued(self, payload: Load) -> None:
        request = ALB.decode(payload("alb"))
        assert (request.raw_path, request.path) == ("/a%2Fb", "/a/b")
        assert request.query.items() == [("na me", "a+b c"), ("empty", "")]
        assert (request.client, request.scheme) == ("72.21.198.66", "https")
        assert request.cookies == {"name1": "value1", "name2": "value2"}
        assert request.body == b"request_body"

    def test_multi_valued(self, payload: Load) -> None:
        request = ALB.decode(payload("alb_multi"))
        assert request.query.items() == [("myKey", "val1"), ("myKey", "val 2")]
        assert (request.headers["x-a"], request.headers.get_all("x-a")) == ("1,2", ["1", "2"])
        assert (request.client, request.scheme, request.body) == ("72.21.198.66", "http", b"")

    def test_answer_follows_the_target_group(self, payload: Load) -> None:
        multi = ALB.encode(cookies("{}"), payload("alb_multi"))
        assert set(multi) == {"statusCode", "multiValueHeaders", "body", "isBase64Encoded"}
        assert multi["multiValueHeaders"]["set-cookie"] == ["a=1", "b=2"]
        single = ALB.encode(cookies("{}"), payload("alb"))
        assert set(single) == {"statusCode", "headers", "body", "isBase64Encoded"}
        assert single["headers"] == {
            "content-type": "application/json",
            "x-a": "1,2",
            "set-cookie": "a=1",
            "Set-cookie": "b=2",
        }

    def test_many_cookies_in_single_valued_headers(self, payload: Load) -> None:
        response = Response("")
        for number in range(40):
            response.set_cookie(f"c{number}")
        headers = ALB.encode(response, payload("alb"))["headers"]
        assert len(headers) == 40
        assert {name.lower() for name in headers} == {"set-cookie"}


@pytest.mark.parametrize(
    ("codec", "event", "missing"),
    [
        (HTTPAPI, {}, "'requestContext' is missing"),
        (HTTPAPI, {"requestContext": {"http": {"method": "GET"}}}, "'rawPath' is missing"),
        (FunctionURL, {"requestContext": {}}, "'http' is missing"),
        (RESTAPI, {"httpMethod": "GET"}, "'path' is missing"),
        (ALB, {}, "'httpMethod' is missing"),
        (ALB, [], "it is list, not an object"),
        (HTTPAPI, None, "it is NoneType, not an object"),
    ],
)
def test_malformed(codec: Any, event: Any, missing: str) -> None:
    with pytest.raises(ValueError, match=f"\\({codec.source}\\): {missing}"):
        codec.decode(event)
