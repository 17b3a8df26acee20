"""`portable build` beside chalice, sam, osls and zappa: one function with `requests`, and a curve over functions.

    python benchmarks/build.py [--rounds 3] [--only portable,chalice] [--tools DIR]

Each builds the same function, all in turn: cold (what it keeps of its own is gone; downloads are kept), again, and
after an edit of one line, each as a whole process, after one build that is not counted. Given are the medians of
seconds by the clock, and of those of CPU, children included, which a busy machine disturbs less, as seconds and as
ratios to chalice in the same run; the zip; and whether two cold builds gave equal bytes. **floor** is uv, a kept zip of
the dependencies, and the function appended to a copy of it.

All of them run from bytecode that is kept, in a folder of this run's own, as they do where they are installed; without
it (``PYTHONDONTWRITEBYTECODE``) each would compile its own sources at every start. ``--functions`` alone gives the
curves: builds over the number of functions, and of functions that share helpers, whose permissions are followed.

zappa and osls's plugin for Python are installed into ``--tools`` (default: this framework's cache) at the first run;
sam and osls are the parts that `portable doctor --install` installs.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile

import msgspec

from portable.build import pythons
from portable.build.caches import user_cache
from portable.run import parts

VERSION = pythons.CURRENT
FILES = {"requirements.txt": "requests\n", "config.txt": "plain"}
BODY = '    return {"version": requests.__version__}\n'
PORTABLE = """import requests
from portable import App

app = App("bench")


@app.get("/")
def hello() -> dict[str, str]:
"""
CHALICE = """import requests
from chalice import Chalice

app = Chalice(app_name="bench")


@app.route("/")
def hello():
"""
FLOOR = """
import shutil, subprocess, sys
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile
if not Path("kept.zip").exists():
    subprocess.run([sys.argv[1], "pip", "install", "-q", "--no-compile-bytecode", "--python-platform",
        "x86_64-manylinux_2_28", "--target", "kept", "-r", "requirements.txt"], check=True)
    with ZipFile("kept.zip", "w", ZIP_DEFLATED) as archive:
        for file in sorted(Path("kept").rglob("*")):
            if file.is_file():
                archive.write(file, file.relative_to("kept"))
shutil.copy("kept.zip", "out.zip")
with ZipFile("out.zip", "a", ZIP_DEFLATED) as archive:
    archive.write("app.py")
"""
TEMPLATE = f"""
Transform: AWS::Serverless-2016-10-31
Resources:
  Hello:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: .
      Handler: app.handler
      Runtime: python{VERSION}
      Architectures: [x86_64]
"""
SERVERLESS = f"""
service: hello
frameworkVersion: "*"
provider:
  name: aws
  runtime: python{VERSION}
plugins: [serverless-python-requirements]
custom:
  pythonRequirements: {{useStaticCache: false, useDownloadCache: true}}
functions:
  hello: {{handler: app.handler}}
