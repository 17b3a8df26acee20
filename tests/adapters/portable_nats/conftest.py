"""Names of one test's own on the session's NATS server."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest

from portable.drivers import address_variable
from portable.resources import Resource
from portable.run.emulators import Emulator
from portable_nats.provision import provision

_count = itertools.count(1)


@pytest.fixture
def place(nats_server: Emulator) -> Callable[..., dict[str, str]]:
    """``place(queue, bucket)``: an environment in which these exist, empty, and nothing of the name ``missing``."""

    def make(*resources: Resource) -> dict[str, str]:
        number = next(_count)
        environment: dict[str, Any] = dict(nats_server.environment)
        url = environment["NATS_URL"]
        for resource in resources:
            environment[address_variable(resource.kind, resource.name)] = f"{url}/{resource.name}-{number}"
            environment[address_variable(resource.kind, "missing")] = f"{url}/nothing-is-here"
            if resource.kind == "queue":
                environment[address_variable("deadletter", resource.name)] = f"{url}/{resource.name}-{number}-dead"
        provision(resources, environment)
        return environment

    return make
