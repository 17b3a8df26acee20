"""Infrastructure files: what a template says, and that the tools which read such files take every form of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from portable import App, ConfigError
from portable.build.deployment import Deployment, describe_deployment
from portable.build.description import describe_project
from portable.build.infrastructure import infrastructure_files
from portable.build.project import find_project
from portable.build.settings import FunctionSettings
from portable.manifest import Manifest, describe_app
from portable.run.parts import Found
from portable.security import JWTBearer
from portable_aws.build import TARGET
from portable_aws.infrastructure import FORMS, template_of
from portable_aws.infrastructure.access_logs import writes_by_account
from portable_aws.infrastructure.terraform_types import kinds_of

FRONTS = ("http-api", "rest-api", "alb", "function-url")
CFN_LINT = "from cfnlint.runner import main; main()"
EXAMPLES = Path(__file__).parents[3] / "examples"


def event(value: Any) -> None:
    """A handler that takes anything."""


bearer = JWTBearer(issuer="https://issuer.example/", audience="shop", name="members")


def maximal(*, front: str = "http-api") -> App:
    """Everything AWS has an answer to."""
    app = App("maximal-app")
    uploads, archive = app.bucket("uploads"), app.bucket("daily-archive")
    orders = app.queue("orders", max_attempts=7, large=archive)
    ordered = app.queue("in-order", ordered=True)
    lost = app.queue("lost")
    signups = app.topic("signups")
    rounds = app.topic("rounds", ordered=True)
    users = app.table("users", key="team", sort="email", indexes={"by-plan": ("plan", "email")}, ttl="until")
    clicks = app.stream("clicks", partitions=3)
    people = app.sockets("people")
    mailer_key = app.secret("mailer-key")
    app.config("limit", int)
    app.config("greeting", default="hello")
    app.cache("limits")
    app.get("/users/{name}", memory=256, timeout=timedelta(seconds=20))(lambda name: uploads.read(name))
    app.post("/users/{name}")(lambda name: None)
    app.get("/files/{rest:path}", function="files")(lambda rest: orders.send([rest, mailer_key.value()]))
    if front != "alb":
        app.get("/private", auth="cloud", function="private")(lambda: None)
    app.on_message(orders, batch_size=100, function="take")(event)
    app.on_message(ordered, function="take-in-order")(event)
    app.on_message(signups, filter={"plan": ["pro", "team"]}, function="greet")(event)
    app.on_message(rounds, function="deal")(event)
    app.on_blob(uploads, prefix="in/", suffix=".png", function="thumb")(event)
    app.on_blob(archive, kinds=["created", "deleted"], function="index")(event)
    app.on_change(users, old=True, function="audit")(event)
    app.on_stream(clicks, dead_letters=lost, window=timedelta(seconds=5), bisect=True, function="count")(event)
    app.on_schedule(cron="30 8 1 * 1", timezone="Europe/Paris", function="report")(event)
    app.on_schedule(every=timedelta(hours=1), function="sweep")(event)
    app.websocket("/chat", sockets=people, function="talk")(event)
    app.function("recount")(event)
    return app


def describe(app: App) -> Manifest:
    return describe_app(app, "probe_infrastructure:app", Path(__file__).parent)


def deployment(app: App, *, form: str = "sam", **more: Any) -> Deployment:
    manifest = describe(app)
    settings = more.pop("settings", {})
    told = {one.name: FunctionSettings(memory=one.memory, timeout=one.timeout) for one in manifest.functions}
    bundles = TARGET.bundles(manifest, settings)
    return Deployment(
        app=manifest.app,
        stage=more.pop("stage", "dev"),
        target="aws",
        manifest=manifest,
        functions=told | more.pop("functions", {}),
        settings=settings,
        bundles=bundles,
        python="3.13",
        arch="x86_64",
        digests={one.zip_name: "0" * 64 for one in bundles},
        form=form,
        **more,
    )


EXISTING = {
    "bucket:daily-archive": "acme-archive",
    "bucket:uploads": "acme-uploads",
    "queue:orders": "acme-orders",
    "queue:in-order": "https://sqs.eu-west-1.amazonaws.com/123456789012/acme.fifo",
    "table:users": "acme-users",
    "topic:signups": "arn:aws:sns:eu-west-1:123456789012:acme-signups",
    "secret:mailer-key": "ssm:/acme/key",
    "config:limit": "ssm:/acme/limit",
    "cache:limits": "rediss://cache.example:6379",
    "stream:clicks": "acme-clicks",
    "sockets:people": "https://abc123.execute-api.eu-west-1.amazonaws.com/live",
}

VARIANTS: Mapping[str, Mapping[str, Any]] = {
    "http-api": {"functions": {"http": FunctionSettings(min_instances=2, max_instances=9, storage=2048, arch="arm64")}},
    "rest-api": {"settings": {"http": "rest-api", "blob": "s3-eventbridge"}},
    "alb": {"settings": {"http": "alb", "schedule": "eventbridge-rule"}},
    "function-url": {"settings": {"http": "function-url"}},
    "msk": {"settings": {"stream": "msk"}},
    "kafka": {"settings": {"stream": "kafka", "runtime": "portable"}},
    "existing": {"settings": {"blob": "s3-eventbridge"}, "existing": EXISTING, "stage": "prod"},
    "image": {"image": "123456789012.dkr.ecr.eu-west-1.amazonaws.com/shop@sha256:" + "0" * 64},
}


def variant(name: str, form: str = "sam") -> Deployment:
    front = name if name in FRONTS else "http-api"
    return deployment(maximal(front=front), form=form, **VARIANTS[name])


def write(told: Deployment, folder: Path) -> Path:
    """The files of a form, under ``infra``."""
    folder.mkdir(parents=True)
    for path, content in infrastructure_files(TARGET, told, folder).items():
        file = folder / path
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(content)
    return folder / "infra"


def resources(app: App, **more: Any) -> dict[str, Any]:
    found: dict[str, Any] = template_of(deployment(app, **more))["Resources"]
    return found


def of_type(found: Mapping[str, Any], kind: str) -> dict[str, Any]:
    return {name: one["Properties"] for name, one in found.items() if one["Type"] == kind}


def allowed(found: Mapping[str, Any], function: str) -> list[dict[str, Any]]:
    policy = found[f"{function}Role"]["Properties"]["Policies"][0]["PolicyDocument"]
    statements: list[dict[str, Any]] = policy["Statement"]
    return statements


def actions(found: Mapping[str, Any], function: str) -> set[str]:
    return {action for one in allowed(found, function) for action in one["Action"]}


# --- what it says


def test_each_function_has_its_own_role_log_group_and_handler() -> None:
    found = resources(maximal())
    functions = of_type(found, "AWS::Lambda::Function")
    assert functions["TakeInOrderFunction"]["Handler"] == "portable_entry.take_in_order"
    assert functions["HttpFunction"]["Runtime"] == "python3.13"
    for name, said in functions.items():
        assert said["Role"] == {"Fn::GetAtt": [f"{name}Role", "Arn"]}
        assert said["LoggingConfig"] == {"LogGroup": {"Ref": f"{name}Logs"}}
        assert found[f"{name}Logs"]["Properties"]["RetentionInDays"] == 30


@pytest.mark.parametrize(("asked", "kept"), [(1, 1), (8, 14), (31, 60), (9999, 3653)])
def test_logs_are_kept_as_long_as_asked_or_a_little_longer(asked: int, kept: int) -> None:
    found = resources(maximal(), retention_days=asked)
    assert {one["RetentionInDays"] for one in of_type(found, "AWS::Logs::LogGroup").values()} == {kept}


def test_settings_of_a_function() -> None:
    said = FunctionSettings(
        memory=1024,
        timeout=12.5,
        min_instances=2,
        max_instances=5,
        environment={"LEVEL": "info"},
        storage=2048,
        arch="arm64",
    )
    found = resources(maximal(), functions={"take": said})
    function = found["TakeFunction"]["Properties"]
    assert (function["MemorySize"], function["Timeout"], function["Architectures"]) == (1024, 13, ["arm64"])
    assert (function["EphemeralStorage"], function["ReservedConcurrentExecutions"]) == ({"Size": 2048}, 5)
    assert function["Environment"]["Variables"]["LEVEL"] == "info"
    assert function["Environment"]["Variables"]["PORTABLE_STAGE"] == "dev"
    alias = found["TakeFunctionAlias"]["Properties"]
    assert alias["ProvisionedConcurrencyConfig"] == {"ProvisionedConcurrentExecutions": 2}
    mapping = found["TakeFunctionMapping"]["Properties"]
    assert mapping["FunctionName"] == {"Ref": "TakeFunctionAlias"}  # events go where instances are warm
    assert mapping["ScalingConfig"] == {"MaximumConcurrency": 5}
    assert found["OrdersQueue"]["Properties"]["VisibilityTimeout"] == 78


def test_a_version_is_made_anew_when_the_code_is_new() -> None:
    warm = {"take": FunctionSettings(min_instances=1)}
    one = deployment(maximal(), functions=warm)
    other = msgspec.structs.replace(one, digests={"bundle.zip": "1" * 64})
    names = [next(iter(of_type(template_of(each)["Resources"], "AWS::Lambda::Version"))) for each in (one, other, one)]
    assert names[0] == names[2] != names[1]


def test_a_function_sees_the_addresses_of_what_it_uses_and_of_nothing_else() -> None:
    found = resources(maximal())
    told = {name: set(one["Environment"]["Variables"]) for name, one in of_type(found, "AWS::Lambda::Function").items()}
    common = {
        "PORTABLE_STAGE",
        "PORTABLE_CONFIG_LIMIT",  # these nobody was seen to use, so that everybody may
        "PORTABLE_CACHE_LIMITS",
    }
    assert told["RecountFunction"] == common
    assert told["GreetFunction"] == common | {
        "PORTABLE_TOPIC_SIGNUPS",
        "PORTABLE_SUBSCRIPTION_SIGNUPS_GREET",
        "PORTABLE_SUBSCRIPTIONDEADLETTER_SIGNUPS_GREET",
    }
    assert {"PORTABLE_QUEUE_ORDERS", "PORTABLE_DEADLETTER_ORDERS", "PORTABLE_BUCKET_DAILY_ARCHIVE"} <= told[
        "FilesFunction"
    ]


@pytest.mark.parametrize("name", VARIANTS)
def test_no_policy_is_wider_than_one_resource(name: str) -> None:
    found = template_of(variant(name))["Resources"]
    for role in of_type(found, "AWS::IAM::Role").values():
        for policy in role["Policies"]:
            for one in policy["PolicyDocument"]["Statement"]:
                listed = [one["Action"]] if isinstance(one["Action"], str) else one["Action"]
                assert not [action for action in listed if "*" in action]
                wide = one["Resource"] in ("*", ["*"])
                assert not wide or all(action.startswith("ec2:") for action in listed)  # they know no resources


def test_a_trigger_brings_what_it_needs_of_its_source() -> None:
    found = resources(maximal())
    assert {"sqs:ReceiveMessage", "sqs:DeleteMessage"} <= actions(found, "TakeFunction")
    assert {"kinesis:GetRecords", "sqs:SendMessage"} <= actions(found, "CountFunction")
    assert "dynamodb:GetRecords" in actions(found, "AuditFunction")
    assert "dynamodb:GetRecords" not in actions(found, "TakeFunction")
    listens = next(one for one in allowed(found, "GreetFunction") if "sqs:ReceiveMessage" in one["Action"])
    assert listens["Resource"] == [{"Fn::GetAtt": ["SignupsGreetSubscriptionQueue", "Arn"]}]


def test_queues_and_topics() -> None:
    found = resources(maximal())
    orders = found["OrdersQueue"]["Properties"]
    assert orders["RedrivePolicy"]["maxReceiveCount"] == 7
    assert orders["RedrivePolicy"]["deadLetterTargetArn"] == {"Fn::GetAtt": ["OrdersQueueDeadLetters", "Arn"]}
    mapping = found["TakeFunctionMapping"]["Properties"]
    assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert (mapping["BatchSize"], mapping["MaximumBatchingWindowInSeconds"]) == (100, 1)
    fifo = found["InOrderQueue"]["Properties"]
    assert fifo["FifoQueue"] is True
    assert fifo["QueueName"] == "maximal-app-dev-in-order.fifo"
    assert found["TakeInOrderFunctionMapping"]["Properties"]["BatchSize"] <= 10
    subscription = found["SignupsGreetSubscription"]["Properties"]
    assert subscription["FilterPolicy"] == {"plan": ["pro", "team"]}
    assert subscription["RawMessageDelivery"] is True
    assert found["RoundsTopic"]["Properties"]["FifoTopic"] is True


def test_what_holds_data_outlives_the_stack_and_is_private() -> None:
    found = resources(maximal())
    for kind in ("AWS::S3::Bucket", "AWS::DynamoDB::Table", "AWS::SecretsManager::Secret"):
        for name in of_type(found, kind):
            assert found[name]["UpdateReplacePolicy"] == "Retain"
            assert found[name]["DeletionPolicy"] == "RetainExceptOnCreate"
    for bucket in of_type(found, "AWS::S3::Bucket").values():
        assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
    secret = found["MailerKeySecret"]["Properties"]
    assert set(secret) == {"Description"}  # and no value


def test_a_table_with_keys_index_stream_and_time_to_live() -> None:
    table = resources(maximal())["UsersTable"]["Properties"]
    assert table["StreamSpecification"] == {"StreamViewType": "NEW_AND_OLD_IMAGES"}
    assert table["TimeToLiveSpecification"] == {"AttributeName": "until", "Enabled": True}
    assert [one["IndexName"] for one in table["GlobalSecondaryIndexes"]] == ["by-plan"]


def test_a_schedule_in_its_zone() -> None:
    found = of_type(resources(maximal()), "AWS::Scheduler::Schedule")
    told = {one["ScheduleExpression"]: one["ScheduleExpressionTimezone"] for one in found.values()}
    assert told == {
        "cron(30 8 1 * ? *)": "Europe/Paris",
        "cron(30 8 ? * 2 *)": "Europe/Paris",
        "rate(1 hour)": "UTC",
    }


def routes(found: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Of the HTTP API, by their keys."""
    every = of_type(found, "AWS::ApiGatewayV2::Route").values()
    return {one["RouteKey"]: one for one in every if one["ApiId"] == {"Ref": "HttpApi"}}


