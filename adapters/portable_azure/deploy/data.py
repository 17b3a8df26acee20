"""What of a deployment holds data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from portable.manifest import Manifest
from portable_azure import _sdk
from portable_azure.table import parse_address

__all__ = ["held"]


def held(manifest: Manifest, outputs: Mapping[str, str], environment: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Kind and name of each bucket and table that is not empty, or of which that cannot be told."""
    for resource in manifest.resources:
        if resource.kind not in ("bucket", "table"):
            continue
        address = outputs.get(f"{resource.kind}_{resource.name.replace('-', '_')}_address")
        if address is None:
            continue
        empty = _is_empty_bucket if resource.kind == "bucket" else _is_empty_table
        try:
            if empty(address, environment):
                continue
        except _sdk.error_class() as error:
            if getattr(error, "status_code", None) == 404:
                continue
            # Whoever may manage an account may not read it: what cannot be seen is taken to be there.
            yield resource.kind, f"{resource.name} (could not look: {str(error).splitlines()[0]})"
            continue
        yield resource.kind, resource.name


def _is_empty_bucket(address: str, environment: Mapping[str, str]) -> bool:
    with _sdk.container_client(address, environment) as container:
        return next(iter(container.list_blobs(results_per_page=1)), None) is None


def _is_empty_table(address: str, environment: Mapping[str, str]) -> bool:
    client, container = _sdk.cosmos_container(*parse_address(address), environment)
    with client:
        found = _sdk.cosmos_query(container, "SELECT TOP 1 c.id FROM c", {}, None, 1)
        return next(found, None) is None
