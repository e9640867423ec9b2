"""All sets of a manifest, one table."""

from __future__ import annotations

import fnmatch
import html
import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeloop.clock import NS
from edgeloop.errors import EdgeloopError
from edgeloop_tools.backtest.count import alarms, longest, merged, onsets
from edgeloop_tools.backtest.recording import Recording
from edgeloop_tools.backtest.recording import read as read_recording
from edgeloop_tools.backtest.replay import replay
from edgeloop_tools.evaluate.generators import recording as generated
from edgeloop_tools.evaluate.manifest import AUTO, Manifest, Set, learned, limit, named, read, windows
from edgeloop_tools.evaluate.metrics import PROFILES, Flags, Float, affiliation, interval, nab, poisson, spans, vus_pr
from edgeloop_tools.evaluate.rules import TRIVIAL, peers

PRODUCT = "edgeloop"
GRACE = 10
"""Rows after a span within which an alarm still belongs to it."""


@dataclass(slots=True)
class Tally:
    """Of one detector on one set. delays: rows; false: alarms on healthy rows."""

    hits: int = 0
    false_rows: int = 0
    missed: int = 0
    quiet: int = 0
    found: int = 0
    of: int = 0
    false: int = 0
    in_condition: int = 0
    healthy: int = 0
    longest: float = 0.0
    budgets: float = 0.0
    delays: list[int] = field(default_factory=list)
    vus: list[float] = field(default_factory=list)
    near: list[tuple[float, float]] = field(default_factory=list)
    windows: NDArray[np.float64] = field(default_factory=lambda: np.zeros(5))

    def add(
        self, truth: Flags, healthy: Flags, said: Flags, heard: Flags, rows: list[int], score: Float, step: float,
        budget: float,
    ) -> None:  # fmt: skip
        """All (n,), without what was learned. said: condition or notice; heard: alarms alone; rows: of the alarms."""
        self.hits += int((truth & said).sum())
        self.false_rows += int((~truth & said).sum())
        self.missed += int((truth & ~said).sum())
        self.quiet += int((~truth & ~said).sum())
        for first, end in spans(truth):
            self.of += 1
            hit = next((row for row in rows if first <= row < end + GRACE), None)
            if hit is not None or heard[first:end].any():
                self.found += 1
                self.delays.append(0 if hit is None else int(hit - first))
        self.false += sum(bool(healthy[row]) for row in rows)
        self.in_condition += int((heard & healthy).sum())
        self.healthy += int(healthy.sum())
        self.longest = max(self.longest, longest(heard & healthy) * step / 86_400)
        self.budgets += float(healthy.sum()) * step / budget
        if truth.any() and not truth.all():
            self.vus.append(vus_pr(truth, score))
            self.near.append(affiliation(truth, said))

    def document(self) -> dict[str, Any]:
        labelled, normal, either = self.hits + self.missed, self.false_rows + self.quiet, 2 * self.hits
        either += self.false_rows + self.missed
        low, high = interval(self.found, self.of)
        precision, recall = (
            float(np.nanmean([pair[i] for pair in self.near])) if self.near else float("nan") for i in (0, 1)
        )
        total = precision + recall
        least, most = poisson(self.false)
        return {
            "budgets": self.false / self.budgets if self.budgets else None,
            "budgets_interval": [least / self.budgets, most / self.budgets] if self.budgets else None,
            "alarms": self.false,
            "share_in_condition": self.in_condition / self.healthy if self.healthy else None,
            "longest_days": self.longest,
            "found": self.found,
            "of": self.of,
            "share_found": self.found / self.of if self.of else None,
            "interval": [low, high],
            "delay_rows": float(np.median(self.delays)) if self.delays else None,
            "f1": 2 * self.hits / either if labelled else None,
            "far_percent": 100 * self.false_rows / normal if normal else None,
            "mar_percent": 100 * self.missed / labelled if labelled else None,
            "vus_pr": float(np.mean(self.vus)) if self.vus else None,
            "affiliation_f1": 2 * precision * recall / total if self.near and total > 0 else None,
            **self._nab(),
        }

    def _nab(self) -> dict[str, float | None]:
        """100: each window at its first row and no false alarm; 0: no alarm at all."""
        worth, cost, missed, counted, windows = self.windows.tolist()
        if not windows:
            return dict.fromkeys(PROFILES)
        return {
            name: 100 * (worth + cost * false - missed * miss + counted * miss) / (windows + counted * miss)
            for name, (false, miss) in PROFILES.items()
        }


