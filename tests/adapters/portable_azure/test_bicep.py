"""The Bicep that is written says what the JSON says, all of it: it is read by a reader of its own, which knows nothing
of how it was written, and both are brought to one form.

In that form a text with holes is ``("text", part, …)``, a resource's id ``("id", symbol)``, its properties
``("properties", symbol)``, a parameter or variable ``("name", name)``, a call ``("call", name, argument, …)``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from portable.build.deployment import Deployment
from portable.build.infrastructure import infrastructure_files
from portable_azure.build import TARGET
from portable_azure.build.infrastructure.expressions import Call, Member, parse

OUTER = ("type", "apiVersion", "existing", "name", "scope", "dependsOn", "condition")


def joined(parts: list[Any]) -> Any:
    """A text of parts: texts within are opened, and neighbours are one."""
    found: list[Any] = []
    for part in parts:
        for one in part[1:] if isinstance(part, tuple) and part[0] == "text" else (part,):
            if isinstance(one, str) and found and isinstance(found[-1], str):
                found[-1] += one
            elif one != "":
                found.append(one)
    if len(found) < 2:  # a text that is one expression is that expression
        return found[0] if found else ""
    return ("text", *found)


# --- from JSON


class Json:
    """A template's JSON in the one form."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self.resources = document["resources"]
        self.ids: dict[tuple[str, str], str] = {}
        for _ in range(3):  # names hold ids of what is named so itself
            self.ids = {(one["type"], repr(self.names(one["name"]))): symbol for symbol, one in self.resources.items()}
        self.parameters = {key: self.value(one) for key, one in document["parameters"].items()}
        self.variables = {key: self.value(one) for key, one in document["variables"].items()}
        self.outputs = {key: self.value(one) for key, one in document["outputs"].items()}
        self.description = document["metadata"]["description"]

    def names(self, name: str) -> list[Any]:
        tree, found = parse(name), list[Any]()
        while isinstance(tree, Call) and tree.arguments[0] == "{0}/{1}":
            found.insert(0, self.tree(tree.arguments[2]))
            tree = tree.arguments[1]
        return [self.tree(tree), *found]

    def value(self, value: Any) -> Any:
        if isinstance(value, Mapping):
            return {self.value(key): self.value(one) for key, one in value.items()}
        if isinstance(value, list):
            return [self.value(one) for one in value]
        return self.tree(parse(value)) if isinstance(value, str) else value

    def tree(self, tree: Any) -> Any:
        if isinstance(tree, Member):
            return ("member", self.tree(tree.of), self.tree(tree.name))
        if not isinstance(tree, Call):
            return tree
        arguments = [self.tree(one) for one in tree.arguments]
        if tree.name in ("parameters", "variables"):
            return ("name", arguments[0])
        if tree.name in ("true", "false", "null"):
            return {"true": True, "false": False, "null": None}[tree.name]
        if tree.name == "format":
            parts = re.split(r"\{(\d+)\}", tree.arguments[0])
            return joined([arguments[1 + int(one)] if at % 2 else one for at, one in enumerate(parts)])
        if tree.name == "concat":
            return joined(arguments)
        if tree.name == "reference" and arguments[0] in self.resources:
            return ("properties", arguments[0])
        if tree.name == "resourceId" and (key := (arguments[0], repr(arguments[1:]))) in self.ids:
            return ("id", self.ids[key])
        return ("call", tree.name, *arguments)

    def resource(self, symbol: str) -> dict[str, Any]:
        one = self.resources[symbol]
        found = {key: self.value(value) for key, value in one.items() if key not in OUTER}
        found |= {key: one.get(key) for key in ("type", "apiVersion")}
        scope, waits = self.value(one.get("scope")), set(one.get("dependsOn", ()))
        names = self.names(one["name"])
        return found | {"name": names, "scope": scope, "dependsOn": waits, "existing": bool(one.get("existing"))}


# --- from Bicep

TOKEN = re.compile(r"[ \t]*(?:(?P<line>\n)|(?P<number>-?\d+)|(?P<name>[A-Za-z_]\w*)|(?P<mark>[@{}()\[\].,:=]))")
ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "\\": "\\", "'": "'", "$": "$"}


