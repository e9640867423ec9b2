"""Lines that end otherwise than with CR or LF."""

from __future__ import annotations

import os
import pty
import re
import tty
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from edgeloop.clock import NS
from edgeloop.config.load import convert
from edgeloop.errors import ConfigurationError
from sensor_ingest.rehearsal import Rehearsal, Running
from sensor_ingest.sources.serial import SOURCE
from sensor_ingest.sources.serial.lines import STUCK, Lines, mark

CASES = Path(os.environ.get("EDGELOOP_CASES") or Path(__file__).parent / "cases")


def content() -> bytes:
    """Of the case: hexadecimal bytes and texts in quotes."""
    path = next(iter(sorted(CASES.glob("s01_*.yaml"))), None)
    if path is None:
        pytest.skip("no case s01")
    line = next(line for line in path.read_text().splitlines() if line.startswith("bytes:"))
    said = yaml.safe_load(line)["bytes"]
    parts = re.findall(r"'([^']*)'|([0-9a-fA-F]{2})", said)
    return b"".join(text.encode() if text else bytes.fromhex(octet) for text, octet in parts)


def play(tmp_path: Path, said: bytes, until: str, **options: Any) -> Rehearsal:
    mine, theirs = pty.openpty()
    tty.setraw(mine)
    tty.setraw(theirs)
    outlet = Rehearsal("a", tmp_path)
    with Running(SOURCE, outlet, type="serial", port=os.ttyname(theirs), **options) as run:
        run.until(lambda: any("is open" in line for line in outlet.lines))
        os.write(mine, said)
        run.until(lambda: len(outlet.samples()) > 1 if until == "samples" else until in outlet.problems)
    os.close(mine)
    os.close(theirs)
    return outlet


@pytest.mark.parametrize("options", [{"start": "STX", "end": "ETX"}, {"start": "0x02", "end": "\\x03"}])
def test_s01_frames_of_stx_and_etx(tmp_path: Path, options: dict[str, Any]) -> None:
    outlet = play(tmp_path, content() * 2, "samples", lines={"payload": "text"}, **options)
    assert outlet.samples()[:2, 0].tolist() == [12.5, 12.6]
    assert outlet.problems == {}


def test_s01_bytes_that_make_no_line_are_told() -> None:
    lines = Lines()
    lines.begin(1)
    assert list(lines.take(content(), 2)) == []
    assert lines.stuck(NS) == 0
    assert list(lines.take(b"9", STUCK + 2 * NS)) == []
    assert lines.stuck(STUCK + 2 * NS) == len(content()) + 1


def test_lengths_semicolons_and_encodings(tmp_path: Path) -> None:
    lines = Lines(length=4)
    lines.begin(1)
    assert list(lines.take(b"12.513.6", NS)) == [b"12.5", b"13.6"]
    lines = Lines(start=b"\2", length=5)
    assert list(lines.take(b"xx\x0212.5\x0213.6\x02", NS)) == [b"\x0212.5", b"\x0213.6"]
    outlet = play(tmp_path, b"0;T=21.5 \xb0C;T=22.5 \xb0C;", "samples", end=";", encoding="cp1252",
                  lines={"payload": "text", "pattern": "T=(?P<t>[0-9.]+) °C"})  # fmt: skip
    assert outlet.samples()[:, 0].tolist() == [21.5, 22.5]


@pytest.mark.parametrize("text", ["", "0x", "0x0", "much too long a mark"])
def test_what_is_no_mark_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no mark"):
        mark(text)
    if text:
        with pytest.raises(ConfigurationError, match="is no mark"):
            convert({"port": "/dev/x", "end": text}, SOURCE.options, "a")


def test_lines_whose_checksum_is_wrong_are_left_out(tmp_path: Path) -> None:
    good, torn = b"$GPGLL,4916.45,N,12311.12,W,225444,A,*1D\r\n", b"$GPGLL,4016.45,N,12311.12,W,225444,A,*1D\r\n"
    form = {"payload": "text", "separator": ",", "channels": {"lat": "2", "lon": "4"}}
    outlet = play(tmp_path, b"\r\n" + good + torn + good, "samples", lines=form)
    assert outlet.samples().tolist() == [[4916.45, 12311.12]] * 2
    assert outlet.counts["bad_payloads"] == 1
    assert "its checksum is wrong" in outlet.problems["payload"]


def test_by_length_a_line_begins_after_a_pause() -> None:
    lines = Lines(length=4)
    lines.begin(1)
    found = list(lines.take(b"34", NS))
    for i in range(3):
        found += lines.take(b"1234", (2 + i) * NS)
    assert found == [b"1234"] * 3
    assert lines.lost == 2


FRAMES = {
    "STX ETX": (b"\2", b"\3", 0), "semicolon": (b"", b";", 0), "CR": (b"", b"\r", 0), "sum behind": (b"\2", b"\3", 0),
    "start and length": (b"\2", b"", 6), "two marks": (b">>", b"<<", 0),
}  # fmt: skip


@given(
    st.lists(st.floats(-99, 999).map(lambda x: f"{x:05.1f}".encode()[:5]), min_size=2, max_size=12),
    st.sampled_from(sorted(FRAMES)), st.lists(st.integers(1, 9), min_size=1, max_size=6), st.binary(max_size=6),
    st.sets(st.integers(0, 11)), st.sets(st.integers(0, 11)),
)  # fmt: skip
def test_a_line_is_one_that_was_sent_however_it_is_framed_and_cut(
    texts: list[bytes], frame: str, cuts: list[int], noise: bytes, unbegun: set[int], unended: set[int]
) -> None:
    start, end, length = FRAMES[frame]
    noise = bytes(octet for octet in noise if bytes([octet]) not in (start + end) and octet not in (start + end))
    stream, whole = (noise if start else end or noise), []
    for i, text in enumerate(texts):
        lost = bool(start) and i in unbegun and i - 1 not in unended
        torn = bool(start) and bool(end) and i in unended
        stream += b"" if lost else start
        stream += text + (b"" if torn else end)
        stream += b"\x55" if frame == "sum behind" else b""
        if not lost and not torn:
            whole.append((start if length else b"") + text)
    lines = Lines(start=start, end=end, length=length)
    lines.begin(1)
    found: list[bytes] = []
    at = k = 0
    while at < len(stream):
        step = cuts[k % len(cuts)]
        found += lines.take(stream[at : at + step], 2 * NS + k)
        at, k = at + step, k + 1
    if length:
        assert found == whole or unbegun
    else:
        assert found == whole
