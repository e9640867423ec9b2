"""The console's own pages over what went up from many lines: sites side by side. It changes nothing."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from console.api.routes import answering, asked, count, shown
from console.hub import Hub
from edgeloop import clock
from edgeloop.errors import EdgeloopError
from edgeloop_tools.console.uploaded import Uploaded
from edgeloop_web.application import application
from edgeloop_web.assets import Assets
from edgeloop_web.problem import Problem
from edgeloop_web.server import WebServer
from edgeloop_web.sessions import Sessions
from edgeloop_web.users import Users

NAME: Final = "fleet"
AGAIN: Final = 60.0
"""s between two looks at what went up."""
MOST: Final = 500


class FleetApi:
    """The routes that the pages ask, answered from what went up."""

    def __init__(self, uploaded: Uploaded, hub: Hub) -> None:
        self._uploaded, self._hub = uploaded, hub

    def routes(self) -> list[Route]:
        answers: dict[str, Callable[[Request], Any]] = {
            "session": lambda request: {"name": request.state.visitor.name, "role": "viewer"},
            "line": self.line, "assets": lambda request: self._uploaded.assets(),
            "alarms": self.alarms, "alarms/{id}": self.alarm,
            "streams": self.streams, "streams/{id}/points": self.points, "streams/{id}/spectrum": _nothing,
            "streams/{id}/waterfall": _nothing, "parts": lambda request: {"parts": [], "counts": {}},
            "models": lambda request: [], "settings": lambda request: {}, "system": self.system,
        }  # fmt: skip
        made = [Route(f"/api/v1/{path}", answering(answer), methods=["GET"]) for path, answer in answers.items()]
        return [*made, Route("/api/v1/events", self.events, methods=["GET"])]

    def line(self, request: Request) -> Any:
        devices = self._uploaded.devices()
        sites = sorted({site for site, _ in devices})
        return {"site": f"{len(sites)} sites", "device": f"{len(devices)} devices", "time_ms": clock.now() // 1_000_000,
                "assets": self._uploaded.assets(), "components": []}  # fmt: skip

    def alarms(self, request: Request) -> Any:
        only_open = request.query_params.get("open") == "1"
        alarms = [a for a in self._uploaded.alarms() if not only_open or a.open or a.unseen]
        return [shown(a) for a in alarms[::-1][: count(request, "most", MOST)]]

    def alarm(self, request: Request) -> Any:
        id, alarms = request.path_params["id"], self._uploaded.alarms()
        alarm = next((a for a in alarms if a.id == id), None)
        if alarm is None:
            raise Problem(404, "no such alarm")
        members = [shown(a) for a in alarms if a.group and a.group == alarm.group and a.id != id]
        streams = [stream.name for stream in self._uploaded.streams() if stream.name == alarm.cause.stream]
        return {**shown(alarm), "members": members[:20], "comments": [], "budget": "", "streams": streams}

    def streams(self, request: Request) -> Any:
        found = []
        for stream in self._uploaded.streams():
            try:
                found.append(self._uploaded.newest(stream.name))
            except EdgeloopError:
                continue
        return found

    def points(self, request: Request) -> Any:
        name = request.path_params["id"]
        if all(stream.name != name for stream in self._uploaded.streams()):
            raise Problem(404, "no such stream went up")
        start, end, _ = asked(request)
        return self._uploaded.points(name, start, end, count(request, "points", 1_000))

    def system(self, request: Request) -> Any:
        components: list[dict[str, Any]] = [
            {"name": f"{site} / {device}", "state": "ok", "problems": [], "uptime_s": None, "memory_mb": None,
             "cpu_s": None, "heard_s": None, "upload": None, "gauges": {}, "counters": {}, "date": date}
            for (site, device), date in self._uploaded.devices().items()
        ]  # fmt: skip
        machine = {"time_ms": clock.now() // 1_000_000, "disk_bytes": 0, "disk_free_bytes": 0, "memory_bytes": 0,
                   "memory_available_bytes": 0, "load": 0.0, "cores": 0, "thing": ""}  # fmt: skip
        return {"machine": machine, "components": components, "history_bytes": 0, "pages": self._hub.pages}

    async def events(self, request: Request) -> Response:
        headers = {"X-Accel-Buffering": "no"}
        return StreamingResponse(self._hub.listen(), headers=headers, media_type="text/event-stream")


def _nothing(request: Request) -> Any:
    raise Problem(404, "of what went up there are charts only")


class Fleet:
    """The page of a source. Context manager; `url` and `password` say how to get in."""

    def __init__(self, source: str, port: int, work: Path) -> None:
        self.uploaded = Uploaded(source)
        self.uploaded.look()
        self._hub = Hub()
        self.password = secrets.token_hex(6)
        users = Users(work / "users.json")
        users.add(NAME, "viewer", self.password)
        assets = Assets(("console", "static"), ("edgeloop_web", "static"), ("edgeloop_web", "vendored"))
        app = application(
            FleetApi(self.uploaded, self._hub).routes(), assets, users, Sessions(work / "sessions.json"),
            needed=lambda method, path: "viewer", audit=lambda user, action: None, secure=False,
        )  # fmt: skip
        self._server = WebServer(app, "127.0.0.1", port)
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="fleet", daemon=True)

    @property
    def url(self) -> str:
        return self._server.url

    def __enter__(self) -> Fleet:
        self._server.start()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._server.close()
        self._thread.join(5)

    def _follow(self) -> None:
        told = ""
        while not self._end.wait(AGAIN):
            try:
                before = {(a.id, a.state) for a in self.uploaded.alarms()}
                self.uploaded.look()
                told = ""
                if {(a.id, a.state) for a in self.uploaded.alarms()} != before:
                    self._hub.tell("reload", {})
            except EdgeloopError as error:
                if str(error) != told:
                    told = str(error)
                    print(f"edgeloop: {told}; trying again", flush=True)
