"""IAM policies: what a plan binds is added to what is there, and taken out again; what others bound stays.

A policy is read, changed and written with its etag, and read again where somebody else was faster:
https://cloud.google.com/iam/docs/policies#etag.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from portable_gcp.deploy.api import Api, Refused
from portable_gcp.deploy.site import Site

__all__ = ["Policies", "added", "removed"]

_ATTEMPTS = 6
_WAIT = 0.5  # seconds, doubled each time: an account that was just made is not known everywhere for some
_VERSION = 3  # of policies with conditions

Policy = dict[str, Any]
Binding = Mapping[str, Any]


class Policies:
    """The bindings of a plan, by the resource whose policy they are in."""

    def __init__(self, api: Api, site: Site) -> None:
        self._api = api
        self._site = site

    def wanted(self, *kinds: str) -> dict[tuple[str, str], list[Binding]]:
        """The bindings on these kinds of resources, nothing left open in them."""
        found: dict[tuple[str, str], list[Binding]] = {}
        for binding in self._site.plan["bindings"].values():
            if binding["on"] in kinds:
                one = self._site.resolve(binding)
                found.setdefault((one["on"], one["resource"]), []).append(one)
        return found

    def lasting(self) -> dict[tuple[str, str], list[Binding]]:
        """The bindings on what outlasts the deployment: the project, and what the user has bound."""
        found: dict[tuple[str, str], list[Binding]] = {}
        for binding in self._site.plan["bindings"].values():
            if not binding["resource"].startswith("${") or binding["on"] == "project":
                one = self._site.resolve(binding)
                found.setdefault((one["on"], one["resource"]), []).append(one)
        return found

    def add(self, on: str, resource: str, bindings: Sequence[Binding]) -> int:
        """Bind what is not bound yet, and say how much that was."""
        return self._change(on, resource, lambda policy: added(policy, bindings))

    def remove(self, on: str, resource: str, bindings: Sequence[Binding]) -> int:
        """Unbind what is bound."""
        return self._change(on, resource, lambda policy: removed(policy, bindings))

    def label(self, on: str, resource: str) -> str:
        """For errors."""
        return f"access to {on} {resource or self._site.project}"

    def _change(self, on: str, resource: str, change: Callable[[Policy], int]) -> int:
        for attempt in range(1, _ATTEMPTS + 1):
            policy = self._get(on, resource)
            changed = change(policy)
            if not changed:
                return 0
            try:
                self._set(on, resource, policy)
            except Refused as error:
                unknown = error.status == 400 and "does not exist" in error.reason
                if attempt == _ATTEMPTS or not (error.status == 409 or unknown):
                    raise
                time.sleep(_WAIT * 2**attempt)
            else:
                return changed
        raise AssertionError("at least one attempt")

    def _get(self, on: str, resource: str) -> Policy:
        service, path = self._place(on, resource)
        label, version = self.label(on, resource), {"options.requestedPolicyVersion": _VERSION}
        if on == "bucket":
            found = self._api.get(label, service, f"{path}/iam", {"optionsRequestedPolicyVersion": _VERSION})
        elif on in ("project", "account"):
            asked = {"options": {"requestedPolicyVersion": _VERSION}} if on == "project" else {}
            parameters = None if on == "project" else version
            found = self._api.call(label, "POST", service, f"{path}:getIamPolicy", asked, parameters)
        else:
            found = self._api.get(label, service, f"{path}:getIamPolicy", version)
        return dict(found or {})

    def _set(self, on: str, resource: str, policy: Policy) -> None:
        service, path = self._place(on, resource)
        policy["version"] = _VERSION
        if on == "bucket":
            self._api.call(self.label(on, resource), "PUT", service, f"{path}/iam", policy)
        else:
            self._api.call(self.label(on, resource), "POST", service, f"{path}:setIamPolicy", {"policy": policy})

    def _place(self, on: str, resource: str) -> tuple[str, str]:
        project, region = self._site.project, self._site.region
        match on:
            case "bucket":
                return "storage", f"b/{resource}"
            case "topic" | "subscription":
                return "pubsub", resource
            case "secret":
                return "secretmanager", resource
            case "account":
                return "iam", f"projects/{project}/serviceAccounts/{resource}"
            case "service":
                return "run", f"projects/{project}/locations/{region}/services/{resource}"
        return "cloudresourcemanager", f"projects/{project}"


def _alike(there: Mapping[str, Any], wanted: Binding) -> bool:
    return there.get("role") == wanted["role"] and there.get("condition") == wanted.get("condition")


def _has(policy: Policy, wanted: Binding) -> bool:
    return any(_alike(one, wanted) and wanted["member"] in one["members"] for one in policy.get("bindings", ()))


def added(policy: Policy, bindings: Sequence[Binding]) -> int:
    """Put into a policy what it has not, and say how much."""
    missing = [one for one in bindings if not _has(policy, one)]
    there = policy.setdefault("bindings", [])
    for wanted in missing:
        known = next((one for one in there if _alike(one, wanted)), None)
        if known is None:
            known = {"role": wanted["role"], "members": []}
            known |= {"condition": wanted["condition"]} if "condition" in wanted else {}
            there.append(known)
        known["members"] = [*known["members"], wanted["member"]]
    return len(missing)


def removed(policy: Policy, bindings: Sequence[Binding]) -> int:
    """Take out of a policy what it has of these, and say how much."""
    bound = [one for one in bindings if _has(policy, one)]
    for wanted in bound:
        for known in policy["bindings"]:
            if _alike(known, wanted):
                known["members"] = [one for one in known["members"] if one != wanted["member"]]
    policy["bindings"] = [one for one in policy.get("bindings", []) if one["members"]]
    return len(bound)
