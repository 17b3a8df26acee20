"""A REST API: all paths to one function, or a tree of paths where functions or checks differ."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import msgspec

from portable.errors import ConfigError
from portable.manifest import FunctionRecord, TriggerRecord
from portable_aws import limits
from portable_aws.gateway import route_key
from portable_aws.infrastructure.access_logs import access_log
from portable_aws.infrastructure.functions import AUTHORIZER, add_authorizer_permission
from portable_aws.infrastructure.names import att, ref, sub
from portable_aws.infrastructure.plan import Plan, function_id

__all__ = ["add_rest_api"]

API = "RestApi"
STAGE = "live"


class _Node(msgspec.Struct):
    """A path of the tree: its children by their part, and its function and check by method."""

    id: str
    where: str
    children: dict[str, _Node] = msgspec.field(default_factory=dict)
    methods: dict[str, tuple[str, str]] = msgspec.field(default_factory=dict)


def add_rest_api(plan: Plan, functions: list[FunctionRecord]) -> None:
    """See the module. Raises ConfigError for paths that a REST API cannot have side by side."""
    name = f"{plan.manifest.app}-{plan.deployment.stage}"
    said = {"Name": name, "BinaryMediaTypes": ["*/*"], "EndpointConfiguration": {"Types": ["REGIONAL"]}}
    plan.add(API, "AWS::ApiGateway::RestApi", said)
    checks = {_check(plan, trigger) for one in functions for trigger in one.triggers}
    root = _Node("", "")
    if len(functions) == 1 and len(checks) == 1:
        check = checks.pop()
        root.methods["ANY"] = (functions[0].name, check)
        root.children["{proxy+}"] = _Node("Proxy", "", methods={"ANY": (functions[0].name, check)})
    else:
        for one in functions:
            for trigger in one.triggers:
                _place(root, trigger, one.name, _check(plan, trigger))
    before = set(plan.resources)
    if any(check == "CUSTOM" for check in (_check(plan, trigger) for one in functions for trigger in one.triggers)):
        _add_authorizer(plan)
    for one in functions:
        here = f"arn:${{AWS::Partition}}:execute-api:${{AWS::Region}}:${{AWS::AccountId}}:${{{API}}}/*"
        plan.permit(one.name, "Rest", "apigateway.amazonaws.com", SourceArn=sub(here))
    _add_node(plan, root, att(API, "RootResourceId"), {one.name: any(one.asks("stream")) for one in functions})
    _add_stage(plan, [name for name in plan.resources if name not in before])


def _check(plan: Plan, trigger: TriggerRecord) -> str:
    if trigger.options["auth"] == "cloud":
        return "AWS_IAM"
    spec = plan.settings.get("authorizer")
    named = {guard.name for guard in plan.manifest.guards if guard.spec == spec} if spec else set()
    return "CUSTOM" if named & {asked["scheme"] for asked in trigger.options.get("security", ())} else "NONE"


def _place(root: _Node, trigger: TriggerRecord, function: str, check: str) -> None:
    method, path = route_key(trigger).split(" ", 1)
    parts = [part for part in path.split("/") if part]
    if method == "*":
        _set(_child(root, parts, trigger.where), "ANY", function, check, trigger)
        _set(_child(root, [*parts, "{proxy+}"], trigger.where), "ANY", function, check, trigger)
        return
    node = _child(root, parts, trigger.where)
    _set(node, method, function, check, trigger)
    node.methods.setdefault("OPTIONS", (function, "NONE"))
    if method == "GET":
        node.methods.setdefault("HEAD", (function, check))


def _set(node: _Node, method: str, function: str, check: str, trigger: TriggerRecord) -> None:
    if node.methods.get(method, (function, check)) != (function, check):
        other = f"{method} {trigger.options['path']}"
        raise ConfigError(f"{trigger.where}: {other} and {node.where} are one method of a REST API; http = 'http-api'")
    node.methods[method] = (function, check)


def _child(node: _Node, parts: list[str], where: str) -> _Node:
    for part in parts:
        if part.startswith("{"):
            # One variable below a path, whatever it is called: a function reads the path itself.
            known = next((name for name in node.children if name.startswith("{")), part)
            if known.endswith("+}") != part.endswith("+}"):
                raise ConfigError(
                    f"{where}: below one path a REST API has {{name}} or a rest of the path, not both, as here and at "
                    f"{node.children[known].where}; [tool.portable.aws] http = 'http-api'"
                )
            part = known
        if part not in node.children:
            digest = hashlib.sha256(f"{node.id}/{part}".encode()).hexdigest()[:10]
            node.children[part] = _Node(digest, where)
        node = node.children[part]
    return node


def _add_node(plan: Plan, node: _Node, resource: Any, streams: dict[str, bool]) -> None:
    for method, (function, check) in sorted(node.methods.items()):
        said: dict[str, Any] = {
            "RestApiId": ref(API),
            "ResourceId": resource,
            "HttpMethod": method,
            "AuthorizationType": check,
            "Integration": _integration(plan, function, stream=streams[function]),
        }
        if check == "CUSTOM":
            said["AuthorizerId"] = ref("RestApiAuthorizer")
        plan.add(f"{API}Method{node.id}{method.title()}", "AWS::ApiGateway::Method", said)
    for part, child in sorted(node.children.items()):
        said = {"RestApiId": ref(API), "ParentId": resource, "PathPart": part}
        _add_node(plan, child, ref(plan.add(f"{API}Path{child.id}", "AWS::ApiGateway::Resource", said)), streams)


def _integration(plan: Plan, function: str, *, stream: bool) -> dict[str, Any]:
    """See https://docs.aws.amazon.com/apigateway/latest/developerguide/response-transfer-mode-lambda.html."""
    called = function_id(function)
    arn = f"${{{called}Alias}}" if plan.of(function).min_instances else f"${{{called}.Arn}}"
    version, end = ("2021-11-15", "response-streaming-invocations") if stream else ("2015-03-31", "invocations")
    start = f"arn:${{AWS::Partition}}:apigateway:${{AWS::Region}}:lambda:path/{version}/functions/"
    said = {"Type": "AWS_PROXY", "IntegrationHttpMethod": "POST", "Uri": sub(f"{start}{arn}/{end}")}
    if not stream:
        return said
    seconds = min(max(plan.timeout(function), limits.REST_API_SECONDS), limits.REST_STREAM_SECONDS)
    return {**said, "ResponseTransferMode": "STREAM", "TimeoutInMillis": seconds * 1000}


