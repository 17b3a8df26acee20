"""Putting a built artifact into its cloud, and taking it away: what ``portable_<name>.deploy.DEPLOYER`` gives."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, Protocol

import msgspec

from portable.run.target import Artifact

__all__ = ["Change", "Deployer", "Place", "Progress", "Step"]


class Change(msgspec.Struct, frozen=True):
    """What a deployment would do to one resource. ``kind`` and ``name`` as the cloud calls it.

    ``loses``: what becomes of the data that it holds; "" where none is lost, or lost sight of.
    """

    action: Literal["create", "update", "replace", "delete", "keep"]
    kind: str
    name: str
    detail: str = ""
    loses: str = ""


class Step(msgspec.Struct, frozen=True):
    """What became of one resource, while a deployment is under way. ``detail``: the reason of a failure."""

    kind: str
    name: str
    state: Literal["started", "done", "failed"]
    detail: str = ""


Progress = Callable[[Step], None]


class Place(msgspec.Struct, frozen=True):
    """Where to: the stage, ``[tool.portable.<target>]`` with the stage's laid over it (region, project …), and the
    environment that credentials and endpoints come from.
    """

    stage: str
    settings: Mapping[str, Any] = {}
    environment: Mapping[str, str] = msgspec.field(default_factory=lambda: dict(os.environ))


class Deployer(Protocol):
    """How artifacts get into one cloud. Every method raises DeployError naming the resource and the cloud's reason, and
    ConfigError where it is not known where to, or the artifact has no infrastructure files.
    """

    def where(self, artifact: Artifact, place: Place) -> str:
        """What :meth:`apply` and :meth:`destroy` change: account and region, subscription and group, context and
        namespace.
        """

    def preview(self, artifact: Artifact, place: Place) -> Sequence[Change]:
        """What :meth:`apply` would do. Nothing that runs or holds data is touched."""

    def apply(self, artifact: Artifact, place: Place, progress: Progress) -> Mapping[str, str]:
        """Create or update everything, and give the outputs: URLs and names.

        What failed stays as the cloud's own roll-back leaves it; applying again goes on from there.
        """

    def holding(self, artifact: Artifact, place: Place) -> Sequence[str]:
        """Buckets and tables of this deployment that hold data."""

    def destroy(self, artifact: Artifact, place: Place, progress: Progress, *, with_data: bool) -> None:
        """Take everything away; what holds data only with ``with_data``. What is not there is no error."""
