"""What labels were worth, drawn: a page without anything from elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from html import escape
from typing import Any, Final

WIDTH, HEIGHT = 760, 420
LEFT, RIGHT, TOP, BOTTOM = 64, 24, 24, 48
OURS, CHANCE = "#0b5cad", "#8a8a8a"
STYLE: Final = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:820px;margin:2rem auto;padding:0 1rem;color:#222}"
    "table{border-collapse:collapse}td,th{padding:.2rem .8rem;text-align:right;border-bottom:1px solid #ddd}"
    "text{font:12px system-ui,sans-serif;fill:#333}"
)


@dataclass(frozen=True, slots=True)
class Point:
    """A model: labels spent on it and all before; of later parts the share judged right, of bad ones that pass, of good
    ones that fail."""

    labels: int
    model: str
    right: float
    escaped: float
    rejected: float

    def plain(self) -> dict[str, Any]:
        return {name: round(v, 4) if isinstance(v, float) else v for name, v in asdict(self).items()}


def page(ours: Sequence[Point], chance: Sequence[Point]) -> str:
    """The curve of the loop and that of labels by chance, and the figures as a table.

    >>> html = page([Point(24, "1.0.0", 0.6, 0.3, 0.5), Point(64, "1.1.0", 0.9, 0.1, 0.1)], [])
    >>> html.count("<circle"), "90.0%" in html
    (2, True)
    """
    rows = "".join(
        f"<tr><td>{p.labels}</td><td>{escape(p.model)}</td><td>{p.right:.1%}</td><td>{p.escaped:.1%}</td>"
        f"<td>{p.rejected:.1%}</td></tr>"
        for p in [*ours, *chance]
    )
    first, last = ours[0], ours[-1]
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>The loop back</title><style>{STYLE}</style>'
        f"<h1>The loop back</h1><p>Right of the later parts, of the line's own mix: <b>{first.right:.1%}</b> before, "
        f"<b>{last.right:.1%}</b> after; <b>{last.labels}</b> labels spent.</p>{drawing(ours, chance)}"
        "<table><tr><th>labels</th><th>model</th><th>right</th><th>bad ones passed</th><th>good ones rejected</th>"
        "</tr>"
        f"{rows}</table></html>\n"
    )


def drawing(ours: Sequence[Point], chance: Sequence[Point]) -> str:
    """Share judged right over labels, as SVG."""
    every = [*ours, *chance]
    most = max(p.labels for p in every) * 1.05
    low = max(0.0, min(p.right for p in every) - 0.05)
    across, down = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM

    def place(labels: float, right: float) -> tuple[float, float]:
        return LEFT + across * labels / most, TOP + down * (1 - (right - low) / max(1.0 - low, 1e-9))

    parts = []
    for k in range(5):
        share = low + (1 - low) * k / 4
        _, y = place(0, share)
        parts.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="#ddd"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{share:.0%}</text>')
    for point in ours:
        x, _ = place(point.labels, low)
        parts.append(f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{point.labels}</text>')
    parts.append(f'<text x="{LEFT + across / 2}" y="{HEIGHT - 8}" text-anchor="middle">labels spent</text>')
    for points, colour, name, dash in ((chance, CHANCE, "parts by chance", "5 4"), (ours, OURS, "the loop", "")):
        if not points:
            continue
        spots = [place(p.labels, p.right) for p in points]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in spots)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2" '
                     f'stroke-dasharray="{dash}"/>')  # fmt: skip
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{colour}"/>' for x, y in spots]
        x, y = spots[-1]
        parts.append(f'<text x="{x - 6:.1f}" y="{y - 10:.1f}" text-anchor="end" style="fill:{colour}">{name}</text>')
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="accuracy over labels">{"".join(parts)}</svg>'
