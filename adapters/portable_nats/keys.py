"""Addresses, and keys as subjects.

An address is ``nats://host:4222/name`` (several servers: ``nats://a:4222,b:4222/name``; ``tls://`` too), or the name
alone with the servers in ``NATS_URL``.

A key's parts between slashes are the tokens of its subject, so that the server finds what is below a prefix. In a part
every byte but ASCII letters, digits, ``_`` and ``-`` is ``=`` and two hex digits; an empty part is ``=`` alone. That is
injective, and what a key of NATS's key-value store may be made of.
"""

from __future__ import annotations

from portable.errors import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["key_of", "part_of", "read_place", "subject_filter", "token_of", "tokens_of"]

_PLAIN = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-")
_IN_NAME = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-")
URL = "NATS_URL"


def read_place(kind: str, name: str, environment: Mapping[str, str] | None) -> tuple[str, str]:
    """The servers and the name of what is at a resource's address. Raises ConfigError, naming the variable."""
    import os

    from portable.drivers import address_variable, read_address

    address = read_address(kind, name, environment)
    variable = address_variable(kind, name)
    servers, _, place = address.rpartition("/")
    if not servers:
        servers = (os.environ if environment is None else environment).get(URL) or ""
        if not servers:
            raise ConfigError(f"{variable} is {address!r}, which names no server, and {URL} is not set")
    if not place or not _IN_NAME.issuperset(place):
        raise ConfigError(
            f"{variable} is to end in a name of ASCII letters, digits, _ and -, as in nats://host:4222/{name}; "
            f"it ends in {place!r}"
        )
    return servers.rstrip("/"), place


def _escaped(part: str) -> str:
    if not part:
        return "="
    return "".join(chr(byte) if byte in _PLAIN else f"={byte:02X}" for byte in part.encode())


def tokens_of(key: str) -> str:
    """The tokens of a key: ``in.b=2Ec`` for ``in/b.c``."""
    return ".".join(map(_escaped, key.split("/")))


def key_of(tokens: str) -> str:
    """The key that tokens stand for."""
    from urllib.parse import unquote

    parts = ("" if part == "=" else unquote(part.replace("=", "%")) for part in tokens.split("."))
    return "/".join(parts)


def subject_filter(prefix: str) -> str:
    """A filter that lets through every key with this prefix, and maybe others: a server knows whole tokens only."""
    whole = prefix.split("/")[:-1]
    return ".".join([*map(_escaped, whole), ">"])


def token_of(part: str | int) -> str:
    """One part of a key as a token: ``i7``, ``sann``, and in base64 what a subject cannot hold."""
    if isinstance(part, int):
        return f"i{part}"
    if _IN_NAME.issuperset(part):
        return f"s{part}"
    from base64 import urlsafe_b64encode

    return "b" + urlsafe_b64encode(part.encode()).decode().rstrip("=")


def part_of(token: str) -> str | int:
    """The part that a token stands for."""
    kind, text = token[0], token[1:]
    if kind == "i":
        return int(text)
    from base64 import urlsafe_b64decode

    return text if kind == "s" else urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode()
