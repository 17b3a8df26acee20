"""Direct invocation: the payload is the event, and the answer is the handler's value."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["Direct"]


class Direct:
    """``Invoke`` of the Lambda API. JSON values in, JSON values out."""

    source = "direct"

    @staticmethod
    def decode(event: Any) -> Any:
        """The payload."""
        return event
