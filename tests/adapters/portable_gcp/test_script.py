"""``deploy.sh``: the shell's own checkers pass it, and gcloud has every command and every flag that it uses.

It is run against a gcloud that records, and knows what was created. Where Google Cloud's SDK is on the machine, what is
recorded is held against its tree of commands, and, slowly, given to gcloud's own parser.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from portable.run.part import Found
from portable_gcp.build import TARGET

GCLOUD = r"""#!/usr/bin/env bash
printf '%s\x1f' "$@" >> "$RECORDER/calls"
printf '\x1e' >> "$RECORDER/calls"
plain=() verb=""
for word in "${@:3}"; do
  case "$word" in
    create|describe|update|deploy|undelete|import|add-backend) verb="${verb:-$word}" ;;
    --database=*) plain+=("$word") ;;
    http|--*) ;;
    *) plain+=("$word") ;;
  esac
done
[[ "${plain[*]:0:2}" == "logging sinks" ]] && plain=("${plain[@]:0:3}")
[[ "${plain[*]:0:2}" == "iam service-accounts" ]] && plain[2]="${plain[2]%@*}"
known="$RECORDER/there-$(printf '%s~' "${plain[@]//[\/:]/_}")"
case "$verb:${plain[0]}" in
  import:compute) cat > "$RECORDER/url-map" ;;
  add-backend:compute) touch "$RECORDER/backends-of-${plain[2]}" ;;
  describe:projects) echo 1234567890 ;;
  describe:run) echo "https://${plain[2]}-uc.a.run.app" ;;
  describe:compute)
    [[ -e "$known" ]] || exit 1
    [[ "$*" != *"value(backends)"* || ! -e "$RECORDER/backends-of-${plain[2]}" ]] || echo "[{'group': 'x'}]"
    [[ "$*" != *"value(address)"* ]] || echo 203.0.113.7
    ;;
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


FORMS = ("functions", "image", "eventarc", "split")
Write = Callable[[str, Path], Path]


@pytest.fixture
def write(whole_app: Callable[..., Any], deployment: Callable[..., Any]) -> Write:
    """Writes the script of a form into a folder."""

    def write(form: str, folder: Path) -> Path:
        settings = {"message_source": "pubsub-eventarc"} if form == "eventarc" else {}
        made = deployment(whole_app(split=form == "split"), settings, form="gcloud")
        if form == "image":
            made = msgspec.structs.replace(made, image="docker.pkg.dev/acme/apps/saas@sha256:0")
        file = folder / "deploy.sh"
        file.write_text(TARGET.infrastructure(made)["deploy.sh"])
        return file

    return write


@pytest.fixture(params=FORMS)
def script(request: pytest.FixtureRequest, write: Write, tmp_path: Path) -> Path:
    return write(request.param, tmp_path)


SAID = {"PROJECT": "acme", "CACHE_LIMITS": "rediss://cache.example.com", "DOMAIN": "api.example.com"}


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
    front = "url: https://api.example.com\naddress: 203.0.113.7"
    split = any("url-maps" in call for call in first)
    assert (front if split else "http_url: https://saas-prod-http-uc.a.run.app") in done.stdout
    assert ("http_url" in done.stdout) != split
    environments = "\n".join(word for call in first for word in call if word.startswith("--set-env-vars="))
    assert "PRICE=5 ${EUR} %{x}" in environments
    assert "PORTABLE_CACHE_LIMITS=rediss://cache.example.com" in environments
    done = recorder.run(script, **SAID)
    assert done.returncode == 0, done.stderr
    second = recorder.take()
    assert [one for one in second if "create" in one or "add-backend" in one] == []
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


