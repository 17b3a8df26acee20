"""What a build for Azure says of the infrastructure: held against Azure's own models, a Bicep parser, and policies."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest
from pycep import BicepParser

from portable.build.deployment import Deployment
from portable.build.infrastructure import infrastructure_files
from portable.drivers import address_variable
from portable.errors import ConfigError
from portable.grants import VERBS
from portable.resources.topic import subscription_name
from portable.run.parts import Found
from portable_azure.build import TARGET
from portable_azure.build.infrastructure.bicep import bicep
from portable_azure.build.infrastructure.expressions import parse
from portable_azure.limits import FLEX_REFUSES
from portable_azure.permissions import ACTIONS, BUILT_IN, CONTROL, LIST_ONLY, TRIGGER_ACTIONS, UNLISTED, role_of

Deployed = Callable[..., Deployment]
Template = Mapping[str, Any]


def files(deployment: Deployment, folder: Path = Path("/nowhere")) -> dict[str, str]:
    return {
        path.removeprefix("infra/"): content.decode()
        for path, content in infrastructure_files(TARGET, deployment, folder).items()
    }


def main_of(deployment: Deployment) -> Any:
    return json.loads(files(deployment)["main.json"])


def of_type(template: Template, kind: str) -> dict[str, Any]:
    return {symbol: one for symbol, one in template["resources"].items() if one["type"] == kind}


def with_grants(deployment: Deployment, grants: Mapping[str, Mapping[str, list[str]]]) -> Deployment:
    """The deployment where functions are granted this, and the others nothing."""
    functions = [
        msgspec.structs.replace(one, grants=dict(grants.get(one.name, {}))) for one in deployment.manifest.functions
    ]
    manifest = msgspec.structs.replace(deployment.manifest, functions=functions)
    return msgspec.structs.replace(deployment, manifest=manifest)


def assigned(template: Template, app: str) -> dict[str, list[str]]:
    """By the symbol of what it is on: the symbols of the assignments of a Function App."""
    found: dict[str, list[str]] = {}
    for symbol in template["resources"]:
        if symbol.startswith(f"{app}_") and "_on_" in symbol:
            found.setdefault(symbol.rpartition("_on_")[2], []).append(symbol)
    return found


# --- against Azure's own models


@pytest.mark.parametrize("plan", ["flex", "premium"])
@pytest.mark.parametrize("apps", ["split", "one"])
def test_every_resource_is_as_azure_describes_it(deployed: Deployed, arm_models: Any, plan: str, apps: str) -> None:
    asked = {"http": {"min_instances": 2, "max_instances": 40, "concurrency": 16}, "report": {"min_instances": 1}}
    settings = {"plan": plan, "apps": apps, "blob_source": "poll" if plan == "premium" else "eventgrid"}
    made = files(deployed(settings, asked))
    for name in ("main.json", "events.json"):
        assert arm_models.wrong_in_template(json.loads(made[name])) == []


def test_the_check_against_azures_models_finds_what_is_wrong(deployed: Deployed, arm_models: Any) -> None:
    template = main_of(deployed())
    resources = template["resources"]
    resources["app_http"]["properties"]["functionAppConfig"]["scaleAndConcurrency"]["memory"] = 512
    resources["data"]["properties"]["minimumTlsVersion"] = "TLS9"
    resources["blob_events"]["properties"]["kind"] = "blobs"
    resources["cosmos"]["properties"]["locations"][0]["failoverPriority"] = "0"
    scale = "app_http.properties.functionAppConfig.scaleAndConcurrency"
    assert sorted(arm_models.wrong_in_template(template)) == [
        f"{scale}.memory: FunctionsScaleAndConcurrency has no such field",
        "blob_events.properties.kind: SystemTopic has no such field",
        "cosmos.properties.locations[0].failoverPriority: int, got '0'",
        "data.properties.minimumTlsVersion: 'TLS9' is none of ['TLS1_0', 'TLS1_1', 'TLS1_2', 'TLS1_3']",
    ]


def test_every_expression_is_one_and_names_what_is_there(deployed: Deployed) -> None:
    for name in ("main.json", "events.json"):
        template = json.loads(files(deployed())[name])
        resources = template["resources"]
        for symbol, one in resources.items():
            for text in re.findall(r'"(\[[^\[].*?\])"[,\n]', json.dumps(one, indent=1)):
                parse(json.loads(f'"{text}"'))
            for named in re.findall(r"reference\('(\w+)'", json.dumps(one)):
                assert named in resources
            for waited in one.get("dependsOn", []):
                assert waited in resources
                assert not resources[waited].get("existing")
                assert symbol not in resources[waited].get("dependsOn", [])


# --- Bicep


@pytest.mark.parametrize("name", ["main", "events"])
def test_bicep_says_the_same_as_the_json(deployed: Deployed, name: str) -> None:
    made = files(deployed())
    template, parsed = json.loads(made[f"{name}.json"]), BicepParser().parse(text=made[f"{name}.bicep"])
    said = {symbol: (one["type"], one["api_version"], one["existing"]) for symbol, one in parsed["resources"].items()}
    assert said == {
        symbol: (one["type"], one["apiVersion"], one.get("existing", False))
        for symbol, one in template["resources"].items()
    }
    assert set(parsed.get("outputs", {})) == set(template["outputs"])
    assert set(parsed.get("parameters", {})) == set(template["parameters"])


def test_bicep_reads_as_a_person_would_write_it(deployed: Deployed) -> None:
    text = files(deployed())["main.bicep"]
    container = text[text.index("resource bucket_uploads ") :]
    assert container[: container.index("\n}")].splitlines() == [
        "resource bucket_uploads 'Microsoft.Storage/storageAccounts/blobServices/containers@2023-05-01' = {",
        "  parent: data_blobs",
        "  name: 'uploads-bucket'",
        "  properties: {",
        "    publicAccess: 'None'",
        "  }",
    ]
    assert "PORTABLE_BUCKET_UPLOADS: '${data.properties.primaryEndpoints.blob}uploads-bucket'" in text
    assert "serverFarmId: plan_http.id" in text
    assert "      '${identity_http.id}': {}" in text


def test_what_the_user_lays_over_is_in_both(deployed: Deployed, tmp_path: Path) -> None:
    (tmp_path / "infra").mkdir()
    (tmp_path / "infra" / "azure.yaml").write_text(
        "main.json:\n"
        "  resources:\n"
        "    data:\n"
        "      sku: {name: Standard_GZRS}\n"
        '      tags: {cost: "it\'s ${mine}"}\n'
        "    settings_http:\n"
        "      properties:\n"
        "        BANNER: \"[format('{0} at {1}', parameters('location'), resourceGroup().name)]\"\n"
    )
    made = files(deployed(), tmp_path)
    template = json.loads(made["main.json"])
    assert template["resources"]["data"]["sku"] == {"name": "Standard_GZRS"}
    assert template["resources"]["data"]["tags"]["application"] == "user-shop"
    assert "name: 'Standard_GZRS'" in made["main.bicep"]
    assert r"cost: 'it\'s \${mine}'" in made["main.bicep"]
    assert "BANNER: '${location} at ${resourceGroup().name}'" in made["main.bicep"]
    BicepParser().parse(text=made["main.bicep"])


def test_what_an_operator_may_ask_for_is_as_the_page_says(deployed: Deployed, arm_models: Any, tmp_path: Path) -> None:
    blocks = re.findall(r"```yaml\n(.*?)```", EXPLAINED.read_text("utf-8"), re.DOTALL)
    [asked] = [one for one in blocks if "Microsoft.Authorization/locks" in one]
    (tmp_path / "infra").mkdir()
    (tmp_path / "infra" / "azure.yaml").write_text(asked.replace("'shopd{0}'", "'usershopd{0}'"))
    made = files(deployed(), tmp_path)
    template = json.loads(made["main.json"])
    resources = template["resources"]
    lock = resources["data_lock"]
    assert lock["scope"] == f"[resourceId('Microsoft.Storage/storageAccounts', {resources['data']['name'][1:-1]})]"
    assert "scope: data\n" in made["main.bicep"]
    blobs = resources["data_blobs"]["properties"]
    assert blobs["deleteRetentionPolicy"] == {"enabled": True, "days": 30}
    assert blobs["isVersioningEnabled"] is True
    scale = resources["app_http"]["properties"]["functionAppConfig"]["scaleAndConcurrency"]
    assert (scale["maximumInstanceCount"], scale["instanceMemoryMB"]) == (400, 512)
    assert "param subnet string" in made["main.bicep"]
    del resources["data_lock"]
    assert arm_models.wrong_in_template(template) == []
    BicepParser().parse(text=made["main.bicep"])


@pytest.mark.parametrize(
    ("expression", "written"),
    [
        ("[[not an expression]", "'[not an expression]'"),
        ("[concat('a', variables('b'), 'c')]", "'a${b}c'"),
        ("[union(createArray(1, 2), variables('b'))[0]]", "union(createArray(1, 2), b)[0]"),
        ("[if(equals(parameters('x'), 'it''s'), true(), null())]", "if(equals(x, 'it\\'s'), true, null)"),
    ],
)
def test_expressions_in_bicep(expression: str, written: str) -> None:
    document = {"resources": {}, "outputs": {"it": {"type": "string", "value": expression}}}
    assert bicep(document) == f"output it string = {written}\n"


@pytest.mark.parametrize("expression", ["[concat('a'", "[concat('a' 'b')]", "[concat(§)]", "['a' 'b']"])
def test_what_is_no_expression_is_refused(expression: str) -> None:
    with pytest.raises(ConfigError, match="no expression of a template"):
        bicep({"resources": {}, "outputs": {"it": {"type": "string", "value": f"{expression.removesuffix(']')}]"}}})


def test_the_same_app_gives_the_same_files(deployed: Deployed) -> None:
    assert files(deployed()) == files(deployed())


# --- Function Apps


def test_each_function_app_has_an_identity_a_plan_and_an_account_of_its_own(deployed: Deployed) -> None:
    deployment = deployed()
    template = main_of(deployment)
    words = {bundle.name.replace("-", "_") for bundle in deployment.bundles}
    assert len(words) > 1
    for kind, lead in (
        ("Microsoft.Web/sites", "app"),
        ("Microsoft.Web/serverfarms", "plan"),
        ("Microsoft.ManagedIdentity/userAssignedIdentities", "identity"),
        ("Microsoft.Web/sites/config", "settings"),
    ):
        assert set(of_type(template, kind)) - {"identity_blob_events"} == {f"{lead}_{word}" for word in words}
    assert set(of_type(template, "Microsoft.Storage/storageAccounts")) == {"data", *(f"host_{word}" for word in words)}
    assert template["metadata"]["packages"] == {
        f"app_{bundle.name.replace('-', '_')}": bundle.zip_name for bundle in deployment.bundles
    }


def test_no_account_takes_a_key_and_no_password_deploys(deployed: Deployed) -> None:
    template = main_of(deployed())
    for one in of_type(template, "Microsoft.Storage/storageAccounts").values():
        assert one["properties"]["allowSharedKeyAccess"] is False
        assert one["properties"]["allowBlobPublicAccess"] is False
    for kind in ("Microsoft.ServiceBus/namespaces", "Microsoft.EventHub/namespaces"):
        for one in of_type(template, kind).values():
            assert one["properties"]["disableLocalAuth"] is True
            assert one["properties"]["minimumTlsVersion"] == "1.2"
    assert template["resources"]["cosmos"]["properties"]["disableLocalAuth"] is True
    policies = of_type(template, "Microsoft.Web/sites/basicPublishingCredentialsPolicies")
    assert [one["properties"] for one in policies.values()] == [{"allow": False}] * 4
    keys = [line for line in json.dumps(template, indent=1).splitlines() if "listKeys" in line]
    assert [re.match(r'\s*"(\w+)"', line)[1] for line in keys] == [  # type: ignore[index]
        "PORTABLE_CACHE_LIMITS",
        "WebPubSubConnectionString",
    ]


def test_size_scale_and_instances_are_the_settings(deployed: Deployed) -> None:
    asked = {
        "http": {"min_instances": 2, "concurrency": 16},
        "send-email": {"min_instances": 1, "memory": 3000},
        "report": {"min_instances": 1},
        "make-thumbnail": {"min_instances": 3, "max_instances": 7},
        "forget-thumbnail": {"max_instances": 9},
    }
    resources = main_of(deployed({}, asked))["resources"]
    scale = resources["app_http"]["properties"]["functionAppConfig"]["scaleAndConcurrency"]
    assert scale == {
        "instanceMemoryMB": 4096,
        "maximumInstanceCount": 100,
        "alwaysReady": [
            {"name": "function:report", "instanceCount": 1},
            {"name": "function:report_weekdays", "instanceCount": 1},
            {"name": "function:send-email", "instanceCount": 1},
            {"name": "http", "instanceCount": 2},
        ],
        "triggers": {"http": {"perInstanceConcurrency": 16}},
    }
    scale = resources["app_make_thumbnail"]["properties"]["functionAppConfig"]["scaleAndConcurrency"]
    assert scale["maximumInstanceCount"] == 9
    assert scale["alwaysReady"] == [{"name": "blob", "instanceCount": 3}]


def test_the_premium_plan_is_run_from_its_container(deployed: Deployed) -> None:
    deployment = deployed({"plan": "premium"}, {"http": {"min_instances": 2}})
    word = deployment.bundle_of("http").name.replace("-", "_") or "main"
    resources = main_of(deployment)["resources"]
    plans = {one["sku"]["name"] for one in resources.values() if one["type"] == "Microsoft.Web/serverfarms"}
    assert plans == {"EP1"}
    site = resources[f"app_{word}"]["properties"]
    assert "functionAppConfig" not in site
    assert site["siteConfig"]["linuxFxVersion"] == "Python|3.13"
    assert site["siteConfig"]["minimumElasticInstanceCount"] == 2
    settings = resources[f"settings_{word}"]["properties"]
    assert settings["WEBSITE_RUN_FROM_PACKAGE"].endswith(".primaryEndpoints.blob)]")
    assert f"app-package/{deployment.zip_of('http')}" in settings["WEBSITE_RUN_FROM_PACKAGE"]
    assert settings["FUNCTIONS_WORKER_RUNTIME"] == "python"


def test_the_consumption_plan_is_refused(deployed: Deployed) -> None:
    with pytest.raises(ConfigError, match=r'runs no Python 3\.13 on Linux: set plan = "flex"'):
        files(deployed({"plan": "consumption"}))


def test_a_time_limit_of_the_settings_reaches_the_host(deployed: Deployed) -> None:
    settings = main_of(deployed({}, {"send-email": {"timeout": 3700.0}}))["resources"]["settings_http"]["properties"]
    assert settings["AzureFunctionsJobHost__functionTimeout"] == "01:01:40"
    assert not [name for name in main_of(deployed())["resources"]["settings_http"]["properties"] if "Timeout" in name]


def test_an_app_has_one_environment(deployed: Deployed) -> None:
    same = {"http": {"environment": {"A": "1"}}, "send-email": {"environment": {"A": "1", "B": "2"}}}
    settings = main_of(deployed({}, same))["resources"]["settings_http"]["properties"]
    assert (settings["A"], settings["B"]) == ("1", "2")
    other = {"http": {"environment": {"A": "1"}}, "send-email": {"environment": {"A": "2"}}}
    with pytest.raises(ConfigError, match=r"'http' and 'send-email' share a Function App and set A differently"):
        files(deployed({}, other))


def test_logs_are_kept_as_long_as_asked(deployed: Deployed) -> None:
    assert main_of(deployed(retention_days=90))["resources"]["logs"]["properties"]["retentionInDays"] == 90
    assert main_of(deployed(retention_days=7))["resources"]["logs"]["properties"]["retentionInDays"] == 30
    odd = main_of(deployed(retention_days=400))["resources"]  # Application Insights takes only some
    assert odd["logs"]["properties"]["retentionInDays"] == 400
    assert odd["insights"]["properties"]["RetentionInDays"] == 550
    with pytest.raises(ConfigError, match=r"log_retention = 3650: Azure keeps logs 730 days at most"):
        files(deployed(retention_days=3650))


def test_an_app_on_flex_has_no_setting_that_flex_refuses(deployed: Deployed) -> None:
    template = main_of(deployed({}, {"http": {"min_instances": 1, "concurrency": 4}}))
    for one in of_type(template, "Microsoft.Web/sites/config").values():
        assert not set(one["properties"]) & FLEX_REFUSES
    asked = {"http": {"environment": {"WEBSITE_RUN_FROM_PACKAGE": "1"}}}
    with pytest.raises(ConfigError, match="'http', environment: an app on Flex must not have WEBSITE_RUN_FROM_PACKAGE"):
        files(deployed({}, asked))


# --- names

MOST = {
    "Microsoft.App/containerApps": 32,
    "Microsoft.App/jobs": 32,
    "Microsoft.App/managedEnvironments": 60,
    "Microsoft.Cache/redisEnterprise": 60,
    "Microsoft.DocumentDB/databaseAccounts": 44,
    "Microsoft.EventGrid/systemTopics": 50,
    "Microsoft.EventHub/namespaces": 50,
    "Microsoft.KeyVault/vaults": 24,
    "Microsoft.ManagedIdentity/userAssignedIdentities": 128,
    "Microsoft.OperationalInsights/workspaces": 63,
    "Microsoft.ServiceBus/namespaces": 50,
    "Microsoft.SignalRService/webPubSub": 63,
    "Microsoft.Storage/storageAccounts": 24,
    "Microsoft.Web/serverfarms": 60,
    "Microsoft.Web/sites": 60,
}
"""The longest names. Documented: azure-resource-manager/management/resource-name-rules."""


def named(template: Template) -> dict[str, str]:
    """The name of each resource of its own, with thirteen letters in the place of a digest, as ARM makes it."""
    found = {}
    for symbol, one in template["resources"].items():
        if one["type"] not in MOST:
            continue
        form, *arguments = re.findall(r"'([^']*)'", one["name"])
        if form == "{0}-id":
            form, arguments = f"{arguments[0]}-id", arguments[1:]
        elif form == "{0}-plan":
            form, arguments = f"{arguments[0]}-plan", arguments[1:]
        said = template["variables"][arguments[-1]]
        found[symbol] = form.replace("{0}", hashlib.sha256(said.encode()).hexdigest()[:13])
    return found


def renamed(deployment: Deployment, app: str, stage: str) -> Deployment:
    manifest = msgspec.structs.replace(deployment.manifest, app=app)
    return msgspec.structs.replace(deployment, app=app, stage=stage, manifest=manifest)


@pytest.mark.parametrize("settings", [{}, {"image": "acme.azurecr.io/shop:1"}], ids=["functions", "image"])
def test_names_are_short_enough_and_no_two_stages_share_one(deployed: Deployed, settings: dict[str, Any]) -> None:
    only = {"only": ("http", "direct", "message", "schedule")} if settings else {}
    long, one = "a-very-long-application-name-of-forty-ch", deployed(settings, **only)
    made = [main_of(renamed(one, long, f"a-stage-of-twenty-l{end}")) for end in "ab"]
    for template in made:
        for symbol, name in named(template).items():
            assert len(name) <= MOST[template["resources"][symbol]["type"]], symbol
            assert re.fullmatch(r"[a-z](-?[a-z0-9])*", name), symbol
    first, second = (named(template) for template in made)
    assert len({*first.values(), *second.values()}) == len(first) + len(second)


@pytest.mark.parametrize("settings", [{}, {"image": "acme.azurecr.io/shop:1"}], ids=["functions", "image"])
def test_a_name_stays_when_functions_come_and_go(deployed: Deployed, settings: dict[str, Any]) -> None:
    every = deployed(
        settings, only=("http", "direct", "message", "schedule", "blob") if not settings else ("http", "message")
    )
    fewer = deployed(settings, only=("blob", "direct") if not settings else ("message",))
    before, after = named(main_of(every)), named(main_of(fewer))
    lead = "job_" if settings else "app_make"
    assert any(symbol.startswith(("app_send", lead)) for symbol in after)
    own = [symbol for symbol in after if symbol.startswith(("app_make", "host_make", "app_send", "identity_send"))]
    assert own
    assert {symbol: after[symbol] for symbol in own} == {symbol: before[symbol] for symbol in own}


def test_an_app_keeps_its_url_when_it_becomes_two(deployed: Deployed) -> None:
    alone, both = main_of(deployed(only=("http", "direct"))), main_of(deployed())
    assert {"app_main"} == set(of_type(alone, "Microsoft.Web/sites"))
    assert named(alone)["app_main"] == named(both)["app_http"]
    assert named(alone)["host_main"] == named(both)["host_http"]


# --- what the bundle reads


def test_every_setting_that_the_bundle_names_is_set(deployed: Deployed) -> None:
    deployment = deployed()
    resources = main_of(deployment)["resources"]
    for bundle in deployment.bundles:
        settings = resources[f"settings_{bundle.name.replace('-', '_')}"]["properties"]
        source = bundle.files["function_app.py"].decode()
        named = set(re.findall(r"%(\w+)%", source))
        connections = set(re.findall(r"connection='(\w+)'", source))
        assert connections
        assert named <= set(settings)
        for one in connections:
            assert settings[f"{one}__credential"] == "managedidentity"
            ends = {name.partition("__")[2] for name in settings if name.startswith(f"{one}__")}
            assert ends - {"credential", "clientId"}


def test_a_function_app_has_the_addresses_of_what_its_functions_use_and_no_others(deployed: Deployed) -> None:
    deployment = deployed()
    resources = main_of(deployment)["resources"]
    kinds = {one.kind for one in deployment.manifest.resources}
    for bundle in deployment.bundles:
        settings = resources[f"settings_{bundle.name.replace('-', '_')}"]["properties"]
        addresses = {
            name for name in settings if (found := re.match(r"PORTABLE_([A-Z]+)_", name)) and found[1].lower() in kinds
        }
        used = {address_variable(kind, name) for function in bundle.sources for kind, name in deployment.uses(function)}
        assert addresses == used
    full = subscription_name("signups", "welcome")
    settings = resources["settings_http"]["properties"]
    assert address_variable("subscription", full) in settings
    assert address_variable("subscriptiondeadletter", full) in settings
    assert settings[address_variable("subscriptionname", full)] == "welcome"


def test_what_is_bound_is_used_and_not_made(deployed: Deployed) -> None:
    existing = {
        "bucket:uploads": "https://acme.blob.core.windows.net/acme-uploads",
        "queue:emails": "https://acme.queue.core.windows.net/acme-emails",
        "queue:payments": "sb://acme.servicebus.windows.net/acme-payments",
        "table:users": "https://acme.documents.azure.com/dbs/shop/colls/people",
        "cache:limits": "rediss://:secret@acme.example:6380",
        "secret:mailer-key": "https://acme.vault.azure.net/secrets/mailer",
    }
    made = files(deployed(existing=existing))
    resources = json.loads(made["main.json"])["resources"]
    assert not [
        symbol for symbol in resources if re.match(r"(bucket_uploads|queue_|table_users|cache|secret_)", symbol)
    ]
    thumbnails, http = (resources[f"settings_{one}"]["properties"] for one in ("make_thumbnail", "http"))
    assert thumbnails["PORTABLE_BUCKET_UPLOADS"] == existing["bucket:uploads"]
    assert thumbnails["PORTABLE_BUCKETNAME_UPLOADS"] == "acme-uploads"
    assert thumbnails["PORTABLE_BUCKETACCOUNT_UPLOADS__queueServiceUri"] == "https://acme.queue.core.windows.net/"
    assert http["PORTABLE_QUEUENAME_EMAILS"] == "acme-emails"
    assert http["PORTABLE_DEADLETTER_EMAILS"] == "https://acme.queue.core.windows.net/acme-emails-poison"
    assert http["PORTABLE_QUEUEACCOUNT_PAYMENTS__fullyQualifiedNamespace"] == "acme.servicebus.windows.net"
    assert (http["PORTABLE_TABLEDATABASE_USERS"], http["PORTABLE_TABLENAME_USERS"]) == ("shop", "people")
    assert "events_make_thumbnail" not in made["events.json"]


BOUND = {
    "bucket:uploads": "https://acme.blob.core.windows.net/acme-uploads",
    "queue:emails": "https://acme.queue.core.windows.net/acme-emails",
    "queue:payments": "sb://acme-bus.servicebus.windows.net/acme-payments",
    "table:users": "https://acme.documents.azure.com/dbs/shop/colls/people",
    "secret:mailer-key": "https://acme.vault.azure.net/secrets/mailer",
    "topic:signups": "sb://acme-bus.servicebus.windows.net/acme-signups",
    "stream:clicks": "sb://acme-hubs.servicebus.windows.net/acme-clicks",
}
BOUND_IN = {  # kind: what it is in the interface
    "bucket:uploads": ("storageAccounts/blobServices/containers", "'acme', 'default', 'acme-uploads'"),
    "queue:emails": ("storageAccounts/queueServices/queues", "'acme', 'default', 'acme-emails'"),
    "queue:payments": ("namespaces/queues", "'acme-bus', 'acme-payments'"),
    "secret:mailer-key": ("vaults/secrets", "'acme', 'mailer'"),
    "topic:signups": ("namespaces/topics", "'acme-bus', 'acme-signups'"),
}


def allowed_on(template: Template, kind: str, names: str) -> set[str]:
    """The operations that the roles allow which are assigned on one resource."""
    custom = {
        one["name"].removeprefix("[").removesuffix("]"): one["properties"]["permissions"][0]
        for one in of_type(template, "Microsoft.Authorization/roleDefinitions").values()
    }
    known = {role.id: wanted for wanted, role in BUILT_IN.items()}
    found: set[str] = set()
    for one in of_type(template, "Microsoft.Authorization/roleAssignments").values():
        if re.fullmatch(rf"\[resourceId\('Microsoft\.\w+/{kind}', {names}\)\]", one["scope"]):
            definition = parse(one["properties"]["roleDefinitionId"]).arguments[1]
            if isinstance(definition, str):
                found |= known.get(definition, {definition})
            else:
                said = next(one for name, one in custom.items() if parse(f"[{name}]") == definition)
                found |= {*said["actions"], *said["dataActions"]}
    return found


@pytest.mark.parametrize("group", [None, "shared"])
def test_what_is_bound_may_be_used_where_it_is(deployed: Deployed, arm_models: Any, group: str | None) -> None:
    deployment = deployed({"resource_groups": dict.fromkeys(BOUND, group)} if group else {}, existing=BOUND)
    made = files(deployment)
    main = json.loads(made["main.json"])
    if group is None:
        template = main
        assert not of_type(main, "Microsoft.Resources/deployments")
    else:
        [(symbol, sent)] = of_type(main, "Microsoft.Resources/deployments").items()
        assert sent["resourceGroup"] == "shared"
        assert sent["properties"]["expressionEvaluationOptions"] == {"scope": "inner"}
        template = sent["properties"]["template"]
        given = {name: one["value"] for name, one in sent["properties"]["parameters"].items()}
        assert given == {name: f"[reference('{name}').principalId]" for name in template["parameters"]}
        assert set(given) <= set(sent["dependsOn"])
        assert arm_models.wrong_in_template(template) == []
        [module] = BicepParser().parse(text=made["main.bicep"])["modules"].values()
        assert module["config"]["scope"]["function"]["parameters"]["resource_group_name"] == "shared"
        said = BicepParser().parse(text=made[f"{symbol}.bicep"])["resources"]
        assert {name: one["existing"] for name, one in said.items()} == {
            name: one.get("existing", False) for name, one in template["resources"].items()
        }
    wanted: dict[str, set[str]] = {}
    for function in deployment.manifest.functions:
        for key, verbs in function.grants.items():
            part = {"bucket": "container", "secret": "secret", "topic": "bus-topic"}.get(key.partition(":")[0])
            part = part or ("bus-queue" if key == "queue:payments" else "queue")
            for verb in verbs if key in BOUND_IN else ():
                needed = ACTIONS[key.partition(":")[0]][verb][part]
                wanted.setdefault(key, set()).update(one.partition("#")[0] for one in needed)
    assert wanted
    for key, asked in wanted.items():
        assert asked <= allowed_on(template, *BOUND_IN[key]), key
    settings = main["resources"]["settings_http"]["properties"]
    assert settings["PORTABLE_SUBSCRIPTIONNAME_SIGNUPS_WELCOME"] == "welcome"
    assert settings["PORTABLE_CONSUMERGROUP_CLICKS_COUNT"] == "count"
    [bus, hub] = TRIGGER_ACTIONS["topic"]["subscription"] + TRIGGER_ACTIONS["stream"]["hub"]
    assert bus in allowed_on(template, "namespaces/topics/subscriptions", "'acme-bus', 'acme-signups', 'welcome'")
    assert hub in allowed_on(template, "namespaces/eventhubs", "'acme-hubs', 'acme-clicks'")
    items = of_type(template, "Microsoft.DocumentDB/databaseAccounts/sqlRoleAssignments").values()
    assert ("shop", "people") in {parse(one["properties"]["scope"]).arguments[2:] for one in items}


def test_where_nothing_is_to_be_assigned(deployed: Deployed) -> None:
    said = {"bucket:uploads": ""}
    resources = main_of(deployed({"resource_groups": said}, existing={"bucket:uploads": BOUND["bucket:uploads"]}))
    assert "acme" not in json.dumps({name: one for name, one in resources["resources"].items() if "_on_" in name})
    own = {"bucket:uploads": "https://files.acme.example/acme-uploads"}
    assert "existing_" not in json.dumps(main_of(deployed(existing=own)))


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"bucket:thumbs": "shared"}, r"'bucket:thumbs' is not bound in \[tool\.portable\.resources\]"),
        ("shared", "resource_groups is a table like"),
    ],
)
def test_a_group_of_what_is_not_bound_is_refused(deployed: Deployed, said: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        files(deployed({"resource_groups": said}))


def test_a_binding_of_another_form_is_refused(deployed: Deployed) -> None:
    with pytest.raises(ConfigError, match=r"bucket 'uploads' is bound to 'acme-uploads'; on Azure .* by its address"):
        files(deployed(existing={"bucket:uploads": "acme-uploads"}))


# --- events


def test_events_of_buckets_go_where_their_functions_are(deployed: Deployed) -> None:
    resources = json.loads(files(deployed())["events.json"])["resources"]
    created, both = resources["events_make_thumbnail"]["properties"], resources["events_forget_thumbnail"]["properties"]
    url = created["destination"]["properties"]["endpointUrl"]
    assert "/runtime/webhooks/blobs?functionName=Host.Functions.make-thumbnail&code=" in url
    assert "systemKeys.blobs_extension" in url
    assert created["filter"] == {
        "includedEventTypes": ["Microsoft.Storage.BlobCreated"],
        "subjectBeginsWith": "/blobServices/default/containers/uploads-bucket/blobs/in/",
    }
    assert both["destination"]["endpointType"] == "AzureFunction"
    assert "/functions/forget-thumbnail" in both["destination"]["properties"]["resourceId"]
    assert both["filter"]["includedEventTypes"] == ["Microsoft.Storage.BlobCreated", "Microsoft.Storage.BlobDeleted"]
    assert "/portable-sockets/chat?code=" in resources["hub_rooms"]["properties"]["eventHandlers"][0]["urlTemplate"]


def test_events_that_nobody_takes_are_kept(deployed: Deployed) -> None:
    made = files(deployed())
    main, events = json.loads(made["main.json"])["resources"], json.loads(made["events.json"])["resources"]
    for symbol in ("events_make_thumbnail", "events_forget_thumbnail"):
        letters = events[symbol]["properties"]["deadLetterWithResourceIdentity"]
        assert letters["identity"]["userAssignedIdentity"] in main["blob_events"]["identity"]["userAssignedIdentities"]
        place = letters["deadLetterDestination"]["properties"]
        assert place["resourceId"] == main["blob_events"]["properties"]["source"]
        assert main["events_undelivered"]["name"].endswith(f"'{place['blobContainerName']}')]")
    assert {"identity_blob_events", "data"} <= set(main["blob_events"]["dependsOn"])
    [only] = assigned({"resources": main}, "blob_events")["events_undelivered"]
    assert only == "blob_events_storage_blob_data_contributor_on_events_undelivered"
    assert list(assigned({"resources": main}, "blob_events")) == ["events_undelivered"]


def test_who_reads_a_secret_is_in_the_logs(deployed: Deployed) -> None:
    logs = main_of(deployed())["resources"]["vault_logs"]
    assert logs["scope"].startswith("[resourceId('Microsoft.KeyVault/vaults'")
    assert logs["properties"]["logs"] == [{"categoryGroup": "audit", "enabled": True}]


def test_a_polled_bucket_has_no_events(deployed: Deployed) -> None:
    made = files(deployed({"blob_source": "poll", "plan": "premium"}))
    assert "events_forget_thumbnail" in made["events.json"]
    assert "events_make_thumbnail" not in made["events.json"]


# --- roles


def test_every_verb_of_every_kind_is_known() -> None:
    assert {kind: tuple(sorted(verbs)) for kind, verbs in ACTIONS.items()} == VERBS


def test_roles_are_azures_own_where_they_allow_no_more() -> None:
    for kind, verbs in ACTIONS.items():
        for parts in (*verbs.values(), TRIGGER_ACTIONS.get(kind, {})):
            for wanted in parts.values():
                role = role_of(wanted)
                allowed = {*role.actions, *role.data_actions}
                assert role.id or allowed == {one.partition("#")[0] for one in wanted}
                assert not any("*" in one for one in allowed)
                assert set(role.actions) <= CONTROL
                assert not set(role.data_actions) & CONTROL
    assert len({role.id for role in BUILT_IN.values()}) == len(BUILT_IN)


def test_an_identity_may_what_its_functions_may_and_nothing_else(deployed: Deployed) -> None:
    grants = {
        "http": {"queue:emails": ["send"], "table:users": ["read"], "bucket:uploads": ["list"]},
        "report": {"bucket:thumbs": ["delete"]},
        "make-thumbnail": {"bucket:uploads": ["read"], "bucket:thumbs": ["write"]},
    }
    template = main_of(with_grants(deployed(), grants))
    resources = template["resources"]
    http = assigned(template, "http")
    own = {"host_http", "insights", "logs"}
    triggers = {
        "queue_emails",
        "queue_emails_poison",
        "queue_payments",
        "queue_payments_dead",
        "topic_signups_welcome",
        "topic_signups_welcome_dead",
        "stream_clicks",
        "table_users",
        "table_users_leases",
    }
    assert set(http) - own == triggers | {"bucket_uploads", "bucket_thumbs"}
    assert http["bucket_uploads"] == ["http_blobs_read_on_bucket_uploads"]
    assert resources["http_blobs_read_on_bucket_uploads"]["properties"]["condition"] == LIST_ONLY
    # The queue's own trigger and the sender, in one role.
    [emails] = http["queue_emails"]
    role = resources[emails.replace("http_", "role_").replace("_on_queue_emails", "")]["properties"]
    assert sorted(one.rpartition("queues/")[2] for one in role["permissions"][0]["dataActions"]) == [
        "messages/add/action",
        "messages/process/action",
        "messages/read",
        "messages/write",
    ]
    thumbnails = assigned(template, "make_thumbnail")
    assert set(thumbnails) == {
        "host_make_thumbnail",
        "insights",
        "data",
        "bucket_uploads",
        "bucket_thumbs",
        "blobs_poison",
    }
    assert thumbnails["data"] == ["make_thumbnail_storage_blob_delegator_on_data"]
    read = resources["make_thumbnail_blobs_read_on_bucket_uploads"]["properties"]
    assert read["condition"] == UNLISTED
    assert read["principalId"] == "[reference('identity_make_thumbnail').principalId]"
    assert "secret_mailer_key" not in thumbnails


def test_what_the_code_does_is_what_its_identity_may(deployed: Deployed) -> None:
    template = main_of(deployed())
    host = {"host_make_thumbnail", "insights"}
    found = {scope: roles for scope, roles in assigned(template, "make_thumbnail").items() if scope not in host}
    assert found == {
        "bucket_thumbs": ["make_thumbnail_blobs_write_on_bucket_thumbs"],
        "bucket_uploads": [
            "make_thumbnail_blobs_read_on_bucket_uploads",
            "make_thumbnail_storage_blob_data_owner_on_bucket_uploads",
        ],
        "data": ["make_thumbnail_storage_blob_delegator_on_data"],
        "blobs_poison": ["make_thumbnail_storage_queue_data_contributor_on_blobs_poison"],
    }
    http = assigned(template, "http")
    assert http["bucket_uploads"] == ["http_blobs_read_on_bucket_uploads"]
    assert template["resources"]["http_blobs_read_on_bucket_uploads"]["properties"]["condition"] == LIST_ONLY
    assert http["secret_mailer_key"] == ["http_key_vault_secrets_user_on_secret_mailer_key"]
    assert http["topic_signups"] == ["http_azure_service_bus_data_sender_on_topic_signups"]
    assert "data" not in http


def test_assignments_are_on_one_resource_and_named_by_what_they_say(deployed: Deployed) -> None:
    template = main_of(deployed())
    made = of_type(template, "Microsoft.Authorization/roleAssignments")
    assert len({json.dumps(one["name"]) for one in made.values()}) == len(made)
    for one in made.values():
        assert one["scope"].startswith("[resourceId(")
        assert one["name"].startswith("[guid(")
        assert one["properties"]["principalType"] == "ServicePrincipal"
    for one in of_type(template, "Microsoft.DocumentDB/databaseAccounts/sqlRoleAssignments").values():
        assert "/colls/" in one["properties"]["scope"]


def test_custom_roles_can_be_assigned_in_the_group_alone(deployed: Deployed) -> None:
    for one in of_type(main_of(deployed()), "Microsoft.Authorization/roleDefinitions").values():
        assert one["properties"]["assignableScopes"] == ["[resourceGroup().id]"]


# --- policies

EXPLAINED = Path(__file__).parents[3] / "docs" / "how-to" / "deploy-azure.md"


@pytest.mark.slow
def test_checkov_finds_nothing_that_is_not_explained(
    deployed: Deployed, require_part: Callable[..., Found], tmp_path: Path
) -> None:
    checkov = require_part("checkov")
    made = files(deployed())
    for name in ("main.bicep", "events.bicep"):
        (tmp_path / name).write_text(made[name])
    command = [sys.executable, "-m", "checkov.main", "--skip-download", "--framework", "bicep", "-d", tmp_path]
    environment = {**os.environ, "PYTHONPATH": str(checkov.path), "LOG_LEVEL": "ERROR"}
    done = subprocess.run(
        [*map(str, command), "-o", "json"], capture_output=True, text=True, check=False, timeout=300, env=environment
    )
    found = json.loads(done.stdout)["results"]
    assert not found["parsing_errors"]
    failed = {one["check_id"] for one in found["failed_checks"]}
    explained = set(re.findall(r"^\| `(CKV_AZURE_\d+)`", EXPLAINED.read_text("utf-8"), re.MULTILINE))
    assert failed == explained
