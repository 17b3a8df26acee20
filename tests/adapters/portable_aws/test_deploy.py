"""From a project to a stack and back: built, deployed through CloudFormation, called by AWS's own runtime client."""

from __future__ import annotations

import json
import re
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent
from typing import Any

import msgspec
import pytest
import yaml

from portable.build.artifact import Wanted, build
from portable.build.project import find_project, merged
from portable.cli import main
from portable.deploy import Change, Place, Step
from portable.errors import ConfigError, DeployError
from portable.run import emulators
from portable.run.emulators import Emulator
from portable.run.parts import Found
from portable.run.target import Artifact, open_artifact
from portable_aws._sdk import Client
from portable_aws.build import TARGET
from portable_aws.deploy import DEPLOYER

APP = """\
from datetime import timedelta
from typing import Any

from portable import App, Backoff, BlobEvent, Change, Message, Tick

app = App("shop")
uploads = app.bucket("uploads")
seen = app.bucket("seen")
orders = app.queue("orders", max_attempts=2, retry=Backoff(timedelta(seconds=1)))
stock = app.table("stock", key="id")


@app.post("/orders/{name}")
def order(name: str) -> dict[str, str]:
    orders.send({"id": name, "total": 3})
    return {"queued": name}


@app.put("/stock/{name}")
def put_stock(name: str) -> None:
    stock.put({"id": name, "count": 1})


@app.on_message(orders, batch_size=10)
def take(message: Message[dict[str, Any]]) -> None:
    if message.body["total"] < 0:
        raise ValueError("a negative total")
    seen.write(f"orders/{message.body['id']}", str(message.attempt))


@app.on_blob(uploads, prefix="in/")
def store(event: BlobEvent) -> None:
    seen.write(f"blobs/{event.key}", uploads.read(event.key))


@app.on_change(stock)
def watch(change: Change[dict[str, Any]]) -> None:
    seen.write(f"changes/{change.kind}", str(change.key))


@app.on_schedule(every=timedelta(minutes=1))
def tick(tick: Tick) -> None:
    seen.write("ticks/last", tick.scheduled_at.isoformat())


@app.function()
def total(payload: dict[str, int]) -> int:
    return sum(payload.values())
"""
FUNCTIONS = ("Http", "Store", "Take", "Tick", "Total", "Watch")


class Deployed(msgspec.Struct):
    """A deployed app: how it is called, and what it left."""

    artifact: Artifact
    place: Place
    changes: list[Change]
    steps: list[Step]
    outputs: dict[str, str]
    log: Path

    def client(self, service: str) -> Any:
        return Client(service, self.place.environment).get()

    def request(self, method: str, path: str) -> tuple[int, bytes]:
        # The API's own host is no name of this machine's; ministack answers for it under this path too.
        api = self.outputs["HttpUrl"].removeprefix("http://").partition(".")[0]
        address = f"{self.place.environment['AWS_ENDPOINT_URL']}/_aws/execute-api/{api}/$default{path}"
        try:
            with urllib.request.urlopen(urllib.request.Request(address, method=method), timeout=60) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    def wait_for(self, key: str, seconds: float = 60) -> bytes:
        """A blob that a handler writes."""
        end = time.monotonic() + seconds
        s3 = self.client("s3")
        while True:
            listed = s3.list_objects_v2(Bucket=self.outputs["SeenBucket"]).get("Contents", ())
            if key in [one["Key"] for one in listed]:
                content: bytes = s3.get_object(Bucket=self.outputs["SeenBucket"], Key=key)["Body"].read()
                return content
            assert time.monotonic() < end, f"no {key} among {[one['Key'] for one in listed]}"
            time.sleep(0.3)


def write_project(root: Path, client: Found, python: Path) -> None:
    """The app, and its functions' real runtime client in the place of ministack's own worker."""
    (root / "app.py").write_text(APP)
    settings = """\
        [project]
        name = "shop"
        version = "1"

        [tool.portable]
        python = "3.13"

        [tool.portable.functions."*"]
        timeout = 10
    """
    (root / "pyproject.toml").write_text(dedent(settings))
    start = f'exec "{python}" -m awslambdaric "$_HANDLER"'
    (root / "bootstrap").write_text(
        f'#!/bin/sh\ncd "$LAMBDA_TASK_ROOT"\nexport PYTHONPATH="$LAMBDA_TASK_ROOT:{client.path}"\n{start}\n'
    )
    (root / "bootstrap").chmod(0o755)
    (root / "infra").mkdir()
    runtime = {"Properties": {"Runtime": "provided.al2023"}}
    resources: dict[str, Any] = {f"{name}Function": runtime for name in FUNCTIONS}
    resources["OrdersQueue"] = {"Properties": {"VisibilityTimeout": 12}}  # after the last attempt it is waited for
    overrides = {"template.yaml": {"Resources": resources}}
    (root / "infra" / "aws.json").write_text(json.dumps(overrides))


