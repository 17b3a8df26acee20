"""What stands behind Sockets."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Protocol
else:
    Protocol = object

__all__ = ["SocketsDriver"]


class SocketsDriver(Protocol):
    """The open connections of one websocket, wherever they are held. Which group has which is not its business.

    Every method raises PermissionDeniedError and UnavailableError.
    """

    def send(self, connection: str, data: str | bytes) -> None:
        """Give one message to a connection: str as a text frame, bytes as a binary one. Sent once, never repeated.

        That it returns says that the cloud took the message, not that the client has it. Messages to one connection
        keep the order of the calls that send them one after the other. Raises NotFoundError for a connection that is
        gone, where the cloud knows; UnsupportedError for what is too large, and for bytes where there are none.
        """

    def disconnect(self, connection: str) -> None:
        """Close a connection. One that is gone already is no error."""

    def native(self) -> Any:
        """The vendor's own client or handle."""
