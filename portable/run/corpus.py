"""A corpus of requests and events made from grammars: of HTTP, and of what each function of an app takes.

The grammars know the app's routes and triggers from its manifest, and from the project's own ``verify.json`` the words
it uses: names of parameters, headers, cookies and members, and bodies that its routes take. Hypothesis draws from them;
equal seeds draw equal corpora with one release of it and one project.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from portable.errors import ConfigError
from portable.manifest import FunctionRecord, Manifest
from portable.run.traffic import EventStep, SettleStep, SnapshotStep, Step, Traffic
from portable.schedules.due import Due

__all__ = ["FILE", "corpus", "write_corpus"]

FILE = "corpus.json"
"""Where ``portable verify`` leaves what it drew, in the form of a ``verify.json``."""

_ROUNDS = 20
_EACH = 3  # is kept of so many: some of what Hypothesis draws is what it drew just before, with a part repeated
_SINCE = datetime(2026, 1, 1, tzinfo=UTC)


def corpus(manifest: Manifest, count: int, seed: int, written: Sequence[Step] = ()) -> list[Step]:
    """``count`` distinct steps, two thirds of them requests where the app has both, then a settle and a snapshot.

    Args:
        written: the project's own steps, for their words.

    Raises ConfigError when Hypothesis is not installed, or the app has nothing to send to.
    """
    try:
        import hypothesis  # noqa: F401
    except ImportError as error:
        raise ConfigError(
            "a corpus is drawn by Hypothesis, which is not installed: pip install 'portable-functions[verify]'"
        ) from error
    from portable.run.corpus_requests import requests

    http = [function for function in manifest.functions if function.kind == "http"]
    others = [function for function in manifest.functions if function.kind in _EVENTS]
    if not http and not others:
        raise ConfigError(f"app {manifest.app!r} has no routes and no triggers that a corpus can be made for")
    of_events = 0 if not others else count if not http else count // 3
    steps: list[Step] = []
    if http:
        steps += _draw_each(requests(http, written), count - of_events, f"{seed} requests")
    if others:
        bodies = _bodies(written)
        steps += _draw_each([_events(one, bodies) for one in others], of_events, f"{seed} events")
    return [*steps, SettleStep(), SnapshotStep()]


def write_corpus(steps: Sequence[Step], folder: Path) -> Path:
    """Leave the steps where they can be read, and copied from into a ``verify.json``."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / FILE
    path.write_bytes(msgspec.json.format(msgspec.json.encode(Traffic(list(steps))), indent=1))
    return path


def _draw_each(strategies: Sequence[Any], count: int, seed: str) -> list[Step]:
    """An equal share of each, as far as it has so many."""
    found: list[Step] = []
    for position, strategy in enumerate(strategies):
        share = (count - len(found)) // (len(strategies) - position)
        found += _draw(strategy, share, f"{seed} {position}")
    return found


def _draw(strategy: Any, count: int, seed: str) -> list[Step]:
    from hypothesis import HealthCheck, Phase, given, settings
    from hypothesis import seed as seeded

    kept: dict[bytes, Step] = {}
    drawn = 0

    def keep(step: Step) -> None:
        nonlocal drawn
        drawn += 1
        if drawn % _EACH == 0 and len(kept) < count:
            kept.setdefault(msgspec.json.encode(step), step)

    options = settings(
        max_examples=_EACH * count + 5,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    for turn in range(_ROUNDS):  # a small grammar has fewer than were asked for
        if len(kept) < count:
            draw: Any = seeded(f"{seed} {turn}")(options(given(strategy)(keep)))  # type: ignore[no-untyped-call]
            draw()
    return list(kept.values())


def _bodies(written: Sequence[Step]) -> list[Any]:
    """Bodies and payloads of the project's own events."""
    found: list[Any] = []
    for step in written:
        if isinstance(step, EventStep) and isinstance(step.event, dict):
            messages = step.event.get("messages")
            found += [one["body"] for one in messages] if messages else [step.event]
    return found


def _events(function: FunctionRecord, bodies: list[Any]) -> Any:
    return _EVENTS[function.kind](function, bodies).map(lambda event: EventStep(function.name, event))


def _texts(most: int = 20) -> Any:
    from hypothesis import strategies as st

    return st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=most)


