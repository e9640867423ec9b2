"""Files of upload queues, straight from the folders of their owners."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from edgeloop.layout import date, safe
from edgeloop.queue import Entry, QueueError, QueueReader
from edgeloop.queue.reader import components
from stream_upload.configuration import Configuration
from stream_upload.tasks import File


class Queues:
    """The queues below the root of a nucleus. What cannot be read is told to `on_problem(key, line)`."""

    def __init__(self, root: Path, device: str, on_problem: Callable[[str, str | None], None]) -> None:
        self._root, self._device, self._on_problem = root, device, on_problem
        self._readers: dict[str, QueueReader] = {}
        self._known: set[tuple[str, str]] = set()

    @property
    def readers(self) -> list[QueueReader]:
        return list(self._readers.values())

    def look(self) -> None:
        """Finds those there are now. Raises QueueError."""
        for component in components(self._root):
            if component in self._readers:
                continue
            try:
                self._readers[component] = QueueReader(self._root, component)
            except QueueError as error:
                self._on_problem(f"queue.{component}", str(error))
            else:
                self._on_problem(f"queue.{component}", None)

    def files(self, configuration: Configuration) -> Iterator[File]:
        """Those not named before."""
        for queue in self._readers.values():
            for entry in queue.entries():
                if entry.form == "file" and (queue.component, entry.id) not in self._known:
                    self._known.add((queue.component, entry.id))
                    yield from self._file(queue, entry, configuration)

    def _file(self, queue: QueueReader, entry: Entry, configuration: Configuration) -> Iterator[File]:
        """The description goes first: whoever finds the file finds what is said about it."""
        problem = f"queue.{queue.component}.{entry.id}"
        try:
            path, description = queue.describe(entry)
            note = path.with_name("entry.json")
            sizes = note.stat().st_size, path.stat().st_size
        except (QueueError, OSError) as error:
            self._on_problem(problem, str(error))
            return
        site = safe(configuration.site)
        folder = f"{entry.kind}/site={site}/date={date(description.time)}/{safe(self._device)}"
        prefix = configuration.prefix.strip("/")
        key = f"{prefix}/{folder}_{description.name}" if prefix else f"{folder}_{description.name}"
        left = {path.name, "entry.json"}

        def arrived(name: str) -> Callable[[], None]:
            def done() -> None:
                left.discard(name)
                if not left:
                    queue.release(entry.number)
                    self._known.discard((queue.component, entry.id))

            return done

        yield File(note, f"{key}.json", sizes[0], "files", description.time, arrived(note.name))
        yield File(path, key, sizes[1], "files", description.time, arrived(path.name))