def test_one_function_takes_every_path_so_that_a_404_is_the_apps() -> None:
    app = App("plain")
    app.get("/users/{name}")(lambda name: None)
    assert set(routes(resources(app))) == {"$default"}


def test_where_a_route_asks_for_iam_no_other_route_leads_round_it() -> None:
    found = routes(resources(maximal()))
    assert "$default" not in found
    assert found["GET /private"]["AuthorizationType"] == "AWS_IAM"
    assert found["HEAD /private"]["AuthorizationType"] == "AWS_IAM"
    assert found["GET /users/{name}"]["AuthorizationType"] == "NONE"
    assert found["GET /files/{rest+}"]["Target"] == {"Fn::Sub": "integrations/${FilesFunctionIntegration}"}


def guarded_app() -> App:
    app = App("guarded")
    app.middleware(bearer)
    app.get("/mine")(lambda: None)
    return app


def guarded(form: str = "sam") -> Deployment:
    return deployment(guarded_app(), form=form)


def authorized(form: str = "sam", http: str = "http-api") -> Deployment:
    """With the check as a Lambda authorizer."""
    app = guarded_app()
    spec = describe(app).guards[0].spec
    return deployment(app, form=form, settings={"authorizer": spec, "http": http})


def test_tokens_are_checked_at_the_gate_too() -> None:
    found = resources(guarded_app())
    (authorizer,) = of_type(found, "AWS::ApiGatewayV2::Authorizer")
    assert routes(found)["GET /mine"]["AuthorizerId"] == {"Ref": authorizer}
    assert routes(found)["HEAD /mine"]["AuthorizerId"] == {"Ref": authorizer}


