"""What a build for a container writes, what it refuses, and that what it wrote answers as this machine does."""

from __future__ import annotations

import runpy
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from portable.app import App
from portable.build.artifact import FindingsError, Wanted, build
from portable.build.project import find_project
from portable.errors import ConfigError
from portable.events import SocketEvent
from portable.manifest import describe_app
from portable.plugins import adapter
from portable.run.parts import Found
from portable.run.verify import verify
from portable_container.build import PUSHED, ContainerTarget
from portable_container.pushed import KINDS
from portable_container.runtime import PLATFORMS

FIDELITY = Path(__file__).parents[2] / "run" / "fidelity"
APP = """
from portable import App, BlobEvent, Change, Message, SocketEvent, StreamRecord, Tick
app = App("shop")
jobs = app.queue("jobs", dict)
uploads = app.bucket("uploads")
users = app.table("users", dict, key="id")
clicks = app.stream("clicks", dict)

@app.get("/")
def home() -> str: return ""
"""
MORE = {
    "below": '@app.get("/-/mine")\ndef mine() -> str: return ""\n',
    "stream": "@app.on_stream(clicks)\ndef click(record: StreamRecord[dict]) -> None: ...\n",
    "blob": "@app.on_blob(uploads)\ndef shrink(event: BlobEvent) -> None: ...\n",
    "change": "@app.on_change(users)\ndef audit(change: Change[dict]) -> None: ...\n",
    "socket": '@app.websocket("/chat")\ndef chat(event: SocketEvent) -> None: ...\n',
    "auth": '@app.get("/inside", auth="cloud")\ndef inside() -> str: return ""\n',
    "message": "@app.on_message(jobs)\ndef work(message: Message[dict]) -> None: ...\n",
}


def project(folder: Path, more: str, settings: str = ""):
    text = APP if "clicks" in more else APP.replace('clicks = app.stream("clicks", dict)\n', "")
    (folder / "app.py").write_text(text + more)
    (folder / "pyproject.toml").write_text(f'[project]\nname = "shop"\nversion = "1"\n{settings}')
    return find_project(folder)


def built(folder: Path, more: str, settings: str = "") -> Path:
    return build(project(folder, more, settings), adapter("container").build, Wanted(for_here=True)).folder


def on(platform: str, more: str = "") -> str:
    return f'[tool.portable.container]\nplatform = "{platform}"\n{more}'


@pytest.mark.parametrize(
    ("what", "platform", "line", "said"),
    [
        ("below", "local", 11, "/-/mine is never reached"),
        ("stream", "azure", 12, "stream clicks: nothing on azure reads a stream"),
        ("blob", "nats", 11, "nothing on nats sends a container the events of bucket uploads"),
        ("change", "azure", 11, "nothing on azure sends a container the events of table users"),
        ("socket", "aws", 11, "cannot be sent to from elsewhere on aws"),
        ("auth", "aws", 11, "auth='cloud' is checked by what stands before a container"),
    ],
)
def test_what_has_no_source_is_refused(tmp_path: Path, what: str, platform: str, line: int, said: str) -> None:
    with pytest.raises(FindingsError) as raised:
        built(tmp_path, MORE[what], on(platform))
    [error] = [one for one in raised.value.findings if one.severity == "error"]
    assert said in error.message
    assert error.where.startswith("app.py:")
    assert abs(int(error.where.partition(":")[2]) - line) <= 1
    assert error.way_out


def test_who_posts_events_can_be_somebody_else(tmp_path: Path) -> None:
    folder = built(tmp_path, MORE["blob"], on("nats", 'pushed = ["blob"]\n'))
    entry = runpy.run_path(str(folder / "bundle" / "portable_entry.py"))
    assert entry["FUNCTIONS"]["shrink"] == {"kind": "blob", "source": "push", "modules": (), "timeout": None}
    assert (folder / "bundle" / "portable_nats").is_dir()
    assert not (folder / "bundle" / "portable_local").exists()
    assert (folder / "bundle" / "nats").is_dir()


