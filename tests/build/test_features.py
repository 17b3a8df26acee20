"""What an app declares and a target has not, said at build time with the file and line; and names in a cloud."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import portable
from portable.build import artifact
from portable.build.artifact import FindingsError
from portable.build.features import check_features, check_mounts, check_physical_names, served
from portable.build.project import Project
from portable.build.target import Finding
from portable.capabilities import ASKS, FEATURES, TRIGGER_ASKS, Naming, native, refused
from portable.cli import main
from portable.drivers import address_variable
from portable.manifest import Manifest, ResourceRecord, describe_app

ADAPTERS = ("local", "aws", "gcp", "azure")
CLOUDS = ("aws", "gcp", "azure")
UNNAMED = {"cache", "config", "http"}  # an address of a server that has others too; a value in the environment
names = st.from_regex(r"[a-z][a-z0-9-]{0,39}", fullmatch=True)


class Target:
    """As much of a target as these checks read."""

    name = "small"
    capabilities = {
        "queue": {
            "ordered": refused("it keeps no order", source="here", way_out="declare it without ordered=True"),
            "delay": native(source="here"),
        }
    }
    naming = {"queue": Naming("{name}-q", r"[a-z-]{1,8}", "1 to 8 letters and dashes", "here", also=("{name}-q-dead",))}


def manifest(*resources: ResourceRecord) -> Manifest:
    return Manifest("shop", "app:app", [], list(resources), models=False)


def queue(name: str = "a", **options: Any) -> ResourceRecord:
    return ResourceRecord("queue", name, {"max_attempts": 5, **options}, "app.py:7")


def features(*resources: ResourceRecord, target: Any = Target) -> list[Finding]:
    return list(check_features(manifest(*resources), target))


def physical_names(*resources: ResourceRecord, target: Any = Target) -> list[Finding]:
    return list(check_physical_names(manifest(*resources), target))


# --- options


def test_an_option_that_is_refused_has_its_reason_and_the_way_out() -> None:
    [found] = features(queue(ordered=True))
    assert (found.severity, found.where) == ("error", "app.py:7")
    assert found.message == "queue 'a', ordered=True: target small has none: it keeps no order"
    assert found.way_out == "declare it without ordered=True"


@pytest.mark.parametrize("value", [False, None, [], ""])
def test_an_option_that_asks_nothing_is_no_finding(value: Any) -> None:
    assert features(queue(ordered=value), queue()) == []


def test_an_option_that_is_given_is_no_finding() -> None:
    class Ordered(Target):
        capabilities = {"queue": {"ordered": native(source="here")}}

    assert features(queue(ordered=True), target=Ordered) == []


def test_a_feature_an_adapter_says_nothing_of_is_refused() -> None:
    class Silent(Target):
        capabilities: Any = {"queue": {}}

    [found] = features(queue(ordered=True), target=Silent)
    assert FEATURES["queue"]["ordered"] in found.message
    assert found.way_out == "leave ordered= out, or choose another target"


def test_a_kind_without_a_driver_is_refused() -> None:
    [found] = features(ResourceRecord("table", "users", {}, "app.py:3"))
    assert found == Finding(
        "error",
        "app.py:3",
        "table 'users': target small has no table; it has queue",
        "choose another target, or do without it",
    )


def test_a_target_that_says_nothing_is_not_asked() -> None:
    class Plain:
        name = "plain"

    assert features(queue(ordered=True), target=Plain) == []
    assert physical_names(queue("x" * 40), target=Plain) == []


def test_every_asked_option_is_one_of_its_type_and_names_a_feature() -> None:
    for kind, asks in ASKS.items():
        options = inspect.signature(getattr(portable, kind.capitalize()).__init__).parameters
        assert set(asks) <= set(options), kind
        assert set(asks.values()) <= set(FEATURES[kind]), kind


NEEDS_NOTHING = {"self", "name", "type", "_depth", "max_attempts", "large", "key", "sort", "indexes", "ttl", "default"}
NEEDS_NOTHING |= {"partitions", "table"}


@pytest.mark.parametrize("kind", [kind for kind in FEATURES if kind != "http"])
def test_an_option_asks_for_a_feature_or_is_known_to_need_none(kind: str) -> None:
    options = inspect.signature(getattr(portable, kind.capitalize()).__init__).parameters
    assert set(options) - NEEDS_NOTHING == set(ASKS.get(kind, {}))


class Table(Target):
    capabilities: Any = {
        "table": {
            "changes": native(source="here"),
            "change_old": native(source="here"),
            "change_delete": refused("it forgets", source="here"),
        }
    }


def test_a_trigger_that_is_refused_has_its_reason_and_place() -> None:
    app = portable.App("shop")
    users = app.table("users", dict, key="id")
    app.on_change(users, function="audit")(lambda change: None)
    whole = describe_app(app, "app:app", Path("/nowhere"))
    assert list(check_features(whole, Table())) == []
    app.on_change(users, function="old", old=True)(lambda change: None)
    whole = describe_app(app, "app:app", Path("/nowhere"))
    [found] = check_features(whole, Table())
    assert (
        found.message
        == "function 'old' takes a change of table 'users' with old=True; target small has none: it forgets"
    )
    assert found.where == whole.function("old").triggers[0].where
    assert found.way_out == "leave old= out, or choose another target"
    assert [one.name for one in served(whole, Table()).functions] == ["audit"]


def test_what_a_trigger_asks_for_are_features_of_its_resource() -> None:
    resources = {"change": "table", "stream": "stream", "socket": "sockets", "http": "http"}
    assert set(TRIGGER_ASKS) <= set(resources)
    for kind, asks in TRIGGER_ASKS.items():
        assert set().union(*asks.values()) <= set(FEATURES[resources[kind]])


# --- what the adapters say


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_capabilities_are_of_the_kinds_that_have_drivers(adapter: str) -> None:
    module = import_module(f"portable_{adapter}.capabilities")
    kinds = import_module(f"portable_{adapter}.platform").KINDS
    assert sorted(set(module.CAPABILITIES) - {"http"}) == sorted(kinds)
    assert import_module(f"portable_{adapter}.build").TARGET.capabilities is module.CAPABILITIES


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_every_feature_is_answered_with_its_source(adapter: str) -> None:
    for kind, given_features in import_module(f"portable_{adapter}.capabilities").CAPABILITIES.items():
        assert sorted(given_features) == sorted(FEATURES.get(kind, {})), kind
        for feature, capability in given_features.items():
            assert capability.source or capability.how == "portable", f"{kind} {feature} has no source"
            assert capability.note or capability.how == "native", f"{kind} {feature} does not say why or how"


# --- names


def test_a_name_the_cloud_refuses_is_refused_here() -> None:
    assert physical_names(queue("a")) == []
    [found] = physical_names(queue("a2"))
    assert (found.severity, found.where, found.way_out) == ("error", "app.py:7", "choose another name")
    assert found.message == "queue 'a2' would be called 'a2-q', which small refuses: 1 to 8 letters and dashes"


def test_names_that_would_meet_are_refused() -> None:
    class Meeting(Target):
        naming = {"queue": Naming("{name}", r".*", "anything", "here", also=("{name}-dead",))}

    [found] = physical_names(queue("a"), queue("a-dead"), target=Meeting)
    assert "queue 'a-dead' and queue 'a' (app.py:7) would both be called 'a-dead'" in found.message


@pytest.mark.parametrize("cloud", CLOUDS)
def test_every_kind_has_names(cloud: str) -> None:
    module = import_module(f"portable_{cloud}.capabilities")
    assert set(module.CAPABILITIES) - UNNAMED <= set(module.NAMES)
    for naming in module.NAMES.values():
        assert naming.says
        assert naming.source
        for shape in (naming.shape, *naming.also):
            assert shape.count("{name}") == 1


@pytest.mark.parametrize("cloud", CLOUDS)
@given(one=names, other=names, data=st.data())
def test_two_names_never_meet_in_a_cloud(cloud: str, one: str, other: str, data: st.DataObject) -> None:
    known = import_module(f"portable_{cloud}.capabilities").NAMES
    first, second = (data.draw(st.sampled_from(sorted(known))) for _ in range(2))
    space = {known[kind].space or kind for kind in (first, second)}
    # Names that are made of others: the hardest to keep apart.
    made = [physical[:40] for physical in known[first].every(one) if "_" not in physical]  # no name has one
    other = data.draw(st.sampled_from([other, *made]))
    if len(space) > 1 or (first, one) == (second, other):
        return
    assert not set(known[first].every(one)) & set(known[second].every(other))


@given(one=names, other=names, kinds=st.tuples(*[st.sampled_from([*FEATURES, "deadletter"])] * 2))
def test_two_names_never_share_a_variable(one: str, other: str, kinds: tuple[str, str]) -> None:
    same = (kinds[0], one) == (kinds[1], other)
    assert (address_variable(kinds[0], one) == address_variable(kinds[1], other)) is same


@pytest.mark.parametrize(
    ("cloud", "kind", "name"),
    [
        ("aws", "bucket", "xn--a"),
        ("gcp", "bucket", "google-photos"),
        ("gcp", "queue", "goog-a"),
        ("azure", "bucket", "a--b"),
        ("azure", "queue", "a-"),
    ],
)
def test_names_a_cloud_refuses(cloud: str, kind: str, name: str) -> None:
    target = import_module(f"portable_{cloud}.build").TARGET
    [found] = physical_names(ResourceRecord(kind, name, {}, "app.py:7"), target=target)
    assert (found.severity, found.where) == ("error", "app.py:7")
    assert target.naming[kind].says in found.message


@pytest.mark.parametrize("cloud", CLOUDS)
@given(name=st.from_regex(r"[a-z][a-z0-9]{0,39}", fullmatch=True).filter(lambda name: "goog" not in name))
def test_plain_names_are_taken_everywhere(cloud: str, name: str) -> None:
    for kind, naming in import_module(f"portable_{cloud}.capabilities").NAMES.items():
        assert naming.takes(name), kind


# --- through the command line

APP = """
from portable import App

