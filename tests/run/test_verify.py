from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from portable.build.project import Project, find_project
from portable.errors import BuildError, ConfigError
from portable.run.differences import DECLARED, declared_for
from portable.run.verify import Report, verify

APP = """
from portable import App, BlobEvent, Message, Request, Response, Tick

app = App("sample")
inbox = app.bucket("inbox")
outbox = app.bucket("outbox")
jobs = app.queue("jobs", max_attempts=2)


@app.get("/items/{item}")
def item(item: str, request: Request) -> dict[str, object]:
    return {"item": item, "query": request.query.items(), "cookies": request.cookies}


@app.post("/items")
def add(body: dict[str, object]) -> Response:
    inbox.write("items/one.json", "1", metadata={"by": "add"})
    return Response(body, 201, [("x-one", "1"), ("x-one", "2")])


@app.get("/broken")
def broken() -> None:
    raise RuntimeError("no")


@app.on_blob(inbox, prefix="items/", suffix=".json")
def copy(event: BlobEvent) -> None:
    outbox.write(event.key, inbox.read(event.key))
    jobs.send({"key": event.key})


@app.on_message(jobs)
def job(message: Message[dict[str, str]]) -> None:
    if message.body.get("key") != "items/one.json":
        raise ValueError("unknown key")


@app.on_schedule(cron="0 8 * * *")
def daily(tick: Tick) -> None:
    outbox.write("daily.txt", tick.scheduled_at.isoformat())


@app.function()
def double(payload: dict[str, int]) -> int:
    return payload["count"] * 2
"""


@pytest.fixture
def project(tmp_path: Path) -> Project:
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "app.py").write_text(APP)
    return find_project(folder)


def traffic(project: Project, *steps: dict[str, Any]) -> None:
    (project.root / "verify.json").write_text(json.dumps({"steps": list(steps)}))


def run(project: Project) -> Report:
    report = verify(project, ["one", "two", "three"])
    text = report.text()
    assert all(len(line) <= 80 for line in text.splitlines()), text
    return report


def same(memory_cloud: Any, bend: Any = lambda function, answer: answer) -> None:
    memory_cloud(None, "one")
    memory_cloud(None, "two", bend)
    memory_cloud(None, "three")


def test_targets_that_answer_alike_are_equal(project: Project, memory_cloud: Any) -> None:
    same(memory_cloud)
    report = run(project)
    assert (report.status, report.differences) == (0, [])
    assert report.steps > 30, "routes, edges and triggers"
    text = report.text()
    assert "sample: " in text
    assert "steps from the app's routes and triggers on one, two, three" in " ".join(text.split())
    assert "memory 1.0" in text
    assert text.endswith("no other difference")


def test_a_differing_header_status_and_body_are_found(project: Project, memory_cloud: Any) -> None:
    def bend(function: str, answer: Any) -> Any:
        if function == "http" and answer["status"] == 201:
            return {"status": 200, "headers": [("x-one", "2")], "body": "{}"}
        return answer

    same(memory_cloud, bend)
    traffic(project, {"do": "request", "method": "POST", "path": "/items", "json": {"a": 1}})
    report = run(project)
    assert report.status == 1
    assert {one.field: one.values["two"] for one in report.undeclared} == {
        "status": "200",
        "header:x-one": "2",
        "header:content-type": "—",
        "body": "{}",
    }
    assert {one.values["one"] for one in report.undeclared} == {"201", "1,2", "application/json", '{"a":1}'}
    text = report.text()
    assert "4 differences" in text
    assert "one, three" in text
    assert "1. POST /items" in text


def test_a_differing_effect_on_storage_is_found(project: Project, memory_cloud: Any) -> None:
    same(memory_cloud)
    traffic(project, {"do": "request", "method": "POST", "path": "/items", "json": {}})
    assert run(project).status == 0
    memory_cloud(None, "two", lambda function, answer: ["m0"] if function == "job" else answer)
    report = run(project)
    fields = {one.field: one.values for one in report.undeclared}
    assert fields["queue:jobs dead letters"]["two"] == '{"key":"items/one.json"}'
    assert fields["queue:jobs dead letters"]["one"] == "none"
    assert fields["delivered"] == {"one": "2", "two": "1", "three": "2"}
    assert "attempt 2, given up" in fields["failures"]["two"]


