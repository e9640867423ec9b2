from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeloop.clock import NS
from edgeloop.errors import ConfigurationError, EdgeloopError
from edgeloop.sequence import Samples, Sequencer, Stream
from edgeloop.wire.batch import Channel, Clock
from sensor_ingest.pace import Pace
from sensor_ingest.rehearsal import Rehearsal, Running, play
from sensor_ingest.sources.process import SOURCE, orphan
from sensor_ingest.sources.process.header import Header

HEADER = {"rate": 1000, "dtype": "<i2", "channels": {"x": "m/s2", "y": {"unit": "m/s2", "scale": 0.5}}}


def program(folder: Path, body: str, header: object = HEADER) -> str:
    """The command line of a Python program that writes a header and then does `body`."""
    path = folder / "program.py"
    line = json.dumps(header) + "\n" if header else ""
    path.write_text(
        f"import sys, time, os, signal\nout = sys.stdout.buffer\nout.write({line.encode()!r})\nout.flush()\n{body}"
    )
    return shlex.join([sys.executable, "-u", str(path)])


def test_frames_of_any_cut_become_samples(tmp_path: Path) -> None:
    body = "data = bytes(range(200)) * 2\nfor i in range(0, 400, 7): out.write(data[i:i+7]); time.sleep(1e-3)"
    outlet = Rehearsal("spindle", tmp_path)
    play(SOURCE, outlet, type="process", command=program(tmp_path, body), restart="on_failure", live="false")
    expected = np.frombuffer(bytes(range(200)) * 2, "<i2").reshape(100, 2)
    assert (outlet.samples() == expected).all()
    stream = outlet.streams["spindle"]
    assert stream == Stream("spindle", (Channel("x", "m/s2"), Channel("y", "m/s2", 0.5)), Fraction(1000))
    sequencer = Sequencer(stream, 1)
    batches = [sequencer.next(c, Clock()) for c in outlet.chunks]
    assert not any(b.discontinuity for b in batches)


@pytest.mark.parametrize(
    ("dtype", "kept"),
    [("<i2", "int16"), (">i4", "int32"), (">f4", "float32"), ("<f8", "float64"), ("i1", "int16"), ("u1", "int16"),
     (">u2", "int32"), ("<u4", "float64"), ("<i8", "float64"), ("<f2", "float32")],
)  # fmt: skip
def test_every_dtype_becomes_one_that_travels(tmp_path: Path, dtype: str, kept: str) -> None:
    values = np.arange(60).astype(dtype)
    outlet = Rehearsal("s", tmp_path)
    header = {"rate": "48 kHz", "dtype": dtype, "channels": {"a": "V", "b": "V", "c": "A"}}
    body = f"out.write({values.tobytes()!r}); out.flush()"
    play(SOURCE, outlet, type="process", command=program(tmp_path, body, header), restart="on_failure")
    assert outlet.samples().dtype == np.dtype(kept)
    assert outlet.samples().dtype.isnative
    assert (outlet.samples().ravel() == np.arange(60)).all()


def test_a_program_without_a_header_takes_one_from_the_configuration(tmp_path: Path) -> None:
    outlet = Rehearsal("s", tmp_path)
    command = program(tmp_path, "out.write(bytes(8)); out.flush()", header=None)
    play(SOURCE, outlet, type="process", command=command, restart="on_failure", header=json.dumps(HEADER))
    assert outlet.samples().shape == (2, 2)


def test_a_large_stream_arrives_whole(tmp_path: Path) -> None:
    body = "for k in range(40): out.write(bytes([k]) * 100_000)"
    outlet = Rehearsal("s", tmp_path)
    play(SOURCE, outlet, type="process", command=program(tmp_path, body), restart="on_failure", live=False)
    raw = np.ascontiguousarray(outlet.samples()).view(np.uint8).ravel()
    assert (raw == np.repeat(np.arange(40, dtype=np.uint8), 100_000)).all()


def test_a_partial_frame_at_the_end_is_counted(tmp_path: Path) -> None:
    outlet = Rehearsal("s", tmp_path)
    play(SOURCE, outlet, type="process", command=program(tmp_path, "out.write(bytes(10))"), restart="on_failure")
    assert outlet.samples().shape == (2, 2)
    assert outlet.counts == {"partial_frames": 1}


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("sys.exit(3)", "exit code 3"),
        ("os.kill(os.getpid(), 9)", "killed by SIGKILL"),
        ("", "exit code 0"),
    ],
)
def test_an_end_is_an_error_that_is_tried_again(tmp_path: Path, body: str, why: str) -> None:
    with pytest.raises(EdgeloopError, match=why):
        play(SOURCE, Rehearsal("s", tmp_path), type="process", command=program(tmp_path, body))


