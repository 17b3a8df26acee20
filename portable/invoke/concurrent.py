"""Several messages of a batch at once, each a task of its own; a group's one after the other."""

from __future__ import annotations

from asyncio import CancelledError, TaskGroup, create_task, current_task

from portable.errors import Reject, Retry
from portable.events import current_message

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from portable.events import Message
    from portable.invoke.messages import Call, Deliver, Outcomes
    from portable.triggers import MessageTrigger

__all__ = ["deliver_together"]


def deliver_together(deliver: Deliver) -> Deliver:
    """``deliver``, called with one message at a time and as many times at once as the trigger's ``concurrency`` says.

    The messages of a group are handed over in order, and behind one that failed none is: those fail too, so that they
    come again behind it. Each message has a copy of the context variables. When the invocation is cancelled, every
    handler is, and has ended before the cancellation goes on.
    """

    async def together(trigger: MessageTrigger, call: Call, batch: list[Message[Any]]) -> Outcomes:
        outcomes: Outcomes = [None] * len(batch)

        async def one(message: Message[Any]) -> BaseException | None:
            current_message.set(message)
            [outcome] = await deliver(trigger, call, [message])
            return outcome

        async def work() -> None:
            for chain in chains:  # shared: each chain goes to whoever is free
                failed = None
                for position in chain:
                    if failed is not None:
                        outcomes[position] = Retry(f"an earlier message of group {batch[position].group} failed")
                        continue
                    outcome = outcomes[position] = await _ended(create_task(one(batch[position])))
                    failed = None if isinstance(outcome, Reject) else outcome

        chains = _chains(batch)
        async with TaskGroup() as group:
            for _ in range(min(trigger.concurrency, len(batch))):
                group.create_task(work())
        return outcomes

    return together


async def _ended(task: Any) -> BaseException | None:
    """A handler's outcome. One that was cancelled alone failed; with the invocation, the cancellation goes on."""
    try:
        outcome: BaseException | None = await task
    except CancelledError:
        mine = current_task()
        if mine is not None and mine.cancelling():
            raise
        return RuntimeError("the handler was cancelled")
    return outcome


def _chains(batch: list[Message[Any]]) -> Iterator[list[int]]:
    """Positions that are worked on one after the other: a group's together, in order of the first of each."""
    chains: list[list[int]] = []
    groups: dict[str, list[int]] = {}
    for position, message in enumerate(batch):
        group = message.group
        if group is not None and group in groups:
            groups[group].append(position)
            continue
        chain = [position]
        chains.append(chain)
        if group is not None:
            groups[group] = chain
    return iter(chains)
