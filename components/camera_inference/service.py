"""The cameras and models that run, and what they have to say."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self

from camera_inference.album import Album
from camera_inference.configuration import Camera, Configuration
from camera_inference.declaration import NAME
from camera_inference.documents import Result, pack
from camera_inference.frame import Frame
from camera_inference.inference import Session
from camera_inference.sources import Place, Registry
from camera_inference.station import Station
from edgeloop import clock, topics
from edgeloop.component import App
from edgeloop.errors import ConfigurationError
from edgeloop.models.active import ActiveModel
from edgeloop.models.default import default_model
from edgeloop.models.runners import Options
from edgeloop.queue import QueueError, UploadQueue

TICK: Final = 0.05
"""s between two messages of results."""
GAUGES: Final = 2.0
RESULTS: Final = "results"


@dataclass(frozen=True, slots=True)
class Wanted:
    """A camera as configured."""

    camera: Camera
    place: Place
    options: Options


@dataclass(slots=True)
class Engine:
    """A model and its session."""

    active: ActiveModel
    session: Session
    options: Options
    starting: threading.Thread

    def close(self) -> None:
        self.starting.join()
        self.session.close()
        self.active.close()


class Service:
    """`apply` from any thread; all else from the loop's."""

    def __init__(self, app: App[Configuration]) -> None:
        self._app = app
        self._device = os.environ.get("AWS_IOT_THING_NAME", "unknown")
        self._registry = Registry(lambda line: app.log.error("%s", line))
        self._lock = threading.Lock()
        self._wanted: dict[str, Wanted] = {}
        self._named: set[str] = set()
        self._stations: dict[str, tuple[Wanted, Station]] = {}
        self._leaving: list[Station] = []
        self._engines: dict[str, Engine] = {}
        self._sent: list[tuple[Station, str]] = []
        self._gauged = time.monotonic()
        self._queue = UploadQueue(app.root, NAME, budget=int(app.config.upload))
        self._album = Album(app.work, self._queue, self)

    def __enter__(self) -> Self:
        self._album.start()
        self._app.bus.subscribe(topics.model("+"), self._notice)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        stations = [station for _, station in self._stations.values()] + self._leaving
        for station in stations:
            station.end()
        for station in stations:
            station.close(0.5)
        self._publish(stations)
        if self._app.bus.connected and self._app.bus.flush(0.5):
            self._confirm()
        for station in stations:
            station.release()
        for engine in self._engines.values():
            engine.close()
        self._album.close()
        self._queue.close()

    def apply(self, configuration: Configuration) -> None:
        """Takes a new configuration; a camera that is wrong stays as it was, with one line."""
        options = Options(threads=configuration.threads, memory=int(configuration.memory))
        wanted = {}
        for id, camera in configuration.cameras.items():
            key = f"camera.{id}.uri"
            try:
                place = self._registry.find(camera.uri, f"cameras.{id}.uri", camera.credentials_file)
                wanted[id] = Wanted(camera, place, options)
                self._app.health.clear(key)
            except ConfigurationError as error:
                self._app.health.problem(key, str(error))
                if id in self._wanted:
                    wanted[id] = self._wanted[id]
        for id in self._named - configuration.cameras.keys():
            self._app.health.clear(f"camera.{id}.uri")
        self._named = set(configuration.cameras)
        with self._lock:
            self._wanted = wanted

    def pause(self) -> float:
        """s until the next tick."""
        return min([TICK, *(station.due() for _, station in self._stations.values())])

    def tick(self) -> None:
        """One round: cameras as configured, parts that are too old, one message of results."""
        self._reconcile()
        stations = [*self._leaving, *(station for _, station in self._stations.values())]
        for station in stations:
            station.tick()
        if self._sent and self._app.bus.flush(0):
            self._confirm()
        self._publish(stations)
        if time.monotonic() - self._gauged >= GAUGES:
            self._gauged = time.monotonic()
            for station in stations:
                for name, value in station.gauges().items():
                    self._app.health.gauge(name, value)

    # what cameras need

    def problem(self, key: str, line: str) -> None:
        self._app.health.problem(key, line)

    def clear(self, key: str) -> None:
        self._app.health.clear(key)

    def count(self, name: str, n: int = 1) -> None:
        self._app.health.count(name, n)

    def log(self, line: str, **fields: Any) -> None:
        self._app.log.info("%s", line, **fields)

    def unexpected(self, error: Exception) -> None:
        self._app.log.exception(error)

    def publish(self, topic: str, document: Mapping[str, Any]) -> bool:
        return self._app.bus.publish_document(topic, document)

    def keep(self, camera: Camera, frame: Frame, result: Result) -> None:
        self._album.offer(camera, frame, result)

    # -- inside --------------------------------------------------------------------------------------------------------

    def _reconcile(self) -> None:
        """Starts what is wanted, ends what is not; a changed camera starts when its old self has ended."""
        with self._lock:
            wanted = self._wanted
        for id, (old, station) in list(self._stations.items()):
            if wanted.get(id) != old:
                station.end()
                self._leaving.append(station)
                del self._stations[id]
        for station in [s for s in self._leaving if s.ended]:
            station.close()
            self._publish([station])
            self._sent = [(s, part) for s, part in self._sent if s is not station]
            station.release()
            self._leaving.remove(station)
        leaving = {station.id for station in self._leaving}
        for id, new in wanted.items():
            if id not in self._stations and id not in leaving:
                self._start(id, new)
        used = {w.camera.model for w in wanted.values()} | self._served()
        for name in self._engines.keys() - used:
            self._engines.pop(name).close()
            self._app.health.clear_below(f"model.{name}")

    def _start(self, id: str, wanted: Wanted) -> None:
        """Once its model has been looked for: a camera that waits costs no part its verdict."""
        engine = self._engine(wanted.camera.model, wanted.options)
        if engine.starting.is_alive() or engine.options != wanted.options:
            return
        try:
            station = Station(id, wanted.camera, wanted.place, engine.session, self._app.work, self)
        except OSError as error:
            self._app.health.problem(f"camera.{id}.parts", f"{id}: its parts cannot be read: {error}")
            return
        self._app.health.clear(f"camera.{id}.parts")
        self._stations[id] = (wanted, station)
        station.start()
        self._app.log.info("camera started", camera=id, scheme=wanted.camera.uri.partition(":")[0])

    def _engine(self, name: str, options: Options) -> Engine:
        known = self._engines.get(name)
        if known is not None and known.options != options and name not in self._served():
            self._engines.pop(name).close()
            known = None
        if known is not None:
            return known
        active = ActiveModel(
            name, NAME, self._app.root, default=default_model(name), options=options, on_problem=self._app.health.set,
        )  # fmt: skip
        starting = threading.Thread(target=active.start, name=f"loading-{name}", daemon=True)
        engine = self._engines[name] = Engine(active, Session(name, active, self.unexpected), options, starting)
        starting.start()
        engine.session.start()
        return engine

    def _served(self) -> set[str]:
        """Models that cameras use."""
        stations = [*self._leaving, *(station for _, station in self._stations.values())]
        return {station.camera.model for station in stations}

    def _notice(self, topic: str, payload: bytes) -> None:
        engine = self._engines.get(topic.rpartition("/")[2])
        if engine is not None:
            engine.active.notice(topic, payload)

    def _publish(self, stations: list[Station]) -> None:
        found = [(station, result) for station in stations for result in station.collect()]
        if not found:
            return
        now = clock.now()
        site = self._app.config.site
        messages = pack([r for _, r in found], site=site, device=self._device, component=NAME, time=now)
        taken = [self._app.bus.publish(topics.results(NAME), message) for message in messages]
        if all(taken):
            self._sent += [(station, result.part) for station, result in found if station.camera.policy == "every"]
            self._upload(messages)
            return
        for station in stations:
            station.again([result for owner, result in found if owner is station])

    def _upload(self, messages: list[bytes]) -> None:
        try:
            for message in messages:
                self._queue.append(RESULTS, message)
            self._app.health.clear("upload")
        except QueueError as error:
            self._app.health.problem("upload", str(error))
        self._app.health.gauge("upload_bytes", self._queue.size)
        self._app.health.gauge("upload_lost", self._queue.lost)

    def _confirm(self) -> None:
        """What was sent has been taken by the nucleus."""
        by_station: dict[int, tuple[Station, list[str]]] = {}
        for station, part in self._sent:
            by_station.setdefault(id(station), (station, []))[1].append(part)
        self._sent = []
        for station, parts in by_station.values():
            station.announced(parts)
