from __future__ import annotations

import gzip
import hashlib
import json
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from portable.run.parts import Found, parts_directory
from portable.run.processes import answers, free_port, running
from portable.run.python_image import write_python_image

APP = """
from portable import App

app = App("shop")


@app.get("/hello/{name}")
def hello(name: str) -> dict[str, str]:
    return {"hello": name}
"""


def digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


class Layout:
    """An OCI layout, read."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.index: dict[str, Any] = json.loads((folder / "index.json").read_bytes())

    def blob(self, name: str) -> bytes:
        data = (self.folder / "blobs" / "sha256" / name.removeprefix("sha256:")).read_bytes()
        assert digest(data) == name
        return data

    def document(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.blob(name))
        return found

    @property
    def top(self) -> dict[str, Any]:
        [one] = self.index["manifests"]
        return self.document(one["digest"])

    def config(self, manifest: dict[str, Any] | None = None) -> dict[str, Any]:
        return self.document((manifest or self.top)["config"]["digest"])


def write_base(
    folder: Path,
    architectures: tuple[str, ...] = ("amd64",),
    *,
    layers: str = "application/vnd.docker.image.rootfs.diff.tar.gzip",
    **config: Any,
) -> Path:
    """A layout with a layer of nothing but an empty tar, for each architecture; as fast to make as a base can be."""
    blobs = folder / "blobs" / "sha256"
    blobs.mkdir(parents=True)

    def put(data: bytes) -> dict[str, Any]:
        (blobs / digest(data).removeprefix("sha256:")).write_bytes(data)
        return {"digest": digest(data), "size": len(data)}

    manifests = []
    for architecture in architectures:
        tar = b"\0" * 10240 + architecture.encode().ljust(512, b"\0")
        layer = put(gzip.compress(tar, mtime=0))
        said = {
            "architecture": architecture,
            "os": "linux",
            "config": {"Env": ["PATH=/usr/local/bin:/usr/bin:/bin"], **config},
            "rootfs": {"type": "layers", "diff_ids": [digest(tar)]},
            "history": [{"created_by": "a test"}, {"created_by": "ENV", "empty_layer": True}],
        }
        kind = "application/vnd.oci.image"
        manifest = {
            "schemaVersion": 2,
            "mediaType": f"{kind}.manifest.v1+json",
            "config": {"mediaType": f"{kind}.config.v1+json", **put(json.dumps(said).encode())},
            "layers": [{"mediaType": layers, **layer}],
        }
        platform = {"platform": {"architecture": architecture, "os": "linux"}}
        manifests.append({"mediaType": f"{kind}.manifest.v1+json", **put(json.dumps(manifest).encode()), **platform})
    top = manifests[0]
    if len(manifests) > 1:
        index = {"schemaVersion": 2, "mediaType": f"{kind}.index.v1+json", "manifests": manifests}
        top = {"mediaType": f"{kind}.index.v1+json", **put(json.dumps(index).encode())}
    (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    named = {"annotations": {"org.opencontainers.image.ref.name": "latest"}}
    (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [{**top, **named}]}))
    return folder


PARTS = str(parts_directory())


@pytest.fixture(autouse=True)
def installed_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where parts are, whatever cache a test has."""
    monkeypatch.setenv("PORTABLE_PARTS", PARTS)


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return write_base(tmp_path / "base")


@pytest.fixture(scope="session")
def python_base(require_part: Callable[..., Found], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A layout with a Python that runs."""
    require_part("python", "3.13")
    return write_python_image(tmp_path_factory.mktemp("python") / "base", "3.13")


class LocalRegistry:
    """A registry on loopback, and what it was asked."""

    def __init__(self, port: int, log: Path) -> None:
        self.name = f"127.0.0.1:{port}"
        self._log = log

    def asked(self) -> list[tuple[str, str, int]]:
        """Method, path and status of each request so far."""
        lines = re.findall(r'"([A-Z]+) (\S+) HTTP/1.1" (\d+)', self._log.read_text())
        return [(method, path.partition("?_state")[0], int(status)) for method, path, status in lines]

    def sent(self, since: int = 0) -> list[int]:
        """How many blobs it was given, as the sizes it keeps would say."""
        return [
            status for method, path, status in self.asked()[since:] if method == "PUT" and "/blobs/uploads/" in path
        ]


@pytest.fixture
def start_registry(require_part: Callable[..., Found], tmp_path: Path) -> Iterator[Callable[..., LocalRegistry]]:
    """``start_registry(more="")``: a registry of this test's own, with more lines in its configuration."""
    from contextlib import ExitStack

    program = require_part("docker-registry").path
    with ExitStack() as stack:

        def start(more: str = "", expect: str = "/v2/") -> LocalRegistry:
            port = free_port()
            folder = tmp_path / f"registry-{port}"
            folder.mkdir()
            (folder / "config.yml").write_text(
                "version: 0.1\nlog: {accesslog: {disabled: false}, level: info}\n"
                f"storage: {{filesystem: {{rootdirectory: {folder}/data}}}}\n"
                f"http: {{addr: 127.0.0.1:{port}}}\n{more}"
            )
            log = folder / "log"
            stack.enter_context(
                running(
                    "docker-registry",
                    [program, "serve", folder / "config.yml"],
                    ready=lambda _: answers(port, expect),
                    log=log,
                )
            )
            return LocalRegistry(port, log)

        yield start


@pytest.fixture
def registry(start_registry: Callable[..., LocalRegistry]) -> LocalRegistry:
    return start_registry()


def copy_image(skopeo: Path, layout: Path, reference: str) -> None:
    """Put a layout's image into a registry, by another program than ours."""
    command = [skopeo, "copy", "--all", "--quiet", "--dest-tls-verify=false", f"oci:{layout}", f"docker://{reference}"]
    subprocess.run(command, check=True, capture_output=True)
