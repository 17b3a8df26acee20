"""What the infrastructure of an app with everything is made of."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Mapping
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest

from portable.build.deployment import Deployment
from portable.build.settings import FunctionSettings
from portable.manifest import Manifest, describe_app
from portable_azure.build import TARGET


@pytest.fixture(scope="session")
def everything(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    """The app, described."""
    folder = tmp_path_factory.mktemp("everything")
    file = shutil.copy(Path(__file__).parent / "everything" / "app.py", folder)
    found = spec_from_file_location("everything_on_azure", file)
    assert found is not None
    assert found.loader is not None
    module = module_from_spec(found)
    sys.modules[found.name] = module
    found.loader.exec_module(module)
    return describe_app(module.app, "app:app", folder)


@pytest.fixture(scope="session")
def deployed(everything: Manifest) -> Callable[..., Deployment]:
    """A deployment of the app, with these settings of the target and of functions."""

    def make(
        settings: Mapping[str, Any] | None = None, functions: Mapping[str, Mapping[str, Any]] | None = None, **more: Any
    ) -> Deployment:
        chosen = {"changes": "latest", **(settings or {})}
        manifest = everything
        if "only" in more:
            kinds = more.pop("only")
            manifest = manifest.only([one.name for one in manifest.functions if one.kind in kinds])
        asked = {
            one.name: FunctionSettings(
                **{"memory": one.memory, "timeout": one.timeout, **(functions or {}).get(one.name, {})}
            )
            for one in manifest.functions
        }
        described = {"stage": "prod", "python": "3.13", "arch": "x86_64", "form": "bicep", **more}
        return Deployment(
            app=manifest.app,
            target="azure",
            manifest=manifest,
            functions=asked,
            settings=chosen,
            bundles=TARGET.bundles(manifest, chosen),
            **described,
        )

    return make


@pytest.fixture(scope="session")
def arm_models() -> Any:
    """``arm_models.py``: documents held against the models of Azure's management libraries."""
    found = spec_from_file_location("arm_models_of_azure", Path(__file__).parent / "arm_models.py")
    assert found is not None
    assert found.loader is not None
    module = module_from_spec(found)
    found.loader.exec_module(module)
    return module