def test_request_ids_and_server_headers_are_no_difference(project: Project, memory_cloud: Any) -> None:
    def bend(function: str, answer: Any) -> Any:
        if function != "http":
            return answer
        body = answer["body"].replace("r-1", "another")
        return {**answer, "body": body, "headers": [*answer["headers"], ("Server", "x"), ("Date", "today")]}

    same(memory_cloud, bend)
    traffic(project, {"do": "request", "path": "/broken"})
    report = run(project)
    assert report.status == 0
    assert [one.declared for one in report.differences] == ["server-headers", "server-headers"]
    assert "server-headers (2)" in report.text()


def test_what_a_step_ignores_is_no_difference(project: Project, memory_cloud: Any) -> None:
    def bend(function: str, answer: Any) -> Any:
        if function == "http":
            return {**answer, "status": 299, "body": answer["body"].replace("two", "2")}
        return answer

    same(memory_cloud, bend)
    step = {"do": "request", "path": "/items/two"}
    traffic(project, {**step, "ignore": ["status", "body:/item"]})
    assert run(project).status == 0
    traffic(project, {**step, "ignore": ["status"]})
    assert [one.field for one in run(project).undeclared] == ["body"]
    traffic(project, {**step, "ignore": ["status", "body"]})
    assert run(project).status == 0


def test_events_snapshots_and_files(project: Project, memory_cloud: Any) -> None:
    same(memory_cloud)
    (project.root / "body.json").write_text('{"from": "a file"}')
    traffic(
        project,
        {"do": "request", "method": "POST", "path": "/items", "body_file": "body.json"},
        {"do": "event", "function": "job", "event": {"messages": [{"body": {"key": "x"}}]}},
        {"do": "event", "function": "daily", "event": {}},
        {"do": "settle", "timeout": 20},
        {"do": "snapshot", "ignore": ["bucket:outbox/daily*"]},
    )
    report = run(project)
    assert (report.status, report.steps) == (0, 5), "events of this moment are made once for every target"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "Input data was truncated"),
        ('{"steps": [{"do": "dance"}]}', r"Invalid value 'dance' - at `\$.steps\[0\].do`"),
        ('{"steps": [{"do": "request", "paht": "/"}]}', r"unknown field `paht` - at `\$.steps\[0\]`"),
        ('{"steps": [{"do": "request", "path": "x"}]}', r"step 1 .*a path starts with '/'"),
        ('{"steps": [{"do": "settle"}, {"do": "request", "body_file": "no.png"}]}', r"step 2 .*no.png: No such file"),
        ('{"steps": [{"do": "request", "json": 1, "text": "1"}]}', "text and json would both be the body"),
        ('{"steps": [{"do": "event", "function": "nobody"}]}', "no function 'nobody'; it has http, copy"),
        ('{"steps": [{"do": "event", "function": "daily", "event": {"scheduled_at": 1}}]}', r"\$.scheduled_at"),
        ('{"steps": [{"do": "snapshot", "ignore": ["header:x"]}]}', "ignore 'header:x': here it is one of bucket:"),
    ],
)
def test_a_wrong_verify_file_says_where(project: Project, memory_cloud: Any, text: str, says: str) -> None:
    same(memory_cloud)
    (project.root / "verify.json").write_text(text)
    with pytest.raises(ConfigError, match=rf"verify\.json: .*{says}"):
        run(project)


def test_an_app_that_does_not_import_fails_naming_the_target(project: Project, memory_cloud: Any) -> None:
    same(memory_cloud)
    (project.root / "app.py").write_text("import nothing_of_this_name\n")
    with pytest.raises(BuildError, match=r"(?s)one: app does not import:.*nothing_of_this_name"):
        run(project)


def test_every_declared_difference_is_documented() -> None:
    page = (Path(__file__).parents[2] / "docs" / "reference" / "differences.md").read_text("utf-8")
    for one in DECLARED:
        assert f"## {one.name}\n" in page
        assert one.what
        assert one.why.endswith(".")
    assert "## request-id\n" in page
    assert "## past-deadline\n" in page
    assert "## joined-headers\n" in page


def test_a_declared_difference_holds_for_its_fields_and_no_others() -> None:
    assert declared_for("header:date", "aws") is not None
    assert declared_for("header:etag", "aws") is None
    assert declared_for("status", "aws") is None


def test_a_declared_difference_holds_for_its_target_and_requests_and_no_others() -> None:
    assert declared_for("status", "aws", ["path:/a%2Fb"]) is not None
    assert declared_for("status", "gcp", ["path:/a%2Fb"]) is None
    assert declared_for("status", "aws", ["path:/a/b", "header:x: %2F"]) is None
    assert declared_for("body", "azure", ["path:/", "header:Cookie: a=%41"]) is not None
    assert declared_for("body", "azure", ["path:/%41", "header:cookie: a=A"]) is None