app = App("shop")
orders = app.queue("orders", ordered=True)


@app.get("/")
def home() -> str:
    return "home"
"""


def test_a_build_is_refused_with_the_findings(make_project: Callable[..., Project]) -> None:
    from portable_aws.build import AWSTarget

    class Unordered(AWSTarget):
        capabilities = Target.capabilities

    project = make_project({"app.py": APP})
    with pytest.raises(FindingsError, match=r"app\.py:5: queue 'orders', ordered=True"):
        artifact.build(project, Unordered())
    assert not (project.root / "dist").exists()


def test_check_says_it_in_80_columns(
    make_project: Callable[..., Project], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from portable_aws.build import AWSTarget

    monkeypatch.setattr(AWSTarget, "capabilities", Target.capabilities)
    project = make_project({"app.py": APP})
    assert main(["check", "--target", "aws", "--project", str(project.root)]) == 1
    assert capsys.readouterr().out.splitlines() == [
        "shop on AWS Lambda: 1 function",
        "  http: 1 route, queue:orders",
        "error app.py:5: queue 'orders', ordered=True: target aws has none: it keeps no",
        "    order",
        "    → declare it without ordered=True",
    ]
    assert main(["build", "--target", "aws", "--project", str(project.root)]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert max(map(len, said.err.splitlines())) <= 80
    assert "error app.py:5: queue 'orders', ordered=True" in said.err
    assert not Path(project.root, "dist").exists()


def test_a_target_is_not_asked_about_functions_of_a_kind_it_has_not() -> None:
    app = portable.App("shop")
    app.on_message(app.topic("signups"), function="welcome")(lambda message: None)
    app.on_message(app.queue("jobs"), function="work")(lambda message: None)
    whole = describe_app(app, "app:app", Path("/nowhere"))
    assert [one.name for one in served(whole, Target()).functions] == ["work"]
    [found] = features(*whole.of_kind("topic"))
    assert found.message == "topic 'signups': target small has no topic; it has queue"


def test_what_a_mount_widens_is_said_with_its_place(tmp_path: Path) -> None:
    app = portable.App("shop")
    app.queue("orders-of-a-mount")
    app.mount("/old", _application)
    app.mount("/older", _application, function="older")
    app.get("/own")(lambda: None)
    found = list(check_mounts(describe_app(app, "app:app", tmp_path)))
    assert [one.severity for one in found] == ["info", "info"]
    assert found[0].message == "function 'http' holds the mount of /old, so it may use every resource, its 1 route too"
    assert found[1].message == "function 'older' holds the mount of /older, so it may use every resource"
    assert all(Path(__file__).name in one.where for one in found)
    bare = portable.App("bare")
    bare.mount("/old", _application)
    assert list(check_mounts(describe_app(bare, "app:app", tmp_path))) == []


async def _application(scope: Any, receive: Any, send: Any) -> None: ...
