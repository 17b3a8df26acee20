"""Tables on DynamoDB. The address is ``dynamodb://physical-name``.

An item's version is an attribute, ``portable:version``, set anew with each write; an index is a global secondary index
of its name that projects all attributes.
"""

from __future__ import annotations

from os import urandom
from time import sleep, time

from portable.drivers import read_address
from portable.drivers.table import Row, Rows, Schema, decode_cursor, encode_cursor, name_key
from portable.errors import (
    AlreadyExistsError,
    NotFoundError,
    PreconditionFailedError,
    ServiceError,
    UnavailableError,
    UnsupportedError,
)
from portable_aws._sdk import ATTEMPTS, Client
from portable_aws.errors import code_of, translate
from portable_aws.expressions import Expression, key_condition, key_of, write_options
from portable_aws.items import decode_item, decode_row, encode_value
from portable_aws.limits import KEYS_READ

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any, TypeVar

    from portable.drivers.table import Key, TableQuery, Write
    from portable.resources import Resource

    R = TypeVar("R")

__all__ = ["DynamoTable", "open_driver"]

_METHODS = {"put": "put_item", "update": "update_item", "delete": "delete_item"}
_ACTIONS = {"put": "Put", "update": "Update", "delete": "Delete", "check": "ConditionCheck"}

# After these nothing was done, so that even a write that does harm twice can be repeated.
_NOT_DONE = frozenset(
    {
        "ProvisionedThroughputExceededException",
        "ProvisionedThroughputExceeded",
        "RequestLimitExceeded",
        "ThrottlingError",
        "ThrottlingException",
        "TransactionConflict",
        "TransactionConflictException",
    }
)


def open_driver(resource: Resource, environment: Mapping[str, str] | None) -> DynamoTable:
    """The driver of a declared table. Raises ConfigError without an address."""
    return DynamoTable(resource.name, Schema(resource.options), environment)


