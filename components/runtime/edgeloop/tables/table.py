"""A file of rows and columns as times and numbers, however it is written."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgeloop.clock import NS
from edgeloop.errors import EdgeloopError
from edgeloop.tables import columns, files, long, moments, numerals, times
from edgeloop.tables.cells import Floats, boolean
from edgeloop.tables.chunk import Chunk, Columns, Stamps
from edgeloop.tables.columns import Place
from edgeloop.tables.moments import Ambiguous, Moments
from edgeloop.tables.numerals import HUGE, SPACES, Evidence, Style
from edgeloop.tables.options import FORMS, Options
from edgeloop.tables.sequence import Sequence, sequence
from edgeloop.tables.shapes import Cuts, Kind, cut
from edgeloop.tables.text import Again
from edgeloop.tables.times import TIMES
from edgeloop.wire.batch import Channel

__all__ = ["TIMES", "Block", "Table"]
HOLD = 8 << 20
"""Numbers held in memory, so that a file need not be read twice."""
SENTINELS = (-999.0, -999.25)
ENDS = frozenset({"32768", "32767", "65535", "2147483647", "2147483648", "4294967295", "8388607", "8388608"})
"""Digits of the ends of integers."""


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """times (n,) ns UTC, or None where the file has none; values (n, channels), NaN where missing; rows (n,) their
    places in the file, from 1. bad: places of rows that were left out, and why."""

    times: NDArray[np.int64] | None
    values: NDArray[np.float64]
    rows: NDArray[np.int64]
    bad: tuple[tuple[int, str], ...] = ()

    def line(self, row: int) -> int:
        return int(self.rows[row])


@dataclass(slots=True, eq=False)
class _Held:
    """A chunk, its numbers already read as plain ones."""

    chunk: Chunk
    plain: list[tuple[Floats, NDArray[np.bool_] | None] | None]


@dataclass(slots=True)
class _Facts:
    """What a pass over the file found."""

    rows: int = 0
    cuts: list[Cuts] = field(default_factory=list)
    stamps: list[Stamps] = field(default_factory=list)
    lines: list[NDArray[np.int64]] = field(default_factory=list)
    odd: dict[int, str] = field(default_factory=dict)
    short: list[tuple[int, str]] = field(default_factory=list)
    huge: int = 0
    low: dict[int, float] = field(default_factory=dict)
    high: dict[int, float] = field(default_factory=dict)
    lasting: Counter[tuple[int, float]] = field(default_factory=Counter)
    held: list[_Held] | None = field(default_factory=list)
    first: dict[int, list[str]] = field(default_factory=dict)


class Table:
    """Raises EdgeloopError where the file cannot be read, has no numbers, or may be read in two ways.

    channels: its numbers. text, unknown: columns without numbers, and those to ignore that are not there. rate: where
    the file says so. understood: one line for people. place: what `rows` counts, `line` or `row`.
    """

    def __init__(self, path: Path, options: Options | None = None, *, hold: int = HOLD) -> None:
        self.path, self.options = path, options or Options()
        self._where, self._hold = str(path), hold
        if self.options.zone:
            moments.known_zone(self.options.zone)
        self._file = files.opened(path, self.options)
        try:
            self._understand()
        except BaseException:
            self._file.close()
            raise

    @property
    def has_time(self) -> bool:
        return self._place is not None

    @property
    def rate(self) -> Fraction | None:
        return self._file.about.rate

    @property
    def place(self) -> str:
        return self._file.about.place

    # -- understanding -------------------------------------------------------------------------------------------------

    def _understand(self) -> None:
        about, o = self._file.about, self.options
        self._names = about.names
        self.unknown = tuple(name for name in o.ignore if name not in self._names)
        self._place: Place | None = columns.place(about, o, self._where)
        taken = set(self._place.columns) if self._place else set()
        self._by = columns.named(o.by, self._names, self._where) if o.by else None
        value = columns.named(o.value, self._names, self._where) if o.value else None
        wanted = [
            i for i, name in enumerate(self._names)
            if i not in taken and i != self._by and name not in o.ignore and name not in about.own
            and (value is None or i == value) and about.kinds[i] != "t"
        ]  # fmt: skip
        counted = {i for i in columns.counts(about) if i in wanted and i != value}
        self._wanted = [i for i in wanted if i not in counted] or wanted
        self._counted = sorted(counted - set(self._wanted))
        for _ in range(3):
            with contextlib.suppress(Again):
                facts, evidence = self._pass()
                break
        else:
            raise self._error("it is of no encoding that is known", "write it as UTF-8")
        if not facts.rows:
            raise self._error("there is no row under the header")
        self._facts, self._evidence = facts, evidence
        self._styles = self._style_of(evidence)
        if facts.held is not None and not all(style.plain for style in self._styles.values()):
            facts.held = None
        self._kept = [i for i in self._wanted if self._is_number(i)]
        self.text = tuple(self._names[i] for i in self._wanted if i not in self._kept and evidence[i].cells)
        if not self._kept:
            raise self._error("no column has numbers")
        self._resolve()
        self._check_long()
        self.channels = tuple(self._channel(i) for i in self._kept)
        self._long = None
        if self._by is not None:
            self._long = long.pivot(self, self._by)
            self.channels = self._long.channels
        self.understood = self._words()

    def _style_of(self, evidence: dict[int, Evidence]) -> dict[int, Style]:
        """By column: one for all of a text file, each its own where a program wrote columns."""
        o, separator = self.options, self._file.about.separator
        if separator:
            style = numerals.style(evidence.values(), separator, o.decimal, o.thousands, self._where)
            return dict.fromkeys(self._wanted, style)
        return {
            i: numerals.style([one], "", o.decimal, o.thousands, f"{self._where} {self._names[i]}")
            for i, one in evidence.items()
        }

    def _pass(self) -> tuple[_Facts, dict[int, Evidence]]:
        facts = _Facts()
        evidence = {i: Evidence() for i in self._wanted}
        numbers = 0
        for chunk in self._file.chunks():
            facts.rows += len(chunk)
            facts.lines.append(chunk.lines)
            facts.short += chunk.bad
            if len(chunk):
                self._gather_times(facts, chunk)
            plain: list[tuple[Floats, NDArray[np.bool_] | None] | None] = [None] * len(self._names)
            for i in self._wanted:
                plain[i] = self._gather(facts, evidence[i], i, chunk.columns[i])
            if not facts.first and len(chunk):
                facts.first = {i: _texts(chunk.columns[i]) for i in self._wanted}
            numbers += len(chunk) * len(self._wanted)
            if facts.held is not None:
                if numbers > self._hold:
                    facts.held = None
                else:
                    facts.held.append(_Held(_lean(chunk, plain, self._by) if self._by is None else chunk, plain))
        return facts, evidence

    def _gather(
        self, facts: _Facts, evidence: Evidence, at: int, column: Columns
    ) -> tuple[Floats, NDArray[np.bool_] | None]:
        if isinstance(column, Stamps):
            return column.times.astype(np.float64), None
        if isinstance(column, np.ndarray):
            values = column.astype(np.float64)
            evidence.plain += max(int((~np.isnan(values)).sum()), 1)
            evidence.cells = max(evidence.plain, 1)
            return self._tidied(facts, at, values), None
        values, odd = column.plain()
        count, strange = int((~np.isnan(values)).sum()), np.flatnonzero(odd)
        evidence.plain += count
        evidence.cells += count + len(strange)
        if len(strange):
            evidence.add_odd(text.translate(SPACES) for text in column.texts(strange))
        if count:
            evidence.pointed.update(t for t in column.texts(slice(0, 60)) if "." in t and numerals.PLAIN.fullmatch(t))
        return self._tidied(facts, at, values), (odd if len(strange) else None)

    def _tidied(self, facts: _Facts, at: int, values: Floats) -> Floats:
        """Without what no measurement is; and whether its extremes look like marks for nothing."""
        if not len(values):
            return values
        with np.errstate(invalid="ignore"):
            low, high = float(np.fmin.reduce(values)), float(np.fmax.reduce(values))
            if high >= HUGE or low <= -HUGE:
                huge = np.abs(values) >= HUGE
                facts.huge += int(huge.sum())
                values = np.where(huge, np.nan, values)
            for value in (low, high):
                if _no_measurement(value):
                    facts.lasting[at, value] += int((values == value).sum())
        return values

    def _gather_times(self, facts: _Facts, chunk: Chunk) -> None:
        if self._place is None:
            return
        parts = [chunk.columns[i] for i in self._place.columns]
        first = parts[0]
        if isinstance(first, Stamps):
            facts.stamps.append(first)
            return
        if isinstance(first, np.ndarray) and len(parts) == 1:
            facts.cuts.append(_counted(first))
            return
        cells = _joined(parts, self._place.marks)
        form = self.options.form
        if form and form not in FORMS:
            facts.stamps.append(_written(cells, form))
            bad = ~facts.stamps[-1].good
        else:
            facts.cuts.append(cut(cells))
            bad = facts.cuts[-1].kind == Kind.NONE
        for row in np.flatnonzero(bad)[: max(0, 1000 - len(facts.odd))]:
            facts.odd[int(chunk.lines[row])] = cells[row].decode("utf-8", "replace")

    def _is_number(self, column: int) -> bool:
        evidence = self._evidence[column]
        numbers = evidence.plain + sum(n for t, n in evidence.odd.items() if self._styles[column].read(t) is not None)
        if evidence.logical:
            return True
        return numbers > 0 and numbers >= 0.1 * evidence.cells

    # -- times ---------------------------------------------------------------------------------------------------------

    def _resolve(self) -> None:
        facts = self._facts
        self._good = np.ones(facts.rows, bool)
        self._sequence = Sequence(np.zeros(0, np.int64))
        self._said: tuple[str, ...] = ()
        self._first_times = np.zeros(0, np.int64)
        self._daily = False
        if self._place is None:
            return
        if facts.stamps:
            stamps = np.concatenate([s.times for s in facts.stamps])
            good = np.concatenate([s.good for s in facts.stamps])
            found = Moments(stamps, good)
            if facts.stamps[0].local:
                found = moments.placed(stamps, good, self.options.zone, self._where)
        else:
            example = next(iter(facts.odd.values()), "")
            cuts = Cuts.joined(facts.cuts)
            column = self._file.about.head[self._place.columns[0]] if self._file.about.head else []
            found = moments.resolve(
                cuts, self.options, self._where, column[0] if column else example, unit=self._place.unit
            )
            self._daily = bool((cuts.kind == Kind.DAY).all())
        self._good, self._said = found.good, found.words
        facts.cuts, facts.stamps = [], []
        bad = int((~found.good).sum())
        if bad == facts.rows:
            raise self._error("no row is good", "say how a time is written, `form`, such as %d.%m.%Y %H:%M:%S")
        stamps = found.times[found.good]
        self._stamps = stamps
        some = found.good[: long.LOOK]
        self._first_times = np.where(some, found.times[: long.LOOK], np.arange(len(some)))
        zoned = not any("UTC assumed" in word for word in found.words)
        self._sequence = sequence(stamps, zoned=zoned, spread=self._by is None)
        self._bad = bad + sum(1 for _, why in facts.short if why)
        if self._bad > facts.rows // 2 and self._bad > 20:
            example = next(iter(self._reasons()), "")
            raise self._error(f"{self._bad:,} of {facts.rows:,} rows cannot be read: {example}",
                              "say how a time is written, `form`, or how long the preamble is, `skip`")  # fmt: skip

    def _reasons(self) -> Counter[str]:
        """Of rows that are left out."""
        found: Counter[str] = Counter(why for _, why in self._facts.short if why)
        if self._place is not None:
            lines = np.concatenate(self._facts.lines) if self._facts.lines else np.zeros(0, np.int64)
            for line in lines[~self._good][:5000].tolist():
                found[self._why(line)] += 1
        return found

    def _why(self, line: int) -> str:
        text = self._facts.odd.get(line)
        if text is None:
            return "it has no time" if self.place == "row" else "there is no such time"
        if self._place is not None and text == " ".join(self._names[i] for i in self._place.columns):
            return "the header again"
        return f"{text[:40]!r} is no time" if text else "it has no time"

    def _check_long(self) -> None:
        """Refuses a row for each tag, where nobody said which column names it, and days that are no times of their
        rows. Raises Ambiguous."""
        if self._by is not None or self._place is None or not self._facts.rows:
            return
        tagged = long.tagged(self._names, self._wanted, self._kept, self._facts.first, self._first_times)
        if tagged is not None:
            by, value = (self._names[i] for i in tagged)
            raise Ambiguous("it is a row for each tag", where=self._where, why=f"{by!r} says whose the value is",
                            mend=f"say `by: {by}` and `value: {value}`, or `ignore: {by}`")  # fmt: skip
        if any("UTC assumed" in word for word in self._said):
            moments.refuse_twice(self._stamps, self._where)
        steps = np.diff(self._sequence.times)
        shared = int((steps == 0).sum()) + int((steps % moments.DAY != 0).sum())
        if self._daily and not self.options.time and len(steps) > 5 and shared > 0.2 * len(steps):
            name = self._names[self._place.columns[0]]
            mend = f"name the column of the time of day too, `time: {name} + …`, or say `time: {name}`"
            raise Ambiguous("most rows of a day have one time", where=self._where, why=f"{name!r} is a date alone",
                            mend=mend)  # fmt: skip

    # -- what comes out ------------------------------------------------------------------------------------------------

    def _channel(self, column: int) -> Channel:
        from edgeloop.tables.units import unit_of

        name, about = self._names[column], self._file.about
        if name in about.channels:
            return about.channels[name]
        return Channel(name, unit_of(about.units.get(name, ""), name))

    def _words(self) -> str:
        about, facts = self._file.about, self._facts
        parts = list(about.notes)
        if self._place is not None:
            parts.append("time: " + ", ".join((self._place.words(self._names), *self._said, *self._sequence.words)))
        else:
            parts.append("no time")
        parts.append(f"{len(self.channels)} channel{'s' * (len(self.channels) != 1)}")
        if self._counted:
            parts.append(", ".join(repr(self._names[i]) for i in self._counted) + " numbers the rows: left out")
        if self.text:
            parts.append("no numbers in " + ", ".join(map(repr, self.text[:5])) + (" …" if len(self.text) > 5 else ""))
        styles = {self._styles[i] for i in self._kept if not self._styles[i].plain}
        parts += [style.words() for style in sorted(styles, key=str)]
        words: Counter[str] = Counter()
        stands = [f"{text} is {boolean(text):g}" for text in sorted({
            text for i in self._kept if self._evidence[i].logical for text in self._evidence[i].odd
            if text.lower() not in ("true", "false") and boolean(text) is not None
        })]  # fmt: skip
        parts += [", ".join(stands[:6])] if stands else []
        for i in self._kept:
            for text, n in self._evidence[i].odd.items():
                logical = self._evidence[i].logical and boolean(text) is not None
                if not logical and self._styles[i].read(text) is None and text not in self.options.missing:
                    words[text] += n
        if words:
            shown = ", ".join(repr(w[:20]) for w, _ in words.most_common(3))
            parts.append(f"{words.total():,} cells that are no numbers ({shown}) are missing")
        if facts.huge:
            parts.append(f"{facts.huge:,} cells of {HUGE:g} or more are missing")
        for (i, value), n in facts.lasting.items():
            shown = f"{value:.10g}"
            if i in self._kept and n > 1 and shown not in self.options.missing:
                parts.append(f"{shown} stands {n:,} times in {self._names[i]!r} (`missing: {shown}` if it is none)")
        total = facts.rows + sum(1 for _ in facts.short)
        reasons = self._reasons()
        if reasons:
            shown = ", ".join(f"{why}" + (f" ({n:,})" if n > 1 else "") for why, n in reasons.most_common(3))
            parts.append(f"{reasons.total():,} rows of {total:,} refused: {shown}")
        else:
            parts.append(f"{total:,} rows")
        return "; ".join(parts)

    def blocks(self) -> Iterator[Block]:
        """From the oldest row on. Raises EdgeloopError where reading fails."""
        if self._long is not None:
            yield self._long.block
            return
        parts = self._parts()
        if not self._sequence.turned:
            yield from parts
            return
        every = list(parts)
        yield Block(
            self._sequence.times, np.concatenate([b.values for b in every])[::-1],
            np.concatenate([b.rows for b in every])[::-1], tuple(bad for b in every for bad in b.bad),
        )  # fmt: skip

    def _parts(self) -> Iterator[Block]:
        at = used = 0
        stamps = self._sequence.times[::-1] if self._sequence.turned else self._sequence.times
        for chunk, plain in self._again():
            good = self._good[at : at + len(chunk)]
            at += len(chunk)
            values = np.empty((len(chunk), len(self._kept)))
            for place, i in enumerate(self._kept):
                values[:, place] = self._numbers(i, chunk.columns[i], plain[i])
            bad = [pair for pair in chunk.bad if pair[1]]
            bad += [(int(line), self._why(int(line))) for line in chunk.lines[~good]]
            if not good.all():
                values = values[good]
            n = len(values)
            when = stamps[used : used + n] if self._place is not None else None
            used += n
            yield Block(when, values, chunk.lines[good], tuple(sorted(bad)))

    def _again(self) -> Iterator[tuple[Chunk, list[tuple[Floats, NDArray[np.bool_] | None] | None]]]:
        if self._facts.held is not None:
            yield from ((held.chunk, held.plain) for held in self._facts.held)
        else:
            for chunk in self._file.chunks():
                yield chunk, [None] * len(self._names)

    def _numbers(self, at: int, column: Columns, plain: tuple[Floats, NDArray[np.bool_] | None] | None) -> Floats:
        if isinstance(column, (np.ndarray, Stamps)):
            values = plain[0] if plain else self._gather(_Facts(), Evidence(), at, column)[0]
            return self._without(values)
        evidence = self._evidence[at]
        if not self._styles[at].plain and (evidence.odd or evidence.pointed):
            values, odd = column.styled(self._styles[at])
        elif plain is not None:
            values, mask = plain
            odd = mask if mask is not None else np.zeros(0, bool)
        else:
            values, odd = column.plain()
            values = self._tidied(_Facts(), at, values)
        rows = np.flatnonzero(odd)
        if len(rows) and evidence.logical:
            texts = column.texts(rows)
            known = {text: boolean(text) for text in set(texts)}
            if any(value is not None for value in known.values()):
                values = values.copy()
                values[rows] = [np.nan if known[t] is None else known[t] for t in texts]
        return self._without(values)

    def _without(self, values: Floats) -> Floats:
        for word in self.options.missing:
            try:
                none = float(word)
            except ValueError:
                continue
            values = np.where(values == none, np.nan, values)
        return values

    def _error(self, why: str, mend: str = "give a table with a header and numbers") -> EdgeloopError:
        return EdgeloopError("cannot use the file", where=self._where, why=why, mend=mend)

    def close(self) -> None:
        self._file.close()


def _no_measurement(value: float) -> bool:
    """Whether it is one of those that programs write for nothing: nines, and the ends of integers, scaled or not.

    >>> [_no_measurement(v) for v in (-9999.0, 999.9, 32767.0, -3276.8, 99.0, 1000.0)]
    [True, True, True, True, False, False]
    """
    if value in SENTINELS:
        return True
    digits = f"{abs(value):.10g}".replace(".", "")
    return (len(digits) >= 4 and set(digits) == {"9"}) or (digits in ENDS and "e" not in digits)


def _texts(column: Columns) -> list[str]:
    """Of the first rows."""
    if isinstance(column, Stamps):
        return []
    if isinstance(column, np.ndarray):
        return [f"{v:g}" for v in column[: long.LOOK].tolist()]
    return column.texts(slice(0, long.LOOK))


def _lean(chunk: Chunk, plain: list[tuple[Floats, NDArray[np.bool_] | None] | None], by: int | None) -> Chunk:
    """Without the texts of columns that hold nothing but plain numbers."""
    empty = np.zeros(0)
    kept: list[Columns] = []
    for i, column in enumerate(chunk.columns):
        part = plain[i]
        needed = i == by or (part is not None and part[1] is not None)
        kept.append(column if needed else empty)
    return Chunk(chunk.lines, kept, chunk.bad)


def _counted(values: NDArray[np.generic]) -> Cuts:
    """Numbers that a file has as numbers."""
    found = Cuts.empty(len(values))
    numbers = np.asarray(values)
    if numbers.dtype.kind in "iu":
        whole = numbers.astype(np.int64)
        found.kind[:] = Kind.NUMBER
        found.clock[:] = np.abs(whole)
        found.date[:, 2] = whole < 0
        return found
    floats = numbers.astype(np.float64)
    good = np.isfinite(floats) & (np.abs(floats) < 9e18)
    floats = np.where(good, floats, 0.0)
    found.kind[good] = Kind.NUMBER
    size = np.abs(floats)
    found.clock[:] = size.astype(np.int64)
    found.date[:, 0] = ((size - np.floor(size)) * NS).round().clip(0, NS - 1).astype(np.int32)
    found.date[:, 1] = 9
    found.date[:, 2] = floats < 0
    return found


def _joined(parts: list[Columns], marks: tuple[tuple[str, int], ...]) -> NDArray[np.bytes_]:
    texts = [_encoded(part) for part in parts]
    found = texts[0]
    for (mark, digits), text in zip(marks, texts[1:], strict=True):
        if digits:
            text = np.where(np.char.str_len(text) > 0, np.char.zfill(text, digits), text)
        found = np.char.add(np.char.add(found, mark.encode()), text)
    if len(texts) == 4 and marks[0][0] == "-":
        found = np.char.add(found, b":00")
    return np.char.strip(found) if len(texts) > 1 else found


def _encoded(column: Columns) -> NDArray[np.bytes_]:
    if isinstance(column, Stamps):
        return np.datetime_as_string(column.times.astype("datetime64[ns]")).astype(np.bytes_)
    if isinstance(column, np.ndarray):
        return np.array([f"{v:g}".encode() if np.isfinite(v) else b"" for v in column.tolist()], dtype=np.bytes_)
    return column.encoded()


def _written(cells: NDArray[np.bytes_], form: str) -> Stamps:
    parse = times.written(form)
    known: dict[bytes, int | None] = {}
    found, good = np.zeros(len(cells), np.int64), np.zeros(len(cells), bool)
    for i, cell in enumerate(cells.tolist()):
        if cell not in known:
            try:
                known[cell] = parse(cell.decode("utf-8", "replace"))
            except (ValueError, OverflowError):
                known[cell] = None
        moment = known[cell]
        if moment is not None:
            found[i], good[i] = moment, True
    return Stamps(found, good, local="%z" not in form)
