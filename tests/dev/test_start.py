"""How it begins: the banner, and what stands in its way."""

import socket
import sys

import pytest

from portable import dev
from portable.errors import ConfigError

CRON = """
@app.on_schedule(cron="0 8 * * *", timezone="Europe/Paris")
def daily(tick: Tick) -> None: ...
"""


def test_the_banner_says_where_everything_is(shared):
    banner = shared.log()
    assert f"app    {shared.url}\n" in banner
    assert f"pages  {shared.url}/_portable/\n" in banner
    assert f"state  {shared.root / '.portable'}\n" in banner
    for text in ("queue jobs, 5 at a time", "bucket files in/*.txt created", "schedule 0 8 * * * Europe/Paris"):
        assert text in banner
    assert (shared.root / ".portable" / ".gitignore").read_text() == "*\n"


def test_a_port_in_use(project, run_dev):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        status, log = run_dev(project, "--port", str(port))
    assert status != 0
    assert f"port {port} is in use on 127.0.0.1" in log
    assert f"--port {port + 1}" in log
    assert "Traceback" not in log


def test_a_second_server_of_one_project(shared, run_dev):
    status, log = run_dev(shared.root, "--port", "0")
    assert status != 0
    assert f"is served already, by process {shared.process.pid}" in log


def test_an_address_that_is_not_here():
    with pytest.raises(ConfigError, match=r"cannot listen on 192\.0\.2\.1, port 1234"):
        dev.serve(None, "192.0.2.1", 1234)
    with pytest.raises(ConfigError, match=r"cannot listen on 'no\.such\.host\.invalid'"):
        dev.serve(None, "no.such.host.invalid", 1234)


def test_the_extra_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "watchfiles", None)
    with pytest.raises(ConfigError, match=r"pip install 'portable-functions\[dev\]'"):
        dev.serve(None)


def test_without_reload_it_is_one_process(start):
    server = start("--no-reload")
    assert server.http.get("/pid").json()["pid"] == server.process.pid
    assert server.stop() == 0
    assert "Traceback" not in server.log()


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ('cron="0 8 * * *"', 'cron="0 25 * * *"', "'25' is no hour"),
        ('"Europe/Paris"', '"Europe/Atlantis"', "there is no time zone 'Europe/Atlantis'"),
        ("app = App(", "other = App(", "name 'app' is not defined"),
    ],
)
def test_what_is_declared_wrongly_is_said(project, start, before, after, said):
    source = project / "app.py"
    text = source.read_text().partition("@app.on_start")[0] + CRON
    assert before in text
    source.write_text(text.replace(before, after, 1))
    server = start()
    answer = server.http.get("/")
    assert answer.status_code == 503
    assert said in answer.json()["detail"]
    assert said in server.log()


def test_a_blob_written_by_the_very_first_request_is_an_event(start, until):
    server = start()
    server.write("files", "in/first.txt", "at once")
    assert until(lambda: server.blob("done", "in/first.txt")) == "AT ONCE"
