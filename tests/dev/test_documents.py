"""The document of the app's routes and Swagger UI, where the app itself answers nothing."""

from __future__ import annotations

import re

import httpx
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from portable.dev import documents

OWN = """
from portable import App

app = App("own", openapi={"servers": [{"url": "https://api.example.com"}]})


@app.get("/docs")
def docs() -> str:
    return "the app's own"


@app.post("/openapi.json")
def openapi() -> str:
    return "the app's own"
"""


def test_the_document_is_where_it_is_looked_for(shared):
    document = httpx.get(f"{shared.url}/openapi.json").json()
    assert list(OpenAPIV31SpecValidator(document).iter_errors()) == []
    assert "/pause/{ms}" in document["paths"]
    assert httpx.get(f"{shared.url}/_portable/docs/openapi.json").json() == document
    assert httpx.head(f"{shared.url}/openapi.json").status_code == 200


@pytest.mark.parametrize("path", ["/docs", "/_portable/docs"])
def test_the_page_loads_nothing_from_elsewhere(shared, path):
    page = httpx.get(shared.url + path)
    assert page.status_code == 200
    assert "script-src 'self'" in page.headers["content-security-policy"]
    parts = re.findall(r"(?:src|href)='([^']+)'", page.text)
    assert len(parts) == 4
    for part in parts:
        assert part.startswith("/_portable/docs/")
        assert httpx.get(shared.url + part).status_code == 200
    start = httpx.get(f"{shared.url}/_portable/docs/start.js").text
    assert 'url: "/_portable/docs/openapi.json"' in start
    assert "http" not in start
    assert b"SwaggerUIBundle" in httpx.get(f"{shared.url}/_portable/docs/swagger-ui-bundle.js").content


@pytest.mark.parametrize("name", ["main.py", "..%2fmain.py", "%2e%2e/main.py", "resources"])
def test_no_other_file_is_given(shared, name):
    assert httpx.get(f"{shared.url}/_portable/docs/{name}").status_code == 404


def test_the_pages_answer_this_machine_alone(shared):
    for path in ("/docs", "/openapi.json", "/_portable/docs"):
        assert httpx.get(shared.url + path, headers={"host": "evil.example"}).status_code == 403


def test_other_methods_are_the_apps(shared):
    assert httpx.post(f"{shared.url}/docs").status_code in (404, 405)


def test_what_the_app_answers_is_the_apps(project, start):
    (project / "app.py").write_text(OWN)
    server = start("--no-reload")
    assert httpx.get(f"{server.url}/docs").text == "the app's own"
    assert httpx.get(f"{server.url}/openapi.json").status_code == 405
    document = httpx.get(f"{server.url}/_portable/docs/openapi.json").json()
    assert set(document["paths"]) == {"/docs", "/openapi.json"}
    assert document["servers"] == [{"url": "/", "description": "this machine"}]


def test_an_app_that_does_not_start_says_so(project, start):
    (project / "app.py").write_text("import nowhere_at_all\n")
    server = start()
    assert httpx.get(f"{server.url}/_portable/docs").status_code == 200
    answer = httpx.get(f"{server.url}/_portable/docs/openapi.json")
    assert answer.status_code == 503
    assert "nowhere_at_all" in answer.text


def test_without_its_files_the_page_says_what_to_install(monkeypatch):
    monkeypatch.setattr(documents, "find_spec", lambda name: None)
    page = documents._page("a <b>")
    assert "pip install" in page
    assert "<script" not in page
    assert "a &lt;b&gt;" in page
    assert "/_portable/docs/openapi.json" in page
