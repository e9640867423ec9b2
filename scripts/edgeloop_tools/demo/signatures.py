"""`demo --models`: a signed model, a forged one, a step back, and a candidate beside the model that serves."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from edgeloop import __version__
from edgeloop.clock import NS, elapsed, now
from edgeloop.errors import EdgeloopError
from edgeloop.models import store
from edgeloop_tools.demo.models import Candidate, Story, story
from edgeloop_tools.demo.plan import CAMERA, GATE, MODEL, MODELS, PARTS, RUNTIME, SITE, Plan
from edgeloop_tools.harness.line import Line
from edgeloop_tools.model import compare

PATIENCE: Final = 240 * NS
"""For each step, on a machine that has much else to do."""
COMPARED: Final = 40
"""Parts that both models have judged."""

Say = Callable[[str, str], None]


@dataclass
class Signatures(Plan):
    """A conveyor and a model, without machines."""

    def __post_init__(self) -> None:
        self.cameras[GATE] = {"uri": f"simulator:?seed=7&rate={PARTS}", "policy": "every", "deadline": "2 s"}

    @property
    def roots(self) -> dict[str, str]:
        return dict.fromkeys((RUNTIME, CAMERA, MODELS), __version__)

    def merge(self) -> dict[str, dict[str, Any]]:
        return {
            RUNTIME: {"profiles": "core vision protocols"},
            CAMERA: {"site": SITE, "cameras": self.cameras},
            MODELS: {"probation": {"inferences": 3 * PARTS, "time": "3 s"}},
        }


@dataclass
class Told:
    """What was seen, for the report."""

    steps: list[dict[str, Any]] = field(default_factory=list)
    comparison: dict[str, Any] = field(default_factory=dict)

    @property
    def good(self) -> bool:
        return bool(self.comparison) and all(step["as_it_should"] for step in self.steps)


class Player:
    """One step after the other. Raises EdgeloopError where one does not end."""

    def __init__(self, line: Line, say: Say, stop: threading.Event, look: float) -> None:
        self._line, self._say, self._stop, self._look = line, say, stop, look
        self.told = Told()

    def play(self) -> Told:
        made = story(MODEL, self._line.root / "models")
        self._want(made, made.signed, f"{made.signed.version}, signed with the line's key, is wanted")
        self._until(lambda: self._active() == (made.signed.version, "committed"), f"{made.signed.version} stays")
        self._done("signed", True, f"{made.signed.version} serves, committed")
        for candidate, reason, words in (
            (made.forged, "signature", f"{made.forged.version}, signed with another key, is wanted"),
            (made.old, "older", f"{made.old.version}, rightly signed and older, is wanted"),
        ):
            self._want(made, candidate, words)
            self._until(lambda: self._refusal(candidate) is not None, f"{candidate.version} is refused")  # noqa: B023
            found = self._refusal(candidate) or {}
            right = found.get("reason") == reason and self._active()[0] == made.signed.version
            self._done(reason, right, f"refused ({found.get('reason')}): {found.get('why')}")
        self._want(made, made.signed, f"{made.shadowed.version} runs beside it on every part", shadow=made.shadowed)
        self._until(lambda: self._compared() >= COMPARED, "both have judged parts")
        self.told.comparison = compare.compare(self._line.root, MODEL, "1h")
        right = self.told.comparison["candidate"] == made.shadowed.version and self._active()[0] == made.signed.version
        self._done("shadow", right, compare.text(MODEL, self.told.comparison))
        return self.told

    # -- inside --------------------------------------------------------------------------------------------------------

    def _want(self, made: Story, candidate: Candidate, words: str, shadow: Candidate | None = None) -> None:
        entry: dict[str, Any] = candidate.desired()
        if shadow is not None:
            entry["shadow"] = {**shadow.desired(), "share": 1.0}
        merge = {MODELS: {"models": {MODEL: entry}, "keys": {"release": made.key}}}
        self._line.core.deploy({MODELS: __version__}, merge)
        self._say("deploy", words)

    def _done(self, what: str, right: bool, words: str) -> None:
        self.told.steps.append({"step": what, "as_it_should": right, "words": words})
        self._say(what, words)

    def _until(self, true: Callable[[], bool], words: str) -> None:
        end = elapsed() + PATIENCE
        while not true():
            self._line.poll(measure=False)
            if self._stop.wait(self._look):
                raise EdgeloopError("the demo was ended", why=f"before {words}")
            if elapsed() > end:
                raise EdgeloopError("the demo does not go on", where=words, mend=f"see {self._line.root / 'logs'}")

    def _active(self) -> tuple[str, str]:
        pointer = store.read(store.directory(self._line.root, MODEL))
        return (pointer.active.version, pointer.state) if pointer and pointer.active else ("", "")

    def _refusal(self, candidate: Candidate) -> dict[str, Any] | None:
        return next((line for line in self._history() if line.get("digest") == candidate.digest and "reason" in line),
                    None)  # fmt: skip

    def _history(self) -> Iterator[dict[str, Any]]:
        path = self._line.root / "work" / MODELS / "history.jsonl"
        for line in path.read_text().splitlines() if path.exists() else ():
            try:
                yield json.loads(line)
            except ValueError:
                continue

    def _compared(self) -> int:
        try:
            return int(compare.compare(self._line.root, MODEL, "1h")["inputs"])
        except EdgeloopError:
            return 0


def report(told: Told, path: Path) -> None:
    document = {"models": told.steps, "comparison": told.comparison, "time": now()}
    path.write_text(json.dumps(document, indent=1) + "\n")
