"""The OpenAPI document of an app: valid by others' judgement, and saying what the app does."""

from __future__ import annotations

import copy
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Generic, TypeVar

import jsonschema
import msgspec
import pydantic
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from portable import App, ConfigError, Depends, EventStream, Request, Response, Router, idempotent
from portable import Path as PathMarker
from portable.build.description import imported_app
from portable.build.project import find_project
from portable.openapi import make_document, project_info
from portable.security import APIKey, RateLimit
from portable.testing import TestClient

T = TypeVar("T")


class Rows(msgspec.Struct, Generic[T]):
    rows: list[T]


EXAMPLES = Path(__file__).parent.parent.parent / "examples"


def check(document: dict[str, Any]) -> None:
    assert [str(error) for error in OpenAPIV31SpecValidator(document).iter_errors()] == []


def resolve(document: dict[str, Any], part: Any) -> Any:
    """``part``, or what its ``$ref`` points at."""
    while "$ref" in part:
        found: Any = document
        for name in part["$ref"].removeprefix("#/").split("/"):
            found = found[name]
        part = found
    return part


def operation(document: dict[str, Any], route: str) -> dict[str, Any]:
    method, path = route.split()
    found: dict[str, Any] = document["paths"][path][method.lower()]
    return found


def parameters(document: dict[str, Any], route: str) -> dict[str, dict[str, Any]]:
    return {f"{one['in']} {one['name']}": one for one in operation(document, route)["parameters"]}


def content(document: dict[str, Any], route: str, status: str = "200") -> dict[str, Any]:
    answer = resolve(document, operation(document, route)["responses"][status])
    return answer.get("content", {})


def body(document: dict[str, Any], route: str) -> dict[str, Any]:
    found: dict[str, Any] = operation(document, route)["requestBody"]
    return found


# --- the whole


def test_the_document_of_every_kind_of_route_is_valid(document: dict[str, Any]) -> None:
    check(document)
    assert document["openapi"] == "3.1.0"
    assert document["info"] == {"title": "Wide", "version": "2.1", "contact": {"name": "us"}}
    assert document["tags"] == [{"name": "trees"}]


@pytest.mark.parametrize("name", sorted(path.parent.name for path in EXAMPLES.glob("*/app.py")))
def test_the_document_of_an_example_is_valid(name: str) -> None:
    project = find_project(EXAMPLES / name)
    with imported_app(project) as app:
        document = make_document(app, project_info(project.document))
    check(document)
    assert document["paths"]


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    def walk(part: Any) -> None:
        if isinstance(part, dict):
            if "$ref" in part:
                resolve(document, part)
            for one in part.values():
                walk(one)
        elif isinstance(part, list):
            for one in part:
                walk(one)

    walk(document)


def test_it_is_made_anew_each_time_and_is_the_same(wide: Any, document: dict[str, Any]) -> None:
    before = copy.deepcopy(document)
    assert make_document(wide.app, {"version": "2.1"}) == before == document


def test_every_route_is_there_but_the_hidden_one(document: dict[str, Any]) -> None:
    assert "/hidden" not in document["paths"]
    assert set(document["paths"]["/both"]) == {"get", "put"}
    assert set(document["paths"]["/trees/{number}"]) == {"delete"}


def test_an_app_without_routes() -> None:
    document = make_document(App("empty"))
    check(document)
    assert document == {"openapi": "3.1.0", "info": {"title": "empty", "version": "0.1.0"}, "paths": {}}


# --- operations


def test_what_is_said_of_an_operation(document: dict[str, Any]) -> None:
    tree = operation(document, "GET /trees/{number}/{name}")
    assert (tree["operationId"], tree["summary"], tree["tags"]) == ("get_tree", "Get tree", ["trees"])
    assert tree["description"] == "Get a tree.\n\nWith all its branches."
    pet = operation(document, "PUT /pets")
    assert (pet["operationId"], pet["summary"], pet["description"]) == ("changePet", "Change a pet", "Any pet.")
    assert pet["deprecated"] is True


