"""What Lambda calls. A function's event source is known from the build, so nothing is guessed from an event."""

from __future__ import annotations

from sys import modules

from portable.events import Context, current_context
from portable.instance import Instance
from portable.invoke import run
from portable.resources import set_platform
from portable.watchdog import SIGTERM, attend, on_signal
from portable_aws.platform import AWSPlatform
from portable_aws.triggers import codec_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any

    Handler = Callable[[Any, Any], Any]

__all__ = ["entry", "platform"]


def platform(environment: Mapping[str, str] | None = None) -> AWSPlatform:
    """AWS's drivers. ``environment``: addresses, region, endpoint and credentials; None reads the process's own."""
    return AWSPlatform(environment)


def entry(
    spec: str,
    function: str,
    modules: Iterable[str] | None = None,
    source: str | None = None,
    streams: bool = False,
) -> Handler:
    """The handler of one function, for ``awslambdaric`` or this framework's own runtime loop.

    Args:
        spec: ``module:variable`` of the App. function: its name. modules: routers included by name that it needs.
        source: the event source that calls it, as the build chose; the trigger kind's default when left out.
        streams: it has routes that stream, so all of its answers do; for the loop alone.

    Raises ConfigError for an unknown function or source; what the app's import or an ``on_start`` hook raises passes
    through, and fails the instance's init.
    """
    set_platform(opened := platform())
    try:
        instance = Instance(spec, function, modules)
        codec = codec_of(instance.kind, source)
        instance.start(run)
        _attend(instance, opened)
    except AttributeError as error:
        # awslambdaric takes an AttributeError here for a handler that is not there, and drops what it says.
        raise ImportError(f"{spec} failed to start: AttributeError: {error}").with_traceback(
            error.__traceback__
        ) from error
    if streams:
        from portable_aws.streaming import serve_streams

        return _in_context(instance, serve_streams(instance, codec))
    return _in_context(instance, _MAKERS[instance.kind](instance, codec))


def _attend(instance: Instance, platform: AWSPlatform) -> None:
    """Be there when the instance ends, is saved and restored, and when a handler hangs."""
    from os import environ

    life = instance.app.life

    def end(_number: int, _frame: object) -> None:
        life.stop(run)
        raise SystemExit

    # Sent where an extension is registered, and nowhere else. Python has signals in main threads alone.
    on_signal(SIGTERM, end)
    if environ.get("AWS_LAMBDA_INITIALIZATION_TYPE") == "snap-start":
        from portable_aws._sdk import register_snapshot

        def save() -> None:
            life.save(run)
            platform.close()  # a connection of the snapshot's is nobody's: each copy opens its own

        register_snapshot(save, lambda: life.restore(run))


def _context_class(instance: Instance) -> type[Context]:
    """The contexts of one function. What it costs to know is read on first use."""
    name, stage = instance.function, instance.stage

    class Invocation(Context):
        __slots__ = ()
        _lazy = {
            **Context._lazy,
            "cold_start": lambda context: False,
            "deadline_at": _deadline_at,
            "function": lambda context: name,
            "request_id": lambda context: context.native.aws_request_id,
            "stage": lambda context: stage,
            "target": lambda context: "aws",
        }

    return Invocation


def _in_context(instance: Instance, serve: Callable[[Any], Any]) -> Handler:
    """``serve`` with each invocation's context in force around it."""
    kind = _context_class(instance)
    new, enter, leave = kind.__new__, current_context.set, current_context.reset
    single = attend()
    cold = True
    context: Context | None = None

    def handle(event: Any, native: Any) -> Any:
        nonlocal cold, context
        context = new(kind)
        context.native = native
        if cold:
            cold = False
            context.cold_start = instance.take_cold_start()
        token = enter(context)
        single[0] = context
        try:
            return serve(event)
        finally:
            single[0] = None
            leave(token)

    def left() -> None:
        """Do what the last invocation left to be done after its answer: called by our own runtime loop."""
        if "portable.http.background" in modules:
            from portable.http.background import take_tasks

            if (tasks := take_tasks(context)) is not None:
                tasks.run(run)

    handle.left = left  # type: ignore[attr-defined]
    return handle


def _deadline_at(context: Context) -> float:
    from time import time

    remaining: int = context.native.get_remaining_time_in_millis()
    return time() + remaining / 1000


