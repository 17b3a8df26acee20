"""The function of messages: which of them are done, and which have to come again."""

from __future__ import annotations

from portable.errors import ConfigError, DeadlineExceededError, Reject, Retry
from portable.events import current_context
from portable.invoke.calls import event_call, log_failure, name_of, refuse_coroutine
from portable.invoke.loops import step

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence
    from typing import Any

    from portable.events import Message
    from portable.resources.backoff import Backoff
    from portable.triggers import MessageTrigger

    Outcomes = list[BaseException | None]
    Call = Callable[[Any], Any]
    Deliver = Callable[[MessageTrigger, Call, list[Message[Any]]], Coroutine[Any, Any, Outcomes]]

__all__ = ["MessageFunction"]


class MessageFunction:
    """Hands messages over, one by one, several at once or as a batch, and says of each whether it is done.

    Called with messages whose ``body`` is the text as sent, which it replaces by what that says: a message delivered
    again is a new one. Answers with a list as long as the batch: None for a message that is done, else why not: Retry
    (with ``after``), Reject, or what the handler raised. A body that does not fit the queue's type fails that message
    alone, before the handler sees it. Where the queue or topic has a ``Backoff``, a failure comes as the Retry that it
    makes of it, caused by what was raised; but for the last attempt, which nothing has to wait for.

    A trigger's ``plan`` is how it is called, how a batch is handed over, and whether that takes the batch as a whole.
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
        call, deliver, _ = trigger.plan
        if trigger.filter is not None:
            delivery = _deliver_wanted(trigger, deliver, call, batch)
        elif self._has_large and (large := getattr(trigger.source, "large_bodies", None)) is not None:
            delivery = large.deliver(batch, lambda whole: deliver(trigger, call, whole), trigger.is_async)
        else:
            delivery = deliver(trigger, call, batch)
        return delivery if trigger.is_async else step(delivery)

    def _plan(self, trigger: MessageTrigger) -> tuple[Call, Deliver, bool]:
        call, annotation = event_call(trigger, True, self._middleware)
        origin = getattr(annotation, "__origin__", annotation)
        # Sequence[Message[User]] and the like come from collections.abc.
        whole = origin is list or getattr(origin, "__module__", "") == "collections.abc"
        deliver: Deliver = _deliver_batch if whole else _deliver_each
        if trigger.source.backoff is not None:
            deliver = _backing_off(deliver, trigger.source.backoff)
        if trigger.concurrency > 1:
            if whole or not trigger.is_async:
                raise ConfigError(
                    f"{name_of(trigger)}: concurrency={trigger.concurrency} is for an async handler of single "
                    "messages; write async def, with one Message"
                )
            from portable.invoke.concurrent import deliver_together

            deliver = deliver_together(deliver)
        return call, deliver, whole or trigger.concurrency > 1


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


class _Aside:
    """Stands in for the context where there is none."""

    __slots__ = ("_message",)


async def _deliver_each(trigger: MessageTrigger, call: Call, batch: list[Message[Any]]) -> Outcomes:
    outcomes: Outcomes = []
    decode = trigger.source.decode
    waits = trigger.is_async
    context: Any = current_context.get() or _Aside()
    for message in batch:
        message._failed = False
        context._message = message
        try:
            message.body = decode(message.body)
            result = call(message)
            if result is not None and hasattr(result, "__await__"):
                await result if waits else refuse_coroutine(trigger, result)
            outcomes.append(None if message._failed is False else _explain(message._failed))
        except (Retry, Reject) as wish:
            outcomes.append(wish)
        except DeadlineExceededError as error:
            log_failure(trigger, f"message {message.id}, and begins none behind it", error)
            outcomes += [error] * (len(batch) - len(outcomes))  # one more that hangs, and what is done would come again
            break
        except Exception as error:
            log_failure(trigger, f"message {message.id}", error)
            outcomes.append(error)
    context._message = None
    return outcomes


async def _deliver_batch(trigger: MessageTrigger, call: Call, batch: list[Message[Any]]) -> Outcomes:
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


def _backing_off(deliver: Deliver, policy: Backoff) -> Deliver:
    """Each failure that says no time of its own waits as long as the source's policy has it."""

    async def back_off(trigger: MessageTrigger, call: Call, batch: list[Message[Any]]) -> Outcomes:
        outcomes = await deliver(trigger, call, batch)
        most = trigger.source.max_attempts
        for position, (message, outcome) in enumerate(zip(batch, outcomes, strict=True)):
            if outcome is None or isinstance(outcome, Reject) or message.attempt >= most:
                continue
            if not isinstance(outcome, Retry):
                again = Retry(f"{type(outcome).__name__}: {outcome}", after=policy.after(message.attempt))
            elif outcome.after is None:
                again = Retry(outcome.reason, after=policy.after(message.attempt))
            else:
                continue
            again.__cause__ = outcome
            outcomes[position] = again
        return outcomes

    return back_off


async def _deliver_wanted(trigger: MessageTrigger, deliver: Deliver, call: Call, batch: list[Message[Any]]) -> Outcomes:
    """What the filter leaves out is done: it was not for this handler."""
    wanted = [trigger.wants(message.attributes) for message in batch]
    theirs = [message for message, wants in zip(batch, wanted, strict=True) if wants]
    outcomes = iter(await deliver(trigger, call, theirs) if theirs else ())
    return [next(outcomes) if wants else None for wants in wanted]
