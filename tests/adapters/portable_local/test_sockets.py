import os
import subprocess
import sys

import pytest

from portable import ConfigError, NotFoundError, Sockets, UnavailableError, UnsupportedError
from portable.live import Connections
from portable.resources import use_platform
from portable.run.emulators import held_here
from portable.testing import SocketsConformance
from portable_local import sockets as sockets_module
from portable_local.capabilities import CAPABILITIES
from portable_local.platform import LocalPlatform


@pytest.fixture
def in_force(tmp_path):
    platform = LocalPlatform({"PORTABLE_LOCAL_STATE": str(tmp_path)})
    with use_platform(platform):
        yield platform
    platform.close()


class TestSockets(SocketsConformance):
    capabilities = CAPABILITIES["sockets"]

    @pytest.fixture
    def sockets(self, in_force):
        return Sockets("rooms", binary=True)


class TestHeldElsewhere(SocketsConformance):
    """Sends to connections that another process holds: its registry is empty here but for its server's thread."""

    driver = "local, at an address"
    capabilities = CAPABILITIES["sockets"]

    @pytest.fixture
    def sockets(self, tmp_path, monkeypatch):
        with held_here() as address:
            environment = {"PORTABLE_LOCAL_STATE": str(tmp_path), "PORTABLE_SOCKETS_ROOMS": address}
            platform = LocalPlatform(environment)
            monkeypatch.setattr(sockets_module, "connections", Connections())
            with use_platform(platform):
                yield Sockets("rooms", binary=True)
            platform.close()


@pytest.mark.parametrize(
    ("address", "error", "said"),
    [
        ("http://example.com/token", ConfigError, "on this machine"),
        ("{}x", UnavailableError, "403"),
        ("http://127.0.0.1:9/token", UnavailableError, "127.0.0.1:9"),
    ],
)
def test_an_address_is_on_this_machine_and_secret(tmp_path, address, error, said):
    with held_here() as right:
        environment = {"PORTABLE_LOCAL_STATE": str(tmp_path), "PORTABLE_SOCKETS_ROOMS": address.format(right)}
        platform = LocalPlatform(environment)
        with use_platform(platform), pytest.raises(error, match=said):
            Sockets("rooms").driver().send("x", "y")
        platform.close()


def test_a_connection_of_another_process_keeps_its_groups(in_force):
    sockets = Sockets("rooms")
    other = f"{os.getppid():x}-0123456789ab.xyz"
    sockets.join(other, "all")
    with pytest.raises(UnsupportedError, match="another process of this machine holds it open"):
        sockets.send(other, "x")
    assert sockets.members("all") == [other]


def test_a_connection_of_a_process_that_is_gone_is_gone(in_force):
    with subprocess.Popen([sys.executable, "-c", "pass"]) as process:
        process.wait()
    for connection in (f"{process.pid:x}-0123456789ab.xyz", "made-up", ""):
        with pytest.raises(NotFoundError):
            Sockets("rooms").send(connection, "x")
