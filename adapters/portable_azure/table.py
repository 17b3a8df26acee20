"""Tables on Cosmos DB for NoSQL. Addresses: ``https://ACCOUNT.documents.azure.com/dbs/DATABASE/colls/CONTAINER``.

The container's partition key is ``/partition``, and where items have a time to live its ``defaultTtl`` is -1. A
document has the item's fields in ``item``: Cosmos DB's numbers are doubles, so a Decimal and an integer beyond 2**53
are tagged there (``portable.drivers.tags``), as are bytes and sets. Beside it are ``place`` and ``indexes``, at which
queries look (``portable.drivers.places``); the rest need not be indexed. A version is the document's etag.

Cosmos DB adds doubles, so an exact sum is made here: an update reads, writes what it read under its etag, and begins
anew when another write came between.
"""

from __future__ import annotations

from itertools import islice
from threading import Lock
from time import time

from portable.drivers import read_address
from portable.drivers.conditions import check_condition
from portable.drivers.places import cursor_behind, name_of, places_of, range_of
from portable.drivers.table import Row, Rows, Schema, name_key
from portable.drivers.tags import DOUBLE_INTEGERS, decode, encode
from portable.errors import (
    AlreadyExistsError,
    ConfigError,
    NotFoundError,
    PreconditionFailedError,
    UnavailableError,
    UnsupportedError,
)
from portable.resources.updates import apply_update
from portable_azure import _sdk, limits
from portable_azure.errors import translate

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from portable.drivers.table import Item, Key, TableQuery, Write
    from portable.resources import Resource

__all__ = ["CosmosTable", "open_driver", "parse_address"]

PAGE = 100  # rows where no limit is asked for
ATTEMPTS = 20  # of a write that met others on its item, in some 10 seconds
_READERS = 8  # threads of one get_many
_NO_CONTAINER = 1003  # substatus of a 404: "Owner resource not found"


def open_driver(resource: Resource, environment: Mapping[str, str]) -> CosmosTable:
    """The driver of a declared table. Raises ConfigError without an address."""
    address = read_address("table", resource.name, environment)
    return CosmosTable(resource.name, address, Schema(resource.options), environment)


def parse_address(address: str) -> tuple[str, str, str]:
    """Endpoint of the account, database and container of an address. Raises ConfigError."""
    scheme, _, rest = address.partition("://")
    parts = rest.split("/")
    if scheme not in ("https", "http") or len(parts) != 5 or not all(parts) or parts[1::2] != ["dbs", "colls"]:
        raise ConfigError(
            f"table address {address!r} is not 'https://ACCOUNT.documents.azure.com/dbs/DATABASE/colls/CONTAINER'"
        )
    return f"{scheme}://{parts[0]}", parts[2], parts[4]


