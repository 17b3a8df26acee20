"""Events of a real server: messages, blobs, schedules, calls by name."""

import re
from datetime import datetime


def test_a_batch_with_messages_that_fail(shared, until):
    for number, what in enumerate(["fine", "fail", "reject", "soon"]):
        shared.send("jobs", {"id": f"batch{number}", "what": what})
    keys = until(lambda: len(found := shared.keys("files", "seen/batch")) == 6 and found)
    assert keys == [
        "seen/batch0-1",
        "seen/batch1-1",
        "seen/batch1-2",
        "seen/batch2-1",
        "seen/batch3-1",
        "seen/batch3-2",
    ]
    until(lambda: "batch1" in shared.letters("jobs"))
    assert {"batch1", "batch2"} <= set(shared.letters("jobs"))
    log = shared.log()
    assert re.search(r"work message \d+ +retry in 1 s", log)
    assert re.search(r"work message \d+ +retry in 0.05 s", log)
    assert re.search(r"work message \d+, attempt 2 +dead letter", log)
    assert re.search(r"work message \d+ +rejected", log)


def test_dead_letters_are_redriven(shared, until):
    shared.send("jobs", {"id": "redrive", "what": "reject"})
    until(lambda: "redrive" in shared.letters("jobs"))
    assert shared.keys("files", "seen/redrive") == ["seen/redrive-1"]
    shared.http.delete("/_portable/buckets/files/blob", params={"key": "seen/redrive-1"})
    moved = shared.call("queues/jobs/redrive").json()["moved"]
    assert moved >= 1
    until(lambda: shared.keys("files", "seen/redrive") == ["seen/redrive-1"])  # a first attempt again


def test_a_body_that_does_not_fit_its_type_is_an_attempt(shared, until):
    shared.send("jobs", ["no", "object"])
    until(lambda: ["no", "object"] in shared.letters("jobs"))


def test_a_blob_event_reaches_its_handler(shared, until):
    shared.write("files", "in/ünï cödé+%.txt", "quiet")
    assert until(lambda: shared.blob("done", "in/ünï cödé+%.txt")) == "QUIET"
    shared.write("files", "in/other.bin", "quiet")
    shared.write("files", "in/again.txt", "second")
    assert until(lambda: shared.blob("done", "in/again.txt")) == "SECOND"
    assert shared.blob("done", "in/other.bin") is None


def test_a_blob_event_that_fails_is_tried_again_later(shared, until):
    shared.write("files", "in/bad.txt", "x")
    until(lambda: re.search(r"shout created files/in/bad.txt, attempt 2 +retry in 2 s", shared.log()))
    shout = next(one for one in shared.api("functions") if one["name"] == "shout")
    assert shout["waiting"] == 1


def test_a_schedule_runs_now(shared):
    answer = shared.call("schedules/daily/run").json()
    assert answer["error"] is None
    assert datetime.fromisoformat(shared.blob("done", "tick")).tzinfo is not None
    [schedule] = shared.api("schedules")
    assert schedule["expression"] == "0 8 * * * Europe/Paris"
    due = datetime.fromisoformat(schedule["next"])
    assert (due.hour, due.minute) == (8, 0)


def test_functions_are_invoked_by_hand(shared):
    shared.write("files", "count/1", "x")
    assert shared.call("functions/count", {"prefix": "count/"}).json()["value"] == {"blobs": 1}
    wrong = shared.call("functions/count", [1])
    assert wrong.status_code == 422
    document = {"messages": [{"body": {"id": "hand1"}}, {"id": "two", "body": {"id": "hand2", "what": "fail"}}]}
    assert shared.call("functions/work", document).json()["failed"] == ["two"]
    assert shared.call("functions/http", {"path": "/"}).json() == {"hello": "world"}
    assert shared.call("functions/http", {"path": "/nowhere"}).status_code == 404
    tick = shared.call("functions/daily", {"scheduled_at": "2026-01-02T03:04:05Z"})
    assert tick.status_code == 200
    assert shared.blob("done", "tick") == "2026-01-02T03:04:05+00:00"
    assert shared.call("functions/daily", {"scheduled": 1}).status_code == 400
    assert shared.call("functions/shout", {"key": "in/bad.txt"}).status_code == 500
    assert shared.call("functions/nobody", {}).status_code == 404
