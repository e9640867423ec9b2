"""A day of a line's own time in less: faults of every kind meanwhile, and a judge of what is left and of each health.

A plant publishes by MQTT, each row with its number: what it was told to have arrived is what has to be in the journal
once, and in the bucket once. A simulated machine and a conveyor load the line beside it.
"""

from __future__ import annotations

import itertools
import json
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np

from edgeloop import topics
from edgeloop.clock import NS, now
from edgeloop.data import read
from edgeloop.wire.batch import Batch, RecordBatch
from edgeloop_tools.core.control import ControlError
from edgeloop_tools.demo.plan import ANOMALY, BUCKET, CAMERA, INGEST, MODELS, RUNTIME, UPLOAD, Plan, conveyor, machines
from edgeloop_tools.harness.broker import Broker
from edgeloop_tools.harness.ledger import Ledger, audit
from edgeloop_tools.harness.line import Line
from edgeloop_tools.harness.uploads import Comparison, fetch, rows

OURS: Final = (INGEST, ANOMALY, CAMERA, MODELS, UPLOAD)
PLANT: Final = "plant_rows"
SLOW: Final = ("press1_slow", "press1_plc", PLANT)
"""Streams that go up whole."""
NUMBER: Final = "n"
DAY: Final = 86_400
SETTLED: Final = 40.0
"""s after a fault until every health has to be ok again; a step of a clock is shown for 30 s."""
FLOWS: Final = 15.0
"""s without results that are too many where nothing stops them."""
RESULTS: Final = topics.results("AnomalyInference")
SHORT: Final = 240.0
"""s of faults below which they are short ones."""
TOLD: Final = 60.0
"""s within which a health has to say what is wrong."""
LOOK: Final = 0.5
DRAINED: Final = 180.0
"""s at the end for what waits to arrive."""


def plan(broker: Broker, seed: int) -> Plan:
    """The demo's healthy machine and its conveyor, and the plant's tags. Everything slow goes up."""
    made = machines(["press1"], seed)
    del made.sources["press1"]["faults"]
    conveyor(made, seed)
    made.sources["plant"] = {
        "type": "mqtt", "broker": broker.url, "client": "edgeloop-soak", "keep_alive": "4 s",
        "topics": {"row": {"filter": "plant/row", "stream": "rows", "time": "t",
                           "channels": {NUMBER: "n", "temp": "temp Cel", "load": "load %"}}},
    }  # fmt: skip
    made.monitors["plant"] = {"asset": "hall", "input": PLANT, "channels": "temp load", "learn": "1 h", "gap": "0 s"}
    return made


def merge(made: Plan) -> dict[str, dict[str, Any]]:
    """Component → configuration, with what an MQTT source needs."""
    found = made.merge()
    found[RUNTIME] = {"profiles": f"{found[RUNTIME]['profiles']} protocols"}
    return found


@dataclass(slots=True)
class Trouble:
    """Something done to the line, begun and ended at s monotonic. may: whose health it excuses until SETTLED after its
    end. must: whose health has to say something meanwhile. flows: results come all through."""

    kind: str
    may: frozenset[str]
    must: frozenset[str] = frozenset()
    flows: bool = False
    begun: float = 0.0
    ended: float = 0.0


@dataclass(slots=True)
class Verdict:
    """Counts of rows and samples; what a health said that was not so, or did not say; MB of each component, early and
    late."""

    line_hours: float = 0.0
    seconds: float = 0.0
    troubles: dict[str, int] = field(default_factory=dict)
    arrived: int = 0
    journalled: int = 0
    doubled: int = 0
    dropped: int = 0
    uploaded: int = 0
    uploaded_twice: int = 0
    samples: int = 0
    lost: dict[str, int] = field(default_factory=dict)
    different: int = 0
    slow_missing: int = 0
    untrue: list[str] = field(default_factory=list)
    megabytes: dict[str, tuple[float, float]] = field(default_factory=dict)

    @property
    def growth(self) -> float:
        """The largest share by which a component grew from the second quarter of the run to its last."""
        return max((late / early - 1 for early, late in self.megabytes.values() if early), default=0.0)


