from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from portable.build import pythons, vendor
from portable.build.artifact import Built, build
from portable.build.project import Project
from portable.build.pruning import Owners, Rules, prune, read_rules
from portable.build.vendor import Place
from portable.errors import ConfigError

Make = Callable[..., Project]
Wheels = Callable[..., Path]

MORE = {
    "thing/tests/__init__.py": "",
    "thing/tests/test_it.py": "import thing.tests\n",
    "thing/used/test/__init__.py": "",
    "thing/used/test/case.py": "",
    "thing/runner.py": "from .used.test import case\n",
    "thing/include/thing.h": "int x;",
    "thing/_core.pyx": "cdef int x",
    "thing/LICENSE.h": "",
    "thing/tests/data/COPYING": "take it",
    "thing/py.typed": "",
    "thing/__init__.pyi": "VERSION: str",
    "thing/README.md": "# thing",
    "thing-1.0.dist-info/licenses/LICENSE": "MIT",
    "thing-1.0.dist-info/sboms/thing.cdx.json": "{}",
    "lazy/__init__.py": "import lazy_loader\nlazy_loader.attach_stub(__name__, __file__)\n",
    "lazy/__init__.pyi": "from .a import b\n",
}


def installed(built: Built) -> set[str]:
    root = built.folder / "bundle"
    found = {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file() and path.suffix != ".pyc"}
    return {path for path in found if path.startswith(("thing", "lazy"))}


@pytest.fixture
def thing(wheels: Wheels) -> None:
    wheels("thing", "1.0", more=MORE)


def test_what_goes_and_what_stays(make_project: Make, target: Any, thing: None) -> None:
    built = build(make_project({"requirements.txt": "thing\n"}), target)
    assert installed(built) == {
        "thing/__init__.py",
        "thing/used/test/__init__.py",
        "thing/used/test/case.py",
        "thing/runner.py",
        "thing/tests/data/COPYING",
        "thing/README.md",
        "thing-1.0.dist-info/METADATA",
        "thing-1.0.dist-info/RECORD",
        "thing-1.0.dist-info/entry_points.txt",
        "thing-1.0.dist-info/licenses/LICENSE",
        "lazy/__init__.py",
        "lazy/__init__.pyi",
    }
    report = json.loads((built.folder / "report/pruned.json").read_bytes())
    assert {(one["rule"], one["distribution"], one["files"]) for one in report} == {
        ("tests", "thing", 2),
        ("headers", "thing", 3),
        ("stubs", "thing", 2),
        ("metadata", "thing", 2),
        ("metadata", "thing", 0),
    }
    assert all(one["why"] for one in report)


@pytest.mark.parametrize("rule", ["tests", "headers", "stubs", "metadata"])
def test_each_rule_can_be_switched(make_project: Make, target: Any, thing: None, rule: str) -> None:
    text = f"[tool.portable.prune]\n{rule} = false\n"
    built = build(make_project({"requirements.txt": "thing\n", "pyproject.toml": text}), target)
    assert rule not in {one.rule for one in built.dropped}
    assert len({one.rule for one in built.dropped}) == 3


def test_what_is_kept_whole_and_what_is_documentation(make_project: Make, target: Any, thing: None) -> None:
    text = "[tool.portable.prune]\nkeep = ['Thing']\n"
    built = build(make_project({"requirements.txt": "thing\n", "pyproject.toml": text}), target)
    assert built.dropped == []
    assert set(MORE) <= installed(built)
    text = "[tool.portable.prune]\ndocs = true\n"
    built = build(make_project({"requirements.txt": "thing\n", "pyproject.toml": text}), target)
    assert "thing/README.md" not in installed(built)


