"""Files of recorders: TDMS (LabVIEW), WAV and FLAC, MAT (MATLAB)."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeloop import optional
from edgeloop.clock import NS
from edgeloop.errors import EdgeloopError
from edgeloop.tables.chunk import About, Chunk, Columns, Stamps
from edgeloop.tables.layout import opened
from edgeloop.tables.text import ROWS, unique


class Recorded:
    """Columns in memory. rate: Hz, start: ns UTC, where the file says them and no column is a time."""

    def __init__(
        self, names: list[str], columns: list[NDArray[Any]], *, units: dict[str, str] | None = None,
        rate: Fraction | None = None, start: int = 0, stamps: NDArray[np.int64] | None = None,
        notes: list[str] | None = None,
    ) -> None:  # fmt: skip
        said = list(notes or [])
        names = unique(names, said)
        self._columns: list[Columns] = list(columns)
        kinds = "n" * len(columns)
        n = len(columns[0]) if columns else 0
        if stamps is None and rate is not None:
            rows = np.arange(n, dtype=np.int64)
            whole, rest = divmod(NS * rate.denominator, rate.numerator)
            stamps = start + rows * whole + (rows.astype(object) * rest // rate.numerator).astype(np.int64)
        if stamps is not None:
            names, kinds = ["time", *[name if name != "time" else "time_2" for name in names]], "t" + kinds
            self._columns.insert(0, Stamps(stamps, np.ones(n, bool)))
        self.about = About(
            names, kinds, said, units or {}, rate=rate, head=[[] for _ in names], channels={},
        )  # fmt: skip

    def chunks(self) -> Iterator[Chunk]:
        n = len(self._columns[0].times) if isinstance(self._columns[0], Stamps) else len(self._columns[0])
        for at in range(0, n, ROWS):
            rows = slice(at, min(n, at + ROWS))
            yield Chunk(
                np.arange(rows.start + 1, rows.stop + 1, dtype=np.int64), [_part(c, rows) for c in self._columns]
            )

    def close(self) -> None:
        """Nothing is held open."""


def _part(column: Columns, rows: slice) -> Columns:
    if isinstance(column, Stamps):
        return Stamps(column.times[rows], column.good[rows], column.local)
    assert isinstance(column, np.ndarray)
    return column[rows]


def recording(path: Path) -> Recorded:
    """Raises EdgeloopError."""
    opened(path).close()
    ending = path.suffix.lower()
    try:
        return {".tdms": _tdms, ".mat": _mat}.get(ending, _sound)(path)
    except EdgeloopError:
        raise
    except Exception as error:
        raise EdgeloopError("cannot use the file", where=str(path), why=" ".join(str(error).split())[:200],
                            mend="repair the file") from None  # fmt: skip


def _sound(path: Path) -> Recorded:
    """Full scale is 1; from 1970 on, since the file names no time."""
    soundfile = optional.load("soundfile", "reading WAV and FLAC")
    values, rate = soundfile.read(str(path), dtype="float64", always_2d=True)
    names = [f"c{i}" for i in range(values.shape[1])]
    notes = [f"{rate} Hz, {values.shape[1]} of full scale 1, without a time of day: from 1970 on"]
    return Recorded(names, [values[:, i] for i in range(values.shape[1])], rate=Fraction(rate), notes=notes)


def _tdms(path: Path) -> Recorded:
    nptdms = optional.load("nptdms", "reading TDMS")
    names, columns, units, rates, starts = [], [], {}, set(), []
    stamps: NDArray[np.int64] | None = None
    with nptdms.TdmsFile.open(str(path)) as file:
        groups = [group for group in file.groups() if any(len(channel) for channel in group.channels())]
        for group in groups:
            for channel in group.channels():
                if not len(channel):
                    continue
                values = channel[:]
                if values.dtype.kind == "M":
                    stamps = values.astype("datetime64[ns]").astype(np.int64) if stamps is None else stamps
                    continue
                if values.dtype.kind not in "iufb":
                    continue
                name = channel.name if len(groups) == 1 else f"{group.name}/{channel.name}"
                names.append(name)
                columns.append(values)
                units[name] = str(channel.properties.get("unit_string", ""))
                step = channel.properties.get("wf_increment")
                if step:
                    rates.add(Fraction(1) / Fraction(str(step)))
                begin = channel.properties.get("wf_start_time")
                if begin is not None:
                    starts.append(int(np.datetime64(begin, "ns").astype(np.int64)))
    lengths = {len(column) for column in columns}
    if not columns:
        raise _none(path)
    if len(lengths) > 1:
        raise EdgeloopError("cannot use the file", where=str(path), why=f"its channels have {min(lengths)} to "
                            f"{max(lengths)} samples", mend="export one rate at a time")  # fmt: skip
    rate = rates.pop() if len(rates) == 1 and stamps is None else None
    return Recorded(names, columns, units=units, rate=rate, start=min(starts, default=0), stamps=stamps)


def _mat(path: Path) -> Recorded:
    scipy = optional.load("scipy.io", "reading MAT")
    try:
        found = scipy.loadmat(str(path), squeeze_me=True, struct_as_record=False)
    except NotImplementedError:
        raise EdgeloopError("cannot use the file", where=str(path), why="it is of MATLAB 7.3 (HDF5)",
                            mend="save it with -v7") from None  # fmt: skip
    vectors: dict[str, NDArray[Any]] = {}
    for name, value in found.items():
        if name.startswith("__"):
            continue
        array = np.asarray(value)
        if array.dtype.kind not in "iufb" or array.ndim not in (1, 2) or array.size < 2:
            continue
        if array.ndim == 1:
            vectors[name] = array
        elif array.shape[1] <= 256:
            vectors |= {f"{name}_{i + 1}": array[:, i] for i in range(array.shape[1])}
    if not vectors:
        raise _none(path)
    lengths = [len(v) for v in vectors.values()]
    usual = max(set(lengths), key=lambda n: (lengths.count(n), n))
    names = [name for name, vector in vectors.items() if len(vector) == usual]
    notes = [f"{len(vectors) - len(names)} of other lengths left out"] if len(names) < len(vectors) else []
    return Recorded(names, [vectors[name] for name in names], notes=notes)


def _none(path: Path) -> EdgeloopError:
    return EdgeloopError("cannot use the file", where=str(path), why="no column has numbers", mend="give another file")