@pytest.mark.parametrize(
    ("header", "why"),
    [
        ({"rate": 0, "dtype": "<i2", "channels": {"a": "1"}}, "more than 0"),
        ({"rate": 10, "dtype": "<c8", "channels": {"a": "1"}}, "none of integer or float"),
        ({"rate": 10, "dtype": "nonsense", "channels": {"a": "1"}}, "nonsense"),
        ({"rate": 10, "dtype": "<i2", "channels": {}}, "no channels"),
        ({"rate": 10, "channels": {"a": "1"}}, "dtype"),
        ("no header", "header line is not understood"),
    ],
)
def test_a_header_that_is_not_understood_is_one_line(tmp_path: Path, header: object, why: str) -> None:
    with pytest.raises(EdgeloopError, match=why) as caught:
        play(SOURCE, Rehearsal("s", tmp_path), type="process", command=program(tmp_path, "", header))
    assert "\n" not in str(caught.value)


@given(st.binary(max_size=80))
def test_no_bytes_are_a_header_by_accident(line: bytes) -> None:
    with pytest.raises(EdgeloopError):
        Header.parse(line, "s")


def test_a_program_that_does_not_exist_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(EdgeloopError, match="No such file"):
        play(SOURCE, Rehearsal("s", tmp_path), type="process", command="/nowhere/at-all --x")


@pytest.mark.parametrize("options", [{"command": ""}, {"command": "'"}, {"command": "x", "header": "{}"}, {}])
def test_wrong_options_are_refused(tmp_path: Path, options: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError):
        play(SOURCE, Rehearsal("s", tmp_path), type="process", **options)


def test_no_shell_is_between(tmp_path: Path) -> None:
    command = program(
        tmp_path, "out.write(str(sys.argv[1:]).encode())", {**HEADER, "dtype": "u1", "channels": {"a": "1"}}
    )
    outlet = Rehearsal("s", tmp_path)
    play(SOURCE, outlet, type="process", command=command + " '$HOME' '; id' *", restart="on_failure")
    assert outlet.samples().astype(np.uint8).tobytes() == b"['$HOME', '; id', '*']"


def test_standard_error_goes_to_the_log(tmp_path: Path) -> None:
    outlet = Rehearsal("s", tmp_path)
    body = "for i in range(100): print('line', i, file=sys.stderr)\nout.write(bytes(4))"
    play(SOURCE, outlet, type="process", command=program(tmp_path, body), restart="on_failure")
    assert outlet.lines[:2] == ["line 0", "line 1"]
    assert len([x for x in outlet.lines if x.startswith("line")]) + outlet.counts.get("log_lines_dropped", 0) == 100


def test_the_whole_group_ends_with_the_source_even_where_it_does_not_want_to(tmp_path: Path) -> None:
    body = (
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "child = os.fork()\n"
        f"open({str(tmp_path / 'pids')!r}, 'a').write(f'{{os.getpid()}}\\n')\n"
        "while True: out.write(bytes(4)); out.flush(); time.sleep(0.01)"
    )
    outlet = Rehearsal("s", tmp_path)
    with Running(SOURCE, outlet, type="process", command=program(tmp_path, body)) as running:
        running.until(lambda: len(outlet.chunks) > 3 and len((tmp_path / "pids").read_text().split()) == 2)
        pids = [int(p) for p in (tmp_path / "pids").read_text().split()]
    end = time.monotonic() + 60
    while any(_alive(p) for p in pids) and time.monotonic() < end:
        time.sleep(0.02)
    assert not any(_alive(p) for p in pids)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False


def test_live_samples_carry_the_time_of_their_arrival(tmp_path: Path) -> None:
    body = "while True: out.write(bytes(40)); out.flush(); time.sleep(0.01)"
    outlet = Rehearsal("s", tmp_path)
    with Running(SOURCE, outlet, type="process", command=program(tmp_path, body)) as running:
        running.until(lambda: len(outlet.chunks) > 10)
    now = time.time_ns()
    first = outlet.chunks[0]
    assert isinstance(first, Samples)
    assert 0 < now - first.time < 5 * NS


@given(st.lists(st.floats(0, 0.4), min_size=2, max_size=60), st.floats(-2e-4, 2e-4))
def test_jitter_and_a_wrong_oscillator_leave_no_discontinuity(jitter: list[float], off: float) -> None:
    rate = Fraction(48_000)
    pace, stream = Pace(rate, live=True), Sequencer(Stream("s", (Channel("a"),), rate), 1)
    for i, late in enumerate(jitter):
        arrival = int(((i + 1) * 0.1 * (1 + off) + late) * NS)
        batch = stream.next(Samples("s", np.zeros((4800, 1)), time=pace.first(4800, arrival)), Clock())
        assert not batch.discontinuity


