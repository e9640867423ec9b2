"""What became of a model where it is used: `work/<component>/models/<name>.json`, written by that component alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final, Literal

import msgspec

from edgeloop import durable
from edgeloop.models.errors import ModelError

FOLDER: Final = "models"

Fate = Literal["absent", "trying", "loaded", "waiting", "crashed", "rejected"]
Origin = Literal["active", "previous", "default", "none"]


class Usual(msgspec.Struct, frozen=True, kw_only=True):
    """What a model was like where it is used: how often which verdict, and ms that an inference usually took."""

    said: dict[str, int] = {}
    ms: float = 0.0


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """generation, digest, fate, reason: of the store's active model. trying: digest being loaded right now; found at a
    start, it is what ended the process before. strikes: how often, by digest. serving, origin: what is in use.
    inferences, failures: of the active model in this generation. starts: of the process in this generation, but for
    those after a clean end. clean: whether the process ended by itself. said: how often which verdict, in this
    generation. ms: what an inference usually takes. before: the same of the model before. time: ns UTC.
    """

    schema: Literal[1] = 1
    component: str
    name: str
    generation: int = 0
    digest: str = ""
    fate: Fate = "absent"
    reason: str = ""
    trying: str = ""
    strikes: dict[str, int] = {}
    serving: str = ""
    origin: Origin = "none"
    inferences: int = 0
    failures: int = 0
    starts: int = 0
    clean: bool = False
    said: dict[str, int] = {}
    ms: float = 0.0
    before: Usual | None = None
    time: int = 0


def path(work: Path, name: str) -> Path:
    return work / FOLDER / f"{name}.json"


def read(path: Path) -> Report | None:
    """None where there is none, or none that can be read."""
    try:
        return durable.read(path, Report)
    except (OSError, durable.Damaged):
        return None


def write(path: Path, report: Report) -> None:
    """Durably, in one step. Raises ModelError."""
    try:
        durable.make_folder(path.parent)
        durable.write(path, report, 0o644)
    except OSError as error:
        why = error.strerror or str(error)
        raise ModelError("cannot say what became of a model", where=str(path), why=why) from error


def all_of(root: Path, name: str) -> Iterator[Report]:
    """The reports of every component below a nucleus's root."""
    for file in sorted((root / "work").glob(f"*/{FOLDER}/{name}.json")):
        report = read(file)
        if report is not None:
            yield report