def evaluate(path: Path, *, peers: bool, only: tuple[str, ...], report: Path | None, document: Path | None) -> int:
    """Prints a table; 1 where a goal is missed or a set has no file that can be used."""
    manifest, data = read(path)
    unknown = set(only) - manifest.sets.keys()
    if unknown:
        mend = f"it has {', '.join(manifest.sets)}"
        raise EdgeloopError("no such set", where=str(path), why=sorted(unknown)[0], mend=mend)
    figures: dict[str, Any] = {}
    failed: list[str] = []
    for name, each in manifest.sets.items():
        if only and name not in only:
            continue
        begin = time.monotonic()
        tallies, bad = _set(each, data, peers)
        failed += bad
        if not tallies:
            failed.append(f"{name}: nothing of {each.files or each.generate!r} below {data} can be used")
            continue
        found = {rule: tally.document() for rule, tally in tallies.items()}
        figures[name] = {"figures": found, "goals": _goals(each, found[PRODUCT]), "seconds": time.monotonic() - begin}
        print("\n".join(_lines(name, figures[name])), flush=True)
    for line in failed:
        print(f"edgeloop: {line}", file=sys.stderr)
    goals = [goal for each in figures.values() for goal in each["goals"]]
    reached = sum(goal["reached"] for goal in goals)
    print(f"goals: {reached} of {len(goals)} reached")
    if document is not None:
        document.write_text(json.dumps(figures, indent=1))
    if report is not None:
        report.write_text(_page(manifest, figures))
    return 1 if failed or reached < len(goals) else 0


