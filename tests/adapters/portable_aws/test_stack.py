"""What a deployment says when AWS is busy, stuck or gone, and what it leaves: against answers that are told."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from botocore.exceptions import ClientError, EndpointConnectionError

from portable.deploy import Place
from portable.errors import ConfigError, DeployError
from portable_aws.deploy import account as accounts
from portable_aws.deploy import gateway
from portable_aws.deploy import stack as stacks
from portable_aws.deploy.account import Account
from portable_aws.deploy.gateway import GatewayLogs
from portable_aws.deploy.stack import Stack

Answer = Any
PLACE = Place("dev", {"region": "eu-west-1"}, {})


def refused(code: str, words: str = "") -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": words or code}}, "Operation")


class Told:
    """A client whose every method gives the next of its answers, the last one for good; an exception is raised."""

    def __init__(self, answers: dict[str, list[Answer]]) -> None:
        self.answers = answers
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.meta = type("Meta", (), {"region_name": "eu-west-1"})

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def call(**arguments: Any) -> Any:
            self.calls.append((name, arguments))
            left = self.answers[name]
            answer = left.pop(0) if len(left) > 1 else left[0]
            if isinstance(answer, BaseException):
                raise answer
            return answer

        return call

    def named(self) -> list[str]:
        return [name for name, _ in self.calls]

    def close(self) -> None:
        """As a client's."""


def stack_at(status: str) -> dict[str, Any]:
    return {"Stacks": [{"StackStatus": status, "StackId": "arn:stack", "StackName": "shop-dev", "Outputs": []}]}


GONE = refused("ValidationError", "Stack with id shop-dev does not exist")
READY = {"Status": "CREATE_COMPLETE", "Changes": []}
EVENT = {
    "EventId": "1",
    "ResourceStatus": "CREATE_COMPLETE",
    "ResourceType": "AWS::SQS::Queue",
    "LogicalResourceId": "OrdersQueue",
}


def change(**more: Any) -> dict[str, Any]:
    said = {"Action": "Modify", "ResourceType": "AWS::DynamoDB::Table", "LogicalResourceId": "StockTable"}
    return {"Status": "CREATE_COMPLETE", "Changes": [{"ResourceChange": {**said, **more}}]}


Make = Callable[..., tuple[Stack, Told]]


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stacks, "_WAITS", (0.0, 0.0))
    monkeypatch.setattr(gateway, "_WAIT", 0.0)


@pytest.fixture
def clients(monkeypatch: pytest.MonkeyPatch) -> dict[str, Told]:
    """By service; what an account uses."""
    found: dict[str, Told] = {}

    class Client:
        def __init__(self, service: str, *_: Any, **__: Any) -> None:
            self.get = lambda: found[service]
            self.close = lambda: None

    monkeypatch.setattr(accounts, "Client", Client)
    return found


@pytest.fixture
def stack(clients: dict[str, Told], tmp_path: Path) -> Make:
    def make(**answers: list[Answer]) -> tuple[Stack, Told]:
        (tmp_path / "infra").mkdir()
        (tmp_path / "infra" / "template.yaml").write_text(
            yaml.safe_dump({"Resources": {"OrdersQueue": {"Type": "AWS::SQS::Queue", "Properties": {}}}})
        )
        manifest = type("Manifest", (), {"app": "shop", "of_kind": staticmethod(lambda _: ())})
        artifact: Any = msgspec.defstruct("Artifact", ["folder", "manifest", "bundles"])(tmp_path, manifest, {})
        usual: dict[str, list[Answer]] = {
            "describe_stacks": [stack_at("CREATE_COMPLETE")],
            "create_change_set": [{}],
            "delete_change_set": [{}],
            "execute_change_set": [{}],
            "delete_stack": [{}],
            "list_change_sets": [{"Summaries": []}],
            "describe_change_set": [READY],
            "describe_stack_events": [{"StackEvents": []}],
        }
        clients["cloudformation"] = Told(usual | answers)
        return Stack(Account(PLACE), artifact, PLACE), clients["cloudformation"]

    return make


@pytest.fixture
def steps() -> list[Any]:
    return []


def test_a_stack_that_is_stuck_says_the_way_out(stack: Make) -> None:
    made, told = stack(describe_stacks=[stack_at("UPDATE_ROLLBACK_FAILED")])
    with pytest.raises(DeployError, match=r"continue-update-rollback --stack-name shop-dev, with --resources-to-skip"):
        made.preview()
    assert "create_change_set" not in told.named()


