"""How far each model has come, on disk before the next step begins, and what was refused."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from edgeloop import clock
from edgeloop.documents import encode
from edgeloop.durable import AppendLog, Document
from edgeloop.models import ModelError
from edgeloop.models.store import Ref
from model_update.hold import Hold

Step = Literal["idle", "fetching", "checking", "trying", "proved", "active", "committed", "refused", "rolled_back"]
UNDER_WAY: Final[tuple[Step, ...]] = ("fetching", "checking", "trying", "proved", "active")
_REFUSALS: Final = 16
_LARGEST: Final = 1 << 20


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """step: what is being done with `digest`, or was last. variant: chosen by the trial. tries: how often trying it was
    begun in vain. key: what a refusal of the version activated last is bound to. refused: reason by key.
    committed: versions that stayed, the newest first. highest: of them, ever. by: who wants what is wanted."""

    schema: Literal[1] = 1
    name: str
    digest: str = ""
    step: Step = "idle"
    variant: int = 0
    tries: int = 0
    key: str = ""
    committed: tuple[Ref, ...] = ()
    highest: str = ""
    hold: Hold | None = None
    refused: dict[str, str] = {}
    by: str = ""
    time: int = 0


class Journal:
    """`progress/<name>.json`, replaced in one step, and `history.jsonl`, what happened in the order it did."""

    def __init__(self, work: Path) -> None:
        self._folder = work / "progress"
        self._files: dict[str, Document[Progress]] = {}
        self._history = AppendLog(work / "history.jsonl", kept=1, largest=_LARGEST)

    def load(self, name: str) -> Progress:
        """Of a model that has come nowhere, or whose file is damaged, the beginning."""
        return self._file(name).load()

    def save(self, progress: Progress, **facts: Any) -> Progress:
        """Raises ModelError."""
        refused = dict(list(progress.refused.items())[-_REFUSALS:])
        progress = msgspec.structs.replace(progress, refused=refused, time=clock.now())
        file = self._file(progress.name)
        try:
            file.save(progress)
            self._append({"model": progress.name, "digest": progress.digest, "step": progress.step, **facts})
        except OSError as error:
            raise ModelError("cannot keep a record", where=str(file.path), why=error.strerror or str(error)) from error
        return progress

    def _append(self, facts: Mapping[str, Any]) -> None:
        now = clock.now()
        self._history.append(encode({"time": now, "time_rfc3339": clock.rfc3339(now), **facts}), sync=False)

    def _file(self, name: str) -> Document[Progress]:
        if name not in self._files:
            path = self._folder / f"{name}.json"
            self._files[name] = Document(path, Progress, lambda: Progress(name=name), mode=0o644)
        return self._files[name]
