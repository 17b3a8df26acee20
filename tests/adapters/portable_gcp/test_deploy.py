"""``portable deploy``: every request is one that the vendor's own message types take, and where an API has a stand-in
that is real, it does what is asked.
"""

from __future__ import annotations

import http.server
import json
import re
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import msgspec
import pytest
from google.cloud import (
    eventarc_v1,
    functions_v2,
    iam_admin_v1,
    run_v2,
    scheduler_v1,
    secretmanager_v1,
)
from google.cloud.firestore_admin_v1.types import Database, Field
from google.cloud.logging_v2.types import LogBucket, LogSink
from google.iam.v1 import iam_policy_pb2
from google.protobuf import json_format
from google.protobuf.field_mask_pb2 import FieldMask
from google.pubsub_v1 import Subscription, Topic, UpdateSubscriptionRequest, UpdateTopicRequest

from portable import App
from portable.deploy import Change, Place, Step
from portable.errors import ConfigError, DeployError
from portable.run.emulators import Emulator
from portable.run.target import Artifact
from portable_gcp.build import TARGET
from portable_gcp.deploy import DEPLOYER
from portable_gcp.deploy.policies import added, removed
from portable_gcp.deploy.resources import covers

SERVICES = [
    *("cloudfunctions", "cloudresourcemanager", "cloudscheduler", "eventarc", "firestore", "iam", "logging", "pubsub"),
    *("run", "secretmanager", "serviceusage", "storage"),
]
BODIES: dict[str, Any] = {
    "functions": functions_v2.Function,
    "services": run_v2.Service,
    "triggers": eventarc_v1.Trigger,
    "jobs": scheduler_v1.Job,
    "secrets": secretmanager_v1.Secret,
    "databases": Database,
    "fields": Field,
    "topics": Topic,
    "subscriptions": Subscription,
    "buckets": LogBucket,
    "sinks": LogSink,
}
CREATED_BY = {"roles": iam_admin_v1.CreateRoleRequest, "serviceAccounts": iam_admin_v1.CreateServiceAccountRequest}
CHANGED_BY = {"topics": UpdateTopicRequest, "subscriptions": UpdateSubscriptionRequest}
LISTED = ("functions", "services", "triggers", "jobs", "topics", "subscriptions")
LONG = ("functions", "services", "triggers", "databases", "fields")
PROJECT = "acme-test"


def _service_disabled(service: str) -> dict[str, Any]:
    """As Google's front end says it: https://cloud.google.com/apis/design/errors#error_info."""
    named = {"service": f"{service}.googleapis.com", "consumer": "projects/1234567890"}
    info = {
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": "SERVICE_DISABLED",
        "domain": "googleapis.com",
        "metadata": named,
    }
    message = f"API {service} has not been used in project 1234567890 before or it is disabled."
    return {"error": {"code": 403, "message": message, "status": "PERMISSION_DENIED", "details": [info]}}


def read_message(kind: Any, body: Any) -> Any:
    """A message of the vendor's from JSON. Raises ParseError for what it does not know."""
    plain = kind.pb() if hasattr(kind, "pb") else kind()
    plain = kind.pb(kind()) if hasattr(kind, "pb") else plain
    return json_format.ParseDict(body, plain)


def check_mask(kind: Any, text: str) -> None:
    mask = FieldMask()
    mask.FromJsonString(text)
    assert mask.IsValidForDescriptor(kind.pb(kind()).DESCRIPTOR), f"{text!r} is no mask of {kind.__name__}"


