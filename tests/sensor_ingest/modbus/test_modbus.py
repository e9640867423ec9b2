"""The Modbus source against a real server in its own process."""

from __future__ import annotations

import os
import shutil
import threading
import tty
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeloop import clock, topics
from edgeloop.clock import NS
from edgeloop.errors import ConfigurationError, EdgeloopError
from edgeloop.sequence import Records, Samples
from edgeloop.wire.batch import Batch, RecordBatch
from sensor_ingest.rehearsal import Rehearsal, Running, play
from sensor_ingest.sources.modbus import SOURCE, Modbus

from ..mqtt import conftest as authority

certificates = authority.certificates
SERVER = Path(__file__).parent / "server.py"
TAGS = {
    "oil_temp": "hr 104 int16 Cel *0.1",
    "pressure": "hr 110 float32 bar",
    "level": "ir 3 mm +0.5",
    "order": "hr 120 string8",
    "running": "hr 7.1",
    "valve": "co 3",
    "mode": "hr 2 enum(stopped,homing,running)",
    "odd": "hr 5 enum(a,b)",
}


@pytest.fixture
def device(make_peer: Callable[..., Any]) -> Any:
    return make_peer(SERVER, "tcp", "{port}")


def running(outlet: Rehearsal, port: str, **options: Any) -> Running:
    settings = {"poll": "30 ms", "timeout": "5 s", "tags": TAGS, **options}
    return Running(SOURCE, outlet, type="modbus", url=f"tcp://127.0.0.1:{port}", **settings)


def rows(outlet: Rehearsal) -> list[list[float]]:
    return [[float(x) for x in row] for c in list(outlet.chunks) if isinstance(c, Samples) for row in c.samples]


def states(outlet: Rehearsal) -> list[dict[str, Any]]:
    found = []
    for chunk in list(outlet.chunks):
        if isinstance(chunk, Records):
            columns = chunk.columns.items()
            found.append({n: c.labels[int(c.values[0])] if c.labels else c.values[0] for n, c in columns})
    return found


def asked(device: Any) -> list[str]:
    return (device.folder / "requests").read_text().splitlines()  # type: ignore[no-any-return]


def test_tags_become_numbers_and_states(device: Any, tmp_path: Path) -> None:
    outlet = Rehearsal("plc1", tmp_path)
    before = clock.now()
    with running(outlet, device.port) as run:
        run.until(lambda: len(outlet.chunks) >= 20)
    assert [(c.name, c.unit) for c in outlet.streams["plc1"].channels] == [
        ("oil_temp", "Cel"), ("pressure", "bar"), ("level", "mm")
    ]  # fmt: skip
    assert outlet.streams["plc1"].rate is None
    assert Modbus.foresee("plc1", run.source.configuration) == {
        "plc1": ("oil_temp", "pressure", "level"), "plc1_state": tuple(states(outlet)[0])
    }  # fmt: skip
    assert rows(outlet)[0] == [72.5, 3.5, 3.5]
    assert states(outlet)[0] == {
        "order": "press 7", "running": 1, "valve": 1, "mode": "running", "odd": "5"
    }  # fmt: skip
    times = outlet.times()
    assert times == sorted(times)
    assert before < times[0] <= times[-1] < clock.now()
    assert outlet.problems == {}
    assert asked(device)[:3] == ["3 2 6", "3 104 20", "4 3 1"]
    assert len(set(asked(device))) == 4


def test_what_the_device_refuses_is_asked_for_in_smaller_parts_and_remembered(device: Any, tmp_path: Path) -> None:
    tags = {"a": "hr 290", "b": "hr 299", "gone": "hr 301", "far": "hr 400", "busy": "hr 300"}
    outlet = Rehearsal("plc1", tmp_path)
    with running(outlet, device.port, tags=tags, gap=124) as run:
        run.until(lambda: len(outlet.chunks) >= 5)
        first = asked(device)
        run.until(lambda: len(outlet.chunks) >= 9)
    assert np.array_equal(rows(outlet)[0], [290, 299, np.nan, 400, np.nan], equal_nan=True)
    assert outlet.problems["tags"] == (
        "2 of 5 tags cannot be read: busy (hr 300): device busy, gone (hr 301): illegal data address"
    )
    assert outlet.counts["bad_values"] == 2 * len(outlet.chunks)
    assert len(outlet.counts) == 1 or set(outlet.counts) == {"bad_values", "skipped_polls"}
    assert first[0] == "3 290 111"
    assert asked(device).count("3 290 111") == 1


