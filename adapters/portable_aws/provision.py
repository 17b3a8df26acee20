"""Makes what a deployment would make, for ``portable run`` and the tests: with botocore, on an emulator."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from portable.drivers import address_variable
from portable.drivers.table import Schema
from portable.resources.topic import subscription_name

__all__ = ["filter_policy", "make_queue", "make_secret", "make_stream", "make_table", "make_topic", "table_definition"]


def filter_policy(wanted: Mapping[str, Any]) -> str:
    """A handler's filter as SNS writes it: the very form that ``portable.resources.filters`` gives.

    https://docs.aws.amazon.com/sns/latest/dg/attribute-key-matching.html and …/string-value-matching.html
    """
    return json.dumps({name: list(choices) for name, choices in wanted.items()})


def make_queue(sqs: Any, name: str, max_attempts: int, *, fifo: bool) -> tuple[str, str]:
    """A queue and its dead-letter queue, by their URLs."""
    kind, end = ({"FifoQueue": "true"}, ".fifo") if fifo else ({}, "")
    dead = sqs.create_queue(QueueName=f"{name}-dead{end}", Attributes=kind)["QueueUrl"]
    policy = json.dumps({"deadLetterTargetArn": _arn(sqs, dead), "maxReceiveCount": max_attempts})
    made = sqs.create_queue(QueueName=f"{name}{end}", Attributes={"RedrivePolicy": policy, **kind})
    return made["QueueUrl"], dead


def make_topic(
    sns: Any, sqs: Any, topic: str, name: str, options: Mapping[str, Any], subscriptions: Mapping[str, Any]
) -> dict[str, str]:
    """A topic with a queue for each function that handles it, and their addresses by variable.

    Args:
        topic: as declared. name: its physical name. subscriptions: filters by function, None where there is none.
    """
    kind = {"FifoTopic": "true"} if options["ordered"] else {}
    arn = sns.create_topic(Name=name + (".fifo" if kind else ""), Attributes=kind)["TopicArn"]
    addresses = {address_variable("topic", topic): arn}
    for function, wanted in subscriptions.items():
        url, dead = make_queue(sqs, f"{name}-{function}", options["max_attempts"], fifo=bool(kind))
        # A deployment also lets SNS send to the queue, by the queue's policy.
        settings = {"RawMessageDelivery": "true"}
        if wanted is not None:
            settings |= {"FilterPolicy": filter_policy(wanted), "FilterPolicyScope": "MessageAttributes"}
        sns.subscribe(TopicArn=arn, Protocol="sqs", Endpoint=_arn(sqs, url), Attributes=settings)
        subscription = subscription_name(topic, function)
        addresses[address_variable("subscription", subscription)] = url
        addresses[address_variable("subscriptiondeadletter", subscription)] = dead
    return addresses


def make_stream(kinesis: Any, name: str, options: Mapping[str, Any]) -> str:
    """A data stream, and its address."""
    kinesis.create_stream(StreamName=name, ShardCount=options["partitions"])
    kinesis.get_waiter("stream_exists").wait(StreamName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 30})
    return f"kinesis://{name}"


def make_secret(secretsmanager: Any, name: str, secret: str) -> str:
    """A secret with a made-up value, and its address."""
    from portable.run.emulators import made_up_secret  # a build, which reads this module too, needs no emulators

    arn: str = secretsmanager.create_secret(Name=name, SecretString=made_up_secret(secret))["ARN"]
    return arn


def make_table(dynamodb: Any, name: str, options: Mapping[str, Any], *, old: bool | None = None) -> str:
    """A table with its indexes, its time to live, and the stream its handlers need; its address.

    Args:
        options: as the manifest has them. old: whether a handler of its changes wants old items; None without handlers.
    """
    dynamodb.create_table(TableName=name, **table_definition(options, old=old))
    if options["ttl"] is not None:
        wanted = {"Enabled": True, "AttributeName": options["ttl"]}
        dynamodb.update_time_to_live(TableName=name, TimeToLiveSpecification=wanted)
    return f"dynamodb://{name}"


def table_definition(options: Mapping[str, Any], *, old: bool | None = None) -> dict[str, Any]:
    """What CreateTable takes, but the name. Paid by request, so that nobody has to guess a capacity."""
    schema = Schema(options)
    types = {"str": "S", "int": "N"}
    definition: dict[str, Any] = {
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [
            {"AttributeName": field, "AttributeType": types[kind]} for field, kind in schema.fields.items()
        ],
        "KeySchema": _key_schema(schema.key, schema.sort),
    }
    if schema.indexes:
        definition["GlobalSecondaryIndexes"] = [
            {"IndexName": name, "KeySchema": _key_schema(*fields), "Projection": {"ProjectionType": "ALL"}}
            for name, fields in schema.indexes.items()
        ]
    if old is not None:
        view = "NEW_AND_OLD_IMAGES" if old else "NEW_IMAGE"
        definition["StreamSpecification"] = {"StreamEnabled": True, "StreamViewType": view}
    return definition


def _key_schema(partition: str, sort: str | None) -> list[dict[str, str]]:
    found = [{"AttributeName": partition, "KeyType": "HASH"}]
    return found if sort is None else [*found, {"AttributeName": sort, "KeyType": "RANGE"}]


def _arn(sqs: Any, url: str) -> str:
    answer = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
    arn: str = answer["Attributes"]["QueueArn"]
    return arn
