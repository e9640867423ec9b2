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
