"""This framework's own runtime loop: beside AWS's client under AWS's emulator, and against a scripted Runtime API."""

from __future__ import annotations

import http.client
import importlib.util
import io
import json
import logging
import os
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from portable.build.artifact import build, check
from portable.build.project import find_project
from portable.events import Context, current_context
from portable.run import parts
from portable.run.building import build_to_run
from portable.run.deployment import Deployment, deployed
from portable.run.processes import accepts, free_port, running
from portable.run.target import InvocationError
from portable.samples.neutral import make_request
from portable_aws import runtime_logs, runtime_loop
from portable_aws.invocation import LambdaContext
from portable_aws.lambda_api import Instance
from portable_aws.runtime_api import RuntimeAPI, RuntimeAPIError
from portable_aws.samples.http import function_url

APP = """
import os
import sys
import time
from datetime import timedelta

from portable import App, BackgroundTasks, Context

app = App("looped")


@app.get("/hello/{name}")
def hello(name: str, context: Context) -> dict:
    native = context.native
    return {
        "name": name,
        "id": context.request_id == native.aws_request_id,
        "left": native.get_remaining_time_in_millis() > 0,
        "function": native.function_name,
        "memory": native.memory_limit_in_mb,
        "identity": native.identity.cognito_identity_id,
        "client": native.client_context,
    }


@app.function()
def fails(payload: dict) -> None:
    raise ValueError("it cannot be done: é")


@app.function()
def ends(payload: dict) -> None:
    sys.exit(3)


@app.function()
def odd(payload: dict) -> object:
    class Odd:
        pass

    return {"odd": Odd()}


@app.function(timeout=timedelta(seconds=1))
def hangs(payload: dict) -> None:
    while True:  # deaf to the watchdog, which asks it to end where it looks in time
        try:
            time.sleep(60)
        except BaseException:
            continue


@app.function()
def big(payload: dict) -> str:
    return "x" * payload["size"]


@app.function()
def echo(payload: dict) -> dict:
    return payload
"""


def project(folder: Path, runtime: str, source: str = APP, http: str = "http-api") -> Any:
    folder.mkdir(parents=True)
    (folder / "app.py").write_text(source, "utf-8")
    settings = f'[tool.portable]\napp = "app:app"\n[tool.portable.aws]\nruntime = "{runtime}"\nhttp = "{http}"\n'
    document = f'[project]\nname = "looped"\nversion = "1"\ndependencies = []\n{settings}'
    (folder / "pyproject.toml").write_text(document, "utf-8")
    return find_project(folder)


@pytest.fixture(scope="module", params=["portable", pytest.param("awslambdaric", marks=pytest.mark.slow)])
def looped(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, require_part: Any
) -> Iterator[Deployment]:
    require_part("aws-lambda-rie")
    tmp = tmp_path_factory.mktemp(request.param)
    artifact = build_to_run(project(tmp / "project", request.param), "aws", tmp / "dist")
    with deployed(artifact) as deployment:
        yield deployment


def failure(deployment: Deployment, function: str, payload: Any = None) -> InvocationError:
    with pytest.raises(InvocationError) as caught:
        deployment.invoke_native(function, payload or {})
    return caught.value


def test_an_invocation_and_its_context(looped: Deployment) -> None:
    for _ in range(2):
        answer = looped.request(make_request("GET", "/hello/ann"))
        assert answer.status == 200
        assert json.loads(answer.body) == {
            "name": "ann",
            "id": True,
            "left": True,
            "function": "http",
            "memory": "128",
            "identity": None,
            "client": None,
        }


def test_payloads_come_and_go_as_they_are(looped: Deployment) -> None:
    payload = {"text": "é\u2028\U0001f600", "number": 1.5, "deep": [{"a": None}], "big": "x" * 300_000}
    assert looped.invoke_native("echo", payload) == payload


def test_what_a_handler_raises_is_the_invocations_error(looped: Deployment) -> None:
    for _ in range(2):
        error = failure(looped, "fails")
        assert (error.kind, error.message) == ("ValueError", "it cannot be done: é")
        assert "in fails" in error.trace


