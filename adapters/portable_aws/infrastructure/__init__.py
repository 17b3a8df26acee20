"""The infrastructure of an app on AWS: a CloudFormation template, and the same for Terraform and Serverless.

Plain resources, no transform: CloudFormation, its change sets, SAM's tools and stand-ins of AWS all take it as it is.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from typing import Any

from portable.build.deployment import Deployment
from portable.errors import ConfigError
from portable_aws import limits
from portable_aws.infrastructure.events import add_events
from portable_aws.infrastructure.functions import add_function
from portable_aws.infrastructure.http import add_http
from portable_aws.infrastructure.messaging import add_messaging
from portable_aws.infrastructure.plan import Plan
from portable_aws.infrastructure.sockets import add_sockets
from portable_aws.infrastructure.storage import add_storage

__all__ = ["FORMS", "TEMPLATE", "infrastructure_of", "template_of"]

FORMS = ("sam", "terraform", "serverless")
"""What ``--iac`` takes."""
TEMPLATE = "template.yaml"


def infrastructure_of(deployment: Deployment) -> Mapping[str, Any]:
    """The files of ``infra/``. Raises ConfigError for what an existing resource, or a form, cannot give."""
    template = template_of(deployment)
    if deployment.form == "terraform":
        from portable_aws.infrastructure.terraform import terraform_of

        return {"main.tf.json": terraform_of(deployment, template)}
    _check_size(template)
    if deployment.form == "serverless":
        from portable_aws.infrastructure.serverless import serverless_of

        return {"serverless.yml": serverless_of(deployment, template)}
    return {TEMPLATE: template}


def _check_size(template: Mapping[str, Any]) -> None:
    """Raise ConfigError for what CloudFormation takes in no way."""
    most = {
        "Resources": limits.TEMPLATE_RESOURCES,
        "Outputs": limits.TEMPLATE_OUTPUTS,
        "Parameters": limits.TEMPLATE_PARAMETERS,
    }
    counts = [
        f"{len(template.get(part, {}))} {part.lower()}, and {limit} are the most"
        for part, limit in most.items()
        if len(template.get(part, {})) > limit
    ]
    size = len(json.dumps(template, separators=(",", ":")).encode())
    if size > limits.TEMPLATE_BYTES:
        counts.append(f"{size:,} bytes, and {limits.TEMPLATE_BYTES:,} are the most")
    if counts:
        kinds = Counter(one["Type"] for one in template["Resources"].values()).most_common(3)
        told = ", ".join(f"{count} {kind}" for kind, count in kinds)
        raise ConfigError(
            f"CloudFormation takes no stack of {'; '.join(counts)} (among them {told}): let handlers share a function "
            "with function='…', put parts into apps of their own, or build with --iac terraform"
        )


def template_of(deployment: Deployment) -> dict[str, Any]:
    """The CloudFormation template: https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/."""
    plan = Plan(deployment)
    add_storage(plan)
    add_messaging(plan)
    add_sockets(plan)
    add_http(plan)
    add_events(plan)
    for function in deployment.manifest.functions:
        add_function(plan, function)
    return {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": f"{deployment.app}, stage {deployment.stage}. Written by portable build.",
        **({"Parameters": dict(sorted(plan.parameters.items()))} if plan.parameters else {}),
        "Resources": plan.resources,
        **({"Outputs": plan.outputs} if plan.outputs else {}),
    }
