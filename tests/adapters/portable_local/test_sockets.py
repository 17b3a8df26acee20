import os
import subprocess
import sys

import pytest

from portable import NotFoundError, Sockets, UnsupportedError
from portable.resources import use_platform
from portable.testing import SocketsConformance
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