def test_an_answer_that_is_no_json_is_an_error(looped: Deployment) -> None:
    assert "Odd" in failure(looped, "odd").message


def test_a_process_that_ends_is_started_anew(looped: Deployment) -> None:
    assert failure(looped, "ends").kind == "Runtime.ExitError"
    assert failure(looped, "ends").kind == "Runtime.ExitError"
    assert looped.invoke_native("echo", {"a": 1}) == {"a": 1}


def test_a_handler_that_hangs_is_ended(looped: Deployment) -> None:
    assert failure(looped, "hangs").kind == "Timeout"


def test_an_answer_larger_than_lambda_takes_is_an_error_and_the_loop_goes_on(looped: Deployment) -> None:
    assert failure(looped, "big", {"size": 7_000_000}).kind in ("Function.ResponseSizeTooLarge", "ResponseSizeTooLarge")
    assert looped.invoke_native("big", {"size": 3}) == "xxx"


# --- how Lambda starts it


def bundle(tmp: Path, source: str, http: str = "http-api") -> Path:
    return (
        build(find_project(project(tmp / "project", "portable", source, http).root), _target(), _wanted(tmp)).folder
        / "bundle"
    )


def _target() -> Any:
    from portable.plugins import adapter

    return adapter("aws").build


def _wanted(tmp: Path) -> Any:
    from portable.build.artifact import Wanted

    return Wanted(for_here=True, out=tmp / "dist")


