"""Between the items a user holds and the fields a table's driver stores."""

from __future__ import annotations

import sys

from portable.errors import ConfigError
from portable.resources.values import check_name, check_text, to_fields, to_number, to_value
from portable.signatures import resolve_alias, split_annotated, split_optional

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any

    from portable.drivers.table import Item, Key, Schema

__all__ = ["Items", "field_type"]

KEY_BYTES = 1024
_WHOLE = 2**63


def is_untyped(annotation: Any) -> bool:
    """Whether a table's items are plain dicts: no type, Any, or dict."""
    origin = getattr(annotation, "__origin__", annotation)
    return annotation is None or annotation is object or repr(annotation) == "typing.Any" or origin is dict


def field_type(annotation: Any, field: str, label: str) -> tuple[Any, bool]:
    """The type a class gives to a stored field, and whether it may be None as well. Raises ConfigError.

    In an untyped table every field is a str.
    """
    if is_untyped(annotation):
        return str, True
    name = field
    if hasattr(annotation, "__struct_fields__"):
        stored = dict(zip(annotation.__struct_encode_fields__, annotation.__struct_fields__, strict=True))
        name = stored.get(field, field)
    for base in getattr(annotation, "__mro__", ()):
        found = getattr(base, "__annotations__", {}).get(name)
        if found is not None:
            resolved = _resolve(found, base, f"{label}: the type of {field!r}")
            inner, optional = split_optional(resolve_alias(split_annotated(resolved)[0]))
            return resolve_alias(split_annotated(inner)[0]), optional
    raise ConfigError(f"{label}: {getattr(annotation, '__name__', annotation)} has no field {field!r}")


def _resolve(annotation: Any, base: Any, label: str) -> Any:
    text = getattr(annotation, "__forward_arg__", annotation)
    if not isinstance(text, str):
        return annotation
    simple: dict[str, Any] = {"int": int, "str": str}
    if text in simple:
        return simple[text]
    try:
        return eval(text, vars(sys.modules[base.__module__]))  # noqa: S307 - the user's own source
    except Exception as error:
        raise ConfigError(f"{label} is {text!r}, which cannot be evaluated at module level: {error}") from error


