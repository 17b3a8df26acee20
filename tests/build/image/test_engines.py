"""Images under what runs them: Docker, Podman, the emulator of Lambda; and Dockerfiles under what builds them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tarfile
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from portable.build.artifact import Built, Wanted, build
from portable.build.image.plan import ImageWanted
from portable.build.image.write import push_image
from portable.build.project import Project
from portable.plugins import adapters
from portable.run.debian_image import write_debian_image
from portable.run.parts import Found
from portable.run.processes import Running, accepts, answers, free_port, running

from .conftest import APP, LocalRegistry, copy_image, write_base

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

Make = Callable[..., Project]
NAMES = ("with $dollar.txt", "[a] *?.txt", "é 'b' \"c\".txt", "shop/$x 'y'.txt")
ODD = {name: name for name in NAMES}
HERE = (
    "\n\n@app.get('/here')\ndef here() -> dict[str, object]:\n    import os\n\n"
    "    def writes(folder: str) -> bool:\n"
    "        try:\n            open(f'{folder}/probe', 'w').close()\n            return True\n"
    "        except OSError:\n            return False\n\n"
    "    return {'user': os.getuid(), 'app': writes('/app'), 'tmp': writes('/tmp')}\n"
)


class Engine:
    """A program that runs images, told where it keeps them."""

    def __init__(self, command: Sequence[str | Path], environment: Mapping[str, str]) -> None:
        self._command = [str(word) for word in command]
        self._environment = {**os.environ, **environment}

    def __call__(self, *words: str | Path) -> str:
        done = subprocess.run(
            [*self._command, *map(str, words)], env=self._environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout.strip()

    @contextmanager
    def container(self, *words: str | Path, port: int, path: str = "") -> Iterator[Running]:
        """A container in the network of this machine, from its first answer on; or as soon as it listens."""
        name = f"portable-test-{port}"
        options = ["run", "--rm", f"--name={name}", "--network=host", "--read-only", "--tmpfs=/tmp"]
        try:
            with running(
                "container",
                [*self._command, *options, *words],
                environment=self._environment,
                ready=lambda _: answers(port, path) if path else accepts(port),
                timeout=90,
            ) as one:
                try:
                    yield one
                finally:
                    self("stop", "--time=3", name)
                    # The client ends after its container, and says so to nobody if it is ended before.
                    limit = time.monotonic() + 20
                    while one.alive and time.monotonic() < limit:
                        time.sleep(0.05)
        finally:
            subprocess.run(
                [*self._command, "rm", "--force", name], env=self._environment, capture_output=True, check=False
            )


@contextmanager
def scratch() -> Iterator[Path]:
    """A folder in which an engine mounts what it likes. Not pytest's, which would remove it before it is unmounted."""
    folder = Path(tempfile.mkdtemp(prefix="portable-engine-"))
    try:
        yield folder
    finally:
        places = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
        for place in sorted((one for one in places if one.startswith(f"{folder}/")), reverse=True):
            subprocess.run(["umount", "--lazy", place], capture_output=True, check=False)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def docker(require_part: Callable[..., Found]) -> Iterator[Engine]:
    """A daemon of this module's own, without a network of its own."""
    with scratch() as folder, _daemon(require_part("docker").path, folder) as engine:
        yield engine


@contextmanager
def _daemon(daemon: Path, folder: Path) -> Iterator[Engine]:
    socket = f"unix://{folder}/socket"
    command = [daemon, "-H", socket, "--data-root", folder / "data", "--exec-root", folder / "exec"]
    command += ["-p", folder / "pid", "--bridge=none", "--iptables=false", "--ip-masq=false"]
    engine = Engine(["docker", "-H", socket], {"DOCKER_BUILDKIT": "0"})

    def ready(_: Running) -> bool:
        asked = ["docker", "-H", socket, "version"]
        return subprocess.run(asked, capture_output=True, check=False).returncode == 0

    with running("dockerd", command, ready=ready, timeout=60):
        yield engine


@pytest.fixture(scope="module")
def podman(require_part: Callable[..., Found]) -> Iterator[Engine]:
    with scratch() as folder:
        yield _without_daemon(require_part("podman").path, folder)


@pytest.fixture(scope="module")
def buildah(require_part: Callable[..., Found]) -> Iterator[Engine]:
    with scratch() as folder:
        yield _without_daemon(require_part("buildah").path, folder)


def _without_daemon(program: Path, folder: Path) -> Engine:
    """What a container may use is more than this machine may give: the limits are said."""
    settings = folder / "containers.conf"
    settings.write_text(
        '[containers]\ndefault_ulimits=["nofile=20000:20000","nproc=4096:4096"]\n'
        '[engine]\nruntime="runc"\ncgroup_manager="cgroupfs"\nevents_logger="file"\n'
    )
    places = [f"--root={folder}/root", f"--runroot={folder}/run", "--storage-driver=vfs"]
    return Engine([program, *places], {"CONTAINERS_CONF": str(settings)})


def target(name: str) -> Any:
    return adapters()[name].build


