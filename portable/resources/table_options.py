"""A table's declaration, checked and as data."""

from __future__ import annotations

from portable.errors import ConfigError
from portable.resources import check_name
from portable.resources.items import field_type, is_untyped
from portable.resources.values import check_name as check_field

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    Indexes = Mapping[str, str | tuple[str, str]]

__all__ = ["read_options"]

INDEXES = 20  # DynamoDB's default quota of global secondary indexes


def read_options(
    label: str, type: Any, key: str, sort: str | None, indexes: Indexes, ttl: str | None
) -> dict[str, Any]:
    """The declaration as data, for the manifest and the drivers. Raises ConfigError."""
    if len(indexes) > INDEXES:
        raise ConfigError(f"{label}: a table has at most {INDEXES} indexes, got {len(indexes)}")
    pairs = []
    for name, fields in sorted(indexes.items()):
        if len(check_name("index", name)) < 3:
            raise ConfigError(f"{label}: the name of an index has 3 letters at least, as DynamoDB wants; got {name!r}")
        partition, sorted_by = (fields, None) if isinstance(fields, str) else fields
        pairs.append((name, partition, sorted_by))
    types: dict[str, str] = {}
    for field in (key, sort, *(one for _, *both in pairs for one in both)):
        if field is not None:
            _check_field(label, field)
            types[field] = _key_type(label, type, field, of_key=field in (key, sort))
    if ttl is not None:
        _check_field(label, ttl)
        if ttl in types:
            raise ConfigError(f"{label}: {ttl!r} is a key, so it cannot be the time to live")
        if not is_untyped(type):
            field_type(type, ttl, label)
    if key == sort:
        raise ConfigError(f"{label}: key and sort are two fields, got {key!r} twice")
    return {
        "key": key,
        "sort": sort,
        "indexes": tuple(pairs),
        "ttl": ttl,
        "fields": tuple(sorted(types.items())),
    }


def _check_field(label: str, name: str) -> None:
    try:
        check_field(name, label)
    except (TypeError, ValueError) as error:
        raise ConfigError(str(error)) from error


def _key_type(label: str, type: Any, field: str, *, of_key: bool) -> str:
    found, optional = field_type(type, field, label)
    # typing.Literal["a", "b"], told by its arguments, which are values and no types.
    kinds = {one.__class__ for one in getattr(found, "__args__", ())} or {found}
    if all(str in getattr(one, "__mro__", ()) for one in kinds):
        name = "str"
    elif kinds == {int}:
        name = "int"
    else:
        raise ConfigError(f"{label}: {field!r} is a key, so it is a str or an int, not {found!r}")
    if of_key and optional and not is_untyped(type):
        raise ConfigError(f"{label}: {field!r} is part of the key, so it cannot be None")
    return name
