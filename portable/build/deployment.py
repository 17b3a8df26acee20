"""What a target's infrastructure files are made of: the app, its stage, and how each function is deployed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from portable.build.project import Project
from portable.build.settings import FunctionSettings, existing_resources, function_settings
from portable.build.target import Bundle
from portable.errors import ConfigError
from portable.manifest import Manifest

__all__ = ["Deployment", "describe_deployment"]


class Deployment(msgspec.Struct, frozen=True):
    """See the module.

    Attributes:
        app: its name. stage: ``dev`` where none was said. target: the target's name.
        manifest: with every function. functions: how each is deployed.
        settings: ``[tool.portable.<target>]``, the stage's laid over it.
        bundles: of the artifact. python: ``"3.13"``. arch: ``x86_64`` or ``arm64``, of the artifact.
        existing: by ``kind:name``, the physical name of each resource that is used and not created.
        image: reference of the image that functions are deployed as, None where they are zips.
        images: by architecture, the reference of the one for it; empty where nobody knows what is in ``image``.
        digests: SHA-256 of each zip, by its name in the artifact.
        retention_days: how long logs are kept. form: which of the target's ``infrastructure_forms`` is asked for.
    """

    app: str
    stage: str
    target: str
    manifest: Manifest
    functions: Mapping[str, FunctionSettings]
    settings: Mapping[str, Any]
    bundles: Sequence[Bundle]
    python: str
    arch: str
    existing: Mapping[str, str] = {}
    image: str | None = None
    images: Mapping[str, str] = {}
    digests: Mapping[str, str] = {}
    retention_days: int = 30
    form: str = ""

    def bundle_of(self, function: str) -> Bundle:
        """The bundle a function is in."""
        return next(bundle for bundle in self.bundles if function in bundle.sources)

    def zip_of(self, function: str) -> str:
        """The zip a function is deployed from, by its name in the artifact."""
        return self.bundle_of(function).zip_name

    def image_of(self, function: str) -> str | None:
        """The reference of the image for the architecture of a function, for a cloud that takes no index of several.

        Raises ConfigError where there is none for it.
        """
        arch = self.functions[function].arch
        if self.images and arch not in self.images:
            raise ConfigError(
                f"function {function} is to run on {arch}, and the image is for {', '.join(self.images)}: "
                f"--arch {','.join((*self.images, arch))}, or another arch in its settings"
            )
        return self.images.get(arch, self.image)

    def uses(self, function: str) -> list[tuple[str, str]]:
        """Kind and name of every resource a function uses."""
        record = next(one for one in self.manifest.functions if one.name == function)
        return [(kind, name) for kind, _, name in (key.partition(":") for key in record.uses)]


def describe_deployment(
    project: Project,
    target: Any,
    manifest: Manifest,
    bundles: Sequence[Bundle],
    *,
    python: str,
    arch: str,
    form: str | None = None,
    image: str | None = None,
    images: Mapping[str, str] | None = None,
    digests: Mapping[str, str] | None = None,
) -> Deployment:
    """The deployment of a project that is at its stage. Raises ConfigError for settings that are wrong, with the line,
    and for a form the target has not.
    """
    from portable.build.project import nearest

    forms: Sequence[str] = getattr(target, "infrastructure_forms", ())
    if form is not None and form not in forms:
        raise ConfigError(f"{target.name} has no infrastructure files of form {form!r}{nearest(form, forms)}")
    return Deployment(
        app=manifest.app,
        stage=project.stage,
        target=target.name,
        manifest=manifest,
        functions=function_settings(project, target.name, manifest, arch),
        settings=project.settings(target.name),
        bundles=bundles,
        python=python,
        arch=arch,
        existing=existing_resources(project, manifest),
        image=image,
        images=images or {},
        digests=digests or {},
        retention_days=project.log_retention,
        form=form or (forms[0] if forms else ""),
    )
