"""Texts that stand for what is not known before a deployment: ``projects/${project}/topics/x``, ``${uri.http}``.

A token is ``${kind}`` or ``${kind.id}``; a user's own text that looks like one has ``$${`` in it instead, as in
Terraform. What a token stands for is said by whoever writes it down: Terraform, the shell, the deployer.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

__all__ = ["escaped", "pieces", "replaced"]

_TOKEN = re.compile(r"\$\$\{|\$\{([a-z]+)(?:\.([A-Za-z0-9_-]+))?\}")


def escaped(text: str) -> str:
    """A user's own text, in which nothing is a token."""
    return text.replace("${", "$${")


def pieces(text: str) -> Iterator[str | tuple[str, str]]:
    """The literal parts of a text, and kind and id of each token between them."""
    position = 0
    for found in _TOKEN.finditer(text):
        if found.start() > position:
            yield text[position : found.start()]
        yield "${" if found.group() == "$${" else (found.group(1), found.group(2) or "")
        position = found.end()
    if position < len(text):
        yield text[position:]


def replaced(value: Any, stands_for: Callable[[str, str], str], literal: Callable[[str], str] = str) -> Any:
    """``value`` with every token of every text in it replaced, also in the keys of mappings.

    Args:
        stands_for: gives the text for kind and id. literal: how the rest is written.
    """
    if isinstance(value, str):
        return "".join(literal(one) if isinstance(one, str) else stands_for(*one) for one in pieces(value))
    if isinstance(value, Mapping):
        return {replaced(key, stands_for, literal): replaced(one, stands_for, literal) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [replaced(one, stands_for, literal) for one in value]
    return value