@pytest.fixture(scope="module")
def stack(require_part: Callable[..., Found], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    require_part("ministack")
    with emulators.ministack(log=tmp_path_factory.mktemp("ministack") / "log") as emulator:
        yield emulator


@pytest.fixture(scope="module")
def artifact(require_part: Callable[..., Found], tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    root = tmp_path_factory.mktemp("shop")
    write_project(root, require_part("awslambdaric", "3.13"), require_part("python", "3.13").path)
    return open_artifact(build(find_project(root), TARGET, Wanted()).folder)


@pytest.fixture(scope="module")
def deployed(stack: Emulator, artifact: Artifact) -> Deployed:
    place = Place("dev", {}, stack.environment)
    steps: list[Step] = []
    changes = list(DEPLOYER.preview(artifact, place))
    outputs = dict(DEPLOYER.apply(artifact, place, steps.append))
    return Deployed(artifact, place, changes, steps, outputs, stack.log)


def test_a_change_set_is_shown_before_and_every_resource_while_it_is_made(deployed: Deployed) -> None:
    wanted = {(one.kind, one.name) for one in deployed.changes}
    assert {one.action for one in deployed.changes} == {"create"}
    assert ("AWS::Lambda::Function", "TakeFunction") in wanted
    done = {(one.kind, one.name) for one in deployed.steps if one.state == "done"}
    assert wanted <= done
    assert not [one for one in deployed.steps if one.state == "failed"]


def test_the_same_again_changes_nothing(deployed: Deployed) -> None:
    assert list(DEPLOYER.preview(deployed.artifact, deployed.place)) == []
    assert DEPLOYER.apply(deployed.artifact, deployed.place, lambda _: None) == deployed.outputs


def test_a_request_reaches_its_handler_and_the_queue_behind_it(deployed: Deployed) -> None:
    assert deployed.request("POST", "/orders/a") == (200, b'{"queued":"a"}')
    assert deployed.wait_for("orders/a") == b"1"
    status, problem = deployed.request("GET", "/nowhere")
    assert status == 404
    assert json.loads(problem)["status"] == 404  # the app's own


def test_an_upload_reaches_its_handler_and_no_other_upload_does(deployed: Deployed) -> None:
    bucket = deployed.outputs["UploadsBucket"]
    deployed.client("s3").put_object(Bucket=bucket, Key="out/cat", Body=b"no")
    deployed.client("s3").put_object(Bucket=bucket, Key="in/cat", Body=b"meow")
    assert deployed.wait_for("blobs/in/cat") == b"meow"
    listed = deployed.client("s3").list_objects_v2(Bucket=deployed.outputs["SeenBucket"], Prefix="blobs/")
    assert [one["Key"] for one in listed["Contents"]] == ["blobs/in/cat"]


def test_of_a_batch_the_failed_message_alone_comes_again_and_ends_among_the_dead(deployed: Deployed) -> None:
    sqs = deployed.client("sqs")
    bodies = [{"id": "bad", "total": -1}, {"id": "good", "total": 1}]
    entries = [{"Id": one["id"], "MessageBody": json.dumps(one)} for one in bodies]
    sqs.send_message_batch(QueueUrl=deployed.outputs["OrdersQueue"], Entries=entries)
    assert deployed.wait_for("orders/good") == b"1"  # and it stays the first attempt
    end = time.monotonic() + 90
    while True:
        told = sqs.receive_message(QueueUrl=deployed.outputs["OrdersQueueDeadLetters"], WaitTimeSeconds=1)
        if dead := told.get("Messages"):
            break
        assert time.monotonic() < end, f"no dead letter: {deployed.log.read_text()[-3000:]}"
    assert [json.loads(one["Body"])["id"] for one in dead] == ["bad"]
    assert deployed.wait_for("orders/good") == b"1"


def test_a_change_of_a_table_reaches_its_handler(deployed: Deployed) -> None:
    assert deployed.request("PUT", "/stock/tea")[0] == 204
    assert deployed.wait_for("changes/insert") == b"tea"


def test_a_function_is_called_by_its_name(deployed: Deployed) -> None:
    answer = deployed.client("lambda").invoke(FunctionName=deployed.outputs["TotalFunction"], Payload=b'{"a":1,"b":2}')
    assert json.loads(answer["Payload"].read()) == 3


@pytest.mark.slow
def test_a_schedule_reaches_its_handler(deployed: Deployed) -> None:
    assert deployed.wait_for("ticks/last", seconds=150).endswith(b"+00:00")


def test_what_cannot_be_made_is_named_with_the_reason_and_mended_by_the_next(
    stack: Emulator, artifact: Artifact, tmp_path: Path
) -> None:
    place = Place("broken", {"stack": "shop-broken"}, stack.environment)
    steps: list[Step] = []
    wrong = {"Type": "AWS::SSM::Parameter", "Properties": {"Type": "SecureString", "Value": "v"}}
    broken = _changed(artifact, tmp_path / "broken", {"Resources": {"Wrong": wrong}})
    with pytest.raises(DeployError, match=r"AWS::SSM::Parameter Wrong: .*SecureString.*; stack shop-broken is "):
        DEPLOYER.apply(broken, place, steps.append)
    assert next(one.name for one in steps if one.state == "failed") == "Wrong"
    assert "TakeFunction" in DEPLOYER.apply(artifact, place, lambda _: None)
    DEPLOYER.destroy(artifact, place, lambda _: None, with_data=True)


def test_what_nobody_says_is_asked_for_before_anything_is_touched(
    stack: Emulator, artifact: Artifact, tmp_path: Path
) -> None:
    vpc = {"VpcId": {"Type": "String", "Description": "The VPC"}}
    asking = _changed(artifact, tmp_path / "asking", {"Parameters": vpc})
    place = Place("asking", {"parameters": {"VpcID": "vpc-1"}}, stack.environment)
    with pytest.raises(ConfigError, match=r"VpcID: no such parameter.*VpcId"):
        DEPLOYER.preview(asking, place)
    with pytest.raises(ConfigError, match=r'The VPC: nobody says it; \[tool.portable.aws.parameters\] VpcId = "…"'):
        DEPLOYER.apply(asking, Place("asking", {}, stack.environment), lambda _: None)
    assert DEPLOYER.holding(asking, place) == []


def test_without_a_region_or_a_template_it_is_said_how(artifact: Artifact, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r'\[tool.portable.aws\] region = "…"'):
        DEPLOYER.preview(artifact, Place("dev", {}, {}))
    bare = _changed(artifact, tmp_path / "bare", {})
    (bare.folder / "infra" / "template.yaml").unlink()
    with pytest.raises(ConfigError, match=r"no infra/template.yaml"):
        DEPLOYER.preview(bare, Place("dev", {"region": "eu-west-1"}, {}))


def test_what_holds_data_stays_unless_it_is_told_twice(stack: Emulator, artifact: Artifact) -> None:
    place = Place("gone", {}, stack.environment)
    outputs = DEPLOYER.apply(artifact, place, lambda _: None)
    s3, dynamodb = Client("s3", place.environment).get(), Client("dynamodb", place.environment).get()
    bucket, table = outputs["SeenBucket"], outputs["StockTable"]
    s3.put_object(Bucket=bucket, Key="k", Body=b"v")
    dynamodb.put_item(TableName=table, Item={"id": {"S": "tea"}})
    assert sorted(DEPLOYER.holding(artifact, place)) == [f"AWS::DynamoDB::Table {table}", f"AWS::S3::Bucket {bucket}"]
    steps: list[Step] = []
    DEPLOYER.destroy(artifact, place, steps.append, with_data=False)
    assert {one.name for one in steps if one.detail == "kept: it holds data"} == {bucket, table}
    left = [one["Name"] for one in s3.list_buckets()["Buckets"]]
    assert bucket in left
    assert outputs["UploadsBucket"] not in left
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"v"
    assert dynamodb.get_item(TableName=table, Key={"id": {"S": "tea"}})["Item"]
    DEPLOYER.destroy(artifact, place, steps.append, with_data=False)  # what is not there is no error

    again = DEPLOYER.apply(artifact, place, lambda _: None)
    s3.put_object(Bucket=again["SeenBucket"], Key="k", Body=b"v")
    DEPLOYER.destroy(artifact, place, lambda _: None, with_data=True)
    left = [one["Name"] for one in s3.list_buckets()["Buckets"]]
    assert not {again["SeenBucket"], again["UploadsBucket"]} & set(left)
    functions = Client("lambda", place.environment).get().list_functions()["Functions"]
    assert not [one for one in functions if one["FunctionName"].startswith("shop-gone")]


@pytest.mark.slow
def test_a_large_template_with_an_api_that_logs(stack: Emulator, artifact: Artifact, tmp_path: Path) -> None:
    """It goes by the bucket of artifacts, and the account gets the role that such an API logs with, once."""
    api = {"RestApiId": {"Ref": "Api"}}
    mock = {"HttpMethod": "GET", "ResourceId": {"Fn::GetAtt": ["Api", "RootResourceId"]}, "AuthorizationType": "NONE"}
    logs = {"DestinationArn": {"Fn::GetAtt": ["ApiLogs", "Arn"]}, "Format": '{"status":"$context.status"}'}
    stage = {**api, "DeploymentId": {"Ref": "Deployment"}, "StageName": "live", "AccessLogSetting": logs}
    more: dict[str, Any] = {
        "Api": {"Type": "AWS::ApiGateway::RestApi", "Properties": {"Name": "large"}},
        "ApiLogs": {"Type": "AWS::Logs::LogGroup", "Properties": {}},
        "Get": {"Type": "AWS::ApiGateway::Method", "Properties": {**api, **mock, "Integration": {"Type": "MOCK"}}},
        "Deployment": {"Type": "AWS::ApiGateway::Deployment", "Properties": api, "DependsOn": ["Get"]},
        "Stage": {"Type": "AWS::ApiGateway::Stage", "Properties": stage},
    }
    for number in range(60):
        value = {"Type": "String", "Value": "x" * 1000}
        more[f"Value{number}"] = {"Type": "AWS::SSM::Parameter", "Properties": value}
    large, place = _changed(artifact, tmp_path / "large", {"Resources": more}), Place("large", {}, stack.environment)
    role = Change(
        "create",
        "AWS::ApiGateway::Account",
        "CloudWatchRoleArn",
        "role portable-api-gateway-logs, which lets this account's APIs write logs; it stays",
    )
    assert DEPLOYER.preview(large, place)[0] == role
    DEPLOYER.apply(large, place, lambda _: None)
    told = Client("apigateway", place.environment).get().get_account()
    assert told["cloudwatchRoleArn"].endswith(":role/portable-api-gateway-logs")
    assert list(DEPLOYER.preview(large, place)) == []
    listed = Client("s3", place.environment).get().list_objects_v2(Bucket=_artifacts(place), Prefix="templates/")
    assert listed["KeyCount"] == 1
    DEPLOYER.destroy(large, place, lambda _: None, with_data=True)


def _artifacts(place: Place) -> str:
    names: list[str] = [one["Name"] for one in Client("s3", place.environment).get().list_buckets()["Buckets"]]
    return next(name for name in names if name.startswith("portable-artifacts-"))


@pytest.mark.slow
def test_the_commands(
    stack: Emulator, artifact: Artifact, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in stack.environment.items():
        monkeypatch.setenv(name, value)
    root = artifact.folder.parent.parent
    asked = ["--target", "aws", "--project", str(root)]
    assert main(["destroy", *asked, "--yes", "--delete-data"]) == 0
    capsys.readouterr()
    assert main(["deploy", *asked, "--dry-run"]) == 0
    said = capsys.readouterr().out
    assert "+ AWS::Lambda::Function TakeFunction" in said
    assert re.search(r"^to account \d{12}, [a-z]+-[a-z]+-\d, stack shop-dev$", said, re.MULTILINE)
    assert main(["deploy", *asked, "--yes"]) == 0
    said = capsys.readouterr().out
    assert "✓ AWS::Lambda::Function TakeFunction" in said
    assert "TakeFunction: shop-dev-TakeFunction" in said
    assert main(["destroy", *asked, "--yes", "--delete-data"]) == 0
    assert "✓ AWS::S3::Bucket" in capsys.readouterr().out


def _changed(artifact: Artifact, folder: Path, over: dict[str, Any]) -> Artifact:
    """The same artifact with another template."""
    shutil.copytree(artifact.folder, folder, symlinks=True)
    file = folder / "infra" / "template.yaml"
    file.write_text(yaml.safe_dump(merged(yaml.safe_load(file.read_text()), over)))
    return open_artifact(folder)
