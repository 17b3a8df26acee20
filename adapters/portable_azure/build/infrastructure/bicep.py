"""A template's JSON as Bicep, which is what people read: after the user's own part is laid over it.

https://learn.microsoft.com/azure/azure-resource-manager/bicep/file
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from portable.errors import ConfigError
from portable_azure.build.infrastructure.existing import DEPLOYMENTS
from portable_azure.build.infrastructure.expressions import Call, Member, parse
from portable_azure.build.infrastructure.template import every_call

__all__ = ["bicep"]

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_HELD = ("type", "apiVersion", "name", "existing", "condition", "dependsOn", "scope", "metadata")
_HOLE = re.compile(r"\{(\d+)\}")


def bicep(document: Mapping[str, Any]) -> str:
    """The same template in Bicep. Raises ConfigError for an expression that is none."""
    return _Writer(document).all()


class _Writer:
    def __init__(self, document: Mapping[str, Any]) -> None:
        self._document = document
        self._resources: Mapping[str, Mapping[str, Any]] = document.get("resources", {})
        self._symbols = {
            (one["type"].lower(), repr(_flat(parse(one["name"])))): symbol for symbol, one in self._resources.items()
        }
        for kind in ("parameters", "variables"):
            for name in document.get(kind, {}):
                if name in self._resources:
                    raise ConfigError(f"{name!r} is one of the {kind} and a resource: Bicep tells them apart by name")

    def all(self) -> str:
        blocks = []
        if said := self._document.get("metadata", {}).get("description"):
            blocks.append(f"metadata description = {_quoted(said)}")
        blocks += [self._parameter(name, one) for name, one in self._document.get("parameters", {}).items()]
        said = [f"var {name} = {self._value(one, 0)}" for name, one in self._document.get("variables", {}).items()]
        if said:
            blocks.append("\n".join(said))
        blocks += [self._resource(symbol, one) for symbol, one in self._resources.items()]
        blocks += [self._output(name, one) for name, one in self._document.get("outputs", {}).items()]
        return "\n\n".join(blocks) + "\n"

    def _described(self, one: Mapping[str, Any]) -> str:
        said = one.get("metadata", {}).get("description")
        return f"@description({_quoted(said)})\n" if said else ""

    def _parameter(self, name: str, one: Mapping[str, Any]) -> str:
        kind = one["type"]
        lead = self._described(one)
        if kind.startswith("secure"):
            kind, lead = kind.removeprefix("secure").lower(), f"{lead}@secure()\n"
        default = f" = {self._value(one['defaultValue'], 0)}" if "defaultValue" in one else ""
        return f"{lead}param {name} {kind}{default}"

    def _output(self, name: str, one: Mapping[str, Any]) -> str:
        return f"{self._described(one)}output {name} {one['type']} = {self._value(one['value'], 0)}"

    def _module(self, symbol: str, one: Mapping[str, Any]) -> str:
        """What is sent to another resource group, which is in a file of its own."""
        lines = [f"name: {self._value(one['name'], 1)}", f"scope: resourceGroup({_quoted(one['resourceGroup'])})"]
        given = {name: said["value"] for name, said in one["properties"]["parameters"].items()}
        lines.append(f"params: {self._object(given, 1)}")
        inner = "".join(f"\n  {line}" for line in lines)
        return f"module {symbol} '{symbol}.bicep' = {{{inner}\n}}"

    def _resource(self, symbol: str, one: Mapping[str, Any]) -> str:
        if one["type"] == DEPLOYMENTS:
            return self._module(symbol, one)
        there = " existing" if one.get("existing") else ""
        lines = []
        names = _flat(parse(one["name"]))
        outer = one["type"].rpartition("/")[0].lower()
        parent = self._symbols.get((outer, repr(names[:-1]))) if len(names) > 1 else None
        if parent is not None:
            lines += [f"parent: {parent}", f"name: {self._tree(names[-1])}"]
        else:
            lines.append(f"name: {self._value(one['name'], 1)}")
        implied = {symbol, parent, *self._implied(one)}
        if "scope" in one:
            scope = self._tree(parse(one["scope"]))
            lines.insert(0, f"scope: {scope.removesuffix('.id')}")
        for key, value in one.items():
            if key not in _HELD:
                lines.append(f"{_key(key)}: {self._value(value, 1)}")
        if waits := [known for known in one.get("dependsOn", ()) if known not in implied]:
            lines.append(f"dependsOn: {self._list(waits, 1, symbols=True)}")
        condition = f" if ({self._value(one['condition'], 0)})" if "condition" in one else ""
        inner = "".join(f"\n  {line}" for line in lines)
        return f"resource {symbol} '{one['type']}@{one['apiVersion']}'{there} ={condition} {{{inner}\n}}"

    def _implied(self, one: Mapping[str, Any]) -> set[str]:
        """The resources that the body of this one refers to, which Bicep makes it wait for by itself."""
        found = set()
        for made in every_call({key: value for key, value in one.items() if key != "name"}):
            if made.name == "reference" and isinstance(made.arguments[0], str):
                found.add(made.arguments[0])
            elif made.name == "resourceId" and (symbol := self._symbol(made)) is not None:
                found.add(symbol)
        return found

    def _symbol(self, made: Call) -> str | None:
        return self._symbols.get((str(made.arguments[0]).lower(), repr(list(made.arguments[1:]))))

    # --- values

    def _value(self, value: Any, depth: int) -> str:
        if isinstance(value, str):
            return self._tree(parse(value))
        if isinstance(value, bool):
            return str(value).lower()
        if value is None:
            return "null"
        if isinstance(value, Mapping):
            return self._object(value, depth)
        if isinstance(value, (list, tuple)):
            return self._list(value, depth)
        return str(value)

    def _object(self, value: Mapping[str, Any], depth: int) -> str:
        if not value:
            return "{}"
        inner, outer = "  " * (depth + 1), "  " * depth
        lines = [f"{inner}{self._key(key)}: {self._value(one, depth + 1)}" for key, one in value.items()]
        return "{\n" + "\n".join(lines) + f"\n{outer}}}"

    def _key(self, key: str) -> str:
        """A key may be an expression: of the identities of an app, by their ids."""
        tree = parse(key)
        if isinstance(tree, str):
            return _key(tree)
        written = self._tree(tree)
        return written if written.startswith("'") else f"'${{{written}}}'"

    def _list(self, value: Any, depth: int, *, symbols: bool = False) -> str:
        if not value:
            return "[]"
        inner, outer = "  " * (depth + 1), "  " * depth
        written = [one if symbols else self._value(one, depth + 1) for one in value]
        return "[\n" + "\n".join(f"{inner}{one}" for one in written) + f"\n{outer}]"

    def _tree(self, tree: Any) -> str:
        if isinstance(tree, str):
            return _quoted(tree)
        if isinstance(tree, Member):
            if isinstance(tree.name, str):
                return f"{self._tree(tree.of)}.{tree.name}"
            return f"{self._tree(tree.of)}[{self._tree(tree.name)}]"
        if isinstance(tree, Call):
            return self._call(tree)
        return str(tree)

    def _call(self, made: Call) -> str:
        name, arguments = made.name, made.arguments
        if name in ("parameters", "variables"):
            return str(arguments[0])
        if name in ("true", "false", "null"):
            return name
        if name in ("format", "concat"):
            form = arguments[0] if name == "format" else "".join(f"{{{at}}}" for at in range(len(arguments)))
            return self._interpolated(form, arguments[1:] if name == "format" else arguments)
        if name == "reference" and arguments[0] in self._resources:
            return arguments[0] if "full" in arguments[1:] else f"{arguments[0]}.properties"
        if name == "resourceId" and (symbol := self._symbol(made)) is not None:
            return f"{symbol}.id"
        return f"{name}({', '.join(self._tree(one) for one in arguments)})"

    def _interpolated(self, form: str, arguments: tuple[Any, ...]) -> str:
        parts, at = [], 0
        for hole in _HOLE.finditer(form):
            parts.append(_escaped(form[at : hole.start()]))
            one = self._tree(arguments[int(hole[1])])
            # A text within a text is the same text.
            parts.append(one[1:-1] if one.startswith("'") and _is_text(one) else f"${{{one}}}")
            at = hole.end()
        return "'" + "".join(parts) + _escaped(form[at:]) + "'"


def _flat(tree: Any) -> list[Any]:
    """The names of a resource within others, outermost first."""
    if isinstance(tree, Call) and tree.name == "format" and tree.arguments[0] == "{0}/{1}":
        return [*_flat(tree.arguments[1]), tree.arguments[2]]
    return [tree]


def _is_text(written: str) -> bool:
    """Whether this is one text, and not an expression that starts and ends with texts."""
    return written.endswith("'") and re.fullmatch(r"'(?:[^'\\]|\\.)*'", written) is not None


def _key(key: str) -> str:
    return key if _NAME.fullmatch(key) else _quoted(key)


def _quoted(text: str) -> str:
    return f"'{_escaped(text)}'"


def _escaped(text: str) -> str:
    return (
        text.replace("\\", "\\\\")
        .replace("'", "\\'")
        .replace("\n", "\\n")
        .replace("\r", "\\r")
        .replace("\t", "\\t")
        .replace("${", "\\${")
    )
