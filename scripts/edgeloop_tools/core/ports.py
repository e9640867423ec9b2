"""Ports for servers of the core."""

from __future__ import annotations

import random
import socket

_RANGE = range(20000, 32000)
"""Below the ports that the kernel gives to outgoing connections, so that none takes one while its server restarts."""


def free_port() -> int:
    """A TCP port of the loopback interface that nothing listens on."""
    for port in random.sample(_RANGE, 200):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise OSError("no free port")
