"""What the event source mappings of Lambda cannot give the handlers of queues, topics and streams."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

from portable.build.target import Finding
from portable.manifest import Manifest, ResourceRecord, TriggerRecord
from portable_aws import limits

__all__ = ["check_batch", "check_filter", "check_senders", "check_stream", "check_wait"]


def check_batch(trigger: TriggerRecord) -> Iterator[Finding]:
    """How many messages a call has, and how many of them are in hand at once."""
    asked = trigger.options["batch_size"]
    if asked > limits.EVENT_BATCH:
        yield Finding(
            "warning",
            trigger.where,
            f"batch_size={asked}: Lambda takes {limits.EVENT_BATCH} messages at most",
            f"batch_size={limits.EVENT_BATCH}",
        )
    elif asked > limits.EVENT_BATCH_WITHOUT_WINDOW:
        yield Finding(
            "info",
            trigger.where,
            f"batch_size={asked}: above {limits.EVENT_BATCH_WITHOUT_WINDOW}, Lambda gathers messages for a second "
            f"at least before a call; a FIFO queue gives {limits.FIFO_EVENT_BATCH} at most",
        )
    together = trigger.options.get("concurrency", 1)
    if together > asked:
        message = f"concurrency={together}: a batch has {asked} messages at most, so no more are in hand at once"
        yield Finding("warning", trigger.where, message, f"batch_size={together}")


def check_wait(source: ResourceRecord) -> Iterator[Finding]:
    """How long a failed message of a queue or topic waits."""
    longest = source.options["retry"][2] if "retry" in source.options else 0
    if longest > limits.VISIBILITY_SECONDS:
        yield Finding(
            "error",
            source.where,
            f"{source.kind} {source.name}, retry: a wait of {longest:g} s; SQS hides a message for "
            f"{limits.VISIBILITY_SECONDS} at most",
            f"limit=timedelta(seconds={limits.VISIBILITY_SECONDS})",
        )


def check_stream(trigger: TriggerRecord, source: str) -> Iterator[Finding]:
    """The options of a stream's handler. ``source``: of ``portable_aws.triggers``."""
    stream, options = f"stream {trigger.options['stream']}", trigger.options
    if source != "kinesis":
        yield Finding(
            "info",
            trigger.where,
            f"{stream}: the event source mapping of a Kafka topic has to be in provisioned mode with "
            "ReportBatchItemFailures; to another one every answer is a success, failures among them",
        )
        if options["parallel"] > 1:
            message = f"{stream}, parallel={options['parallel']}: Lambda calls once a partition of Kafka at a time"
            yield Finding("warning", trigger.where, message, "more partitions")
    if options["window"] is not None and options["window"] % 1:
        message = f"{stream}, window={options['window']:g} s: Lambda gathers for whole seconds"
        yield Finding("warning", trigger.where, message, f"window of {-int(-options['window'] // 1)} s")
    if options["max_attempts"] is not None and options["dead_letters"] is not None:
        yield Finding(
            "warning",
            trigger.where,
            f"{stream}: after max_attempts={options['max_attempts']} Lambda gives up the rest of the batch by itself; "
            f"queue {options['dead_letters']} gets only what the handler rejects and what does not fit",
            "an on-failure destination of the event source mapping",
        )


def check_senders(manifest: Manifest, source: str) -> Iterator[Finding]:
    """A function that has a topic of Kafka, and is not called by it, can only want to send to it."""
    for stream in manifest.of_kind("stream") if source != "kinesis" else ():
        for function in manifest.senders(stream.name):
            yield Finding(
                "error",
                function.triggers[0].where,
                f"function {function.name} uses stream {stream.name}, and is not called by it: a topic of Kafka can "
                "only be handled",
                "a Kafka client of your own, or a Kinesis stream",
            )


def check_filter(trigger: TriggerRecord) -> Iterator[Finding]:
    """What SNS takes of a filter."""
    wanted = trigger.options.get("filter") or {}
    together = prod(len(choices) for choices in wanted.values())
    if len(wanted) > limits.TOPIC_FILTER_ATTRIBUTES or together > limits.TOPIC_FILTER_COMBINATIONS:
        yield Finding(
            "error",
            trigger.where,
            f"a filter of {len(wanted)} attributes and {together} combinations of their values: SNS takes "
            f"{limits.TOPIC_FILTER_ATTRIBUTES} and {limits.TOPIC_FILTER_COMBINATIONS}",
            "an attribute that says what the handler looks for, or the rest of the filter in the handler",
        )
