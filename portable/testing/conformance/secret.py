"""What every driver of a secret, and of a config value, has to keep."""

from __future__ import annotations

import asyncio
import copy
import io
import logging
import pickle
import traceback
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, ClassVar

import msgspec
import pytest

from portable import Config, ConfigError, NotFoundError, Secret, ServiceError, UnavailableError
from portable.capabilities import Capability
from portable.drivers import Platform
from portable.resources import use_platform
from portable.testing.conformance.cases import Conformance, assert_names, together

__all__ = ["ConfigConformance", "SecretConformance"]

NOW = timedelta(0)

VALUES = {
    "plain": "correct-horse-battery-staple",
    "unicode": "pässwörd 漢字 🐍 e\u0301",
    "punctuation": "a'b\"c`d$e\\f${HOME}#g;h=i%j{k}",
    "blanks": "  two before, a tab\tand one after ",
    "lines": "-----BEGIN KEY-----\nMIIB\nAA==\n-----END KEY-----\n",
    "json": '{"user": "é", "password": "x"}',
    "long": "0123456789abcdef" * 200,
}

HIDDEN = "hidden-from-everybody-0123456789"


class SecretConformance(Conformance):
    """Cases for a secret. A subclass gives the fixtures ``secret``, a ``Secret("mailer-key")`` with its platform in
    force, and ``store``, a function that makes text or bytes its current value. ``Secret("missing")`` has an address at
    which nothing is. ``unreachable`` is a platform whose server does not answer, with an address for
    ``Secret("mailer-key")``; None where there is no server.
    """

    capabilities: ClassVar[Mapping[str, Capability]] = {}

    @pytest.fixture
    def secret(self) -> Secret:
        raise NotImplementedError("a subclass gives the secret")

    @pytest.fixture
    def store(self) -> Callable[[str | bytes], None]:
        raise NotImplementedError("a subclass gives the function")

    @pytest.fixture
    def unreachable(self) -> Platform | None:
        return None

    # --- values

    @pytest.mark.parametrize("name", VALUES)
    def test_value(self, secret: Secret, store: Callable[[str | bytes], None], name: str) -> None:
        store(VALUES[name])
        assert secret.value() == VALUES[name]
        assert secret.bytes_value() == VALUES[name].encode()

    def test_bytes(self, secret: Secret, store: Callable[[str | bytes], None]) -> None:
        data = bytes(range(256))
        if not self.capabilities["binary"].given:
            assert self._kept(secret, store, data) is None
            return
        assert self._kept(secret, store, data) == data
        with pytest.raises(ServiceError, match="bytes_value") as caught:
            secret.value()
        assert_names(caught.value, "secret mailer-key", None)

    def _kept(self, secret: Secret, store: Callable[[str | bytes], None], data: bytes) -> bytes | None:
        """The data as it comes back, None where it cannot be stored or read."""
        try:
            store(data)
            return secret.bytes_value()
        except Exception:
            if self.capabilities["binary"].given:
                raise
            return None

    def test_missing(self, secret: Secret) -> None:  # noqa: ARG002 - it puts the platform in force
        for call in (Secret("missing").value, Secret("missing").bytes_value, Secret("missing").version):
            with pytest.raises(NotFoundError) as caught:
                call()
            assert_names(caught.value, "secret missing", None)

    # --- versions, and what is kept

    def test_version(self, secret: Secret, store: Callable[[str | bytes], None]) -> None:
        store("first")
        first = secret.version()
        secret.refresh()
        assert secret.version() == first
        store("second")
        secret.refresh()
        assert secret.version() != first
        assert secret.value() == "second"

    def test_kept_for_its_ttl(self, secret: Secret, store: Callable[[str | bytes], None]) -> None:
        store("first")
        assert secret.value() == "first"
        store("second")
        assert secret.value() == "first"
        assert Secret(secret.name).value() == "second"  # each declaration keeps its own
        secret.refresh()
        assert secret.value() == "second"

    def test_read_again_after_its_ttl(self, secret: Secret, store: Callable[[str | bytes], None]) -> None:
        brief = Secret(secret.name, ttl=NOW)
        for value in ("first", "second", "third"):
            store(value)
            assert brief.value() == value

    def test_unreachable(self, unreachable: Platform | None) -> None:
        if unreachable is None:
            return
        with use_platform(unreachable), pytest.raises(UnavailableError) as caught:
            Secret("mailer-key").value()
        assert_names(caught.value, "secret mailer-key", None)

    # --- hidden

    def test_shown_by_nothing(
        self, secret: Secret, store: Callable[[str | bytes], None], caplog: pytest.LogCaptureFixture
    ) -> None:
        store(HIDDEN)
        caplog.set_level(logging.DEBUG)
        assert secret.value() == HIDDEN
        version = secret.driver().read()
        shown = [repr(secret), str(secret), f"{secret}", repr(version), str(version), f"{version}", secret.version()]
        shown += [repr(secret.driver()), repr(secret._held), *(str(vars(record)) for record in caplog.records)]
        assert not [one for one in shown if HIDDEN in one]

    def test_written_by_nothing(self, secret: Secret, store: Callable[[str | bytes], None]) -> None:
        store(HIDDEN)
        assert secret.value() == HIDDEN
        version = secret.driver().read()
        for thing in (secret, version):
            for write in (pickle.dumps, copy.copy, copy.deepcopy, msgspec.json.encode):
                with pytest.raises(TypeError):
                    write(thing)

    def test_errors_hide_it(self, secret: Secret, store: Callable[[str | bytes], None]) -> None:
        if not self.capabilities["binary"].given:
            return
        store(HIDDEN.encode() + b"\xff")
        with pytest.raises(ServiceError) as caught:
            secret.value()
        text = io.StringIO()
        trace = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
        print(*trace.format(), file=text)
        assert HIDDEN not in text.getvalue()

    # --- threads, async twins

    def test_threads(self, secret: Secret, store: Callable[[str | bytes], None]) -> None:
        store("shared")
        assert together(8, lambda _: secret.value()) == ["shared"] * 8

    def test_async_twins(self, secret: Secret, store: Callable[[str | bytes], None]) -> None:
        async def work() -> None:
            assert await secret.avalue() == "first"
            assert await secret.abytes_value() == b"first"
            version = await secret.aversion()
            store("second")
            await secret.arefresh()
            assert await secret.avalue() == "second"
            assert await secret.aversion() != version
            with pytest.raises(NotFoundError):
                await Secret("missing").avalue()

        store("first")
        asyncio.run(work())


