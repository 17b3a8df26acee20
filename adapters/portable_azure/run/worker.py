"""Runs one Function App under Microsoft's worker code: ``python worker.py PORT TOKEN``. Run by path, never imported.

It connects to the loopback port, says the token, and is told the app's folder, the worker's and the environment. Then
it exchanges one JSON document a line: invocations in, several at a time, and their answers out. What the app prints
goes where this process's output goes, and cannot be taken for an answer.

The worker's code is real: it indexes ``function_app.py``, binds, and executes. The host is not: protocol messages are
plain objects instead of protobuf's.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import sys
import traceback
from types import SimpleNamespace
from typing import Any

LIMIT = 1 << 30  # bytes of one line: a body of 210 MB in base64 fits


class Message(SimpleNamespace):
    """A protocol message: the fields it was made with."""

    def __getattr__(self, name: str) -> None:
        if name.startswith("__"):
            raise AttributeError(name)


class TypedData(SimpleNamespace):
    """One value of one of several types, as protobuf's ``oneof`` has it."""

    def WhichOneof(self, _group: str) -> str | None:  # noqa: N802 - protobuf's name
        return next(iter(vars(self)), None)


class ParameterBinding(Message):
    """An input of an invocation."""

    def WhichOneof(self, _group: str) -> str:  # noqa: N802 - protobuf's name
        return "data"


class StatusResult(Message):
    """How an invocation ended."""

    Failure, Success, Cancelled = 0, 1, 2


class BindingInfo(Message):
    """A binding of a function, and protobuf's constants."""

    undefined, string, binary, stream = 0, 1, 2, 3
    # ``in`` is a keyword and never asked for by name.
    out, inout = 1, 2


class RpcHttpCookie(Message):
    """A cookie of an answer."""

    SameSite = SimpleNamespace(**{"None": "", "Lax": "Lax", "Strict": "Strict", "ExplicitNone": "None"})


class RpcHttp(Message):
    """An HTTP request or answer. Header values are strings, as protobuf insists."""

    def __init__(self, **fields: Any) -> None:
        for name, value in (fields.get("headers") or {}).items():
            if not isinstance(name, str) or not isinstance(value, str):
                raise TypeError(f"header {name!r} must be a str, got {value!r}")
        super().__init__(**fields)


class Protocol:
    """What the worker knows as ``protos``: every other message is a plain one."""

    TypedData, ParameterBinding, StatusResult, BindingInfo = TypedData, ParameterBinding, StatusResult, BindingInfo
    RpcHttpCookie, RpcHttp = RpcHttpCookie, RpcHttp

    def __getattr__(self, name: str) -> type[Message]:
        return Message


def typed_data(document: Any) -> TypedData:
    """A TypedData from JSON."""
    if not document:
        return TypedData()
    [(kind, value)] = document.items()
    if kind == "bytes":
        value = base64.b64decode(value)
    elif kind == "collection_bytes":
        value = SimpleNamespace(bytes=[base64.b64decode(one) for one in value])
    elif kind == "http":
        value = RpcHttp(**{**value, "body": typed_data(value.get("body"))})
    return TypedData(**{kind: value})


def as_document(data: Any) -> Any:
    """A TypedData as JSON; None for none."""
    kind = None if data is None else data.WhichOneof("data")
    if kind is None:
        return None
    value = getattr(data, kind)
    if kind == "bytes":
        value = base64.b64encode(value).decode()
    elif kind == "http":
        cookies = [_cookie(cookie) for cookie in value.cookies or ()]
        value = {
            "status_code": value.status_code,
            "headers": value.headers,
            "cookies": cookies,
            "body": as_document(value.body),
        }
    return {kind: value}


def _cookie(cookie: Any) -> dict[str, Any]:
    def plain(value: Any) -> Any:
        value = getattr(value, "value", value)
        return getattr(value, "seconds", value)

    return {name: plain(value) for name, value in vars(cookie).items()}


def failure(exception: Any) -> dict[str, str]:
    """A protocol exception as JSON: ``Type: text`` and the trace."""
    kind, _, text = (exception.message or "").partition(": ")
    return {"kind": kind, "message": text, "trace": exception.stack_trace or ""}


