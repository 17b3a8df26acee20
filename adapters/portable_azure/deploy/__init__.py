"""Into Azure and away again: a deployment of ARM's at the scope of a resource group, the code, then its events."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from time import sleep
from typing import Any

from portable.build.project import nearest
from portable.deploy import Change, Place, Progress, Step
from portable.errors import ConfigError, DeployError
from portable.run.target import Artifact
from portable_azure.build.infrastructure import EVENTS, MAIN
from portable_azure.build.infrastructure.containers import EVENTS_TOKEN
from portable_azure.deploy import _sdk
from portable_azure.deploy.code import Publisher
from portable_azure.deploy.data import Held, held
from portable_azure.deploy.group import Group, Made, PassingError, kind_and_name
from portable_azure.deploy.orphans import ASSIGNMENTS, ROLES, App, Orphan, assignments_of, orphans, roles_of

__all__ = ["DEPLOYER", "AzureDeployer"]

_TRIES = 6
_IDENTITY = "Microsoft.ManagedIdentity/userAssignedIdentities"
_ORDER = (
    "Microsoft.App/containerApps",
    "Microsoft.App/jobs",
    "Microsoft.Web/sites",
    "Microsoft.Web/serverfarms",
    "Microsoft.EventGrid/systemTopics",
    "Microsoft.Insights/components",
)
_VAULT = "Microsoft.KeyVault/vaults"


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

    def where(self, artifact: Artifact, place: Place) -> str:  # noqa: ARG002
        """Subscription and resource group."""
        group = self._group(place)
        return f"subscription {group.subscription}, resource group {group.name}"

    def preview(self, artifact: Artifact, place: Place) -> Sequence[Change]:
        """See ``portable.deploy.Deployer``. Azure is asked what it would do, where the resource group is there."""
        group, main = self._group(place), _template(artifact, MAIN)
        name = _name(artifact, place)
        given = _given(main, place)
        events = _template(artifact, EVENTS) if _has_events(artifact) else None
        if group.exists():
            foreseen = group.preview(name, main, given)
            changes, present, whole = list(foreseen.changes), foreseen.present, foreseen.whole
            if events is not None and group.outputs(name):
                more = group.preview(f"{name}-{EVENTS[:2]}", events, given)
                changes, present, whole = changes + more.changes, present + more.present, whole and more.whole
                events = None
            if whole and events is None:
                gone = orphans(group, _app(group, artifact, place), present)
                changes += [Change("delete", *kind_and_name(one.id)) for one in gone]
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
        given = _given(main, place)
        if not group.exists():
            group.make(_location(place, group), progress)
        made = self._deploy_main(group, name, main, given, progress)
        outputs, present, named = made.outputs, made.present, _named(main)
        publisher = Publisher(group, self._pause, self._url_of)
        for app, package in _packages(main).items():
            file, site = artifact.folder / package, outputs[f"{app}_name"]
            if url := outputs.get(f"{app}_package"):
                publisher.upload(site, url, file, self._credential or _sdk.login(), progress)
            else:
                publisher.publish(site, file, progress)
        if _has_events(artifact):
            events = _template(artifact, EVENTS)
            present += self._deploy_events(group, f"{name}-{EVENTS[:2]}", events, given, progress)
            named += _named(events)
        if len(set(present)) < named:  # what is missing there is not gone
            why = f"left there: Azure told of {len(set(present))} of {named} resources"
            progress(Step("what the app has no more", name, "done", why))
        else:
            self._delete(group, list(orphans(group, _app(group, artifact, place), present)), progress)
        return outputs

    def _deploy_main(
        self, group: Group, name: str, template: Any, given: Mapping[str, Any], progress: Progress
    ) -> Made:
        """An identity that was just made is not known everywhere at once."""
        for _ in range(1, _TRIES):
            try:
                return group.deploy(name, template, given, progress)
            except PassingError:
                sleep(self._pause)
        return group.deploy(name, template, given, progress)

    def _deploy_events(
        self, group: Group, name: str, template: Any, given: Mapping[str, Any], progress: Progress
    ) -> list[str]:
        """Keys are there, and endpoints answer, a while after the code is. Gives the ids of what was made."""
        for _ in range(1, _TRIES):
            try:
                return group.deploy(name, template, given, progress).present
            except DeployError:
                sleep(self._pause)
        return group.deploy(name, template, given, progress).present

    def _delete(self, group: Group, going: Sequence[Orphan], progress: Progress) -> None:
        for one in going:
            group.delete(one.id, group.version_of(one.kind), progress)

    def holding(self, artifact: Artifact, place: Place) -> Sequence[str]:
        """See ``portable.deploy.Deployer``. The vault of secrets is one of them."""
        group = self._group(place)
        if not group.exists():
            return []
        return [one.what for one in self._held(group, _app(group, artifact, place), artifact, place)]

    def _held(self, group: Group, app: App, artifact: Artifact, place: Place) -> list[Held]:
        found = list(held(group, app.tagged, artifact.manifest, place.environment))
        return found + [Held(f"vault {kind_and_name(one)[1]}", one) for one, kind in app.tagged if kind == _VAULT]

    def destroy(self, artifact: Artifact, place: Place, progress: Progress, *, with_data: bool) -> None:
        """See ``portable.deploy.Deployer``. The resource group stays."""
        group = self._group(place)
        if not group.exists():
            return
        name, app = _name(artifact, place), _app(group, artifact, place)
        kept = set() if with_data else {one.account for one in self._held(group, app, artifact, place)}
        going = [(one, kind) for one, kind in app.tagged if one not in kept]
        for identity in [one for one, kind in going if kind == _IDENTITY]:
            principal = group.read(identity, group.version_of(_IDENTITY))["properties"]["principalId"]
            self._delete(group, [Orphan(one["id"], ASSIGNMENTS) for one in assignments_of(group, principal)], progress)
        place_in = {kind: number for number, kind in enumerate(_ORDER)}
        going.sort(key=lambda one: (place_in.get(one[1], len(_ORDER)), one[0]))
        self._delete(group, [Orphan(*one) for one in going], progress)
        self._delete(group, [Orphan(one["id"], ROLES) for one in roles_of(group, app)], progress)
        if not kept:
            for deployment in (f"{name}-{EVENTS[:2]}", name):
                group.forget(deployment)


def _app(group: Group, artifact: Artifact, place: Place) -> App:
    app, stage = artifact.manifest.app, place.stage
    return App(app, stage, group.tagged({"application": app, "stage": stage}))


def _name(artifact: Artifact, place: Place) -> str:
    """A deployment's name has 64 characters at most, and these have 40 and 20."""
    return f"{artifact.manifest.app}-{place.stage}"


