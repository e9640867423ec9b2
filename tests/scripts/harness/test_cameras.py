"""Parts and verdicts as an observer counts them."""

from __future__ import annotations

from pathlib import Path

from edgeloop.clock import NS
from edgeloop_tools.harness.cameras import count, evidence
from edgeloop_tools.harness.documents import Inspection, ModelName, PartTruth
from edgeloop_tools.harness.recording import Inspected, Recording

BEGAN = 1_700_000_000 * NS
NET = ModelName("net", "1.0.0")


def recording(*parts: tuple[str, str, list[str]]) -> Recording:
    """(part, what is wrong with it, its verdicts), a second apart."""
    made = Recording(started=BEGAN)
    for number, (part, label, verdicts) in enumerate(parts):
        at = BEGAN + number * NS
        made.parts["gate", part] = PartTruth(f"gate-{part}", "part", "gate", part, label, at)
        for verdict in verdicts:
            model = ModelName() if verdict == "unknown" else NET
            seen = Inspection("gate", verdict, at, part, model=model, reason="late" if verdict == "unknown" else "")  # type: ignore[arg-type]
            made.inspections.append(Inspected(at + 40_000_000, seen))
    return made


def test_each_part_is_counted_once() -> None:
    seen = recording(
        ("a", "good", ["pass"]), ("b", "dent", ["fail"]), ("c", "dent", ["pass"]), ("d", "good", ["fail"]),
        ("e", "good", ["unknown"]), ("f", "good", []), ("g", "good", ["pass", "pass"]), ("h", "dent", ["pass", "fail"]),
    )  # fmt: skip
    one = count(seen, BEGAN + 60 * NS)["gate"]
    assert (one.parts, one.missing, one.contradicted) == (8, 1, 1)
    assert (one.frames, one.inferred) == (7, 6)
    assert one.verdicts == {"pass": 4, "fail": 2, "unknown": 1}
    assert one.reasons == {"late": 1}
    assert (one.found, one.escaped, one.wronged) == (2, 2, 1)
    assert one.versions == {"1.0.0": 6}
    assert set(one.latencies) == {40_000_000}
    assert one.fps == 5 / 7


def test_a_part_that_has_just_gone_by_may_wait() -> None:
    seen = recording(("a", "good", []), ("b", "good", []))
    assert count(seen, BEGAN + 3 * NS + NS // 2)["gate"].missing == 1
    assert count(seen, BEGAN + 2 * NS)["gate"].missing == 0


def test_the_newest_image_is_the_evidence(tmp_path: Path) -> None:
    assert evidence(tmp_path, "gate") is None
    folder = tmp_path / "work" / "io.edgeloop.CameraInference" / "evidence" / "gate"
    folder.mkdir(parents=True)
    for name in ("17.jpg", "18.jpg", "other.txt"):
        (folder / name).write_bytes(name.encode())
    assert evidence(tmp_path, "gate") == b"18.jpg"
