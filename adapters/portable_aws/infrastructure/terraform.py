"""The template as Terraform's JSON, for its ``aws`` provider."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from portable.build.deployment import Deployment
from portable.errors import ConfigError
from portable_aws.infrastructure.functions import ARTIFACTS_BUCKET, key_parameter
from portable_aws.infrastructure.terraform_names import snake
from portable_aws.infrastructure.terraform_types import Kind, kinds_of

__all__ = ["terraform_of"]

_PSEUDO = {
    "AWS::AccountId": "data.aws_caller_identity.current.account_id",
    "AWS::Partition": "data.aws_partition.current.partition",
    "AWS::Region": "data.aws_region.current.id",
    "AWS::URLSuffix": "data.aws_partition.current.dns_suffix",
}
_PLACE = re.compile(r"\$\{([^}!]+)\}")
_LISTS = ("CommaDelimitedList", "List<")
_PROVIDER = ">= 5.80, < 7"
_NEWER_PROVIDER = ">= 6.29, < 7"
"""Where an argument of ``_NEWER`` is used."""
_NEWER = {"aws_lambda_permission": "invoked_via_function_url", "aws_api_gateway_integration": "response_transfer_mode"}
"""https://github.com/hashicorp/terraform-provider-aws/blob/main/CHANGELOG.md: public function URLs, and answers that
stream through a REST API, which has its longer time-outs since 6.26."""


class Translation:
    """Values of one template in Terraform's words. Raises ConfigError for what it has no words for."""

    def __init__(self, deployment: Deployment, template: Mapping[str, Any]) -> None:
        self.deployment = deployment
        self.resources: Mapping[str, Any] = template["Resources"]
        self.parameters: Mapping[str, Any] = template.get("Parameters", {})
        self.kinds: Mapping[str, Kind] = kinds_of()

    def kind(self, name: str) -> Kind:
        """What stands for a resource."""
        type_ = self.resources[name]["Type"]
        if type_ not in self.kinds:
            raise ConfigError(f"--iac terraform has no {type_} ({name}); the default form has")
        return self.kinds[type_]

    def label(self, name: str) -> str:
        """``aws_sqs_queue.emails_queue`` of a logical id."""
        return f"{self.kind(name).type}.{snake(name)}"

    def value(self, value: Any) -> Any:
        """A value of a template, references in it as Terraform's; whatever is not text or a reference stays."""
        if isinstance(value, str):
            return value.replace("${", "$${")
        if isinstance(value, list):
            return [self.value(one) for one in value]
        if not isinstance(value, Mapping):
            return value
        if len(value) == 1 and next(iter(value)) in ("Ref", "Fn::GetAtt", "Fn::Sub", "Fn::Select"):
            return f"${{{self.expression(value)}}}" if "Fn::Sub" not in value else self._filled(value["Fn::Sub"])
        return {key: self.value(one) for key, one in value.items()}

    def expression(self, value: Mapping[str, Any]) -> str:
        """A reference without its braces."""
        if "Ref" in value:
            return self._ref(value["Ref"])
        if "Fn::GetAtt" in value:
            name, attribute = value["Fn::GetAtt"]
            return f"{self.label(name)}.{self.kind(name).attributes[attribute]}"
        index, parts = value["Fn::Select"]
        separator, text = parts["Fn::Split"]
        if text == {"Fn::Select": [2, {"Fn::Split": ["/", {"Ref": "AWS::StackId"}]}]}:
            return _PSEUDO["AWS::AccountId"]  # there is no stack here: the account makes a bucket's name its own
        return f'split("{separator}", {self.expression(text)})[{index}]'

    def _ref(self, name: str) -> str:
        if name in _PSEUDO:
            return _PSEUDO[name]
        if name in self.parameters:
            return f"var.{snake(name)}"
        return f"{self.label(name)}.{self.kind(name).ref}"

    def _filled(self, said: Any) -> str:
        text, values = (said, {}) if isinstance(said, str) else said

        def fill(found: re.Match[str]) -> str:
            name, _, attribute = found[1].partition(".")
            if name in values:
                inner = values[name]
                return inner if isinstance(inner, str) else f"${{{self.expression(inner)}}}"
            return f"${{{self.expression({'Fn::GetAtt': [name, attribute]} if attribute else {'Ref': name})}}}"

        return _PLACE.sub(fill, text)


def terraform_of(deployment: Deployment, template: Mapping[str, Any]) -> dict[str, Any]:
    """The whole of ``main.tf.json``. Zips are taken from beside it."""
    told = Translation(deployment, template)
    resources: dict[str, dict[str, Any]] = {}
    for name, resource in told.resources.items():
        made = told.kind(name).make(told, name, resource["Properties"])
        after = [told.label(one) for one in resource.get("DependsOn", ()) if "Permission" not in one]
        if after and resource["Type"] != "AWS::S3::Bucket":
            # Of a method, Terraform makes two: the method, and what it calls.
            calls = [one.replace("_method.", "_integration.") for one in after if one.startswith("aws_api_gateway_")]
            made[told.kind(name).type][snake(name)]["depends_on"] = [*after, *calls]
        if resource["Type"] == "AWS::ApiGateway::Deployment":  # the stage has one until it has the next
            made["aws_api_gateway_deployment"][snake(name)]["lifecycle"] = {"create_before_destroy": True}
        for type_, each in made.items():
            resources.setdefault(type_, {}).update(each)
    zips = {ARTIFACTS_BUCKET, *(key_parameter(one.zip_name) for one in deployment.bundles)}
    variables = {snake(name): _variable(one) for name, one in told.parameters.items() if name not in zips}
    outputs = {
        snake(name): {"description": one["Description"], "value": told.value(one["Value"])}
        for name, one in template.get("Outputs", {}).items()
    }
    newer = any(key in one for kind, key in _NEWER.items() for one in resources.get(kind, {}).values())
    version = _NEWER_PROVIDER if newer else _PROVIDER
    return {
        "terraform": {"required_providers": {"aws": {"source": "hashicorp/aws", "version": version}}},
        **({"variable": variables} if variables else {}),
        "data": {kind: {"current": {}} for kind in ("aws_caller_identity", "aws_partition", "aws_region")},
        "resource": resources,
        **({"output": outputs} if outputs else {}),
    }


def _variable(parameter: Mapping[str, Any]) -> dict[str, Any]:
    kind = "list(string)" if parameter["Type"].startswith(_LISTS) else "string"
    secret = {"sensitive": True} if parameter.get("NoEcho") else {}
    return {"type": kind, "description": parameter["Description"], **secret}
