"""What brings queues' messages, streams' records, tables' changes, blobs' events and schedules to functions."""

from __future__ import annotations

from typing import Any

from portable.errors import ConfigError
from portable.manifest import FunctionRecord, TriggerRecord
from portable_aws import limits
from portable_aws.infrastructure.names import att, logical, ref
from portable_aws.infrastructure.plan import Plan, function_id
from portable_aws.infrastructure.references import (
    bucket,
    changes_arn,
    dead_letters_id,
    queue_arn,
    stream_arn,
    subscription_id,
)
from portable_aws.permissions import NETWORK, TRIGGER_ACTIONS
from portable_aws.schedules import timers_of

__all__ = ["add_events"]

_REPORTED = {"FunctionResponseTypes": ["ReportBatchItemFailures"]}
_DETAILS = {"created": "Object Created", "deleted": "Object Deleted"}


def add_events(plan: Plan) -> None:
    """See the module. Raises ConfigError for what an existing resource cannot give."""
    makers = {
        "message": _add_messages,
        "stream": _add_records,
        "change": _add_changes,
        "blob": _add_blobs,
        "schedule": _add_timers,
    }
    for function in plan.manifest.functions:
        for number, trigger in enumerate(function.triggers):
            if trigger.kind in makers:
                makers[trigger.kind](plan, function, trigger, number)


def _mapping(plan: Plan, function: str, number: int, properties: dict[str, Any]) -> None:
    end = str(number + 1) if number else ""
    said = {"FunctionName": plan.target(function), **properties, **_REPORTED}
    plan.add(f"{function_id(function)}Mapping{end}", "AWS::Lambda::EventSourceMapping", said)


def _add_messages(plan: Plan, function: FunctionRecord, trigger: TriggerRecord, number: int) -> None:
    kind, name = trigger.source
    if kind == "queue":
        source, dead = queue_arn(plan, name), dead_letters_id(logical(name, "Queue"))
        has_dead = plan.existing("queue", name) is None
        options = plan.manifest.resource("queue", name).options
        fifo = bool(options.get("ordered") or options.get("dedup"))
    else:
        queue = subscription_id(name, function.name)
        source, dead, has_dead = att(queue, "Arn"), dead_letters_id(queue), True
        fifo = plan.manifest.resource("topic", name).options["ordered"]
    needed = TRIGGER_ACTIONS["queue"]
    plan.allow(function.name, needed["queue"], [source])
    if has_dead:
        plan.allow(function.name, needed["dead-letters"], [att(dead, "Arn")])
    size = min(trigger.options["batch_size"], limits.FIFO_EVENT_BATCH if fifo else limits.EVENT_BATCH)
    said: dict[str, Any] = {"EventSourceArn": source, "BatchSize": size}
    if size > limits.EVENT_BATCH_WITHOUT_WINDOW:
        said["MaximumBatchingWindowInSeconds"] = 1
    most = plan.of(function.name).max_instances
    if most is not None and most > 1:  # else the poller takes messages that no instance is free for
        said["ScalingConfig"] = {"MaximumConcurrency": min(most, 1000)}
    _mapping(plan, function.name, number, said)


