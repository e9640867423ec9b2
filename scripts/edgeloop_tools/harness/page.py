"""The report of a run as one HTML file that needs nothing else."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from edgeloop.clock import NS
from edgeloop_tools.harness.recording import Received
from edgeloop_tools.harness.report import Run

CSS = """
:root{color-scheme:light}*{box-sizing:border-box}
body{margin:0;background:#f4f6f8;color:#1d2733;font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
main{max-width:1080px;margin:0 auto;padding:32px 24px 64px}
h1{font-size:26px;margin:0 0 2px}h2{font-size:17px;margin:36px 0 10px}p{margin:6px 0}
.quiet{color:#66717d}.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(220px,1fr));
 gap:12px;margin:22px 0 0}
.tile,.card{background:#fff;border:1px solid #e3e8ed;border-radius:10px}
.tile{padding:14px 16px}.tile b{display:block;font-size:24px;font-weight:650;line-height:1.2}
.tile span{color:#66717d;font-size:13px}
.card{padding:14px 16px;margin:10px 0;overflow-x:auto}.card svg{width:100%;height:auto;display:block}
.banner{margin-top:18px;padding:10px 16px;border-radius:10px;font-weight:600}
.kept{background:#e5f4ea;color:#17603a}.broken{background:#fdeaea;color:#96161c}
table{border-collapse:collapse;width:100%;font-size:13.5px;font-variant-numeric:tabular-nums}
th{text-align:left;color:#66717d;font-weight:500;border-bottom:1px solid #dfe5ea;padding:4px 10px 4px 0}
td{padding:5px 10px 5px 0;border-bottom:1px solid #f0f3f5;vertical-align:top}tr:last-child td{border-bottom:0}
.n{text-align:right}.good{color:#1d7a4a}.bad{color:#c0262d;font-weight:600}
"""


@dataclass(frozen=True, slots=True)
class Plots:
    """Inline SVG."""

    machines: Sequence[str]
    spectrum: str | None
    latency: str | None
    traffic: str
    uploaded: str | None = None


def render(run: Run, report: Mapping[str, Any], plots: Plots) -> str:
    """The page."""
    anomalies, journal = report["anomalies"], report["journal"]
    latency = anomalies["sample_to_alert_ms"]
    ran_on = report["ran_on"]
    kept = report["promise"]["kept"]
    banner = (
        '<div class="banner kept">Every promise of this run held.</div>'
        if kept
        else "".join(f'<div class="banner broken">{escape(line)}</div>' for line in report["promise"]["broken"])
    )
    tiles = [
        (f"{anomalies['detected']} of {anomalies['truth']}", "faults found"),
        (str(anomalies["false_alarms"]), "false alarms"),
        *([(_ms(latency["p50"]), f"newest sample to alarm, p50 (p99 {_ms(latency['p99'])})")] if latency["n"] else []),
        (str(journal["lost"]), f"of {journal['written']:,} journalled samples lost, {journal['kills']} × kill −9"),
        (f"{report['values_per_s']:,}", "values a second"),
        (f"{report['bus_messages_per_s']:.0f}", "bus messages a second"),
        (_seconds(report["seconds_to_first_score"]), "installed to first score"),
    ]
    sections = [
        f"<h1>Edgeloop, {report['duration_s']:.0f} s on nucleus {escape(report['nucleus'])}</h1>",
        f'<p class="quiet">{escape(report["time_rfc3339"][:19])}Z'
        + (f" · seed {report['seed']}" if report["seed"] is not None else "")
        + f" · {escape(ran_on['cpu'])}, {ran_on['cores']} cores, {ran_on['memory_gb']} GB"
        + f" · {escape(ran_on['system'])}</p>",
        banner,
        '<div class="tiles">'
        + "".join(f'<div class="tile"><b>{v}</b><span>{t}</span></div>' for v, t in tiles)
        + "</div>",
        "<h2>What happened and what was said</h2>",
        _card(_findings(run)),
        _card(_kinds(anomalies)),
        "<h2>Machines</h2>",
        '<p class="quiet">Shaded: the truth, hidden from components. Red: alarms. Dotted: kill −9 of SensorIngest. '
        "Samples stand where their source's clock put them.</p>",
        *(_card(svg) for svg in plots.machines),
    ]
    if plots.spectrum:
        sections += ["<h2>Envelope spectrum</h2>", _card(plots.spectrum)]
    if plots.latency:
        sections += ["<h2>How fast</h2>", _card(plots.latency)]
    if run.cameras:
        sections += ["<h2>Cameras and models</h2>", _card(_cameras(report)), *map(_card, _pictures(run))]
        if report["models"]:
            sections.append(_card(_models(report)))
    if report["uploads"]["objects"]:
        sections += ["<h2>Uploaded</h2>", _card(_uploads(run, report))]
        if plots.uploaded:
            sections.append(_card(plots.uploaded))
    sections += ["<h2>The bus</h2>", _card(plots.traffic)]
    sections += [
        "<h2>Streams in the journal</h2>",
        _card(_streams(report)),
        "<h2>Components</h2>",
        _card(_components(report)),
    ]
    if run.recording.actions:
        sections += ["<h2>Actions</h2>", _card(_actions(run))]
    sections.append(
        '<p class="quiet">Computed from the journal, the bus and /proc by an observer; '
        "components were not asked how they did.</p>"
    )
    body = "\n".join(sections)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>Edgeloop run report</title><style>{CSS}</style></head><body><main>{body}</main></body></html>\n"
    )


def _card(content: str) -> str:
    return f'<div class="card">{content}</div>'


def _ms(value: float | None) -> str:
    return "not measured" if value is None else f"{value:,.0f} ms"


def _seconds(value: float | None) -> str:
    return "none yet" if value is None else f"{value:g} s"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Cells are HTML; a head that starts with `#` is a column of numbers."""
    number = [h.startswith("#") for h in head]
    top = "".join(
        f"<th{' class=n' if n else ''}>{escape(h.lstrip('#'))}</th>" for h, n in zip(head, number, strict=True)
    )
    lines = (
        "<tr>" + "".join(f"<td{' class=n' if n else ''}>{c}</td>" for c, n in zip(row, number, strict=True)) + "</tr>"
        for row in rows
    )
    return f"<table><tr>{top}</tr>{''.join(lines)}</table>"


def _findings(run: Run) -> str:
    zero = run.installed
    rows: list[tuple[float, list[str]]] = []
    for found in run.verdict.found:
        fault = found.fault
        start = (fault.start - zero) / NS if fault.by == "time" else (found.alarm.at - zero) / NS
        onset = found.onset_to_alert
        after = f"{onset / NS:.1f} s after its start" if onset is not None else "yes"
        rows.append((start, [_at(start), escape(fault.machine), _words(fault.kind),
                             f'<span class="good">{after}</span>', *_said(run, found.alarm)]))  # fmt: skip
    for fault in run.verdict.missed:
        start = (fault.start - zero) / NS if fault.by == "time" else run.seconds
        where = _at(start) if fault.by == "time" else f"row {fault.start}"
        missed = [where, escape(fault.machine), _words(fault.kind), '<span class="bad">missed</span>', "", ""]
        rows.append((start, missed))
    for alarm in run.verdict.false_alarms:
        start = (alarm.at - zero) / NS
        said = _said(run, alarm)
        rows.append((start, [_at(start), escape(alarm.event.asset), "nothing",
                             '<span class="bad">false alarm</span>', *said]))  # fmt: skip
    for alarm in run.verdict.unjudged:
        start = (alarm.at - zero) / NS
        rows.append((start, [_at(start), escape(alarm.event.asset), "unknown", "", *_said(run, alarm)]))
    for kill in run.recording.kills:
        start = (kill.at - zero) / NS
        back = f"back after {(kill.recovered - kill.at) / NS:.1f} s" if kill.recovered else "not back"
        rows.append((start, [_at(start), "", "kill −9 by the harness", back, "", escape(kill.component)]))
    if not rows:
        return '<p class="quiet">Nothing happened.</p>'
    head = ("#at", "machine", "truth", "found", "kind", "alarm")
    return _table(head, [row for _, row in sorted(rows, key=lambda r: r[0])])


def _said(run: Run, alarm: Received) -> tuple[str, str]:
    """Kind and words of an alarm, and what its group began with."""
    first = run.recording.after(alarm.event)
    after = f'<br><span class="quiet">{escape(first)}</span>' if first else ""
    return escape(alarm.event.called), escape(alarm.event.text) + after


def _kinds(anomalies: Mapping[str, Any]) -> str:
    rows = [(_words(k), str(v["truth"]), str(v["detected"])) for k, v in anomalies["kinds"].items()]
    table = _table(("kind", "#truth", "#found"), rows)
    trivial = anomalies["trivial_threshold"]
    if trivial:
        words = "; ".join(
            f"{'a fixed' if name == 'fixed' else 'the best possible'} threshold at {f['sigma']:g} σ: "
            f"{f['detected']} found, {f['false_alarms']} false alarms"
            for name, f in trivial.items()
        )
        table += f'<p class="quiet">For comparison, on the same journal: {escape(words)}.</p>'
    return table


def _streams(report: Mapping[str, Any]) -> str:
    rows = (
        (escape(name), str(s["channels"]), f"{s['rate_hz']:g} Hz" if s["rate_hz"] else "as it comes",
         f"{s['samples']:,}", f"{s['batches']:,}", f"{s['dropped']:,}", f"{s['gaps']:,}")
        for name, s in report["streams"].items()
    )  # fmt: skip
    return _table(("stream", "#channels", "#rate", "#samples", "#batches", "#dropped", "#discontinuities"), rows)


def _components(report: Mapping[str, Any]) -> str:
    rows = (
        (escape(name), escape(c["version"]), escape(c["state"]), str(c["restarts"]), f"{c['pss_mb']:.1f} MB",
         f"{c['cpu_percent']:.1f} %")
        for name, c in report["components"].items()
    )  # fmt: skip
    return _table(("component", "version", "state", "#restarts", "#memory (PSS)", "#of one core"), rows)


def _cameras(report: Mapping[str, Any]) -> str:
    rows = (
        (escape(name), str(c["parts"] or c["frames"]), ", ".join(f"{n} {v}" for v, n in c["verdicts"].items()),
         str(c["parts_without_verdict"]), f"{c['truth']['rejected']}", f"{c['truth']['escaped']}",
         f"{c['truth']['wrongly_rejected']}", f"{c['fps']:g}", _ms(c["p50_ms"]), str(c["hard_examples"]))
        for name, c in report["cameras"].items()
    )  # fmt: skip
    head = ("camera", "#parts", "verdicts", "#without", "#rightly rejected", "#escaped", "#wrongly rejected",
            "#a second", "#trigger to verdict", "#hard examples")  # fmt: skip
    return _table(head, rows)


def _pictures(run: Run) -> Iterable[str]:
    for camera, image in run.evidence.items():
        data = base64.b64encode(image).decode()
        yield (
            f"<p>The newest part that {escape(camera)} rejected.</p>"
            f'<img alt="rejected part" style="max-width:100%" src="data:image/jpeg;base64,{data}">'
        )


def _models(report: Mapping[str, Any]) -> str:
    rows = (
        (escape(name), escape(m["version"] or "the default"), _words(m["state"]),
         "<br>".join(escape(line) for line in m["refused"]))
        for name, m in report["models"].items()
    )  # fmt: skip
    return _table(("model", "version", "state", "refused"), rows)


def _uploads(run: Run, report: Mapping[str, Any]) -> str:
    uploads = report["uploads"]
    rows = (
        (escape(name), f"{s['samples']:,}", f'<span class="{"good" if s["equal"] == s["samples"] else "bad"}">'
         f"{s['equal']:,}</span>", f"{s['waiting']:,}")
        for name, s in uploads["streams"].items()
    )  # fmt: skip
    where = escape(str(run.arrived.folder if run.arrived else ""))
    kinds = ", ".join(f"{n} of {escape(kind)}" for kind, n in uploads["kinds"].items())
    shown = min(uploads["streams"], key=lambda name: not name.endswith("_slow"), default="")
    code = f'import edgeloop\ntable = edgeloop.read("{where}", "{escape(shown)}")\nprint(table)'
    return f"<p>{uploads['objects']} objects, {uploads['bytes'] / 1e6:.1f} MB: {kinds}.</p><pre>{code}</pre>" + _table(
        ("stream", "#samples read back", "#as in the journal", "#in the journal alone: waiting, or not captured"), rows
    )


def _actions(run: Run) -> str:
    zero = run.installed
    rows = (
        (_at((a.time - zero) / NS), escape(a.source), escape(f"{a.target} = {a.value}"), escape(_words(a.outcome)),
         escape(a.reason))
        for a in run.recording.actions[:40]
    )  # fmt: skip
    return _table(("#at", "source", "command", "outcome", "reason"), rows)


def _at(seconds: float) -> str:
    return f"{seconds:.1f} s"


def _words(kind: str) -> str:
    return escape(kind.replace("_", " "))
