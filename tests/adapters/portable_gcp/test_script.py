"""``deploy.sh``: the shell's own checkers pass it, and gcloud has every command and every flag that it uses.

It is run against a gcloud that records, and knows what was created. Where Google Cloud's SDK is on the machine, what is
recorded is held against its tree of commands, and, slowly, given to gcloud's own parser.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import pytest

from portable.errors import ConfigError
from portable.run.part import Found
from portable_gcp.build import TARGET

GCLOUD = r"""#!/usr/bin/env bash
printf '%s\x1f' "$@" >> "$RECORDER/calls"
printf '\x1e' >> "$RECORDER/calls"
plain=() verb=""
for word in "${@:3}"; do
  case "$word" in
    create|describe|update|deploy|undelete) verb="${verb:-$word}" ;;
    --database=*) plain+=("$word") ;;
    http|--*) ;;
    *) plain+=("$word") ;;
  esac
done
[[ "${plain[*]:0:2}" == "logging sinks" ]] && plain=("${plain[@]:0:3}")
[[ "${plain[*]:0:2}" == "iam service-accounts" ]] && plain[2]="${plain[2]%@*}"
known="$RECORDER/there-$(printf '%s~' "${plain[@]//[\/:]/_}")"
case "$verb:${plain[0]}" in
  describe:projects) echo 1234567890 ;;
  describe:run) echo "https://${plain[2]}-uc.a.run.app" ;;
  describe:*) [[ -e "$known" ]] ;;
  create:*) [[ ! -e "$known" ]] && touch "$known" ;;
esac
"""


class Recorder:
    """A folder for PATH with a gcloud in it, and what that was called with."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        program = folder / "gcloud"
        program.write_text(GCLOUD)
        program.chmod(0o755)

    def run(self, script: Path, **environment: str) -> subprocess.CompletedProcess[str]:
        known = {"PATH": f"{self.folder}:{os.environ['PATH']}", "RECORDER": str(self.folder)}
        return subprocess.run(
            ["bash", script], env=known | environment, capture_output=True, text=True, timeout=120, check=False
        )

    def take(self) -> list[list[str]]:
        """The calls so far, which are then forgotten; without the two flags that all have."""
        file = self.folder / "calls"
        calls = [call.split("\x1f")[:-1] for call in file.read_text("utf-8").split("\x1e")[:-1]]
        file.unlink()
        for one in calls:
            assert one[:2] == ["--quiet", "--project=acme"]
        return [one[2:] for one in calls]


@pytest.fixture(params=["functions", "image", "eventarc"])
def script(
    request: pytest.FixtureRequest, whole_app: Callable[..., Any], deployment: Callable[..., Any], tmp_path: Path
) -> Path:
    settings = {"message_source": "pubsub-eventarc"} if request.param == "eventarc" else {}
    made = deployment(whole_app(), settings, form="gcloud")
    if request.param == "image":
        made = msgspec.structs.replace(made, image="docker.pkg.dev/acme/apps/saas@sha256:0")
    file = tmp_path / "deploy.sh"
    file.write_text(TARGET.infrastructure(made)["deploy.sh"])
    return file


SAID = {"PROJECT": "acme", "CACHE_LIMITS": "rediss://cache.example.com"}


def test_the_shell_takes_it(script: Path, require_part: Callable[..., Found]) -> None:
    checked = subprocess.run(["bash", "-n", script], capture_output=True, text=True, timeout=30, check=False)
    assert (checked.returncode, checked.stderr) == (0, "")
    shellcheck = require_part("shellcheck").path
    checked = subprocess.run([shellcheck, script], capture_output=True, text=True, timeout=60, check=False)
    assert checked.returncode == 0, checked.stdout


