"""Registries that break off, refuse, lie and send too much; bases that are no images."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import msgspec
import pytest

from portable.build.artifact import Wanted, build
from portable.build.image import session
from portable.build.image.base import open_base
from portable.build.image.plan import ImageWanted
from portable.build.image.reference import parse_reference
from portable.build.image.registry import Registry
from portable.build.image.store import LARGEST_DOCUMENT
from portable.build.image.write import Image, push_image
from portable.build.project import Project
from portable.errors import BuildError, ConfigError
from portable_aws.build import TARGET as AWS

from .conftest import APP, Layout, digest, write_base

Make = Callable[..., Project]
OCI = "application/vnd.oci.image"


@pytest.fixture(autouse=True)
def quick(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is logged in, and no wait between two tries is long."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("DOCKER_CONFIG", raising=False)
    monkeypatch.setattr(session, "_FIRST_WAIT", 0.001)
    monkeypatch.setattr(session, "_LONGEST_WAIT", 0.01)


class FakeRegistry:
    """The registry's protocol in memory, with faults.

    ``faults``: by method and a pattern of the path, what its answers are instead, one after the other: a status with
    headers, or a number of bytes after which the connection ends. ``taken``: bytes of each blob that came.
    """

    def __init__(self) -> None:
        self.blobs: dict[str, bytes] = {}
        self.manifests: dict[str, tuple[str, bytes]] = {}
        self.faults: dict[tuple[str, str], list[Any]] = {}
        self.asked: list[tuple[str, str]] = []
        self.headers: list[Mapping[str, str]] = []
        self.taken: list[int] = []

    def fault(self, method: str, path: str) -> Any:
        for (asked, pattern), answers in self.faults.items():
            if asked == method and answers and re.search(pattern, path):
                return answers.pop(0)
        return None


def handler_of(held: FakeRegistry) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _do(self) -> None:
            held.asked.append((self.command, self.path))
            held.headers.append(dict(self.headers))
            fault = held.fault(self.command, self.path)
            if isinstance(fault, int):
                self._break_off(fault)
                return
            length = int(self.headers.get("Content-Length") or 0)
            body = self.rfile.read(length)
            if fault is not None:
                status, headers, data = fault
                self._answer(status, data, **headers)
                return
            self._serve(body)

        def _break_off(self, count: int) -> None:
            self.close_connection = True
            if self.command == "PUT":
                self.rfile.read(min(count, int(self.headers["Content-Length"])))
            else:
                data = held.blobs[self.path.rpartition("/")[2]]
                self.send_response(200)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data[:count])

        def _serve(self, body: bytes) -> None:
            name = self.path.rpartition("/")[2]
            if self.path == "/v2/":
                self._answer(200)
            elif "/manifests/" in self.path and self.command == "PUT":
                held.manifests[name] = held.manifests[digest(body)] = (self.headers["Content-Type"], body)
                self._answer(201)
            elif "/manifests/" in self.path:
                kind, data = held.manifests.get(name, ("", b""))
                self._answer(200 if kind else 404, data, **{"Content-Type": kind})
            elif self.command == "POST":
                self._answer(202, Location="/v2/x/blobs/uploads/1")
            elif self.command == "PUT":
                held.taken.append(len(body))
                held.blobs[digest(body)] = body
                self._answer(201)
            elif name not in held.blobs:
                self._answer(404)
            elif first := self.headers.get("Range"):
                self._answer(206, held.blobs[name][int(first.removeprefix("bytes=").rstrip("-")) :])
            else:
                self._answer(200, held.blobs[name])

        def _answer(self, status: int, data: bytes = b"", **headers: str) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), value)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(data)

        def log_message(self, format: str, *arguments: Any) -> None:
            pass

    return type("Handler", (Handler,), {f"do_{method}": Handler._do for method in ("GET", "HEAD", "POST", "PUT")})


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Who has gone does not hear the rest."""


@contextmanager
def serving(held: FakeRegistry) -> Iterator[str]:
    server = _Server(("127.0.0.1", 0), handler_of(held))
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def held() -> FakeRegistry:
    return FakeRegistry()


@pytest.fixture
def host(held: FakeRegistry) -> Iterator[str]:
    with serving(held) as name:
        yield name


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    """An image of four blobs, the largest of 300 kB."""
    folder = tmp_path_factory.mktemp("image")
    root = folder / "shop"
    root.mkdir()
    (root / "app.py").write_text(APP)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        from portable.build.project import find_project

        found = build(find_project(root), AWS, Wanted(oci=ImageWanted(str(write_base(folder / "base"))))).image
    assert found is not None
    return found


def sizes(image: Image) -> list[int]:
    top = Layout(image.folder).top
    return [one["size"] for one in (*top["layers"], top["config"])]


