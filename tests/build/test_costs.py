"""What an app costs in a month: loads, prices, and what each cloud bills for one and the same app."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from portable.build.artifact import check
from portable.build.costs import APP, Bill, bill_of
from portable.build.load import Loads, read_load
from portable.build.prices import read_prices
from portable.build.project import Project
from portable.build.settings import function_settings
from portable.cli.parser import main
from portable.errors import ConfigError
from portable.plugins import adapter

Make = Callable[..., Project]

CLOUDS = ("aws", "azure", "gcp")
SOURCE = """
from portable import App, BlobEvent, Message, Tick

app = App("shop")
orders = app.queue("orders", max_attempts=5)
news = app.topic("news")
photos = app.bucket("photos")
items = app.table("items", key="id")


@app.get("/", memory=512)
def show() -> str:
    return str(items.get({"id": "1"}))


@app.on_message(orders, batch_size=10)
def take(messages: list[Message]) -> None: ...


@app.on_message(news, function="one")
def hear(message: Message) -> None: ...


@app.on_message(news, function="other")
def hear_too(message: Message) -> None: ...


@app.on_blob(photos)
def look(event: BlobEvent) -> None: ...


@app.on_schedule(cron="*/15 8-17 * * 1-5", timezone="Europe/Paris")
def tidy(tick: Tick) -> None: ...
"""


def files(settings: str = "") -> dict[str, str]:
    return {"app.py": SOURCE, "pyproject.toml": settings}


def bill(project: Project, name: str, over: Path | None = None) -> tuple[Bill, Loads]:
    target = adapter(name).build
    manifest = check(project, target)[0].manifest
    settings = project.settings(name)
    sources: dict[str, str] = {}
    for bundle in target.bundles(manifest, settings):
        sources.update(bundle.sources)
    functions = function_settings(project, name, manifest)
    loads = read_load(project, manifest)
    prices = read_prices(target.prices, name, over)
    return bill_of(target, prices, manifest, sources, functions, settings, loads), loads


def amounts(bill: Bill, function: str) -> Mapping[str, Any]:
    return {charge.meter: pytest.approx(charge.amount) for charge in bill.charges[function]}


@pytest.mark.parametrize("name", CLOUDS)
def test_every_price_says_where_it_is_from(name: str) -> None:
    prices = read_prices(adapter(name).build.prices)
    assert prices.currency == "USD"
    assert prices.region
    for key, meter in prices.meters.items():
        assert all((meter.title, meter.unit, meter.per > 0)), key
        assert meter.source.startswith("https://"), key
        assert min(meter.price, meter.free) >= 0, key
        assert meter.sure in ("page", "other", "memory"), key


def test_lambda_is_billed_by_memory_and_milliseconds(make_project: Make) -> None:
    load = '[tool.portable.load]\nrequests = "1M"\nduration = "50.2 ms"\nbatch = 20\n'
    found, _ = bill(make_project(files(load)), "aws")
    assert amounts(found, "http") == {
        "lambda.calls": 1_000_000,
        "lambda.time.x86_64": 1_000_000 * 0.051 * 0.5,
        "http-api": 1_000_000,
    }
    # Ten come together, as the handler asks: 502 ms each; a message is sent, a batch received and deleted.
    assert amounts(found, "take") == {
        "lambda.calls": 100_000,
        "lambda.time.x86_64": 100_000 * 0.502 / 8,
        "sqs": 1_000_000 + 2 * 100_000,
    }
    assert amounts(found, "one")["sns"] == 500_000  # each of the two functions bears half of the publishing
    assert found.row("http", "front") == found.cost(found.charges["http"][2])
    assert found.total("http").most == pytest.approx(0.2 + 25_500 * 0.0000166667 + 1)


def test_what_is_free_is_free_once(make_project: Make) -> None:
    found, _ = bill(make_project(files('[tool.portable.load]\nrequests = "400k"\n')), "aws")
    calls = sum(one.amount for every in found.charges.values() for one in every if one.meter == "lambda.calls")
    assert calls > 1_600_000
    # One million calls, 400,000 GB-s of which fewer are used, and one million of SQS's requests; SNS's million not all.
    seconds = sum(
        one.amount for every in found.charges.values() for one in every if one.meter.startswith("lambda.time")
    )
    assert found.free.most == pytest.approx(0.2 + seconds * 0.0000166667 + 0.4 + 0.2 + 0.00088, abs=1e-3)


def test_fronts_and_architectures_of_lambda_differ(make_project: Make) -> None:
    for http, meters in (("rest-api", {"rest-api"}), ("function-url", set()), ("alb", {"alb.capacity", "alb.hours"})):
        settings = f'[tool.portable.aws]\nhttp = "{http}"\nfunctions.http.arch = "arm64"\n'
        found, _ = bill(make_project(files(settings)), "aws")
        used = {one.meter for name in ("http", APP) for one in found.charges[name]}
        assert used == {"lambda.calls", "lambda.time.arm64", *meters}


def test_cloud_run_is_billed_by_processors_memory_and_tenths_of_seconds(make_project: Make) -> None:
    settings = '[tool.portable.load]\nduration = "120 ms"\nsize = "4 kB"\nrequests = 1000000\n'
    found, _ = bill(make_project(files(settings)), "gcp")
    assert amounts(found, "http") == {"run.calls": 1_000_000, "run.cpu": 200_000, "run.memory": 100_000}
    # 1.5 and not 2 of each message: what the topic got is published once for its two functions.
    assert amounts(found, "one")["pubsub"] == pytest.approx(1.5 * 1_000_000 * 4000 / 2**30)
    assert amounts(found, "take")["run.calls"] == 1_000_000  # pushed one by one
    assert amounts(found, "tidy")["scheduler.jobs"] == 1
    assert found.free.most <= found.total().most
    many = settings + "[tool.portable.functions.http]\nconcurrency = 20\n"
    shared, _ = bill(make_project(files(many)), "gcp")
    row = shared.row("http", "time")
    assert row is not None
    assert row.least == pytest.approx(row.most / 20)


def test_flex_is_billed_for_a_second_where_calls_come_alone(make_project: Make) -> None:
    settings = '[tool.portable.load]\nduration = "50 ms"\nrequests = "1M"\n'
    found, _ = bill(make_project(files(settings)), "azure")
    row = found.row("http", "time")
    assert row is not None
    assert (row.least, row.most) == pytest.approx((25_000 * 0.000026, 500_000 * 0.000026))  # 512 MiB
    assert amounts(found, "take")["storage-queue"] == 3_000_000
    assert amounts(found, "one")["bus.operations"] == 2_500_000
    assert amounts(found, "look")["event-grid"] == 2_000_000
    assert [one.meter for one in found.charges[APP]] == ["bus.base"]


def test_plans_of_azure(make_project: Make) -> None:
    load = '[tool.portable.load]\nduration = "50 ms"\nrequests = "1M"\n'
    old, _ = bill(make_project(files(load + '[tool.portable.azure]\nplan = "consumption"\n')), "azure")
    assert amounts(old, "http")["consumption.time"] == 1_000_000 * 0.1 * 0.5
    new, _ = bill(make_project(files(load + '[tool.portable.azure]\nplan = "premium"\n')), "azure")
    assert new.charges["http"] == []
    assert {"premium.cpu", "premium.memory"} <= {one.meter for one in new.charges[APP]}


def test_schedules_are_counted(make_project: Make) -> None:
    _, loads = bill(make_project(files()), "aws")
    # June 2025: 21 weekdays of ten hours of four quarters, of thirty days.
    assert loads.functions["tidy"].requests == 21 * 10 * 4


def test_resources_are_billed_where_the_load_says_so(make_project: Make) -> None:
    settings = '[tool.portable.load.resources."table:items"]\nread = "2M"\nwrite = 500_000\nstored = "30 GB"\n'
    found, _ = bill(make_project(files(settings)), "aws")
    assert found.total("table:items").most == pytest.approx(2 * 0.125 + 0.5 * 0.625 + 30 * 0.25)
    price = found.unit_cost("table", "read")
    assert price is not None
    assert price.most == pytest.approx(0.125)


def test_prices_of_ones_own(make_project: Make, tmp_path: Path) -> None:
    file = tmp_path / "prices.toml"
    file.write_text('[aws]\nregion = "eu-west-1"\n"lambda.calls" = 0.1\n"http-api" = { price = 2, free = 5 }\n')
    found, _ = bill(make_project(files()), "aws", file)
    prices = found.prices
    assert (prices.region, prices.own) == ("eu-west-1", frozenset({"lambda.calls", "http-api"}))
    assert (prices.meters["lambda.calls"].price, prices.meters["lambda.calls"].free) == (0.1, 1_000_000)
    assert (prices.meters["http-api"].unit_price, prices.meters["http-api"].free) == (2e-6, 5)
    assert read_prices(adapter("gcp").build.prices, "gcp", file).own == frozenset()
    for text, said in (
        ('[aws]\n"lambda.cals" = 1', "did you mean 'lambda.calls'"),
        ('[aws]\n"lambda.calls" = { cost = 1 }', "cost"),
        ('[aws]\n"lambda.calls" = "cheap"', "prices.toml: .* lambda.calls"),
        ("aws = 1", "is a table of prices"),
        ("[aws", "prices of "),
    ):
        file.write_text(text)
        with pytest.raises(ConfigError, match=said):
            bill(make_project(files()), "aws", file)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ('[tool.portable.load]\nrequests = "many"', r"pyproject.toml:\d+: requests is like \"1M\""),
        ("[tool.portable.load]\nduration = 5", r"pyproject.toml:\d+: duration is like \"50 ms\""),
        ("[tool.portable.load]\nbatch = 0", "batch is like 10"),
        ("[tool.portable.load]\nrequest = 1", "did you mean 'requests'"),
        ("[tool.portable.load.functions.htp]\nrequests = 1", "did you mean 'http'"),
        ('[tool.portable.load.resources."table:item"]\nread = 1', "did you mean 'table:items'"),
        ('[tool.portable.load.resources."table:items"]\nreads = 1', "did you mean 'read'"),
        ('[tool.portable.load.resources."table:items"]\nread = "x"', "read is like"),
    ],
)
def test_what_a_load_cannot_be(make_project: Make, settings: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        bill(make_project(files(settings)), "aws")


def test_a_load_of_a_stage_and_a_function(make_project: Make) -> None:
    settings = (
        '[tool.portable.load]\nrequests = "1k"\n[tool.portable.load.functions.http]\nduration = "2 s"\n'
        '[tool.portable.stages.prod.load]\nrequests = "9k"\n'
    )
    project = make_project(files(settings))
    _, dev = bill(project, "aws")
    _, prod = bill(project.at_stage("prod"), "aws")
    assert (dev.functions["http"].requests, dev.functions["http"].duration) == (1000, 2)
    assert (prod.functions["http"].requests, prod.functions["take"].duration) == (9000, 0.1)


def test_plan_prints_the_bills_at_80_columns(make_project: Make, capsys: pytest.CaptureFixture[str]) -> None:
    project: Any = make_project(files())
    arguments = ["plan", "--from", "aws", "--to", "azure", "--project", str(project.root)]
    assert main([*arguments, "--requests", "2M/month", "--duration", "50ms", "--memory", "512"]) == 0
    said = capsys.readouterr().out.partition("\ncost:\n")[2]
    assert max(map(len, said.splitlines())) < 80
    assert "2,000,000 of 50 ms, 1,000 B" in said
    assert re.search(r"\n  http +3.23 +2.10 to 26.80\n", said)  # 0.40 + 0.83 + 2; 0.80 and 1.30 to 26.00
    assert re.search(r"\n  table: a million reads +0.125 +0.25\n", said)
    assert main([*arguments[:3], "--to", "local", *arguments[5:]]) == 0
    assert "local: no prices" in capsys.readouterr().out
    assert main([*arguments, "--requests", "lots"]) == 2
    assert "--requests is like" in capsys.readouterr().err
