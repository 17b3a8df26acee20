"""The files for Kubernetes, Knative and ECS, held against what those who take them say of their shapes."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import botocore.loaders
import botocore.model
import botocore.validate
import kubernetes_validate
import pytest
import yaml
from cloudcoil.models.keda import v1alpha1 as keda
from cloudcoil.models.knative_serving.serving import v1 as knative
from cloudcoil.models.knative_serving.serving.v1 import Service

from portable.build.artifact import check
from portable.build.deployment import describe_deployment
from portable.build.infrastructure import infrastructure_files
from portable.build.project import find_project
from portable.deploy import Place
from portable.errors import ConfigError
from portable.plugins import adapter
from portable.run.part import Found
from portable_container.deploy.kubectl import kubectl
from portable_container.deploy.objects import Object, said
from portable_container.infrastructure.ecs import FARGATE, fargate_size
from portable_container.infrastructure.kubernetes import SPREAD
from portable_container.infrastructure.workloads import fitting

APP = """
from datetime import timedelta

from portable import App, Message, Tick

app = App("shop")
orders = app.queue("orders", max_attempts=3)
news = app.topic("news")


@app.get("/hello", memory=512)
def hello() -> str:
    return "hello"


@app.on_message(orders, timeout=timedelta(minutes=3))
def take_order(message: Message) -> None: ...


@app.on_message(news, batch_size=50)
def read_news(message: Message) -> None: ...


@app.on_schedule(cron="0 8 * * 1-5", timezone="Europe/Paris")
def report(tick: Tick) -> None: ...


@app.on_schedule(every=timedelta(hours=6))
def sweep(tick: Tick) -> None: ...


@app.function()
def recount(payload: dict) -> dict:
    return payload