def test_a_push_that_breaks_off_is_begun_anew(image: Image, held: FakeRegistry, host: str) -> None:
    held.faults["PUT", "/blobs/uploads/"] = [None, 100_000, (503, {}, b""), (416, {}, b"")]
    pushed = push_image(image, f"{host}/x:1")
    assert sorted(held.taken) == sorted(sizes(image))
    assert pushed.sent == sum(held.taken)
    assert held.manifests["1"][1] == Layout(image.folder).blob(image.digest)
    assert [method for method, path in held.asked if "uploads" in path].count("POST") == len(held.taken) + 3


def test_a_push_that_was_ended_goes_on_with_what_is_missing(image: Image, held: FakeRegistry, host: str) -> None:
    second = sizes(image)[1]
    held.faults["PUT", "/blobs/uploads/"] = [None, *[10] * session.TRIES]
    with pytest.raises(BuildError, match=rf"{host}/x:1: sha256:\w+ broke off: "):
        push_image(image, f"{host}/x:1")
    assert held.manifests == {}
    assert held.taken == sizes(image)[:1]
    pushed = push_image(image, f"{host}/x:1")
    assert held.taken == sizes(image)
    assert pushed.sent == sum(sizes(image)[1:]) >= second
    assert pushed.skipped == sizes(image)[0]
    asked = len(held.taken)
    assert push_image(image, f"{host}/x:2").sent == 0
    assert len(held.taken) == asked


def test_a_layer_that_is_not_taken_over_is_sent(image: Image, held: FakeRegistry, host: str) -> None:
    near = msgspec.structs.replace(image, base=parse_reference(f"{host}/bases/python:3"))
    push_image(near, f"{host}/x:1")
    [base, *_] = Layout(image.folder).top["layers"]
    asked = [unquote(path) for method, path in held.asked if method == "POST"]
    assert asked == [f"/v2/x/blobs/uploads/?mount={base['digest']}&from=bases/python", *["/v2/x/blobs/uploads/"] * 3]
    assert held.taken == sizes(image)


def test_a_base_by_its_digest_is_asked_for_by_it(held: FakeRegistry, host: str, tmp_path: Path) -> None:
    """The tag beside it is for the reader, and may have moved."""
    folder = write_base(tmp_path / "base")
    found = Layout(folder)
    for file in (folder / "blobs" / "sha256").iterdir():
        held.blobs[f"sha256:{file.name}"] = file.read_bytes()
    name = found.index["manifests"][0]["digest"]
    held.manifests[name] = (f"{OCI}.manifest.v1+json", found.blob(name))
    base = open_base(f"{host}/x:moved@{name}", ["x86_64"], "3.13", tmp_path / "memory.json")
    assert base.digest == name
    assert not (tmp_path / "memory.json").exists()
    assert [path for _, path in held.asked if "manifests" in path] == [f"/v2/x/manifests/{name}"]


def test_a_push_asks_once_for_what_the_tag_has(image: Image, held: FakeRegistry, host: str) -> None:
    push_image(image, f"{host}/x:1")
    taken, asked = len(held.taken), len(held.asked)
    assert push_image(image, f"{host}/x:1").skipped == sum(sizes(image))
    assert held.asked[asked:] == [("GET", "/v2/"), ("GET", "/v2/x/manifests/1")]
    # A registry that has lost what a manifest names: it says so, and is asked for each.
    lost = Layout(image.folder).top["layers"][1]["digest"]
    kind, data = held.manifests["1"]
    held.manifests["1"] = (kind, data.replace(b'"schemaVersion":2', b'"schemaVersion": 2'))
    del held.blobs[lost]
    held.faults["PUT", "/manifests/"] = [(404, {}, b'{"errors": [{"code": "MANIFEST_BLOB_UNKNOWN"}]}')]
    assert push_image(image, f"{host}/x:1").sent == sizes(image)[1]
    assert held.taken[taken:] == [sizes(image)[1]]
    assert held.manifests["1"] == (kind, data)
    for nonsense in (
        b"{",
        b"[]",
        b'{"manifests": 3}',
        b'{"layers": [{}]}',
        b'{"manifests": [{"digest": "x", "size": 1}]}',
    ):
        held.manifests["1"] = (kind, nonsense)
        assert push_image(image, f"{host}/x:1").sent == 0
        assert held.manifests["1"] == (kind, data)