"""


class Contender(msgspec.Struct):
    """One way to build: the source of its function, its other files, its command, what it keeps, and its zip."""

    name: str
    source: str
    files: Mapping[str, str]
    command: Sequence[str]
    kept: Sequence[str]
    zip: str
    environment: Mapping[str, str] = {}
    prepare: Callable[[Path], None] | None = None


class Taken(msgspec.Struct):
    """Of one round: seconds by the clock and of CPU for cold, again and edit; bytes and hash of the zip."""

    clock: list[float]
    cpu: list[float]
    size: int
    sha256: str


def handler(arguments: str = "event, context") -> str:
    """A function in the form most take."""
    return f"import requests\n\n\ndef handler({arguments}):\n{BODY}"


def contenders(tools: Path) -> dict[str, Contender]:
    """Those that are on this machine."""
    uv, found = pythons.uv_command() or "uv", []
    app = f"{PORTABLE}{BODY}"
    found.append(
        Contender("floor", handler(), {}, [sys.executable, "-S", "-c", FLOOR, uv], ["kept", "kept.zip"], "out.zip")
    )
    command = [sys.executable, "-m", "portable.cli", "build", "--target", "aws", "--python", VERSION]
    found.append(Contender("portable", app, {}, command, ["dist", ".portable", "../cache"], "dist/aws/bundle.zip"))
    routes = f"{CHALICE}{BODY}"
    config = {".chalice/config.json": '{"version": "2.0", "app_name": "bench", "stages": {"dev": {}}}'}
    if (program := Path(sys.executable).with_name("chalice")).exists():
        chalice = [str(program), "package", "out"]
        found.append(
            Contender("chalice", routes, config, chalice, ["out", ".chalice/deployments"], "out/deployment.zip")
        )
    if sam := parts.find("aws-sam-cli"):
        command = [sys.executable, "-c", "from samcli.cli.main import cli; cli(prog_name='sam')", "build", "--cached"]
        more = {"PYTHONPATH": str(sam.path), "SAM_CLI_TELEMETRY": "0"}
        kept = [".aws-sam"]
        found.append(
            Contender("sam", handler(), {"template.yaml": TEMPLATE}, command, kept, ".aws-sam/build/Hello", more)
        )
    if (osls := parts.find("osls")) and (plugin := osls_plugin(tools)):
        link = lambda folder: (folder / "node_modules").symlink_to(plugin)  # noqa: E731
        command = ["node", str(osls.path), "package"]
        more = {"SLS_TELEMETRY_DISABLED": "1", "SLS_NOTIFICATIONS_MODE": "off"}
        files = {"serverless.yml": SERVERLESS}
        found.append(Contender("osls", handler(), files, command, [".serverless"], ".serverless/hello.zip", more, link))
    if zappa := zappa_environment(tools):
        settings = '{"dev": {"app_function": "app.handler", "s3_bucket": "none", "runtime": "python%s", '
        settings += '"project_name": "bench"}}'
        more = {
            "VIRTUAL_ENV": str(zappa),
            "PATH": f"{zappa}/bin:{os.environ['PATH']}",
            "AWS_DEFAULT_REGION": "us-east-1",
        }
        files = {"zappa_settings.json": settings % VERSION}
        command = [f"{zappa}/bin/zappa", "package", "dev", "-o", "out.zip"]
        found.append(Contender("zappa", handler("environ, start"), files, command, ["out.zip"], "out.zip", more))
    return {one.name: one for one in found}


def zappa_environment(tools: Path) -> Path | None:
    """zappa packages the virtual environment it is in."""
    folder = tools / "zappa"
    if not (folder / "bin/zappa").exists():
        uv = pythons.uv_command() or "uv"
        subprocess.run([uv, "venv", "-q", "--python", VERSION, folder], check=False)
        wanted = ["zappa", "requests", "setuptools", "pip"]
        subprocess.run([uv, "pip", "install", "-q", "--python", folder / "bin/python", *wanted], check=False)
    return folder if (folder / "bin/zappa").exists() else None


def osls_plugin(tools: Path) -> Path | None:
    """The modules of the plugin that vendors requirements for osls."""
    folder = tools / "osls"
    if not (folder / "node_modules/serverless-python-requirements").exists() and shutil.which("npm"):
        folder.mkdir(parents=True, exist_ok=True)
        command = ["npm", "install", "--silent", "--no-audit", "--no-fund", "serverless-python-requirements@6"]
        subprocess.run(command, cwd=folder, check=False)
    found = folder / "node_modules"
    return found if (found / "serverless-python-requirements").exists() else None


def run(command: Sequence[str], folder: Path, environment: Mapping[str, str]) -> tuple[float, float]:
    """Seconds by the clock, and of CPU with all children."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    surroundings = {**os.environ, "XDG_CACHE_HOME": str(folder.parent / "cache"), **environment}
    surroundings["AWS_DEFAULT_REGION"] = "eu-west-1"
    surroundings.setdefault("UV_CACHE_DIR", str(Path.home() / ".cache/uv"))
    surroundings.setdefault("PIP_CACHE_DIR", str(Path.home() / ".cache/pip"))
    surroundings["PYTHONPYCACHEPREFIX"] = str(folder.parent / "bytecode")
    surroundings.pop("PYTHONDONTWRITEBYTECODE", None)
    done = subprocess.run(command, cwd=folder, env=surroundings, capture_output=True, text=True, check=False)
    clock, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(map(str, command))[:200]}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")
    return clock, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def take(one: Contender, folder: Path) -> Taken:
    """One round of a contender: cold, again, after an edit."""
    for kept in one.kept:
        path = folder / kept
        shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)
    (folder / "app.py").write_text(one.source)
    found = [run(one.command, folder, one.environment)]
    size, digest = weigh(folder / one.zip)
    found.append(run(one.command, folder, one.environment))
    (folder / "app.py").write_text(one.source.replace('"version"', '"edited"'))
    found.append(run(one.command, folder, one.environment))
    return Taken([clock for clock, _ in found], [cpu for _, cpu in found], size, digest)


def weigh(path: Path) -> tuple[int, str]:
    """Bytes and hash of a zip; of a folder, bytes when it is zipped."""
    if path.is_dir():
        with tempfile.TemporaryFile() as packed:
            with ZipFile(packed, "w", ZIP_DEFLATED) as archive:
                for file in sorted(path.rglob("*")):
                    if file.is_file():
                        archive.write(file, file.relative_to(path))
            return packed.tell(), ""
    return path.stat().st_size, hashlib.sha256(path.read_bytes()).hexdigest()


