"""The same bundle as a Lambda, under AWS's Runtime Interface Emulator."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from portable.errors import ConfigError
from portable.run.parts import Found
from portable.run.processes import accepts, basic_environment, free_port, running
from portable_container.lambda_entry import choose

APP = """
from portable import App, Message
app = App("shop")
jobs = app.queue("jobs", dict)

@app.get("/hello/{name}")
def hello(name: str) -> dict[str, str]:
    return {"hello": name}

@app.on_message(jobs)
def work(message: Message[dict]) -> None:
    if message.body["name"] == "bad":
        raise RuntimeError("bad")
"""
"""Two functions: an instance serves the one it is told to."""


def call(emulator: Path, folder: Path, words: list[str], event: Any, **environment: str) -> Any:
    """What an instance answers to an event."""
    port, api = free_port(), free_port()
    command = [emulator, "--runtime-interface-emulator-address", f"127.0.0.1:{port}"]
    command += ["--runtime-api-address", f"127.0.0.1:{api}", sys.executable, "-m", "portable_container", *words]
    environment = {
        "PORTABLE_QUEUE_JOBS": "https://sqs.eu-west-1.amazonaws.com/1/jobs",
        "AWS_REGION": "eu-west-1",
    } | environment
    with running(
        "lambda", command, ready=lambda _: accepts(port), environment=environment, inherit=False, directory=folder
    ) as process:
        url = f"http://127.0.0.1:{port}/2015-03-31/functions/function/invocations"
        with urllib.request.urlopen(urllib.request.Request(url, json.dumps(event).encode()), timeout=60) as answer:
            body = answer.read()
        assert body, process.log.read_text()
        return json.loads(body)


REQUEST = {
    "version": "2.0",
    "rawPath": "/hello/lambda",
    "rawQueryString": "",
    "headers": {"host": "x"},
    "requestContext": {"http": {"method": "GET", "path": "/hello/lambda", "sourceIp": "127.0.0.1"}},
    "isBase64Encoded": False,
}


def record(name: str) -> dict[str, Any]:
    return {
        "messageId": name,
        "receiptHandle": name,
        "body": json.dumps({"name": name}),
        "attributes": {"ApproximateReceiveCount": "1", "SentTimestamp": "1523232000000"},
        "messageAttributes": {},
        "eventSource": "aws:sqs",
        "eventSourceARN": "arn:aws:sqs:eu-west-1:1:jobs",
    }


def test_the_same_bundle_serves_invocations(
    tmp_path: Path, require_part: Callable[..., Found], write_bundle: Callable[[Path, str], None]
) -> None:
    emulator = require_part("aws-lambda-rie").path
    (tmp_path / "app.py").write_text(APP)
    write_bundle(tmp_path, "aws")
    given = call(emulator, tmp_path, ["http"], REQUEST)
    assert (given["statusCode"], json.loads(given["body"])) == (200, {"hello": "lambda"})
    given = call(emulator, tmp_path, [], {"Records": [record("good"), record("bad")]}, PORTABLE_FUNCTIONS="work")
    assert given == {"batchItemFailures": [{"itemIdentifier": "bad"}]}


def test_a_bundle_of_another_platform_says_what_it_is(
    tmp_path: Path, write_bundle: Callable[[Path, str], None]
) -> None:
    (tmp_path / "app.py").write_text(APP)
    write_bundle(tmp_path, "local")
    done = subprocess.run(
        [sys.executable, "-m", "portable_container", "http"],
        cwd=tmp_path,
        env={**basic_environment(), "AWS_LAMBDA_RUNTIME_API": "127.0.0.1:1"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 2
    assert "--platform aws" in done.stderr


def test_which_function_an_instance_serves() -> None:
    names = ["http", "send-email"]
    assert choose(names, ["http"], {}) == "http"
    assert choose(names, ["portable_entry.send_email"], {}) == "send-email"
    assert choose(names, [], {"PORTABLE_FUNCTIONS": "send-email", "_HANDLER": "http"}) == "send-email"
    assert choose(names, [], {"_HANDLER": "http"}) == "http"
    assert choose(["http"], [], {"_HANDLER": "whatever"}) == "http"
    with pytest.raises(ConfigError, match="no function is called 'nothing'"):
        choose(names, ["nothing"], {})
    with pytest.raises(ConfigError, match="one of http, send-email"):
        choose(names, [], {})
