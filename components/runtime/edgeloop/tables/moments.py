"""What the times of a whole table mean: the order of day and month, what numbers count, zones."""

from __future__ import annotations

import zoneinfo
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from edgeloop.clock import NS
from edgeloop.errors import EdgeloopError
from edgeloop.tables.options import FORMS, Options
from edgeloop.tables.shapes import LOCAL, Cuts, Kind, Order

DAY = 86_400 * NS
LEAST, MOST = -(1 << 62), 1 << 62
FEW = 0.01
"""Share of dates that may be impossible."""
FAR = 20 * DAY
"""A step that only a wrong order of day and month makes, where rows come several times a day."""
ORDERS = {
    Order.FIXED: ("ymd",), Order.DOTTED: ("dmy", "mdy"), Order.LONG: ("dmy", "mdy"),
    Order.SHORT_DOTTED: ("dmy", "ymd"), Order.SHORT: ("dmy", "mdy", "ymd"),
}  # fmt: skip
WORDS = {"dmy": "day first", "mdy": "month first", "ymd": "year first"}
EXCEL = 25_569
"""Excel's number of 1970-01-01 (since 1899-12-30)."""
EXCEL_DATES = (29_221, 73_051)
"""1980 to 2100."""
EPOCHS = (("s", 1e8, NS), ("ms", 1e11, 10**6), ("us", 1e14, 10**3), ("ns", 1e17, 1))
LATEST = 4_102_444_800
"""s: 2100."""


class Ambiguous(EdgeloopError):
    """What a table leaves open: the option that decides it is in its words."""


@dataclass(slots=True, eq=False)
class Moments:
    """times (n,) ns UTC, good (n,): where there is one. words: what was understood."""

    times: NDArray[np.int64]
    good: NDArray[np.bool_]
    words: tuple[str, ...] = ()


SCALES = {"ns": 1, "us": 10**3, "ms": 10**6, "s": NS, "min": 60 * NS, "h": 3600 * NS, "d": DAY}


def resolve(cuts: Cuts, options: Options, where: str, example: str = "", unit: str = "") -> Moments:
    """unit: of numbers, as the name of their column says. Raises Ambiguous, naming the option that decides."""
    counts = {kind: int((cuts.kind == kind).sum()) for kind in Kind}
    dated = counts[Kind.MOMENT] + counts[Kind.DAY]
    if options.form in FORMS or counts[Kind.NUMBER] > dated:
        return _numbers(cuts, options, where, unit)
    if counts[Kind.CLOCK] > dated:
        mend = "name the column of the date too, `time: date + time`, or give a `rate`"
        raise Ambiguous("the times have no date", where=where, why=repr(example), mend=mend)
    return _calendar(cuts, options, where)


def placed(times: NDArray[np.int64], good: NDArray[np.bool_], zone: str, where: str) -> Moments:
    """Times of a clock on the wall."""
    times, good = times.copy(), good.copy()
    if not zone:
        return Moments(times, good, ("UTC assumed (`zone`)",))
    rows = np.flatnonzero(good)
    times[rows], exists = _shift(times[rows], zone, where)
    good[rows[~exists]] = False
    return Moments(times, good, (f"zone {zone}",))


# -- dates -------------------------------------------------------------------------------------------------------------


def _calendar(cuts: Cuts, options: Options, where: str) -> Moments:
    dated = (cuts.kind == Kind.MOMENT) | (cuts.kind == Kind.DAY)
    days = np.zeros(len(cuts), np.int64)
    good = dated.copy()
    said: list[str] = []
    for order, candidates in ORDERS.items():
        rows = np.flatnonzero(dated & (cuts.order == order))
        if not len(rows):
            continue
        chosen, word = _choose(cuts, rows, order, candidates, options, where)
        found, valid = _days(cuts.date[rows], chosen, order)
        days[rows] = found
        good[rows] = valid
        if word:
            said.append(word)
    times = days * DAY + cuts.clock
    local = cuts.offset == LOCAL
    told = int((good & ~local).sum())
    if not options.zone and min(told, int(good.sum()) - told) > FEW * len(cuts):
        raise Ambiguous("some times name a zone and some do not", where=where, why=f"{told:,} of {len(cuts):,} do",
                        mend="give the `zone` of the others, such as Europe/Berlin")  # fmt: skip
    times[~local] -= cuts.offset[~local].astype(np.int64) * NS
    mine = good & local
    if mine.any():
        if options.zone:
            shifted, exists = _shift(times[mine], options.zone, where)
            times[mine] = shifted
            good[np.flatnonzero(mine)[~exists]] = False
            said.append(f"zone {options.zone}")
        else:
            said.append("UTC assumed (`zone`)")
    times[~good] = 0
    return Moments(times, good, tuple(said))


