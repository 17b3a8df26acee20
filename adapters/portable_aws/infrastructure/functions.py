"""Functions: each with its role, its log group, and its alias where instances are kept warm."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from portable.drivers import address_variable
from portable.manifest import FunctionRecord
from portable.resources.topic import subscription_name
from portable_aws import limits
from portable_aws.infrastructure.names import att, fitting, logical, ref, sub
from portable_aws.infrastructure.plan import Plan, function_id
from portable_aws.infrastructure.references import address, arns, dead_letters_id, subscription_id
from portable_aws.permissions import statements

__all__ = [
    "ARTIFACTS_BUCKET",
    "AUTHORIZER",
    "add_authorizer_function",
    "add_authorizer_permission",
    "add_function",
    "key_parameter",
]

AUTHORIZER = "AuthorizerFunction"
"""Logical id of the function that API Gateway asks first."""

ARTIFACTS_BUCKET = "ArtifactsBucket"
"""The parameter that names the bucket which zips are deployed from."""

_OWN_RUNTIME = "portable"


def key_parameter(zip_name: str) -> str:
    """The parameter that holds a zip's key in the bucket of artifacts."""
    return logical(zip_name.removesuffix(".zip"), "Key")


def add_function(plan: Plan, function: FunctionRecord) -> None:
    """A function with all that was gathered for it; last, when its triggers have said what they need."""
    granted = statements(function.grants, lambda kind, name, part: arns(plan, kind, name, part))
    told = [*granted, *plan.statements[function.name]]
    handler = f"portable_entry.{function.name.replace('-', '_')}"
    name = function_id(function.name)
    plan.environment[function.name] |= {**_addresses(plan, function), **_own(plan)}
    environment = {**plan.environment[function.name], **plan.of(function.name).environment}
    _add(plan, name, function.name, handler, plan.deployment.zip_of(function.name), environment, told)
    if plan.of(function.name).min_instances:
        _add_alias(plan, name, function.name)
    plan.output(name, ref(name), f"Function {function.name}")


def add_authorizer_function(plan: Plan, function: FunctionRecord) -> str:
    """The function that API Gateway asks first, with what the checks of an HTTP function may read."""
    kinds = ("secret", "config", "cache")
    uses = [key for key in function.uses if key.partition(":")[0] in kinds]
    grants = {key: verbs for key, verbs in function.grants.items() if key in uses}
    told = statements(grants, lambda kind, name, part: arns(plan, kind, name, part))
    environment = {}
    for key in uses:
        kind, _, name = key.partition(":")
        environment[address_variable(kind, name)] = address(plan, kind, name)
    environment = {name: value for name, value in environment.items() if value is not None} | _own(plan)
    zip_name = plan.deployment.zip_of(function.name)
    _add(plan, AUTHORIZER, function.name, "portable_authorizer.handler", zip_name, environment, told)
    return AUTHORIZER


def add_authorizer_permission(plan: Plan, api: str) -> None:
    """That the authorizers of an API may call that function."""
    here = f"arn:${{AWS::Partition}}:execute-api:${{AWS::Region}}:${{AWS::AccountId}}:${{{api}}}/authorizers/*"
    plan.add(
        f"{AUTHORIZER}Permission",
        "AWS::Lambda::Permission",
        {
            "Action": "lambda:InvokeFunction",
            "FunctionName": att(AUTHORIZER, "Arn"),
            "Principal": "apigateway.amazonaws.com",
            "SourceArn": sub(here),
        },
    )


def _own(plan: Plan) -> dict[str, Any]:
    own: dict[str, Any] = {"PORTABLE_STAGE": plan.deployment.stage}
    if plan.settings.get("runtime") == _OWN_RUNTIME and plan.deployment.image is None:
        own["AWS_LAMBDA_EXEC_WRAPPER"] = "/var/task/bootstrap"
    return own


