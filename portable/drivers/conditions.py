"""What a write of a table asks of the item as it is: for drivers that read before they write."""

from __future__ import annotations

from portable.drivers.table import name_key
from portable.errors import AlreadyExistsError, NotFoundError, PreconditionFailedError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portable.drivers.table import Row, Write
    from portable.errors import ServiceError

__all__ = ["check_condition"]


def check_condition(write: Write, old: Row | None, resource: str) -> None:
    """Raise what ``TableDriver.write`` promises unless ``old``, the item now, is as the write asks."""
    kind: type[ServiceError] | None = None
    message = ""
    if write.if_match is not None:
        if old is None or old.version != write.if_match:
            kind, message = PreconditionFailedError, "the item has another version, or is not there"
    elif write.kind == "put" and write.if_absent and old is not None:
        kind, message = AlreadyExistsError, "the item exists"
    elif write.kind == "update" and old is None:
        kind, message = NotFoundError, "there is no such item"
    elif write.kind == "check" and write.exists == (old is None):
        kind, message = PreconditionFailedError, f"the item is {'not ' if old is None else ''}there"
    if kind is not None:
        raise kind(message, resource=resource, key=name_key(write.key))
