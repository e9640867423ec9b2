"""How a time is written: texts of one shape are cut at the same places."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from enum import IntEnum
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from edgeloop.clock import NS

MOST = 1000
"""Shapes of one block; further ones are no times."""
LOCAL = 1 << 20
"""Offset of a time that names no zone."""


class Kind(IntEnum):
    """NONE: no time. NUMBER: digits, perhaps with a point. CLOCK: a time of day alone."""

    NONE = 0
    MOMENT = 1
    NUMBER = 2
    CLOCK = 3
    DAY = 4


class Order(IntEnum):
    """What the three numbers of a date can be. FIXED: as they stand they are year, month, day."""

    FIXED = 0
    DOTTED = 1
    LONG = 2
    SHORT_DOTTED = 3
    SHORT = 4


@dataclass(slots=True, eq=False)
class Cuts:
    """Of n texts. date (n, 3): the numbers as they stand; of a NUMBER ns of its fraction, its digits, 1 where it is
    negative. clock: ns of the day; of a NUMBER its whole part. offset: s east of Greenwich, LOCAL: not said."""

    kind: NDArray[np.uint8]
    order: NDArray[np.uint8]
    date: NDArray[np.int32]
    clock: NDArray[np.int64]
    offset: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.kind)

    @classmethod
    def empty(cls, n: int) -> Cuts:
        return cls(
            np.zeros(n, np.uint8), np.zeros(n, np.uint8), np.zeros((n, 3), np.int32), np.zeros(n, np.int64),
            np.full(n, LOCAL, np.int32),
        )  # fmt: skip

    @classmethod
    def joined(cls, parts: list[Cuts]) -> Cuts:
        if not parts:
            return cls.empty(0)
        return cls(
            np.concatenate([p.kind for p in parts]), np.concatenate([p.order for p in parts]),
            np.concatenate([p.date for p in parts]), np.concatenate([p.clock for p in parts]),
            np.concatenate([p.offset for p in parts]),
        )  # fmt: skip


_WORDS = (
    "january january jan januar janvier janv enero ene gennaio gen januari janeiro jän jänner"
    " января январь янв styczeń stycznia sty ocak oca tammikuu led leden ledna",
    "february feb februar février févr fév febrero febbraio febr februari fevereiro fev"
    " февраля февраль фев luty lutego lut şubat şub únor února úno",
    "march mar märz mär mrz mars marzo maart mrt março марта март мар marzec marca mart březen března bře",
    "april apr avril avr abril abr aprile апреля апрель апр kwiecień kwietnia kwi nisan nis duben dubna dub",
    "may mai mayo maggio mag mei maio мая май maja mayıs květen května kvě",
    "june jun juni juin junio giugno giu junho июня июнь июн czerwiec czerwca cze haziran haz červen června",
    "july jul juli juillet juil julio luglio lug julho июля июль июл lipiec lipca lip temmuz tem červenec července",
    "august aug août aoû agosto ago augustus augusti"
    " августа август авг sierpień sierpnia sie ağustos ağu srpen srpna srp",
    "september sep sept septembre septiembre settembre set setembro"
    " сентября сентябрь сен сент wrzesień września wrz eylül eyl září",
    "october oct oktober okt octobre octubre ottobre ott outubro out"
    " октября октябрь окт październik października paź ekim eki říjen října říj",
    "november nov novembre noviembre novembro ноября ноябрь ноя listopad listopada lis kasım kas",
    "december dec dezember dez décembre déc diciembre dic dicembre desember des dezembro"
    " декабря декабрь дек grudzień grudnia gru aralık ara prosinec prosince pro",
)
MONTHS = {word: number for number, words in enumerate(_WORDS, 1) for word in words.split()}
DAYS = frozenset({
    "mon", "monday", "tue", "tues", "tuesday", "wed", "wednesday", "thu", "thur", "thurs", "thursday", "fri",
    "friday", "sat", "saturday", "sun", "sunday", "mo", "di", "mi", "do", "fr", "sa", "so", "montag", "dienstag",
    "mittwoch", "donnerstag", "freitag", "samstag", "sonntag", "sonnabend", "lun", "lundi", "mar", "mardi", "mer",
    "mercredi", "jeu", "jeudi", "ven", "vendredi", "sam", "samedi", "dim", "dimanche", "lunes", "martes", "mié",
    "miércoles", "jue", "jueves", "vie", "viernes", "sáb", "sábado", "dom", "domingo",
})  # fmt: skip
ZONES = {
    "Z": 0, "UTC": 0, "GMT": 0, "UT": 0, "WET": 0, "WEST": 3600, "CET": 3600, "MEZ": 3600, "CEST": 7200, "MESZ": 7200,
    "EET": 7200, "EEST": 10800, "MSK": 10800, "EDT": -14400, "EST": -18000, "CDT": -18000, "MDT": -21600,
    "MST": -25200, "PDT": -25200, "PST": -28800, "JST": 32400,
}  # fmt: skip
"""Names of zones that mean one thing only."""

_GAP = rb"(?:\s|\xc2\xa0|\xe2\x80\xaf)*"
_WORD = rb"[A-Za-z\x80-\xff]{2,24}"
_BEFORE, _AFTER = ("오전", "上午", "午前"), ("오후", "下午", "午後")
_HALVES = "|".join((*_BEFORE, *_AFTER)).encode()
_DAY_TIME = (
    rb"(?:(?P<half>" + _HALVES + rb")" + _GAP + rb")?"
    rb"(?P<H>\d{1,2})(?::(?P<M>\d{2})(?::(?P<S>\d{2})(?:[.,:](?P<f>\d+))?)?|\.(?P<M2>\d{2})\.(?P<S2>\d{2})(?:[.,](?P<f2>\d+))?"
    rb"|h(?P<M3>\d{2})(?:[m:](?P<S3>\d{2})s?)?|-(?P<M4>\d{2})-(?P<S4>\d{2})|(?:"
    + "时|時|시".encode()
    + rb")"
    + _GAP
    + rb"(?P<M5>\d{1,2})(?:"
    + "分|분".encode()
    + rb")(?:"
    + _GAP
    + rb"(?P<S5>\d{1,2})(?:"
    + "秒|초".encode()
    + rb"))?)(?:"
    + _GAP
    + rb"[Uu]hr)?"
    + _GAP
    + rb"(?P<ap>[AaPp]\.?"
    + _GAP
    + rb"[Mm]\.?)?"
)
_PACKED_TIME = rb"(?P<H>\d{2})(?P<M>\d{2})(?:(?P<S>\d{2})(?:[.,]?(?P<f>\d+))?)?(?P<ap>$^)?"
_ZONE = (
    _GAP
    + rb"\(?(?P<z>Z|z|(?:UTC|GMT)?"
    + _GAP
    + rb"[+-]\d{1,2}(?::?\d{2})?(?:"
    + _GAP
    + rb"[A-Z]{3,4})?|[A-Za-z]{2,5})?\)?"
    rb"(?:\[[A-Za-z_/+0-9-]+\]|" + _GAP + rb"\([A-Za-z ]+\))?"
)
_JOIN = rb"(?:T|t|\s-\s|" + _GAP + rb",?" + _GAP + rb"(?<=[\s,\xa0\xaf])|[_:-]|/|(?<=" + "日".encode() + rb"))"
_WEEKDAY = rb"(?:(?P<wd>" + _WORD + rb")(?![A-Za-z\x80-\xff])\.?,?" + _GAP + rb")?"
_DATES = (
    rb"(?P<y>\d{4})(?P<s>[-/._: ])(?P<m>\d{1,2})(?P=s)(?P<d>\d{1,2})",
    rb"(?P<y>\d{4})\. (?P<m>\d{1,2})\. (?P<d>\d{1,2})\.",
    rb"(?P<a>\d{1,2})(?P<s>\.) (?P<b>\d{1,2})\. (?P<c>\d{4})",
    rb"(?P<a>\d{1,2})(?P<s>[-/. ])(?P<b>\d{1,2})(?P=s)(?P<c>\d{4}|\d{2})",
    rb"(?P<y>\d{4})(?:" + "年|년".encode() + rb")" + _GAP + rb"(?P<m>\d{1,2})(?:" + "月|월".encode() + rb")" + _GAP
    + rb"(?P<d>\d{1,2})(?:" + "日|일".encode() + rb")",
    rb"(?P<y>\d{4})[-/. ](?P<mon>" + _WORD + rb")\.?[-/. ](?P<d>\d{1,2})",
    rb"(?P<d>\d{1,2})(?:st|nd|rd|th)?\.?[-/ ]?" + _GAP + rb"(?:de\s)?(?P<mon>" + _WORD + rb")\.?,?[-/ ]?" + _GAP
    + rb"(?:de\s)?(?P<y>\d{4}|\d{2})",
    rb"(?P<mon>" + _WORD + rb")\.?[-/ ]" + _GAP + rb"(?P<d>\d{1,2})(?:st|nd|rd|th)?,?[-/ ]" + _GAP + rb"(?P<y>\d{4})",
    rb"(?P<y>\d{4})(?P<m>\d{2})(?P<d>\d{2})",
)  # fmt: skip
_CTIME = rb"(?P<mon>" + _WORD + rb")" + _GAP + rb"(?P<d>\d{1,2})" + _GAP + _DAY_TIME + _ZONE + rb"\s+(?P<y>\d{4})"
_PACKED = re.compile(rb"(?P<y>\d{4})(?P<m>\d{2})(?P<d>\d{2})" + _PACKED_TIME + rb"(?P<z>$^)?")
_PACKED_DAY = re.compile(_DATES[-1] + rb"(?P<H>$^)?")
_OPEN, _CLOSE = rb"(?:DT#|['\[(])?", rb"['\])]?"
_FORMS = (
    *(
        re.compile(_OPEN + _WEEKDAY + form + _CLOSE)
        for date in _DATES
        for form in (
            date + rb"(?P<H>$^)?", date + _JOIN + _DAY_TIME + _ZONE, date + rb"[T _-]" + _PACKED_TIME + _ZONE,
        )
    ),
    re.compile(_WEEKDAY + _CTIME),
    *(re.compile(_DAY_TIME + rb",?\s+" + date) for date in _DATES[:6]),
)  # fmt: skip
_CLOCK = re.compile(_DAY_TIME)
_NUMBER = re.compile(rb"(?P<sign>[+-])?(?P<w>\d+)(?:[.,](?P<f>\d*))?(?P<e>[eE][+-]?\d+)?")

Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Layout:
    """Where a shape has what: spans of bytes. fixed: what its words and signs say."""

    kind: Kind
    order: Order = Order.FIXED
    date: tuple[Span | int, Span | int, Span | int] = (1, 1, 1)
    clock: tuple[Span | None, Span | None, Span | None, Span | None] = (None, None, None, None)
    half: int = -1
    """0: before noon, 12: after noon, -1: 24 hours."""
    offset: tuple[int, Span | None, Span | None] | None = None
    """Sign (or s, without spans), hours, minutes."""
    negative: bool = False
    exponent: bool = False
    packed: bool = False


@lru_cache(maxsize=4096)
def layout(shape: bytes) -> Layout:
    """Of a text whose digits are all 0.

    >>> layout(b"0000-00-00T00:00:00Z").kind.name, layout(b"00.00.0000 00:00").order.name, layout(b"00:00").kind.name
    ('MOMENT', 'DOTTED', 'CLOCK')
    >>> layout(b"00 Foo 0000").kind.name, layout(b"00 Jan 0000").kind.name
    ('NONE', 'DAY')
    """
    if len(shape) > 80 or b"0" not in shape:
        return Layout(Kind.NONE)
    number = _NUMBER.fullmatch(shape)
    if number:
        whole, fraction = number.span("w"), number.span("f")
        packed = _packed(shape) if len(shape) in (8, 12, 14, 17) and number["sign"] is None else None
        if packed is not None:
            return packed
        if whole[1] - whole[0] > 18 and whole[1] - whole[0] != 19:
            return Layout(Kind.NONE)
        has = number["f"] is not None and fraction[1] > fraction[0]
        return Layout(
            Kind.NUMBER, date=(whole, fraction if has else 0, 0), negative=number["sign"] == b"-",
            exponent=number["e"] is not None,
        )  # fmt: skip
    if _CLOCK.fullmatch(shape):
        match = _CLOCK.fullmatch(shape)
        assert match is not None
        return Layout(Kind.CLOCK, clock=_clock(match), half=_half(match))
    for form in _FORMS:
        match = form.fullmatch(shape)
        found = _moment(match) if match else None
        if found is not None:
            return found
    return Layout(Kind.NONE)


def _packed(shape: bytes) -> Layout | None:
    """Of digits alone: 20240310, 202403102200, 20240310220000(000)."""
    match = (_PACKED if len(shape) > 8 else _PACKED_DAY).fullmatch(shape)
    found = _moment(match) if match else None
    return replace(found, packed=True) if found else None


def _moment(match: re.Match[bytes]) -> Layout | None:
    groups = match.groupdict()
    weekday = groups.get("wd")
    if weekday is not None and _lower(weekday) not in DAYS:
        return None
    order = Order.FIXED
    if "a" in groups:
        long = len(groups["c"]) == 4
        if groups["s"] == b".":
            order = Order.DOTTED if long else Order.SHORT_DOTTED
        else:
            order = Order.LONG if long else Order.SHORT
        date: tuple[Span | int, Span | int, Span | int] = (match.span("a"), match.span("b"), match.span("c"))
    elif "mon" in groups:
        month = MONTHS.get(_lower(groups["mon"]))
        if month is None:
            return None
        date = (match.span("y"), month, match.span("d"))
    else:
        date = (match.span("y"), match.span("m"), match.span("d"))
    if groups.get("H") is None:
        return Layout(Kind.DAY, order, date)
    offset = None
    zone = groups.get("z")
    if zone is not None:
        offset = _offset(zone, match.start("z"))
        if offset is None:
            return None
    return Layout(Kind.MOMENT, order, date, _clock(match), _half(match), offset)


def _clock(match: re.Match[bytes]) -> tuple[Span | None, Span | None, Span | None, Span | None]:
    groups = match.groupdict()

    def span(*names: str) -> Span | None:
        return next((match.span(name) for name in names if groups.get(name) is not None), None)

    return span("H"), span("M", "M2", "M3", "M4", "M5"), span("S", "S2", "S3", "S4", "S5"), span("f", "f2")


def _half(match: re.Match[bytes]) -> int:
    half = match.groupdict().get("half")
    if half is not None:
        return 0 if half.decode() in _BEFORE else 12
    text = match.groupdict().get("ap")
    return -1 if text is None else 12 if text[:1] in b"Pp" else 0


def _offset(zone: bytes, start: int) -> tuple[int, Span | None, Span | None] | None:
    sign = max(zone.find(b"+"), zone.find(b"-"))
    if sign < 0:
        known = ZONES.get(zone.decode("latin-1").upper())
        return None if known is None else (known, None, None)
    digits = [m.span() for m in re.finditer(rb"\d+", zone)]
    first, last = digits[0]
    way = 1 if zone[sign : sign + 1] == b"+" else -1
    if len(digits) > 1:
        return way, (start + first, start + last), (start + digits[1][0], start + digits[1][1])
    if last - first > 2:
        return way, (start + first, start + last - 2), (start + last - 2, start + last)
    return way, (start + first, start + last), None


def _lower(word: bytes) -> str:
    return word.decode("utf-8", "replace").lower()


def cut(texts: NDArray[np.bytes_]) -> Cuts:
    """(n,) UTF-8, without blanks around. What is no time is of kind NONE."""
    n = len(texts)
    found = Cuts.empty(n)
    width = texts.dtype.itemsize
    if not n or not width:
        return found
    cells = np.ascontiguousarray(texts).view(np.uint8).reshape(n, width)
    key = np.where((cells >= 48) & (cells <= 57), np.uint8(48), cells)
    left = np.arange(n)
    for _ in range(MOST):
        shape = key[left[0]]
        same = (key[left] == shape).all(axis=1)
        rows = left if same.all() else left[same]
        _fill(found, rows, cells, texts, layout(shape.tobytes().rstrip(b"\0")))
        left = left[~same]
        if not len(left):
            break
    return found


def _digits(cells: NDArray[np.uint8], span: Span | int | None) -> NDArray[np.int64]:
    if span is None or isinstance(span, int):
        return np.full(len(cells), span or 0, np.int64)
    value = np.zeros(len(cells), np.int64)
    for at in range(*span):
        value = value * 10 + (cells[:, at].astype(np.int64) - 48)
    return value


def _fraction(cells: NDArray[np.uint8], span: Span | None) -> NDArray[np.int64]:
    """ns."""
    if span is None:
        return np.zeros(len(cells), np.int64)
    start, end = span[0], min(span[1], span[0] + 9)
    return _digits(cells, (start, end)) * int(10 ** (9 - (end - start)))


def _fill(
    found: Cuts, rows: NDArray[np.int64], cells: NDArray[np.uint8], texts: NDArray[np.bytes_], layout: Layout
) -> None:
    if layout.kind == Kind.NONE:
        return
    mine = cells if len(rows) == len(cells) else cells[rows]
    found.kind[rows] = layout.kind
    if layout.kind == Kind.NUMBER:
        _number(found, rows, mine, texts, layout)
        return
    found.order[rows] = layout.order
    for i, part in enumerate(layout.date):
        found.date[rows, i] = _digits(mine, part)
    first = layout.date[2 if layout.order else 0]
    if not isinstance(first, int) and first[1] - first[0] == 2:
        column = 2 if layout.order else 0
        if layout.order not in (Order.SHORT, Order.SHORT_DOTTED):
            year = found.date[rows, column]
            found.date[rows, column] = year + np.where(year < 70, 2000, 1900)
    if layout.packed:
        year, month, day = found.date[rows].T
        odd = (year < 1950) | (year > 2100) | (month < 1) | (month > 12) | (day < 1) | (day > 31)
        if odd.any():
            width = max(
                span[1] for span in (*layout.date, *layout.clock) if span is not None and not isinstance(span, int)
            )
            found.date[rows[odd]] = 0
            _number(found, rows[odd], mine[odd], texts, Layout(Kind.NUMBER, date=((0, width), 0, 0)))
            found.kind[rows[odd]] = Kind.NUMBER
            rows, mine = rows[~odd], mine[~odd]
    hour, minute, second, fraction = layout.clock
    hours, minutes, seconds = _digits(mine, hour), _digits(mine, minute), _digits(mine, second)
    good = (hours <= 23) & (minutes <= 59) & (seconds <= 60)
    good |= (hours == 24) & (minutes == 0) & (seconds == 0)
    if layout.half >= 0:
        good &= (hours >= 1) & (hours <= 12)
        hours = hours % 12 + layout.half
    found.clock[rows] = ((hours * 60 + minutes) * 60 + seconds) * NS + _fraction(mine, fraction)
    found.kind[rows[~good]] = Kind.NONE
    if layout.offset is not None:
        way, hour_span, minute_span = layout.offset
        if hour_span is None:
            found.offset[rows] = way
        else:
            found.offset[rows] = way * (_digits(mine, hour_span) * 3600 + _digits(mine, minute_span) * 60)


def _number(
    found: Cuts, rows: NDArray[np.int64], mine: NDArray[np.uint8], texts: NDArray[np.bytes_], layout: Layout
) -> None:
    whole, fraction = layout.date[0], layout.date[1]
    assert not isinstance(whole, int)
    if layout.exponent:
        value = np.abs(np.char.replace(texts[rows], b",", b".").astype(np.float64))
        if not (value < 9e18).all():
            found.kind[rows] = Kind.NONE
            return
        found.clock[rows] = value.astype(np.int64)
        found.date[rows, 0] = ((value % 1) * NS).astype(np.int32)
        found.date[rows, 1] = 9
    else:
        found.clock[rows] = _digits(mine, whole)
        if not isinstance(fraction, int):
            found.date[rows, 0] = _fraction(mine, fraction)
            found.date[rows, 1] = fraction[1] - fraction[0]
    found.date[rows, 2] = layout.negative