@pytest.mark.parametrize("command", ["preview", "delete"])
def test_the_stack_of_another_app_is_left_alone(stack: Make, steps: list[Any], command: str) -> None:
    theirs = stack_at("CREATE_COMPLETE")
    marks = {"portable:app": "shop-dev", "portable:stage": "eu"}
    theirs["Stacks"][0]["Tags"] = [{"Key": key, "Value": value} for key, value in marks.items()]
    made, told = stack(describe_stacks=[theirs])
    with pytest.raises(DeployError, match="stack shop-dev is of app shop-dev, stage eu: another name, stack = "):
        made.preview() if command == "preview" else made.delete(steps.append)
    assert set(told.named()) == {"describe_stacks"}


@pytest.mark.parametrize("status", ["UPDATE_IN_PROGRESS", "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS", "DELETE_IN_PROGRESS"])
def test_two_deployments_at_once_are_refused(stack: Make, status: str) -> None:
    made, _ = stack(describe_stacks=[stack_at(status)])
    with pytest.raises(DeployError, match=f"is {status}: another deployment is under way"):
        made.preview()


def test_a_stack_that_was_never_made_is_deleted_first_and_the_preview_says_so(stack: Make) -> None:
    made, _ = stack(describe_stacks=[stack_at("ROLLBACK_COMPLETE")])
    first, *rest = made.preview()
    assert (first.action, first.name) == ("delete", "shop-dev")
    assert "it is ROLLBACK_COMPLETE, and can only be deleted" in first.detail
    assert [(one.action, one.name) for one in rest] == [("create", "OrdersQueue")]


def test_a_preview_leaves_nothing_and_waits_for_the_end_of_the_empty_stack(stack: Make) -> None:
    made, told = stack(describe_stacks=[GONE, stack_at("DELETE_IN_PROGRESS"), GONE])
    assert made.preview() == []
    assert told.calls[1][1]["ChangeSetType"] == "CREATE"
    assert told.named()[-5:] == [
        "delete_change_set",
        "list_change_sets",
        "delete_stack",
        "describe_stacks",
        "describe_stacks",
    ]


def test_an_empty_stack_with_somebody_elses_change_set_stays(stack: Make) -> None:
    others = [{"Summaries": [{"ChangeSetName": "another"}]}]
    made, told = stack(describe_stacks=[stack_at("REVIEW_IN_PROGRESS")], list_change_sets=others)
    made.preview()
    assert "delete_change_set" in told.named()
    assert "delete_stack" not in told.named()


def test_only_what_is_not_there_is_taken_for_a_new_stack(stack: Make) -> None:
    made, _ = stack(describe_stacks=[refused("ValidationError", "1 validation error detected")])
    with pytest.raises(DeployError, match="1 validation error"):
        made.preview()


def test_nothing_to_change_is_no_error_and_leaves_no_change_set(stack: Make, steps: list[Any]) -> None:
    failed = {
        "Status": "FAILED",
        "StatusReason": "The submitted information didn't contain changes. Submit different …",
    }
    made, told = stack(describe_change_set=[failed])
    made.apply(steps.append)
    assert told.named()[-1] == "delete_change_set"
    assert "execute_change_set" not in told.named()


def test_what_is_under_way_is_followed_through_a_busy_hour(stack: Make, steps: list[Any]) -> None:
    busy = [refused("Throttling", "Rate exceeded")] * 5
    away = [EndpointConnectionError(endpoint_url="https://cloudformation")] * 5
    made, _ = stack(
        describe_stacks=[stack_at("CREATE_COMPLETE"), *busy, *away, stack_at("UPDATE_COMPLETE")],
        describe_change_set=[change()],
        describe_stack_events=[{"StackEvents": []}, {"StackEvents": [EVENT]}],
    )
    made.apply(steps.append)
    assert [(one.name, one.state) for one in steps] == [("OrdersQueue", "done")]


def test_after_too_many_looks_in_vain_it_ends(stack: Make, steps: list[Any]) -> None:
    made, _ = stack(
        describe_stacks=[stack_at("CREATE_COMPLETE"), refused("Throttling", "Rate exceeded")],
        describe_change_set=[change()],
    )
    with pytest.raises(DeployError, match="Rate exceeded"):
        made.apply(steps.append)


@pytest.mark.parametrize(
    ("ended", "said"),
    [(KeyboardInterrupt(), "interrupted"), (refused("ExpiredToken"), "the credentials for AWS have expired")],
)
def test_who_stops_looking_is_told_that_cloudformation_goes_on(
    stack: Make, steps: list[Any], ended: BaseException, said: str
) -> None:
    made, _ = stack(describe_stacks=[stack_at("CREATE_COMPLETE"), ended], describe_change_set=[change()])
    with pytest.raises(DeployError, match=rf"^{said}.* CloudFormation goes on with stack shop-dev by itself"):
        made.apply(steps.append)


