"""How a resource is called: its address in a function's environment, and the ARNs of its parts in a policy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from portable.build.deployment import Deployment
from portable.drivers.table import Schema
from portable.resources.topic import subscription_name
from portable_aws.infrastructure.names import att, bucket_name, logical, ref, sub
from portable_aws.infrastructure.plan import Plan

__all__ = [
    "address",
    "arns",
    "bucket",
    "config_parameter",
    "dead_letters_id",
    "is_notified",
    "queue_arn",
    "stream_arn",
    "subscription_id",
]

_HERE = "arn:${AWS::Partition}:%s:${AWS::Region}:${AWS::AccountId}:"


def subscription_id(topic: str, function: str) -> str:
    """The logical id of the queue that a topic delivers to for a function."""
    return logical(subscription_name(topic, function), "SubscriptionQueue")


def dead_letters_id(queue: str) -> str:
    """The logical id of a queue's dead-letter queue, from that of the queue."""
    return f"{queue}DeadLetters"


def is_notified(deployment: Deployment, name: str) -> bool:
    """Whether a bucket calls functions itself."""
    return any(
        trigger.kind == "blob"
        and trigger.options["bucket"] == name
        and deployment.bundle_of(function.name).sources[function.name] == "s3"
        for function in deployment.manifest.functions
        for trigger in function.triggers
    )


def bucket(plan: Plan, name: str) -> Any:
    """A bucket's physical name."""
    if (known := plan.existing("bucket", name)) is not None:
        return known
    if is_notified(plan.deployment, name):
        return bucket_name(plan.manifest.app, plan.deployment.stage, name)
    return ref(logical(name, "Bucket"))


def address(plan: Plan, kind: str, name: str) -> Any:
    """What ``PORTABLE_<KIND>_<NAME>`` holds; None where it is left out."""
    known = plan.existing(kind, name)
    if kind == "bucket":
        return joined("s3://", bucket(plan, name))
    if kind == "table":
        return joined("dynamodb://", known or ref(logical(name, "Table")))
    if kind == "stream":
        return _stream_address(plan, name, known)
    if kind == "queue":
        return ref(logical(name, "Queue")) if known is None else _queue_url(known)
    if kind == "topic":
        return ref(logical(name, "Topic")) if known is None else _in_account("sns", known)
    if kind == "secret":
        return known or ref(logical(name, "Secret"))
    if kind == "config":
        return known or (joined("ssm:", ref(logical(name, "Config"))) if config_parameter(plan, name) else None)
    if kind == "cache":
        return known or _cache(plan, name)
    host = f"${{{logical(name, 'Sockets')}}}.execute-api.${{AWS::Region}}.${{AWS::URLSuffix}}"
    return known or sub(f"https://{host}/live")


def config_parameter(plan: Plan, name: str) -> str | None:
    """The template's parameter for a config value; None for one that keeps its default."""
    chosen = logical(name, "Value")
    optional = plan.manifest.resource("config", name).options["optional"]
    return chosen if not optional or chosen in plan.settings.get("parameters", {}) else None


def _cache(plan: Plan, name: str) -> Any:
    return plan.parameter(
        logical(name, "CacheAddress"),
        f"Address of cache {name}: redis://, rediss://, https://:TOKEN@HOST, or memory:",
        NoEcho=True,
    )


def _stream_address(plan: Plan, name: str, known: str | None) -> Any:
    if is_kafka(plan, name):
        return f"kafka://{known or name}"
    if known is not None:
        return f"kinesis://{known.rpartition('/')[2]}"
    return joined("kinesis://", ref(logical(name, "Stream")))


def is_kafka(plan: Plan, name: str) -> bool:
    """Whether a stream is a topic of Kafka, which is never created."""
    return any(
        plan.source(one.name) in ("msk", "kafka") for one in plan.of_kind("stream") if name in one.asks("stream")
    )


def joined(prefix: str, name: Any) -> Any:
    """A text before a physical name that may be a reference."""
    if isinstance(name, str):
        return prefix + name
    if set(name) == {"Ref"}:
        return sub(f"{prefix}${{{name['Ref']}}}")
    text, values = name["Fn::Sub"]
    return {"Fn::Sub": [prefix + text, values]}


def arns(plan: Plan, kind: str, name: str, part: str) -> Sequence[Any]:
    """See ``portable_aws.permissions.statements``."""
    known = plan.existing(kind, name)
    if kind == "bucket":
        whole = joined("arn:${AWS::Partition}:s3:::", bucket(plan, name))
        whole = sub(whole) if isinstance(whole, str) else whole
        return [_beneath(whole, "/*")] if part == "blobs" else [whole]
    if kind == "queue":
        return _queue_arns(logical(name, "Queue"), known, part)
    if kind == "table":
        return _table_arns(plan, name, known, part)
    if kind == "topic":
        return [ref(logical(name, "Topic")) if known is None else _in_account("sns", known)]
    if kind == "stream":
        return [] if is_kafka(plan, name) else [stream_arn(plan, name)]
    if kind == "secret":
        return _secret_arns(logical(name, "Secret"), known, part)
    if kind == "config":
        return _config_arns(plan, name, known)
    if kind == "sockets":
        return _connections(plan, name)
    return []


