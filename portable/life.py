"""The life of an instance: what an app has called when it starts, stops, and is saved and restored."""

from __future__ import annotations

from _thread import RLock  # threading adds nothing to a lock but its import

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from typing import Any

    Hook = Callable[[], Any]
    Run = Callable[[Coroutine[Any, Any, Any]], Any]

__all__ = ["Life"]


class Life:
    """The hooks of an app, in the order of their declaration.

    Attributes:
        on_start, on_stop, before_snapshot, after_restore: see ``App``.
    """

    __slots__ = ("_lock", "_started", "after_restore", "before_snapshot", "on_start", "on_stop")

    def __init__(self) -> None:
        self.on_start: list[Hook] = []
        self.on_stop: list[Hook] = []
        self.before_snapshot: list[Hook] = []
        self.after_restore: list[Hook] = []
        self._started = False
        self._lock = RLock()

    def hooks(self) -> list[Hook]:
        """All of them."""
        return [*self.on_start, *self.on_stop, *self.before_snapshot, *self.after_restore]

    def start(self, run: Run) -> None:
        """Call the ``on_start`` hooks once. Safe under threads: others wait. Raises what a hook raised, and then the
        next call tries again from the first hook. ``run`` runs a coroutine to its end.
        """
        if self._started:
            return
        with self._lock:
            if self._started:
                return
            _call(self.on_start, run)
            self._started = True

    def stop(self, run: Run) -> None:
        """Call the ``on_stop`` hooks, the last first, and let go of what was made once an instance. Does so once.

        What one of them raises is logged, and the others are called. After this the app may be started again.
        """
        with self._lock:
            started, self._started = self._started, False
        if not started:
            return
        from sys import modules

        ends: list[Hook] = list(reversed(self.on_stop))
        if "portable.invoke.dependencies" in modules:
            from portable.invoke.dependencies import close_instance

            ends.append(lambda: close_instance(run))
        for end in ends:
            try:
                _call([end], run)
            except Exception:
                from logging import getLogger

                getLogger("portable").exception("an on_stop hook failed; the instance ends all the same")

    def save(self, run: Run) -> None:
        """Call the ``before_snapshot`` hooks, the last first, as the saved instance has what each started with.

        Raises what one raises: no instance is made of half a snapshot.
        """
        _call(list(reversed(self.before_snapshot)), run)

    def restore(self, run: Run) -> None:
        """Call the ``after_restore`` hooks. Raises what one raises: the cloud then takes another instance."""
        from sys import modules

        if "random" in modules:
            modules["random"].seed()  # every instance of one snapshot would draw the same numbers
        _call(self.after_restore, run)


def _call(hooks: list[Hook], run: Run) -> None:
    for hook in hooks:
        result = hook()
        if hasattr(result, "__await__"):
            run(result)
