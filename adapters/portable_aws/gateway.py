"""Checks of the app's that API Gateway can make itself, in the forms it takes.

https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-jwt-authorizer.html: an HTTP API checks tokens of
one issuer, signed with RSA, whose keys it finds by OpenID Connect Discovery; ``aud``, or ``client_id`` where there is
no ``aud``, is one of a list; a route's scopes are alternatives. The function checks every token again, and all scopes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from portable.build.target import Finding
from portable.guards import GuardRecord
from portable.manifest import Manifest, TriggerRecord

__all__ = ["authorizer_entry", "authorizers_of", "check_authorizer", "route_key"]

AUTHORIZED = ("http-api", "rest-api")
"""Sources that may ask a Lambda authorizer first."""

_PARAMETER = re.compile(r"\{(\w+)(?::(\w+))?\}")
_HEADER = "$request.header.Authorization"

_ENTRY = '''\
"""A Lambda authorizer: ``portable_authorizer.handler``. Written by `portable build`."""

from portable_aws.authorizer import entry

handler = entry({spec!r}, {source!r})
'''


def authorizer_entry(spec: str, source: str) -> bytes:
    """The module whose ``handler`` API Gateway calls before the function."""
    return _ENTRY.format(spec=spec, source=source).encode()


def authorizers_of(manifest: Manifest, source: str) -> dict[str, Any]:
    """The authorizers and the routes they stand before; empty where the app has no check, or no HTTP API.

    ``cloudformation``: resources of type ``AWS::ApiGatewayV2::Authorizer``, the API under the name HttpApi.
    ``openapi``: the same as security schemes with ``x-amazon-apigateway-authorizer``. ``routes``: by route key, what
    ``AWS::ApiGatewayV2::Route`` says of them. ``left``: checks the function alone makes, by name, and why.
    """
    if source != "http-api" or not manifest.guards:
        return {}
    refused = {guard.name: why for guard in manifest.guards if (why := _why_not(guard))}
    native = {guard.name: guard for guard in manifest.guards if guard.name not in refused}
    routes = {}
    for function in manifest.functions:
        for trigger in function.triggers:
            if trigger.kind == "http" and (found := _route(trigger, native)) is not None:
                routes[route_key(trigger)] = found
    return {
        "cloudformation": {"Resources": {_logical(guard.name): _resource(guard) for guard in native.values()}},
        "openapi": {"components": {"securitySchemes": {guard.name: _scheme(guard) for guard in native.values()}}},
        "routes": routes,
        "left": refused,
    }


def check_authorizer(manifest: Manifest, spec: object, source: str) -> Iterator[Finding]:
    """What is wrong with the setting ``authorizer``, the check that is to be a Lambda authorizer."""
    if spec is None:
        return
    named = f"[tool.portable.aws] authorizer = {spec!r}"
    known = [guard.spec for guard in manifest.guards if guard.spec]
    if spec not in known:
        way_out = (
            f"one of {', '.join(known)}" if known else "a JWTBearer, APIKey or BasicAuth that is a module's global"
        )
        yield Finding("error", "pyproject.toml", f"{named}: the app has no such check before its routes", way_out)
    if source not in AUTHORIZED:
        message = f"{named}: {source} asks no Lambda authorizer"
        yield Finding("error", "pyproject.toml", message, "[tool.portable.aws] http = 'http-api' or 'rest-api'")


def _why_not(guard: GuardRecord) -> str:
    """Why API Gateway cannot make this check; "" where it can."""
    if guard.kind != "jwt":
        return f"an HTTP API has no {guard.kind} authorizer: [tool.portable.aws] authorizer = 'module:variable'"
    if not guard.issuer or not guard.audience:
        return "an authorizer has one issuer and an audience, as texts in the code"
    if not guard.discovers:
        return "API Gateway finds the keys by the issuer's discovery document, not by jwks= or key="
    if guard.audience_claim not in ("aud", "client_id"):
        return f"API Gateway looks at aud and client_id, not at {guard.audience_claim}"
    if not any(algorithm.startswith("RS") for algorithm in guard.algorithms):
        return "API Gateway checks RSA signatures alone"
    return ""


def _resource(guard: GuardRecord) -> dict[str, Any]:
    return {
        "Type": "AWS::ApiGatewayV2::Authorizer",
        "Properties": {
            "ApiId": {"Ref": "HttpApi"},
            "AuthorizerType": "JWT",
            "IdentitySource": [_HEADER],
            "JwtConfiguration": {"Audience": list(guard.audience), "Issuer": guard.issuer},
            "Name": guard.name,
        },
    }


def _scheme(guard: GuardRecord) -> dict[str, Any]:
    return {
        "type": "oauth2",
        "flows": {},
        "x-amazon-apigateway-authorizer": {
            "type": "jwt",
            "identitySource": _HEADER,
            "jwtConfiguration": {"issuer": guard.issuer, "audience": list(guard.audience)},
        },
    }


def _route(trigger: TriggerRecord, native: Mapping[str, GuardRecord]) -> dict[str, Any] | None:
    """What a route says of its authorizer. A route has one: the first that API Gateway can make."""
    for asked in trigger.options.get("security", ()):
        guard = native.get(asked["scheme"])
        if guard is not None:
            route: dict[str, Any] = {"AuthorizationType": "JWT", "AuthorizerId": {"Ref": _logical(guard.name)}}
            # Where roles of another claim count as well, only the function knows what a token may do.
            return {**route, "AuthorizationScopes": asked["scopes"]} if asked["scopes"] and not guard.roles else route
    return None


def route_key(trigger: TriggerRecord) -> str:
    """``GET /users/{id}`` as API Gateway has it; the method of a mount is ``*``."""
    path = _PARAMETER.sub(lambda found: f"{{{found[1]}{'+' if found[2] == 'path' else ''}}}", trigger.options["path"])
    return f"{trigger.options['method']} {path}"


def _logical(name: str) -> str:
    """A logical id of CloudFormation: letters and digits."""
    return "".join(part.capitalize() for part in re.split(r"[^A-Za-z0-9]+", name)) + "Authorizer"
