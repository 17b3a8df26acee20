"""Secrets and config values on this machine, and the files they are in."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portable import Config, ConfigError, Secret
from portable.resources import use_platform
from portable.testing.conformance import ConfigConformance, SecretConformance
from portable_local.capabilities import CAPABILITIES
from portable_local.envfile import read_env_file
from portable_local.platform import LocalPlatform


def quoted(text: str) -> str:
    for plain, escaped in (("\\", "\\\\"), ('"', '\\"'), ("$", "\\$"), ("\r", "\\r")):
        text = text.replace(plain, escaped)
    return f'"{text}"'


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Path]:
    (tmp_path / ".portable").mkdir()
    with use_platform(LocalPlatform({"PORTABLE_LOCAL_STATE": str(tmp_path / ".portable" / "state")})):
        yield tmp_path


class TestSecret(SecretConformance):
    capabilities = CAPABILITIES["secret"]

    @pytest.fixture
    def secret(self, project: Path) -> Secret:
        return Secret("mailer-key")

    @pytest.fixture
    def store(self, project: Path) -> Callable[[str | bytes], None]:
        def put(value: str | bytes) -> None:
            written = quoted(value).encode() if isinstance(value, str) else b"'" + value + b"'"
            (project / ".portable" / "secrets.env").write_bytes(b"PORTABLE_SECRET_MAILER_KEY=" + written + b"\n")

        return put


class TestConfig(ConfigConformance):
    capabilities = CAPABILITIES["config"]
    has_addresses = False

    @pytest.fixture
    def config(self, project: Path) -> Config[str]:
        return Config("page-size")

    @pytest.fixture
    def store(self, project: Path) -> Callable[[str], None]:
        return lambda value: (
            (project / ".env").write_bytes(f"PORTABLE_CONFIG_PAGE_SIZE={quoted(value)}\n".encode()) and None
        )


def test_which_value_counts(tmp_path: Path) -> None:
    state = tmp_path / ".portable" / "state"
    environment = {"PORTABLE_LOCAL_STATE": str(state)}
    with use_platform(LocalPlatform(environment)):
        (tmp_path / ".env").write_text("PORTABLE_SECRET_A=from-env-file")
        secret = Secret("a")
        assert secret.value() == "from-env-file"
        state.parent.mkdir()
        (state.parent / "secrets.env").write_text("PORTABLE_SECRET_A=from-secrets\n")
        secret.refresh()
        assert secret.value() == "from-secrets"
        environment["PORTABLE_SECRET_A"] = "from-environment"
        secret.refresh()
        assert secret.value() == "from-environment"


def test_a_state_elsewhere_reads_no_file_of_the_project(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("PORTABLE_CONFIG_A=other")
    with use_platform(LocalPlatform({"PORTABLE_LOCAL_STATE": str(tmp_path / "test" / "state")})):
        assert Config("a", default="mine").value() == "mine"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("A=1", "1"),
        ("\ufeffA=1\r\n", "1"),
        ("  export  A = b c  # comment", "b c"),
        ("A=b#c", "b#c"),
        ("A=#c", ""),
        ("A=", ""),
        ("A=$HOME ${A} `x`", "$HOME ${A} `x`"),
        ("A='b \\n # \"c\" $d'", 'b \\n # "c" $d'),
        ("A='two\nlines' # and a comment", "two\nlines"),
        ('A="b\\n\\t\\"\\\\\\$ \'c\'"', "b\n\t\"\\$ 'c'"),
        ("# A=0\n\n\t\nA=it's", "it's"),
    ],
)
def test_what_is_read(tmp_path: Path, text: str, value: str) -> None:
    file = tmp_path / ".env"
    file.write_bytes(text.encode())
    assert read_env_file(file) == {"A": value}


@pytest.mark.parametrize(
    ("data", "line"),
    [
        (b"A=1\nhidden", 2),
        (b"hidden 1=2", 1),
        (b"1hidden=2", 1),
        (b"A='hidden\n\n", 1),
        (b'\n\nA="hidden', 3),
        (b'A="hidden" B=2', 1),
        (b'A="hidden\\x"', 1),
        (b"A=1\n\nA=hidden", 3),
        (b"A=1\nB=\xffhidden", 2),
        (b"A=hidden\x00", 1),
    ],
)
def test_what_is_refused_is_named_by_its_line(tmp_path: Path, data: bytes, line: int) -> None:
    file = tmp_path / ".env"
    file.write_bytes(data)
    with pytest.raises(ConfigError, match=rf"\.env:{line}: ") as caught:
        read_env_file(file)
    assert "hidden" not in str(caught.value)
    assert (caught.value.__context__, caught.value.__cause__) == (None, None)


def test_a_file_too_large(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_bytes(b"A=" + b"x" * (1 << 20))
    with pytest.raises(ConfigError, match="larger than"):
        read_env_file(file)


@settings(deadline=None, max_examples=100)
@given(value=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")))
def test_any_text_can_be_quoted(tmp_path_factory: pytest.TempPathFactory, value: str) -> None:
    file = tmp_path_factory.getbasetemp() / "any.env"
    file.write_bytes(f"A={quoted(value)}\n".encode())
    assert read_env_file(file) == {"A": value}


@settings(deadline=None, max_examples=200)
@given(data=st.binary() | st.text("A=\n\"'\\#$ \t", max_size=20).map(str.encode))
def test_any_bytes_are_read_or_refused(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    file = tmp_path_factory.getbasetemp() / "bytes.env"
    file.write_bytes(data)
    with contextlib.suppress(ConfigError):
        assert all(name.isidentifier() and isinstance(value, str) for name, value in read_env_file(file).items())