def test_a_tag_that_comes_back_is_no_problem_any_more(device: Any, tmp_path: Path) -> None:
    outlet = Rehearsal("line", tmp_path)
    tags = {"a": "hr 1", "b": "ir 2 @7"}
    (device.folder / "silent").write_text("7")
    with running(outlet, device.port, tags=tags, timeout="50 ms", retries=0) as run:
        run.until(lambda: len(outlet.chunks) >= 3)
        assert np.array_equal(rows(outlet)[0], [1, np.nan], equal_nan=True)
        assert outlet.problems["tags"] == "1 of 2 tags cannot be read: b (ir 2): no answer"
        (device.folder / "silent").unlink()
        run.until(lambda: rows(outlet)[-1] == [1, 702] and not outlet.problems)


def test_nobody_answers_is_a_failed_run_that_says_what_it_lost(device: Any, tmp_path: Path) -> None:
    outlet = Rehearsal("plc1", tmp_path)
    with running(outlet, device.port, tags={"a": "hr 1"}, timeout="100 ms", retries=0) as run:
        run.until(lambda: outlet.chunks)
        (device.folder / "silent").write_text("1")
        with pytest.raises(TimeoutError, match=r"nobody answers \(tcp://127.0.0.1:\d+: hr 1 @1\)"):
            run.until(lambda: False)
    assert np.isnan(rows(outlet)[-1]).all()


def test_nobody_listens(tmp_path: Path) -> None:
    with pytest.raises(EdgeloopError, match=r"cannot connect \(tcp://127.0.0.1:1\): Connection refused"):
        play(SOURCE, Rehearsal("a", tmp_path), type="modbus", url="tcp://127.0.0.1:1", tags="a: hr 1")
    with pytest.raises(EdgeloopError, match=r"cannot connect \(rtu:///nowhere\?.*No such file"):
        play(SOURCE, Rehearsal("a", tmp_path), type="modbus", url="rtu:///nowhere", tags="a: hr 1")
    (tmp_path / "file").write_text("x")
    with pytest.raises(EdgeloopError, match=r"cannot connect .*no serial line"):
        play(SOURCE, Rehearsal("a", tmp_path), type="modbus", url=f"rtu://{tmp_path}/file", tags="a: hr 1")


def test_values_are_written_where_the_allow_list_says(device: Any, tmp_path: Path) -> None:
    outlet = Rehearsal("plc1", tmp_path)
    wide = {"range": "-1000000000..1000000000"}
    writes = {
        "speed": "hr 40 float64", "count": "hr 50 int32 *0.5 +10 little", "stop": "co 9", "hold": "hr 60.3",
        "phase": "hr 61 enum(a=3,b=7)", "gone": "hr 350",
    }  # fmt: skip
    tags = {**{name: text for name, text in writes.items() if name != "gone"}, "oil_temp": TAGS["oil_temp"]}
    options = {"actions": dict.fromkeys((*writes, "oil_temp"), wide), "writes": writes, "verify": True}
    with running(outlet, device.port, tags=tags, **options) as run:
        run.until(lambda: outlet.chunks)
        for target, value in (("speed", 0.1), ("count", -90001), ("stop", 0), ("stop", 1), ("hold", 1), ("phase", 7),
                              ("oil_temp", -40.04)):  # fmt: skip
            run.source.write(target, value)
        n = len(outlet.chunks)
        run.until(lambda: len(outlet.chunks) > n + 4)
        assert rows(outlet)[-1] == [0.1, -90001, pytest.approx(-40)]
        assert states(outlet)[-1] == {"stop": 1, "hold": 1, "phase": "b"}
        for target, value, why in (
            ("oil_temp", 5000, "5000 does not fit into oil_temp: hr 104 is int16"), ("stop", 2, "co 9 is 0 or 1"),
            ("hold", 0.5, "hr 60.3 is 0 or 1"), ("phase", 4, r"4 is no code of phase; one of: 3 \(a\), 7 \(b\)"),
            ("gone", 1, r"illegal data address \(hr 350 @1\)"), ("other", 1, "other cannot be written"),
            ("count", float("nan"), "nan cannot be written"),
        ):  # fmt: skip
            with pytest.raises(EdgeloopError, match=why):
                run.source.write(target, value)


