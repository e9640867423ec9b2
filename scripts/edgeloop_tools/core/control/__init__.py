"""JSON-lines RPC over a Unix socket, both ways: either side calls methods of the other and pushes events.

A line is one JSON object: a request `{"id", "method", "params"}`, its answer `{"id", "result"}` or `{"id", "error"}`,
or an event `{"event", "params"}`.
"""

from edgeloop_tools.core.control.blocking import BlockingClient
from edgeloop_tools.core.control.errors import ControlError
from edgeloop_tools.core.control.peer import EventHandler, Handler, Peer, connect
from edgeloop_tools.core.control.server import ControlServer

__all__ = ["BlockingClient", "ControlError", "ControlServer", "EventHandler", "Handler", "Peer", "connect"]