def _serve_http(instance: Instance, codec: Any) -> Callable[[Any], Any]:
    from portable.events import Response

    # The bound method: calling the object itself would look it up each time.
    call, decode, encode, limit = instance.call.__call__, codec.decode, codec.encode, codec.limit
    # A character takes six bytes at most in Lambda's JSON (\\u0000): below that nothing has to be measured.
    surely_fits = limit // 6 - 16_384

    def serve(event: Any) -> Any:
        response = call(decode(event))
        if response.__class__ is not Response and not isinstance(response, Response):
            response = run(response)
        answer = encode(response, event)
        if len(answer["body"]) > surely_fits:
            return _fitting(answer, event, codec)
        return answer

    return serve


def _fitting(answer: dict[str, Any], event: Any, codec: Any) -> Any:
    """The answer, or a 500 that says it was too large: Lambda's own failure would tell the caller nothing."""
    from json import dumps

    size = len(dumps(answer, ensure_ascii=False).encode("utf-8", "surrogatepass"))
    if size <= codec.limit:
        return answer
    from logging import getLogger

    from portable.http.answers import problem

    getLogger("portable").error(
        "an answer of %d bytes is more than %s carries (%d bytes); put it into a bucket and answer with a URL",
        size,
        codec.source,
        codec.limit,
    )
    return codec.encode(problem(500, f"The answer is larger than the {codec.limit} bytes that can be sent"), event)


def _serve_messages(instance: Instance, codec: Any) -> Callable[[Any], Any]:
    from portable_aws.delivery import Delivery

    return Delivery(instance.call, codec).deliver


def _serve_blobs(instance: Instance, codec: Any) -> Callable[[Any], Any]:
    call = instance.call
    declared = {trigger.bucket.name for trigger in call.triggers}
    only = next(iter(declared)) if len(declared) == 1 else None

    def serve(event: Any) -> None:
        failure = None
        for blob in codec.decode(event):
            blob.bucket = only or _declared_bucket(blob.bucket, declared)
            try:
                result = call(blob)
                if call.is_async:
                    run(result)
            except Exception as error:  # the other records of this event are no worse for it
                failure = failure or error
        if failure is not None:
            raise failure

    return serve


def _declared_bucket(physical: str, declared: Iterable[str]) -> str:
    from portable.drivers import read_address

    addresses = {name: read_address("bucket", name) for name in declared}
    for name, address in addresses.items():
        if address.removeprefix("s3://").rstrip("/") == physical:
            return name
    from portable.errors import ConfigError

    raise ConfigError(f"an event of bucket {physical!r}, which is none of {addresses}")


def _serve_changes(instance: Instance, codec: Any) -> Callable[[Any], Any]:
    from portable_aws.changes import ChangeDelivery

    return ChangeDelivery(instance.call, codec).deliver


def _serve_records(instance: Instance, codec: Any) -> Callable[[Any], Any]:
    from portable_aws.records import RecordDelivery

    return RecordDelivery(instance.call, codec).deliver


def _serve_ticks(instance: Instance, codec: Any) -> Callable[[Any], Any]:
    call, decode = instance.call, codec.decode
    gates: dict[str, Any] = {}

    def serve(event: Any) -> None:
        tick = decode(event)
        drops = event.get("portable")  # in the input of a trigger that fires more often than its schedule is due
        if drops:
            if drops not in gates:
                from portable.schedules.due import gate

                gates[drops] = gate(call.triggers[0], drops)
            if not gates[drops](tick.scheduled_at):
                return
        result = call(tick)
        if call.is_async:
            run(result)

    return serve


def _serve_calls(instance: Instance, codec: Any) -> Callable[[Any], Any]:
    call, decode = instance.call, codec.decode

    def serve(event: Any) -> Any:
        result = call(decode(event))
        return run(result) if call.is_async else result

    return serve


def _serve_sockets(instance: Instance, codec: Any) -> Callable[[Any], Any]:
    call, decode, encode = instance.call, codec.decode, codec.encode

    def serve(event: Any) -> Any:
        response = call(decode(event))
        return encode(run(response) if call.is_async else response)

    return serve


_MAKERS = {
    "http": _serve_http,
    "message": _serve_messages,
    "blob": _serve_blobs,
    "change": _serve_changes,
    "stream": _serve_records,
    "schedule": _serve_ticks,
    "direct": _serve_calls,
    "socket": _serve_sockets,
}
