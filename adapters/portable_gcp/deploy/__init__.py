"""Deploys what was built for Google Cloud: the plan in ``infra/deployment.json``, resource by resource, over the APIs.

There is no transaction of all that, and no roll-back: what failed is named, what was made stays, and applying again
goes on from there. Terraform's files come from the same plan, and make the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from portable.deploy import Change, Place, Progress, Step
from portable.errors import DeployError
from portable.run.target import Artifact
from portable_gcp.deploy.api import Api
from portable_gcp.deploy.data import empty, holds
from portable_gcp.deploy.kinds import KINDS
from portable_gcp.deploy.leftovers import leftovers
from portable_gcp.deploy.policies import Policies
from portable_gcp.deploy.resources import Resource
from portable_gcp.deploy.site import Site

__all__ = ["DEPLOYER", "GoogleDeployer"]

_BEFORE = ("roles", "accounts", "buckets", "topics", "secrets", "databases", "fields")
_RUNS = ("functions", "services")
_AFTER = ("subscriptions", "jobs", "triggers", "logbuckets", "logsinks")
_BOUND_BEFORE = ("bucket", "topic", "secret", "account", "project")


class GoogleDeployer:
    """See ``portable.deploy.Deployer``."""

    def where(self, artifact: Artifact, place: Place) -> str:
        """Project and region."""
        with Api(place) as api:
            site = Site(artifact, place, api)
            return f"project {site.project}, {site.region}"

    def preview(self, artifact: Artifact, place: Place) -> Sequence[Change]:
        """By looking at everything that there would be."""
        with Api(place) as api:
            site = Site(artifact, place, api)
            site.check_variables()
            found = []
            for kind in (*_BEFORE, *_RUNS, *_AFTER):
                for one in _resources(api, site, kind):
                    found.append(one.change())
                    _note_uri(site, one, one.found() if kind in _RUNS else None)
            gone = [Change("delete", one.kind.title, one.name) for one in leftovers(api, site)]
            enabled = [Change("create", "API", name) for name in sorted(api.disabled)]
            return [*enabled, *found, *gone]

    def apply(self, artifact: Artifact, place: Place, progress: Progress) -> Mapping[str, str]:
        """Every resource in the order in which they need one another."""
        with Api(place) as api:
            site = Site(artifact, place, api)
            site.check_variables()
            policies = Policies(api, site)
            self._enable(api, site, progress)
            api.enabling = True
            self._apply_all(api, site, _BEFORE, progress)
            self._bind(policies, _BOUND_BEFORE, progress)
            self._apply_all(api, site, _RUNS, progress)
            self._bind(policies, ("service",), progress)
            self._apply_all(api, site, _AFTER, progress)
            self._bind(policies, ("subscription",), progress)
            self._delete_all(list(leftovers(api, site)), progress)
            outputs: dict[str, str] = site.resolve(site.plan["outputs"])
            return outputs

    def holding(self, artifact: Artifact, place: Place) -> Sequence[str]:
        """Buckets with blobs, the database with items, and secrets that have a value."""
        with Api(place) as api:
            site = Site(artifact, place, api)
            return [one.label for one in _keepers(api, site) if holds(api, one)]

    def destroy(self, artifact: Artifact, place: Place, progress: Progress, *, with_data: bool) -> None:
        """In the reverse order. What the project's policy has of this app's accounts goes too; that Cloud Storage may
        publish stays, for other apps may need it.
        """
        with Api(place) as api:
            site = Site(artifact, place, api)
            for kind in reversed((*_RUNS, *_AFTER)):
                self._delete_all(_resources(api, site, kind), progress)
            self._unbind(Policies(api, site), progress)
            for one in _keepers(api, site):
                if with_data or not holds(api, one):
                    if one.found() is not None:
                        empty(api, one)
                    self._delete_all([one], progress)
                else:
                    progress(Step(one.kind.title, one.name, "done", "kept: it holds data"))
            for kind in ("topics", "accounts", "roles"):
                self._delete_all(_resources(api, site, kind), progress)

    # --- steps

    @staticmethod
    def _enable(api: Api, site: Site, progress: Progress) -> None:
        apis = list(site.plan["apis"])
        path = f"projects/{site.project}/services:batchEnable"

        def enable() -> str:
            what = f"the APIs of project {site.project}"
            api.finish(what, "serviceusage", api.call(what, "POST", "serviceusage", path, {"serviceIds": apis}))
            return ", ".join(apis)

        _step(progress, "APIs", site.project, enable)

    @staticmethod
    def _apply_all(api: Api, site: Site, kinds: Sequence[str], progress: Progress) -> None:
        for kind in kinds:
            for one in _resources(api, site, kind):

                def apply(one: Resource = one) -> str:
                    done, there = one.apply()
                    _note_uri(site, one, there)
                    return done

                _step(progress, one.kind.title, one.name, apply)

    @staticmethod
    def _bind(policies: Policies, kinds: Sequence[str], progress: Progress) -> None:
        for (on, resource), bindings in policies.wanted(*kinds).items():

            def bind(on: str = on, resource: str = resource, bindings: list[Mapping[str, str]] = bindings) -> str:
                return f"{policies.add(on, resource, bindings)} added"

            _step(progress, "access to", f"{on} {resource}".strip(), bind)

    @staticmethod
    def _unbind(policies: Policies, progress: Progress) -> None:
        for (on, resource), bindings in policies.lasting().items():
            own = [one for one in bindings if "gs-project-accounts" not in one["member"]]
            _step(
                progress,
                "access to",
                on,
                lambda on=on, resource=resource, own=own: f"{policies.remove(on, resource, own)} removed",  # type: ignore[misc]
            )

    @staticmethod
    def _delete_all(found: Iterator[Resource] | Sequence[Resource], progress: Progress) -> None:
        for one in found:
            if one.kind is KINDS["fields"]:
                continue

            def delete(one: Resource = one) -> str:
                return "deleted" if one.found() is not None and one.delete() else "was not there"

            _step(progress, one.kind.title, one.name, delete)


def _step(progress: Progress, kind: str, name: str, work: Callable[[], str]) -> None:
    progress(Step(kind, name, "started"))
    try:
        detail = work()
    except DeployError as error:
        progress(Step(kind, name, "failed", str(error)))
        raise
    progress(Step(kind, name, "done", detail))


def _resources(api: Api, site: Site, kind: str) -> Iterator[Resource]:
    """The resources of a kind in the plan."""
    plan = site.plan
    if kind == "fields":
        for entry in plan["fields"].values():
            where = f"${{databaseid.{entry['database']}}}/collectionGroups/{entry['collection']}"
            yield Resource(api, site, kind, {"id": f"{where}/fields/{entry['field']}", "body": entry["body"]})
    elif kind == "logbuckets":
        yield Resource(
            api, site, kind, {"id": plan["logs"]["id"], "body": {"retentionDays": plan["logs"]["retentionDays"]}}
        )
    elif kind == "logsinks":
        bucket = f"projects/${{project}}/locations/${{region}}/buckets/{plan['logs']['id']}"
        body = {"destination": f"logging.googleapis.com/{bucket}", "filter": plan["logs"]["filter"]}
        yield Resource(api, site, kind, {"id": plan["logs"]["id"], "body": body})
    else:
        yield from (Resource(api, site, kind, entry) for entry in plan[kind].values())


def _keepers(api: Api, site: Site) -> Iterator[Resource]:
    for kind in ("buckets", "databases", "secrets"):
        yield from _resources(api, site, kind)


def _note_uri(site: Site, one: Resource, there: Mapping[str, object] | None) -> None:
    """The URL of a function, by its name in the plan, for what comes after it."""
    if one.kind.title not in ("function", "Cloud Run service"):
        return
    entries = site.plan["functions"] or site.plan["services"]
    function = next(name for name, entry in entries.items() if site.resolve(entry["id"]) == one.name)
    found = there or {}
    config = found.get("serviceConfig")
    uri = config.get("uri") if isinstance(config, Mapping) else found.get("uri")
    if uri:
        site.uris[function] = str(uri)


DEPLOYER = GoogleDeployer()
