"""Secrets Manager and Parameter Store, against moto."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from portable import Config, ConfigError, NotFoundError, Secret
from portable.drivers import Platform
from portable.resources import use_platform
from portable.run.processes import LOOPBACK, free_port
from portable.testing.conformance import ConfigConformance, SecretConformance
from portable_aws.capabilities import CAPABILITIES, SSM_SECRET
from portable_aws.runtime import platform


def nowhere(account: Any, address: str) -> Iterator[Platform]:
    aws = platform(
        account.environment
        | {"PORTABLE_SECRET_MAILER_KEY": address, "AWS_ENDPOINT_URL": f"http://{LOOPBACK}:{free_port()}"}
    )
    yield aws
    aws.close()


class TestSecretsManager(SecretConformance):
    capabilities = CAPABILITIES["secret"]

    @pytest.fixture
    def unreachable(self, account: Any) -> Iterator[Platform]:
        yield from nowhere(account, "mailer")

    @pytest.fixture
    def arn(self, account: Any) -> str:
        arn: str = account.client("secretsmanager").create_secret(Name="prod/mailer")["ARN"]
        return arn

    @pytest.fixture
    def secret(self, account: Any, arn: str) -> Iterator[Secret]:
        environment = account.environment | {
            "PORTABLE_SECRET_MAILER_KEY": arn,
            "PORTABLE_SECRET_MISSING": "prod/nothing-is-here",
        }
        aws = platform(environment)
        with use_platform(aws):
            yield Secret("mailer-key")
        aws.close()

    @pytest.fixture
    def store(self, account: Any, arn: str) -> Callable[[str | bytes], None]:
        def put(value: str | bytes) -> None:
            kind = "SecretString" if isinstance(value, str) else "SecretBinary"
            account.client("secretsmanager").put_secret_value(SecretId=arn, **{kind: value})

        return put


class TestParameterStore(SecretConformance):
    capabilities = SSM_SECRET

    @pytest.fixture
    def unreachable(self, account: Any) -> Iterator[Platform]:
        yield from nowhere(account, "ssm:mailer")

    @pytest.fixture
    def secret(self, account: Any) -> Iterator[Secret]:
        environment = account.environment | {
            "PORTABLE_SECRET_MAILER_KEY": "ssm:/prod/mailer",
            "PORTABLE_SECRET_MISSING": "ssm:/prod/nothing-is-here",
        }
        aws = platform(environment)
        with use_platform(aws):
            yield Secret("mailer-key")
        aws.close()

    @pytest.fixture
    def store(self, account: Any) -> Callable[[str | bytes], None]:
        return lambda value: account.client("ssm").put_parameter(
            Name="/prod/mailer", Value=value, Type="SecureString", Overwrite=True
        )


class TestConfig(ConfigConformance):
    capabilities = CAPABILITIES["config"]

    @pytest.fixture
    def config(self, account: Any) -> Iterator[Config[str]]:
        environment = account.environment | {
            "PORTABLE_CONFIG_PAGE_SIZE": "ssm:/prod/page-size",
            "PORTABLE_CONFIG_MISSING": "ssm:/prod/nothing-is-here",
        }
        aws = platform(environment)
        with use_platform(aws):
            yield Config("page-size")
        aws.close()

    @pytest.fixture
    def store(self, account: Any) -> Callable[[str], None]:
        return lambda value: account.client("ssm").put_parameter(
            Name="/prod/page-size", Value=value, Type="String", Overwrite=True
        )


def test_a_value_in_the_environment() -> None:
    with use_platform(platform({"PORTABLE_CONFIG_A": "value:50", "PORTABLE_CONFIG_B": "value:"})):
        assert Config("a", int).value() == 50
        assert Config("b", default="x").value() == ""
        assert Config("c", int, default=7).value() == 7


@pytest.mark.parametrize("address", ["50", "arn:aws:s3:::bucket", "ssm:"])
def test_addresses_that_are_refused(address: str) -> None:
    with use_platform(platform({"PORTABLE_CONFIG_A": address})), pytest.raises(ConfigError, match=r"(?i)config.a"):
        Config("a").value()


def test_no_address() -> None:
    with use_platform(platform({})):
        with pytest.raises(ConfigError, match="PORTABLE_SECRET_KEY"):
            Secret("key").value()
        with pytest.raises(ConfigError, match="PORTABLE_CONFIG_SIZE"):
            Config("size").value()


def test_parameters_by_arn(account: Any) -> None:
    account.client("ssm").put_parameter(Name="/prod/size", Value="7", Type="String")
    arn = account.client("ssm").get_parameter(Name="/prod/size")["Parameter"]["ARN"]
    aws = platform(account.environment | {"PORTABLE_CONFIG_SIZE": arn, "PORTABLE_SECRET_SIZE": arn})
    with use_platform(aws):
        assert (Config("size", int).value(), Secret("size").value(), Secret("size").version()) == (7, "7", "1")
    aws.close()


def test_a_secret_marked_for_deletion(account: Any) -> None:
    account.client("secretsmanager").create_secret(Name="old", SecretString="x")
    account.client("secretsmanager").delete_secret(SecretId="old")
    aws = platform(account.environment | {"PORTABLE_SECRET_OLD": "old"})
    with use_platform(aws), pytest.raises(NotFoundError, match="secret old"):
        Secret("old").value()
    aws.close()


def test_the_sdk_logs_other_answers_as_before(account: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    account.client("secretsmanager").create_secret(Name="seen", SecretString="hidden-0123456789")
    aws = platform(account.environment | {"PORTABLE_SECRET_SEEN": "seen"})
    with use_platform(aws):
        caplog.clear()
        assert Secret("seen").value() == "hidden-0123456789"
        assert "hidden-0123456789" not in caplog.text
        account.client("secretsmanager").list_secrets()
        assert "Response body" in caplog.text
    aws.close()
