"""The function of streams: how far each partition is done, and from where on it comes again."""

from __future__ import annotations

from portable.errors import ConfigError, Reject, Retry
from portable.events import current_context
from portable.invoke.calls import event_call, log_failure, refuse_coroutine
from portable.invoke.loops import step

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence
    from typing import Any

    from portable.events.records import StreamRecord
    from portable.triggers import StreamTrigger

    Outcomes = list[BaseException | None]

__all__ = ["StreamFunction", "first_failures", "give_up"]


class StreamFunction:
    """Hands the records of a stream over, one by one or as a batch, each partition in order.

    Called with records whose ``body`` is the data as sent (None for a record without), which it replaces by what that
    says. Answers with a list as long as the batch: None for a record that is done, else why not. Behind the first
    record of a partition that is not done none is, and a handler of single records has not seen them.

    ``Reject`` gives a record up: it is sent to the trigger's dead letters, or logged where there are none, and is done.
    So is one whose data does not fit the stream's type, where there are dead letters; else it fails.
    """

    kind = "stream"

    def __init__(self, triggers: Sequence[StreamTrigger], middleware: Sequence[Any] = ()) -> None:
        self.triggers = triggers
        self._middleware = middleware
        for trigger in triggers:
            trigger.plan = self._plan(trigger)
        self.is_async = any(trigger.is_async for trigger in triggers)
        self._by_stream: dict[str, StreamTrigger] = {trigger.stream.name: trigger for trigger in triggers}
        if len(self._by_stream) != len(triggers):
            raise ConfigError(f"function {triggers[0].function!r} takes one stream twice")

    def __call__(self, batch: list[StreamRecord[Any]]) -> Outcomes | Coroutine[Any, Any, Outcomes]:
        """The records are of one stream, which each names. Raises ConfigError for one the function does not take."""
        if not batch:
            return _nothing() if self.is_async else []
        trigger = self._by_stream.get(batch[0].stream)
        if trigger is None:
            names = ", ".join(self._by_stream)
            raise ConfigError(f"a batch of stream {batch[0].stream!r} for a function of {names}")
        call, whole = trigger.plan
        delivery = (_deliver_batch if whole else _deliver_each)(trigger, call, batch)
        # One of several triggers may be sync: whoever calls goes by ``is_async`` of the function.
        return delivery if self.is_async else step(delivery)

    def _plan(self, trigger: StreamTrigger) -> tuple[Callable[[Any], Any], bool]:
        call, annotation = event_call(trigger, True, self._middleware)
        origin = getattr(annotation, "__origin__", annotation)
        return call, origin is list or getattr(origin, "__module__", "") == "collections.abc"


def first_failures(batch: Sequence[StreamRecord[Any]], outcomes: Outcomes) -> list[StreamRecord[Any]]:
    """Of each partition, the record from which on it comes again."""
    found: dict[str, StreamRecord[Any]] = {}
    for record, outcome in zip(batch, outcomes, strict=True):
        if outcome is not None:
            found.setdefault(record.partition, record)
    return list(found.values())


async def _nothing() -> Outcomes:
    return []


def _words(trigger: StreamTrigger, record: StreamRecord[Any]) -> str:
    return f"record {record.id} of {trigger.stream}"


def _behind(record: StreamRecord[Any]) -> Retry:
    return Retry(f"an earlier record of partition {record.partition} failed")


class _Aside:
    """Stands in for the context where there is none."""

    __slots__ = ("_message",)


async def _deliver_each(trigger: StreamTrigger, call: Callable[[Any], Any], batch: list[StreamRecord[Any]]) -> Outcomes:
    outcomes: Outcomes = []
    stopped: set[str] = set()
    decode, waits = trigger.stream.decode, trigger.is_async
    context: Any = current_context.get() or _Aside()
    for record in batch:
        if stopped and record.partition in stopped:
            outcomes.append(_behind(record))
            continue
        data = record.body
        context._message = record
        record._failed = False
        outcome: BaseException | None = None
        try:
            record.body = decode(b"null" if data is None else data)
        except Exception as error:
            outcome = _misfit(trigger, record, error)
        else:
            try:
                result = call(record)
                if result is not None and hasattr(result, "__await__"):
                    await result if waits else refuse_coroutine(trigger, result)
                if record._failed is not False:
                    outcome = _explain(record._failed)
            except (Retry, Reject) as wish:
                outcome = wish
            except Exception as error:
                log_failure(trigger, _words(trigger, record), error)
                outcome = error
        if outcome is not None:
            outcome = await _settle(trigger, record, data, outcome)
            if outcome is not None:
                stopped.add(record.partition)
        outcomes.append(outcome)
    context._message = None
    return outcomes


