"""`demo --video`: the same parts judged at the edge, in the cloud, and by both, side by side; then the network goes."""

from __future__ import annotations

import json
import statistics
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from edgeloop import __version__
from edgeloop.errors import EdgeloopError
from edgeloop_tools.cloud.larger import Larger
from edgeloop_tools.config.outline import VIDEO
from edgeloop_tools.demo.plan import CAMERA, RUNTIME, SITE
from edgeloop_tools.demo.run import CHECKOUT, INSTALL_TIMEOUT, Options, path_of_root
from edgeloop_tools.harness.line import Line
from edgeloop_tools.harness.recording import Recording

PRICE: Final = 0.0004
"""USD that one picture is taken to cost."""
PARTS: Final = 4
GONE: Final = 0.7
"""Share of the time after which nobody answers."""
GOOD: Final = "good"
WAYS: Final = {
    "edge": None,
    "hybrid": {"when": "confidence < 0.9", "random": "2%"},
    "cloud": {"when": "confidence < 2", "random": "0%"},
}
"""By camera: what is asked elsewhere."""


@dataclass(frozen=True, slots=True)
class Row:
    """One way to judge. right, escaped, wronged: shares of the parts; sent: of the parts whose picture left; money: USD
    of 1,000 parts; late: parts without a verdict in time, all and while nobody answered."""

    parts: int
    right: float
    escaped: float
    wronged: float
    p50_ms: float
    p99_ms: float
    sent: float
    bytes: float
    money: float
    alone: int
    late: int


def run(options: Options) -> int:
    """Exit code 0. Raises EdgeloopError where a part was late, or the line does not come up."""
    from edgeloop_tools.demo.run import _build

    _build()
    with Line(path_of_root(options), options.nucleus) as line:
        recording = line.recording
        with Larger(lambda camera, part: _label(recording, camera, part), seed=options.seed) as model:
            line.deploy(
                CHECKOUT / "recipes", CHECKOUT / "artifacts", {CAMERA: __version__, VIDEO: __version__},
                _merge(options.seed, model.url),
            )  # fmt: skip
            _until_installed(line)
            begun = time.monotonic()
            while (passed := time.monotonic() - begun) < options.duration:
                if passed >= GONE * options.duration and not model.gone:
                    model.gone = True
                    _say(options, "nobody answers any more")
                time.sleep(0.25)
            rows = {camera: _row(recording, model, camera) for camera in WAYS}
    report = {"duration_s": options.duration, "video": {name: _plain(row) for name, row in rows.items()}}
    path = options.report or path_of_root(options) / "video.json"
    path.write_text(json.dumps(report, indent=2) + "\n")
    print(json.dumps({"event": "report", "report": report}) if options.as_json else table(rows, path))
    if late := sum(row.late for row in rows.values()):
        raise EdgeloopError("parts were late", why=f"{late} of {sum(row.parts for row in rows.values())}")
    return 0


def table(rows: dict[str, Row], path: Path) -> str:
    """The rows beside each other."""
    lines = [("", *rows)]
    words = {
        "parts": ("parts", "{:,}"), "right": ("judged right", "{:.1%}"), "escaped": ("defects that passed", "{:.1%}"),
        "wronged": ("good ones rejected", "{:.1%}"), "p50_ms": ("verdict after, p50", "{:.0f} ms"),
        "p99_ms": ("verdict after, p99", "{:.0f} ms"), "sent": ("pictures that left", "{:.1%}"),
        "bytes": ("bytes a part", "{:,.0f}"), "money": ("USD for 1,000 parts", "{:.3f}"),
        "alone": ("decided alone, nobody answered", "{:,}"), "late": ("parts that were late", "{:,}"),
    }  # fmt: skip
    for name, (title, form) in words.items():
        lines.append((title, *(form.format(getattr(row, name)) for row in rows.values())))
    widths = [max(len(line[k]) for line in lines) for k in range(len(rows) + 1)]
    shown = [
        "  ".join([line[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(line[1:], widths[1:], strict=True))])
        for line in lines
    ]
    return "\n".join(
        [*shown, "the model elsewhere is simulated: right in 99 of 100, 80 ms away; for the last third nobody answered",
         f"report  {path}"]
    )  # fmt: skip


def _merge(seed: int, url: str) -> dict[str, dict[str, Any]]:
    """Component → configuration: one belt, three cameras that see it alike."""
    cameras: dict[str, Any] = {}
    sent: dict[str, Any] = {}
    for name, way in WAYS.items():
        cameras[name] = {
            "uri": f"simulator:?seed={seed}&rate={PARTS}&defective=0.3", "asset": name, "policy": "every",
            "deadline": "2 s", "queue": 16,
        }  # fmt: skip
        if way is not None:
            most = {"pictures": "1000000/d", "bytes": "100 GB/d"}
            opinion = {"endpoint": url, "deadline": "800 ms", "price": f"{PRICE} USD", "most": most, **way}
            cameras[name]["opinion"] = opinion
            sent[name] = {"opinion": opinion}
    return {
        RUNTIME: {"profiles": "core vision"},
        CAMERA: {"site": SITE, "cameras": cameras},
        VIDEO: {"site": SITE, "cameras": sent},
    }


def _until_installed(line: Line) -> None:
    ends = time.monotonic() + INSTALL_TIMEOUT
    while not line.recording.inspections:
        line.poll(measure=False)
        if any(d.status == "FAILED" for d in line.core.deployments()):
            raise EdgeloopError("the deployment failed", mend=f"see {line.root / 'logs'}")
        if time.monotonic() > ends:
            raise EdgeloopError("the cameras do not start", where=str(line.root / "logs"))
        time.sleep(0.25)


def _label(recording: Recording, camera: str, part: str) -> str | None:
    truth = recording.parts.get((camera, part))
    return truth.label if truth is not None else None


def _row(recording: Recording, model: Larger, camera: str) -> Row:
    judged = [i.inspection for i in list(recording.inspections) if i.inspection.camera == camera]
    known = [(seen, _label(recording, camera, seen.part)) for seen in judged]
    pairs = [(seen, label == GOOD) for seen, label in known if label is not None]
    if not pairs:
        raise EdgeloopError("a camera has said nothing", where=camera)
    count = len(pairs)
    latencies = sorted(seen.latency_ms for seen, _ in pairs)
    sent = model.pictures[camera]
    return Row(
        parts=count,
        right=sum((seen.verdict == "pass") == good for seen, good in pairs) / count,
        escaped=sum(seen.verdict == "pass" and not good for seen, good in pairs) / count,
        wronged=sum(seen.verdict == "fail" and good for seen, good in pairs) / count,
        p50_ms=statistics.median(latencies),
        p99_ms=latencies[min(count - 1, count * 99 // 100)],
        sent=sent / count,
        bytes=model.bytes[camera] / count,
        money=1000 * PRICE * sent / count,
        alone=sum(seen.decided_by == "edge" for seen, _ in pairs),
        late=sum(seen.reason.startswith("no verdict within") for seen, _ in pairs),
    )


def _plain(row: Row) -> dict[str, Any]:
    return {name: round(value, 4) for name in Row.__slots__ if (value := getattr(row, name)) is not None}


def _say(options: Options, line: str) -> None:
    if not options.quiet:
        print(line, file=sys.stderr, flush=True)


__all__ = ["Row", "run", "table"]
