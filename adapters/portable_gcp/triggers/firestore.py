"""Changes of tables: CloudEvents of Firestore, which Eventarc sends in binary mode with protobuf as their data.

https://cloud.google.com/eventarc/docs/reference/supported-events#cloud-firestore. One trigger on
``google.cloud.firestore.document.v1.written`` brings insertions, updates and deletions, each with the document before
and after. Firestore promises no order: a change may come before an earlier one of the same item.

An event names the physical collection; the declared table is found by its address in the environment.
"""

from __future__ import annotations

from portable.errors import HTTPError
from portable.events import Change, Response
from portable_gcp.documents import decode_item
from portable_gcp.wire import read_event

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, Literal

    from portable.drivers.table import Schema

__all__ = ["EVENT_TYPE", "FirestoreEventarc"]

_TYPES = "google.cloud.firestore.document.v1."
EVENT_TYPE = f"{_TYPES}written"


class FirestoreEventarc:
    """An Eventarc trigger a function, on the documents of one collection."""

    signature = "cloudevent"
    guarded = True

    @staticmethod
    def decode(native: Any, declared: Mapping[str, tuple[str, Schema]]) -> Change[Any]:
        """The change, its items as the driver gives them. ``declared``: name and schema of a table by its address.

        Raises HTTPError 400, and 404 for a collection that is not this function's.
        """
        from datetime import datetime

        if not native["type"].startswith(_TYPES):
            raise HTTPError(400, f"an event of type {native['type']!r} came, this function takes {EVENT_TYPE}")
        if not isinstance(native.data, bytes):
            raise HTTPError(400, "not an event of Firestore: its data is no protobuf")
        try:
            new, old = read_event(native.data)
        except ValueError as error:
            raise HTTPError(400, f"not an event of Firestore: {error}") from error
        place = new or old
        if place is None:
            raise HTTPError(400, "not an event of Firestore: it has no document")
        collection = place[0].rpartition("/")[0]
        if collection not in declared:
            raise HTTPError(404, f"collection {collection!r} is none of this function's: {', '.join(declared)}")
        table, schema = declared[collection]
        items = [_item(document) for document in (new, old)]
        try:
            key = schema.key_of(items[0] or items[1] or {})
        except KeyError as error:
            raise HTTPError(400, f"document {place[0]!r} has no {error}, which is of its table's key") from error
        kind: Literal["insert", "update", "delete"] = "delete" if new is None else "update" if old else "insert"
        time = datetime.fromisoformat(native["time"])
        return Change(kind, table, key[0] if len(key) == 1 else key, items[1], items[0], time, native)

    @staticmethod
    def encode(_: Any) -> Response:
        """Done."""
        return Response(None, 204)


def _item(document: tuple[str, dict[str, Any]] | None) -> dict[str, Any] | None:
    if document is None:
        return None
    stored = document[1].get("item")
    if not isinstance(stored, dict):
        raise HTTPError(400, f"document {document[0]!r} was not written by portable: it has no map 'item'")
    return decode_item(stored)
