import ast

from portable.manifest import FunctionRecord, Manifest, TriggerRecord
from portable_local.build import TARGET


def manifest(auth="public"):
    options = {"method": "GET", "path": "/x", "status": None, "auth": auth, "max_body": None}
    routes = [TriggerRecord("http", "app:x", "app.py:7", options)]
    http = FunctionRecord("http", "http", routes, None, None, ["shop.images:router"], [], False)
    send = FunctionRecord("send", "message", [], None, None, [], [], False)
    return Manifest("shop", "app:app", [http, send], [], False)


def test_the_entry_knows_each_function():
    [bundle] = TARGET.bundles(manifest(), {})
    assert bundle.sources == {"http": "http", "send": "message"}
    entry = ast.parse(bundle.files["portable_entry.py"])
    values = {node.targets[0].id: ast.literal_eval(node.value) for node in entry.body if isinstance(node, ast.Assign)}
    assert values == {
        "SPEC": "app:app",
        "FUNCTIONS": {"http": (("shop.images:router",), "http"), "send": ((), "message")},
    }
    assert TARGET.bundles(manifest(), {})[0].files == bundle.files


def test_a_route_that_asks_who_calls_is_told_that_nobody_does():
    assert TARGET.check(manifest(), {}) == []
    [finding] = TARGET.check(manifest("iam"), {})
    assert (finding.severity, finding.where) == ("warning", "app.py:7")
    assert "GET /x asks for auth='iam'" in finding.message
