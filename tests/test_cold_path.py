"""The built AWS bundle in a fresh interpreter: which modules stand between a cold start and its first answer.

The lists in ``cold_path/`` are exact, and reviewed like code: a module that joins costs every cold start of every user.
``PORTABLE_WRITE_COLD_PATH=1 pytest tests/test_cold_path.py`` writes them anew.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from portable.build.artifact import Wanted, build
from portable.build.project import find_project
from portable.plugins import adapter

LISTS = Path(__file__).parent / "cold_path"
APPS = {
    "plain": """
from portable import App

app = App("hello")

@app.get("/users/{user_id}")
def get_user(user_id: int, verbose: bool = False):
    return {"user": user_id, "verbose": verbose}
""",
    "models": """
import msgspec
from portable import App

app = App("hello")

class User(msgspec.Struct):
    id: int

@app.get("/users/{user_id}")
def get_user(user_id: int) -> User:
    return User(user_id)
""",
}
NEVER = {
    "argparse",
    "asyncio",
    "boto3",
    "botocore",
    "concurrent",
    "dataclasses",
    "email",
    "fastapi",
    "http",
    "importlib",
    "inspect",
    "logging",
    "pluggy",
    "pydantic",
    "typing",
    "urllib",
}
CALL = """
import json, sys
before = set(sys.modules)
from portable_entry import http
class Context:
    aws_request_id = "id"
    def get_remaining_time_in_millis(self): return 1000
event = {"rawPath": "/users/7", "rawQueryString": "", "headers": {"host": "h"}, "isBase64Encoded": False,
         "requestContext": {"stage": "$default", "http": {"method": "GET", "path": "/users/7"}}}
answer = http(event, Context())
assert answer["statusCode"] == 200, answer
after = set(sys.modules)
print(json.dumps([answer["body"], sorted(after - before)]))
"""


@pytest.mark.parametrize("python", ["3.11", "3.13"])
@pytest.mark.parametrize("name", APPS)
def test_modules_before_the_first_answer(name: str, python: str, tmp_path: Path, require_part) -> None:
    interpreter = require_part("python", python).path
    project = tmp_path / "project"
    project.mkdir()
    (project / "app.py").write_text(APPS[name])
    (project / "pyproject.toml").write_text('[project]\nname = "hello"\nversion = "1"\n')
    build(find_project(project), adapter("aws").build, Wanted(python=python))
    bundle = project / "dist" / "aws" / "bundle"
    # -S: what site-packages' .pth files import is this machine's. json, sys and os are what awslambdaric has loaded.
    script = f"import json, os, sys; sys.path.insert(0, {str(bundle)!r})\n{CALL}"
    done = subprocess.run(
        [interpreter, "-I", "-S", "-c", script], capture_output=True, text=True, check=False, env={"PATH": os.defpath}
    )
    assert done.returncode == 0, done.stderr
    body, modules = json.loads(done.stdout)
    assert json.loads(body)["id" if name == "models" else "user"] == 7

    top = {module.partition(".")[0] for module in modules}
    ours = sorted(module for module in modules if module.startswith("portable"))
    found = "\n".join([*sorted(top), "", *ours]) + "\n"
    list_file = LISTS / f"{name}-{python}.txt"
    if os.environ.get("PORTABLE_WRITE_COLD_PATH"):
        list_file.write_text(found)
    if name == "plain":
        assert sorted(top & (NEVER | {"msgspec"})) == []
        assert not (bundle / "msgspec").exists()
    else:
        # msgspec brings its own; the app asked for it.
        assert sorted(top & {"asyncio", "pluggy", "fastapi", "pydantic", "boto3", "email", "dataclasses"}) == []
    assert found == list_file.read_text(), f"the cold path of {name} on {python} has changed"
