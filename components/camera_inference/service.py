"""The cameras and models that run, and what they have to say."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from queue import SimpleQueue
from types import TracebackType
from typing import Any, Final, Self

import msgspec

from camera_inference import labels
from camera_inference.alarms import CameraAlarms
from camera_inference.configuration import Camera, Configuration
from camera_inference.declaration import NAME
from camera_inference.documents import Result, pack
from camera_inference.frame import Frame
from camera_inference.hard_examples import HardExamples
from camera_inference.inference import Nobody, Session
from camera_inference.pipeline import CameraPipeline
from camera_inference.shadow import Shadowing
from camera_inference.sources import Place, Registry
from camera_inference.teaching import Teach, Teaching
from camera_inference.trigger import Announcements
from edgeloop import clock, topics
from edgeloop.bus.subscription import Subscription
from edgeloop.component import App
from edgeloop.decode import document
from edgeloop.durable import BackOff
from edgeloop.errors import DecodeError
from edgeloop.fleet import Findings
from edgeloop.journal import directory
from edgeloop.models import store
from edgeloop.models.active import ActiveModel
from edgeloop.models.decoders import make as make_decoder
from edgeloop.models.default import default_model
from edgeloop.models.runners import Options
from edgeloop.models.shadow import Candidate
from edgeloop.plugins import usable
from edgeloop.queue import QueueError, UploadQueue
from edgeloop.supervise.roster import Roster

TICK: Final = 0.05
"""s between two messages of results."""
LONGEST_PAUSE: Final = 60.0
"""s until verdicts that the nucleus refused are sent again."""
GAUGES: Final = 2.0
RESULTS: Final = "results"


@dataclass(frozen=True, slots=True)
class Wanted:
    """A camera as configured."""

    camera: Camera
    place: Place
    options: Options


class Learn(msgspec.Struct, frozen=True, tag_field="command", tag="learn"):
    """A command: what a camera's pictures are usually like is learned anew."""

    camera: str


COMMAND: Final[Any] = Learn | Teach


