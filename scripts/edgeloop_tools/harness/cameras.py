"""Parts and their verdicts, as the bus had them."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from edgeloop.clock import NS
from edgeloop_tools.harness.recording import Inspected, Recording

PATIENCE = 3 * NS
"""A part that went by less than this before the end may still be without a verdict."""
GOOD = "good"


@dataclass(slots=True)
class CameraCount:
    """parts: that went by, by the truth; missing: of them without a verdict; contradicted: with two different ones.

    frames, inferred: verdicts, and those of a model. found, escaped, wronged: parts that were rightly rejected, that
    were defective and passed, that were good and rejected. latencies: trigger to observer, ns.
    """

    parts: int = 0
    missing: int = 0
    contradicted: int = 0
    frames: int = 0
    inferred: int = 0
    found: int = 0
    escaped: int = 0
    wronged: int = 0
    verdicts: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    versions: Counter[str] = field(default_factory=Counter)
    latencies: list[int] = field(default_factory=list)
    first: int = 0
    last: int = 0

    @property
    def fps(self) -> float:
        return (self.inferred - 1) * NS / (self.last - self.first) if self.last > self.first else 0.0


def count(recording: Recording, until: int) -> dict[str, CameraCount]:
    """By camera. until: ns UTC, the end of the run."""
    counts: defaultdict[str, CameraCount] = defaultdict(CameraCount)
    said: defaultdict[tuple[str, str], list[Inspected]] = defaultdict(list)
    for inspected in recording.inspections:
        seen = inspected.inspection
        known = said[seen.camera, seen.part] if seen.part else []
        known.append(inspected)
        if seen.part and len(known) > 1:
            continue
        one = counts[seen.camera]
        one.frames += 1
        one.verdicts[seen.verdict] += 1
        if seen.reason:
            one.reasons[seen.reason] += 1
        if seen.model.version:
            one.inferred += 1
            one.versions[seen.model.version] += 1
            one.latencies.append(inspected.at - seen.time)
            one.first = min(one.first or inspected.at, inspected.at)
            one.last = max(one.last, inspected.at)
    for (camera, part), truth in recording.parts.items():
        one = counts[camera]
        verdicts = {i.inspection.verdict for i in said[camera, part]}
        if not verdicts and truth.time + PATIENCE > until:
            continue
        one.parts += 1
        one.missing += not verdicts
        one.contradicted += len(verdicts) > 1
        one.found += truth.label != GOOD and "fail" in verdicts
        one.escaped += truth.label != GOOD and "pass" in verdicts
        one.wronged += truth.label == GOOD and "fail" in verdicts
    return dict(counts)


def evidence(root: Path, camera: str) -> bytes | None:
    """The newest annotated image (JPEG) of a part that the camera rejected."""
    folder = root / "work" / "io.edgeloop.CameraInference" / "evidence" / camera
    images = sorted(folder.glob("[0-9]*.jpg")) if folder.is_dir() else []
    return images[-1].read_bytes() if images else None
