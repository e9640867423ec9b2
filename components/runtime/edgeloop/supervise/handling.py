"""An input in hand when the process died: known at the next start, and set aside where it does that again."""

from __future__ import annotations

import hashlib
import os
import struct
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Final, Protocol

import msgspec

from edgeloop import clock, durable
from edgeloop.decode import OWN, content, document, file
from edgeloop.errors import DecodeError, EdgeloopError

FOLDER: Final = "set-aside"
"""In the work folder of a component: the bytes of what was set aside, and beside them a JSON of why and from where."""
MOST, LARGEST = 32, 16 << 20
"""Of what is set aside: inputs, and bytes of all together; the oldest go first."""
_PAGE: Final = 256 << 10
_HEAD: Final = struct.Struct("<II")
"""Lengths of what is noted about the input, and of its bytes; 0: nothing is in hand."""
_BETWEEN: Final = "\n"
_BOOT: Final = Path("/proc/sys/kernel/random/boot_id")


class InHand(msgspec.Struct, forbid_unknown_fields=True):
    """what: of which kind; where: its file or topic, or those of several; stamp: ns, which content of a file; deaths:
    processes that ended with it in hand; boot: a power cut is nobody's fault; among: others may come before it."""

    what: str
    where: str
    stamp: int = 0
    deaths: int = 0
    boot: str = ""
    among: bool = False


class About(msgspec.Struct, kw_only=True, rename={"source": "from"}):
    """The JSON beside the bytes. time: ns UTC."""

    schema: int = 1
    what: str
    source: str
    stamp: int
    why: str
    time: int


class Outlet(Protocol):
    """What a source is given."""

    state: Path

    def problem(self, line: str, part: str = "") -> None: ...

    def count(self, name: str, n: int = 1) -> None: ...


