"""What of a deployment holds data: looked for in the accounts that are there, not in what the app says today."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from portable.errors import DeployError
from portable.manifest import Manifest
from portable_azure import _sdk
from portable_azure.build.infrastructure.apps import PACKAGES
from portable_azure.build.infrastructure.events import UNDELIVERED
from portable_azure.capabilities import NAMES
from portable_azure.deploy.group import Group
from portable_azure.table import parse_address

__all__ = ["Held", "held", "is_of_host"]

_STORAGE, _COSMOS = "Microsoft.Storage/storageAccounts", "Microsoft.DocumentDB/databaseAccounts"
_HOSTS = re.compile(rf"{PACKAGES}|azure-webjobs-.+|scm-releases|\$.+")
"""Containers that the Functions host makes. Documented: azure-functions/storage-considerations."""


class Held(NamedTuple):
    """Something that is not empty, or of which that cannot be told, and the id of the account it is in."""

    what: str
    account: str


def held(
    group: Group, resources: Sequence[tuple[str, str]], manifest: Manifest, environment: Mapping[str, str]
) -> Iterator[Held]:
    """Each bucket and table in these resources that holds data; those too that the app has no more."""
    for account, kind in resources:
        looked = {_STORAGE: _in_storage, _COSMOS: _in_cosmos}.get(kind)
        if looked is None:
            continue
        try:
            for what in looked(group, account, manifest, environment):
                yield Held(what, account)
        except DeployError as error:
            yield Held(f"{kind} {account.rpartition('/')[2]} (could not look: {error})", account)


def is_of_host(group: Group, account: str) -> bool:
    """Whether a storage account has what the Functions host keeps there, and nothing else."""
    names = _containers(group, account)
    return PACKAGES in names and all(_HOSTS.fullmatch(name) for name in names)


def _containers(group: Group, account: str) -> list[str]:
    inner = f"{account}/blobServices/default/containers"
    return [one["name"] for one in group.listed(inner, group.version_of(_STORAGE))]


def _in_storage(group: Group, account: str, manifest: Manifest, environment: Mapping[str, str]) -> Iterator[str]:
    known = {NAMES["bucket"].physical(one.name): one.name for one in manifest.of_kind("bucket")}
    known[UNDELIVERED] = UNDELIVERED
    names = [name for name in _containers(group, account) if not _HOSTS.fullmatch(name)]
    if not names:
        return
    found = group.read(account, group.version_of(_STORAGE))
    root = found["properties"]["primaryEndpoints"]["blob"]
    for name in names:
        yield from _full("bucket", known.get(name), name, _is_empty_bucket, f"{root}{name}", environment)


def _in_cosmos(group: Group, account: str, manifest: Manifest, environment: Mapping[str, str]) -> Iterator[str]:
    version, host = group.version_of(_COSMOS), account.rpartition("/")[2]
    tables = {one.name for one in manifest.of_kind("table")}
    for database in [one["name"] for one in group.listed(f"{account}/sqlDatabases", version)]:
        for one in group.listed(f"{account}/sqlDatabases/{database}/containers", version):
            name = one["name"]
            if name.endswith(".leases"):
                continue  # positions in a change feed
            address = f"https://{host}.documents.azure.com/dbs/{database}/colls/{name}"
            yield from _full("table", name if name in tables else None, name, _is_empty_table, address, environment)


def _full(
    kind: str,
    name: str | None,
    physical: str,
    empty: Callable[[str, Mapping[str, str]], bool],
    address: str,
    environment: Mapping[str, str],
) -> Iterator[str]:
    said = f"{kind} {name}" if name is not None else f"{kind} {physical}, which the app has no more"
    try:
        if not empty(address, environment):
            yield said
    except _sdk.error_class() as error:
        if getattr(error, "status_code", None) != 404:
            # Whoever may manage an account may not read it: what cannot be seen is taken to be there.
            yield f"{said} (could not look: {str(error).splitlines()[0]})"


def _is_empty_bucket(address: str, environment: Mapping[str, str]) -> bool:
    with _sdk.container_client(address, environment) as container:
        return next(iter(container.list_blobs(results_per_page=1)), None) is None


def _is_empty_table(address: str, environment: Mapping[str, str]) -> bool:
    client, container = _sdk.cosmos_container(*parse_address(address), environment)
    with client:
        found = _sdk.cosmos_query(container, "SELECT TOP 1 c.id FROM c", {}, None, 1)
        return next(found, None) is None
