"""The same application written for each contender, as source text in a folder of its own.

`hello` answers {"message": "hello"}; `/users/{id}` answers a record of 200 bytes; `POST /users` takes a body of 1 KB
into a typed model where the contender has models. `routes` more routes stand before and behind, half of them typed when
`typed` is set. Every contender answers API Gateway's payload 2.0.
"""

from __future__ import annotations

from pathlib import Path

USER = {"id": 7, "name": "Ada Lovelace", "email": "ada@example.com", "bio": "x" * 120}
NAMES = ("raw", "portable", "powertools", "mangum-fastapi", "mounted-fastapi")

RAW = """
import json
USER = {user!r}
def hello(event): return {{"message": "hello"}}
def handler(event, context):
    path, method = event["rawPath"], event["requestContext"]["http"]["method"]
    status = 200
    if method == "GET" and path == "/hello":
        body = {{"message": "hello"}}
    elif method == "GET" and path.startswith("/users/"):
        body = {{**USER, "id": int(path[7:])}}
    elif method == "POST" and path == "/users":
        sent = json.loads(event["body"])
        body = {{"id": int(sent["id"]), "name": str(sent["name"]), "tags": [str(tag) for tag in sent["tags"]]}}
        status = 201
{routes}
    else:
        status, body = 404, {{"message": "not found"}}
    return {{"statusCode": status, "headers": {{"content-type": "application/json"}}, "body": json.dumps(body)}}
"""

PORTABLE = """
from portable import App
{models}
USER = {user!r}
app = App("bench")
@app.get("/hello")
def hello(): return {{"message": "hello"}}
@app.get("/users/{{user_id}}")
def get_user(user_id: int): return {{**USER, "id": user_id}}
{post}
{routes}
"""
PORTABLE_POST = """
@app.post("/users", status=201)
def create(body: User) -> User: return body
"""
PORTABLE_MODELS = """
import msgspec
class User(msgspec.Struct):
    id: int
    name: str
    tags: list[str]
"""
PORTABLE_ENTRY = """
from portable_aws.runtime import entry
handler = entry("app:app", "http", None, "http-api")
"""

POWERTOOLS = """
from aws_lambda_powertools.event_handler import APIGatewayHttpResolver
USER = {user!r}
app = APIGatewayHttpResolver()
@app.get("/hello")
def hello(): return {{"message": "hello"}}
@app.get("/users/<user_id>")
def get_user(user_id): return {{**USER, "id": int(user_id)}}
@app.post("/users")
def create():
    sent = app.current_event.json_body
    return {{"id": int(sent["id"]), "name": str(sent["name"]), "tags": [str(tag) for tag in sent["tags"]]}}, 201
{routes}
def handler(event, context): return app.resolve(event, context)
"""

FASTAPI = """
from fastapi import FastAPI
{bridge}
from pydantic import BaseModel
USER = {user!r}
class User(BaseModel):
    id: int
    name: str
    tags: list[str]
app = FastAPI()
@app.get("/hello")
async def hello(): return {{"message": "hello"}}
@app.get("/users/{{user_id}}")
async def get_user(user_id: int): return {{**USER, "id": user_id}}
@app.post("/users", status_code=201)
async def create(body: User) -> User: return body
{routes}
{handler}
"""
MANGUM = {"bridge": "from mangum import Mangum", "handler": "handler = Mangum(app, lifespan='off')"}
MOUNTED = """
from portable import App
from portable_aws.runtime import entry
app = App("bench")
app.mount("/", "mounted:app")
handler = entry("handler_module:app", "http", None, "http-api")
"""


RAW_LAST = "    elif method == 'GET' and path == '/last': body = {'last': True}"
PLAIN_LAST = "@app.get('/last')\ndef last(): return {'last': True}"


def _routes(line: str, count: int) -> str:
    return "\n".join(line.format(n=n) for n in range(count))


def write(folder: Path, name: str, routes: int = 0, typed: bool = False) -> str:
    """Write a contender's modules into a folder and return the name of its handler for awslambdaric."""
    folder.mkdir(parents=True, exist_ok=True)
    last = RAW_LAST if name == "raw" else PLAIN_LAST
    if name == "raw":
        more = _routes("    elif method == 'GET' and path == '/r{n}': body = {{'n': {n}}}", routes)
        source = RAW.format(user=USER, routes=more + "\n" + last)
    elif name == "portable":
        plain = "@app.get('/r{n}')\ndef r{n}(): return {{'n': {n}}}"
        with_model = (
            "class M{n}(msgspec.Struct):\n    a: int\n    b: str\n@app.post('/r{n}')\ndef r{n}(body: M{n}): return body"
        )
        half = routes // 2 if typed else 0
        more = _routes(with_model, half) + "\n" + _routes(plain.replace("r{n}", "p{n}"), routes - half)
        source = PORTABLE.format(
            user=USER,
            routes=more + "\n" + last,
            models=PORTABLE_MODELS if typed else "",
            post=PORTABLE_POST if typed else "",
        )
        (folder / "app.py").write_text(source)
        source = PORTABLE_ENTRY
    elif name == "powertools":
        more = _routes("@app.get('/r{n}')\ndef r{n}(): return {{'n': {n}}}", routes)
        source = POWERTOOLS.format(user=USER, routes=more + "\n" + last)
    else:
        plain = "@app.get('/r{n}')\nasync def r{n}(): return {{'n': {n}}}"
        with_model = (
            "class M{n}(BaseModel):\n    a: int\n    b: str\n"
            "@app.post('/r{n}')\nasync def r{n}(body: M{n}) -> M{n}: return body"
        )
        half = routes // 2 if typed else 0
        more = _routes(with_model, half) + "\n" + _routes(plain.replace("r{n}", "p{n}"), routes - half)
        bridge = MANGUM if name == "mangum-fastapi" else {"bridge": "", "handler": ""}
        source = FASTAPI.format(user=USER, routes=more + "\n" + last.replace("\ndef", "\nasync def"), **bridge)
        if name == "mounted-fastapi":
            (folder / "mounted.py").write_text(source)
            source = MOUNTED
    (folder / "handler_module.py").write_text(source)
    return "handler_module.handler"


def event(method: str, path: str, body: str | None = None) -> dict[str, object]:
    """An event as API Gateway's HTTP API sends it, payload 2.0."""
    found: dict[str, object] = {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": "",
        "headers": {
            "accept": "*/*",
            "content-type": "application/json",
            "host": "abc.execute-api.eu-west-1.amazonaws.com",
            "user-agent": "bench",
            "x-forwarded-for": "203.0.113.7",
            "x-forwarded-proto": "https",
        },
        "requestContext": {
            "accountId": "123456789012",
            "apiId": "abc",
            "domainName": "abc.execute-api.eu-west-1.amazonaws.com",
            "http": {
                "method": method,
                "path": path,
                "protocol": "HTTP/1.1",
                "sourceIp": "203.0.113.7",
                "userAgent": "bench",
            },
            "requestId": "id",
            "routeKey": "$default",
            "stage": "$default",
            "time": "12/Mar/2026:19:03:58 +0000",
            "timeEpoch": 1773342238000,
        },
        "isBase64Encoded": False,
    }
    if body is not None:
        found["body"] = body
    return found
