"""The documents of an image, over those of its base."""

from __future__ import annotations

from typing import Any

from portable.build.image.documents import (
    CONFIG,
    INDEX,
    LAYER,
    MANIFEST,
    Recipe,
    configuration,
    encoded,
    index,
    manifest,
)

RECIPE = Recipe("app", ["python", "-m", "x"], ["a"], {"PATH": "/ours", "NEW": "1"}, {"title": "t"}, 8080, ["check"])
BASE: dict[str, Any] = {
    "architecture": "arm64",
    "variant": "v8",
    "os": "linux",
    "created": "2020-01-01T00:00:00Z",
    "docker_version": "20.10",
    "container_config": {"Cmd": ["x"]},
    "config": {
        "Env": ["PATH=/a=b", "LANG=C.UTF-8", "EMPTY=", "LANG=C"],
        "Labels": {"title": "theirs", "vendor": "v"},
        "Cmd": ["python3"],
        "Entrypoint": ["/init"],
        "Healthcheck": {"Test": ["CMD", "theirs"]},
        "ExposedPorts": {"1/tcp": {}},
        "Volumes": {"/data": {}},
        "StopSignal": "SIGINT",
        "User": "root",
    },
    "rootfs": {"type": "layers", "diff_ids": ["sha256:base"]},
    "history": [{"created_by": "base"}, {"created_by": "ENV", "empty_layer": True}],
}


def test_ours_goes_before_the_bases_and_nothing_is_said_twice() -> None:
    found = configuration(BASE, [("app", "sha256:ours")], RECIPE)
    config = found["config"]
    assert config["Env"] == ["PATH=/ours", "LANG=C", "EMPTY=", "NEW=1"]
    assert config["Labels"] == {"title": "t", "vendor": "v"}
    assert (config["Entrypoint"], config["Cmd"]) == (["python", "-m", "x"], ["a"])
    assert (config["User"], config["WorkingDir"]) == ("65532:65532", "/app")
    assert config["ExposedPorts"] == {"1/tcp": {}, "8080/tcp": {}}
    assert (config["Volumes"], config["StopSignal"]) == ({"/data": {}}, "SIGINT")
    assert config["Healthcheck"]["Test"] == ["CMD", "check"]
    assert found["rootfs"] == {"type": "layers", "diff_ids": ["sha256:base", "sha256:ours"]}
    assert (found["architecture"], found["variant"], found["os"]) == ("arm64", "v8", "linux")


def test_what_belongs_to_the_bases_own_program_or_build_goes() -> None:
    plain = Recipe("app", ["x"], [], {}, {})
    found = configuration(BASE, [], plain)
    assert not {"Cmd", "Healthcheck"} & found["config"].keys()
    assert not {"created", "docker_version", "container_config"} & found.keys()


def test_a_history_has_an_entry_a_layer_or_is_left_out() -> None:
    found = configuration(BASE, [("app", "sha256:ours")], RECIPE)
    assert [one["created_by"] for one in found["history"]] == ["base", "ENV", "portable build: app"]
    assert "history" not in configuration({**BASE, "history": []}, [("app", "sha256:ours")], RECIPE)


def test_a_time_is_said_only_when_it_is_given() -> None:
    timed = Recipe("app", ["x"], [], {}, {}, created="2020-02-02T00:00:00Z")
    found = configuration(BASE, [("app", "sha256:ours")], timed)
    assert found["created"] == found["history"][-1]["created"] == "2020-02-02T00:00:00Z"
    assert "created" not in configuration(BASE, [], RECIPE)


def test_a_manifest_names_layers_as_oci_does() -> None:
    theirs = {"mediaType": "application/vnd.docker.image.rootfs.diff.tar.gzip", "digest": "sha256:b", "size": 1}
    found = manifest(b"{}", [theirs], [("sha256:o", 2)], {"a": "b"})
    assert [one["mediaType"] for one in found["layers"]] == [LAYER, LAYER]
    assert found["config"]["mediaType"] == CONFIG
    assert found["config"]["size"] == 2
    assert found["annotations"] == {"a": "b"}
    assert index([{"mediaType": MANIFEST}])["mediaType"] == INDEX


def test_documents_are_written_in_one_order() -> None:
    assert encoded({"b": {"d": 1, "c": 2}, "a": []}) == b'{"a":[],"b":{"c":2,"d":1}}'