class Items:
    """Encodes and decodes the items of one table. What it knows of the type is worked out on first use.

    Args:
        label: the table, for errors. type: of its items.
    """

    def __init__(self, label: str, type: Any, schema: Schema) -> None:
        self._label = label
        self._type = type
        self._schema = schema
        self._untyped = is_untyped(type)
        self._shape: _Shape | None = None
        self._indexed = {field for pair in schema.indexes.values() for field in pair if field is not None}
        self._ttl_is_instant = (
            schema.ttl is not None
            and not self._untyped
            and (getattr(field_type(type, schema.ttl, label)[0], "__name__", "") == "datetime")
        )

    @property
    def shape(self) -> _Shape:
        """What the type says of the fields."""
        if self._shape is None:
            self._shape = _UNTYPED if self._untyped else _read_shape(self._type, self._label)
        return self._shape

    # --- keys

    def key(self, key: Any, sort: Any = None) -> Key:
        """A checked key. Raises TypeError and ValueError."""
        schema = self._schema
        if schema.sort is None:
            if sort is not None:
                raise TypeError(f"{self._label} has no sort key, got {sort!r}")
            return (self.key_value(schema.key, key),)
        if sort is None:
            raise TypeError(f"{self._label}: an item is found by {schema.key!r} and {schema.sort!r}; give both")
        return (self.key_value(schema.key, key), self.key_value(schema.sort, sort))

    def key_of_one(self, key: Any) -> Key:
        """A key as ``get_many`` takes it: a value, or a pair where there is a sort key."""
        if self._schema.sort is None:
            return self.key(key)
        if not isinstance(key, tuple) or len(key) != 2:
            raise TypeError(f"{self._label}: a key is ({self._schema.key}, {self._schema.sort}), got {key!r}")
        return self.key(*key)

    def key_value(self, field: str, value: Any) -> str | int:
        """The value of a field that is a key of the table or of an index."""
        where = f"{self._label}, field {field!r}"
        wanted = self._schema.fields[field]
        if wanted == "int":
            if not isinstance(value, int) or isinstance(value, bool):
                raise TypeError(f"{where}: an int is wanted, got {value!r}")
            if not -_WHOLE <= value < _WHOLE:
                raise ValueError(f"{where}: a key is a whole number of 64 bits, got {value!r}")
            return int(value)
        if not isinstance(value, str):
            raise TypeError(f"{where}: a str is wanted, got {value!r}")
        text = str(value.value) if hasattr(value, "value") else str(value)
        size = len(check_text(text, where).encode())
        if not 0 < size <= KEY_BYTES:
            raise ValueError(f"{where}: a key has 1 to {KEY_BYTES} bytes in UTF-8, this one has {size}")
        return text

    # --- items

    def encode(self, item: Any) -> Item:
        """An item as the driver stores it. Raises TypeError and ValueError naming the field."""
        fields = to_fields(item)
        if fields is None or not self.shape.takes(item):
            wanted = "a dict" if self._untyped else getattr(self._type, "__name__", str(self._type))
            raise TypeError(f"{self._label}: an item is {wanted}, got {type(item).__name__}")
        encoded, _ = self.encode_fields(fields)
        for name in (self._schema.key, self._schema.sort):
            if name is not None and name not in encoded:
                raise ValueError(f"{self._label}: the item has no {name!r}, which is part of its key")
        return encoded

    def encode_fields(self, fields: Mapping[str, Any]) -> tuple[Item, list[str]]:
        """Fields as the driver stores them, and the names of those it does not store: None for an index or the time to
        live, and the empty set.
        """
        encoded: Item = {}
        left_out = []
        for name, value in fields.items():
            check_name(name, self._label)
            self._check_known(name)
            stored = self._encode_field(name, value)
            unset = stored is None and (name in self._indexed or name == self._schema.ttl)
            if unset or (isinstance(stored, set) and not stored):
                left_out.append(name)
            else:
                encoded[name] = stored
        return encoded, left_out

    def _check_known(self, name: str) -> None:
        known = self.shape.fields
        if known is not None and name not in known:
            raise ValueError(f"{self._label}: {self.shape.name} has no field {name!r}; it has {', '.join(known)}")

    def _encode_field(self, name: str, value: Any) -> Any:
        where = f"{self._label}, field {name!r}"
        if value is None and (name in self._indexed or name == self._schema.ttl):
            if self._untyped:
                raise ValueError(
                    f"{where}: None cannot be stored in a field of an index or the time to live; leave it out"
                )
            return None
        if name in self._schema.fields:
            return self.key_value(name, value)
        if name == self._schema.ttl:
            return _to_seconds(value, where)
        return to_value(value, where, exact=self.shape.exact)

    def encode_added(self, fields: Mapping[str, Any]) -> Item:
        """What an update adds: a number, or a set that is not empty."""
        added: Item = {}
        for name, value in fields.items():
            check_name(name, self._label)
            self._check_known(name)
            where = f"{self._label}, field {name!r}"
            stored = to_value(value, where, exact=self.shape.exact)
            if isinstance(stored, (bool, str, bytes, list, dict)) or stored is None:
                raise TypeError(f"{where}: add takes a number or a set, got {value!r}")
            if isinstance(stored, set) and not stored:
                continue
            added[name] = stored
        return added

    def check_names(self, names: Iterable[str]) -> list[str]:
        """Names of fields to remove."""
        checked = [check_name(name, self._label) for name in ((names,) if isinstance(names, str) else names)]
        for name in checked:
            self._check_known(name)
        return checked

    def decode(self, item: Item) -> Any:
        """An item as the user holds it. Raises ValueError naming the key and the field that does not fit."""
        shape = self.shape
        found = {name: _read(value, exact=shape.exact) for name, value in item.items()}
        if self._untyped:
            return found
        ttl = self._schema.ttl
        if self._ttl_is_instant and ttl in found:
            from datetime import UTC, datetime

            found[ttl] = datetime.fromtimestamp(found[ttl], UTC)
        for name in shape.nullable:
            if name in self._indexed or name == ttl:
                found.setdefault(name, None)
        for name in shape.sets:
            found.setdefault(name, set())
        try:
            return shape.convert(found)
        except ValueError as error:
            key = self._schema.key_of(item)
            raise ValueError(f"{self._label}, key {key}: the stored item does not fit its type: {error}") from error


