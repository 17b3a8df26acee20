"""What stands before HTTP functions: an HTTP API, function URLs; see also ``rest`` and ``balancer``."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

from portable.manifest import FunctionRecord, TriggerRecord
from portable_aws import limits
from portable_aws.gateway import authorizers_of, route_key
from portable_aws.infrastructure.access_logs import access_log
from portable_aws.infrastructure.balancer import add_balancer
from portable_aws.infrastructure.functions import AUTHORIZER, add_authorizer_function, add_authorizer_permission
from portable_aws.infrastructure.names import att, ref, sub
from portable_aws.infrastructure.plan import Plan, function_id
from portable_aws.infrastructure.rest import add_rest_api

__all__ = ["add_http"]

API = "HttpApi"


def add_http(plan: Plan) -> None:
    """Of the kind that the settings choose. Raises ConfigError for routes that cannot be told apart there."""
    functions = plan.of_kind("http")
    if not functions:
        return
    source = plan.source(functions[0].name)
    if plan.settings.get("authorizer"):
        add_authorizer_function(plan, functions[0])
    if source == "function-url":
        for function in functions:
            _add_url(plan, function)
    elif source == "http-api":
        _add_http_api(plan, functions)
    elif source == "rest-api":
        add_rest_api(plan, functions)
    else:
        add_balancer(plan, functions)


def _add_url(plan: Plan, function: FunctionRecord) -> None:
    kind = "AWS_IAM" if "cloud" in function.asks("auth") else "NONE"
    name = function_id(function.name)
    target = ref(f"{name}Alias") if plan.of(function.name).min_instances else ref(name)
    url = plan.add(
        f"{name}Url",
        "AWS::Lambda::Url",
        {
            "AuthType": kind,
            "TargetFunctionArn": target,
            "InvokeMode": "RESPONSE_STREAM" if any(function.asks("stream")) else "BUFFERED",
        },
    )
    if kind == "NONE":  # with IAM it is the caller's own policy that lets it in
        said: dict[str, Any] = {"FunctionName": target, "Principal": "*"}
        calls = {**said, "Action": "lambda:InvokeFunctionUrl", "FunctionUrlAuthType": kind}
        plan.add(f"{name}UrlPermission", "AWS::Lambda::Permission", calls)
        calls = {**said, "Action": "lambda:InvokeFunction", "InvokedViaFunctionUrl": True}
        plan.add(f"{name}UrlCallPermission", "AWS::Lambda::Permission", calls)
    plan.output(url, att(url, "FunctionUrl"), f"URL of function {function.name}")


def _add_http_api(plan: Plan, functions: list[FunctionRecord]) -> None:
    name = f"{plan.manifest.app}-{plan.deployment.stage}"
    # One name is all that a caller needs; a custom domain is an override.
    plan.add(API, "AWS::ApiGatewayV2::Api", {"Name": name, "ProtocolType": "HTTP"})
    said = {"ApiId": ref(API), "StageName": "$default", "AutoDeploy": True, **access_log(plan, API, "HTTP")}
    plan.add(f"{API}Stage", "AWS::ApiGatewayV2::Stage", said)
    for function in functions:
        _add_integration(plan, function)
    authorizations = _authorizations(plan, functions)
    keys = dict(_routes(functions))
    is_open = not any("cloud" in one.asks("auth") for one in functions)
    if is_open:
        keys = {key: value for key, value in keys.items() if len(functions) > 1 or key in authorizations}
        # A route nobody declared gets the app's own 404. Not before routes of IAM: none of them may be gone round.
        keys["$default"] = (functions[0].name, None)
    for key, (function_name, trigger) in sorted(keys.items()):
        route: dict[str, Any] = {
            "ApiId": ref(API),
            "RouteKey": key,
            "Target": sub(f"integrations/${{{function_id(function_name)}Integration}}"),
            **authorizations.get(key, {"AuthorizationType": "NONE"}),
        }
        if trigger is not None and trigger.options["auth"] == "cloud":
            route["AuthorizationType"] = "AWS_IAM"
        plan.add(_route_id(key), "AWS::ApiGatewayV2::Route", route)
    plan.output("HttpUrl", att(API, "ApiEndpoint"), "URL of the HTTP API")


def _route_id(key: str) -> str:
    """From the key, so that a route keeps its id when others come and go; words alone would not tell all apart."""
    return f"{API}Route{'Default' if key == '$default' else hashlib.sha256(key.encode()).hexdigest()[:10]}"


def _add_integration(plan: Plan, function: FunctionRecord) -> None:
    name = function_id(function.name)
    most = limits.HTTP_API_SECONDS * 1000
    plan.add(
        f"{name}Integration",
        "AWS::ApiGatewayV2::Integration",
        {
            "ApiId": ref(API),
            "IntegrationType": "AWS_PROXY",
            "IntegrationUri": plan.target(function.name),
            "PayloadFormatVersion": "2.0",
            "TimeoutInMillis": most,
        },
    )
    here = "arn:${AWS::Partition}:execute-api:${AWS::Region}:${AWS::AccountId}:${%s}/*"
    plan.permit(function.name, "Http", "apigateway.amazonaws.com", SourceArn=sub(here % API))


def _routes(functions: list[FunctionRecord]) -> Iterator[tuple[str, tuple[str, TriggerRecord | None]]]:
    """Every route key with its function. HEAD goes with GET, and OPTIONS, which answers a browser's question, with all.

    Those that are asked for come last, and stand where they are the same.
    """
    asked = [(trigger, one.name) for one in functions for trigger in one.triggers]
    for trigger, name in asked:
        _, path = route_key(trigger).split(" ", 1)
        yield f"OPTIONS {path}", (name, None)
    for trigger, name in asked:
        method, path = route_key(trigger).split(" ", 1)
        if method == "GET":
            yield f"HEAD {path}", (name, trigger)
    for trigger, name in asked:
        method, path = route_key(trigger).split(" ", 1)
        if method == "*":  # a mount: its path, and all below
            below = f"{path.rstrip('/')}/{{proxy+}}"
            yield f"ANY {below}", (name, trigger)
            yield f"ANY {path}", (name, trigger)
        else:
            yield f"{method} {path}", (name, trigger)


def _authorizations(plan: Plan, functions: list[FunctionRecord]) -> dict[str, dict[str, Any]]:
    """What a route says of its authorizer, by route key; the authorizers are added."""
    found = authorizers_of(plan.manifest, "http-api")
    for name, resource in found.get("cloudformation", {}).get("Resources", {}).items():
        plan.add(name, resource["Type"], resource["Properties"])
    routes: dict[str, dict[str, Any]] = dict(found.get("routes", {}))
    spec = plan.settings.get("authorizer")
    named = {guard.name for guard in plan.manifest.guards if guard.spec == spec} if spec else set()
    if named:
        _add_authorizer(plan)
        for function in functions:
            for trigger in function.triggers:
                if named & {asked["scheme"] for asked in trigger.options.get("security", ())}:
                    routes[route_key(trigger)] = {
                        "AuthorizationType": "CUSTOM",
                        "AuthorizerId": ref("HttpApiAuthorizer"),
                    }
    for key in [key for key in routes if key.startswith("* ")]:
        path = key[2:]
        routes |= dict.fromkeys((f"ANY {path}", f"ANY {path.rstrip('/')}/{{proxy+}}"), routes.pop(key))
    heads = {f"HEAD {key[4:]}": said for key, said in routes.items() if key.startswith("GET ")}
    return {**heads, **routes}


def _add_authorizer(plan: Plan) -> None:
    """It is asked for every request: what it found for one caller is not kept for the next."""
    start = "arn:${AWS::Partition}:apigateway:${AWS::Region}:lambda:path/2015-03-31/functions/"
    plan.add(
        "HttpApiAuthorizer",
        "AWS::ApiGatewayV2::Authorizer",
        {
            "ApiId": ref(API),
            "Name": "portable",
            "AuthorizerType": "REQUEST",
            "AuthorizerUri": sub(f"{start}${{{AUTHORIZER}.Arn}}/invocations"),
            "AuthorizerPayloadFormatVersion": "2.0",
            "AuthorizerResultTtlInSeconds": 0,
            "EnableSimpleResponses": True,
        },
    )
    add_authorizer_permission(plan, API)
