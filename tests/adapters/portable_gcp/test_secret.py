"""Google's own client in front of a stand-in of ours: Secret Manager has no emulator."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator

import pytest

from portable import Config, ConfigError, NotFoundError, PermissionDeniedError, Secret, UnavailableError
from portable.drivers import Platform
from portable.resources import use_platform
from portable.run import emulators
from portable.run.emulators import Vault
from portable.run.processes import LOOPBACK, free_port
from portable.testing.conformance import ConfigConformance, SecretConformance
from portable_gcp.capabilities import CAPABILITIES
from portable_gcp.runtime import platform

SECRETS = "projects/shop/secrets"


@pytest.fixture
def vault() -> Iterator[Vault]:
    with emulators.secret_manager() as made:
        environment = made.environment | {
            "PORTABLE_SECRET_MAILER_KEY": f"{SECRETS}/mailer",
            "PORTABLE_SECRET_PINNED": f"{SECRETS}/mailer/versions/1",
            "PORTABLE_SECRET_MISSING": f"{SECRETS}/nothing-is-here",
            "PORTABLE_CONFIG_PAGE_SIZE": f"{SECRETS}/page-size",
            "PORTABLE_CONFIG_MISSING": f"{SECRETS}/nothing-is-here",
        }
        gcp = platform(environment)
        with use_platform(gcp):
            yield made
        gcp.close()


class TestSecret(SecretConformance):
    capabilities = CAPABILITIES["secret"]

    @pytest.fixture
    def unreachable(self) -> Iterator[Platform]:
        address = {"PORTABLE_SECRET_MAILER_KEY": f"{SECRETS}/mailer"}
        gcp = platform({"SECRET_MANAGER_EMULATOR_HOST": f"http://{LOOPBACK}:{free_port()}", **address})
        yield gcp
        gcp.close()

    @pytest.fixture
    def secret(self, vault: Vault) -> Secret:
        return Secret("mailer-key")

    @pytest.fixture
    def store(self, vault: Vault) -> Callable[[str | bytes], None]:
        def put(value: str | bytes) -> None:
            vault.put("mailer", value.encode() if isinstance(value, str) else value)

        return put


class TestConfig(ConfigConformance):
    capabilities = CAPABILITIES["config"]

    @pytest.fixture
    def config(self, vault: Vault) -> Config[str]:
        return Config("page-size")

    @pytest.fixture
    def store(self, vault: Vault) -> Callable[[str], None]:
        def put(value: str) -> None:
            vault.put("page-size", value.encode())

        return put


def test_one_version(vault: Vault) -> None:
    vault.put("mailer", b"first")
    vault.put("mailer", b"second")
    assert (Secret("pinned").value(), Secret("pinned").version()) == ("first", "1")
    assert (Secret("mailer-key").value(), Secret("mailer-key").version()) == ("second", "2")


@pytest.mark.parametrize(
    ("status", "reason", "kind"),
    [
        (400, "FAILED_PRECONDITION", NotFoundError),  # a version that is disabled or destroyed
        (401, "UNAUTHENTICATED", PermissionDeniedError),
        (403, "PERMISSION_DENIED", PermissionDeniedError),
        (404, "NOT_FOUND", NotFoundError),
    ],
)
def test_errors(vault: Vault, status: int, reason: str, kind: type[Exception]) -> None:
    vault.put("mailer", b"first")
    vault.refuse(status, {"error": {"code": status, "message": "why", "status": reason}})
    with pytest.raises(kind, match="secret mailer-key: ") as caught:
        Secret("mailer-key").value()
    assert caught.value.__cause__ is not None


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_read_is_tried_again(vault: Vault, status: int) -> None:
    vault.put("mailer", b"first")
    busy = {"error": {"code": status, "message": "busy", "status": "UNAVAILABLE"}}
    vault.refuse(status, busy)
    assert Secret("mailer-key").value() == "first"
    for _ in range(3):
        vault.refuse(status, busy)
    with pytest.raises(UnavailableError, match="secret mailer-key: "):
        Secret("mailer-key").value()


@pytest.mark.parametrize("address", ["mailer", "projects/p", "projects/p/secrets/s/versions", "secrets/s/projects/p"])
def test_addresses_that_are_refused(address: str) -> None:
    environment = {"PORTABLE_SECRET_KEY": address, "PORTABLE_CONFIG_KEY": address}
    with use_platform(platform(environment)):
        for value in (Secret("key").value, Config("key").value):
            with pytest.raises(ConfigError, match="its address is projects/P/secrets/S"):
                value()


def test_a_value_in_the_environment() -> None:
    with use_platform(platform({"PORTABLE_CONFIG_A": "value:50"})):
        assert Config("a", int).value() == 50
        assert Config("b", int, default=7).value() == 7


def test_without_the_sdk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "google.cloud.secretmanager_v1", None)
    address = f"{SECRETS}/a"
    gcp = platform({"PORTABLE_SECRET_A": address})
    with use_platform(gcp), pytest.raises(ConfigError, match=r"portable-functions\[gcp\]"):
        Secret("a").value()
