"""References of images, as Docker reads them."""

from __future__ import annotations

import pytest

from portable.build.image.reference import parse_reference
from portable.errors import ConfigError

DIGEST = "sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("text", "whole", "host"),
    [
        ("python:3.13", "docker.io/library/python:3.13", "registry-1.docker.io"),
        ("acme/shop", "docker.io/acme/shop", "registry-1.docker.io"),
        ("index.docker.io/python", "docker.io/library/python", "registry-1.docker.io"),
        ("ghcr.io/acme/shop/api:v1.2_x-y", "ghcr.io/acme/shop/api:v1.2_x-y", "ghcr.io"),
        ("localhost/shop", "localhost/shop", "localhost"),
        ("localhost:5000/a__b/c--d", "localhost:5000/a__b/c--d", "localhost:5000"),
        (f"r.example:8443/x:1@{DIGEST}", f"r.example:8443/x:1@{DIGEST}", "r.example:8443"),
    ],
)
def test_a_reference(text: str, whole: str, host: str) -> None:
    found = parse_reference(text)
    assert (str(found), found.host) == (whole, host)


@pytest.mark.parametrize(
    "text",
    ["", "Shop", "a b", "ghcr.io/Acme/x", "x:tag:tag", "x@sha256:12", "/x", "x/", "x:-a", "http://r.io/x", "x\n"],
)
def test_what_is_none_is_named(text: str) -> None:
    with pytest.raises(ConfigError, match="is no reference of an image: registry"):
        parse_reference(text)


def test_only_this_machine_is_spoken_to_without_tls() -> None:
    for name in ("localhost", "127.0.0.1:5000", "127.9.9.9", "[::1]:5000", "localhost:1"):
        assert parse_reference(f"{name}/x").plain, name
    for name in ("localhost.example.com", "127.0.0.1.example.com", "docker.io"):
        assert not parse_reference(f"{name}/x").plain, name


def test_what_is_asked_for() -> None:
    assert parse_reference("python").wanted == "latest"
    assert parse_reference("python:3").wanted == "3"
    assert parse_reference(f"python:3@{DIGEST}").wanted == DIGEST
    assert parse_reference("ghcr.io/a/b:1").at(DIGEST) == f"ghcr.io/a/b@{DIGEST}"
