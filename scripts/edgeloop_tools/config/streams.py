"""The streams that the sources of a line will declare."""

from __future__ import annotations

from edgeloop.errors import EdgeloopError
from edgeloop.join import Condition
from edgeloop_tools.config.line import Line
from edgeloop_tools.config.outline import INGEST
from edgeloop_tools.config.tree import near


class Streams:
    """Stream → (source, its columns or None where only a run knows them), and the sources that may declare more."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self.streams: dict[str, tuple[str, tuple[str, ...] | None]] = {}
        part = line.parts.get(INGEST)
        given = part.tree.map()["sources"].map() if part and "sources" in part.tree.map() else {}
        self.open = {id for id in given if id not in line.sources}
        """Sources of which only a run, or a correction, tells the streams."""
        for id, (kind, options) in line.sources.items():
            try:
                foreseen = kind.foresee(id, options)
            except EdgeloopError as error:
                line.add(line.located(INGEST, f"sources.{id}"), error.what, error.why, error.mend)
                foreseen = None
            if foreseen is None:
                self.open.add(id)
                continue
            for stream, columns in foreseen.items():
                owner = self.streams.get(stream, (id, None))[0]
                if owner != id:
                    where = line.located(INGEST, f"sources.{id}")
                    line.add(where, f"two sources have a stream {stream}", f"{owner} has it", "rename one", key=True)
                self.streams[stream] = id, columns

    def known(self, stream: str, where: str, *, key: bool = False) -> bool:
        """Whether a source declares it, or may; else a problem."""
        if stream in self.streams or any(stream == id or stream.startswith(f"{id}_") for id in self.open):
            return True
        names = set(self.streams) | self.open
        self._line.add(where, "unknown stream", repr(stream), near(stream, names), key=key)
        return False

    def columns(self, stream: str) -> tuple[str, ...] | None:
        return self.streams.get(stream, ("", None))[1]

    def with_channel(self, name: str) -> tuple[list[str], set[str], bool]:
        """Streams that have a channel, `channel` or `stream.channel`; the names there are; whether only a run knows."""
        stream, _, column = name.partition(".")
        names: set[str] = set()
        found: list[str] = []
        open_ = bool(self.open)
        for each, (_, columns) in sorted(self.streams.items()):
            if columns is None:
                open_ = True
                continue
            names |= set(columns) | {f"{each}.{known}" for known in columns}
            if name in columns or (stream == each and column in columns):
                found.append(each)
        return found, names, open_

    def condition(self, condition: Condition, where: str) -> None:
        """Stream and column of a condition."""
        if not self.known(condition.stream, where):
            return
        columns = self.columns(condition.stream)
        if columns is not None and condition.column not in columns:
            why = f"{condition.column!r} of {condition.stream}"
            self._line.add(where, "unknown column", why, near(condition.column, set(columns)))
