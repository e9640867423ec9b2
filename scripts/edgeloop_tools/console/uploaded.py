"""What went up from many devices, as the pages of one line want it: assets with their worst, alarms, streams."""

from __future__ import annotations

import hashlib
import threading
from typing import Any, Final

import msgspec
import numpy as np

from edgeloop import decode, optional
from edgeloop.alarms import Alarm
from edgeloop.alarms.alarm import SEVERITIES, Cause
from edgeloop.clock import NS
from edgeloop.data import schemas
from edgeloop.data.reader import open_source, read
from edgeloop.errors import DecodeError, EdgeloopError
from edgeloop.layout import RAW, date

PURPOSE: Final = "the fleet's page"
POINTS: Final = 4_000
LARGEST: Final = 64 << 20
"""Bytes of a file of records."""
MOST: Final = 256 << 20
"""Bytes of objects that one chart may read."""


class Envelope(msgspec.Struct):
    device: str
    component: str = ""
    kind: str = ""
    document: dict[str, Any] = {}


class Stream(msgspec.Struct):
    """name: as the page asks for it, of the site and the stream there. bytes: by date; newest: path of an object of
    the newest date."""

    name: str
    site: str
    stream: str
    bytes: dict[str, int] = {}
    newest: str = ""

    def held(self, start: int, end: int) -> int:
        """Bytes of the days from start to end (ns UTC)."""
        first, last = date(start - 86_400 * NS), date(end)
        return sum(size for day, size in self.bytes.items() if first <= day <= last)


