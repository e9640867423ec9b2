"""One recording, written as many programs write it."""

from __future__ import annotations

import gzip
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from edgeloop.clock import NS
from edgeloop.errors import EdgeloopError
from edgeloop.tables import Options, Whole, read
from edgeloop.tables.cells import Listed
from edgeloop.tables.numerals import Style
from edgeloop.tables.text import TextFile

BEGAN = datetime(2024, 3, 10, 22, tzinfo=UTC)
ROWS = 300
STEP = timedelta(minutes=17)
RNG = np.random.default_rng(1)
VALUES = np.column_stack([RNG.normal(20, 1, ROWS).round(3), RNG.normal(1500, 200, ROWS).round(2)])
TIMES = [BEGAN + i * STEP for i in range(ROWS)]
MONTHS = ["Jan", "Feb", "März", "Apr", "Mai", "Juni", "Juli", "Aug", "Sept", "Okt", "Nov", "Dez"]


def table(
    path: Path, stamp: Callable[[datetime], str], *, separator: str = ",", number: Callable[[float], str] = str,
    header: str = "time,temp,press", top: str = "", encoding: str = "utf-8", end: str = "",
) -> Path:  # fmt: skip
    lines = [header.replace(",", separator)]
    lines += [
        separator.join((stamp(t), *map(number, row))) + end for t, row in zip(TIMES, VALUES.tolist(), strict=True)
    ]
    path.write_bytes((top + "\n".join(lines) + "\n").encode(encoding))
    return path


def is_whole(found: Whole, *, step: timedelta = STEP) -> None:
    assert found.times is not None
    assert found.times[0] == int(BEGAN.timestamp()) * NS
    assert (np.diff(found.times) == int(step.total_seconds() * 1e9)).all()
    np.testing.assert_allclose(found.values[:, :2], VALUES, rtol=1e-12)
    assert not found.bad


def comma(value: float) -> str:
    return str(value).replace(".", ",")


def german(value: float) -> str:
    return f"{value:,.3f}".translate(str.maketrans(",.", ".,"))


def excel(time: datetime) -> str:
    return f"{(time - datetime(1899, 12, 30, tzinfo=UTC)) / timedelta(days=1):.6f}"