"""
Files = Callable[..., dict[str, Any]]
PAGE = Path(__file__).parents[3] / "docs" / "how-to" / "kubernetes.md"


@pytest.fixture
def files(tmp_path: Path) -> Files:
    def make(form: str | None = None, platform: str = "nats", app: str = APP, settings: str = "") -> dict[str, Any]:
        (tmp_path / "app.py").write_text(app)
        text = f'[tool.portable.container]\nplatform = "{platform}"\n{settings}'
        (tmp_path / "pyproject.toml").write_text(text)
        project = find_project(tmp_path)
        target = adapter("container").build.with_settings(project.settings("container"))
        description, findings = check(project, target)
        assert [one for one in findings if one.severity == "error"] == []
        bundles = target.bundles(description.manifest, project.settings("container"))
        deployment = describe_deployment(
            project, target, description.manifest, bundles, python="3.13", arch="arm64", form=form
        )
        made = infrastructure_files(target, deployment, tmp_path)
        for path, content in made.items():
            (tmp_path / path).parent.mkdir(exist_ok=True)
            (tmp_path / path).write_bytes(content)
        return {path.removeprefix("infra/"): yaml.safe_load(content) for path, content in made.items()}

    return make


def environment(document: dict[str, Any]) -> dict[str, Any]:
    spec = document["spec"]["template"]["spec"]
    return {one["name"]: one.get("value", one.get("valueFrom")) for one in spec["containers"][0]["env"]}


def test_kubernetes(files: Files) -> None:
    made = files(settings="[tool.portable.functions.http]\nmin_instances = 2\nmax_instances = 8\n")
    assert made["kustomization.yaml"]["resources"] == [name for name in made if name != "kustomization.yaml"]
    for name, document in made.items():
        if document["apiVersion"].startswith(("keda", "kustomize")):
            continue
        kubernetes_validate.validate(document, "1.32", strict=True)
        assert document["metadata"]["labels"]["app.kubernetes.io/name"] == "shop", name
    assert environment(made["deployment-web.yaml"])["PORTABLE_FUNCTIONS"] == "http,recount"
    token = {"secretKeyRef": {"name": "shop-events", "key": "token"}}
    assert environment(made["deployment-web.yaml"])["PORTABLE_EVENTS_TOKEN"] == token
    assert environment(made["deployment-web.yaml"])["PORTABLE_POLL"] == "0"
    worker = made["deployment-take-order.yaml"]
    assert environment(worker)["PORTABLE_FUNCTIONS"] == "take-order"
    assert worker["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] == 190
    assert "PORTABLE_EVENTS_TOKEN" not in environment(worker)
    web = made["deployment-web.yaml"]["spec"]["template"]["spec"]
    assert web["containers"][0]["resources"]["limits"] == {"memory": "512Mi"}
    assert web["containers"][0]["securityContext"]["readOnlyRootFilesystem"] is True
    assert web["nodeSelector"] == {"kubernetes.io/arch": "arm64"}
    assert [one["topologyKey"] for one in web["topologySpreadConstraints"]] == list(SPREAD)
    selector = made["deployment-web.yaml"]["spec"]["selector"]
    assert all(one["labelSelector"] == selector for one in web["topologySpreadConstraints"])
    scale = made["autoscaler-web.yaml"]["spec"]
    assert (scale["minReplicas"], scale["maxReplicas"]) == (2, 8)
    assert made["disruption-web.yaml"]["kind"] == "PodDisruptionBudget"
    job = made["cronjob-report.yaml"]["spec"]
    assert (job["schedule"], job["timeZone"], job["concurrencyPolicy"]) == ("0 8 * * 1-5", "Europe/Paris", "Forbid")
    assert made["cronjob-sweep.yaml"]["spec"]["schedule"] == "0 */6 * * *"
    assert job["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]["args"] == ["run", "report"]
    assert made["addresses.yaml"]["data"] == {
        "PORTABLE_STAGE": "dev",
        "PORTABLE_QUEUE_ORDERS": "orders",
        "PORTABLE_DEADLETTER_ORDERS": "orders-dead",
        "PORTABLE_TOPIC_NEWS": "news",
        "PORTABLE_SUBSCRIPTION_NEWS_READ_NEWS": "news-read-news",
    }


def test_a_namespace_of_the_apps_own_takes_no_pod_with_privileges(files: Files) -> None:
    restricted = "pod-security.kubernetes.io/enforce"
    assert files()["namespace.yaml"]["metadata"]["labels"][restricted] == "restricted"
    assert restricted not in files(settings='namespace = "shared"\n')["namespace.yaml"]["metadata"]["labels"]


@pytest.mark.parametrize("form", ["kubernetes", "knative"])
def test_every_object_bears_what_it_is_found_again_by(files: Files, form: str) -> None:
    for name, document in files(form).items():
        if name != "kustomization.yaml":
            marks = document["metadata"]["labels"]
            assert (marks["app.kubernetes.io/name"], marks["app.kubernetes.io/instance"]) == ("shop", "dev"), name
            assert marks["app.kubernetes.io/managed-by"] == "portable"


def test_kubectl_reads_the_kustomization(files: Files, tmp_path: Path) -> None:
    made = files()
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        pytest.skip("kubectl is not here")
    done = subprocess.run([kubectl, "kustomize", tmp_path / "infra"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    objects = list(yaml.safe_load_all(done.stdout))
    assert len(objects) == len(made) - 1
    assert {one["metadata"].get("namespace", "shop-dev") for one in objects} == {"shop-dev"}


def test_what_an_operator_adds_is_as_the_page_says(
    files: Files, tmp_path: Path, require_part: Callable[..., Any]
) -> None:
    require_part("kubectl")
    digest = f"sha256:{'0' * 64}"
    blocks = re.findall(r"```yaml\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    [over] = [one.replace("sha256:…", digest) for one in blocks if one.startswith("deployment-web.yaml")]
    [component, network] = next(one for one in blocks if "kind: Component" in one).split("---\n")
    (tmp_path / "infra" / "cluster").mkdir(parents=True)
    (tmp_path / "infra" / "container.yaml").write_text(over)
    (tmp_path / "infra" / "cluster" / "kustomization.yaml").write_text(component)
    (tmp_path / "infra" / "cluster" / "network.yaml").write_text(network)
    written = tmp_path / "dist" / "container" / "infra"
    written.mkdir(parents=True)
    for name, document in files().items():
        (written / name).write_text(yaml.safe_dump(document))
    place = Place("dev")
    assert Object("networking.k8s.io", "NetworkPolicy", "from-ingress") in list(said(written, place))
    done = kubectl(["kustomize", str(written)], place)
    made = {(one["kind"], one["metadata"]["name"]): one for one in yaml.safe_load_all(done.stdout)}
    for document in made.values():
        if not document["apiVersion"].startswith("keda"):
            kubernetes_validate.validate(document, "1.32", strict=True)
    pod = made["Deployment", "shop-web"]["spec"]["template"]["spec"]
    assert (pod["priorityClassName"], pod["containers"][0]["image"]) == ("high", f"ghcr.io/acme/shop@{digest}")
    assert made["NetworkPolicy", "from-ingress"]["metadata"]["namespace"] == "shop-dev"


@pytest.mark.parametrize(
    ("platform", "address", "kind", "metadata"),
    [
        ("aws", "https://sqs.eu-west-1.amazonaws.com/123456789012/o", "aws-sqs-queue", {"awsRegion": "eu-west-1"}),
        ("gcp", "projects/p/topics/o", "gcp-pubsub", {"subscriptionName": "projects/p/subscriptions/o"}),
        (
            "gcp",
            "projects/p/topics/o?subscription=projects/p/subscriptions/s",
            "gcp-pubsub",
            {"subscriptionName": "projects/p/subscriptions/s"},
        ),
        ("azure", "https://acme.queue.core.windows.net/o", "azure-queue", {"accountName": "acme", "queueName": "o"}),
        ("azure", "sb://acme.servicebus.windows.net/o", "azure-servicebus", {"namespace": "acme", "queueName": "o"}),
        ("nats", "nats://host:4222/o", "nats-jetstream", {"stream": "o", "consumer": "workers"}),
        ("aws", "https://elsewhere/o", None, {}),
        ("local", "", None, {}),
    ],
)
def test_workers_scale_with_what_waits(
    files: Files, platform: str, address: str, kind: str | None, metadata: dict[str, str]
) -> None:
    app = APP.partition("@app.on_message(news")[0].replace('news = app.topic("news")\n', "")
    settings = f'[tool.portable.resources]\n"queue:orders" = {{ name = "{address}" }}\n' if address else ""
    document = files(platform=platform, app=app, settings=settings)["autoscaler-take-order.yaml"]
    if kind is None:
        assert document["kind"] == "HorizontalPodAutoscaler"
        return
    assert document["kind"] == "ScaledObject"
    assert document["spec"]["scaleTargetRef"] == {"name": "shop-take-order"}
    [trigger] = document["spec"]["triggers"]
    assert trigger["type"] == kind
    assert metadata.items() <= trigger["metadata"].items()
    assert files(platform=platform, app=app, settings=f'scaling = "hpa"\n{settings}')["autoscaler-take-order.yaml"][
        "kind"
    ] == ("HorizontalPodAutoscaler")


def test_what_somebody_has_to_add_is_named(files: Files) -> None:
    app = APP.partition("@app.on_message(news")[0]
    found = files(platform="aws", app=app)["addresses.yaml"]
    assert found["metadata"]["annotations"] == {"portable/to-be-added": "PORTABLE_TOPIC_NEWS,PORTABLE_QUEUE_ORDERS"}
    assert found["data"] == {"PORTABLE_STAGE": "dev"}


def test_knative(files: Files) -> None:
    text = "[tool.portable.functions.http]\nconcurrency = 20\nmax_instances = 5\n"
    made = files("knative", settings=text)
    service = Service.model_validate(made["service-web.yaml"])
    assert (
        service.model_dump(mode="json", by_alias=True, exclude_none=True, exclude_unset=True)
        == made["service-web.yaml"]
    )
    assert made["service-web.yaml"]["spec"]["template"]["spec"]["containerConcurrency"] == 20
    scale = made["service-web.yaml"]["spec"]["template"]["metadata"]["annotations"]
    assert scale == {"autoscaling.knative.dev/min-scale": "0", "autoscaling.knative.dev/max-scale": "5"}
    assert {name for name in made if "take-order" in name} == {
        "deployment-take-order.yaml",
        "autoscaler-take-order.yaml",
    }
    assert "cronjob-report.yaml" in made
    assert not any(name.startswith("deployment-web") for name in made)


def test_task_definitions_are_what_ecs_takes(files: Files) -> None:
    settings = (
        'execution_role = "arn:aws:iam::123456789012:role/x"\nevents_secret = "arn:aws:ssm:x:1:parameter/token"\n'
    )
    settings += "[tool.portable.functions.http]\nstorage = 30000\n"
    app = APP.partition("@app.on_message(news")[0] + "\n@app.function()\ndef recount(payload: dict) -> None: ...\n"
    made = files("ecs", "aws", app, settings)
    model = botocore.loaders.Loader().load_service_model("ecs", "service-2")
    shape = botocore.model.ServiceModel(model).operation_model("RegisterTaskDefinition").input_shape
    for document in made.values():
        report = botocore.validate.ParamValidator().validate(document, shape)
        assert not report.has_errors(), report.generate_report()
    web = made["task-definition-web.json"]
    assert (web["cpu"], web["memory"], web["ephemeralStorage"]) == ("256", "512", {"sizeInGiB": 30})
    assert web["runtimePlatform"]["cpuArchitecture"] == "ARM64"
    assert made["task-definition-take-order.json"]["containerDefinitions"][0]["stopTimeout"] == 120
    [web], [worker] = (made[f"task-definition-{one}.json"]["containerDefinitions"] for one in ("web", "take-order"))
    told = {one["name"]: one["value"] for one in worker["environment"]}
    assert (told["PORTABLE_POLL"], told["PORTABLE_TIMEOUT_SECONDS"], told["PORTABLE_SHUTDOWN_SECONDS"]) == (
        *("1", "180"),
        "110",  # ten seconds are left of what Fargate gives
    )
    assert web["secrets"] == [{"name": "PORTABLE_EVENTS_TOKEN", "valueFrom": "arn:aws:ssm:x:1:parameter/token"}]
    assert "secrets" not in worker
    assert json.dumps(made)


@pytest.mark.parametrize(
    ("memory", "size"),
    [(128, (256, 512)), (513, (256, 1024)), (1025, (256, 2048)), (2049, (512, 3072)), (32_000, (8192, 32_768))],
)
def test_the_smallest_task(memory: int, size: tuple[int, int]) -> None:
    assert fargate_size(memory) == size
    least, most, step = FARGATE[size[0]]
    assert least <= size[1] <= most
    assert (size[1] - least) % step == 0


def test_what_cannot_be(files: Files) -> None:
    with pytest.raises(ConfigError, match="Fargate has no task with 200000 MiB: 122880 at most"):
        fargate_size(200_000)
    with pytest.raises(ConfigError, match="scaling = 'kedo'; did you mean 'keda'"):
        files(settings='scaling = "kedo"\n')


def test_names_fit_and_stay_apart() -> None:
    assert fitting("short", 10) == "short"
    one, other = fitting("a" * 70 + "x", 63), fitting("a" * 70 + "y", 63)
    assert len(one) == len(other) == 63
    assert one != other


# --- everything at once


MAXIMAL = """
from datetime import timedelta

