"""What Prometheus reads, over a socket."""

from __future__ import annotations

import http.client
import re
import socket
from collections.abc import Iterator

import pytest

from edgeloop.health import Exposed, Health

LINE = re.compile(r'[a-zA-Z_:][\w:]*(\{\w+="(?:[^"\\\n]|\\.)*"(,\w+="(?:[^"\\\n]|\\.)*")*\})? [-+0-9.einfaNI]+')


@pytest.fixture
def health() -> Health:
    made = Health("io.edgeloop.SensorIngest", lambda document: None)
    made.count("samples.press1_vib", 42)
    made.count("restarts")
    made.gauge("backlog.press 1", 1.5)
    made.problem('source."odd"\n', "it is away")
    return made


@pytest.fixture
def exposed(health: Health) -> Iterator[Exposed]:
    made = Exposed(health.exposition, health.set)
    yield made
    made.close()


def get(port: int, path: str = "/metrics") -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def test_counters_gauges_and_problems(health: Health, exposed: Exposed) -> None:
    exposed.follow("127.0.0.1:0")
    status, text = get(exposed.port)
    assert status == 200
    for line in text.splitlines():
        assert line.startswith("# TYPE edgeloop_") or LINE.fullmatch(line), line
    assert 'edgeloop_samples_total{component="SensorIngest",of="press1_vib"} 42' in text
    assert 'edgeloop_backlog{component="SensorIngest",of="press 1"} 1.5' in text
    assert 'edgeloop_problem{component="SensorIngest",key="source.\\"odd\\"\\n"} 1' in text
    assert 'edgeloop_problems{component="SensorIngest"} 1' in text
    assert "edgeloop_memory_mb" in text
    health.count("samples.press1_vib")
    assert 'of="press1_vib"} 43' in get(exposed.port)[1]
    assert get(exposed.port, "/")[0] == 404


def test_an_address_that_is_taken_is_a_problem_until_another_is_named(health: Health, exposed: Exposed) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        exposed.follow(f"127.0.0.1:{other.getsockname()[1]}")
        assert "no metrics at 127.0.0.1" in health.problems["configuration.metrics"]
        assert exposed.port == 0
    exposed.follow("127.0.0.1:0")
    assert "configuration.metrics" not in health.problems
    port = exposed.port
    exposed.follow("")
    with pytest.raises(OSError, match="refused"):
        get(port)