class Cloud:
    """What was created, by path, and every request: a server for all the APIs that keeps what it is given."""

    def __init__(self) -> None:
        self.there: dict[str, Any] = {}
        self.policies: dict[str, Any] = {}
        self.calls: list[tuple[str, str]] = []
        self.uploads: list[bytes] = []
        self.problems: list[str] = []
        self.refuse: dict[str, tuple[int, str]] = {}
        self.operations: dict[str, Any] = {}
        self.disabled: dict[str, int] = {}  # by service: looks after it was enabled until it is
        self.url = ""

    def answer(self, method: str, target: str, body: Any) -> tuple[int, Any]:
        split = urlsplit(target)
        service, _, path = split.path.lstrip("/").partition("/")
        path = unquote(re.sub(r"^(storage/)?v[123]/", "", path))
        query = {name: values[0] for name, values in parse_qs(split.query).items()}
        self.calls.append((method, f"{service} {path}"))
        for pattern, refused in self.refuse.items():
            if method != "GET" and re.search(pattern, path):
                return refused[0], {"error": {"code": refused[0], "message": refused[1]}}
        if service in self.disabled:
            self.disabled[service] -= 1
            if not self.disabled[service]:
                del self.disabled[service]
            return 403, _service_disabled(service)
        if path.startswith("operations/"):
            return 200, self.operations[path]
        if re.search(r"(:[gs]etIamPolicy|/iam)$", path):
            return self._policy(method, path, body)
        if path.endswith(":generateUploadUrl"):
            read_message(functions_v2.GenerateUploadUrlRequest, body)
            source = {"bucket": "gcf-uploads", "object": f"{len(self.uploads)}.zip"}
            return 200, {"uploadUrl": f"{self.url}/upload", "storageSource": source}
        if path.endswith(":batchEnable"):
            assert {f"{one}.googleapis.com" for one in self.disabled} <= set(body["serviceIds"])
            self.disabled = dict.fromkeys(self.disabled, 1)
            return 200, {"name": "operations/apis", "done": True, "response": {}}
        if path.endswith(":listCollectionIds"):
            return 200, {}
        if path == f"projects/{PROJECT}":
            return 200, {"name": "projects/1234567890"}
        return self._resource(service, method, path, query, body)

    def _policy(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        owner = re.sub(r"(:[gs]etIamPolicy|/iam)$", "", path)
        if path.endswith(":setIamPolicy") or method == "PUT":
            wanted = body["policy"] if method == "POST" else body
            read_message(iam_policy_pb2.SetIamPolicyRequest, {"policy": wanted})
            self.policies[owner] = wanted | {"etag": "BwXg"}
        return 200, self.policies.get(owner, {"etag": "BwXf"})

    def _resource(self, service: str, method: str, path: str, query: dict[str, str], body: Any) -> tuple[int, Any]:
        if method == "POST":
            collection = path.rpartition("/")[2]
            one = next((value for key, value in query.items() if key.endswith("Id")), None)
            if collection in CREATED_BY:
                read_message(CREATED_BY[collection], body)
                one = body.get("roleId") or f"{body['accountId']}@{PROJECT}.iam.gserviceaccount.com"
                body = body.get("role") or body.get("serviceAccount")
            elif service != "storage":
                read_message(BODIES[collection], body)
            one = one or body["name"].rpartition("/")[2]
            return self._put(collection, f"{path}/{one}", body)
        collection = path.split("/")[-2]
        if method == "PUT" and collection != "sinks":
            read_message(BODIES[collection], body)
            return self._put(collection, path, body)
        if method == "GET" and path.rpartition("/")[2] in LISTED:
            rows = [one for name, one in self.there.items() if name.startswith(f"{path}/")]
            return 200, {path.rpartition("/")[2]: [{"name": f"{path}/x", **one} for one in rows]}
        if path not in self.there and collection != "fields":
            return 404, {"error": {"code": 404, "message": f"{path} was not found"}}
        if method in ("PATCH", "PUT"):
            if collection in CHANGED_BY:
                read_message(CHANGED_BY[collection], body)
                body = next(value for key, value in body.items() if key != "updateMask")
            elif collection in BODIES and service != "storage":
                read_message(BODIES[collection], body)
                if "updateMask" in query:
                    check_mask(BODIES[collection], query["updateMask"])
            self.there.setdefault(path, {}).update(body)
            return self._done(collection, path)
        if method == "DELETE":
            del self.there[path]
            return 200, self._operation({}) if collection in LONG else {}
        return 200, self.there.get(path, {})

    def _put(self, collection: str, path: str, body: Any) -> tuple[int, Any]:
        if path in self.there:
            return 409, {"error": {"code": 409, "message": f"{path} already exists"}}
        self.there[path] = dict(body)
        if collection in ("functions", "services"):
            uri = f"https://{path.rpartition('/')[2]}-uc.a.run.app"
            self.there[path] |= {"uri": uri}
            if collection == "functions":
                self.there[path]["serviceConfig"] = body["serviceConfig"] | {"uri": uri}
        return self._done(collection, path)

    def _done(self, collection: str, path: str) -> tuple[int, Any]:
        return 200, self._operation(self.there[path]) if collection in LONG else self.there[path]

    def _operation(self, response: Any) -> Any:
        """Under way at first, done when it is looked at."""
        name = f"operations/{len(self.operations)}"
        self.operations[name] = {"name": name, "done": True, "response": response}
        return {"name": name}


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    state = Cloud()

    class Handler(http.server.BaseHTTPRequestHandler):
        def respond(self) -> None:
            data = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if self.path == "/upload":
                state.uploads.append(data)
                status, found = 200, dict[str, Any]()
            else:
                try:
                    status, found = state.answer(self.command, self.path, json.loads(data) if data else None)
                except Exception as error:
                    state.problems.append(f"{self.command} {self.path}: {error!r}")
                    status, found = 400, {"error": {"code": 400, "message": repr(error)}}
            content = json.dumps(found).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = respond  # noqa: N815 - the names are http.server's

        def log_message(self, *_: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    state.url = f"http://127.0.0.1:{server.server_port}"
    yield state
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("portable_gcp.deploy.api._FIRST_WAIT", 0.01)
    monkeypatch.setattr("portable_gcp.deploy.api._ENABLING_WAIT", 0.01)


def place_of(cloud: Cloud, **environment: str) -> Place:
    endpoints = {f"CLOUDSDK_API_ENDPOINT_OVERRIDES_{one.upper()}": f"{cloud.url}/{one}/" for one in SERVICES}
    found = endpoints | {"PORTABLE_CACHE_LIMITS": "rediss://cache.example.com"} | environment
    return Place("prod", {"project": PROJECT, "region": "europe-west1"}, found)


@pytest.fixture
def artifact(tmp_path: Path, whole_app: Callable[..., App], deployment: Callable[..., Any]) -> Artifact:
    return write_artifact(tmp_path, deployment(whole_app()))


def write_artifact(folder: Path, wanted: Any) -> Artifact:
    (folder / "infra").mkdir(exist_ok=True)
    (folder / "infra" / "deployment.json").write_text(json.dumps(TARGET.infrastructure(wanted)["deployment.json"]))
    (folder / "bundle.zip").write_bytes(b"a bundle")
    return Artifact(folder, "gcp", "3.13", wanted.manifest, {"": folder / "bundle"}, {}, {})


def actions(changes: Any) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for one in changes:
        found.setdefault(one.action, []).append(f"{one.kind} {one.name}")
    return found


def test_everything_is_created_then_kept_then_destroyed(cloud: Cloud, artifact: Artifact) -> None:
    place, steps = place_of(cloud), list[Step]()
    first = actions(DEPLOYER.preview(artifact, place))
    assert set(first) == {"create", "update"}
    assert DEPLOYER.where(artifact, place) == f"project {PROJECT}, europe-west1"
    assert {one.partition(" ")[0] for one in first["update"]} == {"Firestore"}  # fields: there is always one
    assert cloud.there == {}, "a preview made something"

    outputs = DEPLOYER.apply(artifact, place, steps.append)
    assert cloud.problems == []
    assert outputs == {
        "http_url": "https://saas-prod-http-uc.a.run.app",
        "recount_url": "https://saas-prod-recount-uc.a.run.app",
    }
    assert {one.state for one in steps} == {"started", "done"}
    assert cloud.uploads == [b"a bundle"] * 7
    assert set(actions(DEPLOYER.preview(artifact, place))) == {"keep"}

    before = len(cloud.calls)
    DEPLOYER.apply(artifact, place, steps.append)
    written = {call for call in cloud.calls[before:] if call[0] != "GET" and not call[1].endswith("IamPolicy")}
    assert written == {("POST", f"serviceusage projects/{PROJECT}/services:batchEnable")}

    assert DEPLOYER.holding(artifact, place) == []
    DEPLOYER.destroy(artifact, place, steps.append, with_data=False)
    assert cloud.problems == []
    assert {path for path in cloud.there if "/fields/" not in path} == set()
    members = [one for binding in cloud.policies[f"projects/{PROJECT}"]["bindings"] for one in binding["members"]]
    assert members == ["serviceAccount:service-1234567890@gs-project-accounts.iam.gserviceaccount.com"]


def test_what_was_created_is_what_the_functions_are_told(cloud: Cloud, artifact: Artifact) -> None:
    DEPLOYER.apply(artifact, place_of(cloud), lambda step: None)
    here = f"projects/{PROJECT}"
    function = cloud.there[f"{here}/locations/europe-west1/functions/saas-prod-send-email"]
    environment = function["serviceConfig"]["environmentVariables"]
    assert environment["PORTABLE_QUEUE_EMAILS"] in cloud.there
    assert environment["PORTABLE_DEADLETTER_EMAILS"] in cloud.there
    assert environment["PRICE"] == "5 ${EUR} %{x}"
    subscription = cloud.there[f"{here}/subscriptions/saas-prod-emails-queue"]
    assert subscription["pushConfig"]["pushEndpoint"] == "https://saas-prod-send-email-uc.a.run.app/emails"
    account = function["serviceConfig"]["serviceAccountEmail"]
    assert f"{here}/serviceAccounts/{account}" in cloud.there
    database = f"{here}/databases/saas-prod-tables"
    conditions = [one.get("condition") for one in cloud.policies[here]["bindings"]]
    assert {"title": "database", "expression": f'resource.name == "{database}"'} in conditions


def test_an_edit_updates_what_it_touches(
    cloud: Cloud, artifact: Artifact, whole_app: Callable[..., App], deployment: Callable[..., Any]
) -> None:
    place = place_of(cloud)
    DEPLOYER.apply(artifact, place, lambda step: None)
    wanted = deployment(whole_app())
    edited = dict(wanted.functions)
    edited["http"] = msgspec.structs.replace(edited["http"], memory=512)
    again = write_artifact(artifact.folder, msgspec.structs.replace(wanted, functions=edited))
    changes = [one for one in DEPLOYER.preview(again, place) if one.action != "keep"]
    assert changes == [Change("update", "function", "saas-prod-http", "serviceConfig")]
    (artifact.folder / "bundle.zip").write_bytes(b"another bundle")
    changes = [one for one in DEPLOYER.preview(again, place) if one.action != "keep"]
    assert {one.kind for one in changes} == {"function"}
    assert len(changes) == 7
    DEPLOYER.apply(again, place, lambda step: None)
    assert cloud.problems == []
    assert set(actions(DEPLOYER.preview(again, place))) == {"keep"}


def test_a_fresh_project_has_its_apis_enabled(cloud: Cloud, artifact: Artifact) -> None:
    place = place_of(cloud)
    cloud.disabled = {"cloudfunctions": -1, "pubsub": -1, "firestore": -1}
    first = actions(DEPLOYER.preview(artifact, place))["create"]
    assert [one for one in first if one.startswith("API ")] == [
        "API cloudfunctions.googleapis.com",
        "API firestore.googleapis.com",
        "API pubsub.googleapis.com",
    ]
    assert "function saas-prod-http" in first
    DEPLOYER.apply(artifact, place, lambda step: None)  # waits until they are
    assert cloud.problems == []
    assert set(actions(DEPLOYER.preview(artifact, place))) == {"keep"}
    cloud.disabled = {"storage": -1}
    assert DEPLOYER.holding(artifact, place) == []  # nothing is there either


def test_what_is_not_installed_is_said_with_the_way_to_get_it(
    cloud: Cloud, artifact: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "requests", None)
    with pytest.raises(ConfigError, match=r"pip install 'portable-functions\[gcp\]'"):
        DEPLOYER.preview(artifact, place_of(cloud))


def test_an_api_that_stays_disabled_is_named(cloud: Cloud, artifact: Artifact, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("portable_gcp.deploy.api._ENABLED_WITHIN", 0.0)
    cloud.disabled = {"cloudresourcemanager": -1}
    monkeypatch.setattr(cloud, "answer", _without_enabling(cloud))
    with pytest.raises(DeployError, match=r"gcloud services enable cloudresourcemanager.googleapis.com"):
        DEPLOYER.apply(artifact, place_of(cloud), lambda step: None)


def _without_enabling(cloud: Cloud) -> Callable[..., tuple[int, Any]]:
    def answer(method: str, target: str, body: Any, own: Callable[..., Any] = cloud.answer) -> tuple[int, Any]:
        if target.endswith(":batchEnable"):
            return 200, {"name": "operations/apis", "done": True, "response": {}}
        return own(method, target, body)  # type: ignore[no-any-return]

    return answer


def test_what_could_not_be_built_is_built_again(cloud: Cloud, artifact: Artifact) -> None:
    place, here = place_of(cloud), f"projects/{PROJECT}/locations/europe-west1/functions"
    DEPLOYER.apply(artifact, place, lambda step: None)
    function = cloud.there[f"{here}/saas-prod-http"]
    function["state"] = "FAILED"
    changes = [one for one in DEPLOYER.preview(artifact, place) if one.action != "keep"]
    assert changes == [Change("update", "function", "saas-prod-http", "buildConfig")]
    before = len(cloud.uploads)
    DEPLOYER.apply(artifact, place, lambda step: None)
    assert len(cloud.uploads) == before + 1
    function["state"] = "DEPLOYING"
    with pytest.raises(DeployError, match="function saas-prod-http is being changed: another deployment is under way"):
        DEPLOYER.preview(artifact, place)


def test_what_is_made_meanwhile_is_used(cloud: Cloud, artifact: Artifact, monkeypatch: pytest.MonkeyPatch) -> None:
    """As when the answer to the first call was lost, and the second finds the name taken."""
    place, own, steps = place_of(cloud), cloud.answer, list[Step]()

    def twice(method: str, target: str, body: Any) -> tuple[int, Any]:
        answer = own(method, target, body)
        made = method == "PUT" and "/topics/saas-prod-emails-queue" in unquote(target) and len(cloud.there) < 60
        return own(method, target, body) if made and answer[0] == 200 else answer

    monkeypatch.setattr(cloud, "answer", twice)
    DEPLOYER.apply(artifact, place, steps.append)
    assert cloud.problems == []
    done = {one.name: one.detail for one in steps if one.kind == "topic" and one.state == "done"}
    assert done["saas-prod-emails-queue"] == "was there"
    cloud.refuse = {r"buckets|b$": (409, "Your previous request to create the named bucket succeeded")}
    cloud.there = {path: one for path, one in cloud.there.items() if not path.startswith("b/")}
    with pytest.raises(DeployError, match=r"bucket .*: the name is taken, by another project"):
        DEPLOYER.apply(artifact, place, steps.append)


def test_a_subscription_that_is_replaced_loses_its_messages(cloud: Cloud, artifact: Artifact) -> None:
    place = place_of(cloud)
    DEPLOYER.apply(artifact, place, lambda step: None)
    filtered = next(one for path, one in cloud.there.items() if "/subscriptions/" in path and "filter" in one)
    filtered["filter"] = "another"
    [change] = [one for one in DEPLOYER.preview(artifact, place) if one.action == "replace"]
    assert (change.kind, change.loses) == ("subscription", "messages that wait in it are deleted with it")


def test_what_the_app_has_no_more_goes(
    cloud: Cloud, artifact: Artifact, whole_app: Callable[..., App], deployment: Callable[..., Any]
) -> None:
    place, here = place_of(cloud), f"projects/{PROJECT}"
    DEPLOYER.apply(artifact, place, lambda step: None)
    cloud.there[f"{here}/topics/billing"] = {"name": f"{here}/topics/billing", "labels": {"team": "billing"}}
    other = f"{here}/topics/saas-dev-x"
    cloud.there[other] = {"name": other, "labels": {"portable-app": "saas", "portable-stage": "dev"}}
    app = App("saas")
    app.get("/")(lambda: None)
    smaller = write_artifact(artifact.folder, deployment(app))
    gone = actions(DEPLOYER.preview(smaller, place))["delete"]
    assert {one.rpartition(" ")[0] for one in gone} == {
        *("Cloud Scheduler job", "Eventarc trigger", "function", "subscription", "topic")
    }
    DEPLOYER.apply(smaller, place, lambda step: None)
    assert cloud.problems == []
    left = [name for name in cloud.there if name.split("/")[-2] in LISTED]
    assert sorted(left) == sorted(
        [f"{here}/locations/europe-west1/functions/saas-prod-http", f"{here}/topics/billing", other]
    )
    assert f"b/{PROJECT}-saas-prod-uploads-bucket" in cloud.there, "a bucket may hold data"


def test_a_failure_names_the_resource_and_the_reason(cloud: Cloud, artifact: Artifact) -> None:
    cloud.refuse["/subscriptions/saas-prod-welcome|signups-topic-welcome$"] = (403, "quota of subscriptions exceeded")
    steps = list[Step]()
    with pytest.raises(DeployError, match=r"subscription saas-prod-signups-topic-welcome: quota .* \(HTTP 403\)"):
        DEPLOYER.apply(artifact, place_of(cloud), steps.append)
    assert steps[-1].state == "failed"
    assert "quota" in steps[-1].detail
    cloud.refuse.clear()
    DEPLOYER.apply(artifact, place_of(cloud), steps.append)
    assert set(actions(DEPLOYER.preview(artifact, place_of(cloud)))) == {"keep"}


def test_a_failed_operation_is_told(cloud: Cloud, artifact: Artifact, monkeypatch: pytest.MonkeyPatch) -> None:
    error = {"name": "operations/x", "done": True, "error": {"code": 3, "message": "Build failed: no main.py"}}
    monkeypatch.setattr(cloud, "_operation", lambda response: error)
    with pytest.raises(DeployError, match=r"Build failed: no main\.py"):
        DEPLOYER.apply(artifact, place_of(cloud), lambda step: None)


def test_what_holds_data_stays_unless_told_twice(cloud: Cloud, artifact: Artifact) -> None:
    place = place_of(cloud)
    DEPLOYER.apply(artifact, place, lambda step: None)
    bucket = f"b/{PROJECT}-saas-prod-uploads-bucket"
    cloud.there[f"{bucket}/o"] = {"items": [{"name": "in/a b.png", "generation": "7"}]}
    secret = f"projects/{PROJECT}/secrets/saas-prod-mailer-key-secret"
    cloud.there[f"{secret}/versions"] = {"versions": [{"name": f"{secret}/versions/1"}]}
    held = [f"bucket {PROJECT}-saas-prod-uploads-bucket", "secret saas-prod-mailer-key-secret"]
    assert DEPLOYER.holding(artifact, place) == held
    steps = list[Step]()
    DEPLOYER.destroy(artifact, place, steps.append, with_data=False)
    assert bucket in cloud.there
    assert secret in cloud.there
    assert [f"{one.kind} {one.name}" for one in steps if one.detail.startswith("kept")] == held


def test_what_is_another_apps_is_left_alone(cloud: Cloud, artifact: Artifact) -> None:
    topic = f"projects/{PROJECT}/topics/saas-prod-emails-queue"
    cloud.there[topic] = {"name": topic, "labels": {"team": "billing"}}
    with pytest.raises(DeployError, match="saas-prod-emails-queue is there already and not of app saas, stage prod"):
        DEPLOYER.apply(artifact, place_of(cloud), lambda step: None)


def test_without_a_project_or_an_address_nothing_is_done(cloud: Cloud, artifact: Artifact) -> None:
    place = place_of(cloud)
    nowhere = msgspec.structs.replace(place, settings={})
    with pytest.raises(ConfigError, match="which project"):
        DEPLOYER.apply(artifact, nowhere, lambda step: None)
    environment = {name: value for name, value in place.environment.items() if name != "PORTABLE_CACHE_LIMITS"}
    with pytest.raises(ConfigError, match="cache limits has no address"):
        DEPLOYER.preview(artifact, msgspec.structs.replace(place, environment=environment))


def test_a_split_front_is_terraforms(
    cloud: Cloud, tmp_path: Path, whole_app: Callable[..., App], deployment: Callable[..., Any]
) -> None:
    split = write_artifact(tmp_path, deployment(whole_app(split=True)))
    with pytest.raises(ConfigError, match="terraform apply"):
        DEPLOYER.preview(split, place_of(cloud))


def test_images_become_services(
    cloud: Cloud, tmp_path: Path, whole_app: Callable[..., App], deployment: Callable[..., Any]
) -> None:
    image = write_artifact(tmp_path, deployment(whole_app(), image="europe-docker.pkg.dev/a/b/c@sha256:0"))
    outputs = DEPLOYER.apply(image, place_of(cloud), lambda step: None)
    assert cloud.problems == []
    assert outputs["http_url"] == "https://saas-prod-http-uc.a.run.app"
    assert cloud.uploads == []


def test_the_emulator_takes_topics_and_subscriptions(
    pubsub: Emulator, cloud: Cloud, tmp_path: Path, deployment: Callable[..., Any]
) -> None:
    app = App("emulated")
    app.queue("emails", ordered=True)
    app.topic("signups")
    wanted = deployment(app)
    made = write_artifact(tmp_path, wanted)
    # It has no IAM, and knows of a week's retention alone, where Pub/Sub has a month's.
    plan = json.loads((made.folder / "infra" / "deployment.json").read_bytes())
    plan["bindings"] = {}
    for entry in plan["subscriptions"].values():
        entry["body"]["messageRetentionDuration"] = "604800s"
    (made.folder / "infra" / "deployment.json").write_text(json.dumps(plan))
    place = place_of(cloud, CLOUDSDK_API_ENDPOINT_OVERRIDES_PUBSUB=f"{pubsub.endpoint}/")
    DEPLOYER.apply(made, place, lambda step: None)
    topics = [one for one in DEPLOYER.preview(made, place) if one.kind == "topic"]
    assert {one.action for one in topics} == {"keep"}
    assert len(topics) == 3
    DEPLOYER.destroy(made, place, lambda step: None, with_data=False)
    assert {one.action for one in DEPLOYER.preview(made, place) if one.kind in ("topic", "subscription")} == {"create"}


def test_a_stand_in_for_storage_takes_buckets(
    fake_gcs: Emulator, cloud: Cloud, tmp_path: Path, deployment: Callable[..., Any], call_json: Callable[..., Any]
) -> None:
    app = App("stored")
    app.bucket("uploads")
    made = write_artifact(tmp_path, deployment(app))
    place = place_of(cloud, CLOUDSDK_API_ENDPOINT_OVERRIDES_STORAGE=f"{fake_gcs.endpoint}/")
    plan = json.loads((made.folder / "infra" / "deployment.json").read_bytes())
    plan["bindings"] = {}  # it has no IAM, and keeps no labels
    for entry in plan["buckets"].values():
        del entry["body"]["labels"], entry["body"]["iamConfiguration"]
    (made.folder / "infra" / "deployment.json").write_text(json.dumps(plan))
    DEPLOYER.apply(made, place, lambda step: None)
    bucket = f"{fake_gcs.endpoint}/storage/v1/b/{PROJECT}-stored-prod-uploads-bucket"
    upload = (
        f"{fake_gcs.endpoint}/upload/storage/v1/b/{PROJECT}-stored-prod-uploads-bucket/o?uploadType=media&name=a%2Fb"
    )
    call_json("POST", upload, {"a": "blob"})
    assert DEPLOYER.holding(made, place) == [f"bucket {PROJECT}-stored-prod-uploads-bucket"]
    DEPLOYER.destroy(made, place, lambda step: None, with_data=False)
    assert call_json("GET", f"{bucket}/o")["items"], "what held data is gone"
    DEPLOYER.destroy(made, place, lambda step: None, with_data=True)
    assert DEPLOYER.preview(made, place)[0].action == "create"


def test_policies_keep_what_others_bound() -> None:
    policy: dict[str, Any] = {"etag": "x", "bindings": [{"role": "r", "members": ["user:a"]}]}
    mine = {"role": "r", "member": "serviceAccount:b"}
    under = {"role": "r", "member": "serviceAccount:b", "condition": {"title": "t", "expression": "e"}}
    assert added(policy, [mine, under]) == 2
    assert added(policy, [mine, under]) == 0
    assert policy["bindings"][0]["members"] == ["user:a", "serviceAccount:b"]
    assert policy["bindings"][1]["condition"] == under["condition"]
    assert removed(policy, [mine, under]) == 2
    assert policy == {"etag": "x", "bindings": [{"role": "r", "members": ["user:a"]}]}


@pytest.mark.parametrize(
    ("there", "wanted", "same"),
    [
        ({"a": 1, "b": 2}, {"a": 1}, True),
        ({"a": "60"}, {"a": 60}, True),
        ({}, {"a": False, "b": {}, "c": []}, True),
        ({"a": [1]}, {"a": []}, False),
        ({"a": [{"x": 1, "y": 2}]}, {"a": [{"x": 1}]}, True),
        ({"a": {"b": 1}}, {"a": {"b": 2}}, False),
        (None, {"a": {"b": 0}}, True),
    ],
)
def test_what_is_there_may_say_more(there: Any, wanted: Any, same: bool) -> None:
    assert covers(there, wanted) is same
