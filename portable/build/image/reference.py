"""References of images, as Docker reads them."""

from __future__ import annotations

import re

import msgspec

from portable.errors import ConfigError

__all__ = ["Reference", "parse_reference"]

HUB = "docker.io"
# The grammar: https://github.com/distribution/reference
_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REFERENCE = re.compile(
    rf"(?:(?P<registry>(?:localhost|[^/@\s]*[.:][^/@\s]*|\[[0-9a-fA-F:]+\](?::\d+)?))/)?"
    rf"(?P<repository>{_PART}(?:/{_PART})*)(?::(?P<tag>[\w][\w.-]{{0,127}}))?(?:@(?P<digest>sha256:[0-9a-f]{{64}}))?"
)

_LOOPBACK = re.compile(r"127(\.\d{1,3}){3}")


class Reference(msgspec.Struct, frozen=True):
    """``registry/repository:tag@digest``; ``tag`` and ``digest`` are empty where they are not said."""

    registry: str
    repository: str
    tag: str = ""
    digest: str = ""

    def __str__(self) -> str:
        text = f"{self.registry}/{self.repository}"
        return text + (f":{self.tag}" if self.tag else "") + (f"@{self.digest}" if self.digest else "")

    @property
    def wanted(self) -> str:
        """What a registry is asked for."""
        return self.digest or self.tag or "latest"

    @property
    def host(self) -> str:
        """Where the registry answers: Docker Hub's is called otherwise than its images."""
        return "registry-1.docker.io" if self.registry == HUB else self.registry

    @property
    def plain(self) -> bool:
        """Whether it is on this machine, where registries speak HTTP without TLS, as Docker has it."""
        bracketed = self.registry.startswith("[")
        host = self.registry[1:].partition("]")[0] if bracketed else self.registry.partition(":")[0]
        return host in ("localhost", "::1") or _LOOPBACK.fullmatch(host) is not None

    def at(self, digest: str) -> str:
        """The same image by its digest, which nobody can move."""
        return f"{self.registry}/{self.repository}@{digest}"


def parse_reference(text: str) -> Reference:
    """Read a reference; ``python:3.13`` is Docker Hub's. Raises ConfigError saying what one looks like."""
    found = _REFERENCE.fullmatch(text)
    if found is None:
        raise ConfigError(
            f"{text!r} is no reference of an image: registry.example.com/team/app:1.2, all but the tag in lower case"
        )
    registry, repository, tag, digest = found.group("registry", "repository", "tag", "digest")
    if registry in (None, HUB, "index.docker.io"):
        registry = HUB
        repository = repository if "/" in repository else f"library/{repository}"
    return Reference(registry, repository, tag or "", digest or "")
