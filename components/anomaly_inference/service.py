"""Between the engine and the world: bus, journal of samples, disk."""

from __future__ import annotations

import os
import queue
import time
from typing import Any

from anomaly_inference.configuration import Configuration, assets, orphans
from anomaly_inference.declaration import NAME
from anomaly_inference.engine import Engine, Outcome
from anomaly_inference.learned import LearnedFile
from anomaly_inference.results import Result, pack
from anomaly_inference.serving import ModelStore
from anomaly_inference.silence import Silence, Unheard
from edgeloop import clock, decode, topics
from edgeloop.alarms import NO_MONITOR, Alarm, AlarmBook, AlarmJournal, Cause, label, parse
from edgeloop.component import App
from edgeloop.detect.registry import registry
from edgeloop.durable import Document
from edgeloop.errors import EdgeloopError
from edgeloop.fleet import Findings
from edgeloop.journal import Position, directory
from edgeloop.plugins import usable
from edgeloop.queue import QueueError, UploadQueue
from edgeloop.samples import SamplesSubscriber
from edgeloop.supervise.handling import Handling
from edgeloop.wire.batch import Dropped, Item
from edgeloop.wire.codec import encode

CAUGHT_UP = clock.NS
ALARMS, LABELS, RESULTS = "alarms", "labels", "results"
"""Kinds of records in the upload queue."""
SOURCE = "SensorIngest"
"""Asset of the alarm `silent` that belongs to no monitor of the line."""
UPLOAD_INTERVAL = clock.NS
"""Least time between two messages of results that go up; the bus has them all."""
QUIET_INTERVAL = 10 * clock.NS
"""The same where no alarm is open and no monitor has changed its state."""
PUBLISH = Configuration().publish
CALM = clock.NS
"""ns between two messages of results while nothing changes, where no other time was configured."""


