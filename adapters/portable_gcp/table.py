"""Tables on Firestore. Addresses: ``projects/PROJECT/databases/DATABASE/documents/COLLECTION``.

An item is a document. Its fields are those of ``item``, in Firestore's own types where it has an exact one, else tagged
(``portable.drivers.tags``). Beside them are ``place`` and ``indexes``, at which queries look
(``portable.drivers.places``): Firestore indexes single fields by itself, so no index has to be deployed. ``ttl`` is the
time to live as a timestamp, for a policy of Firestore's.

A version is the document's update time. Firestore leaves it as it is where a write changes nothing, so each write
bears a mark of its own, ``write``.
"""

from __future__ import annotations

from threading import Lock
from time import time

from portable.drivers import read_address
from portable.drivers.conditions import check_condition
from portable.drivers.places import cursor_behind, name_of, places_of, range_of
from portable.drivers.table import Row, Rows, Schema, name_key
from portable.errors import ConfigError, PortableError, PreconditionFailedError, UnsupportedError
from portable.resources.updates import apply_update
from portable_gcp import _sdk
from portable_gcp.documents import decode_item, encode_item, size_of
from portable_gcp.errors import translate
from portable_gcp.limits import DOCUMENT_BYTES, DOCUMENT_NAME_BYTES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from portable.drivers.table import Item, Key, TableQuery, Write
    from portable.resources import Resource

__all__ = ["FirestoreTable", "open_driver", "parse_address"]

TIMEOUT = 30.0  # seconds of one call, its retries included
PAGE = 100  # rows where no limit is asked for
ATTEMPTS = 20  # of a transaction that met others
TOO_LARGE = f"Firestore takes items of at most {DOCUMENT_BYTES} bytes, their keys and names of fields included"


def open_driver(resource: Resource, environment: Mapping[str, str]) -> FirestoreTable:
    """The driver of a declared table. Raises ConfigError without an address."""
    address = read_address("table", resource.name, environment)
    return FirestoreTable(resource.name, address, Schema(resource.options), environment)


def parse_address(address: str) -> tuple[str, str, str]:
    """Project, database and collection of an address. Raises ConfigError."""
    parts = address.split("/")
    if len(parts) != 6 or not all(parts) or parts[::2] != ["projects", "databases", "documents"]:
        raise ConfigError(
            f"table address {address!r} is not 'projects/PROJECT/databases/DATABASE/documents/COLLECTION'"
        )
    return parts[1], parts[3], parts[5]