def test_a_lambda_authorizer_stands_before_what_asks_for_it() -> None:
    found = template_of(authorized())["Resources"]
    assert routes(found)["GET /mine"]["AuthorizationType"] == "CUSTOM"
    assert found["AuthorizerFunction"]["Properties"]["Handler"] == "portable_authorizer.handler"
    methods = of_type(template_of(authorized(http="rest-api"))["Resources"], "AWS::ApiGateway::Method")
    assert {one["AuthorizationType"] for one in methods.values()} == {"CUSTOM"}


def test_every_api_logs_its_requests() -> None:
    for name in ("http-api", "rest-api"):
        found = template_of(variant(name))["Resources"]
        for kind, said in (("ApiGateway", "AccessLogSetting"), ("ApiGatewayV2", "AccessLogSettings")):
            for stage in of_type(found, f"AWS::{kind}::Stage").values():
                group = stage[said]["DestinationArn"]["Fn::GetAtt"][0]
                assert found[group]["Properties"] == {"RetentionInDays": 30}
                line = json.loads(stage[said]["Format"])
                assert line["status"] == "$context.status"
        assert writes_by_account(found)
    none = template_of(deployment(maximal(), settings={"access_logs": False}))["Resources"]
    assert not writes_by_account(none)
    assert "AccessLogSettings" not in none["HttpApiStage"]["Properties"]
    plain = App("plain")
    plain.get("/")(lambda: None)
    assert not writes_by_account(resources(plain))  # an HTTP API needs no role of the account's