def test_operation_ids_are_told_apart(document: dict[str, Any]) -> None:
    ids = [one["operationId"] for item in document["paths"].values() for one in item.values()]
    assert len(ids) == len(set(ids))
    assert document["paths"]["/both"]["get"]["operationId"] == "both_get"
    app = App("same")
    for prefix in ("/a", "/b"):
        router = Router(prefix)

        @router.get("/{id}")
        def show(id: int) -> None: ...

        app.include(router)
    paths = make_document(app)["paths"]
    assert [paths[path]["get"]["operationId"] for path in ("/a/{id}", "/b/{id}")] == ["show_get_a_id", "show_get_b_id"]


def test_one_operation_id_twice_is_refused() -> None:
    app = App("same")
    for path in ("/a", "/b"):

        @app.get(path, operation_id="same")
        def show() -> None: ...

    with pytest.raises(ConfigError, match=r"'same' is there 2 times: GET /a at .*test_document.py"):
        make_document(app)


def test_an_unknown_option_is_refused_by_name() -> None:
    with pytest.raises(ConfigError, match="a route has no option 'sumary'"):
        App("typo").get("/", sumary="x")  # type: ignore[call-arg]


def test_paths_that_differ_in_names_or_converters_alone() -> None:
    app = App("items")

    @app.get("/items/{item}")
    def by_name(item: str) -> None: ...

    @app.get("/items/{number:int}")
    def by_number(number: int) -> None: ...

    @app.delete("/items/{which}")
    def delete(which: str) -> None: ...

    @app.get("/same/{a:int}")
    def one(a: int) -> None: ...

    @app.get("/same/{a}")
    def other(a: str) -> None: ...

    document = make_document(app)
    check(document)
    assert {path: sorted(item) for path, item in document["paths"].items()} == {
        "/items/{item}": ["delete", "get"],
        "/items/{number}": ["get"],
        "/same/{a}": ["get"],
        "/same/{a_str}": ["get"],
    }
    assert parameters(document, "DELETE /items/{item}").keys() == {"path item"}
    assert parameters(document, "GET /same/{a_str}").keys() == {"path a_str"}


def test_an_app_and_a_route_lay_their_own_over_it() -> None:
    app = App("mine", openapi={"info": {"title": "Mine"}, "servers": [{"url": "https://a.example"}]})

    @app.post("/", openapi={"requestBody": {"content": {"application/octet-stream": None, "image/png": {}}}, "x-a": 1})
    def send(body: bytes) -> None: ...

    document = make_document(app)
    check(document)
    assert document["servers"] == [{"url": "https://a.example"}]
    assert body(document, "POST /") == {"required": False, "content": {"image/png": {}}}
    assert operation(document, "POST /")["x-a"] == 1
    assert make_document(app, servers=["http://b"])["servers"] == [{"url": "http://b"}]


def test_what_is_laid_over_is_not_changed() -> None:
    given = {"parameters": [{"name": "n", "in": "path", "required": True, "schema": {"type": "string"}}]}
    app = App("mine", openapi={"tags": [{"name": "a"}]})
    app.get("/x/{m}", openapi={"x-b": {"c": 1}})(lambda m: None)
    app.put("/x/{n}", openapi=given)(lambda n: None)
    document = make_document(app)
    check(document)
    assert parameters(document, "PUT /x/{m}").keys() == {"path m"}
    assert given["parameters"][0]["name"] == "n"
    document["tags"].append({"name": "b"})
    assert make_document(app)["tags"] == [{"name": "a"}]
    ids = [operation(document, f"{method} /x/{{m}}")["operationId"] for method in ("GET", "PUT")]
    assert ids == ["get_x_m", "put_x_n"]


# --- parameters


