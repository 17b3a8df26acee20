"""Deploying to a server that answers as Azure does, and takes nothing that the vendor's message types do not know."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from azure.core.exceptions import ClientAuthenticationError

from portable.build.deployment import Deployment
from portable.build.infrastructure import infrastructure_files
from portable.deploy import Change, Place, Step
from portable.errors import ConfigError, DeployError
from portable.run import emulators
from portable.run.parts import Found
from portable.run.target import Artifact
from portable_azure import _sdk as runtime_sdk
from portable_azure.build import TARGET
from portable_azure.deploy import DEPLOYER, AzureDeployer
from portable_azure.deploy.group import kind_and_name

SETTINGS = {"subscription": "s", "resource_group": "shop", "location": "westeurope"}
GROUP = "/subscriptions/s/resourceGroups/shop"


class Token(NamedTuple):
    token: str
    expires_on: int


class Login:
    """A login that is always in."""

    def get_token(self, *_scopes: str, **_options: Any) -> Token:
        return Token("token-of-the-login", 4102444800)


@pytest.fixture
def azure(arm_models: Any) -> Iterator[Any]:
    found = spec_from_file_location("arm_server_of_azure", Path(__file__).parent / "arm_server.py")
    assert found is not None
    assert found.loader is not None
    module = module_from_spec(found)
    found.loader.exec_module(module)
    server = module.Azure(arm_models.wrong_in)
    yield server
    server.close()
    assert server.wrong == []


@pytest.fixture
def deployer(azure: Any) -> AzureDeployer:
    return AzureDeployer(Login(), azure.url, lambda _host: str(azure.url), polling=0.02, pause=0.02)


@pytest.fixture
def artifact(deployed: Callable[..., Deployment], tmp_path: Path) -> Artifact:
    return artifact_of(deployed(), tmp_path)


def artifact_of(deployment: Deployment, folder: Path) -> Artifact:
    (folder / "infra").mkdir(exist_ok=True)
    for path, content in infrastructure_files(TARGET, deployment, folder).items():
        (folder / path).write_bytes(content)
    for bundle in deployment.bundles:
        (folder / bundle.zip_name).write_bytes(bundle.name.encode())
    functions = {name: bundle.name for bundle in deployment.bundles for name in bundle.sources}
    sources = {name: source for bundle in deployment.bundles for name, source in bundle.sources.items()}
    return Artifact(folder, "azure", "3.13", deployment.manifest, {}, functions, sources)


def place(**settings: Any) -> Place:
    return Place("prod", {**SETTINGS, **settings}, {})


def posted(azure: Any, method: str) -> list[str]:
    return [path.partition("?")[0] for verb, path in azure.requests if verb == method]


# --- apply


def test_everything_then_the_code_then_its_events(azure: Any, deployer: AzureDeployer, artifact: Artifact) -> None:
    steps: list[Step] = []
    outputs = deployer.apply(artifact, place(), steps.append)
    assert list(azure.deployments) == ["user-shop-prod", "user-shop-prod-ev"]
    main = azure.deployments["user-shop-prod"]
    assert main["template"] == json.loads((artifact.folder / "infra" / "main.json").read_bytes())
    assert main["properties"]["mode"] == "Incremental"
    assert main["properties"]["parameters"] == {"location": {"value": "westeurope"}}
    assert sorted(azure.published.values()) == [b"http", b"make-thumbnail"]
    writes = [path.rpartition("/")[2] for verb, path in azure.requests if verb in ("PUT", "POST")]
    assert [one.partition("?")[0] for one in writes] == ["user-shop-prod", "publish", "publish", "user-shop-prod-ev"]
    assert outputs["app_http_name"] == "user-shop-http"
    assert outputs["app_http_url"].startswith("https://")
    assert steps[:2] == [
        Step("Microsoft.Storage/storageAccounts", "usershopd1", "started"),
        Step("Microsoft.Storage/storageAccounts", "usershopd1", "done"),
    ]
    assert [one.state for one in steps if one.kind == "code"] == ["started", "done"] * 2


def test_parameters_are_the_settings(
    azure: Any, deployer: AzureDeployer, deployed: Callable[..., Deployment], tmp_path: Path
) -> None:
    (tmp_path / "infra").mkdir()
    (tmp_path / "infra" / "azure.yaml").write_text("main.json: {parameters: {subnet: {type: string}}}")
    image = {"image": "acme.azurecr.io/shop:1"}
    artifact = artifact_of(deployed(image, only=("direct", "message")), tmp_path)
    with pytest.raises(
        ConfigError, match=r'subnet: nobody says it; \[tool\.portable\.azure\.parameters\] subnet = "…"'
    ):
        deployer.preview(artifact, place())
    with pytest.raises(ConfigError, match=r"subnett: no such parameter; did you mean 'subnet'"):
        deployer.preview(artifact, place(parameters={"subnett": "x"}))
    assert azure.deployments == {}
    here = Place(
        "prod", {**SETTINGS, "parameters": {"subnet": "x"}}, {"PORTABLE_EVENTS_TOKEN": "a-token-of-16-or-more"}
    )
    deployer.apply(artifact, here, lambda _: None)
    given = azure.deployments["user-shop-prod"]["properties"]["parameters"]
    assert {name: one["value"] for name, one in given.items()} == {
        "location": "westeurope",
        "subnet": "x",
        "eventsToken": "a-token-of-16-or-more",
    }


def test_a_group_that_is_not_there_is_made(azure: Any, deployer: AzureDeployer, artifact: Artifact) -> None:
    azure.group = False
    steps: list[Step] = []
    deployer.apply(artifact, place(), steps.append)
    assert azure.group
    assert steps[:2] == [Step("resource group", "shop", "started"), Step("resource group", "shop", "done")]


def test_a_resource_that_fails_is_named_with_the_reason(
    azure: Any, deployer: AzureDeployer, artifact: Artifact
) -> None:
    azure.failing["user-shop-prod"] = 1
    steps: list[Step] = []
    with pytest.raises(DeployError) as caught:
        deployer.apply(artifact, place(), steps.append)
    reason = "RoleAssignmentUpdateNotPermitted: Tenant ID cannot be updated."
    assert str(caught.value) == f"Microsoft.Storage/storageAccounts usershopd1: {reason}"
    assert steps[-1] == Step("Microsoft.Storage/storageAccounts", "usershopd1", "failed", reason)
    assert azure.published == {}
    deployer.apply(artifact, place(), steps.append)  # goes on from there
    assert len(azure.published) == 2


@pytest.mark.parametrize(
    ("code", "message", "way_out"),
    [
        (
            "MissingSubscriptionRegistration",
            "The subscription is not registered to use namespace 'Microsoft.App'. See https://aka.ms/rps-not-found.",
            "; `az provider register --namespace Microsoft.App --wait`",
        ),
        (
            "ConflictError",
            "A vault with the same name already exists in deleted state. You need to either recover or purge it.",
            "; a vault of this name was deleted: `az keyvault recover --name` brings it back, with its secrets",
        ),
        ("SubscriptionIsOverQuotaForSku", "No quota.", "; ask for more under Quotas in Azure's portal, or set another"),
        ("RequestDisallowedByPolicy", "Disallowed by 'tags'.", "lay that over the file in infra/azure.yaml"),
    ],
)
def test_what_azure_refuses_comes_with_the_way_out(
    azure: Any, deployer: AzureDeployer, artifact: Artifact, code: str, message: str, way_out: str
) -> None:
    azure.failing["user-shop-prod"], azure.error = 1, {"code": code, "message": message}
    with pytest.raises(DeployError) as caught:
        deployer.apply(artifact, place(), lambda _: None)
    assert f"usershopd1: {code}: {message.removesuffix('.')}" in str(caught.value)
    assert way_out in str(caught.value)


@pytest.mark.parametrize(
    ("status", "code", "way_out"),
    [
        (403, "AuthorizationFailed", "needs the role Owner on the resource group, or Contributor with Role Based"),
        (404, "SubscriptionNotFound", "is it the right one? `az account list` names those of this login"),
        (409, "DeploymentActive", "wait for it, or end it with `az deployment group cancel`"),
        (401, "ExpiredAuthenticationToken", "`az login`, or the variables that DefaultAzureCredential reads"),
    ],
)
def test_a_refusal_of_all_comes_with_the_way_out(
    azure: Any, deployer: AzureDeployer, artifact: Artifact, status: int, code: str, way_out: str
) -> None:
    azure.refusal = (status, code, "It is so")
    with pytest.raises(DeployError) as caught:
        deployer.apply(artifact, place(), lambda _: None)
    assert way_out in str(caught.value)


def test_who_is_not_logged_in_is_told_so(azure: Any, artifact: Artifact) -> None:
    class NoLogin:
        def get_token(self, *_scopes: str, **_options: Any) -> Token:
            raise ClientAuthenticationError("AADSTS700082: The refresh token has expired.\nTrace ID: 1")

    deployer = AzureDeployer(NoLogin(), azure.url, polling=0.02, pause=0.02)
    with pytest.raises(DeployError, match=r"^resource group shop: `az login`, .*AADSTS700082: .* expired\.\)$"):
        deployer.preview(artifact, place())


def test_an_identity_that_is_not_known_everywhere_yet_is_waited_for(
    azure: Any, deployer: AzureDeployer, artifact: Artifact
) -> None:
    azure.failing["user-shop-prod"] = 2
    azure.error = {"code": "PrincipalNotFound", "message": "Principal 1 does not exist in the directory."}
    deployer.apply(artifact, place(), lambda _: None)
    assert len([path for path in posted(azure, "PUT") if path.endswith("-prod")]) == 3


def test_an_interrupted_deployment_goes_on_and_that_is_said(
    azure: Any, deployer: AzureDeployer, artifact: Artifact
) -> None:
    def interrupt(step: Step) -> None:
        raise KeyboardInterrupt

    with pytest.raises(
        DeployError, match=r"Azure goes on with deployment user-shop-prod.*cancel --resource-group shop "
    ):
        deployer.apply(artifact, place(), interrupt)
    assert azure.published == {}


def test_events_are_tried_again_until_the_host_is_up(azure: Any, deployer: AzureDeployer, artifact: Artifact) -> None:
    azure.failing["user-shop-prod-ev"] = 2
    deployer.apply(artifact, place(), lambda _: None)
    assert azure.deployments["user-shop-prod-ev"]["properties"]["provisioningState"] == "Succeeded"
    assert len([path for path in posted(azure, "PUT") if path.endswith("-ev")]) == 3


def test_an_app_that_is_not_up_yet_is_asked_again(azure: Any, deployer: AzureDeployer, artifact: Artifact) -> None:
    azure.refusing = [404, 409]
    deployer.apply(artifact, place(), lambda _: None)
    assert len(azure.published) == 2


def test_code_that_is_refused_is_named_with_the_reason(azure: Any, deployer: AzureDeployer, artifact: Artifact) -> None:
    azure.refusing = [415]
    steps: list[Step] = []
    with pytest.raises(DeployError, match=r"^code user-shop-http: 415 .*not yet"):
        deployer.apply(artifact, place(), steps.append)
    assert (steps[-1].kind, steps[-1].name, steps[-1].state) == ("code", "user-shop-http", "failed")


def test_code_that_cannot_be_loaded_is_named_with_the_reason(
    azure: Any, deployer: AzureDeployer, artifact: Artifact
) -> None:
    azure.states = [1, 3]
    with pytest.raises(
        DeployError, match=r"code user-shop-http: the deployment id-1 was failed: No module named 'app'"
    ):
        deployer.apply(artifact, place(), lambda _: None)


def test_a_missing_zip_is_said_before_anything_is_made(azure: Any, deployer: AzureDeployer, artifact: Artifact) -> None:
    (artifact.folder / "bundle-http.zip").unlink()
    with pytest.raises(ConfigError, match=r"has no bundle-http\.zip"):
        deployer.apply(artifact, place(), lambda _: None)
    assert azure.requests == []


def test_the_premium_plan_is_given_its_code_as_a_blob(
    azure: Any,
    deployer: AzureDeployer,
    deployed: Callable[..., Deployment],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    written: dict[str, bytes] = {}
    monkeypatch.setattr(
        "portable_azure.deploy._sdk.upload_blob", lambda url, file, _: written.update({url: file.read_bytes()})
    )
    deployer.apply(artifact_of(deployed({"plan": "premium", "apps": "one"}), tmp_path), place(), lambda _: None)
    assert written == {"https://app-main-package.example": b""}
    assert azure.published == {}
    assert [path for path in posted(azure, "POST") if path.endswith("/restart")] == [
        f"{GROUP}/providers/Microsoft.Web/sites/user-shop-main/restart"
    ]


# --- preview


def test_azure_is_asked_what_would_change(azure: Any, deployer: AzureDeployer, artifact: Artifact) -> None:
    accounts = f"{GROUP}/providers/Microsoft.Storage/storageAccounts"
    delta = [{"path": "sku.name", "propertyChangeType": "Modify", "before": "a", "after": "b"}]
    azure.changes = [
        {"resourceId": f"{accounts}/a", "changeType": "Create"},
        {"resourceId": f"{accounts}/b/blobServices/default", "changeType": "Modify", "delta": delta},
        {"resourceId": f"{accounts}/c", "changeType": "NoChange"},
        {"resourceId": f"{accounts}/d", "changeType": "Ignore"},
        {"resourceId": f"{accounts}/e", "changeType": "Unsupported", "unsupportedReason": "a name of later"},
    ]
    found = deployer.preview(artifact, place())
    kind = "Microsoft.Storage/storageAccounts"
    assert found[:4] == [
        Change("create", kind, "a"),
        Change("update", f"{kind}/blobServices", "b/default", "sku.name"),
        Change("keep", kind, "c"),
        Change("update", kind, "e", "a name of later"),
    ]
    assert Change("update", "code", "bundle-http.zip") in found
    assert Change("create", "Microsoft.EventGrid/systemTopics/eventSubscriptions", "events_make_thumbnail") in found
    assert posted(azure, "PUT") == []
    assert azure.deployments == {}


def test_where_it_goes_is_said(deployer: AzureDeployer, artifact: Artifact) -> None:
    assert deployer.where(artifact, place()) == "subscription s, resource group shop"


def test_without_a_group_everything_is_made(azure: Any, deployer: AzureDeployer, artifact: Artifact) -> None:
    azure.group = False
    found = deployer.preview(artifact, place())
    assert found[0] == Change("create", "resource group", "shop")
    assert Change("create", "Microsoft.Web/sites", "app_http") in found
    assert not azure.group
    with pytest.raises(ConfigError, match=r'resource group shop is not there.*set location = "…"'):
        deployer.preview(artifact, place(location=None))


@pytest.mark.parametrize("missing", ["subscription", "resource_group"])
def test_where_to_has_to_be_known(artifact: Artifact, missing: str) -> None:
    with pytest.raises(ConfigError, match=f"Set {missing} = "):
        DEPLOYER.preview(artifact, place(**{missing: None}))


def test_an_artifact_without_infrastructure_is_refused(deployer: AzureDeployer, artifact: Artifact) -> None:
    (artifact.folder / "infra" / "main.json").unlink()
    with pytest.raises(ConfigError, match="portable build --target azure writes it"):
        deployer.preview(artifact, place())


# --- destroy


def in_group(azure: Any, *resources: str, stage: str = "prod") -> None:
    tags = {"application": "user-shop", "stage": stage}
    for one in resources:
        kind = one.rpartition("/")[0]
        azure.tagged.append({"id": f"{GROUP}/providers/{one}", "type": kind, "tags": tags, "location": "x"})


def test_all_of_the_stage_goes_but_the_vault(azure: Any, deployer: AzureDeployer, artifact: Artifact) -> None:
    in_group(
        azure,
        "Microsoft.Web/serverfarms/plan",
        "Microsoft.Web/sites/site",
        "Microsoft.Storage/storageAccounts/usershopd1",
        "Microsoft.Storage/storageAccounts/usershoph01",
        "Microsoft.ManagedIdentity/userAssignedIdentities/site-id",
        "Microsoft.KeyVault/vaults/usershopkv1",
    )
    in_group(azure, "Microsoft.Web/sites/other", stage="dev")
    on = f"{GROUP}/providers/Microsoft.Storage/storageAccounts/usershopd1/providers/Microsoft.Authorization"
    azure.assignments = [
        {"id": f"{on}/roleAssignments/1", "principal": "principal-of-site-id"},
        {"id": f"{on}/roleAssignments/2", "principal": "principal-of-somebody"},
    ]
    azure.roles = [
        {"id": f"/r/{name}", "properties": {"roleName": f"{name}: blobs read", "assignableScopes": [GROUP]}}
        for name in ("user-shop prod", "user-shop dev")
    ]
    steps: list[Step] = []
    deployer.destroy(artifact, place(), steps.append, with_data=False)
    assert [one.rpartition("/")[2] for one in azure.deleted] == [
        "1",
        "site",
        "plan",
        "site-id",
        "usershopd1",
        "usershoph01",
        "user-shop prod",
    ]
    assert {one.state for one in steps} == {"started", "done"}
    azure.deleted.clear()
    deployer.destroy(artifact, place(), steps.append, with_data=True)
    assert f"{GROUP}/providers/Microsoft.KeyVault/vaults/usershopkv1" in azure.deleted


def test_what_holds_data_stays_until_told_twice(
    azure: Any, deployer: AzureDeployer, artifact: Artifact, tmp_path: Path, require_part: Callable[..., Found]
) -> None:
    require_part("azurite")
    in_group(
        azure,
        "Microsoft.Storage/storageAccounts/usershopd1",
        "Microsoft.Storage/storageAccounts/usershoph01",
    )
    with emulators.azurite(log=tmp_path / "azurite.log") as azurite:
        environment = azurite.environment
        parts = dict(part.partition("=")[::2] for part in environment["AzureWebJobsStorage"].split(";"))
        azure.blobs = f"{parts['BlobEndpoint']}/"
        address = f"{azure.blobs}uploads-bucket"
        contain(azure, "usershopd1", "uploads-bucket", "thumbs-bucket")  # the second is not there any more
        contain(azure, "usershoph01", "app-package", "azure-webjobs-hosts", "$logs")
        # Of a deployment that failed there are no outputs: what is there is looked at, and nothing else.
        azure.deployments["user-shop-prod"] = {"id": "x", "name": "x", "properties": {"provisioningState": "Failed"}}
        here = Place("prod", SETTINGS, environment)
        with runtime_sdk.container_client(address, environment) as container:
            container.create_container()
            assert deployer.holding(artifact, here) == []
            container.upload_blob("a", b"1")
        assert deployer.holding(artifact, here) == ["bucket uploads"]
        deployer.destroy(artifact, here, lambda _: None, with_data=False)
        assert [one.rpartition("/")[2] for one in azure.deleted] == ["usershoph01"]
        assert "user-shop-prod" in azure.deployments
        deployer.destroy(artifact, here, lambda _: None, with_data=True)
        assert [one.rpartition("/")[2] for one in azure.deleted][1:] == ["usershopd1", "usershoph01"]
        assert azure.deployments == {}


def test_what_the_app_has_no_more_holds_data_too(
    azure: Any, deployer: AzureDeployer, artifact: Artifact, tmp_path: Path, require_part: Callable[..., Found]
) -> None:
    require_part("azurite")
    in_group(azure, "Microsoft.Storage/storageAccounts/hugedata")  # named by the user's own part
    with emulators.azurite(log=tmp_path / "azurite.log") as azurite:
        parts = dict(part.partition("=")[::2] for part in azurite.environment["AzureWebJobsStorage"].split(";"))
        azure.blobs = f"{parts['BlobEndpoint']}/"
        contain(azure, "hugedata", "old-bucket")
        with runtime_sdk.container_client(f"{azure.blobs}old-bucket", azurite.environment) as container:
            container.create_container()
            container.upload_blob("a", b"1")
        here = Place("prod", SETTINGS, azurite.environment)
        assert deployer.holding(artifact, here) == ["bucket old-bucket, which the app has no more"]
        deployer.destroy(artifact, here, lambda _: None, with_data=False)
    assert azure.deleted == []


def test_what_cannot_be_looked_into_stays(azure: Any, deployer: AzureDeployer, artifact: Artifact) -> None:
    in_group(azure, "Microsoft.Storage/storageAccounts/usershopd1")
    contain(azure, "usershopd1", "uploads-bucket")
    azure.blobs = f"{azure.url}/account/"
    key = f"AccountName=account;AccountKey=a2V5;BlobEndpoint={azure.url}/account"
    here = Place("prod", SETTINGS, {"AzureWebJobsStorage": key})
    [said] = deployer.holding(artifact, here)
    assert said.startswith("bucket uploads (could not look: ")
    deployer.destroy(artifact, here, lambda _: None, with_data=False)
    assert azure.deleted == []


def test_what_the_user_added_goes_by_its_own_version(azure: Any, deployer: AzureDeployer, artifact: Artifact) -> None:
    in_group(azure, "Microsoft.Network/virtualNetworks/shop")
    deployer.destroy(artifact, place(), lambda _: None, with_data=False)
    [(_, path)] = [one for one in azure.requests if one[0] == "DELETE" and "/virtualNetworks/" in one[1]]
    assert path.endswith("?api-version=2024-05-01")


# --- what the app has no more


def contain(azure: Any, account: str, *containers: str) -> None:
    path = f"{GROUP}/providers/Microsoft.Storage/storageAccounts/{account}/blobServices/default/containers"
    azure.inside[path] = [{"name": one} for one in containers]


def with_orphans(azure: Any) -> list[str]:
    """Put into the group what an earlier version of the app had; the last names of what is to go, in order."""
    in_group(
        azure,
        "Microsoft.Web/sites/app_http",
        "Microsoft.Web/sites/app_mails",
        "Microsoft.Web/serverfarms/plan_mails",
        "Microsoft.ManagedIdentity/userAssignedIdentities/identity_http",
        "Microsoft.ManagedIdentity/userAssignedIdentities/identity_mails",
        "Microsoft.Storage/storageAccounts/host_mails",
        "Microsoft.Storage/storageAccounts/olddata",
        "Microsoft.EventGrid/systemTopics/blob_events",
        "Microsoft.ServiceBus/namespaces/bus",
        "Microsoft.DocumentDB/databaseAccounts/cosmos",
        "Microsoft.KeyVault/vaults/oldvault",
    )
    in_group(azure, "Microsoft.Web/sites/app_of_dev", stage="dev")
    contain(azure, "host_mails", "app-package", "azure-webjobs-hosts")
    contain(azure, "olddata", "old-bucket")
    bus = f"{GROUP}/providers/Microsoft.ServiceBus/namespaces/bus/topics"
    topic = f"{GROUP}/providers/Microsoft.ServiceBus/namespaces/in/topics/topic_signups"
    azure.inside[bus] = [{"id": topic}, {"id": f"{bus}/old-topic"}]
    azure.inside[f"{topic}/subscriptions"] = [
        {"id": f"{GROUP}/providers/Microsoft.ServiceBus/namespaces/in/topics/in/subscriptions/topic_signups_welcome"},
        {"id": f"{topic}/subscriptions/old-handler"},
    ]
    azure.inside[f"{bus}/old-topic/subscriptions"] = [{"id": f"{bus}/old-topic/subscriptions/nobody-publishes"}]
    events = f"{GROUP}/providers/Microsoft.EventGrid/systemTopics/blob_events/eventSubscriptions"
    azure.inside[events] = [{"id": f"{events}/old-thumbnails"}]
    on = f"{GROUP}/providers/Microsoft.Storage/storageAccounts/data/providers/Microsoft.Authorization/roleAssignments"
    ours = {"description": "Of app user-shop, stage prod"}
    http, mails = "principal-of-identity_http", "principal-of-identity_mails"
    azure.assignments = [
        {"id": f"{on}/http_blobs_read_on_bucket_uploads", "principal": http, "properties": ours},
        {"id": f"{on}/of-old-code", "principal": http, "properties": ours},
        {"id": f"{on}/by-hand", "principal": http, "properties": {}},
        {"id": f"{on}/of-mails", "principal": mails, "properties": {}},
        {"id": "/subscriptions/s/providers/a/roleAssignments/above", "principal": mails, "properties": {}},
    ]
    azure.roles = [
        {"id": f"/r/{name}", "properties": {"roleName": f"{lead}: x", "assignableScopes": [GROUP.upper()]}}
        for name, lead in (
            ("old-role", "user-shop prod"),
            ("of-dev", "user-shop dev"),
            ("role_blobs_write", "user-shop prod"),
        )
    ]
    cosmos = f"{GROUP}/providers/Microsoft.DocumentDB/databaseAccounts/cosmos"
    role, by_hand = f"{cosmos}/sqlRoleDefinitions/old-items", f"{cosmos}/sqlRoleDefinitions/by-hand"
    azure.inside[f"{cosmos}/sqlRoleDefinitions"] = [
        {"id": role, "properties": {"roleName": "user-shop prod: items read"}},
        {"id": by_hand, "properties": {"roleName": "readers"}},
    ]
    azure.inside[f"{cosmos}/sqlRoleAssignments"] = [
        {"id": f"{cosmos}/sqlRoleAssignments/{name}", "properties": {"roleDefinitionId": which, "principalId": http}}
        for name, which in (("old-items-of-http", role), ("readers-of-http", by_hand))
    ]
    return [
        *("old-thumbnails", "old-handler", "app_mails", "plan_mails", "of-old-code", "of-mails"),
        *("old-items-of-http", "old-items", "old-role", "identity_mails", "host_mails"),
    ]


def test_what_the_app_has_no_more_is_taken_away_and_nothing_that_holds_data(
    azure: Any, deployer: AzureDeployer, artifact: Artifact
) -> None:
    expected = with_orphans(azure)
    deployer.apply(artifact, place(), lambda _: None)
    gone = [one.rpartition("/")[2] for one in azure.deleted]
    assert sorted(gone) == sorted(expected)
    for first, second in (("app_mails", "plan_mails"), ("of-mails", "identity_mails"), ("of-old-code", "old-role")):
        assert gone.index(first) < gone.index(second)
    # The new code is there before the old one goes.
    made = [number for number, (verb, path) in enumerate(azure.requests) if verb in ("PUT", "POST")]
    taken = [number for number, (verb, _) in enumerate(azure.requests) if verb == "DELETE"]
    assert max(made) < min(taken)


def test_nothing_is_taken_away_where_azure_does_not_tell_what_it_made(
    azure: Any, deployer: AzureDeployer, artifact: Artifact
) -> None:
    with_orphans(azure)
    azure.quiet = True
    steps: list[Step] = []
    deployer.apply(artifact, place(), steps.append)
    assert azure.deleted == []
    assert (steps[-1].kind, steps[-1].detail[:25]) == ("what the app has no more", "left there: Azure told of")


def test_what_will_be_taken_away_is_shown_before(azure: Any, deployer: AzureDeployer, artifact: Artifact) -> None:
    with_orphans(azure)
    deployer.apply(artifact, place(), lambda _: None)
    azure.deleted.clear()
    present = [one["id"] for name in azure.deployments for one in azure.made(name)]
    azure.changes = [{"resourceId": one, "changeType": "NoChange"} for one in present]
    taken = {(one.kind, one.name) for one in deployer.preview(artifact, place()) if one.action == "delete"}
    assert ("Microsoft.Web/sites", "app_mails") in taken
    assert ("Microsoft.ServiceBus/namespaces/topics/subscriptions", "in/topic_signups/old-handler") in taken
    assert len(taken) == 11
    assert azure.deleted == []
    azure.changes[0] |= {"changeType": "Unsupported", "unsupportedReason": "a name of later"}
    assert not [one for one in deployer.preview(artifact, place()) if one.action == "delete"]


# --- what is not there


def test_what_is_not_there_is_no_error(azure: Any, deployer: AzureDeployer, artifact: Artifact) -> None:
    in_group(azure, "Microsoft.Web/sites/site-gone")
    deployer.destroy(artifact, place(), lambda _: None, with_data=True)
    azure.group = False
    deployer.destroy(artifact, place(), lambda _: None, with_data=True)
    assert deployer.holding(artifact, place()) == []
    assert azure.deleted == []


def test_what_cannot_be_deleted_is_named_with_the_reason(
    azure: Any, deployer: AzureDeployer, artifact: Artifact
) -> None:
    in_group(azure, "Microsoft.Web/sites/site")
    azure.locked.add(f"{GROUP}/providers/Microsoft.Web/sites/site")
    steps: list[Step] = []
    with pytest.raises(DeployError, match=r"Microsoft\.Web/sites site: .*the scope is locked"):
        deployer.destroy(artifact, place(), steps.append, with_data=True)
    assert steps[-1].state == "failed"


@pytest.mark.parametrize(
    ("resource", "expected"),
    [
        (f"{GROUP}/providers/A.B/c/d", ("A.B/c", "d")),
        (f"{GROUP}/providers/A.B/c/d/e/f", ("A.B/c/e", "d/f")),
        (f"{GROUP}/providers/A.B/c/d/providers/G.H/i/j", ("G.H/i", "j")),
        (GROUP, ("resource", GROUP)),
    ],
)
def test_kind_and_name_of_an_id(resource: str, expected: tuple[str, str]) -> None:
    assert kind_and_name(resource) == expected