def json_values(known: Sequence[Any] = ()) -> Any:
    """JSON values: those given, with a member or element that fits no more, or any."""
    from hypothesis import strategies as st

    scalars = st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(2**53), 2**53),
        st.floats(allow_nan=False, allow_infinity=False, width=32),
        st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
    )
    free = st.recursive(
        scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_texts(8), inner, max_size=4), max_leaves=8
    )
    if not known:
        return free
    taken = st.sampled_from(list(known))
    changed = taken.flatmap(lambda value: _changed(value, free))
    # Not one_of, which would take each branch of ``free`` for one of its own.
    return st.sampled_from([taken, taken, changed, changed, free]).flatmap(lambda chosen: chosen)


def _changed(value: Any, free: Any) -> Any:
    """One member left out, added or replaced."""
    from hypothesis import strategies as st

    if isinstance(value, dict) and value:
        name = st.sampled_from(sorted(value))
        return st.one_of(
            name.map(lambda left: {one: value[one] for one in value if one != left}),
            st.builds(lambda new, other: {**value, new: other}, name, free),
            st.builds(lambda new, other: {**value, new: other}, _texts(8), free),
        )
    if isinstance(value, list) and value:
        return st.builds(lambda other: [other, *value[1:]], free)
    return free


def _messages(function: FunctionRecord, bodies: list[Any]) -> Any:
    from hypothesis import strategies as st

    most = min(10, max([1, *function.asks("batch_size")]))
    name = st.text("abcdefghijklmnopqrstuvwxyzABC0123456789_-", min_size=1, max_size=12).filter(str.isalpha)
    one = st.fixed_dictionaries(
        {"body": json_values(bodies)},
        optional={
            "attributes": st.dictionaries(name, _texts().filter(bool), max_size=3),
            "attempt": st.integers(1, 4),
        },
    )

    def event(drawn: list[dict[str, Any]]) -> dict[str, Any]:
        times = [_SINCE + timedelta(seconds=position) for position in range(len(drawn))]
        numbered = [
            {**message, "id": f"m{position}", "sent_at": time.isoformat()}
            for position, (message, time) in enumerate(zip(drawn, times, strict=True))
        ]
        return {"messages": numbered}

    return st.lists(one, min_size=1, max_size=most).map(event)


def _blobs(function: FunctionRecord, _: list[Any]) -> Any:
    from hypothesis import strategies as st

    def of(options: dict[str, Any]) -> Any:
        fits = _texts().map(lambda text: f"{options['prefix']}{text}{options['suffix']}")
        return st.fixed_dictionaries(
            {
                "key": st.one_of(fits, fits, _texts()).filter(lambda key: key.strip("/. ")),
                "kind": st.sampled_from(list(options["kinds"])),
                "bucket": st.just(options["bucket"]),
                "size": st.integers(0, 2**40),
                "time": st.integers(0, 10**8).map(lambda seconds: (_SINCE + timedelta(seconds=seconds)).isoformat()),
            }
        )

    return st.one_of([of(trigger.options) for trigger in function.triggers])


def _ticks(function: FunctionRecord, _: list[Any]) -> Any:
    from hypothesis import strategies as st

    options = function.triggers[0].options
    due = Due(options["cron"], options["every"], options["timezone"])

    def at(minutes: int) -> dict[str, str]:
        return {"scheduled_at": next(due.after(_SINCE + timedelta(minutes=minutes))).isoformat()}

    return st.integers(0, 500_000).map(at)


def _payloads(_: FunctionRecord, bodies: list[Any]) -> Any:
    return json_values(bodies)


_EVENTS: dict[str, Callable[[FunctionRecord, list[Any]], Any]] = {
    "message": _messages,
    "blob": _blobs,
    "schedule": _ticks,
    "direct": _payloads,
}
