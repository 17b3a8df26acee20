"""A plan as Terraform's JSON, for Google's provider: https://registry.terraform.io/providers/hashicorp/google/latest/docs.

Resources refer to one another, which is how Terraform knows their order. A subscription is called by its name alone:
its function has the name in its environment, and it has the function's URL.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from portable_gcp.infrastructure.terraform_front import front_resources
from portable_gcp.infrastructure.tokens import replaced

__all__ = ["make_terraform"]

_REFERENCES = {
    "project": "${var.project}",
    "region": "${var.region}",
    "number": "${data.google_project.this.number}",
    "topic": "${google_pubsub_topic.%s.id}",
    "bucket": "${google_storage_bucket.%s.name}",
    "secret": "${google_secret_manager_secret.%s.id}",
    "database": "${google_firestore_database.%s.id}",
    "databaseid": "${google_firestore_database.%s.name}",
    "account": "${google_service_account.%s.email}",
    "role": "${google_project_iam_custom_role.%s.id}",
    "variable": "${var.%s}",
    # Of Terraform's files alone:
    "subscriptionresource": "${google_pubsub_subscription.%s.name}",
    "bundle": "${google_storage_bucket_object.%s.name}",
    "path": "${path.module}",
    "each": "${each.value}",
    "logs": "${google_logging_project_bucket_config.logs.id}",
    "front": "${%s.front.id}",
    "frontaddress": "${google_compute_global_address.front.address}",
    "endpoints": "${google_compute_region_network_endpoint_group.%s.id}",
    "serving": "${google_compute_backend_service.%s.id}",
}
_RUNS = {
    "functions": {
        "uri": "${google_cloudfunctions2_function.%s.service_config[0].uri}",
        "service": "${google_cloudfunctions2_function.%s.name}",
    },
    "services": {"uri": "${google_cloud_run_v2_service.%s.uri}", "service": "${google_cloud_run_v2_service.%s.name}"},
}
_APIS = "google_project_service.apis"

Body = dict[str, Any]


def make_terraform(plan: Mapping[str, Any]) -> Body:
    """The document of ``main.tf.json``."""
    references = _REFERENCES | _RUNS["functions" if plan["functions"] else "services"]

    def stands_for(kind: str, one: str) -> str:
        if kind == "apis":
            return f"${{toset({json.dumps(plan['apis'])})}}"
        if kind == "digest":
            path = next(entry["bundle"] for entry in plan["functions"].values() if _bundle_id(entry["bundle"]) == one)
            return f'${{filemd5("${{path.module}}/../{path}")}}'
        if kind == "subscription":
            return f"projects/${{var.project}}/subscriptions/{plan['subscriptions'][one]['id']}"
        reference = references[kind]
        return reference % one if "%" in reference else reference

    found: dict[str, dict[str, Body]] = {"google_project_service": {"apis": _apis()}}
    for kind, (resource, write) in _WRITERS.items():
        for one, entry in plan[kind].items():
            found.setdefault(resource, {})[one] = {**write(entry), "depends_on": [_APIS]}
    for one, binding in plan["bindings"].items():
        resource, body = _binding(binding)
        found.setdefault(resource, {})[one] = body
    if plan["functions"]:
        _add_bundles(found, plan)
    _add_order(found)
    _add_logs(found, plan["logs"])
    if plan["front"]:
        for resource, bodies in front_resources(plan["front"]).items():
            found.setdefault(resource, {}).update(bodies)
    written: dict[str, dict[str, Body]] = replaced(found, stands_for, _literal)
    return {
        "terraform": {
            "required_version": ">= 1.5",
            "required_providers": {"google": {"source": "hashicorp/google", "version": ">= 6.20"}},
        },
        "provider": {"google": {"project": "${var.project}", "region": "${var.region}"}},
        "variable": _variables(plan),
        "data": {"google_project": {"this": {"project_id": "${var.project}"}}},
        "resource": {resource: written[resource] for resource in sorted(written)},
        "output": {name: {"value": replaced(value, stands_for, _literal)} for name, value in _outputs(plan).items()},
    }


def _literal(text: str) -> str:
    """``replaced`` undoes the escape of what only looks like a token; Terraform wants it, and one of its own."""
    return text.replace("${", "$${").replace("%{", "%%{")


def _variables(plan: Mapping[str, Any]) -> dict[str, Body]:
    found: dict[str, Body] = {
        "project": {"type": "string", "description": "Id of the project."},
        "region": {"type": "string", "description": "Region of everything.", "default": plan["region"]},
    }
    if plan["project"]:
        found["project"]["default"] = plan["project"]
    for name, description in plan["variables"].items():
        found[name] = {"type": "string", "description": description, "sensitive": True}
    if plan["front"]:
        found["domain"] = {
            "type": "string",
            "description": "Domain of the HTTP front, which is to lead to its address.",
        }
        if plan["front"]["domain"]:
            found["domain"]["default"] = plan["front"]["domain"]
    return found


def _outputs(plan: Mapping[str, Any]) -> dict[str, str]:
    if not plan["front"]:
        return dict(plan["outputs"])
    behind = {f"{one}_url" for one in plan["front"]["functions"]}
    found = {name: value for name, value in plan["outputs"].items() if name not in behind}
    return found | {"url": "https://${variable.domain}", "address": "${frontaddress}"}


def _apis() -> Body:
    return {
        "for_each": "${apis}",
        "service": "${each}",
        "disable_on_destroy": False,
    }


# --- by kind


def _role(entry: Mapping[str, Any]) -> Body:
    body = entry["body"]
    return {"role_id": entry["id"], "title": body["title"], "permissions": body["includedPermissions"]}


def _account(entry: Mapping[str, Any]) -> Body:
    return {"account_id": entry["id"], "display_name": entry["body"]["displayName"]}


def _bucket(entry: Mapping[str, Any]) -> Body:
    body = entry["body"]
    return {
        "name": entry["id"],
        "location": body["location"],
        "uniform_bucket_level_access": True,
        "public_access_prevention": "enforced",
        "force_destroy": False,
        "labels": body["labels"],
    }


def _topic(entry: Mapping[str, Any]) -> Body:
    return {"name": entry["id"], **entry["body"]}


def _subscription(entry: Mapping[str, Any]) -> Body:
    found = {"name": entry["id"], **_snaked(entry["body"])}
    found["expiration_policy"] = {"ttl": ""}  # never
    return found


def _secret(entry: Mapping[str, Any]) -> Body:
    return {"secret_id": entry["id"], "replication": {"auto": {}}, "labels": entry["body"]["labels"]}


def _database(entry: Mapping[str, Any]) -> Body:
    return {"name": entry["id"], **_snaked(entry["body"])}


def _field(entry: Mapping[str, Any]) -> Body:
    body: Body = {
        "database": f"${{databaseid.{entry['database']}}}",
        "collection": entry["collection"],
        "field": entry["field"],
        "index_config": {},
    }
    return body | ({"ttl_config": {}} if "ttlConfig" in entry["body"] else {})


def _function(entry: Mapping[str, Any]) -> Body:
    body = entry["body"]
    found: Body = {
        "name": entry["id"],
        "location": "${region}",
        "description": body["description"],
        "labels": body["labels"],
        "build_config": _snaked(body["buildConfig"]),
        "service_config": _snaked(body["serviceConfig"]),
    }
    bundle = _bundle_id(entry["bundle"])
    found["build_config"]["source"] = {
        "storage_source": {"bucket": "${bucket.bundles}", "object": f"${{bundle.{bundle}}}"}
    }
    return found


def _service(entry: Mapping[str, Any]) -> Body:
    body = _snaked(entry["body"])
    return {"name": entry["id"], "location": "${region}", "deletion_protection": False, **body}


def _trigger(entry: Mapping[str, Any]) -> Body:
    body = entry["body"]
    found: Body = {
        "name": entry["id"],
        "location": "${region}",
        "matching_criteria": body["eventFilters"],
        "destination": {"cloud_run_service": body["destination"]["cloudRun"]},
        "service_account": body["serviceAccount"],
        "labels": body["labels"],
    }
    for key, value in _snaked({key: body[key] for key in ("eventDataContentType", "transport") if key in body}).items():
        found[key] = value
    return found


def _job(entry: Mapping[str, Any]) -> Body:
    return {"name": entry["id"], "region": "${region}", **_snaked(entry["body"])}


_WRITERS: Mapping[str, tuple[str, Callable[[Mapping[str, Any]], Body]]] = {
    "roles": ("google_project_iam_custom_role", _role),
    "accounts": ("google_service_account", _account),
    "buckets": ("google_storage_bucket", _bucket),
    "topics": ("google_pubsub_topic", _topic),
    "subscriptions": ("google_pubsub_subscription", _subscription),
    "secrets": ("google_secret_manager_secret", _secret),
    "databases": ("google_firestore_database", _database),
    "fields": ("google_firestore_field", _field),
    "functions": ("google_cloudfunctions2_function", _function),
    "services": ("google_cloud_run_v2_service", _service),
    "triggers": ("google_eventarc_trigger", _trigger),
    "jobs": ("google_cloud_scheduler_job", _job),
}

_MEMBERS: Mapping[str, tuple[str, Callable[[str], Body]]] = {
    "bucket": ("google_storage_bucket_iam_member", lambda on: {"bucket": on}),
    "topic": ("google_pubsub_topic_iam_member", lambda on: {"topic": on}),
    "subscription": ("google_pubsub_subscription_iam_member", lambda on: {"subscription": on}),
    "secret": ("google_secret_manager_secret_iam_member", lambda on: {"secret_id": on}),
    "account": (
        "google_service_account_iam_member",
        lambda on: {"service_account_id": f"projects/${{project}}/serviceAccounts/{on}"},
    ),
    "service": ("google_cloud_run_v2_service_iam_member", lambda on: {"name": on, "location": "${region}"}),
    "project": ("google_project_iam_member", lambda on: {"project": "${project}"}),
}


def _binding(binding: Mapping[str, Any]) -> tuple[str, Body]:
    resource, place = _MEMBERS[binding["on"]]
    on = binding["resource"]
    if binding["on"] == "subscription" and on.startswith("${"):
        on = on.replace("${subscription.", "${subscriptionresource.")
    body = {**place(on), "role": binding["role"], "member": binding["member"]}
    if "condition" in binding:
        body["condition"] = binding["condition"]
    return resource, body


# --- what is Terraform's alone


def _bundle_id(path: str) -> str:
    return path.removesuffix(".zip").replace(".", "_")


def _add_bundles(found: dict[str, dict[str, Body]], plan: Mapping[str, Any]) -> None:
    """A bucket that functions are built from. A zip's name holds its digest: another zip is another build."""
    found.setdefault("google_storage_bucket", {})["bundles"] = {
        "name": plan["bundles"],
        "location": "${region}",
        "uniform_bucket_level_access": True,
        "public_access_prevention": "enforced",
        "force_destroy": True,
        "depends_on": [_APIS],
    }
    for path in sorted({entry["bundle"] for entry in plan["functions"].values()}):
        file = f"${{path}}/../{path}"
        found.setdefault("google_storage_bucket_object", {})[_bundle_id(path)] = {
            "name": f"{path.removesuffix('.zip')}-${{digest.{_bundle_id(path)}}}.zip",
            "bucket": "${bucket.bundles}",
            "source": file,
        }