class App:
    """The Function App of this process."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self.ids: dict[str, str] = {}
        self.inputs: dict[str, str] = {}
        self.http = ""  # where the worker serves HTTP itself, which the host passes on to it
        self.runtime: Any = None

    @staticmethod
    def _message(**request: Any) -> SimpleNamespace:
        return SimpleNamespace(request=Message(**request), properties={"host": "127.0.0.1", "protos": Protocol()})

    async def start(self) -> dict[str, str] | None:
        """Index the app as the host asks for it. Returns what went wrong, or None."""
        from importlib import import_module

        runtime = self.runtime = import_module("azure_functions_runtime")
        runtime.start_threadpool_executor()
        asked = Message(capabilities={}, function_app_directory=self.folder)
        answer = await runtime.worker_init_request(self._message(worker_init_request=asked))
        if answer.result.status != StatusResult.Success:
            return failure(answer.result.exception)
        self.http = (answer.capabilities or {}).get("HttpUri", "")
        answer = await runtime.functions_metadata_request(self._message(functions_metadata_request=Message()))
        for function in answer.function_metadata_results or ():
            self.ids[function.name] = function.function_id
            bindings = [json.loads(one) for one in function.raw_bindings]
            self.inputs[function.name] = next(one["name"] for one in bindings if one["type"].endswith("Trigger"))
            asked = Message(function_id=function.function_id, metadata=function)
            await runtime.function_load_request(self._message(function_load_request=asked))
        if not self.ids:
            return {"kind": "NoFunctions", "message": "the worker found 0 functions in function_app.py", "trace": ""}
        return None

    async def invoke(self, asked: Any) -> dict[str, Any]:
        """One invocation."""
        name = next((one for one in asked["names"] if one in self.ids), None)
        if name is None:
            known = ", ".join(self.ids)
            return {"error": {"kind": "NoFunction", "message": f"no {asked['names'][-1]}, but {known}", "trace": ""}}
        native = asked["native"]
        data = ParameterBinding(name=self.inputs[name], data=typed_data(native["data"]))
        invocation = Message(
            invocation_id=asked["id"],
            function_id=self.ids[name],
            input_data=[data],
            trigger_metadata={key: typed_data(value) for key, value in native.get("metadata", {}).items()},
            trace_context=Message(trace_parent="", trace_state="", attributes={}),
            retry_context=Message(retry_count=native.get("retry_count", 0), max_retry_count=0, exception=None),
        )
        answer = await self.runtime.invocation_request(self._message(invocation_request=invocation))
        if answer.result.status != StatusResult.Success:
            return {"error": failure(answer.result.exception)}
        return {"answer": {"return": as_document(answer.return_value)}}


async def serve(port: int, token: str) -> None:
    """Speak with the parent until it hangs up."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=LIMIT)

    def tell(document: Any) -> None:
        writer.write(json.dumps(document).encode() + b"\n")

    tell({"token": token})
    asked = json.loads(await reader.readline())
    os.environ.clear()
    os.environ.update(asked["environment"])
    packages = os.path.join(asked["folder"], ".python_packages", "lib", "site-packages")
    # As the worker arranges it: the app's own packages before its own.
    sys.path[:0] = [asked["folder"], packages]
    sys.path.append(asked["worker"])
    os.chdir(asked["folder"])
    app = App(asked["folder"])
    try:
        wrong = await app.start()
    except Exception as error:
        wrong = {"kind": type(error).__name__, "message": str(error), "trace": traceback.format_exc()}
    tell({"wrong": wrong, "functions": sorted(app.ids), "http": app.http})
    running = set()

    async def answer(asked: Any) -> None:
        try:
            result = await app.invoke(asked)
            line = {"id": asked["id"], **result}
            json.dumps(line)
        except Exception as error:
            wrong = {"kind": type(error).__name__, "message": str(error), "trace": traceback.format_exc()}
            line = {"id": asked["id"], "error": wrong}
        tell(line)

    while wrong is None and (line := await reader.readline()):
        task = asyncio.create_task(answer(json.loads(line)))
        running.add(task)
        task.add_done_callback(running.discard)
    await writer.drain()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), sys.argv[2]))
    sys.stdout.flush()
    os._exit(0)  # a handler that hangs on a thread keeps nobody waiting
