"""Queues with their dead letters, and topics with a queue for each function that handles them."""

from __future__ import annotations

from typing import Any

from portable.errors import ConfigError
from portable_aws.infrastructure.names import att, fitting, logical, ref, sub
from portable_aws.infrastructure.plan import Plan
from portable_aws.infrastructure.references import dead_letters_id, subscription_id

__all__ = ["VISIBLE_AFTER", "add_messaging"]

VISIBLE_AFTER = 6
"""Times the function's timeout: https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html"""
_VISIBLE_DEFAULT = 30  # seconds, SQS's own
_VISIBLE_MOST = 43_200
_DEAD_SECONDS = 1_209_600  # 14 days: as long as SQS keeps a message
_QUEUE_NAME = 80


def add_messaging(plan: Plan) -> None:
    """See the module."""
    for queue in plan.created("queue"):
        fifo = bool(queue.options.get("ordered") or queue.options.get("dedup"))
        handled = [one.name for one in plan.of_kind("message") if queue.name in one.asks("queue")]
        made = logical(queue.name, "Queue")
        _add_queue(plan, made, queue.name, queue.options["max_attempts"], handled, fifo=fifo)
        plan.output(made, ref(made), f"URL of queue {queue.name}")
        plan.output(dead_letters_id(made), ref(dead_letters_id(made)), f"URL of the dead letters of queue {queue.name}")
    for topic in plan.created("topic"):
        _add_topic(plan, topic.name, topic.options)
    for topic in plan.manifest.of_kind("topic"):
        for function, wanted in plan.manifest.subscriptions(topic.name).items():
            _add_subscription(plan, topic.name, topic.options, function, wanted)


def _name(plan: Plan, name: str, most: int, *, fifo: bool) -> str:
    """A name of its own where it has to end in ``.fifo``; "" where CloudFormation may choose."""
    if not fifo:
        return ""
    return fitting(f"{plan.manifest.app}-{plan.deployment.stage}-{name}", most - 5) + ".fifo"


def _add_queue(plan: Plan, made: str, name: str, attempts: int, handled: list[str], *, fifo: bool) -> None:
    kind: dict[str, Any] = {"FifoQueue": True} if fifo else {}
    dead = dead_letters_id(made)
    named = _name(plan, f"{name}-dead", _QUEUE_NAME, fifo=fifo)
    plan.add(
        dead,
        "AWS::SQS::Queue",
        {
            **({"QueueName": named} if named else {}),
            **kind,
            "MessageRetentionPeriod": _DEAD_SECONDS,
            "SqsManagedSseEnabled": True,
        },
    )
    named = _name(plan, name, _QUEUE_NAME, fifo=fifo)
    longest = max((plan.timeout(function) for function in handled), default=0)
    plan.add(
        made,
        "AWS::SQS::Queue",
        {
            **({"QueueName": named} if named else {}),
            **kind,
            "VisibilityTimeout": min(max(VISIBLE_AFTER * longest, _VISIBLE_DEFAULT), _VISIBLE_MOST),
            "RedrivePolicy": {"deadLetterTargetArn": att(dead, "Arn"), "maxReceiveCount": attempts},
            "SqsManagedSseEnabled": True,
        },
    )


def _add_topic(plan: Plan, name: str, options: dict[str, Any]) -> None:
    made = logical(name, "Topic")
    named = _name(plan, name, 256, fifo=options["ordered"])
    # Publishers need no leave for the key of AWS's own: its policy lets in whoever may publish, from this account.
    properties: dict[str, Any] = {"KmsMasterKeyId": "alias/aws/sns"}
    if named:
        properties |= {"TopicName": named, "FifoTopic": True}
    plan.add(made, "AWS::SNS::Topic", properties)
    plan.output(made, ref(made), f"ARN of topic {name}")


def _add_subscription(plan: Plan, topic: str, options: dict[str, Any], function: str, wanted: Any) -> None:
    queue, fifo = subscription_id(topic, function), options["ordered"]
    _add_queue(plan, queue, f"{topic}-{function}", options["max_attempts"], [function], fifo=fifo)
    known = plan.existing("topic", topic)
    if known is not None and fifo and not known.endswith(".fifo"):
        raise ConfigError(f'[tool.portable.resources] "topic:{topic}": an ordered topic ends in .fifo, got {known!r}')
    arn: Any = ref(logical(topic, "Topic"))
    if known is not None:
        here = "arn:${AWS::Partition}:sns:${AWS::Region}:${AWS::AccountId}:"
        arn = known if known.startswith("arn:") else sub(here + known)
    properties: dict[str, Any] = {
        "TopicArn": arn,
        "Protocol": "sqs",
        "Endpoint": att(queue, "Arn"),
        "RawMessageDelivery": True,
    }
    if wanted is not None:
        policy = {name: list(choices) for name, choices in wanted.items()}
        properties |= {"FilterPolicy": policy, "FilterPolicyScope": "MessageAttributes"}
    plan.add(f"{queue}Policy", "AWS::SQS::QueuePolicy", _delivery_policy(queue, arn))
    plan.add(logical(f"{topic}-{function}", "Subscription"), "AWS::SNS::Subscription", properties)


def _delivery_policy(queue: str, topic: Any) -> dict[str, Any]:
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "sns.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": att(queue, "Arn"),
        "Condition": {"ArnEquals": {"aws:SourceArn": topic}},
    }
    return {"Queues": [ref(queue)], "PolicyDocument": {"Version": "2012-10-17", "Statement": [statement]}}
