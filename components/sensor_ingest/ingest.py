"""The one owner of the journal: drains the sources, numbers the samples, appends and announces them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from edgeloop import topics
from edgeloop.clock import NS
from edgeloop.component import App
from edgeloop.errors import EdgeloopError, WireError
from edgeloop.journal import JournalError, JournalWriter, directory
from edgeloop.samples import SamplesPublisher
from edgeloop.sequence import Chunk, Records, Sequencer
from edgeloop.uploader import UPLOADER, journal_cursor
from edgeloop.wire.batch import Item
from edgeloop.wire.codec import encode
from sensor_ingest.actions import Actions
from sensor_ingest.configuration import Configuration
from sensor_ingest.configuration import Journal as JournalConfiguration
from sensor_ingest.intake import rows
from sensor_ingest.lineup import Lineup
from sensor_ingest.mirror import Mirror
from sensor_ingest.osclock import DeviceClock
from sensor_ingest.runner import Runner
from sensor_ingest.standstill import Standstill

TICK = Configuration().tick
CALM = 0.2
"""s: the tick by default where no source has actions."""
LOOK = 0.1
"""s: how soon the end is noticed."""
RETRY = 1.0
"""s: between two attempts to write to a journal that refused."""
SHOWN = 30.0
"""s: how long a step of a clock is shown as a problem."""
SILENT = 2.0
"""s without a sample of a stream that has a rate: a problem."""


class Ingest:
    """`tick` at `pause`. A journal that cannot be written to holds the samples back: the sources' queues fill."""

    def __init__(self, app: App[Configuration]) -> None:
        self._app = app
        self._configuration = app.config
        self._lineup = Lineup(app, app.config.tick.seconds)
        self._clock = DeviceClock()
        self._standstill = Standstill()
        self._mirror = Mirror(app.bus.publish_document)
        self._journal: JournalWriter | None = None
        self._opened: JournalConfiguration | None = None
        self._publisher: SamplesPublisher | None = None
        self._sequencers: dict[str, Sequencer] = {}
        self._unwritten: list[Item] = []
        self._confirmations: list[Callable[[], None]] = []
        """Called once what was drained is written."""
        self._retry = 0.0
        self._refusing = False
        self._seen: dict[str, float] = {}
        self._shown: dict[str, float] = {}
        self._next = time.monotonic()
        self._watched: tuple[Runner, ...] = ()
        self.actions = Actions(
            app.work / "actions.jsonl",
            self._lineup.find,
            lambda document: app.bus.publish_document(topics.ACTION_RESULTS, document),
            told=self._set_aside,
        )

    def __enter__(self) -> Self:
        self.actions.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.actions.close()
        self._lineup.close(1.0)
        if self._journal is not None:
            self._write(self._unwritten or self._drain())
            if not self._unwritten:
                self._confirm()
            self._journal.close()

    def apply(self, configuration: Configuration) -> None:
        """Takes a new configuration, from any thread."""
        self._configuration = configuration
        self._lineup.apply(configuration.sources, configuration.plugins)

    def rest(self, stop: threading.Event) -> None:
        """Until the next tick is due, or a source asks for it; ticks that were missed are not made up for."""
        self._next = max(self._next + self._pace, time.monotonic())
        while not stop.is_set() and (left := self._next - time.monotonic()) > 0:
            if self._lineup.hurried.wait(min(left, LOOK)):
                self._lineup.hurried.clear()
                self._next = time.monotonic()

    @property
    def _pace(self) -> float:
        """s from tick to tick: where no source has actions, nobody waits for one, and the nucleus's log for each."""
        tick = self._configuration.tick
        if tick != TICK or any(runner.targets() for runner in self._watched):
            return tick.seconds
        return CALM

    def tick(self) -> None:
        """One round: what came in since the last one is in the journal and announced."""
        self._lineup.reconcile()
        runners = tuple(self._lineup.runners())
        if runners != self._watched:
            self._watched = runners
            self.actions.interlocks.watch(t for runner in runners for t in runner.targets().values())
        self._open(self._configuration.journal)
        if self._journal is None:
            return
        if not self._unwritten:
            self._write(self._drain())
        elif time.monotonic() >= self._retry:
            self._write(self._unwritten)
        if not self._unwritten:
            self._confirm()
        self._watch()

    def _set_aside(self, line: str) -> None:
        self._app.health.count("set_aside")
        self._app.health.problem("set-aside", line)

    def _confirm(self) -> None:
        confirmations, self._confirmations = self._confirmations, []
        for confirm in confirmations:
            try:
                confirm()
            except Exception as error:
                self._app.log.exception(error)

    def _open(self, wanted: JournalConfiguration) -> None:
        """The journal as configured; one that cannot be used is tried again."""
        if wanted == self._opened or time.monotonic() < self._retry or self._unwritten:
            return
        if self._journal is not None:
            self._journal.close()
            self._journal = None
        try:
            self._journal = JournalWriter(
                directory(self._app.root),
                segment_bytes=int(wanted.segment),
                budget_bytes=int(wanted.budget),
                sync_interval=wanted.sync.seconds,
                durable_readers={UPLOADER: journal_cursor(self._app.root)},
                on_problem=self._app.health.problem,
                on_clear=self._app.health.clear,
            )
        except EdgeloopError as error:
            self._refused(error)
            return
        self._refusing = False
        self._app.health.clear("journal")
        self._opened = wanted
        self._publisher = SamplesPublisher(self._app.bus.publish, self._journal)
        self._sequencers.clear()

    def _drain(self) -> list[Item]:
        items: list[Item] = []
        for runner in self._lineup.runners():
            self._confirmations += runner.intake.confirmations()
            chunks, dropped = runner.intake.take()
            if dropped:
                self._app.health.count(f"dropped.{runner.id}", dropped)
                self._show(f"queue.{runner.id}", f"{runner.id}: samples were dropped, its queue was full")
            for chunk in chunks:
                try:
                    items.append(self._number(chunk))
                except EdgeloopError as error:
                    self._app.health.count(f"dropped.{runner.id}", rows(chunk))
                    self._show(f"queue.{runner.id}", str(error))
        return items

    def _number(self, chunk: Chunk) -> Item:
        assert self._journal is not None
        chunk, stands = self._standstill.look(chunk)
        if stands:
            self._show(f"stuck.{chunk.stream}", f"{chunk.stream}: samples come, but the clock of their source stands")
        stream = self._lineup.stream(chunk.stream)
        sequencer = self._sequencers.get(chunk.stream)
        if sequencer is None:
            previous = self._journal.previous(chunk.stream)
            sequencer = self._sequencers[chunk.stream] = Sequencer(stream, self._journal.epoch, previous)
        sequencer.stream = stream
        item = sequencer.next(chunk, self._clock.value)
        self._lineup.known.add(item)
        self.actions.interlocks.see(item)
        now = time.monotonic()
        if sequencer.step:
            silent = now - self._seen.get(chunk.stream, now)
            self._stepped(chunk.stream, sequencer.step, silent, chunk.gap)
        elif item.discontinuity:
            self._app.health.count(f"discontinuities.{chunk.stream}")
        if not isinstance(chunk, Records) and stream.rate is not None:
            self._seen[chunk.stream] = now
        self._app.health.count(f"samples.{chunk.stream}", rows(chunk))
        return item

    def _stepped(self, stream: str, step: int, silent: float, told: bool) -> None:
        self._app.health.count(f"discontinuities.{stream}")
        gap = step > 0 and (told or abs(step / NS - silent) < max(0.25, 0.1 * silent))
        what = f"{stream}: nothing came for" if gap else f"{stream}: the time stamps stepped by"
        self._show(f"{'gap' if gap else 'clock'}.{stream}", f"{what} {step / NS:+.3f} s")

    def _write(self, items: list[Item]) -> None:
        if not items or self._publisher is None:
            return
        try:
            self._publisher.tick(items)
        except WireError:
            self._write([item for item in items if self._encodable(item)])
            return
        except JournalError as error:
            self._unwritten = items[error.written :]
            self._refused(error)
            return
        if self._refusing:
            self._refusing = False
            self._app.health.clear("journal")
        self._unwritten = []
        if self._configuration.mirror:
            self._mirror.offer(items, self._configuration.mirror)

    def _encodable(self, item: Item) -> bool:
        """Whether an item can be written; one that cannot is dropped, counted, and alone."""
        try:
            encode(item)
        except WireError as error:
            self._app.health.count(f"dropped.{item.stream}")
            self._show(f"queue.{item.stream}", str(error))
            return False
        return True

    def _refused(self, error: EdgeloopError) -> None:
        self._app.health.problem("journal", str(error))
        self._refusing = True
        self._retry = time.monotonic() + RETRY

    def _show(self, key: str, line: str) -> None:
        self._app.health.problem(key, line)
        self._shown[key] = time.monotonic() + SHOWN

    def _watch(self) -> None:
        """Streams that fell silent; problems that are old enough to go."""
        now = time.monotonic()
        for runner in self._watched:
            runner.listen(now)
        for stream, seen in list(self._seen.items()):
            if not self._lineup.expects(stream):
                del self._seen[stream]
            elif now - seen > SILENT and f"gap.{stream}" not in self._shown:
                self._show(f"gap.{stream}", f"{stream}: nothing comes")
        for key, until in list(self._shown.items()):
            if key.startswith("stuck.") and not self._standstill.stands(key[6:]):
                until = 0.0
            if now > until and not (key.startswith("gap.") and now - self._seen.get(key[4:], now) > SILENT):
                del self._shown[key]
                self._app.health.clear(key)
