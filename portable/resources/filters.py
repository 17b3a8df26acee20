"""Which messages of a topic a handler wants, by their attributes.

    {"plan": ["pro", "team"], "region": {"prefix": "eu-"}}

Every attribute named has to be there and fit: equal to the string, or to one of a list, or beginning with a prefix.
This much SNS filter policies, Pub/Sub filters, Service Bus rules and a line of Python can all say, with one meaning.
"""

from __future__ import annotations

from portable.errors import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    Filter = dict[str, list[str | dict[str, str]]]

__all__ = ["fits", "read_filter"]


def read_filter(given: Mapping[str, Any], where: str) -> Filter:
    """A filter in one form: by attribute a list of strings and ``{"prefix": …}``. Raises ConfigError."""
    if not hasattr(given, "items") or not given:
        raise ConfigError(f"{where}: a filter is a mapping of attributes to what they may be, got {given!r}")
    found: Filter = {}
    for name, wanted in given.items():
        if not isinstance(name, str) or not name.isascii() or not name.replace("_", "").replace("-", "").isalnum():
            raise ConfigError(f"{where}: attribute name {name!r} in a filter: use ASCII letters, digits, _ and -")
        choices = list(wanted) if isinstance(wanted, (list, tuple)) else [wanted]
        if not choices:
            raise ConfigError(f"{where}: the filter leaves nothing that attribute {name!r} may be")
        found[name] = [_read_choice(choice, name, where) for choice in choices]
    return found


def _read_choice(choice: Any, name: str, where: str) -> str | dict[str, str]:
    text = choice
    if isinstance(choice, dict) and list(choice) == ["prefix"]:
        text = choice["prefix"]
    if not isinstance(text, str) or not text:
        raise ConfigError(
            f"{where}: attribute {name!r} may be a non-empty str, {{'prefix': 'x'}} or a list of them, got {choice!r}"
        )
    return choice if isinstance(choice, str) else {"prefix": text}


def fits(wanted: Filter, attributes: Mapping[str, str]) -> bool:
    """Whether a message with these attributes passes a filter that ``read_filter`` gave."""
    for name, choices in wanted.items():
        value = attributes.get(name)
        if value is None:
            return False
        for choice in choices:
            if value == choice if isinstance(choice, str) else value.startswith(choice["prefix"]):
                break
        else:
            return False
    return True