class Bicep:
    """A file of Bicep in the same form."""

    def __init__(self, text: str) -> None:
        self.text, self.at = text, 0
        self.said: dict[str, dict[str, Any]] = {"param": {}, "var": {}, "output": {}, "resource": {}, "metadata": {}}
        # Names are known before they are declared.
        self.symbols = set(re.findall(r"^resource (\w+) '", text, re.MULTILINE))
        self.lines()
        while self.at < len(text):
            self.statement()
            self.lines()

    def next(self, wanted: str | None = None) -> tuple[str, Any]:
        start = re.compile(r"[ \t]*'").match(self.text, self.at)
        if start:
            self.at = start.end()
            return "text", self.quoted()
        found = TOKEN.match(self.text, self.at)
        assert found, f"no Bicep at {self.text[self.at : self.at + 60]!r}"
        self.at = found.end()
        kind = str(found.lastgroup)
        assert wanted in (None, found[kind]), f"{wanted!r} is missing at {self.text[self.at - 40 : self.at + 20]!r}"
        return kind, int(found[kind]) if kind == "number" else found[kind]

    def sees(self, mark: str) -> bool:
        return bool(re.compile(r"[ \t]*" + re.escape(mark)).match(self.text, self.at))

    def lines(self) -> None:
        while self.at < len(self.text) and self.sees("\n"):
            self.next("\n")

    def quoted(self) -> Any:
        parts: list[Any] = [""]
        while (letter := self.text[self.at]) != "'":
            self.at += 1
            if letter == "\\":
                parts[-1] += ESCAPES[self.text[self.at]]
                self.at += 1
            elif letter == "$" and self.text[self.at] == "{":
                self.at += 1
                parts += [self.value(), ""]
                self.next("}")
            else:
                assert letter != "\n"
                parts[-1] += letter
        self.at += 1
        return joined(parts)

    def value(self) -> Any:
        kind, found = self.next()
        if kind == "text" or kind == "number":
            return found
        if found == "{":
            return dict(self.pairs())
        if found == "[":
            return list(self.items())
        assert kind == "name", found
        if found in ("true", "false", "null"):
            return {"true": True, "false": False, "null": None}[found]
        value: Any = ("resource", found) if found in self.symbols else ("name", found)
        if self.sees("("):
            self.next("(")
            arguments = []
            while not self.sees(")"):
                arguments.append(self.value())
                if not self.sees(")"):
                    self.next(",")
            self.next(")")
            value = ("call", found, *arguments)
        while self.sees(".") or self.sees("["):
            if self.next()[1] == ".":
                value = self.member(value, self.next()[1])
            else:
                value = ("member", value, self.value())
                self.next("]")
        return value

    def member(self, value: Any, name: str) -> Any:
        if value[0] == "resource" and name in ("id", "properties"):
            return (name, value[1])
        return ("member", value, name)

    def pairs(self) -> Iterator[tuple[Any, Any]]:
        self.lines()
        while not self.sees("}"):
            key = self.next()[1]
            self.next(":")
            yield key, self.value()
            self.lines()
        self.next("}")

    def items(self) -> Iterator[Any]:
        self.lines()
        while not self.sees("]"):
            yield self.value()
            self.lines()
        self.next("]")

    def statement(self) -> None:
        described: dict[str, Any] = {}
        secure = False
        while self.sees("@"):
            self.next("@")
            decorator = self.value()
            if decorator[1] == "secure":
                secure = True
            else:
                described["metadata"] = {"description": decorator[2]}
            self.lines()
        word = self.next()[1]
        name = self.next()[1]
        if word in ("param", "output"):
            described["type"] = f"{'secure' if secure else ''}{self.next()[1]}"
        if word == "resource":
            described["type"], described["apiVersion"] = self.next()[1].split("@")
            described["existing"] = self.sees("existing")
            if described["existing"]:
                self.next("existing")
        if self.sees("="):
            self.next("=")
            described[{"param": "defaultValue"}.get(word, "value")] = self.value()
        assert name not in self.said[word]
        self.said[word][name] = described

    # --- what a compiler makes of it

    def named(self, symbol: str) -> list[Any]:
        said = self.said["resource"][symbol]["value"]
        outer = self.named(said["parent"][1]) if "parent" in said else []
        return [*outer, said["name"]]

    def resource(self, symbol: str) -> dict[str, Any]:
        one = self.said["resource"][symbol]
        body = {key: value for key, value in one["value"].items() if key not in ("parent", *OUTER)}
        scope = one["value"].get("scope")
        return body | {
            "type": one["type"],
            "apiVersion": one["apiVersion"],
            "existing": one["existing"],
            "name": self.named(symbol),
            "scope": None if scope is None else ("id", scope[1]),
            "dependsOn": self.waits(symbol) - {symbol},
        }

    def waits(self, symbol: str) -> set[str]:
        """What it names; and of what is there before, what that one names."""
        found = set()
        for one in symbols_in(self.said["resource"][symbol]["value"]):
            found |= self.waits(one) if self.said["resource"][one]["existing"] else {one}
        return found


