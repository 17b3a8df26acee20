"""The function of messages: which of them are done, and which have to come again."""

from __future__ import annotations

from portable.errors import ConfigError, Reject, Retry
from portable.invoke.calls import event_call, log_failure, refuse_coroutine
from portable.invoke.loops import step

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence
    from typing import Any

    from portable.events import Message
    from portable.triggers import MessageTrigger

    Outcomes = list[BaseException | None]

__all__ = ["MessageFunction"]


class MessageFunction:
    """Hands messages over, one by one or as a batch, and says of each whether it is done.

    Called with messages whose ``body`` is the text as sent, which it replaces by what that says: a message delivered
    again is a new one. Answers with a list as long as the batch: None for a message that is done, else why not: Retry
    (with ``after``), Reject, or what the handler raised. A body that does not fit the queue's type fails that message
    alone, before the handler sees it.
    """

    kind = "message"

    def __init__(self, triggers: Sequence[MessageTrigger], middleware: Sequence[Any] = ()) -> None:
        self.triggers = triggers
        self._middleware = middleware
        for trigger in triggers:
            trigger.plan = self._plan(trigger)
        self.is_async = any(trigger.is_async for trigger in triggers)
        self._has_large = any(getattr(trigger.source, "large_bodies", None) is not None for trigger in triggers)
        self._by_source: dict[str | None, MessageTrigger] = {trigger.key: trigger for trigger in triggers}
        if len(self._by_source) != len(triggers):
            raise ConfigError(f"function {triggers[0].function!r} takes one queue or topic twice")
        if len(triggers) == 1:
            self._by_source[None] = triggers[0]

    def __call__(
        self, batch: list[Message[Any]], source: str | None = None
    ) -> Outcomes | Coroutine[Any, Any, Outcomes]:
        """``source`` is the ``key`` of a trigger; it may be left out when the function has one.

        Raises ConfigError for one that is none of the function's.
        """
        trigger = self._by_source.get(source)
        if trigger is None:
            names = ", ".join(one.key for one in self.triggers)
            raise ConfigError(f"a batch of {source!r} for a function of {names}")
        call, whole = trigger.plan
        deliver = _deliver_batch if whole else _deliver_each
        if trigger.filter is not None:
            delivery = _deliver_wanted(trigger, deliver, call, batch)
        elif self._has_large and (large := getattr(trigger.source, "large_bodies", None)) is not None:
            delivery = large.deliver(batch, lambda whole: deliver(trigger, call, whole), trigger.is_async)
        else:
            delivery = deliver(trigger, call, batch)
        return delivery if trigger.is_async else step(delivery)

    def _plan(self, trigger: MessageTrigger) -> tuple[Callable[[Any], Any], bool]:
        call, annotation = event_call(trigger, True, self._middleware)
        origin = getattr(annotation, "__origin__", annotation)
        # Sequence[Message[User]] and the like come from collections.abc.
        return call, origin is list or getattr(origin, "__module__", "") == "collections.abc"


def _decode_bodies(trigger: MessageTrigger, batch: list[Message[Any]], outcomes: Outcomes) -> list[Message[Any]]:
    decode = trigger.source.decode
    fit = []
    for position, message in enumerate(batch):
        message._failed = False
        try:
            message.body = decode(message.body)
        except Exception as error:
            outcomes[position] = error
            log_failure(trigger, f"message {message.id}: its body does not fit {trigger.source}", error)
        else:
            fit.append(message)
    return fit


def _explain(failed: BaseException | bool) -> BaseException | None:
    if failed is False:
        return None
    return Retry("message.fail()") if failed is True else failed


async def _deliver_each(trigger: MessageTrigger, call: Callable[[Any], Any], batch: list[Message[Any]]) -> Outcomes:
    outcomes: Outcomes = []
    decode = trigger.source.decode
    waits = trigger.is_async
    for message in batch:
        message._failed = False
        try:
            message.body = decode(message.body)
            result = call(message)
            if result is not None and hasattr(result, "__await__"):
                await result if waits else refuse_coroutine(trigger, result)
            outcomes.append(None if message._failed is False else _explain(message._failed))
        except (Retry, Reject) as wish:
            outcomes.append(wish)
        except Exception as error:
            log_failure(trigger, f"message {message.id}", error)
            outcomes.append(error)
    return outcomes


async def _deliver_batch(trigger: MessageTrigger, call: Callable[[Any], Any], batch: list[Message[Any]]) -> Outcomes:
    outcomes: Outcomes = [None] * len(batch)
    fit = _decode_bodies(trigger, batch, outcomes)
    if not fit:
        return outcomes
    whole: BaseException | None = None
    try:
        result = call(fit)
        if result is not None and hasattr(result, "__await__"):
            await result if trigger.is_async else refuse_coroutine(trigger, result)
    except Exception as error:
        whole = error
        if not isinstance(error, (Retry, Reject)):
            log_failure(trigger, f"a batch of {len(fit)}", error)
    for position, message in enumerate(batch):
        if outcomes[position] is None:
            # What was said of a message counts for more than what was raised for all.
            outcomes[position] = whole if message._failed is False else _explain(message._failed)
    return outcomes


async def _deliver_wanted(
    trigger: MessageTrigger, deliver: Any, call: Callable[[Any], Any], batch: list[Message[Any]]
) -> Outcomes:
    """What the filter leaves out is done: it was not for this handler."""
    wanted = [trigger.wants(message.attributes) for message in batch]
    theirs = [message for message, wants in zip(batch, wanted, strict=True) if wants]
    outcomes = iter(await deliver(trigger, call, theirs) if theirs else ())
    return [next(outcomes) if wants else None for wants in wanted]
