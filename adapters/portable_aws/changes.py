"""A batch of a table's changes from its event to the answer that says from where on it comes again."""

from __future__ import annotations

from portable.drivers.table import Schema
from portable.invoke import run

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from portable.invoke.events import ChangeFunction

__all__ = ["ChangeDelivery"]


class ChangeDelivery:
    """Hands the changes of one function's tables to its handlers, in order, up to the first that fails.

    What raises here fails the invocation, and then Lambda delivers the whole batch again: no change is lost.
    """

    def __init__(self, function: ChangeFunction, codec: Any) -> None:
        self._function = function
        self._codec = codec
        self._schemas = {trigger.table.name: Schema(trigger.table.options) for trigger in function.triggers}
        self._only = next(iter(self._schemas)) if len(self._schemas) == 1 else None

    def deliver(self, event: Any) -> dict[str, Any]:
        """The answer to one event."""
        failed = None
        for change in self._codec.decode(event):
            change.table = self._only or self._declared(change.table)
            try:
                key = self._schemas[change.table].key_of(change.key)
            except KeyError as error:
                raise ValueError(
                    f"a change of table {change.table!r} whose Keys have no {error}: is the stream another table's?"
                ) from error
            change.key = key[0] if len(key) == 1 else key
            try:
                result = self._function(change)
                if self._function.is_async:
                    run(result)
            except Exception:
                from logging import getLogger

                function = self._function.triggers[0].function
                getLogger("portable").exception("%s failed on %s of %s", function, change.kind, change.key)
                failed = change  # those behind it come again with it: a stream is in order
                break
        answer: dict[str, Any] = self._codec.encode(failed)
        return answer

    def _declared(self, physical: str) -> str:
        from portable.drivers import read_address
        from portable.errors import ConfigError

        for name in self._schemas:
            if read_address("table", name).removeprefix("dynamodb://").rstrip("/") == physical:
                return name
        raise ConfigError(f"a change of table {physical!r}, which is none of {', '.join(self._schemas)}")
