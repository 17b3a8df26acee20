"""Role definitions and assignments: what each Function App's identity may do.

https://learn.microsoft.com/azure/templates/microsoft.authorization/roleassignments,
https://learn.microsoft.com/azure/templates/microsoft.documentdb/databaseaccounts/sqlroleassignments
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from portable.manifest import FunctionRecord
from portable.resources.topic import subscription_name
from portable_azure.build.infrastructure.database import COSMOS
from portable_azure.build.infrastructure.existing import Elsewhere
from portable_azure.build.infrastructure.expressions import Expression, call, property_of, text
from portable_azure.build.infrastructure.storage import BLOB_POISON, DATA, add_queue
from portable_azure.build.infrastructure.template import Template
from portable_azure.permissions import HOST_ROLES, TRIGGER_ACTIONS, Role, operations, role_of

__all__ = ["Access", "said_of"]

_ROLES, _ASSIGNMENTS = "Microsoft.Authorization/roleDefinitions", "Microsoft.Authorization/roleAssignments"
_COSMOS = "Microsoft.DocumentDB/"


class Access:
    """The roles of a deployment, while they are declared. Assignments are named by what they say, so that a second
    deployment finds those of the first.
    """

    def __init__(
        self, template: Template, app: str, stage: str, placed: Mapping[str, Any], elsewhere: Elsewhere
    ) -> None:
        self._template = template
        self._elsewhere = elsewhere
        self._app, self._stage = app, stage
        self._placed = placed

    def grant(self, identity: str, word: str, functions: Sequence[FunctionRecord], sources: Mapping[str, str]) -> None:
        """Assign what these functions need, together: an identity is a Function App's. ``sources``: the event source of
        each. ``word``: the app, in symbols.
        """
        needed: dict[str, set[str]] = {}  # operations by the symbol they are allowed on
        for function in functions:
            for (key, part), wanted in operations(function.grants).items():
                for symbol in self._scopes(key, part):
                    needed.setdefault(symbol, set()).update(wanted)
            for symbol, asked in self._of_triggers(function):
                needed.setdefault(symbol, set()).update(asked)
        for symbol in sorted(needed):
            self.assign(identity, word, symbol, role_of(needed[symbol]), needed[symbol])
        self._of_blobs(identity, word, functions, sources)

    def _scopes(self, key: str, part: str) -> Iterable[str]:
        found: Iterable[str] = self._placed[key].scopes.get(part, ()) if key in self._placed else ()
        return found

    def _of_triggers(self, function: FunctionRecord) -> Iterable[tuple[str, Sequence[str]]]:
        for trigger in function.triggers:
            if trigger.kind not in ("message", "stream", "change"):
                continue
            kind, name = trigger.source
            placed = self._placed[f"{kind}:{name}"]
            scopes = placed.scopes
            if kind == "topic":
                scopes = placed.settings.get(subscription_name(name, function.name), {}).get("scopes", {})
            for part, wanted in TRIGGER_ACTIONS[kind].items():
                for symbol in scopes.get(part, ()):
                    yield symbol, wanted

    def _of_blobs(
        self, identity: str, word: str, functions: Sequence[FunctionRecord], sources: Mapping[str, str]
    ) -> None:
        for function in functions:
            if not sources[function.name].startswith("blob"):
                continue
            polls = sources[function.name] == "blob"
            for bucket in dict.fromkeys(function.asks("bucket")):
                # The host looks for new blobs in the logs of the whole account.
                for symbol in self._scopes(f"bucket:{bucket}", "account" if polls else "container"):
                    for role in HOST_ROLES["blob-trigger"]:
                        self.assign(identity, word, symbol, role)
                if self._placed[f"bucket:{bucket}"].made:
                    poison = "blobs_poison"
                    if poison not in self._template:
                        add_queue(self._template, poison, DATA, BLOB_POISON)
                    for role in HOST_ROLES["blob-trigger-poison"]:
                        self.assign(identity, word, poison, role)

    def assign(self, identity: str, word: str, scope: str, role: Role, needed: Iterable[str] = ()) -> None:
        """Assign a role on one resource, in the template of its group."""
        symbol = f"{word}_{_word(role.name)}_on_{scope}"
        group = self._elsewhere.holding(scope)
        template = self._template if group is None else self._elsewhere.template(group)
        if symbol in template:
            return
        principal = property_of(identity, "principalId")
        who = self._template.id_of(identity)
        if group is not None:
            principal = who = self._elsewhere.principal(group, identity, principal)
        if any(one.startswith(_COSMOS) for one in needed):
            _assign_items(template, f"{self._app} {self._stage}", symbol, scope, role, (principal, who))
            return
        definition, waits = self._definition(template, role)
        body: dict[str, Any] = {
            "roleDefinitionId": call("subscriptionResourceId", _ROLES, definition),
            "principalId": principal,
            "principalType": "ServicePrincipal",
            "description": said_of(self._app, self._stage),
        }
        if role.condition:
            body |= {"condition": role.condition, "conditionVersion": "2.0"}
        name = call("guid", template.id_of(scope), who, definition)
        template.on(symbol, scope, _ASSIGNMENTS, name, {"properties": body})
        template.after(symbol, *waits)

    def _definition(self, template: Template, role: Role) -> tuple[Any, list[str]]:
        """The name of a role's definition, and what has to be there before it is assigned."""
        if role.id:
            return role.id, []
        symbol = f"role_{_word(role.name)}"
        group = Expression("resourceGroup().id")
        name = call("guid", group, self._app, self._stage, role.name)
        if symbol not in template:
            body = {
                "roleName": text(f"{self._app} {self._stage}: {role.name} ({{0}})", Expression("variables('digest')")),
                "description": said_of(self._app, self._stage),
                "type": "CustomRole",
                "permissions": [
                    {
                        "actions": list(role.actions),
                        "notActions": [],
                        "dataActions": list(role.data_actions),
                        "notDataActions": [],
                    }
                ],
                "assignableScopes": [group],
            }
            template.add(symbol, _ROLES, name, {"properties": body}, located=False)
        return name, [symbol]


def _assign_items(
    template: Template, owner: str, symbol: str, scope: str, role: Role, who: tuple[Expression, Expression]
) -> None:
    """Cosmos DB has roles of its own, in the account. ``who``: the principal, and what its assignment is named by."""
    around = template.around(scope)
    definition = f"role_{_word(role.name)}" + ("" if around == COSMOS else f"_in_{around}")
    account = template.id_of(around)
    if definition not in template:
        body = {
            "roleName": f"{owner}: {role.name}",
            "type": "CustomRole",
            "assignableScopes": [account],
            "permissions": [{"dataActions": list(role.data_actions)}],
        }
        said = (role.name,) if around == COSMOS else (owner, role.name)  # others have roles there too
        template.within(definition, around, "sqlRoleDefinitions", call("guid", account, *said), {"properties": body})
    _, database, container = template.names_of(scope)
    body = {
        "roleDefinitionId": template.id_of(definition),
        "principalId": who[0],
        "scope": text("{0}/dbs/{1}/colls/{2}", account, database, container),
    }
    name = call("guid", account, container, who[1], role.name)
    template.within(symbol, around, "sqlRoleAssignments", name, {"properties": body})
    if not template.is_there(scope):
        template.after(symbol, scope)


def said_of(app: str, stage: str) -> str:
    """What a role or an assignment is described by: it tells those of the app from what others assigned."""
    return f"Of app {app}, stage {stage}"


def _word(name: str) -> str:
    return name.lower().replace(" ", "_").replace("-", "_")
