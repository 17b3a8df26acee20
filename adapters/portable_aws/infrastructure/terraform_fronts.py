"""APIs and load balancers in Terraform's words: see ``terraform_types``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from portable_aws.infrastructure.balancer import IDLE
from portable_aws.infrastructure.terraform_names import Made, snake

__all__ = ["api", "balancer", "group", "listener", "listener_rule", "method", "rest", "targets"]


def api(told: Any, name: str, said: Mapping[str, Any]) -> Made:
    """An HTTP API, or one of websockets."""
    made = {snake(key): told.value(value) for key, value in said.items()}
    if "RouteSelectionExpression" in said:
        made["route_selection_expression"] = said["RouteSelectionExpression"]
    return {"aws_apigatewayv2_api": {snake(name): made}}


def rest(told: Any, name: str, said: Mapping[str, Any]) -> Made:  # noqa: ARG001 - as the others
    """A REST API."""
    made = {"name": said["Name"], "binary_media_types": said["BinaryMediaTypes"]}
    endpoint = {"types": said["EndpointConfiguration"]["Types"]}
    return {"aws_api_gateway_rest_api": {snake(name): {**made, "endpoint_configuration": endpoint}}}


def method(told: Any, name: str, said: Mapping[str, Any]) -> Made:
    """A method, and what it calls."""
    own = snake(name)
    shared = {"rest_api_id": told.value(said["RestApiId"]), "resource_id": told.value(said["ResourceId"])}
    method = {**shared, "http_method": said["HttpMethod"], "authorization": said["AuthorizationType"]}
    if "AuthorizerId" in said:
        method["authorizer_id"] = told.value(said["AuthorizerId"])
    asked = said["Integration"]
    integration = {
        **shared,
        "http_method": f"${{aws_api_gateway_method.{own}.http_method}}",
        "type": asked["Type"],
        "integration_http_method": asked["IntegrationHttpMethod"],
        "uri": told.value(asked["Uri"]),
    }
    if "ResponseTransferMode" in asked:
        integration |= {
            "response_transfer_mode": asked["ResponseTransferMode"],
            "timeout_milliseconds": asked["TimeoutInMillis"],
        }
    return {"aws_api_gateway_method": {own: method}, "aws_api_gateway_integration": {own: integration}}


def group(told: Any, name: str, said: Mapping[str, Any]) -> Made:
    """A security group."""
    ports = [
        {
            "protocol": one["IpProtocol"],
            "from_port": one["FromPort"],
            "to_port": one["ToPort"],
            "cidr_blocks": [one["CidrIp"]],
            "description": one["Description"],
            "ipv6_cidr_blocks": [],
            "prefix_list_ids": [],
            "security_groups": [],
            "self": False,
        }
        for one in said["SecurityGroupIngress"]
    ]
    made = {"description": said["GroupDescription"], "vpc_id": told.value(said["VpcId"]), "ingress": ports}
    return {"aws_security_group": {snake(name): made}}


def balancer(told: Any, name: str, said: Mapping[str, Any]) -> Made:
    """A load balancer."""
    made = {
        "load_balancer_type": said["Type"],
        "internal": False,
        "subnets": told.value(said["Subnets"]),
        "security_groups": told.value(said["SecurityGroups"]),
        "drop_invalid_header_fields": True,
        "idle_timeout": next(int(one["Value"]) for one in said["LoadBalancerAttributes"] if one["Key"] == IDLE),
    }
    return {"aws_lb": {snake(name): made}}


def listener(told: Any, name: str, said: Mapping[str, Any]) -> Made:
    """What it listens to."""
    made = {
        "load_balancer_arn": told.value(said["LoadBalancerArn"]),
        "port": said["Port"],
        "protocol": said["Protocol"],
        "ssl_policy": said["SslPolicy"],
        "certificate_arn": told.value(said["Certificates"][0]["CertificateArn"]),
        "default_action": [_action(told, one) for one in said["DefaultActions"]],
    }
    return {"aws_lb_listener": {snake(name): made}}


def listener_rule(told: Any, name: str, said: Mapping[str, Any]) -> Made:
    """Which paths go where."""
    paths = [{"path_pattern": {"values": one["PathPatternConfig"]["Values"]}} for one in said["Conditions"]]
    made = {
        "listener_arn": told.value(said["ListenerArn"]),
        "priority": said["Priority"],
        "condition": paths,
        "action": [_action(told, one) for one in said["Actions"]],
    }
    return {"aws_lb_listener_rule": {snake(name): made}}


def _action(told: Any, said: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": said["Type"], "target_group_arn": told.value(said["TargetGroupArn"])}


def targets(told: Any, name: str, said: Mapping[str, Any]) -> Made:
    """A function as a load balancer's target."""
    own = snake(name)
    permits = [told.label(one) for one in told.resources[name]["DependsOn"]]
    attachment = {
        "target_group_arn": f"${{aws_lb_target_group.{own}.arn}}",
        "target_id": told.value(said["Targets"][0]["Id"]),
        "depends_on": permits,
    }
    return {
        "aws_lb_target_group": {own: {"target_type": "lambda", "lambda_multi_value_headers_enabled": True}},
        "aws_lb_target_group_attachment": {own: attachment},
    }