def test_a_front_waits_for_the_longest_of_its_functions() -> None:
    app = App("patient")
    app.get("/slow", function="slow", timeout=timedelta(seconds=300))(lambda: None)
    app.get("/fast", function="fast")(lambda: None)
    balancer = resources(app, settings={"http": "alb"})["LoadBalancer"]["Properties"]["LoadBalancerAttributes"]
    assert {"Key": "idle_timeout.timeout_seconds", "Value": "305"} in balancer
    app = App("streaming")
    app.get("/", stream=True, timeout=timedelta(seconds=300))(lambda: iter(()))
    found = resources(app, settings={"http": "rest-api", "runtime": "portable"})
    waits = {one["Integration"]["TimeoutInMillis"] for one in of_type(found, "AWS::ApiGateway::Method").values()}
    assert waits == {300_000}


def test_what_no_stack_can_hold_is_said_by_the_build(tmp_path: Path) -> None:
    app = App("many")
    for number in range(170):
        app.function(f"work-{number}")(event)
    with pytest.raises(ConfigError, match=r"no stack of 510 resources, and 500 are the most .*170 AWS::.*function='…'"):
        write(deployment(app), tmp_path / "sam")
    write(deployment(app, form="terraform"), tmp_path / "terraform")
    large = {f"work-{number}": FunctionSettings(environment={"X": "x" * 8000}) for number in range(150)}
    app = App("large")
    for number in range(150):
        app.function(f"work-{number}")(event)
    with pytest.raises(ConfigError, match=r"1,\d{3},\d{3} bytes, and 1,048,576 are the most"):
        write(deployment(app, functions=large), tmp_path / "large")


