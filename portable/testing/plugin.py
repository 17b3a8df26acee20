"""The pytest plugin: one test file for every target.

    def test_upload(client):
        assert client.post("/images", body=png).status == 201

``pytest`` runs it in this process; ``pytest --target aws`` against the app's built artifact under that cloud's own
runtime client; ``--target all`` against every installed target's. The app is the one of the project the test file lies
in (a folder with an ``app.py`` or a ``[tool.portable]``); its folder is importable in its tests.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:  # this module is imported by every pytest on the machine: the rest is, when a test asks for it
    from pathlib import Path

    from portable.testing.client import Client
    from portable.testing.projects import Deployments, Projects

IN_PROCESS = "inprocess"

_projects: pytest.StashKey[Projects] = pytest.StashKey()
_deployments: pytest.StashKey[Deployments] = pytest.StashKey()


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--target`` and ``--conformance``."""
    group = parser.getgroup("portable")
    group.addoption(
        "--target",
        action="append",
        default=[],
        metavar="TARGET",
        help="what the client fixture drives: inprocess (the default), local, aws, gcp, azure, or all of those built; "
        "several with commas",
    )
    group.addoption(
        "--conformance",
        metavar="FILE",
        help="run the conformance suites' cases alone, print what each came to with each driver, and write it to FILE; "
        "with --collect-only, say where FILE is out of date",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Keeps the conformance matrix, when it is asked for."""
    file = config.getoption("--conformance")
    if file:
        from pathlib import Path

        from portable.testing.matrix import MatrixSession

        config.pluginmanager.register(MatrixSession(Path(file), only=True), "portable-conformance")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test with a client is run once a target asked for."""
    asked = metafunc.config.getoption("--target")
    if asked and "portable_target" in metafunc.fixturenames:
        metafunc.parametrize("portable_target", _targets(asked), scope="session")


@pytest.hookimpl(tryfirst=True)
def pytest_collectstart(collector: pytest.Collector) -> None:
    """Before a test file is imported."""
    if isinstance(collector, pytest.Module):
        _enter_project(collector.config, collector.path)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Before a test's fixtures."""
    _enter_project(item.config, item.path)


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Names the real parts each target ran on."""
    deployments = config.stash.get(_deployments, None)
    if deployments is not None and deployments.parts:
        terminalreporter.section("targets")
        for target, parts in sorted(deployments.parts.items()):
            used = ", ".join(f"{name} {version}" for name, version in sorted(parts.items()))
            terminalreporter.line(f"{target}: {used}")


@pytest.fixture(scope="session")
def portable_target() -> str:
    """What the ``client`` fixture drives: ``inprocess`` unless ``--target`` says otherwise."""
    return IN_PROCESS


@pytest.fixture(scope="session")
def portable_deployments(
    pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Deployments]:
    """The built artifacts that run in this session: one a project and target, started when first asked for."""
    from portable.testing.projects import Deployments

    with Deployments(tmp_path_factory.mktemp("portable")) as deployments:
        pytestconfig.stash[_deployments] = deployments
        yield deployments


@pytest.fixture
def client(request: pytest.FixtureRequest, portable_target: str, portable_deployments: Deployments) -> Iterator[Client]:
    """A ``portable.testing.Client`` of the project's app: nothing is stored at the start of a test.

    What a handler raises is a 500, as in a cloud, in this process too. A target whose parts this machine lacks skips
    the test; with PORTABLE_REQUIRE_ALL=1 it fails.
    """
    from portable.testing.projects import find_tested

    project = find_tested(request.path)
    if project is None:
        pytest.fail(
            f"{request.path} is in no project: the client fixture takes the app of a folder with an app.py, or with a "
            "[tool.portable] in its pyproject.toml",
            pytrace=False,
        )
    if portable_target == IN_PROCESS:
        from portable.app import load_app
        from portable.testing.client import TestClient

        with TestClient(load_app(project.spec), raise_errors=False) as made:
            yield made
        return
    from portable.resources import use_platform
    from portable.run.building import missing_parts
    from portable.testing.client import Client

    missing = missing_parts(portable_target, project.python)
    if missing:
        message = f"{portable_target}: {'; '.join(missing)}"
        if os.environ.get("PORTABLE_REQUIRE_ALL", "") not in ("", "0"):
            pytest.fail(message, pytrace=False)
        pytest.skip(message)
    deployment = portable_deployments.get(project, portable_target)
    deployment.reset()
    with use_platform(deployment.platform):
        yield Client(deployment)


def _targets(asked: list[str]) -> list[str]:
    from portable.plugins import adapters

    known = [name for name, one in adapters().items() if one.builds]
    names = [name for entry in asked for name in entry.split(",") if name]
    for name in names:
        if name not in (*known, IN_PROCESS, "all"):
            raise pytest.UsageError(f"--target {name}: there are {', '.join([IN_PROCESS, *known])} and all")
    every = (known if name == "all" else [name] for name in names)
    return list(dict.fromkeys(name for group in every for name in group))


def _enter_project(config: pytest.Config, path: Path) -> None:
    if _projects not in config.stash:
        if not _may_be_project(path.parent):
            return
        from portable.testing.projects import Projects

        config.stash[_projects] = Projects()
    config.stash[_projects].enter(path)


@cache
def _may_be_project(folder: Path) -> bool:
    """A cheap look, so that a session without any project imports nothing of this package."""
    settings = folder / "pyproject.toml"
    if (folder / "app.py").is_file() or (settings.is_file() and b"tool.portable" in settings.read_bytes()):
        return True
    return folder != folder.parent and _may_be_project(folder.parent)