def test_an_oscillator_that_is_off_is_followed() -> None:
    pace = Pace(Fraction(1000), live=True)
    times = [pace.first(100, int((i + 1) * 0.1 * 1.0001 * NS)) for i in range(36_000)]
    assert abs(times[-1] - 35_999 * 0.1 * 1.0001 * NS) < 0.02 * NS


def test_a_stall_begins_anew_with_a_discontinuity() -> None:
    pace, stream = Pace(Fraction(1000), live=True), Sequencer(Stream("s", (Channel("a"),), Fraction(1000)), 1)
    arrivals = [NS // 10, 2 * NS // 10, 10 * NS]
    batches = [stream.next(Samples("s", np.zeros((100, 1)), time=pace.first(100, a)), Clock()) for a in arrivals]
    assert [b.discontinuity for b in batches] == [False, False, True]


def test_interrupting_ends_a_silent_program(tmp_path: Path) -> None:
    outlet = Rehearsal("s", tmp_path)
    began = time.monotonic()
    with Running(
        SOURCE, outlet, type="process", command=program(tmp_path, "print('up', file=sys.stderr); time.sleep(60)")
    ) as r:
        while "up" not in outlet.lines and time.monotonic() - began < 30:
            time.sleep(0.01)
    assert r.error is None
    assert time.monotonic() - began < 45


def test_a_program_that_outlived_its_starter_is_ended_before_the_next(tmp_path: Path) -> None:
    leftover = subprocess.Popen(["/bin/sleep", "60"], start_new_session=True)
    bystander = subprocess.Popen(["/bin/sleep", "60"], start_new_session=True)
    try:
        outlet = Rehearsal("s", tmp_path)
        orphan.remember(outlet.state, leftover.pid)
        play(SOURCE, outlet, type="process", command=program(tmp_path, "out.write(bytes(4))"), restart="on_failure")
        assert leftover.wait(60) == -9
        assert len(outlet.samples()) == 1
        assert "left over" in outlet.lines[0]
        assert not outlet.state.exists()
        outlet.state.write_bytes(msgspec.json.encode(orphan.Program(bystander.pid, 1)))
        assert orphan.end(outlet.state) is False
        outlet.state.write_bytes(b"{")
        assert orphan.end(outlet.state) is False
        assert bystander.poll() is None
    finally:
        for process in (leftover, bystander):
            process.kill()
            process.wait()


def test_a_program_like_arecord_needs_no_header(tmp_path: Path) -> None:
    """Raw frames in bursts, cut anywhere, half a frame at the end, then killed."""
    body = (
        "data = bytes(i % 251 for i in range(48_002))\n"
        "for i in range(0, len(data), 7_777): out.write(data[i:i+7_777]); out.flush(); time.sleep(.01)\n"
        "os.kill(os.getpid(), 9)"
    )
    outlet = Rehearsal("mic", tmp_path)
    options = {"rate": "48 kHz", "dtype": "<i2", "channels": {"left": "Pa *0.001", "right": "Pa *0.001"}}
    with pytest.raises(EdgeloopError, match="killed by SIGKILL"):
        play(SOURCE, outlet, type="process", command=program(tmp_path, body, header=None), **options)
    assert outlet.streams["mic"].rate == 48_000
    assert outlet.streams["mic"].channels[0] == Channel("left", "Pa", 0.001)
    assert outlet.samples().astype("<i2").tobytes() == bytes(i % 251 for i in range(48_000))
    assert outlet.counts["partial_frames"] == 1


@pytest.mark.parametrize(
    "options", [{"rate": 5}, {"rate": 5, "dtype": "<i2"}, {"rate": 5, "dtype": "<c8", "channels": {"a": "1"}},
                {"rate": 0, "dtype": "<i2", "channels": {"a": "1"}},
                {"rate": 5, "dtype": "<i2", "channels": {"a": "V V"}},
                {"rate": 5, "dtype": "<i2", "channels": {"a": "1"}, "header": json.dumps(HEADER)}],
)  # fmt: skip
def test_frames_are_described_whole_or_not_at_all(tmp_path: Path, options: dict[str, object]) -> None:
    with pytest.raises(ConfigurationError):
        play(SOURCE, Rehearsal("s", tmp_path), type="process", command="x", **options)
