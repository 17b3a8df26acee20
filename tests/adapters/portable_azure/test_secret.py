"""Microsoft's own client in front of a stand-in of ours: Key Vault has no emulator."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator

import pytest

from portable import Config, ConfigError, NotFoundError, PermissionDeniedError, Secret, UnavailableError
from portable.drivers import Platform
from portable.resources import use_platform
from portable.run import emulators
from portable.run.emulators import KEY_VAULT, Vault
from portable.run.processes import LOOPBACK, free_port
from portable.testing.conformance import ConfigConformance, SecretConformance
from portable_azure.capabilities import CAPABILITIES
from portable_azure.runtime import platform


@pytest.fixture
def vault() -> Iterator[Vault]:
    with emulators.key_vault() as made:
        environment = made.environment | {
            "PORTABLE_SECRET_MAILER_KEY": f"{KEY_VAULT}/secrets/mailer",
            "PORTABLE_SECRET_PINNED": f"{KEY_VAULT}/secrets/mailer/1",
            "PORTABLE_SECRET_MISSING": f"{KEY_VAULT}/secrets/nothing-is-here",
            "PORTABLE_CONFIG_PAGE_SIZE": f"{KEY_VAULT}/secrets/page-size",
            "PORTABLE_CONFIG_MISSING": f"{KEY_VAULT}/secrets/nothing-is-here",
        }
        azure = platform(environment)
        with use_platform(azure):
            yield made
        azure.close()


class TestSecret(SecretConformance):
    capabilities = CAPABILITIES["secret"]

    @pytest.fixture
    def unreachable(self) -> Iterator[Platform]:
        address = {"PORTABLE_SECRET_MAILER_KEY": f"{KEY_VAULT}/secrets/mailer"}
        azure = platform({"PORTABLE_KEYVAULT_EMULATOR": f"http://{LOOPBACK}:{free_port()}", **address})
        yield azure
        azure.close()

    @pytest.fixture
    def secret(self, vault: Vault) -> Secret:
        return Secret("mailer-key")

    @pytest.fixture
    def store(self, vault: Vault) -> Callable[[str | bytes], None]:
        def put(value: str | bytes) -> None:
            if not isinstance(value, str):
                raise TypeError("Key Vault keeps text")  # as Set Secret has it: value is a string
            vault.put("mailer", value.encode())

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
    ("status", "code", "message", "kind"),
    [
        (403, "Forbidden", "Operation get is not allowed on a disabled secret. SecretDisabled", NotFoundError),
        (403, "Forbidden", "Caller is not authorized to perform action on resource.", PermissionDeniedError),
        (404, "SecretNotFound", "A secret was not found in this key vault.", NotFoundError),
    ],
)
def test_errors(vault: Vault, status: int, code: str, message: str, kind: type[Exception]) -> None:
    vault.put("mailer", b"first")
    vault.refuse(status, {"error": {"code": code, "message": message}})
    with pytest.raises(kind, match="secret mailer-key: ") as caught:
        Secret("mailer-key").value()
    assert caught.value.__cause__ is not None


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_read_is_tried_again(vault: Vault, status: int) -> None:
    vault.put("mailer", b"first")
    busy = {"error": {"code": "ServiceUnavailable", "message": "busy"}}
    vault.refuse(status, busy)
    assert Secret("mailer-key").value() == "first"
    for _ in range(3):
        vault.refuse(status, busy)
    with pytest.raises(UnavailableError, match="secret mailer-key: "):
        Secret("mailer-key").value()


@pytest.mark.parametrize(
    "address",
    ["mailer", "http://v.vault.azure.net/secrets/a", "https://v.vault.azure.net/keys/a", f"{KEY_VAULT}/secrets/"],
)
def test_addresses_that_are_refused(address: str) -> None:
    environment = {"PORTABLE_SECRET_KEY": address, "PORTABLE_CONFIG_KEY": address}
    with use_platform(platform(environment)):
        for value in (Secret("key").value, Config("key").value):
            with pytest.raises(ConfigError, match=r"its address is https://VAULT\.vault\.azure\.net/secrets/NAME"):
                value()


def test_an_emulator_elsewhere_is_refused() -> None:
    environment = {
        "PORTABLE_SECRET_KEY": f"{KEY_VAULT}/secrets/a",
        "PORTABLE_KEYVAULT_EMULATOR": "http://somewhere.example:80",
    }
    with use_platform(platform(environment)), pytest.raises(ConfigError, match="on this machine"):
        Secret("key").value()


def test_a_value_in_the_environment() -> None:
    with use_platform(platform({"PORTABLE_CONFIG_A": "value:50"})):
        assert Config("a", int).value() == 50
        assert Config("b", int, default=7).value() == 7


def test_without_the_sdk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "azure.keyvault.secrets", None)
    address = f"{KEY_VAULT}/secrets/a"
    azure = platform({"PORTABLE_SECRET_A": address})
    with use_platform(azure), pytest.raises(ConfigError, match=r"portable-functions\[azure\]"):
        Secret("a").value()
