"""Finding the route of a request: static paths in one dictionary, the rest in a tree of segments.

The raw path is split before it is decoded, so ``/a%2Fb`` is one segment wherever the cloud gives the raw path. Static
segments come before parameters, narrower converters before wider ones, ``path`` last. Cost does not grow with routes.
What no route answers goes to the mount with the longest prefix.
"""

from __future__ import annotations

from portable.errors import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from portable.http.mounts import Mounts
    from portable.triggers import HTTPRoute

    Leaf = dict[str, tuple[HTTPRoute, tuple[str, ...]]]

__all__ = ["Routes", "parse_path"]


def _is_int(text: str) -> bool:
    digits = text.removeprefix("-")
    return digits.isascii() and digits.isdigit()


def _is_float(text: str) -> bool:
    whole, _, fraction = (text.removeprefix("-")).partition(".")
    return (whole + fraction).isascii() and (whole + fraction).isdigit()


def _is_uuid(text: str) -> bool:
    parts = text.split("-")
    return [len(part) for part in parts] == [8, 4, 4, 4, 12] and all(
        character in "0123456789abcdefABCDEF" for part in parts for character in part
    )


CONVERTERS: dict[str, Callable[[str], bool] | None] = {
    "int": _is_int,
    "float": _is_float,
    "uuid": _is_uuid,
    "str": None,
    "path": None,
}
_ORDER = tuple(CONVERTERS)


def parse_path(path: str) -> list[tuple[str, str]]:
    """The segments of a declared path as ``(converter, name)``; a static segment has the converter ``""``.

    Raises ConfigError for a malformed one.
    """
    if "%" in path or "?" in path or "#" in path:
        raise ConfigError(f"path {path!r} holds a '%', '?' or '#': it is written decoded, and ends before the query")
    segments: list[tuple[str, str]] = []
    parts = path.split("/")[1:]
    for position, part in enumerate(parts):
        if "{" not in part and "}" not in part:
            segments.append(("", part))
            continue
        name, _, converter = part[1:-1].partition(":")
        converter = converter or "str"
        if part[0] != "{" or part[-1] != "}" or not name.isidentifier():
            raise ConfigError(f"path {path!r}: {part!r} must be a whole segment like {{name}} or {{name:int}}")
        if converter not in CONVERTERS:
            raise ConfigError(f"path {path!r}: unknown converter {converter!r}; there are {', '.join(CONVERTERS)}")
        if converter == "path" and position != len(parts) - 1:
            raise ConfigError(f"path {path!r}: {part!r} takes the rest of the path, so it must come last")
        if any(kind and known == name for kind, known in segments):
            raise ConfigError(f"path {path!r}: parameter {name!r} appears twice")
        segments.append((converter, name))
    return segments


class _Node:
    __slots__ = ("leaf", "params", "static", "tail")

    def __init__(self) -> None:
        self.static: dict[str, _Node] = {}
        self.params: list[tuple[str, Callable[[str], bool] | None, _Node]] = []
        self.leaf: Leaf = {}
        self.tail: Leaf = {}

    def child(self, converter: str, name: str) -> _Node:
        if not converter:
            return self.static.setdefault(name, _Node())
        for known, _, node in self.params:
            if known == converter:
                return node
        node = _Node()
        self.params.append((converter, CONVERTERS[converter], node))
        self.params.sort(key=lambda row: _ORDER.index(row[0]))
        return node