def test_a_table_may_be_a_text_or_a_file(device: Any, tmp_path: Path) -> None:
    outlet = Rehearsal("plc1", tmp_path)
    (tmp_path / "tags").write_text("# the press\noil_temp: hr 104 int16 Cel *0.1\n\nmode: hr 2 enum(a,b,c)\n")
    with running(outlet, device.port, tags="level: ir 3\nvalve: co 3", tags_file=str(tmp_path / "tags")) as run:
        run.until(lambda: len(outlet.chunks) >= 2)
    assert rows(outlet)[0] == [3, 72.5]
    assert states(outlet)[0] == {"valve": 1, "mode": "c"}
    (tmp_path / "tags").write_text("oil_temp: hr 104 in16\n")
    wrong = {"type": "modbus", "url": "tcp://127.0.0.1:1", "tags_file": str(tmp_path / "tags")}
    with pytest.raises(EdgeloopError, match=r"tags\.oil_temp: 'in16' is no type"):
        play(SOURCE, Rehearsal("a", tmp_path), **wrong)
    with pytest.raises(EdgeloopError, match=r"cannot read a table \(/nowhere\)"):
        play(SOURCE, Rehearsal("a", tmp_path), **{**wrong, "tags_file": "/nowhere"})


def test_polls_that_are_missed_are_counted_and_not_made_up_for(device: Any, tmp_path: Path) -> None:
    outlet = Rehearsal("plc1", tmp_path)
    with running(outlet, device.port, tags={"a": "hr 1", "b": "hr 2 @7"}, poll="20 ms", timeout="200 ms") as run:
        run.until(lambda: outlet.chunks)
        (device.folder / "silent").write_text("7")
        run.until(lambda: outlet.counts.get("skipped_polls", 0) >= 5)
        n = len(outlet.chunks)
        run.until(lambda: len(outlet.chunks) > n + 5)
    assert (np.diff(outlet.times()) > 0).all()


def test_over_tls_a_device_is_believed_by_its_certificate(
    make_peer: Callable[..., Any], certificates: Any, tmp_path: Path
) -> None:
    (tmp_path / "peer0").mkdir()
    for name in ("server.pem", "server.key"):
        shutil.copy(tmp_path / name, tmp_path / "peer0")
    peer = make_peer(SERVER, "tls", "{port}")
    outlet = Rehearsal("plc1", tmp_path)
    options = {"poll": "30 ms", "timeout": "5 s", "tags": TAGS, "url": f"tls://localhost:{peer.port}"}
    with Running(SOURCE, outlet, type="modbus", ca=str(certificates.ca), **options) as run:
        run.until(lambda: len(rows(outlet)) >= 3)
    assert rows(outlet)[0] == [72.5, 3.5, 3.5]
    for wrong in ({"ca": str(certificates.other)}, {"ca": str(certificates.ca), "url": f"tls://127.0.0.1:{peer.port}"}):
        with pytest.raises(EdgeloopError, match=r"certificate|verify"):
            play(SOURCE, Rehearsal("plc1", tmp_path), type="modbus", **(options | wrong))


def test_a_serial_line_with_two_devices(make_peer: Callable[..., Any], tmp_path: Path) -> None:
    """Two pseudo-terminals, joined as a cable would."""
    ends = [os.openpty() for _ in range(2)]
    for pair in ends:
        for fd in pair:
            tty.setraw(fd)
    names = [os.ttyname(slave) for _, slave in ends]

    def carry(read: int, write: int) -> None:
        try:
            while data := os.read(read, 4096):
                os.write(write, data)
        except OSError:
            return

    for read, write in ((ends[0][0], ends[1][0]), (ends[1][0], ends[0][0])):
        threading.Thread(target=carry, args=(read, write), daemon=True).start()
    peer = make_peer(SERVER, "serial", names[0])
    outlet = Rehearsal("line", tmp_path)
    options = {"tags": {**TAGS, "pump": "ir 9 @7"}, "actions": {"oil_temp": {"range": "0..100"}}, "verify": True}
    url = f"rtu://{names[1]}?baud=115200&parity=N"
    with Running(SOURCE, outlet, type="modbus", url=url, poll="50 ms", timeout="5 s", **options) as run:
        run.until(lambda: len(outlet.chunks) >= 4)
        assert rows(outlet)[0] == [72.5, 3.5, 3.5, 709]
        run.source.write("oil_temp", 30)
        n = len(outlet.chunks)
        run.until(lambda: len(outlet.chunks) > n + 3)
        assert rows(outlet)[-1][0] == 30
        assert outlet.problems == {}
    peer.kill()
    for pair in ends:
        for fd in pair:
            os.close(fd)