from portable import App, BlobEvent, Change, Message, Tick

app = App("maximal-app-of-many")
uploads = app.bucket("uploads")
orders = app.queue("orders", max_attempts=7)
ordered = app.queue("in-order", ordered=True)
news = app.topic("news")
users = app.table("users", key="team", sort="email", ttl="until")
recent = app.cache("recent")


@app.get("/users/{name}", memory=700, timeout=timedelta(seconds=40))
def read_user(name: str) -> str:
    return f"{uploads.read(name)!r} {users.get({'team': name, 'email': name})} {recent.get(name)}"


@app.on_message(orders, timeout=timedelta(minutes=3), batch_size=10)
def take_order(message: Message) -> None:
    orders.send(1)


@app.on_message(ordered)
def take_in_order(message: Message) -> None: ...


@app.on_message(news, filter={"plan": ["pro"]})
def read_news(message: Message) -> None: ...


@app.on_schedule(cron="0 8 * * 1-5", timezone="Europe/Paris")
def a_report_with_the_longest_name_it_may_be(tick: Tick) -> None: ...


@app.on_schedule(every=timedelta(hours=6))
def sweep(tick: Tick) -> None: ...


@app.function()
def recount(payload: dict) -> dict:
    return payload
"""
KEPT = """

key = app.secret("mailer-key")
limit = app.config("limit", int, default=3)


