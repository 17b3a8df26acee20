"""Who may do what: a service account a function, the app's own roles, and a binding for every grant.

Two more accounts: ``events`` is who calls the functions that take events, and nothing else; ``build`` builds them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from portable.build.deployment import Deployment
from portable.manifest import FunctionRecord
from portable_gcp.infrastructure.data import Data, Entries
from portable_gcp.infrastructure.functions import Functions, is_public
from portable_gcp.infrastructure.names import Names
from portable_gcp.infrastructure.places import Places, local_id
from portable_gcp.permissions import CUSTOM, PUBLISHER, TRIGGER_ACTIONS, roles

__all__ = ["Access"]

CALLER, BUILDER = "portable_events", "portable_build"  # what no function is called
INVOKER = "roles/run.invoker"
# What a build by an account of one's own needs: https://cloud.google.com/functions/docs/securing/build-custom-sa.
_BUILD = ("roles/artifactregistry.writer", "roles/logging.logWriter", "roles/storage.objectViewer")
_SERVICE_AGENTS = {
    "pubsub": "serviceAccount:service-${number}@gcp-sa-pubsub.iam.gserviceaccount.com",
    "storage": "serviceAccount:service-${number}@gs-project-accounts.iam.gserviceaccount.com",
}
_ON = {
    "bucket": "bucket",
    "account": "account",
    "topic": "topic",
    "dead-topic": "topic",
    "subscription": "subscription",
    "dead-letters": "subscription",
    "database": "project",
    "secret": "secret",
}
"""The kind of thing that the policy of a part is set on."""


def _last(role: str) -> str:
    return role.rpartition("/")[2].replace(".", "_")


class Access:
    """The entries of one deployment, by kind."""

    def __init__(self, deployment: Deployment, names: Names, places: Places, data: Data, functions: Functions) -> None:
        self._deployment = deployment
        self._names = names
        self._places = places
        self.accounts: Entries = {}
        self.roles: Entries = {}
        self.bindings: dict[str, dict[str, Any]] = {}
        for function in deployment.manifest.functions:
            self._account(function.name, f"{function.name} of {deployment.app}, stage {deployment.stage}")
            self._grant(function)
            self._let_call(function)
        if functions.functions:
            self._account(BUILDER, f"builds the functions of {deployment.app}, stage {deployment.stage}")
            for role in _BUILD:
                self._bind(
                    "project", "", role, f"serviceAccount:${{account.{BUILDER}}}", local_id(BUILDER, _last(role))
                )
        self._let_deliver(data, functions)

    def _account(self, one: str, title: str) -> None:
        self.accounts[one] = {
            "id": self._names.account(one.replace("portable_", "-")),
            "body": {"displayName": title[:100]},
        }

    def _grant(self, function: FunctionRecord) -> None:
        member = f"serviceAccount:${{account.{function.name}}}"
        for key, part, role in roles(function.grants):
            kind, _, name = key.partition(":")
            self._allow(function.name, member, kind, name, part, role)
        for trigger in function.triggers:
            if trigger.kind != "message":
                continue
            kind, name = trigger.source
            for part, role in TRIGGER_ACTIONS[kind].items():
                if kind == "topic":  # the dead letters of this function's own subscription
                    one = local_id("topic", name, function.name)
                    self._bind("topic", f"${{topic.{one}_dead}}", role, member, local_id(function.name, one, "dead"))
                else:
                    self._allow(function.name, member, kind, name, part, role)

    def _allow(self, owner: str, member: str, kind: str, name: str, part: str, role: str) -> None:
        if part == "account":
            self._bind("account", f"${{account.{owner}}}", self._role(role), member, local_id(owner, role))
            return
        resource = self._places.part(kind, name, part)
        if not resource:
            return
        condition = None
        if part == "database":
            resource, condition = "", {"title": "database", "expression": f'resource.name == "{resource}"'}
            if self._places.bound(kind, name) is None:
                name = "tables"
        label = local_id(owner, kind, name, part.replace("-", "_"), _last(role))
        self._bind(_ON[part], resource, self._role(role), member, label, condition)

    def _let_call(self, function: FunctionRecord) -> None:
        service = f"${{service.{function.name}}}"
        if is_public(function):
            self._bind("service", service, INVOKER, "allUsers", local_id(function.name, "everybody"))
        elif function.kind not in ("http", "direct"):
            self._bind(
                "service",
                service,
                INVOKER,
                "serviceAccount:${account.portable_events}",
                local_id(function.name, "events"),
            )

    def _let_deliver(self, data: Data, functions: Functions) -> None:
        """What Google's own service agents, and the account that events are posted by, need."""
        manifest = self._deployment.manifest
        if any(one.kind not in ("http", "direct") for one in manifest.functions):
            title = f"calls the functions of {self._deployment.app}, stage {self._deployment.stage}, with events"
            self._account(CALLER, title)
        pubsub = _SERVICE_AGENTS["pubsub"]
        for one, entry in data.subscriptions.items():
            if "deadLetterPolicy" in entry["body"]:
                self._bind("topic", f"${{topic.{one}_dead}}", PUBLISHER, pubsub, local_id("pubsub", one, "dead"))
                subscriber, resource = "roles/pubsub.subscriber", f"${{subscription.{one}}}"
                self._bind("subscription", resource, subscriber, pubsub, local_id("pubsub", one))
        if any("pushConfig" in one["body"] for one in data.subscriptions.values()):
            role = "roles/iam.serviceAccountOpenIdTokenCreator"
            self._bind("account", "${account.portable_events}", role, pubsub, "pubsub_events")
        if functions.triggers:
            role = "roles/eventarc.eventReceiver"
            self._bind("project", "", role, "serviceAccount:${account.portable_events}", "events_eventarc")
        if any(one.kind == "blob" for one in manifest.functions):
            # Eventarc makes the topic itself, so it cannot be named here.
            self._bind("project", "", PUBLISHER, _SERVICE_AGENTS["storage"], "storage_eventarc")

    def _role(self, role: str) -> str:
        if role not in CUSTOM:
            return role
        if role not in self.roles:
            title = f"{self._deployment.app} {self._deployment.stage}: {role.replace('_', ' ')}"
            body = {"title": title[:100], "includedPermissions": list(CUSTOM[role]), "stage": "GA"}
            self.roles[role] = {"id": self._names.role(role), "body": body}
        return f"${{role.{role}}}"

    def _bind(
        self, on: str, resource: str, role: str, member: str, label: str, condition: Mapping[str, str] | None = None
    ) -> None:
        binding: dict[str, Any] = {"on": on, "resource": resource, "role": role, "member": member}
        self.bindings[label] = binding | ({"condition": dict(condition)} if condition else {})