@pytest.mark.parametrize(
    ("method", "path", "answer", "message"),
    [
        ("POST", "uploads", (401, {}, b'{"errors": [{"message": "who are you"}]}'), "lets nobody write .*who are you"),
        ("POST", "uploads", (403, {}, b"<html>"), "lets nobody write .*Forbidden.*docker login 127"),
        ("POST", "uploads", (404, {}, b'{"errors": [{"code": "NAME_UNKNOWN"}]}'), "NAME_UNKNOWN; make the repository"),
        ("POST", "uploads", (429, {"Retry_After": "86400"}, b""), r"says 429: .*; it was asked 4 times: try again"),
        ("PUT", "uploads", (500, {}, b"\xff"), r"says 500: .*; it was asked 4 times"),
        ("PUT", "uploads", (400, {}, b'{"errors": [{"message": "DIGEST_INVALID"}]}'), "says 400: DIGEST_INVALID$"),
        ("PUT", "manifests", (413, {}, b"[]"), "says 413: "),
        ("POST", "uploads", (202, {}, b""), "sends an upload to 'no place'"),
        ("POST", "uploads", (202, {"Location": "file:///etc/passwd"}, b""), "sends an upload to 'file:///etc/passwd'"),
        ("PUT", "manifests", (500, {}, b"x" * (LARGEST_DOCUMENT + 1)), "answers with more than 4194304 bytes"),
    ],
)
def test_what_a_registry_refuses_is_said_with_the_reference(
    method: str, path: str, answer: Any, message: str, image: Image, held: FakeRegistry, host: str
) -> None:
    held.faults[method, path] = [answer] * session.TRIES**2
    with pytest.raises(BuildError, match=message) as refused:
        push_image(image, f"{host}/x:1")
    assert f"{host}/x:1" in str(refused.value)


def test_a_login_that_cannot_be_read_is_named(image: Image, held: FakeRegistry, host: str, tmp_path: Path) -> None:
    (tmp_path / ".docker").mkdir()
    file = tmp_path / ".docker" / "config.json"
    wanted = (401, {"WWW_Authenticate": 'Basic realm="here"'}, b"{}")
    held.faults["GET", "/v2/$"] = [(200, wanted[1], b"")] * 9
    held.faults["POST", "uploads"] = [wanted] * 9
    for text in ("{", "[]", '{"auths": 3}'):
        file.write_text(text)
        with pytest.raises(ConfigError, match=rf"{host}/x:1: the login that `docker login` left cannot be read"):
            push_image(image, f"{host}/x:1")
    file.write_text(json.dumps({"credsStore": "nowhere-to-be-found"}))
    with pytest.raises(
        BuildError, match="docker-credential-nowhere-to-be-found, which keeps its login, is not on PATH"
    ):
        push_image(image, f"{host}/x:1")
    held.faults["GET", "/v2/$"] = [(401, {"WWW_Authenticate": "Negotiate"}, b"")]
    with pytest.raises(BuildError, match="asks for a login of a kind nobody knows: Negotiate"):
        push_image(image, f"{host}/x:1")


def test_the_login_is_dockers_and_no_other(
    image: Image, held: FakeRegistry, host: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither a .netrc's, nor that of the folder which DOCKER_CONFIG takes the place of."""
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login ann password netrc\n")
    (tmp_path / ".netrc").chmod(0o600)
    for folder, password in ((".docker", "home"), ("chosen", "chosen")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "config.json").write_text(json.dumps({"auths": {host: {"auth": password}}}))
    held.faults["GET", "/v2/$"] = [(401, {"WWW_Authenticate": 'Basic realm="here"'}, b"")] * 2
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "chosen"))
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    push_image(image, f"{host}/x:1")
    assert {said.get("Authorization") for said in held.headers[1:]} == {"Basic chosen"}
    assert "Authorization" not in held.headers[0]


def test_a_blob_that_breaks_off_on_its_way_down_goes_on(held: FakeRegistry, host: str) -> None:
    data = bytes(range(256)) * 4096 * 3
    name = digest(data)
    held.blobs[name] = data
    registry = Registry(parse_reference(f"{host}/x:1"))
    held.faults["GET", "/blobs/"] = [2_000_000, 10]
    assert b"".join(registry.blob(name)) == data
    ranges = [said["Range"] for said in held.headers if "Range" in said]
    assert ranges
    assert all(said["Accept-Encoding"] == "identity" for said in held.headers[1:])
    held.faults["GET", "/blobs/"] = [10] * session.TRIES
    with pytest.raises(BuildError, match=rf"{name} broke off"):
        list(registry.blob(name))


