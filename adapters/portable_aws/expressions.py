"""DynamoDB's expressions for writes, conditions and queries."""

from __future__ import annotations

from portable_aws.items import VERSION, encode_item, encode_value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from portable.drivers.table import Item, Key, Schema, Sort, Write

__all__ = ["Expression", "key_condition", "key_of", "write_options"]

_COMPARISONS = {"equals": "=", "below": "<", "at_most": "<=", "above": ">", "at_least": ">="}


class Expression:
    """Placeholders: names may be DynamoDB's reserved words, and values are never written into an expression."""

    def __init__(self) -> None:
        self.names: dict[str, str] = {}
        self.values: dict[str, Any] = {}
        self._known: dict[str, str] = {}

    def name(self, field: str) -> str:
        """The placeholder of a field."""
        known = self._known.get(field)
        if known is None:
            known = self._known[field] = f"#n{len(self.names)}"
            self.names[known] = field
        return known

    def value(self, value: Any) -> str:
        """The placeholder of a value."""
        placeholder = f":v{len(self.values)}"
        self.values[placeholder] = encode_value(value)
        return placeholder

    def options(self, **expressions: str | None) -> dict[str, Any]:
        """What a call takes, with those expressions that are not empty."""
        found: dict[str, Any] = {name: text for name, text in expressions.items() if text}
        if self.names:
            found["ExpressionAttributeNames"] = self.names
        if self.values:
            found["ExpressionAttributeValues"] = self.values
        return found


def key_of(key: Key, schema: Schema) -> dict[str, Any]:
    """A key as attribute values."""
    fields = (schema.key,) if schema.sort is None else (schema.key, schema.sort)
    return encode_item(dict(zip(fields, key, strict=True)))


def write_options(write: Write, schema: Schema, version: str, now: int) -> dict[str, Any]:
    """What PutItem, UpdateItem, DeleteItem or a ConditionCheck takes, but the table's name."""
    expression = Expression()
    condition = _condition(write, schema, expression, now)
    if write.kind == "put":
        item: Item = {**write.item, VERSION: version}
        return {"Item": encode_item(item), **expression.options(ConditionExpression=condition)}
    change = _change(write, expression, version) if write.kind == "update" else None
    options = expression.options(UpdateExpression=change, ConditionExpression=condition)
    return {"Key": key_of(write.key, schema), **options}


def _change(write: Write, expression: Expression, version: str) -> str:
    sets = [
        f"{expression.name(field)} = {expression.value(value)}"
        for field, value in {**write.set, VERSION: version}.items()
    ]
    parts = ["SET " + ", ".join(sets)]
    if write.add:
        adds = [f"{expression.name(field)} {expression.value(value)}" for field, value in write.add.items()]
        parts.append("ADD " + ", ".join(adds))
    if write.remove:
        parts.append("REMOVE " + ", ".join(map(expression.name, write.remove)))
    return " ".join(parts)


def _condition(write: Write, schema: Schema, expression: Expression, now: int) -> str | None:
    """None where the write is made whatever there is. An item past its time to live counts as absent."""
    if write.if_match is not None:
        version = expression.name(VERSION)
        if write.if_match:
            wanted = f"{version} = {expression.value(write.if_match)}"
        else:  # the version of an item that others wrote
            wanted = f"attribute_exists({expression.name(schema.key)}) AND attribute_not_exists({version})"
        return _alive(wanted, schema, expression, now)
    absent = (write.kind == "put" and write.if_absent) or (write.kind == "check" and not write.exists)
    if absent:
        gone = f"attribute_not_exists({expression.name(schema.key)})"
        if schema.ttl is None:
            return gone
        return f"{gone} OR {expression.name(schema.ttl)} <= {expression.value(now)}"
    if write.kind in ("update", "check"):
        return _alive(f"attribute_exists({expression.name(schema.key)})", schema, expression, now)
    return None


def _alive(condition: str, schema: Schema, expression: Expression, now: int) -> str:
    if schema.ttl is None:
        return condition
    ends = expression.name(schema.ttl)
    return f"{condition} AND (attribute_not_exists({ends}) OR {ends} > {expression.value(now)})"


def key_condition(partition: str, value: Any, sort: Sort | None, field: str | None, expression: Expression) -> str:
    """A KeyConditionExpression."""
    found = f"{expression.name(partition)} = {expression.value(value)}"
    if sort is None:
        return found
    assert field is not None
    name, low = expression.name(field), expression.value(sort.low)
    if sort.operator == "between":
        return f"{found} AND {name} BETWEEN {low} AND {expression.value(sort.high)}"
    if sort.operator == "prefix":
        return f"{found} AND begins_with({name}, {low})"
    return f"{found} AND {name} {_COMPARISONS[sort.operator]} {low}"
