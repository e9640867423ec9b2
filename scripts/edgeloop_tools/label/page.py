"""The page: one picture after the other, keyboard first. On this machine alone, unless told otherwise."""

from __future__ import annotations

import asyncio
import base64
import hmac
import json
import threading
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from camera_inference.pictures import decode, jpeg
from edgeloop import clock
from edgeloop.durable import AppendLog
from edgeloop.errors import EdgeloopError
from edgeloop.secret import first_line
from edgeloop_tools.label.dataset import Box, DataSet, Item, Polygon, write
from edgeloop_web.access import HEADERS
from edgeloop_web.assets import Assets
from edgeloop_web.server import WebServer

HISTORY: Final = "labels.jsonl"
LARGEST: Final = 256 << 10
"""Bytes of one label."""
PLAIN: Final = {".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".png": "image/png", ".webp": "image/webp"}
SAID: Final = ("label", "score", "confidence", "reason")
"""Of the model's prediction, shown."""
SAVE: Final = 5.0
"""s between two writings of the manifest."""


class Desk:
    """The data set being labelled. Every label is a line of the history before it is answered; safe on any thread."""

    def __init__(self, data: DataSet, order: list[int]) -> None:
        self.data = data
        self._lock = threading.Lock()
        self._log = AppendLog(data.root / HISTORY)
        self._undo: list[tuple[int, Item]] = []
        self._place = {item.source: k for k, item in enumerate(data.items)}
        for line in self._log.read():
            self._again(line)
        first = set(order)
        rest = [k for k in range(len(data.items)) if k not in first]
        rest.sort(key=lambda k: (bool(data.items[k].kind), data.items[k].about.get("confidence", 1.0)))
        self.order = [*order, *rest]
        self._changed = False

    def state(self) -> dict[str, Any]:
        labelled = sum(bool(item.kind) for item in self.data.items)
        return {"classes": self.data.classes, "order": self.order, "labelled": labelled, "count": len(self.data.items)}

    def item(self, place: int) -> dict[str, Any]:
        item = self.data.items[place]
        return {
            "place": place, "source": item.source, "label": item.label, "by": item.by,
            "boxes": [[b.label, b.x, b.y, b.width, b.height] for b in item.boxes],
            "polygons": [[p.label, *p.points] for p in item.polygons],
            "said": {name: item.about[name] for name in SAID if name in item.about},
        }  # fmt: skip

    def put(self, place: int, row: dict[str, Any]) -> dict[str, Any]:
        """Raises ValueError for what is no label."""
        with self._lock:
            before = self.data.items[place]
            item = _labelled(before, row, clock.now())
            for name in (item.label, *(b.label for b in item.boxes), *(p.label for p in item.polygons)):
                if name and name not in self.data.classes:
                    if len(name) > 64 or not name.isprintable():
                        raise ValueError(f"{name!r} is no name of a class")
                    self.data.classes.append(name)
            self._keep(item, "page")
            self._undo.append((place, before))
            self.data.items[place] = item
        return self.item(place)

    def undo(self) -> dict[str, Any] | None:
        """The last label is taken back; what it was of."""
        with self._lock:
            if not self._undo:
                return None
            place, before = self._undo.pop()
            self._keep(replace(before, time=clock.now()), "undo")
            self.data.items[place] = before
        return self.item(place)

    def save(self) -> None:
        with self._lock:
            if self._changed:
                write(self.data, self.data.root)
                self._changed = False

    def _keep(self, item: Item, source: str) -> None:
        record = {
            "schema": 2, "subject": f"image:{item.source}", "label": item.label, "by": item.by, "time": item.time,
            "source": source, "boxes": [[b.label, b.x, b.y, b.width, b.height] for b in item.boxes],
            "polygons": [[p.label, *p.points] for p in item.polygons],
        }  # fmt: skip
        self._log.append(json.dumps(record).encode(), sync=False)
        self._changed = True

    def _again(self, line: bytes) -> None:
        """What the history says counts, where the manifest was not written any more."""
        try:
            row = json.loads(line)
            place = self._place[str(row["subject"]).removeprefix("image:")]
            if int(row["time"]) >= self.data.items[place].time:
                self.data.items[place] = _labelled(self.data.items[place], row, int(row["time"]))
        except (ValueError, KeyError, TypeError):
            return


def _labelled(item: Item, row: dict[str, Any], when: int) -> Item:
    boxes = tuple(Box(str(b[0]), *(round(float(v), 2) for v in b[1:5])) for b in row.get("boxes", ()))
    polygons = tuple(Polygon(str(p[0]), tuple(round(float(v), 2) for v in p[1:])) for p in row.get("polygons", ()))
    flat = any(b.width <= 0 or b.height <= 0 for b in boxes)
    if flat or any(len(p.points) < 6 or len(p.points) % 2 for p in polygons):
        raise ValueError("a box or an area without extent")
    size = row.get("size", item.size)
    return replace(
        item, label=str(row.get("label", ""))[:64], boxes=boxes, polygons=polygons, by=str(row.get("by", ""))[:64],
        time=when, size=(int(size[0]), int(size[1])),
    )  # fmt: skip


class Guard:
    """ASGI middleware: the headers of every page here, the password where there is one, no request of another page."""

    def __init__(self, app: ASGIApp, password: str, hosts: frozenset[str]) -> None:
        self._app, self._password, self._hosts = app, password, hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        request = Request(scope)
        refused = self._refused(request)
        if refused is not None:
            await refused(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _refused(self, request: Request) -> Response | None:
        host = request.headers.get("host", "")
        if self._hosts and host.rpartition(":")[0] not in self._hosts:
            return Response("another host", 421)
        if self._password:
            scheme, _, word = request.headers.get("authorization", "").partition(" ")
            try:
                given = base64.b64decode(word, validate=True).decode().partition(":")[2] if scheme == "Basic" else ""
            except ValueError:
                given = ""
            if not hmac.compare_digest(given.encode(), self._password.encode()):
                return Response("password", 401, {"WWW-Authenticate": 'Basic realm="labels", charset="UTF-8"'})
        origin = request.headers.get("origin")
        if request.method not in ("GET", "HEAD") and (origin or "").partition("://")[2] != host:
            return Response("the request comes from another page", 403)
        return None


def application(desk: Desk, password: str = "", hosts: frozenset[str] = frozenset()) -> Starlette:
    assets = Assets(("edgeloop_tools.label", "static"))

    def headed(answer: Response) -> Response:
        for name, value in HEADERS.items():
            answer.headers.setdefault(name, value)
        return answer

    def route(path: str, work: Callable[[Request], Awaitable[Response]], method: str = "GET") -> Route:
        async def handle(request: Request) -> Response:
            return headed(await work(request))

        return Route(path, handle, methods=[method])

    async def home(request: Request) -> Response:
        return assets.respond(request, "index.html")

    async def static(request: Request) -> Response:
        name = request.path_params["name"]
        return assets.respond(request, name) if name in assets else Response("no such file", 404)

    async def state(request: Request) -> Response:
        return JSONResponse(desk.state())

    def place(request: Request) -> int:
        return int(min(len(desk.data.items) - 1, max(0, int(request.path_params["place"]))))

    async def item(request: Request) -> Response:
        return JSONResponse(desk.item(place(request)))

    async def picture(request: Request) -> Response:
        return await asyncio.to_thread(shown, desk.data, place(request))

    async def put(request: Request) -> Response:
        body = await request.body()
        try:
            if len(body) > LARGEST:
                raise ValueError("too much for one label")
            return JSONResponse(desk.put(place(request), dict(json.loads(body))))
        except (ValueError, TypeError, IndexError, KeyError) as error:
            return JSONResponse({"error": str(error)}, 400)

    async def undo(request: Request) -> Response:
        return JSONResponse(desk.undo())

    return Starlette(
        routes=[
            route("/", home), route("/static/{name:path}", static), route("/api/state", state),
            route("/api/items/{place:int}", item), route("/api/pictures/{place:int}", picture),
            route("/api/items/{place:int}", put, "POST"), route("/api/undo", undo, "POST"),
        ],
        middleware=[Middleware(Guard, password=password, hosts=hosts)],
    )  # fmt: skip


def shown(data: DataSet, place: int) -> Response:
    """As a browser can show it: files that lie upright as they are, others decoded first."""
    item = data.items[place]
    path = data.path(item)
    try:
        content = path.read_bytes()
        kind = PLAIN.get(path.suffix.lower())
        if kind is None or (kind == "image/jpeg" and b"Exif" in content[:4096]):
            content, kind = jpeg(decode(content, item.source), "bgr", 92), "image/jpeg"
    except (OSError, EdgeloopError) as error:
        return Response(str(error), 404)
    return Response(content, media_type=kind, headers={"Cache-Control": "private, max-age=3600"})


def serve(data: DataSet, order: list[int], port: int, listen: str, password_file: Path | None) -> int:
    """Until interrupted. Raises EdgeloopError."""
    if listen and password_file is None:
        mend = "--password-file FILE"
        raise EdgeloopError("labels are open to others only with a password", where="--listen", mend=mend)
    password = first_line(str(password_file)) if password_file else ""
    desk = Desk(data, order)
    hosts = frozenset() if listen else frozenset({"127.0.0.1", "localhost"})
    server = WebServer(application(desk, password, hosts), listen or "127.0.0.1", port)
    server.start()
    print(f"{server.url}: {len(data.items)} pictures; end with Ctrl-C", flush=True)
    try:
        while True:
            time.sleep(SAVE)
            desk.save()
    except KeyboardInterrupt:
        return 0
    finally:
        server.close()
        desk.save()
