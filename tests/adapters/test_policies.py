"""No policy of any cloud has a wildcard wider than one resource's contents, but for those in the documented table."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

from portable.build.deployment import Deployment
from portable.build.description import describe_project
from portable.build.project import find_project
from portable.build.settings import FunctionSettings
from portable.grants import VERBS
from portable.manifest import Manifest
from portable.plugins import adapter
from portable_azure.permissions import BUILT_IN, HOST_ROLES

ROOT = Path(__file__).parents[2]
EXAMPLES = ("accounts", "chat", "thumbnails")
EVERYTHING = Path(__file__).parent / "portable_azure" / "everything" / "app.py"
CLOUDS = {"aws": "AWS", "gcp": "Google Cloud", "azure": "Azure"}
SETTINGS: Mapping[str, tuple[dict[str, Any], ...]] = {
    "aws": (
        {},
        {"http": "rest-api", "blob": "s3-eventbridge"},
        {"http": "alb", "schedule": "eventbridge-rule"},
        {"http": "function-url"},
        {"stream": "msk"},
    ),
    "gcp": ({},),
    "azure": ({"changes": "latest"}, {"changes": "latest", "plan": "premium", "blob_source": "poll"}),
}


def documented(cloud: str) -> set[str]:
    """What stands in the table, under "written": actions, roles and principals."""
    page = (ROOT / "docs" / "reference" / "permissions.md").read_text()
    table = page.partition("<!-- generated: wider -->")[2].partition("<!-- end -->")[0]
    rows = [[cell.strip() for cell in line.strip("|").split(" |")] for line in table.splitlines() if "|" in line]
    assert rows[0][-1] == "written"
    return {one for row in rows if row[0] == CLOUDS[cloud] for one in re.findall(r"`([^`]+)`", row[-1])}


@pytest.fixture(scope="module")
def manifests(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Manifest]:
    """Of the examples, and of an app with everything: as it is, and with every verb of every resource."""
    folder = tmp_path_factory.mktemp("everything")
    (folder / "app.py").write_text(EVERYTHING.read_text())
    (folder / "pyproject.toml").write_text('[tool.portable]\napp = "app:app"\n')
    found = {name: describe_project(find_project(ROOT / "examples" / name)).manifest for name in EXAMPLES}
    found["everything"] = whole = describe_project(find_project(folder)).manifest
    every = {f"{one.kind}:{one.name}": list(VERBS[one.kind]) for one in whole.resources}
    functions = [msgspec.structs.replace(one, grants=every, uses=sorted(every)) for one in whole.functions]
    found["every verb"] = msgspec.structs.replace(whole, functions=functions)
    reads = {key: ["read"] for key, verbs in every.items() if "read" in verbs}
    functions = [msgspec.structs.replace(one, grants=reads, uses=sorted(every)) for one in whole.functions]
    found["reads alone"] = msgspec.structs.replace(whole, functions=functions)
    return found


def files(cloud: str, manifest: Manifest, settings: Mapping[str, Any]) -> dict[str, Any]:
    """The infrastructure documents, by name; what is made of them (Bicep, a script) says the same."""
    target = adapter(cloud).build
    if cloud == "gcp":  # it has no streams, and websockets in a container alone: a build says so
        manifest = manifest.only([one.name for one in manifest.functions if one.kind not in ("socket", "stream")])
    bundles = target.bundles(manifest, settings)
    deployment = Deployment(
        app=manifest.app,
        stage="prod",
        target=cloud,
        manifest=manifest,
        functions={one.name: FunctionSettings(memory=one.memory, timeout=one.timeout) for one in manifest.functions},
        settings=settings,
        bundles=bundles,
        python="3.13",
        arch="x86_64",
        form=target.infrastructure_forms[0],
        digests={one.zip_name: "0" * 64 for one in bundles},
    )
    made = target.infrastructure(deployment)
    return {path: document for path, document in made.items() if isinstance(document, dict)}


# --- what each cloud's files say that is wider than one resource's contents


def on_aws(document: Any) -> Iterator[str]:
    """Actions that are allowed on more than one resource, actions with wildcards, and whoever may call."""
    if isinstance(document, list):
        for one in document:
            yield from on_aws(one)
    if not isinstance(document, dict):
        return
    if document.get("Effect") == "Allow" and "Action" in document:
        actions, places = (
            one if isinstance(one, list) else [one] for one in (document["Action"], document.get("Resource", "own"))
        )
        yield from (action for action in actions if "*" in action)
        if not all(is_one_resources(place) for place in places):
            yield from actions
        if document.get("Principal") in ("*", {"AWS": "*"}):
            yield "Principal: *"
    elif document.get("Type") == "AWS::Lambda::Permission" and document["Properties"]["Principal"] == "*":
        yield "Principal: *"
    for one in document.values():
        yield from on_aws(one)


def is_one_resources(place: Any) -> bool:
    """Whether an ARN, or what makes one, is one resource's, or names one and all that is within."""
    if isinstance(place, dict):
        [(function, said)] = place.items()
        if function in ("Fn::GetAtt", "Ref", "Fn::ImportValue", "Fn::If"):
            return True
        if function == "Fn::Join":
            place = said[0].join(one if isinstance(one, str) else "NAME" for one in said[1])
        else:
            place = said if isinstance(said, str) else said[0]
    parts = re.sub(r"\$\{[^}]*\}", "NAME", place).split(":", 5)
    named = r"[^*/]+/\*" if parts[2:3] == ["s3"] else r"[^*/:]+[/:][^*]*[^*/:][/:]\*"  # of others, a type comes first
    return "*" not in place or (len(parts) == 6 and re.fullmatch(named, parts[5]) is not None)