class DynamoTable:
    """One table. Reads of the table are strongly consistent; those of an index may lag behind its writes."""

    def __init__(self, name: str, schema: Schema, environment: Mapping[str, str] | None) -> None:
        self._label = f"table {name}"
        self._schema = schema
        self._table = read_address("table", name, environment).removeprefix("dynamodb://").rstrip("/")
        self._client = Client("dynamodb", environment)

    # --- reading

    def get(self, key: Key) -> Row | None:
        """See ``portable.drivers``."""
        options = {"TableName": self._table, "Key": key_of(key, self._schema), "ConsistentRead": True}
        answer = self._call("get_item", key, options)
        return decode_row(answer["Item"]) if "Item" in answer else None

    def get_many(self, keys: Sequence[Key]) -> list[Row | None]:
        """A hundred keys a call; keys that DynamoDB leaves for later are asked for again."""
        found: dict[Key, Row] = {}
        for start in range(0, len(keys), KEYS_READ):
            left = [key_of(key, self._schema) for key in keys[start : start + KEYS_READ]]
            vain = 0
            while left:
                asked = {self._table: {"Keys": left, "ConsistentRead": True}}
                answer = self._call("batch_get_item", None, {"RequestItems": asked})
                for attributes in answer["Responses"].get(self._table, ()):
                    row = decode_row(attributes)
                    found[self._schema.key_of(row.item)] = row
                behind = answer.get("UnprocessedKeys", {}).get(self._table, {}).get("Keys", [])
                vain = vain + 1 if len(behind) == len(left) else 0
                if vain == ATTEMPTS:
                    raise UnavailableError("DynamoDB reads none of the keys", resource=self._label)
                if behind:
                    sleep(0.05 * 4**vain)
                left = behind
        return [found.get(key) for key in keys]

    def query(self, query: TableQuery) -> Rows:
        """See ``portable.drivers``."""
        expression = Expression()
        partition, sort = self._schema.fields_of(query.index)
        condition = key_condition(partition, query.partition, query.sort, sort, expression)
        options = expression.options(KeyConditionExpression=condition)
        options["ScanIndexForward"] = not query.reverse
        if query.index is None:
            options["ConsistentRead"] = True
        else:
            options["IndexName"] = query.index
        return self._page("query", query, options)

    def scan(self, query: TableQuery) -> Rows:
        """See ``portable.drivers``."""
        return self._page("scan", query, {"ConsistentRead": True})

    def _page(self, method: str, query: TableQuery, options: dict[str, Any]) -> Rows:
        options["TableName"] = self._table
        if query.limit is not None:
            options["Limit"] = query.limit
        if query.cursor is not None:
            options["ExclusiveStartKey"] = self._read_cursor(query, query.cursor)
        answer = self._call(method, None, options)
        last = answer.get("LastEvaluatedKey")
        return Rows([decode_row(item) for item in answer["Items"]], self._cursor(query, last) if last else None)

    def _cursor_fields(self, query: TableQuery) -> list[str]:
        named = (self._schema.key, self._schema.sort, *self._schema.fields_of(query.index))
        return [name for name in dict.fromkeys(named) if name is not None]

    def _cursor(self, query: TableQuery, last: dict[str, Any]) -> str:
        key = decode_item(last)
        return encode_cursor([query.partition, query.index, *(key[name] for name in self._cursor_fields(query))])

    def _read_cursor(self, query: TableQuery, cursor: str) -> dict[str, Any]:
        fields = self._cursor_fields(query)
        partition, index, *values = decode_cursor(cursor, len(fields) + 2)
        kinds = {"str": str, "int": int}
        fits = all(type(v) is kinds[self._schema.fields[name]] for name, v in zip(fields, values, strict=True))
        if (partition, index) != (query.partition, query.index) or not fits:
            raise ValueError(f"{cursor!r} is a cursor of another query")
        return {name: encode_value(value) for name, value in zip(fields, values, strict=True)}

    # --- writing

    def write(self, write: Write) -> Row | None:
        """See ``portable.drivers``. A write that must not be made twice is repeated only when it was not done."""
        version = _new_version()
        options = {"TableName": self._table, **write_options(write, self._schema, version, int(time()))}
        if write.kind == "update":
            options["ReturnValues"] = "ALL_NEW"
        harmless = write.kind != "update" and not write.if_absent and write.if_match is None
        try:
            answer = self._call(_METHODS[write.kind], write.key, options, harmless=harmless)
        except PreconditionFailedError as error:
            raise self._refusal(write, error.__cause__) from error.__cause__
        if write.kind == "put":
            return Row(write.item, version)
        return decode_row(answer["Attributes"]) if write.kind == "update" else None

    def transact(self, writes: Sequence[Write]) -> None:
        """See ``portable.drivers``. A token makes a repeated call count once."""
        now = int(time())
        actions = [
            {
                _ACTIONS[write.kind]: {
                    "TableName": self._table,
                    **write_options(write, self._schema, _new_version(), now),
                }
            }
            for write in writes
        ]
        options = {"TransactItems": actions, "ClientRequestToken": urandom(16).hex()}

        def call() -> None:
            try:
                self._client.get().transact_write_items(**options)
            except Exception as error:
                raise self._cancelled(error, writes) from error

        _repeat(call, harmless=True)

    def _cancelled(self, error: Exception, writes: Sequence[Write]) -> Exception:
        """What the first operation that failed would have raised alone."""
        reasons = getattr(error, "response", {}).get("CancellationReasons") or ()
        for write, reason in zip(writes, reasons, strict=False):
            code = reason.get("Code", "None")
            if code == "ConditionalCheckFailed":
                return self._refusal(write, error)
            if code != "None":
                kind = UnavailableError if code in _NOT_DONE else _kind_of(str(reason.get("Message", "")))
                message = f"{code}: {reason.get('Message', '')}"
                return kind(message, resource=self._label, key=name_key(write.key))
        return self._translate(error, writes[0].key if len(writes) == 1 else None)

    def _refusal(self, write: Write, cause: BaseException | None) -> ServiceError:
        kind: type[ServiceError] = PreconditionFailedError
        if write.if_match is None and write.kind == "put":
            kind = AlreadyExistsError
        elif write.if_match is None and write.kind == "update":
            kind = NotFoundError
        return kind(str(cause), resource=self._label, key=name_key(write.key))

    # --- calling

    def _call(self, method: str, key: Key | None, options: dict[str, Any], *, harmless: bool = True) -> Any:
        def call() -> Any:
            try:
                return getattr(self._client.get(), method)(**options)
            except Exception as error:
                raise self._translate(error, key) from error

        return _repeat(call, harmless=harmless)

    def _translate(self, error: Exception, key: Key | None) -> Exception:
        named = None if key is None else name_key(key)
        if code_of(error) == "ValidationException":
            return _kind_of(str(error))(str(error), resource=self._label, key=named)
        return translate(error, self._label, named)

    def native(self) -> Any:
        """The DynamoDB client of botocore."""
        return self._client.get()

    def close(self) -> None:
        """Close its connections."""
        self._client.close()


def _new_version() -> str:
    return urandom(9).hex()


def _kind_of(message: str) -> type[ServiceError]:
    """DynamoDB has one code for all that does not fit, and says more in words only."""
    return UnsupportedError if "size" in message and "exceeded" in message else ServiceError


def _repeat(call: Callable[[], R], *, harmless: bool) -> R:
    """What ``call`` gives, tried again after UnavailableError where a repetition does no harm."""
    for attempt in range(1, ATTEMPTS):
        try:
            return call()
        except UnavailableError as error:
            if not harmless and code_of(error.__cause__) not in _NOT_DONE:
                raise
            sleep(0.05 * 4**attempt)
    return call()