def test_a_change_set_that_is_interrupted_while_it_is_made_goes(stack: Make, steps: list[Any]) -> None:
    made, told = stack(describe_stacks=[GONE], describe_change_set=[KeyboardInterrupt()])
    with pytest.raises(KeyboardInterrupt):
        made.apply(steps.append)
    assert [one for one in told.named() if one.startswith("delete_")] == ["delete_change_set", "delete_stack"]


def test_who_was_overtaken_is_told(stack: Make, steps: list[Any]) -> None:
    made, _ = stack(describe_change_set=[change()], execute_change_set=[refused("InvalidChangeSetStatus")])
    with pytest.raises(DeployError, match="somebody else has changed the stack meanwhile; run the command again"):
        made.apply(steps.append)


def test_the_first_failure_is_the_one_that_is_named(stack: Make, steps: list[Any]) -> None:
    failed = {**EVENT, "EventId": "2", "ResourceStatus": "CREATE_FAILED", "ResourceStatusReason": "quota of 5 exceeded"}
    after = {
        **failed,
        "EventId": "3",
        "LogicalResourceId": "Other",
        "ResourceStatusReason": "Resource creation cancelled",
    }
    made, _ = stack(
        describe_stacks=[stack_at("CREATE_COMPLETE"), stack_at("UPDATE_ROLLBACK_COMPLETE")],
        describe_change_set=[change()],
        describe_stack_events=[{"StackEvents": []}, {"StackEvents": [after, failed]}],
    )
    with pytest.raises(DeployError, match="AWS::SQS::Queue OrdersQueue: quota of 5 exceeded; stack shop-dev is UPDATE"):
        made.apply(steps.append)


@pytest.mark.parametrize(
    ("replacement", "action", "when"),
    [("True", "replace", ""), ("Conditional", "update", " if it is replaced, which CloudFormation does not rule out")],
)
def test_a_table_with_items_that_would_be_replaced_is_warned_of(
    stack: Make, clients: dict[str, Told], replacement: str, action: str, when: str
) -> None:
    made, _ = stack(describe_change_set=[change(Replacement=replacement, PhysicalResourceId="stock-1")])
    clients["dynamodb"] = Told({"describe_table": [{}], "scan": [{"Items": [{"id": {"S": "tea"}}]}]})
    (found,) = made.preview()
    assert found.action == action
    assert found.loses == f"stock-1 holds data, and{when} the app gets an empty one in its place; the old one stays"
    clients["dynamodb"].answers["scan"] = [{"Items": []}]
    assert made.preview()[0].loses == ""


@pytest.mark.parametrize(("type_", "loses"), [("S", False), ("N", True)])
def test_a_new_index_replaces_no_table(stack: Make, clients: dict[str, Told], type_: str, *, loses: bool) -> None:
    target = {"Attribute": "Properties", "Name": "AttributeDefinitions", "RequiresRecreation": "Conditionally"}
    more = {"Replacement": "Conditional", "PhysicalResourceId": "stock-1", "Details": [{"Target": target}]}
    made, _ = stack(describe_change_set=[change(**more)])
    attributes = [{"AttributeName": "id", "AttributeType": type_}, {"AttributeName": "maker", "AttributeType": "S"}]
    made.wanted["StockTable"] = {"Properties": {"AttributeDefinitions": attributes}}
    there = {"Table": {"AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}]}}
    clients["dynamodb"] = Told({"describe_table": [there], "scan": [{"Items": [{"id": {"S": "tea"}}]}]})
    assert bool(made.preview()[0].loses) == loses


def test_a_queue_with_messages_and_a_stream_are_lost_when_they_go(stack: Make, clients: dict[str, Told]) -> None:
    gone = {"Action": "Remove", "PhysicalResourceId": "https://sqs/q"}
    made, told = stack(describe_change_set=[change(ResourceType="AWS::SQS::Queue", **gone)])
    counts = dict.fromkeys(("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesDelayed"), "0")
    clients["sqs"] = Told({"get_queue_attributes": [{"Attributes": counts}]})
    assert made.preview()[0].loses == ""
    clients["sqs"].answers["get_queue_attributes"] = [{"Attributes": counts | {"ApproximateNumberOfMessages": "3"}}]
    assert made.preview()[0].loses == "https://sqs/q holds messages, and is deleted"
    told.answers["describe_change_set"] = [change(ResourceType="AWS::Kinesis::Stream", **gone)]
    assert "with its records" in made.preview()[0].loses


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            refused("ExpiredToken"),
            r"credentials for AWS have expired \(cloudformation describe_stacks\): aws sso login",
        ),
        (
            refused("InvalidClientTokenId"),
            r"does not know these credentials .*a region that an account has not turned on",
        ),
    ],
)
def test_credentials_that_are_no_good_are_the_users_to_mend(stack: Make, error: Exception, said: str) -> None:
    made, _ = stack(describe_stacks=[error])
    with pytest.raises(ConfigError, match=f"(?i){said}"):
        made.preview()


