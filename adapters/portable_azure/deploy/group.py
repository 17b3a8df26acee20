"""A resource group: what a deployment into it does, and what is in it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

from portable.deploy import Change, Progress, Step
from portable.errors import DeployError
from portable_azure.build.infrastructure.template import version_of
from portable_azure.deploy import _sdk
from portable_azure.deploy.hints import LOGIN, hint, is_passing

__all__ = ["Foreseen", "Group", "Made", "PassingError", "reason_of"]

_ACTIONS = {"Create": "create", "Delete": "delete", "Modify": "update", "NoChange": "keep", "Deploy": "update"}
_DONE, _FAILED = ("Succeeded",), ("Failed", "Canceled")


class PassingError(DeployError):
    """A deployment failed for what goes away by itself."""


class Made(NamedTuple):
    """What a deployment gave. ``present``: the ids of what its template names, which may be fewer than there are."""

    outputs: dict[str, str]
    present: list[str]


class Foreseen(NamedTuple):
    """What a deployment would do. ``present``: as of :class:`Made`. ``whole``: whether Azure foresaw all of it."""

    changes: list[Change]
    present: list[str]
    whole: bool


class Group:
    """See the module. Every method raises DeployError."""

    def __init__(self, name: str, subscription: str, clients: tuple[Any, Any], polling: float) -> None:
        self.name, self.subscription = name, subscription
        self.id = f"/subscriptions/{subscription}/resourceGroups/{name}"
        self.resources, self._deployments = clients
        self._polling = polling

    def exists(self) -> bool:
        """Whether the group is there."""
        with translated(f"resource group {self.name}"):
            found: bool = self.resources.resource_groups.check_existence(self.name)
            return found

    def make(self, location: str, progress: Progress) -> None:
        """Make the group."""
        progress(Step("resource group", self.name, "started"))
        with translated(f"resource group {self.name}"):
            self.resources.resource_groups.create_or_update(self.name, {"location": location})
        progress(Step("resource group", self.name, "done"))

    def preview(self, deployment: str, template: Mapping[str, Any], given: Mapping[str, Any]) -> Foreseen:
        """What Azure says that a deployment would do."""
        with translated(f"deployment {deployment}"):
            asked = _sdk.what_if_of(template, given)
            found = self._deployments.deployments.begin_what_if(self.name, deployment, asked).result()
        if found.error is not None:
            raise DeployError(f"deployment {deployment}: {reason_of(found.error)}")
        changes, present, whole = [], [], True
        for one in (found.properties and found.properties.changes) or ():
            kind, name = kind_and_name(one.resource_id or one.symbolic_name or "")
            action = _ACTIONS.get(str(getattr(one.change_type, "value", one.change_type)))
            if action is None and one.unsupported_reason is None:
                continue  # Ignore: in the group, and of no concern to this template
            present.append(one.resource_id or "")
            whole = whole and one.unsupported_reason is None
            detail = one.unsupported_reason or ", ".join(delta.path for delta in one.delta or ())
            changes.append(Change(action or "update", kind, name, detail))  # type: ignore[arg-type]
        return Foreseen(changes, present, whole)

    def deploy(
        self, deployment: str, template: Mapping[str, Any], given: Mapping[str, Any], progress: Progress
    ) -> Made:
        """Send a template, and tell of each resource."""
        operations, shown = self._deployments.deployment_operations, _Shown(progress)
        error: Exception | None = None
        made: Any = None
        with translated(f"deployment {deployment}"):
            asked = _sdk.deployment_of(template, given)
            poller = self._deployments.deployments.begin_create_or_update(self.name, deployment, asked)
            try:
                while not poller.done():
                    poller.wait(self._polling)
                    shown.show(operations.list(self.name, deployment))
                made = poller.result()
                shown.show(operations.list(self.name, deployment))
            except _sdk.response_error() as refused:
                error = refused
                shown.show(operations.list(self.name, deployment))
            except KeyboardInterrupt as interrupted:
                raise DeployError(
                    f"interrupted: Azure goes on with deployment {deployment}, and takes no other of that name before "
                    f"its end; `az deployment group cancel --resource-group {self.name} --name {deployment}` ends it"
                ) from interrupted
        if shown.failures:
            kind = PassingError if is_passing(shown.failures) else DeployError
            raise kind("; ".join(shown.failures)) from error
        if error is not None:
            raise DeployError(f"deployment {deployment}: {reason_of(error)}") from error
        present = [one.id for one in made.properties.output_resources or () if one.id]
        return Made(_values(made.properties.outputs), present)

    def outputs(self, deployment: str) -> dict[str, str]:
        """The outputs of a deployment; empty where there was none, or it failed."""
        try:
            with translated(f"deployment {deployment}"):
                made = self._deployments.deployments.get(self.name, deployment)
        except DeployError as error:
            if isinstance(error.__cause__, _sdk.missing_error()):
                return {}
            raise
        return _values(made.properties and made.properties.outputs)

    def tagged(self, tags: Mapping[str, str]) -> list[tuple[str, str]]:
        """Id and type of every resource of the group that bears all of these tags."""
        name, value = next(iter(tags.items()))
        with translated(f"resource group {self.name}"):
            asked = f"tagName eq '{name}' and tagValue eq '{value}'"
            found = list(self.resources.resources.list_by_resource_group(self.name, filter=asked))
        return [(one.id, one.type) for one in found if tags.items() <= (one.tags or {}).items()]

    def version_of(self, kind: str) -> str:
        """The version of the interface that a type goes by: ours, or of what is not ours the newest that is stable."""
        try:
            return version_of(kind)
        except KeyError:
            space, _, rest = kind.partition("/")
        with translated(kind):
            found = self.resources.providers.get(space).resource_types or ()
        types = [one for one in found if (one.resource_type or "").lower() == rest.lower()]
        versions = [version for one in types for version in one.api_versions or ()]
        if not versions:
            raise DeployError(f"{kind}: Azure does not say by which version of its interface it goes")
        return str(max([one for one in versions if "preview" not in one] or versions))

    def read(self, resource: str, version: str) -> dict[str, Any]:
        """A resource, by its id."""
        found: dict[str, Any] = self.send("GET", f"{resource}?api-version={version}", what=resource).json()
        return found

    def listed(self, path: str, version: str, asked: str = "") -> list[dict[str, Any]]:
        """All that is under a path: what is in a resource, or extends it. ``asked``: a filter."""
        url: str | None = f"{path}?api-version={version}{f'&$filter={asked}' if asked else ''}"
        found: list[dict[str, Any]] = []
        while url:
            document = self.send("GET", url, what=path.rpartition("/providers/")[2]).json()
            found += document.get("value", ())
            url = document.get("nextLink")
        return found

    def send(self, method: str, url: str, *, what: str, **options: Any) -> Any:
        """A request with the login's token; the answer, unless it says no."""
        with translated(what):
            answer = self.resources.send_request(_sdk.request(method, url, **options))
            answer.raise_for_status()
            return answer

    def delete(self, resource: str, version: str, progress: Progress) -> None:
        """Take a resource away. What is not there is no error."""
        kind, name = kind_and_name(resource)
        progress(Step(kind, name, "started"))
        try:
            with translated(f"{kind} {name}"):
                self.resources.resources.begin_delete_by_id(resource, api_version=version).result()
        except DeployError as error:
            if not isinstance(error.__cause__, _sdk.missing_error()):
                progress(Step(kind, name, "failed", str(error)))
                raise
        progress(Step(kind, name, "done"))

    def forget(self, deployment: str) -> None:
        """Take away the record of a deployment."""
        try:
            with translated(f"deployment {deployment}"):
                self._deployments.deployments.begin_delete(self.name, deployment).result()
        except DeployError as error:
            if not isinstance(error.__cause__, _sdk.missing_error()):
                raise