def test_parameters_of_every_kind(document: dict[str, Any]) -> None:
    found = parameters(document, "GET /trees/{number}/{name}")
    schemas = {name: one["schema"] for name, one in found.items()}
    assert list(found)[:2] == ["path number", "path name"]
    assert schemas["path number"] == {"type": "integer"}
    assert schemas["path name"] == {"type": "string", "maxLength": 20}
    assert found["path name"]["description"] == "Of the tree"
    assert schemas["query colour"] == {"$ref": "#/components/schemas/Colour", "default": "red"}
    assert resolve(document, schemas["query size"])["enum"] == [1, 2]
    assert schemas["query kind"] == {"enum": ["fir", "oak"], "default": "oak"}
    assert schemas["query limit"] == {"type": "integer", "minimum": 1, "maximum": 100, "default": 10}
    assert found["query limit"]["examples"] == {"1": {"value": 5}}
    assert schemas["query ratio"] == {
        "type": "number",
        "exclusiveMinimum": 0,
        "exclusiveMaximum": 1,
        "default": 0.5,
    }
    assert schemas["query tags"] == {"type": "array", "items": {"type": "string", "maxLength": 5}, "maxItems": 3}
    assert schemas["query since"] == {"type": "string", "format": "date"}
    assert (schemas["query user-id"], found["query user-id"]["deprecated"]) == ({"type": "integer"}, True)
    assert schemas["header x-trace"] == {"type": "string", "format": "uuid"}
    assert schemas["header x-list"] == {"type": "array", "items": {"type": "integer"}}
    assert found["cookie session"]["description"] == "A session"
    assert {name for name, one in found.items() if one["required"]} == {"path number", "path name"}


def test_parameters_of_dependencies_are_there(document: dict[str, Any]) -> None:
    found = parameters(document, "POST /trees/")
    assert found["query page"]["schema"] == {"type": "integer", "minimum": 1, "maximum": 100, "default": 1}


def test_a_model_of_the_query_is_its_fields(document: dict[str, Any]) -> None:
    found = parameters(document, "GET /found")
    assert {name: one["schema"] for name, one in found.items()} == {
        "query owner-name": {"type": "string"},
        "query at-most": {"type": "integer", "minimum": 1, "maximum": 50, "default": 10},
        "query colours": {"type": "array", "items": {"$ref": "#/components/schemas/Colour"}},
        "query since": {"anyOf": [{"type": "string", "format": "date"}, {"type": "null"}]},
    }
    assert {name for name, one in found.items() if one["required"]} == {"query owner-name"}
    ordered = parameters(document, "GET /sorted")
    assert ordered["query max"]["schema"] == {"exclusiveMinimum": 0, "type": "integer", "default": 10}
    assert ordered["query by"]["schema"]["enum"] == ["name", "age"]
    assert not any(one["required"] for one in ordered.values())


def test_a_path_parameter_nobody_takes(document: dict[str, Any]) -> None:
    assert parameters(document, "GET /files/{rest}") == {
        "path rest": {"name": "rest", "in": "path", "required": True, "schema": {"type": "string"}}
    }


def paged(page: int = 1) -> int:
    return page


def test_one_parameter_asked_for_twice_is_there_once() -> None:
    app = App("twice")

    @app.get("/")
    def home(page: int, again: Annotated[int, Depends(paged)]) -> None: ...

    (page,) = operation(make_document(app), "GET /")["parameters"]
    assert (page["name"], page["required"]) == ("page", True)


# --- bodies


def test_bodies(document: dict[str, Any]) -> None:
    assert body(document, "POST /trees/")["content"]["application/json"]["schema"] == {
        "$ref": "#/components/schemas/Node"
    }
    assert body(document, "POST /trees/")["required"] is True
    words = body(document, "POST /words")["content"]["application/json"]["schema"]
    assert words == {"type": "array", "items": {"type": "string", "maxLength": 9}, "maxItems": 5}
    maybe = body(document, "POST /maybe")
    assert maybe["required"] is False
    assert {"type": "null"} in maybe["content"]["application/json"]["schema"]["anyOf"]
    assert body(document, "POST /raw")["content"] == {
        "application/octet-stream": {"schema": {"type": "string", "format": "binary"}}
    }


def test_examples_of_a_body(document: dict[str, Any]) -> None:
    assert body(document, "POST /trees/")["content"]["application/json"]["examples"] == {
        "small": {"summary": "One node", "value": {"name": "a"}}
    }
    app = App("examples")

    class Item(msgspec.Struct):
        id: int

    @app.post("/", examples=[Item(1), {"id": 2}])
    def send(body: dict[str, int]) -> None: ...

    examples = body_examples(make_document(app))
    assert examples == {"1": {"value": {"id": 1}}, "2": {"value": {"id": 2}}}


