"""What runs a container where it is at home: Kubernetes, Knative, ECS. Written to ``infra/``.

Resources are not made here: a queue is its cloud's. Their addresses are in a ConfigMap, those that are known.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from portable.build.deployment import Deployment
from portable_container.infrastructure.ecs import task_definitions
from portable_container.infrastructure.knative import knative_files
from portable_container.infrastructure.kubernetes import kubernetes_files

__all__ = ["FORMS", "SETTINGS", "infrastructure_files"]

FORMS: Sequence[str] = ("kubernetes", "knative", "ecs")

SETTINGS: Sequence[str] = ("namespace", "scaling", "context", "execution_role", "task_role", "region", "events_secret")
"""Keys of ``[tool.portable.container]`` that are read here, and by ``deploy``."""


def infrastructure_files(deployment: Deployment, platform: str) -> Mapping[str, Any]:
    """See ``portable.build.target.BuildTarget``. ``platform``: whose drivers the container has. Raises ConfigError."""
    if deployment.form == "ecs":
        return task_definitions(deployment, platform)
    if deployment.form == "knative":
        return knative_files(deployment, platform)
    return kubernetes_files(deployment, platform)