def test_more_than_was_said_is_not_taken(held: FakeRegistry, host: str, cache: Path, tmp_path: Path) -> None:
    """A layer, a manifest and a configuration without an end."""
    folder = write_base(tmp_path / "base")
    found = Layout(folder)
    kind = f"{OCI}.manifest.v1+json"
    held.manifests["1"] = (kind, found.blob(found.index["manifests"][0]["digest"]))
    for file in (folder / "blobs" / "sha256").iterdir():
        held.blobs[f"sha256:{file.name}"] = file.read_bytes()
    [layer] = found.top["layers"]
    held.blobs[layer["digest"]] += bytes(1000)
    base = open_base(f"{host}/x:1", ["x86_64"], "3.13", tmp_path / "memory.json")
    with pytest.raises(BuildError, match=rf"is longer than the {layer['size']} bytes it is said to have"):
        base.blob(base.images["x86_64"].layers[0])
    held.blobs[layer["digest"]] = bytes(layer["size"])
    with pytest.raises(BuildError, match="is not what it says it is"):
        base.blob(base.images["x86_64"].layers[0])
    assert not list(cache.rglob(layer["digest"].removeprefix("sha256:")))

    held.manifests["huge"] = (kind, b" " * (LARGEST_DOCUMENT + 1))
    with pytest.raises(BuildError, match=rf"{host}/x:huge: the registry answers with more than"):
        open_base(f"{host}/x:huge", ["x86_64"], "3.13", tmp_path / "memory.json")


def rewritten(folder: Path, change: Callable[[dict[str, Any]], object], part: str = "manifest") -> Path:
    """A base with its manifest or its configuration changed, and everything that names it."""
    blobs = folder / "blobs" / "sha256"
    layout = Layout(folder)

    def put(document: Any) -> dict[str, Any]:
        data = json.dumps(document).encode()
        (blobs / hashlib.sha256(data).hexdigest()).write_bytes(data)
        return {"digest": digest(data), "size": len(data)}

    manifest, index = layout.top, layout.index
    if part == "config":
        config = layout.config()
        change(config)
        manifest["config"] |= put(config)
    elif part == "manifest":
        change(manifest)
    index["manifests"][0] |= put(manifest)
    if part == "index":
        change(index)
    (folder / "index.json").write_text(json.dumps(index))
    return folder


FOREIGN = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"


@pytest.mark.parametrize(
    ("part", "change", "message"),
    [
        (
            "manifest",
            lambda one: one["layers"][0].update(mediaType=FOREIGN),
            f"a layer that is not to be had.*{FOREIGN}",
        ),
        (
            "manifest",
            lambda one: one["config"].update(mediaType="application/vnd.cncf.helm.config.v1+json"),
            "no image, b",
        ),
        ("manifest", lambda one: one["config"].update(size=1 << 40), "is no image, but .* 1099511627776 bytes"),
        ("manifest", lambda one: one["layers"].clear(), "is broken: it has 0 layers, and a configuration of 1"),
        ("manifest", lambda one: one["layers"][0].update(size=-1), r"cannot be read: Expected `int` >= 0"),
        ("manifest", lambda one: one.update(layers={}), r"cannot be read: Expected `array`"),
        ("manifest", lambda one: one.pop("config"), "cannot be read: .*missing required field `config`"),
        ("config", lambda one: one.update(config={"Env": "PATH=/"}), r"cannot be read: Expected `array \| null`"),
        ("config", lambda one: one.pop("rootfs"), "missing required field `rootfs`"),
        ("index", lambda one: one.update(manifests=[{}]), "cannot be read: .*missing required field `digest`"),
        ("index", lambda one: one.clear(), "cannot be read: .*missing required field `manifests`"),
    ],
)
def test_a_base_that_is_no_image_is_refused(
    part: str, change: Callable[[dict[str, Any]], object], message: str, base: Path
) -> None:
    rewritten(base, change, part)
    with pytest.raises((BuildError, ConfigError), match=message):
        open_base(str(base), ["x86_64"], "3.13", base / "memory.json")


def test_a_layer_by_zstd_is_taken_as_it_is(make_project: Make, base: Path) -> None:
    """Nobody looks into it, so what it holds does not matter here."""
    kind = f"{OCI}.layer.v1.tar+zstd"
    rewritten(base, lambda one: one["layers"][0].update(mediaType=kind))
    built = build(make_project({"app.py": APP}), AWS, Wanted(oci=ImageWanted(str(base))))
    assert built.image is not None
    found = Layout(built.image.folder)
    assert found.top["layers"][0] == Layout(base).top["layers"][0]
    assert found.top["layers"][0]["mediaType"] == kind
    assert found.blob(found.top["layers"][0]["digest"])


def test_a_layout_leads_nowhere_else(base: Path, tmp_path: Path) -> None:
    """What a link in it leads to is not what the digest is of."""
    secret = tmp_path / "secret"
    secret.write_text("s3cret")
    found = open_base(str(base), ["x86_64"], "3.13", base / "memory.json")
    [layer] = found.images["x86_64"].layers
    file = base / "blobs" / "sha256" / layer["digest"].removeprefix("sha256:")
    file.unlink()
    file.symlink_to(secret)
    with pytest.raises(BuildError, match="is not what it says it is"):
        found.blob(layer)
