"""There is no topic on Azure yet, and whoever asks is told so with the line that declares it."""

from __future__ import annotations

from pathlib import Path

import pytest

from portable import App, ConfigError, Message, Topic
from portable.build.features import check_features
from portable.manifest import Manifest, describe_app
from portable.samples.neutral import sample_event
from portable_azure.build import TARGET
from portable_azure.platform import AzurePlatform
from portable_azure.samples import SAMPLES


@pytest.fixture
def manifest() -> Manifest:
    app = App("shop")
    signups = app.topic("signups", int)

    @app.on_message(signups)
    def welcome(message: Message[int]) -> None: ...

    return describe_app(app, "app:app", Path(__file__).parent)


def test_a_build_is_refused(manifest: Manifest) -> None:
    [finding] = check_features(manifest, TARGET)
    assert (finding.severity, finding.where.partition(":")[0]) == ("error", "test_topic.py")
    assert finding.message.startswith("topic 'signups': target azure has no topic")


def test_a_driver_is_refused() -> None:
    with pytest.raises(ConfigError, match="topic signups"):
        AzurePlatform({}).open(Topic("signups"))


def test_an_event_is_refused(manifest: Manifest) -> None:
    function = manifest.function("welcome")
    with pytest.raises(ConfigError, match="topic signups: there is no topic on Azure"):
        SAMPLES.native(function, sample_event(function))