def _given(template: Mapping[str, Any], place: Place) -> dict[str, Any]:
    """Parameters: the settings', the region, and the token of pushed events where this environment has it.

    Raises ConfigError for one that the template does not declare, or that nobody says.
    """
    declared: Mapping[str, Any] = template.get("parameters", {})
    asked = place.settings.get("parameters", {})
    if not isinstance(asked, Mapping):
        raise ConfigError(f"[tool.portable.azure.parameters] is a table, got {asked!r}")
    for name in asked:
        if name not in declared:
            raise ConfigError(f"[tool.portable.azure.parameters] {name}: no such parameter{nearest(name, declared)}")
    found = {"location": place.settings.get("location"), EVENTS_TOKEN: place.environment.get("PORTABLE_EVENTS_TOKEN")}
    found = {name: value for name, value in found.items() if value} | dict(asked)
    for name, one in declared.items():
        if name not in found and "defaultValue" not in one:
            raise ConfigError(f'parameter {name}: nobody says it; [tool.portable.azure.parameters] {name} = "…"')
    return found


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


def _named(template: Mapping[str, Any]) -> int:
    """How many resources a template makes without a condition."""
    return sum(not one.get("existing") and "condition" not in one for one in template["resources"].values())


def _created(template: Mapping[str, Any]) -> list[Change]:
    return [
        Change("create", one["type"], symbol)
        for symbol, one in template["resources"].items()
        if not one.get("existing")
    ]


DEPLOYER = AzureDeployer()