def loaded(podman: Engine, image: Path, archive: Path) -> str:
    """Podman takes a layout as an archive; the name of the image."""
    with tarfile.open(archive, "w") as tar:
        tar.add(image, ".")
    podman("load", "--quiet", "--input", archive)
    return podman("images", "--quiet", "--no-trunc").splitlines()[0]


def get(port: int, path: str) -> Any:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=30) as answer:
        return json.loads(answer.read())


def pushed(project: Project, name: str, base: str, registry: LocalRegistry) -> tuple[Built, str]:
    to = f"{registry.name}/{name}:1"
    built = build(project, target(name), Wanted(oci=ImageWanted(base, to)))
    assert built.image is not None
    return built, push_image(built.image, to).reference


def test_docker_runs_what_is_pushed(
    make_project: Make, docker: Engine, python_base: Path, registry: LocalRegistry
) -> None:
    built, reference = pushed(make_project({"app.py": APP + HERE}), "gcp", str(python_base), registry)
    docker("pull", "--quiet", reference)
    [said] = json.loads(docker("image", "inspect", reference))
    assert said["Config"]["User"] == "65532:65532"
    assert said["Config"]["Healthcheck"]["Test"][:2] == ["CMD", "python"]
    assert built.image is not None
    assert said["RepoDigests"] == [reference]
    port = free_port()
    with docker.container("--env", f"PORT={port}", reference, port=port, path="/hello/x"):
        assert get(port, "/hello/docker") == {"hello": "docker"}
        assert get(port, "/here") == {"user": 65532, "app": False, "tmp": True}
        name = f"portable-test-{port}"
        docker("exec", name, *said["Config"]["Healthcheck"]["Test"][1:])


def test_podman_runs_the_container_and_lambda_the_same_image(
    make_project: Make,
    podman: Engine,
    python_base: Path,
    tmp_path: Path,
    require_part: Callable[..., Found],
) -> None:
    emulator = require_part("aws-lambda-rie").path
    settings = '[project]\nname = "shop"\n[tool.portable.container]\nplatform = "aws"\n'
    project = make_project({"app.py": APP + HERE, "pyproject.toml": settings})
    built = build(project, target("container"), Wanted(oci=ImageWanted(str(python_base))))
    assert built.image is not None
    image = loaded(podman, built.image.folder, tmp_path / "image.tar")
    port = free_port()
    with podman.container("--env", f"PORT={port}", image, port=port, path="/-/ready"):
        assert get(port, "/hello/podman") == {"hello": "podman"}
        assert get(port, "/here") == {"user": 65532, "app": False, "tmp": True}
    _on_lambda(podman, emulator, image, "http")


def test_lambda_runs_the_image_of_its_own_target(
    make_project: Make, docker: Engine, python_base: Path, registry: LocalRegistry, require_part: Callable[..., Found]
) -> None:
    emulator = require_part("aws-lambda-rie").path
    _, reference = pushed(make_project({"app.py": APP}), "aws", str(python_base), registry)
    docker("pull", "--quiet", reference)
    _on_lambda(docker, emulator, reference, "portable_entry.http")


def _on_lambda(engine: Engine, emulator: Path, image: str, command: str) -> None:
    """The emulator is put in as AWS says, before the image's own entry point, which it gets as its arguments."""
    [said] = json.loads(engine("image", "inspect", image))
    port, other = free_port(), free_port()
    addresses = ["--runtime-interface-emulator-address", f"127.0.0.1:{port}"]
    addresses += ["--runtime-api-address", f"127.0.0.1:{other}"]
    words = ["--volume", f"{emulator}:/emulator:ro", "--entrypoint=/emulator", image, *addresses]
    event = {
        "version": "2.0",
        "rawPath": "/hello/lambda",
        "rawQueryString": "",
        "headers": {"host": "x"},
        "requestContext": {"http": {"method": "GET", "path": "/hello/lambda", "sourceIp": "127.0.0.1"}},
        "isBase64Encoded": False,
    }
    with engine.container(*words, *said["Config"]["Entrypoint"], command, port=port):
        asked = urllib.request.Request(
            f"http://127.0.0.1:{port}/2015-03-31/functions/function/invocations", json.dumps(event).encode()
        )
        with urllib.request.urlopen(asked, timeout=60) as answer:
            given = json.loads(answer.read())
    assert given["statusCode"] == 200
    assert json.loads(given["body"]) == {"hello": "lambda"}


COMPILED = """
import markupsafe._speedups
import platform


@app.get("/machine")
def machine() -> dict[str, str]:
    kind = type(markupsafe._speedups._escape_inner).__name__
    return {"machine": platform.machine(), "escaped": str(markupsafe.escape("<a>")), "kind": kind}
"""