def started(folder: Path, command: list[str], log: Path, **environment: str) -> Instance:
    inherited = {"PATH": os.environ["PATH"], "LAMBDA_TASK_ROOT": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    return Instance(command, inherited | environment, folder.parent, log)


@pytest.mark.parametrize("way", ["wrapper", "image"])
def test_the_bootstrap_starts_it_as_a_wrapper_and_in_an_image(way: str, tmp_path: Path) -> None:
    folder = bundle(tmp_path, APP)
    script = folder / "bootstrap"
    assert os.access(script, os.X_OK)
    if way == "wrapper":
        command, given = [str(script), sys.executable, "/var/runtime/bootstrap.py"], {"_HANDLER": "portable_entry.echo"}
    else:
        here = tmp_path / "bin"
        here.mkdir()
        (here / "python3").symlink_to(sys.executable)
        command, given = [str(script), "portable_entry.echo"], {"PATH": f"{here}:{os.environ['PATH']}"}
    instance = started(folder, command, tmp_path / "log", **given)
    try:
        head, body = instance.stream({"a": 1}, 30)
        assert (head, list(body)) == ({"a": 1}, [])
    finally:
        instance.stop()


def test_an_app_that_does_not_import_fails_the_init_with_its_error(tmp_path: Path) -> None:
    folder = bundle(tmp_path, APP)
    (folder / "app.py").write_text("import no_such_module\n", "utf-8")
    command = [str(folder / "bootstrap"), sys.executable]
    instance = started(folder, command, tmp_path / "log", _HANDLER="portable_entry.echo")
    try:
        with pytest.raises(InvocationError) as caught:
            instance.stream({}, 30)
    finally:
        instance.stop()
    assert caught.value.kind == "Runtime.ImportModuleError"
    assert "no_such_module" in caught.value.message
    assert "ModuleNotFoundError: No module named 'no_such_module'" in (tmp_path / "log").read_text()


def test_the_loop_imports_neither_a_web_stack_nor_awslambdaric(tmp_path: Path) -> None:
    source = APP + "\n\n@app.function()\ndef loaded(payload: dict) -> list:\n    return sorted(sys.modules)\n"
    folder = bundle(tmp_path, source)
    command = [str(folder / "bootstrap"), sys.executable]
    instance = started(folder, command, tmp_path / "log", _HANDLER="portable_entry.loaded")
    try:
        head, _ = instance.stream({}, 30)
    finally:
        instance.stop()
    heavy = {
        "awslambdaric",
        "http.client",
        "email",
        "socket",
        "logging",
        "asyncio",
        "urllib.request",
        "portable.http.streams",
    }
    assert not heavy & set(head)


STREAMS = """
from portable import App, StreamResponse

app = App("streams")


@app.get("/good", stream=True)
def good() -> StreamResponse:
    return StreamResponse(("a" * 100_000 for _ in range(3)), 201, [("x-one", "1"), ("set-cookie", "a=1")], "text/plain")


@app.get("/broken", stream=True)
async def broken() -> StreamResponse:
    async def pieces():
        yield b"first"
        raise ValueError("the source failed midway")

    return StreamResponse(pieces())


@app.get("/plain")
def plain() -> dict:
    return {"plain": "yes"}
"""


def test_awss_emulator_takes_streamed_answers_from_the_bootstrap(tmp_path: Path, require_part: Any) -> None:
    """It gathers them, and leaves out what the trailers say; that it takes them as they are sent is what this shows."""
    emulator = require_part("aws-lambda-rie")
    folder = bundle(tmp_path, STREAMS, "function-url")
    runtime, port = free_port(), free_port()
    places = [
        "--runtime-interface-emulator-address",
        f"127.0.0.1:{port}",
        "--runtime-api-address",
        f"127.0.0.1:{runtime}",
    ]
    environment = {"PATH": os.environ["PATH"], "_HANDLER": "portable_entry.http", "LAMBDA_TASK_ROOT": str(folder)}
    command = [emulator.path, *places, folder / "bootstrap", sys.executable, "/var/runtime/bootstrap.py"]
    with running(
        "emulator", command, ready=lambda _: accepts(port), environment=environment, inherit=False, log=tmp_path / "log"
    ):
        answers = {}
        for path in ("/good", "/broken", "/plain", "/good"):
            event = json.dumps(function_url(make_request("GET", path)))
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
            connection.request("POST", "/2015-03-31/functions/function/invocations", event)
            with connection.getresponse() as answer:
                head, mark, body = answer.read().partition(bytes(8))
            connection.close()
            assert mark == bytes(8), head
            answers[path] = json.loads(head), body
    good = {"statusCode": 201, "headers": {"content-type": "text/plain", "x-one": "1"}, "cookies": ["a=1"]}
    assert answers["/good"] == (good, b"a" * 300_000)
    assert answers["/broken"][1] == b"first"
    assert answers["/plain"] == (
        {"statusCode": 200, "headers": {"content-type": "application/json"}},
        b'{"plain":"yes"}',
    )
    assert "the source failed midway" in (tmp_path / "log").read_text()


# --- the Runtime API


class Scripted:
    """A server that answers each request with the next of ``answers``, raw, and keeps what it was sent."""

    def __init__(self, *answers: bytes) -> None:
        self.answers = list(answers)
        self.received: list[bytes] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while self.answers:
            connection, _ = self._listener.accept()
            with connection:
                while self.answers:
                    data = connection.recv(65536)
                    if not data:
                        break
                    self.received.append(data)
                    answer = self.answers.pop(0)
                    for part in (answer[:10], answer[10:]):  # not all of it at once
                        connection.sendall(part)
                    if b"onnection: close" in answer or not answer:
                        break

    def close(self) -> None:
        self._listener.close()
        self._thread.join(10)


@pytest.fixture
def scripted() -> Iterator[Callable[..., Scripted]]:
    made: list[Scripted] = []

    def make(*answers: bytes) -> Scripted:
        made.append(Scripted(*answers))
        return made[-1]

    yield make
    for one in made:
        one.close()


NEXT = b"HTTP/1.1 200 OK\r\nLambda-Runtime-Aws-Request-Id: r1\r\n"
ACCEPTED = b"HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\n\r\n{}"


@pytest.mark.parametrize(
    "answer",
    [
        NEXT + b'Content-Length: 7\r\n\r\n{"a":1}',
        NEXT + b'Transfer-Encoding: chunked\r\n\r\n3\r\n{"a\r\n4;x=y\r\n":1}\r\n0\r\nTrailer: 1\r\n\r\n',
        NEXT + b'content-length: 7\r\nConnection: close\r\n\r\n{"a":1}',
    ],
    ids=["whole", "chunked", "closing"],
)
def test_an_event_is_read_as_it_comes(scripted: Callable[..., Scripted], answer: bytes) -> None:
    server = scripted(answer, ACCEPTED)
    api = RuntimeAPI(server.address)
    headers, body = api.next()
    assert (headers["lambda-runtime-aws-request-id"], body) == ("r1", b'{"a":1}')
    api.respond("r1", b'"ok"')
    api.close()
    assert server.received[0].startswith(b"GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\n")
    assert server.received[1].startswith(b"POST /2018-06-01/runtime/invocation/r1/response HTTP/1.1\r\n")
    assert server.received[1].endswith(b'\r\n\r\n"ok"')


@pytest.mark.parametrize(
    ("answer", "status"),
    [(b"", 0), (b"HTTP/1.1 500 Container Error\r\nContent-Length: 0\r\n\r\n", 500)],
)
def test_a_runtime_api_that_fails_ends_the_process(
    scripted: Callable[..., Scripted], answer: bytes, status: int
) -> None:
    api = RuntimeAPI(scripted(answer).address)
    with pytest.raises(RuntimeAPIError) as caught:
        api.next()
    api.close()
    assert caught.value.status == status


def test_an_answer_lambda_refuses_is_logged_and_the_loop_goes_on(
    scripted: Callable[..., Scripted], capsys: pytest.CaptureFixture[str]
) -> None:
    refusal = b"HTTP/1.1 413 Too Large\r\nContent-Length: 9\r\n\r\ntoo large"
    server = scripted(NEXT + b"Content-Length: 2\r\n\r\n{}", refusal, NEXT + b"Content-Length: 2\r\n\r\n{}", ACCEPTED)
    api = RuntimeAPI(server.address)
    loop = runtime_loop.Loop(api, lambda event, context: {"id": context.aws_request_id})
    loop.serve()
    loop.serve()
    api.close()
    assert "answered 413: too large" in capsys.readouterr().out
    assert server.received[3].endswith(b'{"id":"r1"}')


def test_the_trace_of_an_invocation_is_in_the_environment(
    scripted: Callable[..., Scripted], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("_X_AMZN_TRACE_ID", raising=False)
    seen: list[str | None] = []
    traced = NEXT + b"Lambda-Runtime-Trace-Id: Root=1-2\r\nContent-Length: 2\r\n\r\n{}"
    server = scripted(traced, ACCEPTED, NEXT + b"Content-Length: 2\r\n\r\n{}", ACCEPTED)
    api = RuntimeAPI(server.address)
    loop = runtime_loop.Loop(api, lambda event, context: seen.append(os.environ.get("_X_AMZN_TRACE_ID")))
    loop.serve()
    loop.serve()
    api.close()
    assert seen == ["Root=1-2", None]


def test_an_error_is_reported_as_awss_own_client_does(
    scripted: Callable[..., Scripted], capsys: pytest.CaptureFixture[str]
) -> None:
    def handler(event: Any, context: Any) -> None:
        raise LookupError("no\nsuch thing")

    server = scripted(NEXT + b"Content-Length: 2\r\n\r\n{}", ACCEPTED)
    api = RuntimeAPI(server.address)
    runtime_loop.Loop(api, handler).serve()
    api.close()
    head, _, body = server.received[1].partition(b"\r\n\r\n")
    document = json.loads(body)
    assert (document["errorType"], document["errorMessage"], document["requestId"]) == (
        "LookupError",
        "no\nsuch thing",
        "r1",
    )
    assert "in handler" in document["stackTrace"][0]
    assert b"Lambda-Runtime-Function-Error-Type: LookupError" in head
    [cause] = [
        line for line in head.decode().split("\r\n") if line.startswith("Lambda-Runtime-Function-XRay-Error-Cause")
    ]
    assert json.loads(cause.partition(": ")[2])["exceptions"][0]["type"] == "LookupError"
    assert "[ERROR] LookupError" in capsys.readouterr().out


class Hooks(ModuleType):
    """As much of ``snapshot_restore_py`` as is asked."""

    def __init__(self, before: list[Any], after: list[Any]) -> None:
        super().__init__("snapshot_restore_py")
        self.get_before_snapshot = lambda: [(hook, (), {}) for hook in before]
        self.get_after_restore = lambda: [(hook, (), {}) for hook in after]


def test_snapstart_calls_the_hooks_around_the_snapshot(
    scripted: Callable[..., Scripted], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    hooks = [lambda name=name: seen.append(name) for name in ("first", "second", "third", "fourth")]
    monkeypatch.setitem(sys.modules, "snapshot_restore_py", Hooks(hooks[:2], hooks[2:]))
    server = scripted(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    api = RuntimeAPI(server.address)
    runtime_loop._be_restored(api)
    api.close()
    assert seen == ["second", "first", "third", "fourth"]  # before a snapshot what was registered last comes first
    assert server.received[0].startswith(b"GET /2018-06-01/runtime/restore/next HTTP/1.1\r\n")


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_snapstart_hook_that_fails_ends_the_instance(
    scripted: Callable[..., Scripted], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], when: str
) -> None:
    def fail() -> None:
        raise ValueError("no connection")

    monkeypatch.setitem(sys.modules, "snapshot_restore_py", Hooks(*([fail], []) if when == "before" else ([], [fail])))
    restored = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
    server = scripted(*([ACCEPTED] if when == "before" else [restored, ACCEPTED]))
    api = RuntimeAPI(server.address)
    with pytest.raises(SystemExit) as ended:
        runtime_loop._be_restored(api)
    api.close()
    place, kind, status = (
        ("init", "Runtime.BeforeSnapshotError", 64)
        if when == "before"
        else ("restore", "Runtime.AfterRestoreError", 65)
    )
    assert ended.value.code == status
    assert server.received[-1].startswith(f"POST /2018-06-01/runtime/{place}/error ".encode())
    assert f"Lambda-Runtime-Function-Error-Type: {kind}".encode() in server.received[-1]
    assert "no connection" in capsys.readouterr().out


# --- the context, and the log


def load_awslambdaric(name: str) -> ModuleType:
    found = parts.need("awslambdaric", f"{sys.version_info.major}.{sys.version_info.minor}")
    spec = importlib.util.spec_from_file_location(name, Path(found.path) / "awslambdaric" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_context_says_what_awslambdarics_says(monkeypatch: pytest.MonkeyPatch, require_part: Any) -> None:
    require_part("awslambdaric", f"{sys.version_info.major}.{sys.version_info.minor}")
    for name in ("FUNCTION_NAME", "FUNCTION_VERSION", "FUNCTION_MEMORY_SIZE", "LOG_GROUP_NAME", "LOG_STREAM_NAME"):
        monkeypatch.setenv(f"AWS_LAMBDA_{name}", f"the {name}")
    client = {"client": {"app_title": "shop", "installation_id": "i"}, "custom": {"a": "1"}, "env": {"b": "2"}}
    identity = {"cognitoIdentityId": "id", "cognitoIdentityPoolId": "pool"}
    theirs = load_awslambdaric("lambda_context").LambdaContext("r1", dict(client), identity, 10**14, "arn:x", "t")
    ours = LambdaContext(
        {
            "lambda-runtime-aws-request-id": "r1",
            "lambda-runtime-client-context": json.dumps(client),
            "lambda-runtime-cognito-identity": json.dumps(identity),
            "lambda-runtime-deadline-ms": str(10**14),
            "lambda-runtime-invoked-function-arn": "arn:x",
            "lambda-runtime-aws-tenant-id": "t",
        }
    )
    nested = {"client_context", "identity", "get_remaining_time_in_millis", "log", "w3c"}
    for name in (name for name in dir(theirs) if not name.startswith("_") and name not in nested):
        assert getattr(ours, name) == getattr(theirs, name), name
    assert ours.client_context is not None
    assert ours.client_context.client is not None
    for name in ("installation_id", "app_title", "app_version_name", "app_version_code", "app_package_name"):
        assert getattr(ours.client_context.client, name) == getattr(theirs.client_context.client, name)
    assert (ours.client_context.custom, ours.client_context.env) == ({"a": "1"}, {"b": "2"})
    assert (ours.identity.cognito_identity_id, ours.identity.cognito_identity_pool_id) == ("id", "pool")
    assert abs(ours.get_remaining_time_in_millis() - theirs.get_remaining_time_in_millis()) < 1000


@pytest.fixture
def root() -> Iterator[logging.Logger]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    root.handlers[:] = []
    yield root
    root.handlers[:] = handlers
    root.setLevel(level)


def test_the_log_is_text_or_json_with_the_request(root: logging.Logger, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = []
    for form in ("Text", "JSON"):
        output = io.StringIO()
        monkeypatch.setattr(sys, "stdout", output)
        monkeypatch.setenv("AWS_LAMBDA_LOG_FORMAT", form)
        monkeypatch.setenv("AWS_LAMBDA_LOG_LEVEL", "DEBUG")
        root.handlers[:] = []
        runtime_logs.configure()
        token = current_context.set(Context("f", "r1"))
        try:
            logging.getLogger("shop").debug("bought %d", 2)
        finally:
            current_context.reset(token)
        lines.append(output.getvalue())
    assert lines[0].startswith("[DEBUG]\t")
    assert lines[0].endswith("Z\tr1\tbought 2\n")
    document = json.loads(lines[1])
    assert (document["level"], document["message"], document["requestId"]) == ("DEBUG", "bought 2", "r1")


def test_records_go_whole_to_lambdas_pipe(root: logging.Logger, monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    monkeypatch.setenv("_LAMBDA_TELEMETRY_LOG_FD", str(writing))
    root.handlers[:] = []
    runtime_logs.configure()
    root.error("two\nlines")
    os.close(writing)
    with open(reading, "rb") as pipe:
        frame = pipe.read()
    assert frame[:4] == (0xA55A0017).to_bytes(4, "big")  # awslambdaric: text, ERROR
    assert frame[16:].endswith(b"two\nlines\n")
    assert int.from_bytes(frame[4:8], "big") == len(frame) - 16


# --- what the build says


@pytest.mark.parametrize(
    ("runtime", "http", "options", "words"),
    [
        (
            "awslambdaric",
            "function-url",
            "stream=True",
            "streams, and Lambda's Python client, awslambdaric, has no streaming",
        ),
        ("portable", "http-api", "stream=True", "streams, and http-api hands an answer on when it is whole"),
        ("portable", "alb", "stream=True", "streams, and alb hands an answer on when it is whole"),
        ("awslambdaric", "http-api", "", "leaves work for after its answer; with awslambdaric nothing runs after it"),
        ("other", "http-api", "", "runtime = 'other': there is no such runtime client"),
    ],
)
def test_what_awss_own_client_lacks_is_said_with_its_place(
    tmp_path: Path, runtime: str, http: str, options: str, words: str
) -> None:
    parameter = "" if options else "tasks: BackgroundTasks"
    source = (
        "from portable import App, BackgroundTasks\n\napp = App('x')\n\n\n"
        f"@app.get('/', {options})\ndef handler({parameter}) -> None: ...\n"
    )
    _, findings = check(project(tmp_path / "project", runtime, source, http), _target())
    errors = [one for one in findings if one.severity == "error"]
    assert any(words in one.message for one in errors), findings
    assert all(one.where in ("app.py:6", "app.py:7", "pyproject.toml") for one in errors)
    assert all(one.way_out for one in errors)


@pytest.mark.parametrize("http", ["function-url", "rest-api"])
def test_what_our_loop_has_is_built(tmp_path: Path, http: str) -> None:
    source = (
        "from portable import App, BackgroundTasks\n\napp = App('x')\n\n\n"
        "@app.get('/', stream=True)\ndef handler(tasks: BackgroundTasks) -> None: ...\n"
    )
    _, findings = check(project(tmp_path / "project", "portable", source, http), _target())
    assert [one for one in findings if one.severity == "error"] == []