def test_what_exists_is_used_and_not_made() -> None:
    template = template_of(variant("existing"))
    found = template["Resources"]
    gone = ("DailyArchiveBucket", "OrdersQueue", "UsersTable", "SignupsTopic", "MailerKeySecret", "LimitConfig")
    assert not set(gone) & set(found)
    assert "UsersTableStreamArn" in template["Parameters"]
    variables = found["FilesFunction"]["Properties"]["Environment"]["Variables"]
    assert variables["PORTABLE_BUCKET_DAILY_ARCHIVE"] == "s3://acme-archive"
    assert variables["PORTABLE_QUEUE_ORDERS"] == {
        "Fn::Sub": "https://sqs.${AWS::Region}.${AWS::URLSuffix}/${AWS::AccountId}/acme-orders"
    }
    assert "PORTABLE_DEADLETTER_ORDERS" not in variables
    said = json.dumps(allowed(found, "FilesFunction"))
    assert "parameter/acme/key" in said
    assert "secretsmanager" not in said


def test_a_bucket_that_exists_cannot_be_told_to_notify() -> None:
    with pytest.raises(ConfigError, match=r"test_infrastructure.py:\d+: bucket uploads exists already.*s3-eventbridge"):
        resources(maximal(), existing={"bucket:uploads": "acme"})


def test_names_that_come_to_one_are_refused() -> None:
    app = App("twins")
    app.function("a-1b")(event)
    app.function("a1b")(event)
    with pytest.raises(ConfigError, match=r"both are A1bFunction"):
        resources(app)


def test_a_rest_api_refuses_two_kinds_of_parameter_in_one_place() -> None:
    app = App("clash")
    app.get("/a/{name}", function="one")(lambda name: None)
    app.get("/a/{rest:path}", function="two")(lambda rest: None)
    with pytest.raises(ConfigError, match=r"below one path a REST API has"):
        resources(app, settings={"http": "rest-api"})


