"""What a stream's function makes of any batch, held against a model; and decoders against any event."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from portable import App, Reject, Retry, StreamRecord
from portable.drivers import StoredRecord
from portable.invoke import make_function, run
from portable.run.streams import ATTEMPTS, PartitionReader
from portable_aws.triggers.kafka import MSK
from portable_aws.triggers.kinesis import Kinesis

PAYLOADS = Path(__file__).parent.parent / "adapters" / "portable_aws" / "payloads"


class Fate(msgspec.Struct):
    """What becomes of a record when it is handed over."""

    says: str


FATES = ("done", "raise", "retry", "fail", "reject", "fail-reject", "misfit")
PLANS = st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(FATES)), max_size=12)


def act(record: StreamRecord[Fate]) -> None:
    says = record.body.says
    if says == "raise":
        raise OSError("no")
    if says == "retry":
        raise Retry("later")
    if says == "fail":
        record.fail()
    if says == "fail-reject":
        record.fail(Reject("never"))
    if says == "reject":
        raise Reject("never")


class Letters:
    """A dead-letter queue that may be full."""

    def __init__(self, is_full: bool) -> None:
        self.is_full = is_full
        self.sent: list[str] = []

    def send(self, letter: dict[str, Any]) -> None:
        if self.is_full:
            raise OSError("full")
        self.sent.append(f"{letter['partition']}/{letter['offset']}")

    async def asend(self, letter: dict[str, Any]) -> None:
        self.send(letter)


def deliver(plan: list[tuple[str, str]], handler: Any, letters: Letters | None) -> list[BaseException | None]:
    app = App("model")
    lost = None if letters is None else app.queue("lost")
    app.on_stream(app.stream("model-clicks", Fate), function="count", dead_letters=lost)(handler)
    triggers: Any = app.functions()["count"]
    function = make_function(triggers)
    triggers[0].dead_letters = letters
    batch = [
        StreamRecord(
            "model-clicks", partition, str(offset), b"{" if fate == "misfit" else b'{"says": "%s"}' % fate.encode()
        )
        for offset, (partition, fate) in enumerate(plan)
    ]
    found: Any = function(batch)
    return list(run(found) if function.is_async else found)


def expected(plan: list[tuple[str, str]], letters: Letters | None) -> tuple[list[bool], list[str], list[str]]:
    """Of each record whether it is done; what was handed over; what is among the dead letters."""
    stopped: set[str] = set()
    done, seen, dead = [], [], []
    for offset, (partition, fate) in enumerate(plan):
        if partition in stopped:
            done.append(False)
            continue
        if fate != "misfit":
            seen.append(f"{partition}/{offset}")
        rejected = "reject" in fate or (fate == "misfit" and letters is not None)
        fine = fate == "done" or (rejected and not (letters is not None and letters.is_full))
        if rejected and letters is not None and not letters.is_full:
            dead.append(f"{partition}/{offset}")
        if not fine:
            stopped.add(partition)
        done.append(fine)
    return done, seen, dead


@given(plan=PLANS, is_async=st.booleans(), letters=st.sampled_from([None, False, True]))
@settings(max_examples=150, deadline=None)
def test_records_one_by_one(plan: list[tuple[str, str]], is_async: bool, letters: bool | None) -> None:
    queue = None if letters is None else Letters(letters)
    seen: list[str] = []

    def count(record: StreamRecord[Fate]) -> None:
        seen.append(record.id)
        act(record)

    async def later(record: StreamRecord[Fate]) -> None:
        count(record)

    outcomes = deliver(plan, later if is_async else count, queue)
    done, handed, dead = expected(plan, queue)
    assert [one is None for one in outcomes] == done
    assert seen == handed
    assert (queue.sent if queue is not None else []) == dead


@given(plan=st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(("done", "fail", "fail-reject")))))
@settings(max_examples=100, deadline=None)
def test_records_of_a_batch_as_one_by_one(plan: list[tuple[str, str]]) -> None:
    def count(batch: list[StreamRecord[Fate]]) -> None:
        for record in batch:
            act(record)

    queue = Letters(False)
    outcomes = deliver(plan, count, queue)
    done, _, dead = expected(plan, queue)
    assert [one is None for one in outcomes] == done
    assert queue.sent == dead


class Log:
    """A partition of numbers."""

    def __init__(self, count: int) -> None:
        self.count = count

    def read(self, partition: str, after: str | None, limit: int) -> list[StoredRecord]:
        first = int(after or 0) + 1
        numbers = range(first, min(first + limit, self.count + 1))
        return [StoredRecord(partition, str(one), b"", None, None) for one in numbers]  # type: ignore[arg-type]


@given(
    count=st.integers(0, 30),
    size=st.integers(1, 9),
    bisect=st.booleans(),
    most=st.one_of(st.none(), st.integers(1, 4)),
    bad=st.dictionaries(st.integers(1, 30), st.integers(1, 6)),
    whole=st.booleans(),
)
@settings(max_examples=150, deadline=None)
def test_a_partition_is_read_to_its_end_in_order(
    count: int, size: int, bisect: bool, most: int | None, bad: dict[int, int], whole: bool
) -> None:
    """``bad``: how often a record fails. ``whole``: a failure is the batch's, as when an invocation ends."""
    options = {"batch_size": size, "bisect": bisect, "max_attempts": most}
    reader = PartitionReader(Log(count), "s", "0", options)  # type: ignore[arg-type]
    done: list[int] = []
    given_up: list[int] = []
    left = dict(bad)
    for _ in range(10_000):
        batch = reader.read()
        if not batch:
            break
        assert len(batch) <= size
        assert [record.attempt for record in batch[1:]] == [1] * (len(batch) - 1)
        failed = next((record for record in batch if left.get(int(record.offset), 0) > 0), None)
        if failed is not None:
            left[int(failed.offset)] -= 1
        again = batch[0] if whole and failed is not None else failed
        position = len(batch) if again is None else batch.index(again)
        done += [int(record.offset) for record in batch[:position]]
        lost = reader.settle(batch, None if again is None else again.offset)
        if lost is not None:
            given_up.append(int(lost.offset))
    assert sorted(done + given_up) == list(range(1, count + 1))
    assert done == sorted(done)
    if not whole:
        attempts = most or ATTEMPTS
        assert given_up == [one for one in range(1, count + 1) if bad.get(one, 0) >= attempts]


# --- decoders

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**6), 10**20) | st.text(max_size=5) | st.floats(allow_nan=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


def places(document: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    rows = document.items() if isinstance(document, dict) else enumerate(document) if isinstance(document, list) else ()
    return [path, *[place for key, value in rows for place in places(value, (*path, key))]]


def replaced(document: Any, path: tuple[Any, ...], value: Any) -> Any:
    if not path:
        return value
    document = copy.deepcopy(document)
    inner = document
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return document


def read(decode: Callable[[Any], list[StreamRecord[Any]]], event: Any) -> None:
    try:
        records = decode(event)
    except ValueError:
        return
    for record in records:
        assert record.body is None or isinstance(record.body, bytes)
        assert isinstance(record.partition, str)
        assert isinstance(record.offset, str)


@given(data=st.data(), codec=st.sampled_from([("kinesis", Kinesis.decode), ("msk", MSK.decode)]), value=JSON)
@settings(max_examples=300, deadline=None)
def test_any_event_is_read_or_refused(data: st.DataObject, codec: tuple[str, Any], value: Any) -> None:
    name, decode = codec
    document = json.loads((PAYLOADS / f"{name}.json").read_text("utf-8"))
    read(decode, replaced(document, data.draw(st.sampled_from(places(document))), value))
    read(decode, value)
