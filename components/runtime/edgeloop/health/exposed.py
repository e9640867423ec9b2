"""Problems, counters and gauges for Prometheus, where the line names an address: `http://127.0.0.1:9464/metrics`.

The text exposition format, version 0.0.4 (prometheus.io/docs/instrumenting/exposition_formats).
"""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Annotated, Any

from msgspec import Meta

Metrics = Annotated[
    str,
    Meta(
        title="Metrics",
        description="address at which Prometheus finds `/metrics`, such as 127.0.0.1:9464; empty: none",
        pattern=r"^(([0-9]{1,3}\.){3}[0-9]{1,3}:[0-9]{1,5}|\[[0-9a-fA-F:]{2,39}\]:[0-9]{1,5})?$",
    ),
]
PROBLEM = "configuration.metrics"
PATIENCE = 5.0
"""s that a reader may take."""
_ODD = re.compile(r"[^a-zA-Z0-9_]")


def text(component: str, state: Mapping[str, Any]) -> str:
    """state: counters, gauges (floats by name, `samples.press1` is `samples` of `press1`), problems (lines by key).

    >>> print(text("A", {"counters": {"samples.p": 2}, "gauges": {"cpu_s": 1.5}, "problems": {}}), end="")
    # TYPE edgeloop_up gauge
    edgeloop_up{component="A"} 1
    # TYPE edgeloop_problems gauge
    edgeloop_problems{component="A"} 0
    # TYPE edgeloop_samples_total counter
    edgeloop_samples_total{component="A",of="p"} 2
    # TYPE edgeloop_cpu_s gauge
    edgeloop_cpu_s{component="A"} 1.5
    """
    lines = []
    families: dict[tuple[str, str], list[str]] = {}
    own = _label("component", component)
    families["edgeloop_up", "gauge"] = [f"{{{own}}} 1"]
    families["edgeloop_problems", "gauge"] = [f"{{{own}}} {len(state['problems'])}"]
    for key in sorted(state["problems"]):
        families.setdefault(("edgeloop_problem", "gauge"), []).append(f"{{{own},{_label('key', key)}}} 1")
    for kind, end in (("counters", "_total"), ("gauges", "")):
        for name, value in sorted(state[kind].items()):
            family, _, of = name.partition(".")
            labels = own + (f",{_label('of', of)}" if of else "")
            called = f"edgeloop_{_ODD.sub('_', family)}{end}"
            families.setdefault((called, kind[:-1]), []).append(f"{{{labels}}} {value:g}")
    for (called, kind), rows in families.items():
        lines += [f"# TYPE {called} {kind}", *(f"{called}{row}" for row in rows)]
    return "\n".join(lines) + "\n"


def _label(name: str, value: str) -> str:
    escaped = value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
    return f'{name}="{escaped}"'


class Exposed:
    """read: the text, when it is asked for. problem: told where the address cannot be had, None once it can."""

    def __init__(self, read: Callable[[], str], problem: Callable[[str, str | None], None]) -> None:
        self._read, self._problem = read, problem
        self._server: ThreadingHTTPServer | None = None
        self._address = ""

    def follow(self, address: str) -> None:
        """Listens at an address, or nowhere; another one than before is taken over."""
        if address == self._address:
            return
        self.close()
        self._address = address
        self._problem(PROBLEM, None)
        if not address:
            return
        host, _, port = address.rpartition(":")
        try:
            self._server = _server(host.strip("[]"), int(port), self._read)
        except (OSError, OverflowError, ValueError) as error:
            why = getattr(error, "strerror", None) or str(error)
            self._problem(PROBLEM, f"no metrics at {address}: {why}; name another `metrics` address")
            return
        thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 1.0}, name="metrics", daemon=True
        )
        thread.start()

    @property
    def port(self) -> int:
        """0 where it listens nowhere."""
        return self._server.server_port if self._server is not None else 0

    def close(self) -> None:
        server, self._server, self._address = self._server, None, ""
        if server is not None:
            server.shutdown()
            server.server_close()


def _server(host: str, port: int, read: Callable[[], str]) -> ThreadingHTTPServer:
    class Handler(BaseHTTPRequestHandler):
        timeout = PATIENCE

        def do_GET(self) -> None:
            there = self.path.partition("?")[0] == "/metrics"
            body = read().encode() if there else b"look at /metrics\n"
            self.send_response(200 if there else 404)
            self.send_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing."""

        def version_string(self) -> str:
            return "edgeloop"

    class Quiet(ThreadingHTTPServer):
        daemon_threads = True
        address_family = socket.AF_INET6 if ":" in host else socket.AF_INET

        def handle_error(self, request: Any, client_address: Any) -> None:
            """A reader that went away is no matter."""

    return Quiet((host, port), Handler)


def snapshot(
    counters: Mapping[str, int], gauges: Mapping[str, float], problems: Mapping[str, Any], process: Mapping[str, float]
) -> dict[str, Any]:
    """What `text` shows, the process among the gauges."""
    return {"counters": dict(counters), "gauges": {**gauges, **process}, "problems": dict(problems)}
