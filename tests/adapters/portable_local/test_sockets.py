from portable import NotFoundError, Sockets, UnsupportedError
from portable.testing import SocketsConformance
class TestSockets(SocketsConformance):
    capabilities = CAPABILITIES["sockets"]
    def sockets(self, in_force):
        return Sockets("rooms", binary=True)
    sockets = Sockets("rooms")
    sockets.join(other, "all")
        sockets.send(other, "x")
    assert sockets.members("all") == [other]
            Sockets("rooms").send(connection, "x")
