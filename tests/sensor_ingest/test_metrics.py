"""The component as Prometheus sees it."""

from __future__ import annotations

import contextlib
import http.client
import socket
from typing import Any


def test_counters_are_read_over_a_socket_where_the_line_asks(plant: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    plant.configure(metrics=f"127.0.0.1:{port}", sources={"press1": {"type": "simulator"}})
    plant.start()
    found: list[str] = []

    def counted() -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        with contextlib.suppress(OSError, http.client.HTTPException):
            connection.request("GET", "/metrics")
            found.append(connection.getresponse().read().decode())
        connection.close()
        return bool(found) and 'edgeloop_samples_total{component="SensorIngest",of="press1_' in found[-1]

    plant.wait(counted, 60)
    assert 'edgeloop_up{component="SensorIngest"} 1' in found[-1]