def test_qemu_runs_an_image_for_arm64(
    make_project: Make, podman: Engine, tmp_path: Path, require_part: Callable[..., Found]
) -> None:
    """All in the container is AArch64's but QEMU, which is told to run the interpreter: no kernel has to know it."""
    qemu = require_part("qemu-aarch64").path
    require_part("debian")
    base = write_debian_image(tmp_path / "base", "arm64")
    settings = '[project]\nname = "shop"\ndependencies = ["markupsafe==3.0.2"]\n[tool.portable]\npython = "3.11"\n'
    project = make_project({"app.py": APP + COMPILED, "pyproject.toml": settings})
    wanted = Wanted(arch="arm64", oci=ImageWanted(str(base), None, ["arm64"]))
    built = build(project, target("container"), wanted)
    assert built.image is not None
    image = loaded(podman, built.image.folder, tmp_path / "image.tar")
    [said] = json.loads(podman("image", "inspect", image))
    assert said["Architecture"] == "arm64"
    [interpreter, *arguments] = said["Config"]["Entrypoint"]
    assert interpreter == "python"
    port = free_port()
    words = ["--env", f"PORT={port}", "--volume", f"{qemu}:/qemu:ro", "--entrypoint=/qemu", image]
    with podman.container(*words, "/usr/bin/python", *arguments, port=port, path="/-/ready"):
        assert get(port, "/hello/arm") == {"hello": "arm"}
        compiled = {"escaped": "&lt;a&gt;", "kind": "builtin_function_or_method"}
        assert get(port, "/machine") == {"machine": "aarch64", **compiled}


@pytest.fixture
def odd_project(make_project: Make) -> Project:
    return make_project({"app.py": APP, "shop/data/[a] *.txt": "x", "run.sh": "#!/bin/sh\n", **ODD})


def tree(folder: Path) -> dict[str, tuple[int, int, bytes]]:
    """Mode, owner and content of each file below a folder."""
    return {
        path.relative_to(folder).as_posix(): (path.stat().st_mode & 0o777, path.stat().st_uid, path.read_bytes())
        for path in folder.rglob("*")
        if path.is_file()
    }


def tree_of(archive: Path) -> dict[str, tuple[int, int, bytes]]:
    with tarfile.open(archive) as tar:
        return {
            one.name.removeprefix("app/"): (one.mode & 0o777, one.uid, tar.extractfile(one).read())  # type: ignore[union-attr]
            for one in tar.getmembers()
            if one.isfile() and one.name.startswith("app/")
        }


@pytest.mark.parametrize("builder", ["docker", "buildah"])
def test_the_dockerfile_builds_the_same(
    builder: str,
    odd_project: Project,
    registry: LocalRegistry,
    tmp_path: Path,
    require_part: Callable[..., Found],
    request: pytest.FixtureRequest,
) -> None:
    engine: Engine = request.getfixturevalue(builder)
    below = f"{registry.name}/bases/python:3.13"
    base = write_base(tmp_path / "base", layers="application/vnd.oci.image.layer.v1.tar+gzip")  # nothing is started
    copy_image(require_part("skopeo").path, base, below)
    (odd_project.root / "run.sh").chmod(0o755)
    if builder == "buildah":  # which reads a pattern's matches as patterns once more, and then finds nothing
        (odd_project.root / "[a] *?.txt").unlink()
    built = build(odd_project, target("aws"), Wanted(oci=ImageWanted(below)))
    assert built.image is not None
    assert "[a] *?.txt" in tree(built.folder / "bundle") or builder == "buildah"
    if builder == "docker":
        engine("build", "--quiet", "--tag", "built", built.folder)
        made = engine("create", "built")
        engine("export", "--output", tmp_path / "built.tar", made)
        found = tree_of(tmp_path / "built.tar")
        [said] = json.loads(engine("image", "inspect", "built"))
        config = said["Config"]
        assert len(said["RootFS"]["Layers"]) == len(built.image.platforms["linux/amd64"]["layers"])
    else:
        engine(
            "build",
            "--quiet",
            "--isolation=chroot",
            "--format=docker",
            "--tls-verify=false",
            "--tag=built",
            built.folder,
        )
        engine("push", "--quiet", "built", f"docker-archive:{tmp_path}/archive.tar:built:latest")
        found, config = _from_archive(tmp_path / "archive.tar", tmp_path / "layers")
    assert found == {name: (mode, 0, data) for name, (mode, _, data) in tree(built.folder / "bundle").items()}
    ours = json.loads(
        subprocess.check_output([require_part("skopeo").path, "inspect", "--config", f"oci:{built.image.folder}"])
    )["config"]
    for key in ("Env", "User", "WorkingDir", "Entrypoint", "Cmd"):
        assert config[key] == ours[key], key
    wanted = {name: value for name, value in ours["Labels"].items() if ".base." not in name}
    assert wanted.items() <= config["Labels"].items()


def _from_archive(archive: Path, into: Path) -> tuple[dict[str, tuple[int, int, bytes]], dict[str, Any]]:
    found: dict[str, tuple[int, int, bytes]] = {}
    with tarfile.open(archive) as tar:
        tar.extractall(into, filter="data")
    [said] = json.loads((into / "manifest.json").read_bytes())
    for layer in said["Layers"]:
        found |= tree_of(into / layer)
    config: dict[str, Any] = json.loads((into / said["Config"]).read_bytes())["config"]
    return found, config