def _choose(
    cuts: Cuts, rows: NDArray[np.int64], order: Order, candidates: tuple[str, ...], options: Options, where: str
) -> tuple[str, str]:
    """The order of the three numbers, and what to say of it."""
    if len(candidates) == 1:
        return candidates[0], ""
    if options.dayfirst is not None and order in (Order.LONG, Order.SHORT, Order.DOTTED):
        name = "dmy" if options.dayfirst else "mdy"
        return name, WORDS[name]
    date, clock = cuts.date[rows], cuts.clock[rows]
    found = {name: _days(date, name, order) for name in candidates}
    wrong = {name: int((~valid).sum()) for name, (_, valid) in found.items()}
    possible = [name for name in candidates if wrong[name] <= FEW * len(rows)]
    if not possible:
        odd = {name: _shown(date[int(np.argmin(found[name][1]))], order) for name in candidates}
        raise Ambiguous("the dates are of no one order", where=where,
                        why=" and ".join(f"{text} cannot be {WORDS[name]}" for name, text in odd.items()),
                        mend="repair the file, or give `form`, such as %d/%m/%Y %H:%M:%S")  # fmt: skip
    if order == Order.DOTTED and "dmy" in possible and not _better(found, possible, clock):
        return "dmy", "day first"
    if len(possible) == 1:
        return possible[0], f"{WORDS[possible[0]]} (only so are the dates possible)"
    first = found[possible[0]][0]
    if all((found[name][0] == first).all() for name in possible[1:]):
        return possible[0], ""
    costs = {name: _leaps(found[name][0] * DAY + clock) for name in possible}
    best = min(costs, key=lambda name: costs[name])
    others = [costs[name][0] for name in possible if name != best]
    if costs[best][0] == 0 and min(others) > 0 and costs[best][1] <= DAY // 2:
        return best, f"{WORDS[best]} (only so are the steps even)"
    mend = "say `dayfirst: true` or `dayfirst: false`"
    if order in (Order.SHORT, Order.SHORT_DOTTED):
        mend += ", or give `form`, such as %y-%m-%d %H:%M:%S"
    row = int(np.argmax(np.ptp(np.stack([found[name][0] for name in possible]), axis=0) > 0))
    example = _shown(date[row], order)
    readings = " or ".join(f"{np.datetime64(int(found[name][0][row]), 'D')}" for name in possible)
    raise Ambiguous("the dates may be read in two ways", where=where, why=f"{example} is {readings}", mend=mend)


def _better(
    found: Mapping[str, tuple[NDArray[np.int64], NDArray[np.bool_]]], possible: list[str], clock: NDArray[np.int64]
) -> bool:
    """Whether days first, as is usual with dots, make leaps, and months first make none."""
    if "mdy" not in possible or not _leaps(found["dmy"][0] * DAY + clock)[0]:
        return False
    return _leaps(found["mdy"][0] * DAY + clock)[0] == 0


def _leaps(times: NDArray[np.int64]) -> tuple[int, int]:
    """Steps that are far or go against the others; and the median step in ns."""
    steps = np.diff(times)
    steps = steps[steps != 0]
    if not len(steps):
        return 0, DAY
    way = 1 if (steps > 0).sum() * 2 >= len(steps) else -1
    steps = steps * way
    return int((steps > FAR).sum() + (steps < -DAY).sum()), int(np.median(np.abs(steps)))


def _shown(date: NDArray[np.int32], order: Order) -> str:
    mark = "." if order in (Order.DOTTED, Order.SHORT_DOTTED) else "/"
    return "'" + mark.join(f"{int(number):02d}" for number in date) + "'"


