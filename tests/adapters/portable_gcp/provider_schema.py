"""The arguments of Google's Terraform provider, as Pulumi's package, which is generated from it, has them.

Read from its source, a class at a time: importing it takes seconds, and a file of it has megabytes. A block that may
come several times is a plural there.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

MODULES = {
    "google_cloud_run_v2_service": ("cloudrunv2", "Service"),
    "google_cloud_run_v2_service_iam_member": ("cloudrunv2", "ServiceIamMember"),
    "google_cloud_scheduler_job": ("cloudscheduler", "Job"),
    "google_cloudfunctions2_function": ("cloudfunctionsv2", "Function"),
    "google_compute_backend_service": ("compute", "BackendService"),
    "google_compute_global_address": ("compute", "GlobalAddress"),
    "google_compute_global_forwarding_rule": ("compute", "GlobalForwardingRule"),
    "google_compute_managed_ssl_certificate": ("compute", "ManagedSslCertificate"),
    "google_compute_region_network_endpoint_group": ("compute", "RegionNetworkEndpointGroup"),
    "google_compute_target_https_proxy": ("compute", "TargetHttpsProxy"),
    "google_compute_url_map": ("compute", "URLMap"),
    "google_eventarc_trigger": ("eventarc", "Trigger"),
    "google_firestore_database": ("firestore", "Database"),
    "google_firestore_field": ("firestore", "Field"),
    "google_logging_project_bucket_config": ("logging", "ProjectBucketConfig"),
    "google_logging_project_sink": ("logging", "ProjectSink"),
    "google_project_iam_custom_role": ("projects", "IAMCustomRole"),
    "google_project_iam_member": ("projects", "IAMMember"),
    "google_project_service": ("projects", "Service"),
    "google_pubsub_subscription": ("pubsub", "Subscription"),
    "google_pubsub_subscription_iam_member": ("pubsub", "SubscriptionIAMMember"),
    "google_pubsub_topic": ("pubsub", "Topic"),
    "google_pubsub_topic_iam_member": ("pubsub", "TopicIAMMember"),
    "google_secret_manager_secret": ("secretmanager", "Secret"),
    "google_secret_manager_secret_iam_member": ("secretmanager", "SecretIamMember"),
    "google_service_account": ("serviceaccount", "Account"),
    "google_service_account_iam_member": ("serviceaccount", "IAMMember"),
    "google_storage_bucket": ("storage", "Bucket"),
    "google_storage_bucket_iam_member": ("storage", "BucketIAMMember"),
    "google_storage_bucket_object": ("storage", "BucketObject"),
}
_OWN = ("depends_on", "for_each", "lifecycle")
_SCALARS = {"_builtins.str": str, "_builtins.bool": bool, "_builtins.int": int}


Arguments = Mapping[str, tuple[bool, str]]
"""Name to whether it must be given, and its type in words."""


@lru_cache(maxsize=256)
def _text(file: Path) -> str:
    return file.read_text("utf-8")


@lru_cache(maxsize=1024)
def _arguments(file: Path, name: str) -> Arguments | None:
    start = _text(file).find(f"\nclass {name}:\n")
    if start < 0:
        return None
    end = _text(file).find('\n        """', start)
    init = ast.parse(_text(file)[start:end] + "\n        pass\n").body[0].body[-1]  # type: ignore[attr-defined]
    return {
        one.arg: (default is None, ast.unparse(one.annotation) if one.annotation else "")
        for one, default in zip(init.args.kwonlyargs, init.args.kw_defaults, strict=True)
    }


class Schema:
    """Of the package in this folder (``…/pulumi_gcp``)."""

    def __init__(self, package: Path) -> None:
        self._package = package

    def problems(self, resource: str, body: Mapping[str, Any]) -> Iterator[str]:
        """What the provider would not take of a resource's body."""
        module, name = MODULES[resource]
        for file in (self._package / module).glob("*.py"):
            if file.name != "_inputs.py" and (known := _arguments(file, f"{name}Args")) is not None:
                yield from self._check(module, resource, known, body)
                return
        yield f"{resource}: no class {name}Args"

    def _check(self, module: str, where: str, known: Arguments, body: Mapping[str, Any]) -> Iterator[str]:
        seen = set()
        for key, value in body.items():
            if key in _OWN and where in MODULES:
                continue
            name = next((one for one in (key, f"{key}s", re.sub("y$", "ies", key)) if one in known), None)
            if name is None:
                yield f"{where}: no argument {key!r}; there are {sorted(known)}"
                continue
            seen.add(name)
            yield from self._check_value(module, f"{where}.{key}", known[name][1], value)
        yield from (
            f"{where}: {name!r} is missing" for name, (needed, _) in known.items() if needed and name not in seen
        )

    def _check_value(self, module: str, where: str, words: str, value: Any) -> Iterator[str]:
        nested = re.search(r"(\w+Args)\b", words)
        for one in value if isinstance(value, list) else [value]:
            if isinstance(one, Mapping) and nested:
                inner = _arguments(self._package / module / "_inputs.py", nested[1])
                assert inner is not None
                yield from self._check(module, where, inner, one)
            elif isinstance(one, Mapping) != ("Mapping[str" in words):
                yield f"{where}: {one!r} is not {words}"
            elif isinstance(one, bool | int):
                wanted = [kind for word, kind in _SCALARS.items() if word in words]
                if type(one) not in wanted:
                    yield f"{where}: {one!r} is not {words}"
        if isinstance(value, list) and "Sequence[" not in words:
            yield f"{where}: a list is not {words}"