def test_the_device_is_killed_and_comes_back(device: Any, plant: Any) -> None:
    source = {
        "type": "modbus", "url": f"tcp://127.0.0.1:{device.port}", "poll": "20 ms", "tags": TAGS,
        "actions": {"valve": {"range": "0..1", "armed": "true"}},
    }  # fmt: skip
    plant.configure(sources={"plc1": source, "press1": {"type": "simulator", "seed": "7"}})
    plant.start()

    def found(stream: str) -> list[Any]:
        return [i for i in plant.journal() if i.stream == stream]

    plant.wait(lambda: len(found("plc1")) > 5)
    device.kill()
    plant.wait(lambda: "cannot connect" in plant.problems())
    assert f"tcp://127.0.0.1:{device.port}): Connection refused" in plant.problems()
    device.start()
    n = len(found("plc1"))
    plant.wait(lambda: len(found("plc1")) > n + 5 and "cannot connect" not in plant.problems(), 60)
    batches = found("plc1")
    assert all(isinstance(b, Batch) for b in batches)
    gaps = [k for k, b in enumerate(batches) if b.discontinuity]
    assert len(gaps) == 1
    assert np.isnan(batches[gaps[0] - 1].samples[-1]).all()
    assert list(batches[gaps[0]].samples[0]) == [72.5, 3.5, 3.5]
    assert [b.discontinuity for b in found("plc1_state")].count(True) == 1
    assert isinstance(found("plc1_state")[0], RecordBatch)
    assert not any(b.discontinuity for b in found("press1_vib"))
    now = clock.now()
    action = {"schema": 1, "id": "a1", "target": "valve", "value": 0, "issued": now, "armed": True}
    plant.bus.publish_document(topics.action("plc1"), {**action, "expires": now + 30 * NS})
    plant.wait(lambda: [d["outcome"] for d in plant.documents(topics.ACTION_RESULTS)] == ["done"])
    plant.wait(lambda: int(found("plc1_state")[-1].columns["valve"].values[-1]) == 0)
    assert "Traceback" not in plant.log()


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"url": "plc1"}, "'plc1' begins with none of: tcp://"),
        ({"url": "tcp://"}, "is no address"),
        ({"url": "tcp://a:x"}, "is no address"),
        ({"url": "tcp://me:secret@a"}, "Modbus has no user names"),
        ({"url": "rtu://host/dev"}, "is no serial device"),
        ({"url": "rtu:///dev/x?parity=X"}, "'X' is no parity"),
        ({"url": "rtu:///dev/x?speed=1"}, "a serial line has no 'speed'"),
        ({"tags": {}}, "there are no tags"),
        ({"tags": "a: hr 1\na: hr 2"}, "tags: line 2: a is there twice"),
        ({"tags": "hr 1"}, "tags: line 1: 'hr 1' is no row"),
        ({"tags": {"A": "hr 1"}}, r"tags\.A: a name is of a-z"),
        ({"tags": {"a": "hx 1", "b": "hr"}}, r"tags\.a: 'hx' is no table; .*tags\.b: the address is missing"),
        ({"tags": {"a": "hr 1 string9"}, "largest": 4}, "a has 5 registers, `largest` is 4"),
        ({"actions": {"stop": {"range": "0..1"}}}, r"actions\.stop: no row of `writes` or `tags`"),
        ({"actions": {"a": {"range": "0..1"}}, "tags": {"a": "ir 1"}}, r"actions\.a: ir 1 cannot be written"),
        ({"writes": {"stop": "co 1"}}, r"writes\.stop: `actions` does not have it"),
        ({"poll": "1 ms"}, "less than the minimum 5 ms"),
    ],
)
def test_a_wrong_configuration_is_refused_at_once(options: dict[str, Any], why: str) -> None:
    from edgeloop.config.load import convert

    with pytest.raises(ConfigurationError, match=why):
        convert({"url": "tcp://a", "tags": {"a": "hr 1"}, **options}, Modbus.options, "sources.plc1")
