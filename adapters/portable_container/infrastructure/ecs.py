"""ECS on Fargate: a task definition a workload, as ``aws ecs register-task-definition --cli-input-json`` takes it.

https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_RegisterTaskDefinition.html
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from portable.build.deployment import Deployment
from portable.errors import ConfigError
from portable_container.infrastructure.workloads import (
    PORT,
    Workload,
    addresses,
    fitting,
    image_of,
    variables_of,
    workloads_of,
)

__all__ = ["FARGATE", "fargate_size", "task_definitions"]

FARGATE: Mapping[int, tuple[int, int, int]] = {
    256: (512, 2048, 512),
    512: (1024, 4096, 1024),
    1024: (2048, 8192, 1024),
    2048: (4096, 16_384, 1024),
    4096: (8192, 30_720, 1024),
    8192: (16_384, 61_440, 4096),
    16_384: (32_768, 122_880, 8192),
}
"""By CPU units: least and most memory, and its step, MiB. 256 has 512, 1024 and 2048 alone.
https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-cpu-memory-error.html"""
LONGEST_STOP = 120
"""Seconds a container has from SIGTERM on: the same API, stopTimeout, on Fargate."""
_HEALTH = "import urllib.request as r; r.urlopen('http://127.0.0.1:{port}/-/live', timeout=2)"


def task_definitions(deployment: Deployment, platform: str) -> Mapping[str, Any]:
    """Path to document. Raises ConfigError for a workload larger than Fargate's largest."""
    return {f"task-definition-{one.name}.json": _task(deployment, one, platform) for one in workloads_of(deployment)}


def fargate_size(memory: int) -> tuple[int, int]:
    """CPU units and MiB of the smallest task that has ``memory``. Raises ConfigError where there is none."""
    for cpu, (least, most, step) in FARGATE.items():
        if memory <= most:
            wanted = max(least, -(-memory // step) * step)
            return cpu, 2048 if cpu == 256 and wanted > 1024 else wanted
    raise ConfigError(f"Fargate has no task with {memory} MiB: {max(most for _, most, _ in FARGATE.values())} at most")


def _task(deployment: Deployment, one: Workload, platform: str) -> dict[str, Any]:
    cpu, memory = fargate_size(one.memory)
    family = fitting(f"{deployment.app}-{deployment.stage}-{one.name}", 255)
    task: dict[str, Any] = {
        "family": family,
        "requiresCompatibilities": ["FARGATE"],
        "networkMode": "awsvpc",
        "cpu": str(cpu),
        "memory": str(memory),
        "runtimePlatform": {
            "operatingSystemFamily": "LINUX",
            "cpuArchitecture": {"x86_64": "X86_64", "arm64": "ARM64"}[deployment.arch],
        },
        "containerDefinitions": [_container(deployment, one, platform, family)],
        "volumes": [{"name": "tmp"}],
        "tags": [{"key": "app", "value": deployment.app}, {"key": "stage", "value": deployment.stage}],
    }
    if one.storage:
        task["ephemeralStorage"] = {"sizeInGiB": max(21, -(-one.storage // 1024))}
    for setting, name in (("execution_role", "executionRoleArn"), ("task_role", "taskRoleArn")):
        if deployment.settings.get(setting):
            task[name] = deployment.settings[setting]
    return task


def _container(deployment: Deployment, one: Workload, platform: str, family: str) -> dict[str, Any]:
    values = {"PORTABLE_STAGE": deployment.stage} | variables_of(one, LONGEST_STOP)
    values |= addresses(deployment, platform) | dict(one.environment)
    region = deployment.settings.get("region", "us-east-1")
    found: dict[str, Any] = {
        "name": "app",
        "image": image_of(deployment),
        "essential": True,
        "user": "65532:65532",
        "readonlyRootFilesystem": True,
        "linuxParameters": {"initProcessEnabled": True, "capabilities": {"drop": ["ALL"]}},
        "mountPoints": [{"sourceVolume": "tmp", "containerPath": "/tmp"}],  # noqa: S108 - the container's own
        "stopTimeout": min(int(one.grace), LONGEST_STOP),
        "environment": [{"name": name, "value": value} for name, value in sorted(values.items())],
        "logConfiguration": {
            "logDriver": "awslogs",
            "options": {
                "awslogs-group": f"/ecs/{family}",
                "awslogs-region": region,
                "awslogs-stream-prefix": "app",
                "awslogs-create-group": "true",
            },
        },
    }
    if one.pushed and (secret := deployment.settings.get("events_secret")):
        found["secrets"] = [{"name": "PORTABLE_EVENTS_TOKEN", "valueFrom": secret}]
    if one.kind == "job":
        [function] = one.functions
        return found | {"command": ["run", function.name]}
    return found | {
        "portMappings": [{"containerPort": PORT, "protocol": "tcp"}],
        "healthCheck": {
            "command": ["CMD", "python3", "-c", _HEALTH.format(port=PORT)],
            "interval": 10,
            "timeout": 3,
            "retries": 3,
            "startPeriod": 60,
        },
    }