def _beneath(arn: dict[str, Any], end: str) -> dict[str, Any]:
    said = arn["Fn::Sub"]
    return {"Fn::Sub": said + end} if isinstance(said, str) else {"Fn::Sub": [said[0] + end, said[1]]}


def _in_account(kind: str, known: str) -> Any:
    return known if known.startswith("arn:") else sub(_HERE % kind + known)


def _queue_url(known: str) -> Any:
    if known.startswith("https://"):
        return known
    if known.startswith("arn:"):
        _, _, _, region, account, name = known.split(":", 5)
        return sub(f"https://sqs.{region}.${{AWS::URLSuffix}}/{account}/{name}")
    return sub(f"https://sqs.${{AWS::Region}}.${{AWS::URLSuffix}}/${{AWS::AccountId}}/{known}")


def queue_arn(plan: Plan, name: str) -> Any:
    """The ARN of a queue."""
    return _queue_arns(logical(name, "Queue"), plan.existing("queue", name), "queue")[0]


def _queue_arns(created: str, known: str | None, part: str) -> Sequence[Any]:
    if part == "dead-letters":
        return [att(dead_letters_id(created), "Arn")] if known is None else []
    if known is None:
        return [att(created, "Arn")]
    if known.startswith("https://"):
        host, account, name = known.removeprefix("https://").split("/", 2)
        return [sub(f"arn:${{AWS::Partition}}:sqs:{host.split('.')[1]}:{account}:{name}")]
    return [_in_account("sqs", known)]


def _table_arns(plan: Plan, name: str, known: str | None, part: str) -> Sequence[Any]:
    table = logical(name, "Table")
    if part == "changes":
        return [changes_arn(plan, name)]
    if part == "indexes":
        indexes = sorted(Schema(plan.manifest.resource("table", name).options).indexes)
        whole = _HERE % "dynamodb" + f"table/{known}" if known else f"${{{table}.Arn}}"
        return [sub(f"{whole}/index/{index}") for index in indexes]
    return [att(table, "Arn") if known is None else sub(_HERE % "dynamodb" + f"table/{known}")]


def changes_arn(plan: Plan, name: str) -> Any:
    """The ARN of a table's stream; of a table that exists, a parameter says it."""
    if plan.existing("table", name) is None:
        return att(logical(name, "Table"), "StreamArn")
    return plan.parameter(logical(name, "TableStreamArn"), f"ARN of the stream of table {name}, which exists already")


def stream_arn(plan: Plan, name: str) -> Any:
    """The ARN of a Kinesis stream."""
    known = plan.existing("stream", name)
    if known is None:
        return att(logical(name, "Stream"), "Arn")
    return known if known.startswith("arn:") else sub(_HERE % "kinesis" + f"stream/{known}")


def _secret_arns(created: str, known: str | None, part: str) -> Sequence[Any]:
    is_parameter = known is not None and (known.startswith("ssm:") or ":ssm:" in known)
    if is_parameter != (part == "parameter"):
        return []
    if known is None:
        return [ref(created)]
    if is_parameter:
        return _parameter_arns(known)
    # Secrets Manager puts a dash and six characters of its own behind a name.
    return [known if known.startswith("arn:") else sub(_HERE % "secretsmanager" + f"secret:{known}-??????")]


def _parameter_arns(known: str) -> Sequence[Any]:
    if known.startswith("arn:"):
        return [known]
    return [sub(_HERE % "ssm" + f"parameter/{known.removeprefix('ssm:').lstrip('/')}")]


def _config_arns(plan: Plan, name: str, known: str | None) -> Sequence[Any]:
    if known is not None:
        return [] if known.startswith("value:") else _parameter_arns(known)
    if config_parameter(plan, name) is None:
        return []
    return [sub(_HERE % "ssm" + f"parameter/${{{logical(name, 'Config')}}}")]


def _connections(plan: Plan, name: str) -> Sequence[Any]:
    known = plan.existing("sockets", name)
    region, api, stage = "${AWS::Region}", f"${{{logical(name, 'Sockets')}}}", "live"
    if known is not None:
        host, _, stage = known.removeprefix("https://").partition("/")
        api, _, region = host.split(".")[:3]
    start = f"arn:${{AWS::Partition}}:execute-api:{region}:${{AWS::AccountId}}:{api}/{stage}"
    return [sub(f"{start}/{method}/@connections/*") for method in ("DELETE", "POST")]