STAMPS: dict[str, Callable[[datetime], str]] = {
    "T and Z": lambda t: t.strftime("%Y-%m-%dT%H:%M:%SZ"),
    "UTC behind": lambda t: t.strftime("%Y-%m-%d %H:%M:%S UTC"),
    "offset": lambda t: (t + timedelta(hours=5, minutes=30)).strftime("%Y-%m-%d %H:%M:%S+05:30"),
    "American": lambda t: f"{t.month}/{t.day}/{t.year} {t.strftime('%I:%M:%S %p')}",
    "a.m.": lambda t: t.strftime("%Y-%m-%d %I:%M:%S ") + ("a. m." if t.hour < 12 else "p. m."),
    "narrow blank": lambda t: t.strftime("%m/%d/%Y %I:%M:%S\u202f%p"),
    "two-digit year": lambda t: t.strftime("%d.%m.%y %H:%M:%S"),
    "two-digit year first": lambda t: t.strftime("%y-%m-%d %H:%M:%S"),
    "ms behind a colon": lambda t: t.strftime("%d.%m.%Y %H:%M:%S:000"),
    "named month": lambda t: t.strftime("%d-%b-%Y %H:%M"),
    "German month": lambda t: f"{t.day}. {MONTHS[t.month - 1]} {t.year} {t:%H:%M}",
    "of C": lambda t: t.strftime("%a %b %d %H:%M:%S %Y"),
    "of mails": lambda t: t.strftime("%a, %d %b %Y %H:%M:%S GMT"),
    "Java": lambda t: (t + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%S+01:00[Europe/Berlin]"),
    "packed": lambda t: t.strftime("%Y%m%d%H%M%S"),
    "packed T": lambda t: t.strftime("%Y%m%dT%H%M%SZ"),
    "s": lambda t: str(int(t.timestamp())),
    "ms": lambda t: str(int(t.timestamp()) * 1000),
    "us": lambda t: str(int(t.timestamp()) * 10**6),
    "ns": lambda t: str(int(t.timestamp()) * 10**9),
    "s with a point": lambda t: f"{t.timestamp():.3f}",
    "slashes, day first": lambda t: t.strftime("%d/%m/%Y %H:%M:%S"),
    "no seconds": lambda t: t.strftime("%Y/%m/%d %H:%M"),
    "dashes": lambda t: t.strftime("%Y-%m-%d_%H-%M-%S"),
    "Uhr": lambda t: t.strftime("%d.%m.%Y %H:%M Uhr"),
    "named in full": lambda t: '"' + t.strftime("%B %d, %Y %I:%M:%S %p") + '"',
    "Chinese": lambda t: t.strftime("%Y年%m月%d日 %H时%M分%S秒"),
    "Japanese": lambda t: t.strftime("%Y年%m月%d日 %H:%M:%S"),
    "Korean": lambda t: t.strftime("%Y-%m-%d ") + ("오전" if t.hour < 12 else "오후") + t.strftime(" %I:%M:%S"),
}  # fmt: skip


@pytest.mark.parametrize("name", STAMPS)
def test_times(tmp_path: Path, name: str) -> None:
    is_whole(read(table(tmp_path / "a.csv", STAMPS[name])))


@pytest.mark.parametrize(
    ("separator", "number"),
    [(";", comma), (";", german), ("\t", str), ("|", str),
     (";", lambda v: f"{v:,.3f}".replace(",", " ").replace(".", ",")),
     (";", lambda v: f"{v:,.3f}".replace(",", "'")), (",", lambda v: f'"{v:,.3f}"'), ("\t", german)],
)  # fmt: skip
def test_numbers(tmp_path: Path, separator: str, number: Callable[[float], str]) -> None:
    is_whole(
        read(table(tmp_path / "a.csv", lambda t: t.strftime("%Y-%m-%d %H:%M:%S"), separator=separator, number=number))
    )


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252"])
def test_encodings(tmp_path: Path, encoding: str) -> None:
    path = table(tmp_path / "a.csv", STAMPS["T and Z"], header="Zeit,Temp °C,Druck", encoding=encoding)
    found = read(path)
    is_whole(found)
    assert [c.name for c in found.channels] == ["Temp °C", "Druck"]


@pytest.mark.parametrize(
    ("top", "end"),
    [
        ("sep=;\n", ""),
        ("Logger 7\nSerial;12\n\n", ""),
        ("# made by a program\n# version 3\n", ""),
        ("", ";"),
        ('"Plant 1"\n\n', ";"),
    ],
)
def test_what_stands_around(tmp_path: Path, top: str, end: str) -> None:
    is_whole(read(table(tmp_path / "a.csv", STAMPS["T and Z"], separator=";", number=comma, top=top, end=end)))


@pytest.mark.parametrize(
    ("number", "unit"),
    [(lambda v: f'"=""{v}"""', ""), (lambda v: f"{v} bar", "bar"), (lambda v: f"{v}%", "%"),
     (lambda v: f"\u2212{v}", "-"), (lambda v: f"{v}-", "-")],
)  # fmt: skip
def test_what_stands_around_numbers(tmp_path: Path, number: Callable[[float], str], unit: str) -> None:
    found = read(table(tmp_path / "a.csv", STAMPS["T and Z"], number=number))
    np.testing.assert_allclose(found.values, -VALUES if unit == "-" else VALUES)
    assert {c.unit for c in found.channels} == {unit if unit not in ("", "-") else "1"}


def test_a_packed_file_and_one_of_another_encoding(tmp_path: Path) -> None:
    path = table(tmp_path / "a.csv", STAMPS["T and Z"], header="時刻,温度,圧力", encoding="shift_jis")
    found = read(path)
    is_whole(found)
    assert "unknown encoding" in found.understood
    path.write_bytes(gzip.compress(table(path, STAMPS["T and Z"]).read_bytes()))
    is_whole(read(path))


def test_yes_and_no_are_numbers_and_false_among_numbers_is_none(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    lines = [f"{t:%Y-%m-%d %H:%M:%S},{'on' if i % 3 else 'off'},{'FALSE' if i % 50 == 9 else i}"
             for i, t in enumerate(TIMES)]  # fmt: skip
    path.write_text("\n".join(["time,run,a", *lines]))
    found = read(path)
    assert found.values[:, 0].sum() == ROWS * 2 // 3
    assert np.flatnonzero(np.isnan(found.values[:, 1])).tolist() == list(range(9, ROWS, 50))
    assert "off is 0, on is 1" in found.understood


def test_an_hour_of_hourly_rows_that_comes_twice(tmp_path: Path) -> None:
    from zoneinfo import ZoneInfo

    moments = [datetime(2024, 11, 2, 20, tzinfo=UTC) + timedelta(hours=i) for i in range(60)]
    path = tmp_path / "a.csv"
    zone = ZoneInfo("America/New_York")
    path.write_text("time,a\n" + "\n".join(f"{t.astimezone(zone):%Y-%m-%d %H:%M},{i}" for i, t in enumerate(moments)))
    found = read(path, Options(zone="America/New_York"))
    assert found.times is not None
    assert found.times.tolist() == [int(t.timestamp()) * NS for t in moments]


def test_a_row_of_units_and_units_behind_names(tmp_path: Path) -> None:
    path = table(tmp_path / "a.csv", STAMPS["T and Z"], header="time,temp,press\ns,°C,bar")
    found = read(path)
    is_whole(found)
    assert [c.unit for c in found.channels] == ["Cel", "bar"]
    found = read(table(tmp_path / "b.csv", STAMPS["T and Z"], header="Zeit,Temp [°C],Druck (mbar)"))
    assert [c.unit for c in found.channels] == ["Cel", "mbar"]


def test_days_of_a_sheet(tmp_path: Path) -> None:
    lines = [f"{excel(BEGAN + timedelta(minutes=i))},{i}" for i in range(200)]
    path = tmp_path / "a.csv"
    path.write_text("time,a\n" + "\n".join(lines))
    found = read(path)
    assert found.times is not None
    assert found.times[0] == int(BEGAN.timestamp()) * NS
    assert set(np.diff(found.times)) == {60 * NS}


def test_date_and_time_in_two_columns_and_in_parts(tmp_path: Path) -> None:
    path = table(tmp_path / "a.csv", lambda t: t.strftime("%d.%m.%Y,%H:%M:%S"), header="Datum,Uhrzeit,temp,press")
    is_whole(read(path))
    is_whole(read(path, Options(first=True)))
    is_whole(read(path, Options(time="Datum + Uhrzeit")))
    parts = table(tmp_path / "b.csv", lambda t: f"{t.year},{t.month},{t.day},{t.hour},{t.minute}",
                  header="year,month,day,hour,minute,temp,press")  # fmt: skip
    is_whole(read(parts))


def test_newest_first_is_turned_round(tmp_path: Path) -> None:
    path = table(tmp_path / "a.csv", STAMPS["T and Z"])
    head, *lines = path.read_text().splitlines()
    path.write_text("\n".join([head, *lines[::-1]]))
    found = read(path)
    is_whole(found)
    assert "newest first" in found.understood
    assert found.rows[0] == ROWS + 1


def test_a_clock_of_minutes_is_spread(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    times = [BEGAN + timedelta(seconds=10 * i) for i in range(600)]
    path.write_text("time,a\n" + "\n".join(f"{t:%Y-%m-%d %H:%M},{i}" for i, t in enumerate(times)))
    found = read(path)
    assert found.times is not None
    assert set(np.diff(found.times)) == {10 * NS}
    assert "6 rows share each time" in found.understood


def test_a_zone_and_its_changes(tmp_path: Path) -> None:
    from zoneinfo import ZoneInfo

    zone = ZoneInfo("Europe/Berlin")
    for month, day in ((3, 30), (10, 26)):
        first = datetime(2024, month, day, 20, tzinfo=UTC)
        moments = [first + timedelta(minutes=10 * i) for i in range(200)]
        path = tmp_path / f"{month}.csv"
        path.write_text(
            "time,a\n" + "\n".join(f"{t.astimezone(zone):%d.%m.%Y %H:%M:%S},{i}" for i, t in enumerate(moments))
        )
        found = read(path, Options(zone="Europe/Berlin"))
        assert found.times is not None
        assert found.times.tolist() == [int(t.timestamp()) * NS for t in moments]
    with pytest.raises(EdgeloopError, match=r"an hour is there twice .*zone"):
        read(path)
    assert "lacks, as where clocks are put forward (`zone`)" in read(tmp_path / "3.csv").understood


def test_words_among_numbers_cost_their_cell_only(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    cells = ["1", "Bad", "I/O Timeout", "#N/A", "-", "1e38", "", "NaN", "2"]
    path.write_text("time,a,b\n" + "\n".join(f"2024-01-01 00:00:{i:02d},{c},{i}" for i, c in enumerate(cells)))
    found = read(path)
    np.testing.assert_array_equal(found.values[:, 0], [1, *[np.nan] * 7, 2])
    assert found.values[:, 1].tolist() == list(range(9))
    assert "2 cells that are no numbers ('Bad', 'I/O Timeout') are missing" in found.understood
    assert "1 cells of 1e+37 or more are missing" in found.understood


def test_headers_again_footers_and_comments_are_told(tmp_path: Path) -> None:
    path = table(tmp_path / "a.csv", STAMPS["T and Z"])
    head, *lines = path.read_text().splitlines()
    lines[100:100] = [head]
    lines[50:50] = ["", "# a word"]
    path.write_text("\n".join([head, *lines, "Total,1,2", "end of file"]))
    found = read(path)
    assert len(found.rows) == ROWS
    assert "the header again" in found.understood
    assert [line for line, _ in found.bad] == [104, ROWS + 5, ROWS + 6]
    assert found.rows[-1] == ROWS + 4


def test_a_long_table_is_asked_for_and_turned(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    rows = [f"{t:%Y-%m-%dT%H:%M:%SZ},{tag},{v},{'Good' if i else 'Bad'}"
            for i, (t, row) in enumerate(zip(TIMES, VALUES.tolist(), strict=True))
            for tag, v in zip(("temp", "press"), row, strict=True)]  # fmt: skip
    path.write_text("\n".join(["time,tag,value,quality", *rows]))
    with pytest.raises(EdgeloopError, match=r"`by: tag` and `value: value`"):
        read(path)
    found = read(path, Options(by="tag", value="value"))
    assert [c.name for c in found.channels] == ["temp", "press"]
    np.testing.assert_array_equal(found.values[1:], VALUES[1:])
    assert np.isnan(found.values[0]).all()
    assert "2 values of no good quality are missing" in found.understood


@pytest.mark.parametrize(
    ("header", "rows"),
    [
        ("time,sensor_id,reading", [f"2024-01-01 00:{i // 2:02d}:00,{7 + i % 2},{i}" for i in range(100)]),
        ("time,tag,value", [f"2024-01-01 00:{i // 2:02d}:{i % 2 * 7:02d},{'ab'[i % 2]},{i}" for i in range(100)]),
        ("id,name,time,unit,value,quality",
         [f"{i},{'ab'[i % 2]},2024-01-01 00:{i // 2:02d}:00,bar,{i},192" for i in range(100)]),
        ("time,machine,temp,press", [f"2024-01-01 00:{i // 2:02d}:00,M{i % 2},{i},{-i}" for i in range(100)]),
    ],
)  # fmt: skip
def test_a_row_for_each_tag_is_never_one_channel(tmp_path: Path, header: str, rows: list[str]) -> None:
    path = tmp_path / "a.csv"
    path.write_text("\n".join([header, *rows]))
    with pytest.raises(EdgeloopError, match=r"`by: (sensor_id|tag|name|machine)` and `value: (reading|value|temp)`"):
        read(path)


def test_states_beside_numbers_are_no_tags(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    rows = [f"2024-01-01 00:{i // 5:02d},{'run' if i % 40 < 20 else 'stop'},{i},{-i}" for i in range(200)]
    path.write_text("\n".join(["time,state,temp,press", *rows]))
    assert [c.name for c in read(path).channels] == ["temp", "press"]


@pytest.mark.parametrize(
    ("stamp", "option"),
    [(lambda t: t.strftime("%G-W%V-%uT%H:%M:%S"), "form"), (lambda t: t.strftime("%Y-%m-%d %H:%M:%S IST"), "form"),
     (lambda t: str(int(t.strftime("%H%M%S"))), "time: date"), (lambda t: t.strftime("%M:%S.0"), "form")],
)  # fmt: skip
def test_times_that_nobody_could_read_are_refused(
    tmp_path: Path, stamp: Callable[[datetime], str], option: str
) -> None:
    path = table(tmp_path / "a.csv", stamp)
    with pytest.raises(EdgeloopError, match=option):
        read(path)
    if option == "form":
        assert read(path, Options(paced=True)).times is None


def test_dots_with_the_month_first_are_found_by_their_steps(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("time,a\n" + "\n".join(
        f"{datetime(2024, 3, 5) + timedelta(minutes=i):%m.%d.%Y %H:%M},{i}" for i in range(3000)))  # fmt: skip
    assert "month first" in read(path).understood


def test_two_columns_of_one_name_are_both_there(tmp_path: Path) -> None:
    found = read(table(tmp_path / "a.csv", STAMPS["T and Z"], header="time,temp,temp"))
    is_whole(found)
    assert [c.name for c in found.channels] == ["temp", "temp_2"]
    assert "a second 'temp' is called 'temp_2'" in found.understood


def test_true_and_false_are_numbers(tmp_path: Path) -> None:
    path = table(tmp_path / "a.csv", STAMPS["T and Z"], header="time,temp,press,label")
    head, *lines = path.read_text().splitlines()
    path.write_text("\n".join([head, *(f"{line},{'True' if i > 200 else 'False'}" for i, line in enumerate(lines))]))
    assert read(path).values[:, 2].sum() == ROWS - 201


@pytest.mark.parametrize(
    ("text", "option"),
    [
        ("time,a\n" + "".join(f"0{1 + i % 9}/03/2024 10:00,{i}\n" for i in range(9)), "dayfirst"),
        ("time,a\n" + "".join(f"03/04/2024 10:{i:02d},{i}\n" for i in range(50)), "dayfirst"),
        ("time,a\n13/02/2026 00:00,1\n02/13/2026 00:00,2\n13/03/2026 00:00,1\n03/13/2026 00:00,2\n", "form"),
        ('time,a\n2024-01-01,"19,933"\n2024-01-02,"20,142"\n', "decimal"),
        ("time;a\n2024-01-01;1.5\n2024-01-02;1,5\n", "decimal"),
        ("time;a;b\n2024-01-01;1,5;1.234\n2024-01-02;1,6;2.345\n", "thousands"),
        ("time;a\n2024-01-01;950\n2024-01-02;1,019\n", "decimal"),
        ("time,a\n" + "".join(f"{45361 + i},{i}\n" for i in range(50)), "form: excel"),
        ("time,a\n" + "".join(f"{3_792_960_000 + i},{i}\n" for i in range(50)), "form: labview"),
        ("time,a\n" + "".join(f"{133_500_000_000_000_000 + i * 10**7},{i}\n" for i in range(50)), "form: filetime"),
        ("time,a\n" + "".join(f"22:00:{i:02d},{i}\n" for i in range(50)), "date + time"),
    ],
)  # fmt: skip
def test_what_is_ambiguous_is_refused_with_what_decides(tmp_path: Path, text: str, option: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text(text)
    with pytest.raises(EdgeloopError, match=re.escape(option)) as caught:
        read(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_without_pyarrow_the_same_comes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = table(tmp_path / "a.csv", STAMPS["American"], separator=";", number=german)
    whole = read(path)
    monkeypatch.setattr(TextFile, "chunks", TextFile._listed)
    plain = read(path)
    is_whole(plain)
    np.testing.assert_array_equal(plain.rows, whole.rows)
    assert plain.understood == whole.understood


def test_cells_of_both_kinds_are_read_alike() -> None:
    import pyarrow as pa  # type: ignore[import-untyped]
    import pyarrow.compute as pc  # type: ignore[import-untyped]

    from edgeloop.tables.cells import Arrow

    cells = ["1", " 2.5 ", "+3", "1_000", "", "NaN", "x", "-.5", "1e3", "1.", "0x10", "1,5", "-", "Infinity"]
    listed, arrow = Listed(cells), Arrow(pa.array(cells), pc, pa)
    for one, two in ((listed.plain(), arrow.plain()), (listed.styled(Style(",", ".")), arrow.styled(Style(",", ".")))):
        np.testing.assert_array_equal(one[0][:13], two[0][:13])
        np.testing.assert_array_equal(one[1][:13], two[1][:13])
    assert listed.encoded().tolist() == arrow.encoded().tolist()
