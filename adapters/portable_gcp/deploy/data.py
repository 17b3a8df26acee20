"""What of a deployment holds data: buckets with blobs, a database with items, and secrets with a value."""

from __future__ import annotations

from urllib.parse import quote

from portable_gcp.deploy.api import Api
from portable_gcp.deploy.resources import Resource

__all__ = ["empty", "holds"]


def holds(api: Api, one: Resource) -> bool:
    """Whether a resource that may hold data is there and does."""
    if one.kind.title == "bucket":
        found = api.get(one.label, "storage", f"{one.path}/o", {"maxResults": 1, "versions": "true"})
        return bool((found or {}).get("items"))
    if one.found() is None:
        return False
    if one.kind.title == "secret":
        found = api.get(one.label, "secretmanager", f"{one.path}/versions", {"pageSize": 1})
        return bool((found or {}).get("versions"))
    path = f"{one.path}/documents:listCollectionIds"
    return bool(api.call(one.label, "POST", "firestore", path, {"pageSize": 1}).get("collectionIds"))


def empty(api: Api, one: Resource) -> None:
    """Take away what stands in the way of deleting it: blobs with their versions, the protection of a database."""
    if one.kind.title == "Firestore database":
        body, mask = {"deleteProtectionState": "DELETE_PROTECTION_DISABLED"}, {"updateMask": "deleteProtectionState"}
        api.finish(one.label, "firestore", api.call(one.label, "PATCH", "firestore", one.path, body, mask))
    while one.kind.title == "bucket":
        rows = (api.get(one.label, "storage", f"{one.path}/o", {"versions": "true"}) or {}).get("items", ())
        for row in rows:
            path = f"{one.path}/o/{quote(row['name'], safe='')}"
            api.call(f"{one.label}, blob {row['name']}", "DELETE", "storage", path, params=_generation(row))
        if not rows:
            return


def _generation(row: dict[str, str]) -> dict[str, str] | None:
    return {"generation": row["generation"]} if "generation" in row else None