class ConfigConformance(Conformance):
    """Cases for a config value. A subclass gives the fixtures ``config``, a ``Config("page-size")`` with its platform
    in force, and ``store``, a function that makes a text its current value. ``Config("unset")`` has no address, and
    ``Config("missing")``, where ``has_addresses``, one at which nothing is.
    """

    capabilities: ClassVar[Mapping[str, Capability]] = {}
    has_addresses: ClassVar[bool] = True

    @pytest.fixture
    def config(self) -> Config[str]:
        raise NotImplementedError("a subclass gives the config")

    @pytest.fixture
    def store(self) -> Callable[[str], None]:
        raise NotImplementedError("a subclass gives the function")

    @pytest.mark.parametrize("name", VALUES)
    def test_text(self, config: Config[str], store: Callable[[str], None], name: str) -> None:
        store(VALUES[name])
        assert config.value() == VALUES[name]

    def test_types(self, config: Config[str], store: Callable[[str], None]) -> None:
        for text, kind, value in (
            ("50", int, 50),
            ("true", bool, True),
            ("off", bool, False),
            ("2.5", float, 2.5),
            ("[1,2]", list[int], [1, 2]),
            ('{"a": 1}', dict[str, int], {"a": 1}),
        ):
            store(text)
            found: Any = Config(config.name, kind).value()
            assert (found, type(found)) == (value, type(value))

    def test_text_that_does_not_fit(self, config: Config[str], store: Callable[[str], None]) -> None:
        store(HIDDEN)
        for kind in (int, bool, float, list[int]):
            with pytest.raises(ConfigError, match="config page-size: the text in ") as caught:
                Config(config.name, kind).value()
            assert HIDDEN not in str(caught.value)

    def test_unset(self, config: Config[str]) -> None:  # noqa: ARG002 - it puts the platform in force
        with pytest.raises(ConfigError, match=r"config '?unset") as caught:
            Config("unset").value()
        assert "PORTABLE_CONFIG_UNSET" in str(caught.value)
        assert Config("unset", int, default=7).value() == 7

    def test_missing(self, config: Config[str]) -> None:  # noqa: ARG002
        if not self.has_addresses:
            return
        for missing in (Config("missing"), Config("missing", default="x")):
            with pytest.raises(NotFoundError) as caught:
                missing.value()
            assert_names(caught.value, "config missing", None)

    def test_seen_without_a_deployment(self, config: Config[str], store: Callable[[str], None]) -> None:
        store("1")
        number = Config(config.name, int)
        assert number.value() == 1
        store("2")
        assert number.value() == 1  # kept
        number.refresh()
        assert number.value() == (2 if self.capabilities["live"].given else 1)

    def test_async_twins(self, config: Config[str], store: Callable[[str], None]) -> None:
        store("5")

        async def work() -> None:
            number = Config(config.name, int)
            assert await number.avalue() == 5
            await number.arefresh()
            assert await number.avalue() == 5

        asyncio.run(work())