def _days(date: NDArray[np.int32], order: str, kind: Order) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Days since 1970, and which dates there are."""
    at = {letter: date[:, i].astype(np.int64) for i, letter in enumerate(order)}
    year, month, day = at["y"], at["m"], at["d"]
    if kind in (Order.SHORT, Order.SHORT_DOTTED):
        year = year + np.where(year < 70, 2000, 1900)
    valid = (month >= 1) & (month <= 12) & (day >= 1) & (year >= 1) & (year <= 9999)
    months = np.where(valid, (year - 1970) * 12 + month - 1, 0)
    first = months.astype("datetime64[M]").astype("datetime64[D]").astype(np.int64)
    after = (months + 1).astype("datetime64[M]").astype("datetime64[D]").astype(np.int64)
    valid &= day <= after - first
    valid &= (year >= 1700) & (year <= 2250)
    return np.where(valid, first + day - 1, 0), valid


# -- zones -------------------------------------------------------------------------------------------------------------


def known_zone(name: str) -> zoneinfo.ZoneInfo:
    """Raises EdgeloopError."""
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        raise EdgeloopError("no such zone", where=name, mend="an IANA name, such as Europe/Berlin") from None


def _shift(local: NDArray[np.int64], name: str, where: str) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """ns UTC, and which times the clocks of the zone showed at all. An hour that comes twice is told apart by the
    times going back."""
    known_zone(name)
    backwards = len(local) > 1 and (np.diff(local) < 0).mean() > 0.5
    times = local[::-1] if backwards else local
    halves, at = np.unique(times // (1800 * NS), return_inverse=True)
    facts = np.array([_offsets(int(half), name) for half in halves], np.int64).reshape(-1, 3)
    early, late, exists = facts[at].T
    twice = early != late
    offset = early.copy()
    if twice.any():
        rows = np.flatnonzero(twice)
        steps = np.diff(times[rows], prepend=times[rows][0])
        new = np.diff(rows, prepend=rows[0]) > 1
        whole = np.abs(np.diff(times))
        hourly = len(whole) > 0 and float(np.median(whole)) >= 3600 * NS
        back = ((steps < 0) | ((steps == 0) & hourly & (np.arange(len(rows)) > 0))) & ~new
        turned = np.cumsum(back)
        base = np.maximum.accumulate(np.where(new, turned, 0))
        second = turned - base > 0
        offset[rows[second]] = late[rows[second]]
    result = times - offset * NS
    there = exists.astype(bool)
    return (result[::-1], there[::-1]) if backwards else (result, there)


@lru_cache(maxsize=1 << 16)
def _offsets(half: int, name: str) -> tuple[int, int, int]:
    """s at the first and second time that the zone's clocks show a half hour, and whether they do."""
    zone = zoneinfo.ZoneInfo(name)
    moment = datetime(1970, 1, 1) + timedelta(seconds=half * 1800 + 1)
    early, late = (moment.replace(tzinfo=zone, fold=fold) for fold in (0, 1))
    exists = early.astimezone(UTC).astimezone(zone).replace(tzinfo=None) == moment
    first, second = early.utcoffset(), late.utcoffset()
    assert first is not None
    assert second is not None
    return int(first.total_seconds()), int(second.total_seconds()), int(exists)


def refuse_twice(times: NDArray[np.int64], where: str) -> None:
    """Raises Ambiguous where an hour is there twice, as where clocks are put back."""
    steps = np.diff(times)
    moving = steps[steps != 0]
    if len(moving) < 10:
        return
    way = 1 if (moving > 0).sum() * 2 >= len(moving) else -1
    usual = int(np.median(np.abs(moving)))
    odd = np.flatnonzero(steps * way < 0)
    if not 0 < len(odd) <= 40 or usual > 3600 * NS:
        return
    back = -steps[odd] * way
    if (np.abs(back - (3600 * NS - usual)) <= max(2 * usual, NS)).all():
        moment = np.datetime64(int(times[odd[0] + 1]), "ns").astype("datetime64[s]")
        raise Ambiguous("an hour is there twice", where=where, why=f"the times go back by an hour to {moment}",
                        mend="give the `zone` of its clock, such as Europe/Berlin")  # fmt: skip


# -- numbers -----------------------------------------------------------------------------------------------------------


