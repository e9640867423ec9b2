"""A simulated fleet with known truth: means of days, and an upload as StreamUpload writes it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from edgeloop import optional
from edgeloop.clock import NS
from edgeloop.layout import METADATA, date, raw_key

BEGAN: Final = 1_767_225_600 * NS
"""2026-01-01."""
COLUMNS: Final = ("x_rms", "x_velocity")
EPOCH: Final = 0xE0


@dataclass(frozen=True, slots=True)
class Fleet:
    """Presses that differ from one another by `spread` (of their level), with days that share a weekly season and have
    noise of their own (AR(1), 0.5), whose size differs from press to press by `uneven` (log).
    began: ns UTC of the first day's begin. things: those of assets by number that are not the site's own."""

    seed: int
    sites: int = 3
    assets: int = 20
    days: int = 30
    level: float = 4.0
    spread: float = 0.03
    noise: float = 0.01
    uneven: float = 0.2
    began: int = BEGAN
    things: Mapping[int, str] = field(default_factory=dict)

    def means(self) -> NDArray[np.float64]:
        """[asset, indicator, day]."""
        random = np.random.default_rng(self.seed)
        count = self.sites * self.assets
        shape = (count, len(COLUMNS))
        own = self.level * (1 + self.spread * random.standard_normal(shape))
        size = self.noise * self.level * np.exp(self.uneven * random.standard_normal(shape))
        white = random.standard_normal((*shape, self.days))
        noise = np.empty_like(white)
        noise[..., 0] = white[..., 0]
        for day in range(1, self.days):
            noise[..., day] = 0.5 * noise[..., day - 1] + np.sqrt(0.75) * white[..., day]
        week = 0.04 * self.level * np.sin(2 * np.pi * np.arange(self.days) / 7)
        return np.asarray(own[..., None] + week + size[..., None] * noise)

    def name(self, number: int) -> tuple[str, str]:
        """Site and asset."""
        return f"site{number // self.assets + 1}", f"press{number % self.assets + 1}"

    def device(self, number: int) -> str:
        """The thing that an asset's samples come from."""
        return self.things.get(number, f"core-{self.name(number)[0]}")

    def frame(self, means: NDArray[np.float64]) -> Any:
        """As the shipped analyses' `job` gives it."""
        pandas = optional.load("pandas", "a simulated fleet")
        days = pandas.to_datetime(self.began + np.arange(means.shape[2]) * 86_400 * NS, utc=True)
        parts = []
        for number in range(means.shape[0]):
            site, asset = self.name(number)
            for at, column in enumerate(COLUMNS):
                channel, _, indicator = column.partition("_")
                parts.append(pandas.DataFrame({
                    "type": "press", "site": site, "device": self.device(number), "asset": asset,
                    "stream": f"{asset}_vib_indicators", "channel": channel, "indicator": indicator, "unit": "mm/s",
                    "day": days, "value": means[number, at],
                }))  # fmt: skip
        return pandas.concat(parts, ignore_index=True)


def upload(folder: Path, fleet: Fleet, means: NDArray[np.float64], *, rows: int = 24, files: int = 1,
           first: int = 0) -> int:
    """Writes an upload of schema 2 from day `first` on, `rows` a day in `files` objects whose mean is that of the day;
    the objects."""
    pa, pq = (optional.load(name, "a simulated fleet") for name in ("pyarrow", "pyarrow.parquet"))
    made = 0
    step = 86_400 * NS // rows
    each = rows // files
    for number in range(means.shape[0]):
        site, asset = fleet.name(number)
        stream = f"{asset}_vib_indicators"
        device = fleet.device(number)
        about = {"schema": 2, "site": site, "device": device, "stream": stream, "rate": None}
        kinds = [pa.field(c, pa.float32(), metadata={"name": c, "unit": "mm/s"}) for c in COLUMNS]
        schema = pa.schema(
            [("time", pa.timestamp("us", "UTC")), ("time_ns", pa.int64()), *kinds, ("device", pa.string()),
             ("epoch", pa.string()), ("index", pa.int64()), ("quality", pa.int8())],
            metadata={METADATA: json.dumps(about)},
        )  # fmt: skip
        for day in range(first, means.shape[2]):
            for part in range(files):
                index = day * rows + part * each + np.arange(each)
                times = fleet.began + index * step
                wave = np.sin(2 * np.pi * (index % rows) / rows) * 0.1
                wave -= wave.mean()
                values = [pa.array((means[number, at, day] + wave).astype("<f4")) for at in range(len(COLUMNS))]
                table = pa.Table.from_arrays(
                    [pa.array(times // 1000).cast(pa.timestamp("us", "UTC")), pa.array(times), *values,
                     pa.repeat(device, each), pa.repeat(f"{EPOCH:016x}", each), pa.array(index),
                     pa.array(np.zeros(each, dtype=np.int8))],
                    schema=schema,
                )  # fmt: skip
                when = date(int(times[0]))
                key = raw_key(site, stream, when, "synced", device, EPOCH, int(index[0]), int(index[-1]))
                path = folder / key
                path.parent.mkdir(parents=True, exist_ok=True)
                pq.write_table(table, path, compression="zstd")
                made += 1
    return made
