"""What the page, and other programs, may ask and say. Errors are problem details (RFC 9457)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Annotated, Any, Final

import msgspec
from msgspec import Meta
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from console import metrics, pictures
from console.api.description import openapi
from console.budgets import DEFAULT
from console.commands import Box, Label, Words
from console.live import VERDICTS
from console.shared import Shared
from console.signals import query
from edgeloop import clock, decode
from edgeloop.alarms import Alarm, Reason
from edgeloop.errors import DecodeError
from edgeloop_web.problem import Problem
from edgeloop_web.users import Role

if TYPE_CHECKING:
    from console.service import Console

MOST: Final = 500
LIVE: Final = 2.0
"""s for which a chart up to now, its spectrum, or the line at a glance, is the same for all who ask."""
LONGEST: Final = 60.0
"""The same of a chart of days."""
FALLS: Final = 10.0
"""The same of a waterfall."""
Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class Acknowledgement(msgspec.Struct, forbid_unknown_fields=True):
    reason: Reason


class Shelving(msgspec.Struct, forbid_unknown_fields=True):
    span: Annotated[str, Meta(max_length=32)] = "8 h"


class Comment(msgspec.Struct, forbid_unknown_fields=True):
    text: Words


class PartLabel(msgspec.Struct, forbid_unknown_fields=True):
    label: Label
    boxes: Annotated[list[Box], Meta(max_length=50)] = []


class Hold(msgspec.Struct, forbid_unknown_fields=True):
    version: Annotated[str, Meta(max_length=64)] = ""


def needed(method: str, path: str) -> Role:
    """Reading takes a viewer; answering a machine's questions an operator; models and settings an engineer."""
    if path.startswith("/api/v1/models/") and method not in ("GET", "HEAD"):
        return "engineer"
    if path == "/api/v1/audit":
        return "engineer"
    return "viewer" if method in ("GET", "HEAD") else "operator"