def test_a_region_that_is_none_is_named(stack: Make) -> None:
    made, _ = stack(describe_stacks=[EndpointConnectionError(endpoint_url="https://cloudformation.eu-wets-1")])
    with pytest.raises(DeployError, match="is eu-west-1 the region"):
        made.preview()


def test_a_large_template_goes_by_the_bucket(stack: Make, clients: dict[str, Told]) -> None:
    made, told = stack()
    made.wanted["OrdersQueue"]["Properties"] = {f"Key{number}": "x" * 1000 for number in range(60)}
    clients["sts"] = Told({"get_caller_identity": [{"Account": "123456789012"}]})
    clients["s3"] = Told(
        {
            "head_bucket": [{}],
            "head_object": [refused("404")],
            "put_object": [{}],
        }
    )
    clients["s3"].__dict__["generate_presigned_url"] = lambda *_: "https://bucket.s3/templates/shop/x.json?X-Amz=1"
    made.preview()
    asked = next(arguments for name, arguments in told.calls if name == "create_change_set")
    assert asked["TemplateURL"] == "https://bucket.s3/templates/shop/x.json"
    assert "TemplateBody" not in asked
    [put] = [arguments for name, arguments in clients["s3"].calls if name == "put_object"]
    assert put["Key"].startswith("templates/shop/")


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("301", "is in another region than the deployment"),
        ("403", "is another account's"),
        ("404", "is not there"),
    ],
)
def test_a_bucket_of_artifacts_that_cannot_be_used_says_why(clients: dict[str, Told], code: str, said: str) -> None:
    clients["sts"] = Told({"get_caller_identity": [{"Account": "123456789012"}]})
    clients["s3"] = Told({"head_bucket": [refused(code)]})
    chosen = Account(Place("dev", {"region": "eu-west-1", "artifacts": "acme-zips"}, {}))
    with pytest.raises(DeployError, match=f"the bucket of artifacts acme-zips {said}"):
        chosen.make_artifacts()


# --- the account's role for logs


STAGE = {"Stage": {"Type": "AWS::ApiGateway::Stage", "Properties": {"AccessLogSetting": {"DestinationArn": "x"}}}}


@pytest.fixture
def apigateway(clients: dict[str, Told]) -> Told:
    role = {"Role": {"Arn": "arn:aws:iam::123456789012:role/portable-api-gateway-logs"}}
    clients["iam"] = Told({"create_role": [role], "get_role": [role], "attach_role_policy": [{}]})
    clients["apigateway"] = Told({"get_account": [{}], "update_account": [{}]})
    return clients["apigateway"]


def test_an_account_gets_the_role_for_logs_once(apigateway: Told, clients: dict[str, Told], steps: list[Any]) -> None:
    logs = GatewayLogs(Account(PLACE), STAGE)
    assert [one.kind for one in logs.change()] == ["AWS::ApiGateway::Account"]
    early = refused("BadRequestException", "The role ARN does not have required permissions configured")
    apigateway.answers["update_account"] = [early, early, {}]  # IAM takes its time
    logs.make(steps.append)
    assert [one.state for one in steps] == ["started", "done"]
    trust = json.loads(clients["iam"].calls[0][1]["AssumeRolePolicyDocument"])
    assert trust["Statement"][0]["Principal"] == {"Service": "apigateway.amazonaws.com"}
    [patched] = apigateway.calls[-1][1]["patchOperations"]
    assert patched["value"].endswith(":role/portable-api-gateway-logs")
    clients["iam"].answers["create_role"] = [refused("EntityAlreadyExists")]  # of another region
    logs.make(steps.append)
    assert apigateway.calls[-1][1]["patchOperations"] == [patched]


def test_a_role_that_is_there_is_left_alone(apigateway: Told, steps: list[Any]) -> None:
    apigateway.answers["get_account"] = [{"cloudwatchRoleArn": "arn:aws:iam::123456789012:role/acme"}]
    logs = GatewayLogs(Account(PLACE), STAGE)
    assert logs.change() == []
    logs.make(steps.append)
    assert steps == []
    assert GatewayLogs(Account(PLACE), {}).change() == []
    assert "update_account" not in apigateway.named()


def test_who_may_not_set_it_is_told_the_way_out(apigateway: Told, clients: dict[str, Told], steps: list[Any]) -> None:
    clients["iam"].answers["create_role"] = [refused("AccessDenied")]
    with pytest.raises(DeployError, match=r"AccessDenied.*\[tool.portable.aws\] access_logs = false"):
        GatewayLogs(Account(PLACE), STAGE).make(steps.append)
    apigateway.answers["get_account"] = [refused("AccessDeniedException")]
    assert GatewayLogs(Account(PLACE), STAGE).change() == []
