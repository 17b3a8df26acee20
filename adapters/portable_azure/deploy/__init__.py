"""Into Azure and away again: a deployment of ARM's at the scope of a resource group, the code, then its events."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from time import sleep
from typing import Any

from portable.deploy import Change, Place, Progress
from portable.errors import ConfigError, DeployError
from portable.run.target import Artifact
from portable_azure.build.infrastructure import EVENTS, MAIN
from portable_azure.build.infrastructure.template import API
from portable_azure.deploy import _sdk
from portable_azure.deploy.code import Publisher
from portable_azure.deploy.data import held
from portable_azure.deploy.group import Group

__all__ = ["DEPLOYER", "AzureDeployer"]

_TRIES = 6
_ROLES, _ASSIGNMENTS = "Microsoft.Authorization/roleDefinitions", "Microsoft.Authorization/roleAssignments"
_ORDER = (
    "Microsoft.App/containerApps",
    "Microsoft.App/jobs",
    "Microsoft.Web/sites",
    "Microsoft.Web/serverfarms",
    "Microsoft.EventGrid/systemTopics",
    "Microsoft.Insights/components",
)
_DATA = {
    "Microsoft.Storage/storageAccounts": "bucket",
    "Microsoft.DocumentDB/databaseAccounts": "table",
    "Microsoft.KeyVault/vaults": "vault",
}


class AzureDeployer:
    """See ``portable.deploy.Deployer``.

    Args:
        credential: of azure-identity; whoever is logged in when left out.
        endpoint: of ARM; the public cloud's, or that of ``AZURE_CLOUD``, when left out.
        url_of: from the name of an app's ``scm`` host to its URL.
        polling: seconds between two looks at what is under way. pause: between two tries.
    """

    def __init__(
        self,
        credential: Any = None,
        endpoint: str | None = None,
        url_of: Callable[[str], str] = "https://{}".format,
        polling: float = 5.0,
        pause: float = 10.0,
    ) -> None:
        self._credential = credential
        self._endpoint = endpoint
        self._url_of = url_of
        self._polling = polling
        self._pause = pause

    def _group(self, place: Place) -> Group:
        subscription = place.settings.get("subscription") or place.environment.get("AZURE_SUBSCRIPTION_ID")
        name = place.settings.get("resource_group")
        for setting, value in (("subscription", subscription), ("resource_group", name)):
            if not isinstance(value, str) or not value:
                raise ConfigError(f'where to? Set {setting} = "…" in [tool.portable.azure]')
        credential = self._credential or _sdk.login()
        clients = _sdk.arm_clients(str(subscription), credential, self._endpoint, self._polling)
        return Group(str(name), str(subscription), clients, self._polling)

    def preview(self, artifact: Artifact, place: Place) -> Sequence[Change]:
        """See ``portable.deploy.Deployer``. Azure is asked what it would do, where the resource group is there."""
        group, main = self._group(place), _template(artifact, MAIN)
        name = _name(artifact, place)
        location = place.settings.get("location")
        events = _template(artifact, EVENTS) if _has_events(artifact) else None
        if group.exists():
            changes = list(group.preview(name, main, location))
            if events is not None and group.outputs(name):
                changes += group.preview(f"{name}-{EVENTS[:2]}", events, location)
                events = None
        else:
            _location(place, group)
            changes = [Change("create", "resource group", group.name), *_created(main)]
        changes += [Change("update", "code", package) for package in _packages(main).values()]
        return changes + (_created(events) if events is not None else [])

    def apply(self, artifact: Artifact, place: Place, progress: Progress) -> Mapping[str, str]:
        """See ``portable.deploy.Deployer``. Azure rolls nothing back: what was made stays, and is found again."""
        group, main, name = self._group(place), _template(artifact, MAIN), _name(artifact, place)
        for package in _packages(main).values():
            if not (artifact.folder / package).is_file():
                raise ConfigError(f"{artifact.folder} has no {package}: portable build --target azure")
        if not group.exists():
            group.make(_location(place, group), progress)
        location = place.settings.get("location")
        outputs = group.deploy(name, main, location, progress)
        publisher = Publisher(group, self._pause, self._url_of)
        for app, package in _packages(main).items():
            file, site = artifact.folder / package, outputs[f"{app}_name"]
            if url := outputs.get(f"{app}_package"):
                publisher.upload(site, url, file, self._credential or _sdk.login(), progress)
            else:
                publisher.publish(site, file, progress)
        if _has_events(artifact):
            self._deploy_events(group, f"{name}-{EVENTS[:2]}", _template(artifact, EVENTS), location, progress)
        return outputs

    def _deploy_events(self, group: Group, name: str, template: Any, location: str | None, progress: Progress) -> None:
        """Keys are there, and endpoints answer, a while after the code is."""
        for tried in range(1, _TRIES + 1):
            try:
                group.deploy(name, template, location, progress)
            except DeployError:
                if tried == _TRIES:
                    raise
                sleep(self._pause)
            else:
                return

    def holding(self, artifact: Artifact, place: Place) -> Sequence[str]:
        """See ``portable.deploy.Deployer``. The vault of secrets is one of them."""
        group = self._group(place)
        if not group.exists():
            return []
        found = [f"{kind} {name}" for kind, name in self._held(group, artifact, place)]
        tagged = group.tagged(_tags(artifact, place))
        return found + [f"vault {_last(one)}" for one, kind in tagged if kind == "Microsoft.KeyVault/vaults"]

    def _held(self, group: Group, artifact: Artifact, place: Place) -> list[tuple[str, str]]:
        return list(held(artifact.manifest, group.outputs(_name(artifact, place)), place.environment))

    def destroy(self, artifact: Artifact, place: Place, progress: Progress, *, with_data: bool) -> None:
        """See ``portable.deploy.Deployer``. The resource group stays."""
        group = self._group(place)
        if not group.exists():
            return
        name, found = _name(artifact, place), group.tagged(_tags(artifact, place))
        kept = set() if with_data else {kind for kind, _ in self._held(group, artifact, place)} | {"vault"}
        going = [one for one in found if not _is_kept(one, kept, artifact)]
        for identity in [one for one, kind in going if kind.endswith("/userAssignedIdentities")]:
            for assignment in self._assignments(group, identity):
                group.delete(assignment, API["Microsoft.Authorization"], progress)
        place_in = {kind: number for number, kind in enumerate(_ORDER)}
        for resource, kind in sorted(going, key=lambda one: (place_in.get(one[1], len(_ORDER)), one[0])):
            group.delete(resource, API[kind.partition("/")[0]], progress)
        lead = f"{artifact.manifest.app} {place.stage}: "
        for role in group.listed(_ROLES, API["Microsoft.Authorization"], "type eq 'CustomRole'"):
            if role["properties"]["roleName"].startswith(lead) and group.id in role["properties"]["assignableScopes"]:
                group.delete(role["id"], API["Microsoft.Authorization"], progress)
        if not {_DATA[kind] for _, kind in found if kind in _DATA} & kept:
            for deployment in (f"{name}-{EVENTS[:2]}", name):
                group.forget(deployment)

    def _assignments(self, group: Group, identity: str) -> list[str]:
        kind = "Microsoft.ManagedIdentity"
        found = group.send("GET", f"{identity}?api-version={API[kind]}", what=identity).json()
        principal = found["properties"]["principalId"]
        asked = f"principalId eq '{principal}'"
        return [one["id"] for one in group.listed(_ASSIGNMENTS, API["Microsoft.Authorization"], asked)]


def _is_kept(resource: tuple[str, str], kept: set[str], artifact: Artifact) -> bool:
    """Whether a resource holds what is kept. Accounts of hosts hold nothing of the app's."""
    place, kind = resource
    holds = _DATA.get(kind)
    if holds == "bucket":
        return "bucket" in kept and not _is_of_host(_last(place), artifact)
    return holds in kept


