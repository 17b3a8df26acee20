"""Doing once what is asked for several times: ``@idempotent`` and where it keeps what was done.

The header is that of https://datatracker.ietf.org/doc/html/draft-ietf-httpapi-idempotency-key-header-07.
"""

from __future__ import annotations

from portable.errors import AlreadyExistsError, ConfigError, PreconditionFailedError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import timedelta
    from typing import Any, Literal, TypeVar

    from portable.resources.cache import Cache
    from portable.resources.table import Table

    H = TypeVar("H", bound=Callable[..., Any])
    Store = Table[dict[str, Any]] | Cache[Any]

__all__ = ["Claim", "Idempotence", "claim", "finish", "idempotent", "release", "settings_of"]

_ATTRIBUTE = "__portable_idempotence__"
DAY = 86_400.0
LOCK = 60.0
"""Seconds a claim holds where the invocation has no deadline."""


class Idempotence:
    """What was declared with :func:`idempotent`. Spans are in seconds; ``lock`` is None for the time that is left."""

    __slots__ = ("concurrent", "key", "lock", "required", "store", "ttl")

    def __init__(
        self, store: Store, key: Callable[[Any], str | None] | None, ttl: float, lock: float | None, *options: Any
    ) -> None:
        self.store = store
        self.key = key
        self.ttl = ttl
        self.lock = lock
        self.required, self.concurrent = options


def idempotent(
    store: Store,
    *,
    key: Callable[[Any], str | None] | None = None,
    ttl: timedelta | None = None,
    lock: timedelta | None = None,
    required: bool = True,
    concurrent: Literal["refuse", "wait"] = "refuse",
) -> Callable[[H], H]:
    """Call a handler once for each key; give what it gave then to whoever asks again.

    A claim on the key is written before the handler is called, and its result after; what the handler raises, and a
    response of 500 or more, takes the claim back, so that another attempt may succeed. A claim whose process died ends
    by itself. The key used again with another payload is refused. Exactly once is impossible: where a process dies
    between the effect and the result, or works on for longer than its claim, the handler is called again.

    Args:
        store: a table without a type and a sort key, and with a ``ttl``; or a cache without a type, from which a
            result may be gone before its time.
        key: from the request, or the event, to its key; None does not look. Left out, it is the ``Idempotency-Key``
            header of a request and the id of a message.
        ttl: how long a result is kept; a day when left out.
        lock: how long a claim holds; the invocation's deadline when left out, else a minute.
        required: a request without a key is a 400. False: it is handled like any other.
        concurrent: a request whose key is being worked on is a 409 (``"refuse"``), or waits for the result
            (``"wait"``), as long as the claim holds. A message comes again later in either case.

    Raises ConfigError for a store that cannot serve.
    """
    _check_store(store)
    if concurrent not in ("refuse", "wait"):
        raise ConfigError(f"concurrent is 'refuse' or 'wait', got {concurrent!r}")
    for name, span in (("ttl", ttl), ("lock", lock)):
        if span is not None and (not hasattr(span, "total_seconds") or span.total_seconds() < 1):
            raise ConfigError(f"{name} is a timedelta of a second or more, got {span!r}")
    kept = DAY if ttl is None else ttl.total_seconds()
    held = None if lock is None else lock.total_seconds()
    settings = Idempotence(store, key, kept, held, required, concurrent)

    def decorate(handler: H) -> H:
        setattr(handler, _ATTRIBUTE, settings)
        return handler

    return decorate


def _check_store(store: Any) -> None:
    kind = getattr(store, "kind", None)
    if kind not in ("table", "cache"):
        raise ConfigError(f"idempotent takes a table or a cache, got {store!r}")
    if store.type is not None:
        raise ConfigError(f"{store}: idempotent keeps records of its own; declare a {kind} without a type for it")
    if kind == "table" and (store.options.get("sort") or not store.options.get("ttl")):
        raise ConfigError(f"{store}: idempotent takes a table like app.table({store.name!r}, key='id', ttl='ends')")


def settings_of(handler: Any) -> Idempotence | None:
    """What was declared of a handler."""
    found: Idempotence | None = getattr(handler, _ATTRIBUTE, None)
    return found


class Claim:
    """What became of a claim.

    Attributes:
        state: ``"ours"``, ``"done"``, ``"busy"`` or ``"other"`` (the key was used with another payload).
        result: of one that is done. until: seconds since the epoch at which a busy one ends. id: in the store.
    """

    __slots__ = ("etag", "fingerprint", "id", "result", "state", "until")

    def __init__(self, state: str, identity: str, fingerprint: str, until: float, result: Any, etag: str) -> None:
        self.state = state
        self.id = identity
        self.fingerprint = fingerprint
        self.until = until
        self.result = result
        self.etag = etag


