"""Bases that are pulled and images that are pushed, with a real registry on loopback."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import repeat
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from portable.build.artifact import Built, Wanted, build
from portable.build.image import session
from portable.build.image.plan import ImageWanted
from portable.build.image.reference import parse_reference
from portable.build.image.registry import Registry
from portable.build.image.write import Pushed, push_image
from portable.build.project import Project
from portable.errors import BuildError
from portable.run.parts import Found
from portable.run.processes import free_port
from portable_aws.build import TARGET as AWS

from .conftest import APP, Layout, LocalRegistry, copy_image, write_base

Make = Callable[..., Project]
# "s3cret"; the registry takes bcrypt alone.
HTPASSWD = "ann:$2b$05$abcdefghijklmnopqrstuuLK7U1u6pVRmL7L1BBM2aS35PSZnDXlK\n"


@pytest.fixture(autouse=True)
def no_login(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home where nobody is logged in, and no long wait before what is asked again."""
    monkeypatch.setattr(session, "_FIRST_WAIT", 0.01)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    folder = tmp_path / "home" / ".docker"
    folder.mkdir(parents=True)
    monkeypatch.delenv("DOCKER_CONFIG", raising=False)
    return folder


@pytest.fixture
def project(make_project: Make) -> Project:
    return make_project({"app.py": APP})


def pushed(project: Project, base: str | Path, to: str) -> tuple[Built, Pushed]:
    built = build(project, AWS, Wanted(oci=ImageWanted(str(base), to)))
    assert built.image is not None
    return built, push_image(built.image, to)