def symbols_in(value: Any) -> Iterator[str]:
    if isinstance(value, tuple) and value[0] in ("resource", "id", "properties"):
        yield value[1]
    elif isinstance(value, Mapping):
        for key, one in value.items():
            yield from symbols_in(key)
            yield from symbols_in(one)
    elif isinstance(value, (tuple, list)):
        for one in value:
            yield from symbols_in(one)


# --- the two


def differences(document: Mapping[str, Any], text: str) -> list[str]:
    mine, read = Json(document), Bicep(text)
    found = []
    for what, one, other in (
        ("parameters", mine.parameters, read.said["param"]),
        ("variables", mine.variables, {key: one["value"] for key, one in read.said["var"].items()}),
        ("outputs", mine.outputs, read.said["output"]),
        ("description", mine.description, read.said["metadata"]["description"]["value"]),
        ("resources", sorted(mine.resources), sorted(read.said["resource"])),
    ):
        if one != other:
            found.append(f"{what}: {one} and {other}")
    for symbol in mine.resources:
        one, other = mine.resource(symbol), read.resource(symbol)
        found += [f"{symbol}.{key}" for key in sorted({*one, *other}) if one.get(key) != other.get(key)]
    return found


CASES: list[tuple[dict[str, Any], tuple[str, ...] | None]] = [
    ({}, None),
    ({"plan": "premium", "blob_source": "poll", "apps": "one"}, None),
    ({"image": "acme.azurecr.io/shop:1"}, ("http", "direct", "message", "schedule")),
]


@pytest.mark.parametrize(("settings", "only"), CASES, ids=["flex", "premium", "image"])
def test_bicep_and_json_are_one_document(
    deployed: Callable[..., Deployment], settings: dict[str, Any], only: tuple[str, ...] | None, tmp_path: Path
) -> None:
    (tmp_path / "infra").mkdir()
    (tmp_path / "infra" / "azure.yaml").write_text(
        "main.json:\n  resources:\n    logs:\n      tags: {cost: \"it's ${mine}, \\\\ and\\n'yours'\"}\n"
    )
    deployment = deployed(settings, {"http": {"min_instances": 1}}, **({} if only is None else {"only": only}))
    made = {path: content.decode() for path, content in infrastructure_files(TARGET, deployment, tmp_path).items()}
    for name in ("main", "events"):
        if f"infra/{name}.json" in made:
            assert differences(json.loads(made[f"infra/{name}.json"]), made[f"infra/{name}.bicep"]) == []


def test_a_difference_is_found(deployed: Callable[..., Deployment]) -> None:
    made = infrastructure_files(TARGET, deployed(), Path("/nowhere"))
    document, text = json.loads(made["infra/main.json"]), made["infra/main.bicep"].decode()
    changed = text.replace("allowSharedKeyAccess: false", "allowSharedKeyAccess: true", 1)
    assert differences(document, changed) == ["data.properties"]
    changed = text.replace("    serverFarmId: plan_http.id", "    serverFarmId: plan_make_thumbnail.id")
    assert differences(document, changed) == ["app_http.dependsOn", "app_http.properties"]
    document["resources"]["queue_emails"]["name"] = "[format('{0}/{1}/{2}', 'a', 'default', 'emails')]"
    assert "queue_emails.name" in differences(document, text)