class Api:
    """Handlers; each answers from memory or files, on the pool of threads where it may take a while."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._shared = Shared()

    def routes(self) -> list[Route]:
        get, post = ["GET"], ["POST"]
        return [
            Route("/api/v1/openapi.json", answering(lambda request: openapi()), methods=get),
            Route("/api/v1/session", answering(self.session), methods=get),
            Route("/api/v1/line", answering(self.line), methods=get),
            Route("/api/v1/assets", answering(lambda request: self._console.line.assets()), methods=get),
            Route("/api/v1/alarms", answering(self.alarms), methods=get),
            Route("/api/v1/alarms/{id}", answering(self.alarm), methods=get),
            Route("/api/v1/alarms/{id}/acknowledge", answering(self.acknowledge, Acknowledgement), methods=post),
            Route("/api/v1/alarms/{id}/shelve", answering(self.shelve, Shelving), methods=post),
            Route("/api/v1/alarms/{id}/unshelve", answering(self.unshelve), methods=post),
            Route("/api/v1/alarms/{id}/comment", answering(self.comment, Comment), methods=post),
            Route("/api/v1/streams", answering(self.streams), methods=get),
            Route("/api/v1/streams/{id}/points", answering(self.points), methods=get),
            Route("/api/v1/streams/{id}/spectrum", answering(self.spectrum), methods=get),
            Route("/api/v1/streams/{id}/waterfall", answering(self.waterfall), methods=get),
            Route("/api/v1/parts", answering(self.parts), methods=get),
            Route("/api/v1/parts/{camera}/{part}/label", answering(self.label, PartLabel), methods=post),
            Route("/api/v1/pictures/{camera}/{time}", self.picture, methods=get),
            Route("/api/v1/models", answering(lambda request: self._console.line.models()), methods=get),
            Route("/api/v1/models/{name}/hold", answering(self.hold, Hold), methods=post),
            Route("/api/v1/system", answering(self.system), methods=get),
            Route("/api/v1/settings", answering(lambda request: self._console.line.settings()), methods=get),
            Route("/api/v1/budget", answering(self.budget), methods=get),
            Route("/api/v1/monitors/{id}/return_times", answering(self.return_times), methods=get),
            Route("/api/v1/audit", answering(lambda request: list(self._console.audit.newest)[::-1]), methods=get),
            Route("/api/v1/events", self.events, methods=get),
            Route("/metrics", self.metrics, methods=get),
        ]

    # -- reading -------------------------------------------------------------------------------------------------------

    def session(self, request: Request) -> Any:
        visitor = request.state.visitor
        return {"name": visitor.name, "role": visitor.role}

    def line(self, request: Request) -> Any:
        console = self._console

        def made() -> Any:
            return {
                "site": console.site, "device": console.device, "time_ms": clock.now() // 1_000_000,
                "assets": console.line.assets(), "components": console.line.components(),
            }  # fmt: skip

        return self._shared.answer("line", (console.site, console.live.changes, at(0.5)), made)

    def alarms(self, request: Request) -> Any:
        """Query: open=1 for those that are not over; newest first."""
        only_open = yes(request, "open")
        alarms = [a for a in self._console.live.alarms() if not only_open or a.open or a.unseen]
        return [shown(a) for a in alarms[::-1][: count(request, "most", MOST)]]

    def alarm(self, request: Request) -> Any:
        id = request.path_params["id"]
        alarm = self._console.live.alarm(id)
        if alarm is None:
            raise Problem(404, "no such alarm")
        group = [a for a in self._console.live.alarms() if a.group and a.group == alarm.group and a.id != id]
        monitor = self._console.line.monitors().get(alarm.monitor, {})
        return {
            **shown(alarm),
            "members": [shown(a) for a in group[:20]],
            "comments": self._console.commands.comments(id),
            "budget": monitor.get("budget", ""),
            "streams": str(monitor.get("input", "")).split() or [alarm.cause.stream],
        }

    def streams(self, request: Request) -> Any:
        return [
            {"id": s.stream, "rate": s.rate, "time_ms": s.time // 1_000_000, "kept": s.kept,
             "channels": [{"name": n, "unit": u} for n, u in s.channels], "values": s.values}
            for s in sorted(self._console.recorder.streams.values(), key=lambda s: s.stream)
        ]  # fmt: skip

    def points(self, request: Request) -> Any:
        """Query: from, to (ms since 1970), or last (ms up to now); points, raw=1 for samples out of the journal."""
        console, stream = self._console, self._stream(request)
        start, end, last = asked(request)
        raw = yes(request, "raw")
        most = count(request, "points", 1_000)

        def made() -> Any:
            return query.points(console.app.root, console.recorder.folder, stream, start, end, most, raw)

        span = min(max(LIVE, last / clock.NS / 300), LONGEST)
        return self._shared.answer(("points", stream, last, most, raw), at(span), made) if last else made()

    def spectrum(self, request: Request) -> Any:
        stream = self._stream(request)
        end = milliseconds(request, "to", clock.now())
        rate = self._console.recorder.streams[stream].rate
        length = count(request, "samples", 4_096, 65_536)

        def made() -> Any:
            return query.spectrum(self._console.app.root, stream, rate, end, length)

        live = not request.query_params.get("to")
        return self._shared.answer(("spectrum", stream, length), at(LIVE), made) if live else made()

    def waterfall(self, request: Request) -> Any:
        """Query: to (ms since 1970), channel, rows."""
        stream = self._stream(request)
        end = milliseconds(request, "to", clock.now())
        rate = self._console.recorder.streams[stream].rate
        channel, rows = request.query_params.get("channel", ""), count(request, "rows", query.ROWS, query.ROWS)

        def made() -> Any:
            return query.waterfall(self._console.app.root, stream, rate, end, channel, rows)

        live = not request.query_params.get("to")
        return self._shared.answer(("waterfall", stream, channel, rows), at(FALLS), made) if live else made()

    def parts(self, request: Request) -> Any:
        """Query: camera, verdict, label; newest first."""
        params = request.query_params
        camera, verdict, label = params.get("camera"), params.get("verdict"), params.get("label")
        if verdict and verdict not in VERDICTS:
            raise Problem(422, f"verdict is one of {', '.join(VERDICTS)}")
        live, root = self._console.live, self._console.app.root
        found = [
            part for part in live.parts([camera] if camera else None)
            if (not verdict or part.get("verdict") == verdict) and (not label or part.get("label") == label)
        ][: count(request, "most", 100)]  # fmt: skip
        kept = {c: pictures.kept(root, c) for c in {str(p["camera"]) for p in found}}
        return {
            "parts": [
                {**part, "part": str(part.get("part") or part["time"]), "time": str(part["time"]),
                 "time_ms": part["time"] // 1_000_000, "picture": part["time"] in kept[str(part["camera"])]}
                for part in found
            ],
            "counts": live.counts(),
        }  # fmt: skip

    async def picture(self, request: Request) -> Response:
        time = request.path_params["time"]
        if not (time.isascii() and time.isdigit() and len(time) < 20):
            raise Problem(404, "no such picture")
        camera = request.path_params["camera"]
        data = await asyncio.to_thread(pictures.find, self._console.app.root, camera, int(time))
        if data is None:
            raise Problem(404, "no picture of this part was kept")
        return Response(data, media_type="image/jpeg", headers={"Cache-Control": "private, max-age=3600"})

    def system(self, request: Request) -> Any:
        console = self._console
        return {
            "machine": console.line.machine(), "components": console.line.components(),
            "history_bytes": console.recorder.bytes, "pages": console.hub.pages,
        }  # fmt: skip

    def budget(self, request: Request) -> Any:
        """Query: monitor, budget."""
        params = request.query_params
        return self._console.returns.effect(params.get("monitor", ""), params.get("budget", ""))

    def return_times(self, request: Request) -> Any:
        id: str = request.path_params["id"]
        monitor = self._console.line.monitors().get(id)
        if monitor is None:
            raise Problem(404, "no such monitor")
        return self._console.returns.day(id, str(monitor.get("budget") or DEFAULT))

    async def events(self, request: Request) -> Response:
        headers = {"X-Accel-Buffering": "no"}
        return StreamingResponse(self._console.hub.listen(), headers=headers, media_type="text/event-stream")

    async def metrics(self, request: Request) -> Response:
        console = self._console
        text = metrics.exposition(console.live, console.line.components(), console.recorder.gaps)
        return Response(text, media_type=metrics.MEDIA_TYPE)

    # -- saying --------------------------------------------------------------------------------------------------------

    def acknowledge(self, request: Request, body: Acknowledgement) -> Any:
        return shown(self._console.commands.acknowledge(self._known(request), body.reason, _by(request)))

    def shelve(self, request: Request, body: Shelving) -> Any:
        return shown(self._console.commands.shelve(self._known(request), body.span, _by(request)))

    def unshelve(self, request: Request) -> Any:
        return shown(self._console.commands.unshelve(self._known(request), _by(request)))

    def comment(self, request: Request, body: Comment) -> Any:
        return shown(self._console.commands.comment(self._known(request), body.text, _by(request)))

    def label(self, request: Request, body: PartLabel) -> Any:
        path = request.path_params
        return self._console.commands.label(path["camera"], path["part"], body.label, body.boxes, _by(request))

    def hold(self, request: Request, body: Hold) -> Any:
        name = request.path_params["name"]
        if all(model["name"] != name for model in self._console.line.models()):
            raise Problem(404, "no such model")
        return self._console.commands.hold(name, body.version, _by(request))

    # -- inside --------------------------------------------------------------------------------------------------------

    def _known(self, request: Request) -> str:
        id: str = request.path_params["id"]
        if self._console.live.alarm(id) is None:
            raise Problem(404, "no such alarm")
        return id

    def _stream(self, request: Request) -> str:
        stream: str = request.path_params["id"]
        if stream not in self._console.recorder.streams:
            raise Problem(404, "no such stream, or nothing came of it since this page's program began")
        return stream


def shown(alarm: Alarm) -> dict[str, Any]:
    """An alarm's times as ms instead of the ns, which a browser's numbers do not hold."""
    document: dict[str, Any] = msgspec.to_builtins(alarm)
    for name in ("raised_at", "time", "sample_time", "began", "shelved_until"):
        document[f"{name}_ms"] = document.pop(name) // 1_000_000
    return document


def answering(handler: Callable[..., Any], body: Any = None) -> Handler:
    """A handler of plain values as one of responses; `body` is the type of what is sent."""

    async def answered(request: Request) -> Response:
        given = []
        if body is not None:
            try:
                given.append(decode.document(await request.body() or b"{}", body, what="the request"))
            except DecodeError as error:
                raise Problem(422, str(error)) from None
        document = await asyncio.to_thread(handler, request, *given)
        data = document if isinstance(document, bytes) else msgspec.json.encode(document)
        return Response(data, media_type="application/json")

    return answered


def asked(request: Request) -> tuple[int, int, int]:
    """(start, end, last) in ns of a query with from and to, or with last; last is 0 where the span is a fixed one."""
    now = clock.now()
    last = milliseconds(request, "last", 0)
    if last:
        return max(1, now - last), now, last
    end = milliseconds(request, "to", now)
    return milliseconds(request, "from", end - 600 * clock.NS), end, 0


def at(span: float) -> int:
    """Which span of so many seconds it is now."""
    return int(time.monotonic() / span)


def _by(request: Request) -> str:
    name: str = request.state.visitor.name
    return name


def yes(request: Request, name: str) -> bool:
    text = request.query_params.get(name, "0")
    if text not in ("", "0", "1"):
        raise Problem(422, f"{name} is 0 or 1")
    return text == "1"


def count(request: Request, name: str, default: int, most: int = query.MOST) -> int:
    text = request.query_params.get(name, "")
    if not text:
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 9 and int(text) > 0):
        raise Problem(422, f"{name} is a whole number above 0")
    return min(int(text), most)


def milliseconds(request: Request, name: str, default: int) -> int:
    """ns of a query's ms."""
    text = request.query_params.get(name, "")
    if not text:
        return default
    try:
        value = float(text)
    except ValueError:
        raise Problem(422, f"{name} is a number of ms since 1970") from None
    if not 0 < value < 1e13:
        raise Problem(422, f"{name} is a number of ms since 1970")
    return int(value * 1e6)
