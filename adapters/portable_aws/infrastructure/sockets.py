"""WebSocket APIs, one for each declared set of sockets."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from portable.manifest import FunctionRecord
from portable_aws.infrastructure.access_logs import access_log
from portable_aws.infrastructure.names import logical, ref, sub
from portable_aws.infrastructure.plan import Plan, function_id

__all__ = ["add_sockets"]

STAGE = "live"
_ROUTES = ("$connect", "$default", "$disconnect")


def add_sockets(plan: Plan) -> None:
    """See the module."""
    for one in plan.created("sockets"):
        _add_api(plan, one.name)
    for function in plan.of_kind("socket"):
        for name in sorted(set(function.asks("sockets"))):
            if plan.existing("sockets", name) is None:
                _add_routes(plan, function, name)


def _add_api(plan: Plan, name: str) -> None:
    api = logical(name, "Sockets")
    said = {"Name": f"{plan.manifest.app}-{plan.deployment.stage}-{name}", "ProtocolType": "WEBSOCKET"}
    plan.add(api, "AWS::ApiGatewayV2::Api", {**said, "RouteSelectionExpression": "$request.body.action"})
    url = f"wss://${{{api}}}.execute-api.${{AWS::Region}}.${{AWS::URLSuffix}}/{STAGE}"
    plan.output(f"{api}Url", sub(url), f"URL of sockets {name}")


def _add_routes(plan: Plan, function: FunctionRecord, name: str) -> None:
    api, called = logical(name, "Sockets"), function_id(function.name)
    arn = f"${{{called}Alias}}" if plan.of(function.name).min_instances else f"${{{called}.Arn}}"
    start = "arn:${AWS::Partition}:apigateway:${AWS::Region}:lambda:path/2015-03-31/functions/"
    integration = plan.add(
        f"{api}Integration",
        "AWS::ApiGatewayV2::Integration",
        {"ApiId": ref(api), "IntegrationType": "AWS_PROXY", "IntegrationUri": sub(f"{start}{arn}/invocations")},
    )
    routes = []
    for key in _ROUTES:
        said = {"ApiId": ref(api), "RouteKey": key, "AuthorizationType": "NONE"}
        target = {"Target": sub(f"integrations/${{{integration}}}")}
        routes.append(plan.add(f"{api}{key[1:].title()}Route", "AWS::ApiGatewayV2::Route", {**said, **target}))
    made = {one: plan.resources[one] for one in [*routes, integration]}
    digest = hashlib.sha256(json.dumps(made, sort_keys=True).encode()).hexdigest()[:10]
    deployment = plan.add(
        f"{api}Deployment{digest}", "AWS::ApiGatewayV2::Deployment", {"ApiId": ref(api)}, DependsOn=routes
    )
    stage: dict[str, Any] = {"ApiId": ref(api), "StageName": STAGE, "DeploymentId": ref(deployment)}
    plan.add(f"{api}Stage", "AWS::ApiGatewayV2::Stage", stage | access_log(plan, api, "WEBSOCKET"))
    here = f"arn:${{AWS::Partition}}:execute-api:${{AWS::Region}}:${{AWS::AccountId}}:${{{api}}}/*"
    plan.permit(function.name, logical(name, "Sockets"), "apigateway.amazonaws.com", SourceArn=sub(here))
