"""A runtime client of our own, in place of ``awslambdaric``: it streams, does what a handler leaves for after its
answer, and starts sooner.

    AWS_LAMBDA_EXEC_WRAPPER=/var/task/bootstrap     on a managed Python runtime
    ENTRYPOINT ["/var/task/bootstrap"]              in an image

The bundle's ``bootstrap`` starts it where ``[tool.portable.aws] runtime = "portable"`` is set. It takes one invocation
at a time, in the main thread, and ends the process when Lambda's API itself fails: Lambda then starts another.
"""

from __future__ import annotations

import sys
from os import environ, getcwd
from os.path import isdir

from portable_aws.invocation import LambdaContext
from portable_aws.runtime_api import HTTPStream, RuntimeAPI, RuntimeAPIError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Handler = Callable[[Any, Any], Any]

__all__ = ["main"]


def main() -> None:
    """Serve invocations of ``_HANDLER`` until the process is ended."""
    api = RuntimeAPI(environ["AWS_LAMBDA_RUNTIME_API"])
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # a frozen process writes nothing
    try:
        handler = load(environ["_HANDLER"])
    except BaseException as error:
        _log(error, "")
        api.fail_init(*describe(error, "", _of_init(error))[:2])
        sys.exit(1)
    if environ.get("AWS_LAMBDA_INITIALIZATION_TYPE") == "snap-start":
        _be_restored(api)
    loop = Loop(api, handler)
    while True:
        loop.serve()


def load(name: str) -> Handler:
    """The handler of ``module.attribute``. Raises what its module raises."""
    module, _, attribute = name.rpartition(".")
    if not module:
        raise ImportError(f"the handler {name!r} is no module.attribute")
    root = environ.get("LAMBDA_TASK_ROOT")
    if root and root not in sys.path:
        sys.path.insert(0, root)
    # As AWS's own client has it: what layers bring, and what the runtime does.
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    for folder in (
        f"/opt/python/lib/python{version}/site-packages",
        "/opt/python",
        environ.get("LAMBDA_RUNTIME_DIR", ""),
    ):
        if folder and folder not in sys.path and isdir(folder):
            sys.path.append(folder)
    __import__(module.replace("/", "."))
    handler: Handler = getattr(sys.modules[module.replace("/", ".")], attribute)
    return handler


class Loop:
    """Takes invocations one after the other."""

    def __init__(self, api: RuntimeAPI, handler: Handler) -> None:
        from json import loads

        from portable.jsontext import loaded_encoder

        self._api = api
        self._handler = handler
        self._left: Callable[[], Any] | None = getattr(handler, "left", None)
        self._decode = loads
        self._encode = loaded_encoder()
        self._logs = False

    def serve(self) -> None:
        """Take one invocation and answer it. Raises RuntimeAPIError and OSError when Lambda is gone."""
        headers, event = self._api.next()
        request_id = headers["lambda-runtime-aws-request-id"]
        trace = headers.get("lambda-runtime-trace-id")
        if trace:
            environ["_X_AMZN_TRACE_ID"] = trace
        else:
            environ.pop("_X_AMZN_TRACE_ID", None)
        if not self._logs and "logging" in sys.modules:
            self._logs = True
            from portable_aws.runtime_logs import configure

            configure()
        try:
            answer = self._handler(self._decode(event.decode()), LambdaContext(headers))
        except Exception as error:
            self._fail(request_id, error)
            return
        if answer.__class__ is HTTPStream:
            self._send_pieces(request_id, answer)
        else:
            self._send(request_id, answer)
        if self._left is not None:
            self._left()

    def _send(self, request_id: str, answer: Any) -> None:
        try:
            body = self._encode(answer).encode()
        except Exception as error:
            self._fail(request_id, error, "Runtime.MarshalError")
            return
        try:
            self._api.respond(request_id, body)
        except RuntimeAPIError as error:
            _unless_refused(error)

    def _send_pieces(self, request_id: str, answer: HTTPStream) -> None:
        """Lambda reads as fast as it may hand on, which holds the body back. It never says that a caller hung up."""
        from json import dumps

        pieces: Any = answer.pieces
        stream = self._api.stream(request_id)
        try:
            stream.write(dumps(answer.head).encode() + bytes(8))
            try:
                for piece in pieces:
                    stream.write(piece)
            except OSError:
                raise
            except Exception as error:
                kind, body, _ = describe(error.__cause__ or error, request_id)
                stream.fail(kind, body)
            else:
                stream.end()
        except RuntimeAPIError as error:
            _unless_refused(error)
        finally:
            pieces.close()

    def _fail(self, request_id: str, error: Exception, kind: str = "") -> None:
        kind, body, cause = describe(error, request_id, kind)
        _log(error, request_id)
        try:
            self._api.fail(request_id, kind, body, cause)
        except RuntimeAPIError as refused:
            _unless_refused(refused)


def _unless_refused(error: RuntimeAPIError) -> None:
    """Go on after an answer Lambda did not take: one too large, or one past its deadline. It has failed the invocation
    by then. What it says of itself (5xx) or a connection that ended is this process's end.
    """
    if not 400 <= error.status < 500:
        raise error
    sys.stdout.write(f"[ERROR] {error}\n")


def _of_init(error: BaseException) -> str:
    """What AWS's own client calls an error of the app's import."""
    if isinstance(error, SyntaxError):
        return "Runtime.UserCodeSyntaxError"
    return "Runtime.ImportModuleError" if isinstance(error, ImportError) else ""


def describe(error: BaseException, request_id: str, kind: str = "") -> tuple[str, bytes, bytes]:
    """Type, Lambda's document, and X-Ray's, of what was raised: as AWS's own client writes them. ``kind``: its type,
    where it is not the class of ``error``.
    """
    from json import dumps
    from traceback import extract_tb, format_list

    frames = [frame for frame in extract_tb(error.__traceback__) if frame.filename != __file__]
    kind = kind or type(error).__name__
    document: dict[str, Any] = {"errorMessage": str(error), "errorType": kind, "requestId": request_id}
    document["stackTrace"] = format_list(frames)
    cause = {
        "working_directory": getcwd(),
        "exceptions": [
            {
                "message": str(error),
                "type": kind,
                "stack": [{"label": one.name, "path": one.filename, "line": one.lineno} for one in frames],
            }
        ],
        "paths": sorted({one.filename for one in frames}),
    }
    return kind, dumps(document).encode(), dumps(cause).encode()


def _log(error: BaseException, request_id: str) -> None:
    from traceback import format_exception

    lines = "".join(format_exception(error)).rstrip()
    sys.stdout.write(f"[ERROR] {type(error).__name__}: {error} {request_id}\n{lines}\n")


def _be_restored(api: RuntimeAPI) -> None:
    """Run what wants to be run before a snapshot is taken, and after each restore from it."""
    from portable_aws._sdk import snapshot_hooks

    try:
        before, after = snapshot_hooks()
        for hook in before:
            hook()
    except BaseException as error:
        _log(error, "")
        api.fail_init("Runtime.BeforeSnapshotError", describe(error, "")[1])
        sys.exit(64)
    api.restore_next()
    try:
        for hook in after:
            hook()
    except BaseException as error:
        _log(error, "")
        api.fail_restore("Runtime.AfterRestoreError", describe(error, "")[1])
        sys.exit(65)


if __name__ == "__main__":
    main()
