"""Plays recordings (.npy, samples by channels) to standard output at their own rate, in order.

One line of JSON first: {"rate", "dtype", "channels"}; then raw rows. The last recording is repeated until the reader
goes away. Standard library only: it runs as the user of the components.

    python3 player.py --rate 48000 --channels drive,fan --unit [g] healthy.npy faulty.npy
"""

from __future__ import annotations

import argparse
import ast
import json
import mmap
import os
import struct
import sys
import time
from dataclasses import dataclass

CHUNK_SECONDS = 0.05


@dataclass
class Recording:
    """data: the rows as they lie in the file."""

    rows: int
    channels: int
    dtype: str
    data: memoryview


def read(path: str) -> Recording:
    """A row-major .npy file (NEP 1). Raises ValueError with one line that names it."""
    try:
        with open(path, "rb") as file:
            mapped = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        if bytes(mapped[:6]) != b"\x93NUMPY":
            raise ValueError("this is no .npy file")
        wide = mapped[6] > 1
        (length,) = struct.unpack_from("<I" if wide else "<H", mapped, 8)
        start = 12 if wide else 10
        header = ast.literal_eval(bytes(mapped[start : start + length]).decode("utf-8"))
        shape, dtype, column_major = (
            header["shape"],
            header["descr"],
            header["fortran_order"] and len(header["shape"]) > 1,
        )
    except (OSError, ValueError, KeyError, SyntaxError, struct.error) as error:
        raise ValueError(f"{path}: {error}") from error
    if column_major:
        raise ValueError(f"{path}: the array is column-major; save it with numpy.ascontiguousarray")
    if not isinstance(dtype, str) or dtype[1:] not in ("i2", "i4", "f4", "f8") or dtype[0] not in "<=|":
        raise ValueError(f"{path}: samples of type {dtype}; int16, int32, float32 and float64 can be played")
    rows, channels = shape[0], (shape[1] if len(shape) > 1 else 1)
    if not rows:
        raise ValueError(f"{path}: there are no samples in it")
    return Recording(rows, channels, dtype, mapped[start + length :])


def play(recordings: list[Recording], rate: float, out: int) -> None:
    """Rows on the file descriptor `out`, never ahead of the clock. Ends when the reader does."""
    width = recordings[0].channels * int(recordings[0].dtype[2:])
    start, done, at = time.monotonic(), 0, 0
    queue = list(recordings)
    current = queue.pop(0)
    step = max(1, round(rate * CHUNK_SECONDS))
    while True:
        if at == current.rows:
            current, at = (queue.pop(0) if queue else current), 0
        rows = min(step, current.rows - at)
        early = start + (done + rows) / rate - time.monotonic()
        if early > 0:
            time.sleep(early)
        rest = current.data[at * width : (at + rows) * width]
        while rest:
            rest = rest[os.write(out, rest) :]
        at += rows
        done += rows


def main() -> int:
    parser = argparse.ArgumentParser(description="play .npy recordings in real time")
    parser.add_argument("--rate", type=float, required=True, help="rows a second")
    parser.add_argument("--channels", required=True, help="names, comma-separated")
    parser.add_argument("--unit", default="1", help="UCUM")
    parser.add_argument("files", nargs="+")
    arguments = parser.parse_args()
    names = arguments.channels.split(",")
    try:
        recordings = [read(path) for path in arguments.files]
    except ValueError as error:
        print(f"player: {error}", file=sys.stderr)
        return 1
    if any((r.dtype, r.channels) != (recordings[0].dtype, len(names)) for r in recordings):
        print("player: the recordings and --channels do not agree on type and number of channels", file=sys.stderr)
        return 1
    header = {"rate": arguments.rate, "dtype": recordings[0].dtype, "channels": dict.fromkeys(names, arguments.unit)}
    out = sys.stdout.fileno()
    try:
        os.write(out, json.dumps(header).encode() + b"\n")
        play(recordings, arguments.rate, out)
    except (BrokenPipeError, KeyboardInterrupt):
        return 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
