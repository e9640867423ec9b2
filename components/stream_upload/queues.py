"""Files of upload queues, straight from the folders of their owners."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from edgeloop.layout import date, safe
from edgeloop.queue import Entry, QueueError, QueueReader
from edgeloop.queue.reader import Gone, components
from stream_upload.configuration import Configuration
from stream_upload.tasks import File


class Queues:
    """The queues below the root of a nucleus. What cannot be read is told to `on_problem(key, line)`."""

    def __init__(self, root: Path, device: str, on_problem: Callable[[str, str | None], None]) -> None:
        self._root, self._device, self._on_problem = root, device, on_problem
        self._readers: dict[str, QueueReader] = {}
        self._known: set[tuple[str, str]] = set()
        self._told: set[tuple[str, str]] = set()

    @property
    def readers(self) -> list[QueueReader]:
        return list(self._readers.values())

    def look(self) -> None:
        """Finds those there are now. Raises QueueError."""
        for component in components(self._root):
            if component not in self._readers:
                reader = self._readers[component] = QueueReader(self._root, component)
                line = f"{reader.damage}; what is in the queue goes up again" if reader.damage else None
                self._on_problem(f"queue.{component}", line)

    def save(self) -> None:
        """Writes down what has arrived. Raises QueueError."""
        for reader in self._readers.values():
            reader.save()

    def files(self, configuration: Configuration) -> Iterator[File]:
        """Those not named before."""
        for queue in self._readers.values():
            there = queue.entries()
            self._forget(queue.component, {entry.id for entry in there})
            for entry in there:
                if entry.form == "file" and (queue.component, entry.id) not in self._known:
                    self._known.add((queue.component, entry.id))
                    yield from self._file(queue, entry, configuration)

    def _forget(self, component: str, there: set[str]) -> None:
        """What was wrong with an entry is over when it is gone."""
        for told in [told for told in self._told if told[0] == component and told[1] not in there]:
            self._told.discard(told)
            self._on_problem(f"queue.{component}.{told[1]}", None)

    def _file(self, queue: QueueReader, entry: Entry, configuration: Configuration) -> Iterator[File]:
        """The description goes first: whoever finds the file finds what is said about it."""
        problem = f"queue.{queue.component}.{entry.id}"
        try:
            path, description = queue.describe(entry)
            note = path.with_name("entry.json")
            sizes = note.stat().st_size, path.stat().st_size
        except (Gone, FileNotFoundError):
            self._known.discard((queue.component, entry.id))
            return
        except (QueueError, OSError) as error:
            self._told.add((queue.component, entry.id))
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

        yield File(note, f"{key}.json", sizes[0], "files", description.time, arrived(note.name), "files")
        yield File(path, key, sizes[1], "files", description.time, arrived(path.name), "files")
