"""The template as a ``serverless.yml``: functions are the framework's own, everything else is among its resources.

https://github.com/oss-serverless/serverless: a function ``take`` becomes ``TakeLambdaFunction``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from portable.build.deployment import Deployment
from portable.errors import ConfigError
from portable_aws.infrastructure.functions import ARTIFACTS_BUCKET, key_parameter

__all__ = ["serverless_of"]

_FUNCTION = "AWS::Lambda::Function"
_PLACE = re.compile(r"\$\{([^}!.]+)")


def serverless_of(deployment: Deployment, template: Mapping[str, Any]) -> dict[str, Any]:
    """The whole of it. Raises ConfigError for functions as images, and for instances that are kept warm by an alias."""
    if deployment.image is not None:
        raise ConfigError("--iac serverless deploys zips; the default form has images too")
    resources: Mapping[str, Any] = template["Resources"]
    if any(one["Type"] == "AWS::Lambda::Alias" for one in resources.values()):
        raise ConfigError("--iac serverless keeps no instances warm; leave min_instances out, or take the default form")
    functions = {name: one for name, one in resources.items() if one["Type"] == _FUNCTION}
    renamed = {name: f"{_key(name)}LambdaFunction" for name in functions}
    others = {name: _renamed(one, renamed) for name, one in resources.items() if name not in functions}
    zips = {ARTIFACTS_BUCKET, *(key_parameter(one.zip_name) for one in deployment.bundles)}
    parameters = {name: one for name, one in template.get("Parameters", {}).items() if name not in zips}
    return {
        "service": deployment.app,
        "configValidationMode": "error",
        "provider": {
            "name": "aws",
            "stage": deployment.stage,
            "region": deployment.settings.get("region", "${env:AWS_REGION}"),
            "stackName": deployment.settings.get("stack") or f"{deployment.app}-{deployment.stage}",
            "versionFunctions": False,
        },
        "package": {"individually": True},
        "functions": {_key(name): _function(one, renamed) for name, one in functions.items()},
        "resources": {
            **({"Parameters": parameters} if parameters else {}),
            "Resources": others,
            "Outputs": _renamed(template.get("Outputs", {}), renamed),
            "extensions": {
                renamed[name]: {"Properties": _extended(one["Properties"])} for name, one in functions.items()
            },
        },
    }


def _key(name: str) -> str:
    """``TakeFunction`` is ``Take``: the framework's logical id holds it as it is."""
    return name.removesuffix("Function") or name


def _function(resource: Mapping[str, Any], renamed: Mapping[str, str]) -> dict[str, Any]:
    said = resource["Properties"]
    made: dict[str, Any] = {
        "description": said["Description"],
        "handler": said["Handler"],
        "runtime": said["Runtime"],
        "architecture": said["Architectures"][0],
        "timeout": said["Timeout"],
        "role": said["Role"],
        "disableLogs": True,  # its log group is among the resources
        "package": {"artifact": resource["Metadata"]["aws:asset:path"]},
        "environment": _renamed(said["Environment"]["Variables"], renamed),
    }
    if "MemorySize" in said:
        made["memorySize"] = said["MemorySize"]
    if "EphemeralStorage" in said:
        made["ephemeralStorageSize"] = said["EphemeralStorage"]["Size"]
    if "ReservedConcurrentExecutions" in said:
        made["reservedConcurrency"] = said["ReservedConcurrentExecutions"]
    return made


def _extended(said: Mapping[str, Any]) -> dict[str, Any]:
    return {"LoggingConfig": said["LoggingConfig"]}


def _renamed(value: Any, names: Mapping[str, str]) -> Any:
    """References to functions by the framework's names; the ``${…}`` of Sub as the framework leaves them alone."""
    if isinstance(value, list):
        return [_renamed(one, names) for one in value]
    if isinstance(value, str):
        return names.get(value, value)
    if not isinstance(value, Mapping):
        return value
    if set(value) == {"Fn::Sub"}:
        said = value["Fn::Sub"]
        text, more = (said, []) if isinstance(said, str) else (said[0], [_renamed(one, names) for one in said[1:]])
        filled = _PLACE.sub(lambda found: f"${{{names.get(found[1], found[1])}", text)
        return {"Fn::Sub": [filled, *more] if more else filled}
    return {key: _renamed(one, names) for key, one in value.items()}
