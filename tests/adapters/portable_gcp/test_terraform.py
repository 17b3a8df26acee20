"""``main.tf.json``: the provider knows every argument, every reference leads somewhere, and no two lead in a circle."""

from __future__ import annotations

import graphlib
import json
import os
import re
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterator, Mapping
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import msgspec
import pytest

from portable import App
from portable.build.deployment import Deployment
from portable.build.settings import FunctionSettings
from portable.errors import ConfigError
from portable.run.part import Found
from portable_gcp.build import TARGET


def _beside(name: str) -> Any:
    """A module of this folder, which is no package."""
    spec = spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


provider_arguments, provider_schema = _beside("provider_arguments"), _beside("provider_schema")

REFERENCE = re.compile(r"\$\{(?:data\.)?(google_\w+)\.([\w-]+)")


Make = Callable[..., Any]
FORMS: dict[str, Callable[[Make, Make], Deployment]] = {
    "whole": lambda whole_app, deployment: deployment(whole_app()),
    "split": lambda whole_app, deployment: deployment(
        whole_app(split=True), {"domain": "api.example.com", "project": "acme-prod"}
    ),
    "image": lambda whole_app, deployment: deployment(
        whole_app(), image="europe-docker.pkg.dev/acme/apps/saas@sha256:0"
    ),
    "eventarc": lambda whole_app, deployment: deployment(whole_app(), {"message_source": "pubsub-eventarc"}),
    "bound": lambda whole_app, deployment: deployment(
        whole_app(),
        existing={
            "bucket:uploads": "acme-uploads",
            "queue:emails": "projects/acme/topics/emails",
            "topic:signups": "signups",
            "table:users": "projects/acme/databases/main/documents/people",
            "secret:mailer-key": "projects/acme/secrets/mailer/versions/3",
            "cache:limits": "rediss://cache.example.com",
            "config:flag": "value:on",
        },
    ),
}


@pytest.fixture
def written(whole_app: Make, deployment: Make) -> Callable[[str], dict[str, Any]]:
    """What is written for one of the forms."""

    def write(form: str) -> dict[str, Any]:
        found: dict[str, Any] = TARGET.infrastructure(FORMS[form](whole_app, deployment))["main.tf.json"]
        return found

    return write


@pytest.fixture(params=FORMS)
def document(request: pytest.FixtureRequest, written: Callable[[str], dict[str, Any]]) -> dict[str, Any]:
    return written(request.param)


def resources(document: Mapping[str, Any]) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    for kind, bodies in document["resource"].items():
        for name, body in bodies.items():
            yield kind, name, body


def test_the_provider_takes_every_argument(document: dict[str, Any], require_part: Callable[..., Found]) -> None:
    schema = provider_schema.Schema(require_part("pulumi-gcp").path / "pulumi_gcp")
    problems = [f"{name}: {one}" for kind, name, body in resources(document) for one in schema.problems(kind, body)]
    assert problems == []
    assert list(schema.problems("google_pubsub_topic", {"name": "x", "nonsense": 1})), "the check sees nothing"


def test_the_providers_own_schemas_have_every_argument(document: dict[str, Any]) -> None:
    found = [
        f"{name}: {one}" for kind, name, body in resources(document) for one in provider_arguments.problems(kind, body)
    ]
    assert found == []