def _add_order(found: dict[str, dict[str, Body]]) -> None:
    """What no reference says: a build, a dead letter and an event need what their accounts may do."""
    members = {one: resource for resource in found if resource.endswith("_member") for one in found[resource]}
    builds = [f"{members[one]}.{one}" for one in members if one.startswith("portable_build_")]
    for body in found.get("google_cloudfunctions2_function", {}).values():
        body["depends_on"] = [_APIS, *builds]
    events = [f"{members[one]}.{one}" for one in ("events_eventarc", "storage_eventarc") if one in members]
    for body in found.get("google_eventarc_trigger", {}).values():
        body["depends_on"] = [_APIS, *events]
    pushes = [f"{members[one]}.{one}" for one in ("pubsub_events",) if one in members]
    for one, body in found.get("google_pubsub_subscription", {}).items():
        dead = [f"{members[name]}.{name}" for name in (f"pubsub_{one}_dead",) if name in members]
        body["depends_on"] = [_APIS, *dead, *(pushes if "push_config" in body else [])]


def _add_logs(found: dict[str, dict[str, Body]], logs: Mapping[str, Any]) -> None:
    found["google_logging_project_bucket_config"] = {
        "logs": {
            "project": "${project}",
            "location": "${region}",
            "bucket_id": logs["id"],
            "retention_days": logs["retentionDays"],
            "depends_on": [_APIS],
        }
    }
    found["google_logging_project_sink"] = {
        "logs": {
            "name": logs["id"],
            "destination": "logging.googleapis.com/${logs}",
            "filter": logs["filter"],
            "unique_writer_identity": True,
        }
    }


def _snaked(value: Any) -> Any:
    """Names of the APIs as Terraform writes them; not the keys of labels and environments."""
    if isinstance(value, Mapping):
        found = {}
        for key, one in value.items():
            snaked = "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in key)
            found[snaked] = dict(one) if key in ("labels", "environmentVariables", "limits") else _snaked(one)
        return found
    return [_snaked(one) for one in value] if isinstance(value, list) else value
