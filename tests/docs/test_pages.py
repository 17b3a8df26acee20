"""The documentation does not drift: links lead somewhere, data is as the code has it, every name is there."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import pytest
from generate import PAGES as GENERATED
from generate import written
from pages import PAGES, ROOT, all_text, name_of

import portable
import portable.testing
from portable import hookspecs
from portable.build.project import _KEYS
from portable.cli.parser import COMMANDS

REFERENCE = ROOT / "docs" / "reference"
TARGETS = ("aws", "gcp", "azure", "local")


def anchors_of(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    found = set()
    for line in re.findall(r"^#+ (.+)$", page.read_text("utf-8"), re.MULTILINE):
        text = re.sub(r"\[(.*?)\]\(.*?\)", r"\1", line).lower()
        found.add(re.sub(r"[^\w\- ]", "", text).replace(" ", "-"))
    return found


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"^```.*?^```", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    broken = []
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        path, _, anchor = link.partition("#")
        if "://" in link:
            continue
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors_of(target)):
            broken.append(link)
    assert broken == []


def test_every_page_is_in_the_index() -> None:
    index = ROOT / "docs" / "README.md"
    linked = {(index.parent / link).resolve() for link in re.findall(r"\]\(([^)#]+)\)", index.read_text("utf-8"))}
    pages = {page for page in PAGES if page.is_relative_to(index.parent) and page != index}
    assert sorted(name_of(page) for page in pages - linked) == []


@pytest.mark.parametrize("page", GENERATED, ids=name_of)
def test_data_is_as_the_code_has_it(page: Path) -> None:
    text = page.read_text("utf-8")
    assert text == written(text), "run: python tests/docs/generate.py"


def test_every_export_is_documented() -> None:
    text = (REFERENCE / "api.md").read_text("utf-8") + (REFERENCE / "errors.md").read_text("utf-8")
    exported = [*portable.__all__, *portable.testing.__all__, *hookspecs.__all__]
    assert [name for name in exported if not re.search(rf"`{name}\b", text)] == []


def test_every_method_of_a_portable_type_is_documented() -> None:
    text = (REFERENCE / "api.md").read_text("utf-8")
    missing = []
    kinds = (
        portable.App,
        portable.Bucket,
        portable.Cache,
        portable.Config,
        portable.Queue,
        portable.Secret,
        portable.Stream,
        portable.Table,
    )
    for kind in (*kinds, portable.Response, portable.Context):
        names = [name for name, value in vars(kind).items() if callable(value) and not name.startswith("_")]
        twins = {f"a{name}" for name in names}
        missing += [
            f"{kind.__name__}.{name}" for name in names if name not in twins and not re.search(rf"[`.]{name}\b", text)
        ]
    # Of the build, of drivers and of adapters: nothing an app calls.
    inner = {"App.collect", "App.functions", "App.start", "Bucket.driver", "Queue.driver", "Queue.same_as"}
    inner |= {"Cache.driver", "Cache.same_as", "Config.driver", "Config.same_as", "Secret.driver"}
    inner |= {"Sockets.driver", "Topic.driver", "Table.driver", "Table.same_as", "Table.decode_change"}
    inner |= {"Table.of_options", "Response.header_pairs"}
    assert sorted(set(missing) - inner) == []


def test_every_hook_is_documented() -> None:
    hooks = [name for name in vars(hookspecs) if name.startswith("portable_")]
    text = (ROOT / "docs" / "how-to" / "write-an-adapter.md").read_text("utf-8")
    assert hooks
    assert [name for name in hooks if name not in text] == []


def test_every_command_is_documented() -> None:
    text = (REFERENCE / "cli.md").read_text("utf-8")
    assert [name for name in COMMANDS if f"\n## portable {name}\n" not in text] == []


def test_every_setting_is_documented() -> None:
    text = (REFERENCE / "settings.md").read_text("utf-8")
    known = list(_KEYS)
    for target in TARGETS:
        settings = getattr(import_module(f"portable_{target}.build").TARGET, "known_settings", ())
        known += settings
        assert not settings or f"| `{target}` |" in text
    assert [name for name in known if f"| `{name}` |" not in text] == []


def test_every_variable_that_is_read_is_documented() -> None:
    text = (REFERENCE / "addresses.md").read_text("utf-8") + (REFERENCE / "container.md").read_text("utf-8")
    kinds = (
        "BUCKET",
        "QUEUE",
        "DEADLETTER",
        "BUCKETNAME",
        "BUCKETACCOUNT",
        "QUEUENAME",
        "QUEUEACCOUNT",
        "TABLEACCOUNT",
        "TABLEDATABASE",
        "TABLELEASES",
        "TABLENAME",
        "CACHE",
        "CONFIG",
        "SECRET",
        "SOCKETS",
        "STREAM",
        "STREAMNAME",
        "STREAMACCOUNT",
    )
    found = set()
    for folder in ("portable", "adapters"):
        for file in (ROOT / folder).rglob("*.py"):
            found |= set(re.findall(r"PORTABLE_[A-Z_]+[A-Z]", file.read_text("utf-8")))
    for kind in kinds:
        assert f"`PORTABLE_{kind}_<NAME>`" in text
    pairs = ("SUBSCRIPTION", "SUBSCRIPTIONDEADLETTER", "SUBSCRIPTIONNAME", "CONSUMERGROUP")
    assert all(re.search(f"`PORTABLE_{kind}_<(TOPIC|STREAM)>_<FUNCTION>`", text) for kind in pairs)
    named = tuple(f"PORTABLE_{kind}" for kind in (*kinds, *pairs))
    others = {name for name in found if name not in named and not name.startswith(tuple(f"{one}_" for one in named))}
    assert len(others) > 5
    assert sorted(name for name in others if f"`{name}`" not in text) == []


def test_every_event_source_is_documented() -> None:
    text = all_text()
    missing = []
    for target in TARGETS:
        samples = import_module(f"portable_{target}.samples").SAMPLES
        for kind in ("http", "message", "blob", "schedule", "direct"):
            missing += [source for source in samples.sources(kind) if f"`{source}`" not in text]
    assert missing == []


def test_the_tree_of_errors_is_the_modules_own() -> None:
    from portable import errors

    tree = re.findall(r"[├└]── (\w+)", errors.__doc__ or "")
    page = re.findall(r"[├└]── (\w+)", (REFERENCE / "errors.md").read_text("utf-8"))
    assert page == tree
