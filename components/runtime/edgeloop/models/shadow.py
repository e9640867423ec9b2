"""A candidate that is tried on the device's own input, beside the model that serves, before it may take its place.

ModelUpdate writes `store/<name>/shadow.json`; who infers runs the candidate on a share of its input once the verdict is
out, and notes in `work/<component>/models/<name>.shadow.jsonl` what both said.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from edgeloop import durable
from edgeloop.decode import OWN, content, document
from edgeloop.documents import encode
from edgeloop.durable import AppendLog
from edgeloop.errors import DecodeError
from edgeloop.models import report
from edgeloop.models.errors import ModelError
from edgeloop.models.manifest import Digest, Manifest
from edgeloop.models.package import open_package
from edgeloop.models.runners import Options, Runner, open_runner

FILE: Final = "shadow.json"
STRIKES: Final = 2
"""Processes that died with a candidate in use, after which it is not run any more."""
LARGEST: Final = 4 << 20
"""Bytes of what was noted, before the older half goes."""


class Shadow(msgspec.Struct, frozen=True, kw_only=True):
    """Which package of the store is tried, on which share of the input. since: ns UTC."""

    schema: Literal[1] = 1
    name: str
    digest: Digest
    version: str
    variant: int
    share: Annotated[float, Meta(gt=0, le=1)]
    since: int


class Said(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a model said of one input."""

    verdict: str
    label: str = ""
    score: float = 0.0
    ms: float = 0.0


class Comparison(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What both said. subject: the part, or nothing."""

    schema: Literal[1] = 1
    time: int
    source: str
    subject: str = ""
    active: str
    """Versions."""
    candidate: str
    digest: str
    one: Said
    other: Said


class Use(msgspec.Struct, frozen=True):
    """Written before a candidate is used, and taken away after a clean end."""

    digest: str
    deaths: int = 0


def read(folder: Path) -> Shadow | None:
    """The candidate of a model's folder in the store."""
    try:
        return durable.read(folder / FILE, Shadow)
    except (OSError, durable.Damaged):
        return None


def write(folder: Path, shadow: Shadow | None) -> None:
    """Raises ModelError."""
    path = folder / FILE
    try:
        if shadow is None:
            durable.remove(path)
        else:
            durable.write(path, shadow, 0o644)
    except OSError as error:
        why = error.strerror or str(error)
        raise ModelError("cannot write the model store", where=str(path), why=why) from error


class Candidate:
    """The one in use, for one component. Not thread-safe; `look` from time to time."""

    def __init__(
        self, name: str, store: Path, work: Path, options: Options,
        reader: Callable[[Manifest, Path | None], Any], say: Callable[[str | None], None],
    ) -> None:  # fmt: skip
        self._store, self._options, self._reader, self._say = store, options, reader, say
        folder = work / report.FOLDER
        durable.make_folder(folder)
        self._use = folder / f"{name}.shadow-use.json"
        self._log = AppendLog(folder / f"{name}.shadow.jsonl", kept=1, largest=LARGEST)
        self.shadow: Shadow | None = None
        self.manifest: Manifest | None = None
        self.runner: Runner | None = None
        self.decoder: Any = None

    def look(self) -> None:
        """Takes into use what the store says."""
        wanted = read(self._store)
        if wanted == self.shadow:
            return
        self.close()
        self.shadow = wanted
        if wanted is None:
            self._say(None)
            return
        try:
            deaths = self._deaths(wanted)
            package = open_package(self._store / wanted.digest)
            durable.write(self._use, Use(wanted.digest, deaths), sync=False)
            self.decoder = self._reader(package.manifest, package.folder)
            self.runner = open_runner(package, package.manifest.variants[wanted.variant], self._options)
            self.manifest = package.manifest
            self._say(None)
        except (ModelError, OSError, IndexError) as error:
            self._say(f"the candidate {wanted.version} is not run: {error}")

    def note(self, comparison: Comparison) -> None:
        with suppress(OSError):
            self._log.append(encode(comparison), sync=False)

    def close(self) -> None:
        """A clean end."""
        if self.runner is not None:
            self.runner.close()
            with suppress(OSError):
                durable.remove(self._use)
        self.runner = self.manifest = self.decoder = None

    def _deaths(self, wanted: Shadow) -> int:
        """Of processes with it. Raises ModelError where they are enough."""
        try:
            known = durable.read(self._use, Use)
        except (OSError, durable.Damaged):
            return 0
        if known is None or known.digest != wanted.digest:
            return 0
        if known.deaths + 1 >= STRIKES:
            raise ModelError("the process died with it", why=f"{known.deaths + 1} times")
        return known.deaths + 1


def comparisons(root: Path, name: str, since: int = 0) -> Iterator[Comparison]:
    """What was noted below a nucleus's root since a time (ns UTC)."""
    for path in sorted((root / "work").glob(f"*/{report.FOLDER}/{name}.shadow*.jsonl*")):
        try:
            data = content(path, what="what was compared", most=4 * LARGEST)
        except (OSError, DecodeError):
            continue
        for line in durable.records(data):
            with suppress(DecodeError):
                found = document(line or b"", Comparison, bounds=OWN)
                if found.time >= since:
                    yield found


