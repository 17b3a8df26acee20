"""What stands behind a Table."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any, Literal, Protocol

    Item = dict[str, Any]
    Key = tuple[str | int] | tuple[str | int, str | int]
    SortOperator = Literal["equals", "below", "at_most", "above", "at_least", "between", "prefix"]
else:
    Protocol = object

__all__ = ["TableQuery", "Row", "Rows", "Schema", "Sort", "TableDriver", "Write", "decode_cursor", "encode_cursor"]


class Schema:
    """A table's declaration, read from the ``options`` of its resource.

    Attributes:
        key: the field that is the partition key. sort: the field that is the sort key, or None.
        indexes: by name, the partition field and the sort field (or None) of each index.
        ttl: the field that holds the time after which an item may vanish, whole seconds since the epoch; or None.
        fields: ``"str"`` or ``"int"`` for every field that is a key of the table or of an index.
    """

    __slots__ = ("fields", "indexes", "key", "sort", "ttl")

    def __init__(self, options: Mapping[str, Any]) -> None:
        self.key: str = options["key"]
        self.sort: str | None = options["sort"]
        self.indexes: dict[str, tuple[str, str | None]] = {
            name: (partition, sort) for name, partition, sort in options["indexes"]
        }
        self.ttl: str | None = options["ttl"]
        self.fields: dict[str, str] = dict(options["fields"])

    def key_of(self, item: Mapping[str, Any]) -> Key:
        """The key of an item."""
        return (item[self.key],) if self.sort is None else (item[self.key], item[self.sort])

    def fields_of(self, index: str | None) -> tuple[str, str | None]:
        """The partition field and the sort field of an index, or of the table itself."""
        return (self.key, self.sort) if index is None else self.indexes[index]

    def has_expired(self, item: Mapping[str, Any], now: float) -> bool:
        """Whether an item is past its time to live; ``now`` is seconds since the epoch."""
        if self.ttl is None:
            return False
        end = item.get(self.ttl)
        return isinstance(end, int) and end <= now


class Sort:
    """A condition on the sort key of a query: ``orders.query("ann", sort=Sort.between("2024-01", "2024-02"))``.

    Strings are ordered by their bytes in UTF-8, whole numbers by their value.
    """

    __slots__ = ("high", "low", "operator")

    def __init__(self, operator: SortOperator, low: str | int, high: str | int | None = None) -> None:
        self.operator: SortOperator = operator
        self.low = low
        self.high = high

    @classmethod
    def equals(cls, value: str | int) -> Sort:
        """The sort key is ``value``."""
        return cls("equals", value)

    @classmethod
    def below(cls, value: str | int) -> Sort:
        """The sort key is less than ``value``."""
        return cls("below", value)

    @classmethod
    def at_most(cls, value: str | int) -> Sort:
        """The sort key is ``value`` or less."""
        return cls("at_most", value)

    @classmethod
    def above(cls, value: str | int) -> Sort:
        """The sort key is greater than ``value``."""
        return cls("above", value)

    @classmethod
    def at_least(cls, value: str | int) -> Sort:
        """The sort key is ``value`` or greater."""
        return cls("at_least", value)

    @classmethod
    def between(cls, low: str | int, high: str | int) -> Sort:
        """The sort key is ``low`` to ``high``, both included."""
        return cls("between", low, high)

    @classmethod
    def prefix(cls, start: str) -> Sort:
        """The sort key, a str, starts with ``start``."""
        return cls("prefix", start)

    def __repr__(self) -> str:
        values = repr(self.low) if self.high is None else f"{self.low!r}, {self.high!r}"
        return f"Sort.{self.operator}({values})"


class TableQuery:
    """What to read, and from where on.

    Attributes:
        partition: value of the partition field; None (in a scan) for all. index: its name; None for the table itself.
        sort: condition on the sort field. reverse: from the greatest sort key down.
        limit: rows at most, 1 or more; None leaves it to the cloud. cursor: of an earlier page, or None.
    """

    __slots__ = ("cursor", "index", "limit", "partition", "reverse", "sort")

    def __init__(
        self,
        partition: str | int | None = None,
        index: str | None = None,
        sort: Sort | None = None,
        limit: int | None = None,
        cursor: str | None = None,
        *,
        reverse: bool = False,
    ) -> None:
        self.partition = partition
        self.index = index
        self.sort = sort
        self.limit = limit
        self.cursor = cursor
        self.reverse = reverse


class Row:
    """An item as stored, and its version: opaque, changes with every write, what ``if_match`` takes."""

    __slots__ = ("item", "version")

    def __init__(self, item: Item, version: str) -> None:
        self.item = item
        self.version = version


class Rows:
    """Rows of one page. ``cursor`` continues behind the last of them; None when nothing is left.

    A page may have fewer rows than asked for, even none, and a cursor.
    """

    __slots__ = ("cursor", "rows")

    def __init__(self, rows: list[Row], cursor: str | None) -> None:
        self.rows = rows
        self.cursor = cursor


class Write:
    """One operation of a transaction, or one that stands alone.

    Attributes:
        kind: ``"put"``, ``"update"``, ``"delete"`` or ``"check"``. key: of the item.
        item: for a put, whole. set, add, remove: for an update, by top-level field; never a field of the key.
        if_absent: a put of an item that is not there. if_match: the version the item must have.
        exists: for a check without ``if_match``: whether the item must be there.
    """

    __slots__ = ("add", "exists", "if_absent", "if_match", "item", "key", "kind", "remove", "set")

    def __init__(
        self,
        kind: Literal["put", "update", "delete", "check"],
        key: Key,
        *,
        item: Item | None = None,
        set: Item | None = None,
        add: Item | None = None,
        remove: Sequence[str] = (),
        if_absent: bool = False,
        if_match: str | None = None,
        exists: bool = True,
    ) -> None:
        self.kind = kind
        self.key = key
        self.item = {} if item is None else item
        self.set = {} if set is None else set
        self.add = {} if add is None else add
        self.remove = tuple(remove)
        self.if_absent = if_absent
        self.if_match = if_match
        self.exists = exists


class TableDriver(Protocol):
    """Items by key, strongly consistent but for reads of an index.

    What arrives has been checked:

    * an item is a dict of fields. Values are None, bool, int, float, Decimal, str, bytes, list, dict with str keys, and
      as a field itself (not within a list or dict) a set of str, of bytes, or of int and Decimal, never empty. Strings
      hold no lone surrogate, field names and keys of dicts are 1 to 255 bytes, none starts with ``portable:`` and none
      is ``__like_this__``; nesting is at most 16 deep.
    * numbers have at most 38 significant digits and a size of 0, or 1E-130 to 9.99…E+125. They are kept exactly: what
      is read equals what was written, a float its ``repr`` as a decimal number. A driver may give any number as int,
      float or Decimal; the portable type makes of it what the table's type says.
    * keys are str (1 to 1,024 bytes in UTF-8) or int (64 bits, signed), as ``Schema.fields`` says; never bool. A
      field of an index is such a value too, or is missing, and then the item is not in that index.
    * the ``ttl`` field is an int or missing. An item past it may be removed at any moment. The portable type hides it
      from reads; to a condition (``if_absent``, ``if_match``, an update, a check) a driver treats it as absent.

    Every write sets a new version, never used before for that key. Errors besides those named: NotFoundError for a
    table that is not there, PermissionDeniedError, UnavailableError (a write may have happened all the
    same, unless it says otherwise), UnsupportedError for an item that is too large. They name the key by
    ``name_key``.
    """

    def get(self, key: Key) -> Row | None:
        """The item, or None."""

    def get_many(self, keys: Sequence[Key]) -> list[Row | None]:
        """Each item or None, in the order of ``keys``, which are distinct. Not one moment in time."""

    def write(self, write: Write) -> Row | None:
        """One put, update or delete, atomically. Gives the new version (put: ``item`` as given) and the whole new item
        of an update; None for a delete.

        Raises AlreadyExistsError (``if_absent``), PreconditionFailedError (``if_match``, also when nothing is there),
        NotFoundError (update without ``if_match`` of an item that is not there; a delete of none is no error),
        ServiceError for an ``add`` to a field that holds something else. ``add`` is an exact decimal sum, from 0 where
        the field is missing, or a union of sets.
        """

    def transact(self, writes: Sequence[Write]) -> None:
        """All of them or none, atomically, with the errors of :meth:`write` for the first that failed, naming its
        key; a failed check is a PreconditionFailedError. Keys are distinct; there are 1 to 100.

        Raises UnsupportedError where the cloud cannot do it, and UnavailableError when it met another write.
        """

    def query(self, query: TableQuery) -> Rows:
        """The next page of a partition in order of the sort key, or of an index; those equal in the sort field of an
        index come in an order that stays the same while they do. Raises ValueError for a cursor that is not one.
        """

    def scan(self, query: TableQuery) -> Rows:
        """The next page of all items, in an order of the cloud's own. Only ``limit`` and ``cursor`` are set."""

    def native(self) -> Any:
        """The vendor's own client or handle."""


def name_key(key: Key) -> str:
    """A key as errors name it."""
    return str(key[0]) if len(key) == 1 else f"{key[0]}, {key[1]}"


def encode_cursor(values: list[Any]) -> str:
    """A cursor of values that JSON holds: safe in a URL, opaque, not secret."""
    from base64 import urlsafe_b64encode

    from portable.jsontext import encode_text

    return urlsafe_b64encode(encode_text(values).encode()).decode().rstrip("=")


def decode_cursor(cursor: str, length: int) -> list[Any]:
    """What :func:`encode_cursor` was given. Raises ValueError for anything else than a list of ``length`` values."""
    from base64 import urlsafe_b64decode

    from portable.jsontext import load_text

    try:
        values = load_text(urlsafe_b64decode(cursor.encode() + b"=" * (-len(cursor) % 4)))
    except ValueError as error:
        raise ValueError(f"{cursor!r} is no cursor of this table") from error
    if not isinstance(values, list) or len(values) != length:
        raise ValueError(f"{cursor!r} is no cursor of this query")
    return values
