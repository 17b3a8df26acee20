"""A check of the app's as a Lambda authorizer: what API Gateway calls before the function itself.

https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-lambda-authorizer.html (simple answers)
https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-use-lambda-authorizer.html (policies)
"""

from __future__ import annotations

from portable.errors import HTTPError
from portable.resources import set_platform
from portable.router import import_object
from portable.security.guard import Guard
from portable_aws.platform import AWSPlatform
from portable_aws.triggers import codec_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

__all__ = ["entry"]


class Unauthorized(Exception):
    """API Gateway answers 401 to a REST API's caller when an authorizer fails with this very word."""


def entry(spec: str, source: str) -> Callable[[Any, Any], Any]:
    """The handler of an authorizer, for ``awslambdaric``.

    It lets pass what the guard lets pass, and hands on what that found: a token's claims, or who it is. It refuses what
    the guard refuses; on anything else it fails, which API Gateway takes for a refusal too.

    Args:
        spec: ``module:variable`` of a JWTBearer, APIKey or BasicAuth. source: ``"http-api"`` or ``"rest-api"``.

    Raises ConfigError for one that is none; what the module's import raises passes through.
    """
    set_platform(AWSPlatform(None))
    guard: Guard = import_object(spec, Guard)
    decode = codec_of("http", source).decode
    answer = _simple if source == "http-api" else _policy

    def handle(event: Any, native: Any) -> Any:  # noqa: ARG001 - what awslambdaric calls
        request = decode(event)
        try:
            found = None if guard.leaves_alone(request) else guard.check(request)
        except HTTPError as error:
            if error.status >= 500:
                raise
            return answer(event, None, error.status)
        return answer(event, _context(found), 200)

    return handle


def _simple(event: Any, context: dict[str, Any] | None, status: int) -> dict[str, Any]:  # noqa: ARG001 - as a policy
    return {"isAuthorized": False} if context is None else {"isAuthorized": True, "context": context}


def _policy(event: Any, context: dict[str, Any] | None, status: int) -> dict[str, Any]:
    """For the whole stage: it is kept for a while, and counts for the caller's next requests, whatever their paths."""
    if context is None and status != 403:
        raise Unauthorized("Unauthorized")
    stage = "/".join(event["methodArn"].split("/")[:2])
    effect = "Deny" if context is None else "Allow"
    statement = {"Action": "execute-api:Invoke", "Effect": effect, "Resource": f"{stage}/*"}
    return {
        "principalId": str((context or {}).get("sub") or "caller"),
        "policyDocument": {"Version": "2012-10-17", "Statement": [statement]},
        "context": context or {},
    }


def _context(found: Any) -> dict[str, Any]:
    """What was found, as both kinds of API can hand it on: texts, numbers and booleans by name."""
    if isinstance(found, str):
        return {"sub": found}
    if not isinstance(found, dict):
        return {}
    from portable.jsontext import encode_text

    flat = (str, int, float, bool)
    return {
        str(name): value if isinstance(value, flat) else encode_text(value)
        for name, value in found.items()
        if value is not None
    }