def test_equal_inputs_give_equal_files(tmp_path: Path) -> None:
    for form in FORMS:
        one, other = (write(variant("msk", form), tmp_path / f"{form}-{n}") for n in (1, 2))
        assert {file.name: file.read_bytes() for file in one.iterdir()} == {
            file.name: file.read_bytes() for file in other.iterdir()
        }


def test_an_image(tmp_path: Path) -> None:
    function = template_of(variant("image"))["Resources"]["TakeFunction"]["Properties"]
    assert function["PackageType"] == "Image"
    assert function["ImageConfig"] == {"Command": ["portable_entry.take"]}
    assert not {"Runtime", "Handler"} & set(function)
    with pytest.raises(ConfigError, match="deploys zips"):
        write(variant("image", "serverless"), tmp_path / "image")


# --- what reads it


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The template of every variant and of every example, a folder each."""
    root = tmp_path_factory.mktemp("templates")
    for name in VARIANTS:
        write(variant(name), root / name)
    write(streaming(), root / "streaming")
    write(guarded(), root / "guarded")
    for http in ("http-api", "rest-api"):
        write(authorized(http=http), root / f"authorizer-{http}")
    for example in sorted(one for one in EXAMPLES.iterdir() if (one / "app.py").is_file()):
        write(of_example(example), root / example.name)
    return root


def of_example(folder: Path, form: str = "sam") -> Deployment:
    project = find_project(folder)
    manifest = describe_project(project).manifest
    bundles = TARGET.bundles(manifest, {})
    digests = {one.zip_name: "0" * 64 for one in bundles}
    return describe_deployment(
        project, TARGET, manifest, bundles, python="3.13", arch="x86_64", form=form, digests=digests
    )


def tool(part: Found, *arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """A tool that is a Python package, in a process of its own."""
    told = {**os.environ, "PYTHONPATH": str(part.path), "AWS_DEFAULT_REGION": "eu-west-1", **environment}
    return subprocess.run(
        [sys.executable, *map(str, arguments)], env=told, capture_output=True, text=True, timeout=170, check=False
    )


def lint(part: Found, files: Iterable[Path]) -> None:
    done = tool(part, "-c", CFN_LINT, *files)
    assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr


def test_cfn_lint_finds_nothing(require_part: Callable[..., Found], written: Path) -> None:
    lint(require_part("cfn-lint"), [written / "http-api" / "infra" / "template.yaml"])


@pytest.mark.slow
def test_cfn_lint_finds_nothing_in_any_variant_or_example(require_part: Callable[..., Found], written: Path) -> None:
    lint(require_part("cfn-lint"), sorted(written.glob("*/infra/template.yaml")))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["http-api", "rest-api", "accounts", "chat", "thumbnails"])
def test_sam_validate_finds_nothing(require_part: Callable[..., Found], written: Path, name: str) -> None:
    part = require_part("aws-sam-cli")
    file = written / name / "infra" / "template.yaml"
    done = tool(part, "-m", "samcli", "validate", "--lint", "-t", file, SAM_CLI_TELEMETRY="0")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "is a valid SAM Template" in done.stdout


@pytest.fixture(scope="module")
def terraform(require_part: Callable[..., Found], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which Terraform finds the real provider."""
    require_part("terraform")
    mirror = require_part("terraform-aws").path
    folder = tmp_path_factory.mktemp("terraform")
    (folder / "rc").write_text(f'provider_installation {{\n  filesystem_mirror {{ path = "{mirror}" }}\n}}\n')
    return folder


def streaming(form: str = "sam", http: str = "rest-api") -> Deployment:
    """Answers that stream."""
    app = App("streaming")
    app.get("/", stream=True, timeout=timedelta(seconds=300))(lambda: iter(()))
    return deployment(app, form=form, settings={"http": http, "runtime": "portable"})


NEWER = {"invoked_via_function_url", "response_transfer_mode"}
"""Arguments of the provider's from 6.29 on, https://github.com/hashicorp/terraform-provider-aws/blob/main/CHANGELOG.md;
the release here is older."""


def without_newer(file: Path) -> set[str]:
    """Take out of a file what this release of the provider does not know; what that was."""
    document, found = json.loads(file.read_text()), set()
    for bodies in document["resource"].values():
        for body in bodies.values():
            for name in NEWER & set(body):
                found.add(name)
                del body[name]
    if found:
        assert document["terraform"]["required_providers"]["aws"]["version"] == ">= 6.29, < 7"
        document["terraform"]["required_providers"]["aws"]["version"] = ">= 5.80"
        file.write_text(json.dumps(document))
    return found