@pytest.mark.parametrize(
    ("kind", "body", "problem"),
    [
        ("google_pubsub_topic", {"name": "x", "nonsense": 1}, "google_pubsub_topic: no argument 'nonsense'"),
        ("google_pubsub_topic", {}, "google_pubsub_topic: 'name' is missing"),
        ("google_pubsub_topic", {"name": 3}, "google_pubsub_topic.name: 3 is not string"),
        (
            "google_pubsub_topic",
            {"name": "x", "labels": {"a": 1}},
            "google_pubsub_topic.labels: {'a': 1} is not map(string)",
        ),
        (
            "google_pubsub_subscription",
            {"name": "x", "topic": "t", "push_config": [{"push_endpoint": "u"}] * 2},
            "google_pubsub_subscription.push_config: 2 blocks, and one is the most",
        ),
        (
            "google_pubsub_subscription",
            {"name": "x", "topic": "t", "ack_deadline_seconds": "10"},
            "google_pubsub_subscription.ack_deadline_seconds: '10' is not number",
        ),
        (
            "google_pubsub_subscription",
            {"name": "x", "topic": "t", "push_config": {"oidc_token": {"audience": "a"}, "push_endpoint": "u"}},
            "google_pubsub_subscription.push_config.oidc_token: 'service_account_email' is missing",
        ),
        (
            "google_compute_target_https_proxy",
            {"name": "x", "url_map": "u", "ssl_certificates": "c"},
            "google_compute_target_https_proxy.ssl_certificates: 'c' is not list(string)",
        ),
        ("google_nonsense", {}, "google_nonsense: not in the table"),
    ],
)
def test_what_the_table_finds(kind: str, body: dict[str, Any], problem: str) -> None:
    assert list(provider_arguments.problems(kind, body)) == [problem]


def test_every_reference_leads_somewhere_and_none_in_a_circle(document: dict[str, Any]) -> None:
    known = {f"{kind}.{name}" for kind, name, _ in resources(document)}
    known |= {f"google_project.{name}" for name in document["data"]["google_project"]}
    graph = {}
    for kind, name, body in resources(document):
        text = json.dumps(body)
        needed = {f"{one}.{other}" for one, other in REFERENCE.findall(text)} | set(body.get("depends_on", ()))
        assert needed <= known
        graph[f"{kind}.{name}"] = needed
    graphlib.TopologicalSorter(graph).prepare()
    asked = set(re.findall(r"\$\{var\.([\w-]+)\}", json.dumps(document)))
    assert asked == set(document["variable"]), "a variable without a use, or a use without one"


