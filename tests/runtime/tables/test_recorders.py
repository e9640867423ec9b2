"""Workbooks and files of recorders, where the extra `tables` is installed."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeloop.errors import EdgeloopError
from edgeloop.tables import Options, read

BEGAN = datetime(2024, 3, 10, 22)


def test_a_workbook(tmp_path: Path) -> None:
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    sheet = book.active
    for row in (["Plant 1"], [], ["Zeit", "Temp [°C]", "Druck"], ["", "°C", "bar"]):
        sheet.append(row)
    for i in range(50):
        sheet.append([BEGAN + timedelta(minutes=i), 20 + i / 10, 1.5])
    book.save(tmp_path / "a.xlsx")
    found = read(tmp_path / "a.xlsx")
    assert found.times is not None
    assert np.datetime64(int(found.times[0]), "ns") == np.datetime64(BEGAN)
    assert found.values.tolist() == [[20 + i / 10, 1.5] for i in range(50)]
    assert [c.unit for c in found.channels] == ["Cel", "bar"]
    for i in range(5):
        book.create_sheet("two") if "two" not in book.sheetnames else None
        book["two"].append([i, i])
    book.save(tmp_path / "b.xlsx")
    with pytest.raises(EdgeloopError, match=r"say `sheet:` Sheet or two"):
        read(tmp_path / "b.xlsx")
    assert len(read(tmp_path / "b.xlsx", Options(sheet="Sheet")).rows) == 50


def test_a_recorders_file(tmp_path: Path) -> None:
    nptdms = pytest.importorskip("nptdms")
    about = {"wf_increment": 0.001, "wf_start_time": np.datetime64(BEGAN), "unit_string": "°C"}
    with nptdms.TdmsWriter(tmp_path / "a.tdms") as writer:
        writer.write_segment([nptdms.ChannelObject("g", "temp", np.arange(100.0), properties=about)])
    found = read(tmp_path / "a.tdms")
    assert found.times is not None
    assert np.datetime64(int(found.times[0]), "ns") == np.datetime64(BEGAN)
    assert set(np.diff(found.times)) == {1_000_000}
    assert found.channels[0].unit == "Cel"


def test_sound(tmp_path: Path) -> None:
    soundfile = pytest.importorskip("soundfile")
    soundfile.write(tmp_path / "a.wav", np.zeros((480, 2)), 48_000)
    found = read(tmp_path / "a.wav")
    assert found.values.shape == (480, 2)
    assert "48000 Hz" in found.understood


def test_a_matlab_file(tmp_path: Path) -> None:
    scipy = pytest.importorskip("scipy.io")
    values = {"DE_time": np.arange(50.0)[:, None], "FE_time": np.arange(50.0)[:, None] * 2, "RPM": np.array([[1797]])}
    scipy.savemat(tmp_path / "a.mat", values)
    found = read(tmp_path / "a.mat", Options(paced=True))
    assert [c.name for c in found.channels] == ["DE_time", "FE_time"]
    assert found.values[7].tolist() == [7, 14]
    scipy.savemat(tmp_path / "b.mat", {"time": np.arange(50) * 0.5 + 1.7e9, "temp": np.arange(50.0)})
    found = read(tmp_path / "b.mat")
    assert found.times is not None
    assert set(np.diff(found.times)) == {500_000_000}
    (tmp_path / "c.mat").write_bytes(b"MATLAB 7.3 MAT-file" + b" " * 105 + b"\x00\x02IM" + bytes(400))
    with pytest.raises(EdgeloopError, match="-v7"):
        read(tmp_path / "c.mat")


def test_a_feather_file(tmp_path: Path) -> None:
    pa, feather = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.feather")
    times = np.datetime64(BEGAN) + np.arange(50).astype("timedelta64[m]")
    table = pa.table({"time": times, "temp": np.arange(50.0), "ok": [True] * 50, "text": ["x"] * 50})
    feather.write_feather(table, str(tmp_path / "a.feather"))
    found = read(tmp_path / "a.feather")
    assert found.times is not None
    assert np.datetime64(int(found.times[1]), "ns") == times[1]
    assert [c.name for c in found.channels] == ["temp", "ok"]
    assert found.values[7].tolist() == [7, 1]


@pytest.mark.parametrize(
    ("top", "header", "cells"),
    [
        ([["Device", "Logger", "x"], ["Serial", 12345, 7]], ["time", "a", "b"], lambda t, i: [t, i * 0.5, i]),
        ([["Zone", None, "Zone 2"]], ["time", "a", "b"], lambda t, i: [t, i * 0.5, i]),
        ([["Channel", 1, 2], ["Gain", 10, 20]], ["time", "a", "b"], lambda t, i: [t, i * 0.5, i]),
        ([], ["date", "time", "a", "b"], lambda t, i: [t.date(), t.time(), i * 0.5, i]),
        ([], ["date", "clock", "a", "b"], lambda t, i: [t.date(), f"{t:%H:%M:%S}", i * 0.5, i]),
        ([], ["", "time", "a", "b"], lambda t, i: [i, t, i * 0.5, i]),
    ],
)  # fmt: skip
def test_a_workbook_as_people_fill_it(tmp_path: Path, top: Any, header: list[str], cells: Any) -> None:
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    times = [BEGAN + timedelta(minutes=7 * i) for i in range(60)]
    for row in (*top, header, *(cells(t, i) for i, t in enumerate(times))):
        book.active.append(row)
    book.save(tmp_path / "a.xlsx")
    found = read(tmp_path / "a.xlsx")
    assert found.times is not None
    assert found.times.astype("datetime64[ns]").tolist() == np.array(times, "datetime64[ns]").tolist()
    assert [c.name for c in found.channels] == ["a", "b"]
    assert found.values.tolist() == [[i * 0.5, i] for i in range(60)]


def test_a_day_that_is_no_time_of_its_rows_is_asked_for(tmp_path: Path) -> None:
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    for row in (["date", "a"], *([BEGAN.date(), i] for i in range(60))):
        book.active.append(row)
    book.save(tmp_path / "a.xlsx")
    with pytest.raises(EdgeloopError, match="`time: date"):
        read(tmp_path / "a.xlsx")
