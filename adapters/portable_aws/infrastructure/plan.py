"""A template while it is made: its resources, parameters and outputs, and what each function gets to see."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from portable.build.deployment import Deployment
from portable.build.settings import FunctionSettings
from portable.errors import ConfigError
from portable.manifest import FunctionRecord, ResourceRecord
from portable_aws.infrastructure.names import logical, ref

__all__ = ["Plan", "function_id"]

_RETENTIONS = (1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653)
_DEFAULT_TIMEOUT = 3  # seconds: AWS::Lambda::Function, Timeout


def function_id(name: str) -> str:
    """The logical id of a function."""
    return logical(name, "Function")


class Plan:
    """What the modules of this package write to.

    Attributes:
        deployment: what is deployed. resources, parameters, outputs: of the template.
        environment: variables by function. statements: of each function's policy, by function.
    """

    def __init__(self, deployment: Deployment) -> None:
        self.deployment = deployment
        self.manifest = deployment.manifest
        self.settings = deployment.settings
        self.resources: dict[str, Any] = {}
        self.parameters: dict[str, Any] = {}
        self.outputs: dict[str, Any] = {}
        self.environment: dict[str, dict[str, Any]] = {one.name: {} for one in self.manifest.functions}
        self.statements: dict[str, list[dict[str, Any]]] = {one.name: [] for one in self.manifest.functions}

    def add(self, name: str, kind: str, properties: Mapping[str, Any], **attributes: Any) -> str:
        """A resource; the logical id again. ``attributes``: what stands beside the properties, as DependsOn.

        Raises ConfigError where two of the app's names come to one logical id.
        """
        if name in self.resources:
            raise ConfigError(f"two names of app {self.manifest.app} both are {name} in CloudFormation; rename one")
        self.resources[name] = {"Type": kind, **attributes, "Properties": dict(properties)}
        return name

    def parameter(self, name: str, description: str, kind: str = "String", **more: Any) -> dict[str, Any]:
        """A reference to a parameter of the template, which is declared once."""
        self.parameters[name] = {"Type": kind, "Description": description, **more}
        return ref(name)

    def output(self, name: str, value: Any, description: str) -> None:
        """What a deployment says at its end."""
        self.outputs[name] = {"Description": description, "Value": value}

    # --- functions

    def of(self, function: str) -> FunctionSettings:
        """How a function is deployed."""
        return self.deployment.functions[function]

    def timeout(self, function: str) -> int:
        """Whole seconds, rounded up."""
        asked = self.of(function).timeout
        return _DEFAULT_TIMEOUT if asked is None else -int(-asked // 1)

    def source(self, function: str) -> str:
        """The event source that calls a function."""
        return self.deployment.bundle_of(function).sources[function]

    def of_kind(self, kind: str) -> list[FunctionRecord]:
        """The functions that a kind of trigger calls."""
        return [one for one in self.manifest.functions if one.kind == kind]

    def target(self, function: str) -> dict[str, Any]:
        """What events are sent to: the ARN of the function, or of its alias where instances are kept warm."""
        name = function_id(function)
        return ref(f"{name}Alias") if self.of(function).min_instances else {"Fn::GetAtt": [name, "Arn"]}

    def permit(self, function: str, label: str, principal: str, **conditions: Any) -> str:
        """Let a part of AWS call a function. ``conditions``: as SourceArn."""
        return self.add(
            f"{function_id(function)}{label}Permission",
            "AWS::Lambda::Permission",
            {
                "Action": "lambda:InvokeFunction",
                "FunctionName": self.target(function),
                "Principal": principal,
                **conditions,
            },
        )

    def allow(self, function: str, actions: Sequence[str], resources: Sequence[Any]) -> None:
        """A statement of a function's policy."""
        self.statements[function].append({"Effect": "Allow", "Action": sorted(actions), "Resource": list(resources)})

    @property
    def retention(self) -> int:
        """Days that logs are kept: the next number that CloudWatch has, PutRetentionPolicy."""
        asked = self.deployment.retention_days
        return next((days for days in _RETENTIONS if days >= asked), _RETENTIONS[-1])

    # --- resources

    def existing(self, kind: str, name: str) -> str | None:
        """The user's own name of a resource that is not created."""
        return self.deployment.existing.get(f"{kind}:{name}")

    def created(self, kind: str) -> list[ResourceRecord]:
        """The resources of a kind that the template makes."""
        return [one for one in self.manifest.of_kind(kind) if self.existing(kind, one.name) is None]