def _is_of_host(account: str, artifact: Artifact) -> bool:
    letters = "".join(letter for letter in artifact.manifest.app if letter.isalnum())[:8]
    return account.removeprefix(letters).startswith("h")


def _last(resource: str) -> str:
    return resource.rpartition("/")[2]


def _tags(artifact: Artifact, place: Place) -> dict[str, str]:
    return {"application": artifact.manifest.app, "stage": place.stage}


def _name(artifact: Artifact, place: Place) -> str:
    """A deployment's name has 64 characters at most, and these have 40 and 20."""
    return f"{artifact.manifest.app}-{place.stage}"


def _location(place: Place, group: Group) -> str:
    location = place.settings.get("location")
    if not isinstance(location, str) or not location:
        raise ConfigError(
            f'resource group {group.name} is not there, and where to make it is not said: set location = "…" in '
            "[tool.portable.azure]"
        )
    return location


def _has_events(artifact: Artifact) -> bool:
    return (artifact.folder / "infra" / f"{EVENTS}.json").is_file()


def _template(artifact: Artifact, name: str) -> dict[str, Any]:
    file: Path = artifact.folder / "infra" / f"{name}.json"
    try:
        found: dict[str, Any] = json.loads(file.read_bytes())
    except FileNotFoundError as error:
        raise ConfigError(f"{file} is not there: portable build --target azure writes it") from error
    return found


def _packages(template: Mapping[str, Any]) -> dict[str, str]:
    """The zip of each Function App, by its symbol."""
    found: dict[str, str] = template["metadata"]["packages"]
    return found


def _created(template: Mapping[str, Any]) -> list[Change]:
    return [
        Change("create", one["type"], symbol)
        for symbol, one in template["resources"].items()
        if not one.get("existing")
    ]


DEPLOYER = AzureDeployer()