def held(skopeo: Path, reference: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(
        subprocess.check_output([skopeo, "inspect", "--tls-verify=false", f"docker://{reference}"])
    )
    return found


def test_an_edit_sends_the_apps_layer_alone(
    project: Project, base: Path, registry: LocalRegistry, require_part: Callable[..., Found]
) -> None:
    name = f"{registry.name}/team/shop"
    built, first = pushed(project, base, f"{name}:1")
    assert built.image is not None
    assert first.reference == f"{name}@{built.image.digest}"
    assert held(require_part("skopeo").path, f"{name}:1")["Digest"] == built.image.digest
    assert first.skipped == 0
    assert registry.sent() == [201] * 4  # base, portable, app, configuration

    asked = len(registry.asked())
    (project.root / "app.py").write_text(APP.replace('"hello"', '"hi"'))
    built, second = pushed(project, base, f"{name}:1")
    [*_, app] = Layout(built.folder / "image").top["layers"]
    size = Layout(built.folder / "image").top["config"]["size"]
    assert registry.sent(asked) == [201] * 2  # app, configuration
    assert second.sent == app["size"] + size < 10_000
    assert held(require_part("skopeo").path, f"{name}:1")["Layers"][-1] == app["digest"]

    asked = len(registry.asked())
    assert pushed(project, base, f"{name}:1")[1].sent == 0
    assert registry.sent(asked) == []


def test_a_base_is_pulled_once_and_stays_what_it_was(
    project: Project, registry: LocalRegistry, tmp_path: Path, require_part: Callable[..., Found]
) -> None:
    skopeo = require_part("skopeo").path
    name = f"{registry.name}/bases/python:3"
    layout = write_base(tmp_path / "first", ("amd64", "arm64"))
    copy_image(skopeo, layout, name)
    wanted = ImageWanted(name)
    first = build(project, AWS, Wanted(oci=wanted)).image
    assert first is not None
    assert str(first.base) == name
    assert first.base_digest == Layout(layout).index["manifests"][0]["digest"]
    assert Layout(project.root / "dist" / "aws" / "image").top["annotations"] == {
        "org.opencontainers.image.title": "shop",
        "org.opencontainers.image.base.name": name,
        "org.opencontainers.image.base.digest": first.base_digest,
    }
    assert f"FROM {name}@{first.base_digest}\n" in (project.root / "dist" / "aws" / "Dockerfile").read_text()

    copy_image(skopeo, write_base(tmp_path / "second", User="x"), name)  # the tag moves
    asked = len(registry.asked())
    assert build(project, AWS, Wanted(oci=wanted)).is_unchanged
    build(project, AWS, Wanted(oci=ImageWanted(str(layout))))  # another base does not make it forget this one
    again = build(project, AWS, Wanted(oci=wanted)).image
    assert again is not None
    assert again.digest == first.digest
    assert len(registry.asked()) == asked
    renewed = build(project, AWS, Wanted(oci=wanted, upgrade=True)).image
    assert renewed is not None
    assert renewed.base_digest == Layout(tmp_path / "second").index["manifests"][0]["digest"]


def test_a_base_of_the_same_registry_is_taken_over(
    project: Project, base: Path, registry: LocalRegistry, require_part: Callable[..., Found]
) -> None:
    copy_image(require_part("skopeo").path, base, f"{registry.name}/bases/python:3")
    asked = len(registry.asked())
    pushed(project, f"{registry.name}/bases/python:3", f"{registry.name}/team/shop:1")
    posts = [(path, status) for method, path, status in registry.asked()[asked:] if method == "POST"]
    digest = Layout(base).top["layers"][0]["digest"]
    [mounted] = [status for path, status in posts if f"mount={digest}&from=bases/python" in path.replace("%3A", ":")]
    assert mounted == 201
    assert registry.sent(asked) == [201] * 3


def test_an_index_is_pushed_with_each_of_its_images(
    project: Project, tmp_path: Path, registry: LocalRegistry, require_part: Callable[..., Found]
) -> None:
    skopeo = require_part("skopeo").path
    base = write_base(tmp_path / "two", ("amd64", "arm64"))
    name = f"{registry.name}/shop:1"
    wanted = ImageWanted(str(base), name, ("x86_64", "arm64"))
    built = build(project, AWS, Wanted(oci=wanted))
    assert built.image is not None
    assert push_image(built.image, name).reference == f"{registry.name}/shop@{built.image.digest}"
    raw = json.loads(subprocess.check_output([skopeo, "inspect", "--raw", "--tls-verify=false", f"docker://{name}"]))
    assert [one["platform"]["architecture"] for one in raw["manifests"]] == ["amd64", "arm64"]
    for architecture in ("amd64", "arm64"):
        command = [skopeo, "inspect", "--tls-verify=false", f"--override-arch={architecture}", f"docker://{name}"]
        assert json.loads(subprocess.check_output(command))["Architecture"] == architecture
    asked = len(registry.asked())
    assert push_image(built.image, name).sent == 0
    assert [path for _, path, _ in registry.asked()[asked:]].count("/v2/shop/manifests/1") == 1
    assert len(registry.asked()) == asked + 4  # the login, the tag, and the two in the index
    # One of the two is of what the registry has already, and takes the tag.
    alone = build(project, AWS, Wanted(oci=ImageWanted(str(base), name)))
    assert alone.image is not None
    assert push_image(alone.image, name).sent == 0
    assert held(skopeo, name)["Digest"] == alone.image.digest


def test_a_push_takes_the_login_of_docker(
    project: Project,
    base: Path,
    start_registry: Callable[..., LocalRegistry],
    no_login: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "htpasswd").write_text(HTPASSWD)
    registry = start_registry(f"auth: {{htpasswd: {{realm: here, path: {tmp_path}/htpasswd}}}}\n", "/")
    name = f"{registry.name}/shop:1"
    with pytest.raises(BuildError, match=rf"lets nobody write {name} \(.*\): `docker login {registry.name}`"):
        pushed(project, base, name)

    def logged_in(password: str) -> str:
        return json.dumps({"auths": {registry.name: {"auth": base64.b64encode(f"ann:{password}".encode()).decode()}}})

    (no_login / "config.json").write_text(logged_in("wrong"))
    with pytest.raises(BuildError, match="lets nobody write"):
        pushed(project, base, name)
    (no_login / "config.json").write_text(logged_in("s3cret"))
    assert pushed(project, base, name)[1].sent
    (no_login / "config.json").unlink()

    other = tmp_path / "other"
    other.mkdir()
    (other / "config.json").write_text(logged_in("s3cret"))
    monkeypatch.setenv("DOCKER_CONFIG", str(other))
    assert pushed(project, base, name)[1].skipped
    monkeypatch.delenv("DOCKER_CONFIG")

    helper = tmp_path / "bin" / "docker-credential-here"
    helper.parent.mkdir()
    helper.write_text('#!/bin/sh\ncat >/dev/null\necho \'{"Username": "ann", "Secret": "s3cret"}\'\n')
    helper.chmod(0o755)
    monkeypatch.setenv("PATH", f"{helper.parent}:{os.environ['PATH']}")
    (no_login / "config.json").write_text(json.dumps({"credHelpers": {registry.name: "here"}}))
    assert pushed(project, base, name)[1].skipped


def test_a_push_takes_a_token_for_both_ways(
    project: Project, base: Path, start_registry: Callable[..., LocalRegistry], no_login: Path, tmp_path: Path
) -> None:
    with token_server(tmp_path) as (realm, granted):
        auth = f"realm: '{realm}', service: here, issuer: tests, rootcertbundle: {tmp_path}/certificate.pem"
        registry = start_registry(f"auth: {{token: {{{auth}}}}}\n", "/")
        name = f"{registry.name}/team/shop:1"
        with pytest.raises(BuildError, match="lets nobody write"):
            pushed(project, base, name)
        login = base64.b64encode(b"ann:s3cret").decode()
        (no_login / "config.json").write_text(json.dumps({"auths": {registry.name: {"auth": login}}}))
        granted.clear()
        assert pushed(project, base, name)[1].sent
        assert granted == ["repository:team/shop:pull,push"]
        granted.clear()
        assert Registry(parse_reference(name)).manifest("1")[0].endswith("manifest.v1+json")
        assert granted == ["repository:team/shop:pull"]


@contextmanager
def token_server(folder: Path) -> Iterator[tuple[str, list[str]]]:
    """Gives who is logged in what is asked for, and everybody else a token without any right."""
    import jwt
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(65537, 2048)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "tests")])
    now = datetime.now(UTC)
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    made = made.serial_number(1).not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
    certificate = made.sign(key, hashes.SHA256())
    (folder / "certificate.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    der = base64.b64encode(certificate.public_bytes(serialization.Encoding.DER)).decode()
    granted: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            scope = parse_qs(urlsplit(self.path).query).get("scope", [""])[0]
            access = []
            if self.headers.get("Authorization") == f"Basic {base64.b64encode(b'ann:s3cret').decode()}" and scope:
                granted.append(scope)
                kind, repository, actions = scope.split(":")
                access = [{"type": kind, "name": repository, "actions": actions.split(",")}]
            claims = {"iss": "tests", "aud": "here", "sub": "", "access": access, "jti": "1"}
            claims |= {"exp": now + timedelta(hours=1), "nbf": now - timedelta(hours=1), "iat": now}
            body = json.dumps({"token": jwt.encode(claims, key, "RS256", {"x5c": [der]})}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *arguments: Any) -> None:
            pass

    with serving(Handler) as port:
        yield f"http://127.0.0.1:{port}/token", granted


@contextmanager
def serving(handler: type[BaseHTTPRequestHandler]) -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def saying_nothing(asked: list[str], statuses: Iterator[int]) -> type[BaseHTTPRequestHandler]:
    """A registry that answers whatever is asked with an empty object, and one status after another."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(next(statuses))
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, format: str, *arguments: Any) -> None:
            pass

    return Handler


def test_a_registry_that_is_busy_is_asked_again() -> None:
    asked: list[str] = []
    with serving(saying_nothing(asked, iter([200, 503, 429, 200]))) as port:
        registry = Registry(parse_reference(f"127.0.0.1:{port}/x:1"))
        assert registry.manifest("1")[1] == b"{}"
    assert asked == ["/v2/", *["/v2/x/manifests/1"] * 3]


def test_what_goes_wrong_names_the_reference_and_the_way_out(
    project: Project, base: Path, registry: LocalRegistry
) -> None:
    nowhere = f"127.0.0.1:{free_port()}/shop:1"
    with pytest.raises(BuildError, match=rf"{nowhere}: no answer from the registry: .*refused.*; take --base FOLDER"):
        build(project, AWS, Wanted(oci=ImageWanted(nowhere)))
    with pytest.raises(BuildError, match=rf"{nowhere}: no answer from the registry: .*refused.*; is it up"):
        pushed(project, base, nowhere)
    with pytest.raises(BuildError, match=rf"the registry has no image {registry.name}/nothing:1"):
        build(project, AWS, Wanted(oci=ImageWanted(f"{registry.name}/nothing:1")))


def test_what_a_registry_gives_is_checked() -> None:
    with serving(saying_nothing([], repeat(200))) as port:
        registry = Registry(parse_reference(f"127.0.0.1:{port}/x:1"))
        with pytest.raises(BuildError, match=r"answers sha256:0+ with something else"):
            registry.manifest("sha256:" + "0" * 64)
