"""What a target takes at most, the matrix of every target, and what a move from one to another changes."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

import pytest

from portable.build.artifact import FindingsError, build, check
from portable.build.bounds import bounds_of, check_bounds, check_size
from portable.build.matrix import findings_matrix
from portable.build.moving import compare_targets
from portable.build.project import Project
from portable.build.settings import function_settings
from portable.build.target import Finding
from portable.capabilities import BOUNDS, Bound
from portable.cli.parser import main
from portable.plugins import adapter, adapters

Make = Callable[..., Project]

APP = """
from datetime import timedelta

from portable import App, Message, SocketEvent, Tick

app = App("shop")
orders = app.queue("orders", dedup=True)
items = app.table("items", key="id")


@app.get("/orders", memory=20_000)
def show() -> str:
    return str(items.get({"id": "1"}))


@app.on_message(orders, batch_size=10, timeout=timedelta(minutes=12))
def take(message: Message) -> None: ...


@app.websocket("/live")
def live(event: SocketEvent) -> None: ...
"""


def checked(project: Project, name: str) -> tuple[Any, Any]:
    target = adapter(name).build
    return target, check(project, target)


@pytest.mark.parametrize("name", ["aws", "azure", "gcp", "local"])
def test_bounds_have_names_that_are_known(name: str) -> None:
    found = import_module(f"portable_{name}.capabilities").BOUNDS
    assert found == bounds_of(adapter(name).build)
    assert found.keys() <= BOUNDS.keys()
    assert all(isinstance(one, Bound) for one in found.values())


def test_settings_are_held_against_a_target_too(make_project: Make) -> None:
    text = "[tool.portable.functions.take-order]\nmemory = 20_000\n"
    _, (_, findings) = checked(make_project({"pyproject.toml": text}), "aws")
    assert [one.message for one in findings if one.severity == "error"] == [
        "function take-order: Lambda has 10240 MiB at most, not 20000"
    ]


@pytest.mark.parametrize(
    ("target", "asked", "said"),
    [
        ("aws", 20_480, ("error", "20480 MiB of disk are asked; aws has 10240 at most", "storage = 10240")),
        ("aws", 10_240, None),
        (
            "gcp",
            2048,
            (
                "warning",
                "2048 MiB of disk are asked; gcp has none of its own: what is written to /tmp counts as memory",
                "memory = 2560, or a bucket",
            ),
        ),
    ],
)
def test_disk(make_project: Make, target: str, asked: int, said: tuple[str, str, str] | None) -> None:
    text = f"[tool.portable.functions.take-order]\nmemory = 512\n[tool.portable.functions.'*']\nstorage = {asked}\n"
    _, (_, findings) = checked(make_project({"pyproject.toml": text}), target)
    found = [one for one in findings if "function take-order: " in one.message and "of disk" in one.message]
    expected = [] if said is None else [(said[0], "pyproject.toml:4", f"function take-order: {said[1]}", said[2])]
    assert [(one.severity, one.where, one.message, one.way_out) for one in found] == expected


@pytest.mark.parametrize(
    ("length", "severity"), [(10, None), (3990, "warning"), (4200, "error")], ids=["few", "with addresses", "too many"]
)
def test_variables(make_project: Make, length: int, severity: str | None) -> None:
    text = f"[tool.portable.functions.take-order.environment]\nLONG = '{'x' * length}'\n"
    project = make_project({"pyproject.toml": text})
    target, (description, _) = checked(project, "aws")
    settings = function_settings(project, "aws", description.manifest)
    found = list(check_bounds(description.manifest, settings, target))
    assert [one.severity for one in found] == ([severity] if severity else [])
    assert all("function take-order: its variables come to" in one.message for one in found)
    assert list(check_bounds(description.manifest, settings, adapter("local").build)) == []


def test_a_bundle_that_is_too_large_is_no_artifact(make_project: Make, target: Any) -> None:
    project = make_project({"pyproject.toml": ""})
    folder = build(project, target).folder
    before = (folder / "manifest.json").read_bytes()
    (project.root / "app.py").write_text(APP)
    target.bounds = {"unpacked_bytes": Bound(1000, "an image may have more")}
    with pytest.raises(
        FindingsError, match=r"bundle.zip is \d\.\d MiB unpacked; plain takes 0; an image may have more"
    ):
        build(project, target)
    assert (folder / "manifest.json").read_bytes() == before
    assert [one.severity for one in check_size("x", 999, 10**9, target)] == []


def test_the_matrix(make_project: Make) -> None:
    project = make_project({"app.py": APP, "pyproject.toml": ""})
    found = {name: checked(project, name)[1][1] for name in ("aws", "gcp", "local")}
    manifest = checked(project, "local")[1][0].manifest
    rows = findings_matrix(manifest, found)
    assert rows["http GET /orders"]["aws"] == "error"
    assert "gcp" not in rows["http GET /orders"]
    assert rows["queue orders"]["gcp"] == "error"
    assert rows["live"] == {"gcp": "error"}
    assert "table items" not in rows
    assert findings_matrix(manifest, {"aws": []}) == {"the project": {}}
    assert findings_matrix(manifest, {"aws": [Finding("info", "", "x")]}) == {"the project": {"aws": "info"}}


def test_a_move(make_project: Make) -> None:
    project = make_project({"app.py": APP, "pyproject.toml": ""})
    (aws, (description, said)), (gcp, (_, says)) = checked(project, "aws"), checked(project, "gcp")
    move = compare_targets(
        description.manifest,
        (aws, said, {"take": "sqs", "live": "websocket-api"}),
        (gcp, says, {"take": "pubsub-push"}),
    )
    assert any("queue 'orders', dedup=True" in one.message for one in move.lost)
    assert any("20000" in one.message for one in move.gained)
    meaning = {one.what: (one.before, one.after) for one in move.meaning}
    assert meaning["queue: a message sent twice with one id kept once"][1].startswith("no (Pub/Sub has no id")
    sources = {one.what: (one.before, one.after) for one in move.sources}
    assert sources == {"take": ("sqs", "pubsub-push"), "live": ("websocket-api", "nothing")}
    assert ("table items", "items-table", "items") in [(one.what, one.before, one.after) for one in move.names]
    limits = {one.what: (one.before, one.after) for one in move.limits}
    assert limits["an item of a table"] == ("400 KiB", "1 MiB")
    assert limits["the handling of an event"] == ("15 min", "9 min")
    assert "a message of a topic" not in limits
    assert [(one.what, one.after) for one in move.cost] == [("take: messages for each call that is paid", "up to 1")]
    assert move.data == ["queue orders", "table items", "table live-sockets"]


def test_a_move_to_where_it_is_changes_no_name(make_project: Make) -> None:
    project = make_project({"app.py": APP, "pyproject.toml": ""})
    aws, (description, findings) = checked(project, "aws")
    move = compare_targets(description.manifest, (aws, findings, {}), (aws, findings, {}))
    assert (move.names, move.limits) == ([], [])


def test_the_commands(make_project: Make, capsys: pytest.CaptureFixture[str]) -> None:
    root = str(make_project({"app.py": APP, "pyproject.toml": ""}).root)
    assert main(["check", "--all", "--project", root]) == 1
    out = capsys.readouterr().out
    assert out.splitlines()[0].split() == sorted(name for name, one in adapters().items() if one.builds)
    assert "\ngcp:\nerror app.py:" in out
    assert main(["plan", "--from", "aws", "--to", "gcp", "--project", root]) == 1
    out = capsys.readouterr().out
    assert "shop from AWS Lambda to Google Cloud" in out
    assert "\ngcp cannot give:\n  error app.py:" in out
    assert max(map(len, out.splitlines())) < 80
    assert main(["plan", "--from", "local", "--to", "local", "--project", root]) == 2
    assert "--from and --to are both local" in capsys.readouterr().err
    assert main(["check", "--project", root]) == 2
    assert "say --target TARGET, or --all" in capsys.readouterr().err
