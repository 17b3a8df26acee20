"""How each kind of resource in a plan is looked up, created, changed and deleted, as data.

Paths are formats of ``project``, ``region`` and ``id``; the APIs are documented at
https://cloud.google.com/apis/docs/overview.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

__all__ = ["KINDS", "REMOVED", "Kind"]


class Kind(msgspec.Struct, frozen=True):
    """One kind.

    Attributes:
        title: for people. service: of ``SERVICE.googleapis.com``. path: of one resource.
        create: path that is posted to; "" for one that is put at its own path. id_parameter: the query's parameter for
            the id; "" where the body has it.
        wrapped: what the body of a creation is wrapped as, with the id as that other key.
        patch_wrapped: likewise of a change, with ``updateMask`` beside it; "" where the mask is a parameter.
        mutable: fields that can be changed; others make it a replacement. named: whether the body has its full name.
        operations: whether changes are long-running. kept: whether it may hold data.
    """

    title: str
    service: str
    path: str
    create: str
    mutable: Sequence[str]
    id_parameter: str = ""
    wrapped: tuple[str, str] | None = None
    patch_wrapped: str = ""
    named: bool = False
    operations: bool = False
    kept: bool = False
    masked: bool = True


_HERE = "projects/{project}/locations/{region}"

KINDS: Mapping[str, Kind] = {
    "roles": Kind(
        "IAM role",
        "iam",
        "projects/{project}/roles/{id}",
        "projects/{project}/roles",
        ("title", "includedPermissions", "stage"),
        wrapped=("role", "roleId"),
    ),
    "accounts": Kind(
        "service account",
        "iam",
        "projects/{project}/serviceAccounts/{id}@{project}.iam.gserviceaccount.com",
        "projects/{project}/serviceAccounts",
        ("displayName",),
        wrapped=("serviceAccount", "accountId"),
        patch_wrapped="serviceAccount",
    ),
    "buckets": Kind(
        "bucket", "storage", "b/{id}", "b", ("labels", "iamConfiguration"), id_parameter="name", kept=True, masked=False
    ),
    "topics": Kind(
        "topic", "pubsub", "projects/{project}/topics/{id}", "", ("labels",), patch_wrapped="topic", named=True
    ),
    "subscriptions": Kind(
        "subscription",
        "pubsub",
        "projects/{project}/subscriptions/{id}",
        "",
        (
            "ackDeadlineSeconds",
            "deadLetterPolicy",
            "expirationPolicy",
            "labels",
            "messageRetentionDuration",
            "pushConfig",
            "retryPolicy",
        ),
        patch_wrapped="subscription",
        named=True,
    ),
    "secrets": Kind(
        "secret",
        "secretmanager",
        "projects/{project}/secrets/{id}",
        "projects/{project}/secrets",
        ("labels",),
        id_parameter="secretId",
        kept=True,
    ),
    "databases": Kind(
        "Firestore database",
        "firestore",
        "projects/{project}/databases/{id}",
        "projects/{project}/databases",
        ("deleteProtectionState",),
        id_parameter="databaseId",
        operations=True,
        kept=True,
    ),
    "fields": Kind(
        "Firestore field",
        "firestore",
        "projects/{project}/databases/{id}",
        "",
        ("indexConfig", "ttlConfig"),
        operations=True,
    ),
    "functions": Kind(
        "function",
        "cloudfunctions",
        _HERE + "/functions/{id}",
        _HERE + "/functions",
        ("description", "labels", "buildConfig", "serviceConfig"),
        id_parameter="functionId",
        named=True,
        operations=True,
    ),
    "services": Kind(
        "Cloud Run service",
        "run",
        _HERE + "/services/{id}",
        _HERE + "/services",
        ("labels", "ingress", "template"),
        id_parameter="serviceId",
        operations=True,
    ),
    "triggers": Kind(
        "Eventarc trigger",
        "eventarc",
        _HERE + "/triggers/{id}",
        _HERE + "/triggers",
        ("destination", "eventDataContentType", "eventFilters", "labels", "serviceAccount"),
        id_parameter="triggerId",
        named=True,
        operations=True,
    ),
    "jobs": Kind(
        "Cloud Scheduler job",
        "cloudscheduler",
        _HERE + "/jobs/{id}",
        _HERE + "/jobs",
        ("schedule", "timeZone", "attemptDeadline", "httpTarget", "description"),
        named=True,
    ),
    "logbuckets": Kind(
        "log bucket",
        "logging",
        _HERE + "/buckets/{id}",
        _HERE + "/buckets",
        ("retentionDays",),
        id_parameter="bucketId",
    ),
    "logsinks": Kind(
        "log sink", "logging", "projects/{project}/sinks/{id}", "projects/{project}/sinks", ("filter", "destination")
    ),
}
"""By the plan's name for a kind."""

REMOVED = ("triggers", "jobs", "subscriptions", "functions", "services", "topics")
"""What goes when the app has it no more, in this order. What may hold data stays, and so do accounts and roles, which
can do nothing once what they were bound on is gone."""