def on_gcp(document: Mapping[str, Any]) -> Iterator[str]:
    """Roles of the whole project, and members who are anybody."""
    resources = document.get("resource", {})
    custom = resources.get("google_project_iam_custom_role", {})
    for permission in (one for role in custom.values() for one in role["permissions"]):
        assert "*" not in permission
    for kind, entries in resources.items():
        if "_iam_" not in kind or "custom_role" in kind:
            continue
        for one in entries.values():
            role = re.sub(r"\$\{google_project_iam_custom_role\.(\w+)\..*\}", r"\1", one["role"])
            if kind.startswith(("google_project_iam", "google_organization", "google_folder")):
                yield role
            if one.get("member") in ("allUsers", "allAuthenticatedUsers"):
                yield one["member"]


KNOWN = {role.id: role.name for role in (*BUILT_IN.values(), *(one for roles in HOST_ROLES.values() for one in roles))}
SEVERAL = ("storageAccounts", "databaseAccounts", "namespaces", "vaults", "webPubSub", "redisEnterprise")
"""Types that hold several resources of an app."""


def on_azure(document: Mapping[str, Any]) -> Iterator[str]:
    """Roles on what holds several resources, and operations with wildcards; by the role's name."""
    resources = document.get("resources", {})
    names = {
        json.dumps(one["name"]).strip('"[]'): one["properties"]["roleName"]
        for one in resources.values()
        if one["type"].endswith("oleDefinitions")
    }
    for one in resources.values():
        if one["type"] == "Microsoft.Authorization/roleDefinitions":
            [allowed] = one["properties"]["permissions"]
            assert "*" not in json.dumps(allowed)
        if one["type"] != "Microsoft.Authorization/roleAssignments":
            continue
        kind = re.match(r"\[resourceId\('([\w./]+)'", one["scope"])
        assert kind is not None, one["scope"]
        if kind[1].rpartition("/")[2] in SEVERAL:
            said = one["properties"]["roleDefinitionId"]
            name = next(name for one, name in (*KNOWN.items(), *names.items()) if one in said)
            own = re.search(r": ([\w -]+) \(", name)
            yield own[1] if own is not None else name


WIDE = {"aws": on_aws, "gcp": on_gcp, "azure": on_azure}


@pytest.mark.parametrize("cloud", CLOUDS)
def test_what_is_wider_than_one_resource_stands_in_the_documented_table(
    cloud: str, manifests: dict[str, Manifest]
) -> None:
    known, found = documented(cloud), set()
    for name, manifest in manifests.items():
        for settings in SETTINGS[cloud] if name == "every verb" else SETTINGS[cloud][:1]:
            for path, document in files(cloud, manifest, settings).items():
                wide = set(WIDE[cloud](document))
                assert wide <= known, f"{name} with {settings}, {path}"
                found |= wide
    assert found == known, "the table says what no policy has"


def test_the_walk_finds_what_is_wide() -> None:
    statement = {"Effect": "Allow", "Action": ["s3:Get*", "s3:PutObject"], "Resource": ["arn:aws:s3:::*"]}
    assert set(on_aws({"Resources": {"Role": {"Statement": [statement]}}})) == {"s3:Get*", "s3:PutObject"}
    for place in ("arn:${AWS::Partition}:sqs:eu:1:*", "arn:aws:s3:::*", "*", "arn:aws:dynamodb:eu:1:table/*/index/a"):
        assert not is_one_resources({"Fn::Sub": place}), place
    for place in ("arn:aws:s3:::shop/*", "arn:aws:logs:eu:1:log-group:/aws/lambda/a:*"):
        assert is_one_resources(place), place
    binding = {"role": "roles/editor", "member": "allUsers"}
    assert set(on_gcp({"resource": {"google_project_iam_member": {"a": binding}}})) == {"roles/editor", "allUsers"}
    assigned = {
        "type": "Microsoft.Authorization/roleAssignments",
        "scope": "[resourceId('Microsoft.KeyVault/vaults', 'a')]",
        "properties": {"roleDefinitionId": "[subscriptionResourceId('x', '4633458b-17de-408a-b874-0445c86b69e6')]"},
    }
    assert list(on_azure({"resources": {"a": assigned}})) == ["Key Vault Secrets User"]


PREFIXES = {"ApiGatewayV2": "apigateway", "ElasticLoadBalancingV2": "elasticloadbalancing"}
"""Services whose actions begin otherwise than their types in CloudFormation."""


def test_what_whoever_deploys_needs_names_every_service(manifests: dict[str, Manifest]) -> None:
    page = (ROOT / "docs" / "reference" / "permissions.md").read_text()
    [row] = [line for line in page.splitlines() if line.startswith("| AWS | CloudFormation's")]
    named = {one for one in re.findall(r"`([^`]+)`", row) if one.islower() and ":" not in one}
    made = {
        one["Type"].split("::")[1]
        for settings in SETTINGS["aws"]
        for document in files("aws", manifests["every verb"], settings).values()
        for one in document.get("Resources", {}).values()
    }
    assert named == {PREFIXES.get(one, one.lower()) for one in made}
