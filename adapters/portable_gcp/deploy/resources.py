"""One resource of a plan at its place: what is there, what is wanted, and the way from one to the other."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from portable.deploy import Change
from portable.errors import DeployError
from portable_gcp.deploy.api import Api, Refused
from portable_gcp.deploy.kinds import KINDS
from portable_gcp.deploy.site import Site

__all__ = ["Resource", "covers"]

_OWNER = ("portable-app", "portable-stage")
_MOVING = ("DEPLOYING", "DELETING")
"""States of a function, https://cloud.google.com/functions/docs/reference/rest/v2/projects.locations.functions#State."""
_BUNDLE = "portable-bundle"
"""The label of a function with its bundle's digest: an equal one is not built again."""


class Resource:
    """See the module. ``name`` is its id in the cloud."""

    def __init__(self, api: Api, site: Site, kind: str, entry: Mapping[str, Any]) -> None:
        self.kind = KINDS[kind]
        self.name = str(site.resolve(entry["id"]))
        self._api = api
        self._site = site
        self._entry = entry
        self._is_function = kind == "functions"
        self._is_role = kind == "roles"
        self._is_field = kind == "fields"  # there is no field without a setting: one is changed, and never made

    @property
    def label(self) -> str:
        """For errors."""
        return f"{self.kind.title} {self.name}"

    @property
    def path(self) -> str:
        """Of the resource in its API."""
        return self._format(self.kind.path)

    def _format(self, path: str) -> str:
        return path.format(project=self._site.project, region=self._site.region, id=self.name)

    def wanted(self) -> dict[str, Any]:
        """The body, with nothing left open."""
        body: dict[str, Any] = self._site.resolve(self._entry["body"])
        if self._is_function:
            body["labels"] = {**body["labels"], _BUNDLE: self._digest()[:40]}
        return body

    def found(self) -> dict[str, Any] | None:
        """What is there. Raises DeployError for what is another app's."""
        there: dict[str, Any] | None = self._api.get(self.label, self.kind.service, self.path)
        if self._is_field:
            return there or {}
        if there is None or (self._is_role and there.get("deleted")):
            return None
        asked = self._entry["body"].get("labels")  # none of what is left over, which was known by its own
        if asked and any(there.get("labels", {}).get(one) != asked[one] for one in _OWNER):
            raise DeployError(
                f"{self.label} is there already and not of {self._site.title}: rename it, or bind it in "
                "[tool.portable.resources]"
            )
        if there.get("state") in _MOVING or (self.kind.title == "Cloud Run service" and there.get("reconciling")):
            raise DeployError(f"{self.label} is being changed: another deployment is under way; wait for its end")
        return there

    def change(self) -> Change:
        """What :meth:`apply` would do."""
        there = self.found()
        if there is None:
            return Change("create", self.kind.title, self.name)
        if not (changed := self._differing(there)):
            return Change("keep", self.kind.title, self.name)
        if set(changed) <= set(self.kind.mutable):
            return Change("update", self.kind.title, self.name, ", ".join(changed))
        what, loses = ", ".join(changed), ""
        if self.kind.kept:
            what += ": refused, for it may hold data"
        elif self.kind.title == "subscription":
            loses = "messages that wait in it are deleted with it"
        return Change("replace", self.kind.title, self.name, what, loses)

    def apply(self) -> tuple[str, Mapping[str, Any]]:
        """Make it as it is wanted: what was done, and what is there now. Raises DeployError."""
        there = self.found()
        if there is not None:
            changed = self._differing(there)
            if not changed:
                return "as it was", there
            if set(changed) <= set(self.kind.mutable):
                return f"updated: {', '.join(changed)}", self._update(changed)
            if self.kind.kept:
                raise DeployError(f"{self.label} holds data, and cannot be changed in {', '.join(changed)}")
            self.delete()
        try:
            return "created" if there is None else "replaced", self._create()
        except Refused as error:
            return self._taken(error)

    def _taken(self, error: Refused) -> tuple[str, Mapping[str, Any]]:
        """After a refused creation: use what somebody made meanwhile, or a call whose answer was lost."""
        if error.status != 409:
            raise error
        there = self.found()
        if there is None:
            raise DeployError(
                f"{self.label}: {error.reason}: the name is taken, by another project, or by what was deleted lately "
                "and keeps it for a while"
            ) from error
        changed = self._differing(there)
        if not set(changed) <= set(self.kind.mutable):
            raise error
        return "was there", self._update(changed) if changed else there

    def delete(self) -> bool:
        """Take it away, and say whether it was there."""
        try:
            answer = self._api.call(self.label, "DELETE", self.kind.service, self.path)
        except Refused as error:
            if error.status == 404:
                return False
            raise
        if self.kind.operations:
            self._api.finish(self.label, self.kind.service, answer)
        return True

    # --- ways

    def _differing(self, there: Mapping[str, Any]) -> list[str]:
        return [
            name
            for name, value in self.wanted().items()
            if not covers(there.get(name), value)
            or (self._is_field and name not in there)
            or name == self._failed(there)
        ]

    def _failed(self, there: Mapping[str, Any]) -> str:
        """The field to begin with anew, of a function that could not be built or started; "" where that is not so."""
        if self._is_function and there.get("state") == "FAILED":
            return "buildConfig"
        state = (there.get("terminalCondition") or {}).get("state")
        return "template" if self.kind.title == "Cloud Run service" and state == "CONDITION_FAILED" else ""

    def _create(self) -> Mapping[str, Any]:
        kind, body = self.kind, self.wanted()
        if self._is_function:
            self._upload(body)
        if kind.named:
            body = {"name": self.path, **body}
        if not kind.create:
            return self._call("PUT", self.path, body)
        if kind.title == "log sink":
            return self._call(
                "POST", self._format(kind.create), {"name": self.name, **body}, {"uniqueWriterIdentity": "true"}
            )
        if kind.title == "bucket":
            return self._call("POST", kind.create, {"name": self.name, **body}, {"project": self._site.project})
        if kind.wrapped:
            return self._create_wrapped(body)
        parameters = {kind.id_parameter: self.name} if kind.id_parameter else None
        return self._call("POST", self._format(kind.create), body, parameters)

    def _create_wrapped(self, body: Mapping[str, Any]) -> Mapping[str, Any]:
        assert self.kind.wrapped is not None
        whole, identity = self.kind.wrapped
        if self._is_role and self._api.get(self.label, "iam", self.path):
            # A role that was deleted keeps its id for weeks: https://cloud.google.com/iam/docs/creating-custom-roles.
            self._call("POST", f"{self.path}:undelete", {})
            return self._update(list(body))
        return self._call("POST", self._format(self.kind.create), {identity: self.name, whole: body})

    def _update(self, changed: list[str]) -> Mapping[str, Any]:
        kind, wanted = self.kind, self.wanted()
        if self._is_function:
            self._upload(wanted)
            changed = sorted({*changed, "buildConfig"})
        body = {name: wanted[name] for name in changed}
        mask = ",".join(changed)
        if kind.title == "log sink":
            return self._call("PUT", self.path, {"name": self.name, **wanted}, {"uniqueWriterIdentity": "true"})
        if kind.named:
            body = {"name": self.path, **body}
        if kind.patch_wrapped:
            return self._call("PATCH", self.path, {kind.patch_wrapped: body, "updateMask": mask})
        return self._call("PATCH", self.path, body, {"updateMask": mask} if kind.masked else None)

    def _call(
        self, method: str, path: str, body: Mapping[str, Any], parameters: Mapping[str, str] | None = None
    ) -> Mapping[str, Any]:
        answer: Mapping[str, Any] = self._api.call(self.label, method, self.kind.service, path, body, parameters)
        return self._api.finish(self.label, self.kind.service, answer) if self.kind.operations else answer

    # --- a function's bundle

    def _digest(self) -> str:
        return hashlib.sha256(self._bundle()).hexdigest()

    def _bundle(self) -> bytes:
        file: Path = self._site.artifact.folder / self._entry["bundle"]
        return file.read_bytes()

    def _upload(self, body: dict[str, Any]) -> None:
        """Give the bundle to Cloud Functions, which builds from a bucket of its own."""
        path = self._format("projects/{project}/locations/{region}/functions:generateUploadUrl")
        place = self._api.call(self.label, "POST", self.kind.service, path, {"environment": "GEN_2"})
        self._api.put_file(f"{self.label}, its bundle", place["uploadUrl"], self._bundle())
        body["buildConfig"] = {**body["buildConfig"], "source": {"storageSource": place["storageSource"]}}


def covers(there: Any, wanted: Any) -> bool:
    """Whether what is there is what is wanted: more may be said there, and what is empty may be left out."""
    if isinstance(wanted, Mapping):
        if not isinstance(there, Mapping):
            return not wanted or (there is None and all(covers(None, one) for one in wanted.values()))
        return all(covers(there.get(name), one) for name, one in wanted.items())
    if isinstance(wanted, list):
        same = isinstance(there, list) and len(there) == len(wanted)
        return same and all(covers(*pair) for pair in zip(there, wanted, strict=True)) if wanted else not there
    if there is None:
        return not wanted
    return there == wanted or str(there) == str(wanted)
