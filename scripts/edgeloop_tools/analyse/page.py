"""One page that needs nothing else: words, charts as SVG, the table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any, Final

from edgeloop.durable import replace
from edgeloop_tools.analyse.definition import Analysis, Answer, Chart

MOST: Final = 200
"""Rows shown; all are in table.parquet."""
_COLORS: Final = ("#0b6e99", "#c0392b", "#7f8c8d", "#27ae60", "#8e44ad", "#d35400")
_WIDTH, _HEIGHT, _LEFT, _BOTTOM = 720, 200, 60, 24
STYLE: Final = """body{font:15px/1.45 system-ui,sans-serif;max-width:60em;margin:2em auto;padding:0 1em;color:#222}
table{border-collapse:collapse;font-size:13px}td,th{padding:.2em .7em;border-bottom:1px solid #ddd;text-align:left}
.high{color:#a61b1b}.medium{color:#8a5a00}svg{max-width:100%}figcaption{font-weight:600}figure{margin:1.5em 0}"""


def write(
    path: Path, analysis: Analysis, parameters: Mapping[str, Any], answer: Answer, assets: Sequence[tuple[str, str]]
) -> None:
    sites = len({site for site, _ in assets})
    given = ", ".join(f"{key} = {value}" for key, value in parameters.items())
    found = "".join(
        f"<li class='{f.severity}'><b>{escape(f.site)} {escape(f.asset)}</b>: {escape(f.words)}</li>"
        for f in answer.findings
    )
    body = [
        f"<h1>{escape(analysis.title)}</h1><p>{len(assets)} assets of {sites} sites. {escape(given)}</p>",
        f"<h2>Findings</h2><ul>{found}</ul>" if found else "<h2>Findings</h2><p>None.</p>",
        "".join(f"<p>{escape(note)}</p>" for note in answer.notes),
        "".join(chart_of(chart) for chart in answer.charts),
        _table(answer.rows),
    ]
    page = (
        "<!doctype html><html lang='en'><head><meta charset='utf-8'><meta name='viewport' "
        "content='width=device-width'><meta http-equiv='Content-Security-Policy' content=\"default-src 'none'; "
        f"style-src 'unsafe-inline'\"><title>{escape(analysis.title)}</title><style>{STYLE}</style></head><body>"
        f"{''.join(body)}</body></html>\n"
    )
    replace(path, page.encode(), 0o644)


def _table(rows: Any) -> str:
    head = "".join(f"<th>{escape(str(name))}</th>" for name in rows.columns)
    lines = [
        "<tr>" + "".join(f"<td>{escape(_cell(value))}</td>" for value in row) + "</tr>"
        for row in rows.head(MOST).itertuples(index=False)
    ]
    more = f"<p>{len(rows) - MOST} more rows in table.parquet.</p>" if len(rows) > MOST else ""
    return f"<h2>Table</h2><table><tr>{head}</tr>{''.join(lines)}</table>{more}"


def _cell(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def chart_of(chart: Chart) -> str:
    """A figure with its title, as HTML."""
    points = [point for line in chart.series.values() for point in line]
    if not points:
        return ""
    xs, ys = [x for x, _ in points], [y for _, y in points] + list(chart.marks.values())
    x0, x1, y0, y1 = min(xs), max(xs), min(ys), max(ys)

    def at(x: float, y: float) -> tuple[float, float]:
        across = _LEFT + (x - x0) / ((x1 - x0) or 1.0) * (_WIDTH - _LEFT - 10)
        return across, (_HEIGHT - _BOTTOM) - (y - y0) / ((y1 - y0) or 1.0) * (_HEIGHT - _BOTTOM - 10)

    drawn = []
    for number, (name, line) in enumerate(chart.series.items()):
        color = _COLORS[number % len(_COLORS)]
        path = " ".join("{:.1f},{:.1f}".format(*at(x, y)) for x, y in line)
        drawn.append(f"<polyline points='{path}' fill='none' stroke='{color}' stroke-width='1.5'/>")
        drawn.append(f"<text x='{_LEFT + 8 + 180 * number}' y='12' font-size='11' fill='{color}'>{escape(name)}</text>")
    for name, value in chart.marks.items():
        height = at(x0, value)[1]
        drawn.append(f"<line x1='{_LEFT}' x2='{_WIDTH}' y1='{height:.1f}' y2='{height:.1f}' stroke='#a61b1b' "
                     f"stroke-dasharray='4'/><text x='{_WIDTH - 90}' y='{height + 12:.1f}' font-size='11'>"
                     f"{escape(name)}</text>")  # fmt: skip
    for value in (y0, y1):
        drawn.append(f"<text x='2' y='{at(x0, value)[1] + 4:.1f}' font-size='11'>{value:.4g}</text>")
    for x, anchor in ((x0, "start"), (x1, "end")):
        place = f"x='{at(x, y0)[0]:.1f}' y='{_HEIGHT - 6}'"
        drawn.append(f"<text {place} font-size='11' text-anchor='{anchor}'>{x:.4g}</text>")
    return (
        f"<figure><figcaption>{escape(chart.title)}</figcaption><svg viewBox='0 0 {_WIDTH} {_HEIGHT}' role='img'>"
        f"{''.join(drawn)}</svg></figure>"
    )