def _read(value: Any, *, exact: bool) -> Any:
    kind = type(value)
    if kind is str or kind is bool or value is None or kind is bytes or kind is int:
        return value
    if kind is dict:
        return {name: _read(one, exact=exact) for name, one in value.items()}
    if kind is list:
        return [_read(one, exact=exact) for one in value]
    if isinstance(value, (set, frozenset)):
        return {_read(one, exact=exact) for one in value}
    return to_number(value, exact=exact)


def _to_seconds(value: Any, where: str) -> int:
    """An aware datetime, or whole seconds since the epoch; a fraction of a second counts as a whole one."""
    if hasattr(value, "timestamp"):
        if value.tzinfo is None:
            raise ValueError(f"{where}: a time to live is an aware datetime, got {value!r}")
        from datetime import UTC, datetime, timedelta

        rounded_up: int = -((datetime(1970, 1, 1, tzinfo=UTC) - value) // timedelta(seconds=1))
        return rounded_up
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{where}: a time to live is an aware datetime or seconds since the epoch, got {value!r}")
    if not 0 <= value < 10**11:
        raise ValueError(f"{where}: a time to live is seconds since the epoch, got {value!r}")
    return int(value)


class _Shape:
    """What a type says.

    Attributes:
        name: of the type. fields: names as stored, None where any may be. exact: whether a Decimal is in it somewhere.
        nullable: the fields that may be None. sets: those that are sets. convert: from fields to an item.
    """

    __slots__ = ("classes", "convert", "exact", "fields", "name", "nullable", "sets")

    def __init__(
        self,
        name: str,
        fields: tuple[str, ...] | None,
        convert: Callable[[Any], Any],
        *,
        classes: tuple[type, ...] = (dict,),
        exact: bool = False,
        nullable: tuple[str, ...] = (),
        sets: tuple[str, ...] = (),
    ) -> None:
        self.name = name
        self.fields = fields
        self.convert = convert
        self.classes = classes
        self.exact = exact
        self.nullable = nullable
        self.sets = sets

    def takes(self, item: Any) -> bool:
        """Whether an item is of this type."""
        return isinstance(item, self.classes)


_UNTYPED = _Shape("dict", None, dict)


def _read_shape(annotation: Any, label: str) -> _Shape:
    if hasattr(annotation, "__pydantic_validator__"):
        return _pydantic_shape(annotation)
    import msgspec
    import msgspec.inspect

    from portable.jsontext import _decode_foreign

    try:
        info: Any = msgspec.inspect.type_info(annotation)
    except (TypeError, NameError) as error:
        raise ConfigError(f"{label}: items cannot be read as {annotation!r}: {error}") from error
    fields = getattr(info, "fields", None)
    if fields is None or getattr(info, "array_like", False):
        raise ConfigError(
            f"{label}: items are a msgspec Struct, dataclass, TypedDict, pydantic model or dict, not {annotation!r}"
        )
    tag = () if getattr(info, "tag_field", None) is None else (info.tag_field,)
    return _Shape(
        annotation.__name__,
        (*tag, *(field.encode_name for field in fields)),
        lambda found: msgspec.convert(found, annotation, dec_hook=_decode_foreign),
        classes=(dict,) if isinstance(info, msgspec.inspect.TypedDictType) else (info.cls,),
        exact="DecimalType(" in repr(info),
        nullable=tuple(f.encode_name for f in fields if "NoneType(" in repr(f.type)),
        sets=tuple(
            field.encode_name
            for field in fields
            if isinstance(field.type, (msgspec.inspect.SetType, msgspec.inspect.FrozenSetType))
        ),
    )


def _pydantic_shape(model: Any) -> _Shape:
    fields = model.model_fields
    words = {name: repr(field.annotation) for name, field in fields.items()}
    return _Shape(
        model.__name__,
        tuple(fields),
        model.model_validate,
        classes=(model,),
        exact="Decimal" in repr(model.__pydantic_core_schema__) or any("Decimal" in text for text in words.values()),
        nullable=tuple(name for name, text in words.items() if "None" in text),
        sets=tuple(
            name
            for name, field in fields.items()
            if getattr(field.annotation, "__origin__", field.annotation) in (set, frozenset)
        ),
    )
