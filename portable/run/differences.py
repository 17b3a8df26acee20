"""What differs between clouds and cannot be made equal: as data, each explained in docs/reference/differences.md.

``portable verify`` counts what it meets of these and does not fail on it. Everything else is a difference.
"""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

import msgspec

__all__ = ["DECLARED", "Declared", "declared_for"]


class Declared(msgspec.Struct, frozen=True):
    """One unavoidable difference.

    Attributes:
        name: its heading in docs/reference/differences.md.
        fields: patterns of what may differ: ``status``, ``body``, ``header:NAME``, ``bucket:NAME/KEY``.
        targets: the targets whose value may be another than everyone else's; empty for all.
        only: a pattern that ``path:PATH`` or ``header:NAME: VALUE`` of the request as sent must match, upper and lower
            case alike (``path:*%2f*``); empty for every step.
        what, why: for people.
    """

    name: str
    fields: tuple[str, ...]
    what: str
    why: str
    targets: tuple[str, ...] = ()
    only: str = ""


DECLARED: tuple[Declared, ...] = (
    Declared(
        "server-headers",
        ("header:date", "header:server", "header:connection", "header:keep-alive", "header:transfer-encoding"),
        "Headers about the connection and the server, and the date",
        "They belong to the server in front of the function, which is another one on each cloud.",
    ),
    Declared(
        "content-length",
        ("header:content-length",),
        "Whether an answer carries its length",
        "Servers and gateways add it, or send the answer in chunks. The body itself is compared byte by byte.",
    ),
    Declared(
        "encoded-slash",
        ("status", "header:*", "body"),
        "A request whose path holds an encoded slash (%2F)",
        "API Gateway's HTTP API decodes the path before the function sees it. A function URL does not.",
        targets=("aws",),
        only="path:*%2f*",
    ),
    Declared(
        "encoded-cookies",
        ("body", "header:etag"),
        "A request with a cookie whose value holds a percent sign",
        "The Functions host percent-encodes the cookies an answer sets, so those that come back are decoded.",
        targets=("azure",),
        only="header:cookie: *%*",
    ),
)
"""Every declared difference. Four more are no values that differ but ways to write one value, and are made alike before
anything is compared: ``request-id``, ``past-deadline``, ``joined-headers`` and ``cookie-attributes``
(``portable.run.comparison``).
"""


def declared_for(field: str, target: str, sent: Sequence[str] = ()) -> Declared | None:
    """The entry that allows ``target`` another value of ``field``. ``sent``: what ``only`` is matched with."""
    for one in DECLARED:
        if (
            (not one.targets or target in one.targets)
            and any(fnmatchcase(field, pattern) for pattern in one.fields)
            and (not one.only or any(fnmatchcase(part.lower(), one.only) for part in sent))
        ):
            return one
    return None
