"""The only file of a deployment that imports Azure's packages, each inside the function that needs it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from portable.errors import ConfigError

__all__ = [
    "arm_clients",
    "deployment_of",
    "login",
    "login_error",
    "missing_error",
    "request",
    "response_error",
    "upload_blob",
    "vendor_error",
    "what_if_of",
]

EXTRA = "pip install 'portable-functions[azure-deploy]'"


def _missing(package: str, error: ImportError) -> ConfigError:
    return ConfigError(f"{package} is not installed ({error}): {EXTRA}")


@cache
def login() -> Any:
    """Whoever is logged in: the environment, a managed identity, ``az login`` … Raises ConfigError without the SDK."""
    try:
        from azure.identity import DefaultAzureCredential
    except ImportError as error:
        raise _missing("azure-identity", error) from error
    return DefaultAzureCredential()


def arm_clients(subscription: str, credential: Any, endpoint: str | None, polling: float) -> tuple[Any, Any]:
    """A client of resources, and one of deployments. ``polling``: seconds between two looks at what is under way."""
    try:
        from azure.mgmt.core.policies import ARMChallengeAuthenticationPolicy
        from azure.mgmt.resource.deployments import DeploymentsMgmtClient
        from azure.mgmt.resource.resources import ResourceManagementClient
    except ImportError as error:
        raise _missing("azure-mgmt-resource", error) from error
    options: dict[str, Any] = {"polling_interval": polling, "retry_backoff_factor": min(0.8, polling)}
    if endpoint is not None and endpoint.startswith("http://127.0.0.1:"):

        class OnThisMachine(ARMChallengeAuthenticationPolicy):
            """A token goes over TLS alone, but on the loopback."""

            def on_request(self, request: Any) -> None:
                request.context.options["enforce_https"] = False
                super().on_request(request)

        options["authentication_policy"] = OnThisMachine(credential, "https://management.azure.com/.default")
    given: Any = credential
    return (
        ResourceManagementClient(given, subscription, endpoint, **options),
        DeploymentsMgmtClient(given, subscription, endpoint, **options),
    )


def _properties(template: Any, given: Mapping[str, Any], kind: Any) -> Any:
    from azure.mgmt.resource.deployments import models

    declared = template.get("parameters", {})
    parameters = {name: models.DeploymentParameter(value=value) for name, value in given.items() if name in declared}
    return kind(mode=models.DeploymentMode.INCREMENTAL, template=template, parameters=parameters)


def deployment_of(template: Any, given: Mapping[str, Any]) -> Any:
    """A deployment that adds to what is in the group, and takes nothing away. ``given``: parameters, if it has them."""
    from azure.mgmt.resource.deployments import models

    return models.Deployment(properties=_properties(template, given, models.DeploymentProperties))


def what_if_of(template: Any, given: Mapping[str, Any]) -> Any:
    """A question what such a deployment would do."""
    from azure.mgmt.resource.deployments import models

    return models.DeploymentWhatIf(properties=_properties(template, given, models.DeploymentWhatIfProperties))


def request(method: str, url: str, **options: Any) -> Any:
    """A request of one's own."""
    from azure.core.rest import HttpRequest

    return HttpRequest(method, url, **options)


def vendor_error() -> type[Exception]:
    """The base of the SDK's errors: no login, no connection, an answer that says no."""
    from azure.core.exceptions import AzureError

    base: type[Exception] = AzureError
    return base


def response_error() -> type[Exception]:
    """An answer that says no."""
    from azure.core.exceptions import HttpResponseError

    kind: type[Exception] = HttpResponseError
    return kind


def login_error() -> type[Exception]:
    """Nobody is logged in, or no longer."""
    from azure.core.exceptions import ClientAuthenticationError

    kind: type[Exception] = ClientAuthenticationError
    return kind


def missing_error() -> type[Exception]:
    """An answer that says that it is not there."""
    from azure.core.exceptions import ResourceNotFoundError

    kind: type[Exception] = ResourceNotFoundError
    return kind


def upload_blob(url: str, file: Any, credential: Any) -> None:
    """Write a file to a blob, over what is there."""
    from azure.storage.blob import BlobClient

    with BlobClient.from_blob_url(url, credential) as blob, file.open("rb") as content:
        blob.upload_blob(content, overwrite=True)