def _numbers(cuts: Cuts, options: Options, where: str, unit: str) -> Moments:
    cuts = _undated(cuts)
    good = cuts.kind == Kind.NUMBER
    if not good.any():
        raise Ambiguous("the times are no numbers", where=where, mend="leave `form` out, or give another")
    whole, part = cuts.clock, cuts.date[:, 0].astype(np.int64)
    sign = np.where(cuts.date[:, 2] != 0, -1, 1)
    form = options.form or _counted(whole[good], part[good], (whole * sign)[good], where, unit)
    digits = int(cuts.date[good, 1].max())
    times = np.zeros(len(cuts), np.int64)
    scale = {name: factor for name, _, factor in EPOCHS} | {"seconds": SCALES[unit or "s"] if not options.form else NS}
    w, p = whole[good] * sign[good], part[good] * sign[good]
    if form in scale:
        if (np.abs(w) > MOST // scale[form]).any():
            raise Ambiguous("the times are out of range", where=where, mend=f"give another `form` than {form}")
        times[good] = w * scale[form] + (p * (scale[form] // NS) if scale[form] >= NS else p * scale[form] // NS)
        start = "seconds" if options.form or unit in ("", "s") else unit
        words = f"{start} from the start" if form == "seconds" else f"{form} since 1970"
        return Moments(times, good, (words,))
    if form in ("filetime", "ticks"):
        base = 116_444_736_000_000_000 if form == "filetime" else 621_355_968_000_000_000
        times[good] = (w - base) * 100
        return Moments(times, good, (f"{form} (100 ns)",))
    if form == "labview":
        times[good] = (w - 2_082_844_800) * NS + p
        return Moments(times, good, ("s since 1904 (LabVIEW)",))
    base, half = {"excel": (EXCEL, 0), "excel1904": (24_107, 0), "matlab": (719_529, 0), "julian": (2_440_587, 1)}[form]
    exact = (w - base) * DAY + p * 86_400 - half * (DAY // 2)
    times[good] = _snapped(exact, digits)
    said = [f"days, as {form.title() if form != 'excel1904' else 'Excel 1904'} counts them"]
    local = good
    if options.zone:
        shifted, exists = _shift(times[local], options.zone, where)
        times[local] = shifted
        good = good.copy()
        good[np.flatnonzero(local)[~exists]] = False
        said.append(f"zone {options.zone}")
    else:
        said.append("UTC assumed (`zone`)")
    return Moments(times, good, tuple(said))


def _undated(cuts: Cuts) -> Cuts:
    """Numbers of eight digits that could be dates, among others: numbers too."""
    dates = (cuts.kind == Kind.DAY) & (cuts.order == Order.FIXED)
    if not dates.any():
        return cuts
    kind, clock, date = cuts.kind.copy(), cuts.clock.copy(), cuts.date.copy()
    year, month, day = (date[dates, i].astype(np.int64) for i in range(3))
    kind[dates], clock[dates], date[dates] = Kind.NUMBER, year * 10_000 + month * 100 + day, 0
    return Cuts(kind, cuts.order, date, clock, cuts.offset)


def _snapped(times: NDArray[np.int64], digits: int) -> NDArray[np.int64]:
    """To the coarsest step that the digits of a number of days allow: 45361.916667 is a whole second."""
    tolerance = 0 if not digits else 100_000 if digits >= 9 else max(DAY // 10**digits * 6 // 10, 20_000)
    for grid in (3600 * NS, 60 * NS, NS, NS // 10, NS // 1000):
        near = (times + grid // 2) // grid * grid
        if (np.abs(near - times) <= tolerance).all():
            return near
    return times


def _counted(
    whole: NDArray[np.int64], part: NDArray[np.int64], signed: NDArray[np.int64], where: str, unit: str
) -> str:
    """What numbers count; `seconds`: from the start, in the unit. Raises Ambiguous."""
    middle = float(np.median(whole))

    def open_(why: str, *forms: str) -> Ambiguous:
        return Ambiguous("the times are numbers of more than one meaning", where=where, why=why,
                         mend=f"say `form: {'` or `form: '.join(forms)}`")  # fmt: skip

    for name, least, scale in reversed(EPOCHS):
        if middle >= least:
            seconds = middle * scale / NS
            if name == "ns" and 1.2e17 <= middle < 1.5e17:
                raise open_(f"{int(middle)}", "filetime", "ns")
            if name == "ns" and 6.2e17 <= middle < 6.6e17:
                raise open_(f"{int(middle)}", "ticks", "ns")
            if name == "s" and 3.4e9 <= middle < 4.1e9:
                raise open_(f"{int(middle)}", "labview", "s")
            if seconds > LATEST:
                raise open_(f"{int(middle)} would be after 2100", "s", "ms", "us", "ns")
            written = _packed_short(whole, part)
            if written:
                raise open_(f"{int(middle)}", f"{written}", name)
            if unit and unit != name:
                if unit not in ("s", "ms", "us", "ns"):
                    return "seconds"
                raise open_(f"{int(middle)} in {unit}", unit, name)
            return name
    if unit and unit != "d":
        return "seconds"
    low, high = EXCEL_DATES
    if int(whole.min()) >= low and int(whole.max()) < high and (signed >= 0).all():
        return _excel(whole, part, where)
    for name, low, high in (("matlab", 719_529, 767_011), ("julian", 2_440_587, 2_488_070)):
        if int(whole.min()) >= low and int(whole.max()) < high and part.any():
            raise open_(f"{int(middle)}", name, "seconds")
    if not part.any() and len(whole) > 2 and int(whole.min()) >= 1900 and int(whole.max()) <= 2100:
        raise open_(f"{int(middle)}", "%Y", "seconds")
    if part.any() and int(whole.max()) == 0 and (signed >= 0).all() and _steps(whole, part) == (True, False):
        raise Ambiguous("the times may be parts of a day, as Excel writes them, or seconds", where=where,
                        why=f"0.{part[len(part) // 2]:09d}", mend="name the column of the date too, "
                        "`time: date + time`, or say `form: excel` or `form: seconds`")  # fmt: skip
    if _clock_digits(signed) and not part.any():
        raise Ambiguous("the times may be hours, minutes and seconds in one number", where=where,
                        why=f"{int(signed[0])}", mend="name the column of the date too, `time: date + time`, or say "
                        "`form: seconds`")  # fmt: skip
    return "seconds"


def _clock_digits(values: NDArray[np.int64]) -> bool:
    """Whether whole numbers are like 81500 for a quarter past eight: none has more than 59 minutes or seconds, and
    they leap where the minutes are full."""
    if len(values) < 3 or int(values.min()) < 0 or int(values.max()) > 235_959 or int(values.max()) < 10_000:
        return False
    minutes, seconds = values // 100 % 100, values % 100
    if int(minutes.max()) > 59 or int(seconds.max()) > 59:
        return False
    steps = np.diff(values)
    return bool(int(values.min()) >= 10_000 or (steps != steps[0]).any())


def _excel(whole: NDArray[np.int64], part: NDArray[np.int64], where: str) -> str:
    """Days as a sheet counts them, or seconds from some start: what their steps say."""
    as_days, as_seconds = _steps(whole, part)
    if as_days and not as_seconds:
        return "excel"
    if as_seconds and not as_days:
        return "seconds"
    raise Ambiguous("the times may be days, as Excel counts them, or seconds", where=where,
                    why=f"{whole[0]}{'' if not part[0] else f'.{part[0]:09d}'.rstrip('0')}",
                    mend="say `form: excel` or `form: seconds`")  # fmt: skip


def _steps(whole: NDArray[np.int64], part: NDArray[np.int64]) -> tuple[bool, bool]:
    """Whether the steps are usual ones if the numbers are days, and if they are seconds."""
    every = np.abs(np.diff(whole * 1e9 + part) / 1e9)
    steps = every[every > 0]
    step = float(np.median(steps)) if len(steps) else 0.0
    several = steps[np.abs(steps - step) < 0.5 * step][:400] if len(steps) else steps
    mean = float(several.mean()) if len(several) else 0.0
    seconds = mean * 86_400
    as_days = seconds > 0.5 and (
        any(_near(seconds, nice) for nice in (1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30))
        or (seconds > 30 and abs(seconds / 60 - round(seconds / 60)) < 0.01 * seconds / 60 and seconds / 60 < 50)
        or (seconds > 3000 and _near(seconds / 600, max(round(seconds / 600), 1)))
    )
    as_seconds = any(_near(mean, b * 10.0**e) for e in range(-5, 5) for b in (1, 2, 2.5, 4, 5)) or mean > 3
    return as_days, as_seconds and not (len(steps) < len(every) and part.any())


def _packed_short(whole: NDArray[np.int64], part: NDArray[np.int64]) -> str:
    """The form of numbers like 2403102200, if all can be times with a year of two digits; else ""."""
    if part.any() or len(whole) < 2:
        return ""
    for form, digits in (("%y%m%d%H%M", 10), ("%y%m%d%H%M%S", 12)):
        if int(whole.min()) < 10 ** (digits - 2) or int(whole.max()) >= 10**digits:
            continue
        rest = whole
        good = np.ones(len(whole), bool)
        for limit in (60, 60, 24)[-(digits - 6) // 2 :]:
            good &= rest % 100 < limit
            rest = rest // 100
        day, month = rest % 100, rest // 100 % 100
        good &= (day >= 1) & (day <= 31) & (month >= 1) & (month <= 12)
        if good.all():
            return form
    return ""


def _near(value: float, nice: float) -> bool:
    return abs(value / nice - 1) < 0.01