class Plant:
    """Publishes `rate` rows a second, QoS 1, a second of its own time each; `arrived` are those the broker took."""

    def __init__(self, broker: Broker, rate: float, begin: int) -> None:
        import paho.mqtt.client as mqtt
        from paho.mqtt.enums import CallbackAPIVersion

        self._rate, self._begin = rate, begin
        self._client: Any = mqtt.Client(CallbackAPIVersion.VERSION2)
        self._client.max_inflight_messages_set(0)
        self._client.max_queued_messages_set(0)
        self._client.on_publish = self._published
        self._client.connect(broker.host, broker.port, 600)
        self._client.loop_start()
        self._lock = threading.Lock()
        self._waiting: dict[int, int] = {}
        self._early: set[int] = set()
        self.arrived: set[int] = set()
        self.sent = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="plant", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """Once the broker has all of it."""
        self._stop.set()
        self._thread.join()
        end = time.monotonic() + 60
        while self._waiting and time.monotonic() < end:
            time.sleep(0.05)
        self._client.disconnect()
        self._client.loop_stop()

    def say(self, number: int) -> None:
        """One row; numbers below 0 only look whether anybody listens."""
        row = {"t": (self._begin + number * NS) / NS, "n": number, "temp": 40 + 5 * np.sin(number / 600),
               "load": 50 + 10 * np.sin(number / 97)}  # fmt: skip
        known = self._client.publish("plant/row", json.dumps(row), qos=1)
        with self._lock:
            if known.mid in self._early:
                self._early.discard(known.mid)
                self.arrived.add(number)
            else:
                self._waiting[known.mid] = number

    def _published(self, client: Any, data: Any, number: int, *_: Any) -> None:
        with self._lock:
            row = self._waiting.pop(number, None)
            if row is None:
                self._early.add(number)
            else:
                self.arrived.add(row)

    def _run(self) -> None:
        begun = time.monotonic()
        while not self._stop.wait(0.02):
            due = int((time.monotonic() - begun) * self._rate)
            while self.sent < due:
                self.say(self.sent)
                self.sent += 1