def body_examples(document: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = body(document, "POST /")["content"]["application/json"]["examples"]
    return found


def test_forms_and_files(document: dict[str, Any]) -> None:
    form = body(document, "POST /form")["content"]
    assert set(form) == {"application/x-www-form-urlencoded", "multipart/form-data"}
    assert form["multipart/form-data"]["schema"] == {
        "type": "object",
        "properties": {"title": {"type": "string", "minLength": 1}, "count": {"type": "integer", "default": 1}},
        "required": ["title"],
    }
    fields = body(document, "POST /fields")["content"]["multipart/form-data"]["schema"]
    assert fields == {"$ref": "#/components/schemas/Fields"}
    upload = body(document, "POST /upload")["content"]
    assert list(upload) == ["multipart/form-data"]
    assert upload["multipart/form-data"]["schema"]["properties"]["file"] == {"type": "string", "format": "binary"}


# --- models


def test_recursive_and_nested_models_are_components(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    assert schemas["Node"]["description"] == "A node of a tree."
    assert schemas["Node"]["properties"]["name"] == {
        "type": "string",
        "minLength": 1,
        "description": "What it is called",
        "examples": ["root"],
    }
    assert schemas["Node"]["properties"]["children"]["items"] == {"$ref": "#/components/schemas/Node"}
    assert schemas["Page_Node_"]["properties"]["rows"]["items"] == {"$ref": "#/components/schemas/Node"}
    assert schemas["Named"]["required"] == ["name"]
    row = schemas["Row"]["properties"]
    assert row["made"]["anyOf"][0] == {"type": "string", "format": "date-time"}
    assert row["at"]["anyOf"][0] == {"type": "string", "format": "time"}
    assert row["price"]["type"] == ["string", "number"]


def test_unions_have_a_discriminator(document: dict[str, Any]) -> None:
    schema = body(document, "PUT /pets")["content"]["application/json"]["schema"]
    assert schema["discriminator"]["propertyName"] == "type"
    assert set(schema["discriminator"]["mapping"]) == {"cat", "dog"}


def test_pydantic_models_as_they_are(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    person = schemas["Person-Input"]
    assert person["properties"]["firstName"]["maxLength"] == 10
    assert person["examples"] == [{"id": "1", "firstName": "Ann", "addresses": []}]
    assert schemas["Team"]["properties"]["lead"] == {"$ref": "#/components/schemas/Person-Input"}
    assert schemas["Team"]["properties"]["extra"] == {"type": "object", "additionalProperties": {}, "default": {}}
    assert content(document, "POST /people")["application/json"]["schema"] == {
        "$ref": "#/components/schemas/Person-Output"
    }


def test_one_name_in_two_libraries_is_two_components() -> None:
    model = pydantic.create_model("Item", id=(int, ...))
    other = msgspec.defstruct("Item", [("name", str)])
    app = App("clash")

    def take(body: Any) -> Any: ...

    take.__annotations__ = {"body": model, "return": other}
    app.post("/")(take)
    document = make_document(app)
    check(document)
    sent = resolve(document, body(document, "POST /")["content"]["application/json"]["schema"])
    given = resolve(document, content(document, "POST /")["application/json"]["schema"])
    assert (set(sent["properties"]), set(given["properties"])) == ({"id"}, {"name"})


def test_one_name_in_two_modules_is_two_components() -> None:
    first = msgspec.defstruct("Item", [("a", int)], module="shop.first")
    second = msgspec.defstruct("Item", [("b", int)], module="shop.second")
    app = App("clash")

    def take(body: Any) -> Any: ...

    take.__annotations__ = {"body": first, "return": second}
    app.post("/")(take)
    document = make_document(app)
    check(document)
    assert set(document["components"]["schemas"]) >= {"shop.first.Item", "shop.second.Item"}


def test_the_apps_own_problem_keeps_its_name(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    assert set(schemas["Problem"]["properties"]) == {"reason"}
    assert set(schemas["ProblemDetails"]["required"]) == {"type", "title", "status"}


# --- answers


def test_answers_by_type(document: dict[str, Any]) -> None:
    assert list(content(document, "GET /text")) == ["text/plain"]
    assert list(content(document, "POST /raw")) == ["application/octet-stream"]
    assert set(content(document, "GET /choice")) == {"application/json", "text/plain"}
    assert content(document, "GET /whatever") == {}
    assert set(operation(document, "GET /untold")["responses"]) == {"200", "204", "default"}
    assert set(operation(document, "PUT /pets")["responses"]) >= {"200", "204"}
    assert content(document, "GET /both")["application/json"]["schema"] == {"$ref": "#/components/schemas/Cat"}
    assert "201" in operation(document, "POST /trees/")["responses"]
    fell = operation(document, "DELETE /trees/{number}")["responses"]
    assert "200" not in fell
    assert fell["204"] == {"description": "No Content"}


def test_what_is_refused_is_documented_as_a_problem(document: dict[str, Any]) -> None:
    wanted = {
        "GET /trees/{number}/{name}": {"200", "400", "404", "409", "503", "default"},
        "POST /people": {"200", "400", "413", "415", "422", "default"},
        "POST /raw": {"200", "413", "default"},
        "GET /text": {"200", "default"},
        "DELETE /trees/{number}": {"204", "401", "403", "404", "default"},
    }
    assert {route: set(operation(document, route)["responses"]) for route in wanted} == wanted
    for status in ("400", "413", "415", "422", "default"):
        assert list(content(document, "POST /people", status)) == ["application/problem+json"]


def test_answers_a_route_declares(document: dict[str, Any]) -> None:
    route = "GET /trees/{number}/{name}"
    answers = operation(document, route)["responses"]
    assert set(content(document, route, "404")) == {"application/json", "application/problem+json"}
    assert answers["409"]["description"] == "It is being changed"
    assert list(content(document, route, "409")) == ["application/problem+json"]
    assert answers["503"]["description"] == "Later"


def test_answers_with_examples_headers_and_classes_of_statuses() -> None:
    app = App("answers")
    headers = {"x-total": {"schema": {"type": "integer"}}}

    @app.get("/", responses={200: {"examples": [{"a": 1}], "headers": headers}, "4XX": "Wrong", 302: None})
    def home() -> dict[str, int]: ...

    document = make_document(app)
    check(document)
    answers = operation(document, "GET /")["responses"]
    assert answers["200"]["content"]["application/json"]["examples"] == {"1": {"value": {"a": 1}}}
    assert answers["200"]["headers"] == headers
    assert (answers["4XX"]["description"], answers["302"]) == ("Wrong", {"description": "Found"})


@pytest.mark.parametrize("status", [600, 99, "soon"])
def test_a_status_that_is_none_is_refused(status: Any) -> None:
    app = App("answers")

    @app.get("/", responses={status: "x"})
    def home() -> None: ...

    with pytest.raises(ConfigError, match=r"GET / at .*: responses=.*: a status is 200 to 599"):
        make_document(app)


def test_our_problems_fit_their_schema(wide: Any, document: dict[str, Any]) -> None:
    schema = document["components"]["schemas"]["ProblemDetails"]
    with TestClient(wide.app) as client:
        answers = [
            client.get("/trees/1/name?limit=0"),
            client.get("/trees/x/name"),
            client.post("/people", json={"id": "1"}),
            client.post("/people", body=b"x", headers={"content-type": "text/plain"}),
            client.get("/nowhere"),
        ]
    assert [answer.status for answer in answers] == [400, 404, 422, 415, 404]
    for answer in answers:
        jsonschema.validate(answer.json(), schema)


# --- security


def test_security_of_dependencies(document: dict[str, Any]) -> None:
    assert document["components"]["securitySchemes"] == {
        "authorization": {"type": "http", "scheme": "bearer"},
        "x-key": {"type": "apiKey", "in": "header", "name": "X-Key"},
    }
    assert operation(document, "DELETE /trees/{number}")["security"] == [{"authorization": ["write"]}]
    assert operation(document, "POST /trees/")["security"] == [{"x-key": []}]
    assert "security" not in operation(document, "GET /text")


def test_several_schemes_are_asked_for_together_and_one_name_is_one_scheme(wide: Any) -> None:
    app = App("both")

    @app.get("/", dependencies=[Depends(wide.bearer), Depends(wide.api_key)])
    def home() -> None: ...

    document = make_document(app)
    check(document)
    assert operation(document, "GET /")["security"] == [{"authorization": ["write"], "x-key": []}]

    other = wide.Key("x-key", "v", {"type": "http", "scheme": "basic"})

    @app.get("/other", dependencies=[Depends(other)])
    def more() -> None: ...

    with pytest.raises(ConfigError, match="two different security schemes are both called 'x-key'"):
        make_document(app)


def test_a_guard_around_the_whole_app() -> None:
    app = App("guarded")
    app.middleware(APIKey(lambda key: None, except_paths=["/health"]))

    @app.get("/")
    def home() -> None: ...

    @app.get("/health")
    def health() -> None: ...

    document = make_document(app)
    check(document)
    (name,) = document["components"]["securitySchemes"]
    assert operation(document, "GET /")["security"] == [{name: []}]
    assert "security" not in operation(document, "GET /health")
    assert {"401", "403"} <= set(operation(document, "GET /")["responses"])


def test_limits_and_keys_of_requests_are_told() -> None:
    app = App("told")
    limits, seen = app.cache("limits"), app.table("seen", key="id", ttl="ends")
    app.middleware(RateLimit(limits, limit=5, per=timedelta(minutes=1), except_paths=["/health"]))

    @app.post("/pay")
    @idempotent(seen)
    def pay(body: dict[str, int]) -> dict[str, int]: ...

    @app.post("/maybe")
    @idempotent(seen, required=False, concurrent="wait")
    def maybe() -> None: ...

    @app.get("/health")
    def health() -> None: ...

    document = make_document(app)
    check(document)
    pays = operation(document, "POST /pay")["responses"]
    assert set(pays) == {"200", "400", "409", "413", "415", "422", "429", "default"}
    assert resolve(document, pays["422"])["description"].startswith("The body does not fit its model; or: ")
    assert resolve(document, pays["429"])["description"] == "This caller has come too often"
    assert parameters(document, "POST /pay")["header Idempotency-Key"]["required"] is True
    assert parameters(document, "POST /maybe")["header Idempotency-Key"]["required"] is False
    assert set(operation(document, "POST /maybe")["responses"]) == {"204", "422", "429", "default"}
    assert set(operation(document, "GET /health")["responses"]) == {"204", "default"}


# --- what cannot be written


def test_two_generics_that_cannot_be_told_apart_are_refused() -> None:
    first = msgspec.defstruct("Item", [("a", int)], module="shop.first")
    second = msgspec.defstruct("Item", [("b", int)], module="shop.second")
    app = App("clash")

    def take(body: Any) -> Any: ...

    take.__annotations__ = {"body": Rows[first], "return": Rows[second]}  # type: ignore[valid-type]
    app.post("/")(take)
    with pytest.raises(ConfigError, match="a generic of two classes of one name"):
        make_document(app)


def test_events_are_documented_and_mounts_are_not() -> None:
    app = App("stream")

    @app.get("/events", stream=True)
    def events() -> EventStream: ...

    async def mounted(scope: Any, receive: Any, send: Any) -> None: ...

    app.mount("/legacy", mounted)
    document = make_document(app)
    check(document)
    assert list(document["paths"]) == ["/events"]
    assert list(content(document, "GET /events")) == ["text/event-stream"]


def test_answers_of_a_class_json_knows_nothing_of_are_left_open() -> None:
    app = App("open")

    class Thing:
        pass

    def home() -> Any: ...

    home.__annotations__["return"] = Thing
    app.get("/")(home)
    document = make_document(app)
    check(document)
    assert content(document, "GET /") == {"application/json": {"schema": {}}}


def test_a_handler_that_is_an_object() -> None:
    class Home:
        """Not the handler's."""

        def __call__(self, request: Request, n: Annotated[int, PathMarker()]) -> Response: ...

    app = App("objects")
    app.get("/{n}", function="http")(Home())
    document = make_document(app)
    check(document)
    assert operation(document, "GET /{n}")["operationId"] == "Home"
    assert "description" not in operation(document, "GET /{n}")
