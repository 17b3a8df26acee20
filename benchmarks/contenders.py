"""The same application written for each contender, as source text in a folder of its own.

`hello` answers {"message": "hello"}; `/users/{id}` answers a record of 200 bytes; `POST /users` takes a body of 1 KB
into a typed model where the contender has models. `routes` more routes stand before and behind, half of them typed when
`typed` is set. Every contender answers API Gateway's payload 2.0, Chalice the one it knows, 1.0.

`write_batch` writes a handler of SQS batches: messages into a typed model where there are models, and the answer that
says which of them failed, where there is one.
"""

from __future__ import annotations

from pathlib import Path

USER = {"id": 7, "name": "Ada Lovelace", "email": "ada@example.com", "bio": "x" * 120}
NAMES = ("raw", "portable", "chalice", "powertools", "mangum-fastapi", "mounted-fastapi")
BATCH_NAMES = ("raw", "portable", "chalice", "powertools")

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

CHALICE = """
from chalice import Chalice, Response
USER = {user!r}
app = Chalice(app_name="bench")
@app.route("/hello")
def hello(): return {{"message": "hello"}}
@app.route("/users/{{user_id}}")
def get_user(user_id): return {{**USER, "id": int(user_id)}}
@app.route("/users", methods=["POST"])
def create():
    sent = app.current_request.json_body
    body = {{"id": int(sent["id"]), "name": str(sent["name"]), "tags": [str(tag) for tag in sent["tags"]]}}
    return Response(body, status_code=201)
{routes}
handler = app
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


CHALICE_LAST = "@app.route('/last')\ndef last(): return {'last': True}"

MODEL = "class Order(msgspec.Struct):\n    id: int\n    name: str\n    tags: list[str]\n"
BATCHES = {
    "raw": """
import json
def handler(event, context):
    failed = []
    for record in event["Records"]:
        try:
            sent = json.loads(record["body"])
            order = {"id": int(sent["id"]), "name": str(sent["name"]), "tags": [str(tag) for tag in sent["tags"]]}
            if order["id"] < 0: raise ValueError
        except Exception:
            failed.append({"itemIdentifier": record["messageId"]})
    return {"batchItemFailures": failed}
""",
    "portable": """
from portable_aws.runtime import entry
handler = entry("app:app", "pack", None, "sqs")
""",
    "chalice": """
import json
from chalice import Chalice
app = Chalice(app_name="bench")
@app.on_sqs_message(queue="orders", batch_size=10)
def handler(event):
    for record in event:
        sent = json.loads(record.body)
        order = {"id": int(sent["id"]), "name": str(sent["name"]), "tags": [str(tag) for tag in sent["tags"]]}
        if order["id"] < 0: raise ValueError
""",
    "powertools": """
from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
processor = BatchProcessor(event_type=EventType.SQS)
def take(record):
    sent = record.json_body
    order = {"id": int(sent["id"]), "name": str(sent["name"]), "tags": [str(tag) for tag in sent["tags"]]}
    if order["id"] < 0: raise ValueError
def handler(event, context):
    return process_partial_response(event=event, record_handler=take, processor=processor, context=context)
""",
}
PORTABLE_BATCH = """
import msgspec
from portable import App, Message
{model}
app = App("bench")
orders = app.queue("orders", Order)
@app.on_message(orders)
def pack(message: Message[Order]) -> None:
    if message.body.id < 0: raise ValueError
"""


def write_batch(folder: Path, name: str) -> None:
    """Write a contender that takes SQS batches, as ``handler_module.handler``."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "handler_module.py").write_text(BATCHES[name])
    if name == "portable":
        (folder / "app.py").write_text(PORTABLE_BATCH.format(model=MODEL))


def batch(size: int, body: str) -> dict[str, object]:
    """A batch as SQS sends it."""
    record = {
        "receiptHandle": "AQEB",
        "body": body,
        "attributes": {
            "ApproximateReceiveCount": "1",
            "SentTimestamp": "1773342238000",
            "SenderId": "AIDA",
            "ApproximateFirstReceiveTimestamp": "1773342238001",
        },
        "messageAttributes": {},
        "md5OfBody": "0" * 32,
        "eventSource": "aws:sqs",
        "eventSourceARN": "arn:aws:sqs:eu-west-1:123456789012:orders",
        "awsRegion": "eu-west-1",
    }
    return {"Records": [{"messageId": f"m{number}", **record} for number in range(size)]}


def _routes(line: str, count: int) -> str:
    return "\n".join(line.format(n=n) for n in range(count))


def write(folder: Path, name: str, routes: int = 0, typed: bool = False) -> str:
    """Write a contender's modules into a folder and return the name of its handler for awslambdaric."""
    folder.mkdir(parents=True, exist_ok=True)
    last = RAW_LAST if name == "raw" else CHALICE_LAST if name == "chalice" else PLAIN_LAST
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
    elif name == "chalice":
        more = _routes("@app.route('/r{n}')\ndef r{n}(): return {{'n': {n}}}", routes)
        source = CHALICE.format(user=USER, routes=more + "\n" + last)
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


def event_for(name: str, method: str, path: str, body: str | None = None) -> dict[str, object]:
    """An event in the payload that a contender takes."""
    return _payload_1(method, path, body) if name == "chalice" else event(method, path, body)


def _payload_1(method: str, path: str, body: str | None) -> dict[str, object]:
    """As API Gateway's REST API sends it, to the resource that Chalice has it made of a route."""
    given = event(method, path, body)
    headers: dict[str, str] = given["headers"]  # type: ignore[assignment]
    resource, parameters = ("/users/{user_id}", {"user_id": path[7:]}) if path.startswith("/users/") else (path, None)
    return {
        "resource": resource,
        "path": path,
        "httpMethod": method,
        "headers": headers,
        "multiValueHeaders": {key: [value] for key, value in headers.items()},
        "queryStringParameters": None,
        "multiValueQueryStringParameters": None,
        "pathParameters": parameters,
        "stageVariables": None,
        "requestContext": {
            "resourcePath": resource,
            "httpMethod": method,
            "path": f"/api{path}",
            "stage": "api",
            "identity": {"sourceIp": "203.0.113.7", "userAgent": "bench"},
            "requestId": "id",
        },
        "body": body,
        "isBase64Encoded": False,
    }


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