def _set(each: Set, data: Path, with_peers: bool) -> tuple[dict[str, Tally], list[str]]:
    tallies: dict[str, Tally] = {}
    failed, pending = [], []
    others = peers() if with_peers else {}
    for name, load in _recordings(each, data):
        try:
            recording, learn = load()
            auto = each.learn == AUTO
            learn = min(len(recording) * 15 // 100, 750) if auto else min(learn, len(recording) - 1)
            columns = replay(recording, learn=None if auto else learn, budget=each.budget)
        except (EdgeloopError, ArithmeticError, LookupError, OSError, TypeError, ValueError) as error:
            failed.append(f"{name}: {error}")
            continue
        quiet = any(fnmatch.fnmatch(name, glob) or fnmatch.fnmatch(Path(name).name, glob) for glob in each.quiet)
        truth = np.zeros_like(recording.labels) if quiet else recording.labels
        healthy = ~truth
        if each.healthy == "before" and truth.any():
            healthy &= np.arange(len(truth)) < int(truth.argmax())
        healthy[:learn] = False
        rest = slice(learn, None)
        budget = each.budget / NS
        heard = columns.condition_alert & ~columns.notice
        rows = [row - learn for row in alarms(columns) if row >= learn]
        score = np.maximum(columns.event_score, columns.condition_score)
        said = columns.condition_alert
        tallies.setdefault(PRODUCT, Tally()).add(
            truth[rest], healthy[rest], said[rest], heard[rest], rows, score[rest], recording.step, budget
        )
        tallies[PRODUCT].windows += nab(truth, columns.event_alert, learn)
        for rule, (scored, threshold) in TRIVIAL.items():
            rated = scored(recording.values, learn)
            _rule(tallies, rule, rated, threshold, recording, learn, truth, healthy, budget)
        for rule, rate in others.items():
            pending.append((rule, rate(recording.values, learn), recording, learn, truth, healthy, budget))
    for rule in others:
        own = [p for p in pending if p[0] == rule]
        threshold = _matched([(p[1], p[3], p[5]) for p in own], tallies[PRODUCT].false)
        for _, rated, recording, learn, truth, healthy, budget in own:
            _rule(tallies, rule, rated, threshold, recording, learn, truth, healthy, budget)
    return tallies, failed


Load = Callable[[], tuple[Recording, int]]


def _recordings(each: Set, data: Path) -> Iterator[tuple[str, Load]]:
    """(name, what reads it and says how many rows are learned) of the files of a set, or of its seeds."""
    if not each.generate:
        known = windows(data / each.windows) if each.windows else {}
        for file in sorted(data.glob(each.files)):
            name = file.relative_to(data).as_posix()
            yield name, partial(_labelled, each, file, named(known, name) if each.windows else None)
        return
    learn = each.learn if isinstance(each.learn, int) else 0
    for seed in range(each.seeds):
        at = learn + (each.rows - learn) // 2 + 97 * seed
        yield (
            f"{each.generate}:{seed}",
            lambda seed=seed, at=at: (generated(each.generate, seed, each.rows, at), learn),  # type: ignore[misc]
        )


def _labelled(each: Set, file: Path, known: list[tuple[int, int]] | None) -> tuple[Recording, int]:
    recording = read_recording(file, each.ignore, each.label)
    for first, last in known or ():
        recording.labels[(recording.times >= first) & (recording.times <= last)] = True
    return recording, 0 if each.learn == AUTO else learned(each, file)


def _rule(
    tallies: dict[str, Tally], rule: str, score: Float, threshold: float, recording: Recording, learn: int,
    truth: Flags, healthy: Flags, budget: float,
) -> None:  # fmt: skip
    said = score >= threshold
    said[:learn] = False
    rows = [row - learn for row in merged(onsets(said).tolist())]
    rest = slice(learn, None)
    tallies.setdefault(rule, Tally()).add(
        truth[rest], healthy[rest], said[rest], said[rest], rows, score[rest], recording.step, budget
    )
    tallies[rule].windows += nab(truth, said, learn)


def _matched(scores: list[tuple[Float, int, Flags]], wanted: int) -> float:
    """The lowest threshold with no more false alarms than the product has."""
    values = np.concatenate([score[learn:] for score, learn, _ in scores]) if scores else np.zeros(1)
    low, high = 0, 999
    levels = np.quantile(values, np.linspace(0.5, 1.0, 1000))
    while low < high:
        middle = (low + high) // 2
        count = sum(
            sum(bool(healthy[row]) for row in merged(onsets(score >= levels[middle]).tolist()))
            for score, _, healthy in scores
        )
        low, high = (low, middle) if count <= wanted else (middle + 1, high)
    return float(levels[low])


def _goals(each: Set, figures: dict[str, Any]) -> list[dict[str, Any]]:
    found = []
    for name, text in each.goals.items():
        if name not in figures:
            why = f"there are {', '.join(figures)}"
            raise EdgeloopError("no such figure", where=f"goals.{name}", why=why)
        sign, number = limit(text, name)
        value = figures[name]
        reached = value is not None and (value <= number if sign == "<=" else value >= number)
        found.append({"figure": name, "goal": text, "value": value, "reached": bool(reached)})
    return found


HEAD = (
    "alarms/budget (95 %)", "in condition", "longest d", "found", "delay", "F1", "FAR %", "MAR %", "VUS-PR",
    "affil. F1", "NAB",
)  # fmt: skip


def _cells(f: dict[str, Any]) -> list[str]:
    def text(value: float | None, form: str) -> str:
        return "–" if value is None else format(value, form)

    low, high = f["interval"]
    found = f"{f['found']}/{f['of']} ({100 * low:.0f}–{100 * high:.0f} %)" if f["of"] else "–"
    share = None if f["share_in_condition"] is None else 100 * f["share_in_condition"]
    return [
        f"{f['alarms']}: {text(f['budgets'], '.2f')} ({_between(f['budgets_interval'])})",
        f"{text(share, '.1f')} %", text(f["longest_days"], ".2f"),
        found, text(f["delay_rows"], ".0f"), text(f["f1"], ".3f"), text(f["far_percent"], ".1f"),
        text(f["mar_percent"], ".1f"), text(f["vus_pr"], ".3f"), text(f["affiliation_f1"], ".3f"),
        text(f["nab"], ".1f"),
    ]  # fmt: skip


def _between(interval: list[float] | None) -> str:
    return "–" if interval is None else f"{interval[0]:.2g}–{interval[1]:.2g}"


def _lines(name: str, figures: dict[str, Any]) -> list[str]:
    table = [(name, *HEAD), *((rule, *_cells(f)) for rule, f in figures["figures"].items())]
    widths = [max(len(row[i]) for row in table) for i in range(len(table[0]))]
    lines = ["  ".join(c.ljust(w) if not i else c.rjust(w) for i, (c, w) in enumerate(zip(row, widths, strict=True)))
             for row in table]  # fmt: skip
    for goal in figures["goals"]:
        value = "–" if goal["value"] is None else f"{goal['value']:.3g}"
        lines.append(f"  goal {goal['figure']} {goal['goal']}: {value}, {'reached' if goal['reached'] else 'missed'}")
    return [*lines, ""]


def _page(manifest: Manifest, figures: dict[str, Any]) -> str:
    parts = ["<!doctype html><meta charset=utf-8><title>edgeloop evaluate</title><style>body{font:14px sans-serif;"
             "margin:2em}td,th{padding:.2em .8em;text-align:right}td:first-child{text-align:left}</style>"]  # fmt: skip
    for name, each in figures.items():
        parts.append(
            f"<h2>{html.escape(name)}</h2><p>{html.escape(str(manifest.sets[name].budget))}</p><table><tr><th>"
        )
        parts += [f"<th>{h}" for h in HEAD]
        for rule, f in each["figures"].items():
            parts.append(f"<tr><td>{html.escape(rule)}" + "".join(f"<td>{html.escape(c)}" for c in _cells(f)))
        parts.append("</table><ul>")
        for goal in each["goals"]:
            said = "reached" if goal["reached"] else "missed"
            parts.append(f"<li>{html.escape(goal['figure'])} {html.escape(goal['goal'])}: {goal['value']}, {said}")
        parts.append("</ul>")
    return "\n".join(parts)