def _values(outputs: Any) -> dict[str, str]:
    return {name: str(one["value"]) for name, one in (outputs or {}).items()}


@contextmanager
def translated(what: str) -> Iterator[None]:
    """Raises the vendor's errors as DeployError that names what was being done."""
    try:
        yield
    except _sdk.login_error() as error:
        raise DeployError(f"{what}: {LOGIN} ({str(error).strip().splitlines()[0]})") from error
    except _sdk.vendor_error() as error:
        raise DeployError(f"{what}: {reason_of(error)}") from error


class _Shown:
    """What has been told of a deployment's operations."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._told: dict[str, str] = {}
        self.failures: list[str] = []

    def show(self, operations: Iterable[Any]) -> None:
        """Tell what is new."""
        for one in operations:
            properties = one.properties
            target = properties and properties.target_resource
            operation = str(getattr(properties.provisioning_operation, "value", properties.provisioning_operation))
            if not target or not target.id or operation not in ("Create", "None"):
                continue
            kind, name = kind_and_name(target.id)
            state = str(properties.provisioning_state)
            told = "done" if state in _DONE else "failed" if state in _FAILED else "started"
            if self._told.get(target.id) == told:
                continue
            self._told[target.id] = told
            message = properties.status_message
            detail = reason_of(message.error) if message is not None and message.error is not None else ""
            self._progress(Step(kind, name, told, detail))  # type: ignore[arg-type]
            if told == "failed":
                self.failures.append(f"{kind} {name}: {detail or state}")


def reason_of(error: Any) -> str:
    """The innermost reasons of an error as Azure nests them: the outer ones say that something within failed."""
    if isinstance(error, _sdk.response_error()):
        error = getattr(error, "error", None) or error
    details = getattr(error, "details", None) or ()
    if details:
        return "; ".join(dict.fromkeys(reason_of(one) for one in details))
    code, message = getattr(error, "code", None), getattr(error, "message", None) or str(error)
    first = str(message).strip()
    said = f"{code}: {first}" if code and not first.startswith(f"({code})") else first
    way_out = hint(str(code), first)
    return f"{said.removesuffix('.')}; {way_out}" if way_out else said


def kind_and_name(resource: str) -> tuple[str, str]:
    """Type and name of a resource, from its id: of one that extends another, its own."""
    _, found, own = resource.rpartition("/providers/")
    parts = own.split("/")
    if not found or len(parts) < 3:
        return "resource", resource
    return "/".join([parts[0], *parts[1::2]]), "/".join(parts[2::2])