@pytest.mark.parametrize(
    "name",
    [
        "http-api",
        *(
            pytest.param(one, marks=pytest.mark.slow)
            for one in ("rest-api", "alb", "function-url", "streaming", "msk", "guarded", "authorizer", "existing")
        ),
    ],
)
def test_terraform_validates_it_with_the_real_provider(terraform: Path, name: str) -> None:
    told = {**os.environ, "TF_CLI_CONFIG_FILE": str(terraform / "rc"), "CHECKPOINT_DISABLE": "1"}
    told_of = {"guarded": guarded, "authorizer": authorized, "streaming": streaming}
    folder = write(told_of[name]("terraform") if name in told_of else variant(name, "terraform"), terraform / name)
    (folder.parent / "bundle.zip").write_bytes(b"")
    newer = {"function-url": {"invoked_via_function_url"}, "streaming": {"response_transfer_mode"}}
    assert without_newer(folder / "main.tf.json") == newer.get(name, set())

    def run(*words: str) -> str:
        done = subprocess.run(
            ["terraform", *words], cwd=folder, env=told, capture_output=True, text=True, timeout=170, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    run("init", "-input=false", "-backend=false")
    assert json.loads(run("validate", "-json"))["diagnostics"] == []


def test_terraform_has_every_type_of_the_templates() -> None:
    types = {one["Type"] for name in VARIANTS for one in template_of(variant(name))["Resources"].values()}
    assert types <= set(kinds_of())


@pytest.mark.slow
@pytest.mark.parametrize("name", ["rest-api", "alb", "function-url"])
def test_osls_packages_it_and_cfn_lint_takes_what_it_makes(
    require_part: Callable[..., Found], tmp_path: Path, name: str
) -> None:
    osls, checks = require_part("osls"), require_part("cfn-lint")
    require_part("node")
    folder = write(variant(name, "serverless"), tmp_path / name)
    (folder.parent / "bundle.zip").write_bytes(b"PK\x05\x06" + bytes(18))
    told = {**os.environ, "AWS_REGION": "eu-west-1", "SLS_NOTIFICATIONS_MODE": "off"}
    done = subprocess.run(
        ["node", osls.path, "package"], cwd=folder, env=told, capture_output=True, text=True, timeout=170, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    made = folder / ".serverless" / "cloudformation-template-update-stack.json"
    # W3005: it writes a DependsOn beside each role's reference itself.
    done = tool(checks, "-c", CFN_LINT, "--ignore-checks", "W3005", "--", made)
    assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr


# docs/how-to/deploy-aws.md says of each why it is so.
EXPLAINED = {
    "CKV_AWS_115",
    "CKV_AWS_116",
    "CKV_AWS_117",
    "CKV_AWS_119",
    "CKV_AWS_120",
    "CKV_AWS_149",
    "CKV_AWS_158",
    "CKV_AWS_173",
    "CKV_AWS_18",
    "CKV_AWS_21",
    "CKV_AWS_27",
    "CKV_AWS_59",
    "CKV_AWS_73",
    "CKV_AWS_91",
}


@pytest.mark.slow
def test_checkov_finds_only_what_is_explained(require_part: Callable[..., Found], tmp_path: Path) -> None:
    part = require_part("checkov")
    for name in ("http-api", "rest-api", "alb"):
        write(variant(name), tmp_path / name)
    words = ("--framework", "cloudformation", "-o", "json", "--compact", "--quiet")
    done = tool(part, "-m", "checkov.main", "-d", tmp_path, *words)
    report = json.loads(done.stdout)
    assert report["summary"]["parsing_errors"] == 0
    found = {one["check_id"]: one["check_name"] for one in report["results"]["failed_checks"]}
    assert set(found) == EXPLAINED, found
    page = (EXAMPLES.parent / "docs" / "how-to" / "deploy-aws.md").read_text()
    assert {one for one in EXPLAINED if f"`{one}`" not in page} == set()


def test_the_yaml_is_read_as_it_was_meant(written: Path) -> None:
    for name in VARIANTS:
        read = yaml.safe_load((written / name / "infra" / "template.yaml").read_text())
        assert read == json.loads(json.dumps(template_of(variant(name))))
