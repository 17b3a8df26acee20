"""Two processes that race for the same keys: each thing is done once, and both hear of the same result."""

import json
import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from portable import Table
from portable.run.emulators import Emulator
from portable_aws._sdk import Client
from portable_aws.provision import make_table

ROUNDS = 25

RACER = """
import json, os, sys, time
from datetime import timedelta
from portable import App, Request, idempotent
from portable.invoke import make_function, run

target, kind, done, start, rounds = sys.argv[1], sys.argv[2], sys.argv[3], float(sys.argv[4]), int(sys.argv[5])
app = App("race")
store = app.table("races", key="id", ttl="ends") if kind == "table" else app.cache("races")


@app.post("/{number:int}")
@idempotent(store, concurrent="wait", lock=timedelta(seconds=30))
def work(number: int) -> dict[str, int]:
    with open(done, "a") as file:
        file.write(f"{number} {os.getpid()}\\n")
    time.sleep(0.005)
    return {"number": number, "by": os.getpid()}


function = make_function(app.functions()["http"], app)
answers = []
with app.connect(target):
    function(Request("POST", "/999999", headers={"idempotency-key": str(os.getpid())}))  # whatever is opened is open
    for number in range(rounds):
        time.sleep(max(start + number * 0.04 - time.time(), 0))  # both at the same instant
        response = function(Request("POST", f"/{number}", headers={"idempotency-key": f"k{number}"}))
        answers.append([response.status, json.loads(response.body), "idempotent-replayed" in response.headers])
print(json.dumps(answers))
"""


@pytest.fixture(params=["local", "dynamodb", "redis"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, str, dict[str, str]]:
    """Target, kind of store, and environment."""
    environment = {"PORTABLE_LOCAL_STATE": str(tmp_path / "state")}
    if request.param == "local":
        return "local", "table", environment
    if request.param == "redis":
        redis: Emulator = request.getfixturevalue("redis_server")
        return "local", "cache", environment | {"PORTABLE_CACHE_RACES": redis.endpoint}
    moto: Emulator = request.getfixturevalue("moto_server")
    races = Table("races", key="id", ttl="ends")
    address = make_table(Client("dynamodb", moto.environment).get(), "idempotency-races", races.options)
    return "aws", "table", dict(moto.environment) | {"PORTABLE_TABLE_RACES": address}


def test_two_processes_race(place: tuple[str, str, dict[str, str]], tmp_path: Path) -> None:
    target, kind, environment = place
    script, done = tmp_path / "racer.py", tmp_path / "done"
    script.write_text(RACER)
    command = [sys.executable, str(script), target, kind, str(done), str(time.time() + 3), str(ROUNDS)]
    racers = [
        subprocess.Popen(command, env=os.environ | environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(2)
    ]
    answers: list[Any] = []
    for racer in racers:
        output, errors = racer.communicate(timeout=120)
        assert racer.returncode == 0, errors.decode()
        answers.append(json.loads(output))
    effects = Counter(int(line.split()[0]) for line in done.read_text().splitlines())
    assert effects == Counter(dict.fromkeys(range(ROUNDS), 1)) + Counter({999999: 2})
    for (status, result, replayed), (other_status, other_result, other_replayed) in zip(*answers, strict=True):
        assert (status, other_status) == (200, 200)
        assert result == other_result
        assert {replayed, other_replayed} == {True, False}
    assert {result["by"] for _, result, _ in answers[0]} <= {racer.pid for racer in racers}
