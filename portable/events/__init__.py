"""What handlers receive and answer: plain classes, cheap to make, costly fields computed on first use.

A codec subclasses an event, stores the vendor's own object in ``native`` and lists in ``_lazy`` how each other
field is read from it. A field nobody reads costs nothing. Nor does a kind of event that an app has no handler of: they
are in modules of their own, imported on first use. Nothing here imports more than the interpreter has loaded.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portable.events.context import Context as Context
    from portable.events.context import current_context as current_context
    from portable.events.context import current_message as current_message
    from portable.events.deliveries import BlobEvent as BlobEvent
    from portable.events.deliveries import Change as Change
    from portable.events.deliveries import Message as Message
    from portable.events.deliveries import Tick as Tick
    from portable.events.fields import Headers as Headers
    from portable.events.fields import Query as Query
    from portable.events.http import Request as Request
    from portable.events.http import Response as Response
    from portable.events.records import StreamRecord as StreamRecord
    from portable.events.sockets import SocketEvent as SocketEvent

_HOME = {
    "context": ("Context", "current_context", "current_message"),
    "deliveries": ("BlobEvent", "Change", "Message", "Tick"),
    "fields": ("Headers", "Query"),
    "http": ("Request", "Response"),
    "records": ("StreamRecord",),
    "sockets": ("SocketEvent",),
}
_WHERE = {name: module for module, names in _HOME.items() for name in names}

__all__ = sorted(_WHERE)  # noqa: PLE0605 - the type checkers read the imports above


def __getattr__(name: str) -> object:
    module = _WHERE.get(name)
    if module is None:
        raise AttributeError(f"module 'portable.events' has no attribute {name!r}")
    from sys import modules

    full = f"portable.events.{module}"
    __import__(full)
    found = vars(modules[full])
    for one in _HOME[module]:
        globals()[one] = found[one]
    return found[name]