def test_tests_the_project_imports_stay(make_project: Make, target: Any, thing: None) -> None:
    built = build(
        make_project({"requirements.txt": "thing\n", "helper.py": "from thing.tests import test_it\n"}), target
    )
    assert "thing/tests/test_it.py" in installed(built)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("test = true", r"pyproject\.toml:2: there is no rule 'test' to prune by; did you mean 'tests'"),
        ("tests = 1", r"pyproject\.toml:2: prune\.tests is true or false, got 1"),
        ("keep = 'numpy'", r"pyproject\.toml:2: prune\.keep is a list of texts"),
    ],
)
def test_rules_that_are_wrong(make_project: Make, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read_rules(make_project({"pyproject.toml": f"[tool.portable.prune]\n{text}\n"}))


def test_a_pattern_of_nothing(make_project: Make, target: Any, thing: None) -> None:
    text = "[tool.portable.prune]\ndrop = ['nowhere/*']\n"
    with pytest.raises(ConfigError, match=r"drop: no file of a dependency is 'nowhere/\*'"):
        build(make_project({"requirements.txt": "thing\n", "pyproject.toml": text}), target)


# --- the bill of materials


def test_the_bill_of_materials(make_project: Make, target: Any, wheels: Wheels) -> None:
    wheels("smallthing", "1.0", ["otherthing"])
    wheels("otherthing", "2.0", more={"otherthing-2.0.dist-info/licenses/LICENSE": "MIT"})
    built = build(make_project({"requirements.txt": "smallthing\n"}), target)
    text = (built.folder / "sbom.json").read_text()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    bill = json.loads(text)
    purls = [one["purl"] for one in bill["components"]]
    assert purls[0] == "pkg:pypi/otherthing@2.0"
    assert purls[2] == "pkg:pypi/smallthing@1.0"
    needs = {one["ref"]: one["dependsOn"] for one in bill["dependencies"]}
    assert needs["pkg:pypi/smallthing@1.0"] == ["pkg:pypi/otherthing@2.0"]
    assert needs["app"] == [purls[1], "pkg:pypi/smallthing@1.0"]
    again = build(make_project({"requirements.txt": "smallthing\n"}, name="other"), target)
    assert (again.folder / "sbom.json").read_text() == text


# --- real distributions, used after it

USES = {
    "fastapi": """
import fastapi, importlib.metadata as metadata
from pydantic import BaseModel
class A(BaseModel):
    x: int
app = fastapi.FastAPI()
@app.post("/")
def f(a: A) -> A: return a
app.openapi()
assert metadata.version("fastapi") and metadata.requires("fastapi") and metadata.files("fastapi")
assert "fastapi" in metadata.packages_distributions()["fastapi"]
""",
    "pillow": """
import io
from PIL import Image
buffer = io.BytesIO()
Image.new("RGB", (9, 9)).save(buffer, "PNG")
Image.open(io.BytesIO(buffer.getvalue())).resize((3, 3)).save(io.BytesIO(), "WEBP")
""",
    "numpy": """
import numpy, numpy.testing
assert numpy.linalg.inv(numpy.eye(3)).sum() == 3
numpy.fft.fft(numpy.random.default_rng(1).random(8))
numpy.testing.assert_allclose(1, 1)
""",
    "botocore": """
import botocore.session
client = botocore.session.get_session().create_client(
    "s3", region_name="eu-west-1", aws_access_key_id="a", aws_secret_access_key="b")
client.generate_presigned_url("get_object", Params={"Bucket": "b", "Key": "k"})
""",
}


@pytest.mark.slow
@pytest.mark.parametrize("name", USES)
def test_real_distributions_still_work(tmp_path: Path, name: str) -> None:
    place, folder = Place(pythons.CURRENT, None), tmp_path / "installed"
    vendor.install(vendor.resolve([name], place, tmp_path), place, folder, tmp_path)
    assert prune(folder, Rules(docs=True), Owners(folder))
    python = pythons.interpreter(pythons.CURRENT)
    assert python is not None
    script = f"import sys; sys.path.insert(0, {str(folder)!r})\n{USES[name]}"
    done = subprocess.run([python, "-I", "-S", "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_zip_is_what_is_left(make_project: Make, target: Any, thing: None) -> None:
    built = build(make_project({"requirements.txt": "thing\n"}), target)
    with ZipFile(built.folder / "bundle.zip") as archive:
        assert archive.testzip() is None
        assert "thing/tests/test_it.py" not in archive.namelist()
