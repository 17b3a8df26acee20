"""Payload 1.0: API Gateway REST APIs, and Application Load Balancers, whose events look much the same.

https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-lambda-proxy-integrations.html
https://docs.aws.amazon.com/elasticloadbalancing/latest/application/lambda-functions.html
"""

from __future__ import annotations

from portable.events import Headers, Query, Request
from portable_aws.limits import ALB_ANSWER_BYTES, LAMBDA_PAYLOAD_BYTES
from portable_aws.triggers import malformed
from portable_aws.triggers.bodies import check_pairs, decode_body, encode_body, unquote_value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from portable.events import Response

__all__ = ["ALB", "RESTAPI"]


def check_name(value: Any, name: str) -> str:
    """What has to be text. Raises TypeError."""
    if value.__class__ is not str:
        raise TypeError(f"its {name} is {value!r}")
    text: str = value
    return text


def _pairs(event: dict[str, Any], single: str, multi: str) -> list[tuple[str, str]]:
    many = event.get(multi)
    if many:
        pairs = [(name, value) for name, values in many.items() for value in values or ()]
    else:
        pairs = [(name, value) for name, value in (event.get(single) or {}).items() if value is not None]
    check_pairs(pairs)
    return pairs


def _headers(request: Request) -> Headers:
    return Headers(_pairs(request.native, "headers", "multiValueHeaders"))


def _query_pairs(request: Request) -> list[tuple[str, str]]:
    return _pairs(request.native, "queryStringParameters", "multiValueQueryStringParameters")


class _RESTRequest(Request):
    __slots__ = ()
    _lazy = {
        **Request._lazy,
        "body": decode_body,
        "client": lambda request: (request.native["requestContext"].get("identity") or {}).get("sourceIp"),
        "headers": _headers,
        "query": lambda request: Query(_query_pairs(request)),
        "root_path": lambda request: "",
        "scheme": lambda request: request.headers.get("x-forwarded-proto", "https"),
    }


class _ALBRequest(Request):
    __slots__ = ()
    _lazy = {
        **_RESTRequest._lazy,
        # The load balancer appends the address it saw; what stands before that was the caller's to write.
        "client": lambda request: request.headers.get("x-forwarded-for", "").rpartition(",")[2].strip() or None,
        "query": lambda request: Query(
            [(unquote_value(name), unquote_value(value)) for name, value in _query_pairs(request)]
        ),
        "raw_query": lambda request: "&".join(f"{name}={value}" for name, value in _query_pairs(request)),
        "scheme": lambda request: request.headers.get("x-forwarded-proto", "http"),
    }


def _answer(response: Response) -> dict[str, Any]:
    body, encoded = encode_body(response)
    return {"statusCode": response.status, "body": body, "isBase64Encoded": encoded}


def _multi(response: Response) -> dict[str, list[str]]:
    headers: dict[str, list[str]] = {}
    for name, value in response.header_pairs():
        headers.setdefault(name, []).append(value)
    return headers


class RESTAPI:
    """A REST API with a Lambda proxy integration.

    ``path`` is percent-encoded. On the API's own host the stage is not in it; on a custom domain the base path is,
    and the stage where the mapping names none.
    """

    source = "rest-api"
    limit = LAMBDA_PAYLOAD_BYTES

    @staticmethod
    def decode(event: dict[str, Any]) -> Request:
        """The request. Raises ValueError naming what is missing."""
        try:
            request = _RESTRequest.__new__(_RESTRequest)
            request.native = event
            request.method = check_name(event["httpMethod"], "httpMethod")
            path = check_name(event["path"], "path")
            context = event["requestContext"]
            whole = context.get("path", path)
            if whole != path:
                request.root_path = f"/{context['stage']}"
            elif event.get("resource"):
                path = _without_base(request, path, event["resource"], event.get("pathParameters") or {})
            request.raw_path = path
        except (KeyError, TypeError, AttributeError) as error:
            raise malformed("rest-api", "a REST API event of payload format 1.0", error, event) from error
        return request

    @staticmethod
    def encode(response: Response, event: dict[str, Any]) -> dict[str, Any]:  # noqa: ARG004 - ALB's needs it
        """The answer. No key but those documented: an extra one is a 502."""
        answer = _answer(response)
        answer["multiValueHeaders"] = _multi(response)
        return answer

    @staticmethod
    def stream_head(response: Response) -> dict[str, Any]:
        """What comes before the pieces of a streamed answer."""
        return {"statusCode": response.status, "multiValueHeaders": _multi(response)}


def _without_base(request: Request, path: str, resource: str, parameters: dict[str, str]) -> str:
    """Without what a custom domain's base path put before the resource that was matched."""
    extra = path.rstrip("/").count("/") - resource.rstrip("/").count("/")
    if resource.endswith("+}"):
        rest = parameters.get(resource.rpartition("{")[2][:-2], "")
        extra -= rest.rstrip("/").count("/")
    if extra <= 0:
        return path
    segments = path.split("/")
    request.root_path = "/".join(segments[: extra + 1])
    return "/" + "/".join(segments[extra + 1 :])


class ALB:
    """A Lambda target of an Application Load Balancer.

    Path and query come as sent, still encoded. Whether headers are single or multi-valued is an attribute of the
    target group, and the answer must follow it; the event tells, and nothing else does.
    """

    source = "alb"
    limit = ALB_ANSWER_BYTES

    @staticmethod
    def decode(event: dict[str, Any]) -> Request:
        """The request. Raises ValueError naming what is missing."""
        try:
            request = _ALBRequest.__new__(_ALBRequest)
            request.native = event
            request.method = check_name(event["httpMethod"], "httpMethod")
            request.raw_path = check_name(event["path"], "path") or "/"
        except (KeyError, TypeError) as error:
            raise malformed("alb", "an ALB event", error, event) from error
        return request

    @staticmethod
    def encode(response: Response, event: dict[str, Any]) -> dict[str, Any]:
        """The answer, single or multi-valued as the event is."""
        answer = _answer(response)
        if "multiValueHeaders" in event:
            answer["multiValueHeaders"] = _multi(response)
        else:
            answer["headers"] = _single(response)
        return answer


def _single(response: Response) -> dict[str, str]:
    """One value a name. Cookies cannot be joined, so each further one spells its header's name in another case."""
    headers: dict[str, str] = {}
    for name, values in _multi(response).items():
        if name == "set-cookie":
            for position, value in enumerate(values):
                headers[_spelled(name, position)] = value
        else:
            headers[name] = ",".join(values)
    return headers


def _spelled(name: str, variant: int) -> str:
    """``name`` with the letters upper-cased that the bits of ``variant`` choose: 512 spellings of ``set-cookie``."""
    spelled = []
    for letter in name:
        if letter.isalpha():
            spelled.append(letter.upper() if variant & 1 else letter)
            variant >>= 1
        else:
            spelled.append(letter)
    return "".join(spelled)