@app.get("/admin", function="admin")
def admin() -> str:
    return key.value() * limit.value()
"""
PUSHED = """

@app.on_blob(uploads, prefix="in/")
def thumb(event: BlobEvent) -> None: ...


@app.on_change(users)
def audit(change: Change) -> None: ...
"""
SETTINGS = """
execution_role = "arn:aws:iam::123456789012:role/x"
pushed = ["blob", "change"]
[tool.portable.functions."*"]
storage = 2048
environment = {LEVEL = "info", EMPTY = "", ODD = "a: 'b' # ${x}"}
[tool.portable.functions.take-order]
max_instances = 50
concurrency = 4
[tool.portable.functions.http]
min_instances = 2
[tool.portable.stages.dev.container]
namespace = "shop"
"""
BOUND: dict[str, dict[str, str]] = {
    "aws": {
        "queue:orders": "https://sqs.eu-west-1.amazonaws.com/123456789012/o",
        "queue:in-order": "https://sqs.eu-west-1.amazonaws.com/123456789012/o.fifo",
        "bucket:uploads": "s3://acme-uploads",
    },
    "gcp": {"queue:orders": "projects/p/topics/o", "bucket:uploads": "gs://acme-uploads"},
    "azure": {"queue:orders": "https://acme.queue.core.windows.net/o"},
    "nats": {"queue:orders": "nats://host:4222/o"},
}


def everything(files: Files, form: str, platform: str) -> dict[str, Any]:
    bound = "".join(f'"{key}" = {{ name = "{name}" }}\n' for key, name in BOUND[platform].items())
    pushed, kept = PUSHED if platform == "aws" else "", KEPT if platform != "nats" else ""
    settings = SETTINGS if pushed else SETTINGS.replace('pushed = ["blob", "change"]\n', "")
    return files(form, platform, MAXIMAL + kept + pushed, f"{settings}[tool.portable.resources]\n{bound}")


@pytest.mark.parametrize(
    ("form", "platform"),
    [
        ("kubernetes", "aws"),
        ("knative", "aws"),
        *(pytest.param("kubernetes", one, marks=pytest.mark.slow) for one in ("gcp", "azure", "nats")),
    ],
)
def test_everything_is_what_its_schemas_say(files: Files, form: str, platform: str) -> None:
    made = everything(files, form, platform)
    names = [(one["kind"], one["metadata"]["name"]) for one in made.values() if "metadata" in one]
    assert len(set(names)) == len(names)
    shapes: dict[str, Any] = {"keda.sh/v1alpha1": keda, "serving.knative.dev/v1": knative}
    for document in made.values():
        version, kind = document["apiVersion"], document["kind"]
        if version in shapes:
            shaped = getattr(shapes[version], kind).model_validate(document)
            assert shaped.model_dump(mode="json", by_alias=True, exclude_none=True, exclude_unset=True) == document
        elif kind != "Kustomization":
            kubernetes_validate.validate(document, "1.32", strict=True)
    assert [kind for kind, _ in names].count("CronJob") == 2
    assert max(len(name) for kind, name in names if kind == "CronJob") <= 52
    assert environment(made["deployment-take-order.yaml"])["ODD"] == "a: 'b' # ${x}"


def test_every_task_of_everything_is_what_ecs_takes(files: Files) -> None:
    model = botocore.loaders.Loader().load_service_model("ecs", "service-2")
    shape = botocore.model.ServiceModel(model).operation_model("RegisterTaskDefinition").input_shape
    made = everything(files, "ecs", "aws")
    assert len(made) == 6
    for document in made.values():
        report = botocore.validate.ParamValidator().validate(document, shape)
        assert not report.has_errors(), report.generate_report()
        assert document["ephemeralStorage"] == {"sizeInGiB": 21}


# docs/how-to/kubernetes.md says of each why it is so.
EXPLAINED = {"CKV2_K8S_6", "CKV_K8S_11", "CKV_K8S_15", "CKV_K8S_21", "CKV_K8S_35", "CKV_K8S_43"}


@pytest.mark.slow
def test_checkov_finds_only_what_is_explained(files: Files, require_part: Callable[..., Found], tmp_path: Path) -> None:
    part = require_part("checkov")
    everything(files, "kubernetes", "aws")
    words = ("--framework", "kubernetes", "-o", "json", "--compact", "--quiet", "-d", tmp_path / "infra")
    done = subprocess.run(
        [sys.executable, "-m", "checkov.main", *words],
        env={**os.environ, "PYTHONPATH": str(part.path)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    report = json.loads(done.stdout)
    assert report["summary"]["parsing_errors"] == 0
    assert report["summary"]["passed"] > 100
    found = {one["check_id"]: one["check_name"] for one in report["results"]["failed_checks"]}
    assert set(found) == EXPLAINED, found
    page = (Path(__file__).parents[3] / "docs" / "how-to" / "kubernetes.md").read_text("utf-8")
    assert {one for one in EXPLAINED if f"`{one}`" not in page} == set()