def test_it_creates_and_then_updates(script: Path, tmp_path: Path) -> None:
    recorder = Recorder(tmp_path)
    done = recorder.run(script, **SAID)
    assert done.returncode == 0, done.stderr
    first = recorder.take()
    assert [one for one in first if "create" in one]
    assert "http_url: https://saas-prod-http-uc.a.run.app" in done.stdout
    environments = "\n".join(word for call in first for word in call if word.startswith("--set-env-vars="))
    assert "PRICE=5 ${EUR} %{x}" in environments
    assert "PORTABLE_CACHE_LIMITS=rediss://cache.example.com" in environments
    done = recorder.run(script, **SAID)
    assert done.returncode == 0, done.stderr
    second = recorder.take()
    assert [one for one in second if "create" in one] == []
    assert len([one for one in second if "update" in one]) > 10


def test_what_is_not_said_ends_it(script: Path, tmp_path: Path) -> None:
    done = Recorder(tmp_path).run(script, PROJECT="acme")
    assert done.returncode != 0
    assert "CACHE_LIMITS" in done.stderr
    assert not (tmp_path / "calls").exists()


def test_gcloud_has_every_command_and_flag(script: Path, tmp_path: Path, require_part: Callable[..., Found]) -> None:
    tree = command_tree(require_part("gcloud").path)
    recorder = Recorder(tmp_path)
    for _ in range(2):  # what creates, and what updates
        assert recorder.run(script, **SAID).returncode == 0
    calls = recorder.take()
    problems = [problem for call in calls if (problem := unknown(tree, call))]
    assert problems == []
    assert unknown(tree, ["pubsub", "topics", "create", "x", "--no-such-flag"]), "the check sees nothing"


@pytest.mark.slow
@pytest.mark.parametrize("script", ["functions"], indirect=True)
def test_gclouds_own_parser_takes_it(script: Path, tmp_path: Path, require_part: Callable[..., Found]) -> None:
    """Without an account it ends behind its parser, and before anything is sent."""
    gcloud = require_part("gcloud").path
    recorder = Recorder(tmp_path)
    for _ in range(2):
        assert recorder.run(script, **SAID).returncode == 0
    shapes: dict[tuple[str, ...], list[str]] = {}
    for call in recorder.take():
        shape = tuple(one.partition("=")[0] for one in call if one.startswith("--") or one.isalpha())
        shapes.setdefault(shape, call)
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "CLOUDSDK_CONFIG": str(tmp_path / "config")}

    def parse(call: list[str]) -> str:
        command = [str(gcloud), "--quiet", "--project=acme", *call]
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=120, check=False, cwd=tmp_path
        )
        return "" if "You do not currently have an active account" in done.stderr else f"{call}: {done.stderr}"

    with ThreadPoolExecutor(2) as pool:
        assert [one for one in pool.map(parse, shapes.values()) if one] == []


def test_a_split_front_takes_terraform(whole_app: Callable[..., Any], deployment: Callable[..., Any]) -> None:
    with pytest.raises(ConfigError, match="--iac terraform"):
        TARGET.infrastructure(deployment(whole_app(split=True), form="gcloud"))


def command_tree(gcloud: Path) -> dict[str, Any]:
    """What the SDK completes commands from: every command, and whether each flag has a value."""
    file = gcloud.resolve().parents[1] / "data" / "cli" / "gcloud_completions.py"
    if not file.is_file():
        pytest.skip(f"this gcloud has no {file.name}")
    found: dict[str, Any] = {}
    exec(compile(file.read_text("utf-8"), str(file), "exec"), found)
    tree: dict[str, Any] = found["STATIC_COMPLETION_CLI_TREE"]
    return tree


def unknown(tree: dict[str, Any], call: list[str]) -> str:
    """What of a call gcloud does not have; "" for nothing."""
    node, flags = tree, dict(tree["flags"])
    words = iter(call)
    for word in words:
        if word.startswith("-"):
            name, _, value = word.partition("=")
            kind = flags.get(name) or (flags.get("--" + name.removeprefix("--no-")) == "bool" and "bool")
            if not kind:
                return f"{call}: no flag {name}"
            if kind == "value" and not value:
                return f"{call}: {name} takes a value"
        elif word in node["commands"]:
            node = node["commands"][word]
            flags |= node["flags"]
        elif node["commands"]:
            return f"{call}: no command {word}"
    return ""