def _add_authorizer(plan: Plan) -> None:
    start = "arn:${AWS::Partition}:apigateway:${AWS::Region}:lambda:path/2015-03-31/functions/"
    plan.add(
        "RestApiAuthorizer",
        "AWS::ApiGateway::Authorizer",
        {
            "RestApiId": ref(API),
            "Name": "portable",
            "Type": "REQUEST",
            "AuthorizerUri": sub(f"{start}${{{AUTHORIZER}.Arn}}/invocations"),
            "AuthorizerResultTtlInSeconds": 0,
        },
    )
    add_authorizer_permission(plan, API)


def _add_stage(plan: Plan, parts: list[str]) -> None:
    """A deployment is what the API was when it was made: its logical id holds a digest of what it is made of."""
    made = {name: plan.resources[name] for name in parts}
    digest = hashlib.sha256(json.dumps(made, sort_keys=True).encode()).hexdigest()[:10]
    methods = [name for name in parts if plan.resources[name]["Type"] == "AWS::ApiGateway::Method"]
    deployment = plan.add(
        f"{API}Deployment{digest}", "AWS::ApiGateway::Deployment", {"RestApiId": ref(API)}, DependsOn=methods
    )
    said = {"RestApiId": ref(API), "DeploymentId": ref(deployment), "StageName": STAGE}
    plan.add(f"{API}Stage", "AWS::ApiGateway::Stage", said | access_log(plan, API, "REST"))
    url = f"https://${{{API}}}.execute-api.${{AWS::Region}}.${{AWS::URLSuffix}}/{STAGE}"
    plan.output("HttpUrl", sub(url), "URL of the REST API")