def _addresses(plan: Plan, function: FunctionRecord) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for kind, name in plan.deployment.uses(function.name):
        found[address_variable(kind, name)] = address(plan, kind, name)
        if kind == "queue" and plan.existing(kind, name) is None:
            found[address_variable("deadletter", name)] = ref(dead_letters_id(logical(name, "Queue")))
    for topic in function.asks("topic"):
        queue, called = subscription_id(topic, function.name), subscription_name(topic, function.name)
        found[address_variable("subscription", called)] = ref(queue)
        found[address_variable("subscriptiondeadletter", called)] = ref(dead_letters_id(queue))
    return {name: value for name, value in found.items() if value is not None}


def _add(
    plan: Plan,
    name: str,
    function: str,
    handler: str,
    zip_name: str,
    environment: Mapping[str, Any],
    told: list[dict[str, Any]],
) -> None:
    logs = plan.add(f"{name}Logs", "AWS::Logs::LogGroup", {"RetentionInDays": plan.retention})
    told = [
        {
            "Effect": "Allow",
            "Action": ["logs:CreateLogStream", "logs:PutLogEvents"],
            "Resource": [att(logs, "Arn")],
        },
        *told,
    ]
    trust = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    role = plan.add(
        f"{name}Role",
        "AWS::IAM::Role",
        {
            "AssumeRolePolicyDocument": {"Version": "2012-10-17", "Statement": [trust]},
            "Policies": [{"PolicyName": "own", "PolicyDocument": {"Version": "2012-10-17", "Statement": told}}],
        },
    )
    settings = plan.of(function)
    described = fitting(f"{plan.manifest.app} {function}, stage {plan.deployment.stage}", 256)
    properties: dict[str, Any] = {
        "Description": described,
        "Role": att(role, "Arn"),
        **_code(plan, function, handler, zip_name),
        "Architectures": [settings.arch],
        "Timeout": plan.timeout(function),
        "LoggingConfig": {"LogGroup": ref(logs)},
        "Environment": {"Variables": dict(sorted(environment.items()))},
    }
    if settings.memory is not None:
        properties["MemorySize"] = min(max(settings.memory, limits.MEMORY_LEAST), limits.MEMORY_LARGEST)
    if settings.storage is not None:
        properties["EphemeralStorage"] = {"Size": max(settings.storage, limits.STORAGE_LEAST)}
    if settings.max_instances is not None:
        properties["ReservedConcurrentExecutions"] = settings.max_instances
    # What `sam local` starts the function from: https://github.com/aws/aws-sam-cli, as for templates of the CDK.
    local = {"aws:asset:path": f"../{zip_name}", "aws:asset:property": "Code"}
    more = {} if plan.deployment.image else {"Metadata": local}
    plan.add(name, "AWS::Lambda::Function", properties, **more)


def _code(plan: Plan, function: str, handler: str, zip_name: str) -> dict[str, Any]:
    # Lambda takes no index of several architectures: https://docs.aws.amazon.com/lambda/latest/dg/images-create.html
    image = plan.deployment.image_of(function)
    if image is not None:
        said: dict[str, Any] = {"PackageType": "Image", "Code": {"ImageUri": image}}
        return {**said, "ImageConfig": {"Command": [handler]}}
    bucket = plan.parameter(ARTIFACTS_BUCKET, "Bucket that holds the zips")
    digest = plan.deployment.digests.get(zip_name)
    default = {} if digest is None else {"Default": f"{plan.manifest.app}/{digest}.zip"}
    key = plan.parameter(key_parameter(zip_name), f"Key of {zip_name} in that bucket", **default)
    return {
        "Runtime": f"python{plan.deployment.python}",
        "Handler": handler,
        "Code": {"S3Bucket": bucket, "S3Key": key},
    }


def _add_alias(plan: Plan, name: str, function: str) -> None:
    """A version is made when its logical id is new: it holds a digest of what it is a version of."""
    said = [plan.resources[name]["Properties"], plan.deployment.digests, plan.deployment.image]
    digest = hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:10]
    version = plan.add(f"{name}Version{digest}", "AWS::Lambda::Version", {"FunctionName": ref(name)})
    plan.add(
        f"{name}Alias",
        "AWS::Lambda::Alias",
        {
            "Name": "live",
            "FunctionName": ref(name),
            "FunctionVersion": att(version, "Version"),
            "ProvisionedConcurrencyConfig": {"ProvisionedConcurrentExecutions": plan.of(function).min_instances},
        },
    )
