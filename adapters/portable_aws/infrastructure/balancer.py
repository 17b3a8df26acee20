"""An Application Load Balancer before HTTP functions. Its network is the user's own: parameters say it."""

from __future__ import annotations

from typing import Any

from portable.manifest import FunctionRecord
from portable_aws import limits
from portable_aws.gateway import route_key
from portable_aws.infrastructure.names import ref, sub
from portable_aws.infrastructure.plan import Plan, function_id

__all__ = ["IDLE", "add_balancer"]

IDLE = "idle_timeout.timeout_seconds"
_LONGER = 5  # seconds
_PATHS = 5
"""Values in the conditions of a rule: https://docs.aws.amazon.com/elasticloadbalancing, quotas of Application Load
Balancers."""


def add_balancer(plan: Plan, functions: list[FunctionRecord]) -> None:
    """HTTPS alone; the first function takes what no other's path fits."""
    vpc = plan.parameter("VpcId", "VPC of the load balancer", "AWS::EC2::VPC::Id")
    subnets = plan.parameter("SubnetIds", "Subnets of it, in two zones at least", "List<AWS::EC2::Subnet::Id>")
    certificate = plan.parameter("CertificateArn", "Certificate of its domain, in ACM")
    group = plan.add(
        "LoadBalancerGroup",
        "AWS::EC2::SecurityGroup",
        {
            "GroupDescription": "Callers of the load balancer",
            "VpcId": vpc,
            "SecurityGroupIngress": [
                {
                    "IpProtocol": "tcp",
                    "FromPort": 443,
                    "ToPort": 443,
                    "CidrIp": "0.0.0.0/0",
                    "Description": "HTTPS from anywhere",
                }
            ],
        },
    )
    plan.add(
        "LoadBalancer",
        "AWS::ElasticLoadBalancingV2::LoadBalancer",
        {
            "Type": "application",
            "Scheme": "internet-facing",
            "Subnets": subnets,
            "SecurityGroups": [ref(group)],
            "LoadBalancerAttributes": [
                {"Key": "routing.http.drop_invalid_header_fields.enabled", "Value": "true"},
                {"Key": IDLE, "Value": str(_idle(plan, functions))},
            ],
        },
    )
    for function in functions:
        _add_group(plan, function)
    plan.add(
        "LoadBalancerListener",
        "AWS::ElasticLoadBalancingV2::Listener",
        {
            "LoadBalancerArn": ref("LoadBalancer"),
            "Port": 443,
            "Protocol": "HTTPS",
            "SslPolicy": "ELBSecurityPolicy-TLS13-1-2-2021-06",
            "Certificates": [{"CertificateArn": certificate}],
            "DefaultActions": [_forward(functions[0])],
        },
    )
    priority = 0
    for function in functions[1:]:
        paths = sorted({path for trigger in function.triggers for path in _patterns(route_key(trigger))})
        for start in range(0, len(paths), _PATHS):
            priority += 1
            said = {"Field": "path-pattern", "PathPatternConfig": {"Values": paths[start : start + _PATHS]}}
            _add_rule(plan, function, priority, said)
    plan.output("HttpUrl", sub("https://${LoadBalancer.DNSName}"), "URL of the load balancer")


def _idle(plan: Plan, functions: list[FunctionRecord]) -> int:
    """Seconds that it waits for a function's answer: a little longer than the longest of them may take."""
    return max(limits.ALB_SECONDS, *(plan.timeout(one.name) + _LONGER for one in functions))


def _patterns(key: str) -> list[str]:
    """A parameter, and the rest of a path, are ``*``: which of them it is, the function sees."""
    method, path = key.split(" ", 1)
    parts = ["*" if part.startswith("{") else part for part in path.split("/")]
    plain = "/".join(parts)
    return [plain, f"{plain.rstrip('/')}/*"] if method == "*" else [plain]


def _add_rule(plan: Plan, function: FunctionRecord, priority: int, condition: dict[str, Any]) -> None:
    plan.add(
        f"{function_id(function.name)}Rule{priority}",
        "AWS::ElasticLoadBalancingV2::ListenerRule",
        {
            "ListenerArn": ref("LoadBalancerListener"),
            "Priority": priority,
            "Conditions": [condition],
            "Actions": [_forward(function)],
        },
    )


def _forward(function: FunctionRecord) -> dict[str, Any]:
    return {"Type": "forward", "TargetGroupArn": ref(f"{function_id(function.name)}Targets")}


def _add_group(plan: Plan, function: FunctionRecord) -> None:
    """With headers as lists: with single values the load balancer keeps the last of several equal ones."""
    permission = plan.permit(
        function.name, "Balancer", "elasticloadbalancing.amazonaws.com", SourceAccount=ref("AWS::AccountId")
    )
    plan.add(
        f"{function_id(function.name)}Targets",
        "AWS::ElasticLoadBalancingV2::TargetGroup",
        {
            "TargetType": "lambda",
            "Targets": [{"Id": plan.target(function.name)}],
            "TargetGroupAttributes": [{"Key": "lambda.multi_value_headers.enabled", "Value": "true"}],
        },
        DependsOn=[permission],
    )
