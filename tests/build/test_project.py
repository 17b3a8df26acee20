from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from portable.build import project as projects
from portable.build.description import describe_project
from portable.build.project import Project, find_project, parse_spec
from portable.build.requirements import read_requirements
from portable.build.sources import check_names, find_sources
from portable.errors import BuildError, ConfigError

Make = Callable[..., Project]


def settings(text: str) -> dict[str, str]:
    return {"pyproject.toml": f"[tool.portable]\n{text}\n"}


def test_a_project_is_found_from_inside(make_project: Make) -> None:
    project = make_project({"shop/parts/x.py": "", **settings('app = "shop.main:api"\npython = "3.12"')})
    assert find_project(project.root / "shop" / "parts") == project
    assert (project.spec, project.python) == ("shop.main:api", "3.12")
    assert find_project(project.root, "other:app").spec == "other:app"


def test_no_project(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"neither it nor a folder above holds an app\.py"):
        find_project(tmp_path)
    with pytest.raises(ConfigError, match="is no folder"):
        find_project(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("spec", "means"), [("app", "app:app"), ("shop/main.py", "shop.main:app"), ("shop.main:api", "shop.main:api")]
)
def test_specs(spec: str, means: str) -> None:
    assert parse_spec(spec) == means


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("pyhton = '3.13'", r"no setting 'pyhton'; did you mean 'python'\?"),
        ("zzz = 1", "no setting 'zzz'; there are app, exclude, include, lock, log_retention, python"),
        ("python = 3.13", "python is text in quotes"),
        ("exclude = 'x'", "exclude is a list of patterns"),
        ("app = 'not an app'", "is not module:variable"),
        ("app = ", "is not valid TOML"),
    ],
)
def test_wrong_settings_are_named(make_project: Make, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make_project(settings(text))


def test_a_table_of_no_target(make_project: Make) -> None:
    project = make_project({"pyproject.toml": "[tool.portable.asw]\nregion = 'eu-west-1'\n"})
    with pytest.raises(ConfigError, match=r"\[tool.portable.asw\] is no target's table; did you mean 'aws'"):
        project.check_targets(["aws", "gcp"])
    assert project.settings("asw") == {"region": "eu-west-1"}
    assert project.settings("gcp") == {}


# --- importing an app


def test_a_description_leaves_nothing_behind(make_project: Make) -> None:
    modules, path = set(sys.modules), list(sys.path)
    first = make_project({"storage.py": "NAME = 'first'\n", "app.py": APP.format(name="first")}, name="first")
    second = make_project({"storage.py": "NAME = 'second'\n", "app.py": APP.format(name="second")}, name="second")
    assert describe_project(first).manifest.app == "first"
    description = describe_project(second)
    assert description.manifest.app == "second"
    assert description.files == {"app.py", "storage.py"}
    assert sys.path == path
    assert not {"app", "storage"} & set(sys.modules)
    assert {name.partition(".")[0] for name in set(sys.modules) - modules} <= {"portable", "msgspec"} | {
        *sys.stdlib_module_names
    }


APP = """
import storage
from portable import App
app = App(storage.NAME)
assert storage.NAME == "{name}"
"""


def test_an_app_that_changed_is_read_again(make_project: Make) -> None:
    project = make_project({"app.py": "from portable import App\napp = App('one')\n"})
    assert describe_project(project).manifest.app == "one"
    stamp = (project.root / "app.py").stat()
    (project.root / "app.py").write_text("from portable import App\napp = App('two')\n")
    os.utime(project.root / "app.py", ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    assert describe_project(project).manifest.app == "two"
    assert not (project.root / "__pycache__").exists()


def test_a_module_of_another_folder_is_put_back(make_project: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    other = make_project({"app.py": "VALUE = 1\n"}, name="other")
    monkeypatch.syspath_prepend(str(other.root))
    import app  # type: ignore[import-not-found]

    try:
        assert describe_project(make_project()).manifest.app == "shop"
        assert sys.modules["app"] is app
    finally:
        del sys.modules["app"]


def test_a_failing_import_shows_the_users_frames_alone(make_project: Make) -> None:
    project = make_project({"app.py": "import shop.parts\n", "shop/parts.py": "import json\n\njson.loads('{')\n"})
    with pytest.raises(BuildError) as caught:
        describe_project(project)
    assert str(caught.value) == (
        "app does not import:\n"
        '  File "app.py", line 1, in <module>\n'
        "    import shop.parts\n"
        '  File "shop/parts.py", line 3, in <module>\n'
        "    json.loads('{')\n"
        "json.decoder.JSONDecodeError: Expecting property name enclosed in double quotes: line 1 column 2 (char 1)"
    )
    assert "shop.parts" not in sys.modules


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("import nothing_of_this_name\n", "ModuleNotFoundError: No module named 'nothing_of_this_name'"),
        ("app = (\n", r"""app\.py", line 1"""),
        ("raise SystemExit(3)\n", "SystemExit: 3"),
        (
            "from portable import App\napp = App('Bad Name')\n",
            r"(?s)app\.py\", line 2.*ConfigError: app name 'Bad Name'",
        ),
        (
            "try:\n    1 / 0\nexcept ZeroDivisionError as e:\n    raise ValueError('x') from e\n",
            "(?s)Zero.*ValueError: x",
        ),
    ],
)
def test_what_an_import_may_raise(make_project: Make, source: str, message: str) -> None:
    with pytest.raises(BuildError, match=message):
        describe_project(make_project({"app.py": source}))


def test_no_app_there(make_project: Make) -> None:
    with pytest.raises(ConfigError, match="app:app is not there; module app holds none"):
        describe_project(make_project({"app.py": ""}))
    project = make_project(settings('app = "elsewhere"'))
    with pytest.raises(ConfigError, match=r"no module 'elsewhere' in .*name the App as module:variable"):
        describe_project(project)


def test_a_router_that_does_not_import(make_project: Make) -> None:
    app = "from portable import App\napp = App('x')\napp.include('parts:router')\n"
    with pytest.raises(BuildError, match=r'(?s)parts.py", line 1.*ZeroDivisionError'):
        describe_project(make_project({"app.py": app, "parts.py": "1 / 0\n"}))


# --- requirements


def requirements(make_project: Make, text: str) -> list[str]:
    return read_requirements(make_project({"requirements.txt": text}))


def test_requirements_without_this_framework(make_project: Make) -> None:
    text = "portable-functions[aws]>=0.1  # itself\n# a comment\n\npillow>=11 ; python_version > '3.10'\nmsgspec\n"
    assert requirements(make_project, text) == ["pillow>=11 ; python_version > '3.10'", "msgspec"]


def test_pyproject_goes_before_requirements_txt(make_project: Make) -> None:
    document = "[project]\nname = 'x'\nversion = '1'\ndependencies = ['Portable_Functions', 'requests']\n"
    project = make_project({"requirements.txt": "flask\n", "pyproject.toml": document})
    assert read_requirements(project) == ["requests"]


def test_requirements_refer_to_others(make_project: Make) -> None:
    project = make_project(
        {"requirements.txt": "-r more/base.txt\na\n", "more/base.txt": "b==1 \\\n  --hash=sha256:00\n"}
    )
    assert read_requirements(project) == ["b==1", "a"]
    with pytest.raises(ConfigError, match="refers to itself"):
        requirements(make_project, "-r requirements.txt\n")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("portable>=1", r"requirements.txt:2: 'portable>=1' is an unrelated distribution.*'portable-functions'"),
        ("--extra-index-url=https://example.com", "requirements.txt:2: --extra-index-url is not taken from here"),
        ("-e ../lib", "requirements.txt:2: '-e ../lib' cannot be kept in a bundle"),
        ("-r nowhere.txt", "nowhere.txt cannot be read: No such file"),
    ],
)
def test_requirements_that_are_refused(make_project: Make, line: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        requirements(make_project, f"a\n{line}\n")


# --- sources


def test_what_is_deployed(make_project: Make) -> None:
    project = make_project(
        dict.fromkeys(
            [
                "shop/__init__.py",
                "shop/test_it.py",
                "shop/page.html",
                "shop/.secret",
                "shop/__pycache__/x.pyc",
                "templates/mail.txt",
                "tests/test_app.py",
                "tests/data.json",
                "test_app.py",
                "conftest.py",
                "pyproject.toml",
                "README.md",
                "dist/aws/bundle/app.py",
                ".portable/state",
                ".env",
                "venv/pyvenv.cfg",
                "venv/lib.py",
                "node_modules/x.js",
            ],
            "",
        )
    )
    assert list(find_sources(project)) == ["app.py", "shop/__init__.py", "shop/page.html", "templates/mail.txt"]


def test_include_and_exclude(make_project: Make) -> None:
    files = ["tests/data.json", "tests/test_a.py", "docs/a/b.md", ".well-known/x", "shop/big.psd", "photos/a.png"]
    text = 'include = ["/tests/data.json", "docs", ".well-known"]\nexclude = ["*.psd", "/photos"]'
    project = make_project({**dict.fromkeys(files, ""), **settings(text), "docs/__pycache__/x.pyc": ""})
    assert list(find_sources(project)) == [".well-known/x", "app.py", "docs/a/b.md", "tests/data.json"]
    with pytest.raises(ConfigError, match=r"include: no file is 'nowhere/\*'"):
        find_sources(make_project(settings('include = ["nowhere/*"]')))


def test_links_are_followed_but_not_in_circles(make_project: Make) -> None:
    project = make_project({"shop/a.py": ""})
    (project.root / "shop" / "again").symlink_to(project.root, target_is_directory=True)
    (project.root / "linked").symlink_to(project.root / "shop", target_is_directory=True)
    assert list(find_sources(project)) == ["app.py", "linked/a.py", "shop/a.py"]


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("portable.py", "portable.py bears the name of a module the build brings: rename it"),
        ("portable_entry/__init__.py", "portable_entry/ bears the name of a module the build brings"),
        ("requests.py", "a package of a dependency, which it would hide"),
        ("queue.py", "a module of the standard library, which it would hide"),
    ],
)
def test_names_that_are_taken(path: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        check_names(["app.py", path], ["portable", "portable_entry"], ["requests"])
    check_names(["app.py", "code/data.json", f"shop/{path}"], ["portable", "portable_entry"], ["requests"])


def test_every_setting_is_documented() -> None:
    page = (Path(__file__).parent.parent.parent / "docs/reference/settings.md").read_text("utf-8")
    for key in (*projects._KEYS, *projects._TABLES):
        assert f"| `{key}` |" in page, key
