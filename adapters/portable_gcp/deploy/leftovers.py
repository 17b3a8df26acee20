"""What an earlier deployment of this app and stage made, and the app has no more."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from portable_gcp.deploy.api import Api
from portable_gcp.deploy.kinds import KINDS, REMOVED
from portable_gcp.deploy.resources import Resource
from portable_gcp.deploy.site import Site

__all__ = ["leftovers"]


def leftovers(api: Api, site: Site) -> Iterator[Resource]:
    """By the labels of whose it is, and of what takes none by the end of its description."""
    plan = site.plan
    labels = {"portable-app": plan["app"], "portable-stage": plan["stage"]}
    for kind in REMOVED:
        known = {site.resolve(entry["id"]) for entry in plan[kind].values()}
        for there in _listed(api, site, kind):
            name = str(there["name"]).rpartition("/")[2]
            ours = labels.items() <= there.get("labels", {}).items()
            ours = ours or (kind == "jobs" and str(there.get("description", "")).endswith(f" of {site.title}"))
            if ours and name not in known:
                # A function of Cloud Functions is a service of Cloud Run too, and goes with it.
                if kind == "services" and "goog-managed-by" in there.get("labels", {}):
                    continue
                yield Resource(api, site, kind, {"id": name, "body": {}})


def _listed(api: Api, site: Site, kind: str) -> Iterator[Mapping[str, Any]]:
    record = KINDS[kind]
    path = record.path.rpartition("/")[0].format(project=site.project, region=site.region, id="")
    what, parameters = f"the {kind} of project {site.project}", dict[str, str]()
    while True:
        page = api.get(what, record.service, path, parameters) or {}
        yield from page.get(kind, ())
        if not page.get("nextPageToken"):
            return
        parameters = {"pageToken": page["nextPageToken"]}
