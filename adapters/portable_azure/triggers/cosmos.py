"""Changes of tables: batches of Cosmos DB's change feed, ``azure.functions.DocumentList``.

https://learn.microsoft.com/azure/azure-functions/functions-bindings-cosmosdb-v2-trigger: the latest version of each
item that was written, in the order of its partition; neither deletions nor what an item was before, and nothing that
tells an insertion from an update. The mode that has these takes no Python: ``cosmos_db_trigger`` of azure-functions has
no parameter for it. https://learn.microsoft.com/azure/azure-functions/functions-bindings-error-pages: a function that
fails is called again with the whole batch, as its retry policy says; without one the feed moves on.

There is no answer that says how far a batch is done. So the entry remembers that, and leaves out of the batch that
comes again what is done; a batch that another instance gets is handed over whole.
"""

from __future__ import annotations

from portable.drivers.tags import decode
from portable.events import Change

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from typing import Any

    from portable.drivers.table import Schema

__all__ = ["CosmosTrigger"]


def _time(change: Change[Any]) -> datetime:
    """When it was written, to the second."""
    from datetime import UTC, datetime

    return datetime.fromtimestamp(change.native["_ts"], UTC)


class _Written(Change):  # type: ignore[type-arg]  # subscribing costs at a cold start
    __slots__ = ()
    _lazy = {"time": _time}


class CosmosTrigger:
    """``cosmosDBTrigger`` on the container of one table.

    Args:
        table: the declared name. schema: its keys.
    """

    def __init__(self, table: str, schema: Schema) -> None:
        self._table = table
        self._schema = schema
        self._done: set[str] = set()  # etags of what is done in batches that failed

    def decode(self, native: Any) -> list[Change[Any]]:
        """The changes that are not done. Raises ValueError for a document that no table's driver wrote."""
        documents = list(native or ())
        for document in documents:
            if not hasattr(document, "get"):
                raise ValueError(f"a batch of table {self._table!r} holds {document!r}, which is no document")
        return [self._change(document) for document in documents if document.get("_etag") not in self._done]

    def failed(self, done: Sequence[Change[Any]]) -> None:
        """Remember what of a batch is done: it comes again."""
        self._done.update(change.native["_etag"] for change in done)

    def finished(self, native: Any) -> None:
        """Forget a batch: it does not come again."""
        self._done.difference_update(document.get("_etag") for document in native or ())

    def _change(self, document: Any) -> Change[Any]:
        stored = document.get("item")
        if not isinstance(stored, dict) or not {"_etag", "_ts"} <= document.keys():
            raise ValueError(
                f"document {document.get('id')!r} of table {self._table!r} was not written by portable: it has no "
                "'item', '_etag' and '_ts'; keep a table's container to itself"
            )
        change: Change[Any] = _Written.__new__(_Written)
        change.kind = "update"
        change.table = self._table
        change.new = {field: decode(value) for field, value in stored.items()}
        change.old = None
        try:
            key = self._schema.key_of(change.new)
        except KeyError as error:
            raise ValueError(f"document {document.get('id')!r} of table {self._table!r} has no {error}") from error
        change.key = key[0] if len(key) == 1 else key
        change.native = document
        return change