def compare(chosen: Mapping[str, Contender], rounds: int, scratch: Path) -> None:
    """The table of all."""
    taken: dict[str, list[Taken]] = {name: [] for name in chosen}
    for name, one in chosen.items():
        folder = scratch / name / "project"
        for path, text in {**FILES, **one.files}.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text)
        if one.prepare:
            one.prepare(folder)
        (folder / "app.py").write_text(one.source)
        run(one.command, folder, one.environment)  # its bytecode, and its downloads
    for _ in range(rounds):
        for name, one in chosen.items():
            taken[name].append(take(one, scratch / name / "project"))
            print(f"{name} done", file=sys.stderr, flush=True)
    print("| seconds (of CPU) | cold | again | after an edit | zip kB | equal bytes |")
    print("| --- | --- | --- | --- | --- | --- |")
    medians = {name: middle(found) for name, found in taken.items()}
    for name, found in taken.items():
        clocks, cpus = medians[name]
        cells = [f"{clock:.2f} ({cpu:.2f})" for clock, cpu in zip(clocks, cpus, strict=True)]
        digests = {one.sha256 for one in found}
        equal = "—" if "" in digests or len(found) == 1 else "yes" if len(digests) == 1 else "no"
        print(f"| {name} | {' | '.join(cells)} | {found[0].size / 1000:,.0f} | {equal} |", flush=True)
    if "chalice" in medians:
        print("\n| ratio to chalice (of CPU) | cold | again | after an edit |\n| --- | --- | --- | --- |")
        peer = medians["chalice"]
        for name, mid in medians.items():
            clocks = [mine / its for mine, its in zip(mid[0], peer[0], strict=True)]
            cpus = [mine / its for mine, its in zip(mid[1], peer[1], strict=True)]
            cells = [f"{clock:.2f} ({cpu:.2f})" for clock, cpu in zip(clocks, cpus, strict=True)]
            print(f"| {name} | {' | '.join(cells)} |", flush=True)


def middle(taken: Sequence[Taken]) -> tuple[list[float], list[float]]:
    """Medians by the clock and of CPU, for each of the three steps."""
    clocks = [statistics.median(one.clock[step] for one in taken) for step in range(3)]
    return clocks, [statistics.median(one.cpu[step] for one in taken) for step in range(3)]


def curve(scratch: Path, rounds: int) -> None:
    """Seconds of CPU of `portable build` over the number of functions: alone, and sharing helpers."""
    for title, make in (("functions", alone), (f"functions, {HELPERS} helpers", sharing)):
        print(f"\n| {title} | cold | again | after an edit |\n| --- | --- | --- | --- |")
        for count in (10, 50, 200):
            command = [sys.executable, "-m", "portable.cli", "build", "--target", "aws", "--python", VERSION]
            command += ["--iac", "terraform"]  # a stack of CloudFormation holds no 200 functions
            source, files = make(count)
            one = Contender(str(count), source, {}, command, ["dist", ".portable"], "dist/aws/bundle.zip")
            folder = scratch / f"{make.__name__}-{count}" / "project"
            for path, text in files.items():
                (folder / path).parent.mkdir(parents=True, exist_ok=True)
                (folder / path).write_text(text)
            found = [take(one, folder) for _ in range(rounds + 1)][1:]
            print(f"| {count} | {' | '.join(f'{cpu:.2f}' for cpu in middle(found)[1])} |", flush=True)


HELPERS = 60
HELPER = """from shop.resources import kept, sent
from shop import {others}


class Store:
    def __init__(self, bucket):
        self.bucket = bucket

    def save(self, key, data):
        self.bucket.write(key, data)


store = Store(kept)


def work(key, data):
    store.save(clean(key), data)
    {calls}


def clean(text):
    return text.strip().lower()
"""


def alone(count: int) -> tuple[str, dict[str, str]]:
    """An app whose functions have nothing in common."""
    source = "from portable import App\n\napp = App('bench')\n"
    for number in range(count):
        source += f"\n\n@app.function()\ndef work_{number}(payload: str) -> str:\n    return payload\n"
    return source + '\n\nNAME = {"version": 1}\n', {"pyproject.toml": ""}


def sharing(count: int) -> tuple[str, dict[str, str]]:
    """An app whose functions each reach every one of the helpers, which call one another."""
    resources = 'from portable import Bucket, Queue\n\nkept = Bucket("kept")\nsent = Queue("sent")\n'
    files = {"shop/__init__.py": "", "shop/resources.py": resources}
    for number in range(HELPERS):
        others = [f"helper_{one}" for one in ((number + 1) % HELPERS, (number * 2 + 1) % HELPERS)]
        calls = "; ".join(f"{one}.work(key, data)" for one in others)
        files[f"shop/helper_{number}.py"] = HELPER.format(others=", ".join(others), calls=calls)
    source = "from portable import App\nfrom shop.resources import sent\n"
    source += "".join(f"from shop import helper_{number}\n" for number in range(HELPERS)) + "\napp = App('bench')\n"
    for number in range(count):
        source += f"\n\n@app.function()\ndef work_{number}(payload: str) -> None:\n"
        source += f"    helper_{number % HELPERS}.work(payload, b'')\n    sent.send(payload)\n"
    return source + '\n\nNAME = {"version": 1}\n', files


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", help="contenders, by comma")
    parser.add_argument("--tools", type=Path, default=user_cache() / "benchmarks")
    parser.add_argument("--functions", action="store_true", help="the curves alone")
    options = parser.parse_args()
    chosen = contenders(options.tools)
    if options.only:
        chosen = {name: chosen[name] for name in options.only.split(",")}
    print(f"Python {VERSION}, medians of {options.rounds} rounds\n")
    with tempfile.TemporaryDirectory(prefix="portable-bench-") as scratch:
        if not options.functions:
            compare(chosen, options.rounds, Path(scratch))
        curve(Path(scratch), options.rounds)


if __name__ == "__main__":
    main()