class _Calls:
    """A resource's methods, awaited as twins or called in place, for code that is written once."""

    __slots__ = ("_awaits", "_store")

    def __init__(self, store: Any, awaits: bool) -> None:
        self._store = store
        self._awaits = awaits

    async def __call__(self, method: str, *args: Any, **options: Any) -> Any:
        if self._awaits:
            return await getattr(self._store, f"a{method}")(*args, **options)
        return getattr(self._store, method)(*args, **options)


async def claim(settings: Idempotence, identity: str, fingerprint: str, held: float, awaits: bool) -> Claim:
    """Claim a key for ``held`` seconds, or say why not. Atomic: of any number at once, one gets ``"ours"``."""
    from time import time

    call = _Calls(settings.store, awaits)
    take = _claim_in_table if settings.store.kind == "table" else _claim_in_cache
    while True:
        now = time()
        found = await take(settings.store, call, identity, fingerprint, now, held)
        if found is not None:
            return found


async def _claim_in_table(
    table: Any, call: _Calls, identity: str, fingerprint: str, now: float, held: float
) -> Claim | None:
    """None where it changed under our hands: look again."""
    record = _record(table, identity, fingerprint, now + held, now + held + DAY)
    try:
        etag = await call("put", record, if_absent=True)
        return Claim("ours", identity, fingerprint, now + held, None, etag)
    except AlreadyExistsError:
        entry = await call("entry", identity)
    if entry is None:
        return None
    item = entry.item
    if item["hash"] != fingerprint:
        return Claim("other", identity, fingerprint, 0.0, None, "")
    if item["state"] == "done":
        return Claim("done", identity, fingerprint, 0.0, item["result"], "")
    if float(item["until"]) > now:
        return Claim("busy", identity, fingerprint, float(item["until"]), None, "")
    try:  # whoever had it is dead, or too late
        etag = await call("put", record, if_match=entry.version)
    except (PreconditionFailedError, AlreadyExistsError):
        return None
    return Claim("ours", identity, fingerprint, now + held, None, etag)


async def _claim_in_cache(
    _cache: Any, call: _Calls, identity: str, fingerprint: str, now: float, held: float
) -> Claim | None:
    from datetime import timedelta

    record = {"state": "running", "hash": fingerprint, "until": now + held}
    if await call("add", identity, record, ttl=timedelta(seconds=held)):
        return Claim("ours", identity, fingerprint, now + held, None, "")
    found = await call("get", identity)
    if found is None:
        return None
    if found["hash"] != fingerprint:
        return Claim("other", identity, fingerprint, 0.0, None, "")
    if found["state"] == "done":
        return Claim("done", identity, fingerprint, 0.0, found["result"], "")
    return Claim("busy", identity, fingerprint, float(found["until"]), None, "")


def _record(table: Any, identity: str, fingerprint: str, until: float, ends: float) -> dict[str, Any]:
    return {
        table.options["key"]: identity,
        "state": "running",
        "hash": fingerprint,
        "until": str(until),  # a number would be read as another type by some
        table.options["ttl"]: int(ends) + 1,
    }


async def finish(settings: Idempotence, held: Claim, result: Any, awaits: bool) -> bool:
    """Keep the result of a claim. False where the claim had ended, and another has it: this result is not kept."""
    from time import time

    call = _Calls(settings.store, awaits)
    if settings.store.kind == "table":
        record = _record(settings.store, held.id, held.fingerprint, 0.0, time() + settings.ttl)
        record |= {"state": "done", "result": result}
        try:
            await call("put", record, if_match=held.etag)
        except PreconditionFailedError:
            return False
        return True
    from datetime import timedelta

    done = {"state": "done", "hash": held.fingerprint, "result": result}
    await call("set", held.id, done, ttl=timedelta(seconds=settings.ttl))
    return True


async def release(settings: Idempotence, held: Claim, awaits: bool) -> None:
    """Take a claim back. In a cache, one that has ended meanwhile may be another's, and is taken back too."""
    call = _Calls(settings.store, awaits)
    if settings.store.kind == "cache":
        await call("delete", held.id)
        return
    from contextlib import suppress

    with suppress(PreconditionFailedError):
        await call("delete", held.id, if_match=held.etag)
