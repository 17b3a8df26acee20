"""What to do about what Azure refuses, by the code of its error.

Codes: https://learn.microsoft.com/azure/azure-resource-manager/troubleshooting/common-deployment-errors
"""

from __future__ import annotations

import re
from collections.abc import Iterable

__all__ = ["LOGIN", "hint", "is_passing"]

LOGIN = "`az login`, or the variables that DefaultAzureCredential reads, say who is asking"
_RIGHTS = (
    "whoever deploys needs the role Owner on the resource group, or Contributor with Role Based Access Control "
    "Administrator"
)
_QUOTA = "ask for more under Quotas in Azure's portal, or set another location"
_NAMED = re.compile(r"namespace '([\w.]+)'")

_HINTS = {
    "AuthorizationFailed": _RIGHTS,
    "DeploymentActive": "another deployment of this app and stage is under way: wait for it, or end it with "
    "`az deployment group cancel`",
    "ExpiredAuthenticationToken": LOGIN,
    "FlagMustBeSetForRestore": "it was deleted a while ago, and is kept: restore it, or purge it",
    "InvalidAuthenticationToken": LOGIN,
    "InvalidAuthenticationTokenTenant": "this login is of another tenant: `az login --tenant`",
    "LinkedAuthorizationFailed": _RIGHTS,
    "LocationNotAvailableForResourceType": "set another location in [tool.portable.azure]",
    "MissingSubscriptionRegistration": "`az provider register --namespace {namespace} --wait`",
    "NoRegisteredProviderFound": "`az provider register --namespace {namespace} --wait`, or another location",
    "QuotaExceeded": _QUOTA,
    "RequestDisallowedByPolicy": "a policy of the subscription wants it otherwise: lay that over the file in "
    "infra/azure.yaml",
    "RoleAssignmentExists": "somebody assigned the same by hand: delete that assignment",
    "ScopeLocked": "a lock holds it: `az lock list --resource-group`",
    "SkuNotAvailable": "set another location in [tool.portable.azure]",
    "SubscriptionIsOverQuotaForSku": _QUOTA,
    "SubscriptionNotFound": "is it the right one? `az account list` names those of this login",
}
_DELETED_VAULT = re.compile(r"vault.*deleted state", re.IGNORECASE | re.DOTALL)

_PASSING = ("AnotherOperationInProgress", "PrincipalNotFound", "RetryableError", "RoleDefinitionDoesNotExist")
"""What goes away by itself: an identity or a role is not known everywhere at once. Documented:
role-based-access-control/troubleshooting, "Symptom - Assigning a role to a new principal sometimes fails"."""


def hint(code: str, message: str) -> str:
    """The way out, or ""."""
    if _DELETED_VAULT.search(message):
        return "a vault of this name was deleted: `az keyvault recover --name` brings it back, with its secrets"
    named = _NAMED.search(message)
    return _HINTS.get(code, "").format(namespace=named[1] if named else "NAMESPACE")


def is_passing(failures: Iterable[str]) -> bool:
    """Whether trying again may help, for each of these failures has a code that goes away."""
    told = list(failures)
    return bool(told) and all(any(f"{code}: " in one for code in _PASSING) for one in told)
