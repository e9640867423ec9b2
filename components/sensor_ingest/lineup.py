"""The sources that run: started, stopped and changed as the configuration says, each on its own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from edgeloop.component import App
from edgeloop.errors import ConfigurationError
from edgeloop.journal import directory
from edgeloop.plugins import usable
from edgeloop.sequence import Stream
from edgeloop.supervise.roster import Roster
from sensor_ingest.configuration import Configuration
from sensor_ingest.dead import DeadLetters
from sensor_ingest.known import Newest
from sensor_ingest.runner import Runner
from sensor_ingest.sources import Registry
from sensor_ingest.sources.base import Closable, Source, SourceConfiguration

Wanted = tuple[Any, type[Source[Any]], SourceConfiguration]
"""A source as it is configured, in its own words and by type."""


class Lineup:
    """Runners by id. `reconcile` and `close` belong to the loop's thread; all else is safe on any."""

    def __init__(self, app: App[Configuration], period: float) -> None:
        self._app, self._period = app, period
        self._plugins = ""
        self._registry = self._registered()
        self._folder = app.work / "sources"
        self.hurried = threading.Event()
        """Set where a source asks for the next tick now."""
        self.known = Newest(directory(app.root))
        self._letters = DeadLetters(app.work)
        self._lock = threading.Lock()
        self._roster: Roster[Wanted, Runner] = Roster(app.health, lambda id: f"configuration.sources.{id}")
        self._streams: dict[str, tuple[str, Stream]] = {}

    def apply(self, sources: Mapping[str, Any], plugins: str = "") -> None:
        """Takes a new configuration; a source that is wrong stays as it was, with one line."""
        if plugins != self._plugins:
            self._plugins = plugins
            self._registry = self._registered()
        self._roster.apply({id: e for id, e in sources.items() if e not in ("", None)}, self._convert)

    def _registered(self) -> Registry:
        """With the line's own types where its folder may be used."""
        outside = usable(self._plugins, self._app.health)
        return Registry(lambda line: self._app.log.error("%s", line), outside=outside)

    def _convert(self, id: str, entry: Any) -> Wanted:
        return entry, *self._registry.entry(id, entry, "sources")

    def reconcile(self) -> None:
        """Starts what is wanted, ends what is not; a changed source starts when its old self has ended."""
        self._roster.reconcile(self._left, self._runner)

    def _left(self, runner: Runner) -> None:
        with self._lock:
            self._streams = {n: s for n, s in self._streams.items() if s[0] != runner.id}

    def _runner(self, id: str, wanted: Wanted) -> Runner:
        entry, kind, configuration = wanted
        runner = Runner(id, kind, configuration, self, state=self._folder / f"{id}.json", period=self._period)
        self._app.log.info("source started", source=id, type=entry.get("type"))
        return runner

    def runners(self) -> Iterator[Runner]:
        """Those that may have samples, the ending ones first."""
        return iter(self._roster)

    def close(self, timeout: float) -> None:
        runners = list(self.runners())
        for runner in runners:
            runner.end()
        for runner in runners:
            runner.join(timeout / len(runners))

    def stream(self, name: str) -> Stream:
        """What a source declared."""
        with self._lock:
            return self._streams[name][1]

    def expects(self, stream: str) -> bool:
        """Whether the source of a stream runs and has not come to its end."""
        with self._lock:
            owner, _ = self._streams.get(stream, ("", None))
        runner = self.find(owner)
        return runner is not None and not runner.ended

    def find(self, id: str) -> Runner | None:
        """A running source."""
        found = self._roster.running.get(id)
        return None if found is None else found[1]

    # what a runner needs

    def declare(self, source: str, streams: tuple[Stream, ...]) -> None:
        with self._lock:
            for stream in streams:
                owner = self._streams.get(stream.name, (source, None))[0]
                if owner != source:
                    raise ConfigurationError(
                        f"two sources have a stream {stream.name}",
                        where=f"sources.{source}",
                        why=f"{owner} has it already",
                        mend="rename one of them",
                    )
            self._streams |= {stream.name: (source, stream) for stream in streams}

    def hurry(self) -> None:
        self.hurried.set()

    def dead(self, source: str, stream: str, payload: bytes, why: str) -> None:
        if self._letters.add(source, stream, payload, why):
            self._app.health.count(f"dead_letters.{source}")

    def newest(self, stream: str) -> int:
        return self.known.of(stream)

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

    def subscribe(self, filter: str, handler: Callable[[str, bytes], None], *, cloud: bool) -> Closable:
        return self._app.bus.subscribe(filter, handler, cloud=cloud)