def test_a_split_front_is_a_load_balancer(write: Write, tmp_path: Path) -> None:
    recorder = Recorder(tmp_path)
    script = write("split", tmp_path)
    assert recorder.run(script, **SAID).returncode == 0
    calls = recorder.take()
    created = [call[1] for call in calls if call[0] == "compute" and "create" in call]
    assert created == [
        "addresses",
        *("network-endpoint-groups", "backend-services") * 2,
        "ssl-certificates",
        "target-https-proxies",
        "forwarding-rules",
    ]
    mapped = json.loads((tmp_path / "url-map").read_text())
    serving = "https://www.googleapis.com/compute/v1/projects/acme/global/backendServices/saas-prod-front"
    [matcher] = mapped["pathMatchers"]
    assert mapped["defaultService"] == matcher["defaultService"] == f"{serving}-http"
    shown = [(one["matchRules"][0]["pathTemplateMatch"], one["service"]) for one in matcher["routeRules"]]
    assert shown[:2] == [("/admin/**", f"{serving}-admin"), ("/users/me", f"{serving}-admin")]
    [deployed] = [call for call in calls if call[:3] == ["functions", "deploy", "saas-prod-http"]]
    assert "--ingress-settings=internal-and-gclb" in deployed
    recorder.run(script, **SAID | {"DOMAIN": "other.example.com"})  # a certificate cannot be changed
    [certificate] = [call for call in recorder.take() if call[:3] == ["compute", "ssl-certificates", "create"]]
    assert "--domains=other.example.com" in certificate
    done = recorder.run(script, **SAID | {"DOMAIN": ""})
    assert done.returncode != 0
    assert "DOMAIN: the domain of the HTTP front" in done.stderr


@pytest.mark.slow
def test_gclouds_own_parser_takes_all_of_it(write: Write, tmp_path: Path, require_part: Callable[..., Found]) -> None:
    """Without an account it ends behind its parser, and before anything is sent. In one process: it starts slowly."""
    root = require_part("gcloud").path.resolve().parents[1]
    calls: dict[tuple[str, ...], list[str]] = {}
    for form in FORMS:
        folder = tmp_path / form
        folder.mkdir()
        recorder, script = Recorder(folder), write(form, folder)
        for _ in range(2):  # what creates, and what updates
            assert recorder.run(script, **SAID).returncode == 0
        for call in recorder.take():
            shape = tuple(one.partition("=")[0] for one in call if one.startswith("--") or one.isalpha())
            calls.setdefault(shape, call)
    wrong = ["pubsub", "topics", "create", "x", "--no-such-flag"]
    asked = {"calls": [*calls.values(), wrong], "url_map": (tmp_path / "split" / "url-map").read_text()}
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "CLOUDSDK_CONFIG": str(tmp_path / "config")}
    done = subprocess.run(
        [sys.executable, "-S", "-c", PARSER, root],
        env=environment,
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    said = json.loads(done.stdout.splitlines()[-1])
    assert "unrecognized arguments: --no-such-flag" in said["calls"].pop()
    refused = [
        (call, words)
        for call, words in zip(calls.values(), said["calls"], strict=True)
        if "You do not currently have an active account" not in words
    ]
    assert refused == []
    assert len(calls) > 60
    assert said["url_map"] == ""


PARSER = """
import contextlib, io, json, sys

root = sys.argv[1]
sys.path[:0] = [root + "/lib/third_party", root + "/lib"]
from googlecloudsdk import gcloud_main
from googlecloudsdk.api_lib.util import apis
from googlecloudsdk.command_lib.export import util
from googlecloudsdk.core import log

asked, cli, said = json.load(sys.stdin), gcloud_main.CreateCLI([]), []
for call in asked["calls"]:
    errors = io.StringIO()
    with contextlib.redirect_stderr(errors), contextlib.redirect_stdout(errors), contextlib.suppress(SystemExit):
        log.Reset(errors, errors)
        cli.Execute(["--quiet", "--project=acme", *call])
    said.append(errors.getvalue())
try:
    schema = util.GetSchemaPath("compute", "v1", "UrlMap")
    util.Import(apis.GetMessagesModule("compute", "v1").UrlMap, io.StringIO(asked["url_map"]), schema)
    wrong = ""
except Exception as error:
    wrong = repr(error)
print()
print(json.dumps({"calls": said, "url_map": wrong}))
"""
"""gcloud's own parser, and its schema of what `url-maps import` reads."""


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