class Alarming:
    """Where the alarms of cameras go."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def publish(self, topic: str, payload: bytes) -> bool:
        return self._service.app.bus.publish(topic, payload)

    def upload(self, kind: str, record: bytes) -> None:
        self._service.upload([record], kind)

    def problem(self, key: str, line: str | None) -> None:
        self._service.app.health.set(key, line)

    def log(self, line: str, **fields: Any) -> None:
        self._service.app.log.info("%s", line, **fields)


@dataclass(slots=True)
class Engine:
    """A model and its session."""

    active: ActiveModel
    session: Session
    options: Options
    starting: threading.Thread
    shadow: Shadowing

    def close(self) -> None:
        self.starting.join()
        self.shadow.close()
        self.session.close()
        self.active.close()


class Service:
    """`apply` from any thread; all else from the loop's."""

    def __init__(self, app: App[Configuration]) -> None:
        self.app = app
        self._device = os.environ.get("AWS_IOT_THING_NAME", "unknown")
        self._plugins = ""
        self._registry = self._registered()
        self._known: set[str] = set()
        self._roster: Roster[Wanted, CameraPipeline] = Roster(app.health, lambda id: f"camera.{id}.uri")
        self._engines: dict[str, Engine] = {}
        self._said: list[tuple[CameraPipeline, Result]] = []
        self._repeat: list[tuple[CameraPipeline, Result]] = []
        self._given_up = 0
        self._pause = BackOff(1.0, LONGEST_PAUSE)
        self._gauged = time.monotonic()
        self._queue = UploadQueue(app.root, NAME, budget=int(app.config.upload))
        self._examples = HardExamples(app.work, self._queue, self)
        self._fleet = Findings(app.work, self._device, app.bus, app.health)
        self._alarms = CameraAlarms(app.work, Alarming(self), self._fleet)
        self._line = app.config
        self._learn: SimpleQueue[bytes] = SimpleQueue()
        self._labels: SimpleQueue[bytes] = SimpleQueue()
        self._teaching = Teaching(app.root, self._device, self, self.publish)
        self._nobody = Session("none", Nobody(), self.unexpected)
        self._announcements: Announcements | None = None
        self._opinionated: set[str] = set()
        self._heard: dict[str, Subscription] = {}

    def __enter__(self) -> Self:
        self._examples.start()
        self._nobody.start()
        self.app.bus.subscribe(topics.model("+"), self._notice)
        self.app.bus.subscribe(topics.ALARM_COMMANDS, lambda topic, payload: self._alarms.command(payload))
        self.app.bus.subscribe(topics.CAMERA_COMMANDS, lambda topic, payload: self._learn.put(payload))
        self.app.bus.subscribe(topics.PART_COMMANDS, lambda topic, payload: self._labels.put(payload))
        self._listen()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        pipelines = list(self._roster)
        self._teaching.close()
        if self._announcements is not None:
            self._announcements.close()
        for pipeline in pipelines:
            pipeline.end()
        for pipeline in pipelines:
            pipeline.close(0.5)
        self._publish(pipelines)
        if self.app.bus.connected and self.app.bus.flush(0.5):
            self._confirm()
        for pipeline in pipelines:
            pipeline.release()
        for engine in self._engines.values():
            engine.close()
        self._nobody.close()
        self._examples.close()
        self._fleet.close()
        self._alarms.close()
        self._queue.close()

    def apply(self, configuration: Configuration) -> None:
        """Takes a new configuration; a camera that is wrong stays as it was, with one line."""
        self._line = configuration
        own = {camera.asset or id for id, camera in configuration.cameras.items()}
        self._fleet.configure(configuration.fleet, configuration.site, own)
        self._arrange(self._fleet.over(configuration, clock.now()))

    def _arrange(self, configuration: Configuration) -> None:
        """With what the fleet sets."""
        options = Options(threads=configuration.threads, memory=int(configuration.memory))
        if configuration.plugins != self._plugins:
            self._plugins = configuration.plugins
            self._registry = self._registered()

        def wanted(id: str, camera: Camera) -> Wanted:
            secret = camera.credentials_file or camera.credentials_secret
            place = self._registry.find(camera.uri, f"cameras.{id}.uri", secret)
            patience, rate = camera.patience.seconds, float(camera.rate)
            return Wanted(camera, replace(place, patience=patience, transport=camera.transport, rate=rate), options)

        self._opinionated = {id for id, camera in configuration.cameras.items() if camera.opinion is not None}
        for id in self._roster.apply(configuration.cameras, wanted):
            self.app.health.clear_below(f"camera.{id}.picture")

    def _registered(self) -> Registry:
        """With the line's own types where its folder may be used."""
        outside = usable(self._plugins, self.app.health)
        return Registry(lambda line: self.app.log.error("%s", line), outside=outside)

    def pause(self) -> float:
        """s until the next tick."""
        return min([TICK, *(pipeline.due() for _, pipeline in self._roster.running.values())])

    def tick(self) -> None:
        """One round: cameras as configured, parts that are too old, one message of results."""
        self._reconcile()
        self._listen()
        pipelines = list(self._roster)
        for pipeline in pipelines:
            pipeline.tick()
        if self._said and self.app.bus.flush(0):
            self._confirm()
        self._publish(pipelines)
        for pipeline in pipelines:
            counted = pipeline.counted()
            if counted is not None:
                self.publish(topics.samples_of(pipeline.id), counted)
        self._alarms.tick()
        if self._fleet.due(clock.now()):
            self._arrange(self._fleet.over(self._line, clock.now()))
        while not self._learn.empty():
            self._command(self._learn.get())
        while not self._labels.empty():
            self._label(self._labels.get())
        self._teaching.tick(self._roster.running)
        if time.monotonic() - self._gauged >= GAUGES:
            self._gauged = time.monotonic()
            for pipeline in pipelines:
                for name, value in pipeline.gauges().items():
                    self.app.health.gauge(name, value)

    # what cameras need

    def problem(self, key: str, line: str) -> None:
        self.app.health.problem(key, line)

    def clear(self, key: str) -> None:
        self.app.health.clear(key)

    def count(self, name: str, n: int = 1) -> None:
        self.app.health.count(name, n)

    def log(self, line: str, **fields: Any) -> None:
        self.app.log.info("%s", line, **fields)

    def unexpected(self, error: Exception) -> None:
        self.app.log.exception(error)

    def publish(self, topic: str, document: Mapping[str, Any]) -> bool:
        return self.app.bus.publish_document(topic, document)

    def sight(self, id: str, asset: str, reason: str) -> None:
        self._alarms.sight(id, asset, reason)

    def agreement(self, id: str, asset: str, line: str) -> None:
        self._alarms.agreement(id, asset, line)

    def keep(self, camera: Camera, frame: Frame, result: Result) -> None:
        self._examples.offer(camera, frame, result)

    # -- inside --------------------------------------------------------------------------------------------------------

    def _reconcile(self) -> None:
        """Starts what is wanted, ends what is not; a changed camera starts when its old self has ended."""
        self._roster.reconcile(self._left, self._pipeline)
        wanted = self._roster.wanted
        if self._known != wanted.keys():
            self._known = set(wanted)
            self._alarms.retire(self._known)
        used = {w.camera.judged_by for w in wanted.values()} | self._served()
        for name in self._engines.keys() - used:
            self._engines.pop(name).close()
            self.app.health.clear_below(f"model.{name}")

    def _listen(self) -> None:
        """To opinions of the cameras that ask for them, and to no others."""
        wanted = self._opinionated
        for id in self._heard.keys() - wanted:
            self._heard.pop(id).close()
        for id in wanted - self._heard.keys():
            self._heard[id] = self.app.bus.subscribe(topics.opinion(id, "+"), self._opinion)

    def _opinion(self, topic: str, payload: bytes) -> None:
        known = self._roster.running.get(topic.split("/")[2])
        if known is not None:
            known[1].opinion(payload)

    def _left(self, pipeline: CameraPipeline) -> None:
        if self._announcements is not None:
            self._announcements.leave(pipeline.id)
        pipeline.close()
        self._publish([pipeline])
        self._said = [(owner, result) for owner, result in self._said if owner is not pipeline]
        self._repeat = [(owner, result) for owner, result in self._repeat if owner is not pipeline]
        pipeline.release()

    def _pipeline(self, id: str, wanted: Wanted) -> CameraPipeline | None:
        """Once its model has been looked for: a camera that waits costs no part its verdict."""
        session = self._session(wanted)
        if session is None:
            return None
        try:
            pipeline = CameraPipeline(id, wanted.camera, wanted.place, session, self.app.work, self)
        except OSError as error:
            self.app.health.problem(f"camera.{id}.parts", f"{id}: its parts cannot be read: {error}")
            return None
        self.app.health.clear(f"camera.{id}.parts")
        self._follow(pipeline)
        self.app.log.info("camera started", camera=id, scheme=wanted.camera.uri.partition(":")[0])
        return pipeline

    def _session(self, wanted: Wanted) -> Session | None:
        """What judges a camera's pictures; None while it is being made."""
        if not wanted.camera.judged_by:
            return self._nobody
        engine = self._engine(wanted.camera.judged_by, wanted.options)
        return None if engine.starting.is_alive() or engine.options != wanted.options else engine.session

    def _follow(self, pipeline: CameraPipeline) -> None:
        """Parts that a stream announces."""
        if pipeline.trigger is None:
            return
        if self._announcements is None:
            path = self.app.work / "cameras" / "triggers.json"
            self._announcements = Announcements(directory(self.app.root), path, lambda line: self.log(line))
            self.app.bus.subscribe(topics.SAMPLES, self._announcements.notice)
            self._announcements.start()
        self._announcements.follow(pipeline.id, pipeline.trigger, pipeline.fire)

    def _engine(self, name: str, options: Options) -> Engine:
        known = self._engines.get(name)
        if known is not None and known.options != options and name not in self._served():
            self._engines.pop(name).close()
            known = None
        if known is not None:
            return known
        active = ActiveModel(
            name, NAME, self.app.root, default=default_model(name), options=options, on_problem=self.app.health.set,
            on_hung=self.app.restart, reader=make_decoder,
        )  # fmt: skip
        starting = threading.Thread(target=active.start, name=f"loading-{name}", daemon=True)
        candidate = Candidate(
            name, store.directory(self.app.root, name), self.app.work, options, make_decoder,
            lambda line: self.app.health.set(f"model.{name}.shadow", line),
        )  # fmt: skip
        shadow = Shadowing(name, candidate, self.unexpected)
        session = Session(name, active, self.unexpected, shadow)
        engine = self._engines[name] = Engine(active, session, options, starting, shadow)
        starting.start()
        shadow.start()
        engine.session.start()
        return engine

    def _served(self) -> set[str]:
        """Models that cameras use."""
        return {pipeline.camera.judged_by for pipeline in self._roster}

    def _notice(self, topic: str, payload: bytes) -> None:
        engine = self._engines.get(topic.rpartition("/")[2])
        if engine is not None:
            engine.active.notice(topic, payload)

    def _publish(self, pipelines: list[CameraPipeline]) -> None:
        found = [(pipeline, result) for pipeline in pipelines for result in pipeline.collect()]
        if self._repeat and self._pause.due and self._told(self._packed(self._repeat)):
            self._said += self._repeat
            self._repeat = []
        if not found:
            return
        messages = self._packed(found)
        if self._told(messages):
            self._said += [(pipeline, result) for pipeline, result in found if pipeline.camera.policy == "every"]
            self.upload(messages)
            return
        for pipeline in pipelines:
            pipeline.again([result for owner, result in found if owner is pipeline])

    def _packed(self, found: list[tuple[CameraPipeline, Result]]) -> list[bytes]:
        results = [result for _, result in found]
        return pack(results, site=self.app.config.site, device=self._device, component=NAME, time=clock.now())

    def _told(self, messages: list[bytes]) -> bool:
        """Whether all of them wait to be sent."""
        taken = [self.app.bus.publish(topics.results(NAME), message) for message in messages]
        return all(taken)

    def _command(self, payload: bytes) -> None:
        try:
            wanted: Learn | Teach = document(payload, COMMAND)
        except DecodeError as error:
            self.app.health.problem("camera command", f"not a command to a camera: {error.why}")
            return
        self.app.health.clear("camera command")
        if isinstance(wanted, Teach):
            known = self._roster.running.get(wanted.camera)
            self._teaching.begin(wanted, known[1] if known is not None else None)
        elif wanted.camera in self._roster.running:
            self._roster.running[wanted.camera][1].learn()
            self.app.log.info("pictures are learned anew", camera=wanted.camera)

    def _label(self, payload: bytes) -> None:
        """A person's word on a part goes up."""
        try:
            record = labels.record_of(payload, self._device)
        except (DecodeError, ValueError) as error:
            self.app.health.problem("part command", f"not a label of a part: {getattr(error, 'why', '') or error}")
            return
        self.app.health.clear("part command")
        self.upload([record], labels.KIND)
        self.app.health.count("labels")
        try:
            camera, part = labels.part_of(record)
            if self._examples.overruled(camera, part):
                self.app.health.count("overruled")
        except (QueueError, OSError) as error:
            self.app.health.problem("upload", str(error))

    def upload(self, messages: list[bytes], kind: str = RESULTS) -> None:
        """Into the queue of what goes up."""
        try:
            for message in messages:
                self._queue.append(kind, message, sync=kind != RESULTS)
            self.app.health.clear("upload")
        except QueueError as error:
            self.app.health.problem("upload", str(error))
        self.app.health.gauge("upload_bytes", self._queue.size)
        self.app.health.gauge("upload_lost", self._queue.lost)

    def _confirm(self) -> None:
        """What was sent has been taken by the nucleus; where it refused a message, or never answered one, verdicts of
        parts are sent again, after a while: each has its part's id, so that twice does no harm."""
        said, self._said = self._said, []
        given_up = self.app.bus.given_up(topics.results(NAME))
        if given_up > self._given_up:
            self._given_up = given_up
            self._pause.failed()
            self._repeat += said
            self.app.health.count("verdicts_repeated", len(said))
            return
        self._pause.succeeded()
        by_pipeline: dict[int, tuple[CameraPipeline, list[str]]] = {}
        for pipeline, result in said:
            by_pipeline.setdefault(id(pipeline), (pipeline, []))[1].append(result.part)
        for pipeline, parts in by_pipeline.values():
            pipeline.announced(parts)
