"""A server that answers as Azure Resource Manager and an app's ``scm`` host do, and holds what it is sent against the
vendor's message types. Long-running operations take a few looks.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from azure.mgmt.resource.deployments import models

OUTPUT = re.compile(r"app_\w+_name")


def id_of(kind: str, symbol: str) -> str:
    """The id of what a template makes, which is called by its symbol here; outer resources are called ``in``."""
    first, *types = kind.split("/")
    names = [*["in"] * (len(types) - 1), symbol]
    inner = "/".join(part for pair in zip(types, names, strict=True) for part in pair)
    return f"/subscriptions/s/resourceGroups/shop/providers/{first}/{inner}"


class Azure:
    """What is in the cloud, and what was asked of it.

    Attributes:
        group: whether the resource group is there. deployments: by name, the resource as ARM has it.
        tagged: resources of the group. assignments, roles: of it. published: zips by app. deleted: ids.
        inside: what is in a resource, by its path, the list's name last. blobs: where the blobs of accounts are.
        quiet: whether it does not tell what a deployment made. refusal: status, code and message for all.
        failing: by name of a deployment, how often it fails yet; with the ``error`` of one resource.
        refusing: answers of the scm host before it takes code. states: of a publication, one a look.
    """

    def __init__(self, wrong_in: Callable[[Any, Any, str], list[str]]) -> None:
        self.wrong_in = wrong_in
        self.group = True
        self.deployments: dict[str, dict[str, Any]] = {}
        self.changes: list[dict[str, Any]] = []
        self.tagged: list[dict[str, Any]] = []
        self.assignments: list[dict[str, Any]] = []
        self.roles: list[dict[str, Any]] = []
        self.inside: dict[str, list[dict[str, Any]]] = {}
        self.blobs = "http://127.0.0.1:9/"
        self.quiet = False
        self.refusal: tuple[int, str, str] | None = None
        self.published: dict[str, bytes] = {}
        self.deleted: list[str] = []
        self.failing: dict[str, int] = {}
        self.error = {"code": "RoleAssignmentUpdateNotPermitted", "message": "Tenant ID cannot be updated."}
        self.refusing: list[int] = []
        self.states: list[int] = [1, 4]
        self.locked: set[str] = set()
        self.requests: list[tuple[str, str]] = []
        self.wrong: list[str] = []
        self.looks: dict[str, int] = {}
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def made(self, name: str) -> list[dict[str, Any]]:
        """What a deployment made, by its own word."""
        found: list[dict[str, Any]] = self.deployments[name]["properties"]["outputResources"]
        return found

    def close(self) -> None:
        """End it."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        azure = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: Any) -> None: ...

            def _answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                azure.requests.append((self.command, unquote(self.path)))
                data = self.path.startswith("/account/")
                if not data and self.headers.get("authorization") != "Bearer token-of-the-login":
                    azure.wrong.append(f"{self.command} {self.path}: no token")
                status, document, headers = azure.answer(self.command, self.path, body)
                content = b"" if document is None else json.dumps(document).encode()
                self.send_response(status)
                for name, value in {"content-type": "application/json", **headers}.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(content)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(content)

            do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _answer  # noqa: N815

        return Handler

    def answer(self, method: str, target: str, body: bytes) -> tuple[int, Any, dict[str, str]]:
        """One request."""
        parts = urlsplit(target)
        path, query = unquote(parts.path), parse_qs(parts.query)
        if path.startswith("/account/"):  # blobs, which whoever deploys may not read
            return 403, None, {"x-ms-error-code": "AuthorizationPermissionMismatch"}
        if path.startswith("/api/"):
            return self._scm(method, path, query, body)
        if path.startswith("/later/"):
            return self._later(path.removeprefix("/later/"))
        if "api-version" not in query:
            self.wrong.append(f"{method} {path}: no api-version")
        if found := re.fullmatch(r"/subscriptions/[^/]+/resourcegroups/shop", path, re.IGNORECASE):
            if method == "PUT":
                self.group = True
                return 201, {"id": found[0], "name": "shop", **json.loads(body)}, {}
            return (204 if self.group else 404), None, {}
        if self.refusal is not None:
            return self.refusal[0], {"error": dict(zip(("code", "message"), self.refusal[1:], strict=True))}, {}
        if not self.group:
            return 404, {"error": {"code": "ResourceGroupNotFound", "message": "no group"}}, {}
        if found := re.search(r"/deployments/([\w-]+)(/whatIf|/operations)?$", path, re.IGNORECASE):
            return self._deployment(method, found[1], found[2] or "", body)
        if path.endswith("/resources"):
            asked = dict(re.findall(r"(tagName|tagValue) eq '([^']*)'", query["$filter"][0]))
            tagged = [one for one in self.tagged if one["tags"].get(asked["tagName"]) == asked["tagValue"]]
            return 200, {"value": tagged}, {}
        if found := re.fullmatch(r"/subscriptions/s/providers/([\w.]+)", path):
            types = [
                {"resourceType": "virtualNetworks", "apiVersions": ["2024-05-01", "2023-01-01", "2025-01-01-preview"]}
            ]
            return 200, {"namespace": found[1], "resourceTypes": types}, {}
        if path.endswith("/roleAssignments") and method == "GET":
            principal = query["$filter"][0].partition("'")[2].rstrip("'")
            return 200, {"value": [one for one in self.assignments if principal in one["principal"]]}, {}
        if path.endswith("/roleDefinitions") and method == "GET":
            return 200, {"value": self.roles}, {}
        if method == "DELETE":
            return self._delete(path)
        return self._resource(path)

    def _resource(self, path: str) -> tuple[int, Any, dict[str, str]]:
        name = path.rpartition("/")[2]
        if path.count("/providers/") == 1 and path.partition("/providers/")[2].count("/") % 2:
            return 200, {"value": self.inside.get(path, [])}, {}
        if "/storageAccounts/" in path:
            return 200, {"id": path, "properties": {"primaryEndpoints": {"blob": self.blobs}}}, {}
        if "/userAssignedIdentities/" in path:
            return 200, {"id": path, "properties": {"principalId": f"principal-of-{name}"}}, {}
        if "/sites/" in path:
            if name == "restart":
                return 200, None, {}
            hosts = [f"{name}.example", f"{name}.scm.example"]
            return 200, {"id": path, "properties": {"enabledHostNames": hosts}}, {}
        return 404, {"error": {"code": "ResourceNotFound", "message": path}}, {}

    def _delete(self, path: str) -> tuple[int, Any, dict[str, str]]:
        if path in self.locked:
            return 409, {"error": {"code": "ScopeLocked", "message": "the scope is locked"}}, {}
        if path.endswith("-gone"):
            return 404, {"error": {"code": "ResourceNotFound", "message": path}}, {}
        self.deleted.append(path)
        return 202, None, {"location": f"{self.url}/later/delete/{len(self.deleted)}"}

    def _later(self, what: str) -> tuple[int, Any, dict[str, str]]:
        self.looks[what] = self.looks.get(what, 0) + 1
        kind, _, name = what.partition("/")
        if self.looks[what] < 2:
            return 202, {"status": "Running"}, {"location": f"{self.url}/later/{what}"}
        if kind == "delete":
            return 204, None, {}
        if kind == "whatif":
            return 200, {"status": "Succeeded", "properties": {"changes": self.changes}}, {}
        state = self.deployments[name]["properties"]
        if state["provisioningState"] == "Failed":
            return 200, {"status": "Failed", "error": state["error"]}, {}
        state["provisioningState"] = "Succeeded"
        return 200, {"status": "Succeeded"}, {}

    def _deployment(self, method: str, name: str, more: str, body: bytes) -> tuple[int, Any, dict[str, str]]:
        more = more.lower()
        if more == "/operations":
            return 200, {"value": self._operations(name)}, {}
        if more == "/whatif":
            self.wrong += self.wrong_in(models.DeploymentWhatIf, json.loads(body), "whatIf")
            self.looks.pop(f"whatif/{name}", None)
            return 202, None, {"location": f"{self.url}/later/whatif/{name}"}
        if method == "PUT":
            return self._create(name, json.loads(body))
        if name not in self.deployments:
            return 404, {"error": {"code": "DeploymentNotFound", "message": f"no deployment {name}"}}, {}
        if method == "DELETE":
            del self.deployments[name]
            return 204, None, {}
        return 200, self.deployments[name], {}

    def _create(self, name: str, asked: Any) -> tuple[int, Any, dict[str, str]]:
        self.wrong += self.wrong_in(models.Deployment, asked, name)
        template = asked["properties"]["template"]
        self.looks.pop(f"deployment/{name}", None)
        fails = self.failing.get(name, 0)
        self.failing[name] = fails - 1
        properties: dict[str, Any] = {
            "provisioningState": "Failed" if fails > 0 else "Running",
            "mode": asked["properties"]["mode"],
            "parameters": asked["properties"].get("parameters", {}),
            "outputs": {key: {"type": "String", "value": self._output(key)} for key in template.get("outputs", {})},
        }
        if fails > 0:
            inner = self.error
            properties["error"] = {"code": "DeploymentFailed", "message": "At least one failed", "details": [inner]}
            properties.pop("outputs")
        elif not self.quiet:
            named = [(one["type"], symbol) for symbol, one in template["resources"].items() if not one.get("existing")]
            properties["outputResources"] = [{"id": id_of(kind, symbol)} for kind, symbol in named]
        self.deployments[name] = {"id": f"/x/{name}", "name": name, "properties": properties, "template": template}
        later = {"azure-asyncoperation": f"{self.url}/later/deployment/{name}"}
        return 201, {key: self.deployments[name][key] for key in ("id", "name", "properties")}, later

    @staticmethod
    def _output(name: str) -> str:
        if OUTPUT.fullmatch(name):
            return f"user-shop-{name.removeprefix('app_').removesuffix('_name').replace('_', '-')}"
        return f"https://{name.replace('_', '-')}.example"

    def _operations(self, name: str) -> list[dict[str, Any]]:
        looks = self.looks.get(f"deployment/{name}", 0)
        failed = self.deployments[name]["properties"]["provisioningState"] == "Failed"
        made = []
        for number, (kind, last) in enumerate((("Microsoft.Storage/storageAccounts", "usershopd1"), ("", ""))):
            target = {"id": f"/subscriptions/s/resourceGroups/shop/providers/{kind}/{last}", "resourceType": kind}
            state = "Succeeded" if looks >= 2 else "Running"
            properties: dict[str, Any] = {"provisioningOperation": "Create", "provisioningState": state}
            if not kind:
                properties["provisioningOperation"] = "EvaluateDeploymentOutput"
            else:
                properties["targetResource"] = target
                if failed and looks >= 2:
                    error = self.deployments[name]["properties"]["error"]["details"][0]
                    properties |= {"provisioningState": "Failed", "statusMessage": {"error": error}}
            made.append({"id": str(number), "operationId": str(number), "properties": properties})
        return made

    def _scm(self, method: str, path: str, query: Any, body: bytes) -> tuple[int, Any, dict[str, str]]:
        if method == "POST":
            if self.refusing:
                return self.refusing.pop(0), {"message": "not yet"}, {}
            if query.get("RemoteBuild") != ["false"]:
                self.wrong.append(f"{path}: built there, though dependencies are in the zip")
            self.published[str(len(self.published))] = body
            self.looks["publish"] = 0
            return 202, f"id-{len(self.published)}", {}
        state = self.states[min(self.looks["publish"], len(self.states) - 1)]
        self.looks["publish"] += 1
        said = {"id": path.rpartition("/")[2], "status": state, "status_text": "No module named 'app'"}
        return (202 if state == 1 else 200), said, {}
