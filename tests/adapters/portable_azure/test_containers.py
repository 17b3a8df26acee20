"""An app's image on Container Apps: held against Azure's own models and a Bicep parser."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pycep import BicepParser

from portable.build.deployment import Deployment
from portable.build.infrastructure import infrastructure_files
from portable.errors import ConfigError
from portable_azure.build import TARGET

Deployed = Callable[..., Deployment]
IMAGE = "acme.azurecr.io/shop:1"


def files(deployment: Deployment) -> dict[str, str]:
    return {
        path.removeprefix("infra/"): content.decode()
        for path, content in infrastructure_files(TARGET, deployment, Path("/nowhere")).items()
    }


@pytest.fixture
def made(deployed: Deployed) -> dict[str, str]:
    asked = {
        "http": {"memory": 700, "concurrency": 40, "min_instances": 2, "environment": {"A": "1"}},
        "send-email": {"max_instances": 3},
    }
    return files(deployed({"image": IMAGE}, asked, only=("http", "direct", "message", "schedule")))


@pytest.fixture
def resources(made: dict[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(made["main.json"])["resources"]
    return found


def test_every_resource_is_as_azure_describes_it(made: dict[str, str], arm_models: Any) -> None:
    template = json.loads(made["main.json"])
    assert arm_models.wrong_in_template(template) == []
    assert set(BicepParser().parse(text=made["main.bicep"])["resources"]) == set(template["resources"])
    assert "events.json" not in made
    assert template["metadata"]["packages"] == {}


def test_each_way_to_be_called_is_an_app_or_a_job(resources: dict[str, Any]) -> None:
    kinds = {symbol: one["type"] for symbol, one in resources.items() if one["type"].startswith("Microsoft.App/")}
    assert kinds == {
        "environment": "Microsoft.App/managedEnvironments",
        "app_web": "Microsoft.App/containerApps",
        "app_send_email": "Microsoft.App/containerApps",
        "app_collect": "Microsoft.App/containerApps",
        "app_welcome": "Microsoft.App/containerApps",
        "job_report": "Microsoft.App/jobs",
        "job_report_weekdays": "Microsoft.App/jobs",
    }
    assert not [one for one in resources.values() if one["type"].startswith("Microsoft.Web/")]


def test_requests_are_answered_by_one_app(resources: dict[str, Any]) -> None:
    properties = resources["app_web"]["properties"]
    assert properties["configuration"]["ingress"] == {
        "allowInsecure": False,
        "external": True,
        "targetPort": 8080,
        "transport": "auto",
    }
    assert properties["configuration"]["registries"][0]["server"] == "acme.azurecr.io"
    [container] = properties["template"]["containers"]
    assert container["image"] == IMAGE
    assert container["resources"] == {"cpu": "[json('0.5')]", "memory": "1Gi"}
    env = {one["name"]: one.get("value", one.get("secretRef")) for one in container["env"]}
    assert (env["PORTABLE_FUNCTIONS"], env["PORTABLE_POLL"], env["A"]) == ("http,recount", "0", "1")
    assert env["PORTABLE_CACHE_LIMITS"] == "portable-cache-limits"
    assert [one["name"] for one in properties["configuration"]["secrets"]] == [
        "portable-cache-limits",
        "portable-events-token",
    ]
    scale = properties["template"]["scale"]
    assert (scale["minReplicas"], scale["maxReplicas"]) == (2, 10)
    assert scale["rules"] == [{"name": "http", "http": {"metadata": {"concurrentRequests": "40"}}}]


def test_messages_are_taken_by_as_many_as_there_is_work_for(resources: dict[str, Any]) -> None:
    emails, payments, welcome = (resources[f"app_{one}"]["properties"] for one in ("send_email", "collect", "welcome"))
    assert "ingress" not in emails["configuration"]
    assert emails["template"]["scale"]["maxReplicas"] == 3
    assert emails["template"]["scale"]["minReplicas"] == 0
    rules = [one["template"]["scale"]["rules"][0]["custom"] for one in (emails, payments, welcome)]
    assert [one["type"] for one in rules] == ["azure-queue", "azure-servicebus", "azure-servicebus"]
    assert rules[0]["metadata"]["queueName"] == "emails-queue"
    assert rules[1]["metadata"]["queueName"] == "payments-queue"
    assert rules[2]["metadata"] | {"namespace": ""} == {
        "namespace": "",
        "messageCount": "20",
        "topicName": "signups-topic",
        "subscriptionName": "welcome",
    }
    env = {one["name"] for one in welcome["template"]["containers"][0]["env"]}
    assert {"PORTABLE_SUBSCRIPTION_SIGNUPS_WELCOME", "PORTABLE_SUBSCRIPTIONDEADLETTER_SIGNUPS_WELCOME"} <= env


def test_who_calls_a_function_proves_it_by_a_token(made: dict[str, str], resources: dict[str, Any]) -> None:
    said = json.loads(made["main.json"])["parameters"]["eventsToken"]
    assert (said["type"], said["defaultValue"]) == ("securestring", "[newGuid()]")
    assert "@secure()\nparam eventsToken string = newGuid()\n" in made["main.bicep"]
    web, worker = (resources[f"app_{one}"]["properties"] for one in ("web", "send_email"))
    token = {"name": "portable-events-token", "value": "[parameters('eventsToken')]"}
    assert token in web["configuration"]["secrets"]
    env = web["template"]["containers"][0]["env"]
    assert {"name": "PORTABLE_EVENTS_TOKEN", "secretRef": "portable-events-token"} in env
    assert "PORTABLE_EVENTS_TOKEN" not in json.dumps(worker)


def test_what_is_in_hand_may_end(deployed: Deployed) -> None:
    asked = {"http": {"timeout": 90.0}, "send-email": {"timeout": 1800.0}, "collect": {"timeout": 60.0}}
    made = files(deployed({"image": IMAGE}, asked, only=("http", "direct", "message")))
    resources = json.loads(made["main.json"])["resources"]
    found = {}
    for word in ("web", "send_email", "collect"):
        template = resources[f"app_{word}"]["properties"]["template"]
        env = {one["name"]: one.get("value") for one in template["containers"][0]["env"]}
        names = ("PORTABLE_TIMEOUT_SECONDS", "PORTABLE_DRAIN_SECONDS", "PORTABLE_SHUTDOWN_SECONDS")
        found[word] = (*(env.get(name) for name in names), template["terminationGracePeriodSeconds"])
    assert found == {
        "web": ("90", "5", "90", 105),
        "send_email": ("1800", None, "590", 600),
        "collect": ("60", None, "60", 70),
    }


def test_schedules_are_jobs(resources: dict[str, Any]) -> None:
    configuration = resources["job_report"]["properties"]["configuration"]
    assert configuration["scheduleTriggerConfig"]["cronExpression"] == "0 8 1 * *"
    weekdays = resources["job_report_weekdays"]["properties"]["configuration"]
    assert weekdays["scheduleTriggerConfig"]["cronExpression"] == "0 8 2-31 * 5"
    [container] = resources["job_report"]["properties"]["template"]["containers"]
    assert container["args"] == ["run", "report"]


def test_every_function_has_what_it_needs_and_no_more(resources: dict[str, Any]) -> None:
    on = {symbol.rpartition("_on_")[2] for symbol in resources if symbol.startswith("send_email_") and "_on_" in symbol}
    assert {"queue_emails", "queue_emails_poison"} <= on
    assert not on & {"bucket_uploads", "table_users", "queue_payments"}


def test_what_takes_the_functions_host_is_refused(deployed: Deployed) -> None:
    with pytest.raises(ConfigError, match=r"app\.py:\d+: function '[a-z-]+' is called by a \w+, which on Azure takes"):
        files(deployed(image=IMAGE))


def test_what_is_too_large_is_refused(deployed: Deployed) -> None:
    with pytest.raises(ConfigError, match="Container Apps has 8192 MiB at most, not 9000"):
        files(deployed({}, {"http": {"memory": 9000}}, image=IMAGE, only=("http",)))


def test_an_image_is_named_by_a_text(deployed: Deployed) -> None:
    with pytest.raises(ConfigError, match=r"image = 1: it is the reference of an image"):
        files(deployed({"image": 1}))