class Soak:
    """`run` on a line that was deployed with `plan` and `merge`. clock: the file that moves the components' clocks.
    only: kinds of trouble; none: all."""

    def __init__(
        self, line: Line, broker: Broker, seed: int, *, clock: Path | None = None, only: Collection[str] = (),
        say: Callable[[str], None] = lambda line: None,
    ) -> None:  # fmt: skip
        self._line, self._broker, self._clock, self._say = line, broker, clock, say
        self._dice, self._only = random.Random(seed), only
        self._troubles: list[Trouble] = []
        self._seen: dict[str, list[tuple[float, str, str]]] = {name: [] for name in OURS}
        self._results: list[tuple[float, int]] = []
        self._memory: dict[str, list[tuple[float, float]]] = {}
        self._over = threading.Event()
        self._begun = time.monotonic()
        self._probes, self._seconds = -1000, 0.0

    def run(self, seconds: float, hours: float, folder: Path) -> Verdict:
        """seconds: of faults; hours: of the plant's time within them. folder: for what was uploaded."""
        begin = now() - int(hours * 3600 * NS) - 3600 * NS
        plant = Plant(self._broker, hours * 3600 / seconds, begin)
        self._wait(lambda: self._listens(plant), 120, "the plant's first row")
        watch = threading.Thread(target=self._watch, name="soak-watch", daemon=True)
        self._settle()
        self._begun, self._seconds = time.monotonic(), seconds
        watch.start()
        plant.start()
        try:
            while time.monotonic() - self._begun < seconds:
                for trouble in self._round(seconds):
                    self._do(*trouble)
                    if time.monotonic() - self._begun >= seconds:
                        break
        finally:
            plant.close()
        if seconds >= SHORT:
            self._settle()
        verdict = Verdict(line_hours=hours, seconds=time.monotonic() - self._begun)
        self._over.set()
        watch.join()
        self._judge(verdict)
        self._drain(plant)
        self._count(verdict, plant, folder)
        return verdict

    # -- what is done to it --------------------------------------------------------------------------------------------

    def _round(self, seconds: float) -> Iterator[tuple[Trouble, Callable[[], object], Callable[[], object], float]]:
        """Every kind of trouble once, in some order; short ones while there is not much time."""
        long = 20.0 if seconds >= SHORT else 6.0
        core, everyone = self._line.core, frozenset(OURS)
        readers = frozenset({INGEST, ANOMALY, UPLOAD})
        kinds: list[tuple[Trouble, Callable[[], object], Callable[[], object], float]] = [
            (Trouble(f"kill {name.rpartition('.')[2]}", frozenset({name, ANOMALY, UPLOAD})), self._kill(name), _no, 0.0)
            for name in OURS
        ]
        kinds += [
            (Trouble("kill the bus", everyone), lambda: core.fault("kill_bus"), _no, 0.0),
            (Trouble("kill Stream Manager", frozenset({UPLOAD})), lambda: core.fault("kill_stream_manager"), _no, 0.0),
            (Trouble("network away", frozenset({UPLOAD, MODELS}), flows=True),
             lambda: core.fault("network", offline=True), lambda: core.fault("network", offline=False), long),
            (Trouble("the plant's broker stands", readers, frozenset({INGEST})),
             lambda: self._broker.freeze(True), lambda: self._broker.freeze(False), long),
        ]  # fmt: skip
        if self._clock is not None:
            for step in ("-1d", "+1d"):
                trouble = Trouble(f"clock {step}", everyone, frozenset({INGEST}), flows=True)
                kinds.append((trouble, self._set(step), self._set("+0"), long))
        kinds = [kind for kind in kinds if not self._only or kind[0].kind in self._only]
        self._dice.shuffle(kinds)
        if not self._only and time.monotonic() - self._begun < seconds / 4:
            size = self._used() + (12 << 20)
            full = Trouble("full disk", readers, frozenset({INGEST}))
            kinds.append(
                (full, lambda: core.fault("full_disk", component=INGEST, bytes=size), self._room, max(long, 8.0))
            )
        yield from kinds

    def _kill(self, name: str) -> Callable[[], object]:
        def kill() -> None:
            self._line.kill(name)
            self._line.core.clear_restart_counters()

        return kill

    def _set(self, step: str) -> Callable[[], object]:
        def move() -> None:
            assert self._clock is not None
            self._clock.write_text(f"{step}\n")

        return move

    def _room(self) -> None:
        self._line.core.fault("disk_room", component=INGEST)
        time.sleep(3)
        self._line.core.fault("disk_back", component=INGEST)

    def _used(self) -> int:
        work = self._line.root / "work" / INGEST
        return sum(path.lstat().st_size for path in work.rglob("*") if path.is_file())

    def _do(
        self, trouble: Trouble, begin: Callable[[], object], end: Callable[[], object], lasting: float
    ) -> None:
        if trouble.must:
            self._wait(self._senses, TOLD, "samples before it", fails=False)
        trouble.begun, trouble.ended = time.monotonic(), float("inf")
        self._troubles.append(trouble)
        self._say(f"{trouble.begun - self._begun:7.1f} s  {trouble.kind}")
        try:
            begin()
            time.sleep(lasting + self._dice.uniform(0, 1))
            self._wait(
                lambda: all(self._says(name, trouble) for name in trouble.must), TOLD, "a word of it", fails=False
            )
        finally:
            try:
                end()
            except ControlError as error:
                self._say(f"           {error}")
            trouble.ended = time.monotonic()
        self._wait(self._all_run, 180, f"every component after: {trouble.kind}")
        time.sleep(self._dice.uniform(0.2, 2.0))

    # -- what is seen of it --------------------------------------------------------------------------------------------

    def _watch(self) -> None:
        measured = 0.0
        while not self._over.wait(LOOK):
            at = time.monotonic()
            self._results.append((at, self._line.recording.messages[RESULTS]))
            for name in OURS:
                health = self._line.recording.health.get(name)
                if health is not None:
                    words = "; ".join(problem.line for problem in health.problems)
                    self._seen[name].append((at, health.state, words))
            if at - measured > 5:
                measured = at
                try:
                    self._line.poll()
                except ControlError:
                    continue
                for name in OURS:
                    size = self._line.meter.usage[name].pss / 1e6
                    self._memory.setdefault(name, []).append((at - self._begun, size))

    def _judge(self, verdict: Verdict) -> None:
        verdict.troubles = dict(Counter(trouble.kind for trouble in self._troubles))
        for name, seen in self._seen.items():
            excused = [(t.begun, t.ended + SETTLED) for t in self._troubles if name in t.may]
            told = ""
            for at, state, words in seen:
                if state != "ok" and words != told and not any(begun <= at <= until for begun, until in excused):
                    told = words
                    verdict.untrue.append(f"{at - self._begun:.1f} s: {name} is {state}, and nothing is wrong: {words}")
        for trouble in self._troubles:
            if trouble.flows and (gap := self._longest(trouble)) > FLOWS:
                at = trouble.begun - self._begun
                verdict.untrue.append(f"{at:.1f} s: {trouble.kind}: no results for {gap:.0f} s")
            for name in trouble.must:
                if not self._says(name, trouble):
                    verdict.untrue.append(
                        f"{trouble.begun - self._begun:.1f} s: {name} says ok all through: {trouble.kind}"
                    )
        for name, sizes in self._memory.items():
            end = max((at for at, _ in sizes), default=0.0)
            early = [size for at, size in sizes if size and end / 4 <= at < end / 2]
            late = [size for at, size in sizes if size and at >= 3 * end / 4]
            if early and late:
                verdict.megabytes[name.rpartition(".")[2]] = (round(_most(early), 1), round(_most(late), 1))

    def _count(self, verdict: Verdict, plant: Plant, folder: Path) -> None:
        """The journal and the bucket, against what arrived."""
        endpoint = str(self._line.core.status()["endpoint"])
        arrived = fetch(endpoint, BUCKET, folder, ())
        comparison = Comparison(arrived)
        found: Counter[int] = Counter()

        def look(item: Batch | RecordBatch) -> None:
            comparison.add(item)
            if isinstance(item, Batch) and item.stream == PLANT:
                column = [channel.name for channel in item.channels].index(NUMBER)
                found.update(int(value) for value in item.values()[:, column])

        self._line.close()
        ledger: Ledger = audit(self._line.journal, look)
        wanted = {n for n in plant.arrived if n >= 0}
        verdict.arrived = len(wanted)
        verdict.journalled = len(wanted & found.keys())
        verdict.doubled = ledger.doubled + sum(count - 1 for n, count in found.items() if n >= 0)
        verdict.dropped = sum(count.dropped for count in ledger.streams.values())
        verdict.samples = ledger.samples
        verdict.lost = ledger.lost(self._line.recording)
        verdict.different = comparison.different
        table = read(folder, PLANT, form="arrow")
        up = Counter(int(value) for value in table.column(NUMBER).to_numpy())
        verdict.uploaded = len(wanted & up.keys())
        verdict.uploaded_twice = sum(count - 1 for n, count in up.items() if n >= 0)
        for stream in SLOW:
            count = ledger.streams.get(stream)
            if count is not None:
                verdict.slow_missing += count.samples - comparison.equal.get(stream, 0)

    # -- waiting -------------------------------------------------------------------------------------------------------

    def _listens(self, plant: Plant) -> bool:
        plant.say(self._probes)
        self._probes += 1
        time.sleep(0.5)
        return any(stream == PLANT for stream, _ in self._line.recording.announced)

    def _senses(self) -> bool:
        """Whether the machine's samples come: a process that begins on a clock that was set has seen no step."""
        before = self._machine()
        time.sleep(2 * LOOK)
        return self._machine() > before

    def _machine(self) -> int:
        announced = list(self._line.recording.announced.items())
        return sum(seen.end - seen.first for (stream, _), seen in announced if stream == SLOW[0])

    def _says(self, name: str, trouble: Trouble) -> bool:
        """Whether a health was not ok meanwhile."""
        return any(state != "ok" for at, state, _ in self._seen[name] if trouble.begun <= at <= trouble.ended + 5)

    def _longest(self, trouble: Trouble) -> float:
        """s without a message of results meanwhile."""
        came = [at for at, count in self._results if trouble.begun <= at <= trouble.ended]
        first = {count: at for at, count in reversed(self._results) if trouble.begun <= at <= trouble.ended}
        moments = [trouble.begun, *sorted(first.values()), came[-1] if came else trouble.ended]
        return max(b - a for a, b in itertools.pairwise(moments))

    def _settle(self) -> None:
        """Until every health is ok, or it is too late for that to be true."""
        self._wait(lambda: self._healthy() or False, SETTLED + 60, "every health ok", fails=False)

    def _healthy(self) -> bool:
        return all(
            (health := self._line.recording.health.get(name)) is not None and health.state == "ok" for name in OURS
        )

    def _all_run(self) -> bool:
        try:
            components = self._line.poll(measure=False)
        except ControlError:
            return False
        return all(components[name].state == "RUNNING" and components[name].pids for name in OURS)

    def _drain(self, plant: Plant) -> None:
        """Until nothing waits any more: the journal has all, and StreamUpload says that nothing is left in hand."""
        wanted = {n for n in plant.arrived if n >= 0}

        def done() -> bool:
            time.sleep(2)
            have = sum(
                seen.end - seen.first
                for (stream, _), seen in list(self._line.recording.announced.items()) if stream == PLANT
            )
            return have >= len(wanted)

        self._wait(done, DRAINED, "every row in the journal", fails=False)
        self._line.core.stop_component(INGEST)
        kept = audit(self._line.journal).streams
        endpoint = str(self._line.core.status()["endpoint"])

        def up() -> bool:
            time.sleep(2)
            there = rows(endpoint, BUCKET)
            return all(there[stream] >= kept[stream].samples for stream in SLOW if stream in kept)

        self._wait(up, DRAINED, "every file in the bucket", fails=False)

    def _wait(self, condition: Callable[[], bool], seconds: float, what: str, *, fails: bool = True) -> None:
        end = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > end:
                if fails:
                    raise TimeoutError(f"{what}: not within {seconds:g} s")
                self._say(f"           {what}: not within {seconds:g} s")
                return
            time.sleep(0.1)


def _no() -> None:
    """Nothing has to be ended."""


def _most(sizes: list[float]) -> float:
    return float(np.percentile(sizes, 90))


def goals(verdict: Verdict) -> list[Mapping[str, Any]]:
    return [
        {"goal": "arrived, neither in the journal nor declared dropped", "at_most": 0,
         "figure": max(0, verdict.arrived - verdict.journalled - verdict.dropped)},
        {"goal": "in the journal and not uploaded", "at_most": 0, "figure": verdict.journalled - verdict.uploaded},
        {"goal": "of other streams: lost, or not uploaded as journalled", "at_most": 0,
         "figure": sum(verdict.lost.values()) + verdict.slow_missing + verdict.different},
        {"goal": "twice in journal or bucket", "at_most": 0, "figure": verdict.doubled + verdict.uploaded_twice},
        {"goal": "a component's growth", "at_most": 15, "figure": round(100 * verdict.growth, 1), "unit": "%"},
        {"goal": "healths that were not so", "at_most": 0, "figure": len(verdict.untrue)},
    ]  # fmt: skip