class CosmosTable:
    """See ``portable.drivers.TableDriver``.

    Reads are as consistent as the account's default says: with Strong they see every write made before them; with
    Session, what an account has unless told otherwise, those of this process, and those of others a moment later.
    Conditions and sums are decided by the document as it is, whatever was read. There are no transactions.
    """

    def __init__(self, name: str, address: str, schema: Schema, environment: Mapping[str, str]) -> None:
        self._resource = f"table {name}"
        self._endpoint, self._database, self._container = parse_address(address)
        self._schema = schema
        self._environment = environment
        self._lock = Lock()
        self._opened: Any = None

    # --- reading

    def get(self, key: Key) -> Row | None:
        """One point read."""
        container = self._do(key, self.native)
        document = self._do_unless_absent(key, lambda: container.read_item(*self._point(key)))
        return None if document is None else _row(document)

    def get_many(self, keys: Sequence[Key]) -> list[Row | None]:
        """A point read each, eight at a time: a query would cost more."""
        self._do(None, self.native)  # that the container is not there concerns all of them
        if len(keys) < 2:
            return [self.get(key) for key in keys]
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(min(_READERS, len(keys))) as readers:
            return list(readers.map(self.get, keys))

    def query(self, query: TableQuery) -> Rows:
        """Within a partition for the table itself, over all of them for an index."""
        return self._page(query, None if query.index is not None else str(query.partition))

    def scan(self, query: TableQuery) -> Rows:
        """Over all partitions, in an order of digests."""
        return self._page(query, None)

    def _page(self, query: TableQuery, partition: str | None) -> Rows:
        low, high = range_of(query)
        limit = query.limit or PAGE
        values = {"@low": low.hex(), "@high": high.hex()}

        def read() -> list[Any]:
            documents = _sdk.cosmos_query(self.native(), _statement(query), values, partition, limit)
            return list(islice(documents, limit))

        found = self._do(None, read)
        rows = [_row(document) for document in found]
        if len(found) < limit:
            return Rows(rows, None)
        place = found[-1]["place"] if query.index is None else found[-1]["indexes"][query.index]
        return Rows(rows, cursor_behind(bytes.fromhex(place)))

    # --- writing

    def write(self, write: Write) -> Row | None:
        """One request; two at least for an update, and for a condition where items have a time to live."""
        conditional = write.if_match is not None or write.if_absent
        if write.kind == "update" or (conditional and self._schema.ttl is not None):
            return self._read_and_write(write)
        item = write.item if write.kind == "put" else None
        return self._store(write.key, item, write.if_match, create=write.if_absent)

    def _read_and_write(self, write: Write) -> Row | None:
        from random import random
        from time import sleep

        for attempt in range(1, ATTEMPTS + 1):
            stored = self.get(write.key)
            old = None if stored is None or self._schema.has_expired(stored.item, time()) else stored
            check_condition(write, old, self._resource)
            version = None if stored is None else stored.version
            item = write.item if write.kind == "put" else None
            if write.kind == "update":
                assert old is not None
                item = apply_update(old.item, write, self._resource, name_key(write.key))
            try:
                return self._store(write.key, item, version, create=stored is None)
            except (AlreadyExistsError, PreconditionFailedError) as error:
                if attempt == ATTEMPTS:
                    message = f"other writes came between, {ATTEMPTS} times"
                    raise UnavailableError(message, resource=self._resource, key=name_key(write.key)) from error
            sleep(random() * min(0.01 * 2**attempt, 1.0))  # noqa: S311 - that two do not meet again
        raise AssertionError("at least one attempt")

    def _store(self, key: Key, item: Item | None, version: str | None, *, create: bool = False) -> Row | None:
        """Store or (None) delete what is there: whatever it is, or this version, or nothing (``create``)."""
        container = self._do(key, self.native)
        name, partition = self._point(key)
        condition = {} if version is None else self._condition(key, version)
        if item is None:
            done = self._do_unless_absent(key, lambda: container.delete_item(name, partition, **condition) or True)
        else:
            document = self._encode(key, item)
            if create:
                done = self._do(key, lambda: container.create_item(document))
            elif version is None:
                done = self._do(key, lambda: container.upsert_item(document))
            else:
                done = self._do_unless_absent(key, lambda: container.replace_item(name, document, **condition))
        if done is None and version is not None:
            raise PreconditionFailedError("the item is not there", resource=self._resource, key=name_key(key))
        return None if item is None else Row(item, str(done["_etag"]))

    def _condition(self, key: Key, version: str) -> dict[str, Any]:
        if not version or not version.isascii() or not version.isprintable():  # it becomes a header
            raise PreconditionFailedError(f"no version is {version!r}", resource=self._resource, key=name_key(key))
        return _sdk.cosmos_if_match(version)

    def transact(self, writes: Sequence[Write]) -> None:
        """Refused: a transactional batch stays within one partition, and gives no etag of an item it only looks at."""
        raise UnsupportedError(
            f"{len(writes)} writes are no transaction here: Cosmos DB has none over partitions, and the one within a "
            "partition is not offered; keep in one item what must change together",
            resource=self._resource,
            key=name_key(writes[0].key),
        )

    def _encode(self, key: Key, item: Item) -> dict[str, Any]:
        name, partition = self._point(key)
        place, indexes = places_of(self._schema, key, item)
        document: dict[str, Any] = {
            "id": name,
            "partition": partition,
            "place": place.hex(),
            "indexes": {index: one.hex() for index, one in indexes.items()},
            "item": {field: encode(value, integers=DOUBLE_INTEGERS) for field, value in item.items()},
        }
        ends = None if self._schema.ttl is None else item.get(self._schema.ttl)
        if isinstance(ends, int):
            seconds = max(1, int(ends - time()) + 1)
            if seconds <= limits.ITEM_SECONDS:  # longer than Cosmos DB can say is for ever
                document["ttl"] = seconds
        return document

    # --- the client

    def native(self) -> Any:
        """``azure.cosmos.ContainerProxy``. Raises the SDK's error where there is no such container."""
        if self._opened is None:
            with self._lock:
                if self._opened is None:
                    self._opened = _sdk.cosmos_container(
                        self._endpoint, self._database, self._container, self._environment
                    )
        return self._opened[1]

    def close(self) -> None:
        """Close the connections; the next call opens them anew."""
        with self._lock:
            opened, self._opened = self._opened, None
        if opened is not None:
            opened[0].close()

    def _point(self, key: Key) -> tuple[str, str]:
        """The id, which is unique within a partition, and the partition."""
        return name_of(key[-1:], limits.ITEM_ID_BYTES), str(key[0])

    def _do(self, key: Key | None, call: Callable[[], Any]) -> Any:
        try:
            return call()
        except _sdk.error_class() as error:
            raise translate(error, self._resource, None if key is None else name_key(key)) from error

    def _do_unless_absent(self, key: Key, call: Callable[[], Any]) -> Any:
        """None where the item is not there; NotFoundError still where its container is not."""
        try:
            return call()
        except _sdk.error_class() as error:
            found = translate(error, self._resource, name_key(key))
            if isinstance(found, NotFoundError) and getattr(error, "sub_status", None) != _NO_CONTAINER:
                return None
            raise found from error


def _statement(query: TableQuery) -> str:
    field = "c.place" if query.index is None else f'c.indexes["{query.index}"]'  # a checked name: letters and dashes
    order = "DESC" if query.reverse else "ASC"
    return f"SELECT * FROM c WHERE {field} >= @low AND {field} < @high ORDER BY {field} {order}"  # noqa: S608


def _row(document: Mapping[str, Any]) -> Row:
    return Row({field: decode(value) for field, value in document["item"].items()}, str(document["_etag"]))
