"""A template of Azure Resource Manager while it is made: resources by symbolic name, in language version 2.0.

https://learn.microsoft.com/azure/azure-resource-manager/templates/syntax#languageversion-20. Resources are a mapping
there, so what the user lays over one names it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from portable_azure.build.infrastructure.expressions import Call, Expression, Member, call, parse, plain, text, variable

__all__ = ["API", "Template", "every_call", "version_of"]

SCHEMA = "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#"

API: Mapping[str, str] = {
    "Microsoft.App": "2025-01-01",
    "Microsoft.Authorization": "2022-04-01",
    "Microsoft.Cache": "2025-07-01",
    "Microsoft.DocumentDB": "2024-11-15",
    "Microsoft.EventGrid": "2022-06-15",
    "Microsoft.EventHub": "2024-01-01",
    "Microsoft.Insights": "2020-02-02",
    "Microsoft.Insights/diagnosticSettings": "2021-05-01-preview",
    "Microsoft.KeyVault": "2023-07-01",
    "Microsoft.ManagedIdentity": "2023-01-31",
    "Microsoft.OperationalInsights": "2023-09-01",
    "Microsoft.Resources": "2024-03-01",
    "Microsoft.ServiceBus": "2024-01-01",
    "Microsoft.SignalRService": "2024-03-01",
    "Microsoft.Storage": "2023-05-01",
    "Microsoft.Web": "2024-04-01",
}
"""The version of each part of Azure's interface."""


def version_of(kind: str) -> str:
    """The version that a type goes by. Raises KeyError for one that is not made here."""
    return API.get(kind) or API[kind.partition("/")[0]]


class Template:
    """See the module.

    Attributes:
        tags: of every resource that takes them. metadata: said of the template.
    """

    def __init__(self, description: str, tags: Mapping[str, str]) -> None:
        self.tags = dict(tags)
        self.metadata: dict[str, Any] = {"description": description}
        self._parameters: dict[str, Any] = {}
        self._variables: dict[str, Any] = {}
        self._resources: dict[str, dict[str, Any]] = {}
        self._outputs: dict[str, Any] = {}
        self._ids: dict[tuple[str, str], str] = {}  # of the resources, by type and name

    def parameter(self, name: str, description: str, default: Any = None, *, secure: bool = False) -> Expression:
        """Declare a parameter of type string, which has to be given where there is no default. ``secure``: one that no
        record of a deployment shows.
        """
        said = {} if default is None else {"defaultValue": default}
        kind = "securestring" if secure else "string"
        self._parameters[name] = {"type": kind, **said, "metadata": {"description": description}}
        return call("parameters", name)

    def variable(self, name: str, value: Any) -> Expression:
        """Declare a variable."""
        self._variables[name] = value
        return variable(name)

    def output(self, name: str, value: Any, description: str) -> None:
        """Declare an output of type string."""
        self._outputs[name] = {"type": "string", "value": value, "metadata": {"description": description}}

    def __contains__(self, symbol: str) -> bool:
        return symbol in self._resources

    def kind_of(self, symbol: str) -> str:
        """The type of a resource."""
        kind: str = self._resources[symbol]["type"]
        return kind

    def name_of(self, symbol: str) -> Any:
        """The whole name of a resource."""
        return self._resources[symbol]["name"]

    def names_of(self, symbol: str) -> list[Any]:
        """The names of a resource and of those it is in, outermost first."""
        return _segments(self._resources[symbol]["name"])

    def is_there(self, symbol: str) -> bool:
        """Whether a resource is there already."""
        return bool(self._resources[symbol].get("existing"))

    def around(self, symbol: str) -> str:
        """The symbol of the outermost resource that one is in."""
        key = "/".join(self.kind_of(symbol).split("/")[:2]), repr([str(self.names_of(symbol)[0])])
        return next(known for known, one in self._resources.items() if _key(one["type"], one["name"]) == key)

    def id_of(self, symbol: str) -> Expression:
        """The id of a resource: of one within another, by the names of both."""
        resource = self._resources[symbol]
        return call("resourceId", resource["type"], *_segments(resource["name"]))

    def add(
        self, symbol: str, kind: str, name: Any, body: Mapping[str, Any], *, tagged: bool = False, located: bool = True
    ) -> str:
        """Declare a resource of its own, and give back its symbol."""
        made: dict[str, Any] = {"type": kind, "apiVersion": version_of(kind), "name": name}
        if located:
            made["location"] = call("parameters", "location")
        if tagged:
            made["tags"] = self.tags
        self._resources[symbol] = made | dict(body)
        return symbol

    def within(self, symbol: str, parent: str, kind: str, name: Any, body: Mapping[str, Any]) -> str:
        """Declare a resource within another. ``kind``: the last part of its type. Gives back its symbol."""
        outer = self._resources[parent]
        full = text("{0}/{1}", outer["name"], name)
        return self.add(symbol, f"{outer['type']}/{kind}", full, body, located=False)

    def there(self, symbol: str, kind: str, name: Any) -> str:
        """Declare a resource that is there already, and give back its symbol."""
        self._resources[symbol] = {"type": kind, "apiVersion": version_of(kind), "name": name, "existing": True}
        return symbol

    def on(self, symbol: str, scope: str, kind: str, name: Any, body: Mapping[str, Any]) -> str:
        """Declare a resource that extends another one (a role assignment), and give back its symbol."""
        return self.add(symbol, kind, name, {"scope": self.id_of(scope), **body}, located=False)

    def after(self, symbol: str, *others: str) -> None:
        """Make one resource wait for others that it does not refer to."""
        self._resources[symbol].setdefault("dependsOn", []).extend(others)

    def document(self) -> dict[str, Any]:
        """The template as JSON; each resource depends on those it refers to."""
        self._ids = {_key(one["type"], one["name"]): symbol for symbol, one in self._resources.items()}
        resources = {symbol: self._resource(symbol, one) for symbol, one in self._resources.items()}
        return {
            "$schema": SCHEMA,
            "languageVersion": "2.0",
            "contentVersion": "1.0.0.0",
            "metadata": self.metadata,
            "parameters": plain(self._parameters),
            "variables": plain(self._variables),
            "resources": resources,
            "outputs": plain(self._outputs),
        }

    def _resource(self, symbol: str, resource: Mapping[str, Any]) -> dict[str, Any]:
        made: dict[str, Any] = plain(dict(resource))
        needed = self._made(one for one in self._referred(resource) if one != symbol)
        if needed or "dependsOn" in made:
            made["dependsOn"] = sorted(needed | set(made.get("dependsOn", ())))
        return made

    def _made(self, symbols: Iterable[str]) -> set[str]:
        """These; of what is there already, what it is within."""
        found: set[str] = set()
        for symbol in symbols:
            resource = self._resources[symbol]
            found |= self._made(self._referred(resource)) if resource.get("existing") else {symbol}
        return found

    def _referred(self, resource: Mapping[str, Any]) -> Iterator[str]:
        ids = self._ids
        outer, _, _ = resource["type"].rpartition("/")
        segments = _segments(resource["name"])
        if len(segments) > 1 and (parent := ids.get((outer, repr(segments[:-1])))) is not None:
            yield parent
        for found in every_call(plain({key: one for key, one in resource.items() if key != "name"})):
            if found.name == "reference" and found.arguments[0] in self._resources:
                yield found.arguments[0]
            elif found.name == "resourceId":
                names = [_text_of(one) for one in found.arguments[1:]]
                symbol = ids.get((found.arguments[0], repr(names)))
                if symbol is not None:
                    yield symbol


