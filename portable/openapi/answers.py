"""The answers of an operation: what the handler declares, what is refused before it is called, and the rest."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any

from portable.errors import ConfigError
from portable.events import Response
from portable.http.answers import TITLES
from portable.http.parameters import Binding, place_of
from portable.http.shapes import declared_answer
from portable.openapi.parameters import examples_of
from portable.openapi.schemas import Schemas
from portable.signatures import MISSING, resolve_alias, split_annotated
from portable.triggers import HTTPRoute

__all__ = ["answers_of_route", "phrase_of"]

_UNIONS = ("UnionType", "_UnionGenericAlias", "Union")
_NO_CONTENT = (204, 205, 304)
_PROBLEM = "application/problem+json"
_REFUSED = {
    400: "Malformed JSON, or a query parameter, header or cookie that is missing or does not fit",
    401: "Who asks is not known",
    403: "Who asks may not do this",
    404: "Nothing is here",
    413: "The body is too large",
    415: "The body's content type is not the one taken",
    422: "The body does not fit its model",
}


def answers_of_route(
    route: HTTPRoute, bindings: list[Binding], schemas: Schemas, more: Mapping[int, str], *, secured: bool
) -> dict[str, Any]:
    """Responses by status; ``default`` is every other error, which has the same form wherever it comes from.

    ``more``: what stands before the handler answers with, and why.
    """
    answers: dict[str, Any] = {}
    for status, content in _declared(route, schemas):
        one = answers.setdefault(str(status), {"description": phrase_of(str(status))})
        if content and route.method != "HEAD":
            one.setdefault("content", {}).update(content)
    refusals = _refusals(bindings, secured)
    for status in sorted(refusals):
        answers.setdefault(str(status), _problem(route, schemas, _REFUSED[status]))
    for status, why in more.items():
        known = answers.get(str(status))
        answers[str(status)] = _problem(route, schemas, f"{known['description']}; or: {why}" if known else why)
    refusals |= more.keys()
    given = (route.documentation or {}).get("responses") or {}
    for wanted, meaning in given.items():
        code = _code(route, wanted)
        refused = code.isdigit() and int(code) in refusals
        answers[code] = _lay_over(route, answers.get(code), code, meaning, schemas, refused=refused)
    answers.setdefault("default", _problem(route, schemas, "Any other error"))
    return answers


def _problem(route: HTTPRoute, schemas: Schemas, description: str) -> dict[str, Any]:
    if route.method == "HEAD":
        return {"description": description}
    return {"description": description, "content": {_PROBLEM: {"schema": schemas.problem()}}}


def phrase_of(code: str) -> str:
    """What a status, or a class of them, is called."""
    if not code.isdigit():
        return "Any other error" if code == "default" else f"Status {code}"
    if int(code) in TITLES:
        return TITLES[int(code)]
    return HTTPStatus(int(code)).phrase if int(code) in list(HTTPStatus) else f"Status {code}"


def _code(route: HTTPRoute, wanted: Any) -> str:
    code = str(int(wanted)) if isinstance(wanted, int) else str(wanted)
    number = code.isdigit() and len(code) == 3 and "2" <= code[0] <= "5"
    if not number and code not in ("default", "2XX", "3XX", "4XX", "5XX"):
        raise ConfigError(f"{place_of(route)}: responses={{{wanted!r}: …}}: a status is 200 to 599, '4XX' or 'default'")
    return code


def _refusals(bindings: list[Binding], secured: bool) -> set[int]:
    """Statuses that a request which does not fit gets before the handler is called."""
    found = {401, 403} if secured else set()
    for binding in bindings:
        if binding.place == "path":
            found.add(404)
        elif binding.place in ("query", "header", "cookie"):
            required = not binding.many and binding.default is MISSING
            if required or binding.annotation is not str or binding.limits or binding.many_limits:
                found.add(400)
        elif binding.place == "body":
            found.add(413)
            if binding.annotation is not bytes:
                found |= {400, 415, 422}
        elif binding.place in ("form", "file"):
            found |= {400, 413, 415, 422}
    return found


def _declared(route: HTTPRoute, schemas: Schemas) -> Iterable[tuple[int, dict[str, Any]]]:
    """Each status the handler answers with, as far as its annotation says, and the content by media type."""
    annotation = declared_answer(route)
    status = route.status or 200
    if annotation is MISSING or (annotation is None and route.response_model is None):
        yield status, {}
        if route.status is None:
            yield 204, {}
        return
    for one in _members(annotation):
        if one is None or one is type(None):
            yield route.status or 204, {}
        elif status in _NO_CONTENT:
            yield status, {}
        else:
            yield status, _content(one, schemas)


def _members(annotation: Any) -> list[Any]:
    """The sorts of answers a type allows: each that has a media type of its own, and the rest as one union."""
    annotation = resolve_alias(annotation)
    if type(annotation).__name__ not in _UNIONS:
        return [annotation]
    alone = [one for one in annotation.__args__ if one is type(None) or _media_type(one) != "application/json"]
    rest: Any = None
    for one in annotation.__args__:
        if one not in alone:
            rest = one if rest is None else rest | one
    return alone if rest is None else [rest, *alone]


def _content(annotation: Any, schemas: Schemas) -> dict[str, Any]:
    media_type = _media_type(annotation)
    if not media_type:
        return {}
    if media_type != "application/json":
        binary = {"format": "binary"} if media_type == "application/octet-stream" else {}
        return {media_type: {"schema": {"type": "string", **binary}}}
    try:
        return {media_type: {"schema": schemas.of(annotation, "serialization")}}
    except TypeError:  # a class JSON knows nothing of: the handler's own Response, or a mistake it will answer 500 with
        return {media_type: {"schema": {}}}


def _media_type(annotation: Any) -> str:
    """What a value of this type is sent as; "" for a Response, which says so itself."""
    annotation = resolve_alias(split_annotated(resolve_alias(annotation))[0])
    if isinstance(annotation, type) and not hasattr(annotation, "__origin__"):
        if issubclass(annotation, Response):
            kind = getattr(annotation, "usual_media_type", "")
            return str(kind) if kind == "text/event-stream" else ""
        if issubclass(annotation, str):
            return "text/plain"
        if issubclass(annotation, (bytes, bytearray, memoryview)):
            return "application/octet-stream"
    return "application/json"


def _lay_over(
    route: HTTPRoute, known: dict[str, Any] | None, code: str, meaning: Any, schemas: Schemas, *, refused: bool
) -> dict[str, Any]:
    """One of the route's ``responses``, laid over what is known of that status."""
    known = known or (_problem(route, schemas, "") if code[0] in "45" else {})
    if isinstance(meaning, str) or meaning is None:
        return {**known, "description": meaning or known.get("description") or phrase_of(code)}
    if not isinstance(meaning, Mapping):
        meaning = {"model": meaning}
    more = dict(meaning)
    answer = {**known, "description": known.get("description") or phrase_of(code)}
    if "model" in more:
        model = more.pop("model")
        try:
            content = _content(model, schemas) if model is not None else {}
            # What is refused before the handler is called has our form, whatever the handler's own errors have.
            answer["content"] = {**known.get("content", {}), **content} if refused else content
        except TypeError as error:
            raise ConfigError(f"{place_of(route)}: responses={{{code}: …}}: {error}") from error
        if not known.get("description"):
            answer["description"] = phrase_of(code)
    examples = more.pop("examples", None)
    answer.update(more)
    if examples:
        for content in answer.get("content", {}).values():
            content["examples"] = examples_of(examples)
    return answer
