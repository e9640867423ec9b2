"""Ports for servers of the core."""

from __future__ import annotations

import itertools
import os
import socket

_RANGE = range(20000, 32000)
"""Below the ports that the kernel gives to outgoing connections, so that none takes one while its server restarts."""
_TRIES = 200
_asked = itertools.count()


def free_port() -> int:
    """A TCP port of the loopback interface that nothing listens on. Processes that ask at the same time get others."""
    for _ in range(_TRIES):
        port = _RANGE[(os.getpid() * 8 + next(_asked)) % len(_RANGE)]
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise OSError("no free port")
