"""What an app has no more, and what a deployment that only adds would leave: code that runs on, subscriptions that fill
up until their topic takes no message, roles that nobody needs. What holds data is none of it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from portable_azure.build.infrastructure.access import said_of
from portable_azure.deploy.data import is_of_host
from portable_azure.deploy.group import Group

__all__ = ["ASSIGNMENTS", "ROLES", "App", "Orphan", "assignments_of", "orphans", "roles_of"]

ROLES, ASSIGNMENTS = "Microsoft.Authorization/roleDefinitions", "Microsoft.Authorization/roleAssignments"
_IDENTITY = "Microsoft.ManagedIdentity/userAssignedIdentities"
_BUS, _TOPIC = "Microsoft.ServiceBus/namespaces", "Microsoft.EventGrid/systemTopics"
_COSMOS, _STORAGE = "Microsoft.DocumentDB/databaseAccounts", "Microsoft.Storage/storageAccounts"
_CODE = ("Microsoft.Web/sites", "Microsoft.App/containerApps", "Microsoft.App/jobs", "Microsoft.Web/serverfarms")


class Orphan(NamedTuple):
    """A resource to take away. ``kind``: that its version of the interface goes by."""

    id: str
    kind: str


class App(NamedTuple):
    """Whose they are: the app's name, its stage, and id and type of each resource that bears their tags."""

    name: str
    stage: str
    tagged: Sequence[tuple[str, str]]


def orphans(group: Group, app: App, present: Collection[str]) -> Iterator[Orphan]:
    """What bears the app's mark and is not ``present``: the ids of what the app's templates name. What others put there
    is left alone. In the order in which it can go.
    """
    there = {one.lower() for one in present}
    roles = {one.rpartition("/")[2] for one in there}  # a role is listed under another scope than it is made in
    gone = [(one, kind) for one, kind in app.tagged if one.lower() not in there]
    kept = [(one, kind) for one, kind in app.tagged if one.lower() in there]
    for one, kind in kept:
        yield from _within(group, one, kind, there)
    for kind in _CODE:
        yield from (Orphan(one, kind) for one, found in gone if found == kind)
    yield from _roles(group, app, roles, gone)
    yield from (Orphan(one, kind) for one, kind in gone if kind in (_IDENTITY, _TOPIC))
    yield from (Orphan(one, kind) for one, kind in gone if kind == _STORAGE and is_of_host(group, one))


def _within(group: Group, one: str, kind: str, there: Collection[str]) -> Iterator[Orphan]:
    """Subscriptions of handlers that are gone, to what is still there."""
    lists = []
    if kind == _TOPIC:
        lists = [f"{one}/eventSubscriptions"]
    elif kind == _BUS:
        topics = group.listed(f"{one}/topics", group.version_of(_BUS))
        lists = [f"{topic['id']}/subscriptions" for topic in topics if topic["id"].lower() in there]
    for path in lists:
        for found in group.listed(path, group.version_of(kind)):
            if found["id"].lower() not in there:
                yield Orphan(found["id"], kind)


def _roles(group: Group, app: App, there: Collection[str], gone: Sequence[tuple[str, str]]) -> Iterator[Orphan]:
    principals = set()
    for identity in [one for one, kind in app.tagged if kind == _IDENTITY]:
        found = group.read(identity, group.version_of(_IDENTITY))
        principals.add(found["properties"]["principalId"])
        going = (identity, _IDENTITY) in gone
        for one in assignments_of(group, found["properties"]["principalId"]):
            ours = one["properties"].get("description") == said_of(app.name, app.stage)
            if going or (ours and one["id"].rpartition("/")[2].lower() not in there):
                yield Orphan(one["id"], ASSIGNMENTS)
    for account in [one for one, kind in app.tagged if kind == _COSMOS and (one, kind) not in gone]:
        yield from _roles_of_cosmos(group, app, account, there, principals)
    for one in roles_of(group, app):
        if one["id"].rpartition("/")[2].lower() not in there:
            yield Orphan(one["id"], ROLES)


def _roles_of_cosmos(
    group: Group, app: App, account: str, there: Collection[str], principals: Collection[str]
) -> Iterator[Orphan]:
    version = group.version_of(_COSMOS)
    listed = group.listed(f"{account}/sqlRoleDefinitions", version)
    ours = {one["id"].lower(): one for one in listed if _is_of(app, one)}
    for one in group.listed(f"{account}/sqlRoleAssignments", version):
        properties, name = one["properties"], one["id"].rpartition("/")[2].lower()
        known = properties["roleDefinitionId"].lower() in ours and properties["principalId"] in principals
        if known and name not in there:
            yield Orphan(one["id"], _COSMOS)
    for key, one in ours.items():
        if key.rpartition("/")[2] not in there:
            yield Orphan(one["id"], _COSMOS)


def assignments_of(group: Group, principal: str) -> list[dict[str, Any]]:
    """The role assignments of an identity in the group and on what is in it."""
    asked = f"principalId eq '{principal}'"
    found = group.listed(f"{group.id}/providers/{ASSIGNMENTS}", group.version_of(ASSIGNMENTS), asked)
    return [one for one in found if one["id"].lower().startswith(f"{group.id}/".lower())]


def roles_of(group: Group, app: App) -> list[dict[str, Any]]:
    """The app's own roles in the group."""
    found = group.listed(f"{group.id}/providers/{ROLES}", group.version_of(ROLES), "type eq 'CustomRole'")
    own = group.id.lower()
    return [
        one
        for one in found
        if _is_of(app, one) and own in (scope.lower() for scope in one["properties"]["assignableScopes"])
    ]


def _is_of(app: App, role: Mapping[str, Any]) -> bool:
    found: bool = role["properties"]["roleName"].startswith(f"{app.name} {app.stage}: ")
    return found