def test_who_holds_websockets_can_be_somebody_else(tmp_path: Path) -> None:
    app = App("shop")

    @app.websocket("/chat")
    def chat(event: SocketEvent) -> None: ...

    manifest = describe_app(app, "app:app", tmp_path)
    for platform in ("aws", "azure"):
        target, settings = ContainerTarget(platform), {"platform": platform, "pushed": ["socket"]}
        assert [one.message for one in target.check(manifest, settings)] == []
        [bundle] = target.bundles(manifest, settings)
        assert bundle.sources["chat"] == "push"


def test_settings_that_are_none_are_named(tmp_path: Path) -> None:
    for settings, said in (
        (on("mars"), "platform is one of local, aws, gcp, azure, nats, got 'mars'"),
        (on("aws", 'pushed = ["queue"]\n'), "pushed = "),
        (on("local", "[tool.portable.container.lambda]\nhttp = 'alb'\n"), "for platform = 'aws' alone"),
        (on("aws", "[tool.portable.container.lambda]\nhttp = 'carrier-pigeon'\n"), "no such event source"),
        (on("aws", "speed = 9\n"), "has no setting 'speed'"),
    ):
        with pytest.raises((ConfigError, FindingsError), match=said):
            built(tmp_path, MORE["message"], settings)


@pytest.mark.slow
def test_a_bundle_for_aws_names_its_sources_on_lambda(tmp_path: Path) -> None:
    folder = built(tmp_path, MORE["message"], on("aws", "[tool.portable.container.lambda]\nhttp = 'function-url'\n"))
    functions = runpy.run_path(str(folder / "bundle" / "portable_entry.py"))["FUNCTIONS"]
    assert (functions["http"]["lambda"], functions["work"]["lambda"]) == ("function-url", "sqs")
    assert (folder / "bundle" / "botocore" / "data" / "sqs").is_dir()
    assert not (folder / "bundle" / "botocore" / "data" / "ec2").exists()


def test_every_platform_is_known_everywhere() -> None:
    assert set(PUSHED) == set(PLATFORMS)
    assert set(KINDS) <= set(PLATFORMS)
    for platform in PLATFORMS:
        target = ContainerTarget(platform)
        assert target.capabilities["queue"]
        assert target.adapter_packages == ("portable_container", f"portable_{platform}")


PLATFORM_PARTS = {
    "local": (),
    "aws": ("moto",),
    "gcp": adapter("gcp").run.emulators,
    "azure": adapter("azure").run.emulators,
}


@pytest.mark.slow
@pytest.mark.parametrize("platform", PLATFORM_PARTS)
def test_it_answers_as_this_machine_does(platform: str, tmp_path: Path, require_part: Callable[..., Found]) -> None:
    """The same traffic to a built container, with the drivers of each platform on its emulators."""
    for part in PLATFORM_PARTS[platform]:
        require_part(part)
    folder = tmp_path / "project"
    shutil.copytree(FIDELITY, folder, ignore=shutil.ignore_patterns(".portable", "dist", "__pycache__"))
    with (folder / "pyproject.toml").open("a") as file:
        file.write(f"\n{on(platform)}")
    report = verify(find_project(folder), ["local", "container"])
    assert report.status == 0, report.text()
    assert report.steps > 90


TRAFFIC_APP = """
from portable import App, Message, Reject
app = App("shop")
jobs = app.queue("jobs", dict, max_attempts=2)
news = app.topic("news", dict)
users = app.table("users", dict, key="id")
uploads = app.bucket("uploads")

@app.post("/jobs/{name}")
def send(name: str) -> None:
    jobs.send({"name": name})
    news.publish({"name": name})

@app.on_message(jobs)
def work(message: Message[dict]) -> None:
    name = message.body["name"]
    if name == "bad":
        raise Reject("bad")
    users.put({"id": name})

@app.on_message(news)
async def hear(message: Message[dict]) -> None:
    await uploads.awrite(message.body["name"], b"heard")
"""


@pytest.mark.slow
def test_on_nats_it_answers_as_this_machine_does(tmp_path: Path, require_part: Callable[..., Found]) -> None:
    require_part("nats-server")
    (tmp_path / "app.py").write_text(TRAFFIC_APP)
    (tmp_path / "pyproject.toml").write_text(f'[project]\nname = "shop"\nversion = "1"\n{on("nats")}')
    report = verify(find_project(tmp_path), ["local", "container"])
    assert report.status == 0, report.text()
    assert report.steps > 10
