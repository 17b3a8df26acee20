"""Where a plan is carried out: the project and region, and what the plan's tokens stand for there."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from portable.deploy import Place
from portable.errors import ConfigError
from portable.run.target import Artifact
from portable_gcp.deploy.api import Api
from portable_gcp.infrastructure.tokens import replaced

__all__ = ["Site"]


class Site:
    """The plan of an artifact, at a place. Raises ConfigError where either is not known.

    Attributes:
        plan: as it was built. project, region: where to. artifact: whose.
        uris: URL of each function, as far as they are known.
    """

    def __init__(self, artifact: Artifact, place: Place, api: Api) -> None:
        file = artifact.folder / "infra" / "deployment.json"
        try:
            self.plan: dict[str, Any] = json.loads(file.read_bytes())
        except OSError as error:
            raise ConfigError(f"{file} is not there: `portable build --target gcp` writes it") from error
        self.artifact = artifact
        self.region = str(place.settings.get("region") or self.plan["region"])
        project = place.settings.get("project") or place.environment.get("GOOGLE_CLOUD_PROJECT")
        if not project:
            raise ConfigError(
                'which project? [tool.portable.gcp] project = "…" in pyproject.toml, or GOOGLE_CLOUD_PROJECT'
            )
        if self.plan["front"]:
            raise ConfigError(
                "HTTP in several functions takes a load balancer, which `portable deploy` does not make: "
                "`terraform apply` in dist/gcp/infra does, and the script of --iac gcloud; or let one function have "
                "all routes"
            )
        self.project = str(project)
        self.uris: dict[str, str] = {}
        self._place = place
        self._api = api
        self._number = ""

    @property
    def title(self) -> str:
        """The app and its stage, for people."""
        return f"app {self.plan['app']}, stage {self.plan['stage']}"

    def check_variables(self) -> None:
        """Raise ConfigError for a variable that nobody has said."""
        for one in self.plan["variables"]:
            self._variable(one)

    def resolve(self, value: Any) -> Any:
        """``value`` with its tokens replaced. Raises ConfigError for a variable that nobody has said."""
        return replaced(value, self._stands_for)

    def _stands_for(self, kind: str, one: str) -> str:
        plan, here = self.plan, f"projects/{self.project}"
        if kind in _FULL:
            collection, path = _FULL[kind]
            return f"{here}/{path}/{self.resolve(plan[collection][one]['id'])}"
        if kind == "service":
            return str((plan["functions"] or plan["services"])[one]["id"])
        match kind:
            case "project":
                return self.project
            case "region":
                return self.region
            case "number":
                return self._project_number()
            case "bucket":
                return str(self.resolve(plan["buckets"][one]["id"]))
            case "databaseid":
                return str(plan["databases"][one]["id"])
            case "account":
                return f"{plan['accounts'][one]['id']}@{self.project}.iam.gserviceaccount.com"
            case "uri":
                return self.uris.get(one, "")
            case "variable":
                return self._variable(one)
        raise ConfigError(f"infra/deployment.json: nothing is called ${{{kind}.{one}}}")

    def _variable(self, one: str) -> str:
        kind, _, name = one.partition("_")
        variable = f"PORTABLE_{kind.upper()}_{name.upper().replace('-', '_')}"
        value = self._place.environment.get(variable)
        if not value:
            raise ConfigError(
                f'{kind} {name} has no address: [tool.portable.resources] "{kind}:{name}" = {{ name = "…" }} in '
                f"pyproject.toml, or {variable}"
            )
        return value

    def _project_number(self) -> str:
        if not self._number:
            what = f"project {self.project}"
            found: Mapping[str, Any] = self._api.call(what, "GET", "cloudresourcemanager", f"projects/{self.project}")
            self._number = str(found["name"]).rpartition("/")[2]
        return self._number


_FULL = {
    "topic": ("topics", "topics"),
    "subscription": ("subscriptions", "subscriptions"),
    "secret": ("secrets", "secrets"),
    "database": ("databases", "databases"),
    "role": ("roles", "roles"),
}
"""The plan's kind and the path in a project, of what goes by its full name."""