def every_call(value: Any) -> Iterator[Call]:
    """Every call in the expressions of a template's JSON."""
    if isinstance(value, dict):
        for key, one in value.items():
            yield from every_call(key)  # an identity is a key, by its id
            yield from every_call(one)
    elif isinstance(value, list):
        for one in value:
            yield from every_call(one)
    elif isinstance(value, str):
        yield from _calls(parse(value))


def _calls(tree: Any) -> Iterator[Call]:
    if isinstance(tree, Call):
        yield tree
        for one in tree.arguments:
            yield from _calls(one)
    elif isinstance(tree, Member):
        yield from _calls(tree.of)
        yield from _calls(tree.name)


def _segments(name: Any) -> list[Any]:
    """The names of a resource within others, outermost first, as they were given."""
    if not isinstance(name, Expression):
        return [name]
    return [_expression(one) for one in _flat(parse(f"[{name}]"))]


def _flat(tree: Any) -> list[Any]:
    if isinstance(tree, Call) and tree.name == "format" and tree.arguments[0] == "{0}/{1}":
        return [*_flat(tree.arguments[1]), tree.arguments[2]]
    return [tree]


def _expression(tree: Any) -> Any:
    return Expression(_text_of(tree)) if isinstance(tree, (Call, Member)) else tree


def _text_of(tree: Any) -> Any:
    """The tree as an expression's text again; a text stays one."""
    if isinstance(tree, Call):
        return str(call(tree.name, *(_expression(one) for one in tree.arguments)))
    if isinstance(tree, Member):
        inner = _text_of(tree.of)
        return f"{inner}.{tree.name}" if isinstance(tree.name, str) else f"{inner}[{tree.name}]"
    return tree


def _key(kind: str, name: Any) -> tuple[str, str]:
    return kind, repr([str(one) for one in _segments(name)])