class Routes:
    """A table of routes. Raises ConfigError for two that answer the same requests, naming both places.

    ``mounts``: those among them, None where there are none.
    """

    __slots__ = ("_ends", "_root", "_static", "mounts")

    def __init__(self, routes: Iterable[HTTPRoute] = ()) -> None:
        self._static: dict[tuple[str, str], tuple[HTTPRoute, dict[str, str]]] = {}
        self._ends: dict[tuple[str, str], tuple[HTTPRoute, str, Callable[[str], bool] | None, list[Any]]] = {}
        self._root = _Node()
        self.mounts: Mounts | None = None
        for route in routes:
            self.add(route)

    def add(self, route: HTTPRoute) -> None:
        """Add a route, or a mount."""
        if route.method == "*":
            self._add_mount(route)
            return
        segments = parse_path(route.path)
        node = self._root
        leaf: Leaf | None = None
        for converter, name in segments:
            if converter == "path":
                leaf = node.tail
                break
            node = node.child(converter, name)
        if leaf is None:
            leaf = node.leaf
        other = leaf.get(route.method)
        if other is not None and other[0].method == route.method:
            raise ConfigError(
                f"{route.method} {route.path} at {route.where[0]}:{route.where[1]} answers the same requests as "
                f"{other[0].path} at {other[0].where[0]}:{other[0].where[1]}; remove one"
            )
        names = tuple(name for converter, name in segments if converter)
        leaf[route.method] = hit = (route, names)
        if route.method == "GET":
            leaf.setdefault("HEAD", hit)
        if not names:
            self._static[route.method, route.path] = (route, {})
            if route.method == "GET":
                self._static.setdefault(("HEAD", route.path), (route, {}))
        elif len(names) == 1 and segments[-1][0] not in ("", "path"):
            self._add_end(route, *segments[-1])

    def _add_end(self, route: HTTPRoute, converter: str, name: str) -> None:
        """Remember a route whose last segment is its one parameter, the commonest after static ones, by what is before.

        :meth:`find` takes it as long as that segment can be nothing else.
        """
        before = route.path.rpartition("/")[0]
        node = self._root
        for segment in before.split("/")[1:]:
            node = node.static[segment]
        end = (route, name, CONVERTERS[converter], node.params)
        self._ends[route.method, before] = end
        if route.method == "GET":
            self._ends.setdefault(("HEAD", before), end)

    def _add_mount(self, mount: HTTPRoute) -> None:
        if self.mounts is None:
            from portable.http.mounts import Mounts

            self.mounts = Mounts()
        self.mounts.add(mount)

    def find(self, method: str, raw_path: str) -> tuple[HTTPRoute, dict[str, str]] | None:
        """The route for a method and a raw path, with its parameters decoded; None when there is none.

        HEAD finds what GET finds, unless a route of the same path is declared for it. Percent signs that encode nothing
        stay as they are, and bytes that are not UTF-8 become U+FFFD.
        """
        hit = self._static.get((method, raw_path))
        if hit is not None:
            return hit
        before, _, last = raw_path.rpartition("/")
        end = self._ends.get((method, before))
        if end is not None and last and "%" not in last:
            route, name, fits, kinds = end
            if len(kinds) == 1 and (fits is None or fits(last)):
                return route, {name: last}
        segments = _segments(raw_path)
        values: list[str] = []
        found = _stride(self._root, segments, values, method)
        if found is None:
            values = []
            found = _walk(self._root, segments, 0, values, method)
        if found is None:
            mount = None if self.mounts is None else self.mounts.find(segments)
            return None if mount is None else (mount, {})
        route, names = found
        if len(names) == 1:
            return route, {names[0]: values[0]}
        return route, dict(zip(names, values, strict=True))

    def methods(self, raw_path: str) -> list[str]:
        """Every method this path answers, sorted, HEAD and OPTIONS among them; empty when the path is unknown."""
        methods: set[str] = set()
        _collect(self._root, _segments(raw_path), 0, methods)
        if methods:
            methods.add("OPTIONS")
        return sorted(methods)


def _segments(raw_path: str) -> list[str]:
    """The decoded segments; none for what does not start with a slash, and no route has none."""
    segments = raw_path.split("/")
    if segments.pop(0):
        return []
    if "%" in raw_path:
        from urllib.parse import unquote

        return [unquote(segment) for segment in segments]
    return segments


def _stride(
    node: _Node, segments: list[str], values: list[str], method: str
) -> tuple[HTTPRoute, tuple[str, ...]] | None:
    """The first choice at each segment, without ever stepping back: what :func:`_walk` finds, when this finds it."""
    for segment in segments:
        child = node.static.get(segment)
        if child is None:
            if not segment or not node.params:
                return None
            _, fits, child = node.params[0]
            if fits is not None and not fits(segment):
                return None
            values.append(segment)
        node = child
    return node.leaf.get(method)


def _walk(
    node: _Node, segments: list[str], position: int, values: list[str], method: str
) -> tuple[HTTPRoute, tuple[str, ...]] | None:
    if position == len(segments):
        return node.leaf.get(method)
    segment = segments[position]
    child = node.static.get(segment)
    if child is not None:
        found = _walk(child, segments, position + 1, values, method)
        if found is not None:
            return found
    if segment:
        for _, fits, child in node.params:
            if fits is None or fits(segment):
                values.append(segment)
                found = _walk(child, segments, position + 1, values, method)
                if found is not None:
                    return found
                values.pop()
    found = node.tail.get(method)
    if found is not None and (segment or position + 1 < len(segments)):
        values.append("/".join(segments[position:]))
        return found
    return None


def _collect(node: _Node, segments: list[str], position: int, methods: set[str]) -> None:
    if position == len(segments):
        methods.update(node.leaf)
        return
    segment = segments[position]
    child = node.static.get(segment)
    if child is not None:
        _collect(child, segments, position + 1, methods)
    if segment:
        for _, fits, child in node.params:
            if fits is None or fits(segment):
                _collect(child, segments, position + 1, methods)
    if node.tail and (segment or position + 1 < len(segments)):
        methods.update(node.tail)