def _add_records(plan: Plan, function: FunctionRecord, trigger: TriggerRecord, number: int) -> None:
    options = trigger.options
    start = {"latest": "LATEST"}.get(options["start"], "TRIM_HORIZON")
    window = {} if not options["window"] else {"MaximumBatchingWindowInSeconds": -int(-options["window"] // 1)}
    if options["dead_letters"] is not None:
        plan.allow(function.name, ["sqs:SendMessage"], [queue_arn(plan, options["dead_letters"])])
    if plan.source(function.name) != "kinesis":
        topic = plan.existing("stream", options["stream"]) or options["stream"]
        _add_kafka(plan, function, number, {"Topics": [topic], "StartingPosition": start, **window}, options)
        return
    arn = stream_arn(plan, options["stream"])
    plan.allow(function.name, TRIGGER_ACTIONS["stream"]["stream"], [arn])
    said = {
        "EventSourceArn": arn,
        "StartingPosition": start,
        "BatchSize": min(options["batch_size"], limits.STREAM_EVENT_BATCH),
        "ParallelizationFactor": min(options["parallel"], limits.STREAM_PARALLEL),
        "BisectBatchOnFunctionError": options["bisect"],
        **window,
    }
    if options["max_attempts"] is not None:
        said["MaximumRetryAttempts"] = options["max_attempts"] - 1
    _mapping(plan, function.name, number, said)


def _add_kafka(
    plan: Plan, function: FunctionRecord, number: int, said: dict[str, Any], options: dict[str, Any]
) -> None:
    """Failures are reported in provisioned mode alone."""
    said |= {"BatchSize": options["batch_size"], "ProvisionedPollerConfig": {"MinimumPollers": 1, "MaximumPollers": 2}}
    if plan.source(function.name) == "msk":
        said |= _msk(plan, function.name, said["Topics"][0])
    else:
        servers = plan.parameter("KafkaServers", "Bootstrap servers, HOST:PORT with commas", "CommaDelimitedList")
        login = plan.parameter("KafkaSecret", "ARN of the secret with the user and password for SCRAM-SHA-512")
        said["SelfManagedEventSource"] = {"Endpoints": {"KafkaBootstrapServers": servers}}
        said["SourceAccessConfigurations"] = [{"Type": "SASL_SCRAM_512_AUTH", "URI": login}]
        plan.allow(function.name, ["secretsmanager:GetSecretValue"], [login])
    _mapping(plan, function.name, number, said)


def _msk(plan: Plan, function: str, topic: str) -> dict[str, Any]:
    """https://docs.aws.amazon.com/lambda/latest/dg/with-msk-permissions.html; the network's calls know no resources."""
    cluster = plan.parameter("KafkaCluster", "ARN of the Amazon MSK cluster")
    group = f"{plan.manifest.app}-{plan.deployment.stage}-{function}"
    parts = {name: {"Fn::Select": [index, {"Fn::Split": ["/", cluster]}]} for index, name in ((1, "Name"), (2, "Id"))}
    here = "arn:${AWS::Partition}:kafka-cluster:${AWS::Region}:${AWS::AccountId}:%s/${Name}/${Id}/%s"
    plan.allow(function, ["kafka:DescribeCluster", "kafka:DescribeClusterV2", "kafka:GetBootstrapBrokers"], [cluster])
    plan.allow(function, ["kafka-cluster:Connect"], [cluster])
    read = ["kafka-cluster:DescribeTopic", "kafka-cluster:ReadData"]
    plan.allow(function, read, [{"Fn::Sub": [here % ("topic", topic), parts]}])
    join = ["kafka-cluster:AlterGroup", "kafka-cluster:DescribeGroup"]
    plan.allow(function, join, [{"Fn::Sub": [here % ("group", group), parts]}])
    plan.allow(function, list(NETWORK), ["*"])
    return {"EventSourceArn": cluster, "AmazonManagedKafkaEventSourceConfig": {"ConsumerGroupId": group}}


def _add_changes(plan: Plan, function: FunctionRecord, trigger: TriggerRecord, number: int) -> None:
    arn = changes_arn(plan, trigger.options["table"])
    plan.allow(function.name, TRIGGER_ACTIONS["table"]["changes"], [arn])
    said = {"EventSourceArn": arn, "StartingPosition": "TRIM_HORIZON", "BatchSize": 100}
    _mapping(plan, function.name, number, said)


def _add_blobs(plan: Plan, function: FunctionRecord, trigger: TriggerRecord, number: int) -> None:
    """A rule of EventBridge; the bucket's own notifications are in the bucket."""
    name = trigger.options["bucket"]
    if plan.source(function.name) == "s3":
        if plan.existing("bucket", name) is not None:
            raise ConfigError(
                f'{trigger.where}: bucket {name} exists already ([tool.portable.resources] "bucket:{name}"), and '
                "CloudFormation cannot have it notify a function: switch EventBridge on in the bucket's properties, "
                "and [tool.portable.aws] blob = 's3-eventbridge'"
            )
        return
    prefix, suffix = trigger.options["prefix"], trigger.options["suffix"]
    wanted: Any = None
    if prefix and suffix:
        wanted = [{"wildcard": f"{_literal(prefix)}*{_literal(suffix)}"}]
    elif prefix or suffix:
        wanted = [{"prefix": prefix} if prefix else {"suffix": suffix}]
    pattern = {
        "source": ["aws.s3"],
        "detail-type": [_DETAILS[kind] for kind in trigger.options["kinds"]],
        "detail": {"bucket": {"name": [bucket(plan, name)]}, **({"object": {"key": wanted}} if wanted else {})},
    }
    _add_rule(plan, function.name, f"Blobs{number + 1 if number else ''}", {"EventPattern": pattern}, {})


def _literal(text: str) -> str:
    return text.replace("\\", "\\\\").replace("*", "\\*")


def _add_rule(plan: Plan, function: str, label: str, said: dict[str, Any], more: dict[str, Any]) -> None:
    target = {"Id": "function", "Arn": plan.target(function), **more}
    rule = plan.add(f"{function_id(function)}{label}Rule", "AWS::Events::Rule", {**said, "Targets": [target]})
    plan.permit(function, f"{label}Rule", "events.amazonaws.com", SourceArn=att(rule, "Arn"))


def _add_timers(plan: Plan, function: FunctionRecord, trigger: TriggerRecord, number: int) -> None:
    source = plan.source(function.name)
    for index, timer in enumerate(timers_of(trigger, source)):
        label = f"{number + 1 if number else ''}{'ab'[index] if index else ''}"
        if source == "eventbridge-rule":
            shaped = {"InputTransformer": {"InputPathsMap": {"time": "$.time"}, "InputTemplate": timer.input}}
            said = {"ScheduleExpression": timer.expression, "State": "ENABLED"}
            _add_rule(plan, function.name, f"Timer{label}", said, shaped if timer.input else {})
            continue
        role = _scheduler_role(plan, function.name)
        target = {"Arn": plan.target(function.name), "RoleArn": att(role, "Arn")}
        plan.add(
            f"{function_id(function.name)}Schedule{label}",
            "AWS::Scheduler::Schedule",
            {
                "ScheduleExpression": timer.expression,
                "ScheduleExpressionTimezone": timer.timezone or "UTC",
                "FlexibleTimeWindow": {"Mode": "OFF"},
                "Target": {**target, "Input": timer.input} if timer.input else target,
            },
        )


def _scheduler_role(plan: Plan, function: str) -> str:
    name = f"{function_id(function)}ScheduleRole"
    if name in plan.resources:
        return name
    trust = {
        "Effect": "Allow",
        "Principal": {"Service": "scheduler.amazonaws.com"},
        "Action": "sts:AssumeRole",
        "Condition": {"StringEquals": {"aws:SourceAccount": ref("AWS::AccountId")}},
    }
    call = {"Effect": "Allow", "Action": "lambda:InvokeFunction", "Resource": plan.target(function)}
    policy = {"Version": "2012-10-17", "Statement": [call]}
    return plan.add(
        name,
        "AWS::IAM::Role",
        {
            "AssumeRolePolicyDocument": {"Version": "2012-10-17", "Statement": [trust]},
            "Policies": [{"PolicyName": "call", "PolicyDocument": policy}],
        },
    )