class FirestoreTable:
    """See ``portable.drivers.TableDriver``. Reads and queries, of indexes too, see every write made before them.

    A collection is there as soon as it has a document, so no table is ever missing; a database may be.
    """

    def __init__(self, name: str, address: str, schema: Schema, environment: Mapping[str, str]) -> None:
        self._resource = f"table {name}"
        self._project, self._database, self._name = parse_address(address)
        self._schema = schema
        self._environment = environment
        self._lock = Lock()
        self._client: Any = None

    # --- reading

    def get(self, key: Key) -> Row | None:
        """One request."""
        document = self._document(key)
        return self._row(self._do(key, lambda: document.get(timeout=TIMEOUT)))

    def get_many(self, keys: Sequence[Key]) -> list[Row | None]:
        """One request."""
        documents = [self._document(key) for key in keys]
        snapshots = self._do(None, lambda: list(self.native().get_all(documents, timeout=TIMEOUT)))
        found = {snapshot.reference.id: snapshot for snapshot in snapshots}
        return [self._row(found[document.id]) for document in documents]

    def query(self, query: TableQuery) -> Rows:
        """One request."""
        return self._page(query)

    def scan(self, query: TableQuery) -> Rows:
        """One request a page, in an order of digests."""
        return self._page(query)

    def _page(self, query: TableQuery) -> Rows:
        low, high = range_of(query)
        field = "place" if query.index is None else _sdk.firestore_path("indexes", query.index)
        limit = query.limit or PAGE
        found = _sdk.firestore_range(self._collection(), field, low, high, limit, reverse=query.reverse)
        snapshots = self._do(None, lambda: list(found.stream(timeout=TIMEOUT)))
        rows = [row for row in map(self._row, snapshots) if row is not None]
        if len(snapshots) < limit:
            return Rows(rows, None)
        last = snapshots[-1].to_dict()
        return Rows(rows, cursor_behind(last["place"] if query.index is None else last["indexes"][query.index]))

    def _row(self, snapshot: Any) -> Row | None:
        if not snapshot.exists:
            return None
        return Row(decode_item(snapshot.to_dict()["item"]), _sdk.firestore_version(snapshot.update_time))

    # --- writing

    def write(self, write: Write) -> Row | None:
        """One request; a transaction of three for an update, and for a condition where items have a time to live."""
        conditional = write.if_match is not None or write.if_absent
        if write.kind == "update" or (conditional and self._schema.ttl is not None):
            return self._commit([write])[0]
        document = self._document(write.key)
        option = None if write.if_match is None else self._option(write)
        if write.kind == "delete":
            self._do(write.key, lambda: document.delete(option, timeout=TIMEOUT))
            return None
        data = self._encode(write.key, write.item)
        if write.if_absent:
            # Not retried: an answer that was lost may have been that of its success.
            result = self._do(write.key, lambda: document.create(data, timeout=TIMEOUT, retry=None))
        elif option is None:
            result = self._do(write.key, lambda: document.set(data, timeout=TIMEOUT))
        else:
            whole = _sdk.firestore_replacement(data)
            result = self._do(write.key, lambda: document.update(whole, option, timeout=TIMEOUT, retry=None))
        return Row(write.item, _sdk.firestore_version(result.update_time))

    def transact(self, writes: Sequence[Write]) -> None:
        """Three requests. What it reads is locked meanwhile."""
        self._commit(writes)

    def _commit(self, writes: Sequence[Write]) -> list[Row | None]:
        """One transaction, begun anew where it met another. Gives the new items that are not deletes' or checks'."""
        documents = [self._document(write.key) for write in writes]
        items: list[Item | None] = []

        def work(transaction: Any) -> None:
            snapshots = self.native().get_all(documents, transaction=transaction, timeout=TIMEOUT)
            found = {snapshot.reference.id: self._row(snapshot) for snapshot in snapshots}
            items[:] = [
                self._new_item(write, found[document.id]) for write, document in zip(writes, documents, strict=True)
            ]
            for write, document, item in zip(writes, documents, items, strict=True):
                if item is not None:
                    transaction.set(document, self._encode(write.key, item))
                elif write.kind == "delete":
                    transaction.delete(document)

        key = writes[0].key if len(writes) == 1 else None
        results = iter(self._do(key, lambda: _sdk.firestore_transaction(self.native(), work, ATTEMPTS)))
        rows: list[Row | None] = []
        for write, item in zip(writes, items, strict=True):
            time_of = None if write.kind == "check" else next(results).update_time
            rows.append(None if item is None else Row(item, _sdk.firestore_version(time_of)))
        return rows

    def _new_item(self, write: Write, stored: Row | None) -> Item | None:
        """What is to be stored; None for a delete and a check. Raises where the item is not as the write asks."""
        old = None if stored is None or self._schema.has_expired(stored.item, time()) else stored
        check_condition(write, old, self._resource)
        if write.kind == "update":
            assert old is not None
            return apply_update(old.item, write, self._resource, name_key(write.key))
        return write.item if write.kind == "put" else None

    def _option(self, write: Write) -> Any:
        assert write.if_match is not None
        try:
            return _sdk.firestore_if_version(write.if_match)
        except ValueError as error:
            raise PreconditionFailedError(
                f"no version is {write.if_match!r}", resource=self._resource, key=name_key(write.key)
            ) from error

    def _encode(self, key: Key, item: Item) -> dict[str, Any]:
        from os import urandom

        if size_of(item) > DOCUMENT_BYTES:
            raise UnsupportedError(TOO_LARGE, resource=self._resource, key=name_key(key))
        place, indexes = places_of(self._schema, key, item)
        data = {"item": encode_item(item), "place": place, "indexes": indexes, "write": urandom(9)}
        ends = None if self._schema.ttl is None else item.get(self._schema.ttl)
        if isinstance(ends, int):
            data["ttl"] = _sdk.firestore_time(ends)
        return data

    # --- the client

    def native(self) -> Any:
        """``google.cloud.firestore.Client``."""
        if self._client is None:
            with self._lock:
                if self._client is None:
                    self._client = self._do(
                        None, lambda: _sdk.firestore(self._project, self._database, self._environment)
                    )
        return self._client

    def close(self) -> None:
        """Close the connection; the next call opens one anew."""
        with self._lock:
            client, self._client = self._client, None
        if client is not None:
            client.close()

    def _collection(self) -> Any:
        return self.native().collection(self._name)

    def _document(self, key: Key) -> Any:
        return self._collection().document(name_of(key, DOCUMENT_NAME_BYTES))

    def _do(self, key: Key | None, call: Callable[[], Any]) -> Any:
        try:
            return call()
        except PortableError:
            raise
        except Exception as error:
            named = None if key is None else name_key(key)
            if type(error).__name__ == "InvalidArgument":  # types, names and depth are ours: what is left is the size
                raise UnsupportedError(f"{TOO_LARGE}: {error}", resource=self._resource, key=named) from error
            raise translate(error, self._resource, named) from error
