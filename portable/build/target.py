"""What an adapter says to the build: ``portable_<name>.build.TARGET``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, Protocol

import msgspec

from portable.manifest import Manifest

__all__ = ["BuildTarget", "Bundle", "Finding"]


class Finding(msgspec.Struct, frozen=True):
    """Something a target cannot give.

    An error stops the build: a meaning would be lost. A warning: same meaning, other cost or latency. ``where``:
    ``file:line`` of the declaration. ``way_out``: what to do about it.
    """

    severity: Literal["error", "warning", "info"]
    where: str
    message: str
    way_out: str = ""


class Bundle(msgspec.Struct):
    """One deployable folder: its name ("" when there is one), and the files this cloud asks for.

    ``sources``: its functions, each with the event source that calls it here (``http-api``, ``sqs`` …), as
    ``Samples.sources`` names them. ``files``: path in the bundle to content, the entry point among them.
    """

    name: str
    sources: dict[str, str]
    files: dict[str, bytes]

    @property
    def path(self) -> str:
        """Its folder in the artifact."""
        return f"bundle/{self.name}" if self.name else "bundle"

    @property
    def zip_name(self) -> str:
        """Its zip in the artifact."""
        return f"bundle-{self.name}.zip" if self.name else "bundle.zip"


class BuildTarget(Protocol):
    """How one cloud's bundle is made. Pure: it reads the manifest and settings and touches no disk.

    Attributes:
        name: the target. pythons: versions the cloud runs (``"3.13"``), the default first.
        reserved: top-level names a user module must not bear, because the entry files do.
        dependency_folder: where in the bundle dependencies go; "" for its root.
        adapter_packages: import packages copied beside ``portable`` (this adapter's own).
        known_settings: keys of ``[tool.portable.<name>]``, a collection; may be left out, and then none is refused.
        glibc: by Python version, the minor version of glibc 2 where the cloud has less than 28; may be left out.
        capabilities: what its drivers give, see ``portable.capabilities``; left out, no declared option is refused.
        bounds: the most its cloud takes, see ``portable.capabilities.BOUNDS``; left out, nothing is held against it.
        instead: by kind of resource without a driver here, what to take instead; may be left out.
        naming: by kind of resource, how the cloud calls what is declared; left out, no name is refused.
        ships: whether its entries call ``portable.shipped.install`` before they import anything else of this framework,
            whose bytecode is then in one file; left out, it is in a file a module.
        splits: whether each function may be deployed from a bundle of its own; ``"grouped"``: the bundles that the
            target makes may each hold what their functions need; left out, all hold everything.
        holds: canonical names of distributions that its runtime has at hand; may be left out.
        loads: Python code that loads a function as the cloud's client does, for a process whose path begins with the
            bundle: a format of ``{function}`` (its name, a literal), ``{identifier}`` (with underscores), ``{spec}``
            and ``{modules}`` (literals); left out, no import is measured.
        timers: a method of manifest and settings that gives the ``portable.build.schedules.Timer`` of each schedule, by
            function; left out where nothing but an event calls a schedule's function.
        authorizers: a method of manifest and settings that gives the checks which the cloud can make itself, as it
            takes them, for ``manifest.json``; may be left out.
        with_settings: a method of settings that gives the target as they make it, for one whose packages and drivers
            they choose; may be left out. ``--platform`` is for those with the setting ``platform``.
        infrastructure: a method of a ``portable.build.deployment.Deployment`` that gives the files of ``infra/`` by
            their path there: text or bytes as they are, a mapping as YAML or JSON by the path's suffix, once the user's
            own part is laid over it, and a function of all those mappings by their path, that gives text; may be left
            out. infrastructure_forms: what ``--iac`` takes, the default
            first.
        prices, charges: the path of the list prices, see ``portable.build.prices``, and a method of
            ``portable.build.costs.Calls`` and settings that gives the ``Charge`` by function; both may be left out.
        image: a function of manifest and settings that gives the ``portable.build.image.plan.ImagePlan``; left out, the
            target has no images. image_settings: laid over ``[tool.portable.<name>]`` where one is built; may be left
            out. image_instead: what to type where another target's image is meant; may be left out.
    """

    name: str
    pythons: Sequence[str]
    reserved: frozenset[str]
    dependency_folder: str
    adapter_packages: Sequence[str]

    def check(self, manifest: Manifest, settings: Mapping[str, Any]) -> Sequence[Finding]:
        """What this cloud cannot give this app. ``settings`` is ``[tool.portable.<name>]``."""

    def requirements(self, manifest: Manifest, settings: Mapping[str, Any]) -> Sequence[str]:
        """Distributions the entry and the used kinds of resources need, with lower bounds."""

    def data_used(self, manifest: Manifest, listed: Sequence[str], pins: Sequence[str]) -> Mapping[str, Sequence[str]]:
        """Folders of an SDK's data files, and which entries of each the drivers read: the others are left out.

        Empty where the app itself may use them. ``listed``: the distributions the project asks for. ``pins``: all that
        are in the bundle.
        """

    def bundles(self, manifest: Manifest, settings: Mapping[str, Any]) -> Sequence[Bundle]:
        """The folders to deploy, each with its entry files."""