def _explain(failed: BaseException | bool) -> BaseException | None:
    if failed is False:
        return None
    return Retry("record.fail()") if failed is True else failed


def _misfit(trigger: StreamTrigger, record: StreamRecord[Any], error: Exception) -> BaseException:
    """What no attempt will ever read is given up where there is somewhere to put it."""
    log_failure(trigger, f"{_words(trigger, record)}: its data does not fit the stream", error)
    return error if trigger.dead_letters is None else Reject(f"it does not fit the stream: {error}")


def _decode(trigger: StreamTrigger, record: StreamRecord[Any]) -> BaseException | None:
    """Read the record's data."""
    record._failed = False
    try:
        record.body = trigger.stream.decode(b"null" if record.body is None else record.body)
    except Exception as error:
        return _misfit(trigger, record, error)
    return None


async def _deliver_batch(
    trigger: StreamTrigger, call: Callable[[Any], Any], batch: list[StreamRecord[Any]]
) -> Outcomes:
    sent = [record.body for record in batch]
    verdicts: Outcomes = []
    fit: list[StreamRecord[Any]] = []
    stopped: set[str] = set()
    for record in batch:
        behind = record.partition in stopped
        verdict = _behind(record) if behind else _decode(trigger, record)
        if verdict is None:
            fit.append(record)
        elif not isinstance(verdict, Reject):
            stopped.add(record.partition)
        verdicts.append(verdict)
    whole = await _call_whole(trigger, call, fit) if fit else None
    outcomes: Outcomes = []
    stopped.clear()
    for record, data, verdict in zip(batch, sent, verdicts, strict=True):
        if record.partition in stopped:
            outcomes.append(_behind(record))
            continue
        if verdict is None:  # what was said of a record counts for more than what was raised for all
            verdict = whole if record._failed is False else _explain(record._failed)
        if verdict is not None:
            verdict = await _settle(trigger, record, data, verdict)
            if verdict is not None:
                stopped.add(record.partition)
        outcomes.append(verdict)
    return outcomes


async def _call_whole(
    trigger: StreamTrigger, call: Callable[[Any], Any], batch: list[StreamRecord[Any]]
) -> BaseException | None:
    try:
        result = call(batch)
        if result is not None and hasattr(result, "__await__"):
            await result if trigger.is_async else refuse_coroutine(trigger, result)
    except (Retry, Reject) as wish:
        return wish
    except Exception as error:
        log_failure(trigger, f"{len(batch)} records of {trigger.stream}, {batch[0].id} to {batch[-1].id}", error)
        return error
    return None


async def _settle(
    trigger: StreamTrigger, record: StreamRecord[Any], data: Any, outcome: BaseException
) -> BaseException | None:
    """What becomes of a record. Where attempts are counted here, one that failed on its last is given up."""
    most = trigger.max_attempts
    if most is not None and record.attempt is not None and record.attempt >= most and not isinstance(outcome, Reject):
        outcome = Reject(f"it failed {record.attempt} times: {type(outcome).__name__}: {outcome}")
    return await give_up(trigger, record, data, outcome) if isinstance(outcome, Reject) else outcome


async def give_up(trigger: StreamTrigger, record: StreamRecord[Any], data: Any, wish: Reject) -> BaseException | None:
    """None when the record is dealt with. One that cannot be put among the dead letters is not: it comes again."""
    from logging import getLogger

    queue = trigger.dead_letters
    if queue is None:
        getLogger("portable").error(
            "%s gave up %s, which has no dead letters: %s", trigger.function, _words(trigger, record), wish.reason
        )
        return None
    letter = _letter(record, data, wish)
    try:
        if trigger.is_async:
            await queue.asend(letter)
        else:
            queue.send(letter)
    except Exception as error:
        log_failure(trigger, f"{_words(trigger, record)}: it could not be put into {queue}", error)
        return error
    return None


def _letter(record: StreamRecord[Any], data: Any, wish: Reject) -> dict[str, Any]:
    letter: dict[str, Any] = {
        "stream": record.stream,
        "partition": record.partition,
        "offset": record.offset,
        "key": record.key,
        "time": None if record.time is None else record.time.isoformat(),
        "error": wish.reason,
    }
    raw = b"" if data is None else data.encode() if isinstance(data, str) else bytes(data)
    try:
        return {**letter, "text": raw.decode()}
    except UnicodeDecodeError:
        from base64 import b64encode

        return {**letter, "base64": b64encode(raw).decode()}