class Uploaded:
    """A folder or s3://bucket/prefix; `look` reads what is new there. Safe on any thread."""

    def __init__(self, source: str) -> None:
        self.source = source
        self._fs = optional.load("pyarrow.fs", PURPOSE)
        self._filesystem, self._top = open_source(self._fs, source)
        self._read: set[str] = set()
        self._alarms: dict[tuple[str, str, str], Alarm] = {}
        self._findings: list[Alarm] = []
        self._streams: dict[str, Stream] = {}
        self._heard: dict[tuple[str, str], str] = {}
        self._lock = threading.Lock()
        self.damaged = 0

    def look(self) -> None:
        """Raises EdgeloopError where it cannot be listed."""
        top = self._top.rstrip("/")
        listed = {kind: self._listed(f"{top}/{kind}") for kind in ("records", RAW, "findings")}
        with self._lock:
            for path in listed["records"]:
                parts = _parts(path)
                site, day = parts.get("site", ""), parts.get("date", "")
                if parts.get("kind") == "alarms" and path not in self._read and listed["records"][path] <= LARGEST:
                    self._records(path, site)
                    self._read.add(path)
                device = path.rpartition("/")[2].partition("_")[0]
                if site and device:
                    self._heard[site, device] = max(day, self._heard.get((site, device), ""))
            streams: dict[str, Stream] = {}
            for path, size in listed[RAW].items():
                parts = _parts(path)
                if {"site", "stream", "date"} <= parts.keys():
                    name, day = f"{parts['site']} {parts['stream']}", parts["date"]
                    stream = streams.setdefault(name, Stream(name, parts["site"], parts["stream"]))
                    if not stream.bytes or day >= max(stream.bytes):
                        stream.newest = path
                    stream.bytes[day] = stream.bytes.get(day, 0) + size
            self._streams = streams
            self._findings = [found for path in listed["findings"] for found in self._finding(path)]

    # -- what pages ask ------------------------------------------------------------------------------------------------

    def alarms(self) -> list[Alarm]:
        """Oldest first; ids are those of one fleet, assets are `site / asset`."""
        with self._lock:
            return sorted([*self._alarms.values(), *self._findings], key=lambda alarm: alarm.raised_at)

    def streams(self) -> list[Stream]:
        with self._lock:
            return [self._streams[name] for name in sorted(self._streams)]

    def devices(self) -> dict[tuple[str, str], str]:
        """(site, device) → date of the newest record."""
        with self._lock:
            return dict(sorted(self._heard.items()))

    def assets(self) -> list[dict[str, Any]]:
        """Each asset of each site, worst first; a site of which no alarm waits is one that is well."""
        found: dict[str, list[Alarm]] = {}
        for alarm in self.alarms():
            if (alarm.open or alarm.unseen) and not alarm.held_by:
                found.setdefault(alarm.asset, []).append(alarm)
        for site in {site for site, _ in self.devices()} | {stream.site for stream in self.streams()}:
            if not any(asset.startswith(f"{site} / ") for asset in found):
                found[site] = []
        listed = [{"id": id, "monitors": [], "cameras": [], **_worst(alarms)} for id, alarms in found.items()]
        return sorted(listed, key=lambda asset: (-asset["rank"], asset["id"]))

    def points(self, name: str, start: int, end: int, most: int) -> dict[str, Any]:
        """As a line's console answers: low, high and mean of bins. start, end: ns UTC."""
        stream = self._streams[name]
        if stream.held(start, end) > MOST:
            raise EdgeloopError("too much for a look", where=name, mend="choose a shorter span, or use edgeloop.read")
        try:
            table = read(self._site(stream.site), stream.stream, start, end, form="arrow")
        except EdgeloopError:
            return {"stream": name, "from": "none", "channels": [], "units": [], "times": [], "low": [], "high": [],
                    "mean": []}  # fmt: skip
        fields = [f for f in table.schema if (f.metadata or {}).get(b"unit") is not None]
        times = table["time"].cast("int64").to_numpy()
        values = np.stack([table[f.name].to_numpy().astype(np.float64) for f in fields], axis=1)
        step = max(1, -(-len(times) // max(2, min(most, POINTS))))
        at = np.arange(0, len(times), step)
        counts = np.diff(np.append(at, len(times)))[:, None]

        def lists(array: Any) -> list[list[float | None]]:
            return [[float(f"{v:.6g}") if np.isfinite(v) else None for v in column] for column in array.T]

        return {
            "stream": name, "from": "raw" if step == 1 else "history",
            "channels": [f.name for f in fields], "units": [f.metadata[b"unit"].decode() for f in fields],
            "times": [round(int(t) / 1e6, 3) for t in times[at]],
            "low": lists(np.minimum.reduceat(values, at, axis=0)),
            "high": lists(np.maximum.reduceat(values, at, axis=0)),
            "mean": lists(np.add.reduceat(values, at, axis=0) / counts),
        }  # fmt: skip

    def newest(self, name: str) -> dict[str, Any]:
        """A stream's newest row, from its newest object: time (ms), rate (Hz), channels with units, values."""
        pq = optional.load("pyarrow.parquet", PURPOSE)
        path = self._streams[name].newest
        try:
            with self._filesystem.open_input_file(path) as opened:
                file = pq.ParquetFile(opened)
                named = schemas.names(file.schema_arrow)
                wanted = [*schemas.times(file.schema_arrow), *named.values(), *schemas.TAIL]
                table = schemas.today(file.read_row_group(file.num_row_groups - 1, columns=wanted))
        except (OSError, ValueError) as error:
            raise EdgeloopError("cannot read what went up", where=path, why=str(error)) from error
        fields = [f for f in table.schema if (f.metadata or {}).get(b"unit") is not None]
        times = table["time"].cast("int64").to_numpy()
        steps = np.diff(times[-1_000:])
        rate = float(NS / np.median(steps)) if len(steps) and np.median(steps) > 0 else 0.0
        values = [float(table[f.name][-1].as_py() or 0.0) for f in fields]
        return {"id": name, "rate": rate, "time_ms": int(times[-1]) // 1_000_000, "kept": True, "values": values,
                "channels": [{"name": f.name, "unit": f.metadata[b"unit"].decode()} for f in fields]}  # fmt: skip

    # -- inside --------------------------------------------------------------------------------------------------------

    def _site(self, site: str) -> str:
        """Where that site's samples alone lie: names of streams are those of one site."""
        top = self.source.rstrip("/")
        return f"{top}/{RAW}/schema=2/site={site}"

    def _listed(self, folder: str) -> dict[str, int]:
        """Bytes by path."""
        selector = self._fs.FileSelector(folder, recursive=True, allow_not_found=True)
        try:
            infos = self._filesystem.get_file_info(selector)
        except OSError as error:
            raise EdgeloopError("cannot list what went up", where=self.source, why=str(error)) from error
        return {i.path: int(i.size) for i in sorted(infos, key=lambda i: i.path) if i.type == self._fs.FileType.File}

    def _content(self, path: str) -> bytes:
        try:
            with self._filesystem.open_input_stream(path) as file:
                content: bytes = file.read()
        except OSError as error:
            raise EdgeloopError("cannot read what went up", where=path, why=str(error)) from error
        return content

    def _records(self, path: str, site: str) -> None:
        for line in self._content(path).splitlines():
            try:
                envelope = decode.document(line, Envelope)
                alarm = msgspec.convert(envelope.document, Alarm)
            except (DecodeError, msgspec.ValidationError):
                self.damaged += 1
                continue
            key = site, envelope.device, alarm.id
            known = self._alarms.get(key)
            if known is None or known.time <= alarm.time:
                self._alarms[key] = msgspec.structs.replace(
                    alarm, id=_id(*key), asset=f"{site} / {alarm.asset or alarm.monitor}",
                    group=_id(site, envelope.device, alarm.group) if alarm.group else "",
                    cause=msgspec.structs.replace(alarm.cause, stream=f"{site} {alarm.cause.stream}"),
                )  # fmt: skip

    def _finding(self, path: str) -> list[Alarm]:
        site, _, name = path.rpartition("/")
        site = site.rpartition("/")[2]
        try:
            found = decode.document(self._content(path), Any)
        except DecodeError:
            self.damaged += 1
            return []
        made = []
        if isinstance(found, dict):
            found = found.get("findings", [found])
        for one in found if isinstance(found, list) else ():
            if not isinstance(one, dict) or not isinstance(one.get("words"), str):
                continue
            since = _day(str(one.get("since", "")))
            asset = f"{one.get('site', site)} / {one.get('asset', name.removesuffix('.json'))}"
            severity = one.get("severity")
            made.append(Alarm(
                id=_id(site, asset, one["words"]), monitor=str(one.get("indicator", "")), asset=asset, kind="fleet",
                severity=severity if severity in SEVERITIES else "low", state="raised", text=one["words"],
                raised_at=since, time=since, sample_time=since, cause=Cause(stream=""),
            ))  # fmt: skip
        return made


def _id(*parts: str) -> str:
    return hashlib.blake2b("\0".join(parts).encode(), digest_size=8).hexdigest()


def _day(text: str) -> int:
    try:
        return int(np.datetime64(text[:10], "s").astype("int64")) * NS
    except ValueError:
        return 0


def _parts(path: str) -> dict[str, str]:
    return dict(part.split("=", 1) for part in path.split("/") if part.count("=") == 1)


def _worst(alarms: list[Alarm]) -> dict[str, Any]:
    loud = [alarm for alarm in alarms if alarm.open and alarm.state != "shelved"]
    if not loud:
        return {"rank": 4 if alarms else 0, "state": "unseen" if alarms else "well", "alarms": len(alarms),
                "worst": msgspec.to_builtins(alarms[-1]) if alarms else None}  # fmt: skip
    worst = max(loud, key=lambda a: (a.state == "raised", SEVERITIES.index(a.severity), a.first_out, -a.raised_at))
    rank = 10 + 10 * SEVERITIES.index(worst.severity) + 5 * (worst.state == "raised")
    return {"rank": rank, "state": worst.severity, "alarms": len(loud), "worst": msgspec.to_builtins(worst)}
