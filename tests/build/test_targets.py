"""The installed targets: what each makes of one small app."""

from __future__ import annotations

import ast
from collections.abc import Callable
from importlib.util import find_spec

import pytest

from portable.build.artifact import Wanted, build
from portable.build.project import Project
from portable.plugins import adapters
from portable.run.target import open_artifact

Make = Callable[..., Project]
TARGETS = {name: one for name, one in adapters().items() if find_spec(f"{one.package}.build") is not None}
# NATS holds resources and runs no functions.


@pytest.mark.parametrize("name", TARGETS)
def test_a_small_app(make_project: Make, name: str) -> None:
    app = "from portable import App\napp = App('shop')\n@app.get('/')\ndef hello() -> str:\n    return 'hello'\n"
    target = TARGETS[name].build
    first = build(make_project({"app.py": app}, name="one"), target)
    second = build(make_project({"app.py": app}, name="two"), target, Wanted(upgrade=True))
    for file in first.folder.iterdir():
        if file.is_file():
            assert file.read_bytes() == (second.folder / file.name).read_bytes(), file.name
    artifact = open_artifact(first.folder)
    assert (artifact.target, artifact.python) == (name, target.pythons[0])
    bundle = artifact.bundle_of("http")
    assert (bundle / "portable" / "app.py").is_file()
    assert (bundle / TARGETS[name].package / "runtime.py").is_file()
    entries = [bundle / f"{module}.py" for module in target.reserved if (bundle / f"{module}.py").is_file()]
    assert entries
    for entry in entries:
        ast.parse(entry.read_bytes())
    if target.dependency_folder and first.lock:
        assert (bundle / target.dependency_folder).is_dir()
    assert not first.findings


@pytest.mark.parametrize("name", TARGETS)
def test_the_entrys_name_is_refused(make_project: Make, name: str) -> None:
    target = TARGETS[name].build
    for module in sorted(target.reserved):
        with pytest.raises(Exception, match=rf"{module}\.py bears the name of a module the build brings: rename it"):
            build(make_project({f"{module}.py": ""}, name=module), target)