def test_terraform_itself_reads_it(
    document: dict[str, Any], require_part: Callable[..., Found], tmp_path: Path
) -> None:
    """Its provider cannot be had here, so this is the parser alone: blocks, depends_on, variables."""
    program = require_part("terraform").path
    (tmp_path / "main.tf.json").write_text(json.dumps(document))
    environment = {"CHECKPOINT_DISABLE": "1", "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    done = subprocess.run(
        [program, "providers"], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "hashicorp/google" in done.stdout


EXPLAINED = {
    "CKV_GCP_62",  # access logs of buckets, which cost and which Cloud Audit Logs have: the user's to turn on
    "CKV_GCP_78",  # versions of blobs, which would be charged, and seen by handlers: the user's to turn on
    "CKV_GCP_83",  # keys of the user's own for topics: Google's encrypt them where there are none
    "CKV_GCP_124",  # a function called by name is called from outside, by whoever IAM lets
}


@pytest.mark.slow
def test_checkov_finds_only_what_is_explained(
    written: Callable[[str], dict[str, Any]], require_part: Callable[..., Found], tmp_path: Path
) -> None:
    """It reads no JSON but that of one other tool, so it is given the same in Terraform's language."""
    part = require_part("checkov")
    for form in FORMS:
        lines = []
        for kind, name, body in resources(written(form)):
            own = {key: value for key, value in body.items() if key != "depends_on"}
            lines += [f'resource "{kind}" "{name}" {{', *in_language(own), "}"]
        (tmp_path / form).mkdir()
        (tmp_path / form / "main.tf").write_text("\n".join(lines))
    command = [sys.executable, "-m", "checkov.main", "-d", str(tmp_path), "--framework", "terraform", "-o", "json"]
    environment = {"PYTHONPATH": str(part.path), "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    done = subprocess.run(
        [*command, "--compact", "--quiet"], env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    report = json.loads(done.stdout)
    assert report["summary"]["parsing_errors"] == 0
    assert report["summary"]["passed"] > 150
    found = {one["check_id"]: f"{one['check_name']}: {one['resource']}" for one in report["results"]["failed_checks"]}
    assert set(found) == EXPLAINED, found


def in_language(body: Mapping[str, Any], indent: str = "  ") -> Iterator[str]:
    """Arguments and blocks as Terraform's language has them."""
    for key, value in body.items():
        blocks = value if isinstance(value, list) else [value]
        if key in ("labels", "environment_variables") or not all(isinstance(one, Mapping) for one in blocks):
            yield f"{indent}{key} = {json.dumps(value)}"
            continue
        for one in blocks:
            yield f"{indent}{key} {{"
            yield from in_language(one, indent + "  ")
            yield f"{indent}}}"


def test_a_users_text_stays_as_it_is(document: dict[str, Any]) -> None:
    assert "5 $${EUR} %%{x}" in json.dumps(document)


def test_events_are_pushed_as_the_entry_expects_them(written: Callable[[str], dict[str, Any]]) -> None:
    document = written("whole")["resource"]
    emails = document["google_pubsub_subscription"]["queue_emails"]
    function = "${google_cloudfunctions2_function.send-email.service_config[0].uri}"
    assert emails["push_config"] == {
        "push_endpoint": f"{function}/emails",
        "oidc_token": {
            "service_account_email": "${google_service_account.portable_events.email}",
            "audience": function,
        },
    }
    assert emails["ack_deadline_seconds"] == 330  # the function's time, and that of a start
    assert emails["retry_policy"] == {"minimum_backoff": "20s", "maximum_backoff": "300s"}
    assert emails["dead_letter_policy"]["max_delivery_attempts"] == 7
    assert document["google_pubsub_subscription"]["queue_pulled"]["enable_message_ordering"] is True
    assert "push_config" not in document["google_pubsub_subscription"]["queue_pulled"]
    welcome = document["google_pubsub_subscription"]["topic_signups_welcome"]
    assert welcome["filter"] == '(attributes."plan" = "a" OR hasPrefix(attributes."plan", "b"))'
    environment = document["google_cloudfunctions2_function"]["welcome"]["service_config"]["environment_variables"]
    assert environment["PORTABLE_EVENT_AUTH"] == "iam"
    assert environment["PORTABLE_SUBSCRIPTION_SIGNUPS_WELCOME"].endswith("/subscriptions/" + welcome["name"])


def test_what_the_buildpack_compiles_is_good_at_run_time(
    written: Callable[[str], dict[str, Any]], tmp_path: Path
) -> None:
    """It compiles all of the workspace, and in the image every file has one time."""
    function = written("whole")["resource"]["google_cloudfunctions2_function"]["http"]
    told = function["build_config"]["environment_variables"]
    (tmp_path / "vendored.py").write_text("VALUE = 1\n")
    command = [sys.executable, "-m", "compileall", "-f", "-q", "."]
    subprocess.run(command, cwd=tmp_path, env={"PATH": "/usr/bin:/bin", **told}, timeout=60, check=True)
    for file in tmp_path.rglob("*"):
        os.utime(file, (315532801, 315532801))
    verbose = [sys.executable, "-v", "-c", "import vendored"]
    done = subprocess.run(verbose, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True)
    [compiled] = [line for line in done.stderr.splitlines() if "vendored" in line and "matches" in line]
    assert "__pycache__" in compiled
    assert not [line for line in done.stderr.splitlines() if "vendored" in line and "wrote" in line]


def test_the_bundles_own_packages_go_before_the_buildpacks(
    written: Callable[[str], dict[str, Any]], tmp_path: Path
) -> None:
    """Those of the buildpack are where ``pip install --user`` puts them."""
    function = written("whole")["resource"]["google_cloudfunctions2_function"]["http"]
    path = function["service_config"]["environment_variables"]["PYTHONPATH"]
    assert path == "/workspace"
    paths = sysconfig.get_paths("posix_user", {"userbase": str(tmp_path / "layer")})
    for folder, version in ((Path(paths["purelib"]), "buildpack"), (tmp_path / "workspace", "bundle")):
        folder.mkdir(parents=True)
        (folder / "some_server.py").write_text(f"VERSION = {version!r}\n")
    told = {
        "PYTHONUSERBASE": str(tmp_path / "layer"),
        "PYTHONPATH": path.replace("/workspace", f"{tmp_path}/workspace"),
    }
    for environment, version in ((told, "bundle"), (told | {"PYTHONPATH": ""}, "buildpack")):
        command = [sys._base_executable, "-c", "import some_server; print(some_server.VERSION)"]  # type: ignore[attr-defined]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=True)
        assert done.stdout.strip() == version


def test_only_http_is_public(written: Callable[[str], dict[str, Any]]) -> None:
    document = written("whole")["resource"]
    members = document["google_cloud_run_v2_service_iam_member"]
    everybody = [name for name, body in members.items() if body["member"] == "allUsers"]
    assert everybody == ["http_everybody"]
    callers = {one["name"] for one in members.values() if one["member"].endswith("portable_events.email}")}
    assert callers == {
        f"${{google_cloudfunctions2_function.{name}.name}}"
        for name in ("send-email", "welcome", "thumbnail", "audit", "daily")
    }
    ingress = {
        name: body["service_config"]["ingress_settings"]
        for name, body in document["google_cloudfunctions2_function"].items()
    }
    assert ingress.pop("http") == ingress.pop("recount") == "ALLOW_ALL"
    assert set(ingress.values()) == {"ALLOW_INTERNAL_ONLY"}


def test_a_split_front_is_looked_at_in_the_order_of_the_routes(written: Callable[[str], dict[str, Any]]) -> None:
    document = written("split")
    rules = document["resource"]["google_compute_url_map"]["front"]["path_matcher"][0]["route_rules"]
    shown = [
        (
            one["match_rules"][0]["path_template_match"],
            one["match_rules"][0].get("header_matches", [{}])[0].get("exact_match"),
            one["service"].split(".")[1],
        )
        for one in rules
    ]
    assert shown == [
        ("/admin/**", None, "admin"),
        ("/users/me", None, "admin"),
        ("/users/*", "GET", "http"),
        ("/users/*", "POST", "admin"),
    ]
    assert document["variable"]["domain"]["default"] == "api.example.com"
    assert document["variable"]["project"]["default"] == "acme-prod"
    assert document["output"]["url"]["value"] == "https://${var.domain}"


def test_what_the_user_binds_is_used_and_not_created(written: Callable[[str], dict[str, Any]]) -> None:
    document = written("bound")["resource"]
    assert set(document["google_storage_bucket"]) == {"bundles"}
    assert "google_firestore_database" not in document
    assert "google_secret_manager_secret" not in document
    environment = document["google_cloudfunctions2_function"]["thumbnail"]["service_config"]["environment_variables"]
    assert environment["PORTABLE_BUCKET_UPLOADS"] == "gs://acme-uploads"
    sender = document["google_cloudfunctions2_function"]["send-email"]["service_config"]["environment_variables"]
    assert sender["PORTABLE_QUEUE_EMAILS"] == (
        "projects/acme/topics/emails?subscription=projects/${var.project}/subscriptions/saas-prod-emails-queue"
    )
    assert document["google_pubsub_subscription"]["queue_emails"]["topic"] == "projects/acme/topics/emails"
    changes = document["google_eventarc_trigger"]["audit_table_users"]["matching_criteria"]
    assert [one["value"] for one in changes][1:] == ["main", "people/{id}"]


def test_arm64_is_refused(whole_app: Make, deployment: Make) -> None:
    whole = deployment(whole_app())
    arm = {name: FunctionSettings(arch="arm64") for name in whole.functions}
    with pytest.raises(ConfigError, match="Cloud Run has no arm64"):
        TARGET.infrastructure(msgspec.structs.replace(whole, functions=arm))


def test_names_that_do_not_fit_are_cut_or_refused(deployment: Make) -> None:
    app = App("saas")
    app.on_blob(app.bucket("b"), function="a" * 40)(lambda event: None)
    named = TARGET.infrastructure(deployment(app))["deployment.json"]["accounts"]["a" * 40]["id"]
    assert len(named) <= 30
    assert re.fullmatch(r"[a-z][a-z0-9-]*[a-z0-9]", named)
    with pytest.raises(ConfigError, match="holds 'google'"):
        TARGET.infrastructure(deployment(App("google-things")))


def test_equal_inputs_give_equal_files(whole_app: Make, deployment: Make) -> None:
    first, again = (json.dumps(TARGET.infrastructure(deployment(whole_app()))) for _ in range(2))
    assert first == again