class Handling:
    """What one thread is about, noted in a file that is never synced: that outlives the process, and costs little.

    Args:
        page: the file, of this one thread alone.
        work: the component's work folder.
        told: told in one line what was set aside.
        patience: deaths with the same input in hand after which it is set aside; a kill from outside is one, too.
    """

    def __init__(self, page: Path, work: Path, what: str, told: Callable[[str], None], *, patience: int = 2) -> None:
        self._what, self._folder, self._patience, self._told = what, work / FOLDER, patience, told
        self._boot = _boot()
        self._struck: InHand | None = None
        self._suspects: set[str] = set()
        self._page = -1
        with suppress(OSError):
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
            self._page = os.open(page, flags, 0o600)
            self._recall(os.pread(self._page, _PAGE, 0))
            self._empty()
        self._known = set(self._listed())

    @classmethod
    def of_source(cls, outlet: Outlet, what: str) -> Handling:
        """Of a sensor's or a camera's thread, whose file of state lies in a folder of the work folder."""

        def told(line: str) -> None:
            outlet.count("set_aside")
            outlet.problem(line, "set-aside")

        return cls(outlet.state.with_suffix(".in-hand"), outlet.state.parent.parent, what, told)

    @property
    def careful(self) -> bool:
        """Whether the last process died of one among several, which has not come again: they are taken one by one."""
        return bool(self._suspects)

    @contextmanager
    def of(self, where: str, stamp: int = 0, data: bytes = b"", *, among: bool = False) -> Iterator[None]:
        """Around all that is done with one input. data: its bytes, unless `where` is its file. among: one that comes
        `together` with others, in any number and after any others."""
        struck = self._struck
        if among:
            again = struck is not None and struck.stamp == stamp and where in self._suspects
            if again:
                self._suspects.discard(where)
        else:
            again = struck is not None and (struck.where, struck.stamp) == (where, stamp)
            self._struck = None
        deaths = struck.deaths if struck is not None and again else 0
        self._note(InHand(self._what, where, stamp, deaths, self._boot, among), data)
        try:
            yield
        finally:
            self._empty()

    @contextmanager
    def together(self, where: Iterable[str]) -> Iterator[None]:
        """Around what is done with several at once; where it ends the process, `careful` says so to the next."""
        self._note(InHand(self._what, _BETWEEN.join(where), boot=self._boot, among=True), b"")
        try:
            yield
        finally:
            self._empty()

    def message(self, topic: str, payload: bytes) -> AbstractContextManager[None]:
        """As `of`, of a message."""
        return self.of(topic, _digest(payload), payload, among=True)

    def deadly_message(self, topic: str, payload: bytes) -> bool:
        return bool(self._known) and self.deadly(topic, _digest(payload))

    def deadly(self, where: str, stamp: int = 0) -> bool:
        """Whether this input was set aside: it is not to be read again."""
        return (where, stamp) in self._known

    def close(self) -> None:
        if self._page >= 0:
            os.close(self._page)
            self._page = -1

    # -- inside --------------------------------------------------------------------------------------------------------

    def _note(self, known: InHand, data: bytes) -> None:
        head = msgspec.json.encode(known)
        if self._page >= 0 and _HEAD.size + len(head) + len(data) <= _PAGE:
            with suppress(OSError):
                os.pwrite(self._page, _HEAD.pack(len(head), len(data)) + head + data, 0)

    def _empty(self) -> None:
        if self._page >= 0:
            with suppress(OSError):
                os.pwrite(self._page, bytes(_HEAD.size), 0)

    def _recall(self, page: bytes) -> None:
        if len(page) < _HEAD.size:
            return
        head, data = _HEAD.unpack_from(page)
        begin, end = _HEAD.size + head, _HEAD.size + head + data
        if not head or end > len(page):
            return
        try:
            known = document(page[_HEAD.size : begin], InHand, bounds=OWN)
        except DecodeError:
            return
        if known.boot == self._boot:
            known.deaths += 1
            self._struck = known
            if known.deaths >= self._patience and _BETWEEN not in known.where:
                self._set_aside(known, page[begin:end])
            elif known.among:
                self._suspects = set(known.where.split(_BETWEEN))

    def _listed(self) -> Iterator[tuple[str, int]]:
        for path in sorted(self._folder.glob("*.json")):
            with suppress(OSError, DecodeError):
                about = file(path, About, bounds=OWN)
                yield about.source, about.stamp

    def _set_aside(self, known: InHand, data: bytes) -> None:
        self._struck = None
        times = f"{known.deaths} times in a row" if known.deaths > 1 else "once"
        line = f"{known.what} was in hand {times} when the process died, and is not handled again: {known.where}"
        try:
            kept = data or content(Path(known.where), what=known.what, most=LARGEST)
            name = f"{clock.now():016x}-{hashlib.sha256(known.where.encode()).hexdigest()[:12]}"
            about = About(what=known.what, source=known.where, stamp=known.stamp, why=line, time=clock.now())
            durable.make_folder(self._folder)
            durable.replace(self._folder / f"{name}.input", kept)
            durable.replace(self._folder / f"{name}.json", msgspec.json.encode(about))
            self._bound()
            line += f"; its bytes are {self._folder / name}.input"
        except (OSError, EdgeloopError) as error:
            line += f"; its bytes could not be kept: {error}"
        self._told(line)

    def _bound(self) -> None:
        there = sorted(path.stem for path in self._folder.glob("*.json"))
        sizes = {stem: _size(self._folder / f"{stem}.input") for stem in there}
        while there and (len(there) > MOST or sum(sizes[stem] for stem in there) > LARGEST):
            oldest = there.pop(0)
            for end in ("json", "input"):
                (self._folder / f"{oldest}.{end}").unlink(missing_ok=True)


def _digest(payload: bytes) -> int:
    return zlib.crc32(payload) << 32 | len(payload)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _boot() -> str:
    try:
        return _BOOT.read_text().strip()
    except OSError:
        return ""