class Service:
    """Reads samples, keeps what must survive, publishes what came of it."""

    def __init__(self, app: App[Configuration]) -> None:
        self._app = app
        self._device = os.environ.get("AWS_IOT_THING_NAME", "unknown")
        self._commands: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self._changes: queue.SimpleQueue[Configuration] = queue.SimpleQueue()
        self._learned = LearnedFile(app.work / "learned.npz", app.config.save.seconds)
        self._rules: Document[Any] = Document(app.work / "rules.json", Any, lambda: None)
        self._alarms = AlarmJournal(app.work / "alarms.jsonl")
        self._results: dict[str, Result] = {}
        self._states: dict[str, str] = {}
        """Of what went up last."""
        self._published = self._uploaded = clock.elapsed()
        self._live, self._plugins = False, ""
        app.on_configuration(self._changes.put)
        configuration = app.config
        self._queue = UploadQueue(app.root, NAME, budget=int(configuration.upload))
        self._models = ModelStore(app)
        self.engine = Engine(
            Configuration(),
            AlarmBook(self._alarms.alarms, self._record, configuration.alarms),
            self._monitor_told,
            self._models.provide,
        )
        self._configured = configuration
        self._fleet = Findings(app.work, self._device, app.bus, app.health)
        begun = Outcome()
        self._configure(configuration, begun)
        self._hand = Handling(app.work / "samples.in-hand", app.work, "a batch of samples", self._set_aside)
        self._samples = SamplesSubscriber(directory(app.root), None, self._restore())
        self._silence, self._unheard = Silence(), Unheard()
        app.bus.subscribe(topics.SAMPLES, self._noticed)
        app.bus.subscribe(topics.ACTION_RESULTS, self._answered)
        app.bus.subscribe(topics.ALARM_COMMANDS, lambda topic, payload: self._commands.put(payload))
        self._announce(list(self._alarms.unannounced))

    def infer(self, timeout: float) -> Outcome:
        """The outcome of what arrives within `timeout` seconds, and of commands and configuration meanwhile."""
        outcome = Outcome()
        while not self._changes.empty():
            self._configure(self._changes.get(), outcome)
        outcome.alarms += self._fleet.tick(self.engine.book, clock.now())
        if self._fleet.due(clock.now()):
            self._apply(self._configured, outcome)
        while not self._commands.empty():
            try:
                _extend(outcome, self.engine.command(parse(self._commands.get()), clock.now()))
                self._app.health.clear("alarm command")
            except EdgeloopError as e:
                self._app.health.problem("alarm command", str(e))
        items = self._samples.read(timeout)
        self._listen(outcome, heard=bool(items))
        self._process(items, outcome)
        return outcome

    def _process(self, items: list[Item], outcome: Outcome) -> None:
        """Those of a tick together; where the process died of some, one by one, and without the one it died of."""
        now = self._now(items)
        if not items:
            _extend(outcome, self.engine.process(now=now) if self._live else Outcome())
            return
        items = [item for item in items if not self._hand.deadly(_place(item))]
        if not self._hand.careful:
            with self._hand.together(map(_place, items)):
                _extend(outcome, self.engine.process(*items, now=now))
            return
        for item in items:
            with self._hand.of(_place(item), data=b"".join(encode(item)), among=True):
                _extend(outcome, self.engine.process(item, now=now))

    def _set_aside(self, line: str) -> None:
        self._app.health.count("set_aside")
        self._app.health.problem("set-aside", line)

    def _configure(self, configuration: Configuration, outcome: Outcome) -> None:
        """What the line says."""
        self._configured = configuration
        self._fleet.configure(configuration.fleet, configuration.site, assets(configuration))
        self._apply(configuration, outcome)

    def _apply(self, line: Configuration, outcome: Outcome) -> None:
        """At the start and later, with what the fleet sets; whatever fails is a line, and what was applied before
        stays."""
        try:
            configuration = self._fleet.over(line, clock.now())
            self._check(configuration)
            self._models.apply(configuration)
            if configuration.plugins != self._plugins:
                self._plugins = configuration.plugins
                self.engine.detectors = registry(usable(self._plugins, self._app.health), self._app.log.error)
            self.engine.book.settings = configuration.alarms
            _extend(outcome, self.engine.apply(configuration, clock.now()))
        except Exception as error:
            why = str(error) if isinstance(error, EdgeloopError) else f"{type(error).__name__}: {error}"
            self._app.health.problem("configuration.apply", f"the new configuration was not applied: {why}")
        else:
            self._app.health.clear("configuration.apply")

    def publish(self, outcome: Outcome) -> None:
        """Actions at once, before anything waits for the disk; then alarms; results as one message of a tick."""
        for action in outcome.actions:
            self._app.bus.publish(topics.action(action.source), action.document())
            self._silence.asked(action.id, time.monotonic())
            self._app.log.info("action", id=action.id, source=action.source, target=action.target, armed=action.armed)
        if any(not action.cause.renewal for action in outcome.actions):
            self._save_rules()
        self._announce(outcome.alarms)
        for result in outcome.results:
            known = self._results.get(result.monitor)
            if known is not None and known.state == result.state and known.score > result.score:
                result.score, result.return_time, result.attribution = known.score, known.return_time, known.attribution
            if known is not None and not result.indicators:
                result.indicators = known.indicators
            self._results[result.monitor] = result
        now, elapsed = clock.now(), clock.elapsed()
        if self._results and elapsed - self._published >= self._pause:
            self._published = elapsed
            results = list(self._results.values())
            self._results = {}
            states = self._states | {result.monitor: result.state for result in results}
            quiet = states == self._states and not self._alarming
            upload = elapsed - self._uploaded >= (QUIET_INTERVAL if quiet else UPLOAD_INTERVAL)
            if upload:
                self._uploaded, self._states = elapsed, states
            for message in pack(results, site=self._app.config.site, device=self._device, component=NAME, time=now):
                self._app.bus.publish(topics.results(NAME), message)
                if upload:
                    self._upload(RESULTS, message)
        if self._learned.due:
            self.save()

    @property
    def _pause(self) -> int:
        """ns between two messages of results: a calm second while all is as it was, unless one was configured."""
        wanted = self._app.config.publish
        same = all(self._states.get(result.monitor) == result.state for result in self._results.values())
        quiet = same and not self._alarming
        return CALM if quiet and wanted == PUBLISH else wanted

    @property
    def _alarming(self) -> bool:
        """Whether an alarm is open that came of samples: a finding stands for weeks."""
        return any(alarm.kind != "fleet" for alarm in self.engine.book.open)

    def _noticed(self, topic: str, payload: bytes) -> None:
        self._silence.noticed(time.monotonic())
        self._samples.notice(payload)

    def _answered(self, topic: str, payload: bytes) -> None:
        try:
            said = decode.document(payload)
        except EdgeloopError:
            return
        if isinstance(said, dict):
            self._silence.answered(str(said.get("id")))

    def _listen(self, outcome: Outcome, *, heard: bool) -> None:
        """Whether SensorIngest is heard, and whether the bus still carries."""
        now = time.monotonic()
        if heard:
            self._silence.heard(now)
        if self._silence.deaf(now):
            self._app.bus.probe()
        if not self._app.config.monitors and not self._app.config.limits:
            return
        pause, sample = self._silence.silent(now), clock.now()
        line = "nothing has arrived from SensorIngest for 15 s and more: look whether it runs, and at its sources"
        self._app.health.set("peer.SensorIngest", line if pause else None)
        cause, book = Cause(stream=""), self.engine.book
        if self._silence.alarming(now):
            text = "no samples at all: nothing is watched"
            outcome.alarms += book.raise_(
                NO_MONITOR, "silent", asset=SOURCE, severity="high", text=text, cause=cause, now=sample, sample=sample
            )
        elif heard and book.find(NO_MONITOR, "silent") is not None:
            outcome.alarms += book.clear(NO_MONITOR, "silent", cause=cause, now=sample, sample=sample)
        outcome.alarms += self._unheard.listen(self.engine, now, sample)
        self._app.health.set("unheard", self._unheard.line(now) or None)

    def save(self) -> None:
        """What was learned, and where the samples stand, to disk."""
        self._learned.later()
        try:
            self._learned.save(self.engine.state(), self._samples.position)
        except (OSError, EdgeloopError) as e:
            self._app.health.problem("save", f"cannot save what was learned: {e}; free space on the disk")
        else:
            self._app.health.clear("save")
        self._save_rules()
        self._app.health.gauge("open_alarms", len(self.engine.book.open))
        self._app.health.gauge("unseen_alarms", len(self.engine.book.unseen))
        self._app.health.gauge("forgotten_alarms", self._alarms.forgotten)
        self._app.health.gauge("gaps", self._samples.gaps)
        self._app.health.gauge("actions_limited", self.engine.rules.limited)

    def _save_rules(self) -> None:
        """What has fired: it is neither repeated nor, where it has to be renewed, forgotten."""
        try:
            self._rules.save(self.engine.rules.state())
        except OSError as e:
            self._app.health.problem("rules file", f"cannot save what rules did: {e}; free space on the disk")
        else:
            self._app.health.clear("rules file")

    def close(self) -> None:
        self.save()
        self._samples.close()
        self._hand.close()
        self._models.close()
        self._fleet.close()
        self._alarms.close()
        self._queue.close()

    def _now(self, items: list[Item]) -> int | None:
        """While catching up after a restart, arrival says nothing: the samples' own time counts."""
        now = clock.now()
        if not self._live:
            newest = max((int(i.end) for i in items if hasattr(i, "end")), default=now)
            self._live = not items or now - newest < CAUGHT_UP
        return now if self._live else None

    def _restore(self) -> Position | None:
        """Goes on where the last process stood, if that was just now; else with what is to come."""
        try:
            if (fired := self._rules.load()) is not None:
                self.engine.rules.restore(fired)
            if self._rules.damage:
                self._app.health.problem("rules file", self._rules.damage)
            states, position = self._learned.load()
            self.engine.restore(states)
        except Exception as e:
            self._app.log.exception(e)
            self._app.health.problem("learned", f"learning again: {type(e).__name__}: {e}")
            return None
        if position is None:
            self.engine.skipped()
        return position

    def _check(self, configuration: Configuration) -> None:
        if found := orphans(configuration):
            self._app.health.problem("rules", "; ".join(str(e) for e in found))
        else:
            self._app.health.clear("rules")

    def _monitor_told(self, monitor: str, line: str) -> None:
        if line:
            self._app.health.problem(f"monitor {monitor}", line)
        else:
            self._app.health.clear(f"monitor {monitor}")

    def _record(self, alarm: Alarm) -> None:
        try:
            self._alarms.record(alarm, sync=False)
        except OSError as e:
            self._app.health.problem("alarms", f"cannot write alarms.jsonl: {e.strerror}; free space on the disk")
        else:
            self._app.health.clear("alarms")

    def _announce(self, alarms: list[Alarm]) -> None:
        """Once they are on disk."""
        try:
            if alarms:
                self._alarms.sync()
        except OSError as e:
            self._app.health.problem("alarms", f"cannot write alarms.jsonl: {e.strerror}; free space on the disk")
        for alarm in alarms:
            self._app.log.info(
                "alarm", id=alarm.id, monitor=alarm.monitor, kind=alarm.kind, state=alarm.state, text=alarm.text
            )
            document = alarm.document()
            self._upload(ALARMS, document)
            if (said := label(alarm)) is not None:
                self._upload(LABELS, said.document())
            if alarm.held_by or self._app.bus.publish(topics.alarm(alarm.id), document):
                self._mark(alarm)

    def _upload(self, kind: str, record: bytes) -> None:
        try:
            self._queue.append(kind, record, sync=kind in (ALARMS, LABELS))
        except QueueError as e:
            self._app.health.problem("upload", str(e))
        else:
            self._app.health.clear("upload")

    def _mark(self, alarm: Alarm) -> None:
        try:
            self._alarms.announced(alarm)
        except OSError as e:
            self._app.health.problem("alarms", f"cannot write alarms.jsonl: {e.strerror}; free space on the disk")


def _place(item: Item) -> str:
    return f"{item.stream}/{item.epoch:x}/{item.first if isinstance(item, Dropped) else item.index}"


def _extend(outcome: Outcome, more: Outcome) -> None:
    outcome.results += more.results
    outcome.alarms += more.alarms
    outcome.actions += more.actions
