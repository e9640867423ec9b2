"""One recording in the hands of many programs, generated: what comes is right, or refused with what decides it."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgeloop.clock import NS
from edgeloop.errors import EdgeloopError
from edgeloop.tables import Options, Whole, read

Write = Callable[[datetime], str]
N = 120
BEGAN = datetime(2024, 3, 10, 22, tzinfo=UTC)
RNG = np.random.default_rng(5)
VALUES = np.column_stack([RNG.normal(20, 1, N).round(3), RNG.normal(1500, 200, N).round(2)])
MONTHS = {
    "Russian": "янв фев мар апр мая июн июл авг сен окт ноя дек",
    "Polish": "sty lut mar kwi maja cze lip sie wrz paź lis gru",
    "French": "janv. févr. mars avr. mai juin juil. août sept. oct. nov. déc.",
    "German": "Jan Feb Mrz Apr Mai Jun Jul Aug Sep Okt Nov Dez",
}


def f(form: str, hours: float = 0.0) -> Write:
    return lambda t: (t + timedelta(hours=hours)).strftime(form)


def month(language: str) -> Write:
    names = MONTHS[language].split()
    return lambda t: f"{t:%d} {names[t.month - 1]} {t:%Y %H:%M:%S}"


CERTAIN: dict[str, Write] = {
    "blank and ms": lambda t: f"{t:%Y-%m-%d %H:%M:%S}.{t.microsecond // 1000:03d}",
    "comma and ms": lambda t: f'"{t:%Y-%m-%d %H:%M:%S},{t.microsecond // 1000:03d}"',
    "9 digits": f("%Y-%m-%dT%H:%M:%S.%f000Z"),
    "7 digits": f("%Y-%m-%dT%H:%M:%S.%f0+00:00"),
    "+0100": f("%Y-%m-%dT%H:%M:%S+0100", 1),
    "-05": f("%Y-%m-%d %H:%M:%S-05", -5),
    "blank +0200": f("%Y-%m-%d %H:%M:%S +0200", 2),
    "GMT+01:00": f("%d.%m.%Y %H:%M:%S GMT+01:00", 1),
    "UTC-05:00": f("%Y-%m-%d %H:%M:%S UTC-05:00", -5),
    "CET": f("%d.%m.%Y %H:%M:%S CET", 1),
    "(CEST)": f("%d.%m.%Y %H:%M:%S (CEST)", 2),
    "of JavaScript": f("%a %b %d %Y %H:%M:%S GMT+0100 (Central European Standard Time)", 1),
    "of date": f("%a %b %e %H:%M:%S UTC %Y"),
    "of a web server": f("%d/%b/%Y:%H:%M:%S +0000"),
    "of a historian": f("%d-%b-%y %H:%M:%S"),
    "of a database": lambda t: t.strftime("%d-%b-%y %I.%M.%S.%f000 %p").upper(),
    "of a statistician": lambda t: t.strftime("%d%b%Y:%H:%M:%S").upper(),
    "of a PLC": f("DT#%Y-%m-%d-%H:%M:%S"),
    "in brackets": f("[%Y-%m-%d %H:%M:%S]"),
    "in quotes": f("'%Y-%m-%d %H:%M:%S'"),
    "English in full": lambda t: f'"{t:%A, %B %d, %Y %H:%M:%S}"',
    "month, day, year": lambda t: f'"{t:%b} {t.day}, {t.year} {t:%I:%M:%S %p}"',
    "year, month by name": f("%Y-%b-%d %H:%M:%S"),
    "colons": f("%Y:%m:%d %H:%M:%S"),
    "dots, year first": f("%Y.%m.%d %H:%M:%S"),
    "Hungarian": f("%Y. %m. %d. %H:%M:%S"),
    "Czech": lambda t: f"{t.day}. {t.month}. {t.year} {t:%H:%M:%S}",
    "German, short": lambda t: f"{t.day}.{t.month}.{t.year} {t.hour}:{t:%M}:{t:%S}",
    "German, comma": f('"%d.%m.%Y, %H:%M:%S"'),
    "dots in the time": f("%d.%m.%Y %H.%M.%S"),
    "weekday": lambda t: f"{['Mo', 'Di', 'Mi', 'Do', 'Fr', 'Sa', 'So'][t.weekday()]}. {t:%d.%m.%Y %H:%M:%S}",
    "packed": f("%Y%m%d-%H%M%S"),
    "packed, T and part": f("%Y%m%dT%H%M%S.%fZ"),
    "packed date": f("%Y%m%d %H:%M:%S"),
    "packed minutes": f("%Y%m%d%H%M"),
    "Japanese": lambda t: f"{t:%Y/%m/%d }{'午前' if t.hour < 12 else '午後'}{t:%I:%M:%S}",
    "time first": f("%H:%M:%S %d.%m.%Y"),
    "time first, ISO": f("%H:%M:%S %Y-%m-%d"),
    "s and ms": lambda t: f"{t.timestamp():.3f}",
    "ms with a point": lambda t: f"{t.timestamp() * 1000:.1f}",
    **{name: month(name) for name in MONTHS},
}
TWOFOLD: dict[str, tuple[Write, bool]] = {
    "slashes": (f("%d/%m/%Y %H:%M:%S"), True),
    "American": (lambda t: f"{t.month}/{t.day}/{t.year} {t:%I:%M:%S %p}", False),
    "American, small": (lambda t: t.strftime("%m/%d/%Y %I:%M:%S") + t.strftime("%p").lower(), False),
    "two digits": (f("%m/%d/%y %H:%M:%S"), False),
    "dashes": (f("%d-%m-%y %H:%M:%S"), True),
    "French": (f("%d/%m/%Y %Hh%M"), True),
    "Spanish": (lambda t: t.strftime("%d/%m/%Y %I:%M:%S ") + ("a. m." if t.hour < 12 else "p. m."), True),
    "GMT+1": (f("%d/%m/%Y %H:%M:%S GMT+1", 1), True),
    "EST": (f("%m/%d/%Y %I:%M:%S %p EST", -5), False),
    "time first": (f("%H:%M:%S %m/%d/%Y"), False),
}
BARE: dict[str, Write] = {
    "ten digits": f("%y%m%d%H%M"),
    "twelve digits": f("%y%m%d%H%M%S"),
    "weeks": f("%G-W%V-%uT%H:%M:%S"),
    "years": f("%Y"),
    "days of a sheet, too coarse": lambda t: f"{(t - datetime(1899, 12, 30, tzinfo=UTC)) / timedelta(days=1):.2f}",
    "parts of a day": lambda t: f"{(t.hour * 60 + t.minute) / 1440:.6f}",
    "a clock alone": f("%H:%M:%S"),
    "months": f("%Y-%m"),
}
COMMA = lambda v: str(v).replace(".", ",")  # noqa: E731


def grouped(mark: str, decimal: str) -> Callable[[float], str]:
    return lambda v: f"{v:,.3f}".replace(",", "T").replace(".", decimal).replace("T", mark)


NUMBERS: dict[str, Callable[[float], str]] = {
    "points": str, "commas": COMMA, "1,234.5": grouped(",", "."), "1.234,5": grouped(".", ","),
    "1 234,5": grouped(" ", ","), "narrow": grouped("\u202f", ","), "hard": grouped("\xa0", "."),
    "1'234.5": grouped("'", "."), "1’234.5": grouped("’", "."), "signed": lambda v: f"+{v}",
    "exponents": lambda v: f"{v:.10E}", "padded": lambda v: f"{v:>12}", "zeros": lambda v: f"{v:09.3f}",
    "mbar": lambda v: f"{v} mbar",
}  # fmt: skip
TOPS = {
    "none": "", "keys": "Device,Logger 7\nSerial,12345\n", "colons": "Device: Logger 7\nSerial: 12345\n\n",
    "many keys": "".join(f"Key{i},Value {i}\n" for i in range(40)), "comments": "# a\n# b, c\n",
    "semicolons": "; a\n; b, c\n", "percent": "% a\n% b\n", "blank": "\n\n\n", "separators": ",,\nReport,,\n,,\n",
    "logger": '"TOA5","CR1000","1234","CR1000.Std.32","CPU:prog.CR1","1","Table1"\n',
    "numbers": "Serial,12345,7\nFirmware,1.2,3\n", "times": "Start,2024-03-10 22:00:00,x\nEnd,2024-03-11 22:00:00,x\n",
    "gains": "Channel,1,2\nGain,10,20\nOffset,0.5,0.1\n", "one word": "Export\n",
    "XML": '<?xml version="1.0"?>\n<log>\n', "a row of titles": "Zone,Zone A,Zone B\n",
}  # fmt: skip
ENDS = {
    "none": "", "blank": "\n\n", "total": "Total,12,13\n", "words": "End of file\n", "cut off": "2024-03-12 03:0",
    "zeros": "\0" * 64, "comment": "# end\n", "sums": "Average,20.1,1500.2\nMin,10,900\n", "again": "time,temp,press\n",
}  # fmt: skip


def written(
    path: Path, stamp: Write, *, began: datetime = BEGAN, step: timedelta = timedelta(minutes=17), separator: str = ",",
    number: Callable[[float], str] = str, top: str = "", end: str = "", encoding: str = "utf-8", eol: str = "\n",
    header: str = "time,temp,press",
) -> list[datetime]:  # fmt: skip
    times = [began + i * step for i in range(N)]
    cells = [[stamp(t), *map(number, row)] for t, row in zip(times, VALUES.tolist(), strict=True)]
    quoted = [[f'"{c}"' if separator in c and not c.startswith('"') else c for c in row] for row in cells]
    lines = [*header.replace(",", separator).split("\n"), *(separator.join(row) for row in quoted)]
    text = top.replace(",", separator) + "\n".join(lines) + "\n" + end.replace(",", separator)
    path.write_bytes(text.replace("\n", eol).encode(encoding))
    return times


def outcome(path: Path, options: Options | None = None) -> Whole | str:
    try:
        return read(path, options)
    except EdgeloopError as error:
        line = str(error)
        assert "\n" not in line
        assert str(path) in line
        return line


def is_right(found: Whole, times: Sequence[datetime]) -> None:
    assert found.times is not None
    assert found.times.tolist() == [int(t.timestamp()) * NS + t.microsecond * 1000 for t in times], found.understood
    np.testing.assert_allclose(found.values, VALUES, rtol=1e-12)
    assert [c.name for c in found.channels] == ["temp", "press"], found.understood


@pytest.mark.parametrize("name", CERTAIN)
def test_a_time_that_means_one_thing_is_read(tmp_path: Path, name: str) -> None:
    for began in (BEGAN, datetime(1999, 12, 31, 23, 43, tzinfo=UTC)):
        times = written(tmp_path / "a.csv", CERTAIN[name], began=began)
        found = outcome(tmp_path / "a.csv")
        assert not isinstance(found, str), found
        is_right(found, times)


@pytest.mark.parametrize("name", TWOFOLD)
def test_an_order_that_may_be_two_is_found_by_the_dates_or_asked_for(tmp_path: Path, name: str) -> None:
    path = tmp_path / "a.csv"
    write, first = TWOFOLD[name]
    times = written(path, write, step=timedelta(hours=6))
    found = outcome(path)
    assert not isinstance(found, str), found
    is_right(found, times)
    times = written(path, write, began=datetime(2024, 2, 3, 9, tzinfo=UTC), step=timedelta(minutes=1))
    asked = outcome(path)
    assert isinstance(asked, str), asked.understood
    assert "`dayfirst" in asked
    is_right(read(path, Options(dayfirst=first)), times)


@pytest.mark.parametrize("name", BARE)
def test_a_bare_number_or_clock_is_asked_for(tmp_path: Path, name: str) -> None:
    step = timedelta(days=366) if name == "years" else timedelta(days=31) if name == "months" else timedelta(minutes=10)
    began = datetime(1950, 1, 1, 1, tzinfo=UTC) if name in ("years", "months") else BEGAN
    written(tmp_path / "a.csv", BARE[name], began=began, step=step)
    asked = outcome(tmp_path / "a.csv")
    assert isinstance(asked, str), asked.understood
    assert re.search(r"`form|`time|`rate", asked), asked


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    stamp=st.sampled_from(sorted(CERTAIN)), separator=st.sampled_from([",", ";", "\t", "|"]),
    number=st.sampled_from(sorted(NUMBERS)), top=st.sampled_from(sorted(TOPS)), end=st.sampled_from(sorted(ENDS)),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-le"]), eol=st.sampled_from(["\n", "\r\n"]),
)  # fmt: skip
def test_any_mixture_is_right_or_refused(
    tmp_path: Path, stamp: str, separator: str, number: str, top: str, end: str, encoding: str, eol: str
) -> None:
    path = tmp_path / "a.csv"
    times = written(path, CERTAIN[stamp], separator=separator, number=NUMBERS[number], top=TOPS[top], end=ENDS[end],
                    encoding=encoding, eol=eol)  # fmt: skip
    found = outcome(path)
    if isinstance(found, str):
        assert re.search(r"`\w+", found), found
        return
    assert found.times is not None
    wanted = [int(t.timestamp()) * NS + t.microsecond * 1000 for t in times]
    assert found.times[:N].tolist() == wanted, found.understood
    assert len(found.times) <= N + 1
    np.testing.assert_allclose(found.values[:N], VALUES, rtol=1e-12, err_msg=found.understood)
    assert [c.name for c in found.channels] == ["temp", "press"], found.understood


def clocked(i: int) -> datetime:
    return BEGAN + timedelta(milliseconds=250 * i)


def per_minute(i: int) -> datetime:
    return BEGAN + timedelta(minutes=i)


COLUMNS: dict[str, tuple[str, Callable[[int], str], Callable[[int], datetime]]] = {
    "two numbers": ("date,time", lambda i: f"{per_minute(i):%Y%m%d,%H%M%S}", per_minute),
    "two numbers, no zeros": (
        "date,time", lambda i: f"{per_minute(i):%Y%m%d},{int(per_minute(i).strftime('%H%M%S'))}", per_minute,
    ),
    "hours and minutes": (
        "DATE,TIME", lambda i: f"{per_minute(i):%Y-%m-%d},{int(per_minute(i).strftime('%H%M'))}", per_minute,
    ),
    "ms beside it": ("date,time,ms", lambda i: f"{clocked(i):%Y-%m-%d,%H:%M:%S},{250 * i % 1000}", clocked),
    "ms behind it": ("datetime,msec", lambda i: f"{clocked(i):%Y-%m-%d %H:%M:%S},{250 * i % 1000}", clocked),
    "halves beside it": ("Date,Time,AM/PM", lambda i: f"{per_minute(i):%d.%m.%Y,%I:%M:%S,%p}", per_minute),
    "parts": ("YY,MM,DD,hh,mm", lambda i: f"{per_minute(i):%Y,%m,%d,%H,%M}", per_minute),
    "days first in parts": ("day,month,year,hour,minute", lambda i: f"{per_minute(i):%d,%m,%Y,%H,%M}", per_minute),
    "rows counted": (",time", lambda i: f"{i},{per_minute(i):%Y-%m-%d %H:%M:%S}", per_minute),
    "records": ("TIMESTAMP,RECORD", lambda i: f"{per_minute(i):%Y-%m-%d %H:%M:%S},{i + 900}", per_minute),
}  # fmt: skip


@pytest.mark.parametrize("name", COLUMNS)
def test_a_time_in_columns_is_joined(tmp_path: Path, name: str) -> None:
    header, stamp, when = COLUMNS[name]
    lines = [f"{header},temp,press", *(f"{stamp(i)},{a},{b}" for i, (a, b) in enumerate(VALUES.tolist()))]
    (tmp_path / "a.csv").write_text("\n".join(lines))
    found = outcome(tmp_path / "a.csv")
    assert not isinstance(found, str), found
    is_right(found, [when(i) for i in range(N)])


@pytest.mark.parametrize(
    ("name", "ns"),
    [("Time (ms)", 10**6), ("time_us", 10**3), ("Time (min)", 60 * NS), ("Elapsed time [h]", 3600 * NS), ("t/s", NS),
     ("Time [s]", NS), ("time", NS)],
)  # fmt: skip
def test_what_a_name_says_of_its_numbers_is_heard(tmp_path: Path, name: str, ns: int) -> None:
    (tmp_path / "a.csv").write_text(f"{name},a\n" + "\n".join(f"{i * 5 / 10},{i}" for i in range(50)))
    found = read(tmp_path / "a.csv")
    assert found.times is not None
    assert found.times.tolist() == [i * ns // 2 for i in range(50)]


@pytest.mark.parametrize(
    ("text", "option"),
    [
        ("date,a\n" + "".join(f"2024-03-10,{i}\n" for i in range(50)), "`time: date"),
        ("date,moment,a\n" + "".join(f"2024-03-10,{i / 1440:.6f},{i}\n" for i in range(50)), "`time: date"),
        ("time,a\n" + "".join(f"2024-03-10 22:{i:02d}:00{'Z' * (i % 2)},{i}\n" for i in range(50)), "`zone`"),
        ("time,a,time,b\n" + "".join(f"2024-03-10 22:{i:02d},{i},2024-03-10 22:{i:02d}:30,{i}\n" for i in range(50)),
         "`ignore: time_2`"),
        ("time," + ",".join(f"2024-03-10 22:{i:02d}" for i in range(20)) + "\na," + ",".join("1" * 20), "`skip`"),
        ("time_ms,a\n" + "".join(f"{1_710_108_000 + i},{i}\n" for i in range(50)), "`form: ms`"),
        ("when a,b\n" + "".join(f"2024-03-10T22:{i:02d}:00Z,{i},{i}\n" for i in range(50)), "`skip`"),
    ],
)  # fmt: skip
def test_what_could_be_two_things_is_asked_for(tmp_path: Path, text: str, option: str) -> None:
    (tmp_path / "a.csv").write_text(text)
    asked = outcome(tmp_path / "a.csv")
    assert isinstance(asked, str), asked.understood
    assert option in asked


def test_a_date_and_a_time_under_one_name(tmp_path: Path) -> None:
    times = written(tmp_path / "a.csv", f("%Y-%m-%d %H:%M:%S"), separator=" ")
    text = (tmp_path / "a.csv").read_text().replace('"', "")
    (tmp_path / "a.csv").write_text(text)
    found = outcome(tmp_path / "a.csv")
    assert not isinstance(found, str), found
    is_right(found, times)


@pytest.mark.parametrize("word", ["-9999", "999.9", "32767", "-3276.8", "999999", "6553.5", "-999.25", "4294967295"])
def test_a_mark_for_nothing_is_told_and_left_out_where_it_is_said(tmp_path: Path, word: str) -> None:
    rows = (f"{BEGAN + timedelta(minutes=i):%Y-%m-%d %H:%M},{word if i % 9 == 4 else 20 + i / 100}" for i in range(N))
    (tmp_path / "a.csv").write_text("time,a\n" + "\n".join(rows))
    found = read(tmp_path / "a.csv")
    assert f"(`missing: {word}` if it is none)" in found.understood
    told = re.search(r"`missing: (\S+)`", found.understood)
    assert told is not None
    left = read(tmp_path / "a.csv", Options(missing={told[1]}))
    assert int(np.isnan(left.values).sum()) == len(range(4, N, 9))


VENDORS: dict[str, tuple[str, Callable[[int, str, int], str], str, str]] = {
    "Influx": (",result,table,_time,_value,_field,_measurement",
               lambda i, t, k: f",,{k},{per_minute(i):%Y-%m-%dT%H:%M:%SZ},{i + k * 1000},{t},m", "_field", "_value"),
    "WinCC": ('"VarName";"TimeString";"VarValue";"Validity";"Time_ms"',
              lambda i, t, k: f'"{t}";"{per_minute(i):%d.%m.%Y %H:%M:%S}";"{i + k * 1000},0";1;45361916{i:03d}',
              "VarName", "VarValue"),
    "historian": ("Tag,Timestamp,Value", lambda i, t, k: f"{t},{per_minute(i):%d-%b-%y %H:%M:%S},{i + k * 1000}",
                  "Tag", "Value"),
    "logger": ("ItemID,Value,Quality,Timestamp",
               lambda i, t, k: f"{t},{i + k * 1000},Good,{per_minute(i):%Y-%m-%d %H:%M:%S}", "ItemID", "Value"),
    "German": ("Zeitstempel;Messstelle;Wert;Einheit",
               lambda i, t, k: f"{per_minute(i):%d.%m.%Y %H:%M:%S};{t};{i + k * 1000},0;bar", "Messstelle", "Wert"),
    "home": ("entity_id,state,last_changed",
             lambda i, t, k: f"{t},{i + k * 1000},{per_minute(i):%Y-%m-%dT%H:%M:%S.000Z}", "entity_id", "state"),
    "numbered": ("tagid,floatvalue,dataintegrity,t_stamp",
                 lambda i, t, k: f"{k + 1},{i + k * 1000},192,{int(per_minute(i).timestamp()) * 1000}",
                 "tagid", "floatvalue"),
}  # fmt: skip


@pytest.mark.parametrize("vendor", VENDORS)
@pytest.mark.parametrize("order", ["times", "tags"])
def test_a_row_for_each_tag_of_any_vendor(tmp_path: Path, vendor: str, order: str) -> None:
    header, row, by, value = VENDORS[vendor]
    tags = ("temp", "press", "flow")
    pairs = [(i, k) for i in range(60) for k in range(3)]
    if order == "tags":
        pairs.sort(key=lambda pair: pair[1])
    (tmp_path / "a.csv").write_text("\n".join([header, *(row(i, tags[k], k) for i, k in pairs)]))
    asked = outcome(tmp_path / "a.csv")
    assert isinstance(asked, str), asked.understood
    assert f"`by: {by}` and `value: {value}`" in asked
    found = read(tmp_path / "a.csv", Options(by=by, value=value))
    assert found.times is not None
    assert found.times.tolist() == [int(per_minute(i).timestamp()) * NS for i in range(60)]
    assert found.values.tolist() == [[i, i + 1000, i + 2000] for i in range(60)]
    assert {c.unit for c in found.channels} == ({"bar"} if vendor == "German" else {"1"})


def test_a_tag_with_two_values_at_one_time_is_told(tmp_path: Path) -> None:
    rows = [f"{per_minute(i // 2):%Y-%m-%d %H:%M},{'ab'[i % 2]},{i}" for i in range(50)]
    (tmp_path / "a.csv").write_text("\n".join(["time,tag,value", *rows, f"{per_minute(3):%Y-%m-%d %H:%M},a,777"]))
    found = read(tmp_path / "a.csv", Options(by="tag"))
    assert found.values[3].tolist() == [777, 7]
    assert "1 times a tag has two values at one time" in found.understood


@pytest.mark.parametrize(
    ("encoding", "header", "names"),
    [("cp1251", "Время,Темп,Давление", ["Темп", "Давление"]), ("cp1252", "Zeit,Öl °C,Drück", ["Öl °C", "Drück"]),
     ("gb18030", "时间,温度,压力", None), ("shift_jis", "時刻,温度,圧力", None), ("euc-kr", "시간,온도,압력", None)],
)  # fmt: skip
def test_names_in_an_old_encoding_are_right_or_doubt_is_told(
    tmp_path: Path, encoding: str, header: str, names: list[str] | None
) -> None:
    written(tmp_path / "a.csv", f("%Y-%m-%d %H:%M:%S"), header=header, encoding=encoding)
    found = read(tmp_path / "a.csv")
    np.testing.assert_allclose(found.values, VALUES)
    if names is None:
        assert "unknown encoding" in found.understood
    else:
        assert [c.name for c in found.channels] == names


@pytest.mark.parametrize("text", ["１２", "٣", "Ⅷ", "1_000", "0x1F", "<0.1", ">100", "21.5*", "±3", "1/2", "12:30"])
def test_what_only_looks_like_a_number_is_missing(tmp_path: Path, text: str) -> None:
    rows = (f"{per_minute(i):%Y-%m-%d %H:%M},{text if i == 7 else i}" for i in range(N))
    (tmp_path / "a.csv").write_text("time,a\n" + "\n".join(rows))
    found = read(tmp_path / "a.csv")
    assert np.flatnonzero(np.isnan(found.values[:, 0])).tolist() == [7]
    assert "1 cells that are no numbers" in found.understood


def test_dates_and_times_of_parquet(tmp_path: Path) -> None:
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    path, n = tmp_path / "a.parquet", 60
    stamps = [int(per_minute(i).timestamp()) for i in range(n)]
    day, values = [BEGAN.date()] * n, [float(i) for i in range(n)]
    clocks = [per_minute(i).time() for i in range(n)]

    def said(**columns: object) -> Whole | str:
        pq.write_table(pa.table(columns), path)
        return outcome(path)

    for clock in (clocks, [f"{c:%H:%M:%S}" for c in clocks]):
        found = said(date=day, time=clock, a=values)
        assert not isinstance(found, str), found
        assert found.times is not None
        assert found.times.tolist() == [s * NS for s in stamps]
    alone = said(date=day, a=values)
    assert isinstance(alone, str)
    assert "`time: date" in alone
    exact = said(ts=[s * NS + 7 for s in stamps], a=values)
    assert not isinstance(exact, str), exact
    assert exact.times is not None
    assert exact.times.tolist() == [s * NS + 7 for s in stamps]
    far = [datetime(9999, 12, 31) if i == 5 else per_minute(i).replace(tzinfo=None) for i in range(n)]
    found = said(time=pa.array(far, pa.timestamp("us")), a=values)
    assert not isinstance(found, str), found
    assert found.values[:, 0].tolist() == [i for i in range(n) if i != 5]
    assert "1 rows of 60 refused" in found.understood


def test_what_counts_is_left_out_beside_others_alone(tmp_path: Path) -> None:
    rows = [f"{per_minute(i):%Y-%m-%d %H:%M},{i}" for i in range(N)]
    (tmp_path / "a.csv").write_text("\n".join(["time,sample", *rows]))
    assert [c.name for c in read(tmp_path / "a.csv").channels] == ["sample"]
    more = [f"{row},{20 + i % 3}" for i, row in enumerate(rows)]
    (tmp_path / "a.csv").write_text("\n".join(["time,sample,temp", *more]))
    found = read(tmp_path / "a.csv")
    assert [c.name for c in found.channels] == ["temp"]
    assert "'sample' numbers the rows: left out" in found.understood
