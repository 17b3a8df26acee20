"""The resources of an app on Azure: where each is, and what roles are assigned on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

import msgspec

from portable.build.deployment import Deployment
from portable.errors import ConfigError
from portable.manifest import ResourceRecord
from portable_azure.build.infrastructure import database, messaging, storage, values
from portable_azure.build.infrastructure.existing import Elsewhere, existing_scopes, existing_subscriptions
from portable_azure.build.infrastructure.expressions import Expression, call
from portable_azure.build.infrastructure.template import Template
from portable_azure.build.plan import bus_queues

__all__ = ["Names", "Placed", "place_resources"]


class Placed(msgspec.Struct):
    """A resource of the app that has its place.

    Attributes:
        address: what its driver reads. name: physical. connection: what the Functions host takes for a trigger on it,
            by the end of the setting's name. settings: others of the host, by the variable's kind.
        scopes: by the parts of ``portable_azure.permissions``, the symbols that roles are assigned on.
        made: whether it is the deployment's, and was not there before.
        dead_letters: their address.
    """

    address: Any
    name: Any = ""
    connection: Mapping[str, Any] = {}
    settings: Mapping[str, Any] = {}
    scopes: Mapping[str, list[str]] = {}
    made: bool = True
    dead_letters: Any = None


class Names:
    """Names that are unique in Azure or in a group: made of the app's, the stage's and a digest of the group.

    ``part``: of the app, whose names have a digest of their own. No name depends on how many parts there are or on
    their order, for a resource of another name is another resource.
    """

    def __init__(self, deployment: Deployment, template: Template, part: str = "") -> None:
        self.app, self.stage = deployment.app, deployment.stage
        said = [deployment.app, deployment.stage, *([part] if part else [])]
        word = part.replace("/", "__").replace("-", "_")
        variable = f"digest_{word}" if part else "digest"
        self.digest = template.variable(variable, call("uniqueString", Expression("resourceGroup().id"), *said))
        self._letters = "".join(letter for letter in deployment.app if letter.isalnum())

    def dashed(self, end: str) -> Expression:
        """With dashes, 48 characters at most where ``end`` has up to 10."""
        head = "-".join(part for part in (self.app[:12].strip("-"), self.stage[:10].strip("-"), end) if part)
        return call("format", f"{head}-{{0}}", self.digest)

    def plain(self, end: str) -> Expression:
        """Lower case letters and digits, 24 at most where ``end`` has up to 3."""
        return call("format", f"{self._letters[:8]}{end}{{0}}", self.digest)


def place_resources(
    deployment: Deployment, template: Template, names: Names, elsewhere: Elsewhere
) -> dict[str, Placed]:
    """Declare every resource that some function uses: what is not there already is made; by ``kind:name``.

    Raises ConfigError for one bound to an address that its driver does not take.
    """
    used = {key for function in deployment.manifest.functions for key in function.uses}
    makers: dict[str, Callable[..., Mapping[str, Any]]] = {
        "bucket": storage.place_bucket,
        "queue": storage.place_queue,
        "topic": messaging.place_topic,
        "stream": messaging.place_stream,
        "table": database.place_table,
        "secret": values.place_secret,
        "config": values.place_secret,
        "cache": values.place_cache,
        "sockets": values.place_sockets,
    }
    placed = {}
    ordered = bus_queues(deployment.manifest)
    for resource in deployment.manifest.resources:
        key = f"{resource.kind}:{resource.name}"
        if key not in used:
            continue
        if key in deployment.existing:
            address = deployment.existing[key]
            placed[key] = _existing(resource, address)
            changes = resource.kind == "table" and deployment.manifest.wants_changes(resource.name) is not None
            placed[key].scopes = existing_scopes(resource, address, template, elsewhere, changes=changes)
            placed[key].made = False
            if resource.kind in ("topic", "stream"):
                placed[key].settings = existing_subscriptions(resource, address, deployment, template, elsewhere)
            continue
        make = makers[resource.kind]
        if resource.kind == "queue" and resource.name in ordered:
            make = messaging.place_queue
        placed[key] = Placed(**make(resource, deployment, template, names))
    return placed


def _existing(resource: ResourceRecord, address: str) -> Placed:
    """What is bound by its address: it is used, and not made."""
    kind, parts = resource.kind, urlsplit(address)
    root, path = f"{parts.scheme}://{parts.netloc}", parts.path.strip("/")
    wrong = ConfigError(
        f"{resource.where}: {kind} {resource.name!r} is bound to {address!r}; on Azure a resource is bound by its "
        "address, see docs/reference/addresses.md"
    )
    if kind in ("cache", "config", "secret"):
        return Placed(address)
    if not parts.scheme or not parts.netloc or not path:
        raise wrong
    if parts.scheme == "sb":
        return Placed(address, path, {"fullyQualifiedNamespace": parts.netloc})
    if parts.scheme != "https":
        raise wrong
    if kind == "table":
        database_name, _, container = path.removeprefix("dbs/").partition("/colls/")
        settings = {"tabledatabase": database_name, "tableleases": f"{container}.leases"}
        return Placed(address, container, {"accountEndpoint": f"{root}/"}, settings)
    if kind == "queue":
        return Placed(address, path, {"queueServiceUri": f"{root}/"}, dead_letters=f"{address}-poison")
    if kind == "bucket":
        queues = root.replace(".blob.", ".queue.")
        return Placed(address, path, {"blobServiceUri": f"{root}/", "queueServiceUri": f"{queues}/"})
    return Placed(address, path)
